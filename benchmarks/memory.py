"""What is held in memory, by tracemalloc, beside what the library accounts for it.

Messages are decoded from the lines of the data sets while tracing, as a reader of logs does it: one `str` for each
user, not for each message, unless a figure says otherwise. What a message costs is what a room with messages holds
beyond the same room without, over the number of messages, beyond ``sys.getsizeof`` of their contents. A room is
*filled* with as many messages as its tier holds, and *steady* after 6000 more: then it also remembers the ids of 4096
messages that it has dropped, which are told apart.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import msgspec

from benchmarks.harness import Figure, at_most, open_lines, peak_memory, shared_data
from benchmarks.rooms import NOW, answer
from roomstate import Limits, Message, MessageAdded, RoomCache, RoomStateManager, Tier

DATA = ("ubuntu-irc", "dev-slack", "lean-zulip")
MORE = 6000
ROOMS = 500
CACHED = 2000
SNAPSHOT = b"x" * 500


class Line(msgspec.Struct):
    """A line of a chat data set."""

    ts: float
    user: str
    text: str
    id: str


decode = msgspec.json.Decoder(Line).decode


def load(path: Path, count: int) -> list[bytes]:
    with open_lines(path) as lines:  # as bytes: a str would keep its UTF-8 once it is decoded
        return [line.encode() for line, _ in zip(lines, range(count), strict=False)]


def manager() -> RoomStateManager:
    return RoomStateManager(new_epoch=lambda: "epoch", clock=lambda: NOW)


def enter(rooms: RoomStateManager, tier: Tier, number: int = 0) -> None:
    enter = rooms.enter if tier is Tier.ACTIVE else rooms.follow
    answer(rooms, enter(f"viewer{number}", f"room{number}", now=NOW))


@attrs.frozen
class Full:
    """A room that messages went through."""

    rooms: RoomStateManager
    users: int

    @property
    def contents(self) -> int:
        return sum(sys.getsizeof(message.content) for message in self.rooms.view("room0").messages)


def build(tier: Tier, lines: Sequence[bytes], intern: bool = True) -> Callable[[], Full]:
    def work() -> Full:
        rooms, users = manager(), dict[str, str]()
        enter(rooms, tier)
        for text in lines:
            line = decode(text)
            user = users.setdefault(line.user, line.user) if intern else line.user
            message = Message(line.id, user, line.text, datetime.fromtimestamp(line.ts, UTC))
            answer(rooms, rooms.publish("room0", MessageAdded(message), now=NOW))
        return Full(rooms, len(users))

    return work


def messages(name: str, lines: Sequence[bytes]) -> Iterator[Figure]:
    limits = Limits()
    for tier in (Tier.BACKGROUND, Tier.ACTIVE):
        window = limits.messages(tier)
        nothing = peak_memory(build(tier, ())).held
        for how, count, intern in (
            ("filled", window, True),
            ("steady", window + MORE, True),
            ("steady", window + MORE, False),
        ):
            memory = peak_memory(build(tier, lines[:count], intern))
            full = memory.result
            kept = len(full.rooms.view("room0").messages)
            per_message = (memory.held - nothing - full.contents) / kept
            what = f"{name}: {tier.name} of {kept}, {how}{'' if intern else ', users not shared'}"
            if not intern:
                yield Figure(what=what, value=per_message, unit="B")
                continue
            yield at_most(what, per_message, 250, "B")
            empty = peak_memory(manager).held
            yield accounted(what, full.rooms.stats().bytes[tier], memory.held - empty)


def accounted(what: str, value: int, real: int) -> Figure:
    """What the library says it holds, over what it does."""
    ratio = value / real
    return Figure(
        what=f"  accounted for, of what is really held ({what})",
        value=value,
        unit="B",
        baseline=real,
        ratio=ratio,
        goal="0.9-1.1×",
        met=0.9 <= ratio <= 1.1,
    )


def at_rest(markers: bool) -> Callable[[], RoomStateManager]:
    """A manager with cached rooms only."""

    def work() -> RoomStateManager:
        rooms = RoomStateManager(new_epoch=lambda: "epoch", clock=lambda: NOW, cache=RoomCache(max_rooms=CACHED))
        for number in range(CACHED):
            room_id = f"room{number}"
            if markers:
                rooms.follow("viewer", room_id, now=NOW + number)
                outputs = rooms.leave("viewer", room_id, now=NOW + number)
            else:
                rooms.promote(room_id, Tier.BACKGROUND, now=NOW + number)
                outputs = rooms.demote(room_id, Tier.CACHED, now=NOW + number)[1]
            for effect in outputs:
                if hasattr(effect, "request_id"):
                    rooms.complete(effect.request_id, bytes(SNAPSHOT[:1] * len(SNAPSHOT)), now=NOW + number)
        return rooms

    return work


def cache_alone() -> RoomCache:
    cache = RoomCache(max_rooms=CACHED)
    for number in range(CACHED):
        cache.put(f"room{number}", bytes(SNAPSHOT[:1] * len(SNAPSHOT)), now=NOW + number)
    return cache


def own_allowances() -> Iterator[Figure]:
    for tier in (Tier.ACTIVE, Tier.BACKGROUND):

        def work(tier: Tier = tier) -> RoomStateManager:
            rooms = manager()
            for number in range(ROOMS):
                enter(rooms, tier, number)
            return rooms

        memory = peak_memory(work)
        real = memory.held - peak_memory(manager).held
        what = f"an empty {tier.name} room with a viewer of its own"
        yield at_most(what, real / ROOMS, 6000, "B")
        yield accounted(what, memory.result.stats().bytes[tier], real)
    alone = peak_memory(cache_alone).held
    for markers in (False, True):
        memory = peak_memory(at_rest(markers))
        stats = memory.result.stats()
        assert stats.rooms[Tier.CACHED] == CACHED
        what = f"a CACHED room beyond snapshot and eviction index, {'with a marker' if markers else 'nobody reads it'}"
        yield at_most(what, (memory.held - peak_memory(manager).held - alone) / CACHED, 200, "B")


def run() -> Iterator[Figure]:
    yield from own_allowances()
    for name in DATA:
        path = shared_data(f"chat/{name}.ndjson.zst")
        if path is not None:
            yield from messages(name, load(path, Limits().active_messages + MORE))
