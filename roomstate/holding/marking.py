"""What users have read, across loads and restarts: receipts, removals nobody can place, markers out of a snapshot.

`ReadState` counts by arithmetic on what it is told. Here is what to tell it where a room is not all in memory: a count
that cannot be kept exact becomes "at least", and is never too high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from roomstate.effects import LogEntry
from roomstate.holding.record import Holding
from roomstate.image import RoomImage
from roomstate.model import Marker, MessageLike
from roomstate.room.states import LiveRoom
from roomstate.room.unread import MAX_MARKERS, ReadState
from roomstate.updates import MessageAdded, MessageRemoved

__all__ = ["Members", "folded", "receipt", "reread", "restore", "settle_awaited", "vanished"]

Concerned = Callable[[MessageLike, "Members"], Iterable[str]]


class Members:
    """What notification rules may know of a room: who has a marker there, and who wrote what."""

    __slots__ = ("_author_of", "_markers")

    def __init__(self, markers: Mapping[str, Marker], author_of: Callable[[str], str | None]) -> None:
        self._markers = markers
        self._author_of = author_of

    def __contains__(self, user: str) -> bool:
        return user in self._markers

    def __iter__(self) -> Iterator[str]:
        return iter(self._markers)

    def author_of(self, message_id: str) -> str | None:
        """Return who wrote a message, if it is at hand."""
        return self._author_of(message_id)


def receipt(holding: Holding, user: str, message_id: str) -> bool:
    """Move the user's marker up to a message, or keep the receipt until that comes; False where too many are kept."""
    room = holding.room
    seq = room.timeline.seq_of(message_id) if room is not None else None
    if room is None or seq is None:
        if room is not None and room.timeline.knows(message_id):
            return True  # long read, or removed
        holding.set_plain(False)
        return holding.reads.await_message(user, message_id)
    reads = holding.sync_reads()
    if reads.read(user, seq, room.timeline.messages_after(seq), complete=seq >= room.held_after):
        holding.newcomers.pop(user, None)
    return True


def settle_awaited(holding: Holding) -> None:
    """Take the receipts that waited for messages which a load has brought."""
    room, awaited = holding.room, holding.reads.awaited
    assert room is not None
    for message_id in [name for name in awaited if room.timeline.knows(name)]:
        for user in awaited.pop(message_id):
            receipt(holding, user, message_id)


def vanished(reads: ReadState, upto: int) -> None:
    """Note that a message was removed whose place is not known, but that it lay at or below ``upto``. O(markers).

    It may have been unread: where it may, the counts are "at least" from now on, and one less.
    """
    for marker in reads.markers.values():
        if marker.seq < upto:
            marker.own += 1
            marker.mentions = marker.mentions[1:]
            marker.cut = True


def _skipped(reads: ReadState, messages: int) -> None:
    """Note that the ordinal counts messages that nobody can read."""
    for marker in reads.markers.values():
        marker.own += messages


def folded(reads: ReadState) -> dict[str, Marker]:
    """Return the markers as values that take no more off what is unread than there is. O(markers)."""
    markers = reads.image()
    for marker in markers.values():
        marker.own = max(0, min(marker.own, reads.ordinal - marker.ordinal))
    return markers


def restore(holding: Holding, image: RoomImage | None, entries: Iterable[LogEntry], concerned: Concerned) -> None:
    """Take over from an image, and the log after it, the markers that are not known here. O(markers + entries).

    A newcomer of whom the image knows nothing begins to count at the head, or where they came in if that is known.
    """
    reads = holding.sync_reads()
    stored = image.markers if image is not None else {}
    strangers = [user for user in stored if user in holding.newcomers or user not in reads.markers]
    for user in holding.newcomers:
        marker = reads.markers.get(user)
        if marker is not None and not marker.ordinal and not marker.seq and user not in stored:
            reads.markers[user] = Marker(reads.head, reads.ordinal)
    holding.newcomers.clear()
    if image is not None and strangers:
        old = _replayed(image, entries, concerned)
        old.head, old.ordinal = reads.head, reads.ordinal
        for user in strangers:
            _adopt(reads, old, user)


