"""Every kind of update at every tier: what it means, what it changes, and that a refused one changes nothing."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.model import (
    MAX_CONTENT,
    Message,
    MessageLike,
    Notification,
    RoomConfig,
    RoomInfo,
    Tier,
    User,
)
from roomstate.room.passage import image_of
from roomstate.room.reduce import (
    APPLIED,
    MAX_REACTIONS,
    MAX_REACTORS,
    MAX_UPDATE,
    MEANINGS,
    Change,
    Meaning,
    Outcome,
    apply,
    check_update,
    made,
)
from roomstate.room.states import ActiveRoom, Limits, LiveRoom
from roomstate.updates import (
    KINDS,
    LOGGED,
    CountsChanged,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ModerationConfigChanged,
    NotificationAdded,
    PresenceChanged,
    ReactionAdded,
    ReactionRemoved,
    ReceiptRead,
    RoomConfigChanged,
    StreamStatusChanged,
    TypingChanged,
    Update,
    UserJoined,
    UserLeft,
    UserUpdated,
)
from tests.room.strategies import LIMITS, LIVE, NOW, START, Line, message, messages, room, updates


def state(of: LiveRoom) -> tuple[Any, ...]:
    """All that can be read of a room."""
    typing = dict(of.typing) if isinstance(of, ActiveRoom) else None
    timeline = of.timeline
    timeline._fix_seqs()  # positions weigh something from when they are no longer counted on
    return (image_of(of, 0.0), of.changes, typing, timeline.bytes, timeline.horizon, timeline.seqs(), of.info)


def do(to: LiveRoom, update: Update, **options: Any) -> Change:
    """Apply at the next seq, and check."""
    change = apply(to, update, to.head + 1, NOW, LIMITS, **options)
    to.check()
    return change


# -- the table of meanings ---------------------------------------------------------------------------------------------


def test_the_table_of_meanings_is_total() -> None:
    assert set(MEANINGS) == set(itertools.product(Tier, KINDS))
    assert all(MEANINGS[tier, kind] is not Meaning.MISFIT for tier in Tier for kind in LOGGED)
    assert all(MEANINGS[Tier.ACTIVE, kind] is Meaning.HELD for kind in KINDS)


@pytest.mark.parametrize("by_time", [False, True], ids=["by seq", "by time"])
@pytest.mark.parametrize("tier", LIVE, ids=str)
@settings(max_examples=150)
@given(given=st.lists(updates, max_size=30))
def test_any_updates_at_any_live_tier(tier: Tier, by_time: bool, given: list[Update]) -> None:
    live = room(tier, by_time=by_time)
    for update in given:
        before, head, changes = state(live), live.head, live.changes
        change = do(live, update)
        kind = type(update)
        meaning = MEANINGS[tier, kind]
        if change.outcome is not Outcome.APPLIED:
            assert change.reason
            assert state(live) == before
        elif kind in LOGGED:
            assert (live.head, live.changes) == (head + 1, changes)
        else:
            assert (live.head, live.changes) == (head, changes + 1)
        if meaning is Meaning.MISFIT:
            assert change.outcome is Outcome.MISFIT
        if meaning is Meaning.LOGGED:  # nothing but the head has moved
            msgspec.structs.force_setattr(before[0], "position", live.position)
            assert state(live) == before


@given(updates)
def test_what_hypothesis_makes_is_sound(update: Update) -> None:
    check_update(update)


# -- what is not sound -------------------------------------------------------------------------------------------------

LATER = datetime(2026, 1, 1)  # noqa: DTZ001  # without a zone
UNSOUND: list[Any] = [
    None,
    object(),
    message(),
    MessageAdded(None),  # type: ignore[arg-type]
    MessageAdded(object()),  # type: ignore[arg-type]
    MessageAdded(Message("", "bob", "hi", START)),
    MessageAdded(Message("x" * 513, "bob", "hi", START)),
    MessageAdded(Message(7, "bob", "hi", START)),  # type: ignore[arg-type]
    MessageAdded(Message(b"m1", "bob", "hi", START)),  # type: ignore[arg-type]
    MessageAdded(Message("\ud800", "bob", "hi", START)),
    MessageAdded(Message("m1", None, "hi", START)),  # type: ignore[arg-type]
    MessageAdded(Message("m1", "", "hi", START)),
    MessageAdded(Message("m1", "bob", None, START)),  # type: ignore[arg-type]
    MessageAdded(Message("m1", "bob", b"hi", START)),  # type: ignore[arg-type]
    MessageAdded(Message("m1", "bob", ["hi"], START)),  # type: ignore[arg-type]
    MessageAdded(Message("m1", "bob", "\udc80", START)),
    MessageAdded(Message("m1", "bob", "x" * (MAX_CONTENT + 1), START)),
    MessageAdded(Message("m1", "bob", "hi", LATER)),
    MessageAdded(Message("m1", "bob", "hi", None)),  # type: ignore[arg-type]
    MessageAdded(Message("m1", "bob", "hi", float("nan"))),  # type: ignore[arg-type]
    MessageAdded(Message("m1", "bob", "hi", START, "mod")),  # type: ignore[arg-type]
    MessageAdded(Message("m1", "bob", "hi", START, (), {"a": float("nan")})),
    MessageAdded(Message("m1", "bob", "hi", START, (), {"a": object()})),
    MessageAdded(Line("m1", "bob", "hi", START, ["no mapping"])),  # type: ignore[arg-type]
    MessageEdited("", "hi"),
    MessageEdited("m1", b"hi"),  # type: ignore[arg-type]
    MessageEdited("m1", None),  # type: ignore[arg-type]
    MessageEdited("m1", "\ud800"),
    MessageEdited("m1", "x" * (MAX_CONTENT + 1)),
    MessageEdited("m1", "hi", LATER),
    MessageEdited("m1", "hi", "yesterday"),  # type: ignore[arg-type]
    MessageEdited("m1", "hi", None, ["no mapping"]),  # type: ignore[arg-type]
    MessageEdited("m1", "hi", None, {"a": {1}}),
    MessageEdited("m1", "hi", None, {"a": "x" * MAX_UPDATE}),
    MessageEdited("m1", "hi", None, None, LATER),
    MessageRemoved(None),  # type: ignore[arg-type]
    MessageRemoved("x" * 513),
    ReactionAdded("m1", "bob", ""),
    ReactionAdded("m1", "bob", "x" * 65),
    ReactionAdded("m1", None, "+"),  # type: ignore[arg-type]
    ReactionRemoved("m1", "bob", b"+"),  # type: ignore[arg-type]
    UserJoined(None),  # type: ignore[arg-type]
    UserJoined({"id": "ada"}),  # type: ignore[arg-type]
    UserJoined(User("")),
    UserJoined(User("ada", badges=["mod"])),  # type: ignore[arg-type]
    UserLeft(""),
    UserUpdated("ada"),  # type: ignore[arg-type]
    RoomConfigChanged(None),  # type: ignore[arg-type]
    RoomConfigChanged(RoomConfig(slow_mode_duration=-1)),
    RoomConfigChanged(RoomConfig(slow_mode_duration=float("nan"))),  # type: ignore[arg-type]
    ModerationConfigChanged(None),  # type: ignore[arg-type]
    ModerationConfigChanged({"a": float("inf")}),
    StreamStatusChanged("x" * 65),
    StreamStatusChanged(1),  # type: ignore[arg-type]
    CountsChanged(-1),
    CountsChanged(1.5),  # type: ignore[arg-type]
    CountsChanged(True),
    CountsChanged(None, 1 << 54),
    PresenceChanged("ada", "asleep"),  # type: ignore[arg-type]
    TypingChanged("ada", -1),
    TypingChanged("ada", float("nan")),
    TypingChanged("ada", float("inf")),
    TypingChanged("ada", "6"),  # type: ignore[arg-type]
    ReceiptRead("ada", ""),
    NotificationAdded(None),  # type: ignore[arg-type]
    NotificationAdded(Notification("room", "ada", "mention", "m1", "1", START)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("by_time", [False, True], ids=["by seq", "by time"])
@pytest.mark.parametrize("tier", LIVE, ids=str)
def test_what_is_not_sound_is_refused_and_changes_nothing(tier: Tier, by_time: bool) -> None:
    live = room(tier, by_time=by_time)
    for number in range(1, 6):
        do(live, MessageAdded(message(f"m{number}", second=number)))
    do(live, ReactionAdded("m5", "ada", "+"))
    before = state(live)
    for update in UNSOUND:
        with pytest.raises(InvalidValue) as refusal:
            do(live, update)
        assert refusal.value.where
        assert refusal.value.reason
        assert state(live) == before, update


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(InvalidValue, match=r"UserJoined.user.id: Expected `str` of length >= 1"):
        check_update(UserJoined(User("")))
    with pytest.raises(InvalidValue, match=r"message.content: must be a str, got bytes"):
        check_update(MessageAdded(Message("m1", "bob", b"hi", START)))  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="MessageEdited: must come back from JSON as it was"):
        check_update(MessageEdited("m1", b"hi"))  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=r"update: must be one of the updates in roomstate.updates, got Message"):
        check_update(message())  # type: ignore[arg-type]
    cycle: dict[str, Any] = {}
    cycle["again"] = cycle
    with pytest.raises(InvalidValue, match="ModerationConfigChanged"):
        check_update(ModerationConfigChanged(cycle))


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_repeated_message_is_a_duplicate_and_one_with_other_content_a_misfit() -> None:
    live = room()
    assert do(live, MessageAdded(message())) is APPLIED
    assert do(live, MessageAdded(message())) == Change(Outcome.DUPLICATE, "is held already")
    other = do(live, MessageAdded(message(content="other")))
    assert (other.outcome, other.reason) == (Outcome.MISFIT, "message 'm1' is held already, with other content")
    do(live, ReactionAdded("m1", "ada", "+"))  # a reaction does not make other content the same
    assert do(live, MessageAdded(message(content="other"))).outcome is Outcome.MISFIT
    do(live, MessageEdited("m1", "edited"))
    assert do(live, MessageAdded(message())).outcome is Outcome.DUPLICATE
    do(live, MessageRemoved("m1"))
    assert do(live, MessageAdded(message())) == Change(Outcome.DUPLICATE, "was removed, or has left the window")


def test_a_message_that_is_older_than_what_was_dropped_is_new_if_its_id_is() -> None:
    live = room(Tier.BACKGROUND)
    for number in range(1, 30):
        do(live, MessageAdded(message(f"m{number}", second=number)))
    assert do(live, MessageAdded(message("m2", second=2))).outcome is Outcome.DUPLICATE
    assert do(live, MessageAdded(message("late", second=2))) is APPLIED
    assert live.timeline.messages()[-1].id == "late"


def test_a_removal_tells_what_was_removed_and_keeps_late_copies_out() -> None:
    live = room()
    do(live, MessageAdded(message()))
    change = do(live, MessageRemoved("m1", "mod"))
    assert (change.removed, change.removed_seq) == (message(), 1)
    assert do(live, MessageRemoved("m2")).removed is None
    assert do(live, MessageAdded(message("m2"))).outcome is Outcome.DUPLICATE
    assert (live.head, len(live.timeline)) == (3, 0)


@given(messages)
def test_a_hosts_own_object_is_what_is_held(new: MessageLike) -> None:
    for by_time in (False, True):
        live = room(by_time=by_time)
        do(live, MessageAdded(new))
        assert live.timeline.get(new.id) is new


def test_an_edit_keeps_what_it_does_not_name() -> None:
    live = room()
    do(live, MessageAdded(message(badges=("mod",), extra={"a": 1, "b": 2})))
    do(live, MessageEdited("m1", "edited", START, {"b": 3}))
    assert live.timeline.get("m1") == message(content="edited", badges=("mod",), extra={"a": 1, "b": 3})
    assert live.timeline.annotations["m1"].edited_at == START
    do(live, MessageEdited("m1", "again"))
    assert live.timeline.annotations["m1"].edited_at == datetime.fromtimestamp(NOW, START.tzinfo)
    assert do(live, MessageEdited("m9", "nobody")) is APPLIED


def test_an_edit_that_outgrows_the_bounds_of_a_message_is_refused() -> None:
    live = room()
    do(live, MessageAdded(message(extra={"a": "x" * 200_000})))
    before = state(live)
    with pytest.raises(InvalidValue, match=r"message.extra: must have at most"):
        do(live, MessageEdited("m1", "hi", None, {"b": "x" * 200_000}))
    assert state(live) == before


def test_a_new_time_moves_a_message_only_where_there_are_no_positions() -> None:
    for by_time, order in ((False, ["m1", "m2"]), (True, ["m2", "m1"])):
        live = room(by_time=by_time)
        for number in (1, 2):
            do(live, MessageAdded(message(f"m{number}", second=number)))
        do(live, ReactionAdded("m1", "ada", "+"))
        do(live, MessageEdited("m1", "hi", timestamp=START + timedelta(seconds=5)))
        assert [held.id for held in live.timeline] == order
        assert live.timeline.annotations["m1"].reactions == {"+": ("ada",)}


def test_an_edit_that_moves_a_message_out_of_the_window_leaves_nothing_behind() -> None:
    live = room(Tier.BACKGROUND, by_time=True)
    for number in (1, 2, 3, 4):
        do(live, MessageAdded(message(f"m{number}", second=number)))
    do(live, MessageEdited("m4", "hi", timestamp=START))
    live.timeline.settle()
    assert [held.id for held in live.timeline][-1] == "m3"
    assert "m4" not in live.timeline.annotations or "m4" in live.timeline


def line(plain: Message) -> Line:
    return Line(plain.id, plain.user, plain.content, plain.timestamp, dict(plain.extra))


def test_an_edited_message_is_made_into_the_hosts_own_class_again() -> None:
    live = room()
    do(live, MessageAdded(Line("m1", "bob", "hi", START, {"a": 1})))
    do(live, MessageEdited("m1", "edited"), make=line)
    assert live.timeline.get("m1") == Line("m1", "bob", "edited", START, {"a": 1})
    do(live, MessageEdited("m1", "plain"))
    assert live.timeline.get("m1") == message(content="plain", extra={"a": 1})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda plain: None, "message: must have id, user, content, timestamp and extra"),
        (lambda plain: message("m2"), "make_message: must keep the id 'm1', got 'm2'"),
        (
            lambda plain: Message("m1", "bob", None, START),  # type: ignore[arg-type]
            "message.content: must be a str, got NoneType",
        ),
    ],
)
def test_a_maker_that_does_not_do_its_job_changes_nothing(make: Any, reason: str) -> None:
    live = room()
    do(live, MessageAdded(message()))
    before = state(live)
    with pytest.raises(InvalidValue, match=reason):
        do(live, MessageEdited("m1", "edited"), make=make)
    assert state(live) == before
    with pytest.raises(InvalidValue, match=reason):
        made(message(), make)


# -- reactions ---------------------------------------------------------------------------------------------------------


def test_reactions_gather_in_order_and_the_same_twice_is_one() -> None:
    live = room()
    do(live, MessageAdded(message()))
    for user in ("ada", "bob", "ada"):
        assert do(live, ReactionAdded("m1", user, "+")) is APPLIED
    assert live.timeline.annotations["m1"].reactions == {"+": ("ada", "bob")}
    for user in ("ada", "cy", "bob"):
        assert do(live, ReactionRemoved("m1", user, "+")) is APPLIED
    assert live.timeline.annotations == {}
    assert do(live, ReactionAdded("m9", "ada", "+")) is APPLIED
    assert live.timeline.annotations == {}


def test_reactions_are_bounded() -> None:
    live = room()
    do(live, MessageAdded(message()))
    for number in range(MAX_REACTIONS):
        assert do(live, ReactionAdded("m1", "ada", f"e{number}")) is APPLIED
    before = state(live)
    assert do(live, ReactionAdded("m1", "ada", "one more")).outcome is Outcome.MISFIT
    assert state(live) == before
    assert do(live, ReactionAdded("m1", "bob", "e0")) is APPLIED
    for number in range(MAX_REACTORS - 2):
        apply(live, ReactionAdded("m1", f"user{number}", "e0"), live.head + 1, NOW, LIMITS)
    assert do(live, ReactionAdded("m1", "late", "e0")).outcome is Outcome.MISFIT
    assert do(live, ReactionAdded("m1", "bob", "e0")) is APPLIED


# -- members and the rest ----------------------------------------------------------------------------------------------


def test_where_all_members_are_known_they_are_the_count() -> None:
    live = room()
    assert live.roster.complete
    for update in (UserJoined(User("ada")), UserJoined(User("ada", "Ada")), UserJoined(User("bob")), UserLeft("cy")):
        do(live, update)
    assert (live.info.user_count, live.roster.get("ada")) == (2, User("ada", "Ada"))
    do(live, UserUpdated(User("bob", "Bob")))
    do(live, UserUpdated(User("cy", "Cy")))
    assert [user.username for user in live.roster.members()] == ["Ada", "Bob"]
    do(live, TypingChanged("bob"))
    do(live, PresenceChanged("bob", "away"))
    do(live, UserLeft("bob"))
    assert isinstance(live, ActiveRoom)
    assert (live.info.user_count, live.present, live.typing) == (1, 0, {})


@pytest.mark.parametrize("tier", LIVE, ids=str)
def test_where_they_are_not_the_count_last_told_moves_and_an_unknown_one_stays_unknown(tier: Tier) -> None:
    live = room(tier)
    live.roster.complete = False
    do(live, UserJoined(User("ada")))
    assert live.info == RoomInfo(user_count=None)
    do(live, CountsChanged(10, 2))
    assert live.info == RoomInfo(user_count=10, moderator_count=2)
    do(live, UserJoined(User("bob")))
    do(live, UserLeft("stranger"))
    do(live, UserLeft("stranger"))
    assert live.info == RoomInfo(user_count=9, moderator_count=2)
    do(live, CountsChanged(None, 3))
    do(live, CountsChanged(0))
    do(live, UserLeft("ada"))
    assert live.info == RoomInfo(user_count=0, moderator_count=3)


@pytest.mark.parametrize("tier", LIVE, ids=str)
def test_each_user_who_is_present_counts_once(tier: Tier) -> None:
    live = room(tier)
    for user, new in (("ada", "online"), ("ada", "away"), ("bob", "busy"), ("ada", "online"), ("cy", "offline")):
        do(live, PresenceChanged(user, new))  # type: ignore[arg-type]
    assert live.present == 2
    do(live, UserLeft("bob"))
    assert live.present == 1


def test_configuration_applies_at_every_live_tier() -> None:
    config = RoomConfig(slow_mode_enabled=True, slow_mode_duration=5, extra={"own": 1})
    for tier in LIVE:
        live = room(tier)
        do(live, RoomConfigChanged(config))
        do(live, StreamStatusChanged("live"))
        do(live, ModerationConfigChanged({"words": ["x"]}))
        told = datetime.fromtimestamp(NOW, START.tzinfo)
        assert (live.config, live.info) == (config, RoomInfo(stream_status="live", last_config_update=told))
        assert image_of(live, 0.0).moderation == {"words": ["x"]}


def test_typing_ends_and_is_bounded() -> None:
    live = room()
    assert isinstance(live, ActiveRoom)
    for user in ("ada", "bob", "ada"):
        do(live, TypingChanged(user, 6.0))
    assert live.typing == {"bob": NOW + 6.0, "ada": NOW + 6.0}
    assert do(live, TypingChanged("cy")).outcome is Outcome.MISFIT
    do(live, TypingChanged("ada", 0))
    do(live, TypingChanged("cy", 0))
    assert live.typing == {"bob": NOW + 6.0}


def test_notifications_are_kept_up_to_their_bound() -> None:
    live = room(Tier.BACKGROUND)
    for number in range(5):
        do(live, NotificationAdded(Notification("room", "ada", "mention", f"m{number}", number, START)))
    assert live.notifications is not None
    assert [note.message_id for note in live.notifications] == ["m2", "m3", "m4"]
    assert do(live, ReceiptRead("ada", "m4")) is APPLIED
    assert (live.head, live.changes) == (0, 6)


def test_limits_of_a_room_are_whole_numbers_of_at_least_1() -> None:
    for name in ("active_messages", "background_messages", "notifications", "room_bytes", "typing"):
        wrong: list[Any] = [0, -1, 1.5, float("nan"), None]
        for bad in wrong:
            with pytest.raises(InvalidValue, match=f"limits.{name}: must be an int of at least 1"):
                Limits(**{name: bad})
