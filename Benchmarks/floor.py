"""The floor: request → granted over the WebSocket beside a bare WebSocket echo, and the first packet after the grant."""
import json, random, struct, subprocess, threading, time

from kit import Janus, Receivers, Talker, WebSocket, end, going_first, listener, percentile, program, row, start_first, udp

ROOM, FIRST = 99_000, 98_000
REQUESTS, UNDER_LOAD = 1_000, 400


class Echo:
    """ws_echo.c, and one who asks it."""

    def __init__(self):
        self.child = start_first(program("ws_echo", "websockets", "pthread"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.client = WebSocket(f"ws://127.0.0.1:{int(self.child.stdout.readline())}")
        # As long as a request, with an answer of the same length.
        self.text = json.dumps({"janus": "message", "handle_id": 2**52, "body": {"request": "floor", "action": "request"},
                                "transaction": "1000", "session_id": 2**52})

    def ask(self):
        self.client.send(self.text)
        self.client.receive()

    def close(self):
        self.client.close()
        end(self.child)


def latencies(talker, echo, requests):
    """One pair: p50 and p99 of both, in turn, ms."""
    ours, bare = [], []
    for _ in range(requests):
        # A press comes when it comes. One right after the other they would miss the moments in which packets go to thousands, for who waits asks
        # nothing then.
        time.sleep(random.uniform(0.002, 0.008))
        # What the client does with JSON is no part of the way.
        request = talker.prepared("request")
        begin = time.perf_counter()
        talker.janus.send(request)
        while '"state":"granted"' not in talker.janus.receive():
            pass
        ours.append((time.perf_counter() - begin) * 1000)
        talker.release()
        begin = time.perf_counter()
        echo.ask()
        bare.append((time.perf_counter() - begin) * 1000)
    return percentile(ours, 0.5), percentile(ours, 0.99), percentile(bare, 0.5), percentile(bare, 0.99)


def pairs(place, options, requests):
    talker, echo = Talker(place.janus, ROOM, 1), Echo()
    try:
        with going_first():
            return [latencies(talker, echo, requests) for _ in range(options.pairs)]
    finally:
        talker.close()
        echo.close()


def table_rows(found, name):
    made = []
    for what, a, b in (("p50", 0, 2), ("p99", 1, 3)):
        ours, echo = [p[a] for p in found], [p[b] for p in found]
        made.append(row(f"floor request → granted over the WebSocket, {what}, ms{name}", ours, echo, [o / (1.5 * e + 0.4) for o, e in zip(ours, echo)],
                        "≤ 1 of (1.5 × echo + 0.4)", least=True, beside="bare WebSocket echo"))
    return made


def rows(place, options):
    place.create(ROOM)
    yield from table_rows(pairs(place, options, REQUESTS), "")
    yield first_packets(place, options)


def rows_under_load(place, options, crowd, rate, name):
    """The same while a talker is heard by all of the crowd; the echo has the same neighbours."""
    place.create(ROOM)
    stop = threading.Event()

    def load():
        while not stop.is_set():
            crowd.janus.keep()
            crowd.talker.talk(rate, rate)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield from table_rows(pairs(place, options, UNDER_LOAD), f", while {crowd.count:,} listen to {rate} packets/s, {name}")
    finally:
        stop.set()
        thread.join()


def packet(marker, number, index):
    """RTP as talker.c makes it; only a talk's first packet has a time that counts."""
    head = struct.pack("!BBHII", 0x80, 100 | (0x80 if marker else 0), number & 0xFFFF, number * 960 & 0xFFFFFFFF, 77)
    return head + b"\x48" + struct.pack("=qIB", time.monotonic_ns(), index, 1 if marker else 0) + b"\x55" * 46


def first_packets(place, options, talks=300):
    """From the sending of a talk's first packet, right after Granted, until the last of ten listeners has it; a relay has its own ten."""
    place.create(FIRST)
    receivers, others = Receivers(10, first=True), Receivers(10, first=True)
    janus, talker, one = Janus(place.janus), Talker(place.janus, FIRST, 1), udp()
    relay = start_first(program("bare_sendmmsg"), "relay", talks * options.pairs, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    relay.stdin.write("\n".join(map(str, others.ports)))
    relay.stdin.close()
    port = int(relay.stdout.readline())
    try:
        handles = janus.attach(10)
        janus.bodies([(h, listener(FIRST, 10 + i, p)) for i, (h, p) in enumerate(zip(handles, receivers.ports))])
        found, lost, number = [], 0, 0
        for _ in range(options.pairs):
            receivers.reset()
            others.reset()
            for index in range(talks):
                if index % 100 == 0:
                    janus.keep()
                talker.request()
                for marker in (True, False):
                    number += 1
                    talker.socket.sendto(packet(marker, number, index), ("127.0.0.1", talker.port))
                    # No faster than a radio: 120 packets a second is what one participant may send.
                    time.sleep(0.02)
                talker.release()
                one.sendto(packet(True, number, index), ("127.0.0.1", port))
            heard, bare = receivers.report(), others.report()
            lost += 20 * talks - heard["received"]
            found.append((heard["p99"], bare["p99"], heard["p50"], bare["p50"]))
        why = f", dropped: {place.drops()}" if lost else ""
        ours, bare, p50, bare_p50 = [[f[i] for f in found] for i in range(4)]
        made = row(f"first packet after Granted → last of 10 listeners, p99, ms ({options.pairs} × {talks} talks, {lost} packets lost{why})", ours, bare,
                   ours, "≤ 1 ms, none lost", "{:.3f}", least=True, beside=f"bare relay; p50 {percentile(p50, 0.5):.3f} and {percentile(bare_p50, 0.5):.3f}")
        return made if lost == 0 else made[:-1] + ["**no**"]
    finally:
        for each in (janus, talker, receivers, others, one):
            each.close()
        end(relay)
