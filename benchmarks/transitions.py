"""How long a room takes to change its tier, inside the core: what stores and codecs do is not part of it.

The room holds 1000 messages, 100 users follow it and have read markers, and there is a log. Timed is one call each:

* down: ``leave`` of the last who looks at it, until it returns the `SaveSnapshot` with the image to be encoded;
* up: ``enter``, until what BACKGROUND held shows as ACTIVE, and the `LoadSnapshot` for the rest is returned;
* fill: ``complete`` of that `LoadSnapshot` with a freshly decoded snapshot of 1000 messages.

The baseline, taken in the same turn, puts the same 1000 messages into a ``deque`` and into a dict by id: the least that
holds them and finds them. The collector is on, as in a program. Goals are held against CPU time: on a machine that is
shared, the slowest of a hundred calls are those in which somebody else was running. The wall clock is printed beside.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchmarks.harness import Figure, at_most, percentile
from benchmarks.rooms import NOW, VIEWERS, WINDOW, answer, updates
from roomstate import RoomImage, RoomStateManager
from roomstate.effects import Effect, Event, Head, Loaded, LoadSnapshot, SaveSnapshot

REPETITIONS = 1500
WARM_UP = 20
WHAT = {
    "down": ("ACTIVE to BACKGROUND before encoding", 0.3),
    "up": ("BACKGROUND to ACTIVE from what is held", 0.1),
    "fill": ("filling from a decoded snapshot", 1.5),
}
_decode = msgspec.json.Decoder(RoomImage).decode


class Clocks:
    """Wall and CPU time, in ms, of one call at a time."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], Any]) -> Any:
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        result = work()
        self.wall.setdefault(name, []).append((time.perf_counter_ns() - wall) / 1e6)
        self.cpu.setdefault(name, []).append((time.thread_time_ns() - cpu) / 1e6)
        return result


def only(kind: type[Any], outputs: tuple[Effect | Event, ...]) -> Any:
    (effect,) = (effect for effect in outputs if isinstance(effect, kind))
    return effect


def room_in_use() -> RoomStateManager:
    """A room that 100 users follow and 2000 messages went through."""
    rooms = RoomStateManager(
        durability="logged", new_epoch=lambda: "epoch", clock=lambda: NOW, moves_per_s=1e9, burst=10**9
    )
    for number in range(VIEWERS):
        answer(rooms, rooms.follow(f"viewer{number}", "room", user=f"user{number}", now=NOW))
    answer(rooms, rooms.enter("looker", "room", now=NOW))
    for update in updates(2 * WINDOW):
        answer(rooms, rooms.publish("room", update, now=NOW))
    return rooms


def cycle(rooms: RoomStateManager, clocks: Clocks) -> None:
    """Once down, up and filled; the room is as before then."""
    save = only(SaveSnapshot, clocks.time("down", lambda: rooms.leave("looker", "room", now=NOW)))
    assert len(save.image.messages) == WINDOW
    encoded = msgspec.json.encode(save.image)
    answer(rooms, rooms.complete(save.request_id, b"x", now=NOW))
    load = only(LoadSnapshot, clocks.time("up", lambda: rooms.enter("looker", "room", now=NOW)))
    image = _decode(encoded)
    loaded = Loaded(Head(image.position, image.ordinal), image)
    answer(rooms, clocks.time("fill", lambda: rooms.complete(load.request_id, loaded, now=NOW)))
    held = rooms.view("room").messages
    assert held[-1] == image.messages[-1]
    assert len(held) == WINDOW
    clocks.time("bare", lambda: (deque(held, maxlen=WINDOW), {message.id: message for message in held}))


def run() -> Iterator[Figure]:
    rooms, clocks = room_in_use(), Clocks()
    for _ in range(WARM_UP):
        cycle(rooms, Clocks())
    for _ in range(REPETITIONS):
        cycle(rooms, clocks)
    for name, (what, limit) in WHAT.items():
        cpu, bare = percentile(clocks.cpu[name], 0.99), percentile(clocks.cpu["bare"], 0.99)
        yield at_most(f"{what}, p99 of {REPETITIONS}", cpu, limit, "ms", bare)
        for share, how in ((0.99, "p99 by the wall clock"), (0.5, "median by the wall clock")):
            wall, bare = percentile(clocks.wall[name], share), percentile(clocks.wall["bare"], share)
            yield Figure(what=f"  {how}", value=wall, unit="ms", baseline=bare, ratio=wall / bare)
    rooms.check()
