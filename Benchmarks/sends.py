"""Sends only: the same fan-out into a device that nobody reads, so that the machine's time goes into sending alone; beside loops that do nothing else."""
import base64, os, pathlib, subprocess, time

from kit import HERE, Janus, Talker, cpu, listener, memory, program, row

DEVICE, ROOM = "tbsends", 96_000
NETWORK = "198.18.0.0/15"  # RFC 2544's, for benchmarks
ENVIRONMENT = {"TALKBURST_MEDIA_WORKERS": "1", "TALKBURST_MEDIA_HOST": "0.0.0.0", "TALKBURST_MEDIA_INSECURE": "true",
               "TALKBURST_MEDIA_ANNOUNCED_IP": "127.0.0.1", "TALKBURST_MEDIA_TRUSTED_NETWORKS": f'["127.0.0.0/8", "{NETWORK}"]'}


class Device:
    """A tun device whose other end nobody holds: the kernel drops, and counts, what is sent there."""

    def __init__(self):
        self.remove()
        for words in (f"tuntap add dev {DEVICE} mode tun", f"addr add 198.18.0.1/15 dev {DEVICE}", f"link set {DEVICE} up"):
            done = subprocess.run(["ip", *words.split()], capture_output=True, text=True)
            assert done.returncode == 0, f"ip {words}: {done.stderr.strip()} (this needs iproute2, /dev/net/tun and the right to use it)"

    @property
    def sent(self):
        return int(pathlib.Path(f"/sys/class/net/{DEVICE}/statistics/tx_dropped").read_text())

    def remove(self):
        subprocess.run(["ip", "link", "del", DEVICE], capture_output=True)


def addresses(count):
    return [f"198.18.{1 + i // 250}.{1 + i % 250}" for i in range(count)]


def crowd(place, room, count, secure):
    """Gives who signals for them, who talks, and what each of the last four fifths took, in octets."""
    place.create(room, t1_ms=60_000, t2_ms=3_600_000)
    janus, talker = Janus(place.janus), Talker(place.janus, room, 1)
    bodies = []
    for index, (handle, address) in enumerate(zip(janus.attach(count), addresses(count))):
        body = listener(room, 1_000 + index, 5_000)
        body["rtp"]["ip"] = address
        if secure:
            body["rtp"]["srtp"] = {"suite": "AEAD_AES_128_GCM", "crypto": "inline:" + base64.b64encode(os.urandom(28)).decode()}
        bodies.append((handle, body))
    # The first of them bring what all share.
    first = count // 5
    answers = janus.bodies(bodies[:first])
    time.sleep(0.5)
    before = memory(place.pid)
    answers += janus.bodies(bodies[first:])
    time.sleep(0.5)
    grown = (memory(place.pid) - before) / (count - first)
    wrong = [a for a in answers if a.get("audiobridge") != "joined"]
    assert not wrong, wrong[0]
    talker.request()
    return janus, talker, grown


def measure(place, device, talker, janus, loop, count, options):
    """Pairs of packets per CPU-second: ours, ours less the idle share, the loop."""
    packets, pairs, where = 50 * options.seconds, [], "\n".join(f"{a}:5000" for a in addresses(count))
    for _ in range(options.pairs):
        janus.keep()
        before, sent, start = cpu(place.pid), device.sent, time.monotonic()
        talker.talk(packets)
        time.sleep(0.1)
        used, sent, took = cpu(place.pid) - before, device.sent - sent, time.monotonic() - start
        assert sent >= packets * count, f"{sent} of {packets * count} packets were sent"
        before, start = cpu(place.pid), time.monotonic()
        done = subprocess.run([loop, *(["loop"] if "bare" in loop.name else []), str(packets), "50"], input=where, check=True, capture_output=True, text=True)
        idle = (cpu(place.pid) - before) / (time.monotonic() - start) * took
        bare = done.stdout.split()
        pairs.append((sent / used, sent / max(1e-6, used - idle), int(bare[0]) / float(bare[1])))
    return pairs


def rows(place, options, count=1_000):
    device = Device()
    try:
        for secure, name, loop in ((0, "plain", program("bare_sendmmsg")), (1, "SRTP GCM", program("srtp_loop", "IPSec_MB", folder=HERE / "peers"))):
            janus, talker, grown = crowd(place, ROOM + secure, count, secure)
            try:
                ours, without, bare = zip(*measure(place, device, talker, janus, loop, count, options))
            finally:
                talker.close()
                janus.close()
            for what, values in ((f"sends only, {count:,} {name} listeners, 50 packets/s, 1 worker: packets per CPU-second of the whole process", ours),
                                 ("… less what it uses idle", without)):
                yield row(what, values, bare, [a / b for a, b in zip(values, bare)], "≥ 0.8", "{:,.0f}", beside="bare loop")
            if secure:
                kib = grown / 1024
                yield row(f"memory per SRTP GCM listener, {count // 5:,} → {count:,} on one WebSocket, KiB", [kib], [4], [kib], "≤ 4", least=True, beside="limit")
    finally:
        device.remove()
