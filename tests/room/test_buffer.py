from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from roomstate.errors import InvalidValue
from roomstate.room.buffer import CircularBuffer

items = st.text("é", max_size=6)


class Naive(RuleBasedStateMachine):
    """A buffer beside the list of all that was ever appended."""

    @initialize(most=st.integers(1, 5), most_bytes=st.none() | st.integers(1, 12), start=st.integers(0, 3))
    def begin(self, most: int, most_bytes: int | None, start: int) -> None:
        self.buffer = CircularBuffer[str](most, most_bytes, len, start)
        self.first, self.held = start, list[str]()

    def cut(self) -> list[str]:
        dropped = []
        limit = self.buffer.max_bytes
        while len(self.held) > self.buffer.max_items or (limit is not None and sum(map(len, self.held)) > limit):
            dropped.append(self.held.pop(0))
            self.first += 1
        return dropped

    @rule(item=items)
    def append(self, item: str) -> None:
        dropped = self.buffer.append(item)
        self.held.append(item)
        assert list(dropped) == self.cut()

    @rule(several=st.lists(items, max_size=4))
    def extend(self, several: list[str]) -> None:
        dropped = self.buffer.extend(several)
        expected = []
        for item in several:
            self.held.append(item)
            expected += self.cut()
        assert list(dropped) == expected

    @rule(most=st.integers(1, 5))
    def resize(self, most: int) -> None:
        dropped = self.buffer.resize(most)
        assert list(dropped) == self.cut()

    @rule(position=st.integers(-2, 30))
    def read(self, position: int) -> None:
        stop = self.first + len(self.held)
        if self.first <= position < stop:
            assert self.buffer[position] == self.held[position - self.first]
        else:
            with pytest.raises(IndexError, match="is not in"):
                self.buffer[position]
        assert list(self.buffer.since(position)) == self.held[max(0, position - self.first) :]

    @invariant()
    def same(self) -> None:
        if hasattr(self, "buffer"):
            self.buffer.check()
            assert list(self.buffer) == self.held
            assert (self.buffer.start, self.buffer.stop) == (self.first, self.first + len(self.held))
            assert (len(self.buffer), self.buffer.bytes) == (len(self.held), sum(map(len, self.held)))


def test_a_buffer_is_the_end_of_a_list() -> None:
    run_state_machine_as_test(Naive, settings=settings(max_examples=100))


@pytest.mark.parametrize("bad", [0, -1, 2.5, float("nan"), "3"])
def test_bounds_are_whole_numbers_of_at_least_1(bad: Any) -> None:
    with pytest.raises(InvalidValue, match="max_items"):
        CircularBuffer[str](bad)
    with pytest.raises(InvalidValue, match="max_bytes"):
        CircularBuffer[str](1, bad)
    buffer = CircularBuffer[str](3)
    buffer.extend("abc")
    with pytest.raises(InvalidValue, match="max_items"):
        buffer.resize(bad)
    assert list(buffer) == ["a", "b", "c"]


def test_a_start_below_0_is_refused() -> None:
    with pytest.raises(InvalidValue, match="start: must be an int of at least 0, got -1"):
        CircularBuffer[str](1, start=-1)


@pytest.mark.parametrize("size", [-1, float("nan")])
def test_a_size_that_cannot_be_changes_nothing(size: Any) -> None:
    sizes = iter([1, size])
    buffer = CircularBuffer[str](1, 10, lambda item: next(sizes))
    buffer.append("a")
    with pytest.raises(InvalidValue, match="size_of: must not be negative"):
        buffer.append("b")
    with pytest.raises(StopIteration):
        buffer.append("c")
    assert (list(buffer), buffer.stop, buffer.bytes) == (["a"], 1, 1)


def test_an_item_too_large_drops_everything_itself_included() -> None:
    buffer = CircularBuffer[str](3, 4, len)
    buffer.extend(["a", "b"])
    assert buffer.append("xxxxx") == ("a", "b", "xxxxx")
    assert (buffer.start, buffer.stop, buffer.bytes) == (3, 3, 0)
