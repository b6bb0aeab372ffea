"""A store that lasts as long as its process: for tests, and for hosts that need no more."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Final, Self

import attrs
from sortedcontainers import SortedDict

from roomstate.effects import Appended, Head, LogEntry
from roomstate.errors import StoreFull, StoreUnavailable
from roomstate.model import Tier, check_id
from roomstate.store.base import PAGE, best_tier, covered
from roomstate.store.checks import check_data, check_range, check_read, check_snapshot
from roomstate.store.rows import (
    End,
    Row,
    advance,
    anew,
    decode,
    nothing,
    repeats,
    split,
    to_rows,
)

__all__ = ["MemoryStore"]

MAX_BYTES: Final = 256 << 20
"""Bytes of updates and snapshots that a `MemoryStore` takes, unless told: a quarter of a small server's memory."""


@attrs.define
class _Room:
    end: End | None = None
    rows: list[Row] = attrs.field(factory=list)
    ids: dict[str, int] = attrs.field(factory=dict)
    snapshots: dict[Tier, tuple[Head, bytes]] = attrs.field(factory=dict)

    def copy(self) -> _Room:
        """Return a room that holds the same. O(n)."""
        return _Room(self.end, self.rows.copy(), self.ids.copy(), self.snapshots.copy())

    def at(self, seq: int) -> int:
        """Index of the first row above ``seq``. O(log n)."""
        return bisect_right(self.rows, seq, key=lambda row: row.seq)

    def row(self, seq: int) -> Row | None:
        """The row at ``seq``, or None where it was truncated."""
        at = self.at(seq - 1)
        return self.rows[at] if at < len(self.rows) and self.rows[at].seq == seq else None

    def add(self, room_id: str, row: Row) -> bool:
        """Add a row; True where its message was here before."""
        repeated = row.message_id is not None and row.message_id in self.ids
        if repeated:
            row = nothing(room_id, row)
        elif row.message_id is not None:
            self.ids[row.message_id] = row.seq
        self.rows.append(row)
        return repeated


def _size(rows: Sequence[Row]) -> int:
    return sum(len(row.data or b"") for row in rows)


