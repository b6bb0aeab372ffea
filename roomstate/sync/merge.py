"""Two copies of one log put together: their messages, what was removed, and what is missing from both.

A copy *holds* a position if every message there is in its image or was removed: those in ``(held_after, position.seq]``
but for its gaps. So a message that one copy has, and that the other holds the position of and has not, was removed.
What was removed from either copy stays removed; what either copy holds is held. Both are unions, which is why it does
not matter in which order copies are put together, how often, and which of them is called the server's.

Copies in order of time (``by_time``) have no positions in common: there only a tombstone says that something is gone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import compress, groupby, pairwise
from operator import attrgetter, eq, itemgetter
from typing import Any, Final

from msgspec import structs

from roomstate.image import RoomImage
from roomstate.model import EMPTY, Annotation, Message, MessageLike, Notification
from roomstate.position import Gap, bounded
from roomstate.room.window import MAX_TOMBSTONES, time_key

__all__ = ["MAX_MERGED", "merge_logs", "merge_messages", "merge_part", "same_message"]

MAX_MERGED: Final = 1000
"""Messages that are left of two timelines, the newest: as many as an ACTIVE room holds (DESIGN §6, §9)."""

_Row = tuple[int, MessageLike]
_NO_NOTE = Annotation()
_id: Callable[[MessageLike], str] = attrgetter("id")
_seq: Callable[[_Row], int] = itemgetter(0)
_five = attrgetter("id", "user", "content", "timestamp", "extra")


def same_message(one: MessageLike | None, other: MessageLike | None) -> bool:
    """Whether two copies of a message are equal; of a host's own class only what roomstate reads counts. O(size)."""
    if one is other or one is None or other is None:
        return one is other
    if isinstance(one, Message) and isinstance(other, Message):
        return one == other
    return bool(_five(one) == _five(other))


# -- messages ----------------------------------------------------------------------------------------------------------


def merge_messages(
    client: Sequence[MessageLike],
    client_seqs: Sequence[int],
    server: Sequence[MessageLike],
    server_seqs: Sequence[int],
    *,
    by_time: bool = False,
) -> tuple[list[MessageLike], list[int]]:
    """Return the messages of two timelines, and their seqs: of an id on both sides the server's copy. O(n).

    Each timeline has an id once, and is in order: of its seqs, one for each message (``by_time``: of timestamp and id).
    Then so is the result. Messages of one time all stay, and so do those of one position: where both sides have some
    there and they are not the same ones, they are put in order of (timestamp, id); else they stay as they were.
    Timelines that are not in order cost O(n log n).

    The sort finds the two runs and merges them in one pass, at the speed of C.

    >>> from datetime import UTC, datetime
    >>> a, b, c = (Message(name, "bob", name, datetime(2026, 1, 1, tzinfo=UTC)) for name in "abc")
    >>> messages, seqs = merge_messages([a, c], [1, 3], [b, c], [2, 3])
    >>> [message.id for message in messages], seqs
    (['a', 'b', 'c'], [1, 2, 3])
    """
    theirs = set(map(_id, server))
    fresh = [message.id not in theirs for message in client]
    messages = [*server, *compress(client, fresh)]
    seqs = [*server_seqs, *compress(client_seqs, fresh)]
    keys: list[Any] = list(map(time_key, messages)) if by_time else seqs
    order = sorted(range(len(keys)), key=keys.__getitem__)
    messages, seqs = [messages[index] for index in order], [seqs[index] for index in order]
    if not by_time and any(map(eq, seqs, seqs[1:])):
        messages = _in_runs(messages, seqs, _runs(client, client_seqs), _runs(server, server_seqs))
    return messages, seqs


def _runs(messages: Sequence[MessageLike], seqs: Sequence[int]) -> dict[int, list[str]]:
    """The ids at each position, in order."""
    runs: dict[int, list[str]] = {}
    for message, seq in zip(messages, seqs, strict=True):
        runs.setdefault(seq, []).append(message.id)
    return runs


