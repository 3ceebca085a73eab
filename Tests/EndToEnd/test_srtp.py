"""SRTP for plain devices (DEVICES.md, "Media"), with libsrtp on the devices' side: keys by SDES in the join, keys of their own for everybody."""
import base64, os, struct

import pylibsrtp
import pytest

from harness import Device, Janus, code, wait_for

SUITES = {
    "AEAD_AES_128_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
    "AES_CM_128_HMAC_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
}


def session(suite, key, inbound):
    kind = pylibsrtp.Policy.SSRC_ANY_INBOUND if inbound else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    return pylibsrtp.Session(policy=pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=SUITES[suite][0]))


class SecureDevice(Device):
    """A radio whose RTP and RTCP are protected."""

    def __init__(self, stack, room, uid, suite, **more):
        self.suite, key = suite, os.urandom(SUITES[suite][1])
        self.outbound = session(suite, key, False)
        super().__init__(stack, room, uid, srtp={"suite": suite, "crypto": "inline:" + base64.b64encode(key).decode()}, **more)
        answer = self.joined["rtp"]["srtp"]
        assert answer["suite"] == suite and answer["crypto"].startswith("inline:")
        self.inbound = session(suite, base64.b64decode(answer["crypto"][7:]), True)

    def packet(self, payload, marker=False):
        return self.outbound.protect(super().packet(payload, marker))

    def receive(self, seconds, least=0):
        rtp, other = super().receive(seconds, least)
        return [self.inbound.unprotect(p) for p in rtp], [self.inbound.unprotect_rtcp(p) for p in other]


def consecutive(packets):
    numbers = [struct.unpack("!H", p[2:4])[0] for p in packets]
    return all((b - a) & 0xFFFF == 1 for a, b in zip(numbers, numbers[1:]))


@pytest.mark.parametrize("suite", SUITES)
def test_everybody_hears_with_keys_of_their_own(stack, bus, room, speech, suite):
    talker = SecureDevice(stack, room, 1, suite)
    listeners = [SecureDevice(stack, room, 10 + index, other) for index, other in enumerate(list(SUITES) * 2)]
    plain = Device(stack, room, 2)
    assert talker.floor("request")["state"] == "granted"
    talker.talk(speech[:60])
    for listener in [*listeners, plain]:
        heard, _ = listener.receive(0.2, 60)
        assert [p[12:] for p in heard] == speech[:60] and consecutive(heard)
        assert struct.unpack("!H", heard[0][2:4])[0] < 0x8000, "the roll-over counter begins with 0, far from a wrap"
    talker.floor("release")
    # Who talked hears the next one without a gap, and a plain device's talk is heard encrypted.
    assert plain.floor("request")["state"] == "granted"
    plain.talk(speech[:20])
    for listener in [talker, *listeners]:
        heard, _ = listener.receive(0.2, 20)
        assert [p[12:] for p in heard] == speech[:20] and consecutive(heard)
    plain.floor("release")
    talk = wait_for(lambda: [t for t in bus.talks(1, room)], 10, "the record")[0]
    assert talk["duration"] == "1.20"
    for device in [talker, plain, *listeners]:
        device.close()


def test_forged_replayed_and_plain_packets_are_not_heard(stack, bus, room, speech):
    talker, listener = SecureDevice(stack, room, 1, "AEAD_AES_128_GCM"), Device(stack, room, 2)
    assert talker.floor("request")["state"] == "granted"
    first = talker.packet(speech[0], True)
    talker.send(first)
    assert len(listener.receive(0.2, 1)[0]) == 1
    talker.send(first)
    talker.send(Device.packet(talker, speech[1]))
    damaged = bytearray(talker.packet(speech[2]))
    damaged[20] ^= 1
    talker.send(bytes(damaged))
    talker.send(session("AEAD_AES_128_GCM", os.urandom(28), False).protect(Device.packet(talker, speech[3])))
    assert listener.receive(0.3)[0] == []
    talker.talk(speech[4:14])
    assert len(listener.receive(0.2, 10)[0]) == 10
    for device in (talker, listener):
        device.close()


def test_who_comes_back_to_a_room_goes_on_with_its_counter(stack, bus, room, speech):
    second = room // 2 + 1
    assert code(bus.signal(1, {"gid": second, "group_name": "Second", "dispatcher_id": 7})) == 0
    talker, mover = Device(stack, room, 1), SecureDevice(stack, room, 3, "AES_CM_128_HMAC_SHA1_80")
    assert talker.floor("request")["state"] == "granted"
    talker.talk(speech[:10])
    before, _ = mover.receive(0.2, 10)
    assert len(before) == 10
    assert mover.janus.message(mover.handle, {"request": "changeroom", "room": second, "id": 3})["audiobridge"] == "roomchanged"
    talker.talk(speech[:10])
    assert mover.receive(0.2)[0] == []
    assert mover.janus.message(mover.handle, {"request": "changeroom", "room": room, "id": 3})["audiobridge"] == "roomchanged"
    talker.talk(speech[:10])
    after, _ = mover.receive(0.2, 10)
    assert len(after) == 10 and consecutive(before + after)
    for device in (talker, mover):
        device.close()


def test_reports_are_protected_too(stack, bus, room, speech):
    talker, listener = SecureDevice(stack, room, 1, "AEAD_AES_256_GCM"), SecureDevice(stack, room, 2, "AEAD_AES_128_GCM")
    assert talker.floor("request")["state"] == "granted"
    talker.talk(speech[:300])
    _, reports = listener.receive(0.5)
    assert any(p[1] == 200 for p in reports), "a sender report"
    talker.floor("release")
    _, own = talker.receive(0.5)
    assert any(p[1] == 201 for p in own), "a receiver report"
    for device in (talker, listener):
        device.close()


@pytest.mark.parametrize("srtp, words", [
    ({"suite": "AES_256_CM", "crypto": "inline:AAAA"}, "rtp.srtp.suite"), ({"suite": "AEAD_AES_128_GCM", "crypto": "AAAA"}, "inline:"),
    ({"suite": "AEAD_AES_128_GCM", "crypto": "inline:AAAA"}, "28 bytes"), ({"suite": "AEAD_AES_128_GCM"}, "rtp.srtp.crypto"),
])
def test_wrong_keys_are_named(stack, room, srtp, words):
    janus = Janus(stack.address["media"]["janus"])
    answer = janus.message(janus.attach(), {"request": "join", "room": room, "id": 1, "rtp": {"srtp": srtp}})
    assert answer["error_code"] in (483, 484) and words in answer["error"]
    janus.close()
