"""WebRTC through door A: an aiortc peer, a plain radio and an SRTP radio in one group (DEVICES.md, "Media")."""
import json, re, socket, struct, subprocess, time

import numpy
import pytest
import requests

from harness import Device, Janus, code, decoded_ms, wait_for
from peer import Connection, Peer, level, loud, peak, tone
from page import chromium
from relay import NAT, Relay
from test_srtp import SecureDevice


def test_a_peer_talks_and_hears_with_radios_in_one_group(stack, bus, room, speech, tmp_path):
    talker, listener = Peer(stack, room, 1), Peer(stack, room, 2)
    plain, secure = Device(stack, room, 3), SecureDevice(stack, room, 4, "AEAD_AES_128_GCM")
    for peer in (talker, listener):
        peer.wait_up()
    assert "rtp" not in talker.joined and talker.joined["audiobridge"] == "joined"
    assert talker.floor("request")["state"] == "granted"
    since = time.monotonic()
    talker.say(tone(2.0))
    talker.floor("release")
    time.sleep(0.5)
    heard = listener.sound(since)
    assert 1.8 <= loud(heard) <= 2.3 and abs(peak(heard) - 440) < 5, "what is heard is what was said"
    for radio in (plain, secure):
        rtp, _ = radio.receive(0.2)
        assert 95 <= len(rtp) <= 130, len(rtp)
    talk = wait_for(lambda: bus.talks(1, room), 10, "the record")[0]
    path = tmp_path / "talk.mp3"
    path.write_bytes(requests.get(talk["file_path"], timeout=5).content)
    assert abs(decoded_ms(path) - float(talk["duration"]) * 1000) <= 20 and talk["truncated"] == "0"
    # The radios talk, the peers hear.
    assert plain.floor("request")["state"] == "granted"
    since = time.monotonic()
    plain.talk([p for p in speech if len(p) > 10][:100])
    plain.floor("release")
    time.sleep(0.5)
    for peer in (talker, listener):
        assert loud(peer.sound(since), 200) > 1.2
    for device in (talker, listener, plain, secure):
        device.close()


def test_a_peer_hears_both_voices_of_a_dual_floor_in_its_one_stream(stack, bus, gid):
    assert code(bus.signal(1, {"gid": gid, "group_name": "Dual", "dispatcher_id": 7, "options": {"dual_floor": True}})) == 0
    port = stack.address["redis"].split(":")[1]
    subprocess.run(["redis-cli", "-p", port, "SET", f"grp:{gid}:data", json.dumps({"gid": gid, "group_owner": 91})], check=True, stdout=subprocess.DEVNULL)
    owner, member, both = [Peer(stack, gid, uid, dual=True) for uid in (91, 92, 93)]
    single = Peer(stack, gid, 94)
    peers = (owner, member, both, single)
    for one in peers:
        one.wait_up()

    def hears(peer, start, end):
        """Which of the two tones, between two times."""
        parts = [data for at, data in peer.heard if start <= at < end]
        heard = numpy.concatenate(parts) if parts else numpy.zeros(1)
        return [frequency for frequency in (440, 1_000) if level(heard, frequency) > 2_000]

    assert member.floor("request")["state"] == "granted"
    member.track.say(tone(5.0))
    time.sleep(1.5)
    over = time.monotonic()
    granted = owner.floor("request")
    assert granted["state"] == "granted" and granted["override"]
    # New ICE credentials in the middle of it change nothing in what it hears.
    owner.janus.message(owner.handle, {"request": "configure"}, jsep={
        "type": "offer", "sdp": re.sub("a=ice-ufrag:.*", "a=ice-ufrag:newname\r", owner.pc.localDescription.sdp)})
    owner.say(tone(1.5, 1_000))
    owner.floor("release")
    after = time.monotonic()
    time.sleep(1.5)
    member.floor("release")
    for one in (owner, both, single):
        assert hears(one, over - 0.8, over - 0.1) == [440], one.uid
        assert hears(one, after + 0.6, after + 1.3) == [440], one.uid
    during = (over + 0.5, over + 1.4)
    assert hears(both, *during) == [440, 1_000], "both, in one stream"
    assert hears(single, *during) == [1_000], "the override only"
    assert hears(owner, *during) == [440], "who talks over another hears that one"
    assert hears(member, *during) == [1_000], "who is talked over hears it"
    wait_for(lambda: len(bus.talks(gid=gid)) == 2, 5, "two talks")
    for one in peers:
        one.close()


