"""What one house has done, and how long it took.

Events are counted where they leave, all in one place; effects that ask begin to take time there. A message that takes
the short way of `publish` is not counted at all: the room's head has counted it (`Holding.short`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from roomstate.effects import (
    ConflictOpened,
    ConflictResolved,
    EchoFailed,
    GapClosed,
    GapOpened,
    Notified,
    Resynced,
    StatusChanged,
)
from roomstate.metrics import BOUNDS, Histogram, Labels
from roomstate.updates import KINDS, MessageAdded

__all__ = ["COUNTED", "MAX_LABELS", "Meter", "Promotion", "Request"]

MAX_LABELS: Final = 100  # labels that begin with one word: some are a host's own words, and those have no end


class Request(Struct):
    """What an outstanding request asked for: ``kind`` is head, load, append, save, fetch, recover, send or warm."""

    kind: str
    room_id: str
    at: float = 0.0


class Promotion(Struct, frozen=True):
    """A room's way up that waits for a load, since ``at``."""

    old: str
    new: str
    at: float


class Meter:
    """Counts by labels, and histograms of seconds by labels: at most `MAX_LABELS` that begin with one word.

    What is beyond them counts as "other". ``applied`` are updates by type: the one count that messages take part in.
    """

    __slots__ = ("_times", "applied", "counts")

    def __init__(self) -> None:
        self.applied: dict[type[Any], int] = dict.fromkeys(KINDS, 0)
        self.counts: Counter[Labels] = Counter()
        self._times: dict[Labels, list[float]] = {}  # the counts by bound, and behind them the sum

    def count(self, labels: Labels) -> None:
        """Count one more. O(1)."""
        self.counts[_bounded(labels, self.counts)] += 1

    def took(self, seconds: float, *labels: str) -> None:
        """Take note of how long something took. O(log bounds)."""
        times = self._times.get(labels)
        if times is None:
            times = self._times.setdefault(_bounded(labels, self._times), [0] * (len(BOUNDS) + 2))
        times[bisect_left(BOUNDS, seconds)] += 1
        times[-1] += seconds

    def promoted(self, promotion: Promotion | None, outcome: str, now: float) -> None:
        """Take note of how long a room's way up took; None: of nothing."""
        if promotion is not None:
            self.took(now - promotion.at, "promotion", promotion.old, promotion.new, outcome)

    def happened(self, event: Any) -> None:
        """Count an event, which is one of `COUNTED`. O(1)."""
        COUNTED[type(event)](self, event)

    def totals(self, short: int) -> dict[Labels, int]:
        """Return all counts; ``short`` messages were applied besides. O(labels)."""
        counts = dict(self.counts)
        for kind, count in self.applied.items():
            count += short if kind is MessageAdded else 0
            if count:
                labels = ("update", str(kind.__struct_config__.tag), "applied")
                counts[labels] = counts.get(labels, 0) + count
        return counts

    def times(self) -> dict[Labels, Histogram]:
        """Return the histograms, as values. O(labels)."""
        return {labels: Histogram(tuple(map(int, times[:-1])), times[-1]) for labels, times in self._times.items()}


def _bounded(labels: Labels, known: Mapping[Labels, Any]) -> Labels:
    """Return the labels, or those of all that is beyond the bound."""
    if labels in known or sum(one[0] == labels[0] for one in known) < MAX_LABELS:
        return labels
    return (labels[0], *["other"] * (len(labels) - 1))


def _decided(meter: Meter, event: ConflictResolved) -> None:
    for made in event.decisions:
        meter.count(("conflict", made.field, made.strategy, made.took))


COUNTED: Final[dict[type[Any], Callable[[Meter, Any], None]]] = {
    StatusChanged: lambda meter, event: meter.count(("status", event.new.name)),
    GapOpened: lambda meter, event: meter.count(("gap", "opened")),
    GapClosed: lambda meter, event: meter.count(("gap", "filled" if event.filled else "lost")),
    Resynced: lambda meter, event: meter.count(("resync", event.reason)),
    ConflictOpened: lambda meter, event: meter.count(("conflict", "opened")),
    ConflictResolved: _decided,
    EchoFailed: lambda meter, event: meter.count(("echo", "failed")),
    Notified: lambda meter, event: meter.count(("notified", event.notification.kind)),
}
"""The kinds of events that are counted, each once, where a call hands them over."""
