"""Prometheus: a collector that reads a manager when it is scraped. Needs the extra ``roomstate[prometheus]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from roomstate.export.families import FAMILIES, measures
from roomstate.metrics import BOUNDS, Family, Histogram, Labels, Measure, Stats

__all__ = ["RoomStateCollector", "Source"]

Source: TypeAlias = Callable[[], Iterable[Measure]]
"""Something else that is measured: a host's queues, connections and deliveries."""

NAMESPACE: Final = "roomstate"
_UNITS: Final = ("bytes", "seconds")
_KINDS: Final[dict[str, type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}
_BOUNDS: Final = (*map(str, BOUNDS), "+Inf")


class RoomStateCollector(Collector):
    """Reads ``stats`` (`RoomStateManager.stats`, or a host's) and ``sources`` at each scrape; keeps nothing itself.

    Register it with a registry of ``prometheus_client``. A manager belongs to one thread, and a scrape reads it:
    call ``generate_latest`` where the manager's verbs are called (a route of the same event loop). A server that
    scrapes from a thread of its own (``start_http_server``) needs a ``stats`` that asks the loop's thread. What a
    source raises fails the scrape. O(rooms).

    >>> from prometheus_client import CollectorRegistry, generate_latest
    >>> from roomstate import RoomStateManager
    >>> rooms = RoomStateManager()
    >>> _ = rooms.enter("ada", "rust")
    >>> registry = CollectorRegistry()
    >>> registry.register(RoomStateCollector(rooms.stats))
    >>> print(generate_latest(registry).decode().splitlines()[2])
    roomstate_rooms{tier="UNLOADED"} 0.0
    """

    def __init__(self, stats: Callable[[], Stats], *sources: Source) -> None:
        self._stats = stats
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Return every family with its samples, as of now."""
        for measure in measures(self._stats()):
            yield _metric(measure)
        for source in self._sources:
            for measure in source():
                yield _metric(measure)

    def describe(self) -> Iterator[Metric]:
        """Return the manager's families without samples: a registry learns their names from them, and asks no more."""
        return (_metric(Measure(family, {})) for family in FAMILIES)


def _metric(measure: Measure) -> Metric:
    """Return a measure as the client's own value. Raises ``ValueError`` for a name that is none."""
    metric = _family(measure.family)
    for labels, value in measure.values.items():
        _add(metric, labels, value)
    return metric


def _family(family: Family) -> Metric:
    name, unit = f"{NAMESPACE}_{family.name}", family.name.rpartition("_")[2]
    kind = _KINDS[family.kind]
    return kind(name, family.help, labels=family.labels, unit=unit if unit in _UNITS else "")


def _add(metric: Metric, labels: Labels, value: float | Histogram) -> None:
    if isinstance(metric, HistogramMetricFamily):
        assert isinstance(value, Histogram)
        metric.add_metric(labels, list(zip(_BOUNDS, accumulate(value.counts), strict=True)), value.sum)
    else:
        assert isinstance(metric, CounterMetricFamily | GaugeMetricFamily)
        assert not isinstance(value, Histogram)
        metric.add_metric(labels, value)
