"""What it costs to take in what an authority tells, from bytes, against `json.loads` of the same bytes alone.

An envelope is decoded, validated in every field, and applied to an ACTIVE room of 1000 messages; an image of 50
messages and their users becomes a room. What `json.loads` makes of the bytes is thrown away. Both sides get the same
bytes, in one process, in turns; the collector is off in both. The messages are those of `python -m benchmarks apply`:
35 characters on average.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from benchmarks.harness import Figure
from benchmarks.rooms import NOW, WINDOW, collector_off, compared, in_turns, updates
from roomstate import Limits, RoomImage, RoomStateManager, Tier, User
from roomstate.effects import RequestRecovery
from roomstate.position import Position
from roomstate.room.passage import empty, room_of
from roomstate.room.reduce import apply
from roomstate.sync.envelope import decode, encode, of_image, of_update

LIMITS = Limits()
EPOCH = "0123456789abcdef"
BATCH = 50
TURNS = 300
HISTORY = 2 * WINDOW

Work = Callable[[list[bytes]], object]


def deltas(count: int, start: int = 0) -> list[bytes]:
    """Envelopes of one message each, with its body, after ``start``."""
    told = enumerate(updates(count, start), start + 1)
    return [encode(of_update("room", EPOCH, seq - 1, seq, update, NOW, ordinal=seq)) for seq, update in told]


def bulk(count: int) -> bytes:
    """An image of so many messages, and of the users who wrote them."""
    messages = tuple(update.message for update in updates(count))
    authors = dict.fromkeys(message.user for message in messages)
    image = RoomImage(
        room_id="room",
        position=Position(EPOCH, 1000 + count),
        held_after=1000,
        ordinal=1000 + count,
        messages=messages,
        seqs=tuple(range(1001, 1001 + count)),
        members=tuple(User(author, author.title(), ("subscriber",), "#1e90ff") for author in authors),
        members_complete=True,
    )
    return encode(of_image(image, NOW))


def load(raws: list[bytes]) -> None:
    """The baseline."""
    for raw in raws:
        json.loads(raw)


def into_a_room(limits: Limits = LIMITS) -> Work:
    """Decode, validate, and apply to a room in which 2000 messages were: by default it is full."""
    room = empty("room", EPOCH, Tier.ACTIVE, limits)
    for seq, update in enumerate(updates(HISTORY), 1):
        apply(room, update, seq, NOW, limits)

    def take(raws: list[bytes]) -> None:
        for raw in raws:
            for seq, update in decode(raw).entries():
                apply(room, update, seq, NOW, limits)

    return take


def into_a_replica() -> Work:
    """The same through `RoomStateManager.receive`: gaps, duplicates, unread counts, what viewers are told."""
    rooms = RoomStateManager(role="replica", clock=lambda: NOW)
    (asked,) = (each for each in rooms.enter("v", "room", user="ada") if isinstance(each, RequestRecovery))
    nothing = encode(of_image(RoomImage(room_id="room", position=Position(EPOCH, 0), members_complete=True), NOW))
    rooms.complete(asked.request_id, (decode(nothing),))

    def take(raws: list[bytes]) -> None:
        for raw in raws:
            rooms.receive(decode(raw), now=NOW)

    take(deltas(HISTORY))
    return take


def decoding(raws: list[bytes]) -> None:
    for raw in raws:
        decode(raw)


def into_rooms(raws: list[bytes]) -> None:
    """Each an image: decode, validate, and make the room."""
    for raw in raws:
        room_of(decode(raw).image(), Tier.ACTIVE, LIMITS)


def one_by_one(work: Work, turns: int) -> list[tuple[float, float]]:
    """Envelopes that follow each other, fresh in each turn."""
    raws = deltas(BATCH * turns, HISTORY)

    def prepare(turn: int) -> tuple[list[bytes], list[bytes]]:
        batch = raws[turn * BATCH : (turn + 1) * BATCH]
        return batch, batch

    with collector_off():
        return in_turns(work, load, prepare, turns, turns // 8)


def at_once(work: Work, turns: int) -> list[tuple[float, float]]:
    """The same image five times in each turn."""
    raws = [bulk(50)] * 5
    with collector_off():
        return in_turns(work, load, lambda _: (raws, raws), turns, turns // 8)


def run() -> Iterator[Figure]:
    yield compared(at_once(into_rooms, TURNS), 5).figure("decode + validate + apply an image of 50", at_most=1.3)
    yield compared(at_once(decoding, TURNS // 2), 5).figure("  decode + validate alone")
    yield compared(one_by_one(into_a_room(), TURNS), BATCH).figure("decode + validate + apply one message", at_most=0.8)
    yield compared(one_by_one(decoding, TURNS // 2), BATCH).figure("  decode + validate alone")
    roomy = Limits(active_messages=1_000_000)
    yield compared(one_by_one(into_a_room(roomy), TURNS // 2), BATCH).figure("  into a room that is not full")
    yield compared(one_by_one(into_a_replica(), TURNS // 2), BATCH).figure("  through a replica's receive")
