"""The ids of messages that have left the window, remembered in 8 bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from roomstate.errors import InvalidValue

__all__ = ["MAX_RECENT", "RecentIds"]

MAX_RECENT = 4096
"""Ids remembered beyond the window: DESIGN §5."""


class RecentIds:
    """The last ``max_ids`` ids added, each as its 64-bit hash, in one array: 8 bytes an id, nothing else.

    Built for many additions and few questions: a timeline asks only about a message that is not newer than all it has
    dropped. The hash is Python's own, keyed anew in each process, so that nobody can aim at a collision; two ids meet
    with probability 2**-52 in a full record. It is not written to images: hashes mean nothing to another process.

    >>> recent = RecentIds(max_ids=2)
    >>> recent.update(["a", "b", "c"])
    >>> "a" in recent, "c" in recent, len(recent)
    (False, True, 2)
    """

    __slots__ = ("_hashes", "_next", "max_ids")

    def __init__(self, max_ids: int = MAX_RECENT) -> None:
        if max_ids < 1:
            raise InvalidValue("max_ids", f"must be at least 1, got {max_ids}")
        self.max_ids = max_ids
        self._hashes = array("q")
        self._next = 0

    def update(self, ids: Iterable[str]) -> None:
        """Remember ``ids``, forgetting the oldest beyond ``max_ids``. O(n)."""
        hashes = self._hashes
        for value in map(hash, ids):
            if len(hashes) < self.max_ids:
                hashes.append(value)
            else:
                hashes[self._next] = value
                self._next = (self._next + 1) % self.max_ids

    def __contains__(self, message_id: str) -> bool:
        """Whether ``message_id`` was among the last added. O(max_ids), as one search through bytes."""
        wanted = array("q", (hash(message_id),)).tobytes()
        plain = self._hashes.tobytes()
        at = plain.find(wanted)
        while at % 8 and at >= 0:  # found across two entries: look on
            at = plain.find(wanted, at + 1)
        return at >= 0

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def bytes(self) -> int:
        """What the record holds in memory, in bytes."""
        return 8 * len(self._hashes)

    def check(self) -> None:
        """Assert the invariants; for tests. O(1)."""
        assert len(self._hashes) <= self.max_ids
        assert self._next == 0 or len(self._hashes) == self.max_ids
