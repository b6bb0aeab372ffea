"""A manager's events as records of the standard `logging`: one line each, with the room and its position.

Nothing of what users write, and no user's name, is in a record. A room's id and a reason may come from outside: they
are written so that they cannot begin a new line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from roomstate.effects import (
    ConflictOpened,
    ConflictResolved,
    EchoFailed,
    Effect,
    Event,
    Evicted,
    GapClosed,
    GapOpened,
    Misfit,
    Notified,
    Resynced,
    SaveFailed,
    StatusChanged,
    TierChanged,
)
from roomstate.holding.view import Progress
from roomstate.model import Status
from roomstate.position import Gap

__all__ = ["EventLog"]

_Details: TypeAlias = Callable[[Any], str]


class EventLog:
    """Writes events to ``logger`` (by default "roomstate"): give it to a host as ``observe``, or call it with each.

    A record has ``event`` (the type's name), ``room``, ``position`` ("epoch:seq", "" where it is not known) and
    ``detail``. WARNING: what could not be saved or sent, a load that failed, what was lost for good. INFO: gaps,
    resyncs, conflicts. DEBUG: the rest, which is much where rooms change their tiers often. ``progress`` says how far a
    room has come (`RoomStateManager.progress`); without it only a `Resynced` has its position. Effects are not
    written. O(1).

    >>> import logging, sys
    >>> logger = logging.Logger("roomstate")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> EventLog(logger=logger)(SaveFailed("rust", "disk full", 1030.0))
    SaveFailed 'rust': disk full
    """

    __slots__ = ("_logger", "_progress")

    def __init__(
        self, progress: Callable[[str], Progress | None] | None = None, logger: logging.Logger | None = None
    ) -> None:
        self._progress = progress
        self._logger: logging.Logger = logger if logger is not None else logging.getLogger("roomstate")

    def __call__(self, item: Effect | Event) -> None:
        """Write one event."""
        known = _EVENTS.get(type(item))
        if known is not None:
            level = logging.WARNING if _is_loss(item) else known[0]
            if self._logger.isEnabledFor(level):
                self._write(level, item, _line(known[1](item)))

    def _write(self, level: int, item: Effect | Event, detail: str) -> None:
        event, room_id, position = type(item).__name__, item.room_id, self._position(item)
        extra = {"event": event, "room": room_id, "position": position, "detail": detail}
        at = f" at {position}" if position else ""
        self._logger.log(level, "%s %r%s: %s", event, room_id, at, detail, extra=extra)

    def _position(self, item: Any) -> str:
        if isinstance(item, Resynced):
            return f"{item.position.epoch}:{item.position.seq}"
        progress = self._progress(item.room_id) if self._progress is not None else None
        return f"{progress.epoch}:{progress.seq}" if progress is not None else ""


def _is_loss(item: Any) -> bool:
    if isinstance(item, GapClosed):
        return not item.filled
    return isinstance(item, StatusChanged) and item.new is Status.ERROR


def _line(text: str) -> str:
    """Return a text that cannot look like more than one line."""
    return text if text.isprintable() else repr(text)


def _interval(gap: Gap) -> str:
    return f"({gap.after}, {gap.upto}]"


_EVENTS: Final[dict[type[Any], tuple[int, _Details]]] = {
    TierChanged: (logging.DEBUG, lambda event: f"{event.old.name} to {event.new.name}"),
    StatusChanged: (logging.DEBUG, lambda event: " ".join(filter(None, (event.new.name, event.reason)))),
    Notified: (logging.DEBUG, lambda event: event.notification.kind),
    Evicted: (logging.DEBUG, lambda event: f"{event.reason}, {event.size} bytes"),
    Misfit: (logging.DEBUG, lambda event: type(event.update).__name__),
    GapOpened: (logging.INFO, lambda event: _interval(event.gap)),
    GapClosed: (logging.INFO, lambda event: f"{_interval(event.gap)} {'filled' if event.filled else 'lost'}"),
    Resynced: (logging.INFO, lambda event: event.reason),
    ConflictOpened: (logging.INFO, lambda event: f"{event.conflict_id}: {', '.join(event.fields)}"),
    ConflictResolved: (logging.INFO, lambda event: _decisions(event)),
    SaveFailed: (logging.WARNING, lambda event: event.reason),
    EchoFailed: (logging.WARNING, lambda event: event.reason),
}


def _decisions(event: ConflictResolved) -> str:
    return f"{event.conflict_id}: " + ", ".join(f"{each.field} {each.took}" for each in event.decisions)
