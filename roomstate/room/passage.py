"""Going up and down: what a room becomes when its tier changes, and between memory and an image.

Nothing here decides *that* a room moves, or waits for what must be safe first: the manager does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import structs

from roomstate.effects import LogEntry
from roomstate.errors import InvalidValue
from roomstate.image import RoomImage
from roomstate.model import EMPTY, Marker, Tier, as_message
from roomstate.position import MAX_SEQ
from roomstate.room.reduce import MakeMessage, apply_logged, made
from roomstate.room.roster import Roster
from roomstate.room.states import ActiveRoom, BackgroundRoom, Digest, Limits, LiveRoom
from roomstate.room.timeline import Timeline
from roomstate.updates import ABOUT_MESSAGES, MessageAdded

__all__ = ["check_image", "demoted", "empty", "image_of", "promoted", "rebuilt", "room_of"]

_SHARED = LiveRoom.__struct_fields__


def empty(
    room_id: str, epoch: str, tier: Tier, limits: Limits, *, head: int = 0, ordinal: int = 0, by_time: bool = False
) -> LiveRoom:
    """Return a room that holds nothing and has come as far as ``head``. O(1).

    Of a log that has only begun (at seq 0 of a known epoch) all members are known: there are none.
    """
    kind = ActiveRoom if tier is Tier.ACTIVE else BackgroundRoom
    timeline = Timeline(limits.messages(tier), limits.room_bytes, by_time=by_time, dropped_to=head, gone=ordinal)
    timeline.head = head
    room = kind(room_id=room_id, epoch=epoch, timeline=timeline, floor=head)
    if limits.digest is not None:
        _digest_into(room, limits.digest())
    if isinstance(room, ActiveRoom):
        room.roster.complete = _has_begun(room)
    return room


def _has_begun(room: LiveRoom) -> bool:
    """Whether nothing is in the room's log yet."""
    return room.head == 0 and room.epoch != "" and not room.timeline.by_time


def _digest_into(room: LiveRoom, digest: Digest) -> None:
    """Let ``digest`` sum up what leaves the room's memory from now on."""
    room.digest = digest
    room.timeline.on_drop = digest.add


def promoted(room: LiveRoom, limits: Limits) -> ActiveRoom:
    """Return the ACTIVE room that shares all that ``room`` held; ``room`` is not to be used again. O(1)."""
    room.timeline.resize(limits.active_messages)
    active = ActiveRoom(**{name: getattr(room, name) for name in _SHARED})
    active.roster.complete = _has_begun(room)
    active.changes += 1
    return active


def demoted(room: ActiveRoom, limits: Limits) -> BackgroundRoom:
    """Return the BACKGROUND room of ``room``, which is not to be used again; older messages are dropped. O(n)."""
    room.timeline.resize(limits.background_messages)
    room.roster.forget_members()
    background = BackgroundRoom(**{name: getattr(room, name) for name in _SHARED})
    background.changes += 1
    return background


def image_of(room: LiveRoom, now: float, markers: Mapping[str, Marker] = EMPTY) -> RoomImage:
    """Return all of ``room`` as values, which share its messages. O(n): about 20 µs a thousand messages."""
    timeline = room.timeline
    timeline.settle()  # what the image leaves out is in its digest
    image = RoomImage(
        room_id=room.room_id,
        position=room.position,
        tier=room.tier.name,
        by_time=timeline.by_time,
        floor=room.floor,
        held_after=room.held_after,
        ordinal=timeline.ordinal,
        taken_at=now,
        info=room.summary,
        config=room.config,
        moderation=room.moderation,
        messages=timeline.messages(),
        seqs=timeline.seqs(),
        annotations=dict(timeline.annotations) or EMPTY,
        tombstones=tuple(timeline.tombstones),
        gaps=room.gaps,
        members=room.roster.members(),
        members_complete=room.roster.complete,
        presence=room.roster.presence or EMPTY,
        notifications=tuple(room.notifications or ()),
        markers=markers,
        digest=room.digest.to_plain() if room.digest is not None else EMPTY,
    )
    if isinstance(room, ActiveRoom):
        return structs.replace(image, ui_state=dict(room.ui_state) or EMPTY)
    return image


def check_image(image: RoomImage) -> None:
    """Raise ``InvalidValue`` unless the parts of ``image`` agree: counts, orders, and positions within its own. O(n).

    Single values are not looked at: whoever decoded the image has done so.
    """
    seqs, gaps, head = image.seqs, image.gaps, image.position.seq
    if not 0 <= image.floor <= image.held_after <= head <= MAX_SEQ and not image.by_time:
        raise InvalidValue("image", "must have 0 <= floor <= held_after <= position.seq")
    if len(seqs) != len(image.messages):
        raise InvalidValue("image.seqs", f"must be one for each of {len(image.messages)} messages, got {len(seqs)}")
    ordered = sorted(seqs)
    if seqs and (ordered[0] < 0 or ordered[-1] > head or not (image.by_time or ordered == list(seqs))):
        raise InvalidValue("image.seqs", f"must be ascending and not above {head}")
    ends = [end for gap in gaps for end in (gap.after, gap.upto)] if gaps else None
    if ends and (ends != sorted(ends) or ends[0] < image.floor or ends[-1] > head):
        raise InvalidValue("image.gaps", f"must be ascending and within ({image.floor}, {head}]")


