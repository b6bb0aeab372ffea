"""What is seen of a replay from outside: visits by frequency, time in tiers, transitions, memory."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli.watch import Level, Visits, Watch, peak_memory, quantile
from roomstate.effects import Audience, Deliver, Notified, SaveFailed, TierChanged
from roomstate.model import UNSTAMPED, Notification, Tier
from roomstate.residency.ttl import Frequency
from roomstate.updates import CountsChanged


def test_a_visit_counts_for_the_frequency_of_those_before_it() -> None:
    seen = Watch()
    for number in range(12):
        seen.visited("rust", number > 0, number * 10.0)
    assert seen.visits[Frequency.LOW] == Visits(3, 2, 1)
    assert seen.visits[Frequency.MEDIUM] == Visits(7, 7)
    assert seen.visits[Frequency.HIGH] == Visits(2, 2)
    assert seen.all_visits == Visits(12, 11, 1)


def test_visits_of_more_than_an_hour_ago_do_not_count() -> None:
    seen = Watch()
    for number in range(10):
        seen.visited("rust", True, float(number))
    seen.visited("rust", True, 3605.0)
    assert seen.visits[Frequency.HIGH] == Visits()
    assert seen.visits[Frequency.LOW].first == 1


def test_ratios_of_nothing() -> None:
    assert Visits().ratio == 1.0
    assert Visits(4, 1).ratio == 0.25
    assert (Level().mean_rooms, Level().mean_bytes) == (0.0, 0.0)


def test_levels_have_a_mean_and_a_maximum() -> None:
    level = Level()
    level.sample(2, 100)
    level.sample(4, 50)
    assert (level.mean_rooms, level.max_rooms, level.mean_bytes, level.max_bytes) == (3.0, 4, 75.0, 100)


def test_the_transitions_of_one_verb_share_its_time_and_rooms_their_own() -> None:
    seen = Watch()
    up = TierChanged("rust", Tier.UNLOADED, Tier.ACTIVE)
    seen.saw((up, TierChanged("go", Tier.CACHED, Tier.UNLOADED)), 10.0, 0.5)
    seen.saw((TierChanged("rust", Tier.ACTIVE, Tier.BACKGROUND),), 25.0, 0.125)
    assert {key: list(took) for key, took in seen.transitions.items()} == {
        (Tier.UNLOADED, Tier.ACTIVE): [0.25],
        (Tier.CACHED, Tier.UNLOADED): [0.25],
        (Tier.ACTIVE, Tier.BACKGROUND): [0.125],
    }
    assert seen.room_seconds(30.0) == {Tier.UNLOADED: 20.0, Tier.CACHED: 0.0, Tier.BACKGROUND: 5.0, Tier.ACTIVE: 15.0}


def test_deliveries_notifications_and_failures_are_counted() -> None:
    seen = Watch()
    seen.delivered(Deliver(Audience("rust", "e", ("ada", "bob"), ("cy",)), CountsChanged(), 1))
    note = Notified(Notification("rust", "ada", "mention", "1", 1, UNSTAMPED))
    seen.saw((note, SaveFailed("rust", "full", 1.0)), 0.0, 0.0)
    assert dict(seen.counts) == {"deliveries": 1, "recipients": 2, "notified": 1, "save_failed": 1}


@given(st.lists(st.integers(-50, 50), min_size=1), st.floats(0.01, 1.0))
def test_a_quantile_is_one_of_the_values_and_splits_them(values: list[int], share: float) -> None:
    found = quantile(map(float, values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value > found for value in values) <= (1 - share) * len(values) + 1e-9


def test_peak_memory_is_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("resource")
    peak = peak_memory()
    assert peak is not None
    assert peak > 5_000_000
    monkeypatch.setattr(sys, "platform", "darwin" if sys.platform != "darwin" else "linux")
    other = peak_memory()
    assert other is not None
    assert max(peak, other) / min(peak, other) > 500


def test_where_the_system_does_not_say_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory() is None
