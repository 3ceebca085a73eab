// The middle of the page: one group.
import { all, call } from "./api.js";
import { byId, colour, el, surface, toast } from "./dom.js";
import { names, render, room, state } from "./model.js";
import { locale, t } from "./words.js";

let members = { gid: null, list: [], stamp: "" };
let shown = "";

async function loadMembers(group) {
  // A group's own values tell when its members may have changed.
  const stamp = JSON.stringify([group.gid, group.member_count, group.owner, group.managers]);
  if (members.stamp === stamp) return;
  members = { gid: group.gid, list: members.gid === group.gid ? members.list : [], stamp };
  try {
    const list = await all(`/v1/groups/${group.gid}/members`);
    if (members.stamp !== stamp) return;
    members.list = list;
    render();
  } catch (error) {
    toast(error.message);
  }
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    toast(error.message);
    members.stamp = "";
  }
  shown = "";
  render();
}

async function setRole(gid, uid, role) {
  const answer = await call("PUT", `/v1/groups/${gid}/members/${uid}`, { role });
  state.groups.set(gid, await call("GET", `/v1/groups/${gid}`));
  members.stamp = "";
  toast(t(answer.applied === "live" ? "roleLive" : "roleNext"));
}

async function remove(gid, uid) {
  await call("DELETE", `/v1/groups/${gid}/members/${uid}`);
  state.groups.set(gid, await call("GET", `/v1/groups/${gid}`));
}

function askDelete(group) {
  const dialog = byId("ask");
  byId("ask-text").textContent = t("deleteAsk", group.group_name);
  dialog.onclose = () => {
    if (dialog.returnValue !== "ok") return;
    attempt(async () => {
      state.groups.set(group.gid, await call("DELETE", `/v1/groups/${group.gid}`));
      toast(t("deleted", group.group_name));
    });
  };
  dialog.returnValue = "";
  dialog.showModal();
}

/** Draws the group that is chosen; what has not changed stays, so that nobody loses the focus. */
export function showGroup() {
  const detail = byId("detail");
  const group = state.groups.get(state.selected);
  if (!group) {
    shown = "";
    return detail.replaceChildren(el("p", { class: "empty" }, t("choose")));
  }
  loadMembers(group);
  const live = room(group.gid);
  const uids = [...new Set([...members.list.map((one) => one.uid), ...live.participants.keys()])];
  const picture = JSON.stringify([
    locale(), group, live.holder, live.sinceMs, live.tier, live.queue, [...live.participants.values()], members.list, uids.map(names.user),
    [...live.emergencies], uids.map((uid) => state.quality.get(uid)?.at(-1)?.at_ms),
  ]);
  if (picture === shown) return;
  shown = picture;
  const focus = document.activeElement?.dataset?.focus;
  detail.replaceChildren(
    el(
      "div", { class: "title" }, el("strong", {}, group.group_name), el("span", { class: "dim num" }, `${t("group")} ${group.gid}`),
      el("span", { class: "dim" }, t("here", live.participants.size)), el("span", { class: "grow" }),
      el("button", { type: "button", class: "danger", "data-focus": "delete", disabled: group.status !== "active", onclick: () => askDelete(group) }, t("delete"))),
    floor(group, live), el("h3", {}, t("members")), table(group, live), addForm(group), el("h3", {}, t("quality")), charts(uids));
  if (focus) detail.querySelector(`[data-focus="${focus}"]`)?.focus();
  drawCharts(detail);
  tick();
}

function floor(group, live) {
  const who = live.holder === null ? t(group.mode === "open" ? "open" : "idle") : t("talking", names.user(live.holder));
  return el(
    "div", { class: `floor ${live.holder === null ? "" : "on"} ${live.isAlarmed ? "alarm" : ""}`, role: "status" }, el("span", { class: "lamp" }),
    el(
      "div", { class: "grow" }, el("div", { class: "who" }, who), el("div", { class: "dim num", id: "clock" }),
      live.queue.length ? el("div", { class: "dim" }, t("queue", live.queue.map(names.user).join(", "))) : null));
}

