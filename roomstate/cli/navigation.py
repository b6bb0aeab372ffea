"""Where users turned, as a list of events: how well a predictor names the next room, and what warming makes of it.

The numbers of ``simulate --events``. Scored as one would bet: predict, then learn; on the last part of the *switches*
(a message in another room than its user's previous one); the room where the user is does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite
from typing import NamedTuple

import msgspec

from roomstate.cli.files import Source, lines
from roomstate.cli.logline import MAX_TS, LogLine
from roomstate.cli.tally import Tally
from roomstate.model import MAX_ID
from roomstate.residency.blend import BlendedPredictor
from roomstate.residency.cache import RoomCache
from roomstate.residency.eviction import EvictionPolicy
from roomstate.residency.prediction import MarkovPredictor, Prediction, Predictor, RecencyPredictor
from roomstate.residency.warming import Warmer, WarmerStats

__all__ = ["PREDICTORS", "SCORED", "Decile", "Ready", "Score", "Scored", "Side", "Visit", "events_of", "is_events"]

SCORED = 0.2
"""The share of the switches, the last ones, that counts: before them a predictor learns."""

MAX_EVENT_BYTES = 4 * MAX_ID
"""A line of events is a number and three names."""


class Visit(NamedTuple):
    """``user`` wrote in ``room`` at ``now`` (epoch seconds)."""

    now: float
    user: str
    room: str


def place(room: str) -> str:
    """What a room belongs to: what stands before the first slash, as `by_topic` writes it."""
    return room.partition("/")[0]


PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "blended": lambda: BlendedPredictor(place=place),
    "recency": RecencyPredictor,
    "markov": MarkovPredictor,
}
"""What a host can choose from; the first is the default."""


def is_events(source: Source) -> bool:
    """Whether a file looks like a list of events: its first line is a number and two or three names, with tabs."""
    fields = source.head.split(b"\n", 1)[0].rstrip(b"\r").split(b"\t")
    return len(fields) in (3, 4) and _seconds(fields[0]) is not None


def _seconds(field: bytes) -> float | None:
    try:
        found = float(field)
    except ValueError:
        return None
    return found if isfinite(found) and 0 <= found < MAX_TS else None


def events_of(source: Source, tally: Tally, *, by_topic: bool = False) -> Iterator[Visit]:
    """The events of a list: ``time, user, room`` on each line, with tabs, and perhaps the place of the room.

    With a place, rooms are the places, or ``by_topic`` each room of a place.
    """
    for number, line in lines(source, tally, MAX_EVENT_BYTES):
        visit = _event(line, by_topic)
        if isinstance(visit, str):
            tally.damage(source.where, number, visit)
        else:
            yield visit


def _event(line: bytes, by_topic: bool) -> Visit | str:
    fields = line.split(b"\t")
    now = _seconds(fields[0])
    if len(fields) not in (3, 4) or now is None:
        return "is no event: a time, a user, a room, and perhaps its place"
    try:
        user, room, *where = (field.decode() for field in fields[1:])
    except UnicodeDecodeError:
        return "is not UTF-8"
    if where:
        room = f"{where[0]}/{room}" if by_topic else where[0]
    return Visit(now, user, room) if user and room else "has an empty name"


def visits_of(log: Iterable[LogLine]) -> Iterator[Visit]:
    """The messages of a chat log as events."""
    return (Visit(line.ts, line.user, line.room) for line in log)


def switches(visits: Iterable[Visit]) -> Iterator[bool]:
    """Whether each visit is a switch; a user's first is none."""
    here: dict[str, str] = {}
    for _, user, room in visits:
        yield here.get(user, room) != room
        here[user] = room


class Decile(msgspec.Struct, frozen=True):
    """Predictions of one tenth of the probabilities: how many, the hits they promised, and the hits there were."""

    predictions: int
    expected: float
    observed: int


class Scored(msgspec.Struct, frozen=True):
    """How a predictor did: shares of ``switches`` whose room was its first, among its 3 or its 5 first."""

    predictor: str
    switches: int
    top1: float
    top3: float
    top5: float
    deciles: tuple[Decile, ...]

    @property
    def error(self) -> float:
        """By how much expected and observed hits differ, as a share of the predictions, mean over the deciles."""
        errors = [abs(one.expected - one.observed) / one.predictions for one in self.deciles if one.predictions]
        return sum(errors) / max(1, len(errors))


