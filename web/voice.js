// Door A: one session of janus.js for all groups, made again whenever it is lost.
import { call } from "./api.js";
import { Channel } from "./channel.js";

const firstMs = 500;
const longestMs = 10_000;
const patienceMs = 5_000;

let loading = null;
/** janus.js as the server's system has it: a classic script that leaves `Janus` behind. */
function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/lib/janus.js";
    script.onload = () => {
      // It asks webrtc-adapter for a browser's name only; browsers of today need no adapting.
      const adapter = { browserDetails: { browser: "other", version: 0 } };
      Janus.init({ debug: false, dependencies: Janus.useDefaultDependencies({ adapter }), callback: resolve });
    };
    // The answer itself says what is missing.
    script.onerror = () => call("GET", script.src).then(() => reject(new Error("janus.js")), reject);
    document.head.append(script);
  });
  loading.catch(() => {
    loading = null;
  });
  return loading;
}

export class Voice {
  channels = new Map();
  uid = 0;
  isUp = false;
  problem = "";
  #display = "";
  #janus = null;
  #attempt = 0;
  #pauseMs = firstMs;
  #timer = 0;
  #watch = 0;

  /** `listener` has changed(channel, before), alarmed(channel), heard(channel, track), ended(channel, why) and link(). */
  constructor(listener) {
    this.listener = listener;
    addEventListener("online", () => !this.isUp && this.channels.size > 0 && this.#connect());
    addEventListener("pagehide", () => this.#close());
    // Back from the browser's cache of pages: as after a break.
    addEventListener("pageshow", ({ persisted }) => persisted && this.channels.size > 0 && this.#connect());
  }

  /** Who the dispatcher is from now on: all groups are left. */
  become(uid, display) {
    for (const gid of [...this.channels.keys()]) this.leave(gid);
    this.uid = uid;
    this.#display = display;
  }

  monitor(gid) {
    if (this.channels.has(gid)) return this.channels.get(gid);
    const channel = new Channel(this, gid);
    this.channels.set(gid, channel);
    if (this.isUp) channel.join(this.#janus);
    else if (this.channels.size === 1) this.#connect();
    return channel;
  }

  leave(gid) {
    this.channels.get(gid)?.leave();
    this.channels.delete(gid);
    if (this.channels.size === 0) this.#close();
  }

  // MARK: what channels ask and tell

  joining(gid) {
    // Muted: an open group does not hear us before the button is down either.
    return { request: "join", room: gid, id: this.uid, display: this.#display, floor: true, events: "floor", muted: true };
  }

  /** A channel that failed tries again, unless it has been left or waits for a session. */
  join(channel) {
    if (this.isUp && this.channels.get(channel.gid) === channel) channel.join(this.#janus);
  }

  /** An emergency is to be told: the pause before the next attempt is over. */
  hurry(channel) {
    if (!this.isUp && this.problem) this.#connect();
    else if (channel.state === "waiting") this.join(channel);
  }

  changed(channel, before) {
    if (this.channels.get(channel.gid) === channel) this.listener.changed(channel, before);
  }

  alarmed(channel) {
    this.listener.alarmed(channel);
  }

  heard(channel, track) {
    this.listener.heard(channel, track);
  }

  ended(channel, why) {
    this.leave(channel.gid);
    this.listener.ended(channel, why);
  }

  // MARK: the session

  async #connect() {
    clearTimeout(this.#timer);
    this.#attempt += 1;
    const attempt = this.#attempt;
    const isMine = () => attempt === this.#attempt;
    const lost = (problem) => isMine() && this.#lost(problem);
    this.listener.link();
    try {
      const [{ janus: server }] = await Promise.all([call("GET", "/v1/console"), library()]);
      if (!isMine()) return;
      this.#timer = setTimeout(() => lost("noAnswer"), patienceMs);
      const janus = new Janus({
        server, iceServers: [], destroyOnUnload: false, error: () => lost("noAnswer"),
        success: () => (isMine() ? this.#opened(janus, lost) : janus.destroy({ notifyDestroyed: false })),
      });
    } catch (error) {
      // What fetch throws where nobody answers is of no use to people.
      lost(error instanceof TypeError ? "noAnswer" : error.message);
    }
  }

  #opened(janus, lost) {
    clearTimeout(this.#timer);
    this.#janus = janus;
    this.isUp = true;
    this.problem = "";
    this.#pauseMs = firstMs;
    // A connection may die without a word: who does not answer is not there.
    let isAnswered = true;
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      if (!isAnswered) return lost("noAnswer");
      isAnswered = false;
      janus.getInfo({
        success: () => {
          isAnswered = true;
        },
      });
    }, patienceMs);
    for (const channel of this.channels.values()) channel.join(janus);
    this.listener.link();
  }

  #lost(problem) {
    this.problem = problem;
    this.#end()?.destroy({ unload: true, notifyDestroyed: false });
    for (const channel of this.channels.values()) channel.lost();
    const isUrgent = [...this.channels.values()].some((one) => one.alarm === "due");
    this.#timer = setTimeout(() => this.#connect(), (isUrgent ? firstMs : this.#pauseMs) * (0.8 + Math.random() * 0.4));
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestMs);
    this.listener.link();
  }

  #end() {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#attempt += 1;
    this.isUp = false;
    const janus = this.#janus;
    this.#janus = null;
    return janus;
  }

  /** Says goodbye, so that nobody is kept a place for. */
  #close() {
    this.#end()?.destroy({ cleanupHandles: true, notifyDestroyed: false });
    this.problem = "";
    this.listener.link();
  }
}
