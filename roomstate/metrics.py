"""What a manager has done and what it holds, as plain values."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from roomstate.model import Tier
from roomstate.residency.cache import CacheStats

__all__ = ["Stats"]


class Stats(Struct, frozen=True):
    """One reading of a manager.

    ``rooms`` and ``bytes`` are by tier; at UNLOADED are rooms that only wait for their log, and what was read of rooms
    at rest. ``undurable_bytes`` wait for the log. ``counts`` are since the manager was made, by labels:
    ``("transition", from, to)``, ``("update", kind, outcome)``, ``("lookup", "hit" | "miss", frequency)``,
    ``("eviction", reason)``, ``("signal", name)``, ``("failed", request)``, ``("receipt", "dropped")``,
    ``("rule", "failed", error)``.
    """

    rooms: Mapping[Tier, int]
    bytes: Mapping[Tier, int]
    viewers: int
    undurable_bytes: int
    requests: int
    counts: Mapping[tuple[str, ...], int]
    cache: CacheStats

    @property
    def hit_ratio(self) -> float:
        """The share of promotions that found their room in memory; 0.0 before the first. O(counts)."""
        hits = self.count("lookup", "hit")
        return hits / max(1, hits + self.count("lookup", "miss"))

    def count(self, *labels: str) -> int:
        """Return the sum of the counts whose first labels are these. O(counts)."""
        return sum(value for key, value in self.counts.items() if key[: len(labels)] == labels)
