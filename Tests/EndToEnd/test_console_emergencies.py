"""Emergencies on the console: none is lost or becomes an ordinary press, whatever is broken, missing or not there yet."""
import pytest
import requests
from selenium.webdriver.common.keys import Keys

from page import ALLOWED, DISPATCHER, FAKE, Page, browser, chromium, page


def is_told(bus, gid):
    return any(f["state"] == "emergency" and f["uid"] == DISPATCHER for f in bus.floor(gid))


def test_a_hold_that_is_too_short_sends_nothing(page, stack, bus):
    gid = page.create("Console short")
    page.monitor(gid)
    page.find("#alarm").click()
    page.says("Hold for one second", "#toast")
    # By the page's clock, longer than the alarm would have had to be held.
    page.hold("#talk")
    page.until(gid, "granted")
    page.wait(lambda: int(page.text("#left").split()[0]) < 29, "more than a second of talking")
    assert page.text("#talk b") == "You talk"
    page.let_go()
    page.wait(lambda: any(f["state"] == "idle" for f in bus.floor(gid)), "the release")
    assert not is_told(bus, gid) and {f["tier"] for f in bus.floor(gid)} == {"normal"}


def test_an_emergency_begins_where_the_group_is_not_monitored_yet(page, stack, bus):
    gid = page.create("Console unheard of")
    page.hold("#alarm")
    page.wait(lambda: is_told(bus, gid), "the emergency")
    page.says("You talk: emergency")
    page.language("zh")
    assert page.text("#talk b") == "您正在讲话：紧急"
    page.language("en")
    page.let_go()
    page.until(gid, "none")
    page.acknowledge(gid)


def test_an_emergency_that_has_no_answer_yet_may_be_let_go(page, stack, bus):
    gid = page.create("Console silent")
    page.monitor(gid)
    with stack.frozen("media-service"):
        page.hold("#alarm")
        page.says("Emergency…")
        page.let_go()
        page.wait(lambda: not page.channel(gid, "isHeld"), "the button up")
        assert page.channel(gid, "alarm") == "due"
    page.wait(lambda: is_told(bus, gid), "the emergency", 40)
    page.says("The emergency went out in Console silent", "#toast")
    page.wait(lambda: bus.floor(gid)[-1]["holder"] is None, "the floor given back")
    page.acknowledge(gid)


def test_an_emergency_begins_in_the_middle_of_a_talk(page, stack, bus):
    gid = page.create("Console worse")
    page.monitor(gid)
    page.keys().key_down(Keys.SPACE).perform()
    page.until(gid, "granted")
    assert page.text("#talk b") == "You talk"
    page.hold("#alarm")
    page.wait(lambda: is_told(bus, gid), "the emergency")
    page.says("You talk: emergency")
    page.let_go()
    # The space bar still holds it.
    assert page.channel(gid, "mine") == "granted" and page.text("#talk b") == "You talk: emergency"
    page.keys().key_up(Keys.SPACE).perform()
    page.until(gid, "none")
    page.acknowledge(gid)
    assert len(bus.talks(DISPATCHER, gid)) <= 1, "it was one talk"


def test_an_emergency_goes_out_late_though_nobody_holds_it_any_more(page, stack, bus):
    gid = page.create("Console late")
    with stack.frozen("media-service"):
        page.hold("#alarm")
        page.says("Emergency not sent yet")
        assert page.text("#talk span") == "It goes out as soon as Console late is connected"
        page.language("zh")
        page.says("紧急呼叫尚未发出")
        assert page.text("#talk span") == "Console late 一接通即发出"
        page.language("en")
        page.let_go()
        # An ordinary press, meanwhile, takes nothing away from it.
        page.keys().send_keys(Keys.SPACE).perform()
        assert page.channel(gid, "alarm") == "due" and not page.channel(gid, "isHeld")
        page.says("Emergency not sent yet")
    page.wait(lambda: is_told(bus, gid), "the emergency", 40)
    page.says("The emergency went out in Console late", "#toast")
    page.wait(lambda: bus.floor(gid)[-1]["holder"] is None, "the floor given back")
    page.acknowledge(gid)


