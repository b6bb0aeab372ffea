"""Log entries as rows: what is checked before they are written, and the bytes that an update becomes.

At rest an update is JSON with its kind by name, and a CRC-32 over its seq, ordinal and text: neither SQLite nor a file
system notices a flipped bit or two swapped rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    "encode",
    "nothing",
    "repeats",
    "sound",
    "split",
    "to_rows",
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
    """Whether a snapshot or dictionary is what was written."""
    return isinstance(data, bytes) and crc32(data) == crc


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


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


def checksum(seq: int, ordinal: int, data: bytes | None) -> int:
    """CRC-32 of what a row holds and where."""
    return crc32(data or b"", (seq * 0x9E3779B1 + ordinal) & 0xFFFFFFFF)


def decode(room_id: str, row: Row) -> LogEntry:
    """A row as an entry. Raises `DamagedStore` where the checksum does not fit, or it is no update that we know."""
    data: object = row.data
    if not isinstance(data, bytes | None) or checksum(row.seq, row.ordinal, row.data) != row.crc:
        raise DamagedStore(room_id, f"the log's entry at seq {row.seq} fails its checksum")
    if row.data is None:
        return LogEntry(row.seq, row.ordinal, NOTHING)
    try:
        return LogEntry(row.seq, row.ordinal, _decode(row.data))
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise DamagedStore(room_id, f"the log's entry at seq {row.seq} is no update: {error}") from None


_LOGGED: Final = frozenset(LOGGED)


def _to_row(entry: LogEntry) -> Row:
    seq, ordinal, update = entry.seq, entry.ordinal, entry.update
    if type(update) not in _LOGGED:
        raise InvalidValue("entries", f"{type(update).__name__} at seq {seq} is ephemeral and takes no seq")
    data = encode(update)
    message_id = update.message.id if isinstance(update, MessageAdded) else None
    return Row(seq, ordinal, message_id, data, checksum(seq, ordinal, data))


def to_rows(entries: Sequence[LogEntry]) -> list[Row]:
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
    return [_to_row(entry) for entry in entries]


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


def nothing(row: Row) -> Row:
    """What is stored in the place of a row whose message the log holds elsewhere."""
    return Row(row.seq, row.ordinal, None, None, checksum(row.seq, row.ordinal, None))
