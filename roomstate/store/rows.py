"""Log entries as rows: what is checked before they are written, and the bytes that an update becomes.

At rest an update is JSON with its kind by name, and a CRC-32 over its room, seq, ordinal and text: neither SQLite nor a
file system notices a flipped bit or two swapped rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import lt
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec

from roomstate.effects import Head, LogEntry
from roomstate.errors import DamagedStore, InvalidValue
from roomstate.model import Message, as_message
from roomstate.position import Position
from roomstate.store.base import NOTHING
from roomstate.store.checks import check_range
from roomstate.updates import LOGGED, MessageAdded, Update

__all__ = [
    "MAX_BATCH",
    "End",
    "Row",
    "advance",
    "decode",
    "dictionary_checksum",
    "encode",
    "nothing",
    "repeats",
    "room_checksum",
    "seal",
    "sound",
    "split",
    "to_rows",
    "whole",
]

MAX_BATCH = 100_000
"""Entries in one append; a batch is held in memory twice, as values and as rows."""


class Row(NamedTuple):
    """One entry as it rests. ``message_id`` None: not a message; ``data`` None: it holds nothing (`NOTHING`)."""

    seq: int
    ordinal: int
    message_id: str | None
    data: bytes | None
    crc: int


class End(NamedTuple):
    """Where a room ends: its head, and ``logged``, the seq up to which its log goes (0: it has none)."""

    epoch: str
    seq: int
    ordinal: int = 0
    logged: int = 0

    @property
    def head(self) -> Head:
        """The head, as the world knows it."""
        return Head(Position(self.epoch, self.seq), self.ordinal)


def sound(data: object, crc: int) -> bool:
    """Whether a snapshot is what was written."""
    return isinstance(data, bytes) and crc32(data) == crc


def dictionary_checksum(name: object, data: object) -> int:
    """CRC-32 of a dictionary and its name; -1 for what is none."""
    return checksum(seed_of(name), 0, 0, data) if isinstance(name, str) and isinstance(data, bytes) else -1


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


_SEEDED: Final = 1 << 32
"""Marks a checksum that `seed_of` was in."""

_encode = msgspec.json.Encoder(enc_hook=_plain).encode
_decode: Any = msgspec.json.Decoder(Update).decode


def encode(update: Update) -> bytes:
    """An update as JSON. Raises `InvalidValue` where it holds something that JSON cannot carry."""
    if isinstance(update, MessageAdded) and not isinstance(update.message, Message):
        update = MessageAdded(as_message(update.message))
    try:
        return _encode(update)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidValue("update", f"cannot be written as JSON: {error}") from None


def seed_of(room_id: str) -> int:
    """What the checksums of a room's entries begin with, so that no other room's pass for them."""
    return crc32(room_id.encode()) | _SEEDED


def checksum(seed: int, seq: int, ordinal: int, data: bytes | None) -> int:
    """CRC-32 of what a row holds and where; ``seed`` is `seed_of` a room, or 0 as in rows of schema version 1."""
    return crc32(data or b"", (seed + seq * 0x9E3779B1 + ordinal) & 0xFFFFFFFF) | (seed & _SEEDED)


def room_checksum(room_id: str, *told: object) -> int:
    """CRC-32 of what a room's row says: of its end, ``since`` and ``tiers``, in that order."""
    return crc32(repr((room_id, *told)).encode())


def seal(room_id: str, tier: str, seq: int, epoch: str, crc: int) -> int:
    """CRC-32 of which snapshot it is whose data have the checksum ``crc``."""
    return crc32(repr((room_id, tier, seq, epoch, crc)).encode())


def whole(rows: Sequence[Row], since: int, last: int, limit: int) -> bool:
    """Whether rows ascend, and of those in (since, last], the newest ``limit``, none is missing."""
    seqs = [row.seq for row in rows]
    count = max(0, min(limit, last - since))
    return all(map(lt, seqs, seqs[1:])) and seqs[len(seqs) - count :] == list(range(last - count + 1, last + 1))


