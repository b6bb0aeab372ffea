"""What several benchmarks need: messages, a manager with a room that is full and watched, and the bare baseline."""

from __future__ import annotations

import gc
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

import msgspec

from benchmarks.harness import Comparison
from roomstate import Message, MessageAdded, MessageLike, RoomStateManager
from roomstate.effects import Appended, AppendLog, Loaded, LoadHead, LoadSnapshot, SaveSnapshot

NOW = 1_800_000_000.0
WINDOW = 1000
VIEWERS = 100
START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = "the a of to is that it you and in for I on this have not with be as can but so if we my what just".split()


def contents(count: int, seed: int = 1) -> list[str]:
    """Chat lines of 1 to 17 short words, 35 characters on average: as long as those of an IRC channel."""
    random = Random(seed)
    return [" ".join(random.choices(WORDS, k=random.randint(1, 17))) for _ in range(count)]


def updates(count: int, start: int = 0) -> list[MessageAdded]:
    """Messages of 100 users, a second apart; ``start`` is the number of the first."""
    return [
        MessageAdded(Message(f"{number:09d}", f"user{number % VIEWERS}", content, START + timedelta(seconds=number)))
        for number, content in enumerate(contents(count, seed=start + 1), start)
    ]


def encoded(count: int, start: int = 0) -> list[bytes]:
    """`updates` as JSON."""
    return [msgspec.json.encode(update) for update in updates(count, start)]


decode: Callable[[bytes], MessageAdded] = msgspec.json.Decoder(MessageAdded).decode


def answer(rooms: RoomStateManager, outputs: Sequence[Any], now: float = NOW) -> None:
    """Carry out effects as a store that is empty, and at once, would."""
    queue = deque(outputs)
    while queue:
        effect = queue.popleft()
        if isinstance(effect, AppendLog):
            queue.extend(rooms.complete(effect.request_id, Appended(effect.entries[-1].seq), now=now))
        elif isinstance(effect, LoadSnapshot):
            queue.extend(rooms.complete(effect.request_id, Loaded(), now=now))
        elif isinstance(effect, LoadHead):
            queue.extend(rooms.complete(effect.request_id, None, now=now))
        elif isinstance(effect, SaveSnapshot):
            queue.extend(rooms.complete(effect.request_id, b"x", now=now))


def watched(
    durability: Literal["none", "relaxed", "logged"] = "none",
    room_id: str = "room",
    *,
    history: Sequence[MessageAdded] | None = None,
) -> RoomStateManager:
    """A manager with an ACTIVE room that 100 viewers look at, and that ``history`` (None: 2000) went through."""
    rooms = RoomStateManager(durability=durability, new_epoch=lambda: "epoch", clock=lambda: NOW)
    for number in range(VIEWERS):
        answer(rooms, rooms.enter(f"viewer{number}", room_id, user=f"user{number}", now=NOW))
    for update in updates(2 * WINDOW, start=-2 * WINDOW) if history is None else history:
        answer(rooms, rooms.publish(room_id, update, now=NOW))
    return rooms


class BareRoom:
    """A room of the baseline: the seq of the last message, and the last messages."""

    __slots__ = ("messages", "seq")

    def __init__(self, window: int = WINDOW) -> None:
        self.seq = 0
        self.messages: deque[MessageLike] = deque(maxlen=window)


class Bare:
    """The least that holds the last messages of many rooms: a look-up, a sequence check, an append."""

    def __init__(self, room_ids: Sequence[str] = ("room",), history: Sequence[MessageAdded] | None = None) -> None:
        self.rooms = {room_id: BareRoom() for room_id in room_ids}
        for seq, update in enumerate(updates(2 * WINDOW, start=-2 * WINDOW) if history is None else history, start=1):
            self.append(room_ids[0], seq, update.message)

    def append(self, room_id: str, seq: int, message: Any) -> None:
        room = self.rooms[room_id]
        if seq != room.seq + 1:
            raise ValueError(f"{room_id}: got {seq} after {room.seq}")
        room.seq = seq
        room.messages.append(message)


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect, then keep the collector off: it would find nothing, and run in whoever's turn comes."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def compared(pairs: Sequence[tuple[float, float]], items: int) -> Comparison:
    """Sum up turns of ``items`` each, timed in ns as (work, baseline): the ratio is the median of the turns' ratios."""
    low, middle, high = statistics.quantiles([work / base for work, base in pairs], n=4)
    works, bases = [work / items for work, _ in pairs], [base / items for _, base in pairs]
    return Comparison(
        statistics.median(works), statistics.median(bases), middle, low, high, best=min(works), best_baseline=min(bases)
    )


def timed(work: Callable[[Any], object], prepared: Any) -> int:
    """Nanoseconds that ``work(prepared)`` takes."""
    start = time.perf_counter_ns()
    work(prepared)
    return time.perf_counter_ns() - start


def in_turns(
    work: Callable[[Any], object],
    baseline: Callable[[Any], object],
    prepare: Callable[[int], tuple[Any, Any]],
    turns: int,
    warm_up: int,
) -> list[tuple[float, float]]:
    """Time both in each turn, with what ``prepare(turn)`` made untimed for each; which is first changes with the turn.

    The first ``warm_up`` turns are not counted. What a turn was given is let go after it: the room alone owns it.
    """
    pairs: list[tuple[float, float]] = []
    for turn in range(turns):
        for_work, for_baseline = prepare(turn)
        if turn % 2:
            base, spent = timed(baseline, for_baseline), timed(work, for_work)
        else:
            spent, base = timed(work, for_work), timed(baseline, for_baseline)
        del for_work, for_baseline
        if turn >= warm_up:
            pairs.append((spent, base))
    return pairs
