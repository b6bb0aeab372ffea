"""What a client's own users write: shown at once, sent, and replaced by the real message when that comes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from roomstate.effects import EchoFailed, SendToAuthority, Sent
from roomstate.errors import InvalidValue, ProtocolError, UsageError
from roomstate.holding.house import House
from roomstate.holding.record import Holding
from roomstate.model import Echo, MessageLike

__all__ = ["SEND_S", "Sending"]

SEND_S: Final = 30.0
"""Seconds after which what was sent and not acknowledged counts as failed, and may be sent again."""


class Sending:
    """Sends what the users of one house's rooms write, and matches it with what comes back."""

    __slots__ = ("_house",)

    def __init__(self, house: House) -> None:
        self._house = house

    def send(self, holding: Holding, echo: Echo, now: float) -> None:
        """Show ``echo`` as pending and send it; one that is pending already is sent again.

        Raises ``InvalidValue`` or ``RoomBusy``, and has changed nothing, where it cannot be sent.
        """
        echoes = holding.sending()
        pending = echoes.get(echo.client_id)
        if pending is not None:
            if pending.user != echo.user:
                raise InvalidValue("client_id", f"{echo.client_id!r} is pending already, of {pending.user!r}")
            echo = echoes.retry(echo.client_id, now)
        else:
            echoes.add(echo)
        self._ask(holding, echo, now)

    def resend(self, holding: Holding, now: float) -> None:
        """Send again what was neither acknowledged nor refused: a repetition is harmless."""
        for echo in tuple(holding.echoes or ()):
            if not echo.message_id and echo.retryable:
                self._ask(holding, holding.sending().retry(echo.client_id, now), now)

    def _ask(self, holding: Holding, echo: Echo, now: float) -> None:
        house = self._house
        for request_id in [key for key, client_id in holding.sends.items() if client_id == echo.client_id]:
            del holding.sends[request_id]
            house.forget(request_id)
        request_id = house.ask("send", holding.room_id)
        holding.sends[request_id] = echo.client_id
        if ("send", holding.room_id) not in house.due:
            house.due.set(("send", holding.room_id), now + SEND_S)
        house.out.append(SendToAuthority(holding.room_id, request_id, echo))
        self._changed(holding)

    def acknowledged(self, holding: Holding, request_id: int, result: Sent) -> None:
        """Take the authority's word for a message, unless it speaks of another log than is held here.

        Raises ``InvalidValue`` for an id or seq that is none.
        """
        room, client_id = holding.room, holding.sends[request_id]
        if room is not None and result.epoch and room.epoch not in ("", result.epoch):
            holding.following().suspect = True  # it is over, or it is what this copy will follow next
            del holding.sends[request_id]
            self._fail(holding, client_id, "was acknowledged in another epoch", True)
            self._settle(holding)
            return
        holding.sending().acknowledged(client_id, result.message_id, result.seq)
        del holding.sends[request_id]
        if holding.replica is not None:
            holding.replica.known = max(holding.replica.known, result.seq)
        self._settle(holding)

    def failed(self, holding: Holding, request_id: int, error: Exception | str) -> None:
        """Note that a message was not taken: for good where the error says that it never will be."""
        client_id = holding.sends.pop(request_id)
        self._fail(holding, client_id, str(error), not isinstance(error, (UsageError, ProtocolError)))

    def _fail(self, holding: Holding, client_id: str, reason: str, retryable: bool) -> None:
        failed = holding.sending().failed(client_id, reason, retryable)
        if failed is not None:
            self._house.out.append(EchoFailed(holding.room_id, client_id, failed.failed, retryable))
        self._changed(holding)

    def arrived(self, holding: Holding, message: MessageLike) -> None:
        """Let a message that the room shows now take its echo's place. O(1)."""
        if holding.echoes is not None and holding.echoes.arrived(message) is not None:
            self._changed(holding)

    def removed(self, holding: Holding, message_id: str, message: MessageLike | None) -> None:
        """Let the echo of a message go that was removed before it was seen. O(1).

        ``message`` is what was held of it, if it was seen.
        """
        if holding.echoes is not None and holding.echoes.removed(message_id, message) is not None:
            self._changed(holding)

    def restore(self, holding: Holding, echoes: Iterable[Echo]) -> None:
        """Put back what a snapshot has kept; tell of what there is no room for. O(n)."""
        for echo in holding.sending().restore(echoes):
            if not echo.message_id:
                self._house.out.append(EchoFailed(holding.room_id, echo.client_id, "there was no room for it", True))

    def settled(self, holding: Holding) -> None:
        """Let go of what was acknowledged below where the copy is complete: it has come, or was removed. O(pending)."""
        room = holding.room
        if holding.echoes is not None and room is not None:
            upto = room.gaps[0].after if room.gaps else room.head
            if holding.echoes.settled(upto):
                self._changed(holding)

    def doubt(self, holding: Holding, upto: int, now: float) -> None:
        """Send again what was acknowledged above ``upto``, where an answer asked for later says that the log ends.

        It was lost, or the acknowledgement has overtaken the answer: then the repetition is harmless.
        """
        if holding.echoes is not None and holding.echoes.reopen(upto):
            self.resend(holding, now)

    def restarted(self, holding: Holding) -> None:
        """Take note of a new log, which knows nothing of what the old one has acknowledged."""
        if holding.echoes is not None:
            holding.echoes.reopen()

    def discard(self, holding: Holding, client_id: str) -> None:
        """Show a message no longer. Should it have been taken after all, it will come."""
        if holding.sending().discard(client_id) is not None:
            self._changed(holding)
        self._settle(holding)

    def expire(self, holding: Holding, now: float) -> None:
        """Give up what was not acknowledged in time."""
        for request_id, client_id in tuple(holding.sends.items()):
            echo = holding.sending().get(client_id)
            if echo is None or echo.tried_at + SEND_S <= now:
                self._house.forget(request_id)
                del holding.sends[request_id]
                self._fail(holding, client_id, f"was not acknowledged within {SEND_S:g} s", True)
        self._settle(holding)

    def _settle(self, holding: Holding) -> None:
        """Look again when the next one may be given up, if any is waited for; of what is not pending none is."""
        house, times = self._house, []
        for request_id, client_id in tuple(holding.sends.items()):
            echo = holding.sending().get(client_id)
            if echo is None:  # it was discarded, or has come before its acknowledgement
                house.forget(request_id)
                del holding.sends[request_id]
            else:
                times.append(echo.tried_at + SEND_S)
        if times:
            house.due.set(("send", holding.room_id), min(times))
        else:
            house.due.clear(("send", holding.room_id))
        house.weigh(holding)

    def _changed(self, holding: Holding) -> None:
        if holding.room is not None:
            holding.room.changes += 1
