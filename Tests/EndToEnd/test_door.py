"""Door A: the Janus API by its documentation, and what it says of bad requests (DEVICES.md, "A. Janus API")."""
import json, socket, struct, time, hmac, hashlib, os, zlib

import pytest, requests
from websockets.sync.client import connect
from websockets.exceptions import WebSocketException

from harness import Device, Janus, wait_for


@pytest.fixture
def janus(stack):
    client = Janus(stack.address["media"]["janus"])
    yield client
    client.close()


def test_info_ping_keepalive_and_the_end_of_a_session(janus):
    assert janus.ask({"janus": "ping"})["janus"] == "pong"
    info = janus.ask({"janus": "info"})
    assert info["janus"] == "server_info" and "janus.plugin.audiobridge" in info["plugins"]
    assert janus.ask({"janus": "keepalive"})["janus"] == "ack"
    handle = janus.attach()
    assert janus.ask({"janus": "detach", "handle_id": handle})["janus"] == "success"
    assert janus.ask({"janus": "detach", "handle_id": handle})["error"]["code"] == 459
    assert janus.ask({"janus": "destroy"})["janus"] == "success"
    assert janus.ask({"janus": "keepalive"})["error"]["code"] == 458


@pytest.mark.parametrize("text, expected", [
    ("{", 454), ("[]", 455), ('{"janus":"create"}', 456), ('{"transaction":"a"}', 456), ('{"janus":"dance","transaction":"a"}', 453),
    ('{"janus":"keepalive","transaction":"a"}', 456), ('{"janus":"keepalive","transaction":"a","session_id":12345}', 458),
    ('{"janus":"create","transaction":7}', 467), ('{"janus":"keepalive","transaction":"a","session_id":"x"}', 467), ("[" * 5000, 454),
])
def test_core_errors(stack, text, expected):
    with connect(stack.address["media"]["janus"], subprotocols=["janus-protocol"]) as client:
        client.send(" \n" + text + "\n ")
        assert json.loads(client.recv(5))["error"]["code"] == expected


@pytest.mark.parametrize("body, expected", [
    ({}, 483), ({"request": "dance"}, 482), ({"request": "join"}, 483), ({"request": "join", "room": "x"}, 484),
    ({"request": "join", "room": 987654321, "id": 5}, 485), ({"request": "configure", "muted": True}, 487), ({"request": "leave"}, 487),
    ({"request": "rtp_forward", "room": 1}, 483), ({"request": "play_file", "room": 1}, 483), ({"request": "enable_recording", "room": 1}, 482),
    ({"request": "destroy", "room": 1}, 489), ({"request": "listparticipants", "room": 987654321}, 485),
    ({"request": "floor", "action": "sing"}, 484), ({"request": "join", "room": 1, "id": 1, "rtp": {"ip": "127.0.0.1"}}, 483),
    ({"request": "join", "room": 1, "id": 1, "rtp": {"ip": "nowhere", "port": 5}}, 484),
])
def test_plugin_errors(janus, body, expected):
    assert janus.message(janus.attach(), body)["error_code"] == expected


def test_what_is_asked_of_recordings_says_where_they_are(janus, room):
    for request in ("enable_recording", "enable_mjrs"):
        answer = janus.message(janus.attach(), {"request": request, "room": room, "record": True, "mjrs": True})
        assert answer["error_code"] == 482 and request in answer["error"]
        assert "always recorded" in answer["error"] and "/v1/talks" in answer["error"]


@pytest.mark.parametrize("jsep, expected", [
    ("text", 467), ({}, 456), ({"type": 5}, 467), ({"type": "rollback", "sdp": ""}, 464), ({"type": "offer"}, 456), ({"type": "offer", "sdp": 5}, 467),
    ({"type": "offer", "sdp": "nonsense"}, 465), ({"type": "answer", "sdp": "v=0"}, 465),
])
def test_a_jsep_that_is_none(janus, room, jsep, expected):
    answer = janus.ask({"janus": "message", "handle_id": janus.attach(), "body": {"request": "join", "room": room, "id": 1}, "jsep": jsep})
    assert answer["error"]["code"] == expected


@pytest.mark.parametrize("door", ["janus", "feed"])
def test_a_frame_that_claims_to_be_endless_ends_its_connection_only(stack, janus, door):
    url = stack.address["media"]["janus"] if door == "janus" else stack.address["bo"].replace("http", "ws") + "/v1/events?dispatcher_id=1"
    with connect(url, subprotocols=["janus-protocol"] if door == "janus" else None) as client:
        mask = b"\0\0\0\0"
        client.socket.sendall(b"\x02\x81" + mask + b"x" + b"\x00\xff" + struct.pack("!Q", 2**63 - 1) + mask + bytes(8192))
        with pytest.raises((WebSocketException, OSError, TimeoutError)):
            while True:
                client.recv(2)
    assert janus.ask({"janus": "ping"})["janus"] == "pong"
    assert requests.get(stack.address["bo"] + "/healthz", timeout=5).status_code == 200


