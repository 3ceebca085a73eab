"""One talker to many plain-RTP listeners: packets per CPU-second beside sendmmsg alone, time until the last listener has a packet beside a bare
relay, memory per listener, and the floor while all this goes on."""
import time

from kit import Janus, Receivers, Talker, bare_loop, bare_relay, cpu, cpu_by_thread, listener, memory, row
import floor

ROOM, ASIDE = 100_000, 99_000


class Crowd:
    """Listeners of one room on one WebSocket; they only become more."""

    def __init__(self, place, most):
        place.create(ROOM, t1_ms=60_000, t2_ms=3_600_000)
        self.place, self.receivers, self.janus, self.count = place, Receivers(most), Janus(place.janus), 0
        self.talker = Talker(place.janus, ROOM, 1)
        self.talker.request()

    def grow(self, count):
        """Gives what attaching and what joining took, in octets a listener."""
        if count == self.count:
            return 0, 0
        more, start = count - self.count, memory(self.place.pid)
        handles = self.janus.attach(more)
        attached = memory(self.place.pid)
        ports = self.receivers.ports[self.count:count]
        # A few at a time: what is measured is what stays of each, not what many on their way take for a moment.
        answers = self.janus.bodies([(h, listener(ROOM, 1_000 + self.count + i, p)) for i, (h, p) in enumerate(zip(handles, ports))], 4)
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
        loop = bare_loop(crowd.ports(), packets, rate)
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


def table_rows(who, pairs, target, lost):
    ours, without, loop, late, relay, idle = zip(*pairs)
    return [
        row(f"fan-out to {who}: packets per CPU-second of the whole process ({lost:,} lost)", ours, loop, [a / b for a, b in zip(ours, loop)],
            f"≥ {target}", "{:,.0f}", beside="bare sendmmsg loop"),
        row(f"… less what it uses idle ({sum(idle) / len(idle):.2%} of a core)", without, loop, [a / b for a, b in zip(without, loop)],
            f"≥ {target}", "{:,.0f}", beside="the same"),
        row(f"RTP in → last of {who}, p99, ms", late, relay, [a / b for a, b in zip(late, relay)], "≤ 1.3", least=True, beside="bare relay"),
    ]
