"""One room on its way to its viewers: what happens is encoded once, and given to all who hear of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from roomstate.effects import Audience, Deliver, Head
from roomstate.model import Tier
from roomstate.sync.envelope import encode, of_heartbeat, of_missing, of_update, of_withheld
from roomstate.sync.feed import Missing, fingerprint
from roomstate.sync.subscribers import Item, Subscriber, Withheld, fan_out, hears
from roomstate.updates import NotificationAdded, PresenceChanged, ReceiptRead, TypingChanged, Update

if TYPE_CHECKING:
    from roomstate.host.stream import Stream

__all__ = ["Channel"]

Queues = tuple[Subscriber, ...]

_KEYED: Final = {TypingChanged: "typing", PresenceChanged: "presence", ReceiptRead: "receipt"}


class Channel:
    """The streams of one room's viewers. ``last`` is how far all have been told; -1 before anybody was.

    Viewers at ACTIVE get everything. Those at BACKGROUND get what `hears` says, and of the rest only, ``withheld_s``
    after the first of it, that it is there. O(viewers) for each update, without a copy.
    """

    def __init__(self, room_id: str, withheld_s: float) -> None:
        self.room_id: str = room_id
        self.last: int = -1
        self.streams: dict[str, Stream] = {}
        self.ordinals: dict[int, int] = {}  # of entries on their way to the log
        self._withheld_s = withheld_s
        self._audience: Audience | None = None  # of whom the queues are
        self._queues: tuple[Queues, Queues] = ((), ())
        self._span: Withheld | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._encoded: tuple[str, int, int, str] = ("", 0, 0, "")

    # -- who listens -------------------------------------------------------------------------------------------------

    def attach(self, stream: Stream) -> None:
        """Let a stream hear of the room. O(1)."""
        self.streams[stream.viewer] = stream
        self._audience = None

    def detach(self, viewer: str) -> None:
        """Let a stream hear no more. O(1)."""
        del self.streams[viewer]
        self._audience = None
        if not self.streams:
            self._stop()

    def begin(self, told: int) -> None:
        """Take note of how far the first copy was brought up: what comes joins there. O(1)."""
        if self.last < 0:
            self.last = told

    def _listening(self, viewers: tuple[str, ...]) -> Queues:
        streams = self.streams
        return tuple([streams[viewer].queue for viewer in viewers if viewer in streams])

    def _queues_of(self, audience: Audience) -> tuple[Queues, Queues]:
        """Return the queues of ACTIVE viewers, and of BACKGROUND ones. O(1) while the audience stays the same."""
        if audience is not self._audience:
            self.flush()
            self._queues = (self._listening(audience.recipients), self._listening(audience.withheld))
            self._audience = audience
        return self._queues

    # -- what happens ------------------------------------------------------------------------------------------------

    def deliver(self, item: Deliver, now: float, ordinal: int | None) -> None:
        """Give an update to those who hear of it. O(viewers)."""
        update, seq, audience = item.update, item.seq, item.audience
        if self.last < 0:
            return  # nobody has anything that it could join
        if isinstance(update, NotificationAdded):  # the audience is one user's viewers
            self.flush()  # what it is about comes first
            self._give(self._item(audience, update, self.last, now, None), self._listening(audience.recipients))
            return
        active, background = self._queues_of(audience)
        hearing = active
        if background and hears(update, Tier.BACKGROUND):
            self.flush()
            hearing = (*active, *background)
        elif background and seq:
            self._withhold(audience.epoch, seq, update, ordinal)
        if hearing:
            self._give(self._item(audience, update, seq or self.last, now, ordinal), hearing)
        self.last = seq or self.last

    def _item(self, audience: Audience, update: Update, seq: int, now: float, ordinal: int | None) -> Item:
        envelope = of_update(self.room_id, audience.epoch, self.last, seq, update, now, ordinal=ordinal)
        return Item(self.room_id, seq, encode(envelope), _key(update))

    def _give(self, entry: Item | Withheld, queues: Queues) -> None:
        streams = self.streams
        for queue in fan_out(entry, queues):
            streams[queue.viewer].wake()

    def cover(self, epoch: str, seq: int, now: float, ordinal: int) -> None:
        """Tell all that nothing came of what the log had before, up to ``seq``. O(viewers)."""
        if 0 <= self.last < seq:
            self.flush()
            missing = Missing(epoch, self.last, seq, ())
            (envelope,) = of_missing(self.room_id, missing, now, ordinal=ordinal)
            self.last = seq
            self._give(Item(self.room_id, seq, encode(envelope)), self._all())

    def _all(self) -> Queues:
        return tuple([stream.queue for stream in self.streams.values()])

    def heartbeat(self, head: Head, now: float) -> None:
        """Tell all where the log ends. O(viewers)."""
        self.flush()
        entry = Item(self.room_id, head.position.seq, encode(of_heartbeat(self.room_id, head, now)), "heartbeat")
        self._give(entry, self._all())

    # -- what is withheld --------------------------------------------------------------------------------------------

    def _withhold(self, epoch: str, seq: int, update: Update, ordinal: int | None) -> None:
        if self._span is None:
            self._span = Withheld(self.room_id, epoch, self.last, seq)
            self._timer = asyncio.get_running_loop().call_later(self._withheld_s, self.flush)
        self._span.upto, self._span.fingerprint, self._span.ordinal = seq, fingerprint(update), ordinal

    def flush(self) -> None:
        """Tell BACKGROUND viewers now of what was withheld from them. O(viewers)."""
        span = self._span
        self._stop()
        if span is not None:
            self._give(span, tuple([queue for queue in self._queues[1] if queue.viewer in self.streams]))

    def _stop(self) -> None:
        self._span = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def withheld(self, span: Withheld, now: float) -> str:
        """Return a span as text; viewers who keep up share it. O(1)."""
        if self._encoded[:3] != (span.epoch, span.after, span.upto):
            envelope = of_withheld(
                span.room_id, span.epoch, span.after, span.upto, now, fingerprint=span.fingerprint, ordinal=span.ordinal
            )
            self._encoded = (span.epoch, span.after, span.upto, encode(envelope).decode())
        return self._encoded[3]


def _key(update: Update) -> str:
    """What an ephemeral update tells the latest state of; "" for one of the log."""
    if isinstance(update, NotificationAdded):
        return f"notification:{update.notification.kind}:{update.notification.message_id}"
    kind = _KEYED.get(type(update))
    return f"{kind}:{getattr(update, 'user_id', '')}" if kind is not None else ""
