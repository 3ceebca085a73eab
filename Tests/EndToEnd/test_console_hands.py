"""The console by mouse, finger and keyboard: talking, emergencies and replay, as the page's own help says."""
import contextlib

import pytest
from selenium.webdriver.common.keys import Keys

from harness import Device, wait_for
from page import DISPATCHER, browser, page, talking


def mouse(page, what, css, buttons):
    """Chromium's own mouse, for the driver's loses what it holds when it moves."""
    box = page.driver.execute_script("return arguments[0].getBoundingClientRect().toJSON()", page.find(css))
    page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {
        "type": what, "x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left", "buttons": buttons, "clickCount": 1})


def test_the_talk_button_is_held_by_the_mouse(page, stack):
    gid = page.create("Console mouse", members="3")
    page.monitor(gid)
    radio = Device(stack, gid, 3)
    mouse(page, "mousePressed", "#talk", 1)
    page.until(gid, "granted")
    assert page.find("#talk").get_attribute("aria-pressed") == "true"
    heard, _ = radio.receive(0.2, least=25)
    assert len(heard) >= 25
    # It stays held wherever the mouse goes, until the mouse is let go.
    mouse(page, "mouseMoved", "header h1", 1)
    radio.receive(0.1, least=10)
    assert page.channel(gid, "mine") == "granted"
    mouse(page, "mouseReleased", "header h1", 0)
    page.until(gid, "none")
    assert page.find("#talk").get_attribute("aria-pressed") == "false"
    radio.wait_floor("idle")


PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Mobile Safari/537.36"


