"""In what order rooms leave: the policy that drives a cache, and the adapter that makes one of a scorer."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from roomstate.residency.entry import Entry, Reason
from roomstate.residency.index import Candidate, HeapIndex, Index, Rank, SampleIndex
from roomstate.residency.rows import Rows


@runtime_checkable
class EvictionPolicy(Protocol):
    """The order in which rooms leave. One policy serves one cache.

    A row is a small integer; ``rows[row]`` is the `Entry` behind it. Pinned rooms are kept out of a policy's
    sight: they are `removed` when pinned and `inserted` when unpinned. ``now`` never decreases.
    `roomstate.testing.contracts_eviction` holds the contract that every policy and scorer keeps.
    """

    refuses: bool
    """True: a newcomer is inserted before room is made for it, and may itself be the victim."""

    def inserted(self, rows: Rows, row: int, now: float) -> None:
        """A room has come in."""

    def accessed(self, rows: Rows, row: int, now: float) -> None:
        """A room was looked at. This is the hot call."""

    def changed(self, rows: Rows, row: int, now: float) -> None:
        """A room's size, priority or hints are others than before; this is no access."""

    def removed(self, rows: Rows, row: int) -> None:
        """A room is leaving, for whatever reason; its `Entry` can still be read."""

    def victims(self, rows: Rows, reason: Reason, now: float) -> Iterator[int]:
        """The rows in the order in which they should leave; the caller stops when it has enough.

        The cache calls `removed` for a row before it asks for the next one. ``reason`` says what is short:
        ROOMS, BYTES or PRESSURE (bytes too).
        """


class Order(enum.StrEnum):
    """What a scorer promises about its scores, and so how a victim is found."""

    FIXED = "fixed"  #: only a touch changes a score; a heap, a victim costs O(log n)
    AGED = "aged"  #: within a `group`, all scores move at one rate; a heap for each group, O(groups + log n)
    LAZY = "lazy"  #: without a touch a score never rises; a heap, the head scored again until it stays
    SAMPLED = "sampled"  #: nothing; the highest of 16 rooms leaves, O(16)


class Scorer(Protocol):
    """How readily a room leaves: the higher its score, the sooner. Any finite number, negative ones too.

    Derive from it and write ``score``; the rest has defaults. A scorer that raises, or gives no finite
    number, breaks nothing: the room is scored by its age, as LRU would, and `ScoredPolicy.faults` counts it.
    One that breaks the promise of its ``order`` gets a worse order, no more.
    """

    order: Order = Order.FIXED

    def score(self, entry: Entry, now: float) -> float:
        """The score at ``now``; AGED ones are asked for a ``now`` before the entry's own times too."""
        raise NotImplementedError

    def group(self, entry: Entry) -> int:
        """For AGED: entries whose scores move at one rate share a group, a number from 0 to 255."""
        return 0

    def evicted(self, score: float) -> None:
        """A room of this score is about to leave to make room."""
        return


class ScoredPolicy:
    """Adapts a `Scorer` to an `EvictionPolicy`. Ties break by last touch (the earlier leaves first), then by
    id.

    Memory: about 200 bytes for each room beside the cache's own. Where rounding in the index may have
    confused an AGED order, the scorer is asked again, so victims are those that a scan of all scores would
    find.

    >>> from roomstate.residency.scorers import LruScorer
    >>> ScoredPolicy(LruScorer()).faults
    0
    """

    refuses = False

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.faults: int = 0  #: how often the scorer raised, or gave no finite number
        self._order = scorer.order
        self._origin: float | None = None  # the instant at which AGED scores are compared
        self._heap = HeapIndex(near=self._order is Order.AGED)
        self._index: Index = SampleIndex() if self._order is Order.SAMPLED else self._heap

    def inserted(self, rows: Rows, row: int, now: float) -> None:
        """Index a room. O(log n); O(1) if it only moved further from leaving."""
        if self._origin is None:
            self._origin = now
        entry = rows[row]
        aged = self._order is Order.AGED
        rank = self._rank(entry, self._origin if aged else now)
        self._index.file(row, rank, self._group(entry) if aged else 0)

    def accessed(self, rows: Rows, row: int, now: float) -> None:
        """The same for a room that is here. O(1) unless it came nearer to leaving."""
        self.inserted(rows, row, now)

    def changed(self, rows: Rows, row: int, now: float) -> None:
        """The same. O(log n)."""
        self.inserted(rows, row, now)

    def removed(self, rows: Rows, row: int) -> None:
        """Forget a room. O(1) amortised."""
        self._index.remove(row)

    def victims(self, rows: Rows, reason: Reason, now: float) -> Iterator[int]:
        """The rows by score, highest first."""
        while candidates := self._index.candidates():
            rank, row = self._choose(rows, candidates, now)
            try:
                self.scorer.evicted(-rank[0])
            except Exception:  # a plug-in's fault must not stop an eviction half-way
                self.faults += 1
            yield row

    def _choose(self, rows: Rows, candidates: list[Candidate], now: float) -> Candidate:
        if self._order is Order.FIXED or (self._order is Order.AGED and len(candidates) == 1):
            return candidates[0]
        if self._order is Order.LAZY:
            return self._settled(rows, candidates[0], now)
        return min((self._rank(rows[row], now), row) for _, row in candidates)

    def _settled(self, rows: Rows, head: Candidate, now: float) -> Candidate:
        """Score the head again until it stays the head."""
        seen = -1
        while head[1] != seen:
            seen = head[1]
            self._heap.file(seen, self._rank(rows[seen], now), 0)
            head = self._heap.head()
        return head

    def _rank(self, entry: Entry, now: float) -> Rank:
        try:
            score = float(self.scorer.score(entry, now))
        except Exception:  # see `Scorer`: a plug-in's fault must not lose a room
            score = math.nan
        if not math.isfinite(score):
            self.faults += 1
            score = now - entry.touched_at if self._order is Order.AGED else 0.0  # a tie, broken by age
        return -score, entry.touched_at, entry.room_id

    def _group(self, entry: Entry) -> int:
        try:
            return int(self.scorer.group(entry)) & 0xFF
        except Exception:  # as above
            self.faults += 1
            return 0
