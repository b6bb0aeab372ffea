"""How a storing effect is carried out: one function, which every driver calls from wherever it may block."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from roomstate.effects import (
    Appended,
    AppendLog,
    CloseStream,
    FetchMessages,
    Head,
    Loaded,
    LoadHead,
    LoadLog,
    LoadPacked,
    LoadSnapshot,
    LogEntry,
    OpenStream,
    Packed,
    Recovered,
    RequestRecovery,
    SaveSnapshot,
    SendToAuthority,
    Sent,
)
from roomstate.errors import DamagedSnapshot, InvalidValue, StoreUnavailable
from roomstate.image import RoomImage
from roomstate.model import Tier
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.snapshot.dictionary import Dictionary
from roomstate.store.base import RoomStore

__all__ = [
    "LINKING",
    "STORING",
    "Codec",
    "LinkingEffect",
    "Loader",
    "StoringEffect",
    "StoringResult",
    "Transport",
    "codec_for",
    "perform",
]

STORING: Final = (LoadHead, LoadSnapshot, LoadPacked, LoadLog, AppendLog, SaveSnapshot)
"""The kinds of effect that `perform` carries out."""

LINKING: Final = (RequestRecovery, SendToAuthority, OpenStream, CloseStream)
"""The kinds of effect that a `Transport` carries out."""

LinkingEffect: TypeAlias = RequestRecovery | SendToAuthority | OpenStream | CloseStream
StoringEffect: TypeAlias = LoadHead | LoadSnapshot | LoadPacked | LoadLog | AppendLog | SaveSnapshot
StoringResult: TypeAlias = Head | Loaded | Packed | tuple[LogEntry, ...] | Appended | bytes | None


@runtime_checkable
class Loader(Protocol):
    """Brings messages that a room lacks from where they came from: a chat service's history, a bouncer's log."""

    async def fetch(self, effect: FetchMessages, /) -> Recovered:
        """The messages in ``effect.gap``, at most ``effect.limit``. Whatever it raises, it is asked again later."""
        ...


@runtime_checkable
class Transport(Protocol):
    """The link of a replica to its authority. What arrives on it goes to the host's ``receive``.

    Each method may raise anything: what was asked for is asked for again later. Work for one room comes one at a time
    and in order.
    """

    async def request_recovery(self, effect: RequestRecovery, /) -> tuple[Any, ...]:
        """The envelopes that answer ``effect.token``; () where they will come by ``receive``."""
        ...

    async def send(self, effect: SendToAuthority, /) -> Sent:
        """Send ``effect.echo``, and return what it was acknowledged as. A repetition is harmless."""
        ...

    async def open(self, effect: OpenStream, /) -> None:
        """Listen to a room, in this mode from now on. A repetition is harmless."""
        ...

    async def close(self, effect: CloseStream, /) -> None:
        """Listen to a room no more."""
        ...


@runtime_checkable
class Codec(Protocol):
    """Makes snapshots of images, and images of snapshots: `snapshot.codec.SnapshotCodec`, or a host's own."""

    def encode(self, image: RoomImage, /) -> bytes:
        """The image as bytes. Bounded by the image."""
        ...

    def decode(self, data: bytes, /) -> RoomImage:
        """The image that was encoded. Raises a `SnapshotError` for anything else."""
        ...


def codec_for(store: RoomStore | None) -> SnapshotCodec:
    """A codec that can read whatever was written with the store's dictionaries.

    Raises ``InvalidValue`` for a path: a store is opened by who gives it.
    """
    if isinstance(store, str | PathLike):
        raise InvalidValue("store", f"must be a store, such as SQLiteStore({str(store)!r}), not its path")
    names = store.dictionaries() if store is not None else ()
    found = [store.load_dictionary(name) for name in names] if store is not None else []
    return SnapshotCodec(dictionaries=[Dictionary(data) for data in found if data is not None])


