"""One room on its way to its viewers: what happens is encoded once, and given to all who hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from roomstate.effects import Audience, Deliver, Head
from roomstate.host.joined import Joined
from roomstate.host.listening import Listener
from roomstate.model import Tier
from roomstate.sync.envelope import encode, of_heartbeat, of_missing, of_update, of_withheld
from roomstate.sync.feed import Missing, fingerprint
from roomstate.sync.subscribers import Item, Subscriber, Withheld, fan_out, hears
from roomstate.updates import MessageAdded, NotificationAdded, PresenceChanged, ReceiptRead, TypingChanged, Update

__all__ = ["Channel"]

Queues = tuple[Subscriber, ...]

_KEYED: Final = {TypingChanged: "typing", PresenceChanged: "presence", ReceiptRead: "receipt"}


class Channel:
    """The streams of one room's viewers. ``last`` is how far all have been told, or are about to be; -1 before that.

    Viewers at ACTIVE get everything; new messages that come in one turn of the event loop are one envelope, given when
    the turn ends. Those at BACKGROUND get what `hears` says, and of the rest only, ``withheld_s`` after the first of
    it, that it is there. O(viewers) for each envelope, without a copy.
    """

    def __init__(self, room_id: str, withheld_s: float, clock: Callable[[], float]) -> None:
        self.room_id: str = room_id
        self.last: int = -1
        self.streams: dict[str, Listener] = {}
        self.ordinals: dict[int, int] = {}  # of entries on their way to the log
        self._withheld_s, self._now = withheld_s, clock
        self._audience: Audience | None = None  # of whom the queues are
        self._queues: tuple[Queues, Queues] = ((), ())
        self._loop = asyncio.get_running_loop()
        self._joined: Joined | None = None
        self._span: Withheld | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._encoded: tuple[str, int, int, str] = ("", 0, 0, "")

    # -- who listens -------------------------------------------------------------------------------------------------

    def attach(self, stream: Listener) -> None:
        """Let a stream hear of the room. O(1)."""
        self.streams[stream.viewer] = stream
        self._audience = None

    def detach(self, viewer: str) -> None:
        """Let a stream hear no more. O(1)."""
        self._tell()
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

    def deliver(self, item: Deliver, ordinal: int | None) -> None:
        """Give an update to those who hear of it. O(viewers)."""
        update, seq, audience = item.update, item.seq, item.audience
        if self.last < 0:
            return  # nobody has anything that it could join
        if isinstance(update, NotificationAdded):  # the audience is one user's viewers
            self.flush()  # what it is about comes first
            self._give(self._item(audience, update, self.last, None), self._listening(audience.recipients))
            return
        active, background = self._queues_of(audience)
        if background and not hears(update, Tier.BACKGROUND):
            if seq:
                self._withhold(audience.epoch, seq, update, ordinal)
            background = ()
        if isinstance(update, MessageAdded) and seq:
            if active:
                self._join(audience.epoch, update, seq, ordinal)
        elif active or background:
            self.flush() if background else self._tell()
            self._give(self._item(audience, update, seq or self.last, ordinal), (*active, *background))
        self.last = seq or self.last

    def _join(self, epoch: str, update: MessageAdded, seq: int, ordinal: int | None) -> None:
        """Tell of a new message when the turn of the loop ends, with others that come in it. O(size)."""
        if self._joined is not None and self._joined.join(update, seq, ordinal):
            return
        joined = Joined(epoch, self.last)
        joined.join(update, seq, ordinal)
        self._tell()
        self._joined = joined
        self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        """Tell of the new messages that were joined. O(viewers)."""
        joined, self._joined = self._joined, None
        if joined is not None:
            data = encode(joined.envelope(self.room_id, self._now()))
            self._give(Item(self.room_id, joined.upto, data), self._queues[0])

    def _item(self, audience: Audience, update: Update, seq: int, ordinal: int | None) -> Item:
        envelope = of_update(self.room_id, audience.epoch, self.last, seq, update, self._now(), ordinal=ordinal)
        return Item(self.room_id, seq, encode(envelope), _key(update))

    def _give(self, entry: Item | Withheld, queues: Queues) -> None:
        streams = self.streams
        for queue in fan_out(entry, queues):
            streams[queue.viewer].wake()

    def cover(self, epoch: str, seq: int, ordinal: int) -> None:
        """Tell all that nothing came of what the log had before, up to ``seq``. O(viewers)."""
        if 0 <= self.last < seq:
            self.flush()
            missing = Missing(epoch, self.last, seq, ())
            (envelope,) = of_missing(self.room_id, missing, self._now(), ordinal=ordinal)
            self.last = seq
            self._give(Item(self.room_id, seq, encode(envelope)), self._all())

    def _all(self) -> Queues:
        return tuple([stream.queue for stream in self.streams.values()])

    def heartbeat(self, head: Head) -> None:
        """Tell all where the log ends. O(viewers)."""
        self.flush()
        entry = Item(
            self.room_id, head.position.seq, encode(of_heartbeat(self.room_id, head, self._now())), "heartbeat"
        )
        self._give(entry, self._all())

    # -- what is withheld --------------------------------------------------------------------------------------------

    def _withhold(self, epoch: str, seq: int, update: Update, ordinal: int | None) -> None:
        if self._span is None:
            self._span = Withheld(self.room_id, epoch, self.last, seq)
            self._timer = self._loop.call_later(self._withheld_s, self.flush)
        self._span.upto, self._span.fingerprint, self._span.ordinal = seq, fingerprint(update), ordinal

    def flush(self) -> None:
        """Tell now of what was joined, and BACKGROUND viewers of what was withheld from them. O(viewers)."""
        self._tell()
        span = self._span
        self._stop()
        if span is not None:
            self._give(span, tuple([queue for queue in self._queues[1] if queue.viewer in self.streams]))

    def _stop(self) -> None:
        self._span = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def withheld(self, span: Withheld) -> str:
        """Return a span as text; viewers who keep up share it. O(1)."""
        if self._encoded[:3] != (span.epoch, span.after, span.upto):
            envelope = of_withheld(
                span.room_id,
                span.epoch,
                span.after,
                span.upto,
                self._now(),
                fingerprint=span.fingerprint,
                ordinal=span.ordinal,
            )
            self._encoded = (span.epoch, span.after, span.upto, encode(envelope).decode())
        return self._encoded[3]


def _key(update: Update) -> str:
    """What an ephemeral update tells the latest state of; "" for one of the log."""
    if isinstance(update, NotificationAdded):
        return f"notification:{update.notification.kind}:{update.notification.message_id}"
    kind = _KEYED.get(type(update))
    return f"{kind}:{getattr(update, 'user_id', '')}" if kind is not None else ""
