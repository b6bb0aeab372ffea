"""The authority's answer to "what have I missed since this token?": just that, or that a snapshot is needed, and why.

A feed costs nothing per message. The room's own timeline is the tail of its messages; the feed keeps only the updates
that were not new messages (edits, removals, members, configuration), bounded by count, bytes and age. Together they
answer for every position above `floor`.

What a copy gets is what it lacks *now*: a message that was edited since comes as it is today and its edit after it, one
that was removed does not come at all, only its removal. Applied in order, that makes the copy equal to the room.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import Final, Literal, TypeAlias

from msgspec import Struct, json

from roomstate.effects import LogEntry
from roomstate.errors import InvalidValue
from roomstate.position import Token
from roomstate.room.states import LiveRoom
from roomstate.room.weight import struct_bytes
from roomstate.updates import CountsChanged, MessageAdded, Update

__all__ = ["Missing", "RoomFeed", "SnapshotNeeded", "fingerprint"]

MAX_ENTRIES: Final = 1000
"""Updates other than new messages that a feed keeps: as many as an ACTIVE room's messages."""

MAX_BYTES: Final = 1 << 20
"""Bytes of them, by estimate."""

MAX_AGE_S: Final = 3600.0
"""Seconds for which they are kept: a client that was away for longer gets a snapshot."""

MAX_MISSING: Final = 1000
"""Updates given at a time: more are larger than a snapshot of the room (DESIGN §9: 1000 messages)."""

_ADDED: Final = MessageAdded.__struct_config__.tag
_encode = json.Encoder().encode
_PER_ENTRY = 150  # bytes of an entry with its place here, beyond its update; measured on CPython 3.11

Reason: TypeAlias = Literal[
    "other epoch",
    "below the floor",
    "ahead of the head",
    "fingerprint differs",
    "too many",
    "malformed token",
    "not durable yet",
]


class Missing(Struct, frozen=True):
    """Everything in ``(after, upto]`` that a copy at ``after`` lacks, oldest first; empty where it lacks nothing."""

    epoch: str
    after: int
    upto: int
    entries: tuple[LogEntry, ...]


class SnapshotNeeded(Struct, frozen=True):
    """The missing updates cannot be given; the copy must start again from an image of the room."""

    reason: Reason


def fingerprint(update: Update) -> str:
    """Return the equality hash of an entry: of what no later edit changes. O(id), of what is no new message O(size)."""
    if isinstance(update, MessageAdded):
        return _of_message(update.message.id)
    return f"{zlib.crc32(_encode(update)):08x}"


def _of_message(message_id: str) -> str:
    return f"{zlib.crc32(f'{_ADDED}:{message_id}'.encode('utf-8', 'surrogatepass')):08x}"


_NOTHING: Final = fingerprint(CountsChanged())
"""That of a seq that holds nothing, its message having been in the log before: as a store reads it."""


