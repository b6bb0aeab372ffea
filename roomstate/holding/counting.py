"""What one house has done, and how long it took.

Events are counted where they leave, all in one place; effects that ask begin to take time there. A message that takes
the short way of `publish` is not counted at all: the room's head has counted it (`Holding.short`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from roomstate.effects import (
    ANSWERS,
    ConflictOpened,
    ConflictResolved,
    EchoFailed,
    Effect,
    Event,
    GapClosed,
    GapOpened,
    Notified,
    Resynced,
    StatusChanged,
)
from roomstate.metrics import BOUNDS, Histogram, Labels

__all__ = ["MAX_LABELS", "Meter", "Request", "Rise"]

MAX_LABELS: Final = 100  # labels that begin with one word: some are a host's own words, and those have no end

_EVENTS: Final[dict[type[Any], Callable[[Any], Iterable[Labels]]]] = {
    StatusChanged: lambda event: (("status", event.new.name),),
    GapOpened: lambda event: (("gap", "opened"),),
    GapClosed: lambda event: (("gap", "filled" if event.filled else "lost"),),
    Resynced: lambda event: (("resync", event.reason),),
    ConflictOpened: lambda event: (("conflict", "opened"),),
    ConflictResolved: lambda event: (("conflict", made.field, made.strategy, made.took) for made in event.decisions),
    EchoFailed: lambda event: (("echo", "failed"),),
    Notified: lambda event: (("notified", event.notification.kind),),
}


class Request(Struct):
    """What an outstanding request asked for: ``kind`` is head, load, append, save, fetch, recover, send or warm."""

    kind: str
    room_id: str
    at: float = 0.0


class Rise(Struct, frozen=True):
    """A room's way up that waits for a load, since ``at``."""

    old: str
    new: str
    at: float


class Meter:
    """Counts by labels, and histograms of seconds by labels: at most `MAX_LABELS` that begin with one word.

    What is beyond them counts as "other".
    """

    __slots__ = ("_sums", "_times", "counts")

    def __init__(self) -> None:
        self.counts: Counter[Labels] = Counter()
        self._times: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def count(self, labels: Labels) -> None:
        """Count one more. O(1)."""
        self.counts[_bounded(labels, self.counts)] += 1

    def took(self, seconds: float, *labels: str) -> None:
        """Take note of how long something took. O(1)."""
        labels = _bounded(labels, self._times)
        counts = self._times.setdefault(labels, [0] * (len(BOUNDS) + 1))
        counts[bisect_left(BOUNDS, seconds)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + seconds

    def rose(self, rise: Rise | None, outcome: str, now: float) -> None:
        """Take note of how long a room's way up took; None: of nothing."""
        if rise is not None:
            self.took(now - rise.at, "rise", rise.old, rise.new, outcome)

    def handed_over(self, outputs: Iterable[Effect | Event], requests: Mapping[int, Request], now: float) -> None:
        """Count the events of a call, and let its requests begin at ``now``. O(outputs)."""
        for item in outputs:
            kind = type(item)
            if kind in ANSWERS:
                request = requests.get(item.request_id)  # type: ignore[union-attr]
                if request is not None:  # not asked anew in the same call
                    request.at = now
            elif kind in _EVENTS:
                for labels in _EVENTS[kind](item):
                    self.count(labels)

    def times(self) -> dict[Labels, Histogram]:
        """Return the histograms, as values. O(labels)."""
        return {labels: Histogram(tuple(counts), self._sums[labels]) for labels, counts in self._times.items()}


def _bounded(labels: Labels, known: Mapping[Labels, Any]) -> Labels:
    """Return the labels, or those of all that is beyond the bound."""
    if labels in known or sum(one[0] == labels[0] for one in known) < MAX_LABELS:
        return labels
    return (labels[0], *["other"] * (len(labels) - 1))
