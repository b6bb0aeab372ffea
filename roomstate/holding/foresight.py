"""What a manager tells its warmer, and which of the loads that it planned are under way.

A warmer and its predictor may be the host's own: whatever they raise is counted, and disturbs nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Final, TypeVar

from roomstate.metrics import Labels
from roomstate.model import Notification
from roomstate.residency.warming import Warmer, Warming

__all__ = ["Foresight"]

T = TypeVar("T")
_CALLS: Final = frozenset(("mention", "reply"))  # notifications after which their user is likely to come


class Foresight:
    """Stands between a house and its warmer. ``loads`` has the request of each room that is being warmed, and
    the chance for which it is.

    Users are told of, not their connections: what they are used to outlives a connection.
    """

    __slots__ = ("_count", "_warmer", "loads")

    def __init__(self, warmer: Warmer, count: Callable[[Labels], None]) -> None:
        self._warmer = warmer
        self._count = count
        self.loads: dict[str, tuple[int, float]] = {}

    def visited(self, user: str, room_id: str, now: float) -> None:
        """``user`` looks at a room, or did something there again."""
        self._try(self._warmer.predictor.visited, user, room_id, now)

    def posted(self, room_id: str, user: str, now: float) -> None:
        """``user`` added a message."""
        self._try(self._warmer.predictor.activity, room_id, user, "message", now)

    def notified(self, note: Notification, now: float) -> None:
        """A user was told of a message."""
        if note.kind in _CALLS:
            self._try(self._warmer.predictor.activity, note.room_id, note.user, "mention", now)

    def turned(self, room_id: str) -> None:
        """Somebody wants a room, which may have been warmed."""
        self._try(self._warmer.turned, room_id)

    def plan(self, user: str, now: float, held: Container[str]) -> tuple[Warming, ...]:
        """What to load for ``user``; nothing where the warmer or its predictor fails."""
        return self._try(self._warmer.plan, user, now, held) or ()

    def dropped(self, room_id: str) -> None:
        """A room left the cache."""
        self._try(self._warmer.dropped, room_id)

    def failed(self, room_id: str) -> None:
        """A room could not be warmed."""
        self.loads.pop(room_id, None)
        self._try(self._warmer.failed, room_id)

    def overtaken(self, room_id: str) -> int:
        """A room is held from now on: what is being loaded of it may be out of date when it comes.

        Return the request that means nothing any more; 0 for none.
        """
        request_id, _ = self.loads.pop(room_id, (0, 0.0))
        if request_id:
            self._try(self._warmer.late, room_id)
        return request_id

    def requests(self) -> dict[int, str]:
        """The rooms that are being loaded, by request."""
        return {request_id: room_id for room_id, (request_id, _) in self.loads.items()}

    def counts(self) -> dict[Labels, int]:
        """What became of the loads."""
        stats = self._warmer.stats()
        found = {"planned": stats.planned, "used": stats.used, "wasted": stats.wasted, "failed": stats.failed}
        return {("warm", outcome): count for outcome, count in found.items() if count}

    def _try(self, tell: Callable[..., T], *args: Any) -> T | None:
        try:
            return tell(*args)
        except Exception as error:
            self._count(("predictor", "failed", type(error).__name__))
            return None
