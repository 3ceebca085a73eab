"""Door A where it asks who comes, and what administrators do to rooms and people (DEVICES.md, "A. Janus API")."""
import json

import pytest
from websockets.sync.client import connect

from harness import Device, Janus, Stack, wait_for

KEY = "let-me-in"
PROOF = {"apisecret": "open", "token": "blue"}


@pytest.fixture(scope="module")
def guarded(request, tmp_path_factory):
    stack = Stack(request.config.getoption("--bin"), tmp_path_factory.mktemp("guarded"), environment={
        "TALKBURST_JANUS_ADMIN_KEY": KEY, "TALKBURST_JANUS_API_SECRET": PROOF["apisecret"], "TALKBURST_JANUS_TOKENS": '["red","blue"]'})
    stack.proof = PROOF
    yield stack
    assert stack.stop() == 0


@pytest.fixture
def door(guarded):
    janus = Janus(guarded.address["media"]["janus"], PROOF)
    janus.plugin = janus.attach()
    janus.admin = lambda request, **body: janus.message(janus.plugin, {"request": request, "admin_key": KEY, **body}, event=False)
    janus.people = lambda room: janus.message(janus.plugin, {"request": "listparticipants", "room": room}, event=False)["participants"]
    yield janus
    janus.close()


@pytest.fixture
def hall(door, gid):
    assert door.admin("create", room=gid, description="Hall", secret="s3cret")["audiobridge"] == "created"
    return gid


@pytest.fixture
def radios(guarded, hall):
    devices = [Device(guarded, hall, uid) for uid in (1, 2)]
    yield devices
    for device in devices:
        device.close()


def told(device, **words):
    """Waits until a device was told something."""
    said = lambda: any(all(e.get(k) == v for k, v in words.items()) for e in device.janus.of(device.handle))
    wait_for(said, 5, f"{words} to {device.uid}")


@pytest.mark.parametrize("proof, expected", [
    ({}, 403), ({"apisecret": "open"}, 403), ({"token": "blue"}, 403), ({"apisecret": "shut", "token": "blue"}, 403),
    ({"apisecret": "open", "token": "green"}, 403), ({"apisecret": 7, "token": "blue"}, 403), ({"apisecret": "open", "token": ["blue"]}, 403),
    ({"apisecret": "open", "token": "red"}, None), ({"apisecret": "open", "token": "blue"}, None),
])
def test_the_api_secret_and_a_token_are_asked_for(guarded, proof, expected):
    with connect(guarded.address["media"]["janus"], subprotocols=["janus-protocol"]) as client:
        for request in ("info", "ping"):
            client.send(json.dumps({"janus": request, "transaction": "a"}))
            assert "error" not in json.loads(client.recv(5)), "who is there is told to everybody"
        client.send(json.dumps({"janus": "create", "transaction": "b", **proof}))
        answer = json.loads(client.recv(5))
        assert answer["transaction"] == "b" and answer.get("error", {}).get("code") == expected
        if expected:
            return
        # Not only the first request says who it is.
        client.send(json.dumps({"janus": "keepalive", "session_id": answer["data"]["id"], "transaction": "c"}))
        assert json.loads(client.recv(5))["error"]["code"] == 403


def test_who_is_kicked_is_out_and_the_others_know(door, hall, radios):
    first, second = radios
    assert first.floor("request")["state"] == "granted"
    assert door.admin("kick", room=hall, id=1)["audiobridge"] == "success"
    told(first, kicked=1)
    told(second, kicked=1)
    second.wait_floor("idle")
    assert first.floor("request")["error_code"] == 487 and [p["id"] for p in door.people(hall)] == [2]
    assert door.admin("kick", room=hall, id=1)["error_code"] == 492
    assert first.janus.message(first.handle, {"request": "join", "room": hall, "id": 1})["audiobridge"] == "joined"
    assert door.admin("kick_all", room=hall)["audiobridge"] == "success"
    told(second, kicked=2)
    assert door.people(hall) == [] and door.message(door.plugin, {"request": "exists", "room": hall}, event=False)["exists"] is True


