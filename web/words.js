// What the page says, in its languages. A key that is missing in one falls back to English.
const words = {
  en: {
    skip: "Skip to the group", console: "Dispatch console", dispatcher: "Dispatcher", groups: "Groups", newGroup: "New group",
    filter: "Find a group by name or number", talks: "Talks", talksLive: "Live talks", archive: "Archive", words: "Words", group: "Group",
    user: "User", from: "From", to: "To", searchNow: "Search", more: "Older ones", name: "Name", ownerId: "Owner (number)",
    managerIds: "Managers (numbers, with commas)", memberIds: "Members (numbers, with commas)", cancel: "Cancel", create: "Create",
    delete: "Delete", up: "Live", down: "Connection lost, trying again", connecting: "Connecting", choose: "Choose a group.",
    noGroups: "No groups yet.", idle: "Floor is free", talking: "{0} talks", here: "{0} here", queue: "Waiting: {0}",
    talkingTogether: "{0} talk", open: "Everybody may talk", holdToJoinIn: "{0} · hold to talk too",
    members: "Members", userNumber: "User", role: "Role", role0: "Member",
    role1: "Manager", role2: "Owner", remove: "Remove", add: "Add", addHint: "User number", quality: "Link quality", present: "in the room",
    away: "not in the room", deleteAsk: "Delete the group {0}? Everybody in it is told, and its room closes.", deleted: "{0} is being deleted",
    roleLive: "Role changed at once", roleNext: "Role changed from the next join on", noTalks: "No talks yet.", nothing: "Nothing found.",
    truncated: "cut", archived: "archived", spool: "not archived yet", play: "Play", pause: "Pause", noAudio: "No audio",
    gap: "Events of an earlier time are no longer kept", seconds: "{0} s", rtt: "{0} ms round trip", noQuality: "No measurements yet.",
    since: "since {0}", membersCount: "{0} members", status_deleting: "deleting", status_pending: "being created", guest: "guest",
    emergencyBy: "Emergency: {0} in {1}", acknowledge: "Acknowledge", emergency: "Emergency", emergencyHint: "Hold for one second",
    holdOn: "Keep holding to start an emergency", heldTooShort: "Hold for one second to start an emergency",
    noAlarm: "Open groups take no emergencies: choose another group", alarmAsking: "Emergency…", alarmDue: "Emergency not sent yet",
    alarmDueWhy: "It goes out as soon as {0} is connected", alarmRefused: "Emergency refused", alarmOutIn: "The emergency went out in {0}",
    alarmUnheard: "Emergency sent, no voice", alarmUnheardIn: "The emergency went out in {0}, but nobody hears you: no microphone. {1}",
    alarmLost: "The emergency did not go out. {0}",
    monitored: "Monitored", monitor: "Monitor", monitorOff: "Stop monitoring", volume: "Volume", priority: "Priority",
    priorityHint: "Turns the others down while somebody talks here", pushToTalk: "Push to talk", microphone: "Microphone",
    holdToTalk: "Hold to talk", holdAnyway: "{0} · hold to ask for the floor", asking: "Asking…", youTalk: "You talk",
    youTalkEmergency: "You talk: emergency", waiting: "Waiting, place {0}", busy: "Busy", cutOff: "Cut off", secondsLeft: "{0} s left",
    notMonitored: "Not monitored", pressToMonitor: "Press to monitor {0}", joining: "Joining…", noVoice: "No voice", tryingAgain: "{0} · trying again",
    noAnswer: "The voice server does not answer", noMedia: "No sound comes through: is UDP blocked?", lost: "The connection was lost",
    silence: "Nothing was heard of you", deny1: "Somebody else has the floor", deny2: "The server had an error: try again",
    deny3: "You are alone in the group", deny4: "You may talk again in {0} s", deny5: "You may only listen here", deny6: "The server is full: try again",
    deny7: "Too many are waiting: try again", deny255: "The server said no", revoke1: "You are alone in the group", revoke2: "You talked too long",
    revoke3: "You may not talk here", revoke4: "Somebody higher talks", revoke6: "The server is full", revoke255: "The server took the floor",
    noMicrophone: "No microphone", microphone_asking: "Allow the microphone in the question above",
    microphone_denied: "Allow the microphone beside the page's address, then press again", microphone_missing: "Plug one in, then press again",
    microphone_insecure: "Browsers give it to https pages and localhost only", microphone_failed: "Another program may use it: close that, then press again",
    needNumber: "Choose a dispatcher number above 0 to monitor", kickedFrom: "{0}: you were put out, or joined in another window",
    closedGroup: "{0} is closed", soundOff: "The browser keeps the sound off: press anywhere", waitInQueue: "Wait when busy",
    waitHint: "When somebody talks: wait in the queue, or be told busy at once", keys: "Space talks · 1–9 choose a monitored group · R replays, again: earlier · Esc stops",
    replay: "Replay", replayLast: "Last talk", replayEarlier: "Earlier talk", replayLater: "Later talk", replayStop: "Stop the replay", faster: "Faster: 1.5×",
  },
  zh: {
    skip: "跳到群组", console: "调度台", dispatcher: "调度员", groups: "群组", newGroup: "新建群组", filter: "按名称或编号查找群组", talks: "通话",
    talksLive: "实时通话", archive: "录音检索", words: "关键词", group: "群组", user: "用户", from: "开始时间", to: "结束时间", searchNow: "检索",
    more: "更早的", name: "名称", ownerId: "群主（编号）", managerIds: "管理员（编号，逗号分隔）", memberIds: "成员（编号，逗号分隔）",
    cancel: "取消", create: "创建", delete: "删除", up: "已连接", down: "连接中断，正在重试", connecting: "正在连接", choose: "请选择一个群组。",
    noGroups: "还没有群组。", idle: "话权空闲", talking: "{0} 正在讲话", here: "{0} 人在线", queue: "排队：{0}", 
    talkingTogether: "{0} 正在讲话", open: "所有人均可讲话", holdToJoinIn: "{0} · 按住一起讲话",
    members: "成员", userNumber: "用户", role: "角色", role0: "成员", role1: "管理员", role2: "群主", remove: "移除",
    add: "添加", addHint: "用户编号", quality: "链路质量", present: "在房间内", away: "不在房间内",
    deleteAsk: "删除群组 {0}？群内所有人会收到通知，房间随即关闭。", deleted: "正在删除 {0}", roleLive: "角色已立即生效", roleNext: "角色将在下次加入时生效",
    noTalks: "还没有通话。", nothing: "没有找到。", truncated: "不完整", archived: "已归档", spool: "尚未归档", play: "播放", pause: "暂停",
    noAudio: "没有录音", gap: "更早的事件已不再保留", seconds: "{0} 秒", rtt: "往返 {0} 毫秒", noQuality: "还没有测量数据。", since: "自 {0}",
    membersCount: "{0} 名成员", status_deleting: "正在删除", status_pending: "正在创建", guest: "访客",
    emergencyBy: "紧急呼叫：{0}，群组 {1}", acknowledge: "确认", emergency: "紧急呼叫", emergencyHint: "按住一秒", holdOn: "继续按住以发起紧急呼叫",
    heldTooShort: "按住一秒才能发起紧急呼叫",
    noAlarm: "开放群组不支持紧急呼叫：请选择其他群组", alarmAsking: "正在发起紧急呼叫…", alarmDue: "紧急呼叫尚未发出", alarmDueWhy: "{0} 一接通即发出",
    alarmRefused: "紧急呼叫被拒绝", alarmOutIn: "已在 {0} 发出紧急呼叫", alarmUnheard: "紧急呼叫已发出，没有声音",
    alarmUnheardIn: "已在 {0} 发出紧急呼叫，但没有麦克风，无人能听到您。{1}", alarmLost: "紧急呼叫未能发出。{0}",
    monitored: "正在监听", monitor: "监听", monitorOff: "停止监听", volume: "音量", priority: "优先",
    priorityHint: "有人在此讲话时压低其他群组", pushToTalk: "按键讲话", microphone: "麦克风", holdToTalk: "按住讲话", holdAnyway: "{0} · 按住申请话权",
    asking: "正在申请…", youTalk: "您正在讲话", youTalkEmergency: "您正在讲话：紧急", waiting: "排队中，第 {0} 位", busy: "话权忙", cutOff: "已被打断",
    secondsLeft: "剩余 {0} 秒", notMonitored: "未监听", pressToMonitor: "按下开始监听 {0}", joining: "正在加入…", noVoice: "语音不通",
    tryingAgain: "{0} · 正在重试", noAnswer: "语音服务器没有应答", noMedia: "没有声音通过：UDP 是否被阻断？", lost: "连接已中断", silence: "没有收到您的声音",
    deny1: "他人正在讲话", deny2: "服务器出错，请重试", deny3: "群组中只有您一人", deny4: "{0} 秒后可以再次讲话", deny5: "您在此只能收听",
    deny6: "服务器已满，请重试", deny7: "排队人数过多，请重试", deny255: "服务器拒绝", revoke1: "群组中只有您一人", revoke2: "讲话时间过长",
    revoke3: "您不能在此讲话", revoke4: "更高级别的用户正在讲话", revoke6: "服务器已满", revoke255: "服务器收回了话权", noMicrophone: "没有麦克风",
    microphone_asking: "请在上方的提示中允许使用麦克风", microphone_denied: "请在地址栏旁允许使用麦克风，然后再按", microphone_missing: "请接上麦克风，然后再按",
    microphone_insecure: "浏览器只允许 https 页面和 localhost 使用麦克风", microphone_failed: "麦克风可能被其他程序占用：请关闭该程序后再按",
    needNumber: "请选择大于 0 的调度员编号", kickedFrom: "{0}：您已被移出，或在另一个窗口中加入", closedGroup: "{0} 已关闭",
    soundOff: "浏览器尚未开启声音：请点击任意位置", waitInQueue: "忙时排队", waitHint: "有人讲话时：排队等候，或立即提示忙",
    keys: "空格讲话 · 1–9 选择监听的群组 · R 回放，再按更早 · Esc 停止", replay: "回放", replayLast: "最近通话", replayEarlier: "更早的通话",
    replayLater: "更晚的通话", replayStop: "停止回放", faster: "加速：1.5×",
  },
};

const known = localStorage.getItem("language");
let language = known in words ? known : navigator.language.startsWith("zh") ? "zh" : "en";

export const locale = () => (language === "zh" ? "zh-CN" : "en-GB");

/** A text in the page's language; `{0}` … are replaced by the arguments. */
export function t(key, ...values) {
  const text = words[language][key] ?? words.en[key] ?? key;
  return text.replace(/\{(\d)\}/g, (_, index) => values[index]);
}

/** Puts the texts into everything that names one, and marks the language chosen. */
export function translatePage() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-ph]")) node.placeholder = t(node.dataset.ph);
  for (const node of document.querySelectorAll("[data-ti]")) node.title = t(node.dataset.ti);
  for (const node of document.querySelectorAll("[data-al]")) node.setAttribute("aria-label", t(node.dataset.al));
  for (const node of document.querySelectorAll("[data-lang]")) node.setAttribute("aria-pressed", node.dataset.lang === language);
}

export function setLanguage(name) {
  language = name;
  localStorage.setItem("language", name);
  translatePage();
}
