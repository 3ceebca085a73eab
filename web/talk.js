// Hold to talk: the button, the space bar, and what the floor answers, by colour, word and sound at once.
import { byId, el, isWriting, showLevel, toast } from "./dom.js";
import { chooseMicrophone, microphone, openMicrophone, watchMicrophone } from "./microphone.js";
import { context, drop, feed, level, set, setBusy, setVolume, wake } from "./mixer.js";
import { names, render, room, state } from "./model.js";
import { stopPlayer } from "./player.js";
import { stopReplay } from "./replay.js";
import { tone } from "./tones.js";
import { Voice } from "./voice.js";
import { locale, t } from "./words.js";

/** Who shows the groups' strips, at once. */
let shown = { strips() {}, levels() {} };
let settings = {};
/** What holds the button down: the pointer, the space bar, the emergency button. */
const held = new Set();
/** The group that is talked to while it is held, whatever is chosen meanwhile. */
let target = null;
let isWarned = false;

export const voice = new Voice({
  changed(channel, before) {
    if (channel.mine !== before) sound(channel, before);
    // What was replayed while we waited must not go on the air.
    if (channel.mine === "granted" && before !== "granted") stopReplay();
    set(channel.gid, { isTalking: channel.talkers.length > 0 });
    duck();
    showTalk();
    shown.strips();
  },
  alarmed(channel) {
    if (channel.alarm === "refused") toast(`${t("alarmRefused")}: ${reason(channel)}`);
    else if (isMicrophoneLost()) tellUnheard(channel);
    else if (!channel.isHeld) toast(t("alarmOutIn", names.group(channel.gid)));
    showTalk();
    shown.strips();
  },
  heard: (channel, track) => feed(channel.gid, track),
  ended(channel, why) {
    drop(channel.gid);
    duck();
    if (why === "destroyed") forget(channel.gid);
    const text = t(why === "kicked" ? "kickedFrom" : "closedGroup", names.group(channel.gid));
    toast(channel.alarm === "due" ? t("alarmLost", text) : text);
    tone("trouble");
    if (target === channel.gid) letGo();
    refresh();
  },
  link: () => refresh(),
});

/** While we talk, what we hear is quieter. */
const duck = () => setBusy({ isTalking: [...voice.channels.values()].some((one) => one.mine === "granted") });

function refresh() {
  showTalk();
  shown.strips();
  render();
}

const sounds = { granted: "granted", queued: "queued", denied: "busy", revoked: "cut" };
function sound(channel, before) {
  if (channel.mine in sounds) tone(sounds[channel.mine]);
  else if (before === "granted") tone("over");
}

// MARK: which groups are monitored

const key = () => `voice.${state.dispatcher}`;
const save = () => localStorage.setItem(key(), JSON.stringify(settings));
const forget = (gid) => {
  delete settings[gid];
  save();
};

export const setting = (gid) => settings[gid] ?? { volume: 1, priority: false };

export function change(gid, values) {
  settings[gid] = { ...setting(gid), ...values };
  save();
  setVolume(gid, settings[gid].volume);
  set(gid, { isPriority: settings[gid].priority });
  shown.strips();
}

export function monitor(gid, isOn) {
  if (isOn) {
    if (state.dispatcher < 1) return toast(t("needNumber"));
    change(gid, {});
    voice.monitor(gid);
    openMicrophone();
  } else {
    if (target === gid) letGo();
    voice.leave(gid);
    drop(gid);
    duck();
    forget(gid);
  }
  refresh();
}

/** A dispatcher's groups are as they were left. */
export function becomeDispatcher() {
  letGo();
  for (const gid of voice.channels.keys()) drop(gid);
  voice.become(state.dispatcher, t("dispatcher"));
  try {
    settings = JSON.parse(localStorage.getItem(key()) ?? "{}");
  } catch {
    settings = {};
  }
  if (state.dispatcher > 0) for (const gid of Object.keys(settings).map(Number)) monitor(gid, true);
  refresh();
}

// MARK: talking

/** The group that the buttons are for. */
export const aim = () => target ?? state.selected;

