"""A room's image as bytes, and back: exactly what went in, or a typed error."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

import msgspec
from msgspec import Struct, structs

from roomstate.errors import DamagedSnapshot, InvalidValue, SnapshotError
from roomstate.image import RoomImage
from roomstate.model import RoomInfo
from roomstate.position import Position
from roomstate.snapshot.dictionary import Dictionary
from roomstate.snapshot.frame import Frames, Level
from roomstate.snapshot.header import (
    FIELDS,
    MAX_HEADER,
    VERSION,
    Fields,
    SnapshotHeader,
    config_hash,
    join,
    read_digest,
    split,
)
from roomstate.snapshot.messages import MessageColumns
from roomstate.snapshot.plain import encode_json, json_cost

__all__ = ["MAX_BYTES", "SnapshotCodec"]

MAX_BYTES: Final = 64 << 20
"""Bytes of memory that decoding one snapshot may take: thirty times a room of 1,000 messages of 2 kB each."""

_DEAREST: Final = 1200  # bytes of memory that no message, and no byte of anything else, can exceed but through prefixes

_HEADED = {"room_id", "position", "tier", "taken_at", "info", "digest"}  # what the header holds
_IN_COLUMNS = {"messages", "seqs"}
_REST = [field for field in structs.fields(RoomImage) if field.name not in _HEADED | _IN_COLUMNS]
_DEFAULTS = {field.name: field.default for field in _REST}

# A dict with those keys that are there, each of its field's type: what is not there keeps RoomImage's own default.
_Rest = TypedDict("_Rest", {field.name: field.type for field in _REST}, total=False)  # type: ignore[misc]


class _Payload(Struct, frozen=True, array_like=True):
    """What is compressed: the messages as columns, the rest of the image as JSON."""

    messages: MessageColumns
    rest: bytes


_PAYLOADS = msgspec.msgpack.Decoder(_Payload)
_RESTS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Rest)


class SnapshotCodec:
    """Makes snapshots of images, and images of snapshots. Holds no state but its settings; safe to share among threads.

    ``dictionary`` is used for new snapshots; those in ``dictionaries`` are kept to read old ones. With a dictionary,
    making the codec at level HIGH takes up to a second for each MiB of it: make one and keep it. ``max_bytes`` is
    the memory that decoding one snapshot may take; what would need more is neither written nor read.

    >>> from roomstate.image import RoomImage
    >>> from roomstate.model import Message
    >>> from roomstate.position import Position
    >>> image = RoomImage(room_id="rust", position=Position("e1", 1), messages=(Message("1", "bob", "hi"),), seqs=(1,))
    >>> codec = SnapshotCodec()
    >>> codec.decode(codec.encode(image)) == image
    True
    >>> codec.header(codec.encode(image)).position
    Position(epoch='e1', seq=1)
    """

    def __init__(
        self,
        level: Level = Level.MEDIUM,
        dictionary: Dictionary | None = None,
        dictionaries: Iterable[Dictionary] = (),
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if max_bytes < 1 << 16:
            raise InvalidValue("max_bytes", f"must be at least {1 << 16}, got {max_bytes}")
        self.level = level
        self.dictionary = dictionary
        self.max_bytes = max_bytes
        self._frames = Frames(level, dictionary, dictionaries)

    def encode(self, image: RoomImage) -> bytes:
        """The image as a snapshot. O(bytes).

        Messages of a host's own class are written as `as_message` reads them. Raises ``InvalidValue`` for values
        that are not what `RoomImage` says (a time without a zone, an extra that is not JSON) and for an image that
        could not be decoded within ``max_bytes``.
        """
        try:
            columns = MessageColumns.pack(image.messages, image.seqs)
            rest = encode_json(_rest(image))
            _RESTS.decode(rest)  # what could not be read must not be written
            payload = msgspec.msgpack.encode(_Payload(columns, rest))
            _check_cost("image", InvalidValue, columns, rest, len(payload), self.max_bytes)
            frame = self._frames.compress(payload)
            fields = msgspec.msgpack.encode(self._fields(image, columns, len(payload)))
            FIELDS.decode(fields)
        except (TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
            if isinstance(error, InvalidValue):
                raise
            raise InvalidValue("image", f"of room {image.room_id!r} cannot be written: {error}") from error
        if len(fields) > MAX_HEADER:
            raise InvalidValue("image", f"has {len(fields)} bytes of digest and info, more than {MAX_HEADER}")
        return join(fields, frame)

    def decode(self, data: bytes, *, last: int | None = None, room_id: str | None = None) -> RoomImage:
        """The image in a snapshot, with the ``last`` messages only if that is given. O(bytes).

        A partial image is a true one: ``held_after`` says where its messages begin. ``room_id`` makes a snapshot of
        another room an error. Raises ``NewerSnapshot``, ``UnknownDictionary``, else ``DamagedSnapshot``.
        """
        if last is not None and last < 0:
            raise InvalidValue("last", f"must not be negative, got {last}")
        fields, payload = self._open(data, room_id)
        try:
            return self._unpack(fields, payload, last)
        except SnapshotError:
            raise
        except (ValueError, TypeError, OverflowError, IndexError, RecursionError, MemoryError) as error:
            raise DamagedSnapshot("snapshot", f"has contents that nobody encoded: {error}") from None

    def header(self, data: bytes, *, room_id: str | None = None) -> SnapshotHeader:
        """What a snapshot tells without being decompressed: info and digest, position, sizes. O(header).

        Damage to the compressed part is not looked for, and the digest is read when it is asked for. Raises as
        `decode` does.
        """
        fields, _ = _split(data, room_id)
        return SnapshotHeader(
            version=VERSION,
            room_id=fields.room_id,
            position=Position(fields.epoch, fields.seq),
            tier=fields.tier,
            taken_at=fields.taken_at,
            level=fields.level,
            info=RoomInfo(*fields.info),
            messages=fields.messages,
            authors=fields.authors,
            members=fields.members,
            config_hash=fields.config_hash.hex(),
            dictionary=fields.dictionary,
            payload_bytes=fields.payload_bytes,
            snapshot_bytes=len(data),
            digest_json=fields.digest,
        )

    def payload(self, data: bytes) -> bytes:
        """What of a snapshot is compressed, for `DictionaryTrainer.add`. O(bytes). Raises as `decode` does."""
        return self._open(data, None)[1]

    def _open(self, data: bytes, room_id: str | None) -> tuple[Fields, bytes]:
        fields, start = _split(data, room_id)
        if fields.payload_bytes > self.max_bytes:
            raise DamagedSnapshot("snapshot", f"states {fields.payload_bytes} bytes, more than {self.max_bytes}")
        frame = memoryview(data)[start:]
        return fields, self._frames.decompress(frame, fields.payload_bytes, fields.dictionary)

    def _fields(self, image: RoomImage, columns: MessageColumns, payload_bytes: int) -> Fields:
        return Fields(
            room_id=image.room_id,
            epoch=image.position.epoch,
            seq=image.position.seq,
            tier=image.tier,
            taken_at=image.taken_at,
            level=self.level.value,
            info=structs.astuple(image.info),
            messages=columns.items,
            authors=columns.users.size,
            members=len(image.members),
            config_hash=config_hash(image),
            dictionary=self.dictionary.id if self.dictionary else 0,
            payload_bytes=payload_bytes,
            digest=encode_json(image.digest) if image.digest else b"",
        )

    def _unpack(self, fields: Fields, data: bytes, last: int | None) -> RoomImage:
        payload = _PAYLOADS.decode(data)
        if payload.messages.items != fields.messages:
            raise DamagedSnapshot("snapshot", "has another number of messages than its header says")
        _check_cost("snapshot", DamagedSnapshot, payload.messages, payload.rest, len(data), self.max_bytes)
        messages, seqs = payload.messages.unpack(last)
        rest: dict[str, Any] = _RESTS.decode(payload.rest)
        image = RoomImage(
            room_id=fields.room_id,
            position=Position(fields.epoch, fields.seq),
            tier=fields.tier,
            taken_at=fields.taken_at,
            info=RoomInfo(*fields.info),
            digest=read_digest(fields.digest),
            messages=messages,
            seqs=seqs,
            **rest,
        )
        return image if last is None else _narrowed(image)


def _split(data: bytes, room_id: str | None) -> tuple[Fields, int]:
    fields, start = split(data)
    if room_id is not None and fields.room_id != room_id:
        raise DamagedSnapshot("snapshot", f"is of the room {fields.room_id!r}, not {room_id!r}")
    return fields, start


def _check_cost(
    where: str, error: type[Exception], columns: MessageColumns, rest: bytes, payload_bytes: int, max_bytes: int
) -> None:
    """Raise unless decoding is certain to stay within ``max_bytes``."""
    if (_DEAREST + 4 * columns.items) * (payload_bytes + columns.items) <= max_bytes:
        return  # most snapshots are far from it
    cost = 2 * payload_bytes + columns.memory_cost() + json_cost(rest)
    if cost > max_bytes:
        raise error(where, f"may take {cost} bytes of memory to decode, more than max_bytes={max_bytes}")


def _narrowed(image: RoomImage) -> RoomImage:
    """The image of a partial decode: what was said of messages that are not in it goes too."""
    dropped = len(image.seqs) - len(image.messages)
    if dropped <= 0:
        return image
    ids = {message.id for message in image.messages}
    return structs.replace(
        image,
        seqs=image.seqs[dropped:],
        held_after=max(image.held_after, image.seqs[dropped - 1]),
        annotations={key: value for key, value in image.annotations.items() if key in ids},
    )


def _rest(image: RoomImage) -> dict[str, Any]:
    """The fields that are neither in the header nor in columns, unless they have their default values.

    Times are in UTC: an offset in JSON has no seconds.
    """
    rest = {name: value for name, default in _DEFAULTS.items() if (value := getattr(image, name)) != default}
    if image.notifications:
        rest["notifications"] = [
            structs.replace(each, timestamp=_in_utc(each.timestamp)) for each in image.notifications
        ]
    if image.annotations:
        rest["annotations"] = {
            key: structs.replace(each, edited_at=_in_utc(each.edited_at)) if each.edited_at else each
            for key, each in image.annotations.items()
        }
    return rest


def _in_utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time
