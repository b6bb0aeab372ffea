"""What an asynchronous host tells of itself to whoever watches it: its connections, its queues, its ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from roomstate.host.hub import Hub
from roomstate.host.port import Port
from roomstate.metrics import Family, Labels, Measure

__all__ = ["FAMILIES", "measures"]

CONNECTIONS: Final = Family("host_connections", "gauge", "Viewers that are connected.")
STREAMS: Final = Family("host_streams", "gauge", "Streams that bring rooms to viewers.")
ITEMS: Final = Family("host_queued_items", "gauge", "Items that wait for clients to read them.")
BYTES: Final = Family("host_queued_bytes", "gauge", "Bytes that wait for clients to read them.")
DELIVERIES: Final = Family("host_deliveries", "counter", "Envelopes that streams have given.")
EFFECTS: Final = Family("host_effects", "gauge", "Effects that are under way or wait at a port.", ("port",))
ANSWERING: Final = Family("host_answering", "gauge", "Whether a port answers: 1, or 0 while it is tried.", ("port",))

_COUNTED: Final = {
    ("frame", 3): Family("host_frames", "counter", "What clients have sent, and how it went.", ("kind", "outcome")),
    ("resync", 2): Family("host_resyncs", "counter", "Rooms brought up again, by why they fell behind.", ("reason",)),
    ("catch_up", 2): Family("host_catch_ups", "counter", "Rooms brought up, by kind of envelope.", ("envelope",)),
    ("renewal", 2): Family("host_renewals", "counter", "Interests that could not be renewed.", ("outcome",)),
}

FAMILIES: Final = (CONNECTIONS, STREAMS, ITEMS, BYTES, DELIVERIES, EFFECTS, ANSWERING, *_COUNTED.values())
"""Every family that `measures` tells of, in its order."""


def measures(ports: Iterable[Port[Any]], hub: Hub) -> Iterator[Measure]:
    """Tell what a host holds and has done, each family once. O(streams)."""
    ports = tuple(ports)
    streams = [stream for connection in hub.connections for stream in connection.streams]
    yield Measure(CONNECTIONS, {(): len(hub.connections)})
    yield Measure(STREAMS, {(): len(streams)})
    yield Measure(ITEMS, {(): sum(len(stream.queue) for stream in streams)})
    yield Measure(BYTES, {(): sum(stream.queue.bytes for stream in streams)})
    yield Measure(DELIVERIES, {(): hub.given + sum(stream.given for stream in streams)})
    yield Measure(EFFECTS, {(port.name,): len(port) for port in ports})
    yield Measure(ANSWERING, {(port.name,): float(not port.down) for port in ports})
    for (word, length), family in _COUNTED.items():
        yield Measure(family, _having(hub.counts, word, length))


def _having(counts: Mapping[Labels, int], word: str, length: int) -> dict[Labels, float]:
    return {labels[1:]: count for labels, count in counts.items() if labels[0] == word and len(labels) == length}