class Phone:
    """The same browser as a phone: small, and touched."""

    def __init__(self, driver):
        self.driver = driver
        version = driver.capabilities["browserVersion"]
        self.tell("Emulation.setUserAgentOverride", userAgent=PHONE.format(version), platform="Linux armv8l")
        self.tell("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
        self.tell("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)

    def tell(self, method, **words):
        self.driver.execute_cdp_cmd(method, words)

    def touch(self, *nodes):
        """Puts a finger on the middle of each."""
        boxes = [self.driver.execute_script("return arguments[0].getBoundingClientRect().toJSON()", node) for node in nodes]
        points = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "id": id} for id, box in enumerate(boxes)]
        self.tell("Input.dispatchTouchEvent", type="touchStart", touchPoints=points)

    def lift(self):
        self.tell("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def close(self):
        self.tell("Emulation.setTouchEmulationEnabled", enabled=False)
        self.tell("Emulation.clearDeviceMetricsOverride")
        self.tell("Emulation.setUserAgentOverride", userAgent="")


@pytest.fixture
def phone(page, stack):
    with contextlib.closing(Phone(page.driver)) as phone:
        page.driver.get(stack.address["bo"] + "/")
        is_phone = "return navigator.maxTouchPoints > 0 && matchMedia('(pointer: coarse)').matches && /Mobile/.test(navigator.userAgent)"
        assert page.driver.execute_script(is_phone)
        page.language("en")
        yield phone


def test_a_phone_talks_by_touch(page, phone, stack):
    gid = page.create("Console touch", members="3")
    page.monitor(gid)
    radio = Device(stack, gid, 3)
    phone.touch(page.find("#talk"))
    page.until(gid, "granted")
    page.shot("phone-talking")
    heard, _ = radio.receive(0.2, least=60)
    # Longer than what phones take for a long press, which opens menus elsewhere.
    assert len(heard) >= 60 and page.channel(gid, "mine") == "granted"
    phone.lift()
    page.until(gid, "none")
    radio.wait_floor("idle")


def test_a_phone_starts_an_emergency_by_touch(page, phone, stack, bus):
    gid = page.create("Console touch alarm")
    page.monitor(gid)
    phone.touch(page.find("#alarm"))
    phone.lift()
    page.says("Hold for one second", "#toast")
    phone.touch(page.find("#alarm"))
    page.wait(lambda: any(f["state"] == "emergency" and f["uid"] == DISPATCHER for f in bus.floor(gid)), "the emergency")
    page.says("You talk: emergency")
    page.shot("phone-emergency")
    fits = "const b = arguments[0]; return b.scrollWidth <= b.clientWidth && b.scrollHeight <= b.clientHeight"
    assert page.driver.execute_script(fits, page.find("#talk b")), "all of it can be read"
    assert not page.find("#toast").is_displayed()
    phone.lift()
    page.until(gid, "none")
    page.acknowledge(gid)


def test_digits_choose_monitored_groups_and_the_alarm_takes_enter(page, stack, bus):
    gids = [page.create(f"Console digit {n}") for n in (1, 2)]
    for gid in gids:
        page.monitor(gid)
    chosen = lambda: page.text("#detail .title strong")
    assert "1–9 choose a monitored group" in page.text("#talk-keys")
    for digit, name in (("1", "Console digit 1"), ("2", "Console digit 2"), ("9", "Console digit 2"), ("1", "Console digit 1")):
        page.keys().send_keys(digit).perform()
        page.says(name, "#detail .title strong")
        assert page.text("#talk span") == name
    # What is written somewhere is no command.
    page.find("#filter").send_keys("2 r")
    assert page.find("#filter").get_attribute("value") == "2 r" and chosen() == "Console digit 1"
    assert page.channel(gids[0], "mine") == "none" and page.text("#replay-now") == ""
    page.find("#filter").clear()
    page.driver.execute_script("arguments[0].focus()", page.find("#alarm"))
    page.keys().key_down(Keys.ENTER).perform()
    page.wait(lambda: any(f["state"] == "emergency" and f["uid"] == DISPATCHER for f in bus.floor(gids[0])), "the emergency")
    page.says("You talk: emergency")
    page.keys().key_up(Keys.ENTER).perform()
    page.until(gids[0], "none")
    page.acknowledge(gids[0])
    assert not any(f["state"] == "emergency" for f in bus.floor(gids[1]))


def test_the_talk_button_takes_enter_twice_and_space_whatever_has_the_focus(page, stack):
    gid = page.create("Console enter")
    page.monitor(gid)
    page.driver.execute_script("arguments[0].focus()", page.find("#talk"))
    page.keys().send_keys(Keys.ENTER).perform()
    page.until(gid, "granted")
    page.keys().send_keys(Keys.ENTER).perform()
    page.until(gid, "none")
    page.driver.execute_script("arguments[0].focus()", page.find("#wait"))
    page.keys().key_down(Keys.SPACE).perform()
    page.until(gid, "granted")
    page.keys().key_up(Keys.SPACE).perform()
    page.until(gid, "none")
    assert page.find("#wait").get_attribute("aria-pressed") == "true", "the space bar pressed no button"


# Listens to what is replayed, and lets it begin anew at its end: so a slow machine finds it playing too.
TAP = """
window.replayed = { plays: 0, isOn: () => false, isLoud: () => false };
const make = AudioContext.prototype.createMediaElementSource;
AudioContext.prototype.createMediaElementSource = function (element) {
  const node = make.call(this, element), tap = this.createAnalyser(), buffer = new Float32Array(2048);
  node.connect(tap);
  element.loop = true;
  element.addEventListener("play", () => { replayed.plays += 1; });
  replayed.element = element;
  replayed.isOn = () => !element.paused;
  replayed.isLoud = () => {
    tap.getFloatTimeDomainData(buffer);
    return !element.paused && Math.max(...buffer) > 0.02;
  };
  return node;
};
"""


@pytest.fixture
def replayed(browser, page, stack):
    """Asks the page about its replay."""
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": TAP})
    try:
        browser.get(stack.address["bo"] + "/")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    page.language("en")
    return lambda what: browser.execute_script(f"return window.replayed.{what}")


def record(bus, radio, payloads):
    count = len(bus.talks(radio.uid, radio.room))
    assert radio.floor("request")["state"] == "granted"
    radio.talk(payloads)
    radio.floor("release")
    wait_for(lambda: len(bus.talks(radio.uid, radio.room)) > count, 10, "the record")


def test_talks_are_replayed_by_keys_and_buttons_while_the_others_step_back(page, replayed, stack, bus, speech):
    other, gid = page.create("Console beside"), page.create("Console replay", members="3")
    for one in (other, gid):
        page.monitor(one)
    radio = Device(stack, gid, 3)
    voiced = [p for p in speech if len(p) > 10]
    for length in (50, 100):
        record(bus, radio, voiced[:length])
    page.wait(lambda: page.text("#talks").count("Console replay") == 2, "both in the list")
    is_ducked = lambda: "ducked" in page.find(f"#strips [data-gid='{other}']").get_attribute("class")
    press = lambda key: page.keys().send_keys(key).perform()
    is_heard = lambda length: page.wait(lambda: f"· {length} s" in page.text("#replay-now") and replayed("isLoud()"), f"the talk of {length} s")
    assert not is_ducked()
    press("r")
    is_heard("2.0")
    page.wait(is_ducked, "the others stepping back")
    page.shot("replaying")
    press("R")
    is_heard("1.0")
    assert page.find("#replay-earlier").get_attribute("disabled")
    page.find("#replay-later").click()
    is_heard("2.0")
    page.find("#speed").click()
    assert replayed("element.playbackRate") == 1.5
    press(Keys.ESCAPE)
    page.wait(lambda: page.text("#replay-now") == "" and not is_ducked(), "the end")
    assert not replayed("isOn()")
    page.find("#replay-last").click()
    is_heard("2.0")
    page.find("#replay-earlier").click()
    is_heard("1.0")
    page.find("#replay-stop").click()
    page.wait(lambda: page.text("#replay-now") == "" and not replayed("isOn()"), "the end")


def test_nothing_is_replayed_into_a_talk(page, replayed, stack, bus, speech):
    gid = page.create("Console no replay", members="3")
    page.monitor(gid)
    radio = Device(stack, gid, 3)
    record(bus, radio, [p for p in speech if len(p) > 10][:100])
    player = lambda: page.find(f"#talks [data-id='{bus.talks(3, gid)[0]['talk_id']}'] .play button")
    page.wait(lambda: player().is_enabled(), "the talk in the list")
    player().click()
    page.wait(lambda: player().get_attribute("aria-label") == "Pause", "its sound")
    page.keys().key_down(Keys.SPACE).perform()
    page.until(gid, "granted")
    assert player().get_attribute("aria-label") == "Play"
    page.keys().key_up(Keys.SPACE).perform()
    page.until(gid, "none")
    # Asked for, and at once thought better of: the list of talks comes when we talk already.
    page.keys().send_keys("r").key_down(Keys.SPACE).perform()
    page.until(gid, "granted")
    page.keys().send_keys("r").perform()
    page.wait(lambda: int(page.text("#left").split()[0]) < 30, "a second of talking")
    assert replayed("plays") == 0 and page.text("#replay-now") == ""
    page.keys().key_up(Keys.SPACE).perform()
    page.until(gid, "none")
    with talking(radio, speech):
        page.keys().key_down(Keys.SPACE).perform()
        page.until(gid, "queued")
        page.keys().send_keys("r").perform()
        page.wait(lambda: replayed("isOn()"), "a replay while we wait")
    page.until(gid, "granted")
    assert not replayed("isOn()")
    page.keys().key_up(Keys.SPACE).perform()
    page.until(gid, "none")
