"""Records that nobody should write, on every topic but the requests': services stay up, and the next good one counts (MESSAGES.md §1)."""
import json, random, time, uuid

import pytest
import requests

from conftest import RealKafka
from harness import Bus, Device, Janus, Stack, code, wait_for

# What is no message at all, and is buried by whoever reads it.
NO_MESSAGE = [b"", b"{", b"\xff\xfe\x00", b"null", b"[1]", b'"text"', b"{}", b'{"msg_type":"x"}', b'{"msg_type":null}', b"[" * 100_000]
# What is for others.
FOR_OTHERS = [b'{"msg_type":99}', b'{"msg_type":2,"signal_msg":null}']
WRONG = [None, [], "text", {}, {"grp_id": 1}, {"grp_id": None, "uid": [], "user_id": {}, "talk_id": 7}]


# What a message of each type must have.
NEEDED = {"ptt.floor": ("grp_id", "state", "seq"), "ptt.quality": ("grp_id", "user_id"), "ptt.archive": ("talk_id", "grp_id", "uid", "stored_ms"),
          "ptt.talks": ("grp_id", "uid", "file_path")}


def wrong(number, body, good, needed):
    """Messages whose body is no body, or lacks a field that it needs, or has another type or an impossible number there."""
    messages = [{"msg_type": number, "ip": "", body: value} for value in WRONG] + [{"msg_type": number}]
    messages += [{"msg_type": number, "ip": "", body: {**good, field: bad}} for field in needed for bad in (None, {"a": 1}, -1)]
    return [json.dumps(m).encode() for m in messages]


@pytest.fixture(scope="module")
def stack(request, broker, tmp_path_factory):
    """One of its own, with a broker of its own: what lies on these topics others would stumble over."""
    cluster = RealKafka(tmp_path_factory.mktemp("hostile-kafka")) if broker == "kafka" else None
    stack = Stack(request.config.getoption("--bin"), tmp_path_factory.mktemp("hostile"), cluster and cluster.bootstrap)
    yield stack
    assert stack.stop() == 0, stack.logs()
    if cluster:
        cluster.stop()


@pytest.fixture(scope="module")
def bus(stack):
    bus = Bus(stack.address["kafka"])
    yield bus
    bus.stop()


def letters(bus, topic):
    return [m for m in bus.of("ptt.dead-letter") if dict(m.headers())["source-topic"] == topic.encode()]


@pytest.fixture
def group(stack):
    stack.ready("bo-server")
    body = {"group_name": "Target", "dispatcher_id": random.randrange(1, 2**40), "owner": 1}
    return requests.post(f"{stack.address['bo']}/v1/groups", json=body, timeout=20).json()["gid"]


