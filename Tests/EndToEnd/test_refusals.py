"""bo-server where the media service does not answer or refuses, and the feed's ends (HTTP.md, MESSAGES.md §3)."""
import json, random, socket, threading, time, uuid

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness import Bus, code, wait_for


@pytest.fixture(scope="module")
def other_bus(strict):
    bus = Bus(strict.address["kafka"])
    yield bus
    bus.stop()
    assert not bus.invalid, bus.invalid[0]


@pytest.fixture
def bo(strict):
    def ask(method, path, json=None, key=None):
        headers = {"Idempotency-Key": key} if key else {}
        return requests.request(method, f"{strict.address['bo']}/v1/groups{path}", json=json, headers=headers, timeout=20)
    return ask


def draft(**more):
    return {"group_name": "North", "dispatcher_id": random.randrange(1, 2**40), "owner": 1, "managers": [2], "members": [3], **more}


def names(bo):
    return [g["group_name"] for g in bo("GET", "?limit=500").json()["items"]]


def test_a_create_without_an_answer_is_undone(strict, other_bus, bo, gid):
    body, key = draft(gid=gid, group_name=f"Lost {gid}"), str(uuid.uuid4())
    other = draft(group_name="Asked again")
    with strict.frozen("media-service"):
        start = time.monotonic()
        answer = bo("POST", "", body)
        assert answer.status_code == 504 and answer.json()["code"] == "signal_timeout" and time.monotonic() - start < 2
        assert bo("GET", f"/{gid}").status_code == 404 and body["group_name"] not in names(bo)
        again = bo("POST", "", body, late := str(uuid.uuid4()))
        assert again.status_code == 503 and again.json()["code"] == "group_rolling_back" and again.json()["field"] == "gid"
        assert bo("POST", "", other, key).status_code == 504
    # What failed by our side is no answer to keep.
    repeated = bo("POST", "", other, key)
    assert repeated.status_code == 201 and bo("POST", "", other, key).json() == repeated.json()
    # The destroy follows, and with it row and keys are gone: the number is free.
    wait_for(lambda: bo("POST", "", body, late).status_code == 201, 20, "the number, free again, for the same key too")
    assert json.loads(strict.redis("GET", f"grp:{gid}:data"))["group_name"] == body["group_name"]
    assert code(other_bus.signal(1, {"gid": gid, "group_name": body["group_name"], "dispatcher_id": body["dispatcher_id"]})) == 0


def test_a_refused_create_says_why_and_leaves_the_others_room_alone(strict, other_bus, bo, gid):
    theirs = {"gid": gid, "group_name": "Theirs", "dispatcher_id": 7}
    assert code(other_bus.signal(1, theirs)) == 0
    answer = bo("POST", "", draft(gid=gid))
    assert answer.status_code == 502 and answer.json()["code"] == "media_refused" and answer.json()["res_code"] == 486
    assert answer.headers["content-type"].startswith("application/problem+json") and bo("GET", f"/{gid}").status_code == 404
    assert strict.redis("GET", f"grp:{gid}:data") == ""
    assert code(other_bus.signal(1, theirs)) == 0 and code(other_bus.signal(1, {**theirs, "group_name": "Ours"})) == 486


def test_a_number_in_use_is_told(bo, gid):
    assert bo("POST", "", draft(gid=gid)).status_code == 201
    answer = bo("POST", "", draft(gid=gid))
    assert answer.status_code == 409 and answer.json()["code"] == "group_exists" and answer.json()["type"] == "/problems/group_exists"


