// One monitored group: a handle of the AudioBridge with its connection, and what the floor says to it.
import { microphone } from "./microphone.js";
import { silence } from "./mixer.js";

const plugin = "janus.plugin.audiobridge";
const firstMs = 1000;
const longestMs = 10_000;
/** How long an answer of the floor may take. */
const patienceMs = 2000;

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
  /** What is asked for while it is held: request or emergency. */
  action = "request";
  /** Our emergency: none; due, until the floor has answered it, whatever breaks and whoever lets go meanwhile; then out or refused. */
  alarm = "none";
  queues = true;
  /** Who is heard, but for us. */
  #heard = new Map();
  #voice;
  #handle = null;
  #attempt = 0;
  #pauseMs = firstMs;
  #timer = 0;
  #settle = 0;
  #repeat = 0;

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
        this.#pauseMs = firstMs;
        this.state = "on";
        this.problem = "";
        this.#changed();
        if (this.isHeld) this.#ask();
        else if (this.alarm === "due") this.#raise();
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
    clearTimeout(this.#repeat);
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
    // An emergency waits for no long pause.
    const pauseMs = this.alarm === "due" ? firstMs : this.#pauseMs;
    this.#timer = setTimeout(() => this.#voice.join(this), pauseMs * (0.8 + Math.random() * 0.4));
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
    // An emergency was not understood rather than refused: another join may do.
    if (this.state !== "on" || this.alarm === "due") failed(data.error);
    else this.#mineIs("denied", { cause: data.error });
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
      if (this.isEmergency) this.#answered("out");
    } else if (state === "taken" && holder === this.#voice.uid) {
      // From before a break: where nobody holds the button any more, it is given back.
      if (this.mine !== "granted" && !this.isHeld) this.#send("release");
    } else if (state === "taken" || state === "idle") {
      this.talker = state === "taken" ? { uid: holder, display, isEmergency: tier === "emergency" } : null;
      // Taken away without a word: nothing was heard of us for too long.
      if (this.mine === "granted" && !isOverride) this.#mineIs("revoked", { cause: "silence" });
      else this.#changed();
    } else if (state === "revoked") {
      // Cause 3 answers packets that were on their way when the floor was gone already.
      if (this.mine === "granted" || this.mine === "asking") this.#mineIs("revoked", { cause });
    } else if (state === "queued") {
      // An emergency that was let go of before it could be told has no voice to wait for.
      if (this.alarm === "due" && !this.isHeld) this.#send("release");
      this.#mineIs(position === null || !this.isHeld ? "none" : "queued", { position });
      this.#answered("out");
    } else if (state === "denied") {
      this.#mineIs("denied", { cause, retryMs });
      this.#answered("refused");
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
    this.#handle?.send({
      message: { request: "floor", action, queue: this.queues },
      error: (reason) => (action === "emergency" ? this.#failed(String(reason)) : this.#mineIs("denied", { cause: reason })),
    });
  }

  #ask() {
    // Who talks already goes on while the emergency is told.
    if (this.mine !== "granted") this.#mineIs("asking");
    if (this.action === "emergency") return this.#raise();
    this.#settle = setTimeout(() => this.#mineIs("denied", { cause: "noAnswer" }), patienceMs);
    this.#send("request");
  }

  /** Tells of the emergency, again and again until the floor has answered. */
  #raise() {
    this.alarm = "due";
    clearTimeout(this.#repeat);
    this.#repeat = setTimeout(() => this.alarm === "due" && this.state === "on" && this.#raise(), patienceMs);
    this.#send("emergency");
  }

  #answered(alarm) {
    if (this.alarm !== "due") return;
    this.alarm = alarm;
    this.#voice.alarmed(this);
  }

  /** What is spoken goes out from now on: there is a microphone, or another one. */
  microphoneCame() {
    if (this.mine === "granted") this.#open(true);
  }

  /** The button is down; `action` is request or emergency. Asks at once, or as soon as the group is joined. */
  press(action = "request") {
    this.isHeld = true;
    if (action === "emergency") this.alarm = "due";
    // No ordinary press takes the place of an emergency that is still to be told.
    this.action = this.alarm === "due" ? "emergency" : action;
    // Pressed again before the last syllable was over.
    if (this.mine === "granted") clearTimeout(this.#settle);
    if (this.mine === "granted" && this.action === "request") return;
    if (this.state === "on") return this.#ask();
    if (this.alarm === "due") this.#voice.hurry(this);
    this.#changed();
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
