"""What the configuration sets otherwise: members only, no takeover, few notices, short patience (DEVICES.md, FLOOR.md, MESSAGES.md §2)."""
import json, random, time

import pytest
import requests

from harness import Device, Janus, wait_for


@pytest.fixture
def group(strict):
    """A group of 1 (owner), 2 and 3 (managers), 4 to 9."""
    body = {"group_name": "Members", "dispatcher_id": random.randrange(1, 2**40), "owner": 1, "managers": [2, 3], "members": list(range(4, 10))}
    answer = requests.post(f"{strict.address['bo']}/v1/groups", json=body, timeout=20)
    assert answer.status_code == 201, answer.text
    return answer.json()["gid"]


@pytest.fixture
def device(strict, group):
    """A function that makes devices of the group, which end with the test."""
    made = []

    def make(uid, **more):
        made.append(Device(strict, group, uid, **more))
        return made[-1]
    yield make
    for one in made:
        one.close()


def told(device, **words):
    return [e for e in device.janus.of(device.handle) if all(e.get(k) == v for k, v in words.items())]


def comings(device):
    return [e["participants"][0]["id"] for e in device.janus.of(device.handle) if e.get("audiobridge") == "event" and e.get("participants")]


def join(device):
    return device.janus.message(device.handle, {"request": "join", "room": device.room, "id": device.uid})


def test_members_only(strict, group, device):
    assert device(4).joined["role"] == 0 and device(2).joined["role"] == 1 and device(1).joined["role"] == 2
    stranger = device(77, join=False)
    assert join(stranger)["error_code"] == 489
    assert stranger.janus.message(stranger.handle, {"request": "join", "room": group})["error_code"] == 483, "a random number is no member's"
    assert requests.put(f"{strict.address['bo']}/v1/groups/{group}/members/77", json={"role": 1}, timeout=10).status_code == 200
    assert join(stranger)["role"] == 1


def test_without_takeover_a_user_is_there_once_until_the_socket_breaks(device):
    first, second = device(4), device(4, join=False)
    assert join(second)["error_code"] == 490
    assert first.floor("request")["state"] == "granted", "who was first is not disturbed"
    first.janus.close()
    wait_for(lambda: join(second).get("audiobridge") == "joined", 5, "the second join")


def test_in_larger_rooms_comings_and_goings_are_told_to_who_asked(device):
    pair = device(4), device(5)
    wait_for(lambda: comings(pair[0]) == [5], 5, "the notice of a small room")
    assert len(pair[1].joined["participants"]) == 1 and pair[1].joined["participants_total"] == 2
    curious, quiet = device(6, events="all"), device(7, events="none")
    last = device(8, events="floor")
    assert len(last.joined["participants"]) == 2 and last.joined["participants_total"] == 5
    wait_for(lambda: comings(curious) == [7, 8], 5, "the notices that were asked for")
    assert last.janus.message(last.handle, {"request": "leave"})["audiobridge"] == "left"
    wait_for(lambda: told(curious, leaving=8), 5, "leaving")
    # Who talks is told to all but those who want nothing; it comes behind what else there was to tell.
    assert curious.floor("request")["state"] == "granted"
    pair[0].wait_floor("taken")
    assert comings(pair[0]) == [5, 6] or comings(pair[0]) == [5]
    assert not told(pair[0], leaving=8) and not told(pair[1], leaving=8)
    assert not [e for e in quiet.janus.of(quiet.handle) if e.get("leaving") or e.get("state") == "taken"]


def test_who_was_put_out_while_away_claims_the_session_and_joins_again(strict, device):
    away, other = device(4), device(5)
    session = away.janus.session
    away.janus.close()
    wait_for(lambda: told(other, leaving=4), 5, "put out")
    away.janus = Janus(strict.address["media"]["janus"])
    away.janus.session = session
    assert away.janus.ask({"janus": "claim"})["janus"] == "success"
    assert away.floor("request")["error_code"] == 487
    assert join(away)["audiobridge"] == "joined"
    assert away.floor("request")["state"] == "granted"


def test_a_silent_session_ends_and_its_people_leave(device):
    silent, other = device(4), device(5)
    start = time.monotonic()

    def timeout():
        # The other keeps its own session alive.
        other.janus.ask({"janus": "keepalive"})
        return [e for e in silent.janus.events if e.get("janus") == "timeout"]
    assert wait_for(timeout, 10, "the end of the session")[0]["session_id"] == silent.janus.session
    assert time.monotonic() - start > 4
    wait_for(lambda: told(other, leaving=4), 5, "leaving")
    assert silent.janus.ask({"janus": "keepalive"})["error"]["code"] == 458


def test_a_node_tells_in_redis_that_it_lives(strict, device):
    device(4)
    card = wait_for(lambda: (c := json.loads(strict.redis("GET", "media:node:media-1")))["participants"] >= 1 and c, 10, "the card")
    assert card["address"] == "127.0.0.1" and card["region"] == "north" and card["rooms"] >= 1
    assert set(card) == {"address", "region", "rooms", "participants", "load"} and 0 <= card["load"] <= 1
    assert 0 < int(strict.redis("TTL", "media:node:media-1")) <= 15


def readiness(stack, service="media"):
    url = stack.address["media"]["http"] if service == "media" else stack.address["bo"]
    answer = requests.get(url + "/readyz", timeout=5)
    return answer.status_code, {r["condition"]: r["reason"] for r in answer.json()["reasons"]}


def test_while_redis_is_away_people_join_with_the_last_role_and_it_is_told(strict, group, device):
    known = device(2)
    assert known.joined["role"] == 1 and known.janus.message(known.handle, {"request": "leave"})["audiobridge"] == "left"
    fresh, watch = device(3, join=False), device(1)
    with strict.frozen("redis"):
        start = time.monotonic()
        assert join(known)["role"] == 1, "the last role known"
        assert join(fresh)["role"] == 0, "of whom nothing is known"
        assert time.monotonic() - start < 1, "50 ms each"
        for service in ("media", "bo"):
            status, reasons = wait_for(lambda: (r := readiness(strict, service))[0] == 503 and r, 10, f"{service} not ready")
            assert "redis" in reasons
        watch.janus.ask({"janus": "keepalive"})
    for service in ("media", "bo"):
        wait_for(lambda: readiness(strict, service)[0] == 200, 10, f"{service} ready again")

    def role():
        people = watch.janus.message(watch.handle, {"request": "listparticipants", "room": group}, event=False)["participants"]
        return {p["id"]: p["role"] for p in people}.get(3) == 1
    wait_for(role, 10, "the role, corrected")
