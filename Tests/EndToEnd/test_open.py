"""Open rooms: everybody talks, the loudest few are mixed, nobody hears themselves (DEVICES.md, `"mode":"open"`)."""
import time

import pytest

from harness import Device, Janus, code, wait_for
from peer import Peer, loud, tone
from test_floor import mcpt, subtypes
import numpy


@pytest.fixture
def open_room(bus, gid):
    assert code(bus.signal(1, {"gid": gid, "group_name": "Open", "dispatcher_id": 7, "mode": "open"}, seconds=60)) == 0
    return gid


def share(samples, frequency):
    """How much of a frequency is in what was heard, 0…1."""
    if len(samples) < 4800:
        return 0.0
    spectrum = numpy.abs(numpy.fft.rfft(samples.astype(float))) ** 2
    width = len(samples) // 48_000 * 20 + 20
    place = int(frequency * len(samples) / 48_000)
    return float(spectrum[max(0, place - width):place + width].sum() / max(1.0, spectrum.sum()))


def test_everybody_hears_the_others_and_not_themselves(stack, bus, open_room):
    first, second, third = (Peer(stack, open_room, uid) for uid in (1, 2, 3))
    radio = Device(stack, open_room, 4)
    for peer in (first, second, third):
        peer.wait_up()
    since = time.monotonic() + 0.6
    first.track.say(tone(3.0, 400))
    second.say(tone(3.0, 1000))
    heard = {peer.uid: peer.sound(since) for peer in (first, second, third)}
    assert share(heard[1], 1000) > 0.6 and share(heard[1], 400) < 0.1
    assert share(heard[2], 400) > 0.6 and share(heard[2], 1000) < 0.1
    assert share(heard[3], 400) > 0.2 and share(heard[3], 1000) > 0.2
    rtp, _ = radio.receive(0.2)
    assert 120 <= len(rtp) <= 200, "the radio gets the common mix, a packet each 20 ms"
    events = third.janus.of(third.handle)
    assert {e["id"] for e in events if e.get("audiobridge") == "talking"} == {1, 2}
    ended = wait_for(lambda: [e for e in third.janus.of(third.handle) if e.get("audiobridge") == "stopped-talking"], 5, "stopped")
    assert 5 < ended[0]["audio_level_average"] < 40
    talks = wait_for(lambda: len(bus.talks(gid=open_room)) >= 2 and bus.talks(gid=open_room), 10, "the records")
    assert sorted({t["uid"] for t in talks}) == ["1", "2"] and all(2.5 <= float(t["duration"]) <= 4.2 for t in talks), talks
    for device in (first, second, third, radio):
        device.close()


def test_the_muted_are_not_heard(stack, bus, open_room, speech):
    radio, listener = Device(stack, open_room, 1, floor=False, muted=True), Device(stack, open_room, 2, floor=False)
    voiced = [p for p in speech if len(p) > 10]
    radio.talk(voiced[:50])
    assert listener.receive(0.2)[0] == []
    assert radio.janus.message(radio.handle, {"request": "configure", "muted": False})["result"] == "ok"
    radio.talk(voiced[:75])
    heard, _ = listener.receive(0.2)
    assert len(heard) > 30
    assert radio.receive(0.1)[0] is not None
    people = listener.janus.message(listener.handle, {"request": "listparticipants", "room": open_room})["participants"]
    assert {p["id"]: p["muted"] for p in people} == {1: False, 2: False}
    assert radio.janus.message(radio.handle, {"request": "configure", "muted": True})["result"] == "ok"
    time.sleep(0.6)
    listener.receive(0.2)
    radio.talk(voiced[:25])
    assert listener.receive(0.2)[0] == []
    for device in (radio, listener):
        device.close()


def test_who_asks_for_the_floor_has_it_beside_the_others(stack, bus, open_room):
    devices = [Device(stack, open_room, uid, muted=True) for uid in (1, 2)]
    radio = Device(stack, open_room, 3, rtcp=True, muted=True)
    for device in devices:
        granted = device.floor("request")
        assert granted["state"] == "granted" and "duration" not in granted
    radio.send(mcpt(0, radio.ssrc, [(0, b"\0\0")]))
    wait_for(lambda: 1 in subtypes(radio.receive(0.2)[1]), 5, "Granted by RTCP")
    people = lambda: {p["id"]: p["muted"] for p in radio.janus.message(radio.handle, {"request": "listparticipants", "room": open_room})["participants"]}
    assert people() == {1: False, 2: False, 3: False}
    assert devices[0].floor("release")["state"] == "idle"
    assert people() == {1: True, 2: False, 3: False}
    radio.send(mcpt(4, radio.ssrc))
    wait_for(lambda: 5 in subtypes(radio.receive(0.2)[1]), 5, "Idle by RTCP")
    for device in (*devices, radio):
        device.close()


def test_a_restored_open_room_is_open(stack, bus, open_room):
    stack.kill("media-service")
    stack.ready("media-service")
    answer = bus.signal(1, {"gid": open_room, "group_name": "Open", "dispatcher_id": 7, "mode": "open"}, seconds=60)
    assert code(answer) == 0 and answer["signal_msg"]["create_group_resp"]["mode"] == "open"
    radio = Device(stack, open_room, 1, floor=False)
    assert radio.janus.message(radio.handle, {"request": "listparticipants", "room": open_room})["participants"][0]["muted"] is False
    radio.close()
