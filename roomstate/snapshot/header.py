"""What stands before a snapshot's compressed part, readable without decompressing.

::

    0   4  magic: 8A 52 53 4E
    4   1  version
    5   4  bytes of the fields, little-endian
    9   4  CRC-32 of version, length, fields, and the last four bytes of the file
    13  …  the fields, a MessagePack array
        …  the compressed frame, to the end; its last four bytes are the checksum of its content

The first 13 bytes mean the same in every version, so damage is told apart from a newer version. The frame's last four
bytes tie the header to its frame: two snapshots spliced together are damaged.
"""

from __future__ import annotations

import hashlib
import zlib
from datetime import datetime
from struct import Struct as Layout
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from roomstate.errors import DamagedSnapshot, NewerSnapshot
from roomstate.image import RoomImage
from roomstate.model import RoomConfig, RoomInfo
from roomstate.position import MAX_SEQ, Position
from roomstate.snapshot.plain import encode_json

__all__ = ["FIELDS", "MAX_HEADER", "VERSION", "Fields", "SnapshotHeader", "config_hash", "join", "read_digest", "split"]

VERSION: Final = 1
MAX_HEADER: Final = 1 << 16
"""Bytes of fields: a digest of the default bounds takes about 2,000."""

_MAGIC: Final = b"\x8aRSN"
_PREFIX: Final = Layout("<4sBII")
_TRAILER: Final = 4

_DEFAULT: Final = RoomConfig()
_Natural = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
_Info = tuple[int | None, int | None, str, datetime | None, datetime | None]


class Fields(Struct, frozen=True, array_like=True, kw_only=True):
    """The fields as they are written. New ones go to the end, with a default."""

    room_id: str
    epoch: str
    seq: int
    tier: str
    taken_at: float
    level: str
    info: _Info
    messages: _Natural
    authors: _Natural
    members: _Natural
    config_hash: bytes
    dictionary: _Natural
    payload_bytes: _Natural
    digest: bytes = b""


FIELDS = msgspec.msgpack.Decoder(Fields)
_DIGESTS = msgspec.json.Decoder(dict[str, Any])


class SnapshotHeader(Struct, frozen=True, kw_only=True):
    """What a snapshot tells without being decompressed.

    ``messages``, ``authors`` and ``members`` are counts; ``config_hash`` is equal for equal configuration and
    moderation settings ("" for the defaults); ``dictionary`` is the id of the one it needs, 0 for none;
    ``payload_bytes`` is the size of the columns before compression, ``snapshot_bytes`` that of the whole snapshot.
    ``digest_json`` is the image's digest as it lies there, `digest` what it says.
    """

    version: int
    room_id: str
    position: Position
    tier: str
    taken_at: float
    level: str
    info: RoomInfo
    messages: int
    authors: int
    members: int
    config_hash: str
    dictionary: int
    payload_bytes: int
    snapshot_bytes: int
    digest_json: bytes

    @property
    def digest(self) -> dict[str, Any]:
        """What `MessageDigest.from_plain` reads; empty for none. Decoded anew each time: O(digest), 50 ns a word.

        Raises ``DamagedSnapshot`` for what no codec wrote.
        """
        return read_digest(self.digest_json)


def read_digest(data: bytes) -> dict[str, Any]:
    """An image's digest from the bytes in its header. O(bytes). Raises ``DamagedSnapshot``."""
    try:
        return _DIGESTS.decode(data) if data else {}
    except (ValueError, RecursionError) as error:
        raise DamagedSnapshot("snapshot", f"has a digest that cannot be read: {error}") from None


def config_hash(image: RoomImage) -> bytes:
    """Eight bytes that are equal for equal configuration and moderation settings, in any order of keys; none for the
    defaults.
    """
    if not image.moderation and image.config == _DEFAULT:
        return b""
    plain = msgspec.json.encode(msgspec.json.decode(encode_json([image.config, image.moderation])), order="sorted")
    return hashlib.blake2b(plain, digest_size=8, person=b"roomstate.config").digest()


def join(fields: bytes, frame: bytes) -> bytes:
    """A snapshot of header fields and a frame. O(bytes)."""
    checked = _PREFIX.pack(_MAGIC, VERSION, len(fields), 0)[4:9]
    check = zlib.crc32(frame[-_TRAILER:], zlib.crc32(fields, zlib.crc32(checked)))
    return b"".join((_MAGIC, checked, check.to_bytes(4, "little"), fields, frame))


def split(data: bytes) -> tuple[Fields, int]:
    """The fields of a snapshot, and where its frame begins. O(fields).

    Raises ``NewerSnapshot``; ``DamagedSnapshot`` for everything else that `join` did not make.
    """
    if len(data) < _PREFIX.size + _TRAILER or not data.startswith(_MAGIC):
        raise DamagedSnapshot("snapshot", "does not begin as a snapshot of roomstate does")
    _, version, size, check = _PREFIX.unpack_from(data)
    start = _PREFIX.size + size
    if start + _TRAILER > len(data):
        raise DamagedSnapshot("snapshot", "is cut off within its header")
    fields = data[_PREFIX.size : start]
    if zlib.crc32(data[-_TRAILER:], zlib.crc32(fields, zlib.crc32(data[4:9]))) != check:
        raise DamagedSnapshot("snapshot", "fails the checksum of its header: it is cut off or altered")
    if version != VERSION:
        raise NewerSnapshot("snapshot", f"has version {version}; this roomstate reads up to {VERSION}")
    return _decode_fields(fields), start


def _decode_fields(data: bytes) -> Fields:
    if len(data) > MAX_HEADER:
        raise DamagedSnapshot("snapshot", f"has a header of {len(data)} bytes, more than {MAX_HEADER}")
    try:
        return FIELDS.decode(data)
    except (ValueError, RecursionError) as error:
        raise DamagedSnapshot("snapshot", f"has a header that cannot be read: {error}") from None
