// The console: groups on the left, one group in the middle, talks on the right; all kept up to date by the feed.
import { Feed, all, call } from "./api.js";
import { byId, el, isWriting, toast } from "./dom.js";
import { emergencyBegan, showEmergencies, startEmergencies } from "./emergency.js";
import { showGroup, tick } from "./group.js";
import { showGroups } from "./list.js";
import { addQuality, loadLive, names, render, room, select, shownBy, state } from "./model.js";
import { talkItem } from "./player.js";
import { showReplay, startReplay } from "./replay.js";
import { showStrips, stripLevels } from "./strips.js";
import { becomeDispatcher, monitoredAt, showTalk, startTalking } from "./talk.js";
import { setLanguage, t, translatePage } from "./words.js";

let feed = null;
let talks = [];
let isArchive = false;
let older = null;

function renderTalks() {
  const list = byId("talks");
  list.replaceChildren(...talks.map((talk) => talkItem(talk, names)));
  if (talks.length === 0) list.append(el("li", { class: "empty" }, t(isArchive ? "nothing" : "noTalks")));
  byId("more").hidden = older === null;
}

// MARK: what happens

async function loadGroups() {
  try {
    const list = await all("/v1/groups");
    state.groups = new Map(list.map((group) => [group.gid, group]));
    if (!state.groups.has(state.selected)) state.selected = list[0]?.gid ?? null;
    await Promise.all(list.slice(0, 200).map((group) => loadLive(group.gid)));
    render();
    // What is being deleted is gone when the voice server has answered; until then the list is asked again.
    if (list.some((group) => group.status === "deleting")) setTimeout(loadGroups, 1500);
  } catch (error) {
    toast(error.message);
  }
}

/** An alarm of so long ago is no news: the feed repeats what this dispatcher has not seen. */
const alarmMs = 60_000;

function happened(event) {
  if (event.type === "floor" && !room(event.gid).apply(event.data)) loadLive(event.gid);
  if (event.type === "floor" && event.data.state === "emergency" && Date.now() - event.data.at_ms < alarmMs) emergencyBegan();
  if (event.type === "quality") addQuality(event.data);
  if (event.type === "group") {
    state.groups.set(event.gid, event.data);
    if (event.data.status === "deleting") setTimeout(loadGroups, 1500);
  }
  if (event.type === "talk" && !isArchive) {
    talks = [event.data, ...talks.filter((talk) => talk.talk_id !== event.data.talk_id)].slice(0, 200);
    const list = byId("talks");
    list.querySelector(".empty")?.remove();
    list.querySelector(`[data-id="${CSS.escape(event.data.talk_id)}"]`)?.remove();
    list.prepend(talkItem(event.data, names));
    while (list.children.length > Math.max(200, talks.length)) list.lastElementChild.remove();
  }
  if (event.type === "archive") {
    const talk = talks.find((one) => one.talk_id === event.data.talk_id);
    if (talk) talk.archived = true;
    const tag = byId("talks").querySelector(`[data-id="${CSS.escape(event.data.talk_id)}"] [data-archived]`);
    if (tag) tag.textContent = t("archived");
  }
  if (event.type === "gap") toast(t("gap"));
  render();
}

function follow() {
  feed?.close();
  const link = byId("link");
  let hadLink = false;
  feed = new Feed(state.dispatcher, happened, (name) => {
    link.className = `pill ${name}`;
    link.dataset.state = name;
    link.textContent = t(name);
    if (name === "up" && hadLink) loadGroups();
    if (name === "up") hadLink = true;
  });
}

// MARK: talks

async function loadTalks(more = false) {
  const query = new URLSearchParams();
  if (isArchive) {
    const form = new FormData(byId("search"));
    for (const name of ["q", "gid", "uid"]) if (form.get(name)) query.set(name, form.get(name));
    if (form.get("from")) query.set("from_ms", new Date(form.get("from")).getTime());
    if (form.get("to")) query.set("to_ms", new Date(form.get("to")).getTime());
  }
  if (more && older !== null) query.set("cursor", older);
  try {
    const page = await call("GET", `/v1/talks?${query}`);
    talks = more ? [...talks, ...page.items] : page.items;
    older = page.next;
    renderTalks();
  } catch (error) {
    toast(error.message);
  }
}

function chooseTab(archive) {
  isArchive = archive;
  for (const [id, chosen] of [["tab-live", !archive], ["tab-archive", archive]]) {
    byId(id).setAttribute("aria-selected", chosen);
    byId(id).tabIndex = chosen ? 0 : -1;
  }
  byId("talks").setAttribute("aria-labelledby", archive ? "tab-archive" : "tab-live");
  byId("search").hidden = !archive;
  loadTalks();
}

// MARK: what people do

const numbers = (text) => text.split(/[\s,]+/).filter(Boolean).map(Number);

function prepareCreate() {
  const dialog = byId("create");
  const form = dialog.querySelector("form");
  const problem = dialog.querySelector(".problem");
  byId("new").onclick = () => {
    form.reset();
    problem.textContent = "";
    dialog.showModal();
  };
  form.querySelector("[value=cancel]").onclick = () => dialog.close();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const body = {
      group_name: data.get("group_name"), dispatcher_id: state.dispatcher, managers: numbers(data.get("managers")), members: numbers(data.get("members")),
    };
    if (data.get("owner")) body.owner = Number(data.get("owner"));
    const button = form.querySelector("[value=ok]");
    button.disabled = true;
    try {
      const group = await call("POST", "/v1/groups", body);
      state.groups.set(group.gid, group);
      state.selected = group.gid;
      dialog.close();
      render();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  };
}

function start() {
  const stored = Number(localStorage.getItem("dispatcher") ?? 7);
  state.dispatcher = Number.isSafeInteger(stored) ? stored : 7;
  byId("dispatcher").value = state.dispatcher;
  byId("dispatcher").onchange = ({ target }) => {
    if (!target.checkValidity()) return;
    state.dispatcher = Number(target.value);
    localStorage.setItem("dispatcher", target.value);
    follow();
    becomeDispatcher();
  };
  byId("who").onsubmit = (event) => event.preventDefault();
  for (const button of document.querySelectorAll("[data-lang]")) {
    button.onclick = () => {
      setLanguage(button.dataset.lang);
      byId("link").textContent = t(byId("link").dataset.state);
      render();
      renderTalks();
      showReplay();
    };
  }
  byId("filter").oninput = render;
  byId("tab-live").onclick = () => chooseTab(false);
  byId("tab-archive").onclick = () => chooseTab(true);
  document.querySelector(".tabs").onkeydown = (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    chooseTab(!isArchive);
    byId(isArchive ? "tab-archive" : "tab-live").focus();
  };
  byId("search").onsubmit = (event) => {
    event.preventDefault();
    loadTalks();
  };
  byId("more").onclick = () => loadTalks(true);
  prepareCreate();
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || isWriting(event) || !/^[1-9]$/.test(event.key)) return;
    const gid = monitoredAt(Number(event.key) - 1);
    if (gid !== undefined) select(gid);
  });
  translatePage();
  shownBy(showGroups, showEmergencies, showGroup, showTalk, showStrips);
  startTalking({ strips: showStrips, levels: stripLevels });
  startReplay();
  startEmergencies();
  // Talks name their groups, so these come first.
  loadGroups().then(() => loadTalks());
  follow();
  setInterval(tick, 1000);
}

start();
