"""Every frame is read as it was written; what is not exactly one frame is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate import errors
from roomstate.errors import InvalidValue, Malformed, Oversized, RoomStateError
from roomstate.model import Message, Notification
from roomstate.position import MAX_SEQ, Token
from roomstate.sync.envelope import Envelope, encode
from roomstate.sync.frames import (
    MAX_NAMED,
    MAX_TOLD,
    Ack,
    AnyFrame,
    ErrorFrame,
    Interest,
    Request,
    Send,
    decode_frame,
    named,
    of_error,
)
from roomstate.updates import (
    MessageAdded,
    MessageEdited,
    ModerationConfigChanged,
    NotificationAdded,
    TypingChanged,
    Update,
)
from tests.sync.hostile import ENVELOPES, FRAMES, nested
from tests.sync.strategies import ROOM, START, ephemeral, logged

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
numbers = st.integers(0, MAX_SEQ)
tokens = st.none() | names | st.builds(Token, names, numbers, st.just("ff")).map(Token.to_str)
frames: st.SearchStrategy[Any] = st.one_of(
    st.builds(Request, names, st.none() | numbers, tokens),
    st.builds(Interest, names, st.sampled_from(["ACTIVE", "BACKGROUND", None]), tokens),
    st.builds(Send, st.just(ROOM), names, st.one_of(logged, ephemeral)),
    st.builds(Ack, names, names, names, names, numbers),
    st.builds(ErrorFrame, names, names, names, st.booleans(), st.none() | names, st.none() | names),
)


def refused(raw: str, where: str, reason: str = "") -> None:
    with pytest.raises(Malformed) as caught:
        decode_frame(raw)
    assert caught.value.where == where
    assert reason in caught.value.reason


@given(frames)
def test_a_frame_is_read_as_it_was_written(frame: Any) -> None:
    text = frame.to_json()
    assert decode_frame(text) == decode_frame(text.encode()) == frame
    assert list(json.loads(text)) == [frame.NAME]


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_an_envelope_is_a_frame_too(envelope: Envelope) -> None:
    assert decode_frame(encode(envelope)) == envelope


def test_every_frame_has_its_name() -> None:
    assert {frame.NAME for frame in FRAMES if not isinstance(frame, Envelope)} | {"room_state_sync"} == set(
        AnyFrame.__struct_fields__
    )


def test_not_exactly_one_frame() -> None:
    one = {"room_id": ROOM}
    refused("{}", "frame", "got 0")
    refused('{"room_state_nothing": {}}', "frame", "got 0")
    refused(json.dumps({"room_state_request": one, "room_state_interest": {**one, "tier": None}}), "frame", "got 2")
    refused('{"room_state_request": null}', "room_state_request")
    refused("[]", "frame")


@pytest.mark.parametrize(
    ("name", "inner", "where"),
    [
        ("request", {}, ""),
        ("request", {"room_id": ""}, ".room_id"),
        ("request", {"room_id": ROOM, "request_id": -1}, ".request_id"),
        ("request", {"room_id": ROOM, "token": 3}, ".token"),
        ("interest", {"room_id": ROOM}, ""),
        ("interest", {"room_id": ROOM, "tier": "CACHED"}, ".tier"),
        ("send", {"room_id": ROOM, "client_id": "c"}, ""),
        ("send", {"room_id": ROOM, "client_id": "", "update": {}}, ".client_id"),
        ("send", {"room_id": ROOM, "client_id": "c", "update": {}}, ".update"),
        ("send", {"room_id": ROOM, "client_id": "c", "update": {"kind": "nope"}}, ".update.kind"),
        ("ack", {"room_id": ROOM, "client_id": "c", "message_id": "m", "epoch": "e", "sequence_number": 0.5}, None),
        ("error", {"code": "", "where": "", "reason": "", "retryable": True}, ".code"),
        ("error", {"code": "X", "where": "", "reason": "x" * 1001, "retryable": True}, None),
    ],
)
def test_fields_that_are_missing_or_wrong(name: str, inner: dict[str, Any], where: str | None) -> None:
    raw = json.dumps({f"room_state_{name}": inner})
    if where is not None:
        refused(raw, f"room_state_{name}{where}")
    with pytest.raises((Malformed, Oversized)):
        decode_frame(raw)


def test_a_token_that_cannot_be_read_means_an_image() -> None:
    token = Token("e1", 3, "ff")
    assert Request(ROOM, 1, token.to_str()).resume == Interest(ROOM, "ACTIVE", token.to_str()).resume == token
    for text in (None, "", "nonsense", "x" * 10_000, "\u00fc"):
        frame = decode_frame(Request(ROOM, 1, text).to_json())
        assert isinstance(frame, Request)
        assert frame.resume is None


DEEP = {"a": nested(64)}


@pytest.mark.parametrize(
    ("update", "where"),
    [
        (MessageAdded(Message("m", "bob", "hi", START, (), DEEP)), "message.extra"),
        (MessageEdited("m", "hi", extra=DEEP), "extra"),
        (ModerationConfigChanged(DEEP), "config"),
    ],
)
def test_what_is_sent_is_no_deeper_than_what_is_received(update: Update, where: str) -> None:
    with pytest.raises(Oversized) as caught:
        decode_frame(Send(ROOM, "c", update).to_json())
    assert caught.value.where == f"room_state_send.update.{where}"


def test_what_is_sent_may_say_nothing_of_another_room() -> None:
    note = Notification("go", "ada", "mention", "m1", 3, START)
    refused(Send(ROOM, "c", NotificationAdded(note)).to_json(), "room_state_send.update.notification.room_id")


def test_a_message_may_be_sent_without_a_time() -> None:
    frame = Send(ROOM, "c", MessageAdded(Message("m", "bob", "hi")))
    assert "timestamp" not in frame.to_json()
    assert decode_frame(frame.to_json()) == frame


def test_what_is_sent_has_times_that_can_be() -> None:
    early = '{"kind": "message_edited", "message_id": "m", "content": "", "edited_at": "0001-01-01T00:00:00+01:00"}'
    raw = f'{{"room_state_send": {{"room_id": "rust", "client_id": "c", "update": {early}}}}}'
    refused(raw, "room_state_send.update.edited_at")


def test_an_update_that_cannot_be_logged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomstate.room.reduce.MAX_UPDATE", 10)
    raw = Send(ROOM, "c", TypingChanged("ada")).to_json()
    refused(raw, "room_state_send.update.TypingChanged", "at most 10 bytes")


def test_what_json_cannot_carry_is_not_written() -> None:
    with pytest.raises(InvalidValue, match="room_state_send"):
        Send(ROOM, "c", ModerationConfigChanged({"a": object()})).to_json()


@pytest.mark.parametrize("name", [name for name, kind in vars(errors).items() if isinstance(kind, type)])
def test_every_error_can_be_told(name: str) -> None:
    error: RoomStateError = getattr(errors, name)("x" * 5000, "y" * 5000)
    frame = of_error(error, room_id=ROOM, client_id="c1")
    assert decode_frame(frame.to_json()) == frame
    assert (frame.code, frame.room_id, frame.client_id) == (name, ROOM, "c1")
    assert len(frame.where) == len(frame.reason) == MAX_TOLD


def test_what_may_succeed_later_says_so() -> None:
    again = {"CapacityError", "RoomBusy", "OverBudget", "TooManyRooms", "RateLimited"}
    again |= {"StoreUnavailable", "StoreBusy", "StoreFull", "StoreReadOnly"}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {kind.__name__ for kind in kinds if of_error(kind("a", "b")).retryable} == again


def test_too_many_bytes() -> None:
    frame = Request(ROOM)
    raw = frame.to_json()
    assert decode_frame(raw, len(raw)) == frame
    with pytest.raises(Oversized):
        decode_frame(raw, len(raw) - 1)


@given(frames)
def test_a_refused_frame_s_names_are_those_it_has(frame: Any) -> None:
    asks = isinstance(frame, Request | Interest | Send)
    mine = (frame.room_id, getattr(frame, "client_id", None)) if asks else (None, None)
    assert named(frame.to_json()) == named(frame.to_json().encode()) == mine


@pytest.mark.parametrize("raw", ["[" * 10_000, "", "\ud800", b"\xff", "{}", "[]", "7", 7, None, [], {}])
def test_names_are_read_of_anything_without_raising(raw: Any) -> None:
    room_id, client_id = named(raw)
    assert "" not in (room_id, client_id)


def test_names_are_read_of_ordinary_frames_only() -> None:
    text = '{"room_state_send": {"room_id": "rust", "client_id": "c1", "more": "%s"}}'
    room = MAX_NAMED - len(text % "")
    assert named(text % ("x" * room)) == ("rust", "c1")
    assert named(text % ("x" * (room + 1))) == (None, None)
    assert named('{"room_state_send": {"room_id": "rust", "client_id": 7}}') == (None, None)