def test_trickle_is_taken_note_of(janus):
    assert janus.ask({"janus": "trickle", "handle_id": janus.attach(), "candidate": {"completed": True}})["janus"] == "ack"


def test_lists_and_existence(stack, janus, room):
    handle = janus.attach()
    assert janus.message(handle, {"request": "exists", "room": room})["exists"] is True
    assert janus.message(handle, {"request": "exists", "room": room + 1 if room < 2**53 - 1 else 1})["exists"] is False
    device = Device(stack, room, 5, display="Anna")
    assert [r for r in janus.message(handle, {"request": "list"})["list"] if r["room"] == room][0]["num_participants"] == 1
    people = janus.message(handle, {"request": "listparticipants", "room": room})["participants"]
    assert [(p["id"], p["display"], p["muted"]) for p in people] == [(5, "Anna", True)]
    device.close()


def test_others_are_told_of_joins_and_leaves(stack, room):
    first, second = Device(stack, room, 1), Device(stack, room, 2)
    wait_for(lambda: any(e.get("participants", [{}])[0].get("id") == 2 for e in first.janus.of(first.handle) if e.get("participants")), 5, "joined")
    assert [p["id"] for p in second.joined["participants"]] == [1]
    assert second.janus.message(second.handle, {"request": "leave"})["audiobridge"] == "left"
    wait_for(lambda: any(e.get("leaving") == 2 for e in first.janus.of(first.handle)), 5, "leaving")
    assert first.janus.message(first.handle, {"request": "join", "room": room, "id": 9})["error_code"] == 491
    for device in (first, second):
        device.close()


def test_the_newest_join_of_a_user_wins(stack, room):
    old = Device(stack, room, 7)
    new = Device(stack, room, 7)
    wait_for(lambda: any(e.get("kicked") == 7 for e in old.janus.of(old.handle)), 5, "kicked")
    assert new.floor("request")["state"] == "granted"
    assert old.janus.message(old.handle, {"request": "floor", "action": "request"})["error_code"] == 487
    for device in (old, new):
        device.close()


def test_a_broken_socket_is_claimed(stack, room, speech):
    device, other = Device(stack, room, 8), Device(stack, room, 9)
    device.floor("request")
    session = device.janus.session
    device.janus.close()
    device.talk(speech[:10])
    assert len(other.receive(0.3, 10)[0]) == 10, "its floor stays while its RTP flows"
    back = Janus(stack.address["media"]["janus"])
    assert back.ask({"janus": "claim", "session_id": session})["janus"] == "success"
    answer = back.ask({"janus": "message", "session_id": session, "handle_id": device.handle, "body": {"request": "floor", "action": "release"}}, True)
    assert answer["plugindata"]["data"]["state"] == "idle"
    back.close()
    other.close()


def test_changeroom_takes_the_transport_along(stack, bus, room, gid, speech):
    second = room // 2 + 1
    assert bus.signal(1, {"gid": second, "group_name": "Second", "dispatcher_id": 7})["signal_msg"]["res"]["code"] == 0
    mover, listener = Device(stack, room, 3), Device(stack, second, 4)
    answer = mover.janus.message(mover.handle, {"request": "changeroom", "room": second, "id": 3})
    assert answer["audiobridge"] == "roomchanged" and answer["room"] == second and [p["id"] for p in answer["participants"]] == [4]
    assert mover.floor("request")["state"] == "granted"
    mover.talk(speech[:10])
    assert len(listener.receive(0.3, 10)[0]) == 10
    for device in (mover, listener):
        device.close()


def pipelined(janus, handle, *bodies):
    """Sends requests without waiting, and gives their answers."""
    sent = [janus.send({"janus": "message", "handle_id": handle, "body": body}) for body in bodies]

    def answer(transaction):
        found = [a for a in janus.answers.get(transaction, []) if a["janus"] != "ack"]
        return found[0]["plugindata"]["data"] if found else None
    return [wait_for(lambda: answer(one), 5, f"answer to {body}") for one, body in zip(sent, bodies)]


def test_what_comes_before_a_join_is_answered_waits_for_it(stack, bus, room, gid, janus):
    second = room // 2 + 1
    assert bus.signal(1, {"gid": second, "group_name": "Second", "dispatcher_id": 7})["signal_msg"]["res"]["code"] == 0
    handle, join = janus.attach(), {"request": "join", "room": room, "id": 7}
    answers = pipelined(janus, handle, join, {"request": "configure", "display": "Anna"}, join, {"request": "floor", "action": "request"},
                        {**join, "request": "changeroom", "room": second}, {"request": "leave"}, join)
    assert [a["audiobridge"] for a in answers] == ["joined", "event", "event", "floor", "roomchanged", "left", "joined"]
    assert answers[1]["result"] == "ok" and answers[2]["error_code"] == 491 and answers[3]["state"] == "granted" and answers[5]["room"] == second
    people = {one: janus.message(handle, {"request": "listparticipants", "room": one})["participants"] for one in (room, second)}
    assert [p["id"] for p in people[room]] == [7] and people[second] == []


