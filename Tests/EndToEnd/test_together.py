"""A browser (Chromium with Debian's janus.js), an aiortc peer, a plain radio and an SRTP radio in one group: everybody hears what each of them
says, and each talk's MP3 is that too."""
import base64, pathlib, threading, time

import numpy
import pytest
import requests

import voice
from harness import Device, wait_for
from page import chromium
from peer import Peer
from test_srtp import SecureDevice


class Browser:
    """A page that is a client of door A; see browser.js."""

    def __init__(self, driver, stack, room, uid, said):
        self.driver, self.uid, self.said = driver, uid, said
        driver.set_script_timeout(30)
        driver.get(stack.address["bo"] + "/")
        script = (pathlib.Path(__file__).parent / "browser.js").read_text()
        problem = driver.execute_async_script(script, stack.address["media"]["janus"], room, uid, base64.b64encode(voice.wav(said)).decode())
        assert problem == "", problem

    def run(self, script, *words):
        return self.driver.execute_script(script, *words)

    def floor(self, action):
        before = len(self.run("return client.events"))
        self.run("client.floor(arguments[0])", action)
        answers = lambda: [e for e in self.run("return client.events")[before:] if e.get("audiobridge") == "floor" and e["state"] != "taken"]
        return wait_for(answers, 5, f"the answer to {action}")[0]

    def say(self):
        self.driver.execute_async_script("client.say(arguments[0])")

    def forget(self):
        self.run("client.heard.length = 0")

    def heard(self):
        return numpy.frombuffer(base64.b64decode(self.run("return client.take()")), dtype=numpy.int16)


class Phone:
    """An aiortc peer."""

    def __init__(self, stack, room, uid, said):
        self.uid, self.said, self.since = uid, said, 0
        self.peer = Peer(stack, room, uid)
        self.peer.wait_up()
        self.floor = self.peer.floor

    def say(self):
        # Aiortc makes stereo of it, which takes 3 dB.
        self.peer.say((self.said * 2 ** 0.5).clip(-32_768, 32_767).astype(numpy.int16))

    def forget(self):
        self.since = time.monotonic()

    def heard(self):
        return self.peer.sound(self.since)


class Radio:
    """A radio that was made already."""

    def __init__(self, device, said):
        self.device, self.uid, self.said, self.floor = device, device.uid, said, device.floor

    def say(self):
        self.device.talk(voice.encode(self.said))

    def forget(self):
        self.device.receive(0.05)

    def heard(self):
        packets = self.device.receive(0.3)[0]
        return voice.decode([packet[12:] for packet in packets])


@pytest.fixture
def driver(tmp_path):
    driver = chromium(tmp_path)
    yield driver
    driver.quit()


def check(what, said, heard):
    longer, louder, off = voice.difference(said, heard)
    print(f"{what}: {longer:+.2f} s, {louder:+.1f} dB, spectrum within {off:.1f} dB")
    assert abs(longer) <= 0.1 and abs(louder) <= 1.5 and off <= 3, f"{what}: {longer:+.2f} s longer, {louder:+.1f} dB, a band is {off:.1f} dB off"


def test_all_kinds_of_clients_hear_each_other_and_are_recorded(stack, bus, room, driver, tmp_path):
    says = [voice.speech(text, pitch) for text, pitch in (
        ("Control to all units, report your position now.", 30), ("Phone two is on the bridge, all is quiet.", 70),
        ("Radio three here, we leave the station.", 50), ("Radio four, the gate is open, over.", 90))]
    everybody = [
        Browser(driver, stack, room, 1, says[0]), Phone(stack, room, 2, says[1]), Radio(Device(stack, room, 3), says[2]),
        Radio(SecureDevice(stack, room, 4, "AEAD_AES_128_GCM"), says[3])]
    for talker in everybody:
        others = [one for one in everybody if one is not talker]
        for one in others:
            one.forget()
        assert talker.floor("request")["state"] == "granted"
        talker.say()
        # What is still on its way through jitter buffers.
        time.sleep(0.5)
        assert talker.floor("release")["state"] == "idle"
        for one in others:
            check(f"{type(talker).__name__} {talker.uid} to {type(one).__name__} {one.uid}", talker.said, one.heard())
        talk = wait_for(lambda: bus.talks(talker.uid, room), 10, "the record")[0]
        path = tmp_path / f"{talker.uid}.mp3"
        path.write_bytes(requests.get(talk["file_path"], timeout=5).content)
        check(f"{type(talker).__name__} {talker.uid} in the MP3", talker.said, voice.decoded(path))
        assert talk["truncated"] == "0"
    everybody[1].peer.close()


def test_a_browser_restarts_ice_in_mid_talk(stack, room, driver):
    said = voice.speech("Control speaking while the network changes, please stand by for more.", 30)
    browser, radio = Browser(driver, stack, room, 1, said), Radio(Device(stack, room, 2), said)
    names = "return [client.connection.localDescription, client.connection.remoteDescription].map((one) => one.sdp.match(/a=ice-ufrag:(.*)/)[1])"
    before = browser.run(names)
    for talker, other in ((browser, radio), (radio, browser)):
        other.forget()
        assert talker.floor("request")["state"] == "granted"
        speaking = threading.Thread(target=talker.say) if talker is radio else None
        if speaking:
            speaking.start()
        else:
            browser.run("client.say(() => { client.isDone = true; })")
        time.sleep(0.5)
        known = len(browser.run("return client.events"))
        browser.run("client.restart()")
        wait_for(lambda: [e for e in browser.run("return client.events")[known:] if e.get("result") == "ok"], 5, "the answer to the restart")
        wait_for(lambda: browser.run("return client.isDone") if talker is browser else not speaking.is_alive(), 20, "the end of the talk")
        time.sleep(0.5)
        talker.floor("release")
        check(f"{type(talker).__name__} to {type(other).__name__}", said, other.heard())
        now = browser.run(names)
        assert all(old != new for old, new in zip(before, now)), "both sides have new credentials"
        before = now
    assert browser.run("return client.connection.connectionState") == "connected"