def _in_runs(
    messages: Sequence[MessageLike],
    seqs: Sequence[int],
    client: Mapping[int, list[str]],
    server: Mapping[int, list[str]],
) -> list[MessageLike]:
    """Put those of one position in order of (timestamp, id), unless both sides have them like this, or only one."""
    ordered: list[MessageLike] = []
    for seq, group in groupby(zip(seqs, messages, strict=True), key=_seq):
        run = [message for _, message in group]
        names = [message.id for message in run]
        if any(side.get(seq, names) != names for side in (client, server)):
            run.sort(key=time_key)
        ordered += run
    return ordered


# -- copies ------------------------------------------------------------------------------------------------------------


class _Copy:
    """One side's image, prepared for questions."""

    __slots__ = ("_uptos", "by_id", "image")

    def __init__(self, image: RoomImage) -> None:
        self.image = image
        self.by_id = dict(zip(map(_id, image.messages), image.messages, strict=True))
        self._uptos = [gap.upto for gap in image.gaps]

    def gap_at(self, seq: int) -> Gap | None:
        """Return the gap that a position lies in. O(log gaps)."""
        index = bisect_left(self._uptos, seq)
        gap = self.image.gaps[index] if index < len(self._uptos) else None
        return gap if gap is not None and seq in gap else None

    def holds(self, seq: int) -> bool:
        """Whether what this copy has at a position is all that there is. O(log gaps)."""
        image = self.image
        return not image.by_time and image.held_after < seq <= image.position.seq and self.gap_at(seq) is None

    def removed(self, other: _Copy) -> list[_Row]:
        """Return the other side's messages that must have been removed, since this copy holds their positions. O(n)."""
        rows = zip(other.image.seqs, other.image.messages, strict=True)
        return [row for row in rows if row[1].id not in self.by_id and self.holds(row[0])]

    def without(self, ids: Collection[str]) -> tuple[Sequence[MessageLike], Sequence[int]]:
        """Return the messages and their seqs but for some, each id once. O(n)."""
        messages, seqs = self.image.messages, self.image.seqs
        if not ids and len(self.by_id) == len(messages):
            return messages, seqs
        rows = {row[0].id: row for row in zip(messages, seqs, strict=True) if row[0].id not in ids}
        return [message for message, _ in rows.values()], [seq for _, seq in rows.values()]


def merge_logs(
    client: RoomImage, server: RoomImage, ancestor: RoomImage | None = None, max_messages: int = MAX_MERGED
) -> dict[str, Any]:
    """Return all that two images of one epoch say of their log, as fields of an image. O(n + g·log g) for g gaps.

    Of a message on both sides the server's copy stands, and what has gathered on it; where an ``ancestor`` shows that
    only the client changed it, the client's. The oldest beyond ``max_messages`` are cut. The caller has made sure that
    both images are sound, of one room and one epoch, and that both or neither are ``by_time``.
    """
    ours, theirs, base = _Copy(client), _Copy(server), _Copy(ancestor) if ancestor is not None else None
    absent = ours.removed(theirs) + theirs.removed(ours)
    gone = {*client.tombstones, *server.tombstones, *(row[1].id for row in absent)}
    kept = _changed_by_client(ours, theirs, base)
    messages, seqs = merge_messages(
        *ours.without(gone), *theirs.without(gone | kept if kept else gone), by_time=client.by_time
    )
    cut = max(0, len(messages) - max_messages)
    held_after = max([_begin(client, server), *seqs[:cut]])
    return {
        "messages": tuple(messages[cut:]),
        "seqs": tuple(seqs[cut:]),
        "annotations": _notes(messages[cut:], ours, theirs, base),
        "tombstones": _tombstones(client.tombstones, server.tombstones, absent),
        "gaps": _gaps(ours, theirs, held_after if cut and not client.by_time else 0),
        "floor": min(client.floor, server.floor),
        "held_after": held_after,
        "ordinal": max(client.ordinal, server.ordinal),
        "position": max(client.position, server.position),
        "by_time": client.by_time,
        "cursor": _further(client, server).cursor,
        "fingerprint": _further(client, server).fingerprint,
    }


