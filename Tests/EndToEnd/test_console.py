"""The console in a real Chromium with fake audio: it creates a group, monitors it, talks by key and button, and tells what the floor says."""
import pathlib, subprocess, threading, time

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import Device, decoded_ms, wait_for

DISPATCHER = 7


def chromium(folder, **preferences):
    """A browser whose microphone hears somebody speak all the time."""
    wav = folder / "speech.wav"
    subprocess.run(["espeak-ng", "-s", "120", "-a", "200", "-w", wav, "This is control speaking from the console. " * 8], check=True)
    options = webdriver.ChromeOptions()
    for word in ["--headless=new", "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                 f"--use-file-for-fake-audio-capture={wav}", "--autoplay-policy=no-user-gesture-required", "--window-size=1440,900",
                 "--disable-dev-shm-usage"]:
        options.add_argument(word)
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = chromium(tmp_path_factory.mktemp("microphone"))
    yield driver
    driver.quit()


class Page:
    def __init__(self, driver, stack, shots):
        self.driver, self.stack, self.shots = driver, stack, shots
        driver.set_window_size(1440, 900)
        driver.get(stack.address["bo"] + "/")
        driver.execute_script("localStorage.clear()")
        driver.get(stack.address["bo"] + "/")
        self.language("en")

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css):
        return self.find(css).text

    def wait(self, check, what, seconds=15):
        def safe():
            try:
                return check()
            except Exception:
                return None
        try:
            return wait_for(safe, seconds, what)
        except AssertionError:
            self.shot("failed")
            raise AssertionError(f"{what} did not come; the page says: {self.find('body').text[:600]}; {self.driver.get_log('browser')[-5:]}")

    def language(self, word):
        self.find(f"[data-lang={word}]").click()

    def shot(self, name):
        self.driver.save_screenshot(str(self.shots / f"{name}.png"))

    def talk_state(self):
        return self.find("#talk").get_attribute("data-state") or self.find("#talk").get_attribute("class")

    def keys(self):
        return ActionChains(self.driver)

    def create(self, name, **ids):
        self.find("#new").click()
        for field, value in {"group_name": name, **ids}.items():
            self.find(f"#create [name={field}]").send_keys(value)
        self.find("#create [value=ok]").click()
        self.wait(lambda: name in self.text("#groups"), "the new group")
        items = requests.get(self.stack.address["bo"] + "/v1/groups", params={"q": name, "limit": 500}, timeout=5).json()["items"]
        return [g["gid"] for g in items if g["group_name"] == name][-1]

    def monitor(self, gid):
        self.driver.execute_async_script(
            "const done = arguments[1]; import('/talk.js').then((m) => { m.monitor(arguments[0], true); done(); })", gid)
        self.wait(lambda: self.channel(gid, "state") == "on", f"group {gid} monitored", 20)

    def channel(self, gid, field):
        return self.driver.execute_async_script(
            "const done = arguments[2]; import('/talk.js').then((m) => done(m.voice.channels.get(arguments[0])?.[arguments[1]] ?? null))", gid, field)

    def speak(self, gid, radio):
        """Talks for two seconds with the space bar, and a radio hears them."""
        self.find("#detail").click()
        self.keys().key_down(Keys.SPACE).perform()
        self.wait(lambda: self.channel(gid, "mine") == "granted", "the grant")
        self.shot("talking")
        time.sleep(2)
        self.keys().key_up(Keys.SPACE).perform()
        self.wait(lambda: self.channel(gid, "mine") == "none", "the release")
        heard, _ = radio.receive(0.3)
        assert 85 <= len(heard) <= 125, len(heard)


@pytest.fixture
def page(browser, stack, tmp_path):
    stack.ready("bo-server")
    stack.ready("media-service")
    shots = pathlib.Path(tmp_path)
    return Page(browser, stack, shots)


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


# Notes when the floor's answers come, when the button shows them, when a tone begins, and when the browser paints.
WATCH = """
window.seen = { news: [], shown: [], tones: [], frames: [] };
const seen = window.seen, Original = window.WebSocket;
window.WebSocket = class extends Original {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", (event) => {
      const state = /"state":"(granted|queued|revoked|denied|idle)"/.exec(event.data);
      if (state) seen.news.push([performance.now(), state[1]]);
    });
  }
};
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...words) {
  seen.tones.push(performance.now());
  return start.apply(this, words);
};
const frame = () => { seen.frames.push(performance.now()); requestAnimationFrame(frame); };
requestAnimationFrame(frame);
addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => seen.shown.push([performance.now(), document.getElementById("talk").dataset.state]))
    .observe(document.getElementById("talk"), { attributes: true, attributeFilter: ["data-state"] });
});
"""


def test_what_the_floor_says_is_seen_and_heard_within_one_frame(browser, page, stack, bus):
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    try:
        page.driver.get(stack.address["bo"] + "/")
        page.language("en")
        gid = page.create("Console nine", members="3", owner="9")
        page.monitor(gid)
        owner = Device(stack, gid, 9)
        page.find("#detail").click()
        page.keys().key_down(Keys.SPACE).perform()
        page.wait(lambda: page.channel(gid, "mine") == "granted", "the grant")
        time.sleep(1)
        assert owner.floor("request")["state"] == "granted"
        page.wait(lambda: page.channel(gid, "mine") == "revoked", "the cut-off")
        page.keys().key_up(Keys.SPACE).perform()
        seen = page.driver.execute_script("return window.seen")
        for news in ("granted", "revoked"):
            came = next(at for at, state in seen["news"] if state == news)
            drawn = next((at for at, _ in seen["shown"] if at >= came), None)
            tone = next((at for at in seen["tones"] if at >= came), None)
            assert drawn and tone, (news, seen["news"], seen["shown"], seen["tones"][-5:])
            for what, at in (("colour", drawn), ("sound", tone)):
                between = [f for f in seen["frames"] if came < f < at]
                assert len(between) <= 1, f"{news}: {what} {at - came:.1f} ms later, {len(between)} frames between"
        owner.close()
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
