"""What a stack of its own must withstand: brokers that die, a full disk, children and the stack itself killed (HTTP.md, MESSAGES.md)."""
import json, os, pathlib, random, signal, subprocess, time, uuid

import confluent_kafka
import pytest
import requests

from conftest import RealKafka
from harness import Bus, Device, ROOT, Stack, code, wait_for
from test_talks import archived, say


@pytest.fixture(scope="module")
def other_kafka(broker, tmp_path_factory):
    """A broker beside the session's: two stacks on one would be one installation."""
    if broker == "embedded":
        yield None
        return
    cluster = RealKafka(tmp_path_factory.mktemp("other-kafka"))
    yield cluster.bootstrap
    cluster.stop()


@pytest.fixture
def own(broker, request, tmp_path):
    """A function that starts a stack for this test alone."""
    started = []

    def start(bootstrap=None, prefix=None):
        directory = tmp_path / "stack"
        directory.mkdir(exist_ok=True)
        stack = Stack(request.config.getoption("--bin"), directory, bootstrap, prefix=prefix)
        started.append(stack)
        return stack
    yield start
    for stack in started:
        if stack.process.poll() is None:
            assert stack.stop() == 0, stack.logs()


def create(stack, name="Night shift", **more):
    body = {"group_name": name, "dispatcher_id": 7, "owner": 1, "members": [3, 4], **more}
    answer = requests.post(f"{stack.address['bo']}/v1/groups", json=body, timeout=20)
    assert answer.status_code == 201, answer.text
    return answer.json()["gid"]


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_stack_goes_on_with_what_is_in_its_folder(own, broker, speech):
    if broker == "kafka":
        pytest.skip("the outside broker goes on by itself; what is shown here is the embedded one, which forgets")
    stack = own()
    gid = create(stack)
    say(stack, gid, 3, speech[:30])
    archived(stack, gid)
    children = list(stack.now()["pids"].values())
    assert stack.stop() == 0
    assert not any(alive(pid) for pid in children)
    again = own()
    assert requests.get(f"{again.address['bo']}/v1/groups/{gid}", timeout=5).json()["status"] == "active"
    assert len(archived(again, gid)) == 1
    say(again, gid, 4, speech[:30])
    assert len(archived(again, gid, count=2)) == 2


def test_the_broker_dies_and_the_stack_killed_leaves_nobody(own, broker, speech):
    if broker == "kafka":
        pytest.skip("the embedded broker's death; a real one's is in the tests below")
    stack = own()
    gid = create(stack)
    stack.kill("kafka")
    for name in ("media-service", "bo-server", "file-server"):
        stack.ready(name)
    # bo-server repeats create for its groups, so that the room is there again without anybody asking.
    def join():
        device = Device(stack, gid, 3, join=False)
        answer = device.janus.message(device.handle, {"request": "join", "room": gid, "id": 3})
        device.close()
        return answer.get("audiobridge") == "joined"
    wait_for(join, 20, "the room again")
    say(stack, gid, 3, speech[:30])
    archived(stack, gid)
    children = list(stack.now()["pids"].values())
    stack.process.kill()
    stack.process.wait()
    wait_for(lambda: not any(alive(pid) for pid in children), 10, "the children's end")


def test_a_stack_that_can_not_start_says_at_once_why(request, tmp_path):
    start = time.monotonic()
    words = [pathlib.Path(request.config.getoption("--bin")).resolve() / "ptt", "stack", "--dir", tmp_path, "--json"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, "TALKBURST_MEDIA_WORKERS": "none"})
    assert ended.returncode == 1 and time.monotonic() - start < 20, ended
    assert "media-service ended before it was ready" in ended.stderr and "media.workers: must be" in ended.stderr, ended.stderr


