from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import InvalidValue
from roomstate.model import Count
from roomstate.room.sketch import REGISTERS, Distinct, Estimate, Frequencies

keys = st.lists(st.text("abcdefghij", max_size=2), max_size=60)
BOUND = 10


def counted(items: list[str], max_keys: int = BOUND) -> Frequencies:
    made = Frequencies(max_keys)
    made.add(items)
    made.check()
    return made


def assert_within_bounds(made: Frequencies, exact: Counter[str]) -> None:
    made.check()
    said = made.counts
    assert made.total == exact.total()
    assert len(said) <= made.max_keys
    assert made.error * (made.max_keys - made.max_keys // 8 + 1) <= made.total
    for key in exact.keys() | said.keys():
        assert said.get(key, 0) <= exact[key] <= said.get(key, 0) + made.error
    if len(exact) <= made.max_keys:
        assert said == exact
        assert made.error == 0


@given(keys)
def test_counts_are_exact_up_to_the_bound_and_short_by_the_error_above(items: list[str]) -> None:
    assert_within_bounds(counted(items), Counter(items))


@given(st.lists(keys, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_bounds_hold_for_any_tree_of_merges(parts: list[list[str]], draw: random.Random) -> None:
    made = [counted(part) for part in parts]
    while len(made) > 1:
        one, other = made.pop(draw.randrange(len(made))), made.pop(draw.randrange(len(made)))
        made.append(one.merge(other))
    assert_within_bounds(made[0], Counter(key for part in parts for key in part))


@given(keys, keys, keys)
def test_merging_is_commutative_and_where_exact_associative(a: list[str], b: list[str], c: list[str]) -> None:
    one, two, three = counted(a), counted(b), counted(c)
    assert one.merge(two) == two.merge(one)
    assert one.merge(Frequencies(BOUND)) == one
    if len({*a, *b, *c}) <= BOUND:
        assert one.merge(two).merge(three) == one.merge(two.merge(three)) == counted(a + b + c)


@given(keys)
def test_what_one_says_another_takes_over(items: list[str]) -> None:
    made = counted(items)
    assert Frequencies.of(made.max_keys, made.total, made.error, made.counts) == made


@pytest.mark.parametrize("order", ["rare first", "frequent first", "always new"])
def test_no_order_of_the_input_breaks_the_bounds(order: str) -> None:
    exact = Counter({f"rare{n}": 1 for n in range(5000)}) | Counter({f"often{n}": 400 // (n + 1) for n in range(20)})
    items = sorted(exact.elements(), key=lambda key: exact[key], reverse=order == "frequent first")
    if order == "always new":
        items = [f"{n}" for n in range(20_000)]
    assert_within_bounds(counted(items, 64), Counter(items))


def test_the_top_is_ordered_by_count_then_by_key() -> None:
    made = counted(["b", "a", "c", "c"])
    assert made.top(2) == [("c", Count(2)), ("a", Count(1))]
    assert len(made) == 3
    assert made != 3


@pytest.mark.parametrize(
    ("total", "error", "counts"),
    [
        (1, 0, {"a": 2}),
        (2, 0, {"a": 0, "b": 2}),
        (11, 0, {str(n): 1 for n in range(11)}),
        (5, 0, {"a": 2}),
        (5, 3, {"a": 5}),
        (50, 9, {"a": 5}),
        (50, -1, {"a": 5}),
    ],
)
def test_numbers_that_no_counting_gives_are_refused(total: int, error: int, counts: dict[str, int]) -> None:
    with pytest.raises(InvalidValue):
        Frequencies.of(BOUND, total, error, counts)


def test_a_bound_below_two_is_refused() -> None:
    with pytest.raises(InvalidValue, match="max_keys"):
        Frequencies(1)


def seen(items: list[str]) -> Distinct:
    made = Distinct()
    made.add(items)
    return made


@given(keys, keys, keys)
def test_distinct_does_not_depend_on_order_repetition_or_merges(a: list[str], b: list[str], c: list[str]) -> None:
    whole = seen([*a, *b, *c])
    assert seen(a).merge(seen(b)).merge(seen(c)) == whole == seen(c).merge(seen(a).merge(seen(b)))
    assert seen([*c, *b, *a, *a]) == whole
    assert Distinct.from_str(whole.to_str()) == whole
    assert len(whole.to_str()) == REGISTERS
    assert whole != 3


@pytest.mark.parametrize("size", [10, 100, 1000, 2500, 5000, 20_000])
def test_the_estimate_has_the_stated_error(size: int) -> None:
    """Over twenty sets of keys: the mean square error is that stated (within a third), and none is four times off."""
    errors = []
    for salt in range(20):
        estimate = seen([f"{salt}-{n}" for n in range(size)]).estimate()
        errors.append((estimate.value - size) / size)
        assert abs(estimate.value - size) <= 4 * max(estimate.error, 1)
    assert (sum(error**2 for error in errors) / 20) ** 0.5 <= 1.35 * 0.0325


def test_nothing_seen_is_nothing_and_everything_seen_is_very_much() -> None:
    assert Distinct().estimate() == Estimate(0)
    full = Distinct(bytes([55]) * REGISTERS)
    assert Distinct.from_str(full.to_str()) == full
    half = Distinct(bytes([55]) * (REGISTERS // 2) + bytes([50]) * (REGISTERS // 2))
    assert half.estimate().value > 2**50


@pytest.mark.parametrize("text", ["", "0" * (REGISTERS - 1), "!" * REGISTERS, "_" * REGISTERS])
def test_text_that_is_no_register_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="distinct"):
        Distinct.from_str(text)


def test_lone_surrogates_count_as_any_other_text() -> None:
    assert seen(["\ud800"]).estimate().value == 1


def test_adding_takes_bounded_memory_of_endless_input() -> None:
    made = Frequencies(8)
    made.add(islice((str(n) for n in range(10**9)), 50_000))
    assert (made.total, len(made)) == (50_000, 0)
