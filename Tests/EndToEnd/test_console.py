"""The console in a real Chromium with fake audio: it creates a group, monitors it, talks by key and button, and tells what the floor says."""
import subprocess, threading, time

import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import Device, decoded_ms, wait_for
from page import DISPATCHER, Page, browser, chromium, page


def test_the_space_bar_talks_and_radios_hear(page, stack, bus, tmp_path):
    gid = page.create("Console one", members="3")
    page.monitor(gid)
    radio = Device(stack, gid, 3)
    page.speak(gid, radio)
    record = wait_for(lambda: bus.talks(DISPATCHER, gid), 10, "the record")[0]
    path = tmp_path / "talk.mp3"
    path.write_bytes(requests.get(record["file_path"], timeout=5).content)
    assert abs(decoded_ms(path) - float(record["duration"]) * 1000) <= 20
    loudness = subprocess.run(["ffmpeg", "-i", path, "-af", "volumedetect", "-f", "null", "-"], capture_output=True, text=True).stderr
    assert float(loudness.split("mean_volume: ")[1].split()[0]) > -40, "speech, not silence"
    page.wait(lambda: "Console one" in page.text("#talks"), "the talk in the list")
    radio.close()


# How the chosen pair of candidates goes, and what came over it.
PATH = """
const [gid, done] = arguments;
import('/talk.js').then(async (m) => {
  const stats = [...(await m.voice.channels.get(gid).connection.getStats()).values()];
  const pair = stats.find((one) => one.id === stats.find((one) => one.type === 'transport').selectedCandidatePairId);
  const end = (id) => stats.find((one) => one.id === id).protocol;
  done([end(pair.localCandidateId), end(pair.remoteCandidateId), stats.find((one) => one.type === 'inbound-rtp')?.packetsReceived ?? 0]);
});
"""


def test_where_udp_is_blocked_it_talks_and_hears_over_tcp(stack, bus, speech, tmp_path):
    stack.ready("bo-server")
    stack.ready("media-service")
    driver = chromium(tmp_path, **{"webrtc.ip_handling_policy": "disable_non_proxied_udp"})
    try:
        page = Page(driver, stack, tmp_path)
        gid = page.create("Console behind a wall", members="3")
        page.monitor(gid)
        radio = Device(stack, gid, 3)
        page.speak(gid, radio)
        assert radio.floor("request")["state"] == "granted"
        radio.talk(speech[:100])
        radio.floor("release")
        ours, theirs, received = driver.execute_async_script(PATH, gid)
        assert (ours, theirs) == ("tcp", "tcp")
        assert received >= 95
        radio.close()
    finally:
        driver.quit()


def test_who_talks_is_shown_and_heard_and_the_busy_are_told(page, stack, bus, speech):
    gid = page.create("Console two", members="3", owner="9")
    page.monitor(gid)
    radio, owner = Device(stack, gid, 3), Device(stack, gid, 9)
    voiced = [p for p in speech if len(p) > 10]
    assert radio.floor("request")["state"] == "granted"
    radio.talk(voiced[:50])
    page.wait(lambda: (page.channel(gid, "talker") or {}).get("uid") == 3, "who talks", 3)
    page.find("#detail").click()
    page.keys().key_down(Keys.SPACE).perform()
    page.wait(lambda: page.channel(gid, "mine") == "queued", "its place in the queue")
    page.shot("queued")
    radio.floor("release")
    page.wait(lambda: page.channel(gid, "mine") == "granted", "the grant")
    assert owner.floor("request")["state"] == "granted"
    page.wait(lambda: page.channel(gid, "mine") == "revoked", "the cut-off")
    page.shot("cut-off")
    page.keys().key_up(Keys.SPACE).perform()
    owner.floor("release")
    for device in (radio, owner):
        device.close()