def test_a_full_spool_stops_no_talk_and_is_told(own, other_kafka, speech):
    # A small file system of its own, in a mount namespace: no privilege on the machine is needed.
    spool = 'mkdir -p "$0/spool" && mount -t tmpfs -o size=256k tmpfs "$0/spool" && exec "$@"'
    stack = own(other_kafka, prefix=lambda d: ["unshare", "--map-root-user", "--mount", "sh", "-c", spool, str(d)])
    bus = Bus(stack.address["kafka"])
    gid = random.randrange(1, 2**53)
    assert code(bus.signal(1, {"gid": gid, "group_name": "Full", "dispatcher_id": 7}, seconds=60)) == 0
    talker, listener = Device(stack, gid, 3), Device(stack, gid, 4)
    filler = pathlib.Path(f"/proc/{stack.pid('media-service')}/root{stack.address['spool']}/filler")
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096) == 4096:
                pass
        except OSError:
            pass
    assert talker.floor("request")["state"] == "granted"
    talker.talk(speech[:100])
    assert len(listener.receive(0.3, 100)[0]) == 100, "the talk goes on"
    talker.floor("release")
    talk = wait_for(lambda: bus.talks(3, gid), 10, "the talk's record")[0]
    assert (talk["truncated"], talk["cause"]) == ("1", "spool_full")
    assert abs(int(talk["end_ms"]) - int(talk["start_ms"]) - 2000) <= 40 or talk["file_path"], "what is kept is told"
    filler.unlink()
    assert talker.floor("request")["state"] == "granted"
    talker.talk(speech[:50])
    talker.floor("release")
    whole = wait_for(lambda: [t for t in bus.talks(3, gid) if t["truncated"] == "0"], 10, "the next talk is whole")[0]
    assert whole["duration"] == "1.00"
    for device in (talker, listener):
        device.close()
    bus.stop()
    assert not bus.invalid


def test_one_of_three_brokers_dies_under_load(own, broker, speech, tmp_path):
    if broker == "embedded":
        pytest.skip("needs a real Kafka of three nodes: run with --broker=kafka")
    cluster = RealKafka(tmp_path / "cluster", nodes=3)
    try:
        stack = own(cluster.bootstrap)
        bus = Bus(stack.address["kafka"])
        first = random.randrange(1, 2**52)
        gids = [first + index for index in range(300)]
        for gid in gids[:20]:
            assert code(bus.signal(1, {"gid": gid, "group_name": "Load", "dispatcher_id": 7}, seconds=60)) == 0
        talker = Device(stack, gids[0], 3)
        assert talker.floor("request")["state"] == "granted"
        for index, gid in enumerate(gids[20:]):
            request = {"msg_type": 2, "ip": "", "signal_msg": {"signal_type": 1, "create_group_req": {"gid": gid, "group_name": "Load", "dispatcher_id": 7}}}
            bus.producer.produce("ptt.signal.requests", json.dumps(request), key=str(gid))
            bus.producer.poll(0)
            talker.talk(speech[index:index + 1])
            if index == 100:
                cluster.signal(signal.SIGKILL, cluster.address["nodes"][1:2])
        bus.producer.flush(60)
        talker.floor("release")
        wanted = {str(gid).encode() for gid in gids}
        wait_for(lambda: wanted <= {m.key() for m in bus.of("ptt.signal.responses")}, 90, "all answers")
        wait_for(lambda: wanted <= {m.key() for m in bus.of("ptt.rooms")}, 60, "all room records")
        talks = archived(stack, gids[0], 120)
        assert len(talks) == 1 and talks[0]["duration_ms"] == 280 * 20
        assert code(bus.signal(2, {"gid": gids[1], "dispatcher_id": 7}, seconds=60)) == 0
        talker.close()
        bus.stop()
        assert not bus.invalid
        assert stack.stop() == 0
    finally:
        cluster.stop()


def test_kcat_asks_and_reads(stack, broker, gid):
    """A third party's client on the wire, by hand: a request without key, with a header, and its response."""
    request = {"msg_type": 2, "ip": "kcat", "signal_msg": {"signal_type": 1, "create_group_req": {"gid": gid, "group_name": "kcat", "dispatcher_id": 7}}}
    subprocess.run(["kcat", "-b", stack.address["kafka"], "-P", "-t", "ptt.signal.requests", "-H", "request-id=by-hand"],
                   input=json.dumps(request), text=True, check=True, timeout=30)

    def check():
        out = subprocess.run(["kcat", "-b", stack.address["kafka"], "-C", "-t", "ptt.signal.responses", "-e", "-q", "-f", "%h|%k|%s\n"],
                             capture_output=True, text=True, timeout=60, check=True).stdout
        return next((line.split("|", 2) for line in out.splitlines() if "request-id=by-hand" in line and f"|{gid}|" in line), None)
    headers, key, value = wait_for(check, 30, "kcat's answer")
    assert key == str(gid) and json.loads(value)["signal_msg"]["res"]["code"] == 0 and json.loads(value)["ip"] == "kcat"


