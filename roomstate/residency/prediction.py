"""Which room comes next: what a predictor is asked and told, and two plain ones.

A predictor sees names, kinds and times; never a room, a message or a clock. It is told where each viewer
turns (`visited`) and where things happen (`activity`), and answers `predict` with rooms and probabilities.
The default, `roomstate.residency.blend.BlendedPredictor`, learns how to weigh all of it; the two here are the
baselines that it has to beat, and the right choice where 30 lines must be understood at a glance.

A *switch* is a visit to another room than the viewer's last one. Probabilities are of the viewer's next
switch, so the room where the viewer is now is never predicted, and they sum to at most 1: what is missing is
the chance of a room that the predictor would not name.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar, get_args, runtime_checkable

from roomstate.errors import InvalidValue

ActivityKind = Literal["message", "mention", "reaction"]
"""What happened in a room. ``message``: ``user`` posted there; ``mention``: ``user`` was called there by
another; ``reaction``: ``user`` reacted there."""

KINDS: tuple[str, ...] = get_args(ActivityKind)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Context: TypeAlias = tuple[int, ...]
_NOTHING: dict[int, int] = {}
MAX_PREFERENCES = 16
"""Preferred rooms kept per viewer; more are rejected. As many as a client's row of pinned rooms."""


class Prediction(NamedTuple):
    """A room and the chance, in [0, 1], that the viewer's next switch goes there."""

    room: str
    probability: float


@runtime_checkable
class Predictor(Protocol):
    """What the manager asks of a predictor. `roomstate.testing.PredictorContract` tests one of your own.

    ``viewer`` names whose habits these are: give the user's id, not the connection's, where habits should
    outlive a connection; then it also meets the ``user`` of `activity`. ``now`` is in seconds on any one
    scale; an earlier ``now`` than one already seen counts as that one. A rejected call (`InvalidValue`)
    changes nothing. All state is bounded, each bound named in its unit.
    """

    def visited(self, viewer: str, room: str, now: float) -> None:
        """``viewer`` turned to ``room``, or did something there again."""
        ...

    def activity(self, room: str, user: str, kind: ActivityKind, now: float) -> None:
        """Something of ``kind`` happened in ``room``. After `visited`, where one act is both."""
        ...

    def predict(self, viewer: str, now: float, limit: int = 5) -> Sequence[Prediction]:
        """At most ``limit`` rooms, likeliest first, equals by room id; each once, never the current one.

        An unknown viewer has predictions too, or an empty sequence. Changes nothing that another call can
        see.
        """
        ...

    def preferences(self, viewer: str, rooms: Sequence[str]) -> None:
        """Rooms that ``viewer`` declared (pinned, starred), best first; replaces the earlier ones."""
        ...

    def forget(self, viewer: str) -> None:
        """Drop what is known of ``viewer`` alone; an unknown one is no error."""
        ...

    def forget_room(self, room: str) -> None:
        """Never predict ``room`` again until it is seen again; an unknown one is no error."""
        ...

    def check(self) -> None:
        """Raise `AssertionError` where an invariant or a bound is broken; for tests."""
        ...


def named(where: str, value: object) -> None:
    """Raise `InvalidValue` unless ``value`` is a non-empty string."""
    if not isinstance(value, str) or not value:
        raise InvalidValue(where, f"must be a non-empty string, got {value!r}")


def instant(now: object) -> float:
    """``now`` as a float; raises `InvalidValue` where it is not a finite number."""
    if isinstance(now, bool) or not isinstance(now, int | float) or not math.isfinite(now):
        raise InvalidValue("now", f"must be a finite number of seconds, got {now!r}")
    return float(now)