def test_a_peer_over_tcp_talks_and_hears_with_a_radio_and_a_peer_over_udp(stack, bus, room, speech):
    peer, other, radio = Peer(stack, room, 1, through=Relay), Peer(stack, room, 2), Device(stack, room, 3)
    for one in (peer, other):
        one.wait_up()
    assert peer.floor("request")["state"] == "granted"
    since = time.monotonic()
    peer.say(tone(2.0))
    peer.floor("release")
    time.sleep(0.5)
    heard = other.sound(since)
    assert 1.8 <= loud(heard) <= 2.3 and abs(peak(heard) - 440) < 5, "what is heard is what was said"
    assert 95 <= len(radio.receive(0.2)[0]) <= 130
    assert radio.floor("request")["state"] == "granted"
    since = time.monotonic()
    radio.talk([p for p in speech if len(p) > 10][:100])
    radio.floor("release")
    time.sleep(0.5)
    for one in (peer, other):
        assert loud(one.sound(since), 200) > 1.2
    assert min(peer.relay.counts) > 95, "it went over TCP"
    for device in (peer, other, radio):
        device.close()


def test_a_peer_over_tcp_that_does_not_read_holds_nobody_up(stack, room, speech):
    slow, radio, other = Peer(stack, room, 1, through=Relay), Device(stack, room, 2), Device(stack, room, 3)
    slow.wait_up()
    slow.relay.reads.clear()
    assert radio.floor("request")["state"] == "granted"
    radio.talk([p for p in speech if len(p) > 10][:150])
    radio.floor("release")
    assert 145 <= len(other.receive(0.3)[0]) <= 150
    slow.relay.reads.set()
    # Its connection breaks in mid-room: the others talk on.
    slow.relay.close()
    assert other.floor("request")["state"] == "granted"
    other.talk([p for p in speech if len(p) > 10][:50])
    other.floor("release")
    assert len(radio.receive(0.3)[0]) >= 48
    for device in (slow, radio, other):
        device.close()


def test_a_peer_whose_nat_forgets_it_is_heard_and_hears_again(stack, room, speech):
    # Aiortc says once which pair it uses, and checks that one every five seconds.
    peer, radio = Peer(stack, room, 1, through=NAT), Device(stack, room, 2)
    peer.wait_up()
    assert peer.floor("request")["state"] == "granted"
    peer.track.say(tone(20.0))
    assert len(radio.receive(0.2, 10)[0]) >= 10
    peer.relay.rebind()
    radio.receive(0.1)

    def is_heard():
        # The floor goes from who is silent for so long.
        peer.floor("request")
        return radio.receive(0.1)[0]
    wait_for(is_heard, 8, "its voice by the other way")
    peer.floor("release")
    assert radio.floor("request")["state"] == "granted"
    since = time.monotonic()
    radio.talk([p for p in speech if len(p) > 10][:50])
    time.sleep(0.4)
    assert loud(peer.sound(since), 200) > 0.5
    for device in (peer, radio):
        device.close()


def test_strangers_on_the_tcp_port_are_shown_out(stack, room):
    host, port = stack.address["media"]["rtp"].rsplit(":", 1)
    for first in (b"GET / HTTP/1.1\r\n\r\n", struct.pack("!H", 12) + b"\x80" + bytes(11), struct.pack("!H", 5_000)):
        with socket.create_connection((host, int(port)), timeout=5) as stranger:
            stranger.sendall(first)
            assert stranger.recv(100) == b""


def test_a_stock_client_brings_its_offer_with_configure(stack, bus, room, speech):
    peer, plain = Peer(stack, room, 1, offer_in="configure", floor=False), Device(stack, room, 2)
    peer.wait_up()
    assert peer.configured["result"] == "ok"
    assert plain.floor("request")["state"] == "granted", "the offer's muted:false asked for nothing"
    since = time.monotonic()
    plain.talk([p for p in speech if len(p) > 10][:50])
    time.sleep(0.5)
    assert loud(peer.sound(since), 200) > 0.5
    plain.floor("release")
    assert peer.janus.message(peer.handle, {"request": "configure", "muted": False})["result"] == "ok"
    wait_for(lambda: any(e.get("audiobridge") == "talking" and e["id"] == 1 for e in plain.janus.of(plain.handle)), 5, "talking")
    for device in (peer, plain):
        device.close()


def test_changeroom_needs_no_new_offer(stack, bus, room, speech):
    second = room // 2 + 1
    assert code(bus.signal(1, {"gid": second, "group_name": "Second", "dispatcher_id": 7})) == 0
    mover, first, other = Peer(stack, room, 1), Device(stack, room, 2), Device(stack, second, 3)
    mover.wait_up()
    voiced = [p for p in speech if len(p) > 10]
    for radio, target in ((first, second), (other, room), (first, None)):
        assert radio.floor("request")["state"] == "granted"
        since = time.monotonic()
        radio.talk(voiced[:50])
        radio.floor("release")
        time.sleep(0.4)
        assert loud(mover.sound(since), 200) > 0.5
        if target:
            answer = mover.janus.message(mover.handle, {"request": "changeroom", "room": target, "id": 1})
            assert answer["audiobridge"] == "roomchanged" and "rtp" not in answer
    for device in (mover, first, other):
        device.close()


