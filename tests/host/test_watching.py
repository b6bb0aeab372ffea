"""Which rooms have changed, coalesced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from roomstate.host import watching
from roomstate.host.watching import Change, Watchers
from tests.host.looping import run


async def begun(iterator: AsyncIterator[Change]) -> asyncio.Task[Change]:
    """The next change, waited for."""
    task: Any = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0)
    return task  # type: ignore[no-any-return]


def test_what_happens_before_one_looks_is_one_change() -> None:
    async def main() -> None:
        watchers = Watchers(lambda room_id: (7, len(room_id)))
        everything, one = watchers.watch(None), watchers.watch("b")
        first, second = await begun(everything), await begun(one)
        assert len(watchers) == 2
        for room_id, kind in (("a", "x"), ("a", "y"), ("b", "z"), ("a", "x")):
            watchers.note(room_id, (kind,))
        assert await first == Change("a", (7, 1), ("x", "y"))
        assert await anext(everything) == Change("b", (7, 1), ("z",))
        assert await second == Change("b", (7, 1), ("z",))
        watchers.note("a", ())
        assert await anext(everything) == Change("a", (7, 1), ())
        watchers.close()
        assert [change async for change in everything] == []
        assert [change async for change in one] == []
        assert len(watchers) == 0

    run(main)


def test_too_many_rooms_are_any_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_CHANGED", 3)

    async def main() -> None:
        watchers = Watchers(lambda room_id: (0, 0))
        everything = watchers.watch(None)
        first = await begun(everything)
        for number in range(5):
            watchers.note(f"room {number}", ())
        assert await first == Change(None, (0, 0), ())
        watchers.note("a", ())
        assert await anext(everything) == Change("a", (0, 0), ())
        watchers.close()
        assert [change async for change in everything] == []

    run(main)


def test_one_who_is_cancelled_is_forgotten() -> None:
    async def main() -> None:
        watchers = Watchers(lambda room_id: (0, 0))
        task = await begun(watchers.watch(None))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(watchers) == 0

    run(main)


def test_who_begins_after_the_end_does_not_wait() -> None:
    async def main() -> None:
        watchers = Watchers(lambda room_id: (0, 0))
        late = watchers.watch("a")
        watchers.close()
        assert [change async for change in late] == []
        assert len(watchers) == 0

    run(main)