class RoomFeed:
    """The updates of one room that were not new messages, newest last, each with when it came.

    ``floor``: of what happened at or below it, the feed may lack something. ``mark`` is the fingerprint of the entry at
    the floor, "" where that is not known.

    >>> feed = RoomFeed(floor=3)
    >>> feed.floor, len(feed)
    (3, 0)
    """

    __slots__ = ("_bytes", "_entries", "floor", "mark", "max_age_s", "max_bytes", "max_entries")

    def __init__(
        self,
        floor: int = 0,
        mark: str = "",
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        for where, value in (("max_entries", max_entries), ("max_bytes", max_bytes), ("max_age_s", max_age_s)):
            if not 0 < value < float("inf"):
                raise InvalidValue(where, f"must be a finite number above 0, got {value!r}")
        self.floor: int = floor
        self.mark: str = mark
        self.max_entries: int = max_entries
        self.max_bytes: int = max_bytes
        self.max_age_s: float = max_age_s
        self._entries: deque[tuple[float, int, LogEntry]] = deque()  # since when, of how many bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """What the entries hold in memory, in bytes, by estimate. O(1)."""
        return self._bytes

    def note(self, entry: LogEntry, now: float) -> None:
        """Keep an update that is not a new message; what is too old or too much goes, and raises `floor`. O(size)."""
        size = _PER_ENTRY + struct_bytes(entry.update)
        self._entries.append((now, size, entry))
        self._bytes += size
        while self._entries and (
            len(self._entries) > self.max_entries
            or self._bytes > self.max_bytes
            or self._entries[0][0] < now - self.max_age_s
        ):
            _, size, dropped = self._entries.popleft()
            self._bytes -= size
            self.floor, self.mark = dropped.seq, fingerprint(dropped.update)

    def token(self, room: LiveRoom, upto: int) -> Token:
        """Return the resume position of a copy of ``room`` that has come as far as ``upto``. O(log n + noted since)."""
        return Token(room.epoch, upto, self._mark(room, upto))

    def since(self, room: LiveRoom, token: Token, upto: int, limit: int = MAX_MISSING) -> Missing | SnapshotNeeded:
        """Return what a copy at ``token`` lacks of ``(token.seq, upto]``, at most ``limit`` updates. O(kept + answer).

        ``upto`` is how far copies may know: the head, or the durable position where updates are told once they are
        durable. A token without a fingerprint is taken at its word; one with a fingerprint is not where that cannot be
        compared, because its entry is not held: it may be of what a store that failed over has lost.
        """
        reason = self._refusal(room, token, upto)
        if reason is not None:
            return SnapshotNeeded(reason)
        entries = [entry for _, _, entry in self._entries if token.seq < entry.seq <= upto]
        later = room.timeline.placed_after(token.seq)
        entries += [LogEntry(seq, 0, MessageAdded(message)) for seq, message in later if seq <= upto]
        if len(entries) > limit:
            return SnapshotNeeded("too many")
        entries.sort(key=_seq)
        return Missing(room.epoch, token.seq, upto, tuple(entries))

    def _refusal(self, room: LiveRoom, token: Token, upto: int) -> Reason | None:
        if token.epoch != room.epoch:
            return "other epoch"
        if token.seq > upto:
            return "ahead of the head"
        if token.seq < max(self.floor, room.held_after):
            return "below the floor"
        if token.fingerprint and not self._matches(room, token):
            return "fingerprint differs"
        return None

    def _matches(self, room: LiveRoom, token: Token) -> bool:
        """Whether a token is of this log, as far as is known: its entry is here, or a message that was removed."""
        mark = self._mark(room, token.seq)
        if mark not in ("", _NOTHING):
            return mark == token.fingerprint
        return mark == token.fingerprint or any(
            _of_message(message_id) == token.fingerprint for message_id in room.timeline.tombstones
        )

    def _mark(self, room: LiveRoom, seq: int) -> str:
        """Return the fingerprint of the entry at ``seq``; "" where it is not known."""
        if seq == self.floor and self.mark:
            return self.mark
        update = self._at(room, seq)
        if update is not None:
            return fingerprint(update)
        is_covered = seq > max(self.floor, room.held_after) and not room.timeline.by_time
        return _NOTHING if is_covered else ""

    def _at(self, room: LiveRoom, seq: int) -> Update | None:
        """Return the update at ``seq``, if it is held."""
        for _, _, entry in reversed(self._entries):
            if entry.seq <= seq:
                if entry.seq == seq:
                    return entry.update
                break
        for at, message in room.timeline.placed_after(seq - 1)[:1]:
            if at == seq:
                return MessageAdded(message)
        return None

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        seqs = [entry.seq for _, _, entry in self._entries]
        assert seqs == sorted(set(seqs))
        assert all(seq > self.floor for seq in seqs)
        assert len(self._entries) <= self.max_entries
        assert self._bytes == sum(size for _, size, _ in self._entries) <= self.max_bytes


def _seq(entry: LogEntry) -> int:
    return entry.seq
