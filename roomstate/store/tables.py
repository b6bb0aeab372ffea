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
from roomstate.store.rows import End, Row, advance, anew, nothing, repeats, room_checksum, seal, sound, split, whole

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
    "read_whole",
    "save_snapshot",
    "snapshots",
    "truncate",
]

SET_ASIDE: Final = "is set aside: "


class Found(NamedTuple):
    """A room that a store has: its number there, where it ends, and what there is: all entries above ``since``, and
    snapshots of ``tiers``.
    """

    key: int
    end: End
    since: int = 0
    tiers: int = 0


def find(connection: sqlite3.Connection, room_id: str) -> Found | None:
    """The room of that id, or None. Raises `DamagedStore` where it is set aside or its end fails the checksum."""
    row = connection.execute(
        "SELECT key, epoch, seq, ordinal, logged, since, tiers, crc, damage FROM room WHERE room_id = ?", (room_id,)
    ).fetchone()
    if row is None:
        return None
    key, *told, crc, damage = row
    if damage is not None:
        raise DamagedStore(room_id, f"{SET_ASIDE}{damage}")
    if crc != room_checksum(room_id, *told) and (crc is not None or not _is_told(*told)):
        raise DamagedStore(room_id, "where it ends fails its checksum")
    *end, since, tiers = told
    return Found(key, End(*end), since, tiers)


def _is_told(epoch: object, *numbers: object) -> bool:
    """Whether these are of the kinds that were written: in SQLite any value may be of any."""
    return isinstance(epoch, str) and all(isinstance(number, int) and 0 <= number <= MAX_SEQ for number in numbers)


def names(connection: sqlite3.Connection, after: str, limit: int) -> tuple[str, ...]:
    """A page of room ids, in order. Raises `DamagedStore` for one that is no text."""
    found = connection.execute("SELECT room_id FROM room WHERE room_id > ? ORDER BY room_id LIMIT ?", (after, limit))
    page = tuple(name for (name,) in found)
    if not all(isinstance(name, str) for name in page):
        raise DamagedStore("room", "has an id that is no text")
    return page


def read(connection: sqlite3.Connection, key: int, after: int, upto: int | None, limit: int) -> list[Row]:
    """The newest ``limit`` rows in ``(after, upto]``, oldest first."""
    found = connection.execute(
        "SELECT seq, ordinal, message_id, data, crc FROM log WHERE room = ? AND seq > ? AND seq <= ?"
        " ORDER BY seq DESC LIMIT ?",
        (key, after, MAX_SEQ if upto is None else upto, limit),
    ).fetchall()
    found.reverse()
    return [Row(*row) for row in found]


def read_whole(
    connection: sqlite3.Connection, room_id: str, found: Found, after: int, upto: int | None, limit: int
) -> list[Row]:
    """As `read`. Raises `DamagedStore` where an entry is missing that ought to be there."""
    rows = read(connection, found.key, after, upto, limit)
    last = found.end.logged if upto is None else min(upto, found.end.logged)
    asked_for = not rows or (after < rows[0].seq and rows[-1].seq <= last)  # a tree out of order gives others
    if not asked_for or not whole(rows, max(after, found.since), last, limit):
        raise DamagedStore(room_id, f"entries of its log are missing between seqs {max(after, found.since)} and {last}")
    return rows


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
    end, joins = advance(found and found.end, epoch, new[-1]), found and new[0].seq == found.end.logged + 1
    since = found.since if found and joins else new[0].seq - 1
    key = _put_room(connection, room_id, (found or Found(0, end))._replace(end=end, since=since))
    repeated += _insert(connection, room_id, key, new)
    return Appended(end.logged, tuple(repeated))


def _repeats(connection: sqlite3.Connection, room_id: str, found: Found | None, old: Sequence[Row]) -> Iterator[int]:
    """The seqs among ``old`` that hold nothing; raises `InvalidValue` where an entry differs from the stored one."""
    if not old or found is None:
        return
    stored = {row.seq: row for row in read(connection, found.key, old[0].seq - 1, old[-1].seq, len(old))}
    for row in old:
        if repeats(room_id, stored.get(row.seq), row):
            yield row.seq