def _begin(client: RoomImage, server: RoomImage) -> int:
    """How far back the two windows reach; one that is empty reaches nowhere."""
    windows = [
        image for image in (client, server) if image.by_time or image.messages or image.held_after < image.position.seq
    ]
    return min((image.held_after for image in windows), default=max(client.held_after, server.held_after))


def _changed_by_client(ours: _Copy, theirs: _Copy, base: _Copy | None) -> set[str]:
    """The ids of the messages that only the client changed."""
    if base is None:
        return set()
    return {
        name
        for name, old in base.by_id.items()
        if name in ours.by_id and same_message(theirs.by_id.get(name), old) and not same_message(ours.by_id[name], old)
    }


def _notes(messages: Iterable[MessageLike], ours: _Copy, theirs: _Copy, base: _Copy | None) -> Mapping[str, Annotation]:
    """What has gathered on messages: of one on both sides the server's, unless only the client changed it."""
    client, server = ours.image.annotations, theirs.image.annotations
    notes: dict[str, Annotation] = {}
    for name in map(_id, messages) if client or server else ():
        mine, note = client.get(name, _NO_NOTE), server.get(name, _NO_NOTE)
        if name not in theirs.by_id:
            note = mine
        elif name in ours.by_id and base is not None and name in base.by_id:
            note = mine if note == base.image.annotations.get(name, _NO_NOTE) else note
        if note != _NO_NOTE:
            notes[name] = note
    return notes or EMPTY


def _tombstones(client: Sequence[str], server: Sequence[str], absent: Iterable[_Row]) -> tuple[str, ...]:
    """All tombstones, oldest first: first those of messages whose removal nobody had noted, then by age, then by id."""
    age: dict[str, int] = {}
    for stones in (client, server):
        for index, name in enumerate(reversed(stones[-MAX_TOMBSTONES:])):
            age[name] = min(index, age.get(name, index))
    noted = sorted(age, key=lambda name: (-age[name], name))
    found = sorted({(seq, message.id) for seq, message in absent if message.id not in age})
    return (*dict.fromkeys(name for _, name in found), *noted)[-MAX_TOMBSTONES:]


def _further(client: RoomImage, server: RoomImage) -> RoomImage:
    """The copy that has come further; of two at one position the one that has more to say of it."""
    return max(server, client, key=lambda image: (image.position, image.cursor is not None, image.fingerprint != ""))


# -- gaps --------------------------------------------------------------------------------------------------------------


def _gaps(ours: _Copy, theirs: _Copy, begin: int) -> tuple[Gap, ...]:
    """What is missing from both copies: what neither holds of their gaps, and of what lies between their windows.

    What lies at or below ``begin`` is left out.
    """
    sides = (ours, theirs)
    least = _begin(ours.image, theirs.image)
    edges = {edge for side in sides for gap in side.image.gaps for edge in (gap.after, gap.upto)}
    if not ours.image.by_time:
        edges.update(edge for side in sides for edge in (side.image.held_after, side.image.position.seq))
        edges.add(begin)
    gaps: list[Gap] = []
    for after, upto in pairwise(sorted(edges)):
        known = [gap for side in sides if (gap := side.gap_at(upto)) is not None]
        between = after >= least and not ours.image.by_time
        if after >= begin and (known or between) and not any(side.holds(upto) for side in sides):
            _add_gap(gaps, Gap(after, upto, _earliest(known)))
    return bounded(tuple(gaps))


def _earliest(gaps: Iterable[Gap]) -> str | None:
    """The cursor from which all that is missing can be fetched."""
    return min(((gap.after, gap.cursor) for gap in gaps if gap.cursor is not None), default=(0, None))[1]


