"""What a call of the manager asks of its host, and what it tells it: two closed unions.

An `Effect` is work. Effects of one room are carried out in the order in which they came; rooms are independent of each
other. One with a ``request_id`` is answered once, by ``complete(request_id, result)`` or ``fail(request_id, error)``:

=================  ======================================================
effect             ``complete`` takes
=================  ======================================================
`LoadHead`         `Head`, or None where the store has no such room
`LoadSnapshot`     `Loaded`
`LoadPacked`       `Packed`, or None where the store has no such room
`LoadLog`          tuple of `LogEntry`, oldest first
`AppendLog`        `Appended`
`SaveSnapshot`     the snapshot's bytes
`FetchMessages`    `Recovered`
`RequestRecovery`  tuple of envelopes (`roomstate.sync.envelope`)
`SendToAuthority`  `Sent`
=================  ======================================================

The others ask for no answer. An `Event` is a fact: nothing need be done about it.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from roomstate.image import RoomImage
from roomstate.model import AnyMessage, Echo, Notification, RoomInfo, Status, Tier
from roomstate.position import Gap, Position, Token
from roomstate.updates import Update

__all__ = [
    "ANSWERS",
    "AppendLog",
    "Appended",
    "Audience",
    "CloseStream",
    "ConflictOpened",
    "ConflictResolved",
    "Decision",
    "Deliver",
    "EchoFailed",
    "Effect",
    "Event",
    "Evicted",
    "FetchMessages",
    "GapClosed",
    "GapOpened",
    "Head",
    "LoadHead",
    "LoadLog",
    "LoadPacked",
    "LoadSnapshot",
    "Loaded",
    "LogEntry",
    "Misfit",
    "Notified",
    "OpenStream",
    "Packed",
    "Recovered",
    "RequestRecovery",
    "Resynced",
    "SaveFailed",
    "SaveSnapshot",
    "SendToAuthority",
    "Sent",
    "StatusChanged",
    "TierChanged",
]


class LogEntry(Struct, frozen=True):
    """One logged update at its position. ``ordinal`` counts the messages added up to and including it."""

    seq: int
    ordinal: int
    update: Update


class Head(Struct, frozen=True):
    """The end of a room's log: the position of the last entry, and the messages added up to it."""

    position: Position
    ordinal: int = 0


class Loaded(Struct, frozen=True):
    """A room as its store has it: its ``image`` (None: there is none), and log ``entries`` that follow.

    The entries are consecutive and oldest first, and end at ``head``, the end of the log (None: no such room). They
    begin right after the image's position, or later where that would be more than were asked for: what lies between
    is then not held, and the room says so. They may begin earlier, even before the image's messages: those then come
    from the log, and where it begins at 1 the members too.
    """

    head: Head | None = None
    image: RoomImage | None = None
    entries: tuple[LogEntry, ...] = ()


class Packed(Struct, frozen=True):
    """A room as its store has it, not decoded: where its log ends, and its best ``snapshot`` for ACTIVE (empty: none).

    ``seq``, ``taken_at`` and ``info`` are the snapshot's own, as its header tells.
    """

    head: Head
    snapshot: bytes = b""
    seq: int = 0
    taken_at: float = 0.0
    info: RoomInfo = RoomInfo()


class Appended(Struct, frozen=True):
    """The log holds everything up to ``seq``. ``repeated`` are the seqs among them whose message it held before.

    A repeated message keeps its seq, which now holds nothing: the room drops its second copy.
    """

    seq: int
    repeated: tuple[int, ...] = ()


class Recovered(Struct, frozen=True):
    """Messages that were missing, oldest first.

    ``limited``: there are more, from ``cursor`` on (None: from the last one's id on).
    """

    messages: tuple[AnyMessage, ...]
    limited: bool = False
    cursor: str | None = None


class Sent(Struct, frozen=True):
    """The authority has taken what was sent: as this message, at ``seq`` (0 where the source has no seqs) of ``epoch``.

    Give the epoch where you have it: an acknowledgement that comes after its log was lost is then not believed.
    """

    message_id: str
    seq: int = 0
    epoch: str = ""


class Decision(Struct, frozen=True):
    """What became of one field in a conflict: by which ``strategy``, and whose side it took; ``detail`` says more.

    "given" is a value of neither side, given by whoever was asked.
    """

    field: str
    strategy: str
    took: Literal["client", "server", "both", "ancestor", "pending", "given"]
    detail: str = ""


# -- effects: work for the host --------------------------------------------------------------------------------------


class LoadHead(Struct, frozen=True):
    """Find where the room's log ends. Until then what is published waits unnumbered."""

    room_id: str
    request_id: int


class LoadSnapshot(Struct, frozen=True):
    """Bring back a room for ``tier``: decode ``packed``, or where that is None the store's best snapshot for the tier.

    With it bring the log that follows the image, at most the newest ``limit`` entries. Where that leaves some out, the
    store's newest snapshot of any tier serves better: of the image only what does not depend on messages is then used.
    """

    room_id: str
    request_id: int
    tier: Tier
    packed: bytes | None
    limit: int


class LoadPacked(Struct, frozen=True):
    """Bring a room's snapshot as it lies in the store: somebody is expected there. Less urgent than everything else."""

    room_id: str
    request_id: int


class LoadLog(Struct, frozen=True):
    """Read the log entries in ``(after, upto]``, at most the newest ``limit`` of them."""

    room_id: str
    request_id: int
    after: int
    upto: int
    limit: int


class AppendLog(Struct, frozen=True):
    """Append ``entries`` to the log of ``epoch``, all or none, each at its seq. A repetition of entries is harmless."""

    room_id: str
    request_id: int
    epoch: str
    entries: tuple[LogEntry, ...]


