// The groups on the left. Rows stay as they are while things happen, so that a click meets the row it was meant for.
import { byId, el, icon } from "./dom.js";
import { names, room, select, state } from "./model.js";
import { monitor, voice } from "./talk.js";
import { t } from "./words.js";

const rows = new Map();
const headphones = "M4 15v-3a8 8 0 0 1 16 0v3M4 14h3v6H5.5A1.5 1.5 0 0 1 4 18.5zM20 14h-3v6h1.5a1.5 1.5 0 0 0 1.5-1.5z";

function row(gid) {
  const name = el("span", { class: "name" });
  const count = el("span", { class: "count num" });
  const sub = el("span", { class: "sub" });
  const open = el("button", { type: "button", "data-gid": gid, onclick: () => select(gid) }, name, count, sub);
  const ear = el("button", { type: "button", class: "ear", "data-monitor": gid, onclick: () => monitor(gid, !voice.channels.has(gid)) }, icon(headphones));
  return { node: el("li", {}, open, ear), name, count, sub, open, ear };
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function showGroups() {
  const text = byId("filter").value.trim().toLowerCase();
  const list = [...state.groups.values()].filter((one) => one.group_name.toLowerCase().includes(text) || String(one.gid) === text);
  for (const gid of [...rows.keys()]) if (!state.groups.has(gid)) rows.delete(gid);
  const wanted = list.map(({ gid }) => {
    if (!rows.has(gid)) rows.set(gid, row(gid));
    return rows.get(gid).node;
  });
  if (wanted.length === 0) wanted.push(el("li", { class: "empty" }, t("noGroups")));
  const nodes = byId("groups").children;
  if (nodes.length !== wanted.length || wanted.some((node, index) => nodes[index] !== node)) byId("groups").replaceChildren(...wanted);
  for (const group of list) showRow(rows.get(group.gid), group);
}

function showRow(one, group) {
  const live = room(group.gid);
  put(one.name, group.group_name);
  put(one.count, t("here", live.participants.size));
  put(
    one.sub,
    group.status !== "active" ? t(`status_${group.status}`)
      : live.holder !== null ? t("talking", names.user(live.holder)) : `${t("group")} ${group.gid} · ${t("membersCount", group.member_count)}`);
  one.open.className = [live.holder !== null && "talking", live.isAlarmed && "alarm", group.status !== "active" && "deleting"].filter(Boolean).join(" ");
  one.open.setAttribute("aria-current", state.selected === group.gid);
  one.ear.setAttribute("aria-pressed", voice.channels.has(group.gid));
  one.ear.setAttribute("aria-label", `${t("monitor")}: ${group.group_name}`);
  one.ear.title = t("monitor");
  one.ear.disabled = group.status !== "active" && !voice.channels.has(group.gid);
}
