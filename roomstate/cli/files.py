"""The bytes of a log file: opened without blocking, decompressed in bounded steps, cut into bounded lines.

Nothing here holds more than one line and one step of decompression, whatever the file says of itself.
"""

from __future__ import annotations

import os
import stat
import sys
import weakref
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

import attrs
import zstandard

from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog, InvalidValue

CHUNK_BYTES = 1 << 16
SNIFF_BYTES = 1 << 12

MAX_WINDOW_BYTES = 1 << 27
"""A zstd frame may ask for this much memory and no more: the default limit of the ``zstd`` command."""

MAX_EXPANSION = 1_000
"""Decompressed bytes for each compressed one; a log compresses 3 to 30 times, gzip cannot exceed 1,032."""

EXPANSION_FREE_BYTES = 64 << 20
"""Output below this is never called a bomb: a small repetitive log may well compress a thousandfold."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _gzip() -> _Inflater:
    return zlib.decompressobj(31)


def _zstd() -> _Inflater:
    return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()


# Magic bytes, what reads them, and how many input bytes go in at once. A step bounds its output: deflate
# gives at most 1,032 for one (4 MiB); a zstd block takes 4 bytes or more, and gives at most 128 KiB (8 MiB).
_COMPRESSED: tuple[tuple[bytes, Callable[[], _Inflater], int], ...] = (
    (b"\x1f\x8b", _gzip, 4096),
    (b"\x28\xb5\x2f\xfd", _zstd, 256),
)


@attrs.frozen
class Source:
    """A log's bytes, decompressed, once: ``head`` is the beginning of ``chunks``, to sniff at.

    ``where`` names it in errors; ``stem``, the file's name without its endings, names the room of a log
    that names none. ``chunks`` raises :class:`DamagedLog` where the bytes break off.
    """

    where: str
    stem: str
    head: bytes
    chunks: Iterator[bytes]


def shown(path: str) -> str:
    """A path as text that can be printed and encoded; bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


def stem_of(path: str) -> str:
    """The file's name without ``.gz``, ``.zst`` and one more ending; what names its room.

    >>> stem_of("logs/#rust.log.gz"), stem_of("irc.libera.#rust.weechatlog")
    ('#rust', 'irc.libera.#rust')
    """
    name = Path(path).name.removesuffix(".gz").removesuffix(".zst")
    return shown(Path(name).stem or "log")


def is_folder(path: str) -> bool:
    """Whether the path is a folder that can be seen."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def open_regular(path: str) -> BinaryIO:
    """The file, if it is a regular one; a FIFO or a device raises :class:`InvalidValue` and never blocks."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise InvalidValue(shown(path), getattr(error, "strerror", None) or str(error)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InvalidValue(shown(path), "is not a regular file; use - to read standard input")
    file = os.fdopen(handle, "rb", closefd=False)
    weakref.finalize(file, os.close, handle)  # in a cycle a file may be collected before the generator that closes it
    return file


def raw_chunks(file: BinaryIO, where: str) -> Iterator[bytes]:
    """The file's bytes in chunks of at most 64 KiB; closes the file."""
    with file:
        while chunk := _read(file, where):
            yield chunk


def _read(file: BinaryIO, where: str) -> bytes:
    try:
        return file.read(CHUNK_BYTES)
    except OSError as error:
        raise DamagedLog(where, f"cannot be read: {error.strerror or error}") from None


def peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first few KiB (less when there is less), and all the chunks again."""
    head = b""
    try:
        while len(head) < SNIFF_BYTES and (chunk := next(chunks, b"")):
            head += chunk
    except DamagedLog as error:
        chunks = _broken(error)
    return head, chain((head,) if head else (), chunks)


def _broken(error: DamagedLog) -> Iterator[bytes]:
    yield from ()  # the error comes when the chunks are asked for, not before
    raise error


def inflated(chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
    """The chunks, decompressed if they begin as gzip or zstd do."""
    head, chunks = peek(chunks)
    for magic, make, step in _COMPRESSED:
        if head.startswith(magic):
            return _inflate(chunks, make, step, where)
    return chunks


def _inflate(chunks: Iterator[bytes], make: Callable[[], _Inflater], step: int, where: str) -> Iterator[bytes]:
    taken = given = 0
    member: _Inflater | None = None
    for piece in _steps(chunks, step):
        taken += len(piece)
        while piece:
            member = member or make()
            out = _decompress(member, piece, where)
            given += len(out)
            if given > max(EXPANSION_FREE_BYTES, MAX_EXPANSION * taken):
                raise DamagedLog(where, f"expands more than {MAX_EXPANSION} times: not read further")
            if out:
                yield out
            piece = member.unused_data if member.eof else b""
            member = None if member.eof else member
    if member is not None:
        raise DamagedLog(where, "the compressed data ends in the middle")


def _steps(chunks: Iterator[bytes], step: int) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), step):
            yield chunk[at : at + step]


def _decompress(member: _Inflater, piece: bytes, where: str) -> bytes:
    try:
        return member.decompress(piece)
    except (zlib.error, zstandard.ZstdError, MemoryError) as error:
        raise DamagedLog(where, f"the compressed data is damaged: {error}") from None


def source_of(chunks: Iterator[bytes], where: str, stem: str) -> Source:
    """Raw chunks as a :class:`Source`: decompressed, without a byte order mark."""
    head, chunks = peek(inflated(chunks, where))
    if head.startswith(b"\xef\xbb\xbf"):
        next(chunks)
        head = head[3:]
        chunks = chain((head,), chunks)
    return Source(where, stem, head, chunks)


def open_source(path: str, stem: str | None = None) -> Source:
    """A log file, or ``-`` for standard input. Raises :class:`InvalidValue` when it cannot be opened."""
    if path == "-":
        return source_of(raw_chunks(sys.stdin.buffer, "stdin"), "stdin", stem or "stdin")
    where = shown(path)
    return source_of(raw_chunks(open_regular(path), where), where, stem or stem_of(path))


def lines(source: Source, tally: Tally, max_line_bytes: int) -> Iterator[tuple[int, bytes]]:
    """``(number, line)`` for every line that is not blank, from number 1, without its line ending.

    A line longer than ``max_line_bytes`` is damaged, and so is the place where the bytes break off.
    """
    for number, line in enumerate(_cut(source, tally, max_line_bytes), 1):
        if isinstance(line, str):
            tally.damage(source.where, number, line)
        elif text := line.rstrip(b"\r"):
            yield number, text


def _cut(source: Source, tally: Tally, max_line_bytes: int) -> Iterator[bytes | str]:
    """Each line, or the reason why it cannot be had. Of a line that is too long only its length is kept."""
    too_long = f"longer than {max_line_bytes} bytes"
    tail, over = b"", False
    try:
        for chunk in source.chunks:
            tally.raw_bytes += len(chunk)
            *whole, tail = (tail + chunk).split(b"\n")
            for line in whole:
                yield too_long if over or len(line) > max_line_bytes else line
                over = False
            if over or len(tail) > max_line_bytes:
                tail, over = b"", True
    except DamagedLog as error:
        yield error.reason
    else:
        yield too_long if over else tail
