"""What drives a manager against the real world: `SyncHost` here, with the means that every driver shares."""

from __future__ import annotations

from roomstate.host.ports import Codec, StoringEffect, codec_for, perform
from roomstate.host.sync import SyncHost

__all__ = ["Codec", "StoringEffect", "SyncHost", "codec_for", "perform"]
