"""AudioBridge's administration with a key: forwarders, announcements, open rooms through the door (DEVICES.md, "A. Janus API")."""
import base64, json, os, socket, struct, subprocess, threading, time

import pytest

import voice
from harness import Bus, Device, Janus, Stack, code, wait_for
from peer import level, tone
from test_srtp import session

KEY = "let-me-in"


@pytest.fixture(scope="module")
def admin(request, tmp_path_factory, broker, kafka):
    """A stack whose door may administrate; on the embedded broker whatever the session's is."""
    directory = tmp_path_factory.mktemp("admin")
    sounds = directory / "sounds"
    sounds.mkdir()
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=440:d=1", "-c:a", "libopus", "-b:a", "24k", sounds / "gong.opus"], check=True)
    (sounds / "noise.opus").write_bytes(os.urandom(4000))
    stack = Stack(request.config.getoption("--bin"), directory, environment={
        "TALKBURST_JANUS_ADMIN_KEY": KEY, "TALKBURST_JANUS_ANNOUNCEMENTS": str(sounds), "TALKBURST_MEDIA_SHARE_FROM": "1"})
    yield stack
    assert stack.stop() == 0


@pytest.fixture
def door(admin):
    janus = Janus(admin.address["media"]["janus"])
    janus.plugin = janus.attach()
    janus.admin = lambda body: janus.message(janus.plugin, {**body, "admin_key": KEY}, event=False)
    yield janus
    janus.close()


@pytest.fixture
def hall(door, gid):
    assert door.admin({"request": "create", "room": gid, "description": "Hall"})["audiobridge"] == "created"
    return gid


def listener():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.3)
    return sock


def drain(sock):
    found = []
    while True:
        try:
            found.append(sock.recv(2048))
        except TimeoutError:
            return found


def test_a_room_is_forwarded_plain_and_encrypted(admin, door, hall, speech):
    plain, secure, talker = listener(), listener(), Device(admin, hall, 1)
    key = os.urandom(28)
    first = door.admin({"request": "rtp_forward", "room": hall, "host": "127.0.0.1", "port": plain.getsockname()[1], "ptype": 111, "ssrc": 77})
    assert first["audiobridge"] == "success" and first["stream_id"] > 0 and first["host"] == "127.0.0.1"
    second = door.admin({"request": "rtp_forward", "room": hall, "host": "127.0.0.1", "port": secure.getsockname()[1],
                         "srtp_suite": "AEAD_AES_128_GCM", "srtp_crypto": base64.b64encode(key).decode()})
    streams = door.admin({"request": "listforwarders", "room": hall})["rtp_forwarders"]
    assert {s["stream_id"] for s in streams} == {first["stream_id"], second["stream_id"]} and sorted(s["srtp"] for s in streams) == [False, True]
    assert talker.floor("request")["state"] == "granted"
    talker.talk(speech[:25])
    heard = drain(plain)
    assert [p[12:] for p in heard] == speech[:25] and {p[1] & 0x7F for p in heard} == {111}
    assert {p[8:12] for p in heard} == {struct.pack("!I", 77)}
    inbound = session("AEAD_AES_128_GCM", key, True)
    assert [inbound.unprotect(p)[12:] for p in drain(secure)] == speech[:25]
    assert door.admin({"request": "stop_rtp_forward", "room": hall, "stream_id": first["stream_id"]})["audiobridge"] == "success"
    assert door.admin({"request": "stop_rtp_forward", "room": hall, "stream_id": first["stream_id"]})["error_code"] == 492
    talker.talk(speech[:5])
    assert drain(plain) == [] and len(drain(secure)) == 5
    talker.close()


def test_an_open_rooms_mix_is_forwarded_plain_and_encrypted(admin, door, gid):
    assert door.admin({"request": "create", "room": gid, "description": "Open", "mode": "open"})["audiobridge"] == "created"
    sockets, key = (listener(), listener()), os.urandom(28)
    for sock, more in zip(sockets, ({}, {"srtp_suite": "AEAD_AES_128_GCM", "srtp_crypto": base64.b64encode(key).decode()})):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        asked = {"request": "rtp_forward", "room": gid, "host": "127.0.0.1", "port": sock.getsockname()[1], **more}
        assert door.admin(asked)["audiobridge"] == "success"
    talkers = [Device(admin, gid, uid, floor=False) for uid in (1, 2)]
    work = [threading.Thread(target=talker.talk, args=[voice.encode(tone(2.0, frequency))]) for talker, frequency in zip(talkers, (440, 1_000))]
    for one in work:
        one.start()
    for one in work:
        one.join()
    inbound = session("AEAD_AES_128_GCM", key, True)
    plain, secure = drain(sockets[0]), [inbound.unprotect(p) for p in drain(sockets[1])]
    assert len(plain) > 80 and [p[12:] for p in plain] == [p[12:] for p in secure]
    heard = voice.decode([p[12:] for p in plain])[24_000:72_000]
    assert level(heard, 440) > 2_000 and level(heard, 1_000) > 2_000 and level(heard, 700) < 200, "both, and nothing else"
    for talker in talkers:
        talker.close()


