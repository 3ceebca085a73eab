// A page's client of door A by Debian's janus.js: joins a room, says what it was given, keeps what it hears. Called with (session's address,
// room, uid, WAV in base64, done); done("") once media is up, else with what went wrong.
const [server, room, uid, wav, done] = arguments;
const events = [], heard = [], ears = new Set();
let plugin, track, buffer;

const context = new AudioContext({ sampleRate: 48000 });
const out = context.createMediaStreamDestination();

function listen(remote) {
  // A track is told of each time that it is heard again.
  if (ears.has(remote.id)) return;
  ears.add(remote.id);
  const stream = new MediaStream([remote]);
  // Without an element that plays it, nothing is decoded.
  const element = new Audio();
  element.srcObject = stream;
  element.muted = true;
  element.play();
  const ear = context.createScriptProcessor(2048, 1, 1);
  ear.onaudioprocess = ({ inputBuffer }) => heard.push(Int16Array.from(inputBuffer.getChannelData(0), (one) => one * 32767));
  context.createMediaStreamSource(stream).connect(ear);
  ear.connect(context.destination);
}

function offer(iceRestart) {
  plugin.createOffer({
    iceRestart,
    tracks: iceRestart ? undefined : [{ type: "audio", capture: track, recv: true }],
    success: (jsep) => plugin.send({
      message: iceRestart ? { request: "configure" } : { request: "join", room, id: uid, display: "browser", floor: true },
      jsep,
    }),
    error: (error) => done(`offer: ${error.message ?? error}`),
  });
}

window.client = {
  events, heard, context,
  get connection() { return plugin.webrtcStuff.pc; },
  floor: (action) => plugin.send({ message: { request: "floor", action } }),
  restart: () => offer(true),
  // Media is sent while something is said only: who is not talking must not.
  say(finished) {
    const sender = plugin.webrtcStuff.pc.getSenders()[0], source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(out);
    source.onended = () => sender.replaceTrack(null).then(() => finished());
    sender.replaceTrack(track).then(() => source.start());
  },
  take() {
    const all = new Int16Array(heard.reduce((sum, one) => sum + one.length, 0));
    let place = 0;
    for (const one of heard.splice(0)) (all.set(one, place), (place += one.length));
    const bytes = new Uint8Array(all.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  },
};

async function begin() {
  await context.resume();
  buffer = await context.decodeAudioData(Uint8Array.from(atob(wav), (one) => one.charCodeAt(0)).buffer);
  track = out.stream.getAudioTracks()[0];
  const session = new Janus({
    server, iceServers: [],
    error: (error) => done(`session: ${error}`),
    success: () => session.attach({
      plugin: "janus.plugin.audiobridge",
      error: (error) => done(`attach: ${error}`),
      success(handle) {
        plugin = handle;
        offer(false);
      },
      onmessage(data, jsep) {
        events.push(data);
        if (jsep) plugin.handleRemoteJsep({ jsep });
        if (data.error) done(data.error);
      },
      onremotetrack: (remote, _, isOn) => isOn && listen(remote),
      webrtcState(isUp, reason) {
        if (!isUp) return done(reason);
        plugin.webrtcStuff.pc.getSenders()[0].replaceTrack(null).then(() => done(""));
      },
    }),
  });
}

const script = document.createElement("script");
script.src = "/lib/janus.js";
script.onload = () => {
  const adapter = { browserDetails: { browser: "other", version: 0 } };
  Janus.init({ debug: false, dependencies: Janus.useDefaultDependencies({ adapter }), callback: () => begin().catch((error) => done(`${error}`)) });
};
script.onerror = () => done("no janus.js");
document.head.append(script);