def test_who_is_muted_loses_the_floor_until_unmuted(door, hall, radios):
    first, second = radios
    assert first.floor("request")["state"] == "granted"
    assert door.admin("mute", room=hall, id=1)["audiobridge"] == "success"
    first.wait_floor("revoked")
    second.wait_floor("idle")
    assert first.floor("request")["state"] == "denied"
    assert second.floor("request")["state"] == "granted", "the others are free"
    assert second.floor("release")["state"] == "idle"
    granted = len([e for e in first.floor_events() if e["state"] == "granted"])
    assert door.admin("unmute", room=hall, id=1)["audiobridge"] == "success"
    assert first.floor("position")["position"] is None, "it does not wait either"
    assert len([e for e in first.floor_events() if e["state"] == "granted"]) == granted, "to be unmuted grants nothing"
    assert first.floor("request")["state"] == "granted"
    assert [door.admin(r, room=hall, id=9)["error_code"] for r in ("mute", "unmute", "suspend", "resume")] == [492] * 4


def test_a_muted_room_is_silent_for_newcomers_too(guarded, door, hall, radios):
    assert door.admin("mute_room", room=hall)["audiobridge"] == "success"
    late = Device(guarded, hall, 3)
    assert [d.floor("request")["state"] for d in (*radios, late)] == ["denied"] * 3
    assert door.admin("unmute_room", room=hall)["audiobridge"] == "success"
    assert late.floor("request")["state"] == "granted"
    late.close()


def test_who_is_suspended_hears_nothing_until_resumed(door, hall, radios, speech):
    talker, listener = radios
    assert talker.floor("request")["state"] == "granted"
    for request, heard in (("suspend", 0), ("resume", 5)):
        assert door.admin(request, room=hall, id=2)["audiobridge"] == "success"
        assert {p["id"]: p["suspended"] for p in door.people(hall)} == {1: False, 2: request == "suspend"}
        talker.talk(speech[:5])
        assert len(listener.receive(0.2, heard)[0]) == heard, request


def test_a_room_may_ask_for_tokens_of_its_own(guarded, door, hall):
    visitor = Device(guarded, hall, 5, join=False)
    join = {"request": "join", "room": hall, "id": 5}
    enter = lambda **more: visitor.janus.message(visitor.handle, {**join, **more}).get("error_code")
    leave = lambda: visitor.janus.message(visitor.handle, {"request": "leave"})["audiobridge"]
    assert door.admin("allowed", room=hall, action="enable")["allowed"] == []
    assert [enter(), enter(token="t1")] == [489, 489]
    assert door.admin("allowed", room=hall, action="add", allowed=["t1", "t2"])["allowed"] == ["t1", "t2"]
    assert [enter(), enter(token="t3"), enter(token="t2"), leave()] == [489, 489, None, "left"]
    assert door.admin("allowed", room=hall, action="remove", allowed=["t2"])["allowed"] == ["t1"]
    assert [enter(token="t2"), enter(token="t1"), leave()] == [489, None, "left"]
    assert door.admin("allowed", room=hall, action="disable")["audiobridge"] == "success"
    assert enter() is None
    assert [door.admin("allowed", room=hall, action=a, allowed=t)["error_code"] for a, t in (("open", []), ("add", "t1"), ("add", [1]))] == [484] * 3
    visitor.close()


def test_a_room_is_edited_and_destroyed_with_the_right_proof_only(guarded, door, hall, radios):
    ask = lambda request, **body: door.message(door.plugin, {"request": request, "room": hall, **body}, event=False)
    for request in ("edit", "destroy", "kick_all", "mute_room", "suspend"):
        for wrong in ({"secret": "wrong"}, {"admin_key": "wrong"}, {"admin_key": "s3cret"}):
            assert ask(request, id=1, new_description="Theirs", **wrong)["error_code"] == 489, request
    assert len(door.people(hall)) == 2
    edited = ask("edit", secret="s3cret", new_description="Ours")
    assert edited["audiobridge"] == "edited" and edited["room"] == hall
    rooms = door.message(door.plugin, {"request": "list"}, event=False)["list"]
    assert [r["description"] for r in rooms if r["room"] == hall] == ["Ours"]
    assert ask("destroy", secret="s3cret")["audiobridge"] == "destroyed"
    for radio in radios:
        told(radio, audiobridge="destroyed")
    assert door.admin("destroy", room=hall)["error_code"] == 485 and door.admin("edit", room=hall, new_description="Gone")["error_code"] == 485
