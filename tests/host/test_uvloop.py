"""The host on asyncio's own loop and on uvloop: streams, slow readers, shutdown in the midst of work.

What is told of cancelling (`test_cancelling`), links that come and go (`test_link`) and the Starlette page
(`test_starlette`) runs on both too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from roomstate.errors import InvalidValue, StoreUnavailable
from roomstate.host import HostBounds, RoomHost
from roomstate.store import SQLiteStore
from roomstate.sync.frames import Ack, Send
from tests.host.looping import LOOPS, run_on
from tests.host.test_room_host import Flaky
from tests.host.test_viewers import Client, said

NewLoop = Callable[[], asyncio.AbstractEventLoop]
pytestmark = pytest.mark.parametrize("loop", LOOPS)


def test_streams_bring_what_happens_and_what_was_missed(loop: NewLoop, tmp_path: Path) -> None:
    async def main() -> None:
        async with RoomHost(store=SQLiteStore(tmp_path / "rooms.db")) as host:
            async with host.connect("v1", "ada") as viewer, viewer.subscribe("rust") as stream:
                client = Client(stream)
                await client.next()
                for number in range(1, 21):
                    answer = await viewer.receive(Send("rust", f"c{number}", said(number)).to_json())
                    assert isinstance(answer, Ack)
                    assert answer.sequence_number == number
                    await client.next()
                token = client.token()
            await host.publish("rust", said(21))
            async with host.connect("v1", "ada") as viewer, viewer.subscribe("rust", since=token) as stream:
                client.stream = stream
                assert (await client.next()).sequence_number == 21
                assert client.rooms.view("rust").messages == host.view("rust").messages

    run_on(loop, main())


def test_a_slow_reader_is_brought_up_and_hinders_nobody(loop: NewLoop) -> None:
    async def main() -> None:
        async with RoomHost(bounds=HostBounds(max_items=4)) as host:
            async with host.connect("slow") as slow, slow.subscribe("rust") as lagging:
                async with host.connect("quick") as quick, quick.subscribe("rust") as stream:
                    reading, waiting = Client(stream), Client(lagging)
                    await reading.next()
                    await waiting.next()
                    for number in range(50):
                        await host.publish("rust", said(number))
                        await reading.next()
                    while waiting.rooms.view("rust").position != host.view("rust").position:
                        await waiting.next()
                    assert waiting.contents() == reading.contents()
            assert host.counts["resync", "slow"] == 1

    run_on(loop, main())


def test_closing_in_the_midst_of_work_loses_nothing_that_was_acknowledged(loop: NewLoop, tmp_path: Path) -> None:
    acknowledged: set[str] = set()

    async def write(host: RoomHost, room: str) -> None:
        for number in range(1000):
            await host.publish(room, said(number))
            acknowledged.add(f"{room} m{number}")

    async def main() -> None:
        host = RoomHost(store=SQLiteStore(tmp_path / "rooms.db"))
        async with host, host.connect("v1") as viewer, viewer.subscribe("room 0") as stream:
            reading = asyncio.create_task(_read(stream))
            writing = [asyncio.create_task(write(host, f"room {number}")) for number in range(4)]
            while len(acknowledged) < 20:
                await asyncio.sleep(0.001)
            await host.close()
            ends = await asyncio.gather(*writing, return_exceptions=True)
            assert all(isinstance(end, InvalidValue | StoreUnavailable) for end in ends)
            assert await reading > 0
        async with RoomHost(store=SQLiteStore(tmp_path / "rooms.db")) as again:
            held = set()
            for number in range(4):
                await again.enter("ada", f"room {number}")
                held |= {f"room {number} {message.id}" for message in again.view(f"room {number}").messages}
        assert acknowledged <= held

    run_on(loop, main())


async def _read(stream: object) -> int:
    return len([text async for text in stream])  # type: ignore[attr-defined]


def test_a_store_that_comes_back_is_tried_within_two_seconds(loop: NewLoop) -> None:
    async def main() -> None:
        store = Flaky()
        async with RoomHost(store=store) as host:
            await host.enter("ada", "rust")
            store.down = True
            publishing = asyncio.create_task(host.publish("rust", said(1)))
            await asyncio.sleep(0.3)
            assert not publishing.done()
            store.down = False
            async with asyncio.timeout(2):
                await publishing

    run_on(loop, main())
