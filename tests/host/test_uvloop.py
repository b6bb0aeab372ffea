"""The host on uvloop, where that is installed: the same rooms, the same viewers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from roomstate.host import RoomHost
from roomstate.store import SQLiteStore
from roomstate.sync.frames import Ack, Send
from tests.host.test_viewers import Client, said

uvloop = pytest.importorskip("uvloop")


def test_it_runs_on_uvloop_too(tmp_path: Path) -> None:
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
                assert client.rooms.view("rust").messages == host.view("rust").messages
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
