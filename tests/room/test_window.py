"""The window alone: what comes in order, what is not let in, what is dropped, and what that weighs."""

from __future__ import annotations

import contextlib
from collections import deque
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.model import Annotation, Message, MessageLike
from roomstate.room.timeline import Timeline
from roomstate.room.window import Window
from tests.room.strategies import START, Line, badges, extras, message, messages, texts


def filled(count: int, most: int = 1000, **options: Any) -> Window:
    window = Window(most, **options)
    for number in range(1, count + 1):
        assert window.add(message(f"m{number}", second=number), number)
    return window


@given(st.lists(st.tuples(messages, badges), max_size=40), st.integers(1, 12), st.sampled_from([900, 1 << 24]))
def test_a_window_is_a_deque_that_knows_its_ids(given: list[tuple[MessageLike, Any]], most: int, size: int) -> None:
    window, plain = Window(most, size), deque[MessageLike](maxlen=most)
    for seq, (old, _) in enumerate(given, 1):
        new = Line(f"m{seq}", old.user, old.content, START + timedelta(seconds=seq), dict(old.extra))
        assert window.add(new, seq)
        assert not window.add(new, seq + 1)
        plain.append(new)
        window.check()
        held = list(window)
        assert held == list(plain)[-len(held) :]
        assert len(held) == len(plain) or size == 900
        assert window.newest is new
        assert window.get(new.id) is new
        assert window.seq_of(new.id) == seq
        assert window.after == seq - len(held)
        assert window.seqs() == tuple(range(window.after + 1, seq + 1))
        assert window.messages() == tuple(held)
        assert list(window.messages_after(seq - 1)) == [new]
        assert all(window.knows(f"m{number}") for number in range(1, seq + 1))
        assert window.ordinal == seq
    assert (window.get("other"), window.seq_of("other"), "other" in window) == (None, None, False)


def test_by_time_positions_are_looked_for_one_by_one() -> None:
    window = Window(2, by_time=True)
    for number, seq in ((1, 3), (2, 1), (3, 2)):
        window.append(message(f"m{number}", second=number), seq)
    window.settle()
    assert (window.after, window.seqs(), window.get("m2"), window.get("m1")) == (3, (1, 2), window.messages()[0], None)
    assert [held.id for held in window.messages_after(1)] == ["m3"]
    window.check()


def test_what_belongs_to_a_message_leaves_with_it() -> None:
    """By count, or by bytes: a message's own fields and its annotation weigh as it does."""
    for most, size in ((1, 1 << 24), (9, 3000)):
        told: list[str] = []
        timeline = Timeline(most, size)
        timeline.on_drop = lambda dropped, told=told: told.extend(held.id for held in dropped)
        timeline.append(message("m1", extra={"about": "x" * 1000}), 1)
        timeline.annotate("m1", Annotation(reactions={"+": tuple(map(str, range(9)))}))
        timeline.append(message("m2", content="x" * 2500, second=1), 2)
        timeline.settle()
        assert (told, timeline.annotations, len(timeline)) == (["m1"], {}, 1)
        timeline.check()


@pytest.mark.parametrize("most", [0, -1, 2.5, float("nan"), None, "9"])
def test_bounds_are_whole_numbers_of_at_least_1(most: Any) -> None:
    with pytest.raises(InvalidValue, match="max_messages: must be an int of at least 1"):
        Window(most)
    with pytest.raises(InvalidValue, match="max_bytes: must be an int of at least 1"):
        Window(1, most)


def test_ids_that_left_the_window_are_remembered() -> None:
    timeline = filled(200, most=10)
    assert all(timeline.knows(f"m{number}") for number in range(1, 201))
    assert not timeline.add(message("m1", second=1), 201)
    assert timeline.horizon >= START + timedelta(seconds=180)


@pytest.mark.parametrize(
    "unsound",
    [
        Message("", "bob", "hi", START),
        Message("x" * 513, "bob", "hi", START),
        Message(b"m1", "bob", "hi", START),  # type: ignore[arg-type]
        Message(b"m1", b"bob", b"hi", START),  # type: ignore[arg-type]
        Message("\ud800", "bob", "hi", START),
        Message("m1", "", "hi", START),
        Message("m1", None, "hi", START),  # type: ignore[arg-type]
        Message("m1", "\udfff", "hi", START),
        Message("m1", "bob", b"hi", START),  # type: ignore[arg-type]
        Message("m1", "bob", ["hi"], START),  # type: ignore[arg-type]
        Message("m1", "bob", "\ud800", START),
        Message("m1", "bob", "x" * ((1 << 18) + 1), START),
        Message("m1", "bob", "hi", START, ("mod", 1)),  # type: ignore[arg-type]
        Message("m1", "bob", "hi", START, (), {"a": {1, 2}}),
        Message("m1", "bob", "hi", START, (), [1]),  # type: ignore[arg-type]
        Line("m1", "bob", "hi", START, None),  # type: ignore[arg-type]
    ],
)
def test_the_short_way_leaves_out_what_is_not_sound(unsound: MessageLike) -> None:
    timeline = filled(3, most=2)
    before = (timeline.messages(), timeline.seqs(), timeline.ordinal, timeline.bytes)
    with contextlib.suppress(TypeError):
        assert not timeline.add(unsound, 4)
    assert (timeline.messages(), timeline.seqs(), timeline.ordinal, timeline.bytes) == before


@pytest.mark.parametrize(
    "strange",
    [
        None,
        object(),
        Message(1, "bob", "hi", START),  # type: ignore[arg-type]
        Message(["m1"], "bob", "hi", START),  # type: ignore[arg-type]
        Message("m1", "bob", None, START),  # type: ignore[arg-type]
        Message("m1", "bob", "hi", datetime(2026, 1, 1)),  # noqa: DTZ001
        Message("m1", "bob", "hi", 0.0),  # type: ignore[arg-type]
    ],
)
def test_the_short_way_never_takes_what_is_no_message(strange: Any) -> None:
    timeline = filled(3, most=2)
    before = (timeline.messages(), timeline.seqs(), timeline.ordinal, timeline.bytes)
    with contextlib.suppress(TypeError, AttributeError):
        assert not timeline.add(strange, 4)
    assert (timeline.messages(), timeline.seqs(), timeline.ordinal, timeline.bytes) == before


def test_the_newest_stays_whatever_it_weighs() -> None:
    timeline = Window(10, 1000)
    timeline.add(message("m1"), 1)
    timeline.add(message("m2", content="x" * 5000, second=1), 2)
    assert [held.id for held in timeline] == ["m2"]
    timeline.check()


@given(st.lists(st.tuples(texts, extras), max_size=30))
def test_bytes_do_not_depend_on_when_they_are_asked(contents: list[tuple[str, Any]]) -> None:
    asked, unasked = Window(10), Window(10)
    for seq, (content, extra) in enumerate(contents, 1):
        new = Message(f"m{seq}", "bob", content, START + timedelta(seconds=seq), (), extra)
        assert asked.add(new, seq)
        assert asked.bytes
        assert unasked.add(new, seq)
    asked.settle()
    unasked.settle()
    assert asked._bytes == unasked._bytes
    assert len(asked) == min(len(contents), 10)