def _add_gap(gaps: list[Gap], gap: Gap) -> None:
    """Add a gap, or let it lengthen the last one."""
    if gaps and gaps[-1].upto == gap.after and gaps[-1].cursor == gap.cursor:
        gap = Gap(gaps.pop().after, gap.upto, gap.cursor)
    gaps.append(gap)


# -- what is not messages ----------------------------------------------------------------------------------------------

_MAX_NOTIFICATIONS = 100  # as many as a room holds: DESIGN §9
_ABSENT: Final = object()


def _three_way(client: Mapping[Any, Any], server: Mapping[Any, Any], base: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the entries of both, the server's first; one that only the client changed or removed is as it says."""
    merged = {}
    for key in (*server, *(key for key in client if key not in server)):
        mine, yours = client.get(key, _ABSENT), server.get(key, _ABSENT)
        value = mine if yours == base.get(key, _ABSENT) else yours
        if value is not _ABSENT:
            merged[key] = value
    return merged


def _merged_struct(name: str, client: RoomImage, server: RoomImage, base: RoomImage | None) -> Mapping[str, Any]:
    ours, theirs = getattr(client, name), getattr(server, name)
    old = structs.asdict(getattr(base, name)) if base is not None else EMPTY
    return {name: type(theirs)(**_three_way(structs.asdict(ours), structs.asdict(theirs), old))}


def _merged_mapping(name: str, client: RoomImage, server: RoomImage, base: RoomImage | None) -> Mapping[str, Any]:
    old = getattr(base, name) if base is not None else EMPTY
    return {name: _three_way(getattr(client, name), getattr(server, name), old) or EMPTY}


def _merged_members(_: str, client: RoomImage, server: RoomImage, base: RoomImage | None) -> Mapping[str, Any]:
    """Members by id. Where the server knows all of them, who is not there has left."""
    theirs = {user.id: user for user in server.members}
    ours = {user.id: user for user in client.members if user.id in theirs or not server.members_complete}
    old = {user.id: user for user in base.members} if base is not None else EMPTY
    members = tuple(_three_way(ours, theirs, old).values())
    return {"members": members, "members_complete": server.members_complete}


def _merged_notifications(_: str, client: RoomImage, server: RoomImage, base: RoomImage | None) -> Mapping[str, Any]:
    """Each notification once, in order of seq, the newest 100."""
    ours, theirs = ({_concern(each): each for each in image.notifications} for image in (client, server))
    old = {_concern(each): each for each in base.notifications} if base is not None else EMPTY
    both = sorted(_three_way(ours, theirs, old).values(), key=lambda each: (each.seq, each.timestamp, _concern(each)))
    return {"notifications": tuple(both[-_MAX_NOTIFICATIONS:])}


def _concern(notification: Notification) -> tuple[str, str, str]:
    return notification.message_id, notification.user, notification.kind


def _merged_markers(_: str, client: RoomImage, server: RoomImage, base: RoomImage | None) -> Mapping[str, Any]:
    """Of each user the marker that is further on."""
    markers = dict(server.markers)
    for user, marker in client.markers.items():
        if user not in markers or marker.seq > markers[user].seq:
            markers[user] = marker
    return {"markers": markers or EMPTY}


_MERGED: Final[Mapping[str, Callable[[str, RoomImage, RoomImage, RoomImage | None], Mapping[str, Any]]]] = {
    "info": _merged_struct,
    "config": _merged_struct,
    "moderation": _merged_mapping,
    "members": _merged_members,
    "presence": _merged_mapping,
    "notifications": _merged_notifications,
    "markers": _merged_markers,
    "ui_state": _merged_mapping,
}


def merge_part(part: str, client: RoomImage, server: RoomImage, ancestor: RoomImage | None = None) -> Mapping[str, Any]:
    """Return the fields of a part of a room that is not its messages, as both images have them. O(n).

    Of an entry (of a mapping, or a list of things with ids) or attribute that is in both, the server's stands, unless
    the ``ancestor`` shows that only the client changed it.
    """
    return _MERGED[part](part, client, server, ancestor)
