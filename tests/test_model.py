from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.model import (
    EMPTY,
    MAX_BADGES,
    MAX_CONTENT,
    MAX_DEPTH,
    MAX_EXTRA,
    MAX_ID,
    UNSTAMPED,
    Count,
    Message,
    MessageLike,
    RoomInfo,
    Status,
    Tier,
    User,
    as_message,
    check_bound,
    check_id,
    check_kept,
    check_message,
    check_text,
    depth,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


@frozen
class Line:
    id: str
    user: str
    content: str
    timestamp: datetime
    extra: Mapping[str, Any]
    colour: str = "red"


class Lacking:
    id = user = content = "x"
    timestamp = START


# -- ids, texts and bounds ---------------------------------------------------------------------------------------------


@given(st.text(max_size=520))
def test_an_id_is_text_that_utf8_carries(text: str) -> None:
    if not 0 < len(text) <= MAX_ID or any("\ud800" <= character <= "\udfff" for character in text):
        with pytest.raises(InvalidValue, match="name: "):
            check_id("name", text)
    else:
        check_id("name", text)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "must be a str, got NoneType"),
        (b"x", "must be a str, got bytes"),
        (7, "must be a str, got int"),
        ("", "must have 1 to 512 characters, got 0"),
        ("x" * 513, "must have 1 to 512 characters, got 513"),
        ("a\ud800", "has a lone surrogate, which UTF-8 cannot carry"),
    ],
)
def test_what_is_wrong_with_an_id_is_told(value: Any, reason: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        check_id("name", value)
    assert (refusal.value.where, refusal.value.reason) == ("name", reason)


def test_a_text_may_be_empty_and_has_its_own_bound() -> None:
    check_text("status", "", 3)
    check_text("status", "é" * 3, 3)
    with pytest.raises(InvalidValue, match="status: must have 0 to 3 characters, got 4"):
        check_text("status", "four", 3)


@pytest.mark.parametrize("bad", [0, -3, 1.0, float("nan"), float("inf"), None, "1"])
def test_a_bound_is_a_whole_number_of_at_least_1(bad: Any) -> None:
    check_bound("most", 1)
    check_bound("start", 0, least=0)
    with pytest.raises(InvalidValue, match="most: must be an int of at least 1, got"):
        check_bound("most", bad)


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_has_four_fields_and_defaults() -> None:
    message = Message("1", "bob", "hi")
    assert (message.timestamp, message.badges, message.extra) == (UNSTAMPED, (), EMPTY)
    assert message == Message("1", "bob", "hi")
    assert isinstance(message, MessageLike)
    with pytest.raises(AttributeError):
        message.content = "changed"  # type: ignore[misc]
    with pytest.raises(TypeError):
        EMPTY["a"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    "message",
    [
        Message("1", "bob", ""),
        Message("1", "bob", "é" * MAX_CONTENT, START, ("mod", "é"), {"a": [1, None, {"b": "é"}]}),
        Message("1", "bob", "hi", datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
        Line("1", "bob", "hi", START, {}),
        Line("1", "bob", "hi", START, MappingProxyType({"a": 1})),
    ],
)
def test_what_is_sound_comes_back_from_json_as_it_was(message: MessageLike) -> None:
    check_message(message)
    plain = as_message(message)
    assert msgspec.json.decode(msgspec.json.encode(plain), type=Message) == plain


def nested(levels: int) -> Any:
    value: Any = "a leaf"
    for level in range(levels):
        value = [value] if level % 2 and level < levels - 1 else {"a": value}
    return value


def test_a_hosts_own_fields_may_be_so_deep() -> None:
    assert [depth(nested(levels)) for levels in (0, 1, 2, 9)] == [0, 1, 2, 9]
    check_message(Message("1", "bob", "hi", START, (), nested(MAX_DEPTH)))
    check_kept("extra", nested(MAX_DEPTH))
    check_kept("extra", {"wide": [[]] * 1000})
    check_kept("extra", None)
    with pytest.raises(InvalidValue, match="nested at most 64 deep"):
        check_kept("extra", nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidValue, match="at most 262144 bytes"):
        check_kept("extra", {"a": "x" * MAX_EXTRA})


CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (None, "message"),
        (Lacking(), "message"),
        (Message("", "bob", "hi"), "message.id"),
        (Message(5, "bob", "hi"), "message.id"),  # type: ignore[arg-type]
        (Message("1", "\udfff", "hi"), "message.user"),
        (Message("1", "bob", None), "message.content"),  # type: ignore[arg-type]
        (Message("1", "bob", b"hi"), "message.content"),  # type: ignore[arg-type]
        (Message("1", "bob", "x" * (MAX_CONTENT + 1)), "message.content"),
        (Message("1", "bob", "\ud800"), "message.content"),
        (Message("1", "bob", "hi", datetime(2026, 1, 1)), "message.timestamp"),  # noqa: DTZ001
        (Message("1", "bob", "hi", 1.5), "message.timestamp"),  # type: ignore[arg-type]
        (Message("1", "bob", "hi", START, None), "message.badges"),  # type: ignore[arg-type]
        (Message("1", "bob", "hi", START, "mod"), "message.badges"),  # type: ignore[arg-type]
        (Message("1", "bob", "hi", START, ("mod", None)), "message.badges"),  # type: ignore[arg-type]
        (Message("1", "bob", "hi", START, ("mod",) * (MAX_BADGES + 1)), "message.badges"),
        (Message("1", "bob", "hi", datetime.fromisoformat("0001-01-01T00:00:00+00:01")), "message.timestamp"),
        (Message("1", "bob", "hi", datetime.fromisoformat("9999-12-31T23:59:59-00:01")), "message.timestamp"),
        (Message("1", "bob", "hi", START, (), nested(MAX_DEPTH + 1)), "message.extra"),
        (Message("1", "bob", "hi", START, (), None), "message.extra"),  # type: ignore[arg-type]
        (Message("1", "bob", "hi", START, (), [1]), "message.extra"),  # type: ignore[arg-type]
        (Message("1", "bob", "hi", START, (), {"a": (1, 2)}), "message.extra"),
        (Message("1", "bob", "hi", START, (), {1: 2}), "message.extra"),  # type: ignore[dict-item]
        (Message("1", "bob", "hi", START, (), {"a": b"bytes"}), "message.extra"),
        (Message("1", "bob", "hi", START, (), {"a": float("nan")}), "message.extra"),
        (Message("1", "bob", "hi", START, (), {"a": "\ud800"}), "message.extra"),
        (Message("1", "bob", "hi", START, (), {"a": object()}), "message.extra"),
        (Message("1", "bob", "hi", START, (), {"a": "x" * MAX_EXTRA}), "message.extra"),
        (Message("1", "bob", "hi", START, (), MappingProxyType({"a": 1})), "message.extra"),
        (Message("1", "bob", "hi", START, (), CYCLE), "message.extra"),
        (Line("1", "bob", "hi", START, {"a": {1}}), "message.extra"),
        (Line("1", "bob", "hi", START, 7), "message.extra"),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_with_a_message_is_told(message: Any, where: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        check_message(message)
    assert refusal.value.where == where
    assert refusal.value.reason


def test_a_hosts_own_message_becomes_plain_and_a_plain_one_stays_itself() -> None:
    message = Message("1", "bob", "hi", START, ("mod",), {"a": 1})
    assert as_message(message) is message
    assert as_message(Line("1", "bob", "hi", START, {"a": 1})) == Message("1", "bob", "hi", START, (), {"a": 1})
    assert as_message(Line("1", "bob", "hi", START, {})).extra is EMPTY


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_a_count_says_whether_it_is_all_and_is_never_falsy_by_accident() -> None:
    assert (str(Count(3)), str(Count(0, exact=False))) == ("3", "0+")
    with pytest.raises(TypeError, match="ask for its value and exact"):
        bool(Count(0))


def test_the_shared_empty_mapping_stays_empty_and_itself() -> None:
    assert copy.copy(EMPTY) is copy.deepcopy(EMPTY) is EMPTY
    for change in ("setdefault", "update", "__setitem__", "__ior__"):
        with pytest.raises(TypeError, match="cannot be changed"):
            getattr(EMPTY, change)()
    assert not EMPTY


def test_tiers_are_in_order_and_statuses_have_names() -> None:
    assert sorted(Tier) == [Tier.UNLOADED, Tier.CACHED, Tier.BACKGROUND, Tier.ACTIVE]
    assert [status.value for status in Status] == ["loading", "ready", "stale", "error"]


def test_what_nobody_has_told_is_unknown() -> None:
    assert RoomInfo() == RoomInfo(None, None, "", None, None)
    assert User("ada") == User("ada", "", (), "", EMPTY)
