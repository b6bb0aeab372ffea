"""The asynchronous host: what driving costs, how soon it recovers, and whether it stays flat.

Driving: `RoomHost.publish` against the manager's own, in memory. Recovery: the store refuses everything for a while, a
message a room waits for its log meanwhile; the time is from the store's return until every log has everything.

Soak: viewers write once in each of 5,000 rooms, then move and write as in the Lean log (or, without it, by Zipf), over
a SQLite store, for ``ROOMSTATE_SOAK_S`` seconds (600 unless told; the first 25 go by until all rooms are there). Memory
is the process's resident set, the median of the samples of a quarter of the time. At the end every room is read back
from the store by a host of its own: what was acknowledged and is not there, once and in order, is lost.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Comparison, Figure, Timed, at_most, compare
from benchmarks.prediction import lean_events
from roomstate import Message, MessageAdded, RoomStateManager, Tier
from roomstate.errors import RateLimited, StoreUnavailable
from roomstate.host import RoomHost
from roomstate.store import MemoryStore, SQLiteStore

MESSAGES = 2_000
DOWN_S = 10.0
ROOMS, VIEWERS = 5_000, 300
PER_S = 200  # messages a second: what the busiest public archive has in a minute
SOAK_S = 600.0


def message(number: int, user: str = "bob") -> MessageAdded:
    return MessageAdded(
        Message(f"m{number}", user, f"message {number}, of ordinary length for a chat", datetime.now(UTC))
    )


# -- driving -----------------------------------------------------------------------------------------------------------


def driving() -> Figure:
    """What a host adds to a manager's call."""

    async def through_host() -> None:
        async with RoomHost() as host:
            await host.enter("ada", "rust")
            for each in messages:
                await host.publish("rust", each)

    def through_manager() -> None:
        manager = RoomStateManager()
        manager.enter("ada", "rust")
        for each in messages:
            manager.publish("rust", each)

    messages = [message(number) for number in range(MESSAGES)]
    found: Comparison = compare(
        Timed(lambda _: asyncio.run(through_host()), lambda: None, MESSAGES),
        Timed(lambda _: through_manager(), lambda: None, MESSAGES),
        rounds=9,
    )
    return found.figure("publish through the host, against the manager alone")


# -- recovery ----------------------------------------------------------------------------------------------------------


