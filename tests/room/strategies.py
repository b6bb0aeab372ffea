"""Messages, updates and rooms for the tests of `roomstate.room`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

from roomstate.model import EMPTY, Message, MessageLike, Notification, RoomConfig, Tier, User
from roomstate.room.passage import empty
from roomstate.room.states import Limits, LiveRoom
from roomstate.updates import (
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

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START.timestamp()
LIMITS = Limits(active_messages=8, background_messages=3, notifications=3, typing=2)
LIVE = (Tier.BACKGROUND, Tier.ACTIVE)

ids = st.sampled_from([f"m{number}" for number in range(12)])
users = st.sampled_from(["ada", "bob", "cy"])
texts = st.sampled_from(["", "hi", "hello @ada", "é" * 5, "x" * 2050])
times = st.integers(0, 9).map(lambda seconds: START + timedelta(seconds=seconds))
extras: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"reply_to": "m1"}, {"deep": {"list": [1, "é", None]}}]
)
badges = st.sampled_from([(), ("mod",)])


@frozen
class Line:
    """A host's own message class."""

    id: str
    user: str
    content: str
    timestamp: datetime
    extra: dict[str, Any]
    colour: str = "red"


def message(
    message_id: str = "m1", user: str = "bob", content: str = "hi", second: float = 0.0, **fields: Any
) -> Message:
    """A message of the second ``second``."""
    return Message(message_id, user, content, START + timedelta(seconds=second), **fields)


plain: st.SearchStrategy[MessageLike] = st.builds(Message, ids, users, texts, times, badges, extras | st.just(EMPTY))
messages: st.SearchStrategy[MessageLike] = plain | st.builds(Line, ids, users, texts, times, extras)
people = st.builds(User, users, texts.map(lambda text: text[:9]), badges, st.just("red"), extras)
notifications = st.builds(Notification, st.just("room"), users, st.just("mention"), ids, st.integers(0, 9), times)

updates: st.SearchStrategy[Update] = st.one_of(
    st.builds(MessageAdded, messages),
    st.builds(MessageEdited, ids, texts, st.none() | times, st.none() | extras, st.none() | times),
    st.builds(MessageRemoved, ids, users),
    st.builds(ReactionAdded, ids, users, st.sampled_from("+-é")),
    st.builds(ReactionRemoved, ids, users, st.sampled_from("+-é")),
    st.builds(UserJoined, people),
    st.builds(UserLeft, users),
    st.builds(UserUpdated, people),
    st.builds(RoomConfigChanged, st.builds(RoomConfig, st.booleans(), st.integers(0, 9), extra=extras)),
    st.builds(ModerationConfigChanged, extras),
    st.builds(StreamStatusChanged, st.sampled_from(["", "live"])),
    st.builds(CountsChanged, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
    st.builds(PresenceChanged, users, st.sampled_from(["online", "away", "busy", "offline"])),
    st.builds(TypingChanged, users, st.sampled_from([0.0, 6.0, 300])),
    st.builds(ReceiptRead, users, ids),
    st.builds(NotificationAdded, notifications),
)


def room(tier: Tier = Tier.ACTIVE, *, by_time: bool = False, limits: Limits = LIMITS, head: int = 0) -> LiveRoom:
    """A room that holds nothing."""
    return empty("room", "epoch", tier, limits, head=head, by_time=by_time)
