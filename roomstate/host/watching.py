"""Telling a program which rooms have changed: for a screen that shows them, or for a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, NamedTuple

__all__ = ["MAX_CHANGED", "Change", "Watchers"]

MAX_CHANGED: Final = 100_000
"""Rooms that may have changed before a watcher looks; beyond, it is told that any may have."""


class Change(NamedTuple):
    """A room has changed, once or more: its ``revision`` now, and what happened to it, in the order of first times.

    ``kinds`` are the tags of updates ("message_added") and the names of events ("TierChanged"). ``room_id`` None: so
    many rooms have changed that any may have.
    """

    room_id: str | None
    revision: tuple[int, int]
    kinds: tuple[str, ...]


class _Watcher:
    """What one watcher has not been told yet."""

    def __init__(self, room_id: str | None) -> None:
        self.room_id = room_id
        self.rooms: dict[str, dict[str, None]] = {}
        self.overflowed = self.closed = False
        self.wake = asyncio.Event()

    def note(self, room_id: str, kinds: Iterable[str]) -> None:
        if self.closed or self.overflowed or self.room_id not in (None, room_id):
            return
        self.rooms.setdefault(room_id, {}).update(dict.fromkeys(kinds))
        if len(self.rooms) > MAX_CHANGED:
            self.rooms.clear()
            self.overflowed = True
        self.wake.set()

    def take(self, revision: Callable[[str], tuple[int, int]]) -> Change | None:
        if self.overflowed:
            self.overflowed = False
            return Change(None, (0, 0), ())
        if not self.rooms:
            return None
        room_id = next(iter(self.rooms))
        return Change(room_id, revision(room_id), tuple(self.rooms.pop(room_id)))


class Watchers:
    """Everybody who watches rooms change. What happens to one room before a watcher looks is told as one `Change`."""

    __slots__ = ("_closed", "_revision", "_watchers")

    def __init__(self, revision: Callable[[str], tuple[int, int]]) -> None:
        self._watchers: dict[_Watcher, None] = {}
        self._revision = revision
        self._closed = False

    def __len__(self) -> int:
        return len(self._watchers)

    def note(self, room_id: str, kinds: Iterable[str]) -> None:
        """Note that something has happened to a room. O(watchers · kinds)."""
        for watcher in self._watchers:
            watcher.note(room_id, kinds)

    async def watch(self, room_id: str | None) -> AsyncIterator[Change]:
        """Yield what changes from the first step on, of one room or of all, until `close`."""
        if self._closed:
            return
        watcher = _Watcher(room_id)
        self._watchers[watcher] = None
        try:
            while True:
                while (change := watcher.take(self._revision)) is not None:
                    yield change
                if watcher.closed:
                    return
                watcher.wake.clear()
                await watcher.wake.wait()
        finally:
            self._watchers.pop(watcher, None)

    def close(self) -> None:
        """Let every watcher end, once it has taken what there is, and whoever begins later at once."""
        self._closed = True
        for watcher in self._watchers:
            watcher.closed = True
            watcher.wake.set()
        self._watchers.clear()
