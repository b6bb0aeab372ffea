"""Columns: many values of one kind as few bytes, packed and unpacked by calls into C, never one value at a time.

Numbers become *byte planes*: the least significant byte of every number, then the next byte of every number, and no
more planes than the largest number needs. Small values are written as the letters that chat text is made of, so that
one entropy table of the compressor serves numbers and text alike (0.7 % of a snapshot of 50 messages).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, count, repeat
from operator import add, getitem, sub
from typing import Literal

from msgspec import Struct

__all__ = ["Series", "Strings", "Table", "pack_planes", "unpack_planes"]

_COMMON = b" etaoinshrldcumfgpywb.vk,-ITA\n'0S1?C2x:WMEN\"3j/PD4HB5OqLzR"
_LETTERS = _COMMON + bytes(sorted(set(range(256)) - set(_COMMON)))
_NUMBERS = bytes(map(_LETTERS.index, range(256)))
_CODES: tuple[Literal["B", "H", "I", "Q"], ...] = ("B", "B", "H", "I", "I", "Q", "Q", "Q", "Q")
_WORDS = [(code, array(code).itemsize) for code in _CODES]  # by width: the array that has room for so many bytes
_SEPARATOR = "\0"


def pack_planes(values: Sequence[int]) -> bytes:
    """Numbers in ``[0, 2**64)`` as byte planes; nothing at all if every one is 0. O(n).

    Raises ``OverflowError`` for a number outside.

    >>> pack_planes([1, 2, 3]), pack_planes([0, 0]), len(pack_planes([1, 256]))
    (b'eta', b'', 4)
    """
    width = (max(values, default=0).bit_length() + 7) // 8
    code, size = _WORDS[width]
    raw = array(code, values).tobytes()
    return b"".join([raw[_place(plane, size) :: size] for plane in range(width)]).translate(_LETTERS)


def unpack_planes(planes: bytes, items: int) -> list[int]:
    """What `pack_planes` packed of ``items`` numbers. O(n).

    Raises ``ValueError`` for bytes that cannot be that.

    >>> unpack_planes(b"eta", 3), unpack_planes(b"", 2)
    ([1, 2, 3], [0, 0])
    """
    if not planes:
        return [0] * items
    width, rest = divmod(len(planes), items) if items else (9, 0)
    if rest or width > 8:
        raise ValueError("planes that do not fit their count")
    plain = planes.translate(_NUMBERS)
    if width == 1:
        return list(plain)
    code, size = _WORDS[width]
    raw = bytearray(size * items)
    for plane in range(width):
        raw[_place(plane, size) :: size] = plain[plane * items : (plane + 1) * items]
    return memoryview(raw).cast(code).tolist()


def _place(plane: int, size: int) -> int:
    """Where in a word of this machine the byte of a plane lies."""
    return plane if sys.byteorder == "little" else size - 1 - plane


class Series(Struct, frozen=True, gc=False, array_like=True):
    """Numbers that grow more or less steadily: the first, then steps, each ``base`` more than its plane value."""

    first: int = 0
    base: int = 0
    planes: bytes = b""

    @classmethod
    def pack(cls, values: Sequence[int]) -> Series:
        """Pack numbers whose steps lie within 64 bits of each other, else raise ``OverflowError``. O(n).

        >>> Series.pack([10, 20, 40]).planes, Series.pack([10, 20, 40]).unpack(3)
        (b'lb', [10, 20, 40])
        """
        if not values:
            return cls()
        steps = list(map(sub, values[1:], values))
        low, high = min(steps, default=0), max(steps, default=0)
        base = low if low < 0 or low == high or high > 255 else 0  # a base that saves nothing would cost an addition
        if base:
            steps = list(map(sub, steps, repeat(base)))
        return cls(values[0], base, pack_planes(steps))

    def unpack(self, items: int) -> list[int]:
        """The ``items`` numbers. O(n). Raises ``ValueError`` if they cannot be."""
        if items < 2:
            return [self.first] * items
        if not self.planes:
            stop = self.first + self.base * items
            return list(range(self.first, stop, self.base)) if self.base else [self.first] * items
        steps: Iterable[int] = unpack_planes(self.planes, items - 1)
        if self.base:
            steps = map(add, steps, repeat(self.base))
        return list(accumulate(steps, initial=self.first))

    def bounds(self, values: Sequence[int]) -> tuple[int, int]:
        """The least and the greatest of ``values``, which this unpacked to; ``(0, 0)`` of none.

        O(1) where they grow, which the steps say; else O(n).
        """
        if values and self.base >= 0:
            return values[0], values[-1]
        return min(values, default=0), max(values, default=0)


class Strings(Struct, frozen=True, gc=False, array_like=True):
    """Texts, joined by NUL; where a text holds NUL itself, joined by nothing, with their lengths in characters.

    A separator costs less than lengths do: 2 % of a snapshot of real messages.
    """

    joined: bytes = b""
    lengths: bytes = b""

    @classmethod
    def pack(cls, texts: Sequence[str]) -> Strings:
        r"""Pack texts, lone surrogates included. O(characters). Raises ``TypeError`` for what is no text.

        >>> Strings.pack(["a", "b"]).joined, Strings.pack(["a", "b"]).unpack(2)
        (b'a\x00b', ['a', 'b'])
        """
        joined = _SEPARATOR.join(texts)
        if joined.count(_SEPARATOR) == max(len(texts) - 1, 0):
            return cls(joined.encode("utf-8", "surrogatepass"))
        return cls("".join(texts).encode("utf-8", "surrogatepass"), pack_planes([len(text) for text in texts]))

    def unpack(self, items: int, last: int | None = None) -> list[str]:
        """The ``last`` of the ``items`` texts (None: all). O(bytes). Raises ``ValueError`` if they cannot be."""
        if not items:
            return []
        joined = self.joined.decode("utf-8", "surrogatepass")
        if self.lengths:
            texts = self._cut(joined, items)
        elif last is None:
            texts = joined.split(_SEPARATOR, items)  # at most one too many, however many separators there are
        elif joined.count(_SEPARATOR) == items - 1:
            return joined.rsplit(_SEPARATOR, last)[-last:] if last else []
        else:
            texts = []
        if len(texts) != items:
            raise ValueError("as many texts as there should be")
        return texts if last is None else texts[items - min(last, items) :]

    def memory_cost(self) -> int:
        """Bytes of memory that the characters may take while they are unpacked. O(bytes)."""
        return len(self.joined) * (2 if self.joined.isascii() else 8)  # joined and apart, of 1 or up to 4 bytes each

    def longest(self) -> int:
        """Bytes of memory that the characters of the longest text may take. O(bytes)."""
        longest = len(self.joined) if self.lengths else max(map(len, self.joined.split(b"\0")))
        return longest if self.joined.isascii() else 4 * longest

    def _cut(self, joined: str, items: int) -> list[str]:
        stops = list(accumulate(unpack_planes(self.lengths, items)))
        if stops[-1] != len(joined):
            raise ValueError("texts as long as their lengths say")
        return list(map(getitem, repeat(joined), map(slice, [0, *stops], stops)))


class Table(Struct, frozen=True, gc=False, array_like=True):
    """Texts that repeat: each once, in the order in which they first come, and which of them stands where."""

    names: Strings = Strings()
    size: int = 0
    places: bytes = b""

    @classmethod
    def pack(cls, values: Sequence[str]) -> Table:
        """Pack texts of which many are equal. O(characters).

        >>> table = Table.pack(["bob", "ada", "bob"])
        >>> table.size, table.unpack(3)
        (2, ['bob', 'ada', 'bob'])
        """
        names = list(dict.fromkeys(values))
        if len(names) <= 1:
            return cls(Strings.pack(names), len(names))
        place = dict(zip(names, count(), strict=False))
        return cls(Strings.pack(names), len(names), pack_planes([place[value] for value in values]))

    def unpack(self, items: int) -> list[str]:
        """The ``items`` texts; equal ones are one object. O(bytes). Raises ``ValueError`` or ``IndexError``."""
        if self.size > items:
            raise ValueError("no more names than places")
        names = self.names.unpack(self.size)
        if self.size == 1 and not self.places:
            return names * items
        return list(map(names.__getitem__, unpack_planes(self.places, items)))
