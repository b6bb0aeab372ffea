"""Order within a room, turns between rooms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomstate.host.lanes import Lanes


def test_work_that_was_taken_goes_back_to_the_front() -> None:
    lanes = Lanes[int]()
    for number in (1, 2):
        lanes.push("a", number)
    assert lanes.take() == 1
    assert ("a" in lanes, "b" in lanes, len(lanes), lanes.waiting("a")) == (True, False, 1, (2,))
    lanes.back("a", 1)
    assert len(lanes) == 2
    assert lanes.take() == 1
    lanes.done("a")
    assert lanes.take() == 2
    lanes.done("a")
    assert ("a" in lanes, len(lanes), lanes.take(), lanes.waiting("a")) == (False, 0, None, ())


@given(st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 2))))
def test_each_room_s_work_comes_out_in_order_and_one_at_a_time(steps: list[str | int]) -> None:
    lanes, pushed, got, under_way = Lanes[tuple[str, int]](), dict[str, int](), dict[str, int](), list[str]()
    for step in steps:
        if isinstance(step, str):
            pushed[step] = pushed.get(step, 0) + 1
            lanes.push(step, (step, pushed[step]))
        elif step == 0 and under_way:
            lanes.done(under_way.pop())
        elif (work := lanes.take()) is not None:
            room, number = work
            assert room not in under_way
            under_way.append(room)
            assert number == got.get(room, 0) + 1
            got[room] = number
        assert len(lanes) == sum(pushed.values()) - sum(got.values())