def test_a_peer_that_goes_is_gone(stack, bus, room):
    peer = Peer(stack, room, 1)
    peer.wait_up()
    peer.run(peer.pc.close())
    wait_for(lambda: any(e["janus"] == "hangup" for e in peer.janus.events), 10, "the hangup")
    wait_for(lambda: [f for f in bus.floor(room) if f["state"] == "left" and f["uid"] == 1], 10, "the leave")
    peer.janus.close()


@pytest.mark.parametrize("change, words", [
    (lambda sdp: "", "empty"), (lambda sdp: sdp.replace("a=rtcp-mux\r\n", ""), "rtcp-mux"), (lambda sdp: sdp.replace("opus/48000/2", "PCMU/8000"), "opus"),
    (lambda sdp: sdp.replace("a=ice-pwd:", "a=x:"), "ice-pwd"), (lambda sdp: sdp.replace("v=0", "z=0", 1), "line 1"), (lambda sdp: "v=0\r\n" + "a=x\r\n" * 5_000, "more lines"),
])
def test_an_offer_that_can_not_be_taken_is_told_why(stack, room, change, words):
    client, janus = Connection(), Janus(stack.address["media"]["janus"])
    offer = client.run(client.offer())
    answer = janus.ask({"janus": "message", "handle_id": janus.attach(), "body": {"request": "join", "room": room, "id": 1},
                        "jsep": {"type": "offer", "sdp": change(offer["sdp"])}})
    assert answer["janus"] == "error" and answer["error"]["code"] == 465 and words in answer["error"]["reason"], answer
    client.hang_up()
    janus.close()


