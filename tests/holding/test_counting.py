from __future__ import annotations

from roomstate.effects import (
    ConflictResolved,
    Decision,
    GapClosed,
    GapOpened,
    Resynced,
    StatusChanged,
)
from roomstate.holding.counting import MAX_LABELS, Meter, Promotion
from roomstate.metrics import BOUNDS
from roomstate.model import Status
from roomstate.position import Gap, Position


def test_events_are_counted_by_their_labels() -> None:
    meter = Meter()
    gap = Gap(1, 2)
    decisions = (Decision("messages", "Merge", "both"), Decision("config", "ServerWins", "server"))
    for event in (
        GapOpened("r", gap),
        GapClosed("r", gap),
        GapClosed("r", gap, filled=False),
        Resynced("r", Position("e", 1), "epoch"),
        StatusChanged("r", Status.READY, Status.STALE),
        ConflictResolved("r", 0, decisions),
    ):
        meter.happened(event)
    assert meter.counts == {
        ("gap", "opened"): 1,
        ("gap", "filled"): 1,
        ("gap", "lost"): 1,
        ("resync", "epoch"): 1,
        ("status", "STALE"): 1,
        ("conflict", "messages", "Merge", "both"): 1,
        ("conflict", "config", "ServerWins", "server"): 1,
    }


def test_times_fall_into_buckets_whose_bounds_are_inclusive() -> None:
    meter = Meter()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 1e-9, BOUNDS[-1], BOUNDS[-1] + 1):
        meter.took(seconds, "request", "load", "done")
    (took,) = meter.times().values()
    assert took.counts == (2, 1, *[0] * (len(BOUNDS) - 3), 1, 1)
    assert took.count == 5
    assert took.sum == sum((BOUNDS[0], BOUNDS[0] + 1e-9, BOUNDS[-1], BOUNDS[-1] + 1))


def test_a_way_up_is_timed_once_it_began() -> None:
    meter = Meter()
    meter.promoted(None, "loaded", 5.0)
    assert meter.times() == {}
    meter.promoted(Promotion("CACHED", "ACTIVE", 4.0), "loaded", 5.0)
    assert meter.times()["promotion", "CACHED", "ACTIVE", "loaded"].sum == 1.0


def test_labels_that_somebody_else_chooses_are_bounded() -> None:
    meter = Meter()
    for number in range(3 * MAX_LABELS):
        meter.count(("resync", f"reason {number}"))
        meter.took(0.1, "request", f"kind {number}", "done")
    meter.count(("gap", "opened"))
    assert meter.counts["resync", "other"] == 2 * MAX_LABELS
    assert meter.counts["resync", "reason 0"] == meter.counts["gap", "opened"] == 1
    assert len(meter.counts) == MAX_LABELS + 2
    assert meter.times()["request", "other", "other"].count == 2 * MAX_LABELS
