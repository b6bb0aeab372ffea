"""Subscribers: bounded, and nothing is lost silently, whoever is slow and however many rooms there are."""

from __future__ import annotations

import copy
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.model import Message, Notification, RoomConfig, Tier
from roomstate.sync import subscribers
from roomstate.sync.subscribers import SLOT, Entry, Item, Resync, Subscriber, Withheld, fan_out, hears
from roomstate.updates import (
    KINDS,
    CountsChanged,
    MessageAdded,
    ModerationConfigChanged,
    NotificationAdded,
    RoomConfigChanged,
    StreamStatusChanged,
    TypingChanged,
    Update,
)


def item(seq: int, room_id: str = "r", size: int = 3, key: str = "") -> Item:
    return Item(room_id, seq, b"x" * size, key)


def span(after: int, upto: int, room_id: str = "r", epoch: str = "e", **fields: Any) -> Withheld:
    return Withheld(room_id, epoch, after, upto, **fields)


def popped(subscriber: Subscriber) -> list[Entry]:
    entries: list[Entry] = []
    while (entry := subscriber.pop()) is not None:
        subscriber.check()
        entries.append(entry)
    return entries


class Rooms:
    """The naive model: rooms that only count, and one viewer of them who notices whatever is missing."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.heads: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        self.state: dict[tuple[str, str], bytes] = {}  # what the keys tell now,
        self.told: dict[tuple[str, str], bytes] = {}  # and what the viewer was told
        self.resyncs = 0

    def push(self, room_id: str, kind: str) -> None:
        head = self.heads.setdefault(room_id, 0)
        if kind == "keyed":
            at, data = (room_id, f"key {len(self.state) % 2}"), b"%d" % len(self.state) + b"x" * (head % 9)
            self.state[at] = data
            self._woken(self.subscriber.push(Item(room_id, head, data, at[1])))
            return
        self.heads[room_id] = head + 1
        if kind == "withheld":
            self._woken(self.subscriber.push(span(head, head + 1, room_id)))
        else:
            self._woken(self.subscriber.push(item(head + 1, room_id, {"small": 3, "large": 6000}[kind])))

    def _woken(self, woken: bool) -> None:
        assert not woken or len(self.subscriber) == 1
        assert len(self.subscriber) > 0

    def pop(self) -> None:
        entry = self.subscriber.pop()
        if isinstance(entry, Item) and entry.key:
            self.told[entry.room_id, entry.key] = entry.data
        elif isinstance(entry, Item):
            assert entry.seq == self.seen.get(entry.room_id, 0) + 1, "lost silently"
            self.seen[entry.room_id] = entry.seq
        elif isinstance(entry, Withheld):
            assert entry.after == self.seen.get(entry.room_id, 0), "lost silently"
            self.seen[entry.room_id] = entry.upto
        elif entry is not None:
            self.resyncs += 1
            for room_id in [entry.room_id] if entry.room_id else list(self.heads):
                self.seen[room_id] = self.heads[room_id]  # it asked since its token
                self.told.update({at: data for at, data in self.state.items() if at[0] == room_id})


ROOMS = st.sampled_from([f"room {n}" for n in range(6)])
PUSHES = st.tuples(ROOMS, st.sampled_from(["small", "small", "withheld", "keyed", "large"]))


@given(
    st.lists(st.one_of(PUSHES, PUSHES, st.none()), max_size=60),
    st.integers(1, 8),
    st.integers(SLOT, 12 * SLOT),
    st.integers(1, 4),
)
def test_nothing_is_lost_silently(
    steps: list[tuple[str, str] | None], max_items: int, max_bytes: int, max_rooms: int
) -> None:
    subscriber = Subscriber("ada", max_items, max_bytes)
    rooms = Rooms(subscriber)
    with mock.patch.object(subscribers, "MAX_ROOMS", max_rooms):
        for step in steps:
            if step is None:
                rooms.pop()
            else:
                rooms.push(*step)
            subscriber.check()
            assert len(subscriber) <= max_items + max_rooms
    while len(subscriber):
        rooms.pop()
    assert rooms.seen == {room_id: head for room_id, head in rooms.heads.items() if head or room_id in rooms.seen}
    assert rooms.told == rooms.state
    assert subscriber.bytes == 0
    assert rooms.resyncs <= subscriber.overflows


ENTRIES = st.one_of(
    st.builds(item, st.integers(1, 9), st.sampled_from("abc"), st.sampled_from([3, SLOT, SLOT + 1, 9000])),
    st.builds(item, st.integers(1, 9), st.sampled_from("abc"), st.just(3), st.sampled_from("kl")),
    st.integers(0, 9).flatmap(lambda n: st.builds(span, st.just(n), st.just(n + 1), st.sampled_from("abc"))),
)


@given(st.lists(st.tuples(ENTRIES, st.sets(st.integers(0, 3)), st.integers(0, 3)), max_size=40))
def test_to_fan_out_is_to_push_to_each(steps: list[tuple[Entry, set[int], int]]) -> None:
    queues = [Subscriber(f"v{n}", max_items=n + 1) for n in range(4)]
    twins = copy.deepcopy(queues)
    for entry, audience, reader in steps:
        assert not isinstance(entry, Resync)
        woken = fan_out(entry, [queues[n] for n in sorted(audience)])
        expected = [twins[n].viewer for n in sorted(audience) if twins[n].push(entry)]
        assert [one.viewer for one in woken] == expected
        for one in queues:
            one.check()
        assert queues[reader].pop() == twins[reader].pop()
    assert [popped(one) for one in queues] == [popped(one) for one in twins]


# -- bounds and markers ----------------------------------------------------------------------------------------------


def test_beyond_the_count_a_room_becomes_a_marker_and_the_others_keep_theirs() -> None:
    slow = Subscriber("ada", max_items=3)
    for entry in (item(1, "a"), item(1, "b"), item(2, "a"), item(3, "a"), item(4, "a"), item(2, "b")):
        slow.push(entry)
        slow.check()
    assert popped(slow) == [item(1, "b"), Resync("a"), item(2, "b")]
    assert slow.overflows == 1
    assert slow.push(item(5, "a"))
    assert popped(slow) == [item(5, "a")]


def test_a_room_with_nothing_queued_may_overflow_too() -> None:
    slow = Subscriber("ada", max_items=1)
    slow.push(item(1, "a"))
    slow.push(item(1, "b"))
    assert popped(slow) == [item(1, "a"), Resync("b")]


def test_bytes_are_bounded_and_an_item_counts_for_a_slot_at_least() -> None:
    slow = Subscriber("ada", max_bytes=4 * SLOT)
    slow.push(item(1, "a", size=3 * SLOT))
    assert slow.bytes == 3 * SLOT
    slow.push(item(1, "b"))
    assert slow.bytes == 4 * SLOT
    slow.push(item(2, "b"))
    slow.check()
    assert popped(slow) == [item(1, "a", size=3 * SLOT), Resync("b")]


def test_an_item_that_never_fits_is_a_marker() -> None:
    slow = Subscriber("ada", max_bytes=SLOT)
    assert slow.push(item(1, size=SLOT + 1))
    slow.check()
    assert popped(slow) == [Resync("r")]


def test_a_flood_of_rooms_becomes_one_marker_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "MAX_ROOMS", 3)
    slow = Subscriber("ada", max_items=2)
    for n in range(10_000):
        slow.push(item(1, f"room {n}"))
        assert len(slow) <= 5
    slow.check()
    assert popped(slow) == [Resync("")]
    assert slow.overflows == 4
    assert slow.push(item(2, "room 1"))
    assert popped(slow) == [item(2, "room 1")]


def test_one_slow_viewer_costs_the_others_nothing() -> None:
    slow, quick, alone = Subscriber("slow", max_items=2), Subscriber("quick"), Subscriber("alone")
    for seq in range(1, 500):
        entry = item(seq)
        fan_out(entry, [slow, quick])
        fan_out(entry, [alone])
        first, same = quick.pop(), alone.pop()
        assert first is entry  # not a copy
        assert same is entry
    assert len(slow) == 1


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"viewer": ""}, "viewer"),
        ({"max_items": 0}, "max_items"),
        ({"max_bytes": SLOT - 1}, "max_bytes"),
    ],
)
def test_bounds_are_checked(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        Subscriber(**{"viewer": "ada", **fields})
    assert raised.value.where == where


# -- coalescing ------------------------------------------------------------------------------------------------------


def test_a_later_item_of_the_same_key_replaces_the_queued_one_and_comes_last() -> None:
    subscriber = Subscriber("ada")
    for n in range(1000):
        subscriber.push(Item("r", 1, b"%d" % n, "typing:bob"))
        subscriber.push(Item("r", 1, b"%d" % n, "typing:eve"))
    subscriber.push(Item("s", 1, b"other room", "typing:bob"))
    subscriber.push(item(2))
    subscriber.push(Item("r", 1, b"last", "typing:bob"))
    subscriber.push(Item("s", 1, b"other room, later", "typing:bob"))  # one in the middle
    subscriber.check()
    assert [entry.data for entry in popped(subscriber) if isinstance(entry, Item)] == [
        b"999",
        b"xxx",
        b"last",
        b"other room, later",
    ]
    subscriber.push(Item("r", 1, b"again", "typing:bob"))
    assert len(popped(subscriber)) == 1


def test_adjoining_spans_become_one_around_what_the_viewer_hears() -> None:
    subscriber = Subscriber("ada")
    for entry in (span(3, 4), span(7, 8, "s"), span(4, 5), span(5, 9, fingerprint="f", ordinal=7), item(10)):
        subscriber.push(entry)
    for entry in (span(10, 11), span(11, 12), span(13, 14), span(14, 15, epoch="other")):
        subscriber.push(entry)
    subscriber.check()
    assert popped(subscriber) == [
        span(3, 9, fingerprint="f", ordinal=7),
        span(7, 8, "s"),
        item(10),
        span(10, 12),
        span(13, 14),
        span(14, 15, epoch="other"),
    ]


def test_a_span_is_each_queues_own_and_one_popped_does_not_change() -> None:
    one, other = Subscriber("a"), Subscriber("b")
    told = span(0, 1)
    assert fan_out(told, [one, other]) == [one, other]
    first = one.pop()
    assert fan_out(span(1, 2), [one, other]) == [one]
    assert (first, told, one.pop(), other.pop()) == (span(0, 1), span(0, 1), span(1, 2), span(0, 2))


def test_spans_and_items_of_a_marked_room_are_dropped() -> None:
    slow = Subscriber("ada", max_items=1)
    for entry in (span(0, 1), item(2), span(2, 3), item(4, key="k")):
        slow.push(entry)
        slow.check()
    assert popped(slow) == [Resync("r")]


# -- what a viewer hears ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "update",
    [
        NotificationAdded(Notification("r", "ada", "mention", "m1", 1, Message("m1", "bob", "").timestamp)),
        RoomConfigChanged(RoomConfig()),
        ModerationConfigChanged({}),
        CountsChanged(1, 1),
        StreamStatusChanged("live"),
    ],
)
def test_a_background_viewer_hears_notifications_counts_and_configuration(update: Update) -> None:
    assert [hears(update, tier) for tier in Tier] == [False, False, True, True]


def test_of_the_rest_it_hears_nothing() -> None:
    assert not hears(MessageAdded(Message("m1", "bob", "hi")), Tier.BACKGROUND)
    assert not hears(TypingChanged("bob"), Tier.BACKGROUND)
    assert hears(TypingChanged("bob"), Tier.ACTIVE)
    assert len(KINDS) == 16  # a new kind of update: decide whether a viewer at BACKGROUND hears it
