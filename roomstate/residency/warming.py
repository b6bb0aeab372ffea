"""Which rooms to load before anybody asks for them, and what became of those that were.

The question is not where one viewer goes next, but whether *anybody* turns to a room while it stays loaded: a room
that is not held has been quiet, and what makes it worth loading is that its people are back. So the warmer asks a
predictor what it knows of each candidate, watches whether the room is turned to in time, loaded or not, and learns
the chance of that (`OnlineLogistic`). Time is counted in turns, all viewers together: that is what moves a cache.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Sequence
from math import ceil, inf
from typing import NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from roomstate.errors import InvalidValue
from roomstate.residency.online import OnlineLogistic
from roomstate.residency.prediction import Predictor, at_least, instant, named

LEAST_CHANCE = 0.15
"""Below it a load costs more than it brings: the coldest room of a full cache has about this chance itself."""
_STEP = 0.002
_HIGHEST = 0.9
_CLASSES = 21  # of a probability, in steps of 5 %
_RANKS = 8


@runtime_checkable
class Reader(Protocol):
    """A predictor that also says what it knows of its candidates, for a warmer that learns from it."""

    @property
    def indices(self) -> int:
        """One more than the highest index in a row."""
        ...

    def read(self, viewer: str, now: float) -> Sequence[tuple[str, tuple[int, ...]]]:
        """Each candidate once, never the current room, with a row of table indices in [0, `indices`)."""
        ...


class Warming(NamedTuple):
    """A room to load into the CACHED tier, and the chance in [0, 1] that it is turned to while it stays there.

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
    """Plans loads for a viewer whose next turn is near, and learns from what all viewers then do.

    Tell it every turn of every viewer (`turned`), every load that failed (`failed`) and every warmed room that left
    the cache (`dropped`); ask `plan` after each turn and when a viewer appears. It sees no cache: ``held`` says
    what is loaded or on its way.

    ``max_loads`` bounds one plan (3 rooms); ``loads_per_s`` all plans in the long run, and a second's worth at once
    (20: a hundredth of what a disk gives); ``max_open`` the loads whose outcome is open (64): no more are planned;
    ``max_watched`` the candidates whose outcome is awaited (4,096, about 250 B each). ``waste`` is the number
    of wasted loads that one used load may cost (3): beyond it the least chance rises above ``least_chance``.
    ``stay`` is the number of turns that a loaded room stays (400, for a cache of 100 rooms), learned from drops.

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
        stay: int = 400,
        max_loads: int = 3,
        loads_per_s: float = 20.0,
        max_open: int = 64,
        max_watched: int = 4096,
    ) -> None:
        self.predictor = predictor
        self.least_chance: float = _within("least_chance", least_chance, 0.0, 1.0)
        self.waste: float = _within("waste", waste, 0.0, 1e6)
        self.max_loads: int = at_least("max_loads", max_loads, 0)
        self.loads_per_s: float = _within("loads_per_s", loads_per_s, 0.0, 1e6)
        self.max_open: int = at_least("max_open", max_open, 0)
        self.max_watched: int = at_least("max_watched", max_watched, 1)
        self._stay = float(at_least("stay", stay, 1))
        self._least = self.least_chance
        self._reader = predictor if isinstance(predictor, Reader) else _ByProbability(predictor)
        self._model = OnlineLogistic(self._reader.indices)
        self._left = max(1.0, self.loads_per_s)  # loads that are allowed at `_at`
        self._at = -inf
        self._turns = 0
        self._watched: OrderedDict[str, tuple[int, tuple[int, ...]]] = OrderedDict()  # room: (turn, row)
        self._open: OrderedDict[str, int] = OrderedDict()  # room: turn of the plan
        self._planned = self._used = self._wasted = self._failed = 0

    def plan(self, viewer: str, now: float, held: Container[str]) -> tuple[Warming, ...]:
        """Rooms to load now for ``viewer``, likeliest first, equals by room; each counts as a load from here on.

        None of them is in ``held``. Raises `InvalidValue` for a bad argument, or for a predictor that names a room
        twice or reads it into indices out of range; nothing has changed then. O(candidates).
        """
        named("viewer", viewer)
        instant(now)
        read = [(room, row) for room, row in self._checked(viewer, now) if room not in held]
        chances = sorted((-self._model.chance(row), room) for room, row in read)
        for room, row in read:
            self._watch(room, row)
        room_left = min(self.max_loads, self.max_open - len(self._open), self._allowed(now))
        likely = [Warming(room, -chance) for chance, room in chances if -chance >= self._least]
        plan = tuple(one for one in likely if one.room not in self._open)[: max(0, room_left)]
        self._open.update((one.room, self._turns) for one in plan)
        self._planned += len(plan)
        self._left -= len(plan)
        return plan

    def turned(self, room: str) -> bool:
        """A viewer turned to ``room``; returns whether a warmed load was waiting there. Amortised O(1)."""
        named("room", room)
        self._turns += 1
        watched = self._watched.pop(room, None)
        if watched is not None:
            self._model.learn(watched[1], True)
        self._expire()
        if self._open.pop(room, None) is None:
            return False
        self._used += 1
        self._least = max(self.least_chance, self._least - self.waste * _STEP)
        return True

    def dropped(self, room: str) -> None:
        """``room`` left the cache; counts as wasted if it was warmed and not used. Unknown rooms are no error. O(1)."""
        since = self._open.pop(room, None)
        if since is not None:
            self._stay += 0.02 * (max(1, self._turns - since) - self._stay)
            self._wasted += 1
            self._least = min(_HIGHEST, self._least + _STEP)

    def late(self, room: str) -> None:
        """``room`` is held before its load came: that was for nothing. Unknown rooms are no error. O(1)."""
        self._wasted += self._open.pop(room, None) is not None

    def failed(self, room: str) -> None:
        """The load of ``room`` failed; it may be planned again. Unknown rooms are no error. O(1)."""
        self._failed += self._open.pop(room, None) is not None

    def stats(self) -> WarmerStats:
        """What became of the loads so far. O(1)."""
        return WarmerStats(self._planned, self._used, self._wasted, self._failed, len(self._open))

    def check(self) -> None:
        """Raise `AssertionError` where an invariant or a bound is broken; for tests."""
        assert len(self._open) <= self.max_open
        assert len(self._watched) <= self.max_watched
        assert self._planned == self._used + self._wasted + self._failed + len(self._open)
        turns = [turn for turn, _ in self._watched.values()]
        assert turns == sorted(turns)
        assert self.least_chance <= self._least <= max(self.least_chance, _HIGHEST)
        assert self._stay >= 1.0

    def _allowed(self, now: float) -> int:
        most = max(1.0, self.loads_per_s)
        self._left = min(most, self._left + max(0.0, now - self._at) * self.loads_per_s) if self.loads_per_s else 0.0
        self._at = max(self._at, now)
        return int(self._left)

    def _checked(self, viewer: str, now: float) -> Sequence[tuple[str, tuple[int, ...]]]:
        read = self._reader.read(viewer, now)
        indices = self._reader.indices
        if len({room for room, _ in read}) != len(read):
            raise InvalidValue("predictor", f"names a room twice for {viewer!r}")
        if any(not 0 <= index < indices for _, row in read for index in row):
            raise InvalidValue("predictor", f"reads an index outside [0, {indices})")
        return read

    def _watch(self, room: str, row: tuple[int, ...]) -> None:
        """Await what becomes of ``room``, unless that is so already: one answer for one row."""
        if room not in self._watched:
            if len(self._watched) == self.max_watched:
                self._watched.popitem(last=False)
            self._watched[room] = (self._turns, row)

    def _expire(self) -> None:
        """Rooms that nobody turned to while a load would have stayed: the answer is no."""
        last = self._turns - ceil(self._stay)
        while self._watched and next(iter(self._watched.values()))[0] < last:
            _, (_, row) = self._watched.popitem(last=False)
            self._model.learn(row, False)


class _ByProbability:
    """Reads any predictor: by class of probability and by rank."""

    indices = _CLASSES + _RANKS

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def read(self, viewer: str, now: float) -> Sequence[tuple[str, tuple[int, ...]]]:
        """See `Reader.read`; raises `InvalidValue` for a probability outside [0, 1]."""
        rows = []
        for rank, (room, chance) in enumerate(self._predictor.predict(viewer, now, limit=24)):
            named("predictor", room)
            _within("predictor", chance, 0.0, 1.0)
            rows.append((room, (int(20.0 * chance), _CLASSES + min(rank, _RANKS - 1))))
        return rows


def _within(where: str, value: object, low: float, high: float) -> float:
    """``value``; raises `InvalidValue` where it is not a number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidValue(where, f"must be a number in [{low}, {high}], got {value!r}")
    return float(value)