def test_an_orderly_stop_in_the_middle_of_a_talk_loses_nothing(own, other_kafka, speech):
    stack = own(other_kafka)
    bus = Bus(stack.address["kafka"])
    gid = random.randrange(1, 2**53)
    assert code(bus.signal(1, {"gid": gid, "group_name": "Stop", "dispatcher_id": 7}, seconds=60)) == 0
    device = Device(stack, gid, 3)
    assert device.floor("request")["state"] == "granted"
    device.talk(speech[:60])
    os.kill(stack.pid("media-service"), signal.SIGTERM)
    talk = wait_for(lambda: bus.talks(3, gid), 20, "the talk's record")[0]
    assert (talk["truncated"], talk["duration"]) == ("0", "1.20")
    assert len(archived(stack, gid, 60)) == 1
    device.janus.close()
    bus.stop()


def test_a_days_talks_wait_for_the_file_server(own, other_kafka, speech):
    """2,000 talks, more than one a minute of a day. They share a recording: how each is made is not the matter here."""
    stack = own(other_kafka)
    bus = Bus(stack.address["kafka"])
    gid = random.randrange(1, 2**53)
    assert code(bus.signal(1, {"gid": gid, "group_name": "Day", "dispatcher_id": 7}, seconds=60)) == 0
    say(stack, gid, 3, speech[:20])
    first = archived(stack, gid)[0]
    message = wait_for(lambda: [m for m in bus.messages("ptt.talks") if m["ptt_msg"]["talk_id"] == first["talk_id"]], 10, "the talk's record")[0]
    bus.stop()
    wanted = {first["talk_id"]}
    os.kill(stack.pid("file-server"), signal.SIGSTOP)
    try:
        for _ in range(2_000):
            message["ptt_msg"]["talk_id"] = str(uuid.UUID(int=0x01890000_0000_7000_8000_000000000000 | random.getrandbits(60)))
            wanted.add(message["ptt_msg"]["talk_id"])
            bus.producer.produce("ptt.talks", json.dumps(message).encode(), key=str(gid))
        assert bus.producer.flush(30) == 0
    finally:
        os.kill(stack.pid("file-server"), signal.SIGCONT)

    def stored():
        ids, cursor = [], None
        while True:
            page = requests.get(f"{stack.address['file']}/v1/talks", params={"gid": gid, "limit": 500, "cursor": cursor}, timeout=20).json()
            ids += [talk["talk_id"] for talk in page["items"] if talk["state"] == "stored" and talk["md5"] == first["md5"]]
            cursor = page["next"]
            if cursor is None:
                return ids
            time.sleep(0.1)
    ids = wait_for(lambda: found if len(found := stored()) >= len(wanted) else None, 100, "all talks in the archive")
    assert len(ids) == len(wanted) and set(ids) == wanted
    assert len(list(pathlib.Path(stack.address["archive"]).rglob("*.mp3"))) == len(wanted)


def test_the_demo_ends_by_itself_with_all_talks_in_the_archive(other_kafka, request, tmp_path):
    binary = pathlib.Path(request.config.getoption("--bin")).resolve() / "ptt"
    words = [binary, "demo", "--dir", tmp_path / "demo", "--seconds", "25"] + (["--kafka", other_kafka] if other_kafka else [])
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are there, playable, and of the right length" in done.stdout


def test_who_loses_their_place_in_a_group_says_so_and_begins_anew(own, broker, other_kafka):
    if broker == "embedded":
        pytest.skip("librdkafka's mock cluster knows no static members: run with --broker=kafka")
    stack = own(other_kafka)
    for service, instance, topic in (("media-service", "media-1", "ptt.signal.requests"), ("bo-server", "bo-server", "ptt.talks"),
                                     ("file-server", "file-1", "ptt.talks")):
        old = stack.pid(service)
        # Another process of the same name, as when somebody copies a configuration: Kafka lets the newest have the place.
        other = confluent_kafka.Consumer({"bootstrap.servers": stack.address["kafka"], "group.id": service, "group.instance.id": instance,
                                          "partition.assignment.strategy": "cooperative-sticky", "enable.auto.commit": False})
        other.subscribe([topic])

        def begun_anew():
            other.poll(0.1)
            return stack.now()["pids"].get(service, old) != old
        wait_for(begun_anew, 60, f"{service} again")
        other.close()
        said = (stack.directory / "log" / f"{service}.log").read_text()
        assert f"is another process with the name {instance} here?" in said, said[-2000:]
        stack.ready(service)
    bus = Bus(stack.address["kafka"])
    gid = random.randrange(1, 2**53)
    assert code(bus.signal(1, {"gid": gid, "group_name": "Anew", "dispatcher_id": 7}, seconds=60)) == 0
    bus.stop()