class Score:
    """Hits by rank, and expected and observed hits by decile."""

    def __init__(self) -> None:
        self._switches = 0
        self._hits = [0] * 5
        self._counts, self._expected, self._observed = [0] * 10, [0.0] * 10, [0] * 10

    def add(self, predictions: Iterable[Prediction], room: str) -> None:
        """What was predicted, and the ``room`` that it was."""
        self._switches += 1
        for rank, (predicted, chance) in enumerate(predictions):
            decile = min(9, int(10 * chance))
            self._counts[decile] += 1
            self._expected[decile] += chance
            if predicted == room:
                self._observed[decile] += 1
                self._hits[rank] += 1

    def value(self, predictor: str = "") -> Scored:
        """The score so far."""
        top1, top3, top5 = (sum(self._hits[:count]) / max(1, self._switches) for count in (1, 3, 5))
        found = zip(self._counts, self._expected, self._observed, strict=True)
        return Scored(predictor, self._switches, top1, top3, top5, tuple(Decile(*one) for one in found))


def score(
    predictor: Predictor,
    visits: Sequence[Visit],
    *,
    posts: bool = True,
    name: str = "",
    tell: Callable[[int], None] = lambda _: None,
) -> Scored:
    """Predict each of the last `SCORED` switches, then tell the predictor what happened.

    ``posts``: visits are messages. ``tell`` hears how many more visits are done.
    """
    result, switched = Score(), list(switches(visits))
    unscored = int((1 - SCORED) * sum(switched))
    for at, ((now, user, room), switch) in enumerate(zip(visits, switched, strict=True), 1):
        unscored -= switch
        if switch and unscored < 0:
            result.add(predictor.predict(user, now), room)
        predictor.visited(user, room, now)
        if posts:
            predictor.activity(room, user, "message", now)
        if at % 1000 == 0:
            tell(1000)
    return result.value(name)


class Ready(msgspec.Struct, frozen=True):
    """How many of ``turns`` found their room in a cache of ``rooms``; ``loads`` are those of the warmer, if any."""

    rooms: int
    turns: int
    ready: int
    loads: WarmerStats | None = None

    @property
    def share(self) -> float:
        """The share that was ready."""
        return self.ready / max(1, self.turns)


class Side:
    """A cache, and perhaps a warmer, that are led through the events; counts the turns that find their room ready.

    Loads are planned right before a turn, where the user is known to be there but not where to (``early``: what a host
    does that calls ``warm(viewer)`` as a viewer connects), and right after it (``late``: what every ``enter`` does).
    """

    def __init__(
        self,
        rooms: int,
        *,
        policy: EvictionPolicy | None = None,
        warmer: Warmer | None = None,
        early: bool = True,
        late: bool = True,
    ) -> None:
        self.cache: RoomCache = RoomCache(max_rooms=rooms, ttl=None, policy=policy)
        self.warmer: Warmer | None = warmer
        self._early, self._late = early, late
        self._turns = self._ready = 0

    def appears(self, user: str, now: float) -> None:
        """``user`` is there, and about to turn to a room."""
        if self._early:
            self._warm(user, now)

    def visit(self, room: str, now: float, *, turn: bool) -> None:
        """Somebody writes in a room; ``turn``: it is another room than before."""
        found = self.cache.get(room, now) is not None
        if turn:
            self._turns += 1
            self._ready += found
            if self.warmer is not None:
                self.warmer.turned(room)
        if not found:
            self._put(room, now)

    def stays(self, user: str, now: float) -> None:
        """``user`` has turned to a room, and the predictor knows."""
        if self._late:
            self._warm(user, now)

    def value(self) -> Ready:
        """What was ready so far."""
        return Ready(self.cache.max_rooms, self._turns, self._ready, self.warmer.stats() if self.warmer else None)

    def _warm(self, user: str, now: float) -> None:
        if self.warmer is not None:
            for room, chance in self.warmer.plan(user, now, self.cache):
                self._put(room, now, chance)

    def _put(self, room: str, now: float, likelihood: float = 0.0) -> None:
        for gone in self.cache.put(room, b"-", now=now, likelihood=likelihood):
            if self.warmer is not None:
                self.warmer.dropped(gone.room_id)


def play(
    visits: Iterable[Visit], predictor: Predictor, sides: Sequence[Side], tell: Callable[[int], None] = lambda _: None
) -> None:
    """Lead all sides through the same events; their warmers share ``predictor``. ``tell`` as in `score`."""
    here: dict[str, str] = {}
    for at, (now, user, room) in enumerate(visits, 1):
        turn = here.get(user) != room
        here[user] = room
        for side in sides:
            if turn:
                side.appears(user, now)
            side.visit(room, now, turn=turn)
        predictor.visited(user, room, now)
        predictor.activity(room, user, "message", now)
        if turn:
            for side in sides:
                side.stays(user, now)
        if at % 1000 == 0:
            tell(1000)
