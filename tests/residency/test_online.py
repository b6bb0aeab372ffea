from __future__ import annotations

import pytest

from roomstate.residency.online import OnlineSoftmax


def test_chances_sum_to_one_whatever_the_scores() -> None:
    model = OnlineSoftmax(1)
    assert model.chances([0.0, 0.0]) == [0.5, 0.5]
    assert model.chances([1e4, 0.0, -1e4]) == [1.0, 0.0, 0.0]
    assert sum(model.chances([0.1, 2.0, -3.0])) == pytest.approx(1.0)


def test_a_softmax_learns_the_share_of_each_choice() -> None:
    model, rows = OnlineSoftmax(3), [(0,), (1,), (2,)]

    def chances() -> list[float]:
        return model.chances([sum(model.weights[index] for index in row) for row in rows])

    for at in range(4000):
        model.learn(rows, chances(), (0, 0, 1, 2)[at % 4])
    assert chances() == pytest.approx([0.5, 0.25, 0.25], abs=0.05)


def test_what_is_certain_is_not_learned_from() -> None:
    model = OnlineSoftmax(2)
    model.learn([(0,), (1,)], [0.999, 0.001], 0)
    assert model.weights == [0.0, 0.0]
