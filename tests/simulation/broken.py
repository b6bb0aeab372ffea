"""Replicas that are broken on purpose, each in one way: what a campaign must find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from msgspec import structs

from roomstate import RoomStateManager
from roomstate.holding.record import Holding
from roomstate.holding.replicating import Replicating
from roomstate.room.states import LiveRoom
from roomstate.sync.envelope import Envelope
from roomstate.sync.payloads import BulkSync, Heartbeat
from roomstate.updates import MessageAdded, Update


def replica_with(part: type[Replicating]) -> Callable[..., RoomStateManager]:
    """A factory of managers whose replicas are kept in step by ``part``."""

    def make(**settings: Any) -> RoomStateManager:
        with mock.patch("roomstate.manager.Replicating", part):
            return RoomStateManager(**settings)

    return make


def _tells_updates(envelope: Envelope) -> bool:
    return not isinstance(envelope.data, BulkSync | Heartbeat) and envelope.previous < envelope.sequence_number


class WithoutDedup(Replicating):
    """What was heard before is taken in once more, and ids are not looked at."""

    def _take(self, holding: Holding, envelope: Envelope, now: float, *, asked: bool) -> None:
        room = holding.room
        assert room is not None
        same = envelope.epoch == room.epoch and envelope.sequence_number <= room.head
        if same and _tells_updates(envelope) and not envelope.withheld:
            for _, update in envelope.entries(room.roster.get):
                if isinstance(update, MessageAdded):
                    self._update(holding, room, update, room.head, now)
        else:
            super()._take(holding, envelope, now, asked=asked)

    def _update(self, holding: Holding, room: LiveRoom, update: Update, seq: int, now: float) -> None:
        if isinstance(update, MessageAdded):
            room.timeline.withdraw(update.message.id)  # a window cannot hold an id twice: the later copy stands
        super()._update(holding, room, update, seq, now)


class WithoutEpochs(Replicating):
    """Every envelope is taken to be of the epoch that is held."""

    def _take(self, holding: Holding, envelope: Envelope, now: float, *, asked: bool) -> None:
        room = holding.room
        assert room is not None
        if room.epoch:
            data = envelope.data
            data = structs.replace(data, epoch=room.epoch) if isinstance(data, Heartbeat) else data
            envelope = structs.replace(envelope, epoch=room.epoch, data=data)
        super()._take(holding, envelope, now, asked=asked)


class ContentWithParts(Replicating):
    """Whatever part of an answer has come is taken for the whole of it."""

    def _take(self, holding: Holding, envelope: Envelope, now: float, *, asked: bool) -> None:
        super()._take(holding, _joined(holding, envelope) if asked else envelope, now, asked=asked)

    def answered(self, holding: Holding, envelopes: Sequence[Envelope], now: float) -> None:
        super().answered(holding, envelopes[-1:], now)


class WithoutGaps(Replicating):
    """What lies between the copy and an early update is taken never to have been."""

    def _take(self, holding: Holding, envelope: Envelope, now: float, *, asked: bool) -> None:
        super()._take(holding, _joined(holding, envelope), now, asked=asked)


def _joined(holding: Holding, envelope: Envelope) -> Envelope:
    """The envelope, said to begin where the copy ends."""
    room = holding.room
    assert room is not None
    if not room.epoch or not _tells_updates(envelope) or envelope.previous <= room.head:
        return envelope
    return structs.replace(envelope, previous=room.head)


BROKEN = (WithoutDedup, WithoutEpochs, ContentWithParts, WithoutGaps)
