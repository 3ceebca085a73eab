"""bo-server as consoles use it: groups, members, talks, the feed (HTTP.md)."""
import json, random, subprocess, threading, time, uuid

import pytest
import requests
import yaml
from websockets.sync.client import connect

from harness import Device, ROOT, wait_for


@pytest.fixture
def bo(stack):
    stack.ready("bo-server")
    session = requests.Session()
    session.base = stack.address["bo"]
    return session


def create(bo, dispatcher=None, **more):
    body = {"group_name": "North", "dispatcher_id": dispatcher or random.randrange(1, 2**40), "owner": 1, "managers": [2], "members": [3], **more}
    return bo.post(f"{bo.base}/v1/groups", json=body, timeout=10)


def test_a_group_lives(stack, bus, bo):
    answer = create(bo)
    assert answer.status_code == 201, answer.text
    group = answer.json()
    gid = group["gid"]
    assert group["status"] == "active" and group["member_count"] == 3 and group["mode"] == "ptt"
    port = stack.address["redis"].split(":")[1]
    data = json.loads(subprocess.run(["redis-cli", "-p", port, "GET", f"grp:{gid}:data"], capture_output=True, text=True).stdout)
    assert data["group_owner"] == 1 and data["group_manager"] == [2]
    assert bo.get(f"{bo.base}/v1/groups/{gid}", timeout=5).json() == group
    assert gid in [g["gid"] for g in bo.get(f"{bo.base}/v1/groups", params={"limit": 500}, timeout=5).json()["items"]]
    renamed = bo.patch(f"{bo.base}/v1/groups/{gid}", json={"group_name": "South"}, timeout=10)
    assert renamed.status_code == 200 and renamed.json()["group_name"] == "South"
    assert bo.put(f"{bo.base}/v1/groups/{gid}/members/3", json={"role": 1}, timeout=10).json()["applied"] == "next_join"
    device = Device(stack, gid, 3)
    assert device.joined["role"] == 1
    assert bo.put(f"{bo.base}/v1/groups/{gid}/members/3", json={"role": 0}, timeout=10).json() == {"uid": 3, "role": 0, "applied": "live"}
    live = wait_for(lambda: (l := bo.get(f"{bo.base}/v1/groups/{gid}/live", timeout=5).json())["participants"] and l, 10, "the live picture")
    assert live["participants"][0]["uid"] == 3 and live["holder"] is None
    assert bo.delete(f"{bo.base}/v1/groups/{gid}/members/3", timeout=10).status_code == 204
    wait_for(lambda: any(e.get("kicked") == 3 for e in device.janus.of(device.handle)), 5, "put out")
    deleted = bo.delete(f"{bo.base}/v1/groups/{gid}", timeout=10)
    assert deleted.status_code == 202 and deleted.json()["status"] == "deleting"
    wait_for(lambda: bo.get(f"{bo.base}/v1/groups/{gid}", timeout=5).status_code == 404, 10, "gone")
    device.close()


@pytest.mark.parametrize("body, field", [({"dispatcher_id": 1}, "group_name"), ({"group_name": "A"}, "dispatcher_id"), ({"group_name": 7, "dispatcher_id": 1}, "group_name"),
                                         ({"group_name": "A", "dispatcher_id": 1, "managers": "x"}, "managers"), ({"group_name": "", "dispatcher_id": 1}, "group_name")])
def test_wrong_fields_are_named(bo, body, field):
    answer = bo.post(f"{bo.base}/v1/groups", json=body, timeout=10)
    problem = answer.json()
    assert answer.status_code == 400 and answer.headers["content-type"].startswith("application/problem+json")
    assert problem["field"].startswith(field) and problem["code"] == "invalid_field" and problem["type"] == "/problems/invalid_field"


def test_http_says_no_clearly(bo):
    assert bo.get(f"{bo.base}/v1/groups/987654321", timeout=5).status_code == 404
    assert bo.post(f"{bo.base}/v1/groups", data=b"{", headers={"content-type": "application/json"}, timeout=5).status_code == 400
    assert bo.post(f"{bo.base}/v1/groups", data=b"x" * (2 << 20), timeout=5).status_code == 413
    assert bo.get(f"{bo.base}/v1/groups", headers={"Origin": "https://evil.example"}, timeout=5).status_code == 403
    assert bo.put(f"{bo.base}/v1/groups", timeout=5).status_code == 405
    assert yaml.safe_load(bo.get(f"{bo.base}/v1/openapi.yaml", timeout=5).text)["openapi"].startswith("3.1")


def test_an_idempotency_key_creates_once(bo):
    key = str(uuid.uuid4())
    body = {"group_name": "Once", "dispatcher_id": 5}
    first = bo.post(f"{bo.base}/v1/groups", json=body, headers={"Idempotency-Key": key}, timeout=10)
    again = bo.post(f"{bo.base}/v1/groups", json=body, headers={"Idempotency-Key": key}, timeout=10)
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    assert bo.post(f"{bo.base}/v1/groups", json={**body, "group_name": "Other"}, headers={"Idempotency-Key": key}, timeout=10).status_code == 422


