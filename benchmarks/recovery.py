"""How long a copy takes to be the authority's equal again, in memory and without a network.

* recovery: 1,000 updates were missed, one in ten an edit, a reaction, a removal or a member. The authority looks up
  what is missing since the token and encodes it; the replica decodes and applies it.
* resync: the replica has nothing, or the same room in an older epoch, and takes an image of 1,000 messages.

Both are a manager, the replica with a viewer at ACTIVE. Beside the whole stands its last part, ``complete``: what
applying costs by itself. Each repetition has replicas of its own. Goals are held against the median of CPU time: on a
machine that is shared the wall clock also counts who else was running. The 95th percentile is printed with it.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.harness import Figure, percentile
from benchmarks.rooms import NOW, START, WINDOW, updates
from roomstate import MessageEdited, MessageRemoved, RoomStateManager, User
from roomstate.effects import RequestRecovery
from roomstate.sync.envelope import Envelope, decode, encode, of_image, of_missing
from roomstate.sync.feed import Missing
from roomstate.updates import ReactionAdded, Update, UserJoined

ROOM = "room"
MISSED = 1000
REPETITIONS = 100
WARM_UP = 5
LIMIT_MS = 10.0


def missed() -> list[Update]:
    """1,000 updates, one in ten of which is not a new message."""
    all_: list[Update] = []
    for number, update in enumerate(updates(MISSED, start=WINDOW)):
        target = f"{WINDOW + number - 3:09d}"
        others: tuple[Update, ...] = (
            MessageEdited(target, f"edited {number}", START),
            ReactionAdded(target, "user1", "+1"),
            MessageRemoved(target),
            UserJoined(User(f"newcomer{number}")),
        )
        all_.append(others[number // 10 % 4] if number % 10 == 9 else update)
    return all_


def authority(epoch: str, history: Sequence[Update]) -> RoomStateManager:
    """A manager that ``history`` was published to, with somebody looking."""
    rooms = RoomStateManager(new_epoch=lambda: epoch, clock=lambda: NOW)
    rooms.enter("server", ROOM, now=NOW)
    for update in history:
        rooms.publish(ROOM, update, now=NOW)
    return rooms


def image_of(rooms: RoomStateManager, ask: RequestRecovery) -> list[bytes]:
    """The authority's answer to one who has nothing."""
    print_ = rooms.token(ROOM).fingerprint
    return [encode(of_image(rooms.image(ROOM), NOW, fingerprint=print_, answers=ask.request_id))]


def missing(rooms: RoomStateManager, ask: RequestRecovery) -> list[bytes]:
    """The authority's answer to one who has missed something."""
    assert ask.token is not None
    found = rooms.since(ROOM, ask.token)
    assert isinstance(found, Missing), found
    return [encode(envelope) for envelope in of_missing(ROOM, found, NOW, answers=ask.request_id)]


def asked(outputs: Sequence[Any]) -> RequestRecovery:
    """The one request for recovery among what a manager returned."""
    (ask,) = (each for each in outputs if isinstance(each, RequestRecovery))
    return ask


def replica(held: RoomStateManager | None = None) -> tuple[RoomStateManager, RequestRecovery]:
    """A replica that has what ``held`` has, and asks for what it lacks."""
    copy = RoomStateManager(role="replica", clock=lambda: NOW)
    ask = asked(copy.enter("ada", ROOM, now=NOW))
    if held is None:
        return copy, ask
    copy.complete(ask.request_id, tuple(map(decode, image_of(held, ask))), now=NOW)
    copy.disconnected(ROOM, now=NOW)
    return copy, asked(copy.connected(ROOM, now=NOW))


class Spent:
    """CPU time in ms of each repetition: of all of it, and of ``complete`` alone."""

    def __init__(self) -> None:
        self.whole: list[float] = []
        self.applied: list[float] = []

    def add(self, start: int, decoded: int, end: int) -> None:
        self.whole.append((end - start) / 1e6)
        self.applied.append((end - decoded) / 1e6)

    def figure(self, what: str) -> Figure:
        whole, applied = statistics.median(self.whole), statistics.median(self.applied)
        late = percentile(self.whole, 0.95)
        return Figure(
            what=f"{what}; baseline: applying (p95 {late:.1f} ms)",
            value=whole,
            unit="ms",
            baseline=applied,
            ratio=whole / applied,
            goal=f"≤ {LIMIT_MS:g} ms",
            met=whole <= LIMIT_MS,
        )


def measured(
    source: RoomStateManager,
    held: RoomStateManager | None,
    answer: Callable[[RoomStateManager, RequestRecovery], list[bytes]],
) -> Spent:
    """Bring replicas that have what ``held`` has up to ``source``."""
    spent = Spent()
    expected = source.view(ROOM)
    for turn in range(REPETITIONS + WARM_UP):
        copy, ask = replica(held)
        gc.collect()
        start = time.thread_time_ns()
        envelopes: tuple[Envelope, ...] = tuple(map(decode, answer(source, ask)))
        decoded = time.thread_time_ns()
        copy.complete(ask.request_id, envelopes, now=NOW)
        end = time.thread_time_ns()
        view = copy.view(ROOM)
        assert (view.messages, view.position, view.gaps) == (expected.messages, expected.position, ())
        if turn >= WARM_UP:
            spent.add(start, decoded, end)
    return spent


def run() -> Iterator[Figure]:
    """The figures of this benchmark."""
    before = updates(WINDOW)
    held, source = authority("epoch", before), authority("epoch", [*before, *missed()])
    yield measured(source, held, missing).figure("recovery of 1,000 missed updates")
    full = authority("epoch", updates(WINDOW, start=WINDOW // 2))
    yield measured(full, None, image_of).figure("resync from 1,000 messages, nothing held")
    older = authority("older", before)
    yield measured(full, older, image_of).figure("resync from 1,000 messages over an older epoch")
