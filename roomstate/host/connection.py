"""One viewer's connection: what a client may ask and send, and what its host does for it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, TypeAlias

from roomstate.errors import (
    InvalidValue,
    Malformed,
    NotAllowed,
    RateLimited,
    RoomStateError,
    StorageError,
    StoreUnavailable,
)
from roomstate.holding.interests import Allowance
from roomstate.host.hub import Hub
from roomstate.host.receiving import owned, repeated, stamped
from roomstate.host.stream import Stream
from roomstate.model import Tier
from roomstate.position import Token
from roomstate.sync.frames import Ack, ErrorFrame, Frame, Interest, Request, Send, decode_frame, named, of_error

__all__ = ["Authorize", "Connection"]

Authorize: TypeAlias = Callable[[str, str, str, Frame], bool | Awaitable[bool]]
"""``authorize(viewer, user, room_id, frame)``: whether the frame, of that user at that viewer, may be acted on."""

_log: Final = logging.getLogger("roomstate")


class Connection:
    """A viewer that is here as long as the block lasts: ``async with host.connect(...) as viewer``.

    Leaving the block releases every interest of the viewer and ends its streams. ``rooms`` are those that it has to do
    with: that the host's own code has entered, followed or subscribed to, or that a frame was allowed to.
    """

    def __init__(self, hub: Hub, viewer: str, user: str, authorize: Authorize | None, badges: tuple[str, ...]) -> None:
        self.viewer: str = viewer
        self.user: str = user
        self.badges: tuple[str, ...] = badges
        self.rooms: dict[str, None] = {}
        self._hub = hub
        self._authorize = authorize
        self._streams: list[Stream] = []
        self._frames = Allowance(hub.bounds.frames_per_s, hub.bounds.frame_burst)
        self._open = False

    async def __aenter__(self) -> Connection:
        self._hub.admit(self)
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release every interest and end every stream. A second call does nothing."""
        if self._open:
            self._open = False
            for stream in tuple(self._streams):
                stream.close()
            self.rooms.clear()
            self._hub.dismiss(self)

    # -- what the host's own code does -------------------------------------------------------------------------------

    async def enter(self, room_id: str) -> None:
        """Let the viewer look at a room; see `RoomHost.enter`. The first open stream brings it, if there is one."""
        await self._interested(room_id, Tier.ACTIVE)

    async def follow(self, room_id: str) -> None:
        """Let the viewer hear of a room without looking at it; see `RoomHost.follow`. A stream brings it as above."""
        await self._interested(room_id, Tier.BACKGROUND)

    async def _interested(self, room_id: str, tier: Tier) -> None:
        self._interest(room_id, tier, None, afresh=False)
        await self._hub.loaded(room_id)

    async def leave(self, room_id: str) -> None:
        """End the viewer's interest in a room, and let its stream bring it no more."""
        self._check_open()
        self._leave(room_id)

    def subscribe(
        self, room_id: str | None = None, since: Token | str | None = None, tier: Tier = Tier.ACTIVE
    ) -> Stream:
        """Return a `Stream`: ``async with`` it, then iterate. Of the room it brings first what is missing ``since``.

        ``since`` is a token that the client shows; without one, or with one that does not serve, an image comes first.
        ``tier`` ACTIVE brings every update, BACKGROUND notifications, counts and configuration, and word of the rest.
        Without a room the stream is empty until its client asks for rooms (`receive`). Entering the block raises what
        `RoomStateManager.enter` does, and ``InvalidValue`` where another stream brings the room.
        """
        first = None if room_id is None else (room_id, tier, since)
        return Stream(self._hub, self, first)

    def opened(self, stream: Stream) -> None:
        """Take a stream on that has begun. Raises ``InvalidValue`` where the connection is closed."""
        self._check_open()
        self._streams.append(stream)

    def closed(self, stream: Stream) -> None:
        """Let a stream go that has ended."""
        self._streams.remove(stream)
        self._hub.given += stream.given

    @property
    def streams(self) -> Sequence[Stream]:
        """Return the streams that are open."""
        return self._streams

    def _check_open(self) -> None:
        if not self._open:
            raise InvalidValue(f"viewer {self.viewer!r}", "is not connected: use it within async with")

    # -- what its client does ----------------------------------------------------------------------------------------

    async def receive(self, raw: str | bytes) -> Ack | ErrorFrame | None:
        """Do what a client asks, if it may; return what to answer it, None where the answer comes on the stream.

        A `Send` is published as this connection's user's, and acknowledged when the durability says that it is taken:
        with "logged", when the log has it, or refused as retryable after ``bounds.ack_s``: sending it again does no
        harm. An `Interest` begins, changes or ends the bringing of a room by the first stream that is open; a `Request`
        is answered on the stream that brings the room.

        ``authorize`` is asked first. Without one, a client may act only in `rooms`, and do only what concerns nobody
        else (`receiving.owned`). Whatever the client sends, this raises nothing but what cancels it: nonsense, floods
        and refusals are an `ErrorFrame`, and counted in `RoomHost.counts`.
        """
        kind, room_id, client_id = "frame", None, None
        try:
            self._check_open()
            self._spend()
            frame = decode_frame(raw, self._hub.bounds.max_frame_bytes)
            kind, room_id = type(frame).__name__.lower(), getattr(frame, "room_id", None)
            client_id = getattr(frame, "client_id", None)
            answer = await self._act(frame)
        except RoomStateError as error:
            self._hub.count("frame", kind, type(error).__name__)
            if kind == "frame":
                room_id, client_id = named(raw)
            return of_error(_fit_to_tell(error), room_id=room_id, client_id=client_id)
        except Exception:
            _log.exception("a frame of %s failed", self.viewer, extra={"room": room_id, "viewer": self.viewer})
            self._hub.count("frame", kind, "failed")
            failed = StoreUnavailable("host", "could not do this")
            return of_error(failed, room_id=room_id, client_id=client_id)
        self._hub.count("frame", kind, "taken")
        return answer

    def _spend(self) -> None:
        try:
            self._frames.spend(self._hub.now())
        except RateLimited:
            per_s = self._hub.bounds.frames_per_s
            raise RateLimited("connection", f"sends more than {per_s:g} frames a second") from None

    async def _act(self, frame: Frame) -> Ack | None:
        if not isinstance(frame, Send | Interest | Request):
            raise Malformed("frame", "must be a request, an interest, or something to send")
        again = False
        if isinstance(frame, Send):
            again = repeated(self._hub.manager, frame)
            update = stamped(
                frame.update, self._hub.now(), client_id=frame.client_id, user=self.user, badges=self.badges
            )
            frame = Send(frame.room_id, frame.client_id, update)
        if not await self._may(frame):
            raise NotAllowed(f"room {frame.room_id!r}", "is not open to this connection, or not for this")
        if isinstance(frame, Send):
            return await self._hub.take(frame.room_id, frame.client_id, frame.update, again=again)
        self._check_open()
        if isinstance(frame, Request):
            self._request(frame)
        elif frame.tier is None:
            self._leave(frame.room_id)
        else:
            self._interest(frame.room_id, Tier[frame.tier], frame.token, afresh=frame.token is not None)
        return None

    async def _may(self, frame: Send | Interest | Request) -> bool:
        if self._authorize is None:
            if frame.room_id not in self.rooms:
                return False
            return not isinstance(frame, Send) or owned(self._hub.manager, frame.room_id, self.user, frame.update)
        allowed = self._authorize(self.viewer, self.user, frame.room_id, frame)
        return await allowed if inspect.isawaitable(allowed) else allowed

    def _interest(self, room_id: str, tier: Tier, token: str | None, *, afresh: bool) -> None:
        self._check_open()
        stream = self._stream_of(room_id) or next(iter(self._streams), None)
        if stream is None:
            self._hub.interest(self.viewer, self.user, room_id, tier)
        else:
            stream.add(room_id, tier, token, afresh=afresh)
        self.rooms[room_id] = None

    def _leave(self, room_id: str) -> None:
        stream = self._stream_of(room_id)
        if stream is not None:
            stream.remove(room_id)
        self._hub.forsake(self.viewer, room_id)
        self.rooms.pop(room_id, None)

    def _request(self, frame: Request) -> None:
        stream = self._stream_of(frame.room_id)
        if stream is None:
            raise NotAllowed(f"room {frame.room_id!r}", "is brought by no stream of this connection")
        stream.answer(frame.room_id, frame.token, frame.request_id)

    def _stream_of(self, room_id: str) -> Stream | None:
        return next((stream for stream in self._streams if room_id in stream), None)


def _fit_to_tell(error: RoomStateError) -> RoomStateError:
    """Return what a client may know of an error: not where the store lies."""
    if isinstance(error, StorageError):
        return StoreUnavailable("store", "has not confirmed it: sending it again does no harm")
    return error
