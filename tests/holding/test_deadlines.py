from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomstate.holding.deadlines import Deadlines


def test_keys_due_at_one_time_come_in_the_order_in_which_they_were_set() -> None:
    due = Deadlines[str]()
    for key in "bca":
        due.set(key, 5.0)
    assert [due.pop(5.0) for _ in range(4)] == ["b", "c", "a", None]
    assert due.next() is None


def test_a_cleared_key_is_due_no_more() -> None:
    due = Deadlines[str]()
    due.set("a", 1.0)
    due.clear("a")
    due.clear("a")
    assert "a" not in due
    assert len(due) == 0
    assert due.pop(9.0) is None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50) | st.none()), max_size=400))
def test_it_is_what_a_dict_says_and_never_more_than_twice_as_large(steps: list[tuple[str, int | None]]) -> None:
    due, model = Deadlines[str](), dict[str, float]()
    for key, time in steps:
        if time is None:
            due.clear(key)
            model.pop(key, None)
        else:
            due.set(key, time)
            model[key] = time
        due.check()
        assert due.next() == min(model.values(), default=None)
        assert {name for name in "abcd" if name in due} == model.keys()
    order = []
    while (key_due := due.pop(50.0)) is not None:
        order.append(model.pop(key_due))
    assert order == sorted(order)
    assert not model
