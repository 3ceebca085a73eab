// The monitored groups, side by side: who talks, how loud, and what ducks what.
import { byId, el, showLevel } from "./dom.js";
import { ducking, level, strip } from "./mixer.js";
import { names, select, state } from "./model.js";
import { change, monitor, picture, setting, voice } from "./talk.js";
import { t } from "./words.js";

const cards = new Map();

function card(gid) {
  const choose = el("button", { type: "button", class: "choose", onclick: () => select(gid) }, el("kbd"), el("span", { class: "name" }));
  const who = el("span", { class: "who" });
  const bar = el("i");
  const volume = el("input", { type: "range", min: 0, max: 150, step: 5, oninput: () => change(gid, { volume: volume.value / 100 }) });
  const priority = el("button", { type: "button", class: "flag", onclick: () => change(gid, { priority: !setting(gid).priority }) });
  const off = el("button", { type: "button", class: "quiet", onclick: () => monitor(gid, false) }, "✕");
  volume.value = setting(gid).volume * 100;
  const node = el(
    "li", { class: "strip", "data-gid": gid }, el("div", { class: "line" }, choose, off), who, el("div", { class: "meter", "aria-hidden": "true" }, bar),
    el("div", { class: "line" }, volume, priority));
  return { node, choose, who, bar, volume, priority, off };
}

/** Draws what has changed; the cards themselves stay, so that a slider can be held. */
export function showStrips() {
  const gids = [...voice.channels.keys()];
  const list = byId("strips");
  const isSame = list.children.length === gids.length && gids.every((gid, index) => cards.get(gid)?.node === list.children[index]);
  for (const gid of [...cards.keys()]) if (!gids.includes(gid)) cards.delete(gid);
  for (const gid of gids) if (!cards.has(gid)) cards.set(gid, card(gid));
  if (!isSame) list.replaceChildren(...gids.map((gid) => cards.get(gid).node));
  byId("mixer").hidden = gids.length === 0;
  gids.forEach((gid, index) => showCard(cards.get(gid), gid, index));
}

function showCard(one, gid, index) {
  const channel = voice.channels.get(gid);
  const name = names.group(gid);
  const [kind, headline, line] = picture(gid);
  const isQuiet = kind === "ready" || (channel.state === "on" && kind === "trouble");
  one.node.dataset.state = isQuiet ? "ready" : kind;
  one.node.dataset.emergency = channel.talker?.isEmergency ?? false;
  const text = isQuiet ? t(state.groups.get(gid)?.mode === "open" ? "open" : "idle") : kind === "trouble" ? `${headline}: ${line}` : headline;
  if (one.who.textContent !== text) one.who.textContent = text;
  one.who.title = text;
  one.choose.querySelector("kbd").textContent = index < 9 ? index + 1 : "";
  one.choose.querySelector(".name").textContent = name;
  one.choose.setAttribute("aria-current", state.selected === gid);
  one.volume.setAttribute("aria-label", `${t("volume")}: ${name}`);
  one.priority.setAttribute("aria-pressed", setting(gid).priority);
  one.priority.textContent = t("priority");
  one.priority.title = t("priorityHint");
  one.off.setAttribute("aria-label", `${t("monitorOff")}: ${name}`);
}

/** Some twenty times a second: how loud each group is, before its volume. */
export function stripLevels() {
  for (const [gid, one] of cards) {
    showLevel(one.bar, level(strip(gid).meter));
    one.node.classList.toggle("ducked", ducking(gid) < 1);
  }
}
