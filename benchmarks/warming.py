"""Is the room ready when its viewer turns to it? Caches of 56 and 100 rooms on an archive's events by topic.

A turn is a message in another room than the viewer's previous one (the first one included); it is ready if its room
is in the cache at that moment. Every message touches its room. Loads are planned right after a turn ("on enter"), or
right before it, when the viewer is known to be there but not where to ("on appearing": what a host does that calls
``warm(viewer)`` as a viewer connects).

What bounds it comes first: of the turns that LRU has not ready and that go to a room which somebody was in before,
the share that goes to each kind of room. Who knew which room of its kind it will be would close that share of the way.

Belady's optimum at 56 rooms on demand (80.6 % of all events' turns) is what eviction and warming together aim above.

``WARMING_EVENTS=300000`` takes the last events only, for a quick look: the ceiling is lower then.
"""

from __future__ import annotations

import heapq
import os
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from benchmarks.harness import Figure, at_least, at_most
from benchmarks.prediction import given, lean_events
from roomstate.cli.navigation import Ready, Side, Visit, place, play
from roomstate.residency.blend import BlendedPredictor
from roomstate.residency.eviction import ScoredPolicy
from roomstate.residency.scorers import LruScorer
from roomstate.residency.traces import TRAIL
from roomstate.residency.warming import LEAST_CHANCE, Warmer

EVENTS = int(os.environ.get("WARMING_EVENTS", "0"))
CLOSED, WASTE = 0.4, 3.0
SIZES = (56, 100)
FURTHER = 200
"""Rooms looked at by who wrote there last, of all rooms; 30 of a place, `TRAIL` and 50 of a viewer."""


def turns(visits: Iterable[Visit]) -> Iterator[bool]:
    """Whether each visit is a turn."""
    here: dict[str, str] = {}
    for _, viewer, room in visits:
        yield here.get(viewer) != room
        here[viewer] = room


def never_seen(visits: list[Visit]) -> float:
    """The share of turns that go to a room nobody was in: no cache and no warmer has it."""
    return len({visit.room for visit in visits}) / sum(turns(visits))


def plain(visits: list[Visit], rooms: int) -> float:
    """The share of turns that LRU has ready."""
    held: OrderedDict[str, None] = OrderedDict()
    ready = total = 0
    for (_, _, room), turn in zip(visits, turns(visits), strict=True):
        total += turn
        ready += turn and room in held
        _touch(held, room, rooms)
    return ready / total


def _touch(held: OrderedDict[str, None], room: str, most: int) -> None:
    held[room] = None
    held.move_to_end(room)
    if len(held) > most:
        held.popitem(last=False)


def belady(visits: list[Visit], rooms: int) -> float:
    """The share of turns that are ready if who knows the future evicts, and nobody warms."""
    after, following = [0] * len(visits), dict[str, int]()
    for at in range(len(visits) - 1, -1, -1):
        room = visits[at].room
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


def missed(visits: list[Visit], rooms: int) -> Mapping[str, float]:
    """Where the turns go that LRU has not ready, though somebody was there before: shares by kind of room."""
    everybody = OrderedDict[str, None]()
    own, places = (defaultdict[str, OrderedDict[str, None]](OrderedDict) for _ in range(2))
    messages, seen = Counter[str](), dict[tuple[str, str], int]()
    found, count = Counter[str](), 0
    for (_, viewer, room), turn in zip(visits, turns(visits), strict=True):
        mine = own[viewer]
        if turn and room in messages and room not in (recent := set(_last(everybody, rooms))):
            count += 1
            trail = _last(mine, 51)
            found["one of the viewer's last 12"] += room in trail[:TRAIL]
            found["one of the viewer's last 50"] += room in trail
            found["one of the viewer's, with messages since"] += messages[room] > seen.get((viewer, room), 1 << 60)
            found["one of the viewer's, with none since"] += messages[room] == seen.get((viewer, room))
            found["one where the viewer never was"] += room not in mine
            found[f"one of the {FURTHER - rooms} that LRU let go last"] += room in _last(everybody, FURTHER)
            found["one of the last 30 of its place"] += room in _last(places[place(room)], 30)
            found["one where others were in the last turns"] += room in recent
        messages[room] += 1
        seen[viewer, room] = messages[room]
        for kind in (everybody, mine, places[place(room)]):
            kind[room] = None
            kind.move_to_end(room)
    return {kind: times / count for kind, times in found.items()}


def _last(rooms: OrderedDict[str, None], count: int) -> list[str]:
    return list(islice(reversed(rooms), count))


def figures(what: str, side: Ready, lru: float, ceiling: float, goal: bool) -> Iterator[Figure]:
    """How much of the way from LRU to the ceiling is closed, and what it costs."""
    loads, name = side.loads, f"{side.rooms} rooms, {what}"
    assert loads is not None
    closed, waste = (side.share - lru) / (ceiling - lru), loads.wasted / max(1, loads.used)
    yield given(f"{name}: turns ready", side.share, "share", lru)
    yield given(f"{name}: loads for 100 turns", 100 * loads.planned / side.turns, "loads")
    if goal:
        yield at_least(f"{name}: of the way to the ceiling", closed, CLOSED, "share")
    else:
        yield given(f"{name}: of the way to the ceiling", closed, "share")
    yield at_most(f"{name}: wasted loads for a useful one", waste, WASTE, "loads")


def run() -> Iterable[Figure]:
    """About five minutes; nothing without the data."""
    visits = lean_events(by_topic=True)[-EVENTS:]
    if not visits:
        return
    ceiling = 1.0 - never_seen(visits)
    yield given("rooms seen before: the ceiling", ceiling, "share")
    for kind, share in missed(visits, 100).items():
        yield given(f"100 rooms, LRU: of the missed turns, to {kind}", share, "share")
    lru = {rooms: plain(visits, rooms) for rooms in SIZES}
    predictor = BlendedPredictor(place=place)

    def warm(rooms: int, *, early: bool = True, policy: ScoredPolicy | None = None, waste: float = WASTE) -> Side:
        warmer = Warmer(predictor, waste=waste, least_chance=LEAST_CHANCE * WASTE / waste)
        return Side(rooms, policy=policy, warmer=warmer, early=early, late=not early)

    default = {rooms: Side(rooms) for rooms in SIZES}
    early = {rooms: warm(rooms) for rooms in SIZES}
    over_lru = warm(100, policy=ScoredPolicy(LruScorer()))
    late, lavish = warm(100, early=False), warm(56, waste=9.0)
    play(visits, predictor, [*default.values(), *early.values(), over_lru, late, lavish])
    optimum = {rooms: belady(visits, rooms) for rooms in SIZES}
    for rooms in SIZES:
        yield given(f"{rooms} rooms, LRU: turns ready", lru[rooms], "share")
        yield given(f"{rooms} rooms, Belady's optimum without warming", optimum[rooms], "share")
        yield given(f"{rooms} rooms, the default policy alone", default[rooms].value().share, "share", lru[rooms])
    yield from figures("LRU, warmed on appearing", over_lru.value(), lru[100], ceiling, goal=True)
    yield from figures("default, warmed on appearing", early[100].value(), lru[100], ceiling, goal=True)
    yield from figures("default, warmed on enter", late.value(), lru[100], ceiling, goal=True)
    yield from figures("default, warmed on appearing", early[56].value(), lru[56], ceiling, goal=False)
    yield from figures("default, nine wasted loads allowed", lavish.value(), lru[56], ceiling, goal=False)
    best = max(early[56].value().share, lavish.value().share)
    yield at_least("56 rooms, eviction and warming: above Belady on demand", best, optimum[56], "share")