class SaveSnapshot(Struct, frozen=True):
    """Encode ``image``, put it in the store where there is one, and complete with the bytes."""

    room_id: str
    request_id: int
    image: RoomImage


class FetchMessages(Struct, frozen=True):
    """Fetch from the source the messages missing in ``gap``, at most ``limit``."""

    room_id: str
    request_id: int
    gap: Gap
    limit: int

    @property
    def cursor(self) -> str | None:
        """The source's own name for the last thing seen before the gap."""
        return self.gap.cursor


class RequestRecovery(Struct, frozen=True):
    """Ask the authority for what follows ``token``, or for a whole image (None).

    The envelopes that come may be handed to ``complete``, or, where they arrive on a stream, to ``receive``: an image
    then names this request in its ``answers``. Whatever is not answered in time is asked again.
    """

    room_id: str
    request_id: int
    token: Token | None = None


class SendToAuthority(Struct, frozen=True):
    """Send what a user has written. A repetition is harmless: ``echo.client_id`` names it."""

    room_id: str
    request_id: int
    echo: Echo


class Audience(Struct, frozen=True, gc=False):
    """Who gets a room's updates: viewers at ACTIVE get them whole, ``withheld`` ones learn only that there are some."""

    room_id: str
    epoch: str
    recipients: tuple[str, ...]
    withheld: tuple[str, ...] = ()


class Deliver(Struct, frozen=True, gc=False):
    """Give ``update`` to each of ``audience``: one effect for all of them. ``seq`` is 0 for an ephemeral update."""

    audience: Audience
    update: Update
    seq: int

    @property
    def room_id(self) -> str:
        """The room."""
        return self.audience.room_id

    @property
    def recipients(self) -> tuple[str, ...]:
        """The viewers who get the update."""
        return self.audience.recipients


class OpenStream(Struct, frozen=True):
    """Listen to the source: for every update ("realtime"), or for where its log ends ("heartbeat")."""

    room_id: str
    mode: Literal["realtime", "heartbeat"]


class CloseStream(Struct, frozen=True):
    """Stop listening to the source."""

    room_id: str


# -- events: facts for the host --------------------------------------------------------------------------------------


class TierChanged(Struct, frozen=True):
    """A room is now held at ``new``."""

    room_id: str
    old: Tier
    new: Tier


class StatusChanged(Struct, frozen=True):
    """What a room's view is worth has changed; ``reason`` says why where there is more to say."""

    room_id: str
    old: Status
    new: Status
    reason: str = ""


class Notified(Struct, frozen=True):
    """A message concerns a user."""

    notification: Notification

    @property
    def room_id(self) -> str:
        """The room."""
        return self.notification.room_id


class GapOpened(Struct, frozen=True):
    """Something is known to be missing."""

    room_id: str
    gap: Gap


class GapClosed(Struct, frozen=True):
    """What was missing is here, or is known to be lost for good (``filled`` is then false)."""

    room_id: str
    gap: Gap
    filled: bool = True


class Resynced(Struct, frozen=True):
    """A room's contents were replaced as a whole: the log began a new epoch, or could not be joined to."""

    room_id: str
    position: Position
    reason: str


class SaveFailed(Struct, frozen=True):
    """What a room holds could not be made durable; it stays in memory, and is tried again at ``retry_at``."""

    room_id: str
    reason: str
    retry_at: float


class Evicted(Struct, frozen=True):
    """A cached room was dropped from memory; ``reason`` is the cache's own word (rooms, bytes, expired, ...)."""

    room_id: str
    reason: str
    size: int


class Misfit(Struct, frozen=True):
    """An update had no meaning for its room as it was: it changed nothing, and was counted."""

    room_id: str
    update: Update
    reason: str


class ConflictOpened(Struct, frozen=True):
    """Two states of a room differ in ``fields`` that somebody is to decide; until ``expires_at`` a default stands."""

    room_id: str
    conflict_id: int
    fields: tuple[str, ...]
    expires_at: float


class ConflictResolved(Struct, frozen=True):
    """Two states of a room have become one; ``conflict_id`` is 0 where nobody had to be asked."""

    room_id: str
    conflict_id: int
    decisions: tuple[Decision, ...]


class EchoFailed(Struct, frozen=True):
    """What a user has sent was not taken, or nobody said so in time. It stays pending; send it again, or discard it."""

    room_id: str
    client_id: str
    reason: str
    retryable: bool


ANSWERS: Final[dict[type[Struct], tuple[type[Any], ...]]] = {
    LoadHead: (Head, type(None)),
    LoadSnapshot: (Loaded,),
    LoadPacked: (Packed, type(None)),
    LoadLog: (tuple,),
    AppendLog: (Appended,),
    SaveSnapshot: (bytes,),
    FetchMessages: (Recovered,),
    RequestRecovery: (tuple,),
    SendToAuthority: (Sent,),
}
"""What ``complete`` takes for each effect that is answered: the table above, for programs."""

Effect: TypeAlias = (
    LoadHead
    | LoadSnapshot
    | LoadPacked
    | LoadLog
    | AppendLog
    | SaveSnapshot
    | FetchMessages
    | RequestRecovery
    | SendToAuthority
    | Deliver
    | OpenStream
    | CloseStream
)
Event: TypeAlias = (
    TierChanged
    | StatusChanged
    | Notified
    | GapOpened
    | GapClosed
    | Resynced
    | ConflictOpened
    | ConflictResolved
    | SaveFailed
    | EchoFailed
    | Evicted
    | Misfit
)