def at_least(where: str, value: object, least: int) -> int:
    """``value``; raises `InvalidValue` where it is not an integer of ``least`` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidValue(where, f"must be an integer of at least {least}, got {value!r}")
    return value


def known_kind(kind: object) -> None:
    """Raise `InvalidValue` unless ``kind`` is one of `KINDS`."""
    if kind not in KINDS:
        raise InvalidValue("kind", f"must be one of {', '.join(KINDS)}, got {kind!r}")


def preferred(rooms: Sequence[str]) -> tuple[str, ...]:
    """``rooms`` without repeats, in order; raises `InvalidValue` for a bad name or more than
    `MAX_PREFERENCES`.
    """
    if len(rooms) > MAX_PREFERENCES:
        raise InvalidValue("rooms", f"must be at most {MAX_PREFERENCES}, got {len(rooms)}")
    for at, room in enumerate(rooms):
        named(f"rooms[{at}]", room)
    return tuple(dict.fromkeys(rooms))


def likeliest(chances: Iterable[tuple[str, float]], limit: int) -> tuple[Prediction, ...]:
    """The ``limit`` likeliest of ``(room, chance)``, chances above 0 only; equals by room id. O(n log n)."""
    ranked = sorted((-chance, room) for room, chance in chances if chance > 0.0)
    return tuple(Prediction(room, min(1.0, -chance)) for chance, room in ranked[:limit])


class RoomNumbers:
    """Rooms as numbers that are never given out twice, for at most ``max_rooms`` rooms.

    Tables keep the number instead of the name; the room that was touched longest ago is forgotten first, and
    its number then names nothing: whoever still holds it drops it on the next reading. All O(1).

    >>> numbers = RoomNumbers(max_rooms=2)
    >>> [numbers.touch(room) for room in ("a", "b", "a", "c")]
    [0, 1, 0, 2]
    >>> numbers.room(1), numbers.room(2), numbers.find("b")
    (None, 'c', None)
    """

    def __init__(self, max_rooms: int) -> None:
        self.max_rooms: int = at_least("max_rooms", max_rooms, 1)
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._rooms: dict[int, str] = {}
        self._next = 0

    def touch(self, room: str) -> int:
        """The number of ``room``, which becomes the most recent; a new one if it has none."""
        number = self._numbers.get(room)
        if number is not None:
            self._numbers.move_to_end(room)
            return number
        if len(self._numbers) == self.max_rooms:
            self.forget(next(iter(self._numbers)))
        number = self._numbers[room] = self._next
        self._rooms[number] = room
        self._next += 1
        return number

    def find(self, room: str) -> int | None:
        """The number of ``room``, or None; touches nothing."""
        return self._numbers.get(room)

    def room(self, number: int) -> str | None:
        """The room of ``number``, or None where it has been forgotten."""
        return self._rooms.get(number)

    def forget(self, room: str) -> int | None:
        """Forget ``room``; returns the number that names nothing from now on."""
        number = self._numbers.pop(room, None)
        if number is not None:
            del self._rooms[number]
        return number

    def __len__(self) -> int:
        return len(self._numbers)

    def check(self) -> None:
        """Raise `AssertionError` where the two directions disagree or the bound is broken."""
        assert len(self._numbers) <= self.max_rooms
        assert {number: room for room, number in self._numbers.items()} == self._rooms
        assert all(number < self._next for number in self._rooms)


class RecencyPredictor:
    """The viewer's own last rooms, each with the share of switches that went to a room of that rank.

    The shares are counted over all viewers, and begin at ``1/2, 1/6, 1/12 ...``. Preferred rooms rank behind
    those visited. Own recency alone names the next stream of a real archive in 34 %, in its three first in 65
    %.

    ``rooms_per_viewer``: 20, behind which ranks hold less than 1 % each there; ``max_viewers``: 10,000, about
    4 MB; ``max_rooms``: ten times as many.

    >>> recency = RecencyPredictor()
    >>> for at, room in enumerate(["rust", "go", "rust", "go", "c"]):
    ...     recency.visited("ada", room, now=at)
    >>> [(room, round(chance, 2)) for room, chance in recency.predict("ada", now=5)]
    [('go', 0.62), ('rust', 0.17)]
    """

    def __init__(self, *, max_viewers: int = 10_000, rooms_per_viewer: int = 20, max_rooms: int = 100_000) -> None:
        self.max_viewers: int = at_least("max_viewers", max_viewers, 1)
        self.rooms_per_viewer: int = at_least("rooms_per_viewer", rooms_per_viewer, 2)
        self._numbers = RoomNumbers(max_rooms)
        self._visits: OrderedDict[str, list[int]] = OrderedDict()  # most recent first
        self._preferences: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        ranks = self.rooms_per_viewer + MAX_PREFERENCES
        self._hits = [1.0 / ((rank + 1) * (rank + 2)) for rank in range(ranks)]
        self._trials = [1.0] * ranks

    def visited(self, viewer: str, room: str, now: float) -> None:
        """O(rooms_per_viewer)."""
        named("viewer", viewer)
        named("room", room)
        instant(now)
        rooms = entry(self._visits, viewer, self.max_viewers, list)
        number = self._numbers.touch(room)
        if rooms and rooms[0] != number:
            self._learn(viewer, room)
        if number in rooms:
            rooms.remove(number)
        rooms.insert(0, number)
        del rooms[self.rooms_per_viewer :]

    def activity(self, room: str, user: str, kind: ActivityKind, now: float) -> None:
        """Is checked and otherwise ignored: only visits count here."""
        named("room", room)
        named("user", user)
        known_kind(kind)
        instant(now)

    def predict(self, viewer: str, now: float, limit: int = 5) -> tuple[Prediction, ...]:
        """O(rooms_per_viewer)."""
        named("viewer", viewer)
        instant(now)
        at_least("limit", limit, 0)
        rooms = self._ranked(viewer)
        chances = [self._hits[rank] / self._trials[rank] for rank in range(len(rooms))]
        whole = max(1.0, math.fsum(chances))
        return likeliest(((room, chance / whole) for room, chance in zip(rooms, chances, strict=True)), limit)

    def preferences(self, viewer: str, rooms: Sequence[str]) -> None:
        """At most `MAX_PREFERENCES`. O(rooms)."""
        named("viewer", viewer)
        kept = preferred(rooms)
        entry(self._preferences, viewer, self.max_viewers, tuple)
        self._preferences[viewer] = kept

    def forget(self, viewer: str) -> None:
        """O(1)."""
        self._visits.pop(viewer, None)
        self._preferences.pop(viewer, None)

    def forget_room(self, room: str) -> None:
        """O(viewers that declared preferences)."""
        self._numbers.forget(room)
        for viewer, rooms in self._preferences.items():
            if room in rooms:
                self._preferences[viewer] = tuple(other for other in rooms if other != room)

    def check(self) -> None:
        """See `Predictor.check`."""
        self._numbers.check()
        assert len(self._visits) <= self.max_viewers
        assert len(self._preferences) <= self.max_viewers
        assert all(len(set(rooms)) == len(rooms) <= self.rooms_per_viewer for rooms in self._visits.values())
        assert all(0.0 < hit <= tries for hit, tries in zip(self._hits, self._trials, strict=True))

    def _ranked(self, viewer: str) -> list[str]:
        """The viewer's other rooms: visited ones, most recent first, then preferred ones."""
        visits = self._visits.get(viewer, [])
        here = self._numbers.room(visits[0]) if visits else None
        names = [name for number in visits[1:] if (name := self._numbers.room(number)) is not None]
        return list(dict.fromkeys(r for r in (*names, *self._preferences.get(viewer, ())) if r != here))

    def _learn(self, viewer: str, room: str) -> None:
        for rank, other in enumerate(self._ranked(viewer)):
            self._trials[rank] += 1.0
            self._hits[rank] += other == room


