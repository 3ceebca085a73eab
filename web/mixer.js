// What is heard: every monitored group on a strip of its own, replayed talks beside them, all into one output.
export const context = new AudioContext({ latencyHint: "interactive" });

const strips = new Map();
/** How much is left of a strip while something else is more important. */
const beside = { priority: 0.15, talking: 0.2, replay: 0.25 };
const now = { isTalking: false, isReplaying: false };

/** A track of silence: what a connection is made with before there is a microphone. */
export const silence = context.createMediaStreamDestination().stream.getAudioTracks()[0];

function gain(value, target) {
  const node = context.createGain();
  node.gain.value = value;
  node.connect(target);
  return node;
}

export function analyser() {
  const node = context.createAnalyser();
  node.fftSize = 1024;
  return node;
}

const buffer = new Float32Array(1024);
/** The level at an analyser: 0 at −60 dB and below, 1 at full scale. */
export function level(node) {
  node.getFloatTimeDomainData(buffer);
  let sum = 0;
  for (const value of buffer) sum += value * value;
  const decibels = 10 * Math.log10(sum / buffer.length + 1e-12);
  return Math.min(1, Math.max(0, 1 + decibels / 60));
}

/** A group's strip, made when it is asked for. */
export function strip(gid) {
  if (!strips.has(gid)) {
    const volume = gain(1, context.destination);
    const duck = gain(1, volume);
    const meter = analyser();
    meter.connect(duck);
    strips.set(gid, { volume, duck, meter, source: null, player: null, isPriority: false, isTalking: false });
  }
  return strips.get(gid);
}

/** Puts a group's stream on its strip, in place of the one before. */
export function feed(gid, track) {
  const one = strip(gid);
  one.source?.disconnect();
  const stream = new MediaStream([track]);
  // Chromium decodes a stream only where an element plays it, be it without sound.
  one.player = new Audio();
  one.player.muted = true;
  one.player.srcObject = stream;
  one.player.play().catch(() => {});
  one.source = context.createMediaStreamSource(stream);
  one.source.connect(one.meter);
}

export function drop(gid) {
  const one = strips.get(gid);
  if (!one) return;
  one.source?.disconnect();
  one.volume.disconnect();
  if (one.player) one.player.srcObject = null;
  strips.delete(gid);
  balance();
}

export function setVolume(gid, value) {
  strip(gid).volume.gain.setTargetAtTime(value, context.currentTime, 0.02);
}

export function set(gid, change) {
  Object.assign(strip(gid), change);
  balance();
}

/** Whether the dispatcher talks or a talk is replayed: all groups step back. */
export function setBusy(change) {
  Object.assign(now, change);
  balance();
}

function balance() {
  const isPriorityOn = [...strips.values()].some((one) => one.isPriority && one.isTalking);
  for (const one of strips.values()) {
    const factors = [1];
    if (now.isTalking) factors.push(beside.talking);
    if (now.isReplaying) factors.push(beside.replay);
    if (isPriorityOn && !one.isPriority) factors.push(beside.priority);
    one.ducking = Math.min(...factors);
    one.duck.gain.setTargetAtTime(one.ducking, context.currentTime, 0.03);
  }
}

export const isTalking = () => now.isTalking;

/** How much of a strip is let through: 1 where nothing ducks it. */
export const ducking = (gid) => strips.get(gid)?.ducking ?? 1;

/** Browsers let nothing sound before the first press; `onChange` tells when that is over. */
export function wake(onChange) {
  const resume = () => {
    if (context.state !== "running") context.resume();
  };
  for (const name of ["pointerdown", "keydown"]) addEventListener(name, resume, { capture: true });
  context.onstatechange = onChange;
  resume();
}
