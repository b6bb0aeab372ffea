"""What a store asks of its tables: functions of a connection, with no thread and no transaction of their own.

Those that write check first and write afterwards, as `Writer` wants of its jobs.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from roomstate.effects import Appended, Head
from roomstate.errors import DamagedStore
from roomstate.model import Tier
from roomstate.position import MAX_SEQ
from roomstate.store.base import best_tier, covered
from roomstate.store.rows import End, Row, advance, anew, nothing, repeats, sound, split

__all__ = [
    "SET_ASIDE",
    "Found",
    "append",
    "delete",
    "find",
    "load_snapshot",
    "mark",
    "names",
    "read",
    "read_on",
    "save_snapshot",
    "truncate",
]

SET_ASIDE: Final = "is set aside: "


class Found(NamedTuple):
    """A room that a store has: its number there, and where it ends."""

    key: int
    end: End


def find(connection: sqlite3.Connection, room_id: str) -> Found | None:
    """The room of that id, or None. Raises `DamagedStore` where it is set aside."""
    row = connection.execute(
        "SELECT key, epoch, seq, ordinal, logged, damage FROM room WHERE room_id = ?", (room_id,)
    ).fetchone()
    if row is None:
        return None
    if row[5] is not None:
        raise DamagedStore(room_id, SET_ASIDE + row[5])
    return Found(row[0], End(*row[1:5]))


def names(connection: sqlite3.Connection, after: str, limit: int) -> tuple[str, ...]:
    """A page of room ids, in order."""
    found = connection.execute("SELECT room_id FROM room WHERE room_id > ? ORDER BY room_id LIMIT ?", (after, limit))
    return tuple(name for (name,) in found)


def read(connection: sqlite3.Connection, key: int, after: int, upto: int | None, limit: int) -> list[Row]:
    """The newest ``limit`` rows in ``(after, upto]``, oldest first."""
    found = connection.execute(
        "SELECT seq, ordinal, message_id, data, crc FROM log WHERE room = ? AND seq > ? AND seq <= ?"
        " ORDER BY seq DESC LIMIT ?",
        (key, after, MAX_SEQ if upto is None else upto, limit),
    ).fetchall()
    found.reverse()
    return [Row(*row) for row in found]


def read_on(connection: sqlite3.Connection, key: int, after: int, limit: int) -> list[Row]:
    """The first ``limit`` rows above ``after``, oldest first."""
    found = connection.execute(
        "SELECT seq, ordinal, message_id, data, crc FROM log WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?",
        (key, after, limit),
    )
    return [Row(*row) for row in found]


def mark(connection: sqlite3.Connection, rooms: Sequence[tuple[str, str]]) -> None:
    """Set rooms aside, each with its reason, so that nobody builds on what is damaged; the first reason stays."""
    put = "UPDATE room SET damage = :damage WHERE room_id = :room_id AND damage IS NULL"
    connection.executemany(put, [{"room_id": room_id, "damage": reason} for room_id, reason in rooms])


def append(connection: sqlite3.Connection, room_id: str, epoch: str, rows: Sequence[Row]) -> Appended:
    """Append to a room's log; see `RoomStore.append`."""
    found = find(connection, room_id)
    old, new = split(room_id, found and found.end, epoch, rows)
    repeated = list(_repeats(connection, room_id, found, old))
    if not new:
        return Appended(found.end.logged if found else 0, tuple(repeated))
    end = advance(found and found.end, epoch, new[-1])
    key = _put_room(connection, room_id, found, end)
    repeated += _insert(connection, key, new)
    return Appended(end.logged, tuple(repeated))


def _repeats(connection: sqlite3.Connection, room_id: str, found: Found | None, old: Sequence[Row]) -> Iterator[int]:
    """The seqs among ``old`` that hold nothing; raises `InvalidValue` where an entry differs from the stored one."""
    if not old or found is None:
        return
    stored = {row.seq: row for row in read(connection, found.key, old[0].seq - 1, old[-1].seq, len(old))}
    for row in old:
        if repeats(room_id, stored.get(row.seq), row):
            yield row.seq


def _put_room(connection: sqlite3.Connection, room_id: str, found: Found | None, end: End) -> int:
    """Write where a room ends; returns its number."""
    if found is None:
        put = "INSERT INTO room (room_id, epoch, seq, ordinal, logged) VALUES (?, ?, ?, ?, ?)"
        return int(connection.execute(put, (room_id, *end)).lastrowid or 0)
    put = "UPDATE room SET epoch = ?, seq = ?, ordinal = ?, logged = ? WHERE key = ?"
    connection.execute(put, (*end, found.key))
    return found.key


