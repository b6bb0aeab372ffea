"""Work that must keep its order within a room, and need not between rooms."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["Lanes"]

T = TypeVar("T")


class Lanes(Generic[T]):
    """One lane a room: what is in it goes out one at a time, in order; the rooms take turns.

    >>> lanes = Lanes[str]()
    >>> for room_id, work in (("a", "a1"), ("a", "a2"), ("b", "b1")):
    ...     lanes.push(room_id, work)
    >>> lanes.take(), lanes.take(), lanes.take()
    ('a1', 'b1', None)
    >>> lanes.done("a")
    >>> lanes.take()
    'a2'
    """

    __slots__ = ("_length", "_ready", "_rooms")

    def __init__(self) -> None:
        self._rooms: dict[str, deque[T]] = {}  # a room is here while it has work under way or waiting
        self._ready: deque[str] = deque()  # rooms that have work waiting and none under way
        self._length = 0

    def __len__(self) -> int:
        """How much work waits, that under way not counted."""
        return self._length

    def __contains__(self, room_id: object) -> bool:
        """Whether the room has work under way or waiting."""
        return room_id in self._rooms

    def push(self, room_id: str, item: T) -> None:
        """Put work at the end of its room's lane. O(1)."""
        lane = self._rooms.get(room_id)
        if lane is None:
            lane = self._rooms[room_id] = deque()
            self._ready.append(room_id)
        lane.append(item)
        self._length += 1

    def take(self) -> T | None:
        """Return the next work that may begin, or None. Call `done` for its room when it has ended. O(1)."""
        if not self._ready:
            return None
        self._length -= 1
        return self._rooms[self._ready.popleft()].popleft()

    def waiting(self, room_id: str) -> tuple[T, ...]:
        """Return what waits in a room's lane. O(its length)."""
        return tuple(self._rooms.get(room_id, ()))

    def done(self, room_id: str) -> None:
        """Let the room's next work begin. O(1)."""
        if self._rooms[room_id]:
            self._ready.append(room_id)
        else:
            del self._rooms[room_id]

    def back(self, room_id: str, item: T) -> None:
        """Put work that was taken, and not done, before what waits in its lane. O(1)."""
        self._rooms[room_id].appendleft(item)
        self._ready.append(room_id)
        self._length += 1