def test_an_emergency_survives_a_break_in_mid_hold(page, stack, bus):
    gid = page.create("Console broken")
    page.monitor(gid)
    # It is asked for, but whom it was told dies with it.
    with stack.frozen("media-service"):
        page.hold("#alarm")
        page.says("Emergency…")
        page.language("zh")
        page.says("正在发起紧急呼叫")
        stack.kill("media-service")
    page.wait(lambda: page.channel(gid, "state") != "on", "the loss", 20)
    page.says("紧急呼叫尚未发出")
    page.language("en")
    stack.ready("media-service")
    page.wait(lambda: is_told(bus, gid), "the emergency", 40)
    page.says("You talk: emergency")
    page.let_go()
    page.until(gid, "none")
    page.acknowledge(gid)


# Why there is no microphone, as Chromium is told; what the console says, each in another language.
LACKS = {
    "denied": (
        "en", (FAKE,), {"profile.default_content_setting_values.media_stream_mic": 2}, "Emergency sent, no voice", "Allow the microphone",
        "nobody hears you: no microphone", "No microphone"),
    "missing": ("zh", (ALLOWED,), {}, "紧急呼叫已发出，没有声音", "请接上麦克风", "没有麦克风，无人能听到您", "没有麦克风"),
}


@pytest.mark.parametrize("why", LACKS)
def test_an_emergency_needs_no_microphone(why, stack, bus, tmp_path):
    stack.ready("bo-server")
    stack.ready("media-service")
    language, flags, preferences, headline, advice, told, without = LACKS[why]
    driver = chromium(tmp_path, flags, **preferences)
    try:
        page = Page(driver, stack, tmp_path)
        gid = page.create(f"Console {why}")
        page.language(language)
        page.hold("#alarm")
        page.wait(lambda: is_told(bus, gid), "the emergency")
        page.says(told, "#toast")
        page.says(headline)
        assert advice in page.text("#talk span")
        page.shot("unheard")
        page.wait(lambda: bus.floor(gid)[-1]["holder"] is None, "the floor given back")
        page.let_go()
        page.acknowledge(gid)
        page.says(without)
        # Talking needs a voice.
        takes = lambda: [f["state"] for f in bus.floor(gid)].count("taken")
        before = takes()
        page.hold("#talk")
        page.says(without)
        page.let_go()
        assert page.channel(gid, "mine") == "none" and takes() == before
    finally:
        driver.quit()


def test_an_open_group_is_offered_no_emergency(page, stack, bus):
    ptt = page.create("Console with alarms")
    answer = requests.post(stack.address["bo"] + "/v1/groups", timeout=20, json={
        "group_name": "Console without alarms", "dispatcher_id": DISPATCHER, "mode": "open"})
    assert answer.status_code == 201, answer.text
    gid = answer.json()["gid"]
    page.wait(lambda: "Console without alarms" in page.text("#groups"), "the new group")
    alarm = page.find("#alarm")
    assert alarm.get_attribute("aria-disabled") == "false" and alarm.get_attribute("title") == "Hold for one second"
    page.choose(gid)
    page.wait(lambda: alarm.get_attribute("aria-disabled") == "true", "no alarm here")
    assert alarm.get_attribute("aria-label") == "Emergency: Open groups take no emergencies: choose another group"
    page.language("zh")
    page.wait(lambda: alarm.get_attribute("title") == "开放群组不支持紧急呼叫：请选择其他群组", "the reason in Chinese")
    page.hold("#alarm")
    page.says("开放群组不支持紧急呼叫", "#toast")
    assert "held" not in alarm.get_attribute("class")
    page.let_go()
    page.language("en")
    page.choose(ptt)
    page.wait(lambda: alarm.get_attribute("aria-disabled") == "false", "the alarm again")
