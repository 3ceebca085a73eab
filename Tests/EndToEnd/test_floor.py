"""Floor control over JSON and RTCP APP, and media, as devices see them (FLOOR.md, DEVICES.md)."""
import json, os, pathlib, shutil, struct, subprocess, time

import pytest

from harness import Device, Janus, code, wait_for


def mcpt(subtype, ssrc, fields=()):
    """An RTCP APP packet by 3GPP TS 24.380 §8.2, made here and not by the server's code."""
    data = b""
    for field, value in fields:
        data += bytes([field, len(value)]) + value
        data += b"\0" * (-len(data) % 4)
    body = struct.pack("!I", ssrc) + b"MCPT" + data
    return struct.pack("!BBH", 0x80 | subtype, 204, len(body) // 4) + body


def subtypes(datagrams):
    return [d[0] & 0x0F for d in datagrams if d[1] == 204 and d[8:12] == b"MCPT"]


def test_grant_taken_idle_and_the_talk_is_heard(stack, bus, room, speech):
    alice, bob = Device(stack, room, 1), Device(stack, room, 2)
    assert alice.floor("request")["state"] == "granted"
    taken = bob.wait_floor("taken")
    assert taken["holder"] == 1 and taken["display"] == "radio 1"
    alice.talk(speech[:50])
    rtp, _ = bob.receive(0.3, 50)
    assert len(rtp) == 50
    numbers = [struct.unpack("!H", p[2:4])[0] for p in rtp]
    assert all((b - a) & 0xFFFF == 1 for a, b in zip(numbers, numbers[1:]))
    assert [p[1] >> 7 for p in rtp] == [1] + [0] * 49, "the marker stands at the burst's start"
    assert [p[12:] for p in rtp] == speech[:50], "Opus is forwarded, not transcoded"
    assert {p[8:12] for p in rtp} == {struct.pack("!I", bob.joined["rtp"]["ssrc"])}
    alice.floor("release")
    assert bob.wait_floor("idle")
    # Bob talks now: for Alice, who did not hear herself, and for a third, numbers run on without a jump.
    assert bob.floor("request")["state"] == "granted"
    bob.talk(speech[:10])
    heard, _ = alice.receive(0.3, 10)
    assert len(heard) == 10 and heard[0][1] >> 7 == 1
    bob.floor("release")
    alice.floor("request")
    alice.talk(speech[:5])
    more, _ = bob.receive(0.3)
    assert struct.unpack("!H", more[0][2:4])[0] == (numbers[-1] + 1) & 0xFFFF, "Bob sees no gap where he talked himself"
    for device in (alice, bob):
        device.close()


def test_queue_denial_and_preemption_by_role_from_redis(stack, bus, room, speech):
    port = stack.address["redis"].split(":")[1]
    data = json.dumps({"gid": room, "group_name": "Test", "group_manager": [12], "group_owner": 11, "status": 1})
    subprocess.run(["redis-cli", "-p", port, "SET", f"grp:{room}:data", data], check=True, stdout=subprocess.DEVNULL)
    owner, manager, member, other = (Device(stack, room, uid) for uid in (11, 12, 13, 14))
    assert [d.joined["role"] for d in (owner, manager, member, other)] == [2, 1, 0, 0]
    assert member.floor("request")["state"] == "granted"
    assert (lambda e: (e["state"], e["position"]))(other.floor("request")) == ("queued", 1)
    assert other.floor("position")["position"] == 1
    assert other.floor("request", queue=False)["state"] in ("queued",)
    assert manager.floor("request")["state"] == "granted"
    assert member.wait_floor("revoked")["cause"] == 4
    assert owner.floor("request")["state"] == "granted"
    assert member.floor("request", queue=False) ["cause"] == 1
    owner.floor("release")
    assert other.wait_floor("granted")
    def status(uid):
        return subprocess.run(["redis-cli", "-p", port, "GET", f"usr:{uid}:stat"], capture_output=True, text=True).stdout.strip()

    wait_for(lambda: [status(uid) for uid in (11, 12, 13, 14)] == ["2"] * 4, 5, "all online")
    for device in (owner, manager, member, other):
        assert device.janus.message(device.handle, {"request": "leave"})["audiobridge"] == "left"
        device.close()
    wait_for(lambda: [status(uid) for uid in (11, 12, 13, 14)] == ["1"] * 4, 5, "all offline")


def test_stock_clients_talk_by_configure(stack, bus, room, speech):
    stock, other = Device(stack, room, 31, floor=False), Device(stack, room, 32, floor=False)
    assert stock.joined["participants"] == [] or all(p["muted"] for p in stock.joined["participants"])
    answer = stock.janus.message(stock.handle, {"request": "configure", "muted": False})
    assert answer["result"] == "ok"
    wait_for(lambda: any(e.get("audiobridge") == "talking" and e["id"] == 31 for e in other.janus.of(other.handle)), 5, "talking")
    wait_for(lambda: any(e.get("participants") == [{"id": 31, "muted": False}] for e in stock.janus.of(stock.handle)), 5, "unmuted")
    stock.talk(speech[:20])
    assert len(other.receive(0.3, 20)[0]) == 20
    assert other.janus.message(other.handle, {"request": "configure", "muted": False})["result"] == "ok"
    wait_for(lambda: any(e.get("participants") == [{"id": 32, "muted": True}] for e in other.janus.of(other.handle)), 5, "queued: muted")
    stock.janus.message(stock.handle, {"request": "configure", "muted": True})
    wait_for(lambda: any(e.get("audiobridge") == "stopped-talking" and e["id"] == 31 for e in other.janus.of(other.handle)), 5, "stopped")
    wait_for(lambda: any(e.get("participants") == [{"id": 32, "muted": False}] for e in other.janus.of(other.handle)), 5, "granted")
    for device in (stock, other):
        device.close()


def test_media_without_the_floor_is_not_heard(stack, bus, room, speech):
    alice, bob = Device(stack, room, 41), Device(stack, room, 42)
    alice.talk(speech[:20])
    assert bob.receive(0.3)[0] == []
    assert alice.wait_floor("revoked")["cause"] == 3
    assert bus.talks(41, room) == []
    for device in (alice, bob):
        device.close()


def test_to_be_told_off_is_no_answer_to_a_request(stack, room, speech):
    """Who talks a moment too soon is told so, and what they asked for meanwhile is answered all the same."""
    for uid in range(1, 21):
        radio = Device(stack, room, uid)
        radio.send(radio.packet(speech[0]))
        assert radio.floor("request")["state"] == "granted"
        assert radio.wait_floor("revoked")["cause"] == 3
        radio.floor("release")


def test_talking_too_long_is_cut_and_must_wait(stack, bus, gid, speech):
    assert code(bus.signal(1, {"gid": gid, "group_name": "Short", "dispatcher_id": 7, "options": {"t2_ms": 800, "t3_ms": 200, "t1_ms": 500}})) == 0
    device = Device(stack, gid, 51)
    assert device.floor("request")["state"] == "granted"
    device.talk(speech[:70])
    assert device.wait_floor("revoked")["cause"] == 2
    denied = device.floor("request")
    assert denied["state"] == "denied" and denied["cause"] == 4 and denied["retry_after_ms"] > 0
    talk = wait_for(lambda: bus.talks(51, gid), 5, "the talk")[0]
    assert 0.9 <= float(talk["duration"]) <= 1.15
    device.close()


def test_silence_releases_and_emergency_goes_first(stack, bus, gid, speech):
    assert code(bus.signal(1, {"gid": gid, "group_name": "T1", "dispatcher_id": 7, "options": {"t1_ms": 400}})) == 0
    alice, bob = Device(stack, gid, 61), Device(stack, gid, 62)
    alice.floor("request")
    alice.talk(speech[:10])
    bob.wait_floor("idle", 3)
    alice.floor("request")
    granted = bob.floor("emergency")
    assert granted["state"] == "granted" and granted["tier"] == "emergency"
    assert alice.wait_floor("revoked")["cause"] == 4
    wait_for(lambda: any(f["state"] == "emergency" and f["uid"] == 62 for f in bus.floor(gid)), 5, "the emergency event")
    wait_for(lambda: any(json.loads(m.value())["emergencies"] == [62] for m in bus.of("ptt.rooms") if m.value() and m.key() == str(gid).encode()),
             5, "the emergency in the room's record")
    assert code(bus.signal(6, {"gid": gid, "dispatcher_id": 7})) == 0
    wait_for(lambda: any(f["state"] == "cancelled" and f["uid"] == 62 for f in bus.floor(gid)), 5, "cancelled")
    for device in (alice, bob):
        device.close()


def test_floor_control_by_rtcp_and_what_tshark_says(stack, bus, room, speech, tmp_path):
    radio, other = Device(stack, room, 71, rtcp=True), Device(stack, room, 72, rtcp=True)
    radio.receive(0.2), other.receive(0.2)
    radio.send(mcpt(0, radio.ssrc, [(0, b"\0\0"), (6, b"71"), (13, b"\x80\0")]))
    _, got = radio.receive(0.3)
    assert subtypes(got) == [1]
    _, told = other.receive(0.3)
    assert subtypes(told) == [2]
    radio.talk(speech[:10])
    assert len(other.receive(0.3, 10)[0]) == 10
    other.send(mcpt(0, other.ssrc, [(0, b"\0\0")]))
    _, queued = other.receive(0.3)
    assert subtypes(queued) == [9]
    other.send(mcpt(8, other.ssrc))
    assert subtypes(other.receive(0.3)[1]) == [9]
    radio.send(mcpt(4 | 0x10, radio.ssrc))
    _, released = radio.receive(0.4)
    assert 10 in subtypes(released) and 2 in subtypes(released), "acknowledged, and told who talks now"
    _, granted = other.receive(0.3)
    assert 1 in subtypes(granted)
    packets = got + told + queued + released + granted
    text = tshark(packets, tmp_path)
    assert text.count("MCPT") >= len(packets) and "Malformed" not in text, text
    for device in (radio, other):
        device.close()


def tshark(datagrams, directory):
    """Wireshark's own reading of RTCP datagrams."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed: apt-get install tshark")
    path = directory / "packets.pcap"
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for number, data in enumerate(datagrams):
            udp = struct.pack("!HHHH", 10000, 10001, 8 + len(data), 0) + data
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, bytes([127, 0, 0, 1]), bytes([127, 0, 0, 1]))
            out.write(struct.pack("<IIII", number, 0, len(ip + udp), len(ip + udp)) + ip + udp)
    return subprocess.run(["tshark", "-r", path, "-d", "udp.port==10000,rtcp", "-V"], check=True, capture_output=True, text=True).stdout


def test_a_plain_radio_talks_by_voice_where_the_room_says_so(stack, bus, gid, speech):
    assert code(bus.signal(1, {"gid": gid, "group_name": "Voice", "dispatcher_id": 7, "options": {"implicit_request": True, "t1_ms": 400}})) == 0
    radio, other = Device(stack, gid, 81, floor=False), Device(stack, gid, 82)
    loud = [p for p in speech if len(p) > 10][:30]
    radio.talk(loud)
    heard, _ = other.receive(0.3, len(loud))
    assert [p[12:] for p in heard] == loud, "the packets that asked for the floor are heard too"
    other.wait_floor("idle", 3)
    talk = wait_for(lambda: bus.talks(81, gid), 5, "the talk")[0]
    assert abs(float(talk["duration"]) - 0.6) < 0.05
    for device in (radio, other):
        device.close()


def test_an_override_is_a_second_stream(stack, bus, gid, speech):
    assert code(bus.signal(1, {"gid": gid, "group_name": "Dual", "dispatcher_id": 7, "options": {"dual_floor": True}})) == 0
    port = stack.address["redis"].split(":")[1]
    subprocess.run(["redis-cli", "-p", port, "SET", f"grp:{gid}:data", json.dumps({"gid": gid, "group_owner": 91})], check=True, stdout=subprocess.DEVNULL)
    owner, member, both, single = Device(stack, gid, 91), Device(stack, gid, 92), Device(stack, gid, 93, dual=True), Device(stack, gid, 94)
    assert "ssrc_override" in both.joined
    member.floor("request")
    member.talk(speech[:5])
    for device in (owner, both, single):
        assert len(device.receive(0.25, 5)[0]) == 5
    granted = owner.floor("request")
    assert granted["state"] == "granted" and granted["override"]
    owner.talk(speech[:5])
    member.talk(speech[:5])
    override = struct.pack("!I", both.joined["ssrc_override"])
    assert sorted(p[8:12] == override for p in both.receive(0.3, 10)[0]) == [False] * 5 + [True] * 5
    assert [p[8:12] == override for p in single.receive(0.3, 5)[0]] == [True] * 5
    owner.floor("release")
    member.floor("release")
    wait_for(lambda: len(bus.talks(gid=gid)) == 2, 5, "two talks")
    for device in (owner, member, both, single):
        device.close()


def test_quality_is_measured(stack, bus, room, speech):
    device = Device(stack, room, 95)
    device.floor("request")
    device.talk(speech[:100], lose=range(50, 60))
    device.floor("release")
    message = wait_for(lambda: [m["quality_msg"] for m in bus.messages("ptt.quality") if m["quality_msg"]["user_id"] == 95], 5, "the quality")[-1]
    assert message["lost"] == 10 and message["received"] == 90 and message["user_status"] == 1
    assert 85 <= message["in_link_quality"] <= 95
    device.close()
