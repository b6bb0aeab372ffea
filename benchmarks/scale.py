"""Whether many rooms cost more than few: 1,000, 10,000 and 100,000 rooms, all held at BACKGROUND, one viewer each.

Rooms are drawn by Zipf's law with the exponent that fits the messages per topic of the Lean archive best (maximum
likelihood; printed anew where the data is here). Both sides see one sequence of draws: ours publishes, or lets a viewer
enter and leave; the bare baseline appends to a deque of 50, or moves the room between two dicts. Time per item grows on
both sides, for more rooms fit a processor's caches worse: what must not grow is the ratio.

Pauses are measured apart, with the collector on as in any program, in CPU time (on a shared machine the longest of
thousands is otherwise the one in which somebody else ran): the longest single call, and the longest run of the
collector, a full one.
"""

from __future__ import annotations

import gc
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, count
from random import Random

import attrs

from benchmarks.harness import Comparison, Figure, at_most, read_ndjson, shared_data
from benchmarks.rooms import NOW, BareRoom, collector_off, compared, in_turns, updates
from roomstate import MessageAdded, RoomStateManager

SIZES = (1_000, 10_000, 100_000)
EXPONENT = 0.67  # what `fitted` found on the Lean archive: 150,000 messages in 9,954 topics
BACKGROUND = 50
PER_VIEWER = 1000
BATCH = 100
TURNS = 150
MOVES = 50
PAUSE_MS = 50.0
RISE = 1.1  # ratios of one size differ by this much from run to run

Posts = list[tuple[str, MessageAdded]]


def fitted(counts: Sequence[int]) -> float:
    """The exponent of Zipf's law under which these counts are likeliest, to two decimals."""
    ranked = sorted(counts, reverse=True)
    logs = [math.log(rank) for rank in range(1, len(ranked) + 1)]
    weighted, total = sum(map(float.__mul__, logs, map(float, ranked))), sum(ranked)

    def loss(exponent: float) -> float:
        return exponent * weighted + total * math.log(sum(math.exp(-exponent * log) for log in logs))

    return min((step / 100 for step in range(30, 200)), key=loss)


class Zipf:
    """Draws room ids, the same ones at every run; which rooms are the busy ones has nothing to do with their order."""

    def __init__(self, room_ids: Sequence[str], seed: int) -> None:
        self.random = Random(seed)
        self.room_ids = self.random.sample(room_ids, len(room_ids))
        self.weights = list(accumulate(rank**-EXPONENT for rank in range(1, len(room_ids) + 1)))

    def draw(self, count: int) -> list[str]:
        return self.random.choices(self.room_ids, cum_weights=self.weights, k=count)


@attrs.define
class Pauses:
    """The longest run of the collector, in ms, while this is among ``gc.callbacks``."""

    longest: float = 0.0
    started: int = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self.started = time.thread_time_ns()
        else:
            self.longest = max(self.longest, (time.thread_time_ns() - self.started) / 1e6)


class Ours:
    """A manager that holds every room at BACKGROUND."""

    def __init__(self, room_ids: Sequence[str]) -> None:
        self.rooms = RoomStateManager(
            new_epoch=lambda: "epoch", clock=lambda: NOW, max_bytes=1 << 40, moves_per_s=1e9, burst=10**9
        )
        for number, room_id in enumerate(room_ids):
            self.rooms.follow(f"viewer{number // PER_VIEWER}", room_id, now=NOW)

    def publish(self, posts: Posts) -> None:
        publish = self.rooms.publish
        for room_id, update in posts:
            publish(room_id, update, now=NOW)

    def move(self, room_ids: list[str]) -> None:
        for room_id in room_ids:
            self.rooms.enter("looker", room_id, now=NOW)
            self.rooms.leave("looker", room_id, now=NOW)


class Bares:
    """The baseline: a deque of 50 a room, and two dicts to move rooms between."""

    def __init__(self, room_ids: Sequence[str]) -> None:
        self.background = {room_id: BareRoom(BACKGROUND) for room_id in room_ids}
        self.active: dict[str, BareRoom] = {}

    def append(self, room_id: str, seq: int, update: MessageAdded) -> None:
        room = self.background[room_id]
        if seq != room.seq + 1:
            raise ValueError(f"{room_id}: got {seq} after {room.seq}")
        room.seq = seq
        room.messages.append(update.message)

    def publish(self, posts: Posts) -> None:
        append, rooms = self.append, self.background
        for room_id, update in posts:
            append(room_id, rooms[room_id].seq + 1, update)

    def move(self, room_ids: list[str]) -> None:
        for room_id in room_ids:
            room = self.active[room_id] = self.background.pop(room_id)
            room.messages = deque(room.messages, maxlen=PER_VIEWER)
            room = self.background[room_id] = self.active.pop(room_id)
            room.messages = deque(room.messages, maxlen=BACKGROUND)