class MemoryStore:
    """A `RoomStore` in memory. It refuses more than ``max_bytes`` bytes of updates and snapshots with `StoreFull`.

    What it promises is what memory promises: all of it, until the process ends.

    >>> store = MemoryStore()
    >>> store.head("rust") is None
    True
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        check_range("max_bytes", max_bytes, 1)
        self._max_bytes = max_bytes
        self._bytes = 0
        self._rooms: SortedDict[str, _Room] = SortedDict()
        self._dictionaries: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._closed = False

    def copy(self) -> Self:
        """Return a store that holds the same and goes on by itself: what a replica of this one would have. O(rows)."""
        with self._open():
            other = copy(self)
            other._rooms = SortedDict({room_id: room.copy() for room_id, room in self._rooms.items()})
            other._dictionaries = dict(self._dictionaries)
            other._lock = threading.Lock()
            return other

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("store", "is closed")
            yield

    def _take(self, size: int) -> None:
        if self._bytes + size > self._max_bytes:
            raise StoreFull("store", f"{size} bytes more than the {self._bytes} held would be over {self._max_bytes}")
        self._bytes += size

    def head(self, room_id: str) -> Head | None:
        """See `RoomStore`. O(log rooms)."""
        check_id("room_id", room_id)
        with self._open():
            room = self._rooms.get(room_id)
            return room.end.head if room and room.end else None

    def append(self, room_id: str, epoch: str, entries: Sequence[LogEntry]) -> Appended:
        """See `RoomStore`. O(entries)."""
        check_id("room_id", room_id)
        check_id("epoch", epoch)
        rows = to_rows(room_id, entries)
        with self._open():
            room = self._rooms.get(room_id) or _Room()
            old, new = split(room_id, room.end, epoch, rows)
            repeated = [row.seq for row in old if repeats(room_id, room.row(row.seq), row)]
            self._take(_size(new))
            repeated += [row.seq for row in new if room.add(room_id, row)]
            if new:
                room.end = advance(room.end, epoch, new[-1])
                self._rooms[room_id] = room
            return Appended(room.end.logged if room.end else 0, tuple(repeated))

    def read(self, room_id: str, after: int = 0, upto: int | None = None, limit: int = PAGE) -> tuple[LogEntry, ...]:
        """See `RoomStore`. O(log n + limit)."""
        check_read(room_id, after, upto, limit)
        with self._open():
            room = self._rooms.get(room_id) or _Room()
            stop = len(room.rows) if upto is None else room.at(upto)
            rows = room.rows[max(room.at(after), stop - limit) : stop]
        return tuple(decode(room_id, row) for row in rows)

    def save_snapshot(self, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
        """See `RoomStore`. O(log rooms)."""
        check_snapshot(room_id, tier, head, data)
        with self._open():
            room = self._rooms.get(room_id) or _Room()
            begins = anew(room.end, head)
            replaced = room.snapshots if begins else {t: held for t, held in room.snapshots.items() if t is tier}
            if not begins and any(last.position.seq > head.position.seq for last, _ in replaced.values()):
                return False
            self._take(len(data) - sum(len(old) for _, old in replaced.values()))
            if begins:
                room.end, room.snapshots = None, {}
            room.snapshots[tier] = (head, bytes(data))
            if room.end is None or room.end.seq < head.position.seq:
                logged = room.end.logged if room.end else 0
                room.end = End(head.position.epoch, head.position.seq, head.ordinal, logged)
            self._rooms[room_id] = room
            return True

    def load_snapshot(self, room_id: str, tier: Tier) -> bytes | None:
        """See `RoomStore`. O(log rooms)."""
        check_id("room_id", room_id)
        with self._open():
            held = (self._rooms.get(room_id) or _Room()).snapshots
            best = best_tier(tier, {tier: head.position.seq for tier, (head, _) in held.items()})
            return None if best is None else held[best][1]

    def truncate(self, room_id: str, upto: int, limit: int | None = None) -> int:
        """See `RoomStore`. O(n)."""
        check_read(room_id, 0, upto, 0 if limit is None else limit)
        with self._open():
            room = self._rooms.get(room_id) or _Room()
            seqs = {tier: head.position.seq for tier, (head, _) in room.snapshots.items()}
            count = room.at(min(upto, covered(seqs)))
            count = count if limit is None else min(count, limit)
            dropped, room.rows[:count] = room.rows[:count], []
            self._bytes -= _size(dropped)
            for row in dropped:
                room.ids.pop(row.message_id or "", None)
            return count

    def rooms(self, after: str = "", limit: int = PAGE) -> tuple[str, ...]:
        """See `RoomStore`. O(log rooms + limit)."""
        check_range("limit", limit)
        with self._open():
            keys = self._rooms.irange(minimum=after, inclusive=(False, True))
            return tuple(room_id for room_id, _ in zip(keys, range(limit), strict=False))

    def delete(self, room_id: str) -> bool:
        """See `RoomStore`. O(log rooms + n)."""
        check_id("room_id", room_id)
        with self._open():
            room = self._rooms.pop(room_id, None)
            if room:
                self._bytes -= _size(room.rows) + sum(len(data) for _, data in room.snapshots.values())
            return room is not None

    def save_dictionary(self, name: str, data: bytes) -> None:
        """See `RoomStore`. O(1)."""
        check_id("name", name)
        check_data(data)
        with self._open():
            if name not in self._dictionaries:
                self._take(len(data))
                self._dictionaries[name] = bytes(data)

    def load_dictionary(self, name: str) -> bytes | None:
        """See `RoomStore`. O(1)."""
        check_id("name", name)
        with self._open():
            return self._dictionaries.get(name)

    def dictionaries(self) -> tuple[str, ...]:
        """See `RoomStore`. O(n log n)."""
        with self._open():
            return tuple(sorted(self._dictionaries))

    def damaged(self) -> Mapping[str, str]:
        """See `RoomStore`: memory is not checked, so there are none."""
        return {}

    def close(self) -> None:
        """See `RoomStore`. What was held is gone."""
        with self._lock:
            self._closed = True
            self._rooms.clear()
