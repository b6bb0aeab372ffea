"""A choice among options, learned one choice at a time: a softmax over sums of table weights.

An option is a row of indices, one into each of several tables (they share one flat list); its score is the sum of
the weights there, its probability the exponential of its score over the sum of all exponentials. After each choice
every weight moves against its share of the error, in steps that shrink with what it has moved before (AdaGrad;
Duchi, Hazan and Singer, 2011), so that rare indices still learn when frequent ones have settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, sqrt

RATE = 0.1
"""The step of a weight; from 0.05 to 0.2 makes less than 0.3 points of difference on the Lean archive."""
OWN_RATE = 0.08
"""The step of a viewer's own weights, which see too few choices for a shrinking step to settle."""
LEAST_ERROR = 0.002
"""Errors below it are not learned from: they are a third of the work, and hardly any of the result."""


class OnlineSoftmax:
    """Weights of all tables, and how to use and move them. Memory: 64 bytes per index.

    A row's last index is into the chooser's own weights (``own``), the others into the common ones.
    """

    def __init__(self, size: int) -> None:
        self.weights: list[float] = [0.0] * size
        self._moved = [1e-3] * size

    def chances(self, scores: Sequence[float]) -> list[float]:
        """Probabilities that sum to 1, in the order of ``scores``; at least one score is needed. O(options)."""
        highest = max(scores)  # so that no exponential overflows
        powers = [exp(score - highest) for score in scores]
        whole = sum(powers)
        return [power / whole for power in powers]

    def learn(self, rows: Sequence[tuple[int, ...]], chances: Sequence[float], chosen: int) -> None:
        """Option ``chosen`` of those with ``chances`` was taken. O(options × tables)."""
        weights, moved = self.weights, self._moved
        for option, row in enumerate(rows):
            error = chances[option] - (option == chosen)
            if -LEAST_ERROR < error < LEAST_ERROR:
                continue
            square, step = error * error, RATE * error
            for index in row:
                moved[index] = sum_ = moved[index] + square
                weights[index] -= step / sqrt(sum_)
