"""Pauses with full jitter."""

from __future__ import annotations

import pytest

from roomstate.host.backoff import Backoff


def test_pauses_lie_between_none_and_a_bound_that_doubles() -> None:
    least, most = Backoff(0.1, 1.0, lambda: 0.0), Backoff(0.1, 1.0, lambda: 1.0)
    assert {least.failed() for _ in range(100)} == {0.0}
    assert [most.failed() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    for _ in range(2000):
        assert most.failed() == 1.0


def test_a_success_begins_anew() -> None:
    backoff = Backoff(0.1, 1.0, lambda: 1.0)
    assert not backoff.succeeded()
    backoff.failed()
    backoff.failed()
    assert backoff.succeeded()
    assert backoff.failed() == pytest.approx(0.1)


def test_by_default_it_is_random() -> None:
    backoff = Backoff(1.0, 1.0)
    assert len({backoff.failed() for _ in range(10)}) > 1