def decode(room_id: str, row: Row) -> LogEntry:
    """A row as an entry. Raises `DamagedStore` where the checksum does not fit, or it is no update that we know."""
    seq, ordinal, message_id, data = row[:4]
    crc: object = row.crc
    seed = seed_of(room_id) if isinstance(crc, int) and crc & _SEEDED else 0
    if not _is_row(seq, ordinal, data) or checksum(seed, seq, ordinal, data) != crc:
        raise DamagedStore(room_id, f"the log's entry at seq {seq} fails its checksum")
    try:
        update = NOTHING if data is None else _decode(data)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise DamagedStore(room_id, f"the log's entry at seq {seq} is no update: {error}") from None
    if message_id != (update.message.id if isinstance(update, MessageAdded) else None):
        raise DamagedStore(room_id, f"the log's entry at seq {seq} has the id of another message")
    return LogEntry(seq, ordinal, update)


def _is_row(seq: object, ordinal: object, data: object) -> bool:
    """Whether these are of the kinds that were written: in SQLite any value may be of any."""
    return isinstance(seq, int) and isinstance(ordinal, int) and isinstance(data, bytes | None)


_LOGGED: Final = frozenset(LOGGED)


def _to_row(seed: int, entry: LogEntry) -> Row:
    seq, ordinal, update = entry.seq, entry.ordinal, entry.update
    if type(update) not in _LOGGED:
        raise InvalidValue("entries", f"{type(update).__name__} at seq {seq} is ephemeral and takes no seq")
    data = encode(update)
    message_id = update.message.id if isinstance(update, MessageAdded) else None
    return Row(seq, ordinal, message_id, data, checksum(seed, seq, ordinal, data))


def to_rows(room_id: str, entries: Sequence[LogEntry]) -> list[Row]:
    """The rows of a batch to append. Raises `InvalidValue` unless it is one to ``MAX_BATCH`` consecutive entries."""
    if not 0 < len(entries) <= MAX_BATCH:
        raise InvalidValue("entries", f"must be 1 to {MAX_BATCH} entries, got {len(entries)}")
    expected, ordinal = entries[0].seq, 0
    for entry in entries:
        if entry.seq != expected:
            raise InvalidValue("entries", f"must have consecutive seqs: expected {expected}, got {entry.seq}")
        if entry.ordinal < ordinal:
            raise InvalidValue("entries", f"the ordinal falls from {ordinal} to {entry.ordinal} at seq {entry.seq}")
        expected, ordinal = expected + 1, entry.ordinal
    check_range("entries", entries[0].seq, 1)
    check_range("entries", entries[-1].seq, 1)
    check_range("entries", ordinal)
    seed = seed_of(room_id)
    return [_to_row(seed, entry) for entry in entries]


def split(room_id: str, end: End | None, epoch: str, rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Of rows offered to a room that ends at ``end`` (None: no room), those that it has, and those that are new.

    Raises `InvalidValue` where the rows neither continue the log nor repeat its end.
    """
    known = end or End(epoch, 0)
    first = rows[0].seq
    if first > known.logged and first not in (known.logged + 1, known.seq + 1):
        raise InvalidValue("entries", f"must continue the log of {room_id!r} at seq {known.logged + 1}, got {first}")
    if epoch != known.epoch and first != known.seq + 1:
        raise InvalidValue("epoch", f"a new epoch of {room_id!r} must continue at seq {known.seq + 1}, got {first}")
    has = max(0, min(known.logged - first + 1, len(rows)))
    return rows[:has], rows[has:]


def advance(end: End | None, epoch: str, last: Row) -> End:
    """Where a room ends after ``last`` was appended to it under ``epoch``."""
    if end is not None and end.seq > last.seq:  # the log catches up with a snapshot
        return end._replace(logged=last.seq)
    return End(epoch, last.seq, last.ordinal, last.seq)


def anew(end: End | None, head: Head) -> bool:
    """Whether a snapshot at ``head`` begins a room anew that ended at ``end``: it has no log, and its epoch is over."""
    return end is not None and end.logged == 0 and end.epoch != head.position.epoch


def repeats(room_id: str, stored: Row | None, offered: Row) -> bool:
    """Whether an entry that the log has already holds nothing, because its message was repeated.

    ``stored`` None: it was truncated, and cannot be compared. Raises `InvalidValue` where the two differ.
    """
    if stored is None:
        return False
    nothing = stored.data is None and offered.message_id is not None and stored.ordinal == offered.ordinal
    if not nothing and stored[:4] != offered[:4]:
        raise InvalidValue("entries", f"differ from what the log of {room_id!r} holds at seq {offered.seq}")
    return nothing


def nothing(room_id: str, row: Row) -> Row:
    """What is stored in the place of a row whose message the log holds elsewhere."""
    return Row(row.seq, row.ordinal, None, None, checksum(seed_of(room_id), row.seq, row.ordinal, None))
