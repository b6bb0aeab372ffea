"""What a store refuses before it touches anything: every check raises `InvalidValue`."""

from __future__ import annotations

from typing import Final

from roomstate.effects import Head
from roomstate.errors import InvalidValue
from roomstate.model import Tier, check_id
from roomstate.position import MAX_SEQ

__all__ = ["MAX_DATA", "SNAPSHOT_TIERS", "check_data", "check_range", "check_read", "check_snapshot"]

SNAPSHOT_TIERS: Final = (Tier.ACTIVE, Tier.BACKGROUND)
"""A room has at most one snapshot for each: a deep one (1000 messages) and a brief one (50)."""

MAX_DATA: Final = 256 << 20
"""Bytes in one snapshot or dictionary: a quarter of what SQLite takes in one value."""


def check_range(where: str, value: object, least: int = 0) -> None:
    """Raise unless ``value`` is an int in ``[least, MAX_SEQ]``."""
    if not isinstance(value, int) or not least <= value <= MAX_SEQ:
        raise InvalidValue(where, f"must be an int from {least} to {MAX_SEQ}, got {value!r}")


def check_data(data: object) -> None:
    """Raise unless ``data`` is bytes, some but not too many."""
    if not isinstance(data, bytes) or not 0 < len(data) <= MAX_DATA:
        raise InvalidValue("data", f"must be 1 to {MAX_DATA} bytes")


def check_snapshot(room_id: str, tier: Tier, head: Head, data: bytes) -> None:
    """Raise unless ``data`` may be kept as a room's snapshot, taken at ``head``."""
    check_id("room_id", room_id)
    if tier not in SNAPSHOT_TIERS:
        raise InvalidValue("tier", f"must be ACTIVE or BACKGROUND, got {tier!r}")
    check_id("head.epoch", head.position.epoch)
    check_range("head.seq", head.position.seq)
    check_range("head.ordinal", head.ordinal)
    check_data(data)


def check_read(room_id: str, after: int, upto: int | None, limit: int) -> None:
    """Raise unless these can be asked of a log."""
    check_id("room_id", room_id)
    check_range("after", after)
    check_range("upto", 0 if upto is None else upto)
    check_range("limit", limit)
