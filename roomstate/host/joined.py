"""New messages of a room that are told together: one envelope for what comes in one turn of the event loop."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw, Struct

from roomstate.sync.envelope import Envelope, of_data, written
from roomstate.sync.feed import fingerprint
from roomstate.sync.payloads import AddedMessage, DeltaUpdate
from roomstate.sync.subscribers import SLOT
from roomstate.updates import MessageAdded

__all__ = ["MAX_JOINED", "Joined"]

MAX_JOINED: Final = SLOT // 4 * 3
"""Bytes of messages that are told together: with what an envelope has besides, they count as one item of a queue."""


class Joined(Struct):
    """Messages on the positions of ``(after, upto]`` of the log ``epoch``, as JSON, in order. `join` puts them in."""

    epoch: str
    after: int
    upto: int = 0
    items: list[Raw] = []
    size: int = 0
    newest: MessageAdded | None = None
    ordinal: int | None = None

    def join(self, update: MessageAdded, seq: int, ordinal: int | None) -> bool:
        """Take in the message at ``seq``; False where it does not adjoin, or would be too much. O(size).

        The first is always taken. Raises ``InvalidValue`` for one that cannot be written: nothing has changed then.
        """
        item = written("message", AddedMessage.of(update.message))
        if self.items and (self.after + len(self.items) + 1 != seq or self.size + len(item) > MAX_JOINED):
            return False
        self.items.append(Raw(item))
        self.size += len(item)
        self.upto, self.newest, self.ordinal = seq, update, ordinal
        return True

    def envelope(self, room_id: str, now: float) -> Envelope:
        """Return what tells of them: for `encode` alone, for it holds JSON in the place of messages. O(messages)."""
        data: Any = {"added_messages": tuple(self.items)}
        mark = fingerprint(self.newest) if self.newest is not None else ""
        return of_data(
            room_id, self.epoch, self.after, self.upto, DeltaUpdate(**data), now, fingerprint=mark, ordinal=self.ordinal
        )