def test_the_same_key_at_once_makes_one_group(bo):
    body, key, answers = draft(), str(uuid.uuid4()), []
    threads = [threading.Thread(target=lambda: answers.append(bo("POST", "", body, key))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {a.status_code for a in answers} == {201} and len({a.json()["gid"] for a in answers}) == 1
    conflict = bo("POST", "", {**body, "group_name": "South"}, key)
    assert conflict.status_code == 422 and conflict.json()["code"] == "idempotency_key_reused"


def test_changes_without_an_answer_are_undone(strict, other_bus, bo):
    group = bo("POST", "", draft()).json()
    path = f"/{group['gid']}"
    with strict.frozen("media-service"):
        for answer in (bo("PATCH", path, {"group_name": "South"}), bo("PUT", path + "/members/3", {"role": 1})):
            assert answer.status_code == 504 and answer.json()["code"] == "signal_timeout"
        assert bo("GET", path).json() == group
        assert {m["uid"]: m["role"] for m in bo("GET", path + "/members").json()["items"]} == {1: 2, 2: 1, 3: 0}
        assert bo("DELETE", path).json()["status"] == "deleting"
        assert bo("PATCH", path, {"group_name": "South"}).json()["code"] == "group_not_active"
    wait_for(lambda: bo("GET", path).status_code == 404, 10, "gone")
    wait_for(lambda: strict.redis("GET", f"grp:{group['gid']}:data") == "", 10, "its keys gone")


def test_what_the_feed_does_not_keep_any_more_is_a_gap(strict, bo):
    dispatcher = random.randrange(1, 2**40)
    assert bo("POST", "", draft(dispatcher_id=dispatcher)).status_code == 201
    url = strict.address["bo"].replace("http", "ws") + f"/v1/events?dispatcher_id={dispatcher}&after=0"

    def gap():
        with connect(url) as feed:
            try:
                first = json.loads(feed.recv(0.5))
            except TimeoutError:
                return None
            return first if first["type"] == "gap" else None
    first = wait_for(gap, 15, "the gap")
    assert set(first) == {"type", "first"} and first["first"] > 1
    with connect(url) as feed:
        assert json.loads(feed.recv(5))["type"] == "gap"
        group = bo("POST", "", draft(dispatcher_id=dispatcher)).json()
        event = {"gid": None}
        while event["gid"] != group["gid"]:
            event = json.loads(feed.recv(5))
        assert event["type"] == "group" and event["id"] >= first["first"], "behind it all goes on"
    with connect(url.replace("after=0", f"after={event['id']}")) as feed:
        next_one = bo("POST", "", draft(dispatcher_id=dispatcher)).json()
        assert json.loads(feed.recv(5))["gid"] == next_one["gid"], "no gap where nothing is missing"


def test_a_reader_that_is_too_slow_is_told_and_closed(strict, other_bus, bo):
    dispatcher = random.randrange(1, 2**40)
    gid = bo("POST", "", draft(dispatcher_id=dispatcher)).json()["gid"]
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = strict.address["bo"].removeprefix("http://").split(":")
    sock.connect((host, int(port)))
    people = [{"uid": n, "role": 0, "display": "x" * 100, "joined_ms": 1} for n in range(1, 5001)]

    def snapshot(seq, people, holder=None):
        message = {"grp_id": gid, "epoch": 2**40, "seq": seq, "at_ms": 1, "state": "snapshot", "holder": holder, "talk_id": None, "tier": "normal",
                   "queue": [], "participants": people}
        other_bus.send({"msg_type": 5, "ip": "", "floor_msg": message}, str(gid), topic="ptt.floor")
    with connect(f"ws://{host}:{port}/v1/events?dispatcher_id={dispatcher}", sock=sock, max_size=None, max_queue=1) as feed:
        snapshot(1, [])
        assert json.loads(feed.recv(10))["data"]["seq"] == 1
        # One after the other: the embedded broker keeps 5 MiB of a partition, and drops what is older even if nobody has read it.
        for seq in range(2, 26):
            snapshot(seq, people if seq < 25 else [], holder=seq)
            wait_for(lambda: bo("GET", f"/{gid}/live").json()["holder"] == seq, 20, f"the picture of snapshot {seq}")
        last = None
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                last = json.loads(feed.recv(20))
        assert last == {"type": "overflow"} and closed.value.rcvd.code == 1013
    assert bo("GET", f"/{gid}").status_code == 200
