// One microphone for all groups. What is sent is a copy of it that is switched on only while the floor is ours; the meter shows the other.
import { analyser, context } from "./mixer.js";

export const microphone = {
  /** none, asking, on, or why not: denied, missing, insecure, failed */
  state: "none",
  /** What goes out. */
  track: null,
  meter: analyser(),
  devices: [],
  device: localStorage.getItem("microphone") ?? "",
};
let source = null;
let opening = null;
let onChange = () => {};

const reasons = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing", OverconstrainedError: "missing" };

function close() {
  source?.disconnect();
  for (const track of source?.mediaStream.getTracks() ?? []) track.stop();
  microphone.track?.stop();
  source = null;
  microphone.track = null;
}

async function open() {
  microphone.state = "asking";
  onChange();
  try {
    if (!navigator.mediaDevices) throw { name: "Insecure" };
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1,
        deviceId: microphone.device ? { ideal: microphone.device } : undefined,
      },
    });
    close();
    const [track] = stream.getAudioTracks();
    microphone.track = track.clone();
    microphone.track.enabled = false;
    source = context.createMediaStreamSource(stream);
    source.connect(microphone.meter);
    // Somebody pulled the plug.
    track.onended = () => {
      close();
      microphone.state = "missing";
      onChange();
    };
    microphone.state = "on";
    microphone.devices = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "audioinput");
  } catch (error) {
    microphone.state = error.name === "Insecure" ? "insecure" : reasons[error.name] ?? "failed";
  }
  onChange();
  return microphone.state === "on";
}

/** Opens it where it is not open yet; asks the user the first time. Gives whether it is there. */
export function openMicrophone() {
  if (microphone.state === "on") return Promise.resolve(true);
  opening ??= open().finally(() => {
    opening = null;
  });
  return opening;
}

export function chooseMicrophone(id) {
  microphone.device = id;
  localStorage.setItem("microphone", id);
  return open();
}

/** Tells of every change; a microphone that is plugged in is taken. */
export function watchMicrophone(listener) {
  onChange = listener;
  navigator.mediaDevices?.addEventListener("devicechange", () => {
    if (microphone.state === "missing") openMicrophone();
  });
}
