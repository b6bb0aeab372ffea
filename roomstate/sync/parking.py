"""Updates about messages that have not arrived: they wait here for a while, bounded, and are taken when they can be.

A source that promises no order gives an edit before its message; a gap that is filled later brings the message of a
reaction that has been here for minutes. Removals need no place here: a tombstone in the timeline keeps the message from
ever coming, and whoever lays one claims, and drops, what was parked for it. Receipts wait with the read markers.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, TypeAlias

from roomstate.errors import InvalidValue
from roomstate.model import check_bound
from roomstate.room.weight import json_bytes, text_bytes
from roomstate.updates import MessageEdited, ReactionAdded, ReactionRemoved

__all__ = ["MAX_AGE_S", "MAX_BYTES", "MAX_UPDATES", "Parkable", "Parking"]

MAX_UPDATES: Final = 1000
"""Updates that wait in one room: as many as an ACTIVE room's messages (DESIGN §9)."""

MAX_BYTES: Final = 1 << 20
"""Bytes of them, by estimate: as much as a feed keeps."""

MAX_AGE_S: Final = 300.0
"""Seconds for which an update waits: as long as an unattended viewer keeps a room ACTIVE (DESIGN §4)."""

_PER_UPDATE = 500  # bytes of an update with its places here, beyond its texts

Parkable: TypeAlias = MessageEdited | ReactionAdded | ReactionRemoved


class Parking:
    """What waits in one room, by the id of the message it is about: bounded by count, bytes and age.

    ``claimed``, ``expired`` and ``refused`` count the updates that found their message, that did not in time, and for
    which there was no room: every update parked waits or is in one of the first two. Times are seconds, and are not to
    go back. Raises ``InvalidValue`` for bounds that are not above 0.

    >>> parking = Parking()
    >>> parking.park(MessageEdited("m1", "as it should read"), now=0.0)
    True
    >>> [update.content for update in parking.claim("m1")], parking.claim("m1"), len(parking)
    (['as it should read'], (), 0)
    """

    __slots__ = (
        "_bytes",
        "_number",
        "_parked",
        "_targets",
        "claimed",
        "expired",
        "max_age_s",
        "max_bytes",
        "max_updates",
        "refused",
    )

    def __init__(
        self, max_updates: int = MAX_UPDATES, max_bytes: int = MAX_BYTES, max_age_s: float = MAX_AGE_S
    ) -> None:
        check_bound("max_updates", max_updates)
        check_bound("max_bytes", max_bytes)
        if not 0 < max_age_s < float("inf"):
            raise InvalidValue("max_age_s", f"must be a finite number above 0, got {max_age_s!r}")
        self.max_updates: int = max_updates
        self.max_bytes: int = max_bytes
        self.max_age_s: float = max_age_s
        self.claimed: int = 0
        self.expired: int = 0
        self.refused: int = 0
        self._number = 0
        self._parked: OrderedDict[int, tuple[float, Parkable]] = OrderedDict()  # in the order in which they came
        self._targets: dict[str, deque[int]] = {}  # the numbers of what waits for each message, ascending
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._parked)

    def __contains__(self, message_id: str) -> bool:
        """Whether something waits for this message. O(1)."""
        return message_id in self._targets

    @property
    def bytes(self) -> int:
        """What the updates hold in memory, in bytes, by estimate. O(1)."""
        return self._bytes

    @property
    def deadline(self) -> float | None:
        """When `expire` will next have something to do; None while nothing waits. O(1)."""
        for since, _ in self._parked.values():
            return since + self.max_age_s
        return None

    def park(self, update: Parkable, now: float) -> bool:
        """Keep ``update`` until its message comes; False where there is no room for it, which is counted. O(its size).

        What is too old is dropped first; who wants to know of it calls `expire` before. The caller has made sure that
        the update is sound, and its message not known.
        """
        self.expire(now)
        size = _size(update)
        if len(self._parked) >= self.max_updates or self._bytes + size > self.max_bytes:
            self.refused += 1
            return False
        self._number += 1
        self._parked[self._number] = (now, update)
        self._targets.setdefault(update.message_id, deque()).append(self._number)
        self._bytes += size
        return True

    def claim(self, message_id: str) -> tuple[Parkable, ...]:
        """Give out what waits for a message, in the order in which it came; the caller applies it. O(returned)."""
        numbers = self._targets.pop(message_id, ())
        updates = tuple(self._parked.pop(number)[1] for number in numbers)
        self._bytes -= sum(map(_size, updates))
        self.claimed += len(updates)
        return updates

    def expire(self, now: float) -> tuple[Parkable, ...]:
        """Drop what has waited for ``max_age_s`` or more, and return it, oldest first. O(dropped)."""
        dropped = []
        while (deadline := self.deadline) is not None and deadline <= now:
            number, (_, update) = self._parked.popitem(last=False)
            numbers = self._targets[update.message_id]
            numbers.remove(number)  # the first of its target too: it came first
            if not numbers:
                del self._targets[update.message_id]
            self._bytes -= _size(update)
            self.expired += 1
            dropped.append(update)
        return tuple(dropped)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._parked) <= self.max_updates
        assert self._bytes == sum(_size(update) for _, update in self._parked.values()) <= self.max_bytes
        assert sorted(number for numbers in self._targets.values() for number in numbers) == list(self._parked)
        for target, numbers in self._targets.items():
            assert numbers
            assert list(numbers) == sorted(numbers)
            assert all(self._parked[number][1].message_id == target for number in numbers)
        since = [time for time, _ in self._parked.values()]
        assert since == sorted(since)


def _size(update: Parkable) -> int:
    size = _PER_UPDATE + text_bytes(update.message_id)
    if isinstance(update, MessageEdited):
        return size + text_bytes(update.content) + json_bytes(update.extra)
    return size + text_bytes(update.user)
