"""Two timelines of 1,000 messages, half of them in both, put together: against `heapq.merge` with a seen-set.

Both sides get the same lists and give back the merged messages, each id once, and, in order of position, their seqs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from benchmarks.harness import Figure, Timed, compare
from roomstate.image import RoomImage
from roomstate.model import Message, MessageLike
from roomstate.position import Position
from roomstate.room.window import time_key
from roomstate.sync.conflict import ConflictPolicy, detect, merge_messages
from roomstate.sync.merge import merge_logs

START = datetime(2026, 1, 1, tzinfo=UTC)
TURNS = 20

Side = tuple[list[MessageLike], list[int]]
_seq: Callable[[tuple[int, MessageLike]], int] = itemgetter(0)


def side(seqs: range) -> Side:
    """One timeline: its own objects, as after decoding, a message each second."""
    made: list[MessageLike] = [
        Message(f"message-{seq}", f"user-{seq % 40}", f"line {seq}", START + timedelta(seconds=seq)) for seq in seqs
    ]
    return made, list(seqs)


def interleaved(count: int) -> tuple[Side, Side]:
    """Two timelines of ``count``: of three neighbours one is the client's, one the server's, one in both."""
    half = count // 2
    client, server, both = (range(first, 3 * half + 1, 3) for first in (1, 2, 3))
    ours, theirs = (side(range(3 * half + 1)) for _ in range(2))
    keep = [sorted({*own, *both}) for own in (client, server)]
    return (
        ([ours[0][seq] for seq in keep[0]], keep[0]),
        ([theirs[0][seq] for seq in keep[1]], keep[1]),
    )


def overlapping(count: int) -> tuple[Side, Side]:
    """Two timelines of ``count``: the client's newer half is the server's older one."""
    return side(range(1, count + 1)), side(range(count // 2 + 1, count // 2 + count + 1))


def with_heap(client: Side, server: Side) -> Side:
    """What one would write with the standard library."""
    seen: set[str] = set()
    messages: list[MessageLike] = []
    seqs: list[int] = []
    for seq, message in heapq.merge(zip(*reversed(client), strict=True), zip(*reversed(server), strict=True), key=_seq):
        if message.id not in seen:
            seen.add(message.id)
            messages.append(message)
            seqs.append(seq)
    return messages, seqs


def with_heap_by_time(client: Side, server: Side) -> Side:
    """The same in order of (timestamp, id); it leaves out the seqs, which would cost it a wrapper around the key."""
    seen: set[str] = set()
    messages: list[MessageLike] = []
    for message in heapq.merge(client[0], server[0], key=time_key):
        if message.id not in seen:
            seen.add(message.id)
            messages.append(message)
    return messages, []


def figure(what: str, client: Side, server: Side, *, by_time: bool = False, at_most: float | None = None) -> Figure:
    """Ours against the heap, in time per message of the two inputs; both must say the same."""
    heap = with_heap_by_time if by_time else with_heap
    assert merge_messages(*client, *server, by_time=by_time)[0] == heap(client, server)[0]
    items = TURNS * (len(client[0]) + len(server[0]))

    def work(_: None) -> None:
        for _turn in range(TURNS):
            merge_messages(*client, *server, by_time=by_time)

    def base(_: None) -> None:
        for _turn in range(TURNS):
            heap(client, server)

    return compare(Timed(work, lambda: None, items), Timed(base, lambda: None, items)).figure(what, at_most=at_most)


def image(of: Side) -> RoomImage:
    """A room with those messages; what it does not hold of others it vouches for nothing."""
    messages, seqs = of
    return RoomImage(
        room_id="room",
        position=Position("e", seqs[-1]),
        held_after=seqs[0] - 1,
        messages=tuple(messages),
        seqs=tuple(seqs),
    )


def whole(client: Side, server: Side) -> Iterator[Figure]:
    """All that two copies of a log say, and a conflict from its detection to its record, beside the heap's messages."""
    ours, theirs = image(client), image(server)
    policy = ConflictPolicy()
    items = TURNS * (len(client[0]) + len(server[0]))

    def logs(_: None) -> None:
        for _turn in range(TURNS):
            merge_logs(ours, theirs)

    def settle(_: None) -> None:
        for _turn in range(TURNS):
            conflict = detect(ours, theirs)
            assert conflict is not None
            policy.settle(conflict, 0.0)

    def base(_: None) -> None:
        for _turn in range(TURNS):
            with_heap(client, server)

    baseline = Timed(base, lambda: None, items)
    yield compare(Timed(logs, lambda: None, items), baseline).figure("merge_logs: also removals, gaps, tombstones")
    yield compare(Timed(settle, lambda: None, items), baseline).figure("detect and settle: also every check and record")


def run() -> Iterator[Figure]:
    for name, shape in (("every other one", interleaved), ("the newer half", overlapping)):
        client, server = shape(1000)
        yield figure(f"two of 1,000 messages, shared: {name}", client, server, at_most=1)
    client, server = interleaved(1000)
    yield figure("the same by (timestamp, id)", client, server, by_time=True, at_most=1)
    yield figure("two of 50,000 messages: time for each stays", *interleaved(50_000))
    yield from whole(*overlapping(1000))
