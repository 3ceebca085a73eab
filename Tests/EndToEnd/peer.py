"""A WebRTC client of a third party (aiortc) at door A: it joins with an offer, talks from a file, and keeps what it hears."""
import asyncio, fractions, threading, time

import av
import numpy
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from harness import Janus


class Speech(MediaStreamTrack):
    """Silence, and while `talk` runs the samples that were given, at 48 kHz mono."""
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.samples, self.position, self.start, self.count = None, 0, None, 0

    def say(self, samples):
        self.samples, self.position = samples, 0

    @property
    def is_done(self):
        return self.samples is None or self.position >= len(self.samples)

    async def recv(self):
        if self.start is None:
            self.start = time.monotonic()
        pause = self.start + self.count * 0.02 - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        data = numpy.zeros(960, dtype=numpy.int16)
        if not self.is_done:
            part = self.samples[self.position:self.position + 960]
            data[:len(part)] = part
            self.position += 960
        frame = av.AudioFrame.from_ndarray(data.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self.count * 960, fractions.Fraction(1, 48_000)
        self.count += 1
        return frame


class Connection:
    """A peer connection that is not joined anywhere; its asyncio loop is a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.heard, self.track = [], Speech()
    def run(self, coroutine, seconds=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    async def offer(self):
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.addTrack(self.track)

        @self.pc.on("track")
        def on_track(track):
            asyncio.ensure_future(self.listen(track))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return {"type": self.pc.localDescription.type, "sdp": self.pc.localDescription.sdp}

    async def listen(self, track):
        while True:
            try:
                frame = await track.recv()
            except Exception:
                return
            data = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0] if frame.format.is_packed else frame.to_ndarray()[0]
            self.heard.append((time.monotonic(), data.astype(numpy.int16)))

    def hang_up(self):
        self.run(self.pc.close())
        self.loop.call_soon_threadsafe(self.loop.stop)


class Peer(Connection):
    """One browser-like participant.

    `change` may change the text of its offer. All its datagrams go by way of a `through`, where one is given."""

    def __init__(self, stack, room, uid, offer_in="join", change=lambda sdp: sdp, through=None, **more):
        super().__init__()
        self.through, self.relay = through, None
        self.janus = Janus(stack.address["media"]["janus"])
        self.handle, self.room, self.uid = self.janus.attach(), room, uid
        body = {"request": "join", "room": room, "id": uid, "display": f"peer {uid}", "floor": True, **more}
        offer = self.run(self.offer())
        offer["sdp"] = change(offer["sdp"])
        if offer_in == "join":
            self.joined = self.ask(body, offer)
        else:
            self.joined = self.janus.message(self.handle, body)
            self.configured = self.ask({"request": "configure", "muted": False}, offer)

    def ask(self, body, jsep):
        answer = self.janus.ask({"janus": "message", "handle_id": self.handle, "body": body, "jsep": jsep}, True)
        assert "jsep" in answer, answer
        self.answer = answer["jsep"]
        sdp = self.answer["sdp"]
        if self.through:
            self.relay = self.relay or self.through(sdp)
            sdp = self.relay.answer(sdp)
        self.run(self.pc.setRemoteDescription(RTCSessionDescription(sdp, self.answer["type"])))
        return answer["plugindata"]["data"]

    def wait_up(self, seconds=15):
        end = time.monotonic() + seconds
        while self.pc.connectionState != "connected" or not any(e["janus"] == "webrtcup" for e in self.janus.events):
            assert time.monotonic() < end, f"not up: {self.pc.connectionState}, ICE {self.pc.iceConnectionState}"
            time.sleep(0.02)

    def floor(self, action):
        return self.janus.message(self.handle, {"request": "floor", "action": action})

    def say(self, samples):
        """Talks in real time until all is said."""
        self.track.say(samples)
        while not self.track.is_done:
            time.sleep(0.01)
        time.sleep(0.1)

    def sound(self, since=0.0):
        """What was heard since a time, 48 kHz mono."""
        parts = [data for at, data in self.heard if at >= since]
        return numpy.concatenate(parts) if parts else numpy.zeros(0, dtype=numpy.int16)

    def close(self):
        self.hang_up()
        self.janus.close()
        if self.relay:
            self.relay.close()


def tone(seconds, frequency=440, level=9000):
    at = numpy.arange(int(seconds * 48_000)) / 48_000
    return (level * numpy.sin(2 * numpy.pi * frequency * at)).astype(numpy.int16)


def loud(samples, threshold=1000):
    """How many seconds of it are loud, by blocks of 20 ms."""
    blocks = samples[:len(samples) // 960 * 960].reshape(-1, 960).astype(float)
    return float((numpy.sqrt((blocks ** 2).mean(axis=1)) > threshold).sum()) * 0.02


def peak(samples):
    """The loudest frequency, Hz."""
    spectrum = numpy.abs(numpy.fft.rfft(samples.astype(float)))
    return float(numpy.argmax(spectrum) * 48_000 / len(samples))


def level(samples, frequency):
    """How strong a tone is in what was heard: its amplitude, whatever else there is."""
    at = numpy.arange(len(samples)) / 48_000
    return 2 * abs(numpy.dot(samples, numpy.exp(-2j * numpy.pi * frequency * at))) / max(1, len(samples))
