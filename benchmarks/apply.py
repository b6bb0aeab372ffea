"""What it costs to take one message into a live room, and what others spend on a payload that says the same.

The room is ACTIVE, holds as many messages as it may (1000), and is looked at by 100 viewers, who each have a read
marker. Taking a message in is `RoomStateManager.publish`: it looks for a duplicate and a tombstone, gives the next
seq, accounts bytes, counts unread, drops the oldest, and returns one `Deliver` for the 100. The baseline looks up the
room in a dict, compares the seq, stores it, and appends to a ``deque(maxlen=1000)``. Both get the same decoded update,
in one process, in turns; the collector is off in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from benchmarks.harness import Figure
from benchmarks.others import beside_others
from benchmarks.rooms import NOW, WINDOW, Bare, collector_off, compared, decode, encoded, in_turns, updates, watched
from roomstate import MessageAdded
from roomstate.effects import Appended, AppendLog

BATCH = 50
TURNS = 320
PREBUILT = 16_000


class Appender:
    """The baseline's side: numbers the updates that it is given."""

    def __init__(self, history: Sequence[MessageAdded] | None = None) -> None:
        self.bare = Bare(history=history)
        self.seq = self.bare.rooms["room"].seq

    def __call__(self, batch: list[MessageAdded]) -> None:
        append = self.bare.append
        for seq, update in enumerate(batch, self.seq + 1):
            append("room", seq, update.message)
        self.seq += len(batch)


def publisher(
    durability: Literal["none", "relaxed", "logged"] = "none", history: Sequence[MessageAdded] | None = None
) -> Callable[[list[MessageAdded]], None]:
    """Our side. With a log, each append is confirmed at once, by an answer that costs nothing."""
    rooms = watched(durability, history=history)

    def publish(batch: list[MessageAdded]) -> None:
        for update in batch:
            rooms.publish("room", update, now=NOW)

    def publish_logged(batch: list[MessageAdded]) -> None:
        for update in batch:
            for effect in rooms.publish("room", update, now=NOW):
                if type(effect) is AppendLog:
                    rooms.complete(effect.request_id, Appended(effect.entries[-1].seq), now=NOW)

    return publish if durability == "none" else publish_logged


def fresh(durability: Literal["none", "relaxed", "logged"] = "none", turns: int = TURNS) -> list[tuple[float, float]]:
    """50 messages decoded untimed for each side, then taken in: the room owns them, and frees those that it drops."""
    lines = encoded(BATCH * turns)

    def prepare(turn: int) -> tuple[list[MessageAdded], list[MessageAdded]]:
        batch = lines[turn * BATCH : (turn + 1) * BATCH]
        return [decode(line) for line in batch], [decode(line) for line in batch]

    with collector_off():
        return in_turns(publisher(durability), Appender(), prepare, turns, turns // 8)


def cold() -> list[tuple[float, float]]:
    """16,000 messages built beforehand, a list for each side: more than the processor's caches hold. None is freed."""
    ours, bares = updates(PREBUILT), updates(PREBUILT)

    def prepare(turn: int) -> tuple[list[MessageAdded], list[MessageAdded]]:
        return ours[turn * 500 : (turn + 1) * 500], bares[turn * 500 : (turn + 1) * 500]

    with collector_off():
        return in_turns(publisher(), Appender(), prepare, PREBUILT // 500, 4)


def hot(rounds: int = 16) -> list[tuple[float, float]]:
    """The same 3000 messages round after round: 2000 fill new rooms untimed, 1000 are timed. None is freed."""
    history, batch = updates(2 * WINDOW, start=-2 * WINDOW), updates(WINDOW)

    def prepare(turn: int) -> tuple[list[MessageAdded], list[MessageAdded]]:
        part = batch[turn * BATCH : (turn + 1) * BATCH]
        return part, part

    with collector_off():
        rounds_of_turns = [
            in_turns(publisher(history=history), Appender(history), prepare, WINDOW // BATCH, 2) for _ in range(rounds)
        ]
    return [pair for turns in rounds_of_turns[1:] for pair in turns]


def taking_in() -> Iterator[Figure]:
    pairs = fresh()
    yield compared(pairs, BATCH).figure("publish one message, fresh", at_most=4.5)
    ours, bare = (sum(side) / len(pairs) / BATCH for side in zip(*pairs, strict=True))
    yield Figure(
        what="  the same, all turns added up: outliers count", value=ours, unit="ns", baseline=bare, ratio=ours / bare
    )
    yield compared(hot(), BATCH).figure("  hot: built beforehand, and in the caches")
    yield compared(cold(), 500).figure("  cold: 16,000 built beforehand")
    yield compared(fresh("relaxed", 80), BATCH).figure("  relaxed: told at once, append confirmed at once")
    yield compared(fresh("logged", 80), BATCH).figure("  logged: told when the append is confirmed, at once")


def run() -> Iterator[Figure]:
    yield from taking_in()
    yield from beside_others()