def room_of(image: RoomImage, tier: Tier, limits: Limits, make: MakeMessage | None = None) -> LiveRoom:
    """Return the room that ``image`` describes, held at ``tier``: what does not fit there is left out. O(n).

    ``make`` turns its messages into the host's own class. Raises ``InvalidValue`` for an image whose parts do not agree
    (`check_image`).
    """
    check_image(image)
    ordinal = max(image.ordinal, len(image.messages))
    room = empty(image.room_id, image.position.epoch, tier, limits, ordinal=ordinal, by_time=image.by_time)
    if room.digest is not None and image.digest:
        _digest_into(room, room.digest.merge(room.digest.from_plain(image.digest)))
    messages = image.messages if make is None else [made(as_message(message), make) for message in image.messages]
    room.timeline.prepend(messages, image.seqs, image.held_after)
    room.timeline.bury(image.tombstones)
    for message_id, note in image.annotations.items():
        room.timeline.annotate(message_id, note)
    room.head, room.floor = image.position.seq, image.floor
    room.info, room.gaps = image.info, image.gaps
    room.config, room.moderation = image.config, image.moderation
    for notification in image.notifications:
        room.note(notification, limits)
    room.roster = Roster.of(image.members, image.presence, complete=image.members_complete or _has_begun(room))
    if isinstance(room, ActiveRoom):
        room.ui_state = dict(image.ui_state)
    else:
        room.roster.forget_members()
    return room


def rebuilt(
    image: RoomImage | None,
    entries: Iterable[LogEntry],
    blank: LiveRoom,
    now: float,
    limits: Limits,
    make: MakeMessage | None = None,
) -> LiveRoom:
    """Return the room that ``image`` and the log ``entries`` after it describe, at the tier of ``blank``. O(n).

    ``blank`` is what stands where there is no image: an empty room, of the log's epoch. Entries that do not join the
    image begin a window of their own: what the image says of messages and members is then left out. Where they reach
    further back than the image's messages, messages come from them alone; where they begin at 1, members too.
    """
    entries = tuple(entries)
    room = blank if image is None else room_of(image, blank.tier, limits, make)
    told = room.head  # what is not about messages is known up to here
    if image is not None and entries and _reaches_back(image, entries[0], limits):
        room = _reaching_back(room, blank, entries[0], limits)
        told = told if room.head else 0
    for entry in entries:
        if entry.seq <= room.head:
            continue
        if entry.seq <= told and not isinstance(entry.update, ABOUT_MESSAGES):
            room.head = entry.seq
            continue
        if entry.seq != room.head + 1:
            room = _cut(room, blank, entry, limits)
        update = entry.update
        if make is not None and isinstance(update, MessageAdded):
            update = MessageAdded(made(as_message(update.message), make))
        apply_logged(room, update, entry.seq, now, limits, make)
        room.head = entry.seq  # also where the entry repeats a message, and holds nothing
    room.epoch = blank.epoch
    return room


def _reaches_back(image: RoomImage, entry: LogEntry, limits: Limits) -> bool:
    """Whether a log from ``entry`` on has more than ``image``, and no message that its digest has summed up."""
    more = entry.seq == 1 or entry.seq <= image.held_after
    return more and (limits.digest is None or entry.seq == image.floor + 1)


def _reaching_back(room: LiveRoom, blank: LiveRoom, entry: LogEntry, limits: Limits) -> LiveRoom:
    """Return a room that begins right before ``entry``, and has all of ``room`` that no log from there on tells."""
    fresh = _cut(room, blank, entry, limits)
    fresh.timeline.bury(room.timeline.tombstones)
    if fresh.head:
        fresh.roster = room.roster
    for user, state in room.roster.presence.items():
        fresh.roster.set_presence(user, state)
    if isinstance(room, ActiveRoom) and isinstance(fresh, ActiveRoom):
        fresh.ui_state = room.ui_state
    return fresh


def _cut(room: LiveRoom, blank: LiveRoom, entry: LogEntry, limits: Limits) -> LiveRoom:
    """Return a room that begins right before ``entry``, and has only what does not depend on its messages."""
    added = 1 if isinstance(entry.update, MessageAdded) else 0
    fresh = empty(room.room_id, room.epoch, blank.tier, limits, head=entry.seq - 1, ordinal=entry.ordinal - added)
    fresh.info, fresh.config, fresh.moderation = room.info, room.config, room.moderation
    fresh.notifications = room.notifications
    fresh.floor, fresh.gaps = room.floor, room.gaps
    return fresh
