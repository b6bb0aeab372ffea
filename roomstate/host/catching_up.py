"""What one viewer's copy of a room lacks: the exact updates, or an image of what may be told."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from msgspec import structs

from roomstate.image import RoomImage
from roomstate.manager import RoomStateManager
from roomstate.model import EMPTY, Marker, Status, Tier
from roomstate.position import Position, Token
from roomstate.sync.envelope import Envelope, of_image, of_missing
from roomstate.sync.feed import Missing

__all__ = ["MAX_BRIEF", "brief", "caught_up", "complete", "told"]

MAX_BRIEF: Final = 50
"""Messages that a BACKGROUND viewer's copy begins with: as many as the tier holds (the specification)."""


def complete(manager: RoomStateManager, room_id: str) -> bool:
    """Whether a live room holds all that its tier does: of one that does not, no image is given."""
    live = manager.tier(room_id) >= Tier.BACKGROUND
    return live and manager.status(room_id) in (Status.READY, Status.STALE)


def caught_up(
    manager: RoomStateManager,
    room_id: str,
    token: Token | str | None,
    *,
    viewer: str,
    user: str,
    tier: Tier,
    now: float,
    answers: int | None = None,
) -> tuple[Envelope, ...]:
    """Return what brings a copy at ``token`` (None: that has nothing) up to what may be told. O(answer).

    () where that cannot be said now: an image is needed and the room is not `complete`, or it has changed in more than
    new messages since what the log confirmed last. Ask again when either changes.
    """
    progress = manager.progress(room_id)
    if progress is None or not progress.epoch or manager.tier(room_id) < Tier.BACKGROUND:
        return ()
    if progress.told < progress.seq and told(manager.image(room_id), progress.told, user) is None:
        return ()  # messages are as an edit has left them that may never come to be
    mark = manager.token(room_id).fingerprint
    ordinal = manager.head(room_id).ordinal
    if token is not None:
        missing = manager.since(room_id, token)
        if isinstance(missing, Missing) and (tier is Tier.ACTIVE or len(missing.entries) <= MAX_BRIEF):
            return of_missing(room_id, missing, now, answers=answers, fingerprint=mark, ordinal=ordinal)
    if not complete(manager, room_id):
        return ()
    image = told(manager.image(room_id), progress.told, user)
    if image is None:
        return ()
    image = image if tier is Tier.ACTIVE else brief(image)
    return (of_image(image, now, user=user, viewer=viewer, fingerprint=mark, answers=answers),)


def told(image: RoomImage, seq: int, user: str = "") -> RoomImage | None:
    """Return ``image`` as of ``seq``, or None where more than new messages has happened since. O(messages).

    Of the read markers it keeps ``user``'s. Cut off, it has no fingerprint: `token` of the manager has it.
    """
    head = image.position.seq
    if head <= seq:
        return image
    cut = bisect_right(image.seqs, seq)
    gone = image.messages[cut:]
    if image.by_time or image.held_after > seq or len(gone) != head - seq:
        return None
    ordinal = image.ordinal - len(gone)
    marker = image.markers.get(user)
    if marker is not None:
        own = sum(message.user == user for message in gone) if marker.seq <= seq else marker.own
        marker = _marker(marker, seq, ordinal, max(0, marker.own - own))
    return structs.replace(
        image,
        position=Position(image.position.epoch, seq),
        ordinal=ordinal,
        messages=image.messages[:cut],
        seqs=image.seqs[:cut],
        notifications=tuple(note for note in image.notifications if note.seq <= seq),
        markers={user: marker} if marker is not None else EMPTY,
        fingerprint="",
    )


def _marker(marker: Marker, seq: int, ordinal: int, own: int) -> Marker:
    mentions = tuple(mention for mention in marker.mentions if mention <= seq)
    after = min(marker.mentioned_after, seq)
    return Marker(min(marker.seq, seq), min(marker.ordinal, ordinal), own, mentions, marker.cut, after)


def brief(image: RoomImage, most: int = MAX_BRIEF) -> RoomImage:
    """Return what a BACKGROUND viewer holds of ``image``: the newest messages, and nothing of the members. O(most)."""
    cut = max(0, len(image.messages) - most)
    messages = image.messages[cut:]
    return structs.replace(
        image,
        messages=messages,
        seqs=image.seqs[cut:],
        held_after=max(image.held_after, image.seqs[cut - 1]) if cut else image.held_after,
        annotations={each.id: image.annotations[each.id] for each in messages if each.id in image.annotations} or EMPTY,
        members=(),
        members_complete=False,
        presence=EMPTY,
        ui_state=EMPTY,
    )
