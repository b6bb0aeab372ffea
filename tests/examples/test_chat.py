"""The example chat as people use it: two browsers, and a server that is killed.

It needs Debian's chromium, playwright, uvicorn, starlette and websockets, and is skipped where one is not at hand, but
never in CI (`.ci/run` installs them). ROOMSTATE_SCREENSHOTS names a folder for the pictures.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import roomstate
from tests.export.lint import lint

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "chat"
VECTORS = sorted((Path(roomstate.__file__).parent / "testing" / "vectors").glob("*.json"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
WAIT_MS = 20_000
missing = [name for name in ("playwright", "uvicorn", "starlette", "websockets") if not importlib.util.find_spec(name)]
needs_browser = pytest.mark.skipif(
    bool(missing or not CHROMIUM) and not os.environ.get("ROOMSTATE_BROWSER"), reason=f"no chromium, or no {missing}"
)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_the_page_s_replica_passes_the_conformance_vectors() -> None:
    command = ["node", str(EXAMPLE / "vectors.mjs"), *map(str, VECTORS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" 0 failed\n")


EPOCHLESS = """
const { RoomReplica } = await import(process.argv[1]);
const { epoch, ...bare } = { message_type: "DELTA_UPDATE", room_id: "rust", epoch: "", previous: 0, sequence_number: 1,
  data: { added_messages: [{ id: "1", user: "bob", content: "hi", timestamp: "2026-01-01T00:00:00Z" }] } };
for (const update of [bare, { ...bare, epoch }]) {
  const room = new RoomReplica("rust");
  room.enter(0);
  room.receive(update, 0);
  console.log(room.head, room.messages.length, room.request !== null);
}
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_an_update_of_no_log_does_not_hold_up_a_page_s_replica_that_holds_nothing() -> None:
    command = ["node", "--input-type=module", "-e", EPOCHLESS, (EXAMPLE / "static" / "replica.js").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.splitlines() == ["0 0 true"] * 2, done.stderr


PAIRS = [
    *(("ink", "bg"), ("ink", "panel"), ("ink", "own"), ("ink", "alert-bg"), ("soft", "bg"), ("soft", "panel")),
    *(("accent", "bg"), ("accent", "panel"), ("accent", "own"), ("on-accent", "accent"), ("panel", "alert")),
    *(("alert", "bg"), ("alert", "alert-bg"), ("pending", "bg"), ("pending", "pending-bg"), ("soft", "line")),
]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_the_page_can_be_read(scheme: str) -> None:
    style = (EXAMPLE / "static" / "style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", light + (dark if scheme == "dark" else "")))
    for text, ground in PAIRS:
        low, high = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5 or (text, ground) == ("soft", "line"), (text, ground)


