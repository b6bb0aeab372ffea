"""What two images differ in, and what every strategy keeps, those here and a host's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import structs

from roomstate.errors import InvalidValue
from roomstate.image import RoomImage
from roomstate.model import Marker, RoomConfig, RoomInfo, User
from roomstate.position import Position
from roomstate.sync.conflict import DEFAULTS, ConflictPolicy
from roomstate.sync.strategies import (
    PARTS,
    ClientWins,
    Conflict,
    ConflictKind,
    ConflictStrategy,
    Merge,
    ServerWins,
    UserChoice,
    apart,
    detect,
    differing,
    fields_of,
)
from roomstate.testing.contracts_conflict import StrategyContract
from tests.room.strategies import START, Line, message
from tests.sync.images import OURS, THEIRS, image

LOCAL = {"room_id", "tier", "taken_at", "pending", "digest"}

# -- what differs ------------------------------------------------------------------------------------------------------


def test_every_field_of_an_image_belongs_to_one_part_or_to_one_copy() -> None:
    named = [name for names in PARTS.values() for name in names]
    assert len(named) == len(set(named))
    assert {*named, *LOCAL} == set(RoomImage.__struct_fields__)
    assert not LOCAL & set(named)
    assert all(set(parts) == set(PARTS) for parts in DEFAULTS.values())
    assert set(DEFAULTS) == set(ConflictKind)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"tombstones": ("x",)}, "MESSAGE_ORDER"),
        ({"held_after": 3}, "MESSAGE_ORDER"),
        ({"position": Position("other", 10)}, "MESSAGE_ORDER"),
        ({"info": RoomInfo(last_activity=START)}, "MESSAGE_ORDER"),
        ({"presence": {"ada": "online"}}, "USER_PRESENCE"),
        ({"members": (User("ada"),), "info": RoomInfo(user_count=1)}, "USER_PRESENCE"),
        ({"info": RoomInfo(moderator_count=1)}, "USER_PRESENCE"),
        ({"config": RoomConfig(emote_only=True), "info": RoomInfo(last_config_update=START)}, "ROOM_CONFIG"),
        ({"moderation": {"a": 1}}, "ROOM_CONFIG"),
        ({"info": RoomInfo(stream_status="live")}, "ROOM_CONFIG"),
        ({"config": RoomConfig(emote_only=True), "info": RoomInfo(user_count=1)}, "COMPLEX"),
        ({"ui_state": {"a": 1}}, "COMPLEX"),
        ({"markers": {"ada": Marker(1, 1)}}, "COMPLEX"),
        ({"notifications": OURS.notifications}, "COMPLEX"),
        ({"tombstones": ("x",), "presence": {"ada": "online"}}, "COMPLEX"),
    ],
)
def test_the_kind_is_the_one_thing_that_differs(fields: dict[str, Any], kind: str) -> None:
    conflict = detect(image(), structs.replace(image(), **fields))
    assert conflict is not None
    assert conflict.kind.name == kind


def test_there_is_no_conflict_about_what_is_one_copy_s_own() -> None:
    server = structs.replace(OURS, **{name: getattr(THEIRS, name) for name in LOCAL})
    assert server != OURS
    assert detect(OURS, server) is None


def test_a_host_s_own_class_of_messages_is_no_conflict() -> None:
    own: Any = tuple(Line(f"m{seq}", "bob", "hi", message(second=seq).timestamp, {}) for seq in (1, 2))
    assert detect(structs.replace(image(1, 2), messages=own), image(1, 2)) is None
    conflict = detect(structs.replace(image(1, 2), messages=own[::-1]), image(1, 2))
    assert conflict is not None
    assert conflict.kind is ConflictKind.MESSAGE_ORDER


def test_a_part_s_fields_and_those_that_differ() -> None:
    assert fields_of("members", OURS) == {"members": OURS.members, "members_complete": False}
    assert differing("members", OURS, structs.replace(OURS, members_complete=True)) == ("members_complete",)
    assert differing("members", OURS, OURS) == ()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, False),
        ({"position": Position("f", 10)}, True),
        ({"by_time": True}, True),
        ({"fingerprint": "other"}, True),
        ({"fingerprint": ""}, False),
        ({"fingerprint": "other", "position": Position("e", 11)}, False),
    ],
)
def test_logs_are_two_by_epoch_by_order_and_by_fingerprint(changed: dict[str, Any], expected: bool) -> None:
    other = structs.replace(OURS, **changed)
    assert apart(OURS, other) is apart(other, OURS) is expected


# -- strategies --------------------------------------------------------------------------------------------------------


def test_strategies_have_bounds() -> None:
    with pytest.raises(InvalidValue, match=r"merge\.max_messages"):
        Merge(0)
    for expires_s in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InvalidValue, match=r"user_choice\.expires_s"):
            UserChoice(expires_s)
    wrong: Any = "both"
    with pytest.raises(InvalidValue, match=r"user_choice\.expires_s"):
        UserChoice(wrong)
    with pytest.raises(InvalidValue, match=r"user_choice\.default"):
        UserChoice(default=wrong)
    few = Merge(3).settle("messages", Conflict(ConflictKind.COMPLEX, image(1, 2, head=2), image(3, 4, held_after=2)))
    assert few["seqs"] == (2, 3, 4)


class TestServerWins(StrategyContract):
    def strategy(self) -> ConflictStrategy:
        return ServerWins()


class TestClientWins(StrategyContract):
    def strategy(self) -> ConflictStrategy:
        return ClientWins()


class TestMerge(StrategyContract):
    def strategy(self) -> ConflictStrategy:
        return Merge()


class TestMergeOfFew(StrategyContract):
    def strategy(self) -> ConflictStrategy:
        return Merge(2)


class TestUserChoice(StrategyContract):
    parts = tuple(part for part in PARTS if part != "messages")

    def strategy(self) -> ConflictStrategy:
        return UserChoice(default="client")


class Broken:
    """A strategy that breaks one promise, over moderation."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.asked = 0

    def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
        self.asked += 1
        if self.fault == "fields":
            return {part: {}, "config": RoomConfig()}
        if self.fault == "type":
            return {part: None}
        if self.fault == "answer":
            return {part: {"asked": self.asked}}
        if self.fault == "images" and isinstance(conflict.server.moderation, dict):
            conflict.server.moderation["changed"] = True
        return {part: conflict.server.moderation}


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("fields", "test_it_returns_the_fields_of_the_part_and_no_others"),
        ("type", "test_it_returns_what_the_fields_may_have"),
        ("answer", "test_the_same_question_has_the_same_answer"),
        ("images", "test_it_leaves_the_images_as_they_are"),
    ],
)
def test_the_contract_finds_a_broken_strategy(fault: str, test: str) -> None:
    class Contract(StrategyContract):
        __test__ = False
        parts = ("moderation",)

        def strategy(self) -> ConflictStrategy:
            return Broken(fault)

    with pytest.raises((AssertionError, TypeError, ValueError)):
        getattr(Contract(), test)()


def test_a_contract_without_a_strategy_says_so() -> None:
    with pytest.raises(NotImplementedError):
        StrategyContract().strategy()


def test_there_is_nothing_to_merge_in_images_of_nothing() -> None:
    nothing = RoomImage(room_id="room", position=Position("e", 0))
    assert detect(nothing, nothing) is None
    assert ConflictPolicy().settle(Conflict(ConflictKind.COMPLEX, nothing, nothing), 0.0).decisions == ()
