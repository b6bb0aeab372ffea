"""A port: order, bounds, timeouts, pauses, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest
from msgspec import Struct

from roomstate.errors import InvalidValue, StoreUnavailable
from roomstate.host.backoff import Backoff
from roomstate.host.port import Port
from tests.host.looping import run


class Job(Struct, frozen=True):
    room_id: str
    number: int
    takes_s: float = 0.0


class World:
    """A port whose work takes time, and fails as it is told."""

    def __init__(self, parallel: int = 2, timeout_s: float = 10.0, jitter: float = 1.0) -> None:
        self.done: list[tuple[Job, object, float]] = []
        self.begun: list[Job] = []
        self.under_way = 0
        self.most = 0
        self.error: BaseException | None = None
        backoff = Backoff(0.1, 1.0, lambda: jitter)
        self.port: Port[Job] = Port(
            "store", self.work, self.answer, parallel=parallel, timeout_s=timeout_s, backoff=backoff
        )

    async def work(self, job: Job) -> object:
        self.begun.append(job)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(job.takes_s)
            if self.error is not None:
                raise self.error
            return job.number
        finally:
            self.under_way -= 1

    def answer(self, job: Job, result: object) -> None:
        self.done.append((job, result, asyncio.get_running_loop().time()))

    def results(self) -> list[Any]:
        return [result for _, result, _ in self.done]


def test_an_answer_that_cannot_be_taken_holds_up_no_other_work() -> None:
    async def main() -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        world = World(parallel=1)
        take = world.answer

        def answer(job: Job, result: object) -> None:
            if job.number == 0:
                raise RuntimeError("of the host's own")
            take(job, result)

        world.port._answer = answer
        for number in range(3):
            world.port.push(Job("a", number))
        assert await world.port.idle()
        assert world.results() == [1, 2]
        gc.collect()
        assert [str(error) for error in told] == ["of the host's own"]

    run(main)


def test_a_room_s_work_is_done_in_order_and_rooms_in_parallel_up_to_a_bound() -> None:
    async def main() -> None:
        world = World(parallel=3)
        for number in range(4):
            for room in "abcde":
                world.port.push(Job(room, number, 1.0))
        assert len(world.port) == 20
        assert "a" in world.port
        assert await world.port.idle()
        assert world.most == 3
        for room in "abcde":
            assert [job.number for job, _, _ in world.done if job.room_id == room] == [0, 1, 2, 3]
        assert asyncio.get_running_loop().time() == pytest.approx(7.0)
        assert ("a" in world.port, len(world.port)) == (False, 0)

    run(main)


def test_work_that_takes_too_long_is_given_up() -> None:
    async def main() -> None:
        world = World(timeout_s=2.0)
        world.port.push(Job("a", 1, 5.0))
        await world.port.idle()
        ((_, result, at),) = world.done
        assert isinstance(result, TimeoutError)
        assert "no answer within 2 s" in str(result)
        assert at == pytest.approx(2.0)
        assert world.port.down

    run(main)


def test_a_port_that_does_not_answer_is_asked_one_at_a_time_with_pauses(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        world = World(parallel=4)
        world.error = StoreUnavailable("store", "gone")
        for number in range(8):
            world.port.push(Job(f"room {number}", number))
        await asyncio.sleep(1.0)
        assert 4 < len(world.begun) < 8
        world.error = None
        await world.port.idle()
        assert len(world.done) == 8
        assert not world.port.down
        assert asyncio.get_running_loop().time() < 1.0 + 1.0

    with caplog.at_level(logging.WARNING, "roomstate"):
        run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "store does not answer: store: gone",
        "store answers again",
    ]


def test_one_room_s_trouble_slows_nobody_down() -> None:
    async def main() -> None:
        world = World(parallel=1)
        world.error = InvalidValue("a", "damaged")
        for number in range(5):
            world.port.push(Job("a", number))
        await world.port.idle()
        assert not world.port.down
        assert asyncio.get_running_loop().time() == 0.0
        assert all(isinstance(result, InvalidValue) for result in world.results())

    run(main)


def test_work_that_is_cancelled_from_below_is_answered() -> None:
    async def main() -> None:
        world = World()
        world.error = asyncio.CancelledError()
        world.port.push(Job("a", 1))
        await world.port.idle()
        assert [str(result) for result in world.results()] == ["store: the work was cancelled"]

    run(main)


def test_stopping_leaves_no_task_and_starting_goes_on_in_order() -> None:
    async def main() -> None:
        world = World(parallel=1)
        for number in range(3):
            world.port.push(Job("a", number, 1.0))
        await asyncio.sleep(1.5)
        await world.port.stop()
        assert len(asyncio.all_tasks()) == 1
        assert len(world.port) == 2
        world.port.push(Job("a", 3))
        assert len(asyncio.all_tasks()) == 1
        world.port.start()
        await world.port.idle()
        assert world.results() == [0, 1, 2, 3]

    run(main)


def test_a_pause_ends_with_the_port() -> None:
    async def main() -> None:
        world = World()
        world.error = OSError("gone")
        world.port.push(Job("a", 1))
        await world.port.idle()
        await world.port.stop()
        world.port.push(Job("a", 2))
        await asyncio.sleep(5)
        assert len(world.begun) == 1
        world.error = None
        world.port.start()
        await world.port.idle()
        assert world.results()[1:] == [2]

    run(main)


def test_work_that_will_not_be_cancelled_is_not_answered_twice() -> None:
    async def main() -> None:
        done: list[object] = []

        async def stubborn(job: Job) -> int:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                return -1
            return job.number

        port: Port[Job] = Port(
            "store",
            stubborn,
            lambda job, result: done.append(result),
            parallel=1,
            timeout_s=10,
            backoff=Backoff(0.1, 1.0),
        )
        port.push(Job("a", 7))
        await asyncio.sleep(0.5)
        await port.stop()
        assert done == []
        port.start()
        await port.idle()
        assert done == [7]

    run(main)


def test_waiting_for_idleness_can_end_with_hope() -> None:
    async def main() -> None:
        world = World(parallel=1)
        world.error = OSError("gone")
        for number in range(100):
            world.port.push(Job("a", number))
        assert not await world.port.idle(3)
        assert len(world.begun) == 3
        assert len(world.port.waiting("a")) == 97
        await world.port.stop()

    run(main)