@pytest.mark.parametrize("body, expected", [
    ({"request": "rtp_forward", "port": 5}, 483), ({"request": "rtp_forward", "host": "nowhere", "port": 5}, 484), ({"request": "rtp_forward", "host": "127.0.0.1"}, 483),
    ({"request": "rtp_forward", "host": "224.0.0.1", "port": 5}, 484), ({"request": "rtp_forward", "host": "127.0.0.1", "port": 5, "srtp_suite": 80}, 483),
    ({"request": "rtp_forward", "host": "127.0.0.1", "port": 5, "srtp_suite": 32, "srtp_crypto": "AAAA"}, 484),
    ({"request": "rtp_forward", "host": "127.0.0.1", "port": 5, "codec": "pcmu"}, 484), ({"request": "stop_rtp_forward"}, 483),
    ({"request": "play_file", "filename": "../secret"}, 484), ({"request": "play_file", "filename": "/etc/passwd"}, 484), ({"request": "play_file"}, 483),
    ({"request": "play_file", "filename": "nothing.opus"}, 492), ({"request": "play_file", "filename": "noise.opus"}, 484), ({"request": "stop_file", "file_id": "x"}, 492),
])
def test_wrong_requests_are_told(door, hall, body, expected):
    assert door.admin({**body, "room": hall})["error_code"] == expected
    assert door.message(door.plugin, {**body, "room": hall, "admin_key": "wrong"}, event=False)["error_code"] in (483, 484, 489)


def test_an_announcement_is_heard_and_gives_way_to_who_talks(admin, door, hall, speech):
    radio, other = Device(admin, hall, 1), Device(admin, hall, 2)
    assert door.admin({"request": "play_file", "room": hall, "filename": "gong.opus", "file_id": "gong"})["file_id"] == "gong"
    assert door.admin({"request": "is_playing", "room": hall, "file_id": "gong"})["playing"] is True
    time.sleep(1.4)
    heard, _ = radio.receive(0.2)
    assert 48 <= len(heard) <= 53
    words = [e["audiobridge"] for e in radio.janus.of(radio.handle) if e.get("file_id") == "gong"]
    assert words == ["announcement-started", "announcement-stopped"]
    assert door.admin({"request": "play_file", "room": hall, "filename": "gong.opus", "loop": True, "file_id": "loop"})["file_id"] == "loop"
    time.sleep(0.2)
    assert other.floor("request")["state"] == "granted"
    radio.receive(0.1)
    other.talk(speech[:25])
    payloads = [p[12:] for p in radio.receive(0.1)[0]]
    assert [p for p in payloads if p in speech[:25]] == speech[:25] and len(payloads) <= 27
    other.floor("release")
    assert len(radio.receive(0.5)[0]) > 15
    assert door.admin({"request": "stop_file", "room": hall, "file_id": "loop"})["audiobridge"] == "success"
    for device in (radio, other):
        device.close()


def test_announcements_wait_for_each_other(admin, door, hall):
    radio = Device(admin, hall, 1)
    for name in ("first", "second", "third"):
        assert door.admin({"request": "play_file", "room": hall, "filename": "gong.opus", "file_id": name})["file_id"] == name
    playing = lambda name: door.admin({"request": "is_playing", "room": hall, "file_id": name})["playing"]
    assert [playing(name) for name in ("first", "second", "third")] == [True, False, False]
    assert door.admin({"request": "play_file", "room": hall, "filename": "gong.opus", "file_id": "second"})["error_code"] == 490
    assert door.admin({"request": "stop_file", "room": hall, "file_id": "second"})["audiobridge"] == "success"
    wait_for(lambda: any(e.get("file_id") == "third" and e["audiobridge"] == "announcement-stopped" for e in radio.janus.of(radio.handle)), 5, "the end")
    told = [(e["audiobridge"].removeprefix("announcement-"), e["file_id"]) for e in radio.janus.of(radio.handle) if "file_id" in e]
    assert told == [(what, name) for name in ("first", "third") for what in ("started", "stopped")]
    heard, _ = radio.receive(0.2)
    assert 98 <= len(heard) <= 104 and sum(p[1] >> 7 for p in heard) == 2, "two bursts of a second each"
    numbers = [struct.unpack_from("!HI", p, 2) for p in heard]
    assert all(b[0] == (a[0] + 1) % 65536 and 0 < (b[1] - a[1]) % 2**32 < 48_000 for a, b in zip(numbers, numbers[1:]))
    radio.close()


