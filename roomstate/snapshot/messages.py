"""A room's messages as columns: ids, seqs, times, users and texts apart, badges and extras only where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import compress, count
from math import gcd
from typing import Any, Generic, TypeVar

from msgspec import Struct, convert
from msgspec.json import Decoder

from roomstate.errors import InvalidValue
from roomstate.model import EMPTY, Message, MessageLike, as_message
from roomstate.position import MAX_SEQ
from roomstate.snapshot.columns import Series, Strings, Table, pack_planes, unpack_planes
from roomstate.snapshot.ids import Ids, pack_ids
from roomstate.snapshot.plain import encode_json, json_cost

__all__ = ["MessageColumns"]

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PER_MESSAGE = 800  # bytes: the message, its strings' heads, its time, and the lists between
_MILLISECOND, _SECOND, _MINUTE = 1000, 10**6, 60 * 10**6
_EXACT = 2**32 * _SECOND  # nearer to 1970 than this, a float of seconds is exact to the microsecond


class _Sparse(Struct, Generic[T], frozen=True, array_like=True):
    """The values that are not empty, and their places unless all have one."""

    at: list[int]
    values: list[T]


_BADGES: Decoder[_Sparse[tuple[str, ...]]] = Decoder(_Sparse[tuple[str, ...]])
_EXTRAS: Decoder[_Sparse[Mapping[str, Any]]] = Decoder(_Sparse[Mapping[str, Any]])


class _Times(Struct, frozen=True, array_like=True):
    times: list[datetime]  # in a struct, because msgspec prepares its types once


class MessageColumns(Struct, frozen=True, array_like=True):
    """The messages of one image, and their seqs. ``tick`` is the resolution of the times, in microseconds: what divides
    them all, at least a millisecond and at most a minute. ``micros`` are the microseconds that it leaves over.
    """

    items: int
    ids: Ids
    tick: int
    times: Series
    micros: bytes
    users: Table
    texts: Strings
    badges: bytes
    extras: bytes
    seqs: Series
    seq_items: int

    @classmethod
    def pack(cls, messages: Sequence[MessageLike], seqs: Sequence[int]) -> MessageColumns:
        """Pack messages of any class, as `as_message` reads them. O(characters).

        Raises ``InvalidValue`` where seqs do not match, ``TypeError``, ``ValueError`` or ``OverflowError`` for
        fields that are not what `MessageLike` says.
        """
        if len(seqs) not in (0, len(messages)):
            raise InvalidValue("image.seqs", f"must be as many as the messages, got {len(seqs)}, not {len(messages)}")
        if seqs and (min(seqs) < 0 or max(seqs) > MAX_SEQ):
            raise InvalidValue("image.seqs", f"must lie in [0, {MAX_SEQ}]")
        plain = list(map(as_message, messages))
        times = [(message.timestamp - _EPOCH) // _MICROSECOND for message in plain]
        tick = gcd(_MINUTE, *times)
        odd = tick % _MILLISECOND  # microseconds are rare: they go apart
        tick = _MILLISECOND if odd else tick
        return cls(
            len(plain),
            pack_ids([message.id for message in plain]),
            tick,
            Series.pack([time // tick for time in times]),
            pack_planes([time % tick for time in times]) if odd else b"",
            Table.pack([message.user for message in plain]),
            Strings.pack([message.content for message in plain]),
            _pack_sparse(_BADGES, [message.badges for message in plain]),
            _pack_sparse(_EXTRAS, [message.extra for message in plain]),
            Series.pack(seqs),
            len(seqs),
        )

    def unpack(self, last: int | None = None) -> tuple[tuple[Message, ...], tuple[int, ...]]:
        """The ``last`` messages (None: all), and the seqs of all. O(characters).

        Raises ``ValueError``, ``OverflowError`` or ``IndexError`` for columns that nobody packed.
        """
        items = self.items
        if items < 0 or self.seq_items not in (0, items):
            raise ValueError("a seq for every message")
        seqs = self.seqs.unpack(self.seq_items)
        low, high = self.seqs.bounds(seqs)
        if low < 0 or high > MAX_SEQ:
            raise ValueError(f"seqs in [0, {MAX_SEQ}]")
        start = 0 if last is None else max(items - last, 0)
        columns = (
            self.ids.unpack(items),
            self.users.unpack(items),
            self.texts.unpack(items, last),
            self._unpack_times(start),
        )
        if start:
            columns = (columns[0][start:], columns[1][start:], *columns[2:])
        if not self.badges and not self.extras:
            return tuple(map(Message, *columns)), tuple(seqs)
        badges = _unpack_sparse(_BADGES, self.badges, items, ())
        extras = _unpack_sparse(_EXTRAS, self.extras, items, EMPTY)
        return tuple(map(Message, *columns, badges[start:], extras[start:])), tuple(seqs)

    def memory_cost(self) -> int:
        """Bytes of memory that unpacking may take. O(bytes)."""
        return (
            _PER_MESSAGE * self.items
            + self.ids.memory_cost(self.items)
            + self.users.names.memory_cost()
            + self.texts.memory_cost()
            + json_cost(self.badges)
            + json_cost(self.extras)
        )

    def _unpack_times(self, start: int) -> list[datetime]:
        """The times of the messages from ``start``; msgspec makes them six times as fast as datetime does."""
        tick, ticks = self.tick, self.times.unpack(self.items)
        if not _MILLISECOND <= tick <= _MINUTE:
            raise ValueError("a tick of a millisecond to a minute")
        low, high = self.times.bounds(ticks)
        if self.micros or low * tick <= -_EXACT or high * tick >= _EXACT:
            parts = zip(unpack_planes(self.micros, self.items)[start:], ticks[start:], strict=True)
            return [_EPOCH + timedelta(0, 0, micro + each * tick) for micro, each in parts]
        seconds: list[int] | list[float] = ticks[start:]
        if tick % _SECOND:
            seconds = [each * tick / _SECOND for each in seconds]
        elif tick > _SECOND:
            seconds = [each * (tick // _SECOND) for each in seconds]
        return convert((seconds,), _Times, strict=False).times


def _pack_sparse(decoder: Decoder[_Sparse[T]], values: Sequence[T]) -> bytes:
    """The values that are not empty as JSON; nothing if none is. Raises ``ValueError`` if they could not be read."""
    if not any(values):
        return b""
    if all(values):
        data = encode_json(_Sparse([], list(values)))
    else:
        data = encode_json(_Sparse(list(compress(count(), values)), list(filter(None, values))))
    decoder.decode(data)
    return data


def _unpack_sparse(decoder: Decoder[_Sparse[T]], data: bytes, items: int, empty: T) -> list[T]:
    filled = [empty] * items
    if not data:
        return filled
    sparse = decoder.decode(data)
    places: Sequence[int] = sparse.at or range(items)
    if min(places, default=0) < 0:
        raise ValueError("places from 0")
    for place, value in zip(places, sparse.values, strict=True):
        filled[place] = value
    return filled
