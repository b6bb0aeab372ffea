"""What each number of a manager's `Stats` is called outside: data, and one function that reads them.

Names follow Prometheus's conventions: base units, plural things, no room and no user in a label. A count or a time
belongs to the family whose first word and number of labels it has; ``tests/export`` holds that each has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from roomstate.metrics import Family, Histogram, Labels, Measure, Stats

__all__ = ["FAMILIES", "measures"]


class _Gauge(Struct, frozen=True):
    """A gauge, and where its values are."""

    family: Family
    read: Callable[[Stats], Mapping[Labels, float]]


class _Counted(Struct, frozen=True):
    """A counter or histogram, and the labels before its own. ``known`` are 0 until something happens."""

    family: Family
    prefix: Labels
    known: tuple[Labels, ...] = ()


def _by_name(values: Mapping[Any, int]) -> dict[Labels, float]:
    return {(key.name,): value for key, value in values.items()}


_GAUGES: Final = (
    _Gauge(
        Family(
            "rooms",
            "gauge",
            "Rooms by tier. UNLOADED: rooms at rest that wait for their log.",
            ("tier",),
        ),
        lambda stats: _by_name(stats.rooms),
    ),
    _Gauge(
        Family("held_bytes", "gauge", "Memory by tier, as accounted. UNLOADED: also what users have read.", ("tier",)),
        lambda stats: _by_name(stats.bytes),
    ),
    _Gauge(
        Family("live_rooms", "gauge", "ACTIVE and BACKGROUND rooms by what their views are worth.", ("status",)),
        lambda stats: _by_name(stats.statuses),
    ),
    _Gauge(Family("viewers", "gauge", "Viewers with an interest in some room."), lambda stats: {(): stats.viewers}),
    _Gauge(Family("open_gaps", "gauge", "Gaps in live rooms that nobody has filled."), lambda stats: {(): stats.gaps}),
    _Gauge(
        Family("waiting_updates", "gauge", "Updates that wait for a seq, until their room's head is known."),
        lambda stats: {(): stats.waiting},
    ),
    _Gauge(
        Family("undurable_updates", "gauge", "Updates that the log has not confirmed."),
        lambda stats: {(): stats.undurable},
    ),
    _Gauge(
        Family("undurable_bytes", "gauge", "Bytes of updates that the log has not confirmed, or that wait for a seq."),
        lambda stats: {(): stats.undurable_bytes},
    ),
    _Gauge(
        Family("outstanding_requests", "gauge", "Effects that wait for their answer, by what they ask.", ("kind",)),
        lambda stats: {(kind,): value for kind, value in stats.asked.items()},
    ),
)

_COUNTED: Final = (
    _Counted(
        Family(
            "updates",
            "counter",
            "Updates by kind and outcome: applied, duplicate, repeated (the log held it already), recovered (it filled "
            "a gap), parked (until its message comes; then it is applied or a misfit), missed (it came during a load, "
            "beyond the bound: a gap has it), misfit.",
            ("kind", "outcome"),
        ),
        ("update",),
    ),
    _Counted(
        Family("envelopes", "counter", "Envelopes that a replica received, by what became of them.", ("outcome",)),
        ("envelope",),
    ),
    _Counted(Family("transitions", "counter", "Changes of tier.", ("from", "to")), ("transition",)),
    _Counted(Family("signals", "counter", "Signals to rooms, which may change a tier.", ("signal",)), ("signal",)),
    _Counted(
        Family(
            "lookups",
            "counter",
            "Promotions that found their room in memory (hit) or did not (miss), by how often it was visited lately.",
            ("result", "frequency"),
        ),
        ("lookup",),
    ),
    _Counted(Family("evictions", "counter", "Cached rooms that left memory.", ("reason",)), ("eviction",)),
    _Counted(Family("status_changes", "counter", "Live rooms that took on a status.", ("to",)), ("status",)),
    _Counted(
        Family("gaps", "counter", "Gaps: opened, filled, or lost (closed unfilled).", ("event",)),
        ("gap",),
        (("opened",), ("filled",), ("lost",)),
    ),
    _Counted(Family("resyncs", "counter", "Rooms whose contents were replaced as a whole.", ("reason",)), ("resync",)),
    _Counted(
        Family("conflict_decisions", "counter", "Decisions in conflicts, by field.", ("field", "strategy", "took")),
        ("conflict",),
    ),
    _Counted(
        Family("conflicts_opened", "counter", "Conflicts that a user was asked to settle."),
        ("conflict", "opened"),
        ((),),
    ),
    _Counted(
        Family("warmings", "counter", "Rooms loaded before a visit: planned, used, wasted, failed.", ("outcome",)),
        ("warm",),
    ),
    _Counted(Family("echoes", "counter", "What users have sent and was not taken.", ("outcome",)), ("echo",)),
    _Counted(
        Family("notifications", "counter", "Notifications by the rule that found them.", ("kind",)), ("notified",)
    ),
    _Counted(
        Family("receipts_dropped", "counter", "Receipts for messages not seen yet, for which there was no room."),
        ("receipt", "dropped"),
        ((),),
    ),
    _Counted(Family("rule_failures", "counter", "Notification rules that raised.", ("error",)), ("rule", "failed")),
    _Counted(Family("predictor_failures", "counter", "Predictors that raised.", ("error",)), ("predictor", "failed")),
    _Counted(
        Family(
            "request_seconds",
            "histogram",
            "From an effect that asks to its answer, in the manager's own time.",
            ("kind", "outcome"),
        ),
        ("request",),
    ),
    _Counted(
        Family(
            "promotion_seconds",
            "histogram",
            "From a promotion until the room holds what its tier does: loaded; at_once, where nothing had to be asked "
            "for; failed or left, where it was given up before.",
            ("from", "to", "outcome"),
        ),
        ("promotion",),
    ),
    _Counted(
        Family(
            "recovery_seconds",
            "histogram",
            "From a replica's asking for what it misses until it has that, as updates or as an image; or until nothing "
            "came of it, or it failed.",
            ("outcome",),
        ),
        ("recovery",),
    ),
)

_PLACES: Final = {(each.prefix[0], len(each.prefix) + len(each.family.labels)): each for each in _COUNTED}

FAMILIES: Final = tuple(each.family for each in (*_GAUGES, *_COUNTED))
"""Every family that `measures` tells of, in its order."""


def measures(stats: Stats) -> Iterator[Measure]:
    """Tell what ``stats`` holds, family by family, each exactly once. O(labels)."""
    for gauge in _GAUGES:
        yield Measure(gauge.family, gauge.read(stats))
    found: dict[str, dict[Labels, float | Histogram]] = {
        each.family.name: dict.fromkeys(each.known, 0) for each in _COUNTED
    }
    values: dict[Labels, float | Histogram] = {**stats.counts, **stats.times}
    for labels, value in values.items():
        place = _PLACES.get((labels[0], len(labels)))
        if place is not None:
            found[place.family.name][labels[len(place.prefix) :]] = value
    for each in _COUNTED:
        yield Measure(each.family, found[each.family.name])
