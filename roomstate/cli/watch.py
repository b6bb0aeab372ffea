"""What is seen of a replay while it runs, from outside of the manager: tiers, transitions, visits, memory."""

from __future__ import annotations

import sys
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence

import attrs

from roomstate.effects import Deliver, Notified, SaveFailed, TierChanged
from roomstate.metrics import Stats
from roomstate.model import Tier
from roomstate.residency.ttl import Frequency, TimeToLive

__all__ = ["Level", "Visits", "Watch", "peak_memory", "quantile"]

_TTL = TimeToLive()


@attrs.define
class Visits:
    """How often viewers turned to rooms; ``hits`` found the room live or cached, ``first`` were a room's first ever."""

    visits: int = 0
    hits: int = 0
    first: int = 0

    def __add__(self, other: Visits) -> Visits:
        return Visits(self.visits + other.visits, self.hits + other.hits, self.first + other.first)

    @property
    def ratio(self) -> float:
        """Hits of all visits; 1.0 where there were none to miss."""
        return self.hits / self.visits if self.visits else 1.0


@attrs.define
class Level:
    """Rooms and bytes in one tier, over samples."""

    samples: int = 0
    rooms: int = 0
    max_rooms: int = 0
    bytes: int = 0
    max_bytes: int = 0

    def sample(self, rooms: int, size: int) -> None:
        """Take one more."""
        self.samples += 1
        self.rooms += rooms
        self.max_rooms = max(self.max_rooms, rooms)
        self.bytes += size
        self.max_bytes = max(self.max_bytes, size)

    @property
    def mean_rooms(self) -> float:
        """Rooms, on average."""
        return self.rooms / max(1, self.samples)

    @property
    def mean_bytes(self) -> float:
        """Bytes, on average."""
        return self.bytes / max(1, self.samples)


class Watch:
    """Takes down what happens. Memory: 4 bytes for each transition, and up to 1 kB for each room."""

    def __init__(self) -> None:
        self.transitions: dict[tuple[Tier, Tier], array[float]] = {}
        self.visits: dict[Frequency, Visits] = {frequency: Visits() for frequency in Frequency}
        self.levels: dict[Tier, Level] = {tier: Level() for tier in (Tier.ACTIVE, Tier.BACKGROUND, Tier.CACHED)}
        self.counts: Counter[str] = Counter()
        self._room_s = dict.fromkeys(Tier, 0.0)
        self._since: dict[str, tuple[Tier, float]] = {}
        self._recent: dict[str, deque[float]] = {}

    def visited(self, room: str, hit: bool, now: float) -> None:
        """A viewer turns to a room; its frequency is that of the visits to it within the hour before."""
        recent = self._recent.get(room)
        first = recent is None
        if recent is None:
            recent = self._recent[room] = deque(maxlen=TimeToLive.high_at)
        seen = self.visits[_TTL.frequency(recent, now)]
        seen.visits += 1
        seen.hits += hit
        seen.first += first
        recent.appendleft(now)

    def saw(self, outputs: Sequence[object], now: float, took_s: float) -> None:
        """Take down what a verb gave; its time is shared by the transitions that it made."""
        changes = [item for item in outputs if isinstance(item, TierChanged)]
        for change in changes:
            self.transitions.setdefault((change.old, change.new), array("f")).append(took_s / len(changes))
            self._moved(change, now)
        self.counts["notified"] += sum(isinstance(item, Notified) for item in outputs)
        self.counts["save_failed"] += sum(isinstance(item, SaveFailed) for item in outputs)

    def _moved(self, change: TierChanged, now: float) -> None:
        tier, since = self._since.get(change.room_id, (change.old, now))
        self._room_s[tier] += now - since
        self._since[change.room_id] = change.new, now

    def delivered(self, effect: Deliver) -> None:
        """An update goes out to its recipients."""
        self.counts["deliveries"] += 1
        self.counts["recipients"] += len(effect.audience.recipients)

    def sample(self, stats: Stats) -> None:
        """Take down how many rooms and bytes each tier holds."""
        for tier, level in self.levels.items():
            level.sample(stats.rooms[tier], stats.bytes[tier])

    def room_seconds(self, now: float) -> dict[Tier, float]:
        """How long rooms were in each tier until ``now``, added up over rooms; each counts from its first visit."""
        room_s = dict(self._room_s)
        for tier, since in self._since.values():
            room_s[tier] += now - since
        return room_s

    @property
    def all_visits(self) -> Visits:
        """The visits to rooms of every frequency."""
        return sum(self.visits.values(), Visits())


def quantile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed; 0.0 where there are none.

    >>> quantile([5.0, 1.0, 3.0], 0.5), quantile([], 0.5)
    (3.0, 0.0)
    """
    ordered: Sequence[float] = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def peak_memory() -> int | None:
    """The most bytes that this process ever had in memory, as the system counts; None where it does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
