"""An authority and a replica of it, with everything between them in the test's own hands."""

from __future__ import annotations

from typing import Any

from roomstate import Message, MessageAdded, RoomStateManager
from roomstate.effects import Deliver, RequestRecovery
from roomstate.sync import envelope as wire
from roomstate.sync.envelope import Envelope
from roomstate.sync.feed import Missing
from roomstate.updates import Update

ROOM = "rust"


class Pair:
    """``now`` is both clocks. What the authority tells is returned, and taken in only where a test says so."""

    def __init__(self, *, replica: dict[str, Any] | None = None, **options: Any) -> None:
        self.now = 1000.0
        self.epochs = 0
        self.options = options
        self.authority = self._authority()
        self.replica = RoomStateManager(
            role="replica", clock=self.clock, jitter=lambda: 0.5, new_epoch=lambda: "client", **(replica or {})
        )
        self.asked: list[RequestRecovery] = []
        self.outputs: list[Any] = []

    def clock(self) -> float:
        return self.now

    def _authority(self) -> RoomStateManager:
        self.epochs += 1
        name = f"e{self.epochs}"
        manager = RoomStateManager(clock=self.clock, new_epoch=lambda: name, **self.options)
        manager.enter("server", ROOM)
        return manager

    def restart(self) -> None:
        """Let the authority begin anew, in another epoch, with nothing."""
        self.authority = self._authority()

    def publish(self, update: Update | str) -> Envelope:
        """Publish an update (or a message of that id) and return what tells of it, as it is on the wire."""
        if isinstance(update, str):
            update = MessageAdded(Message(update, "bob", f"says {update}"))
        sent = next(each for each in self.authority.publish(ROOM, update) if isinstance(each, Deliver))
        position = self.authority.view(ROOM).position
        assert position is not None
        previous = sent.seq - 1 if sent.seq else position.seq
        told = wire.of_update(ROOM, position.epoch, previous, sent.seq or position.seq, sent.update, self.now)
        return self.carried(told)

    def carried(self, envelope: Envelope) -> Envelope:
        return wire.decode(wire.encode(envelope))

    def image(self, *, answers: int | None = None, user: str = "") -> Envelope:
        mark = self.authority.token(ROOM).fingerprint
        image = self.authority.image(ROOM)
        return self.carried(wire.of_image(image, self.now, user=user, fingerprint=mark, answers=answers))

    def heartbeat(self) -> Envelope:
        return self.carried(wire.of_heartbeat(ROOM, self.authority.head(ROOM), self.now))

    def answer(self, asked: RequestRecovery) -> tuple[Envelope, ...]:
        """What the authority answers now."""
        if asked.token is not None:
            found = self.authority.since(ROOM, asked.token)
            if isinstance(found, Missing):
                mark = self.authority.token(ROOM).fingerprint
                chain = wire.of_missing(ROOM, found, self.now, fingerprint=mark, answers=asked.request_id)
                return tuple(map(self.carried, chain))
        return (self.image(answers=asked.request_id),)

    def take(self, outputs: tuple[Any, ...]) -> list[Any]:
        """Keep what the replica asks; return everything."""
        self.asked += [each for each in outputs if isinstance(each, RequestRecovery)]
        self.outputs += outputs
        self.replica.check()
        return list(outputs)

    def receive(self, *envelopes: Envelope) -> list[Any]:
        return [each for envelope in envelopes for each in self.take(self.replica.receive(envelope))]

    def enter(self, viewer: str = "ada") -> list[Any]:
        return self.take(self.replica.enter(viewer, ROOM))

    def settle(self) -> list[Any]:
        """Answer all that is asked, and all that is asked then."""
        told = []
        while self.asked:
            asked = self.asked.pop(0)
            told += self.take(self.replica.complete(asked.request_id, self.answer(asked)))
        return told

    def later(self, seconds: float) -> list[Any]:
        self.now += seconds
        return self.take(self.replica.tick())

    def ready(self, *ids: str) -> Pair:
        """Publish messages and let the replica catch up."""
        for each in ids:
            self.publish(each)
        self.enter()
        self.settle()
        return self

    def ids(self) -> list[str]:
        return [message.id for message in self.replica.view(ROOM).messages]

    def same(self) -> None:
        """Assert that the replica shows what the authority does."""
        mine, theirs = self.replica.view(ROOM), self.authority.view(ROOM)
        assert mine.position == theirs.position
        assert mine.messages == theirs.messages
        assert (mine.config, mine.members, mine.presence) == (theirs.config, theirs.members, theirs.presence)
        assert mine.annotations == theirs.annotations
        assert mine.gaps == ()
        assert mine.is_ready


def kinds(outputs: list[Any]) -> list[str]:
    return [type(each).__name__ for each in outputs]
