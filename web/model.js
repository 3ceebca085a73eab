// What the console knows of groups, rooms and people; who shows it is called when it has changed.
import { call } from "./api.js";
import { toast } from "./dom.js";
import { Room } from "./live.js";
import { t } from "./words.js";

export const state = { groups: new Map(), rooms: new Map(), cards: new Map(), quality: new Map(), selected: null, dispatcher: 7 };

export const room = (gid) => {
  if (!state.rooms.has(gid)) state.rooms.set(gid, new Room());
  return state.rooms.get(gid);
};

export const names = {
  user(uid) {
    if (!state.cards.has(uid)) loadCard(uid);
    const card = state.cards.get(uid);
    const name = card?.nick_name || card?.user_name;
    if (name) return `${name} (${uid})`;
    for (const one of state.rooms.values()) {
      const display = one.participants.get(uid)?.display;
      if (display) return `${display} (${uid})`;
    }
    return `${t("user")} ${uid}`;
  },
  group: (gid) => state.groups.get(gid)?.group_name ?? `${t("group")} ${gid}`,
};

async function loadCard(uid) {
  state.cards.set(uid, null);
  try {
    const card = await call("GET", `/v1/users/${uid}`);
    state.cards.set(uid, card);
    if (card.user_name || card.nick_name) render();
  } catch {
    // Somebody nobody has told about: the number has to do.
  }
}

/** What draws, each in its turn. */
const views = [];
export const shownBy = (...more) => views.push(...more);

let isDue = false;
/** Draws everything anew at the next frame, once, however much has happened. */
export function render() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const view of views) view();
  });
}

/** Puts a group in the middle, and under the talk button. */
export function select(gid) {
  state.selected = gid;
  loadLive(gid);
  render();
}

/** Who is in a group's room and how their links are, asked anew. */
export async function loadLive(gid) {
  try {
    // In a busy group one event after the other may overtake the answer.
    for (let attempt = 0; !room(gid).load(await call("GET", `/v1/groups/${gid}/live`)) && attempt < 5; attempt++);
    for (const one of (await call("GET", `/v1/quality?gid=${gid}&limit=500`)).items) addQuality(one);
    render();
  } catch (error) {
    toast(error.message);
  }
}

export function addQuality(message) {
  const key = message.user_id;
  const list = state.quality.get(key) ?? [];
  if (list.at(-1)?.at_ms === message.at_ms) return;
  list.push(message);
  state.quality.set(key, list.slice(-60));
}
