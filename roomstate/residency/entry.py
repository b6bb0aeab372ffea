"""What the cache says about one room: the facts a scorer sees, and the eviction that a host is told of."""

from __future__ import annotations

import enum

import msgspec


class Reason(enum.StrEnum):
    """Why a room left the cache."""

    ROOMS = "rooms"  #: more than ``max_rooms``
    BYTES = "bytes"  #: more than ``max_bytes``
    EXPIRED = "expired"  #: its time-to-live ran out
    PRESSURE = "pressure"  #: ``shrink`` was called
    REFUSED = "refused"  #: the newcomer itself: too large, no place beside the pinned, or worth the least

    __hash__ = str.__hash__  # the counters are keyed by it: Enum's own is a Python call


class Eviction(msgspec.Struct, frozen=True, gc=False):
    """One room that had to go. ``packed`` is handed back so that a host may still store it.

    ``size`` is ``len(packed)`` in bytes.
    """

    room_id: str
    reason: Reason
    size: int
    packed: bytes


class Entry(msgspec.Struct, gc=False):
    """The facts about one cached room, as they are now. A value: changing it changes nothing in the cache.

    ``size`` is in bytes, ``stored_at`` and ``accessed_at`` in seconds of the caller's clock (``accessed_at``
    is None for a room never accessed), ``accesses`` counts all accesses that are remembered (those before an
    eviction too, as long as the ghost record holds them), ``priority`` runs from 0 to 10. ``messages``,
    ``mentions`` and ``likelihood`` are the hints since the last access.
    """

    room_id: str
    size: int
    stored_at: float
    accessed_at: float | None = None
    accesses: int = 0
    priority: int = 0
    messages: int = 0
    mentions: int = 0
    likelihood: float = 0.0

    @property
    def touched_at(self) -> float:
        """The last access or storing, whichever came later; what ties are broken by."""
        return self.stored_at if self.accessed_at is None else max(self.stored_at, self.accessed_at)
