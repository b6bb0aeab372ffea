from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

import roomstate
from roomstate import RoomStateManager, Tier
from roomstate.effects import (
    ConflictOpened,
    ConflictResolved,
    Decision,
    EchoFailed,
    Event,
    GapOpened,
    Notified,
    Resynced,
)
from roomstate.export import families
from roomstate.export.families import FAMILIES, measures
from roomstate.holding.counting import COUNTED, Meter
from roomstate.host import measuring
from roomstate.metrics import Histogram, Labels
from roomstate.model import Notification
from roomstate.position import Gap, Position
from tests.holding.world import START, World, added

EVENTS: list[Event] = [
    GapOpened("r", Gap(1, 2)),
    Resynced("r", Position("e", 1), "epoch"),
    ConflictOpened("r", 1, ("config",), 0.0),
    ConflictResolved("r", 0, (Decision("messages", "Merge", "both"),)),
    EchoFailed("r", "c", "refused", retryable=False),
    Notified(Notification("r", "ada", "mention", "m1", 1, START)),
]


def counted() -> Iterator[tuple[str, Labels]]:
    """Where in the package something is counted or timed, and the labels: "" for those that only its run knows."""
    root = Path(roomstate.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(root)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith(("counts", "_counts")):
                if isinstance(node.slice, ast.Tuple):
                    yield where, labels_of(node.slice.elts)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".took"):
                yield where, labels_of(node.args[1:])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("count"):
                yield from ((where, labels_of(one.elts)) for one in node.args if isinstance(one, ast.Tuple))


def labels_of(nodes: list[ast.expr]) -> Labels:
    return tuple(str(node.value) if isinstance(node, ast.Constant) else "" for node in nodes)


def has_family(labels: Labels) -> bool:
    place = families._PLACES.get((labels[0], len(labels)))
    return place is not None and all(a in (b, "") for a, b in zip(labels, place.prefix, strict=False))


@pytest.mark.parametrize(("where", "labels"), [*counted()])
def test_whatever_is_counted_has_a_family(where: str, labels: Labels) -> None:
    assert labels[0] == "" or has_family(labels), f"{where} counts {labels}: name it in export/families.py"


def test_places_where_something_is_counted_are_found() -> None:
    assert len([labels for _, labels in counted() if labels[0]]) > 10


WANTED = {
    "transitions by from and to": ("transitions", "from", "to"),
    "their outcome and latency": ("promotion_seconds", "from", "to", "outcome"),
    "hits and misses": ("lookups", "result"),
    "evictions by reason": ("evictions", "reason"),
    "bytes by tier": ("held_bytes", "tier"),
    "rooms by tier": ("rooms", "tier"),
    "updates by type and outcome": ("updates", "kind", "outcome"),
    "gaps": ("gaps", "event"),
    "open gaps": ("open_gaps",),
    "recoveries": ("recovery_seconds", "outcome"),
    "resyncs": ("resyncs", "reason"),
    "resyncs of slow clients": ("host_resyncs", "reason"),
    "conflicts by decision": ("conflict_decisions", "strategy", "took"),
    "warming, used and wasted": ("warmings", "outcome"),
    "queue depth": ("host_queued_items",),
    "queue depth at the ports": ("host_effects", "port"),
    "queue depth before the log": ("undurable_updates",),
    "store latency": ("request_seconds", "kind", "outcome"),
}


@pytest.mark.parametrize("what", WANTED)
def test_what_an_operator_must_be_able_to_see_is_told(what: str) -> None:
    name, *labels = WANTED[what]
    (family,) = [each for each in (*FAMILIES, *measuring.FAMILIES) if each.name == name]
    assert set(labels) <= set(family.labels)


def test_events_have_families() -> None:
    meter = Meter()
    for event in EVENTS:
        meter.happened(event)
    assert all(has_family(labels) for labels in meter.counts), meter.counts
    assert len(meter.counts) == len(EVENTS) >= len(COUNTED) - 2  # StatusChanged and GapClosed: in the next test


def test_every_number_of_a_manager_is_told_once() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    world.post("m1", "m2")
    world.settled("leave", "v", "rust")
    world.do("publish", "rust", added("m3"))
    stats = world.rooms.stats()
    told = {measure.family.name: measure.values for measure in measures(stats)}
    assert list(told) == [family.name for family in FAMILIES]
    assert told["rooms"]["CACHED",] == stats.rooms[Tier.CACHED] == 1
    assert told["updates"]["message_added", "applied"] == 3
    assert told["viewers"] == {(): 0}
    assert told["undurable_bytes"][()] == stats.undurable_bytes > 0
    assert told["outstanding_requests"] == {("append",): 1}
    assert told["request_seconds"]["load", "done"] == stats.times["request", "load", "done"]
    numbers = sum(len(told[each.family.name]) for each in families._COUNTED)
    known = sum(len(each.known) for each in families._COUNTED)
    assert numbers == len(stats.counts) + len(stats.times) + known


def test_values_are_of_their_family() -> None:
    world = World()
    world.settled("enter", "v", "rust")
    for measure in measures(world.rooms.stats()):
        for labels, value in measure.values.items():
            assert len(labels) == len(measure.family.labels), measure.family.name
            assert isinstance(value, Histogram) == (measure.family.kind == "histogram")


def test_what_has_no_family_is_left_out() -> None:
    stats = structs.replace(RoomStateManager().stats(), counts={("unheard", "of"): 1})
    assert [*measures(stats)] == [*measures(RoomStateManager().stats())]


def test_only_the_collector_needs_the_extra() -> None:
    without = "import sys; sys.modules['prometheus_client'] = None; import roomstate.host.measuring, "
    fine = [sys.executable, "-c", without + "roomstate.export.families, roomstate.export.logs"]
    subprocess.run(fine, check=True, timeout=60)
    needing = subprocess.run([*fine[:2], without + "roomstate.export.prometheus"], capture_output=True, timeout=60)
    assert b"ModuleNotFoundError" in needing.stderr


def test_what_may_be_awaited_is_zero_before_it_happens() -> None:
    told = {measure.family.name: measure.values for measure in measures(RoomStateManager().stats())}
    assert told["gaps"] == {("opened",): 0, ("filled",): 0, ("lost",): 0}
    assert told["receipts_dropped"] == told["conflicts_opened"] == {(): 0}
    assert told["rooms"] == {(tier.name,): 0 for tier in Tier}