/** Begins to talk, or an emergency, in the group that is talked to already, else in the `wanted` one. */
export async function hold(how, action = "request", wanted = state.selected) {
  if (held.has(how)) return;
  held.add(how);
  context.resume();
  stopReplay();
  stopPlayer();
  if (held.size > 1 && action === "request") return;
  const gid = target ?? wanted;
  if (gid === null) return;
  target = gid;
  const isOpen = microphone.state === "on";
  // Where the microphone is open, asking waits for nothing; an emergency never does: it counts without a voice too.
  if (isOpen || action === "emergency") press(gid, action);
  if (isOpen) return;
  if (!(await openMicrophone())) return unheard(gid, action);
  // Let go meanwhile, or held for another group: this one is not on the air for that. Of an emergency nothing was heard so far, so the
  // floor may be gone again: it is asked for once more.
  if (held.has(how) && target === gid) press(gid, action);
}

function press(gid, action) {
  if (!voice.channels.has(gid)) monitor(gid, true);
  const channel = voice.channels.get(gid);
  if (!channel) return letGo();
  channel.queues = byId("wait").getAttribute("aria-pressed") === "true";
  if (channel.state !== "on") tone("trouble");
  channel.press(action);
}

/** There is no microphone: the floor is given back, but an emergency stands. */
function unheard(gid, action) {
  tone("trouble");
  letGo();
  const channel = voice.channels.get(gid);
  // Where it is still due, it is told when it has gone out.
  if (action === "emergency" && channel?.alarm === "out") tellUnheard(channel);
}

const tellUnheard = (channel) => toast(t("alarmUnheardIn", names.group(channel.gid), t(`microphone_${microphone.state}`)));

export function letGo(how) {
  if (how === undefined) held.clear();
  else if (!held.delete(how)) return;
  if (held.size > 0) return;
  const channel = voice.channels.get(target);
  target = null;
  if (channel?.isHeld) channel.release();
  showTalk();
}

function prepareKeys() {
  // On the window and first of all: the space bar talks also while a button has the focus. Buttons are pressed by Enter.
  addEventListener("keydown", (event) => {
    if (event.code !== "Space" || event.ctrlKey || event.altKey || event.metaKey || isWriting(event)) return;
    event.preventDefault();
    if (!event.repeat) hold("space");
  }, true);
  addEventListener("keyup", (event) => {
    if (event.code !== "Space" || (isWriting(event) && !held.has("space"))) return;
    event.preventDefault();
    letGo("space");
  }, true);
  // A key that is let go elsewhere is never told: nobody is to be on the air without knowing.
  addEventListener("blur", () => letGo());
  document.addEventListener("visibilitychange", () => document.hidden && letGo());
}

/** Holds while a pointer is down on a button, and not longer. */
export function holdByPointer(button, down, up) {
  button.onpointerdown = (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    button.setPointerCapture(event.pointerId);
    down();
  };
  for (const name of ["onpointerup", "onpointercancel", "onlostpointercapture"]) button[name] = up;
  button.oncontextmenu = (event) => event.preventDefault();
}

// MARK: what is shown

const person = (talker) => {
  const name = names.user(talker.uid);
  return talker.display && name === `${t("user")} ${talker.uid}` ? `${talker.display} (${talker.uid})` : name;
};

/** That these talk; one is said to talk, several as they are listed in the page's language. */
function saying(talkers) {
  const people = talkers.map(person);
  return people.length === 1 ? t("talking", people[0]) : t("talkingTogether", new Intl.ListFormat(locale()).format(people));
}

/** Why the floor was refused or taken, in words. */
function reason(channel) {
  if (channel.cause === 4 && channel.mine === "denied") return t("deny4", Math.ceil((channel.retryMs ?? 0) / 1000));
  if (typeof channel.cause === "number") return t(`${channel.mine === "denied" ? "deny" : "revoke"}${channel.cause}`);
  return t(channel.cause);
}

const troubles = new Set(["noAnswer", "noMedia"]);
export const trouble = (text) => (troubles.has(text) ? t(text) : text);

const isMicrophoneLost = () => ["denied", "missing", "insecure", "failed"].includes(microphone.state);

