"""The tests run on the embedded broker; with --broker=kafka on a real one (KAFKA_HOME, or shared/kafka beside the checkout)."""
import json, os, pathlib, random, signal, subprocess, sys

import pytest

from harness import Bus, Device, ROOT, Stack, opus

KAFKA = pathlib.Path(os.environ.get("KAFKA_HOME") or ROOT.parent / "shared" / "kafka") / "start"


def pytest_addoption(parser):
    parser.addoption("--bin", default=str(ROOT / ".build/debug"), help="where the programs are")
    parser.addoption("--broker", choices=["embedded", "kafka"], default="embedded")


# What no broker can change: media's keys and paths, browsers, the page.
ONCE = {
    "test_console.py", "test_console_emergencies.py", "test_console_hands.py", "test_console_states.py", "test_srtp.py", "test_together.py",
    "test_webrtc.py"}


def pytest_collection_modifyitems(config, items):
    """On a real broker nothing is repeated that could not be otherwise there: so both runs together take some twelve minutes. A file or a test
    that is named runs in any case."""
    if config.getoption("--broker") == "kafka" and not any(".py" in word for word in config.args):
        # These have a stack of their own, on the embedded broker in either run.
        again = [i for i in items if i.path.name in ONCE or {"admin", "guarded", "strict"} & set(i.fixturenames)]
        config.hook.pytest_deselected(items=again)
        items[:] = [i for i in items if i not in again]


def pytest_report_header(config):
    return f"broker: {config.getoption('--broker')}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure comes with what the services said meanwhile."""
    report = yield
    if report.failed:
        for stack in Stack.running:
            if said := stack.logs(1500):
                report.sections.append((f"logs of {stack.directory.name}", said))
    return report


@pytest.fixture(scope="session")
def broker(request):
    return request.config.getoption("--broker")


class RealKafka:
    """The cluster of a start script, whose nodes may be stopped and killed."""

    def __init__(self, directory, nodes=1):
        # A start may fail by chance (a port that somebody took, a cluster id that kafka-storage takes for an option): then once more.
        for attempt in range(3):
            self.port = random.randrange(21000, 29000, 20)
            words = [sys.executable, KAFKA, "--dir", directory / f"try-{attempt}", "--port", str(self.port), "--nodes", str(nodes)]
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
            if line := self.process.stdout.readline():
                break
        assert line, "Kafka did not start"
        self.address = json.loads(line)

    @property
    def bootstrap(self):
        return self.address["bootstrap"]

    def signal(self, number, nodes=None):
        for node in nodes or self.address["nodes"]:
            os.kill(node["pid"], number)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@pytest.fixture(scope="session")
def kafka(broker, tmp_path_factory):
    if broker == "embedded":
        yield None
        return
    cluster = RealKafka(tmp_path_factory.mktemp("kafka"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def stack(broker, kafka, request, tmp_path_factory):
    # On the embedded broker every room is spread over three media workers, however small; on the real one as by default.
    spread = {"TALKBURST_MEDIA_WORKERS": "3", "TALKBURST_MEDIA_SHARE_FROM": "1"} if broker == "embedded" else {}
    directory = tmp_path_factory.mktemp(f"stack-{broker}")
    running = Stack(request.config.getoption("--bin"), directory, kafka and kafka.bootstrap, environment=spread)
    yield running
    assert running.stop() == 0, running.logs()


@pytest.fixture(scope="session")
def strict(request, tmp_path_factory):
    """A stack of short patience: members only, no takeover, few notices, sessions of five seconds, events that are kept for two."""
    stack = Stack(request.config.getoption("--bin"), tmp_path_factory.mktemp("strict"), environment={
        "TALKBURST_ROOMS_REQUIRE_MEMBERSHIP": "true", "TALKBURST_ROOMS_TAKEOVER": "false", "TALKBURST_ROOMS_VANISH_MS": "300",
        "TALKBURST_JANUS_NOTIFY_MAX": "2", "TALKBURST_JANUS_SESSION_TIMEOUT_MS": "5000", "TALKBURST_NODE_REGION": "north",
        "TALKBURST_EVENTS_KEEP_DAYS": "0.00003"})
    yield stack
    assert stack.stop() == 0, stack.logs()


@pytest.fixture(scope="session")
def bus(stack):
    bus = Bus(stack.address["kafka"])
    yield bus
    bus.stop()
    assert not bus.invalid, f"{len(bus.invalid)} values break their schema, the first: {bus.invalid[0]}"


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    return opus(60, tmp_path_factory.mktemp("speech"))


@pytest.fixture(autouse=True)
def everybody_leaves():
    """A radio forgotten by its test would stay in its room, and whoever the kernel gave its port next would not be let in."""
    yield
    while Device.made:
        Device.made.pop().close()


@pytest.fixture
def gid():
    return random.randrange(1, 2**53)


@pytest.fixture
def room(bus, gid):
    """A room of a fresh group."""
    assert bus.signal(1, {"gid": gid, "group_name": "Test", "dispatcher_id": 7}, seconds=60)["signal_msg"]["res"]["code"] == 0
    return gid
