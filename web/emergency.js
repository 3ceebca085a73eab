// Emergencies: one second's hold starts one, the banner tells of all, "Acknowledge" ends them.
import { call } from "./api.js";
import { byId, el, toast } from "./dom.js";
import { names, render, room, select, state } from "./model.js";
import { aim, hold, holdByPointer, letGo, voice } from "./talk.js";
import { tone } from "./tones.js";
import { t } from "./words.js";

const holdMs = 1000;
let timer = 0;
let shown = "";

/** Where everybody talks at once, the server takes no emergencies; of a group not known yet the server decides. */
const hasAlarms = (gid) => (state.groups.get(gid)?.mode ?? "ptt") === "ptt";

function begin() {
  const button = byId("alarm");
  const gid = aim();
  if (gid === null || button.classList.contains("held")) return;
  if (!hasAlarms(gid)) return toast(t("noAlarm"));
  button.classList.add("held");
  // Nobody who does hold is to read any longer that it has to be held.
  byId("toast").classList.remove("on");
  byId("say").textContent = t("holdOn");
  timer = setTimeout(() => {
    button.classList.add("sent");
    // From here on it talks, as long as it is held.
    hold("alarm", "emergency", gid);
  }, holdMs);
}

function end() {
  const button = byId("alarm");
  if (!button.classList.contains("held")) return;
  clearTimeout(timer);
  if (!button.classList.contains("sent")) toast(t("heldTooShort"));
  button.classList.remove("held", "sent");
  letGo("alarm");
}

async function acknowledge(gid) {
  try {
    await call("DELETE", `/v1/groups/${gid}/emergency`);
    room(gid).emergencies.clear();
    room(gid).tier = "normal";
    render();
  } catch (error) {
    toast(error.message);
  }
}

/** The button: where there are no emergencies it is not offered, and says why. */
function showAlarm() {
  const button = byId("alarm");
  const isOff = aim() !== null && !hasAlarms(aim());
  const why = t(isOff ? "noAlarm" : "emergencyHint");
  if (button.title === why) return;
  button.title = why;
  // Not `disabled`: a button that takes no focus could not tell its reason to who sees nothing.
  button.setAttribute("aria-disabled", isOff);
  button.setAttribute("aria-label", isOff ? `${t("emergency")}: ${why}` : t("emergency"));
}

/** The banner: who and where, one line for each group. */
export function showEmergencies() {
  showAlarm();
  const alarmed = [...state.groups.keys()].filter((gid) => room(gid).isAlarmed);
  const lines = alarmed.map((gid) => {
    const live = room(gid);
    const uids = live.emergencies.size > 0 ? [...live.emergencies] : live.holder === null ? [] : [live.holder];
    return [gid, t("emergencyBy", uids.map(names.user).join(", ") || "?", names.group(gid))];
  });
  const picture = JSON.stringify([lines, t("acknowledge")]);
  if (picture === shown) return;
  shown = picture;
  const node = byId("emergency");
  node.hidden = alarmed.length === 0;
  const focus = document.activeElement?.dataset?.focus;
  node.replaceChildren(
    ...lines.map(([gid, text]) => el(
      "div", { class: "bar" }, el("button", { type: "button", class: "plain", "data-focus": `go-${gid}`, onclick: () => select(gid) }, text),
      el("button", { type: "button", class: "ack", "data-focus": `ack-${gid}`, onclick: () => acknowledge(gid) }, t("acknowledge")))));
  if (focus) node.querySelector(`[data-focus="${focus}"]`)?.focus();
}

/** Sounds again and again until somebody acknowledges, but not over who talks there. */
function alarm() {
  const isDue = [...state.groups.keys()].some((gid) => room(gid).isAlarmed && room(gid).holder === null && !voice.channels.get(gid)?.talker);
  if (isDue) tone("alarm");
}

/** An emergency has begun: heard at once, whatever is going on. */
export const emergencyBegan = () => tone("alarm");

export function startEmergencies() {
  const button = byId("alarm");
  holdByPointer(button, begin, end);
  button.onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) begin();
  };
  button.onkeyup = (event) => event.key === "Enter" && end();
  button.onblur = end;
  addEventListener("blur", end);
  setInterval(alarm, 4000);
}
