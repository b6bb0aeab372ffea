"""Time-to-live and the wheel."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.residency.ttl import LONGEST_WINDOW_S, Frequency, TimeToLive, Wheel


def test_frequency_counts_the_window_with_both_its_ends() -> None:
    ttl = TimeToLive()
    assert ttl.frequency([], 0.0) is Frequency.LOW
    assert ttl.frequency([3600.0, 1.0, 0.0], 3600.0) is Frequency.MEDIUM
    assert ttl.frequency([3600.0, 1.0, 0.0], 3600.5) is Frequency.LOW
    assert ttl.frequency([float(9 - back) for back in range(10)], 3600.0) is Frequency.HIGH
    assert ttl.frequency([float(9 - back) for back in range(9)], 3600.0) is Frequency.MEDIUM


def test_the_specification_s_times() -> None:
    assert [TimeToLive().seconds(one) for one in Frequency] == [1800.0, 3600.0, 5400.0]


@pytest.mark.parametrize("name", ["base_s", "medium", "high", "window_s"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_values_out_of_range_are_refused(name: str, bad: float) -> None:
    with pytest.raises(InvalidValue, match=name):
        TimeToLive(**{name: bad})


def test_a_window_longer_than_what_is_remembered_is_refused() -> None:
    assert TimeToLive(window_s=LONGEST_WINDOW_S).window_s == LONGEST_WINDOW_S
    with pytest.raises(InvalidValue, match="window_s"):
        TimeToLive(window_s=LONGEST_WINDOW_S + 1)


deadlines = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.integers(0, 5), deadlines)), st.lists(deadlines))
def test_the_wheel_is_never_late_and_hands_a_row_out_once(filed: list[tuple[int, float]], nows: list[float]) -> None:
    wheel = Wheel()
    due: dict[int, float] = {}
    for row, deadline in filed:
        wheel.file(row, deadline)
        due[row] = min(due.get(row, math.inf), math.ceil(deadline))
    for now in sorted(nows):
        expected = {row for row, second in due.items() if second <= now}
        assert set(wheel.due(now)) == expected
        for row in expected:
            del due[row]
        coming = wheel.next()
        assert coming is None or coming > now
        assert not due or (coming is not None and coming <= min(due.values()))


def test_a_deadline_beyond_all_reckoning_is_looked_at_early() -> None:
    wheel = Wheel()
    wheel.file(0, 0.0)
    wheel.file(1, 1e30)
    coming = wheel.next()
    assert coming == 0.0
    assert list(wheel.due(1.0)) == [0]
    assert 1e9 < (wheel.next() or 0) < 1e10
