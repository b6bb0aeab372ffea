"""The default predictor: it learns online how to weigh what it can know about each room that may come next.

The candidates are the viewer's own last rooms, the rooms where something happened last, those to which others went
from here, those where the viewer was mentioned, and the preferred ones; and one option more, *elsewhere*. Each is
read into a row of table indices (`_Reader`), scored by `OnlineSoftmax`, and learned from at the viewer's next
switch, before the switch changes what is known.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from math import sqrt

from roomstate.errors import InvalidValue
from roomstate.residency.online import OWN_RATE, OnlineSoftmax
from roomstate.residency.prediction import (
    ActivityKind,
    Prediction,
    at_least,
    entry,
    instant,
    known_kind,
    likeliest,
    named,
    preferred,
)
from roomstate.residency.traces import HALVING_S, RoomTrace, ViewerTrace, mark

RECENT_ROOMS = 10
"""Candidates from the rooms where something happened last."""
FOLLOWED = 2
"""Candidates from the rooms to which others went from here."""
STRANGER = -1
"""The mark of a viewer of whom nothing is known: nobody's."""
ELSEWHERE = ""
"""Stands for every room that is no candidate; no room has an empty name."""

# The tables, one behind the other in the flat list of weights, by what they cross and how many indices that makes.
# Classes of times and counts are bit lengths: each is twice as wide as the one before.
_SIZES = {
    "unread × idle": 10 * 21,
    "habit × idle, with news or without": 17 * 11 * 2,
    "often × time since own visit": 17 * 24,
    "messages of own last turn × place among the posters × unread": 5 * 5 * 10,
    "pace × habit": 20 * 5,
    "age × length": 20 * 12,
    "news since the viewer's last act × poster's affinity, own room": 6 * 7 * 2,
    "share of those who left from here": 16 * 2,
    "share of the viewer's places × idle": 6 * 21,
    "share of elsewhere × unread": 10 * 10,
    "mentioned, preferred": 2 * 2,
    "elsewhere: its share": 20,
    "elsewhere: time since last act": 17,
    "elsewhere: turns": 16,
}
_STARTS = dict(zip(_SIZES, (sum(list(_SIZES.values())[:at]) for at in range(len(_SIZES))), strict=True))
(_UNREAD, _HABIT, _OFTEN, _TURN, _PACE, _AGE, _NEWS, _FOLLOW, _PLACE, _KEEN, _CALLED, _GONE, _AWAY, _TURNS) = (
    _STARTS.values()
)
_FIRST_CALLED = (0.0, 1.0, 2.0, 2.5)
"""What a declared preference and a mention are worth until more is known; the rest begins at 0."""


class _Options:
    """The candidates of one viewer at one time: rooms, rows, own rows and chances; the last is elsewhere."""

    __slots__ = ("chances", "own", "rooms", "rows")

    def __init__(self) -> None:
        self.rooms: list[str] = []
        self.rows: list[tuple[int, ...]] = []
        self.own: list[int] = []
        self.chances: list[float] = []


