// One monitored group: a handle of the AudioBridge with its connection, and what the floor says to it.
import { microphone } from "./microphone.js";
import { silence } from "./mixer.js";

const plugin = "janus.plugin.audiobridge";
const longestMs = 10_000;

export class Channel {
  /** waiting, joining, on */
  state = "waiting";
  /** Why it is not on. */
  problem = "";
  /** Who has the floor, but for us: {uid, display, isEmergency}; nobody in an open group, where there is none. */
  talker = null;
  /** Our own place on the floor: none, asking, granted, queued, denied, revoked. */
  mine = "none";
  cause = null;
  position = null;
  retryMs = null;
  untilMs = null;
  isEmergency = false;
  isHeld = false;
  queues = true;
  /** Who is heard, but for us. */
  #heard = new Map();
  #voice;
  #handle = null;
  #attempt = 0;
  #pauseMs = 1000;
  #timer = 0;
  #settle = 0;

  /** `voice` tells who joins and hears of what happens. */
  constructor(voice, gid) {
    this.#voice = voice;
    this.gid = gid;
  }

  /** Who talks, but for us: one, or in an open group perhaps several. */
  get talkers() {
    return this.talker ? [this.talker] : [...this.#heard.values()];
  }

  // MARK: joining

  /** Joins by a session of janus.js; what belongs to an earlier attempt is ignored from now on. */
  join(janus) {
    const attempt = this.#begin("joining");
    const isMine = () => attempt === this.#attempt;
    const failed = (reason) => isMine() && this.#failed(String(reason?.message ?? reason));
    this.#timer = setTimeout(() => failed({ message: "noMedia" }), longestMs);
    janus.attach({
      plugin,
      success: (handle) => {
        if (!isMine()) return handle.detach();
        this.#handle = handle;
        handle.createOffer({
          tracks: [{ type: "audio", capture: silence, recv: true, dontStop: true }],
          success: (jsep) => {
            if (!isMine()) return;
            // Nothing is sent before the floor is ours; what is spoken then takes this place.
            this.#sender?.replaceTrack(null);
            handle.send({ message: this.#voice.joining(this.gid), jsep, error: failed });
          },
          error: failed,
        });
      },
      error: failed,
      onmessage: (data, jsep) => isMine() && this.#message(data, jsep, failed),
      onremotetrack: (track, _, isOn) => isMine() && isOn && this.#voice.heard(this, track),
      iceState: (state) => state === "failed" && failed("noMedia"),
      webrtcState: (isUp, reason) => {
        if (!isMine()) return;
        if (!isUp) return this.#failed(reason || "noMedia");
        clearTimeout(this.#timer);
        this.#pauseMs = 1000;
        this.state = "on";
        this.problem = "";
        this.#changed();
        if (this.isHeld) this.#ask("request");
      },
    });
  }

  /** The session is gone, and all that hung on it. */
  lost() {
    this.#begin("waiting");
    this.#forget("lost");
  }

  /** Leaves for good. */
  leave() {
    this.#begin("waiting");
    clearTimeout(this.#settle);
  }

  #begin(state) {
    clearTimeout(this.#timer);
    this.state = state;
    const handle = this.#handle;
    this.#handle = null;
    this.#attempt += 1;
    handle?.detach({ noRequest: !this.#voice.isUp });
    return this.#attempt;
  }

  #failed(problem) {
    this.problem = problem;
    this.#begin("waiting");
    this.#timer = setTimeout(() => this.#voice.join(this), this.#pauseMs * (0.8 + Math.random() * 0.4));
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestMs);
    this.#forget("lost");
  }

  #forget(cause) {
    const wasOurs = this.mine === "granted" || this.mine === "asking" || this.mine === "queued";
    this.talker = null;
    this.#heard.clear();
    this.#mineIs(wasOurs ? "revoked" : "none", { cause });
  }

  // MARK: what the door says

  #message(data, jsep, failed) {
    if (jsep) this.#handle.handleRemoteJsep({ jsep, error: failed });
    if (data.audiobridge === "floor") return this.#floor(data);
    if (data.audiobridge === "destroyed" || data.kicked === this.#voice.uid) {
      return this.#voice.ended(this, data.kicked === undefined ? "destroyed" : "kicked");
    }
    if (data.audiobridge === "talking") return this.#hear({ uid: data.id, display: "" });
    if (data.audiobridge === "stopped-talking") return this.#heard.delete(data.id) && this.#changed();
    if (data.audiobridge === "joined") {
      for (const { id, display, talking } of data.participants) if (talking) this.#hear({ uid: id, display });
    }
    if (data.error_code === undefined) return;
    if (this.state === "on") this.#mineIs("denied", { cause: data.error });
    else failed(data.error);
  }

  #hear(talker) {
    if (talker.uid === this.#voice.uid) return;
    this.#heard.set(talker.uid, talker);
    this.#changed();
  }

  #floor({ state, holder, display, cause, position, duration, tier, override: isOverride, retry_after_ms: retryMs }) {
    if (state === "granted") {
      this.talker = null;
      this.isEmergency = tier === "emergency";
      // In an open group nobody's time is up.
      this.untilMs = duration === undefined ? null : Date.now() + duration * 1000;
      if (this.isHeld) this.#mineIs("granted");
      else this.#send("release");
    } else if (state === "taken" && holder === this.#voice.uid) {
      // From before a break: nobody holds the button any more.
      if (this.mine !== "granted") this.#send("release");
    } else if (state === "taken" || state === "idle") {
      this.talker = state === "taken" ? { uid: holder, display, isEmergency: tier === "emergency" } : null;
      // Taken away without a word: nothing was heard of us for too long.
      if (this.mine === "granted" && !isOverride) this.#mineIs("revoked", { cause: "silence" });
      else this.#changed();
    } else if (state === "revoked") {
      // Cause 3 answers packets that were on their way when the floor was gone already.
      if (this.mine === "granted" || this.mine === "asking") this.#mineIs("revoked", { cause });
    } else if (state === "queued") {
      this.#mineIs(position === null || !this.isHeld ? "none" : "queued", { position });
    } else if (state === "denied") {
      this.#mineIs("denied", { cause, retryMs });
    }
  }

  #mineIs(mine, { cause = null, position = null, retryMs = null } = {}) {
    clearTimeout(this.#settle);
    const before = this.mine;
    Object.assign(this, { mine, cause, position, retryMs });
    if ((mine === "granted") !== (before === "granted")) this.#open(mine === "granted");
    this.#changed(before);
    if (!this.isHeld && (mine === "denied" || mine === "revoked")) this.#settleSoon();
  }

  #changed(before = this.mine) {
    this.#voice.changed(this, before);
  }

  // MARK: talking

  // The RTCPeerConnection, where there is one.
  get connection() {
    return this.#handle?.webrtcStuff?.pc;
  }

  get #sender() {
    return this.connection?.getSenders()[0];
  }

