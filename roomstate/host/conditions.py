"""Waiting until something is so of a room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

__all__ = ["Conditions"]

Met: TypeAlias = Callable[[], bool]


class _Waiter(Struct, eq=False):
    met: Met
    future: asyncio.Future[None]


class Conditions:
    """Who waits for what, by room. Whoever changes a room calls `look`."""

    __slots__ = ("_ended", "_waiters")

    def __init__(self) -> None:
        self._waiters: dict[str, dict[_Waiter, None]] = {}
        self._ended: Callable[[], Exception] | None = None

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiters.values()))

    def __contains__(self, room_id: object) -> bool:
        return room_id in self._waiters

    async def until(self, room_id: str, met: Met) -> None:
        """Return once ``met()``; it is asked now, and at every `look`. Cancelling it leaves nothing behind.

        After the `end` what is not met raises its error at once: no `look` would come.
        """
        if met():
            return
        if self._ended is not None:
            raise self._ended()
        waiter = _Waiter(met, asyncio.get_running_loop().create_future())
        waiters = self._waiters.setdefault(room_id, {})
        waiters[waiter] = None
        try:
            await waiter.future
        finally:
            del waiters[waiter]
            if not waiters and self._waiters.get(room_id) is waiters:
                del self._waiters[room_id]

    def look(self, room_id: str) -> None:
        """Wake those whose condition is met. O(those who wait for the room)."""
        for waiter in self._waiters.get(room_id, ()):
            if not waiter.future.done() and waiter.met():
                waiter.future.set_result(None)

    def end(self, error: Callable[[], Exception]) -> None:
        """Raise an ``error()`` in everybody who waits, or begins to. O(n)."""
        self._ended = error
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(error())
