"""Message ids as columns: what most sources number need not be kept as text.

Three forms, tried in this order: UUIDs (16 bytes each), a few prefixes with a growing number (Zulip, Discord,
``name-date-17``), and plain text for the rest (Matrix).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from struct import iter_unpack
from typing import TypeAlias

from msgspec import DecodeError, Struct, json

from roomstate.snapshot.columns import Series, Strings, Table

__all__ = ["Ids", "NumberIds", "TextIds", "UuidIds", "pack_ids"]

_NUMBERS = json.Decoder(list[int])
_DIGITS = "0123456789"
_MAX_DIGITS = 18  # what always fits in 63 bits


class UuidIds(Struct, frozen=True, gc=False, array_like=True, tag="uuid"):
    """Canonical UUIDs in lower case, 16 bytes each."""

    raw: bytes

    def memory_cost(self, items: int) -> int:
        """Bytes of memory that unpacking may take beyond a string's own 49 for each. O(1)."""
        return 300 * items

    def unpack(self, items: int) -> list[str]:
        """The ``items`` ids. O(n). Raises ``ValueError`` if they cannot be."""
        if len(self.raw) != 16 * items:
            raise ValueError("16 bytes for a UUID")
        parts = iter_unpack("8s4s4s4s12s", self.raw.hex().encode())
        return b"\n".join(map(b"-".join, parts)).decode().split("\n")


class NumberIds(Struct, frozen=True, gc=False, array_like=True, tag="number"):
    """A prefix, then a number of at most 18 digits. Leading zeros belong to the prefix."""

    prefixes: Table
    numbers: Series

    def memory_cost(self, items: int) -> int:
        """Bytes of memory that unpacking may take beyond a string's own 49 for each. O(bytes)."""
        return self.prefixes.names.memory_cost() + items * (self.prefixes.names.longest() + _MAX_DIGITS)

    def unpack(self, items: int) -> list[str]:
        """The ``items`` ids. O(n). Raises ``ValueError`` if they cannot be."""
        numbers = self.numbers.unpack(items)
        low, high = self.numbers.bounds(numbers)
        if low < 0 or high >= 10**_MAX_DIGITS:
            raise ValueError(f"numbers of at most {_MAX_DIGITS} digits")
        joined = json.encode(numbers)[1:-1].decode()  # half the time of str() for each
        if self.prefixes.size != 1 or self.prefixes.names.lengths:
            return list(map(add, self.prefixes.unpack(items), joined.split(",")))
        prefix = self.prefixes.names.unpack(1)[0]
        return (prefix + joined.replace(",", "\0" + prefix)).split("\0")


class TextIds(Struct, frozen=True, gc=False, array_like=True, tag="text"):
    """Anything else, as it is."""

    texts: Strings

    def memory_cost(self, items: int) -> int:
        """Bytes of memory that unpacking may take beyond a string's own 49 for each. O(bytes)."""
        return self.texts.memory_cost()

    def unpack(self, items: int) -> list[str]:
        """The ``items`` ids. O(characters). Raises ``ValueError`` if they cannot be."""
        return self.texts.unpack(items)


Ids: TypeAlias = UuidIds | NumberIds | TextIds


def pack_ids(ids: Sequence[str]) -> Ids:
    """Pack ids in the first form that gives every one of them back. O(characters).

    >>> type(pack_ids(["irc-7", "irc-8"])).__name__, pack_ids(["irc-7", "irc-8"]).unpack(2)
    ('NumberIds', ['irc-7', 'irc-8'])
    """
    if not ids:
        return TextIds(Strings())
    return _pack_uuids(ids) or _pack_numbers(ids) or TextIds(Strings.pack(ids))


def _pack_uuids(ids: Sequence[str]) -> UuidIds | None:
    if len(ids[0]) != 36 or len(joined := "".join(ids)) != 36 * len(ids):
        return None
    try:
        packed = UuidIds(bytes.fromhex(joined.replace("-", "")))
        return packed if packed.unpack(len(ids)) == list(ids) else None
    except ValueError:
        return None


def _pack_numbers(ids: Sequence[str]) -> NumberIds | None:
    prefixes = [each.rstrip(_DIGITS) for each in ids]
    tails = list(map(str.removeprefix, ids, prefixes))
    if not all(tails) or max(map(len, tails)) > _MAX_DIGITS:
        return None
    try:
        numbers = _NUMBERS.decode(f"[{','.join(tails)}]")
    except DecodeError:  # leading zeros
        numbers = list(map(int, tails))
        prefixes = [each[: -len(str(number))] for each, number in zip(ids, numbers, strict=True)]
    if len(set(prefixes)) > 1 + len(ids) // 8:
        return None
    return NumberIds(Table.pack(prefixes), Series.pack(numbers))
