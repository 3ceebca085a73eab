"""Recording: CPU per second of sound, of the threads that do it (`spool` takes the packets and writes captures, `encoder` makes the MP3), beside
libopus and LAME alone with the same packets and settings. The media worker's hand-over (a copy into a ring) is not counted; it is in the fan-out."""
import struct, subprocess, time

from harness import opus
from kit import Janus, WORK, cpu_by_thread, program, row, udp, wait_for

ROOM, TALKS, SECONDS = 97_000, 20, 10
THREADS = ("spool", "encoder")


def used(pid):
    found = cpu_by_thread(pid)
    return {name: found.get(name, 0) for name in THREADS}


class Radios:
    """As many rooms, each with one talker, on one WebSocket."""

    def __init__(self, place):
        self.janus, self.sockets = Janus(place.janus), [udp() for _ in range(TALKS)]
        self.handles = self.janus.attach(TALKS)
        joined = self.janus.bodies([(handle, {
            "request": "join", "room": ROOM + i, "id": 1, "floor": True, "rtp": {"ip": "127.0.0.1", "port": one.getsockname()[1]},
        }) for i, (handle, one) in enumerate(zip(self.handles, self.sockets))])
        self.ports, self.number = [each["rtp"]["port"] for each in joined], 0

    def talk(self, packets):
        for handle in self.handles:
            self.janus.floor(handle, "request", "granted")
        begin = time.monotonic()
        for index, payload in enumerate(packets):
            self.number += 1
            head = struct.pack("!BBHII", 0x80, 100, self.number & 0xFFFF, self.number * 960 & 0xFFFFFFFF, 77)
            for one, port in zip(self.sockets, self.ports):
                one.sendto(head + payload, ("127.0.0.1", port))
            time.sleep(max(0, begin + (index + 1) * 0.02 - time.monotonic()))
        for handle in self.handles:
            self.janus.floor(handle, "release", "idle")

    def close(self):
        self.janus.close()
        for one in self.sockets:
            one.close()


def rows(place, options):
    place.create(ROOM, TALKS, t2_ms=60_000)
    packets = opus(SECONDS, WORK)
    file = WORK / "packets"
    file.write_bytes(b"".join(struct.pack("<H", len(p)) + p for p in packets))
    radios, pairs, spool = Radios(place), [], place.folder / "stack/spool"

    def files():
        return sum(1 for _ in spool.glob("*.mp3"))
    try:
        for _ in range(options.pairs):
            before, there = used(place.pid), files()
            radios.talk(packets)
            wait_for(lambda: files() == there + TALKS, 60, "the recordings")
            settled(place.pid)
            after = used(place.pid)
            sound = TALKS * len(packets) / 50
            spent = {name: (after[name] - before[name]) / sound * 1000 for name in THREADS}
            done = subprocess.run([program("codec_alone", "opus", "mp3lame"), file, str(TALKS)], check=True, capture_output=True, text=True)
            seconds, alone = map(float, done.stdout.split())
            pairs.append((sum(spent.values()), spent["encoder"], alone / seconds * 1000))
    finally:
        radios.close()
    both, encoder, alone = zip(*pairs)
    what = f"ms of CPU per recorded second ({TALKS} talks of {len(packets) / 50:.0f} s of speech at once)"
    yield row(f"recording, threads spool and encoder, {what}", both, alone, [a / b for a, b in zip(both, alone)], "≤ 1.25", least=True,
              beside="libopus and LAME alone")
    yield row("… the thread encoder alone", encoder, alone, [a / b for a, b in zip(encoder, alone)], "≤ 1.25", least=True, beside="the same")


def settled(pid):
    """Until the threads have been still for half a second: the last file is renamed before its record is written."""
    last, since = used(pid), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.1)
        now = used(pid)
        if sum(now.values()) - sum(last.values()) > 0.002:
            last, since = now, time.monotonic()
