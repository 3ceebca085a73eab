// A talk in the list: who, when, a player and the waveform of its sound.
import { colour, el, surface } from "./dom.js";
import { locale, t } from "./words.js";

const audio = new Audio();
const decoded = new Map();
let current = null;
let context = null;

async function peaks(id) {
  if (decoded.has(id)) return decoded.get(id);
  const work = (async () => {
    const response = await fetch(`/v1/talks/${id}/audio`);
    if (!response.ok) throw new Error((await response.json()).detail);
    context ??= new OfflineAudioContext(1, 1, 16000);
    const sound = (await context.decodeAudioData(await response.arrayBuffer())).getChannelData(0);
    const bars = 90;
    const step = Math.max(1, Math.floor(sound.length / bars));
    return Array.from({ length: bars }, (_, bar) => {
      let top = 0;
      for (let index = bar * step; index < Math.min((bar + 1) * step, sound.length); index += 4) top = Math.max(top, Math.abs(sound[index]));
      return top;
    });
  })();
  decoded.set(id, work);
  if (decoded.size > 300) decoded.delete(decoded.keys().next().value);
  work.catch(() => decoded.delete(id));
  return work;
}

function draw(canvas, bars, done) {
  const { context: pen, width, height } = surface(canvas);
  const step = width / bars.length;
  const scale = 1 / Math.max(0.05, ...bars);
  bars.forEach((value, index) => {
    const size = Math.max(2, value * scale * height);
    pen.fillStyle = index / bars.length < done ? colour("accent") : "#4b6076";
    pen.fillRect(index * step, (height - size) / 2, Math.max(1, step - 1.5), size);
  });
}

// Only what is looked at is fetched and decoded.
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    watcher.unobserve(entry.target);
    entry.target.load();
  }
});

function progress() {
  if (current) draw(current.canvas, current.bars, audio.duration ? audio.currentTime / audio.duration : 0);
}
function label(button, isPlaying) {
  button.textContent = isPlaying ? "❚❚" : "▶";
  button.setAttribute("aria-label", t(isPlaying ? "pause" : "play"));
}
audio.ontimeupdate = progress;
audio.onplay = () => current && label(current.button, true);
audio.onpause = () => current && label(current.button, false);
audio.onended = () => current && draw(current.canvas, current.bars, 0);

/** Somebody wants to talk. */
export const stopPlayer = () => audio.pause();

/** The list's item of a talk. `names` tells group and user by their numbers. */
export function talkItem(talk, names) {
  const canvas = el("canvas", { role: "img", "aria-hidden": "true" });
  const button = el("button", { type: "button", disabled: true });
  label(button, false);
  const mine = { id: talk.talk_id, canvas, button, bars: null };
  const toggle = () => {
    if (current !== mine) {
      if (current) {
        audio.pause();
        draw(current.canvas, current.bars, 0);
      }
      current = mine;
      audio.src = `/v1/talks/${talk.talk_id}/audio`;
    }
    return audio.paused ? audio.play() : audio.pause();
  };
  button.onclick = toggle;
  canvas.onclick = async (event) => {
    if (button.disabled) return;
    if (current !== mine || audio.paused) await toggle();
    if (audio.duration) audio.currentTime = (audio.duration * event.offsetX) / canvas.clientWidth;
  };
  canvas.load = async () => {
    try {
      mine.bars = await peaks(talk.talk_id);
      button.disabled = false;
      draw(canvas, mine.bars, 0);
    } catch (error) {
      canvas.replaceWith(el("span", { class: "dim", title: error.message }, t("noAudio")));
    }
  };
  watcher.observe(canvas);
  const time = new Date(talk.start_ms);
  const when = new Intl.DateTimeFormat(locale(), { dateStyle: "short", timeStyle: "medium" }).format(time);
  return el(
    "li", { class: "talk", "data-id": talk.talk_id },
    el("div", { class: "line" }, el("b", {}, names.user(talk.uid)), el("span", { class: "dim num" }, t("seconds", (talk.duration_ms / 1000).toFixed(1)))),
    el(
      "div", { class: "line dim" }, el("span", {}, names.group(talk.gid)), el("time", { datetime: time.toISOString(), class: "num" }, when),
      talk.truncated ? el("span", { class: "tag warn" }, t("truncated")) : null,
      el("span", { class: "tag", "data-archived": "" }, t(talk.archived ? "archived" : "spool"))),
    el("div", { class: "play" }, button, canvas));
}