  #open(isOpen) {
    if (microphone.track) microphone.track.enabled = isOpen;
    this.#sender?.replaceTrack(isOpen ? microphone.track : null).catch(() => {});
  }

  #send(action) {
    this.#handle?.send({ message: { request: "floor", action, queue: this.queues }, error: (reason) => this.#mineIs("denied", { cause: reason }) });
  }

  #ask(action) {
    this.#mineIs("asking");
    this.#settle = setTimeout(() => this.#mineIs("denied", { cause: "noAnswer" }), 2000);
    this.#send(action);
  }

  /** The button is down; `action` is request or emergency. Asks at once, or as soon as the group is joined. */
  press(action = "request") {
    this.isHeld = true;
    // Pressed again before the last syllable was over.
    if (this.mine === "granted" && action === "request") return clearTimeout(this.#settle);
    if (this.state === "on") this.#ask(action);
    else this.#changed();
  }

  /** The button is up. */
  release() {
    this.isHeld = false;
    if (this.mine === "granted") {
      // The microphone's last 60 ms are still on their way through the encoder.
      this.#settle = setTimeout(() => {
        this.#send("release");
        this.#mineIs("none");
      }, 60);
    } else if (this.mine === "denied" || this.mine === "revoked") {
      this.#settleSoon();
    } else {
      // Before it has joined there is nothing to give back.
      if (this.state === "on") this.#send("release");
      this.#mineIs("none");
    }
  }

  /** What went wrong stays to be read for a while. */
  #settleSoon() {
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#mineIs("none"), 1500);
  }
}
