"""What it costs to give one encoded update to many viewers' bounded queues.

`fan_out` looks at each queue's bounds, leaves a marker where one is full, and returns the viewers who are to be woken.
The baseline appends the same bytes to a bare list of deques, and bounds nothing. There are groups of 1, 100 or 10,000
queues, as many groups as make at least 1,000 queues. "In use": one queue in ten is full and marked all the while, the
others get ten updates before they are emptied. "Idle": every queue is empty, so that everybody is to be woken,
and everything has left the processor's caches where there are 10,000.

A turn is one update to every group, on each side; its time is CPU time, for a turn that is interrupted says nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from benchmarks.harness import Comparison, Figure, peak_memory
from benchmarks.rooms import collector_off, compared
from roomstate.sync.subscribers import MAX_ITEMS, Item, Subscriber, fan_out

SIZES = (1, 100, 10_000)
AT_LEAST = 1_000  # queues
TURNS = 500
ITEM = Item("room", 1, b"x" * 300)


def append(data: bytes, queues: list[deque[bytes]]) -> None:
    """The baseline."""
    for queue in queues:
        queue.append(data)


def subscribers(count: int, full: int) -> list[Subscriber]:
    """Of ``count``, one in ``full`` (0: none) has not read for too long."""
    made = [Subscriber(f"viewer{number}") for number in range(count)]
    for slow in made[::full] if full else ():
        for _ in range(MAX_ITEMS + 1):
            slow.push(ITEM)
        assert slow.overflows == 1
    return made


def spent(work: Callable[[], None]) -> int:
    """Nanoseconds of CPU time that ``work`` takes."""
    start = time.thread_time_ns()
    work()
    return time.thread_time_ns() - start


class Groups:
    """Queues of both kinds, in groups of ``size``."""

    def __init__(self, size: int, full: int) -> None:
        self.count = max(size, AT_LEAST)
        ours = subscribers(self.count, full)
        bare = [deque[bytes]() for _ in range(self.count)]
        self.ours = [ours[start : start + size] for start in range(0, self.count, size)]
        self.read = [(one, queue) for one, queue in zip(ours, bare, strict=True) if not len(one)]
        self.unread = [queue for one, queue in zip(ours, bare, strict=True) if len(one)]
        self.bare = [bare[start : start + size] for start in range(0, self.count, size)]

    def fan_out(self) -> None:
        for group in self.ours:
            fan_out(ITEM, group)

    def append(self) -> None:
        for group in self.bare:
            append(ITEM.data, group)

    def empty(self) -> None:
        """Read everything, but for those who do not read: by turns, so that neither side's queues are fresher.

        A bare queue that nobody reads would grow for ever, and slow the baseline down: it is emptied all the same.
        """
        for one, queue in self.read:
            while one.pop() is not None:
                queue.popleft()
        for queue in self.unread:
            while queue:
                queue.popleft()


def measured(size: int, updates: int, full: int) -> Comparison:
    """Turns on groups of ``size`` queues, which are emptied after ``updates`` of them."""
    groups = Groups(size, full)
    pairs = []
    with collector_off():
        for turn in range(TURNS):
            if turn % updates == 0:
                groups.empty()
            pairs.append((spent(groups.fan_out), spent(groups.append)))  # so each finds the caches full of the other
    return compared(pairs[TURNS // 10 :], groups.count)


def run() -> Iterator[Figure]:
    """The figures of this benchmark."""
    in_use = {size: measured(size, 10, 10) for size in SIZES}
    for size, found in in_use.items():
        yield found.figure(f"fan-out to {size:,}, in use, each", at_most=2.5)
    for size in SIZES:
        yield measured(size, 1, 0).figure(f"fan-out to {size:,}, idle, each", at_most=2.5)
    growth = in_use[10_000].ratio / in_use[100].ratio
    yield Figure(
        what="linear: the ratio to 10,000 over the ratio to 100",
        value=growth,
        unit="×",
        goal="≤ 1.2 ×",
        met=growth <= 1.2,
    )
    held = peak_memory(lambda: subscribers(1000, 0)).held / 1000
    yield Figure(what="memory of an idle subscriber", value=held, unit="B")
