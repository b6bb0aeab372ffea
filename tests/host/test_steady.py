from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from roomstate import Message, MessageAdded
from roomstate.effects import Appended, LogEntry
from roomstate.errors import StoreUnavailable
from roomstate.host import RoomHost, SyncHost
from roomstate.host.steady import Steady
from roomstate.store import MemoryStore
from tests.host.looping import clock, run

HOUR = 3600.0


class Down(MemoryStore):
    """A store that does not answer while it is ``down``."""

    down = False

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        if self.down:
            raise StoreUnavailable("store", "is down")
        return super().append(room_id, epoch, entries)


def post(name: str) -> MessageAdded:
    return MessageAdded(Message(name, "bob", name))


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_it_never_goes_back_is_never_slow_and_is_right_again_in_the_end(steps: list[float]) -> None:
    now = [1e9]
    steady = Steady(lambda: now[0])
    before = steady()
    for step in steps:
        now[0] += step
        after = steady()
        assert after >= before
        assert after >= now[0]
        if step > 0:
            assert after >= min(before + step / 2, now[0])
            assert after - now[0] <= max(0.0, before - (now[0] - step)) + 1e-6  # nearer than it was
        before = after
    now[0] += 2 * (before - now[0]) + 1
    assert steady() == now[0]


def test_after_the_clock_was_set_back_an_hour_what_failed_is_tried_again_as_soon_as_ever() -> None:
    async def story() -> None:
        back, store = [0.0], Down()
        async with RoomHost(store=store, clock=lambda: clock() - back[0]) as host:
            await host.publish("rust", post("one"))
            back[0], store.down = HOUR, True
            publishing = asyncio.create_task(host.publish("rust", post("two")))
            await asyncio.sleep(5)
            assert not publishing.done()
            store.down = False
            await asyncio.wait_for(publishing, 4)  # it took an hour

    run(story)


def test_after_the_clock_was_set_back_a_client_may_go_on_sending() -> None:
    async def story() -> None:
        back = [0.0]
        async with RoomHost(clock=lambda: clock() - back[0]) as host, host.connect("v1", "ada") as viewer:

            async def refused() -> str:
                return getattr(await viewer.receive("{}"), "code", "")

            assert [await refused() for _ in range(300)][-1] == "RateLimited"
            back[0] = HOUR
            assert await refused() == "RateLimited"
            await asyncio.sleep(1)
            assert await refused() == "Malformed"

    run(story)


def test_in_the_calling_thread_time_goes_on_too() -> None:
    now = [1e9]
    host = SyncHost(clock=lambda: now[0])
    host.enter("ada", "rust")
    now[0] -= HOUR
    host.tick()
    due = host.next_deadline()
    assert due is not None
    now[0] += 2 * (due - 1e9) + 1
    host.tick()
    assert host.manager.interest("ada", "rust").name != "ACTIVE"
