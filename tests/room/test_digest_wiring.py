"""A room that keeps a digest sums up every message that leaves its memory, once, through every tier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from roomstate.effects import LogEntry
from roomstate.model import Message, Tier
from roomstate.room.digest import MessageDigest
from roomstate.room.passage import demoted, empty, image_of, promoted, rebuilt, room_of
from roomstate.room.reduce import apply
from roomstate.room.states import ActiveRoom, Limits, LiveRoom
from roomstate.updates import MessageAdded

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(active_messages=20, background_messages=5, digest=lambda: MessageDigest(stop_words={"the"}))


def update(n: int) -> MessageAdded:
    return MessageAdded(Message(f"m{n}", f"u{n % 3}", f"the word{n}", START + timedelta(seconds=n)))


def fill(room: LiveRoom, start: int, stop: int) -> None:
    for n in range(start, stop):
        apply(room, update(n), n, 0.0, LIMITS)


def summed_up(room: LiveRoom) -> int:
    """The messages held and digested; a digest lags by at most a batch of the window."""
    room.timeline.settle()
    assert isinstance(room.digest, MessageDigest)
    return room.digest.messages + len(room.timeline)


def test_without_the_setting_there_is_none() -> None:
    room = empty("r", "e", Tier.ACTIVE, Limits())
    assert (room.digest, image_of(room, 0.0).digest) == (None, {})


def test_every_message_is_held_or_summed_up_once() -> None:
    room = empty("r", "e", Tier.ACTIVE, LIMITS)
    fill(room, 1, 101)
    assert summed_up(room) == 100
    assert isinstance(room, ActiveRoom)
    deep = image_of(room, 0.0)
    background = demoted(room, LIMITS)
    fill(background, 101, 111)
    assert summed_up(background) == 110
    brief = image_of(background, 0.0)
    assert isinstance(background.digest, MessageDigest)
    assert "the" not in dict(background.digest.keywords.top(200))

    again = promoted(room_of(brief, Tier.BACKGROUND, LIMITS), LIMITS)
    assert summed_up(again) == 110

    entries = [LogEntry(n, n, update(n)) for n in range(101, 111)]
    loaded = rebuilt(deep, entries, empty("r", "e", Tier.ACTIVE, LIMITS), 0.0, LIMITS)
    assert summed_up(loaded) == 110
    assert len(loaded.timeline) == 20


def test_what_does_not_fit_a_lower_tier_is_summed_up_too() -> None:
    room = empty("r", "e", Tier.ACTIVE, LIMITS)
    fill(room, 1, 41)
    lower = room_of(image_of(room, 0.0), Tier.BACKGROUND, LIMITS)
    assert (summed_up(lower), len(lower.timeline)) == (40, 5)
    assert lower.bytes > room_of(image_of(room, 0.0), Tier.BACKGROUND, Limits()).bytes - 20 * 300
