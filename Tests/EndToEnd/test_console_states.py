"""What the console shows and sounds in each state of the floor, in both languages, at once; and that its meters follow the sound."""
import contextlib


from harness import Device
from page import browser, page, talking


def test_the_busy_are_told_so_or_wait_as_they_chose(page, stack, bus, speech):
    gid = page.create("Console busy", members="3")
    page.monitor(gid)
    radio = Device(stack, gid, 3)
    with talking(radio, speech):
        page.says("radio 3 (3) talks")
        page.find("#wait").click()
        page.hold("#talk")
        page.until(gid, "denied")
        assert (page.text("#talk b"), page.text("#talk span"), page.talk_state()) == ("Busy", "Somebody else has the floor", "denied")
        page.shot("busy")
        page.language("zh")
        assert (page.text("#talk b"), page.text("#talk span")) == ("话权忙", "他人正在讲话")
        page.let_go()
        page.until(gid, "none")
        page.says("radio 3 (3) 正在讲话")
        page.find("#wait").click()
        page.hold("#talk")
        page.until(gid, "queued")
        assert (page.text("#talk b"), page.text("#talk span"), page.talk_state()) == ("排队中，第 1 位", "radio 3 (3) 正在讲话", "queued")
        page.language("en")
        assert (page.text("#talk b"), page.text("#talk span")) == ("Waiting, place 1", "radio 3 (3) talks")
        page.wait(lambda: page.text("#detail .floor .grow").endswith("Waiting: Dispatcher (7)"), "the queue in the middle")
        page.let_go()
        page.until(gid, "none")
        page.wait(lambda: bus.floor(gid)[-1]["queue"] == [], "the queue left")


def test_the_cut_off_are_told_why_in_both_languages(page, stack):
    gid = page.create("Console cut", owner="9")
    page.monitor(gid)
    owner = Device(stack, gid, 9)
    page.hold("#talk")
    page.until(gid, "granted")
    page.language("zh")
    page.says("您正在讲话")
    page.says("剩余", "#left")
    assert owner.floor("request")["state"] == "granted"
    page.until(gid, "revoked")
    assert (page.text("#talk b"), page.text("#talk span"), page.talk_state()) == ("已被打断", "更高级别的用户正在讲话", "revoked")
    page.language("en")
    assert (page.text("#talk b"), page.text("#talk span")) == ("Cut off", "Somebody higher talks")
    owner.floor("release")
    page.let_go()
    page.until(gid, "none")
    page.says("Hold to talk")


# How far a meter's bar is out, in percent.
LEVEL = "return 100 - parseFloat(/inset\\(0(?:px)? ([\\d.]+)%/.exec(arguments[0].style.clipPath)?.[1] ?? 100)"


def test_the_meters_move_while_there_is_sound(page, stack, speech):
    gid = page.create("Console loud", members="3")
    page.monitor(gid)
    radio = Device(stack, gid, 3)
    level = lambda css: page.driver.execute_script(LEVEL, page.find(css))

    def moves(css):
        seen = set()
        page.wait(lambda: seen.add(level(css)) or len({one for one in seen if one > 10}) > 3, f"{css} moving")
    strip = f"#strips [data-gid='{gid}'] .meter i"
    moves("#mic-level")
    assert level(strip) == 0, "nobody talks"
    with talking(radio, speech):
        moves(strip)
    page.wait(lambda: level(strip) == 0, "silence again")


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


@contextlib.contextmanager
def watched(browser, page, stack):
    """The page anew, with somebody who notes what it does."""
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    try:
        page.driver.get(stack.address["bo"] + "/")
        page.language("en")
        yield
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def is_at_once(page, news):
    """What came is shown and heard before the second frame after it."""
    seen = page.driver.execute_script("return window.seen")
    came = next(at for at, state in seen["news"] if state == news)
    drawn = next((at for at, _ in seen["shown"] if at >= came), None)
    tone = next((at for at in seen["tones"] if at >= came), None)
    assert drawn and tone, (news, seen["news"], seen["shown"], seen["tones"][-5:])
    for what, at in (("colour", drawn), ("sound", tone)):
        between = [f for f in seen["frames"] if came < f < at]
        assert len(between) <= 1, f"{news}: {what} {at - came:.1f} ms later, {len(between)} frames between"
    return True


def test_what_the_floor_says_is_seen_and_heard_within_one_frame(browser, page, stack):
    with watched(browser, page, stack):
        gid = page.create("Console nine", members="3", owner="9")
        page.monitor(gid)
        owner = Device(stack, gid, 9)
        page.hold("#talk")
        page.until(gid, "granted")
        assert owner.floor("request")["state"] == "granted"
        page.until(gid, "revoked")
        page.let_go()
        assert is_at_once(page, "granted") and is_at_once(page, "revoked")


def test_a_place_in_the_queue_and_a_refusal_are_seen_and_heard_within_one_frame(browser, page, stack, speech):
    with watched(browser, page, stack):
        gid = page.create("Console ten", members="3")
        page.monitor(gid)
        radio = Device(stack, gid, 3)
        with talking(radio, speech):
            page.hold("#talk")
            page.until(gid, "queued")
            page.let_go()
            page.until(gid, "none")
            page.find("#wait").click()
            page.hold("#talk")
            page.until(gid, "denied")
            page.let_go()
        assert is_at_once(page, "queued") and is_at_once(page, "denied")