def _adopt(reads: ReadState, old: ReadState, user: str) -> None:
    """Take a marker over so that it counts here as it did there."""
    if user not in reads.markers and len(reads.markers) >= MAX_MARKERS:
        return
    theirs = old.markers[user]
    mine = Marker(theirs.seq, theirs.ordinal, theirs.own, theirs.mentions, theirs.cut)
    reads.markers[user] = mine
    mine.own = max(0, mine.own + reads.unread(user).messages.value - old.unread(user).messages.value)


def _replayed(image: RoomImage, entries: Iterable[LogEntry], concerned: Concerned) -> ReadState:
    """Return the image's markers as they stand after ``entries``."""
    replay = _Replay(image, concerned)
    for entry in entries:
        if entry.seq > replay.reads.head:
            replay.step(entry)
    return replay.reads


def reread(holding: Holding, old: LiveRoom, room: LiveRoom, told: Mapping[str, Marker], concerned: Concerned) -> None:
    """Count on from ``room``, an image of the authority's that takes the place of ``old``. O(markers + messages).

    The authority's own count stands for those users of whom it tells; for others the messages in the image are looked
    at, and of those that neither has nothing is known. In another log nothing that was read counts.
    """
    reads = holding.sync_reads()
    same = old.epoch == room.epoch
    news = room.timeline.placed_after(old.head if same else room.head)
    unseen = max(0, room.timeline.ordinal - reads.ordinal - len(news)) if same else 0
    reads.head, reads.ordinal = room.head, room.timeline.ordinal
    mine, members = dict(reads.markers), Members(reads.markers, _author_in(room))
    for user, marker in mine.items():
        if user in told and (not same or told[user].seq >= marker.seq):
            continue
        if same and user not in holding.newcomers:
            marker.own += unseen
            marker.cut = marker.cut or unseen > 0
        else:
            reads.markers[user] = Marker(reads.head, reads.ordinal, cut=not same)
    for seq, message in news:
        reads.posted(message.user)
        for user in concerned(message, members):
            reads.mentioned(user, seq)
    for user, marker in told.items():
        known = reads.markers.get(user)
        if known is None or not same or marker.seq >= known.seq:
            reads.take(user, marker)
    holding.newcomers.clear()


def _author_in(room: LiveRoom) -> Callable[[str], str | None]:
    def author_of(message_id: str) -> str | None:
        message = room.timeline.get(message_id)
        return None if message is None else message.user

    return author_of


class _Replay:
    """The read state of an image, brought forward entry by entry."""

    def __init__(self, image: RoomImage, concerned: Concerned) -> None:
        self.reads = ReadState(image.position.seq, image.ordinal)
        self.reads.restore(image.markers)
        self._places = {
            message.id: (seq, message.user) for message, seq in zip(image.messages, image.seqs, strict=True)
        }
        self._buried = set(image.tombstones)
        self._reach = image.held_after
        self._members = Members(self.reads.markers, self._author_of)
        self._concerned = concerned

    def _author_of(self, message_id: str) -> str | None:
        place = self._places.get(message_id)
        return None if place is None else place[1]

    def step(self, entry: LogEntry) -> None:
        reads, update = self.reads, entry.update
        added = isinstance(update, MessageAdded)
        _skipped(reads, max(0, entry.ordinal - reads.ordinal - added))
        if entry.seq > reads.head + 1:
            self._reach = entry.seq - 1
            reads.cut(self._reach)
        reads.head, reads.ordinal = entry.seq, max(entry.ordinal, reads.ordinal)
        if isinstance(update, MessageAdded):
            self._added(update.message, entry.seq)
        elif isinstance(update, MessageRemoved):
            self._removed(update.message_id)

    def _added(self, message: MessageLike, seq: int) -> None:
        if message.id in self._places or message.id in self._buried:
            _skipped(self.reads, 1)
            return
        self._places[message.id] = (seq, message.user)
        self.reads.posted(message.user)
        for user in self._concerned(message, self._members):
            self.reads.mentioned(user, seq)

    def _removed(self, message_id: str) -> None:
        place = self._places.pop(message_id, None)
        if place is not None:
            self.reads.removed(*place)
        elif message_id not in self._buried:
            vanished(self.reads, self._reach)
        self._buried.add(message_id)
