from __future__ import annotations

import itertools

import pytest

from roomstate.errors import IllegalTransition
from roomstate.model import Status, Tier
from roomstate.room.tiers import LOADING, TIERS, LoadingSignal, Signal, next_status, next_tier, render

CELLS = list(itertools.product(Tier, Signal))
LOADS = list(itertools.product(Status, LoadingSignal))


def test_both_tables_are_total_and_hold_nothing_else() -> None:
    assert list(TIERS) == CELLS
    assert set(LOADING) == set(LOADS)
    assert len(LOADING) == len(LOADS)


@pytest.mark.parametrize(("tier", "signal"), CELLS, ids=str)
@pytest.mark.parametrize("wanted", Tier, ids=lambda tier: f"wanted={tier.name}")
def test_every_cell_of_the_tier_table_moves_stays_or_says_why_not(tier: Tier, signal: Signal, wanted: Tier) -> None:
    cell = TIERS[tier, signal]
    assert cell.why
    if cell.illegal:
        assert cell.to is None
        with pytest.raises(IllegalTransition, match=f"{signal.name} at {tier.name}: {cell.why}"):
            next_tier(tier, signal, wanted)
    elif cell.to is None:
        assert next_tier(tier, signal, wanted) is max(wanted, Tier.CACHED)  # never straight out of memory
    else:
        assert next_tier(tier, signal, wanted) is cell.to


@pytest.mark.parametrize(("status", "signal"), LOADS, ids=str)
def test_every_cell_of_the_loading_table_leads_somewhere(status: Status, signal: LoadingSignal) -> None:
    cell = LOADING[status, signal]
    assert cell.why
    assert not cell.illegal
    assert next_status(status, signal) is cell.to


def test_signals_that_ask_for_more_never_lead_down_and_those_that_give_up_never_lead_up() -> None:
    for tier, signal in CELLS:
        cell = TIERS[tier, signal]
        if cell.to is not None:
            up = signal in (Signal.ENTER, Signal.FOLLOW, Signal.WARM)
            assert (cell.to >= tier) if up else (cell.to <= tier)  # type: ignore[operator]


def test_a_live_room_becomes_a_snapshot_before_it_leaves_memory() -> None:
    for tier, signal in CELLS:
        if tier >= Tier.BACKGROUND:
            assert TIERS[tier, signal].to is not Tier.UNLOADED


def test_the_page_shows_every_cell() -> None:
    page = render()
    assert page.count("\n| ") == len(CELLS) + len(LOADS) + 2
    for cell in (*TIERS.values(), *LOADING.values()):
        assert f"| {cell.why} |" in page
    assert "| ACTIVE | PURGE | *illegal* |" in page
    assert "| ACTIVE | LEAVE | *what the interests ask for* |" in page
