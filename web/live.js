// Who is in a room and who talks, kept up to date by floor events: the last picture and what followed.

export class Room {
  participants = new Map();
  holder = null;
  sinceMs = null;
  tier = "normal";
  queue = [];
  emergencies = new Set();
  /** The last event taken: events count from 1 under each epoch. */
  epoch = -1;
  seq = 0;

  /**
   * Takes the answer of `GET /v1/groups/{gid}/live`.
   * @returns {boolean} false where an event has overtaken it: it has to be fetched anew.
   */
  load(live) {
    if (live.epoch === this.epoch && live.seq < this.seq) return false;
    [this.epoch, this.seq] = [live.epoch, live.seq];
    this.participants = new Map(live.participants.map((one) => [one.uid, one]));
    this.holder = live.holder;
    this.sinceMs = live.since_ms;
    this.tier = live.tier;
    this.queue = live.queue;
    this.emergencies = new Set(live.emergencies);
    return true;
  }

  /**
   * Takes a `floor_msg`; one that is older than the picture changes nothing.
   * @returns {boolean} false where events are missing before it: the picture has to be fetched anew.
   */
  apply(message) {
    const { state, uid, epoch, seq } = message;
    if (epoch < this.epoch || (epoch === this.epoch && seq <= this.seq)) return true;
    const isNext = state === "snapshot" || this.epoch < 0 || (epoch === this.epoch ? seq === this.seq + 1 : seq === 1);
    this.epoch = epoch;
    this.seq = seq;
    if (state === "snapshot") {
      this.participants = new Map(message.participants.map((one) => [one.uid, one]));
    }
    if (state === "joined") {
      this.participants.set(uid, { uid, role: message.role ?? 0, display: message.display ?? "", joined_ms: message.at_ms });
    }
    if (state === "left") this.participants.delete(uid);
    if (state === "role" && this.participants.has(uid)) this.participants.get(uid).role = message.role;
    if (state === "emergency") this.emergencies.add(uid);
    if (state === "cancelled") uid === undefined ? this.emergencies.clear() : this.emergencies.delete(uid);
    if (message.holder !== this.holder) this.sinceMs = message.at_ms;
    this.holder = message.holder;
    this.tier = message.tier;
    this.queue = message.queue;
    return isNext;
  }

  get isAlarmed() {
    return this.tier === "emergency" || this.emergencies.size > 0;
  }
}