def test_in_an_open_group_all_talk_at_once_and_are_shown(page, stack, bus, speech):
    answer = requests.post(stack.address["bo"] + "/v1/groups", timeout=20, json={
        "group_name": "Console open", "dispatcher_id": DISPATCHER, "members": [3, 4], "mode": "open"})
    assert answer.status_code == 201, answer.text
    gid = answer.json()["gid"]
    page.wait(lambda: "Console open" in page.text("#groups"), "the new group")
    radios = [Device(stack, gid, uid) for uid in (3, 4)]
    talks = [threading.Thread(target=radio.talk, args=([p for p in speech if len(p) > 10][:50] * 12,)) for radio in radios]
    talks[0].start()
    wait_for(lambda: [e for e in radios[1].janus.of(radios[1].handle) if e.get("audiobridge") == "talking"], 5, "the first voice")
    page.monitor(gid)
    page.find(f"#groups [data-gid='{gid}']").click()
    page.wait(lambda: page.text("#talk b") == "radio 3 (3) talks", "who talked before we came", 5)
    talks[1].start()
    page.wait(lambda: page.text("#talk b") == "radio 3 (3) and radio 4 (4) talk", "both", 5)
    page.language("zh")
    page.wait(lambda: "正在讲话" in page.text("#talk b") and "一起讲话" in page.text("#talk span"), "both in Chinese", 5)
    page.language("en")
    page.shot("open")
    since = len(radios[1].janus.of(radios[1].handle))
    people = lambda: radios[1].janus.message(radios[1].handle, {"request": "listparticipants", "room": gid})["participants"]
    assert {p["id"]: p["muted"] for p in people()} == {3: False, 4: False, DISPATCHER: True}
    page.find("#detail").click()
    page.keys().key_down(Keys.SPACE).perform()
    page.wait(lambda: page.channel(gid, "mine") == "granted", "the grant", 3)
    wait_for(lambda: [e for e in radios[1].janus.of(radios[1].handle)[since:] if e.get("audiobridge") == "talking" and e["id"] == DISPATCHER], 5, "our voice")
    time.sleep(1)
    assert page.channel(gid, "mine") == "granted" and page.text("#talk b") == "You talk" and "radio 3" in page.text("#talk span")
    assert page.text("#left") == "", "nobody's time is up"
    page.shot("talking in an open group")
    page.keys().key_up(Keys.SPACE).perform()
    page.wait(lambda: page.channel(gid, "mine") == "none", "the release", 3)
    wait_for(lambda: {p["id"]: p["muted"] for p in people()} == {3: False, 4: False, DISPATCHER: True}, 3, "the release at the door")
    for talk in talks:
        talk.join()
    page.wait(lambda: page.find("#talk").get_attribute("data-state") == "ready", "silence", 10)
    assert "Everybody may talk" in page.text(f"#strips [data-gid='{gid}']")
    record = wait_for(lambda: [t for t in bus.talks(DISPATCHER, gid)], 10, "our record")
    assert float(record[0]["duration"]) > 0.5
    for radio in radios:
        radio.close()


def test_an_emergency_is_held_shown_and_acknowledged(page, stack, bus):
    gid = page.create("Console three")
    page.monitor(gid)
    page.find(f"[data-gid='{gid}']").click()
    page.keys().click_and_hold(page.find("#alarm")).perform()
    page.wait(lambda: any(f["state"] == "emergency" and f["uid"] == DISPATCHER for f in bus.floor(gid)), "the emergency")
    page.wait(lambda: page.find("#emergency").is_displayed(), "the banner")
    page.shot("emergency")
    page.keys().release().perform()
    page.find("#emergency .ack").click()
    page.wait(lambda: any(f["state"] == "cancelled" for f in bus.floor(gid)), "its end")
    page.wait(lambda: not page.find("#emergency").is_displayed(), "the banner's end")


def test_it_speaks_chinese_and_fits_a_phone(page, stack):
    gid = page.create("Console four", members="3")
    page.monitor(gid)
    page.language("zh")
    page.shot("chinese")
    assert any("\u4e00" <= c <= "\u9fff" for c in page.text("#talk"))
    page.driver.set_window_size(390, 844)
    page.shot("phone")
    size = page.find("#talk").size
    assert size["height"] >= 64
    assert page.driver.execute_script("return document.documentElement.scrollWidth <= innerWidth + 1"), "nothing sticks out sideways"
    page.language("en")


