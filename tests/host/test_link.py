from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec import structs

from roomstate import ConflictPolicy, Message, MessageAdded, Status
from roomstate.effects import EchoFailed, OpenStream, SendToAuthority
from roomstate.errors import StoreUnavailable
from roomstate.host import HostBounds, RoomHost, SocketLink
from roomstate.host.link import LATER_S, MAX_AGAIN
from roomstate.model import Echo, RoomConfig
from roomstate.position import Position
from roomstate.sync.conflict import Conflict
from roomstate.sync.envelope import encode, of_image
from roomstate.sync.frames import Ack, Send, decode_frame
from tests.host.looping import LOOPS, run_on


class Wire:
    """Both ends of a web socket: `send` and iteration are the client's; the server's end is a host's connection."""

    def __init__(self, server: RoomHost, viewer: str) -> None:
        self.server, self.viewer = server, viewer
        self.incoming: asyncio.Queue[str | None] = asyncio.Queue()
        self.mute = False

    async def run(self) -> None:
        async with self.server.connect(self.viewer, "ada", lambda *_: True) as self.connection:
            async with self.connection.subscribe() as stream:
                self.open = True
                async for text in stream:
                    self.incoming.put_nowait(text)

    async def send(self, text: str) -> None:
        answer = await self.connection.receive(text)
        if answer is not None and not self.mute:
            self.incoming.put_nowait(answer.to_json())

    async def __aiter__(self) -> AsyncIterator[str]:
        while (text := await self.incoming.get()) is not None:
            yield text


class Ends:
    """A server and a client of it, whose connection comes and goes."""

    def __init__(self, **bounds: float) -> None:
        self.server, self.link = RoomHost(bounds=HostBounds(**bounds)), SocketLink()  # type: ignore[arg-type]
        self.said: list[Any] = []
        self.client = RoomHost(role="replica", transport=self.link, observe=self.said.append)
        self.tasks: list[asyncio.Task[None]] = []
        self.wires = 0

    async def __aenter__(self) -> Ends:
        await self.server.__aenter__()
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.hang_up()
        await self.client.__aexit__(None, None, None)
        await self.server.__aexit__(None, None, None)

    async def call(self) -> Wire:
        self.wires += 1
        wire = Wire(self.server, f"v{self.wires}")
        self.tasks = [asyncio.create_task(wire.run())]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.tasks.append(asyncio.create_task(self.link.serve(wire, self.client)))
        self.wire = wire
        return wire

    async def hang_up(self) -> None:
        if self.tasks:
            self.wire.incoming.put_nowait(None)
            await self.tasks[1]
            self.tasks[0].cancel()
            await asyncio.wait(self.tasks)
            self.tasks = []

    async def until(self, right: Any) -> None:
        for _ in range(500):
            if right():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(self.client.view("rust"))

    def contents(self) -> list[str]:
        return [message.content for message in self.client.view("rust").messages]


Play = Callable[..., None]


@pytest.fixture(params=LOOPS)
def played(request: pytest.FixtureRequest) -> Play:
    """Plays a story between two ends, on each kind of loop."""

    def play(story: Any, **bounds: float) -> None:
        async def main() -> None:
            async with Ends(**bounds) as ends:
                await story(ends)

        run_on(request.param, main())

    return play


def post(name: str) -> MessageAdded:
    return MessageAdded(Message(name, "bob", name))


def test_what_is_missed_and_what_is_written_meanwhile_come_together_again(played: Play) -> None:
    async def story(ends: Ends) -> None:
        await ends.server.publish("rust", post("one"))
        await ends.client.enter("me", "rust", user="ada")  # before there is a socket
        await ends.call()
        await ends.until(lambda: ends.contents() == ["one"] and ends.client.status("rust") is Status.READY)
        await ends.hang_up()
        assert ends.client.status("rust") is Status.STALE
        await ends.client.send("rust", "written offline")
        await ends.server.publish("rust", post("two"))
        await ends.until(lambda: any(isinstance(each, EchoFailed) and each.retryable for each in ends.said))
        await ends.call()
        await ends.until(lambda: ends.contents() == ["one", "two", "written offline"])
        await ends.until(lambda: not ends.client.view("rust").pending)
        assert [m.user for m in ends.server.view("rust").messages] == ["bob", "bob", "ada"]

    played(story)


