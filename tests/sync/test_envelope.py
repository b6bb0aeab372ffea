"""What is written is read again; what an envelope says, applied in order, is the room it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from roomstate.effects import Head, LogEntry
from roomstate.errors import InvalidValue, Malformed
from roomstate.image import RoomImage
from roomstate.model import EMPTY, MAX_CONTENT, MAX_EXTRA, Annotation, Message, RoomConfig, Tier, User, check_message
from roomstate.position import Position
from roomstate.room.passage import empty, image_of
from roomstate.room.reduce import apply
from roomstate.room.states import Limits, LiveRoom
from roomstate.sync import envelope as wire
from roomstate.sync.envelope import (
    Envelope,
    decode,
    encode,
    of_data,
    of_heartbeat,
    of_image,
    of_missing,
    of_update,
    of_withheld,
)
from roomstate.sync.feed import Missing, fingerprint
from roomstate.sync.payloads import (
    LISTS,
    AddedMessage,
    BulkSync,
    DeltaUpdate,
    EditedMessage,
    JoinedUser,
    StateUpdate,
    UpdatedUser,
)
from roomstate.updates import (
    LOGGED,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    RoomConfigChanged,
    Update,
    UserJoined,
    UserLeft,
    UserUpdated,
)
from tests.sync.hostile import DELTA, ENVELOPES, IMAGE
from tests.sync.strategies import NOW, ROOM, START, ephemeral, images, logged

LIMITS = Limits()
HELLO = Message("m1", "bob", "hi", START)


def delta(data: DeltaUpdate, previous: int = 4, upto: int = 5, **fields: Any) -> Envelope:
    return of_data(ROOM, "e1", previous, upto, data, NOW, **fields)


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
    lacking = missing(entries[known:], known, len(log))
    chain = [decode(encode(each)) for each in of_missing(ROOM, lacking, NOW, answers=3, fingerprint="ab", ordinal=9)]
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


# -- positions ---------------------------------------------------------------------------------------------------------


def body(name: str, seq: int | None = None) -> AddedMessage:
    return AddedMessage(name, "bob", f"message {name}", START, seq=seq)


def said(told: Envelope) -> list[tuple[int, str]]:
    """Seq and kind (and the id, of messages) of every entry."""
    return [
        (seq, update.message.id if isinstance(update, MessageAdded) else type(update).__name__)
        for seq, update in told.entries()
    ]


def test_messages_without_seqs_that_fill_the_span_are_consecutive() -> None:
    assert said(delta(DeltaUpdate((body("a"), body("b"))), 4, 6)) == [(5, "a"), (6, "b")]


def test_other_items_without_seqs_lie_at_the_end() -> None:
    assert said(delta(DeltaUpdate((body("a"), body("b"))), 4, 9)) == [(9, "a"), (9, "b")]
    both = DeltaUpdate((body("a"),), removed_messages=("m1",))
    assert said(delta(both, 4, 6)) == [(6, "a"), (6, "MessageRemoved")]


def test_items_with_seqs_lie_where_they_say_and_are_applied_in_that_order() -> None:
    told = DeltaUpdate((body("a", 8), body("b", 6), body("c")), (EditedMessage("a", "", seq=7),))
    assert said(delta(told, 4, 9)) == [(6, "b"), (7, "MessageEdited"), (8, "a"), (9, "c")]
    assert said(delta(DeltaUpdate((body("a", 7),)), 4, 9)) == [(7, "a")]
    assert said(delta(DeltaUpdate((body("a", 5), body("b", 6))), 4, 6)) == [(5, "a"), (6, "b")]


def test_at_one_position_the_kinds_have_an_order_and_what_is_ephemeral_comes_last() -> None:
    plain = {name: tuple(_without_seq(item) for item in getattr(DELTA, name)) for name in LISTS}
    everything = structs.replace(DELTA, **{**plain, "added_messages": (body("m1"),)})
    assert [kind for _, kind in said(delta(everything))] == [
        *("m1", "MessageEdited", "ReactionAdded", "ReactionRemoved", "MessageRemoved", "MessageRemoved"),
        *("UserJoined", "UserUpdated", "UserLeft", "UserLeft"),
        *("PresenceChanged", "TypingChanged", "ReceiptRead", "NotificationAdded"),
    ]
    assert [seq for seq, _ in said(delta(everything))] == [5] * 10 + [0] * 4


def _without_seq(item: Any) -> Any:
    return item if isinstance(item, str) else structs.replace(item, seq=None)


def test_bare_ids_take_their_positions_but_say_nothing() -> None:
    told = delta(DeltaUpdate((body("a"), "b", body("c"))), 4, 7)
    assert told.bare
    assert said(told) == [(5, "a"), (7, "c")]
    only = delta(DeltaUpdate(("b",)))
    assert (only.bare, only.entries()) == (True, ())
    assert not delta(DeltaUpdate((body("a"),))).bare
    assert not delta(DeltaUpdate(removed_messages=("b",))).bare
    assert not ENVELOPES[0].bare


def test_bare_ids_of_removals_and_leavers_say_all_there_is() -> None:
    told = delta(DeltaUpdate(removed_messages=("m1",), users_left=("ada",)))
    assert told.entries() == ((5, MessageRemoved("m1")), (5, UserLeft("ada")))


def test_a_patch_changes_the_fields_it_has() -> None:
    ada = User("ada", "Ada", ("vip",), "#fff", {"k": 1})
    told = delta(DeltaUpdate(updated_users=(UpdatedUser("ada", color="red"), UpdatedUser("ada", badges=()))), 4, 6)
    [(_, first), (_, second)] = told.entries({"ada": ada}.get)
    assert (first, second) == (
        UserUpdated(structs.replace(ada, color="red")),
        UserUpdated(structs.replace(ada, color="red", badges=())),
    )
    assert told.entries()[1] == (6, UserUpdated(User("ada", color="red")))


def test_a_patch_is_of_who_has_just_joined() -> None:
    told = DeltaUpdate(users_joined=(JoinedUser("cyd", "Cyd"),), updated_users=(UpdatedUser("cyd", color="red"),))
    assert delta(told).entries() == (
        (5, UserJoined(User("cyd", "Cyd"))),
        (5, UserUpdated(User("cyd", "Cyd", (), "red"))),
    )


def test_a_peer_that_says_little_is_understood() -> None:
    told = decode(
        '{"room_state_sync": {"message_type": "STATE_UPDATE", "room_id": "rust", "timestamp": "2026-01-01T00:00:00Z",'
        ' "sequence_number": 0, "data": {"room_config": {"slow_mode_enabled": true}}}}'.replace(": 0,", ": 7,")
    )
    assert (told.epoch, told.previous, told.message_type) == ("", 6, "STATE_UPDATE")
    assert told.entries() == ((7, RoomConfigChanged(RoomConfig(slow_mode_enabled=True))),)
    nothing = structs.replace(told, previous=0, sequence_number=0, data=StateUpdate())
    raw = encode(nothing).replace(b'"previous":0', b'"unknown":0')
    assert decode(raw) == nothing


# -- chains ------------------------------------------------------------------------------------------------------------


def missing(updates: Iterable[tuple[int, Update]], after: int, upto: int) -> Missing:
    return Missing("e1", after, upto, tuple(LogEntry(seq, 0, update) for seq, update in updates))


def test_nothing_missing_is_told_as_one_empty_envelope() -> None:
    for upto in (4, 9):
        [only] = of_missing(ROOM, missing((), 4, upto), NOW, answers=3)
        assert (only.previous, only.sequence_number, only.data, only.answers) == (4, upto, DeltaUpdate(), 3)


def test_where_what_is_told_ends_early_the_rest_is_told_as_empty() -> None:
    chain = of_missing(ROOM, missing([(6, MessageAdded(HELLO)), (7, MessageEdited("m1", "ho"))], 4, 9), NOW)
    assert [(each.previous, each.sequence_number) for each in chain] == [(4, 7), (7, 9)]
    assert [entry for each in chain for entry in each.entries()] == [
        (6, MessageAdded(HELLO)),
        (7, MessageEdited("m1", "ho")),
    ]
    assert [each.fingerprint for each in chain] == [fingerprint(MessageEdited("m1", "ho")), ""]


def test_a_chain_breaks_at_what_travels_alone_and_where_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_PART", 3)
    log: list[tuple[int, Update]] = [(seq, MessageAdded(structs.replace(HELLO, id=str(seq)))) for seq in range(1, 9)]
    log[1] = (2, RoomConfigChanged(RoomConfig()))
    spans = [(each.previous, each.sequence_number) for each in of_missing(ROOM, missing(log, 0, 8), NOW)]
    assert spans == [(0, 1), (1, 2), (2, 5), (5, 8)]
    monkeypatch.setattr(wire, "MAX_PART_BYTES", 300)
    assert max(len(encode(each)) for each in of_missing(ROOM, missing(log, 0, 8), NOW)) < 700


def test_the_largest_message_travels() -> None:
    largest = Message("x" * 512, "y" * 512, "\x01" * MAX_CONTENT, START, (), {"a": "\x01" * (MAX_EXTRA // 6 - 10)})
    check_message(largest)
    for told in (
        of_update(ROOM, "e1", 4, 5, MessageAdded(largest), NOW),
        *of_missing(ROOM, missing([(5, MessageAdded(largest))], 4, 5), NOW),
    ):
        assert decode(encode(told)).entries() == ((5, MessageAdded(largest)),)
    image = structs.replace(IMAGE, messages=(largest,), seqs=(5,), annotations=EMPTY)
    assert decode(encode(of_image(image, NOW))).image().messages == (largest,)


# -- images ------------------------------------------------------------------------------------------------------------


def test_only_a_bulk_sync_is_an_image() -> None:
    for each in ENVELOPES[1:]:
        with pytest.raises(Malformed, match="must be BULK_SYNC"):
            each.image()
    assert ENVELOPES[0].entries() == ()


def test_an_image_made_here_is_looked_at_too() -> None:
    with pytest.raises(Malformed, match=r"image\.seqs"):
        of_data(ROOM, "e1", 0, 3, BulkSync((HELLO,), seqs=(4,)), NOW).image()


def test_messages_without_seqs_are_the_last_of_the_log() -> None:
    messages = tuple(structs.replace(HELLO, id=name) for name in "abc")
    image = of_data(ROOM, "", 0, 9, BulkSync(messages), NOW).image()
    assert (image.seqs, image.held_after, image.floor, image.ordinal) == ((7, 8, 9), 6, 6, 3)
    image = of_data(ROOM, "", 0, 1, BulkSync(messages), NOW).image()
    assert (image.seqs, image.held_after) == ((0, 0, 1), 0)
    image = of_data(ROOM, "", 0, 9, BulkSync(), NOW).image()
    assert (image.seqs, image.held_after, image.floor) == ((), 9, 9)


def test_an_image_that_would_be_too_large_leaves_out_what_is_oldest_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "MAX_ENVELOPE", 24_000)
    image = RoomImage(
        room_id=ROOM,
        position=Position("e1", 300),
        messages=tuple(structs.replace(HELLO, id=f"m{seq}") for seq in range(1, 301)),
        seqs=tuple(range(1, 301)),
        annotations={f"m{seq}": Annotation(START) for seq in (1, 299, 300)},
        tombstones=tuple(f"dead{n}" for n in range(500)),
        members=tuple(User(f"user{n}") for n in range(500)),
        members_complete=True,
        presence={f"user{n}": "online" for n in range(500)},
    )
    raw = encode(of_image(image, NOW))
    assert len(raw) < 24_000
    cut = decode(raw).image()
    first = cut.seqs[0]
    assert cut.messages == image.messages[first - 1 :]
    assert cut.seqs == image.seqs[first - 1 :]
    assert 50 < first == cut.held_after + 1 < 300
    assert list(cut.annotations) == ["m299", "m300"]
    assert cut.tombstones == image.tombstones[-len(cut.tombstones) :]
    assert 0 < len(cut.tombstones) < 500
    assert (cut.members_complete, cut.members) == (False, image.members[: len(cut.members)])
    assert list(cut.presence) == list(image.presence)[: len(cut.presence)]


@attrs.frozen
class Line:
    id: str
    user: str
    content: str
    timestamp: datetime
    extra: dict[str, Any]


def test_messages_before_the_window_of_an_image_are_not_told() -> None:
    image = structs.replace(IMAGE, floor=5, held_after=5, gaps=())
    told = decode(encode(of_image(image, NOW))).image()
    assert (told.seqs, told.messages, told.held_after) == ((8,), image.messages[1:], 5)


def test_a_hosts_own_message_is_written_as_a_message() -> None:
    line = Line("m1", "bob", "hi", START, {"k": 1})
    plain = Message("m1", "bob", "hi", START, (), {"k": 1})
    assert decode(encode(of_update(ROOM, "e1", 4, 5, MessageAdded(line), NOW))).entries() == ((5, MessageAdded(plain)),)
    image = structs.replace(IMAGE, messages=(line,), seqs=(5,), annotations=EMPTY)
    assert decode(encode(of_image(image, NOW))).image().messages == (plain,)


def test_what_json_cannot_carry_is_not_written() -> None:
    told = of_data(ROOM, "e1", 4, 5, StateUpdate(moderation_config={"a": object()}), NOW)
    with pytest.raises(InvalidValue, match="cannot be written as JSON"):
        encode(told)


def test_the_positions_of_an_envelope_are_written_always() -> None:
    inner = json.loads(encode(delta(DeltaUpdate())))["room_state_sync"]
    assert {key: inner[key] for key in ("message_type", "previous", "sequence_number", "epoch")} == {
        "message_type": "DELTA_UPDATE",
        "previous": 4,
        "sequence_number": 5,
        "epoch": "e1",
    }