def test_too_much_that_waits_is_refused(janus, room):
    handle = janus.attach()
    answers = pipelined(janus, handle, {"request": "join", "room": room, "id": 7}, *[{"request": "configure", "display": "A"}] * 200)
    refused = [a for a in answers if "error_code" in a]
    assert answers[0]["audiobridge"] == "joined" and all(a["error_code"] == 499 and "wait" in a["error"] for a in refused)
    assert janus.message(handle, {"request": "leave"})["audiobridge"] == "left"


def test_a_handle_without_media_may_join_again(stack, room):
    device, other = Device(stack, room, 8), Device(stack, room, 9)
    assert device.janus.ask({"janus": "hangup", "handle_id": device.handle})["janus"] == "success"
    wait_for(lambda: any(e.get("leaving") == 8 for e in other.janus.of(other.handle)), 5, "leaving")
    assert device.floor("request")["error_code"] == 487
    assert device.janus.message(device.handle, {"request": "join", "room": room, "id": 8})["audiobridge"] == "joined"
    for one in (device, other):
        one.close()


def test_a_radio_that_ends_its_stream_gives_the_floor_back(stack, room, speech):
    radio, other = Device(stack, room, 8), Device(stack, room, 9)
    radio.floor("request")
    radio.talk(speech[:10])
    radio.send(struct.pack("!BBHI", 0x80, 201, 1, radio.ssrc) + struct.pack("!BBHI", 0x81, 203, 1, radio.ssrc))
    other.wait_floor("idle", 1)
    for one in (radio, other):
        one.close()


def stun(username, password):
    """A binding request by RFC 8489, made here and not by the server's code."""
    transaction = os.urandom(12)
    name = username.encode()
    attributes = struct.pack("!HH", 6, len(name)) + name + b"\0" * (-len(name) % 4)
    head = lambda size: struct.pack("!HHI", 1, size, 0x2112A442) + transaction
    digest = hmac.new(password.encode(), head(len(attributes) + 24) + attributes, hashlib.sha1).digest()
    attributes += struct.pack("!HH", 8, 20) + digest
    crc = zlib.crc32(head(len(attributes) + 8) + attributes) ^ 0x5354554E
    return head(len(attributes) + 8) + attributes + struct.pack("!HHI", 0x8028, 4, crc)


def test_a_stun_binding_moves_the_address(stack, room, speech):
    talker, roamer = Device(stack, room, 1), Device(stack, room, 2)
    latch = roamer.joined["rtp"]["latch"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.settimeout(2)
        elsewhere.sendto(stun(latch["username"], "wrong"), roamer.server)
        elsewhere.sendto(stun(latch["username"], latch["password"]), roamer.server)
        answer = elsewhere.recv(2048)
        assert answer[:2] == b"\x01\x01"
        talker.floor("request")
        talker.talk(speech[:5])
        assert elsewhere.recv(2048)[12:] == speech[0]
        assert roamer.receive(0.2)[0] == []
    for device in (talker, roamer):
        device.close()


def test_an_address_in_use_or_impossible_is_refused(stack, room):
    first = Device(stack, room, 1)
    port = first.socket.getsockname()[1]
    handle = first.janus.attach()
    for ip, number in (("127.0.0.1", port), ("224.0.0.1", 5000), ("255.255.255.255", 5000), ("0.0.0.0", 5000), first.server):
        body = {"request": "join", "room": room, "id": 2, "rtp": {"ip": ip, "port": number}}
        assert first.janus.message(handle, body)["error_code"] == 484, ip
    first.close()


def test_garbage_floods_and_forged_sources_disturb_nobody(stack, room, speech):
    talker, listener, flooder = Device(stack, room, 1), Device(stack, room, 2), Device(stack, room, 3)
    talker.floor("request")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for index, payload in enumerate(speech[:100]):
        talker.talk([payload])
        for _ in range(20):
            flooder.send(flooder.packet(payload))
            stranger.sendto(os.urandom(1 + (index * 7) % 200), talker.server)
        stranger.sendto(talker.packet(payload)[:12] + b"forged", talker.server)
        flooder.send(os.urandom(40))
        flooder.send(b"\x80\xc8\x00\xff" + os.urandom(8))
    heard, _ = listener.receive(0.5, 100)
    assert [p[12:] for p in heard] == speech[:100]
    stranger.close()
    for device in (talker, listener, flooder):
        device.close()


def test_a_foreign_origin_is_refused(stack):
    with pytest.raises(WebSocketException):
        connect(stack.address["media"]["janus"], subprotocols=["janus-protocol"], origin="https://evil.example")