def test_a_lost_acknowledgement_does_not_lose_or_double_what_was_sent(played: Play) -> None:
    async def story(ends: Ends) -> None:
        await ends.client.enter("me", "rust", user="ada")
        wire = await ends.call()
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        wire.mute = True
        await ends.client.send("rust", "hello")
        await ends.until(lambda: ends.contents() == ["hello"])
        await ends.hang_up()
        await ends.call()
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        assert ends.contents() == ["hello"]
        assert ends.client.view("rust").pending == ()

    played(story)


def test_a_message_goes_with_the_time_at_which_it_was_written(played: Play) -> None:
    """An authority without a log knows by it that what is sent again late is the same."""

    async def story(ends: Ends) -> None:
        await ends.client.enter("me", "rust", user="ada")
        wire = await ends.call()
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        frames: list[Any] = []
        send = wire.send

        async def heard(text: str) -> None:
            frames.append(decode_frame(text))
            await send(text)

        wire.send = heard  # type: ignore[method-assign]
        wire.mute = True
        await ends.client.send("rust", "hello")
        await ends.until(lambda: any(isinstance(each, Send) for each in frames))
        (sent,) = (each.update.message for each in frames if isinstance(each, Send))  # type: ignore[union-attr]
        assert abs(sent.timestamp.timestamp() - time.time()) < 60.0

    played(story)


def test_nonsense_ends_nothing_and_a_refusal_says_whether_to_try_again(played: Play) -> None:
    async def story(ends: Ends) -> None:
        await ends.client.enter("me", "rust", user="ada")
        wire = await ends.call()
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        for text in ("nonsense", '{"room_state_ack": {}}', '{"room_state_request": {"room_id": "rust"}}'):
            wire.incoming.put_nowait(text)
        refusal = (
            '{"room_state_error": {"room_id": "rust", "client_id": "c%d", '
            '"code": "x", "where": "w", "reason": "r", "retryable": %s}}'
        )
        wire.incoming.put_nowait(refusal % (9, "true"))  # nobody has asked
        wire.mute = True
        wire.send = asyncio.sleep  # type: ignore[method-assign, assignment]
        for number, retryable in ((1, True), (2, False)):
            wire.send = _swallow  # type: ignore[method-assign]
            await ends.client.send("rust", "hello", client_id=f"c{number}")
            await asyncio.sleep(0.05)
            wire.incoming.put_nowait(refusal % (number, str(retryable).lower()))
        await ends.until(lambda: len([each for each in ends.said if isinstance(each, EchoFailed)]) == 2)
        assert [each.retryable for each in ends.said if isinstance(each, EchoFailed)] == [True, False]

    played(story)


async def _swallow(text: str) -> None:
    """Send nowhere."""


class Broken:
    """A host's own conflict strategy that fails."""

    def settle(self, part: str, conflict: Conflict, /) -> Any:
        raise TypeError("oops")