/** State, headline and second line of a group's button. */
export function picture(gid) {
  const channel = voice.channels.get(gid);
  const group = names.group(gid);
  const others = channel?.talkers ?? [];
  if (channel?.alarm === "due" && channel.mine !== "granted") {
    return channel.state === "on" ? ["asking", t("alarmAsking"), group] : ["trouble", t("alarmDue"), t("alarmDueWhy", group)];
  }
  if (isMicrophoneLost() && (!channel || channel.state === "on") && others.length === 0) {
    const isAlarmed = room(gid).emergencies.has(state.dispatcher);
    return ["trouble", t(isAlarmed ? "alarmUnheard" : "noMicrophone"), t(`microphone_${microphone.state}`)];
  }
  if (!channel) return ["off", t("notMonitored"), t("pressToMonitor", group)];
  if (channel.mine === "revoked") return ["revoked", t("cutOff"), reason(channel)];
  if (channel.state !== "on") {
    const why = voice.isUp ? channel.problem : voice.problem;
    return [why ? "trouble" : "joining", t(why ? "noVoice" : "joining"), why ? t("tryingAgain", trouble(why)) : group];
  }
  if (channel.mine === "granted" && channel.isEmergency && microphone.state === "asking") {
    return ["trouble", t("alarmUnheard"), t("microphone_asking")];
  }
  if (channel.mine === "granted") return ["granted", t(channel.isEmergency ? "youTalkEmergency" : "youTalk"), others.length > 0 ? saying(others) : group];
  if (channel.mine === "queued") return ["queued", t("waiting", channel.position), others.length > 0 ? saying(others) : group];
  if (channel.mine === "denied") return ["denied", t(channel.action === "emergency" ? "alarmRefused" : "busy"), reason(channel)];
  if (channel.mine === "asking") return ["asking", t("asking"), group];
  if (others.length > 0) return ["taken", saying(others), t(channel.talker ? "holdAnyway" : "holdToJoinIn", group)];
  return ["ready", t("holdToTalk"), group];
}

let said = "";
/** Draws the button. Called by what happened itself: nothing waits for the next frame. */
export function showTalk() {
  const gid = aim();
  const bar = byId("talkbar");
  bar.hidden = gid === null;
  if (gid === null) return;
  const [name, headline, line] = picture(gid);
  const button = byId("talk");
  button.dataset.state = name;
  button.querySelector("b").textContent = headline;
  button.querySelector("span").textContent = line;
  button.setAttribute("aria-pressed", held.size > 0);
  const text = `${headline}. ${line}`;
  if (text !== said) byId("say").textContent = text;
  said = text;
  const problem = microphone.state in { on: 1, none: 1 } ? "" : t(`microphone_${microphone.state}`);
  if (byId("mic-problem").textContent !== problem) byId("mic-problem").textContent = problem;
  byId("sound-off").hidden = context.state === "running" || voice.channels.size === 0;
}

function showDevices() {
  const select = byId("mic");
  const current = microphone.track?.getSettings().deviceId;
  select.replaceChildren(
    ...microphone.devices.map((one) => el("option", { value: one.deviceId, selected: one.deviceId === current }, one.label || t("microphone"))));
  select.hidden = microphone.devices.length < 2;
}

let drawnMs = 0;
function draw(nowMs) {
  requestAnimationFrame(draw);
  if (nowMs - drawnMs < 40) return;
  drawnMs = nowMs;
  showLevel(byId("mic-level"), microphone.state === "on" ? level(microphone.meter) : 0);
  shown.levels();
  const channel = voice.channels.get(target);
  const left = channel?.mine === "granted" && channel.untilMs !== null ? Math.max(0, Math.ceil((channel.untilMs - Date.now()) / 1000)) : null;
  const text = left === null ? "" : t("secondsLeft", left);
  if (byId("left").textContent !== text) byId("left").textContent = text;
  // A word of warning before the server cuts in.
  if (left === null) isWarned = false;
  else if (left <= 5 && !isWarned) {
    isWarned = true;
    tone("soon");
  }
}

/** Chooses the n-th monitored group. */
export const monitoredAt = (index) => [...voice.channels.keys()][index];

export function startTalking(views) {
  shown = views;
  holdByPointer(byId("talk"), () => hold("pointer"), () => letGo("pointer"));
  // For who presses by Enter or by a reader's own means: the first press begins, the second ends.
  byId("talk").onclick = (event) => event.detail === 0 && (held.has("click") ? letGo("click") : hold("click"));
  prepareKeys();
  byId("wait").onclick = ({ currentTarget }) => {
    const isOn = currentTarget.getAttribute("aria-pressed") !== "true";
    currentTarget.setAttribute("aria-pressed", isOn);
    localStorage.setItem("wait", isOn);
  };
  byId("wait").setAttribute("aria-pressed", localStorage.getItem("wait") !== "false");
  byId("mic").onchange = ({ target: select }) => chooseMicrophone(select.value);
  watchMicrophone(() => {
    if (microphone.state === "on") for (const channel of voice.channels.values()) channel.microphoneCame();
    showDevices();
    showTalk();
  });
  wake(showTalk);
  becomeDispatcher();
  requestAnimationFrame(draw);
}