BOUNDED = """
import ast, sys
sys.path.insert(0, sys.argv[1])
import server, uvicorn
from roomstate.host import HostBounds
app = server.create_app(sys.argv[3], bounds=HostBounds(**ast.literal_eval(sys.argv[4])))
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


class Server:
    """The example in a process of its own, on a port that it keeps through restarts."""

    def __init__(self, folder: Path, **bounds: float) -> None:
        self.bounds = bounds
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.store = folder / "chat.sqlite"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        command = [sys.executable, str(EXAMPLE / "server.py"), "--port", str(self.port), "--store", str(self.store)]
        command += ["--idle", "5"]
        if self.bounds:
            command = [sys.executable, "-c", BOUNDED, str(EXAMPLE), str(self.port), str(self.store), repr(self.bounds)]
        self.process = subprocess.Popen(command)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url, timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(timeout=30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.stop()


class Person:
    """Somebody at a browser window."""

    def __init__(self, browser: Any, server: Server, name: str, **context: Any) -> None:
        self.page = (browser.new_context(**context) if context else browser).new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(server.url)
        self.page.fill("#name", name)
        self.page.press("#name", "Enter")
        self.page.wait_for_selector("#app:not([hidden])")

    def say(self, text: str) -> None:
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def go(self, room: str) -> None:
        self.page.click(f'#room-list [data-room="{room}"]')

    def sees(self) -> list[str]:
        return list(self.page.locator("#messages li:not(.gap) .body").all_inner_texts())

    def waits_to_see(self, wanted: list[str]) -> None:
        deadline = time.monotonic() + WAIT_MS / 1000
        while self.sees() != wanted or self.page.locator("#messages li.pending").count():
            assert time.monotonic() < deadline, f"sees {self.sees()}, not {wanted}"
            time.sleep(0.05)

    def message(self, text: str) -> Any:
        return self.page.locator("#messages li", has=self.page.locator(".body", has_text=text))

    def does(self, text: str, what: str, times: int = 1) -> None:
        self.message(text).hover()
        for _ in range(times):
            self.message(text).get_by_role("button", name=what).click()

    def row(self, room: str) -> str:
        return str(self.page.inner_text(f'#room-list [data-room="{room}"]'))

    def waits_for_row(self, room: str, *parts: str) -> None:
        deadline = time.monotonic() + WAIT_MS / 1000
        while not all(part in self.row(room) for part in parts):
            assert time.monotonic() < deadline, f"{room}: {self.row(room)!r}"
            time.sleep(0.05)

    def waits_for_status(self, part: str) -> None:
        deadline = time.monotonic() + WAIT_MS / 1000
        while part not in (text := self.page.inner_text("#status")) or bool(part) != bool(text):
            assert time.monotonic() < deadline, f"status is {text!r}"
            time.sleep(0.02)

    def tier(self, room: str) -> str:
        return str(self.page.inner_text(f'#state-server [data-room="{room}"] .tier'))

    def waits_for_tier(self, room: str, *tiers: str) -> None:
        deadline = time.monotonic() + WAIT_MS / 1000
        while self.tier(room) not in tiers:
            assert time.monotonic() < deadline, f"{room} is {self.tier(room)}"
            time.sleep(0.05)

    def fits(self) -> None:
        """Nothing is wider than the window, so that nothing has to be scrolled sideways."""
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert self.page.evaluate(
            "document.querySelector('#messages').scrollWidth <= document.querySelector('#messages').clientWidth"
        )

    def picture(self, name: str) -> None:
        folder = os.environ.get("ROOMSTATE_SCREENSHOTS")
        if folder:
            self.page.wait_for_timeout(1500)  # what has moved in the panel fades
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))


@pytest.mark.browser
@needs_browser
def test_two_people_chat_through_everything_that_happens(server: Server) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        ada = Person(browser, server, "ada", viewport={"width": 1280, "height": 800})
        bob = Person(browser, server, "bob", viewport={"width": 390, "height": 800}, color_scheme="dark")
        bob.go("lobby")
        tell_the_story(server, ada, bob)
        assert (ada.errors, bob.errors) == ([], [])
        browser.close()


def tell_the_story(server: Server, ada: Person, bob: Person) -> None:
    # send, and what looks like markup stays text
    ada.say("good morning")
    ada.say("<img src=x onerror=alert(1)> & <b>bold</b>")
    bob.waits_to_see(["good morning", "<img src=x onerror=alert(1)> & <b>bold</b>"])
    bob.say("hello ada")
    seen = ["good morning", "<img src=x onerror=alert(1)> & <b>bold</b>", "hello ada"]
    ada.waits_to_see(seen)
    bob.waits_to_see(seen)

    # edit, remove, react
    ada.does("good morning", "Edit this message")
    ada.page.fill(".editing textarea", "good evening")
    ada.page.press(".editing textarea", "Enter")
    ada.does("<img", "Remove this message", times=2)
    ada.does("hello ada", "React with +1")
    seen = ["good evening", "hello ada"]
    ada.waits_to_see(seen)
    bob.waits_to_see(seen)
    bob.page.wait_for_selector(".reactions button")
    assert bob.message("good evening").locator(".note").inner_text().strip() == "edited"

    # switch by keyboard; unread and mention counts of a room that is only followed
    ada.page.click("#show-state")
    ada.waits_for_tier("rust", "background")
    ada.page.keyboard.press("Alt+ArrowDown")
    ada.waits_for_tier("rust", "active")
    assert ada.page.inner_text("#title") == "rust"
    bob.say("are you there @ada?")
    bob.say("I will wait")
    for person in (ada, bob):
        person.fits()
    ada.waits_for_row("lobby", "2", "@1")
    bob.picture("phone-room")
    ada.page.keyboard.press("Alt+ArrowUp")
    seen += ["are you there @ada?", "I will wait"]
    ada.waits_to_see(seen)
    assert "@" not in ada.row("lobby")
    bob.page.click("#back")
    bob.go("films")
    bob.say("have you seen it, @ada?")
    ada.waits_for_row("films", "1", "@1")
    ada.picture("desktop")
    bob.page.click("#back")
    bob.go("lobby")

    # the panel follows: nobody has looked at rust for a while
    ada.waits_for_tier("rust", "background", "cached")

    # go offline, write, come back
    bob.page.click("#back")
    bob.picture("phone-rooms")
    bob.page.click("#link")
    bob.go("lobby")
    bob.say("written on the train")
    ada.say("while bob was away 1")
    ada.say("while bob was away 2")
    assert bob.page.locator("#messages li.pending").count() == 1
    assert "offline" in bob.page.inner_text("#status")
    bob.picture("phone-offline")
    bob.page.click("#back")
    bob.page.click("#link")
    bob.go("lobby")
    seen += ["while bob was away 1", "while bob was away 2", "written on the train"]
    bob.waits_to_see(seen)
    ada.waits_to_see(seen)

    # the server is killed and restarted
    server.stop(signal.SIGKILL)
    ada.waits_for_status("lost")
    ada.say("into the void")
    bob.say("me too")
    server.start()
    ada.waits_for_status("")
    for person in (ada, bob):
        deadline = time.monotonic() + WAIT_MS / 1000
        while person.page.locator("#messages li.pending").count() or len(person.sees()) < len(seen) + 2:
            assert time.monotonic() < deadline, person.sees()
            time.sleep(0.05)
    assert ada.sees() == bob.sees()
    assert ada.sees()[: len(seen)] == seen
    assert sorted(ada.sees()[len(seen) :]) == ["into the void", "me too"]
    ada.waits_for_tier("lobby", "active")
    ada.picture("desktop-after-restart")


@pytest.mark.browser
@needs_browser
def test_what_is_refused_for_its_rate_is_shown_and_can_be_sent_again(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    running = Server(tmp_path, frames_per_s=4, frame_burst=8)  # less than the page asks for as it opens
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            ada = Person(browser, running, "ada", viewport={"width": 390, "height": 800})
            ada.page.click("#show-state")
            ada.page.locator("#state-client .ready").nth(4).wait_for()  # all five rooms were brought
            ada.page.click("#hide-state")
            ada.go("lobby")
            wanted = [f"in a hurry {number}" for number in range(15)]
            for text in wanted:
                ada.say(text)
            ada.page.wait_for_selector("li.failed .note:text('too many at once')")
            ada.fits()
            ada.picture("phone-refused")
            deadline = time.monotonic() + WAIT_MS / 1000
            while sorted(ada.sees()) != sorted(wanted) or ada.page.locator("#messages li.pending").count():
                assert time.monotonic() < deadline, ada.sees()
                for again in ada.page.get_by_role("button", name="Send again").all()[:1]:
                    again.click()
                ada.page.wait_for_timeout(300)
            assert ada.errors == []
            browser.close()
    finally:
        running.stop()


@pytest.mark.browser
@needs_browser
def test_catching_up_is_shown_until_it_is_over(server: Server) -> None:
    from playwright.sync_api import sync_playwright

    passing, held = True, []

    def between(socket: Any) -> None:
        """A network that keeps what the server says until it may pass."""
        other = socket.connect_to_server()
        socket.on_message(other.send)
        other.on_message(lambda text: socket.send(text) if passing else held.append((socket, text)))

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.route_web_socket(re.compile("/chat"), between)
        ada, bob = Person(context, server, "ada"), Person(browser, server, "bob")
        ada.say("before")
        bob.waits_to_see(["before"])
        ada.page.click("#link")
        bob.say("meanwhile")
        bob.waits_to_see(["before", "meanwhile"])
        passing = False
        ada.page.click("#link")
        ada.waits_for_status("Catching up")
        assert ada.sees() == ["before"]
        ada.picture("desktop-catching-up")
        passing = True
        for socket, text in held:
            socket.send(text)
        ada.waits_for_status("")
        ada.waits_to_see(["before", "meanwhile"])
        assert (ada.errors, bob.errors) == ([], [])
        browser.close()


@pytest.mark.browser
@needs_browser
def test_long_words_right_to_left_texts_and_many_rooms_fit(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    running = Server(tmp_path)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            people = [
                Person(
                    browser,
                    running,
                    "a" * 32,
                    viewport={"width": 320, "height": 600},
                    color_scheme="dark",
                    has_touch=True,
                ),
                Person(browser, running, "\u0639\u0645\u0631", viewport={"width": 1280, "height": 800}),
            ]
            people[0].go("lobby")
            texts = [
                "w" * 500,
                "https://example.org/" + "long/" * 60,
                "\u0645\u0631\u062d\u0628\u0627 " * 30,
                "two\n\nlines",
            ]
            for text in texts:
                people[0].say(text)
            for person in people:
                person.waits_to_see([text.strip() for text in texts])
                person.fits()
            assert people[1].page.locator("#messages a").get_attribute("href") == texts[1]
            direction = "getComputedStyle(document.querySelectorAll('#messages .text')[2]).direction"
            assert people[1].page.evaluate(direction) == "rtl"
            people[0].page.tap("#messages li.message >> nth=0")
            people[0].page.locator("#messages li.message >> nth=0").get_by_role("button", name="React with ♥").tap()
            people[1].page.wait_for_selector(".reactions button:has-text('♥')")
            people[1].page.focus("#messages")  # by keyboard: to the last message, and to what may be done to it
            people[1].page.keyboard.press("End")
            people[1].page.keyboard.press("Tab")
            people[1].page.keyboard.press("Enter")
            people[0].page.wait_for_selector(".reactions button:has-text('+1')")
            assert [person.errors for person in people] == [[], []]
            browser.close()
    finally:
        running.stop()


@pytest.mark.browser
@pytest.mark.skipif(bool(missing) and not os.environ.get("ROOMSTATE_BROWSER"), reason=f"no {missing}")
def test_the_example_tells_prometheus_what_it_does(server: Server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(server.url + "metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        text = answer.read().decode()
    assert lint(text) == []
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["roomstate_host_connections"].samples[0].value == 0
    assert {sample.labels["port"] for sample in families["roomstate_host_answering"].samples} >= {"store"}
