"""One talker to many listeners, plain RTP or SRTP with a key for each: packets per CPU-second beside sendmmsg alone, time until the last listener
has a packet beside a bare relay, memory per listener, and the floor while all this goes on; and what it is to a talk that thousands join."""
import base64, os, statistics, threading, time

from kit import HERE, Janus, Receivers, Talker, bare_loop, bare_relay, cpu, cpu_by_thread, listener, memory, program, row
import floor

ROOM, ASIDE = 100_000, 99_000


class Crowd:
    """Listeners of one room on one WebSocket; they only become more. Where they have SRTP, all but the first do."""

    def __init__(self, place, most, secure=False):
        place.create(ROOM, t1_ms=60_000, t2_ms=3_600_000)
        self.place, self.receivers, self.janus, self.count, self.secure = place, Receivers(most), Janus(place.janus), 0, secure
        if secure:
            self.receivers.ask("sealed")
        self.talker = Talker(place.janus, ROOM, 1)
        self.talker.request()

    def grow(self, count):
        """Gives what attaching and what joining took, in octets a listener."""
        if count == self.count:
            return 0, 0
        more, start = count - self.count, memory(self.place.pid)
        handles = self.janus.attach(more)
        attached = memory(self.place.pid)
        bodies = [listener(ROOM, 1_000 + i, self.receivers.ports[i]) for i in range(self.count, count)]
        for body in bodies[0 if self.count else 1:] if self.secure else []:
            body["rtp"]["srtp"] = {"suite": "AEAD_AES_128_GCM", "crypto": "inline:" + base64.b64encode(os.urandom(28)).decode()}
        # A few at a time: what is measured is what stays of each, not what many on their way take for a moment.
        answers = self.janus.bodies(list(zip(handles, bodies)), 4)
        wrong = [a for a in answers if a.get("audiobridge") != "joined"]
        assert not wrong, wrong[0]
        self.count = count
        time.sleep(0.5)
        return (attached - start) / more, (memory(self.place.pid) - attached) / more

    def ports(self):
        return self.receivers.ports[:self.count]

    def close(self):
        for one in (self.talker, self.janus, self.receivers):
            one.close()


def measure(crowd, options, rate):
    """Pairs of (ours, ours less the idle share, bare loop, our latency, the relay's), and what was lost."""
    pid, packets, pairs, lost, threads = crowd.place.pid, rate * options.seconds, [], 0, {}
    for _ in range(options.pairs):
        crowd.janus.keep()
        crowd.receivers.reset()
        start, before = time.monotonic(), cpu_by_thread(pid)
        crowd.talker.talk(packets, rate)
        heard = crowd.receivers.report()
        took, after = time.monotonic() - start, cpu_by_thread(pid)
        used = sum(after.values()) - sum(before.values())
        for name, value in after.items():
            threads[name] = threads.get(name, 0) + value - before.get(name, 0)
        lost += packets * crowd.count - heard["received"]
        # The floor is held on: while others send, this process does nothing else than usual.
        start, before = time.monotonic(), cpu(pid)
        loop = bare_loop(crowd.ports(), packets, rate, program("srtp_loop", "IPSec_MB", folder=HERE / "peers") if crowd.secure else None)
        idle = (cpu(pid) - before) / (time.monotonic() - start) * took
        relay = bare_relay(crowd.ports(), crowd.receivers, 0, packets, rate)
        pairs.append((heard["received"] / used, heard["received"] / max(1e-6, used - idle), loop, heard["p99"], relay["p99"], idle / took))
    return pairs, lost, threads


