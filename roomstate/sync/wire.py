"""The outermost shape of an envelope in JSON: what all four types have beside ``data``, and which is which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, Struct

from roomstate.model import Id, Seq, Time
from roomstate.sync.payloads import BulkSync, DeltaUpdate, Heartbeat, Payload, StateUpdate

__all__ = ["WIRES", "AnyWire", "Sync"]


class _Wire(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="message_type"):
    """What all four types have beside ``data``."""

    room_id: Id
    timestamp: Time
    sequence_number: Seq
    data: Payload
    epoch: Annotated[str, Meta(max_length=64)] = ""
    previous: Seq | None = None
    withheld: bool = False
    fingerprint: Annotated[str, Meta(max_length=64)] = ""
    ordinal: Seq | None = None
    answers: Seq | None = None


class StateUpdateEnvelope(_Wire, frozen=True, tag="STATE_UPDATE"):
    """A room's state is now this."""

    data: StateUpdate


class BulkSyncEnvelope(_Wire, frozen=True, tag="BULK_SYNC"):
    """A room is this."""

    data: BulkSync


class DeltaUpdateEnvelope(_Wire, frozen=True, tag="DELTA_UPDATE"):
    """This has happened in a room."""

    data: DeltaUpdate


class HeartbeatEnvelope(_Wire, frozen=True, tag="HEARTBEAT"):
    """A room's log ends here."""

    data: Heartbeat


AnyWire: TypeAlias = StateUpdateEnvelope | BulkSyncEnvelope | DeltaUpdateEnvelope | HeartbeatEnvelope


class Sync(Struct, frozen=True):
    """The outermost object: one field."""

    room_state_sync: AnyWire


WIRES: Final[Mapping[type[Any], type[Any]]] = {
    StateUpdate: StateUpdateEnvelope,
    BulkSync: BulkSyncEnvelope,
    DeltaUpdate: DeltaUpdateEnvelope,
    Heartbeat: HeartbeatEnvelope,
}
"""The outer shape of each payload."""
