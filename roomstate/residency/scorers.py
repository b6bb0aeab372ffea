"""The scorers that come with the package; see `roomstate.residency.eviction.Scorer` for what a scorer is."""

from __future__ import annotations

import math

from attrs import define, field, frozen

from roomstate.errors import InvalidValue
from roomstate.residency.entry import Entry
from roomstate.residency.eviction import Order, Scorer
from roomstate.residency.ttl import positive


@frozen
class LruScorer(Scorer):
    """The longest untouched room leaves first: the score is the seconds since its last touch."""

    order = Order.AGED

    def score(self, entry: Entry, now: float) -> float:
        """Seconds since the room was touched."""
        return now - entry.touched_at


@frozen
class LfuScorer(Scorer):
    """The room with the fewest accesses leaves first; those that a ghost remembers count."""

    order = Order.FIXED

    def score(self, entry: Entry, now: float) -> float:
        """Minus the number of accesses."""
        return -float(entry.accesses)


def _weight(instance: object, attribute: object, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        name = getattr(attribute, "name", "weight")
        raise InvalidValue(name, f"must be a finite number of at least 0, got {value!r}")


def _scale(instance: object, attribute: object, value: float) -> None:
    positive(getattr(attribute, "name", "scale"), value)


@frozen
class WeightedScorer(Scorer):
    """The specification's: old, seldom and long unused rooms of low priority leave first.

    ``0.3 * age / 1800 + 0.3 / (1 + accesses) + 0.3 * recency + 0.1 * (1 - priority / 10)``: age is the
    seconds since the room was stored, recency the seconds since its last access divided by 1800, or 1 if it
    was never accessed. Nothing is clamped. All numbers are the specification's defaults. Use it with
    ``batch_fraction=0.2``, as there. Raises `InvalidValue` for a weight below 0 or a scale not above 0.

    >>> room = Entry("rust", 100, stored_at=0.0, accessed_at=900.0, accesses=2, priority=5)
    >>> round(WeightedScorer().score(room, now=1800.0), 3)
    0.6
    """

    order = Order.AGED

    age: float = field(default=0.3, validator=_weight)
    rarity: float = field(default=0.3, validator=_weight)
    recency: float = field(default=0.3, validator=_weight)
    priority: float = field(default=0.1, validator=_weight)
    scale_s: float = field(default=1800.0, validator=_scale)
    top_priority: float = field(default=10.0, validator=_scale)

    def score(self, entry: Entry, now: float) -> float:
        """The formula. O(1)."""
        used = entry.accessed_at
        recency = 1.0 if used is None else (now - used) / self.scale_s
        return (
            self.age * (now - entry.stored_at) / self.scale_s
            + self.rarity / (1 + entry.accesses)
            + self.recency * recency
            + self.priority * (1 - entry.priority / self.top_priority)
        )

    def group(self, entry: Entry) -> int:
        """Rooms with an access age at one rate, rooms without at a lower one."""
        return entry.accessed_at is not None


@define
class SizeAwareScorer(Scorer):
    """GreedyDual-Size with frequency (Cherkasova, 1998): few accesses for many bytes leave first.

    A room's value is ``floor + accesses * cost / size``, the floor being the value of the last room that
    left, so what is no longer used is overtaken in the end. ``cost`` is what a miss costs, in units of your
    choice.
    """

    order = Order.FIXED

    cost: float = field(default=1.0, validator=_scale)
    floor: float = field(default=0.0, init=False)

    def score(self, entry: Entry, now: float) -> float:
        """Minus the value."""
        return -(self.floor + (1 + entry.accesses) * self.cost / max(1, entry.size))

    def evicted(self, score: float) -> None:
        """Raise the floor."""
        self.floor = max(self.floor, -score)
