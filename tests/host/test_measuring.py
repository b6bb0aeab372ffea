"""What a host tells of itself: every number once, in names that follow the conventions, and right."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, generate_latest

from roomstate.export.families import FAMILIES as CORE_FAMILIES
from roomstate.export.prometheus import RoomStateCollector
from roomstate.host import HostBounds, RoomHost
from roomstate.host.measuring import FAMILIES
from roomstate.metrics import Labels
from tests.export.lint import lint
from tests.host.looping import run
from tests.host.test_room_host import Flaky
from tests.host.test_viewers import host_of, said


def told(host: RoomHost) -> dict[str, Mapping[Labels, float]]:
    return {each.family.name: each.values for each in host.measures()}  # type: ignore[misc]


def scraped(host: RoomHost) -> str:
    registry = CollectorRegistry()
    registry.register(RoomStateCollector(host.stats, host.measures))
    return generate_latest(registry).decode()


def test_every_family_is_told_once_and_follows_the_conventions() -> None:
    host = host_of()
    assert [each.family for each in host.measures()] == [*FAMILIES]
    assert {family.name for family in FAMILIES}.isdisjoint(family.name for family in CORE_FAMILIES)
    assert all(len(labels) == len(each.family.labels) for each in host.measures() for labels in each.values)
    assert lint(scraped(host)) == []


def test_connections_queues_and_deliveries_are_counted() -> None:
    async def go() -> None:
        async with host_of() as host, host.connect("v1", "ada") as viewer:
            async with viewer.subscribe("rust") as stream:
                await anext(stream)
                for number in range(3):
                    await host.publish("rust", said(number))
                    await asyncio.sleep(0)
                now = told(host)
                assert (now["host_connections"][()], now["host_streams"][()]) == (1, 1)
                assert now["host_queued_items"][()] == 3
                assert now["host_queued_bytes"][()] > 3
                assert now["host_deliveries"][()] == 1
                assert sum(now["host_catch_ups"].values()) == 1
                await anext(stream)
            now = told(host)
            assert (now["host_streams"][()], now["host_queued_items"][()]) == (0, 0)
            assert now["host_deliveries"][()] == 2, "what a stream has given counts after it has ended"

    run(go)


def test_what_clients_send_is_counted_by_its_outcome() -> None:
    async def go() -> None:
        async with host_of() as host, host.connect("v1", "ada") as viewer:
            await viewer.receive("nonsense")
            assert told(host)["host_frames"] == {("frame", "Malformed"): 1}
            assert lint(scraped(host)) == []

    run(go)


def test_a_slow_client_is_counted() -> None:
    async def go() -> None:
        async with host_of(bounds=HostBounds(max_items=2)) as host, host.connect("v1", "ada") as viewer:
            async with viewer.subscribe("rust") as stream:
                await anext(stream)
                for number in range(9):
                    await host.publish("rust", said(number))
                    await asyncio.sleep(0)
                for _ in range(3):
                    await anext(stream)
            assert told(host)["host_resyncs"] == {("slow",): 1}

    run(go)


def test_a_port_that_does_not_answer_shows() -> None:
    async def go() -> None:
        store = Flaky()
        async with host_of(store) as host:
            assert told(host)["host_answering"] == {("store",): 1.0, ("loader",): 1.0, ("transport",): 1.0}
            store.down = True
            await host.enter("v1", "rust")
            assert told(host)["host_answering"]["store",] == 0.0
            store.down = False
            await asyncio.sleep(3.0)
            assert told(host)["host_answering"]["store",] == 1.0

    run(go)
