from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.snapshot import columns
from roomstate.snapshot.columns import Series, Strings, Table, pack_planes, unpack_planes

words = st.integers(0, 2**64 - 1)


@given(st.lists(words) | st.lists(st.integers(0, 300)) | st.lists(st.integers(0, 2**33)))
def test_planes_hold_every_number(values: list[int]) -> None:
    assert unpack_planes(pack_planes(values), len(values)) == values


@pytest.mark.parametrize("value", [-1, 2**64])
def test_planes_refuse_other_numbers(value: int) -> None:
    with pytest.raises((OverflowError, IndexError)):
        pack_planes([value])


@pytest.mark.parametrize(("planes", "items"), [(b"abc", 2), (b"a" * 9, 1), (b"a", 0)])
def test_planes_of_another_count_are_refused(planes: bytes, items: int) -> None:
    with pytest.raises(ValueError, match="planes"):
        unpack_planes(planes, items)


def test_planes_are_the_same_on_a_machine_of_the_other_order(monkeypatch: pytest.MonkeyPatch) -> None:
    here = columns._place(0, 4), columns._place(3, 4)
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    assert (columns._place(3, 4), columns._place(0, 4)) == here


@given(
    st.lists(st.integers(-(2**62), 2**62)) | st.lists(st.integers(0, 5000)).map(sorted) | st.integers(0, 9).map(range)
)
def test_a_series_holds_every_number(values: list[int]) -> None:
    series = Series.pack(values)
    assert series.unpack(len(values)) == list(values)
    assert series.bounds(series.unpack(len(values))) == (min(values, default=0), max(values, default=0))


def test_a_steady_series_takes_no_planes() -> None:
    assert Series.pack(range(7, 700, 7)).planes == b""
    assert Series.pack([5, 5, 5]).unpack(3) == [5, 5, 5]


@given(st.lists(st.text()), st.integers(0, 5))
def test_strings_hold_every_text(values: list[str], last: int) -> None:
    strings = Strings.pack(values)
    assert strings.unpack(len(values)) == values
    assert strings.unpack(len(values), last) == values[max(len(values) - last, 0) :]
    longest = max((len(value) for value in values), default=0)
    assert strings.longest() >= longest
    assert strings.memory_cost() >= sum(map(len, values))


@pytest.mark.parametrize(
    ("strings", "items"),
    [
        (Strings(b"a\0b"), 3),
        (Strings(b"a\0b\0c"), 2),
        (Strings(b"abc", pack_planes([1, 1])), 2),
        (Strings(b"\xff"), 1),
    ],
)
@pytest.mark.parametrize("last", [None, 1])
def test_strings_of_another_count_are_refused(strings: Strings, items: int, last: int | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        strings.unpack(items, last)


@given(st.lists(st.sampled_from(["bob", "ada", "", "x\0y"])))
def test_a_table_holds_every_text_and_equal_ones_once(values: list[str]) -> None:
    table = Table.pack(values)
    unpacked = table.unpack(len(values))
    assert unpacked == values
    assert len({id(value) for value in unpacked}) <= 4


@pytest.mark.parametrize("table", [Table(Strings(b"a\0b\0c"), 3), Table(Strings(b"a"), 1, pack_planes([1, 1]))])
def test_a_table_that_does_not_fit_is_refused(table: Table) -> None:
    with pytest.raises((ValueError, IndexError)):
        table.unpack(2)


def test_the_letters_for_numbers_never_change() -> None:
    """They are part of the format: another table would read old snapshots wrong."""
    common = b" etaoinshrldcumfgpywb.vk,-ITA\n'0S1?C2x:WMEN\"3j/PD4HB5OqLzR"
    letters = pack_planes(range(256))
    assert letters.startswith(common)
    assert letters[len(common) :] == bytes(sorted(set(range(256)) - set(common)))
