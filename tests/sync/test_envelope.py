"""What is written is read again; what an envelope says, applied in order, is the room it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from roomstate.effects import Head, LogEntry
from roomstate.image import RoomImage
from roomstate.model import Message, Tier
from roomstate.position import Position
from roomstate.room.passage import empty, image_of
from roomstate.room.reduce import apply
from roomstate.room.states import Limits, LiveRoom
from roomstate.sync.envelope import (
    Envelope,
    decode,
    encode,
    of_heartbeat,
    of_image,
    of_missing,
    of_update,
    of_withheld,
)
from roomstate.sync.feed import Missing, fingerprint
from roomstate.sync.payloads import DeltaUpdate, StateUpdate
from roomstate.updates import (
    LOGGED,
    Update,
    UserUpdated,
)
from tests.sync.strategies import NOW, ROOM, START, ephemeral, images, logged

LIMITS = Limits()
HELLO = Message("m1", "bob", "hi", START)


def delta(data: DeltaUpdate, previous: int = 4, upto: int = 5, **fields: Any) -> Envelope:
    return Envelope(ROOM, START, "e1", previous, upto, data, **fields)


def play(log: Iterable[tuple[int, Update]], room: LiveRoom | None = None) -> RoomImage:
    """The room in which ``log`` has happened, as values."""
    room = room or empty(ROOM, "e1", Tier.ACTIVE, LIMITS)
    for seq, update in log:
        apply(room, update, seq, NOW, LIMITS)
        room.head = max(room.head, seq)
    return image_of(room, NOW)


@given(st.one_of(logged, ephemeral), st.integers(1, 2**53 - 1))
def test_an_update_is_read_as_it_was_written(update: Update, seq: int) -> None:
    previous = seq - 1 if isinstance(update, LOGGED) else seq
    told = of_update(ROOM, "e1", previous, seq, update, NOW, ordinal=3)
    assert decode(encode(told)) == decode(encode(told).decode()) == told
    said = [entry for entry in told.entries() if entry[0] in (0, seq)]
    empty_counts = not isinstance(update, UserUpdated) and told.data == StateUpdate()
    assert said == ([] if empty_counts else [(seq if isinstance(update, LOGGED) else 0, update)])
    assert told.fingerprint == (fingerprint(update) if isinstance(update, LOGGED) else "")


@given(images())
def test_an_image_is_read_as_it_was_written(image: RoomImage) -> None:
    told = of_image(image, NOW, user="ada", viewer="v1", fingerprint="ff", answers=7)
    back = decode(encode(told))
    assert back == told
    assert back.image() == structs.replace(
        image,
        notifications=tuple(each for each in image.notifications if each.user == "ada"),
        markers={user: marker for user, marker in image.markers.items() if user == "ada"},
        ui_state={viewer: state for viewer, state in image.ui_state.items() if viewer == "v1"},
    )


@given(st.lists(logged, max_size=12), st.data())
def test_a_chain_of_what_is_missing_gives_the_same_room(log: list[Update], data: st.DataObject) -> None:
    entries = list(enumerate(log, 1))
    known = data.draw(st.integers(0, len(log)))
    missing = Missing("e1", known, len(log), tuple(LogEntry(seq, 0, update) for seq, update in entries[known:]))
    chain = [decode(encode(each)) for each in of_missing(ROOM, missing, NOW, answers=3, fingerprint="ab", ordinal=9)]
    assert [each.previous for each in chain] == [known, *(each.sequence_number for each in chain[:-1])]
    assert chain[-1].sequence_number == len(log)
    assert (chain[-1].fingerprint, chain[-1].ordinal) == ("ab", 9)
    assert [each.answers for each in chain] == [*[None] * (len(chain) - 1), 3]
    room = empty(ROOM, "e1", Tier.ACTIVE, LIMITS)
    play(entries[:known], room)
    for each in chain:
        play(each.entries(), room)
        room.head = each.sequence_number
    assert image_of(room, NOW) == play(entries)


def test_a_heartbeat_and_a_withheld_span_are_read_as_written() -> None:
    beat = of_heartbeat(ROOM, Head(Position("e1", 7), 3), NOW)
    left_out = of_withheld(ROOM, "e1", 3, 9, NOW, fingerprint="ff", ordinal=8)
    for told in (beat, left_out):
        assert decode(encode(told)) == told
        assert told.entries() == ()
    assert (beat.message_type, left_out.message_type, left_out.withheld) == ("HEARTBEAT", "DELTA_UPDATE", True)