def rows(place, options, name):
    """All rows of one stack; `name` says how many workers it has."""
    crowd = Crowd(place, max(count for count, _ in options.listeners))
    try:
        for count, rate in options.listeners:
            was, (handle, join) = crowd.count, crowd.grow(count)
            pairs, lost, threads = measure(crowd, options, rate)
            yield from table_rows(f"{count:,} plain listeners, {rate} packets/s, {name}", pairs, 0.85 if count == 1000 else 0.75, lost)
            shares = ", ".join(f"{n} {v / sum(threads.values()):.0%}" for n, v in sorted(threads.items(), key=lambda t: -t[1])[:4])
            print(f"  threads: {shares}", flush=True)
            if was and count > was:
                kib = (handle + join) / 1024
                yield [f"memory per listener, {was:,} → {count:,} on one WebSocket, KiB, {name}", f"{kib:.2f}",
                       f"of it the handle (attach) {handle / 1024:.2f}, the join {join / 1024:.2f}", "", "", "≤ 2", "yes" if kib <= 2 else "**no**"]
            if count >= 4_000:
                yield from floor.rows_under_load(place, options, crowd, rate, name)
    finally:
        crowd.close()


def secure_rows(place, options, count=1_000, rate=50):
    """The same with SRTP; the relay beside it seals nothing."""
    crowd = Crowd(place, count, secure=True)
    try:
        crowd.grow(count)
        pairs, lost, _ = measure(crowd, options, rate)
        yield from table_rows(f"{count:,} SRTP GCM listeners, {rate} packets/s", pairs, 0.85, lost, "bare loop: GCM by ipsec-mb, sendmmsg")
    finally:
        crowd.close()


def joining_rows(place, options, there=100, more=4_000, seconds=8):
    """Somebody talks to some; meanwhile thousands join."""
    crowd, others = Crowd(place, there), Receivers(more)
    try:
        crowd.grow(there)
        pairs, lost, took = [], 0, []
        for pair in range(options.pairs):
            quiet, busy = [talk(crowd, seconds, work) for work in (None, lambda: took.append(join(place, others, pair)))]
            lost += busy["lost"]
            pairs.append((busy["p99"], quiet["p99"]))
        ours, alone = zip(*pairs)
        found = row(f"RTP in → last of {there} listeners while {more:,} others join, within {statistics.median(took):.1f} s, p99, ms ({lost:,} lost)",
                    ours, alone, [a / 20 for a in ours], "≤ 1 of a packet's 20 ms, none lost", least=True, beside="while nobody joins")
        yield found if lost == 0 else [*found[:-1], "**no**"]
    finally:
        crowd.close()
        others.close()


def talk(crowd, seconds, work):
    """The listeners' report on a talk, while something is done."""
    crowd.janus.keep()
    crowd.receivers.reset()
    meanwhile = threading.Thread(target=work) if work else None
    if meanwhile:
        meanwhile.start()
    crowd.talker.talk(50 * seconds)
    if meanwhile:
        meanwhile.join()
    heard = crowd.receivers.report()
    return {**heard, "lost": 50 * seconds * crowd.count - heard["received"]}


def join(place, receivers, turn):
    """Lets many in, as fast as it goes, who leave again when all are there. Gives how long it took, s."""
    janus, start = Janus(place.janus), time.monotonic()
    bodies = [listener(ROOM, 10_000 * (turn + 1) + i, port) for i, port in enumerate(receivers.ports)]
    handles = janus.attach(len(bodies))
    answers = janus.bodies(list(zip(handles, bodies)))
    took = time.monotonic() - start
    assert all(a.get("audiobridge") == "joined" for a in answers)
    janus.all([{"janus": "detach", "handle_id": handle} for handle in handles])
    janus.close()
    return took


def table_rows(who, pairs, target, lost, loop_name="bare sendmmsg loop"):
    ours, without, loop, late, relay, idle = zip(*pairs)
    return [
        row(f"fan-out to {who}: packets per CPU-second of the whole process ({lost:,} lost)", ours, loop, [a / b for a, b in zip(ours, loop)],
            f"≥ {target}", "{:,.0f}", beside=loop_name),
        row(f"… less what it uses idle ({sum(idle) / len(idle):.2%} of a core)", without, loop, [a / b for a, b in zip(without, loop)],
            f"≥ {target}", "{:,.0f}", beside="the same"),
        row(f"RTP in → last of {who}, p99, ms", late, relay, [a / b for a, b in zip(late, relay)], "≤ 1.3", least=True, beside="bare relay"),
    ]
