"""Images of every shape that `RoomImage` allows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from roomstate.image import RoomImage
from roomstate.model import Annotation, Marker, Message, Notification, RoomConfig, RoomInfo, User
from roomstate.position import MAX_SEQ, Gap, Position

texts = st.text(max_size=30)
ids = st.text(min_size=1, max_size=20)
keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)  # JSON carries no lone surrogates
seqs = st.integers(0, MAX_SEQ)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes, seconds=minutes % 60)))
instants = st.timedeltas(timedelta(days=2 - 719_162), timedelta(days=2_932_894))  # years 1 to 9999, in every zone
times = st.builds(
    lambda since, zone: (datetime(1970, 1, 1, tzinfo=UTC) + since).astimezone(zone), instants, st.just(UTC) | zones
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(keys, json_values, max_size=3)
id_lists = st.one_of(
    st.lists(ids, max_size=12),
    st.lists(st.uuids().map(str), max_size=12),
    st.lists(st.integers(0, 10**20).map(str), max_size=12),
    st.builds(
        lambda prefix, start, width, n: [f"{prefix}{start + i:0{width}d}" for i in range(n)],
        st.sampled_from(["", "a-", "2004-11-15_03-", "x\0"]),
        st.integers(0, 2000),
        st.integers(0, 6),
        st.integers(0, 12),
    ),
    st.just([str(uuid.UUID(int=n)).upper() for n in range(3)]),
)
badges = st.lists(keys, max_size=2).map(tuple)


@st.composite
def message_lists(draw: st.DrawFn) -> list[Message]:
    """Messages with ids of one kind, and times that are whole minutes, seconds, milliseconds or anything."""
    users = draw(st.lists(ids, min_size=1, max_size=4))
    tick = draw(st.sampled_from([1, 1000, 10**6, 60 * 10**6]))
    start = datetime(2004, 11, 15, tzinfo=UTC)
    usual = st.integers(-(10**6), 10**9).map(lambda n: start + timedelta(microseconds=n * tick))
    made = draw(st.sampled_from([usual, usual, times]))
    sparse = draw(st.booleans())
    return [
        Message(
            each,
            draw(st.sampled_from(users)),
            draw(texts),
            draw(made),
            () if sparse else draw(badges),
            {} if sparse else draw(objects),
        )
        for each in draw(id_lists)
    ]


markers = st.builds(Marker, seqs, seqs, seqs, st.lists(seqs, max_size=3).map(tuple), st.booleans())
notifications = st.builds(Notification, keys, keys, keys, keys, seqs, times)
noted = st.builds(
    Annotation, st.none() | times, st.dictionaries(keys, st.lists(keys, max_size=3).map(tuple), max_size=2)
)
infos = st.builds(RoomInfo, st.none() | seqs, st.none() | seqs, keys, st.none() | times, st.none() | times)
configs = st.builds(
    RoomConfig, st.booleans(), st.integers(0, 1 << 31), st.booleans(), st.booleans(), st.booleans(), objects
)


@st.composite
def images(draw: st.DrawFn) -> RoomImage:
    """An image in which any field may have any value that it allows."""
    messages = draw(message_lists())
    exact = st.lists(seqs, min_size=len(messages), max_size=len(messages))
    plain = st.integers(0, 9999).map(lambda first: list(range(first, first + len(messages))))
    return RoomImage(
        room_id=draw(keys),
        position=Position(draw(keys), draw(seqs)),
        tier=draw(st.sampled_from(["ACTIVE", "BACKGROUND"])),
        floor=draw(seqs),
        held_after=draw(seqs),
        ordinal=draw(seqs),
        taken_at=draw(st.floats(0, 1e11)),
        info=draw(infos),
        config=draw(configs),
        moderation=draw(objects),
        messages=tuple(messages),
        seqs=tuple(draw(plain | exact | st.just([]))),
        annotations=draw(st.dictionaries(keys, noted, max_size=2)),
        tombstones=tuple(draw(st.lists(keys, max_size=3))),
        gaps=tuple(draw(st.lists(st.builds(Gap, seqs, seqs, st.none() | keys), max_size=2))),
        members=tuple(draw(st.lists(st.builds(User, keys, keys, badges, keys, objects), max_size=3))),
        members_complete=draw(st.booleans()),
        presence=draw(st.dictionaries(keys, st.sampled_from(["online", "away", "busy", "offline"]), max_size=2)),
        notifications=tuple(draw(st.lists(notifications, max_size=2))),
        ui_state=draw(objects),
        markers=draw(st.dictionaries(keys, markers, max_size=2)),
        digest=draw(objects),
    )