def perform(effect: StoringEffect, store: RoomStore | None, codec: Codec) -> StoringResult:
    """Carry out a storing effect; returns what ``manager.complete(effect.request_id, ...)`` takes.

    It blocks while the disk works. ``store`` None serves hosts that keep rooms in memory only: snapshots are packed and
    unpacked, nothing else is found. What it raises (a `StorageError`, or an `InvalidValue` where a room's log is not
    what the manager thinks) is for ``manager.fail(effect.request_id, error)``.
    """
    if isinstance(effect, SaveSnapshot):
        return _save(effect, store, codec)
    if isinstance(effect, LoadSnapshot):
        return _load(effect, store, codec)
    if isinstance(effect, LoadPacked):
        return _packed(effect.room_id, store, codec) if store else None
    if isinstance(effect, AppendLog):
        if store is None:
            raise StoreUnavailable(effect.room_id, "there is no store to append to")
        return store.append(effect.room_id, effect.epoch, effect.entries)
    if isinstance(effect, LoadHead):
        return store.head(effect.room_id) if store else None
    return store.read(effect.room_id, effect.after, effect.upto, effect.limit) if store else ()


def _save(effect: SaveSnapshot, store: RoomStore | None, codec: Codec) -> bytes:
    image = effect.image
    data = codec.encode(image)
    if store is not None:
        store.save_snapshot(image.room_id, Tier[image.tier], Head(image.position, image.ordinal), data)
    return data


def _load(effect: LoadSnapshot, store: RoomStore | None, codec: Codec) -> Loaded:
    if store is None:
        return Loaded(None, _decode(effect.room_id, effect.packed, codec))
    head = store.head(effect.room_id)
    packed = effect.packed or store.load_snapshot(effect.room_id, effect.tier)
    image = _decode(effect.room_id, packed, codec)
    entries = _tail(effect, store, head, image)
    cut = image is not None and entries and entries[0].seq > image.position.seq + 1
    if cut or (head is not None and _ends(image, entries) < head.position.seq):  # a newer snapshot bridges the hole
        image = _decode(effect.room_id, store.load_snapshot(effect.room_id, Tier.CACHED), codec) or image
        entries = _tail(effect, store, head, image)
    if effect.tier is Tier.ACTIVE and image is not None and image.tier != Tier.ACTIVE.name:
        entries = _further(effect, store, head, image) or entries
    return Loaded(head, image, entries)


def _packed(room_id: str, store: RoomStore, codec: Codec) -> Packed | None:
    """A room's snapshot as it is; a host's own codec has to decode it to say what is in it."""
    head, packed = store.head(room_id), store.load_snapshot(room_id, Tier.ACTIVE)
    if head is None or packed is None:
        return Packed(head) if head is not None else None
    told = codec.header(packed) if isinstance(codec, SnapshotCodec) else codec.decode(packed)
    _check_room(room_id, told.room_id)
    return Packed(head, packed, told.position.seq, told.taken_at, told.info)


def _decode(room_id: str, packed: bytes | None, codec: Codec) -> RoomImage | None:
    if packed is None:
        return None
    image = codec.decode(packed)
    _check_room(room_id, image.room_id)
    return image


def _check_room(room_id: str, found: str) -> None:
    if found != room_id:
        raise DamagedSnapshot(room_id, f"the snapshot is of another room, {found!r}")


def _ends(image: RoomImage | None, entries: Sequence[LogEntry]) -> int:
    """How far an image and what follows it reach."""
    return entries[-1].seq if entries else image.position.seq if image else 0


def _further(effect: LoadSnapshot, store: RoomStore, head: Head | None, image: RoomImage) -> tuple[LogEntry, ...]:
    """The newest entries, if they tell of messages or members that a brief image leaves out; else none."""
    entries = _tail(effect, store, head, None)
    return (
        entries
        if entries and entries[0].seq <= (image.held_after if image.members_complete else max(1, image.held_after))
        else ()
    )


def _tail(effect: LoadSnapshot, store: RoomStore, head: Head | None, image: RoomImage | None) -> tuple[LogEntry, ...]:
    """The entries after an image, consecutive, up to the head; none where the log does not reach it."""
    if head is None:
        return ()
    after, upto = image.position.seq if image else 0, head.position.seq
    entries = store.read(effect.room_id, after, upto, effect.limit)
    if not entries or entries[-1].seq != upto:
        return ()
    begin = next((at for at in range(len(entries)) if entries[at].seq == upto - len(entries) + 1 + at), 0)
    return entries[begin:]