class Feed:
    def __init__(self, bo, dispatcher, after=None):
        url = bo.base.replace("http", "ws") + f"/v1/events?dispatcher_id={dispatcher}" + (f"&after={after}" if after is not None else "")
        self.socket, self.events = connect(url), []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for text in self.socket:
                self.events.append(json.loads(text))
        except Exception:
            pass

    def wait(self, type, seconds=15, **data):
        def check():
            for event in self.events:
                if event["type"] == type and all(event["data"].get(k) == v for k, v in data.items()):
                    return event
        return wait_for(check, seconds, f"{type} {data}")


def test_the_feed_and_what_a_console_missed(stack, bus, bo, speech):
    dispatcher = random.randrange(1, 2**40)
    feed = Feed(bo, dispatcher)
    gid = create(bo, dispatcher).json()["gid"]
    device = Device(stack, gid, 3)
    device.floor("request")
    device.talk(speech[:50])
    feed.wait("floor", state="taken", holder=3)
    device.floor("release")
    talk = feed.wait("talk", uid=3)
    assert talk["gid"] == gid and talk["data"]["duration_ms"] == 1000
    last = feed.wait("archive", uid=3)["id"]
    feed.socket.close()
    device.floor("request")
    device.talk(speech[:25])
    device.floor("release")
    wait_for(lambda: len(bus.talks(3, gid)) == 2, 10, "the second talk")
    back = Feed(bo, dispatcher, after=last)
    assert back.wait("talk", uid=3)["data"]["duration_ms"] == 500
    numbers = [e["id"] for e in back.events if "id" in e]
    assert numbers == sorted(numbers) and numbers[0] > last
    talks = bo.get(f"{bo.base}/v1/talks", params={"gid": gid}, timeout=5).json()["items"]
    assert [t["duration_ms"] for t in talks] == [500, 1000], "newest first"
    first = bo.get(f"{bo.base}/v1/talks", params={"gid": gid, "limit": 1}, timeout=5).json()
    assert bo.get(f"{bo.base}/v1/talks", params={"gid": gid, "limit": 1, "cursor": first["next"]}, timeout=5).json()["items"][0]["duration_ms"] == 1000
    audio = bo.get(f"{bo.base}/v1/talks/{talks[0]['talk_id']}/audio", headers={"Range": "bytes=0-2"}, timeout=10)
    assert audio.status_code == 206 and audio.content == b"ID3"
    assert bo.get(f"{bo.base}/v1/quality", params={"gid": gid}, timeout=5).json()["items"][0]["user_id"] == 3
    back.socket.close()
    device.close()


def test_quality_comes_in_pages(bus, bo, gid):
    for uid in (11, 12, 13):
        for at_ms in (1, 2, 3):
            quality = {"user_id": uid, "user_status": 1, "in_link_quality": 90, "in_media_link_quality": 90, "out_link_quality": 90,
                       "out_media_link_quality": 90, "rtt": 5, "grp_id": gid, "jitter_ms": 1, "lost": 0, "received": 9, "at_ms": at_ms}
            bus.send({"msg_type": 3, "ip": "", "quality_msg": quality}, str(gid), topic="ptt.quality")
    ask = lambda path, **query: bo.get(f"{bo.base}/v1/quality{path}", params=query, timeout=5)
    wait_for(lambda: [q["at_ms"] for q in ask("", gid=gid).json()["items"]] == [3, 3, 3], 10, "all of them")
    first = ask("", gid=gid, limit=2).json()
    second = ask("", gid=gid, limit=2, cursor=first["next"]).json()
    assert [[q["user_id"] for q in page["items"]] for page in (first, second)] == [[11, 12], [13]] and second["next"] is None
    first = ask("/11", limit=2).json()
    second = ask("/11", limit=2, cursor=first["next"]).json()
    assert [[q["at_ms"] for q in page["items"]] for page in (first, second)] == [[1, 2], [3]] and second["next"] is None
    assert [ask("", gid=gid, **wrong).json()["field"] for wrong in ({"limit": 0}, {"limit": 501}, {"cursor": "x"})] == ["limit", "limit", "cursor"]


@pytest.mark.parametrize("service", ["bo", "file"])
def test_the_api_is_what_its_description_says(stack, service, request):
    """schemathesis makes requests from the OpenAPI document and checks every answer against it."""
    name = "bo-server" if service == "bo" else "file-server"
    stack.ready(name)
    command = [ROOT / ".venv/bin/schemathesis", "run", ROOT / f"schemas/openapi/{name}.yaml", "--base-url", stack.address[service],
               "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
               "--hypothesis-max-examples", "15", "--hypothesis-seed", "1", "--request-timeout", "10000", "--hypothesis-deadline", "None",
               "--experimental", "openapi-3.1", "--exclude-path", "/v1/events"]
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=170)
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
