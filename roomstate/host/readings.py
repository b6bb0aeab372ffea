"""What every driver of a manager passes on: the manager's readings."""

from __future__ import annotations

from roomstate.holding.view import RoomView
from roomstate.manager import RoomStateManager
from roomstate.metrics import Stats
from roomstate.model import Status, Tier, Unread
from roomstate.position import Gap

__all__ = ["Readings"]


class Readings:
    """The readings of a host's ``manager``, under the same names."""

    manager: RoomStateManager

    def next_deadline(self) -> float | None:
        """See `RoomStateManager.next_deadline`."""
        return self.manager.next_deadline()

    def view(self, room_id: str) -> RoomView:
        """See `RoomStateManager.view`."""
        return self.manager.view(room_id)

    def tier(self, room_id: str) -> Tier:
        """See `RoomStateManager.tier`."""
        return self.manager.tier(room_id)

    def status(self, room_id: str) -> Status:
        """See `RoomStateManager.status`."""
        return self.manager.status(room_id)

    def gaps(self, room_id: str) -> tuple[Gap, ...]:
        """See `RoomStateManager.gaps`."""
        return self.manager.gaps(room_id)

    def unread(self, user: str, room_id: str) -> Unread:
        """See `RoomStateManager.unread`."""
        return self.manager.unread(user, room_id)

    def known(self) -> tuple[str, ...]:
        """See `RoomStateManager.known`."""
        return self.manager.known()

    def stats(self) -> Stats:
        """See `RoomStateManager.stats`."""
        return self.manager.stats()
