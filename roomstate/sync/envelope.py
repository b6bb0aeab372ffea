"""The wire format: the specification's JSON to and from typed values.

`decode` looks at the size first, then decodes once with types that know every length and range, then looks at what
types cannot say (`roomstate.sync.checking`). What comes out can be applied, logged and saved; what does not raised a
`ProtocolError` that names the field, and nothing else.

An envelope covers the positions ``(previous, sequence_number]`` of the log ``epoch``. Where both are equal it carries
ephemeral things only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from msgspec import Meta, Struct, structs
from msgspec.json import Decoder, Encoder

from roomstate.effects import Head, LogEntry
from roomstate.errors import InvalidValue, Malformed
from roomstate.image import RoomImage
from roomstate.model import EMPTY, Id, Message, RoomInfo, Seq, Time, User, as_message
from roomstate.position import Position
from roomstate.room.passage import check_image
from roomstate.sync.checking import MAX_ENVELOPE, UNREADABLE, as_bytes, check_data, refused
from roomstate.sync.feed import Missing
from roomstate.sync.feed import fingerprint as _fingerprint
from roomstate.sync.payloads import (
    MAX_ITEMS,
    MAX_MEMBERS,
    NO_OTHERS,
    AddedMessage,
    BulkSync,
    DeltaUpdate,
    Heartbeat,
    KnownUser,
    Payload,
    StateUpdate,
    delta_of,
    item_of,
    others_of,
    payload_of,
)
from roomstate.updates import LOGGED, MessageAdded, Update

__all__ = [
    "AnyEnvelope",
    "BulkSyncEnvelope",
    "DeltaUpdateEnvelope",
    "Envelope",
    "HeartbeatEnvelope",
    "StateUpdateEnvelope",
    "checked",
    "decode",
    "encode",
    "of_data",
    "of_heartbeat",
    "of_image",
    "of_missing",
    "of_update",
    "of_withheld",
    "written",
]


MAX_PART: Final = 1000
"""Entries that one envelope of a chain tells: as many as a feed gives at a time."""

MAX_PART_BYTES: Final = 1 << 20
"""Bytes of them: what common web-socket libraries take in one frame unless told otherwise (websockets: 1 MiB)."""

T = TypeVar("T")

_UNTOLD: Final = -1  # what `previous` is before `decode` has put one
_PER_ITEM = 24  # bytes: a comma and the longest seq


def _nobody(user_id: str) -> User | None:
    return None


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="message_type"):
    """One thing that an authority tells a replica of one room: one of the four types below, by what it carries.

    It covers ``(previous, sequence_number]`` of the log ``epoch`` ("" where the peer has none). ``withheld``: what lies
    there was left out on purpose. ``fingerprint`` is the equality hash of the entry at ``sequence_number`` ("" if not
    told), for the replica's next `Token`; ``ordinal`` counts the messages ever added up to there. ``answers`` is the
    request whose answer ends with this. `decode` reads one, and the functions whose names begin with ``of_`` make one.
    """

    room_id: Id
    timestamp: Time
    sequence_number: Seq
    data: Payload
    epoch: Annotated[str, Meta(max_length=64)] = ""
    previous: Seq = _UNTOLD
    withheld: bool = False
    fingerprint: Annotated[str, Meta(max_length=64)] = ""
    ordinal: Seq | None = None
    answers: Seq | None = None

    @property
    def message_type(self) -> str:
        """The specification's word for what this carries."""
        return str(self.__struct_config__.tag)

    @property
    def bare(self) -> bool:
        """Whether some added message is only named: its body must be asked for. O(added)."""
        return isinstance(self.data, DeltaUpdate) and any(isinstance(item, str) for item in self.data.added_messages)

    def entries(self, user: KnownUser = _nobody) -> tuple[tuple[int, Update], ...]:
        """Return what this says as updates with their seqs, in the order in which to apply them. O(items log items).

        Ephemeral ones have seq 0 and come last. ``user`` gives the record of a member as it is now, which patches
        change. Bare ids say no update, and an image or a heartbeat none at all.
        """
        data = self.data
        if type(data) is DeltaUpdate:
            added = data.added_messages
            if len(added) == 1 and others_of(data) == NO_OTHERS and type(one := added[0]) is AddedMessage:
                message = Message(one.id, one.user, one.content, one.timestamp, one.badges, one.extra)
                return ((one.seq or self.sequence_number, MessageAdded(message)),)  # the short way for most of them
            return tuple(data.entries(self.previous, self.sequence_number, user))
        if isinstance(data, StateUpdate):
            return tuple((self.sequence_number, update) for update in data.updates())
        return ()

    def image(self) -> RoomImage:
        """Return the room that a BULK_SYNC describes. O(n).

        Raises ``Malformed`` for another type, and where the parts of the image do not agree.
        """
        if not isinstance(self.data, BulkSync):
            raise Malformed("message_type", f"must be BULK_SYNC for an image, got {self.message_type}")
        image = _image(self, self.data)
        try:
            check_image(image)
        except InvalidValue as error:
            raise Malformed(error.where, error.reason) from None
        if image.seqs and image.seqs[0] < image.held_after and not image.by_time:
            raise Malformed("image.seqs", f"must not lie below held_after, {image.held_after}")
        if image.gaps and any(gap.after == gap.upto for gap in image.gaps):
            raise Malformed("image.gaps", "must not be empty")
        return image