class BlendedPredictor:
    """A viewer's own history, what others do next, room activity, mentions and preferences, weighed online.

    On the Lean archive (last 20 % of switches) it names the next stream first in 47 %, in its three first in 78 %;
    the next topic in 30 % and 46 %. `benchmarks/prediction.py` measures it.

    ``place`` names the larger place of a room (a Zulip stream, a Matrix space, a Discord server), in which a viewer
    has habits even where the room is new; called once per room as it becomes known. Without it, topics fall to 29 %
    and 44 %. ``max_viewers``: 10,000, below 2 kB each; ``max_rooms``: 20,000, about 1 kB each; the one that is
    longest without a visit or an act makes place.

    >>> blend = BlendedPredictor()
    >>> for at, room in enumerate(["rust", "go"] * 20):
    ...     blend.visited("ada", room, now=60.0 * at)
    >>> blend.predict("ada", now=2400.0, limit=1)[0].room
    'rust'
    """

    def __init__(
        self,
        *,
        place: Callable[[str], str] | None = None,
        max_viewers: int = 10_000,
        max_rooms: int = 20_000,
    ) -> None:
        self.max_viewers: int = at_least("max_viewers", max_viewers, 1)
        self.max_rooms: int = at_least("max_rooms", max_rooms, 1)
        self._place = place
        self._viewers: OrderedDict[str, ViewerTrace] = OrderedDict()
        self._rooms: OrderedDict[str, RoomTrace] = OrderedDict()  # the most recent last
        self._numbers: dict[int, RoomTrace] = {}
        self._next = 1
        self._now = 0.0
        self._model = OnlineSoftmax(sum(_SIZES.values()))
        self._model.weights[_CALLED : _CALLED + 4] = _FIRST_CALLED
        self._asked: tuple[str, float, _Options] | None = None  # the last reading, until something changes

    def visited(self, viewer: str, room: str, now: float) -> None:
        """See `Predictor.visited`. A switch costs as much as `predict` and the learning from it."""
        named("viewer", viewer)
        named("room", room)
        now, place = instant(now), self._whereabouts(room)
        who = entry(self._viewers, viewer, self.max_viewers, ViewerTrace)
        here = self._numbers.get(who.rooms[0])
        if here is not None and here.name != room:
            self._learn(viewer, who, room, max(self._now, now))  # before `room` counts as the most recent
        now = self._pass(now)
        trace = self._touch(room, place)
        if trace is not here:
            if here is not None:
                here.followers.count(trace.number)
            who.turned(trace)
        who.stays(trace, now)

    def activity(self, room: str, user: str, kind: ActivityKind, now: float) -> None:
        """See `Predictor.activity`. A mention of somebody who never visited a room is not kept. O(1)."""
        named("room", room)
        named("user", user)
        known_kind(kind)
        now, place = self._pass(instant(now)), self._whereabouts(room)
        trace = self._touch(room, place)
        who = self._viewers.get(user)
        if kind == "message":
            one = mark(user)
            if who is not None:
                who.posted(trace, one, now)
            trace.posted(one, now)
        elif kind == "mention" and who is not None and who.rooms[0] != trace.number:
            who.mentioned(trace.number)

    def predict(self, viewer: str, now: float, limit: int = 5) -> tuple[Prediction, ...]:
        """See `Predictor.predict`. O(candidates), at most 46; 70 to 100 µs for the usual 20."""
        named("viewer", viewer)
        now = max(self._now, instant(now))
        at_least("limit", limit, 0)
        options = self._read(viewer, self._viewers.get(viewer), now)
        return likeliest(zip(options.rooms[:-1], options.chances, strict=False), limit)

    def preferences(self, viewer: str, rooms: Sequence[str]) -> None:
        """See `Predictor.preferences`; at most 16. The rooms count as known from now on. O(rooms)."""
        named("viewer", viewer)
        places = {room: self._whereabouts(room) for room in preferred(rooms)}
        kept = [self._touch(room, place).number for room, place in places.items()]
        self._asked = None
        entry(self._viewers, viewer, self.max_viewers, ViewerTrace).preferred = tuple(kept)

    def forget(self, viewer: str) -> None:
        """See `Predictor.forget`. What the viewer taught stays in common weights, which name nobody. O(1)."""
        self._asked = None
        self._viewers.pop(viewer, None)

    def forget_room(self, room: str) -> None:
        """See `Predictor.forget_room`. O(1)."""
        self._asked = None
        trace = self._rooms.pop(room, None)
        if trace is not None:
            del self._numbers[trace.number]

    def check(self) -> None:
        """See `Predictor.check`."""
        assert len(self._viewers) <= self.max_viewers
        assert len(self._rooms) <= self.max_rooms
        assert {trace.number: trace for trace in self._rooms.values()} == self._numbers
        assert all(name == trace.name and trace.number < self._next for name, trace in self._rooms.items())
        for who in self._viewers.values():
            who.check()
        for trace in self._rooms.values():
            trace.followers.check()

    def _pass(self, now: float) -> float:
        self._asked = None
        self._now = max(self._now, now)
        return self._now

    def _whereabouts(self, room: str) -> int:
        """The mark of the place of ``room``; nothing has changed where the host's function raises or lies."""
        trace = self._rooms.get(room)
        if trace is not None:
            return trace.place
        where = self._place(room) if self._place else ""
        if not isinstance(where, str):
            raise InvalidValue("place", f"must return a string, returned {where!r} for {room!r}")
        return mark(where)

    def _touch(self, room: str, place: int) -> RoomTrace:
        """The trace of ``room``, now the most recent one; made if it is new."""
        trace = self._rooms.get(room)
        if trace is not None:
            self._rooms.move_to_end(room)
            return trace
        if len(self._rooms) == self.max_rooms:
            self.forget_room(next(iter(self._rooms)))
        trace = RoomTrace(room, self._next, place, self._now)
        self._rooms[room] = self._numbers[trace.number] = trace
        self._next += 1
        return trace

    def _learn(self, viewer: str, who: ViewerTrace, room: str, now: float) -> None:
        """``viewer`` is about to switch to ``room``: move the weights, and count the way from here."""
        options = self._read(viewer, who, now)
        rooms, chances = options.rooms, options.chances
        chosen = rooms.index(room) if room in rooms else len(rooms) - 1
        self._model.learn(options.rows, chances, chosen)
        for option, own in enumerate(options.own):
            error = chances[option] - (option == chosen)
            who.weights[own] -= OWN_RATE * error
        who.elsewhere += 0.05 * ((chosen == len(rooms) - 1) - who.elsewhere)

    def _candidates(self, who: ViewerTrace) -> list[RoomTrace]:
        """Each candidate once, in an order that depends on what was told and on nothing else."""
        here = who.rooms[0]
        numbers = dict.fromkeys(who.rooms[1:])
        for trace in islice(reversed(self._rooms.values()), RECENT_ROOMS):
            numbers[trace.number] = None
        numbers.update(dict.fromkeys(who.called + who.preferred))
        if here in self._numbers:
            shares = sorted(self._numbers[here].followers.shares(), key=lambda one: -one[1])
            numbers.update((number, None) for number, _ in shares[:FOLLOWED])
        known = self._numbers
        return [known[number] for number in numbers if number in known and number != here]

    def _read(self, viewer: str, who: ViewerTrace | None, now: float) -> _Options:
        """What may come next for ``viewer``; read once, if `visited` follows on `predict` at the same time."""
        if self._asked is not None and self._asked[0] == viewer and self._asked[1] == now:
            return self._asked[2]
        options = self._weigh(mark(viewer) if who else STRANGER, who or ViewerTrace(), now)
        self._asked = (viewer, now, options)
        return options

    def _weigh(self, me: int, who: ViewerTrace, now: float) -> _Options:
        """Read each candidate into a row of indices and score it. One long loop, because it is the cost."""
        options, scores = _Options(), []
        rooms, rows, owns = options.rooms, options.rows, options.own
        weight, own_weights = self._model.weights.__getitem__, who.weights
        row_of = {number: row for row, number in enumerate(who.rooms) if number}
        at, seen, turn, last, called, stars = who.at, who.seen, who.turn, who.last, who.called, who.preferred
        often = _classes(who.often, root=False)
        habit = _classes(who.habit, root=True)
        peers = {peer: 2 + 2 * min(4, int(10.0 * share)) for peer, share in who.peers.shares()}
        places = {where: 21 + 21 * (min(14, int(15.0 * sqrt(share))) // 3) for where, share in who.places.shares()}
        here = self._numbers.get(who.rooms[0])
        follow = {n: 2 * min(15, int(16.0 * sqrt(share))) for n, share in here.followers.shares()} if here else {}
        keen, faded = _KEEN + 10 * min(9, int(10.0 * who.elsewhere)), now / HALVING_S
        for room in self._candidates(who):
            number, posters, messages = room.number, room.posters, room.messages
            row = row_of.get(number)
            if row is None:
                unread, mine, new, turned, often_, habit_, since = 9, 0, 1, 0, 16, 16, 23
            else:
                unread = (messages - seen[row]).bit_length()
                unread = unread if unread < 8 else 8
                mine, new, turned, often_, habit_ = 1, unread > 0, turn[row], often[row], habit[row]
                since = int((now - at[row]) * 0.25).bit_length()
                since = since if since < 22 else 22
            idle = int((now - room.last) * 0.25).bit_length()
            idle = idle if idle < 20 else 20
            age = int((now - room.begun) * 0.0625).bit_length()
            length = messages.bit_length()
            poster = posters[0] if posters else 0
            indices = (
                _UNREAD + 21 * unread + idle,
                _HABIT + 22 * habit_ + (idle & 30) + new,
                _OFTEN + 24 * often_ + since,
                _TURN + 50 * turned + 10 * (posters.index(me) if me in posters else 4) + unread,
                _PACE + 5 * room.pace(faded) + habit_ // 4,
                _AGE + 12 * (age if age < 19 else 19) + (length if length < 11 else 11),
                _NEWS
                + 14 * (3 * (room.last > last) + mine + new * mine)
                + (12 if poster == me else peers.get(poster, 0))
                + (room.starter == me),
                _FOLLOW + follow.get(number, 0) + mine,
                _PLACE + places.get(room.place, 0) + idle,
                keen + unread,
                _CALLED + 2 * (number in called) + (number in stars),
            )
            own = unread + (10 if idle >= 10 else 0)
            scores.append(sum(map(weight, indices), own_weights[own]))
            rooms.append(room.name)
            rows.append(indices)
            owns.append(own)
        gone = (
            _GONE + min(19, int(20.0 * who.elsewhere)),
            _AWAY + min(16, int((now - last) * 0.0625).bit_length()),
            _TURNS + min(15, who.turns.bit_length()),
        )
        rooms.append(ELSEWHERE)
        rows.append(gone)
        scores.append(sum(map(weight, gone)))
        options.chances = self._model.chances(scores)
        return options


def _classes(counts: array[float], root: bool) -> list[int]:
    """Each count's share of the whole in sixteen classes, even ones of the share or of its square root."""
    whole = sum(counts) or 1.0
    if root:
        return [min(15, int(16.0 * sqrt(count / whole))) for count in counts]
    return [min(15, int(16.0 * count / whole)) for count in counts]
