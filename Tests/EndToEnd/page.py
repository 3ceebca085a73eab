"""What the console's tests share: a real Chromium with a microphone, and what people do on the page. Its fixtures are imported by name."""
import contextlib, pathlib, subprocess, threading, time

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import wait_for

DISPATCHER = 7


# What of a microphone a browser is told, and how it takes what the page asks for.
ALLOWED, FAKE = "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"


def chromium(folder, flags=(ALLOWED, FAKE), **preferences):
    """A browser whose microphone, where the flags give it one, hears somebody speak all the time."""
    wav = folder / "speech.wav"
    if FAKE in flags:
        subprocess.run(["espeak-ng", "-s", "120", "-a", "200", "-w", wav, "This is control speaking from the console. " * 8], check=True)
    options = webdriver.ChromeOptions()
    for word in ["--headless=new", "--no-sandbox", *flags, f"--use-file-for-fake-audio-capture={wav}", "--autoplay-policy=no-user-gesture-required",
                 "--window-size=1440,900", "--disable-dev-shm-usage"]:
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
        # What a test that failed held down.
        self.keys().reset_actions()
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
        """Without the mouse, which may hold something down; gives back when all is drawn."""
        self.driver.execute_async_script(
            "const [button, done] = arguments; button.click(); requestAnimationFrame(() => requestAnimationFrame(() => done()))",
            self.find(f"[data-lang={word}]"))

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
        ok = self.find("#create [value=ok]")
        ok.click()
        # A voice server that was away may need some seconds more: then it is asked once more.
        self.wait(lambda: name in self.text("#groups") or self.text("#create .problem") and ok.click(), "the new group", 30)
        items = requests.get(self.stack.address["bo"] + "/v1/groups", params={"q": name, "limit": 500}, timeout=5).json()["items"]
        return [g["gid"] for g in items if g["group_name"] == name][-1]

    def monitor(self, gid):
        self.driver.execute_async_script(
            "const done = arguments[1]; import('/talk.js').then((m) => { m.monitor(arguments[0], true); done(); })", gid)
        self.wait(lambda: self.channel(gid, "state") == "on", f"group {gid} monitored", 20)

    def channel(self, gid, field):
        return self.driver.execute_async_script(
            "const done = arguments[2]; import('/talk.js').then((m) => done(m.voice.channels.get(arguments[0])?.[arguments[1]] ?? null))", gid, field)

    def choose(self, gid):
        self.find(f"#groups [data-gid='{gid}']").click()
        self.wait(lambda: self.find(f"#groups [data-gid='{gid}']").get_attribute("aria-current") == "true", f"group {gid} chosen")

    def says(self, text, css="#talk b", seconds=15):
        self.wait(lambda: text in self.text(css), f"“{text}” in {css}", seconds)

    def hold(self, css):
        """Presses the mouse on it, and keeps it down."""
        self.keys().click_and_hold(self.find(css)).perform()

    def let_go(self):
        self.keys().release().perform()

    def until(self, gid, mine, seconds=15):
        self.wait(lambda: self.channel(gid, "mine") == mine, f"{mine} in group {gid}", seconds)

    def acknowledge(self, gid):
        mine = f"#emergency [data-focus='ack-{gid}']"
        self.wait(lambda: self.find(mine).click() is None, "the banner")
        self.wait(lambda: not self.driver.find_elements(By.CSS_SELECTOR, mine), "the banner's end")

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


@contextlib.contextmanager
def talking(radio, speech):
    """A radio that has the floor, and speaks until the block is over."""
    assert radio.floor("request")["state"] == "granted"
    voiced, is_over = [p for p in speech if len(p) > 10][:20], threading.Event()

    def speak():
        while not is_over.is_set():
            radio.talk(voiced)
    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        radio.floor("release")


@pytest.fixture
def page(browser, stack, tmp_path):
    stack.ready("bo-server")
    stack.ready("media-service")
    shots = pathlib.Path(tmp_path)
    return Page(browser, stack, shots)