function table(group, live) {
  const known = new Map(members.list.map((one) => [one.uid, one.role]));
  const guests = [...live.participants.values()].filter((one) => !known.has(one.uid));
  const rows = [...members.list.map((one) => row(group, live, one.uid, one.role)), ...guests.map((one) => row(group, live, one.uid, null))];
  return el(
    "table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("userNumber")), el("th", { scope: "col" }, t("role")), el("th", {}))),
    el("tbody", {}, ...rows));
}

function row(group, live, uid, role) {
  const isHere = live.participants.has(uid);
  const mark = live.holder === uid ? "dot talk" : isHere ? "dot in" : "dot";
  const name = live.participants.get(uid)?.display;
  const select = role === null ? el("span", { class: "dim" }, t("guest")) : el(
    "select", {
      "aria-label": `${t("role")}: ${names.user(uid)}`, "data-focus": `role-${uid}`,
      onchange: ({ target }) => attempt(() => setRole(group.gid, uid, Number(target.value))),
    }, ...[0, 1, 2].map((value) => el("option", { value, selected: value === role }, t(`role${value}`))));
  return el(
    "tr", {}, el("td", {}, el("span", { class: mark, role: "img", "aria-label": t(isHere ? "present" : "away") }), names.user(uid),
      name && !names.user(uid).includes(name) ? el("span", { class: "dim" }, ` ${name}`) : null),
    el("td", {}, select),
    el("td", {}, role === null ? "" : el("button", {
      type: "button", class: "quiet", "data-focus": `remove-${uid}`, "aria-label": `${t("remove")}: ${names.user(uid)}`,
      onclick: () => attempt(() => remove(group.gid, uid)),
    }, t("remove"))));
}

function addForm(group) {
  const old = byId("detail").querySelector(".addmember input");
  const input = el("input", { type: "number", min: 1, required: true, placeholder: t("addHint"), "aria-label": t("addHint"), "data-focus": "add" });
  if (old && old.dataset.gid === String(group.gid)) input.value = old.value;
  input.dataset.gid = group.gid;
  return el("form", {
    class: "addmember",
    onsubmit: (event) => {
      event.preventDefault();
      const uid = Number(input.value);
      input.value = "";
      attempt(() => setRole(group.gid, uid, 0));
    },
  }, input, el("button", {}, t("add")));
}

// MARK: link quality

function charts(uids) {
  const measured = uids.filter((uid) => state.quality.has(uid));
  if (measured.length === 0) return el("p", { class: "dim" }, t("noQuality"));
  return el(
    "div", { class: "charts" }, ...measured.map((uid) => {
      const last = state.quality.get(uid).at(-1);
      const value = last.user_status === 1 ? last.in_link_quality : last.out_link_quality;
      return el(
        "div", { class: "chart" }, el("div", { class: "bar" }, el("span", {}, names.user(uid)), el("b", { class: "num" }, `${value} %`)),
        el("canvas", { "data-uid": uid, role: "img", "aria-label": `${t("quality")} ${value} %` }), el("div", { class: "dim num" }, t("rtt", last.rtt)));
    }));
}

function drawCharts(detail) {
  for (const canvas of detail.querySelectorAll("canvas[data-uid]")) {
    const series = state.quality.get(Number(canvas.dataset.uid));
    const { context: pen, width, height } = surface(canvas);
    const values = series.map((one) => (one.user_status === 1 ? one.in_link_quality : one.out_link_quality));
    const x = (index) => (values.length < 2 ? width : (index / (values.length - 1)) * width);
    const y = (value) => height - 2 - (value / 100) * (height - 4);
    pen.strokeStyle = colour("line");
    pen.strokeRect(0.5, 0.5, width - 1, height - 1);
    pen.strokeStyle = values.at(-1) >= 90 ? colour("talk") : values.at(-1) >= 70 ? colour("warn") : colour("danger");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(0, y(values[0]));
    values.forEach((value, index) => pen.lineTo(x(index), y(value)));
    pen.stroke();
  }
}

/** Every second: how long somebody has been talking. */
export function tick() {
  const clock = byId("clock");
  const live = state.rooms.get(state.selected);
  if (!clock || !live) return;
  const time = live.sinceMs === null ? "" : new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(live.sinceMs);
  const seconds = live.sinceMs === null ? 0 : Math.max(0, Math.round((Date.now() - live.sinceMs) / 1000));
  clock.textContent = live.holder === null ? "" : `${t("seconds", seconds)} · ${t("since", time)}`;
}
