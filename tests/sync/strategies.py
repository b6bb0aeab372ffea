"""Updates about a small world, so that they meet: few messages, few users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from roomstate.image import RoomImage
from roomstate.model import Annotation, Marker, Message, Notification, PresenceState, RoomConfig, RoomInfo, User
from roomstate.position import Gap, Position
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

ROOM = "rust"
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START.timestamp()

ids = st.sampled_from(["m1", "m2", "m3", "m4", "ü\0"])
users = st.sampled_from(["ada", "bob", "cyd", "日本"])
texts = st.text(st.characters(codec="utf-8"), max_size=20)
times = st.integers(0, 10**9).map(lambda micros: START + timedelta(microseconds=micros))
presence: st.SearchStrategy[PresenceState] = st.sampled_from(["online", "away", "busy", "offline"])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, json_values, max_size=2)
badges = st.lists(texts, max_size=2).map(tuple)
messages = st.builds(Message, ids, users, texts, times, badges, objects)
people = st.builds(User, users, texts, badges, texts, objects)
configs = st.builds(
    RoomConfig, st.booleans(), st.integers(0, 1 << 31), st.booleans(), st.booleans(), st.booleans(), objects
)
counts = st.none() | st.integers(0, 2**53 - 1)
words = st.text(st.characters(codec="utf-8"), max_size=64)
emojis = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)

logged: st.SearchStrategy[Update] = st.one_of(
    st.builds(MessageAdded, messages),
    st.builds(MessageEdited, ids, texts, st.none() | times, st.none() | objects, st.none() | times),
    st.builds(MessageRemoved, ids, users | st.just("")),
    st.builds(ReactionAdded, ids, users, emojis),
    st.builds(ReactionRemoved, ids, users, emojis),
    st.builds(UserJoined, people),
    st.builds(UserLeft, users),
    st.builds(UserUpdated, people),
    st.builds(RoomConfigChanged, configs),
    st.builds(ModerationConfigChanged, objects),
    st.builds(StreamStatusChanged, words),
    st.builds(CountsChanged, counts, counts),
)
notifications = st.builds(Notification, st.just(ROOM), users, texts, texts, st.integers(0, 100), times)
ephemeral: st.SearchStrategy[Update] = st.one_of(
    st.builds(PresenceChanged, users, presence),
    st.builds(TypingChanged, users, st.floats(0, 300)),
    st.builds(ReceiptRead, users, ids),
    st.builds(NotificationAdded, notifications),
)

annotated = st.builds(
    Annotation, st.none() | times, st.dictionaries(emojis, st.lists(users, max_size=2).map(tuple), max_size=2)
)
numbers = st.integers(0, 200)
markers = st.builds(Marker, numbers, numbers, numbers, st.lists(numbers, max_size=3).map(tuple), st.booleans(), numbers)
infos = st.builds(RoomInfo, counts, counts, words, st.none() | times, st.none() | times)


@st.composite
def images(draw: st.DrawFn) -> RoomImage:
    """An image whose parts agree."""
    head = draw(st.integers(0, 100))
    floor, held_after = sorted(draw(st.tuples(st.integers(0, head), st.integers(0, head))))
    held = draw(st.lists(messages, max_size=5, unique_by=lambda message: message.id))
    by_time = draw(st.booleans())
    least = 0 if by_time else held_after
    seqs = draw(st.lists(st.integers(least, head), min_size=len(held), max_size=len(held)))
    ends = sorted(draw(st.lists(st.integers(floor, head), max_size=4, unique=True)))
    return RoomImage(
        room_id=ROOM,
        position=Position(draw(words), head),
        floor=floor,
        held_after=held_after,
        ordinal=draw(numbers),
        taken_at=NOW,
        info=draw(infos),
        config=draw(configs),
        moderation=draw(objects),
        messages=tuple(held),
        seqs=tuple(seqs if by_time else sorted(seqs)),
        annotations={message.id: draw(annotated) for message in held[:2]},
        tombstones=tuple(draw(st.lists(ids, max_size=2))),
        gaps=tuple(
            Gap(after, upto, draw(st.none() | words)) for after, upto in zip(ends[::2], ends[1::2], strict=False)
        ),
        members=tuple(draw(st.lists(people, max_size=3))),
        members_complete=draw(st.booleans()),
        presence=draw(st.dictionaries(users, presence, max_size=2)),
        notifications=tuple(draw(st.lists(notifications, max_size=3))),
        ui_state=draw(st.dictionaries(st.sampled_from(["v1", "v2"]), objects, max_size=2)),
        markers=draw(st.dictionaries(users, markers, max_size=2)),
        by_time=by_time,
    )