def test_a_wrong_certificate_is_refused(stack, room):
    def other(sdp):
        lines = [line for line in sdp.splitlines() if not line.startswith("a=fingerprint")]
        place = next(index for index, line in enumerate(lines) if line.startswith("a=setup"))
        return "\r\n".join([*lines[:place], "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), *lines[place:]]) + "\r\n"
    peer = Peer(stack, room, 1, change=other)
    hangup = wait_for(lambda: next((e for e in peer.janus.events if e["janus"] == "hangup"), None), 20, "the hangup")
    assert "fingerprint" in hangup["reason"]
    peer.close()


def test_new_ice_credentials_restart_ice_and_nothing_else(stack, bus, room, speech):
    peer, radio = Peer(stack, room, 1), Device(stack, room, 2)
    peer.wait_up()
    answer = peer.janus.ask({"janus": "message", "handle_id": peer.handle, "body": {"request": "configure"}, "jsep": {
        "type": "offer", "sdp": peer.pc.localDescription.sdp}}, True)
    same = [line for line in answer["jsep"]["sdp"].splitlines() if line.startswith(("a=ice-", "a=ssrc"))]
    assert all(line in peer.answer["sdp"] for line in same), "the same offer again changes nothing"
    fresh = "\r\n".join("a=ice-ufrag:newname" if line.startswith("a=ice-ufrag") else line for line in peer.pc.localDescription.sdp.splitlines())
    answer = peer.janus.ask({"janus": "message", "handle_id": peer.handle, "body": {"request": "configure"}, "jsep": {
        "type": "offer", "sdp": fresh + "\r\n"}}, True)
    lines = answer["jsep"]["sdp"].splitlines()
    assert not any(line in peer.answer["sdp"] for line in lines if line.startswith("a=ice-pwd"))
    assert [line for line in lines if line.startswith("a=fingerprint")][0] in peer.answer["sdp"]
    # Its checks under the old credentials count until one under the new ones comes, and media flows on.
    assert radio.floor("request")["state"] == "granted"
    since = time.monotonic()
    radio.talk([p for p in speech if len(p) > 10][:50])
    time.sleep(0.4)
    assert loud(peer.sound(since), 200) > 0.5
    for device in (peer, radio):
        device.close()


# A browser's connection with a camera before the microphone, all on one port; a tone stands for the voice.
MAX_BUNDLE = """
const [done] = arguments;
const context = new AudioContext(), tone = context.createOscillator(), out = context.createMediaStreamDestination();
tone.connect(out);
tone.start();
window.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
pc.addTransceiver("video");
pc.addTransceiver(out.stream.getAudioTracks()[0]);
pc.createOffer().then((offer) => pc.setLocalDescription(offer)).then(() => done(pc.localDescription.sdp));
"""


@pytest.mark.parametrize("like", ["chromium", "firefox"])
def test_a_browser_whose_audio_shares_the_videos_port_talks_and_hears(like, stack, bus, room, speech, tmp_path):
    driver, janus, radio = chromium(tmp_path), Janus(stack.address["media"]["janus"]), Device(stack, room, 2)
    try:
        driver.get(stack.address["bo"] + "/")
        sdp = driver.execute_async_script(MAX_BUNDLE)
        if like == "firefox":
            # The port and all that belongs to it stand in the first section alone.
            head, audio = sdp.split("m=audio 9 ")
            audio = [line for line in audio.splitlines() if not line.startswith(("a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux", "a=candidate"))]
            sdp = "\r\n".join([head + "m=audio 0 " + audio[0], "a=bundle-only", *audio[1:]]) + "\r\n"
        handle = janus.attach()
        answer = janus.ask({"janus": "message", "handle_id": handle, "jsep": {"type": "offer", "sdp": sdp}, "body": {
            "request": "join", "room": room, "id": 1, "floor": True}}, True)["jsep"]
        assert "a=group:BUNDLE 0 1\r\n" in answer["sdp"] and "a=inactive" in answer["sdp"], "to reject the video would take the audio along"
        problem = driver.execute_async_script(
            "const [answer, done] = arguments; pc.setRemoteDescription(answer).then(() => done(''), (error) => done(error.message))", answer)
        assert problem == ""
        wait_for(lambda: driver.execute_script("return pc.connectionState") == "connected", 15, "the connection")
        # It sends all the time, and may be told that it must not just before it may.
        janus.message(handle, {"request": "floor", "action": "request"})
        wait_for(lambda: [e for e in janus.of(handle) if e.get("state") == "granted"], 5, "the grant")
        assert len(radio.receive(1.0, 40)[0]) >= 40, "the radio hears the browser"
        janus.message(handle, {"request": "floor", "action": "release"})
        radio.wait_floor("idle")
        assert radio.floor("request")["state"] == "granted"
        radio.talk(speech[:50])
        received = ("const [done] = arguments; pc.getStats().then((stats) => done([...stats.values()].find("
                    "(one) => one.type === 'inbound-rtp' && one.kind === 'audio')?.packetsReceived ?? 0))")
        wait_for(lambda: driver.execute_async_script(received) >= 45, 5, "the radio's packets in the browser")
    finally:
        driver.quit()
        janus.close()
        radio.close()


def test_media_is_told_when_it_comes_and_when_it_stops(stack, bus, room):
    peer, listener = Peer(stack, room, 1), Peer(stack, room, 2, change=lambda sdp: sdp.replace("a=sendrecv", "a=recvonly"))
    for one in (peer, listener):
        one.wait_up()
    told = lambda one: [(e["type"], e["mid"], e["receiving"]) for e in one.janus.events if e["janus"] == "media"]
    mid = re.search("a=mid:(.*)\r", peer.answer["sdp"])[1]
    wait_for(lambda: told(peer), 5, "its media")
    order = [e["janus"] for e in peer.janus.events if e["janus"] in ("webrtcup", "media")]
    assert order == ["webrtcup", "media"]
    sender = peer.pc.getSenders()[0]
    sender.replaceTrack(None)
    wait_for(lambda: len(told(peer)) > 1, 5, "its end")
    sender.replaceTrack(peer.track)
    wait_for(lambda: len(told(peer)) > 2, 5, "its media again")
    time.sleep(1.5)
    assert told(peer) == [("audio", mid, True), ("audio", mid, False), ("audio", mid, True)], "changes only"
    assert told(listener) == [], "who only listens has nothing to be received"
    assert not [e for e in peer.janus.events + listener.janus.events if e["janus"] == "slowlink"]
    for one in (peer, listener):
        one.close()


def test_a_lossy_link_is_told_as_slow(stack, bus, room):
    peer = Peer(stack, room, 1)
    peer.wait_up()
    transport, count = peer.pc.getSenders()[0].transport, 0
    send = transport._send_rtp

    async def lossy(data):
        nonlocal count
        count += 1
        if count % 3:
            await send(data)
    transport._send_rtp = lossy
    peer.janus.message(peer.handle, {"request": "floor", "action": "request"})
    slow = wait_for(lambda: next((e for e in peer.janus.events if e["janus"] == "slowlink"), None), 5, "the word of it")
    assert slow["sender"] == peer.handle and slow["media"] == "audio" and slow["uplink"] is False and 5 <= slow["lost"] <= 30, slow
    time.sleep(2)
    assert len([e for e in peer.janus.events if e["janus"] == "slowlink"]) <= 4, "once a second at most"
    peer.close()