class Flapping(MemoryStore):
    """A store that refuses for as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    def _refuse(self) -> None:
        if self.down:
            raise StoreUnavailable("store", "is down")

    def append(self, *given: Any, **named: Any) -> Any:
        self._refuse()
        return super().append(*given, **named)

    def head(self, *given: Any, **named: Any) -> Any:
        self._refuse()
        return super().head(*given, **named)


async def recovery_s() -> tuple[float, int]:
    """Seconds from a store's return until 100 rooms' logs are whole, and messages that are not there."""
    store = Flapping()
    async with RoomHost(store=store) as host:
        for room in range(100):
            await host.enter("ada", f"room{room}")
            await host.publish(f"room{room}", message(0))
        store.down = True
        waiting = [asyncio.create_task(host.publish(f"room{room}", message(1))) for room in range(100)]
        await asyncio.sleep(DOWN_S)
        store.down, start = False, time.perf_counter()
        await asyncio.gather(*waiting)
        while any(host.view(f"room{room}").durable < 2 for room in range(100)):
            await asyncio.sleep(0.005)
        took = time.perf_counter() - start
        heads = [store.head(f"room{room}") for room in range(100)]
    return took, sum(head is None or head.position.seq != 2 for head in heads)


def recovering() -> list[Figure]:
    """How soon all is safe after a store has returned."""
    took, lost = asyncio.run(recovery_s())
    return [
        at_most(f"100 rooms' logs are whole after a store was down for {DOWN_S:g} s", took, 2.0, "s"),
        Figure(what="  messages lost", value=lost, unit="", goal="= 0", met=lost == 0),
    ]


# -- soak --------------------------------------------------------------------------------------------------------------


def moves() -> Iterator[tuple[str, str]]:
    """(viewer, room) of each message, without end."""
    yield from ((f"v{number % VIEWERS}", f"room{number}") for number in range(ROOMS))
    dice = random.Random(7)
    archive = lean_events(by_topic=True)
    rooms = {room: number % ROOMS for number, room in enumerate(dict.fromkeys(room for _, _, room in archive))}
    while archive:
        for _, user, room in archive:
            yield f"v{int(user) % VIEWERS}", f"room{rooms[room]}"
    at: defaultdict[str, str] = defaultdict(lambda: f"room{min(ROOMS, int(dice.paretovariate(0.7))) - 1}")
    while True:
        viewer = f"v{min(VIEWERS, int(dice.paretovariate(0.9))) - 1}"
        if dice.random() < 0.3:
            at.pop(viewer, None)
        yield viewer, at[viewer]


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Soak:
    """Viewers who move and write for a while."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.samples: list[int] = []
        self.written: Counter[str] = Counter()
        self.hit_ratio = 0.0
        self.held: dict[Tier, int] = {}

    async def run(self) -> None:
        options: dict[str, Any] = {"idle_active_s": 20.0, "idle_background_s": 60.0, "max_bytes": 32 << 20}
        async with RoomHost(store=SQLiteStore(self.path), **options) as host:
            start, walk = time.monotonic(), moves()
            sampling = asyncio.create_task(self._sample())
            number = 0
            while (passed := time.monotonic() - start) < self.seconds:
                due = int(passed * PER_S) - number
                await asyncio.gather(*(self._say(host, number + each, *next(walk)) for each in range(min(due, 50))))
                number += min(max(due, 0), 50)
                await asyncio.sleep(0.005)
            sampling.cancel()
            stats = host.stats()
            self.hit_ratio, self.held = stats.hit_ratio, dict(stats.rooms)

    async def _say(self, host: RoomHost, number: int, viewer: str, room: str) -> None:
        with suppress(RateLimited):
            await host.enter(viewer, room)
        await host.publish(room, message(number, viewer))
        self.written[room] += 1

    async def _sample(self) -> None:
        while True:
            self.samples.append(resident())
            await asyncio.sleep(1.0)

    def lost(self) -> int:
        """Acknowledged messages that a new look at the store does not find, or finds twice or out of order."""
        store = SQLiteStore(self.path)
        try:
            return sum(self._missing(store, room, count) for room, count in self.written.items())
        finally:
            store.close()

    def _missing(self, store: SQLiteStore, room: str, count: int) -> int:
        head = store.head(room)
        return abs(count - head.ordinal) if head is not None else count


def soaking() -> list[Figure]:
    """Whether memory is flat, and nothing is lost."""
    seconds = float(os.environ.get("ROOMSTATE_SOAK_S", SOAK_S))
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder) / "soak.sqlite", seconds)
        asyncio.run(soak.run())
        lost = soak.lost()
    quarter = max(1, len(soak.samples) // 4)
    second, last = (statistics.median(part) for part in (soak.samples[quarter : 2 * quarter], soak.samples[-quarter:]))
    what = f"soak of {seconds:g} s, {len(soak.written)} rooms, {sum(soak.written.values())} messages: "
    return [
        Figure(what=what + "memory, last quarter against the second", value=last / 2**20, unit="MiB",
               baseline=second / 2**20, ratio=last / second, goal="≤ 1.05×", met=last <= 1.05 * second),
        Figure(what="  acknowledged messages lost", value=lost, unit="", goal="= 0", met=lost == 0),
        Figure(what="  rooms in memory at the end: " + ", ".join(f"{n} {tier.name}" for tier, n in soak.held.items()),
               value=sum(soak.held.values()), unit=""),
        Figure(what="  promotions that found their room in memory", value=100 * soak.hit_ratio, unit="%"),
    ]  # fmt: skip


def run() -> list[Figure]:
    """All figures."""
    return [driving(), *recovering(), *soaking()]