def _image(envelope: Envelope, data: BulkSync) -> RoomImage:
    head, messages = envelope.sequence_number, data.messages
    seqs = data.seqs
    if seqs is None:
        seqs = tuple(max(0, seq) for seq in range(head - len(messages) + 1, head + 1))
    held_after = data.held_after
    if held_after is None:
        held_after = max(0, seqs[0] - 1) if seqs else head
    return RoomImage(
        room_id=envelope.room_id,
        position=Position(envelope.epoch, head),
        floor=held_after if data.floor is None else data.floor,
        held_after=held_after,
        ordinal=len(messages) if envelope.ordinal is None else envelope.ordinal,
        taken_at=envelope.timestamp.timestamp(),
        info=RoomInfo(
            data.user_count, data.moderator_count, data.stream_status, data.last_activity, data.last_config_update
        ),
        config=data.room_config,
        moderation=data.moderation_config,
        messages=messages,
        seqs=seqs,
        annotations=data.annotations,
        tombstones=data.removed_messages,
        gaps=data.gaps,
        members=data.users,
        members_complete=data.members_complete,
        presence=data.presence,
        notifications=data.notifications,
        ui_state=data.ui_state,
        markers=data.markers,
        by_time=data.by_time,
    )


class StateUpdateEnvelope(Envelope, frozen=True, tag="STATE_UPDATE"):
    """A room's state is now this."""

    data: StateUpdate


class BulkSyncEnvelope(Envelope, frozen=True, tag="BULK_SYNC"):
    """A room is this."""

    data: BulkSync


class DeltaUpdateEnvelope(Envelope, frozen=True, tag="DELTA_UPDATE"):
    """This has happened in a room."""

    data: DeltaUpdate


class HeartbeatEnvelope(Envelope, frozen=True, tag="HEARTBEAT"):
    """A room's log ends here."""

    data: Heartbeat


AnyEnvelope: TypeAlias = StateUpdateEnvelope | BulkSyncEnvelope | DeltaUpdateEnvelope | HeartbeatEnvelope


# -- the wire --------------------------------------------------------------------------------------------------------


class _Outer(Struct, frozen=True):
    room_state_sync: AnyEnvelope


_decode = Decoder(_Outer).decode
_encode = Encoder().encode


def encode(envelope: Envelope) -> bytes:
    """Return ``envelope`` as JSON. O(size). Raises ``InvalidValue`` for values that JSON cannot carry."""
    return written("envelope", {"room_state_sync": envelope})


