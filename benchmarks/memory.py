"""What is held in memory, by tracemalloc, beside what the library accounts for it.

Messages are decoded from the lines of the data sets while tracing, as a reader of logs does it: one `str` for each
user, not for each message, unless a figure says otherwise. What a message costs is what a room with messages holds
beyond the same room without, over the number of messages, beyond ``sys.getsizeof`` of their contents. A room is
*filled* with as many messages as its tier holds, and *steady* after 6000 more: then it also remembers the ids of 4096
messages that it has dropped, which are told apart, and holds a few messages more that wait to be swept out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

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


def contents(rooms: RoomStateManager) -> int:
    return sum(sys.getsizeof(message.content) for message in rooms.view("room0").messages)


def build(
    tier: Tier, lines: Sequence[bytes], *, intern: bool = True, forget: bool = False
) -> Callable[[], RoomStateManager]:
    """Let messages go through a room. ``forget``: it then remembers no id of those that it has dropped."""

    def work() -> RoomStateManager:
        rooms, users = manager(), dict[str, str]()
        enter(rooms, tier)
        for text in lines:
            line = decode(text)
            user = users.setdefault(line.user, line.user) if intern else line.user
            message = Message(line.id, user, line.text, datetime.fromtimestamp(line.ts, UTC))
            answer(rooms, rooms.publish("room0", MessageAdded(message), now=NOW))
        room = rooms._house.holdings["room0"].room
        assert room is not None
        msgspec.json.encode(room.timeline.messages())  # as for a snapshot: text beyond ASCII keeps its UTF-8
        if forget:
            room.timeline.recent = None
        return rooms

    return work


def messages(name: str, lines: Sequence[bytes]) -> Iterator[Figure]:
    limits = Limits()
    for tier in (Tier.BACKGROUND, Tier.ACTIVE):
        window = limits.messages(tier)
        nothing = peak_memory(build(tier, ())).held
        for how, count in (("filled", window), ("steady", window + MORE)):
            what = f"{name}: {tier.name} of {window}, {how}"
            memory = peak_memory(build(tier, lines[:count]))
            bare = peak_memory(build(tier, lines[:count], forget=True))
            yield at_most(what, (bare.held - nothing - contents(bare.result)) / window, 250, "B")
            if how == "steady":
                alone = peak_memory(build(tier, lines[:count], intern=False, forget=True))
                unshared = (alone.held - nothing - contents(alone.result)) / window
                yield Figure(what="  with a str of its own for each message's user", value=unshared, unit="B")
                ids = memory.held - bare.held
                yield Figure(what="  ids remembered of dropped messages, for the whole room", value=ids, unit="B")
            yield accounted(memory.result.stats().bytes[tier], memory.held - peak_memory(manager).held)


def accounted(value: int, real: int) -> Figure:
    """What the library says it holds, over what it does."""
    ratio = value / real
    return Figure(
        what="  accounted for, over what the room really holds",
        value=value,
        unit="B",
        baseline=real,
        ratio=ratio,
        goal="0.9-1.1×",
        met=0.9 <= ratio <= 1.1,
    )


def at_rest(count: int, markers: bool) -> Callable[[], RoomStateManager]:
    """A manager with cached rooms only."""

    def work() -> RoomStateManager:
        rooms = RoomStateManager(new_epoch=lambda: "epoch", clock=lambda: NOW, cache=RoomCache(max_rooms=CACHED))
        for number in range(count):
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


def cache_alone(count: int) -> Callable[[], RoomCache]:
    """The snapshots and the eviction index alone."""

    def work() -> RoomCache:
        cache = RoomCache(max_rooms=CACHED)
        for number in range(count):
            cache.put(f"room{number}", bytes(SNAPSHOT[:1] * len(SNAPSHOT)), now=NOW + number)
        return cache

    return work


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
        yield accounted(memory.result.stats().bytes[tier], real)
    alone = peak_memory(cache_alone(CACHED)).held - peak_memory(cache_alone(0)).held
    for markers in (False, True):
        memory = peak_memory(at_rest(CACHED, markers))
        assert memory.result.stats().rooms[Tier.CACHED] == CACHED
        held = memory.held - peak_memory(at_rest(0, markers)).held
        what = (
            f"a CACHED room beyond snapshot and eviction index, {'with one marker' if markers else 'nobody reads it'}"
        )
        yield at_most(what, (held - alone) / CACHED, 200, "B")


def run() -> Iterator[Figure]:
    yield from own_allowances()
    for name in DATA:
        path = shared_data(f"chat/{name}.ndjson.zst")
        if path is not None:
            yield from messages(name, load(path, Limits().active_messages + MORE))
