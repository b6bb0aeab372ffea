"""What a manager has done and what it holds, as plain values.

Whatever is counted has labels: a tuple of strings, of which the first says what it is. Counts (`Stats.counts`, since
the manager was made):

=====================================  ===========================================================================
labels                                 counted
=====================================  ===========================================================================
``update``, kind, outcome              logged and ephemeral updates: applied, duplicate, repeated (the log held it
                                       already), recovered (it filled a gap), parked (until its message comes),
                                       missed (beyond the bound during a load: a gap has it), misfit
``envelope``, outcome                  what a replica received: as `roomstate.sync.replica.Verdict` says, or "not
                                       held", "malformed", or "dropped": it had to wait, and was not believed in the
                                       end, or there was no room for it
``transition``, from, to               changes of tier
``signal``, name                       what drove them
``lookup``, hit or miss, frequency     promotions that found their room in memory, or did not
``eviction``, reason                   cached rooms that left memory
``status``, name                       how often a room became LOADING, READY, STALE or ERROR
``gap``, opened, filled or lost        gaps opened; gaps closed, and whether what was missing has come
``resync``, reason                     rooms whose contents were replaced as a whole
``conflict``, field, strategy, took    decisions in conflicts; ``conflict``, ``opened``: somebody was asked
``warm``, outcome                      rooms loaded because a visit was expected: planned, used, wasted, failed
``echo``, ``failed``                   what a user has sent and was not taken
``notified``, kind                     notifications
``receipt``, ``dropped``               receipts for messages not seen yet, for which there was no room
``rule``, ``failed``, error            notification rules that raised
``predictor``, ``failed``, error       calls of a warmer or its predictor that raised
=====================================  ===========================================================================

Times (`Stats.times`) are histograms of seconds, in the manager's own time, the ``now`` of its calls:

=====================================  ===========================================================================
labels                                 from, to
=====================================  ===========================================================================
``request``, kind, done or failed      an effect that asks, until it is answered
``promotion``, from, to, outcome       a room's way up, until it holds what its tier does: loaded; at_once, where
                                       nothing had to be asked for; failed or left, where it was given up before
``recovery``, outcome                  a replica asks for what it misses, until it has that as updates or as an image;
                                       or until nothing came of it, or it failed
=====================================  ===========================================================================

A call that raises has changed nothing, and so counts nothing: refusals are the host's to count.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import ceil, inf
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from roomstate.model import Status, Tier
from roomstate.residency.cache import CacheStats

__all__ = ["BOUNDS", "Family", "Histogram", "Labels", "Measure", "Stats"]

Labels: TypeAlias = tuple[str, ...]

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds, inclusive, in seconds: Prometheus's own, with finer ones for a disk, and two for a store's return."""


class Histogram(Struct, frozen=True):
    """How long things took: ``counts`` are by `BOUNDS`, one more for what took longer; ``sum`` is in seconds.

    >>> Histogram((0, 3, 1, *[0] * 13), 0.009).quantile(0.5)
    0.0025
    """

    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Return a bound at or below which ``share`` in [0, 1] of them lie: inf beyond the last, 0.0 for none."""
        rank = ceil(share * self.count)
        reached = zip((*BOUNDS, inf), accumulate(self.counts), strict=True)
        return next(bound for bound, below in reached if below >= rank) if self.count else 0.0


class Family(Struct, frozen=True):
    """What one number means to whoever watches it.

    ``name`` is in snake case, with its unit (bytes, seconds) last, without "roomstate" before and "total" behind.
    ``labels`` name the members of its values' keys; each has a bounded vocabulary, and never is a room or a user.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


class Measure(Struct, frozen=True):
    """The values of a family at one time, by its labels: histograms where its kind says so, else numbers."""

    family: Family
    values: Mapping[Labels, float | Histogram]


class Stats(Struct, frozen=True):
    """One reading of a manager.

    ``rooms`` and ``bytes`` are by tier; at UNLOADED are rooms that only wait for their log, and what was read of rooms
    at rest. ``statuses`` counts live rooms, ``gaps`` their open gaps. Queues: ``undurable`` entries
    (``undurable_bytes``) wait for the log, ``waiting`` updates for a seq, and ``asked`` are the requests without an
    answer, by kind.
    ``counts`` and ``times`` are by labels: see `roomstate.metrics`.
    """

    rooms: Mapping[Tier, int]
    bytes: Mapping[Tier, int]
    statuses: Mapping[Status, int]
    viewers: int
    gaps: int
    waiting: int
    undurable: int
    undurable_bytes: int
    asked: Mapping[str, int]
    counts: Mapping[Labels, int]
    times: Mapping[Labels, Histogram]
    cache: CacheStats

    @property
    def requests(self) -> int:
        """Return the number of requests without an answer."""
        return sum(self.asked.values())

    @property
    def hit_ratio(self) -> float:
        """The share of promotions that found their room in memory; 0.0 before the first. O(counts)."""
        hits = self.count("lookup", "hit")
        return hits / max(1, hits + self.count("lookup", "miss"))

    def count(self, *labels: str) -> int:
        """Return the sum of the counts whose first labels are these. O(counts)."""
        return sum(value for key, value in self.counts.items() if key[: len(labels)] == labels)
