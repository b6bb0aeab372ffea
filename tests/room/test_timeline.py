"""The window against a list that is sorted, searched and cut anew at every step."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from roomstate.errors import InvalidValue
from roomstate.model import Annotation, Message, MessageLike
from roomstate.room.timeline import Timeline
from roomstate.room.weight import PER_MESSAGE, annotation_bytes, json_bytes, text_bytes
from roomstate.room.window import MAX_TOMBSTONES
from tests.room.strategies import START, Line, badges, extras, message, texts, times, users

NOTE = Annotation(reactions={"+": ("ada",)})


class Naive:
    """What a timeline is, said without regard to speed."""

    def __init__(self, most: int, most_bytes: int, by_time: bool) -> None:
        self.most, self.most_bytes, self.by_time = most, most_bytes, by_time
        self.held: list[tuple[MessageLike, int]] = []
        self.notes: dict[str, Annotation] = {}
        self.dropped: list[MessageLike] = []
        self.buried: list[str] = []
        self.after = 0
        self.ordinal = 0

    def index(self, message_id: str) -> int | None:
        return next((index for index, (held, _) in enumerate(self.held) if held.id == message_id), None)

    def knows(self, message_id: str) -> bool:
        dropped = any(message.id == message_id for message in self.dropped)
        return dropped or message_id in self.buried or self.index(message_id) is not None

    def weight(self, message: MessageLike) -> int:
        extra = json_bytes(message.extra) if message.extra else 0
        return PER_MESSAGE + text_bytes(message.content) + extra + annotation_bytes(self.notes.get(message.id))

    def put(self, message: MessageLike, seq: int) -> None:
        self.held.append((message, seq))  # a stable sort keeps equal ones in the order in which they came
        self.held.sort(key=lambda pair: (pair[0].timestamp, pair[0].id) if self.by_time else pair[1])

    def cut(self, *, settled: bool) -> None:
        while len(self.held) > self.most or (settled and len(self.held) > 1 and self.bytes > self.most_bytes):
            self.drop(0)

    def drop(self, index: int) -> None:
        message, seq = self.held.pop(index)
        self.notes.pop(message.id, None)
        self.dropped.append(message)
        self.after = max(self.after, seq)

    @property
    def bytes(self) -> int:
        return sum(self.weight(message) for message, _ in self.held)


class Window(RuleBasedStateMachine):
    by_time: ClassVar[bool] = False
    most: ClassVar[int] = 4
    most_bytes: ClassVar[int] = 1 << 24

    def __init__(self) -> None:
        super().__init__()
        self.timeline = Timeline(self.most, self.most_bytes, by_time=self.by_time)
        self.naive = Naive(self.most, self.most_bytes, self.by_time)
        self.seq = 0
        self.count = 0

    def fresh(self, user: str, content: str, at: datetime, badges: tuple[str, ...], extra: Any, own: bool) -> Any:
        self.count += 1
        name = f"m{self.count}"
        return Line(name, user, content, at, extra) if own else Message(name, user, content, at, badges, extra)

    def settle(self) -> None:
        """Bytes are counted a few messages late: before they are compared both sides are brought up to date."""
        self.timeline.settle()
        self.naive.cut(settled=True)

    @rule(step=st.integers(0, 3), user=users, content=texts, at=times, badges=badges, extra=extras, own=st.booleans())
    def append(
        self, step: int, user: str, content: str, at: datetime, badges: tuple[str, ...], extra: Any, own: bool
    ) -> None:
        """The short way, then the long one. ``step`` 0 gives two messages one position."""
        self.settle()
        self.seq += step
        new = self.fresh(user, content, at, badges, extra, own)
        assert not self.timeline.knows(new.id)
        horizon = self.timeline.horizon
        if self.by_time:
            self.timeline.insert(new, self.seq)
        elif self.timeline.add(new, self.seq):
            assert new.timestamp > horizon
        else:
            assert new.timestamp <= horizon
            self.timeline.append(new, self.seq)
        self.naive.put(new, self.seq)
        self.naive.ordinal += 1
        self.settle()

    @rule(back=st.integers(0, 9), user=users, content=texts, at=times)
    def arrive_late(self, back: int, user: str, content: str, at: datetime) -> None:
        self.settle()
        seq = max(0, self.seq - back)
        new = self.fresh(user, content, at, (), {}, False)
        self.timeline.insert(new, seq)
        self.naive.put(new, seq)
        self.naive.ordinal += 1
        if seq < self.naive.after and not self.by_time:
            index = self.naive.index(new.id)
            assert index is not None
            after = self.naive.after
            self.naive.drop(index)
            self.naive.after = after
        self.settle()

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """No id that is known, and no time that is not newer, takes the short way."""
        known = [*self.naive.dropped, *(message for message, _ in self.naive.held)]
        if known and not self.by_time:
            again = data.draw(st.sampled_from(known))
            assert self.timeline.knows(again.id) or again.id not in self.naive.buried
            assert not self.timeline.add(again, self.seq + 1)

    @rule(number=st.integers(1, 12), content=texts, at=times, extra=extras)
    def edit(self, number: int, content: str, at: datetime, extra: Any) -> None:
        self.settle()
        name = f"m{number}"
        index = self.naive.index(name)
        if index is None:
            with pytest.raises(KeyError):
                self.timeline.replace(message(name))
            return
        old, seq = self.naive.held[index]
        new = Message(name, old.user, content, at, (), extra)
        assert self.timeline.replace(new) is old
        if self.by_time and at != old.timestamp:
            del self.naive.held[index]
            self.naive.put(new, seq)
        else:
            self.naive.held[index] = (new, seq)
        self.settle()

    @rule(number=st.integers(1, 12), note=st.sampled_from([NOTE, Annotation(START), Annotation()]))
    def annotate(self, number: int, note: Annotation) -> None:
        name = f"m{number}"
        held = self.naive.index(name) is not None
        assert self.timeline.annotate(name, note) == held
        if held:
            self.naive.notes[name] = note
            if note == Annotation():
                del self.naive.notes[name]
        self.settle()

    @rule(number=st.integers(1, 14), bury=st.booleans())
    def remove(self, number: int, bury: bool) -> None:
        name = f"m{number}"
        index = self.naive.index(name)
        removed = self.timeline.remove(name) if bury else self.timeline.withdraw(name)
        assert removed is (None if index is None else self.naive.held[index][0])
        if index is not None:
            del self.naive.held[index]
            self.naive.notes.pop(name, None)
        if bury and name not in self.naive.buried:
            self.naive.buried.append(name)
            self.count = max(self.count, number)  # an id that is buried is never given

    @rule(most=st.integers(1, 6))
    def resize(self, most: int) -> None:
        self.timeline.resize(most)
        self.naive.most = most
        self.naive.cut(settled=True)

    @rule(more=st.integers(0, 3))
    def count_to(self, more: int) -> None:
        self.timeline.count_to(self.timeline.ordinal + more)
        self.timeline.count_to(0)
        self.naive.ordinal += more

    @invariant()
    def same(self) -> None:
        timeline, naive = self.timeline, self.naive
        timeline.check()
        held = [message for message, _ in naive.held]
        assert list(timeline) == list(timeline.messages()) == held
        assert [*map(id, timeline)] == [*map(id, held)]  # the host's own objects
        assert timeline.seqs() == tuple(seq for _, seq in naive.held)
        assert len(timeline) == len(held)
        assert timeline.newest is (held[-1] if held else None)
        assert timeline.ordinal == naive.ordinal
        assert timeline.after == naive.after
        assert timeline.annotations == naive.notes
        assert list(timeline.tombstones) == naive.buried
        for number in range(self.count + 2):
            name = f"m{number}"
            index = naive.index(name)
            assert (name in timeline) == (index is not None)
            assert timeline.get(name) is (None if index is None else held[index])
            assert timeline.seq_of(name) == (None if index is None else naive.held[index][1])
            assert timeline.knows(name) == naive.knows(name)
        for seq in range(self.seq + 2):
            assert list(timeline.messages_after(seq)) == [message for message, at in naive.held if at > seq]


class Narrow(Window):
    most_bytes = 1500


class ByTime(Window):
    by_time = True


class NarrowByTime(ByTime):
    most_bytes = 1500


class Wide(Window):
    most = 40


@pytest.mark.parametrize("machine", [Window, Narrow, ByTime, NarrowByTime, Wide])
def test_a_timeline_is_a_sorted_list_with_a_memory(machine: type[Window]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=25))


def filled(count: int, most: int = 1000, **options: Any) -> Timeline:
    timeline = Timeline(most, **options)
    for number in range(1, count + 1):
        assert timeline.add(message(f"m{number}", second=number), number)
    return timeline


def test_a_timeline_is_resized_to_whole_numbers_of_at_least_1() -> None:
    timeline = filled(3)
    for most in (0, -1):
        with pytest.raises(InvalidValue, match="max_messages: must be an int of at least 1"):
            timeline.resize(most)
    assert (len(timeline), timeline.max_messages) == (3, 1000)


def test_what_was_dropped_does_not_come_back_when_there_is_room_again() -> None:
    timeline = filled(53, most=50)
    assert (len(timeline), timeline.after) == (50, 3)
    timeline.resize(1000)
    assert (len(timeline), timeline.after) == (50, 3)
    timeline.check()


def test_removing_what_waits_to_be_swept_out_leaves_a_tombstone() -> None:
    timeline = filled(52, most=50)
    assert "m1" not in timeline
    assert timeline.get("m1") is None
    assert timeline.remove("m1") is None
    assert list(timeline.tombstones) == ["m1"]
    timeline.check()


@pytest.mark.parametrize("bury", [True, False])
def test_taking_a_message_out_brings_none_back_that_waits_to_be_swept_out(bury: bool) -> None:
    timeline = filled(52, most=50)
    assert timeline.after == 2
    removed = timeline.remove("m40") if bury else timeline.withdraw("m40")
    assert removed is not None
    assert (next(iter(timeline)).id, len(timeline), timeline.after) == ("m3", 49, 2)
    assert timeline.get("m2") is None
    timeline.check()


def test_moving_a_message_brings_none_back_that_waits_to_be_swept_out() -> None:
    timeline = Timeline(3, by_time=True)
    for number in range(1, 5):
        timeline.insert(message(f"m{number}", second=number), number)
    timeline.replace(message("m4", second=0))
    assert [held.id for held in timeline] == ["m4", "m2", "m3"]
    timeline.check()


def test_an_annotation_of_what_is_not_held_is_not_kept() -> None:
    timeline = filled(1)
    assert not timeline.annotate("m9", NOTE)
    assert timeline.annotate("m1", NOTE)
    timeline.replace(message("m1", content="edited"))
    assert timeline.annotations == {"m1": NOTE}
    timeline.check()


def test_tombstones_are_bounded_and_the_oldest_go() -> None:
    timeline = filled(1)
    timeline.bury(f"gone{number}" for number in range(MAX_TOMBSTONES + 2))
    timeline.bury(["m1", "gone5"])  # held, and buried already
    assert len(timeline.tombstones) == MAX_TOMBSTONES
    assert next(iter(timeline.tombstones)) == "gone2"
    assert not timeline.knows("gone1")
    assert "m1" in timeline
    timeline.check()


def test_older_messages_go_before_those_held_and_count_once() -> None:
    timeline = Timeline(4, dropped_to=4, gone=4)
    timeline.append(message("m5", second=5), 5)
    older = [message(f"m{number}", second=number) for number in (2, 3, 3, 4, 5)]
    timeline.prepend(older, [2, 3, 3, 4, 4], 1)
    assert [held.id for held in timeline] == ["m2", "m3", "m4", "m5"]
    assert (timeline.after, timeline.ordinal, timeline.seqs()) == (1, 5, (2, 3, 4, 5))
    timeline.check()
    timeline.prepend([message("m0"), message("m1", second=1)], [0, 1], 0)
    assert [held.id for held in timeline] == ["m2", "m3", "m4", "m5"]
    assert (timeline.after, timeline.ordinal, timeline.knows("m0")) == (1, 5, True)
    with pytest.raises(ValueError):
        timeline.prepend([message("m9")], [], 0)
    timeline.check()


def test_older_messages_find_their_times() -> None:
    timeline = Timeline(4, by_time=True, gone=2)
    timeline.insert(message("b", second=2), 3)
    timeline.prepend([message("c", second=3), message("a", second=1)], [1, 2], 0)
    assert [held.id for held in timeline] == ["a", "b", "c"]
    assert timeline.seqs() == (2, 3, 1)
    timeline.check()


def test_who_listens_is_told_of_what_leaves_once() -> None:
    told: list[str] = []
    timeline = Timeline(3)
    timeline.on_drop = lambda dropped: told.extend(message.id for message in dropped)
    for number in range(1, 31):
        timeline.add(message(f"m{number}", second=number), number)
    timeline.remove("m29")
    timeline.settle()
    assert told == [f"m{number}" for number in range(1, 28)]
