"""The how-to pages whose code needs somebody else's library: imported as they stand, and driven with fakes."""

from __future__ import annotations

import asyncio
import re
import sys
import types
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roomstate import Message, MessageAdded, Status
from roomstate.host import RoomHost

PAGES = ("run-a-discord-bot.md", "serve-with-starlette.md", "build-a-textual-client.md")
HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"


def page(name: str) -> dict[str, Any]:
    """The names of a page's first Python block, once it has run."""
    found = re.search(r"```python\n(.*?)```", (HOW_TO / name).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(found[1], name, "exec"), names)  # noqa: S102
    return names


def host_code(name: str) -> int:
    """Lines of a page's first block that are neither blank nor imports."""
    found = re.search(r"```python\n(.*?)```", (HOW_TO / name).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return sum(bool(line.strip()) and not line.startswith(("import ", "from ")) for line in found[1].splitlines())


# -- discord.py --------------------------------------------------------


class Channel:
    """A channel of a Discord that is made here."""

    def __init__(self) -> None:
        self.messages: list[SimpleNamespace] = []
        self.sent: list[str] = []
        self.asked: list[int] = []
        self.id = 77

    def post(self, content: str) -> SimpleNamespace:
        number = len(self.messages) + 1
        made = SimpleNamespace(id=number, content=content, author=SimpleNamespace(id=5), channel=self)
        made.created_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        self.messages.append(made)
        return made

    async def history(self, limit: int, after: Any, oldest_first: bool) -> AsyncIterator[SimpleNamespace]:
        assert oldest_first
        self.asked.append(after.id)
        for message in [each for each in self.messages if each.id > after.id][:limit]:
            yield message

    async def send(self, content: str) -> None:
        self.sent.append(content)


@pytest.fixture
def discord_page(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Channel]:
    channel = Channel()
    client = SimpleNamespace(event=lambda function: function, get_channel=lambda number: channel)
    fake: Any = types.ModuleType("discord")
    fake.Client, fake.Intents = lambda intents: client, SimpleNamespace
    fake.Object = lambda number: SimpleNamespace(id=number)
    monkeypatch.setitem(sys.modules, "discord", fake)
    return page("run-a-discord-bot.md"), channel


def test_a_discord_bot_keeps_what_it_hears_and_fetches_what_it_missed(
    discord_page: tuple[dict[str, Any], Channel],
) -> None:
    bot, channel = discord_page

    async def story() -> None:
        async with bot["host"] as host:
            await bot["on_message"](channel.post("one"))
            second = channel.post("two")
            await bot["on_message"](second)
            await bot["on_message"](second)
            for number in range(150):  # the connection is lost: more than a page
                channel.post(f"missed {number}")
            await bot["on_ready"]()
            await bot["on_message"](channel.post("after"))
            async for _ in host.changes("77"):
                if host.status("77") is Status.READY and not host.gaps("77"):
                    break
            view = host.view("77")
            newest = [f"missed {number}" for number in range(150)][-49:]
            assert [message.content for message in view.messages] == [*newest, "after"]
            assert channel.asked == [2, 102]
            edited = SimpleNamespace(channel_id=77, message_id=152, data={"content": "mended"})
            await bot["on_raw_message_edit"](edited)
            await bot["on_raw_message_edit"](SimpleNamespace(channel_id=77, message_id=151, data={"embeds": []}))
            await bot["on_raw_message_delete"](SimpleNamespace(channel_id=77, message_id=151))
            await bot["on_message"](channel.post("!recall"))
            assert channel.sent == ["missed 147\nmended\nafter"]

    asyncio.run(asyncio.wait_for(story(), 20))


# -- Textual -----------------------------------------------------------


class Pipe:
    """A web socket from its client's side, whose other end is a connection of a host in this program."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.incoming: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, text: str) -> None:
        answer = await self.connection.receive(text)
        if answer is not None:
            self.incoming.put_nowait(answer.to_json())

    async def pump(self, stream: AsyncIterator[str]) -> None:
        async for text in stream:
            self.incoming.put_nowait(text)

    async def __aiter__(self) -> AsyncIterator[str]:
        while text := await self.incoming.get():
            yield text
        raise ConnectionResetError("the connection is lost")


def test_a_textual_client_shows_what_happens_and_what_is_sent() -> None:
    pytest.importorskip("textual")
    names = page("build-a-textual-client.md")

    def lines(app: Any) -> list[str]:
        from textual.widgets import RichLog

        return [line.text.rstrip() for line in app.query_one(RichLog).lines]

    async def until(app: Any, wanted: list[str]) -> None:
        for _ in range(400):
            if lines(app) == wanted:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"shows {lines(app)}, not {wanted}")

    async def story() -> None:
        async with (
            RoomHost() as server,
            server.connect("v1", "ada", lambda *_: True) as connection,
            connection.subscribe() as stream,
        ):
            await server.publish("rust", MessageAdded(Message("1", "bob", "hello")))
            pipe = Pipe(connection)
            pumping = asyncio.create_task(pipe.pump(stream))
            app = names["Chat"](pipe, "ada", "rust")
            async with app.run_test() as pilot:
                await until(app, ["bob: hello"])
                await server.publish("rust", MessageAdded(Message("2", "bob", "are you there?")))
                await until(app, ["bob: hello", "bob: are you there?"])
                await pilot.press(*"yes", "enter")
                await until(app, ["bob: hello", "bob: are you there?", "ada: yes"])
                assert app.host.view("rust").pending == ()
                assert [message.user for message in server.view("rust").messages] == ["bob", "bob", "ada"]
                await app.host.leave("ada", "rust")  # as the interest of a laptop that slept
                await pilot.press(*"back", "enter")
                await until(app, ["bob: hello", "bob: are you there?", "ada: yes", "ada: back"])
                pipe.incoming.put_nowait("")
                async for _ in app.host.changes("rust"):
                    if app.host.status("rust") is Status.STALE:
                        break
                await pilot.press(*"later", "enter")
                assert [echo.content for echo in app.host.view("rust").pending] == ["later"]
            pumping.cancel()

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.parametrize(("name", "most"), [(each, 40) for each in PAGES])
def test_a_page_takes_no_more_than_its_share_of_host_code(name: str, most: int) -> None:
    assert host_code(name) <= most