def good(topic, gid):
    talk = str(uuid.UUID(int=uuid.uuid4().int & ~(0xF << 76) | 7 << 76))
    now = int(time.time() * 1000)
    return {
        "ptt.floor": (5, "floor_msg", {
            "grp_id": gid, "epoch": 2**40, "seq": 1, "at_ms": now, "state": "taken", "uid": 3, "display": "", "role": 0, "holder": 3,
            "talk_id": talk, "tier": "normal", "queue": []}),
        "ptt.quality": (3, "quality_msg", {
            "user_id": 3, "user_status": 1, "in_link_quality": 90, "in_media_link_quality": 90, "out_link_quality": 90,
            "out_media_link_quality": 90, "rtt": 5, "grp_id": gid, "jitter_ms": 1, "lost": 0, "received": 9, "at_ms": now}),
        "ptt.archive": (4, "archive_msg", {
            "talk_id": talk, "uid": 3, "grp_id": gid, "url": "http://127.0.0.1:1/x", "key": "x", "md5": "0" * 32, "size": 1,
            "duration_ms": 1, "stored_ms": now, "backend": "file"}),
        "ptt.talks": (1, "ptt_msg", {
            "uid": "3", "grp_id": str(gid), "m_type": "ptt", "md5": "", "size": "0", "timestamp": str(now // 1000), "file_path": "",
            "duration": "1.00", "talk_id": talk, "start_ms": str(now - 1000), "end_ms": str(now), "role": "0", "codec": "mp3",
            "truncated": "1", "cause": "spool_full"}),
    }[topic]


def seen(stack, topic, gid):
    """Whether bo-server knows what the good record says."""
    api = stack.address["bo"] + "/v1"
    if topic == "ptt.floor":
        return requests.get(f"{api}/groups/{gid}/live", timeout=5).json()["holder"] == 3
    path = f"/quality?gid={gid}" if topic == "ptt.quality" else f"/talks?gid={gid}"
    items = requests.get(api + path, timeout=5).json()["items"]
    return items and (topic != "ptt.archive" or items[0]["archived"])


@pytest.mark.parametrize("topic", ["ptt.floor", "ptt.quality", "ptt.archive", "ptt.talks"])
def test_garbage_is_buried_and_the_next_good_record_counts(stack, bus, group, topic):
    pids, before = stack.now()["pids"], len(letters(bus, topic))
    number, body, message = good(topic, group)
    values = NO_MESSAGE + wrong(number, body, message, NEEDED[topic])
    for value in values + FOR_OTHERS + [b'{"msg_type":%d,"x":"' % number + b"a" * 950_000 + b'"}']:
        bus.send(value, str(group), topic=topic)
    bus.producer.produce(topic, None, key=str(group))
    if topic == "ptt.archive":
        # An archive message is about a talk, which may come behind it.
        bus.send({"msg_type": number, "ip": "", body: message}, str(group), topic=topic)
        other, words, record = good("ptt.talks", group)
        bus.send({"msg_type": other, "ip": "", words: {**record, "talk_id": message["talk_id"]}}, str(group), topic="ptt.talks")
    else:
        bus.send({"msg_type": number, "ip": "", body: message}, str(group), topic=topic)
    wait_for(lambda: seen(stack, topic, group), 20, "the good record")
    # bo-server reads all four; of talks file-server buries the same.
    wanted = len(values) + 1 if topic != "ptt.talks" else 2 * (len(values) + 1)
    wait_for(lambda: len(letters(bus, topic)) - before >= wanted, 20, "the dead letters")
    found = letters(bus, topic)[before:]
    assert len(found) == wanted and all(dict(m.headers())["error"] for m in found)
    assert set(values) <= {m.value() or b"" for m in found}
    assert stack.now()["pids"] == pids
    for name in ("media-service", "bo-server", "file-server"):
        stack.ready(name, 5)


def test_garbage_among_the_answers_disturbs_no_question(stack, bus, group):
    ids = [("request-id", value) for value in (b"", b"\xff\xfe", b"nobody's", b"x" * 60_000)]
    for value in NO_MESSAGE + FOR_OTHERS + [b'{"msg_type":2,"signal_msg":{"res":{"code":"x"}}}', b'{"x":"' + b"a" * 950_000 + b'"}']:
        for name in ids[:2] if len(value) > 1000 else ids:
            bus.send(value, "1", [name], topic="ptt.signal.responses")
    answer = requests.patch(f"{stack.address['bo']}/v1/groups/{group}", json={"group_name": "Changed"}, timeout=10)
    assert answer.status_code == 200 and answer.json()["group_name"] == "Changed"
    stack.ready("bo-server", 5)


def without_partitions(stack, room):
    """What a node says that serves no room yet: the embedded broker begins a group only after three seconds."""
    def door():
        try:
            return Janus(stack.address["media"]["janus"])
        except OSError:
            return None
    janus = wait_for(door, 10, "the door")
    answer = janus.message(janus.attach(), {"request": "join", "room": room, "id": 1})
    assert answer["error_code"] == 503 and "try again" in answer["error"]
    ready = requests.get(stack.address["media"]["http"] + "/readyz", timeout=5)
    assert ready.status_code == 503 and "partitions" in [r["condition"] for r in ready.json()["reasons"]]
    janus.close()


def test_garbage_among_rooms_and_claims_closes_no_room(stack, bus, broker, room):
    device = Device(stack, room, 4)
    home = wait_for(lambda: [m.partition() for m in bus.of("ptt.rooms") if m.key() == str(room).encode()], 10, "the room's record")[0]
    garbage = NO_MESSAGE + [b'{"node":7}', b'{"gid":%d}' % room, b'{"x":"' + b"a" * 950_000 + b'"}']
    for value in garbage:
        bus.send(value, str(room), partition=home, topic="ptt.rooms")
        for key in ("0", "x", "-1", "99999999999999999999", None):
            bus.send(value, key, topic="ptt.owners")
    # A claim to a partition that there is not, and a room under a key that is none.
    bus.send({"node": "nobody", "claimed_ms": 1}, "4711", topic="ptt.owners")
    record = {"gid": room, "group_name": "Theirs", "dispatcher_id": 1, "mode": "open", "options": {}, "status": "active", "emergencies": [],
              "epoch": 0}
    bus.send(record, "x", partition=home, topic="ptt.rooms")
    assert device.floor("request")["state"] == "granted", "who talks goes on"
    assert code(bus.signal(1, {"gid": room, "group_name": "Test", "dispatcher_id": 7})) == 0
    device.close()
    stack.kill("media-service")
    if broker == "embedded":
        without_partitions(stack, room)
    stack.ready("media-service")
    assert code(bus.signal(1, {"gid": room, "group_name": "Other", "dispatcher_id": 7}, seconds=60)) == 486, "the room is there again, as it was"
    again = Device(stack, room, 4)
    assert again.floor("request")["state"] == "granted"
    again.close()
