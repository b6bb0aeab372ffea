"""Going up and down: what a room becomes when its tier changes, and between memory and an image.

Nothing here decides *that* a room moves, or waits for what must be safe first: the manager does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from roomstate.effects import LogEntry
from roomstate.image import RoomImage
from roomstate.model import EMPTY, Marker, MessageLike, Tier, as_message
from roomstate.room.buffer import CircularBuffer
from roomstate.room.reduce import MakeMessage, apply
from roomstate.room.roster import Roster
from roomstate.room.states import ActiveRoom, BackgroundRoom, Limits, LiveRoom
from roomstate.room.timeline import Timeline
from roomstate.updates import MessageAdded

__all__ = ["demoted", "empty", "image_of", "promoted", "rebuilt", "room_of"]

_SHARED = ("room_id", "epoch", "timeline", "head", "floor", "changes", "info", "config", "gaps", "notifications")


def empty(
    room_id: str, epoch: str, tier: Tier, limits: Limits, *, head: int = 0, ordinal: int = 0, by_time: bool = False
) -> LiveRoom:
    """Return a room that holds nothing and has come as far as ``head``. O(1).

    Of a log that has only begun (at seq 0 of a known epoch) all members are known: there are none.
    """
    kind = ActiveRoom if tier is Tier.ACTIVE else BackgroundRoom
    timeline = Timeline(limits.messages(tier), limits.room_bytes, by_time=by_time, after=head, ordinal=ordinal)
    room = kind(room_id=room_id, epoch=epoch, timeline=timeline, head=head, floor=head)
    if isinstance(room, ActiveRoom):
        room.roster.complete = head == 0 and epoch != "" and not by_time
    return room


def promoted(room: LiveRoom, limits: Limits) -> ActiveRoom:
    """Return the ACTIVE room that shares all that ``room`` held; ``room`` is not to be used again. O(1)."""
    room.timeline.max_messages = limits.active_messages
    active = ActiveRoom(**{name: getattr(room, name) for name in _SHARED})
    active.changes += 1
    return active


def demoted(room: ActiveRoom, limits: Limits) -> BackgroundRoom:
    """Return the BACKGROUND room of ``room``, which is not to be used again; older messages are dropped. O(n)."""
    room.timeline.resize(limits.background_messages)
    background = BackgroundRoom(**{name: getattr(room, name) for name in _SHARED}, present=room.roster.present)
    background.changes += 1
    return background


def image_of(room: LiveRoom, now: float, markers: Mapping[str, Marker] = EMPTY) -> RoomImage:
    """Return all of ``room`` as values, which share its messages. O(n): about 20 µs a thousand messages."""
    active = room if isinstance(room, ActiveRoom) else None
    timeline = room.timeline
    return RoomImage(
        room_id=room.room_id,
        position=room.position,
        tier=room.tier.name,
        floor=room.floor,
        held_after=room.held_after,
        ordinal=timeline.ordinal,
        taken_at=now,
        info=room.info,
        config=room.config,
        moderation=active.moderation if active else EMPTY,
        messages=timeline.messages(),
        seqs=timeline.seqs(),
        annotations=dict(timeline.annotations) or EMPTY,
        tombstones=tuple(timeline.tombstones),
        gaps=room.gaps,
        members=active.roster.members() if active else (),
        members_complete=active.roster.complete if active else False,
        presence=active.roster.presence if active else EMPTY,
        notifications=tuple(room.notifications or ()),
        ui_state=dict(active.ui_state) if active else EMPTY,
        markers=markers,
        by_time=timeline.by_time,
    )


def room_of(image: RoomImage, tier: Tier, limits: Limits, make: MakeMessage | None = None) -> LiveRoom:
    """Return the room that ``image`` describes, held at ``tier``: what does not fit there is left out. O(n)."""
    room = empty(image.room_id, image.position.epoch, tier, limits)
    messages: Sequence[MessageLike] = (
        image.messages if make is None else [make(as_message(message)) for message in image.messages]
    )
    keep = min(len(messages), limits.messages(tier))
    skip = len(messages) - keep
    after = max(image.seqs[:skip], default=image.held_after)
    timeline = Timeline(
        limits.messages(tier), limits.room_bytes, by_time=image.by_time, after=after, ordinal=image.ordinal
    )
    timeline.prepend(messages[skip:], image.seqs[skip:], after)
    timeline.bury(image.tombstones)
    timeline.annotations.update((key, note) for key, note in image.annotations.items() if key in timeline.ids)
    room.timeline, room.head, room.floor = timeline, image.position.seq, image.floor
    room.info, room.config, room.gaps = image.info, image.config, image.gaps
    if image.notifications:
        room.notifications = CircularBuffer(limits.notifications)
        room.notifications.extend(image.notifications)
    if isinstance(room, ActiveRoom):
        room.moderation = image.moderation
        room.ui_state = dict(image.ui_state)
        room.roster = Roster(image.members, complete=image.members_complete)
        for user, state in image.presence.items():
            room.roster.set_presence(user, state)
    elif isinstance(room, BackgroundRoom):
        room.present = len(image.presence)
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
    image begin a window of their own: what the image says of messages and members is then left out.
    """
    room = blank if image is None else room_of(image, blank.tier, limits, make)
    for entry in entries:
        if entry.seq <= room.head:
            continue
        if entry.seq != room.head + 1:
            room = _cut(room, blank, entry, limits)
        update = entry.update
        if make is not None and isinstance(update, MessageAdded):
            update = MessageAdded(make(as_message(update.message)))
        apply(room, update, entry.seq, now, limits, make)
        room.head = entry.seq  # also where the entry repeats a message, and holds nothing
    room.epoch = blank.epoch
    return room


def _cut(room: LiveRoom, blank: LiveRoom, entry: LogEntry, limits: Limits) -> LiveRoom:
    """Return a room that begins right before ``entry``, and has only what does not depend on its messages."""
    added = 1 if isinstance(entry.update, MessageAdded) else 0
    fresh = empty(room.room_id, room.epoch, blank.tier, limits, head=entry.seq - 1, ordinal=entry.ordinal - added)
    fresh.info, fresh.config, fresh.notifications = room.info, room.config, room.notifications
    fresh.floor = room.floor
    return fresh