def _put_room(connection: sqlite3.Connection, room_id: str, room: Found) -> int:
    """Write what a room is from now on; returns its number, which a new one (0) is given."""
    told = (*room.end, room.since, room.tiers)
    values = (*told, room_checksum(room_id, *told))
    if not room.key:
        put = (
            "INSERT INTO room (room_id, epoch, seq, ordinal, logged, since, tiers, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        return int(connection.execute(put, (room_id, *values)).lastrowid or 0)
    put = "UPDATE room SET epoch = ?, seq = ?, ordinal = ?, logged = ?, since = ?, tiers = ?, crc = ? WHERE key = ?"
    connection.execute(put, (*values, room.key))
    return room.key


_INSERT = "INSERT OR IGNORE INTO log (room, seq, ordinal, message_id, data, crc) VALUES (?, ?, ?, ?, ?, ?)"


def _insert(connection: sqlite3.Connection, room_id: str, key: int, rows: Sequence[Row]) -> list[int]:
    """Write rows; those whose message id the index refuses are written as holding nothing, and returned."""
    before = connection.total_changes
    connection.executemany(_INSERT, [(key, *row) for row in rows])
    if connection.total_changes - before == len(rows):
        return []
    first, last = rows[0].seq, rows[-1].seq
    there = {row.seq for row in read(connection, key, first - 1, last, len(rows))}
    refused = [row for row in rows if row.seq not in there]
    connection.executemany(_INSERT, [(key, *nothing(room_id, row)) for row in refused])
    return [row.seq for row in refused]


def save_snapshot(connection: sqlite3.Connection, room_id: str, tier: Tier, head: Head, data: bytes) -> bool:
    """Keep a snapshot; see `RoomStore.save_snapshot`."""
    (epoch, seq), ordinal = (head.position.epoch, head.position.seq), head.ordinal
    found = find(connection, room_id) or Found(0, End(epoch, -1))
    if anew(found.end, head):
        connection.execute("DELETE FROM snapshot WHERE room = ?", (found.key,))
        found = Found(found.key, End(epoch, -1))
    if snapshots(connection, room_id, found).get(tier, 0) > seq:
        return False
    end = found.end if found.end.seq >= seq else End(epoch, seq, ordinal, found.end.logged)
    room = found._replace(end=end, tiers=found.tiers | _BITS[tier.name])
    key = found.key if room == found else _put_room(connection, room_id, room)
    crc = zlib.crc32(data)
    connection.execute(
        _PUT_SNAPSHOT, (key, tier.name, seq, epoch, crc, seal(room_id, tier.name, seq, epoch, crc), data)
    )
    return True


_BITS: Final = {Tier.ACTIVE.name: 2, Tier.BACKGROUND.name: 1}
_PUT_SNAPSHOT = (
    "INSERT INTO snapshot (room, tier, seq, epoch, crc, seal, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (room, tier) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, crc = excluded.crc,"
    " seal = excluded.seal, data = excluded.data"
)


def snapshots(connection: sqlite3.Connection, room_id: str, found: Found) -> dict[Tier, int]:
    """The snapshots of a room: tier to seq. Raises `DamagedStore` where they are not those that there should be."""
    seqs, tiers = {}, 0
    rows = connection.execute("SELECT tier, seq, epoch, crc, seal FROM snapshot WHERE room = ?", (found.key,))
    for tier, seq, epoch, crc, sealed in rows:
        if tier not in _BITS or not isinstance(seq, int) or sealed not in (None, seal(room_id, tier, seq, epoch, crc)):
            raise DamagedStore(room_id, "has a snapshot of another room, tier or seq")
        seqs[Tier[tier]] = seq
        tiers += _BITS[tier]
    if tiers != found.tiers:
        raise DamagedStore(room_id, "lacks a snapshot")
    return seqs


def load_snapshot(connection: sqlite3.Connection, room_id: str, tier: Tier) -> bytes | None:
    """The best snapshot for a tier; see `RoomStore.load_snapshot`. Raises `DamagedStore` if its checksum is wrong."""
    found = find(connection, room_id)
    best = best_tier(tier, snapshots(connection, room_id, found)) if found else None
    if found is None or best is None:
        return None
    row = connection.execute(
        "SELECT data, crc FROM snapshot WHERE room = ? AND tier = ?", (found.key, best.name)
    ).fetchone()
    if row is None or not sound(*row):
        raise DamagedStore(room_id, f"the {best.name} snapshot fails its checksum")
    return bytes(row[0])


def truncate(connection: sqlite3.Connection, room_id: str, upto: int, limit: int | None) -> int:
    """Drop the beginning of a log; see `RoomStore.truncate`."""
    found = find(connection, room_id)
    if found is None:
        return 0
    upto = min(upto, covered(snapshots(connection, room_id, found)))
    if limit is not None:
        upto = _bounded(connection, found.key, upto, limit)
    dropped = connection.execute("DELETE FROM log WHERE room = ? AND seq <= ?", (found.key, upto)).rowcount
    if dropped:
        _put_room(connection, room_id, found._replace(since=max(found.since, min(upto, found.end.logged))))
    return dropped


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