class MarkovPredictor:
    """What all viewers did next from here: the last two rooms, with back-off to the last one, then to none.

    A context that was left ``n`` times towards ``t`` different rooms speaks for ``n/(n+t)`` of the chance,
    and leaves ``t/(n+t)`` to the shorter one (Witten and Bell, 1991, method C). Right for menus, wizards and
    other rooms in a fixed order; in chat it is the weakest of the three.

    ``max_contexts``: 50,000, each with at most ``successors`` (32) rooms; a full one halves its counts, so
    that old habits fade. ``max_viewers``: 10,000; ``max_rooms``: 100,000.

    >>> markov = MarkovPredictor()
    >>> for at, room in enumerate(["menu", "list", "item", "menu", "list", "item", "menu"]):
    ...     markov.visited("ada", room, now=at)
    >>> markov.predict("ada", now=8, limit=1)[0].room
    'list'
    """

    def __init__(
        self,
        *,
        max_viewers: int = 10_000,
        max_contexts: int = 50_000,
        successors: int = 32,
        max_rooms: int = 100_000,
    ) -> None:
        self.max_viewers: int = at_least("max_viewers", max_viewers, 1)
        self.max_contexts: int = at_least("max_contexts", max_contexts, 3)
        self.successors: int = at_least("successors", successors, 2)
        self._numbers = RoomNumbers(max_rooms)
        self._trails: OrderedDict[str, Context] = OrderedDict()
        self._counts: OrderedDict[Context, dict[int, int]] = OrderedDict()

    def visited(self, viewer: str, room: str, now: float) -> None:
        """O(1), but for the halving of a full context."""
        named("viewer", viewer)
        named("room", room)
        instant(now)
        trail = entry(self._trails, viewer, self.max_viewers, tuple)
        number = self._numbers.touch(room)
        if trail and trail[-1] == number:
            return
        if trail:
            for context in _suffixes(trail):
                self._count(context, number)
        self._trails[viewer] = (*trail[-1:], number)

    def activity(self, room: str, user: str, kind: ActivityKind, now: float) -> None:
        """Is checked and otherwise ignored: only visits count here."""
        named("room", room)
        named("user", user)
        known_kind(kind)
        instant(now)

    def predict(self, viewer: str, now: float, limit: int = 5) -> tuple[Prediction, ...]:
        """O(successors)."""
        named("viewer", viewer)
        instant(now)
        at_least("limit", limit, 0)
        trail = self._trails.get(viewer, ())
        chances: dict[int, float] = {}
        left = 1.0
        for context in _suffixes(trail):
            counts = {n: c for n, c in self._counts.get(context, _NOTHING).items() if n not in trail[-1:]}
            total = sum(counts.values()) + len(counts)
            for number, count in counts.items():
                chances[number] = chances.get(number, 0.0) + left * count / total
            left *= len(counts) / total if total else 1.0
        pairs = ((self._numbers.room(number), chance) for number, chance in chances.items())
        return likeliest(((room, chance) for room, chance in pairs if room is not None), limit)

    def preferences(self, viewer: str, rooms: Sequence[str]) -> None:
        """Is checked and otherwise ignored: what was declared is no transition."""
        named("viewer", viewer)
        preferred(rooms)

    def forget(self, viewer: str) -> None:
        """O(1). What the viewer taught about rooms stays: it names nobody."""
        self._trails.pop(viewer, None)

    def forget_room(self, room: str) -> None:
        """O(1)."""
        self._numbers.forget(room)

    def check(self) -> None:
        """See `Predictor.check`."""
        self._numbers.check()
        assert len(self._trails) <= self.max_viewers
        assert len(self._counts) <= self.max_contexts
        assert all(0 < len(counts) <= self.successors for counts in self._counts.values())
        assert all(count > 0 for counts in self._counts.values() for count in counts.values())

    def _count(self, context: Context, number: int) -> None:
        counts = entry(self._counts, context, self.max_contexts, dict)
        counts[number] = counts.get(number, 0) + 1
        if len(counts) > self.successors:
            kept = {n: count // 2 for n, count in counts.items() if count > 1 and n != number}
            if len(kept) >= self.successors:  # every one was met again: the oldest of the rarest makes place
                del kept[min(kept, key=kept.__getitem__)]
            self._counts[context] = {**kept, number: 1}


def _suffixes(trail: Context) -> tuple[Context, ...]:
    """The contexts of a trail, longest first: the last two rooms, the last, none."""
    return tuple(trail[start:] for start in range(len(trail) + 1))


def entry(table: OrderedDict[K, V], key: K, bound: int, new: Callable[[], V]) -> V:
    """The entry of ``key``, now the most recent of at most ``bound``; the oldest makes place for a new one.
    O(1).
    """
    found = table.get(key)
    if found is not None:
        table.move_to_end(key)
        return found
    if len(table) == bound:
        table.popitem(last=False)
    table[key] = made = new()
    return made
