"""The example chat as people use it: two browsers, and a server that is killed.

It needs Debian's chromium, playwright, uvicorn, starlette and websockets, and is skipped where one is not at hand, but
never in CI (`.ci/run` installs them). ROOMSTATE_SCREENSHOTS names a folder for the pictures.
"""

from __future__ import annotations

import importlib.util
import os
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


class Server:
    """The example in a process of its own, on a port that it keeps through restarts."""

    def __init__(self, folder: Path) -> None:
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
        self.process = subprocess.Popen([*command, "--idle", "5"])
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
        self.page = browser.new_context(**context).new_page()
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

    def picture(self, name: str) -> None:
        folder = os.environ.get("ROOMSTATE_SCREENSHOTS")
        if folder:
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
    ada.page.once("dialog", lambda dialog: dialog.accept("good evening"))
    ada.message("good morning").get_by_role("button", name="Edit this message").click()
    ada.message("<img").get_by_role("button", name="Remove this message").click()
    ada.message("hello ada").get_by_role("button", name="React with +1").click()
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
    ada.waits_for_row("lobby", "2", "@1")
    bob.picture("phone-room")
    ada.page.keyboard.press("Alt+ArrowUp")
    seen += ["are you there @ada?", "I will wait"]
    ada.waits_to_see(seen)
    assert "@" not in ada.row("lobby")
    ada.picture("desktop")

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