@attrs.frozen
class Measured:
    """What was measured at one number of rooms; pauses in ms."""

    rooms: int
    apply: Comparison
    move: Comparison
    call: float
    collector: float


def measured(size: int) -> Measured:
    gc.collect()
    gc.freeze()  # what the process held before is not what is measured
    try:
        return _measured(size)
    finally:
        gc.unfreeze()


def _measured(size: int) -> Measured:
    room_ids = [f"room{number}" for number in range(size)]
    draws = Zipf(room_ids, seed=size)
    ours, bares = Ours(room_ids), Bares(room_ids)
    texts = (update for start in count(0, BATCH) for update in updates(BATCH, start))

    def posts() -> Posts:
        return [(room_id, next(texts)) for room_id in draws.draw(BATCH)]

    for _ in range(size // BATCH):  # a message a room, on average
        batch = posts()
        ours.publish(batch)
        bares.publish(batch)
    with collector_off():
        pairs = in_turns(ours.publish, bares.publish, lambda turn: (posts(), posts()), TURNS, TURNS // 8)
        moves = in_turns(ours.move, bares.move, lambda turn: (draws.draw(20), draws.draw(20)), MOVES, 5)
    del bares
    call, collector = pauses(ours, [pair for _ in range(MOVES) for pair in posts()])
    return Measured(size, compared(pairs, BATCH), compared(moves, 40), call, collector)


def pauses(ours: Ours, posts: Posts) -> tuple[float, float]:
    """The longest call, and the longest run of the collector, of calls one by one; the last run is a full one."""
    longest, collector = 0, Pauses()
    gc.callbacks.append(collector)
    try:
        for number, post in enumerate(posts):
            start = time.thread_time_ns()
            ours.publish([post])
            if number % 10 == 0:
                ours.move([post[0]])
            longest = max(longest, time.thread_time_ns() - start)
        gc.collect()
    finally:
        gc.callbacks.remove(collector)
    return longest / 1e6, collector.longest


def scaling(name: str, results: Sequence[Measured], pick: Callable[[Measured], Comparison]) -> Iterator[Figure]:
    """A ratio to the baseline at each number of rooms; it must not rise from the first."""
    first = pick(results[0]).ratio
    for result in results:
        here = pick(result)
        figure = here.figure(f"{name}, {result.rooms:,} rooms")
        yield attrs.evolve(figure, goal=f"≤ {RISE * first:.2f}×", met=here.ratio <= RISE * first)


def import_ms(statement: str, compiled: str) -> float:
    """CPU ms of a new interpreter that runs one statement; it finds, and leaves, bytecode in ``compiled``."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", statement]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**environment, "PYTHONPYCACHEPREFIX": compiled})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def importing(rounds: int = 15) -> Figure:
    """What importing costs, the modules being compiled already, as they are after an installation."""
    with tempfile.TemporaryDirectory() as compiled:
        pairs = [(import_ms("import roomstate", compiled), import_ms("pass", compiled)) for _ in range(rounds + 1)][1:]
    more = statistics.median(ours - bare for ours, bare in pairs)
    bare = statistics.median(bare for _, bare in pairs)
    return at_most("import roomstate, CPU time beyond a bare interpreter's", more, 60, "ms", bare)


def run() -> Iterator[Figure]:
    yield importing()
    lean = shared_data("chat/lean-zulip.ndjson.zst")
    if lean is not None:
        counts = Counter((line["room"], line["topic"]) for line in read_ndjson(lean))
        yield Figure(
            what="Zipf exponent of the Lean log, drawn with",
            value=EXPONENT,
            unit="",
            baseline=fitted([*counts.values()]),
        )
    results = [measured(size) for size in SIZES]
    yield from scaling("publish", results, lambda result: result.apply)
    yield from scaling("enter and leave, a transition each", results, lambda result: result.move)
    for result in results:
        yield at_most(f"longest call, {result.rooms:,} rooms", result.call, PAUSE_MS, "ms")
        yield at_most(f"longest run of the collector, {result.rooms:,} rooms", result.collector, PAUSE_MS, "ms")
