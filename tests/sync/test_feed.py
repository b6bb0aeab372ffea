"""The feed: what a copy is given makes it equal to the room, or it is told that it needs an image, and why."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.effects import LogEntry
from roomstate.errors import InvalidValue
from roomstate.model import Message, Tier, User
from roomstate.position import Token
from roomstate.room.passage import empty, image_of
from roomstate.room.reduce import Outcome, apply
from roomstate.room.states import Limits, LiveRoom
from roomstate.sync.feed import Missing, RoomFeed, SnapshotNeeded, fingerprint
from roomstate.updates import (
    CountsChanged,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ModerationConfigChanged,
    ReactionAdded,
    Update,
    UserJoined,
    UserLeft,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits()


def message(n: int) -> MessageAdded:
    return MessageAdded(Message(f"m{n}", f"u{n % 3}", f"text {n}", START + timedelta(seconds=n)))


class Authority:
    """A room, its feed, and every update that it ever took."""

    def __init__(self, limits: Limits = LIMITS, **bounds: float) -> None:
        self.limits = limits
        self.room = empty("r", "e1", Tier.ACTIVE, limits)
        self.feed = RoomFeed(**bounds)  # type: ignore[arg-type]

    def take(self, update: Update, now: float = 0.0) -> None:
        change = apply(self.room, update, self.room.head + 1, now, self.limits)
        if change.outcome is Outcome.APPLIED and not isinstance(update, MessageAdded):
            self.feed.note(LogEntry(self.room.head, 0, update), now)
        self.feed.check()

    def copy(self) -> tuple[LiveRoom, Token]:
        return copy.deepcopy(self.room), self.feed.token(self.room, self.room.head)

    def since(self, token: Token, limit: int = 1000) -> Missing | SnapshotNeeded:
        return self.feed.since(self.room, token, self.room.head, limit)


def caught_up(room: LiveRoom, missing: Missing) -> LiveRoom:
    for entry in missing.entries:
        apply(room, entry.update, entry.seq, 0.0, LIMITS)
        room.head = entry.seq
    room.head = missing.upto
    return room


def contents(room: LiveRoom) -> object:
    image = image_of(room, 0.0)
    return image.messages, image.seqs, image.members, image.info.user_count, image.config


UPDATES = st.one_of(
    st.integers(0, 40).map(message),
    st.builds(MessageEdited, st.integers(0, 40).map("m{}".format), st.text(max_size=5), st.just(START)),
    st.builds(MessageRemoved, st.integers(0, 40).map("m{}".format)),
    st.integers(0, 5).map(lambda n: UserJoined(User(f"u{n}"))),
    st.integers(0, 5).map(lambda n: UserLeft(f"u{n}")),
    st.builds(ReactionAdded, st.integers(0, 40).map("m{}".format), st.sampled_from(["u1", "u2"]), st.just("+1")),
)


@given(st.lists(UPDATES, max_size=30), st.lists(UPDATES, max_size=30))
def test_what_is_missing_makes_the_copy_equal(before: list[Update], after: list[Update]) -> None:
    authority = Authority()
    for update in before:
        authority.take(update)
    room, token = authority.copy()
    for update in after:
        authority.take(update)
    missing = authority.since(token)
    assert isinstance(missing, Missing)
    assert (missing.after, missing.upto) == (token.seq, authority.room.head)
    assert contents(caught_up(room, missing)) == contents(authority.room)


def test_same_position_and_nothing_new() -> None:
    authority = Authority()
    authority.take(message(1))
    assert authority.since(authority.copy()[1]) == Missing("e1", 1, 1, ())


def test_nothing_received_yet_is_a_position_to_resume_from() -> None:
    authority = Authority()
    authority.take(message(1))
    missing = authority.since(Token("e1", 0))
    assert isinstance(missing, Missing)
    assert [entry.seq for entry in missing.entries] == [1]


def test_other_epoch_ahead_of_the_head_and_another_content_need_a_snapshot() -> None:
    authority = Authority()
    authority.take(message(1))
    authority.take(UserJoined(User("ada")))
    assert authority.since(Token("e2", 1)) == SnapshotNeeded("other epoch")
    assert authority.since(Token("e1", 3)) == SnapshotNeeded("ahead of the head")
    for seq in (1, 2):
        assert authority.since(Token("e1", seq, "beef")) == SnapshotNeeded("fingerprint differs")


def test_a_fingerprint_survives_an_edit_and_a_removal() -> None:
    authority = Authority()
    authority.take(message(1))
    _, token = authority.copy()
    authority.take(MessageEdited("m1", "new"))
    assert isinstance(authority.since(token), Missing)
    authority.take(MessageRemoved("m1"))
    assert isinstance(authority.since(token), Missing)


def test_a_seq_that_holds_nothing_is_told_from_one_of_another_log_that_holds_a_message() -> None:
    authority, other = Authority(), Authority()
    for each in (authority, other):
        each.take(message(1))
        each.take(message(2))
    authority.room.timeline.withdraw("m2")  # the log had it before
    _, token = authority.copy()
    assert isinstance(authority.since(token), Missing)
    assert other.since(token) == SnapshotNeeded("fingerprint differs")


def test_what_cannot_be_compared_is_not_believed() -> None:
    """A store that failed over to an earlier state gives out the same numbers for other content."""
    authority = Authority(max_entries=1)
    authority.take(UserJoined(User("ada")))
    _, token = authority.copy()
    authority.take(UserJoined(User("bob")))  # the first entry is dropped; what it was is remembered
    assert isinstance(authority.since(token), Missing)
    assert authority.since(Token("e1", 1, "beef")) == SnapshotNeeded("fingerprint differs")
    assert RoomFeed(2).since(authority.room, Token("e1", 2, "beef"), 2) == SnapshotNeeded("fingerprint differs")
    assert isinstance(RoomFeed(2, "beef").since(authority.room, Token("e1", 2, "beef"), 2), Missing)


def test_position_already_evicted_needs_a_snapshot() -> None:
    authority = Authority(Limits(active_messages=5))
    for n in range(20):
        authority.take(message(n))
    assert authority.since(Token("e1", 14)) == SnapshotNeeded("below the floor")
    assert isinstance(authority.since(Token("e1", 15)), Missing)


@pytest.mark.parametrize("bounds", [{"max_entries": 2}, {"max_bytes": 600}, {"max_age_s": 2.0}])
def test_what_the_feed_lets_go_raises_its_floor(bounds: dict[str, float]) -> None:
    authority = Authority(LIMITS, **bounds)
    for second in range(5):
        authority.take(CountsChanged(second), now=float(second))
    assert 0 < len(authority.feed) < 5
    assert authority.feed.floor == 5 - len(authority.feed)
    assert authority.feed.bytes > 0
    assert authority.since(Token("e1", authority.feed.floor - 1)) == SnapshotNeeded("below the floor")
    assert isinstance(authority.since(Token("e1", authority.feed.floor)), Missing)


def test_an_update_larger_than_the_bound_is_not_kept() -> None:
    authority = Authority(max_bytes=300)
    authority.take(MessageEdited("m1", "x" * 500))
    assert (len(authority.feed), authority.feed.bytes, authority.feed.floor) == (0, 0, 1)


@pytest.mark.parametrize(
    "update",
    [
        MessageEdited("m1", "", None, {"a": "x" * 500}),
        ModerationConfigChanged({"words": ["x" * 500]}),
        UserJoined(User("ada", extra={"a": "x" * 500})),
    ],
)
def test_the_bound_counts_whatever_an_update_carries(update: Update) -> None:
    authority = Authority(max_bytes=600)
    authority.take(update)
    assert (len(authority.feed), authority.feed.bytes, authority.feed.floor) == (0, 0, 1)


def test_missed_count_over_the_limit() -> None:
    authority = Authority()
    for n in range(4):
        authority.take(message(n))
    assert authority.since(Token("e1", 0), limit=3) == SnapshotNeeded("too many")
    assert isinstance(authority.since(Token("e1", 1), limit=3), Missing)


def test_what_is_not_durable_is_not_told() -> None:
    authority = Authority()
    for n in range(4):
        authority.take(message(n))
    missing = authority.feed.since(authority.room, Token("e1", 1), 2)
    assert isinstance(missing, Missing)
    assert [entry.seq for entry in missing.entries] == [2]
    assert authority.feed.since(authority.room, Token("e1", 3), 2) == SnapshotNeeded("ahead of the head")


def test_fingerprints_tell_subjects_and_kinds_apart() -> None:
    members: list[Update] = [UserLeft("ada"), UserJoined(User("ada")), CountsChanged(1)]
    updates: list[Update] = [message(1), message(2), MessageRemoved("m1"), CountsChanged(2), *members]
    assert len({fingerprint(update) for update in updates}) == len(updates)


@pytest.mark.parametrize("where", ["max_entries", "max_bytes", "max_age_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_bounds_are_checked(where: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=where):
        RoomFeed(**{where: value})  # type: ignore[arg-type]