_INSERT = "INSERT OR IGNORE INTO log (room, seq, ordinal, message_id, data, crc) VALUES (?, ?, ?, ?, ?, ?)"


def _insert(connection: sqlite3.Connection, key: int, rows: Sequence[Row]) -> list[int]:
    """Write rows; those whose message id the index refuses are written as holding nothing, and returned."""
    before = connection.total_changes
    connection.executemany(_INSERT, [(key, *row) for row in rows])
    if connection.total_changes - before == len(rows):
        return []
    first, last = rows[0].seq, rows[-1].seq
    there = {row.seq for row in read(connection, key, first - 1, last, len(rows))}
    refused = [row for row in rows if row.seq not in there]
    connection.executemany(_INSERT, [(key, *nothing(row)) for row in refused])
    return [row.seq for row in refused]


def save_snapshot(connection: sqlite3.Connection, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
    """Keep a snapshot; see `RoomStore.save_snapshot`."""
    found = find(connection, room_id)
    (epoch, seq), ordinal = (head.position.epoch, head.position.seq), head.ordinal
    if found is not None and anew(found.end, head):
        connection.execute("DELETE FROM snapshot WHERE room = ?", (found.key,))
        found = found._replace(end=End(epoch, -1))
    if found is not None and _snapshots(connection, found.key).get(tier, 0) > seq:
        return False
    end = found.end if found else End(epoch, 0)
    if found is None or end.seq < seq:
        end = End(epoch, seq, ordinal, end.logged)
        key = _put_room(connection, room_id, found, end)
    else:
        key = found.key
    connection.execute(
        "INSERT INTO snapshot (room, tier, seq, epoch, crc, data) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (room, tier)"
        " DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, crc = excluded.crc, data = excluded.data",
        (key, tier.name, seq, epoch, zlib.crc32(data), data),
    )
    return True


def _snapshots(connection: sqlite3.Connection, key: int) -> dict[Tier, int]:
    """The snapshots of a room: tier to seq."""
    found = connection.execute("SELECT tier, seq FROM snapshot WHERE room = ?", (key,))
    return {Tier[tier]: seq for tier, seq in found}


def load_snapshot(connection: sqlite3.Connection, room_id: str, tier: Tier) -> bytes | None:
    """The best snapshot for a tier; see `RoomStore.load_snapshot`. Raises `DamagedStore` if its checksum is wrong."""
    found = find(connection, room_id)
    best = best_tier(tier, _snapshots(connection, found.key)) if found else None
    if found is None or best is None:
        return None
    crc, data = connection.execute(
        "SELECT crc, data FROM snapshot WHERE room = ? AND tier = ?", (found.key, best.name)
    ).fetchone()
    if not sound(data, crc):
        raise DamagedStore(room_id, f"the {best.name} snapshot fails its checksum")
    return bytes(data)


def truncate(connection: sqlite3.Connection, room_id: str, upto: int, limit: int | None) -> int:
    """Drop the beginning of a log; see `RoomStore.truncate`."""
    found = find(connection, room_id)
    if found is None:
        return 0
    upto = min(upto, covered(_snapshots(connection, found.key)))
    if limit is not None:
        upto = _bounded(connection, found.key, upto, limit)
    return connection.execute("DELETE FROM log WHERE room = ? AND seq <= ?", (found.key, upto)).rowcount


def _bounded(connection: sqlite3.Connection, key: int, upto: int, limit: int) -> int:
    """The seq up to which at most ``limit`` rows lie; 0 where that is none."""
    within = "SELECT seq FROM log WHERE room = ? AND seq <= ? ORDER BY seq LIMIT ?"
    (last,) = connection.execute(f"SELECT max(seq) FROM ({within})", (key, upto, limit)).fetchone()
    return int(last or 0)


def delete(connection: sqlite3.Connection, room_id: str) -> bool:
    """Drop all of a room, damaged or not."""
    row = connection.execute("SELECT key FROM room WHERE room_id = ?", (room_id,)).fetchone()
    if row is None:
        return False
    for table, column in (("log", "room"), ("snapshot", "room"), ("room", "key")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", row)
    return True
