"""What drives a manager against the real world: `SyncHost` in the calling thread, `RoomHost` on an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from roomstate.host.ports import Codec, Loader, StoringEffect, Transport, codec_for, perform
from roomstate.host.receiving import owned
from roomstate.host.sync import SyncHost

if TYPE_CHECKING:
    from roomstate.host.bounds import HostBounds
    from roomstate.host.connection import Connection
    from roomstate.host.link import SocketLink
    from roomstate.host.room_host import RoomHost
    from roomstate.host.stream import Stream
    from roomstate.host.watching import Change

__all__ = [
    "Change",
    "Codec",
    "Connection",
    "HostBounds",
    "Loader",
    "RoomHost",
    "SocketLink",
    "StoringEffect",
    "Stream",
    "SyncHost",
    "Transport",
    "codec_for",
    "owned",
    "perform",
]

_ASYNCHRONOUS: Final = {
    "Change": "watching",
    "Connection": "connection",
    "HostBounds": "bounds",
    "RoomHost": "room_host",
    "SocketLink": "link",
    "Stream": "stream",
}


def __getattr__(name: str) -> Any:
    """Import what needs asyncio when it is asked for: that takes 39 ms, which a terminal program would notice."""
    if name not in _ASYNCHRONOUS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"roomstate.host.{_ASYNCHRONOUS[name]}"), name)
