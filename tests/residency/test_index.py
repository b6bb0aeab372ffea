"""The index against a plain sort, whatever moves, leaves and comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomstate.residency.index import HeapIndex, Rank, SampleIndex

moves = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(["file", "file", "remove"]), st.integers(-3, 3), st.integers(0, 1)),
    max_size=200,
)


@given(moves, st.booleans())
def test_the_head_of_each_group_is_the_least(moves: list[tuple[int, str, int, int]], near: bool) -> None:
    index = HeapIndex(near=near)
    model: dict[int, tuple[Rank, int]] = {}
    for at, (row, what, key, group) in enumerate(moves):
        if what == "file":
            rank = (float(key), float(at), f"room-{row}")
            index.file(row, rank, group)
            model[row] = rank, group
        elif row in model:
            index.remove(row)
            del model[row]
        found = index.candidates()
        assert len(found) == len({row for _, row in found})
        for one in {group for _, group in model.values()}:
            assert min((rank, row) for row, (rank, where) in model.items() if where == one) in found
        assert {row for _, row in found} <= model.keys()


def test_what_rounding_may_have_confused_is_found_together() -> None:
    index = HeapIndex(near=True)
    for row, key in enumerate((1.0, 1.0 + 1e-15, 1.0 + 1e-9)):
        index.file(row, (key, 0.0, f"room-{row}"), 0)
    assert [row for _, row in index.candidates()] == [0, 1]


def test_those_found_together_are_bounded() -> None:
    index = HeapIndex(near=True)
    for row in range(1000):
        index.file(row, (1.0, 0.0, f"room-{row:04}"), 0)
    assert [row for _, row in index.candidates()] == list(range(64))


def test_many_moves_leave_no_more_places_than_twice_the_rows() -> None:
    index = HeapIndex()
    for at in range(5000):
        index.file(at % 10, (float(-at), 0.0, f"room-{at % 10}"), 0)
    assert index._places <= 2 * 10 + 65
    assert index.head() == ((-4999.0, 0.0, "room-9"), 9)


@given(st.lists(st.integers(0, 60), max_size=150))
def test_a_sample_is_of_rows_that_are_here(rows: list[int]) -> None:
    index, here = SampleIndex(), set[int]()
    for row in rows:
        if row in here:
            index.remove(row)
        else:
            index.file(row, (0.0, 0.0, ""), 0)
            index.file(row, (0.0, 0.0, ""), 0)
        here ^= {row}
        found = [row for _, row in index.candidates()]
        assert set(found) <= here
        assert len(found) == min(len(here), 16)


def test_samples_reach_everybody() -> None:
    index = SampleIndex()
    for row in range(200):
        index.file(row, (0.0, 0.0, ""), 0)
    assert {row for _ in range(200) for _, row in index.candidates()} == set(range(200))