def written(where: str, value: object) -> bytes:
    """Return ``value`` as JSON. O(size). Raises ``InvalidValue``, which names ``where``, for what JSON cannot carry."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidValue(where, f"cannot be written as JSON: {error}") from None


def decode(raw: bytes | str, max_bytes: int = MAX_ENVELOPE) -> Envelope:
    """Return the envelope that ``raw`` is. O(size).

    Raises ``Oversized`` for more than ``max_bytes`` bytes, items or nesting than the format allows, and ``Malformed``
    for anything else that is not a sound envelope; ``where`` is the path of the field. ``InvalidValue`` is for what is
    neither bytes nor text: no peer has sent it. Unknown fields are ignored, and of a repeated key the last counts.

    >>> decode('{"room_state_sync": {"message_type": "HEARTBEAT", "room_id": "rust", "timestamp": '
    ...        '"2026-01-01T00:00:00Z", "sequence_number": 7, "data": {"epoch": "e1", "head": 7}}}').data.head
    7
    >>> decode("[]")
    Traceback (most recent call last):
    roomstate.errors.Malformed: envelope: Expected `object`, got `array`
    """
    if type(raw) is not bytes or len(raw) > max_bytes:
        raw = as_bytes(raw, max_bytes, "envelope")
    try:
        envelope = _decode(raw).room_state_sync
    except UNREADABLE as error:
        raise refused(error, "envelope") from None
    return checked(envelope)


def checked(envelope: AnyEnvelope) -> Envelope:
    """Return what was decoded, once all was looked at that types cannot say. O(size)."""
    upto, previous, data = envelope.sequence_number, envelope.previous, envelope.data
    if _UNTOLD < previous < upto and type(data) is DeltaUpdate and others_of(data) == NO_OTHERS:
        for item in data.added_messages:
            if type(item) is AddedMessage and (item.extra or item.seq is not None or item.timestamp.tzinfo is not UTC):
                break
        else:
            if envelope.timestamp.tzinfo is UTC and not envelope.withheld:
                return envelope  # the short way for most of them: types have said all there is to say
    elif previous == _UNTOLD:
        previous = max(0, upto - 1)
        envelope = structs.replace(envelope, previous=previous)
    elif previous > upto:
        raise Malformed("room_state_sync.previous", f"must be at most sequence_number, {upto}, got {previous}")
    check_data(envelope.room_id, envelope.timestamp, previous, upto, envelope.withheld, data)
    if isinstance(data, Heartbeat):
        if envelope.epoch not in ("", data.epoch):
            raise Malformed("room_state_sync.data.epoch", "must be the envelope's own")
        return structs.replace(envelope, epoch=data.epoch)
    if isinstance(data, BulkSync):
        envelope.image()
    return envelope


# -- what an authority says ------------------------------------------------------------------------------------------

_ENVELOPES: Final[Mapping[type[Any], type[Envelope]]] = {
    StateUpdate: StateUpdateEnvelope,
    BulkSync: BulkSyncEnvelope,
    DeltaUpdate: DeltaUpdateEnvelope,
    Heartbeat: HeartbeatEnvelope,
}


def of_data(room_id: str, epoch: str, previous: int, seq: int, data: Payload, now: float, **fields: Any) -> Envelope:
    """Return the envelope that carries ``data``, of the type for it; ``fields`` are those of `Envelope`. O(1)."""
    return _ENVELOPES[type(data)](
        room_id=room_id,
        timestamp=datetime.fromtimestamp(now, UTC),
        epoch=epoch,
        previous=previous,
        sequence_number=seq,
        data=data,
        **fields,
    )


def of_update(
    room_id: str, epoch: str, previous: int, seq: int, update: Update, now: float, *, ordinal: int | None = None
) -> Envelope:
    """Return the envelope that tells of one update at ``seq``, the first after ``previous``. O(1).

    An ephemeral update takes no position: ``seq`` is then ``previous``. ``now`` is in seconds since 1970.
    """
    mark = _fingerprint(update) if isinstance(update, LOGGED) else ""
    return of_data(room_id, epoch, previous, seq, payload_of(update), now, fingerprint=mark, ordinal=ordinal)


def of_withheld(
    room_id: str, epoch: str, previous: int, seq: int, now: float, *, fingerprint: str = "", ordinal: int | None = None
) -> Envelope:
    """Return the envelope that says that ``(previous, seq]`` is there and is left out. O(1)."""
    told = {"withheld": True, "fingerprint": fingerprint, "ordinal": ordinal}
    return of_data(room_id, epoch, previous, seq, DeltaUpdate(), now, **told)


def of_missing(
    room_id: str,
    missing: Missing,
    now: float,
    *,
    answers: int | None = None,
    fingerprint: str = "",
    ordinal: int | None = None,
) -> tuple[Envelope, ...]:
    """Return what a copy lacks as a chain of envelopes, each of which begins where the one before ends. O(entries).

    Each but those of STATE_UPDATEs holds as many entries as fit in ``MAX_PART`` items and bytes. ``fingerprint`` and
    ``ordinal`` are those at the end, ``missing.upto``; ``answers`` stands on the last: with it the answer is whole.
    """
    chain: list[Envelope] = []
    after, epoch = missing.after, missing.epoch
    for part in _parts(missing.entries):
        upto = part[-1].seq
        data = _told(part, upto - after)
        mark = _fingerprint(part[-1].update)
        chain.append(of_data(room_id, epoch, after, upto, data, now, fingerprint=mark))
        after = upto
    if after < missing.upto or not chain:
        chain.append(of_data(room_id, epoch, after, missing.upto, DeltaUpdate(), now))
    mark = fingerprint or chain[-1].fingerprint
    chain[-1] = structs.replace(chain[-1], fingerprint=mark, ordinal=ordinal, answers=answers)
    return tuple(chain)


def _parts(entries: Iterable[LogEntry]) -> Iterator[list[LogEntry]]:
    """Cut ``entries`` into what one envelope each can tell."""
    part: list[LogEntry] = []
    size = 0
    for entry in entries:
        item = item_of(entry.update)
        weight = MAX_PART_BYTES if item is None else len(_encode(item[1])) + _PER_ITEM
        if part and (size + weight > MAX_PART_BYTES or len(part) == MAX_PART):
            yield part
            part, size = [], 0
        part.append(entry)
        size += weight
    if part:
        yield part


def _told(part: list[LogEntry], span: int) -> Payload:
    """Return what tells of ``part``, whose last entry is the last of ``span`` positions."""
    plain = len(part) == span and all(isinstance(entry.update, MessageAdded) for entry in part)
    if len(part) == 1:
        return payload_of(part[0].update)
    items = (item_of(entry.update, None if plain else entry.seq) for entry in part)
    return delta_of(item for item in items if item is not None)  # `_parts` leaves the others alone


def of_image(
    image: RoomImage, now: float, *, user: str = "", viewer: str = "", fingerprint: str = "", answers: int | None = None
) -> Envelope:
    """Return the envelope that gives ``image`` to ``user`` at ``viewer``: of what is private only theirs. O(n).

    What would not fit in ``MAX_ENVELOPE`` is left out, and the image says so: the oldest messages (``held_after`` is
    then later, and nothing before it is told), the last members (``members_complete`` is then false). What is not for
    replicas is not told either: the tier, a foreign cursor, the digest.
    """
    position, info = image.position, image.info
    within = 0 if image.by_time else bisect_left(image.seqs, image.held_after)
    messages = _newest(map(as_message, reversed(image.messages[within:])), share=2)
    cut = len(image.messages) - len(messages)
    held = {message.id for message in messages}
    members = _newest(image.members, MAX_MEMBERS, share=8)
    notes = _newest(((id, note) for id, note in reversed(list(image.annotations.items())) if id in held))
    data = BulkSync(
        messages=tuple(reversed(messages)),
        users=tuple(members),
        seqs=image.seqs[cut:],
        held_after=max(image.held_after, image.seqs[cut - 1]) if cut > within else image.held_after,
        floor=image.floor,
        removed_messages=tuple(reversed(_newest(reversed(image.tombstones)))),
        gaps=tuple(gap for gap in image.gaps if gap.after < gap.upto)[-MAX_ITEMS:],
        annotations=dict(reversed(notes)) or EMPTY,
        presence=dict(_newest(image.presence.items(), MAX_MEMBERS)) or EMPTY,
        members_complete=image.members_complete and len(members) == len(image.members),
        room_config=image.config,
        moderation_config=image.moderation,
        user_count=info.user_count,
        moderator_count=info.moderator_count,
        stream_status=info.stream_status,
        last_activity=info.last_activity,
        last_config_update=info.last_config_update,
        notifications=tuple(each for each in image.notifications if each.user == user)[-MAX_ITEMS:],
        markers={user: image.markers[user]} if user in image.markers else EMPTY,
        ui_state={viewer: image.ui_state[viewer]} if viewer in image.ui_state else EMPTY,
        by_time=image.by_time,
    )
    told = {"fingerprint": fingerprint, "ordinal": image.ordinal, "answers": answers}
    return of_data(image.room_id, position.epoch, 0, position.seq, data, now, **told)


def _newest(values: Iterable[T], most: int = MAX_ITEMS, share: int = 16) -> list[T]:
    """Return the first of ``values``, at most so many, that as JSON take up no more than their share of an envelope."""
    left, kept = MAX_ENVELOPE // share, []
    for value in islice(values, most):
        left -= len(_encode(value)) + 1
        if left < 0:
            break
        kept.append(value)
    return kept


def of_heartbeat(room_id: str, head: Head, now: float) -> Envelope:
    """Return the envelope that says where a room's log ends. O(1)."""
    epoch, seq = head.position.epoch, head.position.seq
    return of_data(room_id, epoch, seq, seq, Heartbeat(epoch, seq, head.ordinal), now)
