"""Compression dictionaries: trained from snapshots, named by their content."""

from __future__ import annotations

import hashlib
from typing import Final

import zstandard
from msgspec import Struct

from roomstate.errors import DamagedSnapshot

__all__ = ["Dictionary"]

_MAGIC: Final = b"\x37\xa4\x30\xec"  # zstd's own, RFC 8878 section 5
_HEAD: Final = 8  # bytes of magic and id


class Dictionary(Struct, frozen=True):
    """A trained dictionary in zstd's own format, whose id is a hash of its content.

    ``data`` is what to keep: write it down under ``name``, and read it back with ``Dictionary(data)``. Raises
    ``DamagedSnapshot`` where the data are not what the id in them says: a wrong dictionary would make wrong text.
    """

    data: bytes

    def __post_init__(self) -> None:
        if self.data[:4] != _MAGIC or len(self.data) <= _HEAD:
            raise DamagedSnapshot("dictionary", "is not a dictionary of zstd")
        if self.id != _content_id(self.data):
            raise DamagedSnapshot("dictionary", f"is not what its id {self.id:08x} says")
        try:
            zstandard.ZstdCompressor(level=1, dict_data=zstandard.ZstdCompressionDict(self.data)).compress(b"")
        except zstandard.ZstdError as error:
            raise DamagedSnapshot("dictionary", f"cannot be used: {error}") from None

    @classmethod
    def of(cls, trained: bytes) -> Dictionary:
        """A dictionary as zstd trained it, with its id set to the hash of its content. O(bytes)."""
        return cls(trained[:4] + _content_id(trained).to_bytes(4, "little") + trained[_HEAD:])

    @property
    def id(self) -> int:
        """What snapshots name it by: 31 bits, never 0."""
        return int.from_bytes(self.data[4:_HEAD], "little")

    @property
    def name(self) -> str:
        """The id as eight hexadecimal digits."""
        return f"{self.id:08x}"


def _content_id(data: bytes) -> int:
    digest = hashlib.blake2b(data[_HEAD:], digest_size=4, person=b"roomstate.dict").digest()
    return int.from_bytes(digest, "little") >> 1 or 1