def test_a_conflict_strategy_that_fails_ends_nothing(played: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def story(ends: Ends) -> None:
        await ends.client.__aexit__(None, None, None)
        policy = ConflictPolicy({"config": Broken()})
        ends.client = await RoomHost(role="replica", transport=ends.link, conflicts=policy).__aenter__()
        await ends.server.publish("rust", post("one"))
        await ends.client.enter("me", "rust", user="ada")
        wire = await ends.call()
        await ends.until(lambda: ends.contents() == ["one"])
        held = ends.server.manager.image("rust")
        position = Position(held.position.epoch, held.position.seq + 5)
        image = structs.replace(held, config=RoomConfig(emote_only=True), position=position)
        wire.incoming.put_nowait(encode(of_image(image, time.time())).decode())
        await ends.server.publish("rust", post("two"))
        await ends.until(lambda: ends.contents() == ["one", "two"])

    played(story)
    assert "strategy Broken: failed over config with TypeError: oops" in caplog.text


def test_a_room_that_is_left_is_not_asked_for_again(played: Play) -> None:
    async def story(ends: Ends) -> None:
        await ends.client.enter("me", "rust", user="ada")
        await ends.call()
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        await ends.client.leave("me", "rust")
        await ends.until(lambda: "rust" not in ends.link._open)
        await ends.hang_up()
        with pytest.raises(StoreUnavailable, match="not there"):
            await ends.link._tell("rust", "x")

    played(story)


def test_what_was_written_offline_comes_in_the_order_in_which_it_was_written(played: Play) -> None:
    async def story(ends: Ends) -> None:
        await ends.client.enter("me", "rust", user="ada")
        await ends.call()
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        await ends.hang_up()
        written = [f"m{number}" for number in range(20)]
        for content in written:
            await ends.client.send("rust", content)
        await ends.until(lambda: sum(isinstance(each, EchoFailed) for each in ends.said) >= 2)
        await ends.call()
        await ends.until(lambda: not ends.client.view("rust").pending)
        assert [message.content for message in ends.server.view("rust").messages] == written

    played(story)


def test_an_acknowledgement_counts_for_its_room_only(played: Play) -> None:
    async def story(ends: Ends) -> None:
        for room in ("rust", "go"):
            await ends.client.enter("me", room, user="ada")
        wire = await ends.call()
        await ends.until(lambda: all(ends.client.status(room) is Status.READY for room in ("rust", "go")))
        wire.send = _swallow  # type: ignore[method-assign]
        for room in ("rust", "go"):
            await ends.client.send(room, "hello", client_id="c1")
        wire.incoming.put_nowait(Ack("go", "c1", "g", "", 1).to_json())
        await ends.until(lambda: ends.client.view("go").pending[0].message_id == "g")
        assert ends.client.view("rust").pending[0].message_id == ""
        wire.incoming.put_nowait(Ack("rust", "c1", "r", "", 1).to_json())
        await ends.until(lambda: ends.client.view("rust").pending[0].message_id == "r")

    played(story)


class _Breaks:
    """A socket that ends as something is sent, and only then says that it could not send it."""

    def __init__(self) -> None:
        self.broken = asyncio.Event()

    async def send(self, text: str) -> None:
        if "room_state_send" in text:
            self.broken.set()
            await asyncio.sleep(0.01)
            raise ConnectionResetError("gone")

    async def __aiter__(self) -> AsyncIterator[str]:
        await self.broken.wait()
        nothing: tuple[str, ...] = ()
        for text in nothing:
            yield text


def test_a_socket_that_breaks_while_sending_leaves_no_answer_that_nobody_reads(played: Play) -> None:
    async def story(ends: Ends) -> None:
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        await ends.link.open(OpenStream("rust", "realtime"))
        serving = asyncio.create_task(ends.link.serve(_Breaks(), ends.client))
        await asyncio.sleep(0.01)
        with pytest.raises(ConnectionResetError):
            await ends.link.send(SendToAuthority("rust", 1, Echo("c1", "ada", "hello", sent_at=0.0)))
        await serving
        gc.collect()
        assert complaints == []

    played(story)


def test_a_new_socket_takes_over_from_one_that_has_not_ended_yet(played: Play) -> None:
    async def story(ends: Ends) -> None:
        await ends.client.enter("me", "rust", user="ada")
        old = await ends.call()
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        was = ends.tasks
        await ends.call()
        old.incoming.put_nowait(None)
        await was[1]
        was[0].cancel()
        await asyncio.wait(was)
        await ends.client.send("rust", "hello")
        await ends.until(lambda: ends.contents() == ["hello"])
        assert ends.client.status("rust") is Status.READY

    played(story)


def test_a_link_with_more_rooms_than_it_may_ask_for_at_once_is_brought_all_of_them(played: Play) -> None:
    rooms = [f"room {number}" for number in range(14)]

    async def story(ends: Ends) -> None:
        for room in rooms:
            await ends.client.enter("me", room, user="ada")
        await ends.call()
        await ends.until(lambda: all(ends.client.status(room) is Status.READY for room in rooms))
        assert ends.server.counts["frame", "frame", "RateLimited"] > 0
        await ends.hang_up()
        await ends.call()
        await ends.until(lambda: all(ends.client.status(room) is Status.READY for room in rooms))

    played(story, frames_per_s=50, frame_burst=5)


def test_what_is_refused_for_its_rate_is_sent_again_and_an_end_of_interest_is_told_again(played: Play) -> None:
    async def story(ends: Ends) -> None:
        for room in ("rust", "go"):
            await ends.client.enter("me", room, user="ada")
        await ends.call()
        await ends.until(lambda: ends.client.status("rust") is ends.client.status("go") is Status.READY)
        await ends.client.leave("me", "go")
        for number in range(12):
            await ends.client.send("rust", f"text {number}")
        await ends.until(lambda: not ends.client.view("rust").pending)
        assert ends.contents() == [f"text {number}" for number in range(12)]
        assert not any(isinstance(each, EchoFailed) for each in ends.said)
        assert ends.server.counts["frame", "frame", "RateLimited"] > 0
        await ends.until(lambda: list(ends.wire.connection.rooms) == ["rust"])

    played(story, frames_per_s=20, frame_burst=5)


def test_a_room_that_is_refused_is_asked_for_again_only_where_that_may_help(
    played: Play, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = '{"room_state_error": {"room_id": "%s", "code": "%s", "where": "w", "reason": "r", "retryable": %s}}'

    async def story(ends: Ends) -> None:
        wire = await ends.call()
        await ends.client.enter("me", "rust", user="ada")
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        wire.incoming.put_nowait(refusal % ("rust", "NotAllowed", "false"))
        await ends.until(lambda: not wire.incoming.qsize())
        assert (caplog.messages, ends.link._again) == (["w: refused: r"], {})
        wire.incoming.put_nowait(refusal % ("rust", "TooManyRooms", "true"))
        for number in range(MAX_AGAIN + 9):
            wire.incoming.put_nowait(refusal % (f"r{number}", "TooManyRooms", "true"))
        await ends.until(lambda: not wire.incoming.qsize())
        assert len(ends.link._again) == MAX_AGAIN
        assert ends.link._again["rust"] > asyncio.get_running_loop().time() + LATER_S - 5
        await ends.hang_up()
        assert ends.link._again == {}

    played(story)


def test_a_room_that_is_opened_after_the_link_is_back_is_not_stale(played: Play) -> None:
    async def story(ends: Ends) -> None:
        await ends.server.publish("rust", post("one"))
        await ends.call()
        await ends.client.enter("me", "rust", user="ada")
        await ends.until(lambda: ends.client.status("rust") is Status.READY)
        await ends.hang_up()
        ends.link._open.clear()  # the room was about to be opened as the link was lost
        await ends.call()
        await asyncio.sleep(0.05)
        assert ends.client.status("rust") is Status.STALE
        await ends.link.open(OpenStream("rust", "realtime"))
        await ends.until(lambda: ends.client.status("rust") is Status.READY and ends.contents() == ["one"])
        asked = ends.server.counts["frame", "request", "taken"]
        await ends.link.open(OpenStream("rust", "realtime"))
        await ends.link.open(OpenStream("nowhere", "realtime"))
        await asyncio.sleep(0.05)
        assert (
            ends.server.counts["frame", "request", "taken"] == asked
        )  # nothing more is asked of a room that is linked

    played(story)
