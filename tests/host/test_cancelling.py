"""Cancelled at whatever it awaits, the host leaves no task, no lock, no interest, and no half of a call."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from roomstate.effects import FetchMessages, Recovered
from roomstate.host import RoomHost
from roomstate.model import Message, Tier
from roomstate.store import MemoryStore
from roomstate.sync.frames import Interest, Request, Send
from roomstate.updates import MessageAdded, MessageEdited
from tests.host.looping import LOOPS, CancelAt, FakeLoop
from tests.host.test_room_host import Authority, Flaky
from tests.host.test_viewers import host_of, said

Scenario = Callable[[RoomHost], Coroutine[Any, Any, None]]
NewLoop = Callable[[], asyncio.AbstractEventLoop]


async def verbs(host: RoomHost) -> None:
    """Every verb that waits."""
    async with host:
        await host.enter("ada", "rust")
        await host.publish("rust", said(1))
        await host.follow("bob", "go")
        await host.publish("go", said(1))
        await host.publish("rest", said(1))
        await host.promote("zig")
        await host.demote("zig", Tier.CACHED)
        await host.demote("zig")
        await host.enter("ada", "zig")
        await host.leave("ada", "rust")
        await host.disconnect("bob")


async def viewers(host: RoomHost) -> None:
    """Connections, streams and frames."""
    async with host:
        async with host.connect("v1", "ada", lambda *about: True) as one, host.connect("v2") as two:
            async with one.subscribe("rust") as stream, two.subscribe("rust") as other:
                await anext(stream)
                await anext(other)
                await one.receive(Send("rust", "c1", said(1)).to_json())
                await anext(stream)
                await one.receive(Interest("go", "BACKGROUND").to_json())
                await one.receive(Request("rust").to_json())
                await anext(stream)
                await anext(stream)
                await one.enter("zig")
                await one.receive(Send("rest", "c2", said(2)).to_json())
                await one.leave("rust")
            await two.follow("rust")


async def outages(host: RoomHost) -> None:
    """A store that comes and goes."""
    async with host:
        store = host._store
        assert isinstance(store, Flaky)
        async with host.connect("v1") as viewer, viewer.subscribe("rust") as stream:
            await anext(stream)
            store.down = True
            publishing = asyncio.ensure_future(host.publish("rust", said(1)))
            try:
                await asyncio.sleep(3)
                store.down = False
                await publishing
                await host.publish("rust", MessageEdited("m1", "better"))
                await anext(stream)
            finally:
                store.down = False
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)


async def changes(host: RoomHost) -> None:
    """Somebody who watches."""
    async with host:
        watching = host.changes()

        async def watch() -> None:
            async for change in watching:
                if change.room_id == "go":
                    return

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            await host.enter("ada", "rust")
            await host.enter("ada", "go")
        await watching.aclose()  # type: ignore[attr-defined]


async def links(host: RoomHost) -> None:
    """A replica and its authority."""
    async with host:
        await host.enter("ada", "rust")
        await asyncio.sleep(0.5)
        await host.send("rust", "hello")
        await asyncio.sleep(0.5)
        await host.leave("ada", "rust")
        await asyncio.sleep(0.5)


async def fetching(host: RoomHost) -> None:
    """A foreign source."""
    async with host:
        await host.receive("rust", said(1), cursor="c1")
        await host.disconnected("rust")
        await host.connected("rust")
        await asyncio.sleep(0.5)


class History:
    async def fetch(self, effect: FetchMessages) -> Recovered:
        await asyncio.sleep(0.1)
        return Recovered((Message("m2", "bob", "x"),))


def authority() -> Authority:
    found = Authority()
    found.rooms.enter("x", "rust", now=0.0)
    found.rooms.publish("rust", MessageAdded(Message("m1", "bob", "hi")), now=0.0)
    return found


SCENARIOS: list[tuple[Scenario, Callable[[], dict[str, Any]], int]] = [
    (verbs, lambda: {"store": MemoryStore()}, 10),
    (viewers, lambda: {"store": MemoryStore()}, 9),
    (outages, lambda: {"store": Flaky()}, 5),
    (changes, lambda: {"store": MemoryStore()}, 5),
    (links, lambda: {"transport": authority(), "role": "replica"}, 4),
    (fetching, lambda: {"loader": History()}, 2),
]


def attempt(scenario: Scenario, options: dict[str, Any], at: int, loop: NewLoop = FakeLoop) -> tuple[int, bool]:
    """Run a scenario, cancelled at its n-th pause; how many pauses there were, and whether it came to its end."""

    async def main() -> tuple[int, bool]:
        host = host_of(**options)
        driven = CancelAt(scenario(host), at)

        async def drive() -> None:
            await driven

        task = asyncio.ensure_future(drive())
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert ended is None or isinstance(ended, asyncio.CancelledError), ended
        check(host)
        return driven.pauses, ended is None

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


def check(host: RoomHost) -> None:
    """Nothing of a host is left."""
    gc.collect()  # an iterator that nobody closed is closed here
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert tasks == set()
    hub = host._hub
    assert (len(hub._connections), len(hub._channels), len(hub._stuck), len(hub._numbers), len(hub._beats)) == (0,) * 5
    assert (len(host._conditions), len(host._watchers)) == (0, 0)
    assert (host._timer, hub._beat_timer, host._executor, host._running) == (None, None, None, False)
    assert all(port._pause is None and not port._tasks for port in host._ports)
    assert [viewer for viewer in ("v1", "v2") if host.manager._house.interests.rooms_of(viewer)] == []
    host.manager.check()


@pytest.mark.parametrize(("scenario", "options", "least"), SCENARIOS, ids=lambda each: getattr(each, "__name__", ""))
def test_cancelled_at_any_await_it_leaves_nothing(
    scenario: Scenario, options: Callable[[], dict[str, Any]], least: int
) -> None:
    at, pauses, ended = 0, 0, False
    while not ended:
        at += 1
        pauses, ended = attempt(scenario, options(), at)
        assert at < 500
    assert pauses == at - 1 >= least
    check_threads()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("scenario", "options", "least"),
    [SCENARIOS[0], SCENARIOS[1], SCENARIOS[3]],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_so_it_is_on_real_loops(
    loop: NewLoop, scenario: Scenario, options: Callable[[], dict[str, Any]], least: int
) -> None:
    at, ended = 0, False
    while not ended:
        at += 1
        _, ended = attempt(scenario, options(), at, loop)
    assert at > least
    check_threads()


def check_threads() -> None:
    """No thread of a host's is left, a moment after."""
    left = [thread for thread in threading.enumerate() if thread.name.startswith("roomstate store")]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


def test_the_driver_of_this_test_cancels_where_it_says() -> None:
    async def three() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def main() -> None:
        for at in (1, 2, 3):
            driven = CancelAt(three(), at)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.ensure_future(driven_by(driven))
            assert driven.pauses == at
        driven = CancelAt(three(), 4)
        await driven
        assert driven.pauses == 3

    async def driven_by(driven: CancelAt) -> None:
        await driven

    asyncio.run(main())
