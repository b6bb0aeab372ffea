"""A replica's end of a simulated world: envelopes in, what its users write out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from roomstate.effects import CloseStream, OpenStream, RequestRecovery, SendToAuthority, Sent
from roomstate.errors import RoomStateError, UsageError
from roomstate.manager import RoomStateManager
from roomstate.model import Message, Tier
from roomstate.store.memory import MemoryStore
from roomstate.sync.envelope import Envelope
from roomstate.sync.frames import Ack, ErrorFrame, Interest, Request, Send, decode_frame
from roomstate.testing.ends import BaseEnd, Outside
from roomstate.testing.network import Frames
from roomstate.updates import MessageAdded

__all__ = ["Client"]


class Client(BaseEnd):
    """A replica's end. ``reply``: what comes in one packet and answers a request is handed over as one answer."""

    def __init__(
        self, manager: RoomStateManager, outside: Outside, store: MemoryStore | None = None, *, reply: bool = False
    ) -> None:
        super().__init__(manager, outside, store)
        self.ports.update(
            {
                OpenStream: self._open,
                CloseStream: self._close,
                RequestRecovery: self._recover,
                SendToAuthority: self._say,
            }
        )
        self._reply = reply
        self._peer: str | None = None
        self._streams: dict[str, Literal["ACTIVE", "BACKGROUND"]] = {}  # room -> tier asked for
        self._asked: dict[str, int] = {}  # room -> the recovery under way
        self._said: dict[tuple[str, str], int] = {}  # (room, client id) -> the request that sends it

    def _send(self, *frames: Interest | Request | Send) -> None:
        if self._peer is not None:
            self.outside.send(self._peer, tuple(frame.to_json().encode() for frame in frames))

    # -- connections -------------------------------------------------------------------------------------------------

    def opened(self, peer: str) -> None:
        """See `End`."""
        self._peer = peer
        self.beat()
        for room_id in self._live():
            self.call("connected", room_id)

    def closed(self, peer: str) -> None:
        """See `End`."""
        self._peer = None
        for room_id in self._live():
            self.call("disconnected", room_id)

    def _live(self) -> list[str]:
        return [room_id for room_id in self.manager.known() if self.manager.tier(room_id) >= Tier.BACKGROUND]

    def beat(self) -> None:
        """See `End`: name the open streams again, in case the authority has lost them."""
        for room_id, tier in self._streams.items():
            self._send(Interest(room_id, tier))

    # -- what comes --------------------------------------------------------------------------------------------------

    def received(self, peer: str, frames: Frames) -> None:
        """See `End`."""
        decoded = [decode_frame(raw) for raw in frames]
        first = decoded[0]
        if self._reply and isinstance(first, Envelope) and first.answers == self._asked.get(first.room_id, -1):
            self.call("complete", self._asked.pop(first.room_id), tuple(decoded))
            return
        for frame in decoded:
            if isinstance(frame, Envelope):
                self.call("receive", frame)
            elif isinstance(frame, Ack):
                self._acknowledged(frame)
            elif isinstance(frame, ErrorFrame):
                self._refused(frame)

    def _acknowledged(self, frame: Ack) -> None:
        request_id = self._said.pop((frame.room_id, frame.client_id), None)
        if request_id is not None:
            self.call("complete", request_id, Sent(frame.message_id, frame.sequence_number, frame.epoch))

    def _refused(self, frame: ErrorFrame) -> None:
        request_id = self._said.pop((frame.room_id or "", frame.client_id or ""), None)
        if request_id is not None:
            kind = RoomStateError if frame.retryable else UsageError
            self.call("fail", request_id, kind(frame.where, frame.reason))

    # -- what goes ---------------------------------------------------------------------------------------------------

    def _open(self, effect: OpenStream) -> None:
        tier = self._streams[effect.room_id] = "ACTIVE" if effect.mode == "realtime" else "BACKGROUND"
        self._send(Interest(effect.room_id, tier))

    def _close(self, effect: CloseStream) -> None:
        self._streams.pop(effect.room_id, None)
        self._asked.pop(effect.room_id, None)
        self._send(Interest(effect.room_id, None))

    def _recover(self, effect: RequestRecovery) -> None:
        """Ask, and say in the same breath for what tier: an authority that only follows the room has less of it."""
        room_id = effect.room_id
        self._asked[room_id] = effect.request_id
        token = effect.token.to_str() if effect.token is not None else None
        self._send(Interest(room_id, self._streams[room_id]), Request(room_id, effect.request_id, token))

    def _say(self, effect: SendToAuthority) -> None:
        echo = effect.echo
        self._said[effect.room_id, echo.client_id] = effect.request_id
        written = datetime.fromtimestamp(echo.sent_at, UTC)
        message = Message(echo.client_id, echo.user, echo.content, written, (), echo.extra)
        self._send(Send(effect.room_id, echo.client_id, MessageAdded(message)))
