"""The authority's end of a simulated world: viewers in, envelopes out."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from roomstate.effects import AppendLog, Deliver, StatusChanged
from roomstate.errors import RoomStateError, UsageError
from roomstate.host.catching_up import caught_up
from roomstate.manager import RoomStateManager
from roomstate.model import Status, Tier
from roomstate.position import Position
from roomstate.store.memory import MemoryStore
from roomstate.sync.envelope import encode, of_heartbeat, of_update, of_withheld
from roomstate.sync.frames import Ack, Interest, Request, Send, decode_frame, of_error
from roomstate.sync.subscribers import Item, Resync, Subscriber, Withheld, fan_out, hears
from roomstate.testing.ends import BaseEnd, Outside
from roomstate.testing.network import Frames
from roomstate.updates import MessageAdded, PresenceChanged, TypingChanged, Update

__all__ = ["Server"]


class _Sent(Struct, eq=False):
    """A message that clients have sent: what each calls it, and the seq that the log must reach (0: not known yet)."""

    peers: dict[str, str] = field(default_factory=dict)
    seq: int = 0


class Server(BaseEnd):
    """The authority's end. Each peer is a viewer; what it is to hear waits in its bounded queue until it is quick.

    ``reply``: an answer to a request goes out in one piece, else envelope by envelope.
    """

    def __init__(
        self,
        manager: RoomStateManager,
        outside: Outside,
        store: MemoryStore | None = None,
        *,
        queue: int = 64,
        reply: bool = False,
    ) -> None:
        super().__init__(manager, outside, store)
        self.ports.update({Deliver: self._deliver, StatusChanged: self._status})
        self._queue = queue
        self._reply = reply
        self._queues: dict[str, Subscriber] = {}
        self._rooms: dict[str, dict[str, Tier]] = {}  # peer -> what it listens to
        self._asked: dict[str, dict[str, Request]] = {}  # room -> peer -> what waits until the room can answer
        self._sent: dict[str, dict[str, _Sent]] = {}  # room -> message -> who sent it, and when it will be safe

    # -- connections -------------------------------------------------------------------------------------------------

    def opened(self, peer: str) -> None:
        """See `End`."""
        self._queues[peer] = Subscriber(peer, self._queue)
        self._rooms[peer] = {}

    def closed(self, peer: str) -> None:
        """See `End`."""
        self._queues.pop(peer, None)
        self._rooms.pop(peer, None)
        self.call("disconnect", peer)

    def received(self, peer: str, frames: Frames) -> None:
        """See `End`. One that comes from a peer never heard of is its first: this end may have been restarted."""
        if peer not in self._queues:
            self.opened(peer)
        for raw in frames:
            frame = decode_frame(raw)
            if isinstance(frame, Interest):
                self._interest(peer, frame)
            elif isinstance(frame, Request):
                self._request(peer, frame)
            elif isinstance(frame, Send):
                self._take(peer, frame)

    def _interest(self, peer: str, frame: Interest) -> None:
        if frame.tier is not None:
            self._rooms[peer][frame.room_id] = Tier[frame.tier]
            self.call("enter" if frame.tier == Tier.ACTIVE.name else "follow", peer, frame.room_id)
        elif self._rooms[peer].pop(frame.room_id, None) is not None:
            try:
                self.call("leave", peer, frame.room_id)
            except UsageError:
                return  # it has lapsed

    # -- telling -----------------------------------------------------------------------------------------------------

    def call(self, verb: str, *args: Any, **kwargs: Any) -> None:
        """See `End`."""
        super().call(verb, *args, **kwargs)
        self._pump()

    def _pump(self) -> None:
        for peer, queue in self._queues.items():
            while self.outside.takes(peer) and (entry := queue.pop()) is not None:
                if isinstance(entry, Resync):
                    self._heartbeat(peer, entry.room_id)  # it will ask for what it has missed
                else:
                    self.outside.send(peer, (entry.data if isinstance(entry, Item) else self._hint(entry),))

    def _hint(self, span: Withheld) -> bytes:
        now, mark = self.outside.now(), span.fingerprint
        return encode(of_withheld(span.room_id, span.epoch, span.after, span.upto, now, fingerprint=mark))

    def _deliver(self, effect: Deliver) -> None:
        audience, room_id, update, seq = effect.audience, effect.room_id, effect.update, effect.seq
        if not audience.epoch:
            return  # presence in a room that nobody knows anything of yet
        upto = seq or self.manager.token(room_id).seq
        envelope = of_update(room_id, audience.epoch, seq - 1 if seq else upto, upto, update, self.outside.now())
        item = Item(room_id, upto, encode(envelope), _key(update))
        fan_out(item, self._queues_of(audience.recipients))
        for queue in self._queues_of(audience.withheld):
            if hears(update, Tier.BACKGROUND):
                queue.push(item)
            elif seq:
                queue.push(Withheld(room_id, audience.epoch, seq - 1, seq, envelope.fingerprint))

    def _queues_of(self, peers: tuple[str, ...]) -> list[Subscriber]:
        return [self._queues[peer] for peer in peers if peer in self._queues]

    def beat(self) -> None:
        """See `End`: tell every peer where the rooms end that it listens to."""
        for peer, rooms in self._rooms.items():
            for room_id in rooms:
                self._heartbeat(peer, room_id)

    def _heartbeat(self, peer: str, room_id: str) -> None:
        if self._is_ready(room_id):
            told = of_heartbeat(room_id, self.manager.head(room_id), self.outside.now())
            self.outside.send(peer, (encode(told),))

    def _is_ready(self, room_id: str) -> bool:
        manager = self.manager
        return manager.tier(room_id) >= Tier.BACKGROUND and manager.status(room_id) is Status.READY

    # -- answering ---------------------------------------------------------------------------------------------------

    def _request(self, peer: str, frame: Request) -> None:
        """Answer what a peer has missed, once the room is here and all of it is durable: only that may be told."""
        room_id = frame.room_id
        if self.manager.tier(room_id) < Tier.BACKGROUND:
            self._rooms[peer][room_id] = Tier.BACKGROUND
            self.call("follow", peer, room_id)
        self._asked.setdefault(room_id, {})[peer] = frame
        self._answer_all(room_id)

    def _answer_all(self, room_id: str) -> None:
        """Answer all that can be answered now of what was asked about a room."""
        waiting = self._asked.get(room_id, {})
        for peer, frame in [*waiting.items()]:
            if peer in self._queues and not self._answer(peer, frame):
                continue
            del waiting[peer]

    def _answer(self, peer: str, frame: Request) -> bool:
        room_id, now = frame.room_id, self.outside.now()
        tier = self._rooms[peer].get(room_id, Tier.BACKGROUND)
        envelopes = caught_up(
            self.manager, room_id, frame.token, viewer=peer, user=peer, tier=tier, now=now, answers=frame.request_id
        )
        frames = tuple(encode(envelope) for envelope in envelopes)
        for part in (frames,) if self._reply and frames else [(raw,) for raw in frames]:
            self.outside.send(peer, part)
        return bool(frames)

    def _status(self, event: StatusChanged) -> None:
        if event.new is Status.READY:
            self._settle(event.room_id)
            self._answer_all(event.room_id)

    # -- taking what clients send ------------------------------------------------------------------------------------

    def _take(self, peer: str, frame: Send) -> None:
        """Publish what a client sends. A message is acknowledged when the log has it, however often it was sent."""
        update, room_id = frame.update, frame.room_id
        try:
            self.call("publish", room_id, update)
        except RoomStateError as error:
            refusal = of_error(error, room_id=room_id, client_id=frame.client_id)
            self.outside.send(peer, (refusal.to_json().encode(),))
            return
        if isinstance(update, MessageAdded):
            sent = self._sent.setdefault(room_id, {}).setdefault(update.message.id, _Sent())
            sent.peers[peer] = frame.client_id
            self._settle(room_id)

    def _settle(self, room_id: str) -> None:
        """Acknowledge what clients have sent to a room and is safe now."""
        if room_id in self._sent and self._is_ready(room_id):
            image = self.manager.image(room_id)
            places = {message.id: seq for message, seq in zip(image.messages, image.seqs, strict=True)}
            for message_id, sent in self._sent[room_id].items():
                if not sent.seq:  # one that is not there was there before, or was removed: all of that must be safe
                    sent.seq = places.get(message_id, image.position.seq)
            self._acknowledge(room_id, self.manager.head(room_id).position)

    def _acknowledge(self, room_id: str, told: Position) -> None:
        waiting = self._sent[room_id]
        for message_id, sent in [*waiting.items()]:
            if 0 < sent.seq <= told.seq:
                for peer, client_id in sent.peers.items():
                    ack = Ack(room_id, client_id, message_id, told.epoch, sent.seq)
                    self.outside.send(peer, (ack.to_json().encode(),))
                del waiting[message_id]

    def stored(self, effect: Any, result: Any) -> None:
        """Take the disk's answer: what the log has now may be told."""
        super().stored(effect, result)
        room_id = effect.room_id
        if isinstance(effect, AppendLog) and not isinstance(result, Exception):
            waiting = self._sent.get(room_id, {})
            for entry in effect.entries:
                if isinstance(entry.update, MessageAdded) and entry.update.message.id in waiting:
                    waiting[entry.update.message.id].seq = entry.seq
            if waiting:
                self._acknowledge(room_id, Position(effect.epoch, effect.entries[-1].seq))
            self._answer_all(room_id)


def _key(update: Update) -> str:
    """Name what an ephemeral update tells the latest state of: of two that wait for a peer the later one will do."""
    if isinstance(update, PresenceChanged | TypingChanged):
        return f"{type(update).__name__}:{update.user_id}"
    return ""
