"""Compressed frames, made and read so that hostile bytes cannot cost more than they may.

``zstandard`` as commonly called is not safe (measured on 0.25): ``max_output_size`` is ignored when a frame declares
its size, a lying 13-byte header raises ``MemoryError``, trailing bytes are accepted, without a checksum 99 % of
single-bit flips decode to wrong text, and a context shared by threads crashes the interpreter. So a frame's own
header is read first, size and checksum are required, and each thread has contexts of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

import zstandard

from roomstate.errors import DamagedSnapshot, InvalidValue, UnknownDictionary
from roomstate.snapshot.dictionary import Dictionary

__all__ = ["Frames", "Level"]


class Level(Enum):
    """How much time to spend on a smaller snapshot. Reading takes the same for all.

    With a dictionary of 1 MiB, 50 / 1,000 messages took, as a share of JSON under zstd level 19, and of the time of
    ``json.dumps`` and zstd level 3 (mean of three real archives, `benchmarks/snapshot.py`):

    LOW: 0.76 / 0.89 of the size. MEDIUM: 0.69 / 0.80 of the size in 3.7 / 1.7 times the time (1.6 / 1.3 with no
    dictionary). HIGH: 0.63 / 0.72 of the size in 43 / 27 times the time.
    """

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


_PARAMETERS: Final[Mapping[Level, Mapping[str, int]]] = MappingProxyType(
    {
        Level.LOW: {"compression_level": 3},
        # Between zstd's own levels 6 and 8: of those tried, the smallest within 3 times the time of JSON + zstd 3.
        Level.MEDIUM: {
            "strategy": zstandard.STRATEGY_LAZY2,
            "window_log": 21,
            "hash_log": 19,
            "chain_log": 18,
            "search_log": 3,
            "min_match": 5,
            "target_length": 16,
        },
        Level.HIGH: {"compression_level": 19},
    }
)


_WRITE: Final = {"write_content_size": True, "write_checksum": True, "write_dict_id": False}


class _Contexts(threading.local):
    """The zstd contexts of one thread, made when it first needs them."""

    def __init__(self) -> None:
        self.compressor: zstandard.ZstdCompressor | None = None
        self.decompressors: dict[int, zstandard.ZstdDecompressor] = {}


class Frames:
    """Compresses at one level with one dictionary; decompresses with any of several. Safe to share among threads."""

    def __init__(self, level: Level, dictionary: Dictionary | None, others: Iterable[Dictionary]) -> None:
        self._mine = zstandard.ZstdCompressionDict(dictionary.data) if dictionary else None
        self._parameters = _parameters(level, len(dictionary.data) if dictionary else 0)
        if self._mine:
            self._mine.precompute_compress(compression_params=self._parameters)
        self._dictionaries = _by_id([*([dictionary] if dictionary else []), *others])
        self._contexts = _Contexts()

    def compress(self, payload: bytes) -> bytes:
        """A frame with its size and a checksum in it; its dictionary is named elsewhere. O(bytes)."""
        own = self._contexts
        if own.compressor is None:
            own.compressor = zstandard.ZstdCompressor(dict_data=self._mine, compression_params=self._parameters)
        return own.compressor.compress(payload)

    def decompress(self, frame: bytes | memoryview, size: int, dictionary: int) -> bytes:
        """The payload of ``size`` bytes, which the caller has found acceptable. O(bytes).

        Raises ``UnknownDictionary``; ``DamagedSnapshot`` for everything that is not exactly such a frame.
        """
        context = self._context(dictionary)
        try:
            says = zstandard.get_frame_parameters(frame)
            if says.content_size != size or says.window_size > max(size, 1 << 10) or not says.has_checksum:
                raise DamagedSnapshot("snapshot.frame", "does not state the size and checksum that it should")
            return context.decompress(frame, max_output_size=size, allow_extra_data=False)
        except (zstandard.ZstdError, MemoryError) as error:
            raise DamagedSnapshot("snapshot.frame", f"does not decompress: {error}") from None

    def _context(self, dictionary: int) -> zstandard.ZstdDecompressor:
        own = self._contexts.decompressors
        if dictionary not in own:
            if dictionary and dictionary not in self._dictionaries:
                raise UnknownDictionary("snapshot", f"needs the dictionary {dictionary:08x}, which is not at hand")
            own[dictionary] = zstandard.ZstdDecompressor(dict_data=self._dictionaries.get(dictionary))
        return own[dictionary]


def _parameters(level: Level, dictionary_bytes: int) -> zstandard.ZstdCompressionParameters:
    chosen = dict(_PARAMETERS[level])
    if zstd_level := chosen.pop("compression_level", None):
        return zstandard.ZstdCompressionParameters.from_level(zstd_level, dict_size=dictionary_bytes, **_WRITE)
    return zstandard.ZstdCompressionParameters(**chosen, **_WRITE)


def _by_id(dictionaries: Iterable[Dictionary]) -> dict[int, zstandard.ZstdCompressionDict]:
    """Dictionaries by id, digested for reading at once: done lazily, two threads might do it at the same time."""
    found: dict[int, Dictionary] = {}
    for each in dictionaries:
        if found.setdefault(each.id, each).data != each.data:
            raise InvalidValue("dictionaries", f"two have the id {each.id:08x}")
    digested = {key: zstandard.ZstdCompressionDict(each.data) for key, each in found.items()}
    nothing = zstandard.ZstdCompressor(level=1).compress(b"")
    for ready in digested.values():
        zstandard.ZstdDecompressor(dict_data=ready).decompress(nothing)
    return digested
