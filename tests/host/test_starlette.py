"""The servers of the README and of the page for Starlette, driven as an ASGI server would, with sockets made here."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.host.looping import LOOPS, run_on

pytest.importorskip("starlette")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "serve-with-starlette.md"
PAGES = [pytest.param(ROOT / "README.md", id="README"), pytest.param(PAGE, id="how-to")]


def source(page: Path) -> str:
    """A page's server."""
    found = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (server,) = [each for each in found if "Starlette(" in each]
    return str(server)


def made_app(page: Path = PAGE) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source(page), str(page), "exec"), names)  # noqa: S102
    return names["app"]


class Socket:
    """One web socket, from the client's side."""

    def __init__(self, app: Any, room: str, **query: str) -> None:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        scope = {
            "type": "websocket",
            "path": f"/rooms/{room}",
            "query_string": text.encode(),
            "headers": [],
            "subprotocols": [],
            "app": app,
        }
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.gone = False
        self.task = asyncio.ensure_future(app(scope, self.incoming.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        if self.gone:
            raise OSError("the client is gone")
        self.outgoing.put_nowait(message)

    async def next(self) -> dict[str, Any]:
        while True:
            message = await asyncio.wait_for(self.outgoing.get(), 10)
            if message["type"] == "websocket.send":
                found: dict[str, Any] = json.loads(message["text"])
                return found

    def say(self, frame: dict[str, Any]) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    async def leave(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await self.task


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[None]:
    """The application between its startup and its shutdown."""
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    task = asyncio.ensure_future(app({"type": "lifespan", "app": app, "state": {}}, incoming.get, outgoing.put))
    incoming.put_nowait({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        incoming.put_nowait({"type": "lifespan.shutdown"})
        assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
        await task


def send(number: int, content: str = "hi") -> dict[str, Any]:
    message = {"id": "x", "user": "x", "content": content}
    update = {"kind": "message_added", "message": message}
    return {"room_state_send": {"room_id": "rust", "client_id": f"c{number}", "update": update}}


def added(frame: dict[str, Any]) -> list[tuple[str, str]]:
    """Whose messages with which text an envelope adds."""
    return [(each["user"], each["content"]) for each in frame["room_state_sync"]["data"]["added_messages"]]


@pytest.mark.parametrize("page", PAGES)
def test_the_quick_start_is_short(page: Path) -> None:
    code = [line for line in source(page).splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(code) <= 25


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("page", PAGES)
def test_the_quick_start_serves_two_clients_and_a_third_that_comes_back(
    page: Path, loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        app = made_app(page)
        async with serving(app):
            ada, bob = Socket(app, "rust", user="ada"), Socket(app, "rust", user="bob")
            for socket in (ada, bob):
                assert (await socket.next())["room_state_sync"]["message_type"] == "BULK_SYNC"
            ada.say(send(1, "hi bob"))
            answers = [await ada.next(), await ada.next()]
            assert {next(iter(answer)) for answer in answers} == {"room_state_ack", "room_state_sync"}
            heard = await bob.next()
            assert added(heard) == [("ada", "hi bob")]
            bob.say({"nonsense": 1})
            assert (await bob.next())["room_state_error"]["code"] == "Malformed"
            host = app.state.host
            token = host.manager.token("rust").to_str()
            await bob.leave()
            ada.say(send(2, "still there?"))
            await ada.next()
            await ada.next()
            back = Socket(app, "rust", user="bob", token=token)
            assert added(await back.next()) == [("ada", "still there?")]
            back.gone = True  # its network is cut: nobody says so until something is sent
            ada.say(send(3))
            await ada.next()
            await ada.next()
            await back.leave()
            assert host.stats().viewers == 1
            await ada.leave()
            assert host.stats().viewers == 0

    run_on(loop, main())

    async def again() -> None:
        app = made_app(page)
        async with serving(app):
            ada = Socket(app, "rust", user="ada")
            image = (await ada.next())["room_state_sync"]["data"]
            assert [message["content"] for message in image["messages"]] == ["hi bob", "still there?", "hi"]
            await ada.leave()

    run_on(loop, again())


@pytest.mark.parametrize("frame", [{"text": json.dumps(send(1))}, {"bytes": b"\x00"}])
def test_a_client_that_is_gone_before_its_answer_or_sends_bytes_raises_nothing(
    frame: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = made_app()

    async def story() -> None:
        async with serving(app):
            ada = Socket(app, "rust", user="ada")
            await ada.next()
            ada.gone = True
            ada.incoming.put_nowait({"type": "websocket.receive", **frame})
            await asyncio.wait_for(ada.task, 10)

    run_on(asyncio.new_event_loop, story())
