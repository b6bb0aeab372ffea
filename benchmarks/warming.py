"""Is the room ready when its viewer turns to it? Caches of 56 and 100 rooms on an archive's events by topic.

A turn is a message in another room than the viewer's previous one (the first one included); it is ready if its room
is in the cache at that moment. Every message touches its room. Loads are planned right after a turn ("on enter"), or
right before it, when the viewer is known to be there but not where to ("on appearing": what a host does that calls
``warm(viewer)`` as a viewer connects).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from benchmarks.harness import Figure, at_least, at_most
from benchmarks.prediction import Visit, given, lean_events, place
from roomstate.residency.blend import BlendedPredictor
from roomstate.residency.cache import RoomCache
from roomstate.residency.eviction import EvictionPolicy, ScoredPolicy
from roomstate.residency.scorers import LruScorer
from roomstate.residency.traces import TRAIL
from roomstate.residency.warming import Warmer

CLOSED, WASTE = 0.4, 3.0


class Side:
    """A cache, and a warmer where there is one; counts the turns that are ready."""

    def __init__(self, rooms: int, *, lru: bool, predictor: BlendedPredictor | None = None, early: bool = True) -> None:
        policy: EvictionPolicy | None = ScoredPolicy(LruScorer()) if lru else None
        self.cache = RoomCache(max_rooms=rooms, ttl=None, policy=policy)
        self.warmer = Warmer(predictor) if predictor else None
        self.early = early
        self.ready = self.turns = 0

    def warm(self, viewer: str, now: float, *, early: bool) -> None:
        if self.warmer is not None and early is self.early:
            for room, chance in self.warmer.plan(viewer, now, self.cache):
                self._put(room, now)
                self.cache.hint(room, now, likelihood=chance)

    def touch(self, room: str, now: float, *, turn: bool) -> None:
        found = self.cache.get(room, now) is not None
        if not found:
            self._put(room, now)
        if turn:
            self.turns += 1
            self.ready += found
            if self.warmer is not None:
                self.warmer.turned(room)

    def share(self) -> float:
        return self.ready / self.turns

    def _put(self, room: str, now: float) -> None:
        for gone in self.cache.put(room, b"-", now=now):
            if self.warmer is not None:
                self.warmer.dropped(gone.room_id)


def turns(visits: list[Visit]) -> Iterator[bool]:
    """Whether each visit is a turn."""
    here: dict[str, str] = {}
    for _, viewer, room in visits:
        yield here.get(viewer) != room
        here[viewer] = room


def play(visits: list[Visit], predictor: BlendedPredictor, sides: list[Side]) -> None:
    """Lead all sides through the same events; they share the predictor, not the warmer."""
    for (now, viewer, room), turn in zip(visits, turns(visits), strict=True):
        if turn:
            for side in sides:
                side.warm(viewer, now, early=True)
        for side in sides:
            side.touch(room, now, turn=turn)
        predictor.visited(viewer, room, now)
        predictor.activity(room, viewer, "message", now)
        if turn:
            for side in sides:
                side.warm(viewer, now, early=False)


def never_seen(visits: list[Visit]) -> float:
    """The share of turns that go to a room nobody was in: no cache and no warmer has it."""
    seen: set[str] = set()
    fresh = total = 0
    for (_, _, room), turn in zip(visits, turns(visits), strict=True):
        total += turn
        fresh += turn and room not in seen
        seen.add(room)
    return fresh / total


def belady(visits: list[Visit], rooms: int) -> float:
    """The share of turns that are ready if who knows the future evicts, and nobody warms."""
    after, following = [0] * len(visits), dict[str, int]()
    for at in range(len(visits) - 1, -1, -1):
        room = visits[at][2]
        after[at] = following.get(room, len(visits) + at)
        following[room] = at
    held: dict[str, int] = {}
    heap: list[tuple[int, str]] = []
    ready = total = 0
    for at, ((_, _, room), turn) in enumerate(zip(visits, turns(visits), strict=True)):
        total += turn
        ready += turn and room in held
        held[room] = after[at]
        heapq.heappush(heap, (-after[at], room))
        while len(held) > rooms:
            when, last = heapq.heappop(heap)
            if held.get(last) == -when:
                del held[last]
    return ready / total


def in_reach(visits: list[Visit], rooms: int) -> float:
    """The share of turns that LRU has not ready, and that go to one of the viewer's last rooms.

    So much would be closed by who knows which of them it will be; it bounds every warmer that looks there.
    """
    lru, trails = Side(rooms, lru=True), dict[str, list[str]]()
    reached = 0
    for (now, viewer, room), turn in zip(visits, turns(visits), strict=True):
        trail = trails.setdefault(viewer, [])
        if turn:
            reached += room not in lru.cache and room in trail
            trail[:] = [room, *(other for other in trail if other != room)][:TRAIL]
        lru.touch(room, now, turn=turn)
    return reached / lru.turns


def figures(what: str, side: Side, lru: float, ceiling: float, goal: bool) -> Iterator[Figure]:
    """How much of the way from LRU to the ceiling is closed, and what it costs."""
    assert side.warmer is not None
    stats, name = side.warmer.stats(), f"{side.cache.max_rooms} rooms, {what}"
    closed, waste = (side.share() - lru) / (ceiling - lru), stats.wasted / max(1, stats.used)
    yield given(f"{name}: turns ready", side.share(), "share", lru)
    yield given(f"{name}: loads for 100 turns", 100 * stats.planned / side.turns, "loads")
    if goal:
        yield at_least(f"{name}: of the way to the ceiling", closed, CLOSED, "share")
    yield at_most(f"{name}: wasted loads for a useful one", waste, WASTE, "loads")


def run() -> Iterable[Figure]:
    """About five minutes; nothing without the data."""
    visits = lean_events(by_topic=True)
    if not visits:
        return
    predictor = BlendedPredictor(place=place)
    plain = {rooms: Side(rooms, lru=True) for rooms in (56, 100)}
    default = {rooms: Side(rooms, lru=False) for rooms in (56, 100)}
    appear = {rooms: Side(rooms, lru=False, predictor=predictor) for rooms in (56, 100)}
    over_lru = Side(100, lru=True, predictor=predictor)
    enter = Side(100, lru=False, predictor=predictor, early=False)
    play(visits, predictor, [*plain.values(), *default.values(), *appear.values(), over_lru, enter])
    ceiling = 1.0 - never_seen(visits)
    yield given("rooms seen before: the ceiling", ceiling, "share")
    for rooms in (56, 100):
        yield given(f"{rooms} rooms, LRU: turns ready", plain[rooms].share(), "share")
        yield given(f"{rooms} rooms, Belady's optimum without warming", belady(visits, rooms), "share")
        yield given(f"{rooms} rooms, the default policy alone", default[rooms].share(), "share")
    lru = plain[100].share()
    reach = in_reach(visits, 100) / (ceiling - lru)
    yield given("100 rooms: of the way, if the viewer's room of the last 12 were known", reach, "share")
    yield from figures("LRU, warmed on appearing", over_lru, lru, ceiling, goal=True)
    yield from figures("default, warmed on appearing", appear[100], lru, ceiling, goal=True)
    yield from figures("default, warmed on enter", enter, lru, ceiling, goal=True)
    yield from figures("default, warmed on appearing", appear[56], plain[56].share(), ceiling, goal=False)
    yield at_least("56 rooms, eviction and warming: above Belady on demand", appear[56].share(), 0.806, "share")
