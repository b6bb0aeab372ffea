"""Which rooms to load before anybody asks for them, and what became of those that were.

A room that is not held has been quiet; what makes it worth loading is that a viewer is back who may turn to it. So
the warmer asks a predictor for the chance of the viewer's next turn, loads above a least chance, and moves that with
what it sees: every wasted load raises it, every used one lowers it, so that no more is wasted than was allowed.
"""

from __future__ import annotations

from collections.abc import Container
from math import inf
from typing import NamedTuple

from msgspec import Struct

from roomstate.errors import InvalidValue
from roomstate.residency.prediction import Prediction, Predictor, at_least, instant, named

LEAST_CHANCE = 0.05
"""Below it a load costs more than it brings: on the Lean archive 0.03 and 0.1 have fewer turns ready."""
_STEP = 0.002
_HIGHEST = 1.01  # above every chance: nothing is loaded any more
_ASKED = 24
"""Predictions that are looked at: most of the likely rooms are held already."""


class Warming(NamedTuple):
    """A room to load into the CACHED tier, and the chance in [0, 1] that its viewer turns to it next.

    Hand ``chance`` on to the cache as the room's likelihood (`RoomCache.put`): a scorer of the host's may judge by it.
    """

    room: str
    chance: float


class WarmerStats(Struct, frozen=True):
    """Loads since the warmer was made. ``used + wasted + failed + open`` are ``planned``."""

    planned: int
    used: int
    wasted: int
    failed: int
    open: int


class Warmer:
    """Plans loads for a viewer whose next turn is near, as many as prove to be useful.

    Tell it every turn of every viewer (`turned`), every load that failed (`failed`) and every warmed room that left
    the cache (`dropped`); ask `plan` after each turn and when a viewer appears. It sees no cache: ``held`` says
    what is loaded or on its way.

    ``max_loads`` bounds one plan (3 rooms); ``loads_per_s`` all plans in the long run, and a second's worth at once
    (20: a hundredth of what a disk gives); ``max_open`` the loads whose outcome is open (64): no more are planned.
    ``waste`` is the number of wasted loads that one used load may cost (3): beyond it the least chance rises above
    ``least_chance`` (0.05), by 0.002 for each one wasted. So a predictor that claims more than it keeps wastes at most
    480 loads more than were allowed, and is then no longer believed.

    >>> from roomstate.residency.prediction import RecencyPredictor
    >>> warmer = Warmer(RecencyPredictor())
    >>> warmer.plan("ada", now=0.0, held=())
    ()
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        least_chance: float = LEAST_CHANCE,
        waste: float = 3.0,
        max_loads: int = 3,
        loads_per_s: float = 20.0,
        max_open: int = 64,
    ) -> None:
        self.predictor = predictor
        self.least_chance: float = _within("least_chance", least_chance, 0.0, 1.0)
        self.waste: float = _within("waste", waste, 0.0, 1e6)
        self.max_loads: int = at_least("max_loads", max_loads, 0)
        self.loads_per_s: float = _within("loads_per_s", loads_per_s, 0.0, 1e6)
        self.max_open: int = at_least("max_open", max_open, 0)
        self._least = self.least_chance
        self._left = max(1.0, self.loads_per_s)  # loads that are allowed at `_at`
        self._at = -inf
        self._open: set[str] = set()
        self._planned = self._used = self._wasted = self._failed = 0

    def plan(self, viewer: str, now: float, held: Container[str]) -> tuple[Warming, ...]:
        """Rooms to load now for ``viewer``, likeliest first, equals by room; each counts as a load from here on.

        None of them is in ``held``. Raises `InvalidValue` for a bad argument, or for a predictor that names a room
        twice or a chance outside [0, 1]; nothing has changed then. O(candidates).
        """
        named("viewer", viewer)
        instant(now)
        likely = sorted((-chance, room) for room, chance in self._checked(viewer, now) if chance >= self._least)
        wanted = [Warming(room, -chance) for chance, room in likely if room not in held and room not in self._open]
        plan = tuple(wanted[: max(0, min(self.max_loads, self.max_open - len(self._open), self._allowed(now)))])
        self._open.update(one.room for one in plan)
        self._planned += len(plan)
        self._left -= len(plan)
        return plan

    def turned(self, room: str) -> bool:
        """A viewer turned to ``room``; returns whether a warmed load was waiting there. O(1)."""
        named("room", room)
        if not self._closed(room):
            return False
        self._used += 1
        self._least = max(self.least_chance, self._least - self.waste * _STEP)
        return True

    def dropped(self, room: str) -> None:
        """``room`` left the cache; counts as wasted if it was warmed and not used. Unknown rooms are no error. O(1)."""
        if self._closed(room):
            self._wasted += 1
            self._least = max(self.least_chance, min(_HIGHEST, self._least + _STEP))

    def late(self, room: str) -> None:
        """``room`` is held before its load came: that was for nothing. Unknown rooms are no error. O(1)."""
        self._wasted += self._closed(room)

    def failed(self, room: str) -> None:
        """The load of ``room`` failed; it may be planned again. Unknown rooms are no error. O(1)."""
        self._failed += self._closed(room)

    def stats(self) -> WarmerStats:
        """What became of the loads so far. O(1)."""
        return WarmerStats(self._planned, self._used, self._wasted, self._failed, len(self._open))

    def check(self) -> None:
        """Raise `AssertionError` where an invariant or a bound is broken; for tests."""
        assert len(self._open) <= self.max_open
        assert self._planned == self._used + self._wasted + self._failed + len(self._open)
        assert self.least_chance <= self._least <= max(self.least_chance, _HIGHEST)

    def _closed(self, room: str) -> bool:
        """Whether a load of ``room`` was open; it is not any more."""
        found = room in self._open
        self._open.discard(room)
        return found

    def _allowed(self, now: float) -> int:
        most = max(1.0, self.loads_per_s)
        self._left = min(most, self._left + max(0.0, now - self._at) * self.loads_per_s) if self.loads_per_s else 0.0
        self._at = max(self._at, now)
        return int(self._left)

    def _checked(self, viewer: str, now: float) -> list[Prediction]:
        predictions = list(self.predictor.predict(viewer, now, limit=_ASKED))
        for room, chance in predictions:
            named("predictor", room)
            _within("predictor", chance, 0.0, 1.0)
        if len({room for room, _ in predictions}) != len(predictions):
            raise InvalidValue("predictor", f"names a room twice for {viewer!r}")
        return predictions


def _within(where: str, value: object, low: float, high: float) -> float:
    """``value``; raises `InvalidValue` where it is not a number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidValue(where, f"must be a number in [{low}, {high}], got {value!r}")
    return float(value)
