// What the floor says by sound: short, each of its own shape, so that nobody has to look.
import { context } from "./mixer.js";

// Each note: frequency Hz, start and length in s. The shape is what tells: up is yes, twice the same is no, down is cut off.
const tones = {
  granted: [[740, 0, 0.05], [1110, 0.055, 0.07]],
  busy: [[350, 0, 0.14], [350, 0.2, 0.14]],
  queued: [[620, 0, 0.07], [620, 0.11, 0.07], [620, 0.22, 0.07]],
  cut: [[880, 0, 0.08], [587, 0.09, 0.09], [392, 0.19, 0.16]],
  over: [[520, 0, 0.04]],
  soon: [[880, 0, 0.05]],
  trouble: [[220, 0, 0.3]],
  alarm: [[960, 0, 0.16], [770, 0.18, 0.16], [960, 0.36, 0.16], [770, 0.54, 0.16]],
};

/** Plays one; it is under way when this returns. */
export function tone(name) {
  for (const [frequency, start, length] of tones[name]) {
    const from = context.currentTime + start;
    const oscillator = context.createOscillator();
    const envelope = context.createGain();
    oscillator.type = name === "busy" || name === "trouble" ? "square" : "sine";
    oscillator.frequency.value = frequency;
    const loud = oscillator.type === "square" ? 0.06 : 0.16;
    envelope.gain.setValueAtTime(0, from);
    envelope.gain.linearRampToValueAtTime(loud, from + 0.004);
    envelope.gain.setValueAtTime(loud, from + length - 0.008);
    envelope.gain.linearRampToValueAtTime(0, from + length);
    oscillator.connect(envelope).connect(context.destination);
    oscillator.start(from);
    oscillator.stop(from + length);
  }
}