def test_the_door_goes_away_and_comes_back(page, stack, bus):
    gid = page.create("Console five")
    page.monitor(gid)
    stack.kill("media-service")
    page.wait(lambda: page.channel(gid, "state") != "on", "the loss", 20)
    # While its rooms are not there yet.
    page.says("No voice")
    assert "trying again" in page.text("#talk span") and page.text(f"#strips [data-gid='{gid}'] .who").startswith("No voice: ")
    page.language("zh")
    assert page.text("#talk b") == "语音不通" and "正在重试" in page.text("#talk span")
    page.shot("no voice")
    page.language("en")
    stack.ready("media-service")
    page.wait(lambda: page.channel(gid, "state") == "on", "the group again", 40)
    page.find("#detail").click()
    page.keys().key_down(Keys.SPACE).perform()
    page.wait(lambda: page.channel(gid, "mine") == "granted", "the grant")
    page.keys().key_up(Keys.SPACE).perform()


def test_the_last_talk_is_played_again(page, stack, bus, speech):
    gid = page.create("Console six", members="3")
    radio = Device(stack, gid, 3)
    assert radio.floor("request")["state"] == "granted"
    radio.talk(speech[:75])
    radio.floor("release")
    wait_for(lambda: bus.talks(3, gid), 10, "the record")
    page.monitor(gid)
    page.find(f"[data-gid='{gid}']").click()
    page.wait(lambda: page.find("#replay-last").click() or page.text("#replay-now"), "the replay", 20)
    page.shot("replay")
    radio.close()


# What reaches the output of a group's strip, as the square root of the mean square over some time.
HEARD = """
const [gid, ms, done] = arguments;
import('/mixer.js').then((mixer) => {
  const tap = mixer.analyser(), buffer = new Float32Array(1024), end = performance.now() + ms;
  mixer.strip(gid).volume.connect(tap);
  let sum = 0, count = 0;
  const timer = setInterval(() => {
    tap.getFloatTimeDomainData(buffer);
    for (const value of buffer) sum += value * value;
    count += buffer.length;
    if (performance.now() < end) return;
    clearInterval(timer);
    mixer.strip(gid).volume.disconnect(tap);
    done(Math.sqrt(sum / count));
  }, 15);
});
"""


def test_groups_have_volumes_and_a_priority_group_ducks_the_others(page, stack, speech):
    gids = [page.create(name, members="3,4") for name in ("Console seven", "Console eight")]
    for gid in gids:
        page.monitor(gid)
    radios = [Device(stack, gid, uid) for gid, uid in zip(gids, (3, 4))]
    voiced = [p for p in speech if len(p) > 10]
    # The same words each time, so that levels can be compared.
    talks = [threading.Thread(target=radio.talk, args=(voiced[:50] * count,)) for radio, count in zip(radios, (4, 14))]
    strip = lambda index: page.find(f"#strips [data-gid='{gids[index]}']")

    def heard(index, ms=1000):
        return page.driver.execute_async_script(HEARD, gids[index], ms)
    assert radios[1].floor("request")["state"] == "granted"
    talks[1].start()
    page.wait(lambda: (page.channel(gids[1], "talker") or {}).get("uid") == 4, "who talks", 5)
    alone = heard(1)
    assert alone > 0.01, "the group is heard"
    strip(0).find_element(By.CSS_SELECTOR, "button.flag").click()
    assert radios[0].floor("request")["state"] == "granted"
    talks[0].start()
    page.wait(lambda: "ducked" in strip(1).get_attribute("class"), "the other group ducked", 5)
    assert "ducked" not in strip(0).get_attribute("class")
    time.sleep(0.3)
    beside = heard(1)
    assert beside < alone / 3, "it steps back"
    assert heard(0) > beside, "the priority group is on top"
    page.shot("ducked")
    talks[0].join()
    radios[0].floor("release")
    page.wait(lambda: "ducked" not in strip(1).get_attribute("class"), "the other group back", 5)
    time.sleep(0.3)
    assert heard(1) > alone / 2
    page.driver.execute_script(
        "const slider = arguments[0]; slider.value = 0; slider.dispatchEvent(new Event('input'))", strip(1).find_element(By.CSS_SELECTOR, "input[type=range]"))
    time.sleep(0.3)
    assert heard(1, 500) < alone / 50, "a volume of nothing is silence"
    talks[1].join()
    for radio in radios:
        radio.close()
