"""The SQLite store: durable appends beside bare SQLite, opening after a crash, promotion of a room at rest."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, Timed, at_most, compare, percentile, quiet_gc
from roomstate.effects import Head, LogEntry
from roomstate.host import SyncHost
from roomstate.image import RoomImage
from roomstate.model import Message, Tier
from roomstate.position import Position
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.store import SQLiteStore
from roomstate.store.rows import to_rows
from roomstate.updates import MessageAdded

ROOMS = 10_000
PER_ROOM = 60
APPENDS = 40  # in one turn of the comparison
START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = "the room is quiet tonight but somebody will say hello before the end of this line I am sure of it".split()


def message(number: int) -> Message:
    """A message of 4 to 20 words, different from its neighbours."""
    words = (WORDS[(number * 7 + at * 3) % len(WORDS)] for at in range(4 + number % 17))
    return Message(f"m{number:08}", f"user{number % 97}", " ".join(words), START + timedelta(seconds=number))


def entries(start: int, count: int) -> tuple[LogEntry, ...]:
    """Log entries at ``count`` seqs from ``start`` on."""
    return tuple(LogEntry(seq, seq, MessageAdded(message(seq))) for seq in range(start, start + count))


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        for count in (10, 100):
            yield from appends(Path(folder), count)
        yield from at_rest(Path(folder))


def bare(path: Path, schema: str) -> sqlite3.Connection:
    """A connection as a program would have it that keeps a log and nothing else."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", *schema.split(";")):
        connection.execute(statement)
    return connection


PLAIN = (
    "CREATE TABLE log (room INTEGER, seq INTEGER, ordinal INTEGER, message_id TEXT, data BLOB, crc INTEGER,"
    " PRIMARY KEY (room, seq)) WITHOUT ROWID"
)
UNIQUE = f"{PLAIN}; CREATE UNIQUE INDEX log_message ON log (room, message_id)"


def appends(folder: Path, count: int) -> Iterator[Figure]:
    """Entries appended durably by the store, and ready-made rows written by ``executemany``, a commit each."""
    for name, schema in (("with the unique index", UNIQUE), ("plain table", PLAIN)):
        with (
            SQLiteStore(folder / f"{count}-{name}.db") as store,
            closing(bare(folder / f"{count}-{name}-bare.db", schema)) as other,
        ):
            ours, theirs = Batches(count), Batches(count)

            def append(batches: list[tuple[LogEntry, ...]], store: SQLiteStore = store) -> None:
                for batch in batches:
                    store.append("room", "e1", batch)

            def insert(batches: list[list[Any]], other: sqlite3.Connection = other) -> None:
                for rows in batches:
                    other.execute("BEGIN IMMEDIATE")
                    other.executemany("INSERT INTO log VALUES (1, ?, ?, ?, ?, ?)", rows)
                    other.execute("COMMIT")

            compared = compare(
                Timed(append, ours.take, APPENDS * count),
                Timed(insert, theirs.rows, APPENDS * count),
            )
            yield compared.figure(f"append {count}, FULL, against executemany of rows, {name}", at_most=1 / 0.7)


class Batches:
    """Consecutive batches of entries, made before they are timed."""

    def __init__(self, count: int) -> None:
        self.count, self.next = count, 1

    def take(self) -> list[tuple[LogEntry, ...]]:
        """The next ``APPENDS`` batches."""
        starts = range(self.next, self.next + APPENDS * self.count, self.count)
        self.next = starts[-1] + self.count
        return [entries(start, self.count) for start in starts]

    def rows(self) -> list[list[Any]]:
        """The same as ready-made rows."""
        return [[*to_rows("room", batch)] for batch in self.take()]


def build(path: Path) -> None:
    """A store of ``ROOMS`` rooms: a snapshot of the first 50 messages each, and the log."""
    codec, log = SnapshotCodec(), entries(1, PER_ROOM)
    messages = tuple(message(seq) for seq in range(1, 51))
    with SQLiteStore(path, synchronous="NORMAL") as store:
        for room in range(ROOMS):
            room_id = f"room-{room:05}"
            image = RoomImage(
                room_id=room_id,
                position=Position("e1", 50),
                tier=Tier.BACKGROUND.name,
                ordinal=50,
                messages=messages,
                seqs=tuple(range(1, 51)),
            )
            store.append(room_id, "e1", log)
            store.save_snapshot(room_id, Tier.BACKGROUND, Head(image.position, 50), codec.encode(image))
        for room in range(0, ROOMS, 7):  # what the write-ahead log holds when the process ends
            store.append(f"room-{room:05}", "e1", entries(PER_ROOM + 1, 3))
        crashed = path.with_name("crashed.db")
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")


def at_rest(folder: Path) -> Iterator[Figure]:
    """Opening what a killed process left, and promoting every room of it once."""
    path = folder / "rooms.db"
    build(path)
    started = time.perf_counter()
    store = SQLiteStore(folder / "crashed.db")
    opened = time.perf_counter() - started
    after = ""
    while page := store.rooms(after):
        after = page[-1]
        for room_id in page:
            store.head(room_id)
    yield at_most(f"open {ROOMS:,} rooms after a crash (with a check)", opened, 2, "s")
    yield at_most(f"open {ROOMS:,} rooms and find every head", time.perf_counter() - started, 2, "s")
    yield from promotions(store)


def promotions(store: SQLiteStore) -> Iterator[Figure]:
    """Enter a room that only the store has, at each tier, in an order that no cache foresees."""
    for tier, verb in ((Tier.ACTIVE, "enter"), (Tier.BACKGROUND, "follow")):
        host = SyncHost(store=store, max_bytes=1 << 40, moves_per_s=1e9, burst=10**9, max_rooms_per_viewer=ROOMS)
        took: list[float] = []
        worked: list[float] = []
        with quiet_gc(gc_on=True):
            for step in range(ROOMS):
                room_id = f"room-{step * 3331 % ROOMS:05}"
                started, worked_before = time.perf_counter(), time.process_time()
                getattr(host, verb)("ada", room_id)
                took.append((time.perf_counter() - started) * 1000)
                worked.append((time.process_time() - worked_before) * 1000)
        assert host.tier("room-00000") is tier
        assert len(host.view("room-00000").messages) >= min(50, PER_ROOM)
        yield at_most(f"promote to {tier.name} from the store, p99 of {ROOMS:,}", percentile(took, 0.99), 5, "ms")
        yield at_most(
            f"promote to {tier.name} from the store, p99 of processor time", percentile(worked, 0.99), 5, "ms"
        )
        yield Figure(what=f"promote to {tier.name} from the store, p50", value=percentile(took, 0.5), unit="ms")
    store.close()
