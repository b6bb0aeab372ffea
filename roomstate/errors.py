"""Every error that roomstate raises on purpose.

The tree is the contract: catch the branch that says whose fault it was.

::

    RoomStateError                  anything below; carries ``where`` and ``reason``
    ├── UsageError                  the calling program's mistake; nothing has changed
    │   ├── InvalidValue            an argument is out of its stated range (also a ValueError)
    │   ├── UnknownRoom             the named room is not known here (also a KeyError)
    │   ├── UnknownViewer           the named viewer holds no interest here (also a KeyError)
    │   └── IllegalTransition       a transition table forbids this signal in this state
    ├── CapacityError               a bound is reached; nothing has changed, try again later
    │   ├── RoomBusy                one room's queue of waiting updates is full
    │   ├── OverBudget              more bytes than allowed are not yet durable
    │   ├── TooManyRooms            one viewer, or the whole manager, holds as many rooms as it may
    │   └── RateLimited             one viewer moves between rooms faster than allowed
    ├── ProtocolError               a peer sent nonsense; its room is unchanged
    │   ├── Oversized               more bytes, items or nesting than the wire format allows
    │   ├── Malformed               not an envelope, or a field that breaks the schema
    │   └── NotAllowed              its host does not let it do that
    ├── ConflictError               a conflict cannot be opened or resolved as asked
    └── StorageError                what is at rest cannot be read or written
        ├── SnapshotError           bytes that should be a snapshot
        │   ├── DamagedSnapshot     truncated, altered, of another room, or over its stated size
        │   ├── NewerSnapshot       written by a later version of roomstate
        │   └── UnknownDictionary   names a compression dictionary that is not at hand
        ├── StoreUnavailable        the store did not answer; try again later
        │   ├── StoreBusy           another process holds the store's lock
        │   ├── StoreFull           no space is left
        │   └── StoreReadOnly       the store may be read but not written
        ├── DamagedStore            the store's file, or one room in it, fails its integrity check
        ├── NewerStore              the store's schema is later than this version knows
        └── DamagedLog              a chat log's line cannot be read (path and line number given)
"""

from __future__ import annotations


class RoomStateError(Exception):
    """The root of the tree.

    ``where`` names the place (an argument, a field path, a file and line, a room), ``reason`` says what is
    wrong with it; ``str(error)`` is ``"where: reason"``.

    >>> str(InvalidValue("max_rooms", "must be at least 1, got 0"))
    'max_rooms: must be at least 1, got 0'
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return isinstance(self, CapacityError | StoreUnavailable)

    def to_envelope(self) -> dict[str, dict[str, object]]:
        """Return what tells a peer of it, ready for ``json.dumps``. `sync.frames.ErrorFrame` reads it.

        >>> RateLimited("viewer 'ada'", "moves too often").to_envelope()["room_state_error"]["retryable"]
        True
        """
        told = {"code": type(self).__name__, "where": self.where, "reason": self.reason, "retryable": self.retryable}
        return {"room_state_error": told}


class UsageError(RoomStateError):
    """The calling program broke a documented rule. The call has changed nothing."""


class InvalidValue(UsageError, ValueError):
    """An argument is out of its stated range or of the wrong form."""


class UnknownRoom(UsageError, KeyError):
    """The named room is not known here; ``enter`` or ``publish`` makes it known."""

    def __str__(self) -> str:  # KeyError would print the repr of its arguments
        return RoomStateError.__str__(self)


class UnknownViewer(UsageError, KeyError):
    """The named viewer holds no interest here; ``enter`` or ``follow`` makes it known."""

    def __str__(self) -> str:
        return RoomStateError.__str__(self)


class IllegalTransition(UsageError):
    """A transition table forbids this signal in this state; the reason is the table's own."""


class CapacityError(RoomStateError):
    """A stated bound is reached. The call has changed nothing; the same call may succeed later."""


class RoomBusy(CapacityError):
    """A room's bounded queue of waiting updates is full; complete its outstanding effects first."""


class OverBudget(CapacityError):
    """More than ``max_undurable_bytes`` wait for the store; complete the outstanding appends first."""


class TooManyRooms(CapacityError):
    """One viewer, or the whole manager, already holds as many rooms as its bound allows."""


class RateLimited(CapacityError):
    """One viewer changes its interests faster than its rate bound; others are not affected."""


class ProtocolError(RoomStateError):
    """A peer sent something that the wire format does not allow. The room is as before."""


class Oversized(ProtocolError):
    """The input has more bytes, items or nesting levels than the wire format allows."""


class Malformed(ProtocolError):
    """The input is not an envelope, or a field breaks the schema; ``where`` is the field's path."""


class NotAllowed(ProtocolError):
    """The host does not let this peer do that, or not in this room."""


class ConflictError(RoomStateError):
    """A conflict cannot be opened, or cannot be resolved as asked; it stays as it was."""


class StorageError(RoomStateError):
    """Something at rest cannot be read or written. What is in memory is as before."""


class SnapshotError(StorageError):
    """Bytes that should be a snapshot are not one that can be used."""


class DamagedSnapshot(SnapshotError):
    """The bytes are truncated, altered, of another room, or larger than their stated size."""


class NewerSnapshot(SnapshotError):
    """The bytes were written by a later version of roomstate; upgrade to read them."""


class UnknownDictionary(SnapshotError):
    """The bytes name a compression dictionary that is not at hand."""


class StoreUnavailable(StorageError):
    """The store did not answer, or refused. Nothing was written; try again later."""


class StoreBusy(StoreUnavailable):
    """Another process holds the store's lock."""


class StoreFull(StoreUnavailable):
    """No space is left where the store lies."""


class StoreReadOnly(StoreUnavailable):
    """The store may be read but not written."""


class DamagedStore(StorageError):
    """The store's file, or one room in it, fails its integrity check; other rooms still open."""


class NewerStore(StorageError):
    """The store's schema is later than this version knows; upgrade to open it."""


class DamagedLog(StorageError):
    """A line of a chat log cannot be read; ``where`` is ``path:line``."""
