"""Waiting for something to be so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from roomstate.errors import StoreUnavailable
from roomstate.host.conditions import Conditions
from tests.host.looping import run


def test_what_is_so_is_not_waited_for() -> None:
    async def main() -> None:
        conditions = Conditions()
        await conditions.until("a", lambda: True)
        assert len(conditions) == 0

    run(main)


def test_those_whose_condition_is_met_are_woken_and_no_others() -> None:
    async def main() -> None:
        conditions, reached = Conditions(), [0]

        def least(number: int) -> Callable[[], bool]:
            return lambda: reached[0] >= number

        waiting = [asyncio.ensure_future(conditions.until("a", least(number))) for number in (1, 2)]
        await asyncio.sleep(0)
        assert (len(conditions), "a" in conditions, "b" in conditions) == (2, True, False)
        for number in (1, 1, 2):
            reached[0] = number
            conditions.look("a")
            conditions.look("a")
            conditions.look("b")
            await asyncio.sleep(0)
            assert [task.done() for task in waiting] == [True, number == 2]
        await asyncio.sleep(0)
        assert (len(conditions), "a" in conditions) == (0, False)

    run(main)


def test_one_who_is_cancelled_leaves_nothing() -> None:
    async def main() -> None:
        conditions = Conditions()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(conditions.until("a", lambda: False), 1)
        assert (len(conditions), "a" in conditions) == (0, False)

    run(main)


def test_the_end_raises_in_all_of_them() -> None:
    async def main() -> None:
        conditions = Conditions()
        waiting = [asyncio.ensure_future(conditions.until("a", lambda: False)) for _ in range(2)]
        await asyncio.sleep(0)
        conditions.end(lambda: StoreUnavailable("host", "was closed"))
        conditions.end(lambda: StoreUnavailable("host", "was closed"))
        conditions.look("a")
        for task in waiting:
            with pytest.raises(StoreUnavailable, match="was closed"):
                await task
        assert len(conditions) == 0

    run(main)


def test_nobody_waits_after_the_end_but_what_is_so_is_so() -> None:
    async def main() -> None:
        conditions, numbered = Conditions(), [False]

        async def both() -> None:
            await conditions.until("a", lambda: numbered[0])
            await conditions.until("a", lambda: False)

        waiting = asyncio.ensure_future(both())
        await asyncio.sleep(0)
        numbered[0] = True
        conditions.look("a")
        conditions.end(lambda: StoreUnavailable("host", "was closed"))  # before the first wait has gone on
        with pytest.raises(StoreUnavailable, match="was closed"):
            await waiting
        await conditions.until("a", lambda: True)
        assert len(conditions) == 0

    run(main)
