"""What drives a manager against the real world: `SyncHost` here, with the means that every driver shares."""

from __future__ import annotations

from roomstate.host.ports import Codec, StoringEffect, perform

__all__ = ["Codec", "StoringEffect", "perform"]
