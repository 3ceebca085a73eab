// The last talks of the chosen group at the press of a key, while monitoring goes on in the background.
import { call } from "./api.js";
import { byId, isWriting } from "./dom.js";
import { context, isTalking, setBusy } from "./mixer.js";
import { names, state } from "./model.js";
import { locale, t } from "./words.js";

const audio = new Audio();
audio.preservesPitch = true;
let node = null;
let list = { gid: null, talks: [] };
/** Which of the list: 0 is the latest; null: none. */
let place = null;
let note = "";
/** Rises with all that is asked for: what comes for an earlier turn is no longer wanted. */
let turn = 0;

/** Plays one of the last talks: `step` 0 is the latest, otherwise so many earlier (or later) than the one before. */
async function play(step) {
  const gid = state.selected;
  if (gid === null || isTalking()) return;
  turn += 1;
  const mine = turn;
  const isOther = list.gid !== gid;
  if (step === 0 || isOther || place === null) {
    try {
      const { items } = await call("GET", `/v1/talks?gid=${gid}&limit=20`);
      if (mine !== turn) return;
      list = { gid, talks: items };
    } catch (error) {
      return mine === turn && stop(error.message);
    }
    place = 0;
  } else {
    place = Math.min(Math.max(0, place + step), list.talks.length - 1);
  }
  const talk = list.talks[place];
  if (!talk) return stop(t("noTalks"));
  // An element that is connected once sounds through the graph from then on.
  node ??= context.createMediaElementSource(audio);
  node.connect(context.destination);
  context.resume();
  note = "";
  audio.src = `/v1/talks/${talk.talk_id}/audio`;
  audio.playbackRate = rate();
  audio.play().catch((error) => error.name !== "AbortError" && stop(t("noAudio")));
}

const rate = () => (byId("speed").getAttribute("aria-pressed") === "true" ? 1.5 : 1);

function stop(why = "") {
  turn += 1;
  note = why;
  audio.pause();
  audio.removeAttribute("src");
  place = null;
  showReplay();
}

/** Somebody wants to talk: what is replayed must not go on the air. */
export function stopReplay() {
  turn += 1;
  if (!audio.paused) stop();
}

export function showReplay() {
  const isPlaying = !audio.paused && place !== null;
  setBusy({ isReplaying: isPlaying });
  byId("replay").dataset.playing = isPlaying;
  byId("replay-stop").disabled = place === null;
  byId("replay-later").disabled = place === null || place === 0;
  byId("replay-earlier").disabled = place !== null && place >= list.talks.length - 1;
  const talk = place === null ? null : list.talks[place];
  const time = talk && new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(talk.start_ms);
  byId("replay-now").textContent = talk ? `${names.user(talk.uid)} · ${time} · ${t("seconds", (talk.duration_ms / 1000).toFixed(1))}` : note;
}

export function startReplay() {
  byId("replay-last").onclick = () => play(0);
  byId("replay-earlier").onclick = () => play(place === null ? 0 : 1);
  byId("replay-later").onclick = () => play(-1);
  byId("replay-stop").onclick = () => stop();
  byId("speed").onclick = ({ currentTarget }) => {
    currentTarget.setAttribute("aria-pressed", currentTarget.getAttribute("aria-pressed") !== "true");
    audio.playbackRate = rate();
  };
  audio.onplay = showReplay;
  audio.onended = () => stop();
  audio.onerror = () => audio.src && place !== null && stop(t("noAudio"));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isWriting(event)) return;
    if (event.key === "r" || event.key === "R") play(audio.paused ? 0 : 1);
    if (event.key === "Escape") stop();
  });
  showReplay();
}
