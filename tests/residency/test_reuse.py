"""What is learned from counts, against what it stands for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from roomstate.residency.reuse import AGES, CLOCK, FINE, ReuseModel, bucket, chances_of, worth_of


@given(st.integers(0, 2**32 - 1))
def test_buckets_are_half_octaves(age: int) -> None:
    found = bucket(age)
    assert 0 <= found < AGES
    assert bucket(max(age - 1, 0)) <= found <= bucket(max(age - 1, 0)) + 1
    if 4 <= age < 2**27:
        assert bucket(2 * age) == found + 2


def test_the_table_and_the_sum_agree_and_the_clock_may_wrap() -> None:
    assert [bucket(age) for age in range(FINE - 3, FINE + 3)] == [27, 27, 27, 28, 28, 28]
    assert bucket(5 - CLOCK) == bucket(6)


@given(st.lists(st.floats(0.0, 0.99), min_size=AGES, max_size=AGES))
def test_worth_is_the_best_rate_over_all_times_to_let_go(chances: list[float]) -> None:
    worth = worth_of(chances)
    edges = [0, 1] + [(2 + half) << octave for octave in range(AGES // 2) for half in (0, 1)]
    widths = [stop - start for start, stop in pairwise(edges)]
    for start in (0, 1, 7, 30, AGES - 1):
        best, visits, time, there = 0.0, 0.0, 0.0, 1.0
        for chance, width in list(zip(chances, widths, strict=False))[start:]:
            visits += there * chance
            time += there * width * (1 - chance / 2)
            there *= 1 - chance
            best = max(best, visits / time)
        assert abs(worth[start] - best) <= 1e-9 * max(best, 1e-30)


def test_what_was_lost_sight_of_does_not_count_as_never_coming_back() -> None:
    seen = chances_of(([0.0, 10.0], [0.0, 0.0]), [0.0, 0.0], 1e-9, 2)
    lost = chances_of(([0.0, 10.0], [90.0, 0.0]), [0.0, 0.0], 1e-9, 2)
    assert round(seen[1], 6) == round(lost[1], 6) == 1.0


def test_little_seen_leaves_the_belief_as_it_was() -> None:
    assert chances_of(([0.0], [0.0]), [0.3], 2.0, 1) == [0.3]
    assert chances_of(([1000.0], [0.0]), [0.3], 2.0, 1)[0] > 0.99


def test_an_untaught_model_prefers_the_young() -> None:
    worth = ReuseModel([0]).worth
    assert worth == sorted(worth, reverse=True)


def test_learning_nothing_changes_nothing() -> None:
    model = ReuseModel([0, 0])
    before = model.worth[:]
    model.learn(0.5)
    assert [round(one, 12) for one in model.worth] == [round(one, 12) for one in before]


def test_a_class_that_has_seen_nothing_borrows_from_its_parent() -> None:
    model = ReuseModel([0, 0, 0])
    for _ in range(500):
        model.back[1 * AGES + 9] += model.one
    model.learn(1.0)
    assert model.worth[2 * AGES : 3 * AGES] == model.worth[:AGES]
    assert model.worth[1 * AGES + 9] > model.worth[1 * AGES]


def test_a_loop_is_worth_more_the_nearer_it_is_to_coming_round() -> None:
    model = ReuseModel([0])
    for _ in range(1000):
        model.back[20] += model.one
    model.learn(1.0)
    assert model.worth[0] < model.worth[10] < model.worth[20]
    assert model.worth[20] > model.worth[21]


def test_what_is_learned_fades() -> None:
    model, worth = ReuseModel([0]), list[float]()
    for age in (8, 24):
        for _ in range(400):
            model.back[age] += model.one
            model.learn(0.9)
        worth.append(model.worth[8])
    assert worth[1] < worth[0] / 10
    assert model.one <= 1e9
    assert model.back[8] < 1e-3 * model.back[24]