def test_an_open_room_is_made_through_the_door_and_hears_announcements(admin, door, gid):
    assert door.admin({"request": "create", "room": gid, "mode": "open"})["audiobridge"] == "created"
    radio = Device(admin, gid, 1, floor=False)
    door.admin({"request": "play_file", "room": gid, "filename": "gong.opus"})
    time.sleep(1.3)
    assert 30 <= len(radio.receive(0.2)[0]) <= 80
    radio.close()


def ask(door, body):
    """An administrator's request by the room's secret: without the admin key."""
    return door.message(door.plugin, body, event=False)


def test_a_rooms_secret_administers_it_and_its_pin_lets_people_in(admin, door, gid, speech):
    assert ask(door, {"request": "create", "room": gid, "secret": "s3cret"})["error_code"] == 489, "making rooms is for the admin key"
    made = door.admin({"request": "create", "room": gid, "description": "Vault", "secret": "s3cret", "pin": "4711"})
    assert made["audiobridge"] == "created"
    assert door.admin({"request": "create", "room": gid, "description": "Vault", "secret": "mine"})["error_code"] == 486
    assert [r for r in door.message(door.plugin, {"request": "list"}, event=False)["list"] if r["room"] == gid][0]["pin_required"] is True
    # The PIN, at a join and at a change of rooms.
    join = {"request": "join", "room": gid, "id": 1}
    assert [door.message(door.plugin, {**join, **pin})["error_code"] for pin in ({}, {"pin": "4712"}, {"pin": 4711}, {"secret": "s3cret"})] == [483, 489, 484, 483]
    radio, other = Device(admin, gid, 1, pin="4711"), Device(admin, gid, 2, pin="4711")
    open_room = gid // 2 + 1
    assert door.admin({"request": "create", "room": open_room})["audiobridge"] == "created"
    roamer = Device(admin, open_room, 3)
    change = {"request": "changeroom", "room": gid, "id": 3}
    assert [roamer.janus.message(roamer.handle, {**change, **pin}).get("error_code") for pin in ({}, {"pin": "no"}, {"pin": "4711"})] == [483, 489, None]
    # The secret: wrong, missing, another room's, of no room.
    kick = {"request": "kick", "room": gid, "id": 2}
    assert [ask(door, {**kick, **proof})["error_code"] for proof in ({"secret": "wrong"}, {}, {"secret": ""}, {"secret": 5}, {"admin_key": "s3cret"})] == [489, 483, 489, 484, 489]
    assert ask(door, {"request": "kick", "room": open_room, "id": 3, "secret": "s3cret"})["error_code"] == 489
    assert ask(door, {"request": "kick", "room": gid // 3 + 1, "id": 3, "secret": "s3cret"})["error_code"] == 485
    # And right: everything that administers this room.
    proof = {"room": gid, "secret": "s3cret"}
    assert ask(door, {"request": "mute", "id": 1, **proof})["audiobridge"] == "success"
    assert radio.floor("request")["state"] == "denied"
    assert ask(door, {"request": "unmute", "id": 1, **proof})["audiobridge"] == "success"
    assert radio.floor("request")["state"] == "granted"
    sink = listener()
    stream = ask(door, {"request": "rtp_forward", "host": "127.0.0.1", "port": sink.getsockname()[1], **proof})["stream_id"]
    radio.talk(speech[:5])
    assert len(drain(sink)) == 5
    assert [s["stream_id"] for s in ask(door, {"request": "listforwarders", **proof})["rtp_forwarders"]] == [stream]
    assert ask(door, {"request": "kick", "id": 2, **proof})["audiobridge"] == "success"
    wait_for(lambda: any(e.get("kicked") == 2 for e in other.janus.of(other.handle)), 5, "kicked")
    assert ask(door, {"request": "kick", "id": 2, **proof})["error_code"] == 492
    assert {p["id"] for p in door.message(door.plugin, {"request": "listparticipants", "room": gid}, event=False)["participants"]} == {1, 3}
    # Both are changed, and the old ones are nothing any more.
    assert ask(door, {"request": "edit", "new_secret": "n3w", "new_pin": "", "new_description": "Hall", **proof})["audiobridge"] == "edited"
    assert ask(door, {"request": "kick", "id": 1, **proof})["error_code"] == 489
    Device(admin, gid, 4).close()
    assert ask(door, {"request": "destroy", "room": gid, "secret": "n3w"})["audiobridge"] == "destroyed"
    assert ask(door, {"request": "destroy", "room": gid, "secret": "n3w"})["error_code"] == 485
    sink.close()
    for device in (radio, other, roamer):
        device.close()


def test_secrets_are_kept_hashed_and_survive_a_restart(admin, door, gid):
    assert door.admin({"request": "create", "room": gid, "secret": "open sesame", "pin": "8642097531"})["audiobridge"] == "created"
    bus = Bus(admin.address["kafka"])
    record = wait_for(lambda: [m for m in bus.of("ptt.rooms") if m.key() == str(gid).encode()], 10, "the room's record")[-1].value()
    assert json.loads(record)["secret"].startswith("sha256$") and json.loads(record)["secret"] != json.loads(record)["pin"]
    admin.kill("media-service")
    admin.ready("media-service")
    again = wait_for(lambda: back(admin, gid), 20, "the room again")
    assert [again.message(again.plugin, {"request": "join", "room": gid, "id": 1, **pin}).get("error_code") for pin in ({}, {"pin": "1"}, {"pin": "8642097531"})] == [483, 489, None]
    assert ask(again, {"request": "kick_all", "room": gid, "secret": "wrong"})["error_code"] == 489
    assert ask(again, {"request": "kick_all", "room": gid, "secret": "open sesame"})["audiobridge"] == "success"
    # Neither is anywhere in clear: not on Kafka, not in a log.
    bus.stop()
    assert not bus.invalid
    said = b"".join(m.value() or b"" for m in bus.records) + b"".join(p.read_bytes() for p in (admin.directory / "log").glob("*.log"))
    assert b"open sesame" not in said and b"8642097531" not in said
    again.close()


def back(stack, room):
    """A client of a service that was restarted, where it serves the room again."""
    try:
        janus = Janus(stack.address["media"]["janus"])
    except OSError:
        return None
    janus.plugin = janus.attach()
    if janus.message(janus.plugin, {"request": "exists", "room": room}, event=False).get("exists"):
        return janus
    janus.close()
    return None


def test_100_000_half_open_sessions_cost_little_and_honest_clients_get_in(admin, door, hall):
    """Joins that bring an offer and never come: one WebSocket may hold so many handles that it is refused, and memory stays small."""
    pid = admin.pid("media-service")
    memory = lambda: int(next(l for l in open(f"/proc/{pid}/status") if l.startswith("VmRSS")).split()[1])
    sdp = "\r\n".join(["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=ice-ufrag:abcd",
                       "a=ice-pwd:0123456789012345678901", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass", "a=rtcp-mux",
                       "a=rtpmap:111 opus/48000/2", ""])
    before, count = memory(), 2_000
    for index in range(count):
        handle = door.attach()
        door.send({"janus": "message", "handle_id": handle, "body": {"request": "join", "room": hall, "id": 1000 + index, "events": "none"},
                   "jsep": {"type": "offer", "sdp": sdp}})
    wait_for(lambda: sum(1 for e in door.events if "jsep" in e) >= count, 60, "all answers")
    each = (memory() - before) / count
    assert each < 16, f"a half-open session costs {each:.1f} kB"
    # Datagrams from nowhere, STUN under no name, DTLS without a check: nothing is made of them.
    port = int(admin.address["media"]["rtp"].split(":")[1])
    stranger, before = listener(), memory()
    for index in range(100_000):
        stranger.sendto((b"\x00\x01\x00\x00\x21\x12\xa4\x42" + index.to_bytes(12, "big")) if index % 2 else b"\x16\xfe\xfd" + index.to_bytes(60, "big"), ("127.0.0.1", port))
    assert memory() - before < 8_000, "kB"
    radio = Device(admin, hall, 1)
    assert radio.floor("request")["state"] == "granted"
    radio.close()


def test_who_changes_its_address_in_the_middle_of_a_talk_goes_on(admin, door, hall, speech):
    from test_door import stun
    talker, other = Device(admin, hall, 1), Device(admin, hall, 2)
    assert talker.floor("request")["state"] == "granted"
    talker.talk(speech[:20])
    moved = listener()
    latch = talker.joined["rtp"]["latch"]
    moved.sendto(stun(latch["username"], latch["password"]), talker.server)
    assert moved.recv(200)[:2] == b"\x01\x01"
    talker.socket.close()
    talker.socket = moved
    talker.talk(speech[20:40])
    heard, _ = other.receive(0.3, 40)
    assert [p[12:] for p in heard] == speech[:40]
    for device in (talker, other):
        device.close()
