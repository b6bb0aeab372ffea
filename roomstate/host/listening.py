"""Who listens at a hub, as far as the hub has to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from roomstate.sync.subscribers import Subscriber

__all__ = ["Listener", "Member"]


class Listener(Protocol):
    """What hears of rooms: a `Stream`."""

    viewer: str
    user: str
    queue: Subscriber
    given: int

    def wake(self) -> None:
        """Look again: there may be something in the queue."""
        ...

    def look(self, room_id: str) -> None:
        """See whether a room can be brought up now."""
        ...

    def beat(self, room_id: str) -> None:
        """Take note of a heartbeat of a room."""
        ...


class Member(Protocol):
    """Who is connected: a `Connection`."""

    viewer: str
    user: str

    @property
    def streams(self) -> Sequence[Listener]:
        """The streams that are open."""
        ...

    def close(self) -> None:
        """End every stream, and every interest."""
        ...
