"""Signals on Kafka: request → response beside a bare echo of two hops through the same broker; ten thousand rooms at once, and what they cost idle."""
import contextlib, os, signal, subprocess, time

import confluent_kafka.admin

from kit import ask, cpu_by_thread, end, program, row, start

OURS, BARE = ("ptt.signal.requests", "ptt.signal.responses"), ("bench.there", "bench.back")
GROUPS = 10_000_000


class Echo:
    """kafka_bench.c's echo, on topics of its own with as many partitions as ours."""

    def __init__(self, place):
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": place.bootstrap})
        partitions = len(admin.list_topics(OURS[0], timeout=10).topics[OURS[0]].partitions)
        for made in admin.create_topics([confluent_kafka.admin.NewTopic(topic, partitions, 1) for topic in BARE]).values():
            made.result(20)
        self.child = start(program("kafka_bench", "rdkafka", "pthread"), "echo", place.bootstrap, *BARE, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
        assert self.child.stdout.readline() == "ready\n"

    def close(self):
        end(self.child)


@contextlib.contextmanager
def asleep(pid):
    """Who asks here stands for the back office: the stack's own would be a third reader of each answer, and the echo's have none."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def rows(place, options):
    with asleep(place.stack.pid("bo-server")):
        yield from beside_echo(place, options)


def beside_echo(place, options):
    echo = Echo(place)
    try:
        # The broker's own compiler needs so many records before it is done.
        for topics in (OURS, BARE):
            ask(place.bootstrap, *topics, 1_000, 15_000, GROUPS, 1_000)
        first = GROUPS
        for rate in options.rates:
            # A p99 of fewer would be the worst one or two, and one collection of the broker's garbage is among them or not.
            count, pairs = max(300, 2 * rate * options.seconds), []
            for _ in range(options.pairs):
                # Each request makes a group that was not there.
                first += count
                ours = ask(place.bootstrap, *OURS, rate, count, first, count)
                bare = ask(place.bootstrap, *BARE, rate, count, first, count)
                assert ours["answered"] == bare["answered"] == count, (ours, bare)
                pairs.append((ours, bare))
            for what in ("p50", "p99"):
                a, b = [o[what] for o, _ in pairs], [e[what] for _, e in pairs]
                yield row(f"signal request → response at {rate:,}/s, {what}, ms", a, b, [x / y for x, y in zip(a, b)], "≤ 1.5", least=True,
                          beside="bare echo of two hops")
    finally:
        echo.close()


def room_rows(place, options):
    """Many rooms made in one go, beside as many records through the echo; then the service is left alone."""
    echo, pairs, made = Echo(place), [], 0
    try:
        for _ in range(options.pairs):
            # Each time other groups, until there are as many as wanted.
            share = options.rooms // options.pairs
            ours = ask(place.bootstrap, *OURS, 0, share, 1_000_000 + made, share)
            bare = ask(place.bootstrap, *BARE, 0, share, 1_000_000 + made, share)
            made += share
            pairs.append((ours, bare))
        ours = ask(place.bootstrap, *OURS, 0, options.rooms, 2_000_000, options.rooms)
        bare = ask(place.bootstrap, *BARE, 0, options.rooms, 2_000_000, options.rooms)
    finally:
        echo.close()
    answered = all(one["good"] == one["sent"] for one, _ in [*pairs, (ours, bare)])
    yield [f"{options.rooms:,} rooms made in one go, s until all were answered ({ours['good']:,} with code 0)", f"{ours['seconds']:.2f}",
           f"{bare['seconds']:.2f} (bare echo of two hops)", "", f"{ours['seconds'] / bare['seconds']:.2f}", "all answered", "yes" if answered else "**no**"]
    a, b = [o["seconds"] for o, _ in pairs], [e["seconds"] for _, e in pairs]
    line = row(f"{options.rooms // options.pairs:,} rooms in one go, s", a, b, [x / y for x, y in zip(a, b)], "≤ 1000", least=True,
               beside="bare echo of two hops")
    yield line[:-2] + ["", ""]
    yield idle(place, 2 * options.rooms)


def idle(place, rooms, seconds=30):
    time.sleep(10)
    before, begin = cpu_by_thread(place.pid), time.monotonic()
    time.sleep(seconds)
    took, after = time.monotonic() - begin, cpu_by_thread(place.pid)
    used = {name: (value - before.get(name, 0)) / took for name, value in after.items()}
    share = sum(used.values())
    most = ", ".join(f"{name} {value:.2%}" for name, value in sorted(used.items(), key=lambda t: -t[1])[:4])
    return [f"CPU of media-service with {rooms:,} idle rooms, of one core over {seconds} s", f"{share:.2%}", f"by thread: {most}", "", "", "< 1 %",
            "yes" if share < 0.01 else "**no**"]
