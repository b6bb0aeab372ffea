"""What a replay has to say: one value, as a JSON object or as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from roomstate.cli.proof import Verdict
from roomstate.cli.readback import READINGS
from roomstate.cli.tally import Tally
from roomstate.cli.terminal import Terminal
from roomstate.cli.watch import Visits, Watch, quantile
from roomstate.model import Tier

__all__ = ["Report"]

_TIER_HEAD = ("tier", "room-hours", "share", "rooms", "at most", "bytes", "at most", "of raw")
_VERDICT = tuple(field.name for field in attrs.fields(Verdict))


@attrs.frozen(kw_only=True)
class Report:
    """A replay that is over.

    ``log_s`` is how long it lasted by the log's clock, ``play_s`` and ``proof_s`` by ours, in seconds; ``play_cpu_s``
    is what the process computed meanwhile. ``grown_bytes`` is by how much the peak of memory rose while it played.
    """

    messages: int
    rooms: int
    viewers: int
    log_s: float
    play_s: float
    play_cpu_s: float
    proof_s: float
    raw_bytes: int
    store_bytes: int
    peak_bytes: int | None
    grown_bytes: int | None
    cached_rooms: int
    synchronous: str
    room_s: Mapping[Tier, float]
    watch: Watch
    tally: Tally
    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Every message is in memory, in the store or in a declared gap: so says every reading."""
        return all(verdict.holds for verdict in self.verdicts)

    @property
    def worst(self) -> Verdict:
        """Of each count the highest of any reading (of ``found``, the lowest)."""
        rows = [attrs.astuple(verdict) for verdict in self.verdicts]
        worst = dict(zip(_VERDICT, map(max, zip(*rows, strict=True)), strict=True))
        return Verdict(**{**worst, "found": min(verdict.found for verdict in self.verdicts)})

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; times in seconds, sizes in bytes."""
        worst, visits = self.worst, self.watch.all_visits
        return {
            "messages": self.messages,
            "rooms": self.rooms,
            "viewers": self.viewers,
            **{name: getattr(worst, name) for name in _VERDICT if name != "fed"},
            "holds": self.holds,
            "proof": {name: attrs.asdict(verdict) for name, verdict in zip(READINGS, self.verdicts, strict=True)},
            "hit_ratio": round(visits.ratio, 6),
            "visits": {name: _visits(seen) for name, seen in self._by_frequency()},
            "tiers": {tier.name.lower(): self._tier(tier) for tier in reversed(Tier)},
            "transitions": self._transitions(),
            "raw_bytes": self.raw_bytes,
            "store_bytes": self.store_bytes,
            "peak_memory_bytes": self.peak_bytes,
            "memory_growth_bytes": self.grown_bytes,
            **{name: self.watch.counts[name] for name in ("deliveries", "recipients", "notified", "save_failed")},
            "skipped_lines": self.tally.skipped,
            "damaged_lines": self.tally.damaged,
            "cached_rooms": self.cached_rooms,
            "synchronous": self.synchronous,
            "log_s": round(self.log_s, 3),
            "play_s": round(self.play_s, 3),
            "play_cpu_s": round(self.play_cpu_s, 3),
            "proof_s": round(self.proof_s, 3),
        }

    def _by_frequency(self) -> Sequence[tuple[str, Visits]]:
        return [
            *((frequency.value, seen) for frequency, seen in self.watch.visits.items()),
            ("all", self.watch.all_visits),
        ]

    def _tier(self, tier: Tier) -> dict[str, Any]:
        total = sum(self.room_s.values())
        result: dict[str, Any] = {
            "room_s": round(self.room_s[tier], 3),
            "share": round(self.room_s[tier] / total, 6) if total else 0.0,
        }
        level = self.watch.levels.get(tier)
        if level is not None:
            result |= {
                "mean_rooms": round(level.mean_rooms, 1),
                "max_rooms": level.max_rooms,
                "mean_bytes": round(level.mean_bytes),
                "max_bytes": level.max_bytes,
            }
        return result

    def _transitions(self) -> dict[str, dict[str, Any]]:
        return {
            f"{old.name.lower()}-{new.name.lower()}": {
                "count": len(took),
                "p50_ms": round(quantile(took, 0.5) * 1e3, 4),
                "p99_ms": round(quantile(took, 0.99) * 1e3, 4),
            }
            for (old, new), took in sorted(self.watch.transitions.items())
        }

    # -- as tables ---------------------------------------------------------------------------------------------------

    def show(self, terminal: Terminal) -> None:
        """Print the tables, and the proof below them."""
        terminal.table("Replay", ("", ""), self._summary())
        terminal.table("Tiers", _TIER_HEAD, [self._tier_row(tier) for tier in reversed(Tier)])
        terminal.table("Transitions", ("from - to", "count", "p50 ms", "p99 ms"), self._transition_rows())
        terminal.table("Visits", ("frequency", "visits", "hits", "ratio", "first ever"), self._visit_rows())
        terminal.table("Proof", ("read back from", *(name.replace("_", " ") for name in _VERDICT)), self._proof_rows())
        print(self.proof_line(), file=terminal.out)

    def _tier_row(self, tier: Tier) -> Sequence[str]:
        row = self._tier(tier)
        cells = [tier.name, f"{row['room_s'] / 3600:,.1f}", f"{row['share']:.2%}"]
        if tier not in self.watch.levels:
            return [*cells, *[""] * (len(_TIER_HEAD) - len(cells))]
        share = row["mean_bytes"] / self.raw_bytes if self.raw_bytes else 0.0
        rooms = [f"{row['mean_rooms']:,.1f}", f"{row['max_rooms']:,}"]
        return [*cells, *rooms, _kb(row["mean_bytes"]), _kb(row["max_bytes"]), f"{share:.2%}"]

    def _transition_rows(self) -> Sequence[Sequence[str]]:
        return [
            (name, f"{row['count']:,}", f"{row['p50_ms']:.3f}", f"{row['p99_ms']:.3f}")
            for name, row in self._transitions().items()
        ]

    def _visit_rows(self) -> Sequence[Sequence[str]]:
        return [
            (name, f"{seen.visits:,}", f"{seen.hits:,}", f"{seen.ratio:.2%}", f"{seen.first:,}")
            for name, seen in self._by_frequency()
        ]

    def _proof_rows(self) -> Sequence[Sequence[str]]:
        return [
            (name, *(f"{count:,}" for count in attrs.astuple(verdict)))
            for name, verdict in zip(READINGS, self.verdicts, strict=True)
        ]

    def proof_line(self) -> str:
        """The proof in one line."""
        worst = self.worst
        claim = "every message is in memory, in the store or in a declared gap"
        counts = f"lost {worst.lost}, duplicated {worst.duplicated}, out of order {worst.out_of_order}"
        strange = f", strange {worst.strange}" if worst.strange else ""
        return f"{'Proven' if self.holds else 'DISPROVEN'}: {claim}: {counts}{strange}"

    def _summary(self) -> Sequence[tuple[str, str]]:
        counts = self.watch.counts
        memory = "not measured here"
        if self.peak_bytes is not None and self.grown_bytes is not None:
            memory = f"{_mb(self.peak_bytes)}, {_mb(self.grown_bytes)} above the start"
        rows = [
            ("messages", f"{self.messages:,}"),
            ("rooms", f"{self.rooms:,}"),
            ("viewers", f"{self.viewers:,}"),
            ("log's own time", f"{self.log_s / 86400:,.1f} days"),
            ("played in", f"{self.play_s:.1f} s ({self.play_cpu_s:.1f} s of CPU)"),
            ("read back in", f"{self.proof_s:.1f} s"),
            ("delivered", f"{counts['deliveries']:,} to {counts['recipients']:,} viewers"),
            ("notifications", f"{counts['notified']:,}"),
            ("raw log", _mb(self.raw_bytes)),
            ("store", f"{_mb(self.store_bytes)}, synchronous={self.synchronous}"),
            ("peak memory", memory),
            ("hit ratio", f"{self.watch.all_visits.ratio:.2%}"),
        ]
        for name, count in (("failed saves", counts["save_failed"]), ("damaged lines", self.tally.damaged)):
            if count:
                rows.append((name, f"{count:,}"))
        return rows


def _visits(seen: Visits) -> dict[str, float]:
    return {"visits": seen.visits, "hits": seen.hits, "first": seen.first, "hit_ratio": round(seen.ratio, 6)}


def _kb(size: float) -> str:
    return f"{size / 1e3:,.0f} kB"


def _mb(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
