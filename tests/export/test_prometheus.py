from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from roomstate import MessageAdded, RoomStateManager
from roomstate.export.families import FAMILIES, measures
from roomstate.export.prometheus import RoomStateCollector, Source
from roomstate.metrics import BOUNDS, Family, Measure
from tests.export.lint import lint
from tests.holding.world import World, added, message


def registry_of(rooms: RoomStateManager, *sources: Source) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(RoomStateCollector(rooms.stats, *sources))
    return registry


def scraped(rooms: RoomStateManager, *sources: Source) -> dict[str, Metric]:
    text = generate_latest(registry_of(rooms, *sources)).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def in_use() -> World:
    world = World()
    world.settled("enter", "v", "rust", user="ada")
    world.post("m1", "m2", content="hello @ada")
    world.settled("leave", "v", "rust")
    world.now += 0.3
    world.do("follow", "v", "rust")
    world.now += 0.3
    world.host.settle()
    return world


def test_a_real_parser_reads_what_was_counted() -> None:
    world = in_use()
    found = scraped(world.rooms)
    assert list(found) == [f"roomstate_{family.name}" for family in FAMILIES]
    assert {family.name: family.type for family in found.values()} == {
        f"roomstate_{family.name}": family.kind for family in FAMILIES
    }
    stats = world.rooms.stats()
    updates = {labels[1:]: value for labels, value in stats.counts.items() if labels[0] == "update"}
    assert values(found["roomstate_updates"]) == updates
    assert values(found["roomstate_rooms"]) == {(tier.name,): count for tier, count in stats.rooms.items()}
    assert found["roomstate_notifications"].samples[0].value == 2


def test_histograms_are_cumulative_and_end_at_infinity() -> None:
    found = scraped(in_use().rooms)["roomstate_promotion_seconds"]
    one = [sample for sample in found.samples if sample.labels["from"] == "CACHED"]
    buckets = {sample.labels["le"]: sample.value for sample in one if sample.name.endswith("_bucket")}
    assert [float(bound) for bound in buckets] == [*BOUNDS, float("inf")]
    assert [*buckets.values()] == [float(bound >= 0.3) for bound in (*BOUNDS, 60.1)]
    (total,) = (sample.value for sample in one if sample.name.endswith("_sum"))
    (count,) = (sample.value for sample in one if sample.name.endswith("_count"))
    assert total == pytest.approx(0.3)
    assert count == 1.0


def test_names_follow_the_conventions() -> None:
    assert lint(generate_latest(registry_of(in_use().rooms)).decode()) == []


def test_openmetrics_is_read_too_and_has_units() -> None:
    text = generate_openmetrics(registry_of(in_use().rooms)).decode()  # type: ignore[no-untyped-call]
    found = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert found["roomstate_held_bytes"].unit == "bytes"
    assert found["roomstate_request_seconds"].unit == "seconds"
    assert found["roomstate_updates"].unit == ""


def test_a_room_or_a_user_is_never_a_label() -> None:
    world = World()
    names = [f"{kind}-of-somebody-{number}" for kind in ("room", "viewer", "user") for number in range(50)]
    for room, viewer, user in zip(names[:50], names[50:100], names[100:], strict=True):
        world.settled("enter", viewer, room, user=user)
        world.settled("publish", room, added("m1", user, f"hello @{user}"))
        world.settled("publish", room, MessageAdded(message("m1", user)))
    before = {sample.name for family in scraped(world.rooms).values() for sample in family.samples}
    text = generate_latest(registry_of(world.rooms)).decode()
    assert "somebody" not in text
    assert 20 < len(before) < text.count("\n") < 250


def test_a_host_adds_what_it_measures() -> None:
    sent = 0
    family = Family("host_deliveries", "counter", "What viewers were sent.", ("outcome",))

    def source() -> Iterable[Measure]:
        return [Measure(family, {("sent",): sent})]

    rooms = RoomStateManager()
    registry = registry_of(rooms, source)
    sent = 5
    assert registry.get_sample_value("roomstate_host_deliveries_total", {"outcome": "sent"}) == 5.0
    assert "roomstate_host_deliveries" in scraped(rooms, source)


def test_a_source_that_raises_fails_the_scrape_and_no_later_one() -> None:
    broken = True

    def source() -> Iterator[Measure]:
        if broken:
            raise OSError("gone")
        return iter(())

    registry = registry_of(RoomStateManager(), source)
    with pytest.raises(OSError, match="gone"):
        generate_latest(registry)
    broken = False
    assert generate_latest(registry)


def test_two_managers_of_one_registry_would_be_mixed_up() -> None:
    registry = registry_of(RoomStateManager())
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(RoomStateCollector(RoomStateManager().stats))


def test_a_registry_learns_the_names_without_reading_the_manager() -> None:
    def stats() -> object:
        raise AssertionError("read")

    registry = CollectorRegistry()
    registry.register(RoomStateCollector(stats))  # type: ignore[arg-type]
    assert [*measures(RoomStateManager().stats())]
