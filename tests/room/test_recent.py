from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.room.recent import RecentIds

names = st.text("ab\0", min_size=1, max_size=3)


@given(st.lists(st.lists(names, max_size=4), max_size=20), st.integers(1, 9))
def test_at_least_the_last_ids_are_remembered_and_at_most_as_many_more(batches: list[list[str]], most: int) -> None:
    recent = RecentIds(most)
    added: list[str] = []
    for batch in batches:
        recent.add(batch)
        recent.check()
        added += [name for name in batch if "\0" not in name]
        assert all(name in recent for name in added[-most:])
        assert min(len(added), most) <= len(recent) < most + max(most, *map(len, batches))
        assert "c" not in recent


def test_an_id_is_not_found_in_parts_of_others() -> None:
    recent = RecentIds()
    recent.add(["abc", "d"])
    assert "d" in recent
    assert [name for name in ("a", "bc", "abc\0d", "\0", "") if name in recent] == []


def test_ids_with_a_nul_leave_nothing_behind() -> None:
    recent = RecentIds(2)
    for _ in range(100):
        recent.add(["a\0b"])
        recent.add([])
    assert (len(recent), recent.bytes, "a\0b" in recent, "" in recent) == (0, RecentIds().bytes, False, False)
    recent.check()


@pytest.mark.parametrize("most", [0, -1, 1.5, None])
def test_the_bound_is_a_whole_number_of_at_least_1(most: Any) -> None:
    with pytest.raises(InvalidValue, match="max_ids: must be an int of at least 1"):
        RecentIds(most)
