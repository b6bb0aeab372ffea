"""Local echo: what a client has sent in one room and not yet seen come back.

A message that was sent is shown at once, as an `Echo`, after all that has arrived. Two things come back for it, in
either order, repeatedly, or not at all: the acknowledgement, which names the message that it has become, and the
broadcast, which is that message. Only the broadcast takes an echo off the screen, for only then is the message itself
shown: so every message is shown once at every moment. The one exception is a source whose broadcast tells nobody which
client sent it (no ``client_id``, an id of its own) and outruns the acknowledgement: until that comes, both are shown.

What cannot come any more must not wait for ever either: `removed` is told of messages that were taken away before they
were seen, `settled` of how far the copy is complete, and `reopen` of a new log, which knows no old acknowledgement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Final

from msgspec import structs

from roomstate.errors import InvalidValue, RoomBusy
from roomstate.model import UNSTAMPED, Echo, Message, MessageLike, check_bound, check_id, check_message
from roomstate.room.weight import json_bytes, text_bytes

__all__ = ["MAX_ECHOES", "MAX_ECHO_BYTES", "MAX_REASON", "Echoes"]

MAX_ECHOES: Final = 100
"""Echoes of one room: as many as a room's notifications (DESIGN §9). Who sends more waits for one to come back."""

MAX_ECHO_BYTES: Final = 1 << 18
"""Bytes of them, by estimate: 100 of 2,000 characters fit, which is what Discord allows in a message."""

MAX_REASON: Final = 1000
"""Characters of the reason for which an echo failed: as many as an error of the wire may have."""

_MAX_SEEN = 1000  # ids remembered while an acknowledgement is awaited: as many as an ACTIVE room's messages
_PER_ECHO = 450  # bytes of an echo with its three ids and its places here, beyond content and extra


class Echoes:
    """The echoes of one room, oldest first: at most ``max_echoes``, of at most ``max_bytes`` by estimate.

    The caller tells of everything that comes: `acknowledged` and `failed`, `arrived` for every message that the room
    takes in (of a whole image too, after `restore`), `removed` and `settled`. Unknown client ids are ignored wherever
    something comes from outside: what is told twice, or late, is told of an echo that is gone. All is O(1) unless it
    says otherwise.

    >>> echoes = Echoes()
    >>> echoes.add(Echo("c1", "ada", "hello", sent_at=0.0))
    >>> echoes.acknowledged("c1", "m7", seq=7)  # still shown: the message itself has not come
    >>> [echo.message_id for echo in echoes]
    ['m7']
    >>> echoes.arrived(Message("m7", "ada", "hello")).client_id, len(echoes)
    ('c1', 0)
    """

    __slots__ = ("_bytes", "_echoes", "_named", "_seen", "max_bytes", "max_echoes")

    def __init__(self, max_echoes: int = MAX_ECHOES, max_bytes: int = MAX_ECHO_BYTES) -> None:
        check_bound("max_echoes", max_echoes)
        check_bound("max_bytes", max_bytes)
        self.max_echoes: int = max_echoes
        self.max_bytes: int = max_bytes
        self._echoes: dict[str, Echo] = {}
        self._named: dict[str, str] = {}  # client ids by the message id of their acknowledgement
        self._seen: deque[str] = deque(maxlen=_MAX_SEEN)  # ids that arrived, and were nobody's, while an echo waited
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._echoes)

    def __iter__(self) -> Iterator[Echo]:
        """The echoes in the order in which they were first sent."""
        return iter(self._echoes.values())

    def __contains__(self, client_id: str) -> bool:
        return client_id in self._echoes

    def get(self, client_id: str) -> Echo | None:
        """Return the echo of this client id, or None where it is not pending."""
        return self._echoes.get(client_id)

    @property
    def bytes(self) -> int:
        """What the echoes hold in memory, in bytes, by estimate."""
        return self._bytes

    # -- what the client does ----------------------------------------------------------------------------------------

    def add(self, echo: Echo) -> None:
        """Show ``echo`` after all others. The caller then sends it, and tells what comes back. O(its size).

        Raises ``InvalidValue`` for one that is not sound, larger than ``max_bytes`` alone, or pending already, and
        ``RoomBusy`` where a bound is reached; nothing has changed then.
        """
        _check(echo)
        if echo.client_id in self._echoes:
            raise InvalidValue("echo.client_id", f"{echo.client_id!r} is pending already: retry it instead")
        if echo.message_id:
            raise InvalidValue("echo.message_id", "must be empty: what is acknowledged was sent before")
        if _size(echo) > self.max_bytes:
            raise InvalidValue("echo", f"must hold at most {self.max_bytes} bytes, got {_size(echo)}")
        if not self._admit(echo):
            raise RoomBusy("echoes", f"{len(self)} of {self._bytes} bytes are pending already")

    def retry(self, client_id: str, now: float) -> Echo:
        """Return the echo as it was before it failed, ``tried_at`` ``now``, for the caller to send; it keeps its place.

        Sending twice is harmless where the authority knows the client id. Raises ``InvalidValue``, and has changed
        nothing, for one that is not pending, that is acknowledged, or whose failure was said to be for good.
        """
        echo = self._echoes.get(client_id)
        if echo is None:
            raise InvalidValue("client_id", f"{client_id!r} is not pending")
        if echo.message_id:
            raise InvalidValue("client_id", f"{client_id!r} is acknowledged as {echo.message_id!r}")
        if not echo.retryable:
            raise InvalidValue("client_id", f"{client_id!r} cannot be sent again: {echo.failed}")
        return self._change(echo, tried_at=now, failed="")

    def discard(self, client_id: str) -> Echo | None:
        """Show it no longer; return it, or None where it is not pending. Should it arrive after all, it is shown."""
        echo = self._echoes.get(client_id)
        return None if echo is None else self._drop(echo)

    def restore(self, echoes: Iterable[Echo]) -> tuple[Echo, ...]:
        """Put back what a snapshot has kept, before what was sent since; return those for which there is no room. O(n).

        As many as the bounds allow, whatever was sent since: until fewer are pending, no more can be sent then. An echo
        that is pending stays as it is. The caller then tells of the messages that the room holds (`arrived`).
        Raises ``InvalidValue``, and has changed nothing, where one of them is not sound.
        """
        old = {echo.client_id: echo for echo in echoes if echo.client_id not in self._echoes}
        for echo in old.values():
            _check(echo)
        later, self._echoes = self._echoes, {}
        size, self._bytes = self._bytes, 0
        refused = tuple(echo for echo in old.values() if not self._admit(echo))
        self._echoes |= later
        self._bytes += size
        return refused

    def clear(self) -> None:
        """Forget all."""
        self._echoes.clear()
        self._named.clear()
        self._seen.clear()
        self._bytes = 0

    # -- what comes back ---------------------------------------------------------------------------------------------

    def acknowledged(self, client_id: str, message_id: str, seq: int = 0) -> Echo | None:
        """Take the authority's word that it has the message, as ``message_id`` at ``seq`` (0: it has no seqs).

        The echo stays until the message arrives; one whose message has come already is gone at once, and returned.
        So is one that has become the same message as another echo. An acknowledgement overrules an earlier failure; the
        first one stands. O(1,000). Raises ``InvalidValue``, and has changed nothing, for an id or a seq that is none.
        """
        check_id("message_id", message_id)
        check_bound("seq", seq, least=0)
        echo = self._echoes.get(client_id)
        if echo is None or echo.message_id:
            return None
        if message_id in self._seen or message_id in self._named:
            return self._drop(echo)
        changed = self._change(echo, message_id=message_id, seq=seq, failed="", retryable=True)
        self._named[message_id] = changed.client_id
        return None

    def failed(self, client_id: str, reason: str, retryable: bool) -> Echo | None:
        """Note why the message was not taken; return the echo as it is now. It stays, to be sent again or discarded.

        Of the reason ``MAX_REASON`` characters are kept, such as JSON can carry. None, and nothing has changed, where
        it is not pending, or was acknowledged: then it was taken.
        """
        echo = self._echoes.get(client_id)
        if echo is None or echo.message_id:
            return None
        said = reason[:MAX_REASON].encode("utf-8", "replace").decode()
        return self._change(echo, failed=said or "failed", retryable=retryable)

    def arrived(self, message: MessageLike) -> Echo | None:
        """Tell that the room shows ``message`` now; return the echo that it replaces, or None.

        An echo is known by its acknowledgement's message id; or, if the same user wrote it, by its client id as the
        message's id or in the message's ``extra["client_id"]``: nobody can take another's echo away.
        """
        if not self._echoes:
            return None
        echo = self._acknowledged_as(message.id) or self._own(message.id, message) or self._hinted(message)
        if echo is not None:
            return self._drop(echo)
        self._seen.append(message.id)
        return None

    def removed(self, message_id: str, message: MessageLike | None = None) -> Echo | None:
        """Tell that a message was removed, seen or not: its echo is gone. Return that, or None.

        ``message`` is what the room held of it: as in `arrived`, another user's is nobody's echo here.
        """
        echo = self._acknowledged_as(message_id)
        if echo is None and message_id not in self._seen:
            echo = self._echoes.get(message_id) if message is None else self._own(message_id, message)
        return None if echo is None else self._drop(echo)

    def settled(self, upto: int) -> tuple[Echo, ...]:
        """Tell that nothing is missing of ``(0, upto]``: return what was acknowledged there and is gone now. O(n).

        Its message has come, or was removed before it could. With gaps, ``upto`` is where the first one begins.
        """
        if not self._named:
            return ()
        return tuple(self._drop(echo) for echo in [*self] if 0 < echo.seq <= upto)

    def reopen(self, after: int = -1) -> bool:
        """Tell that the log has lost what lies above ``after`` (-1: all of it); return whether that was anything here.

        What was acknowledged there may be lost with it, and waits for its acknowledgement again. The caller tells of
        the messages in the new image (`arrived`), then sends again what is still here. O(n).
        """
        lost = [echo for echo in self if echo.message_id and echo.seq > after]
        for echo in lost:
            del self._named[echo.message_id]
            self._change(echo, message_id="", seq=0)
        if after < 0:
            self._seen.clear()
        return bool(lost)

    # -- within ------------------------------------------------------------------------------------------------------

    def _admit(self, echo: Echo) -> bool:
        """Put ``echo`` last, if there is room for it."""
        size = _size(echo)
        if len(self._echoes) >= self.max_echoes or self._bytes + size > self.max_bytes:
            return False
        if echo.message_id in self._named:  # as in `acknowledged`, one message is shown by one echo
            return False
        self._echoes[echo.client_id] = echo
        self._bytes += size
        if echo.message_id:
            self._named[echo.message_id] = echo.client_id
        return True

    def _change(self, echo: Echo, **fields: object) -> Echo:
        changed = structs.replace(echo, **fields)
        self._echoes[echo.client_id] = changed  # a key keeps its place
        return changed

    def _drop(self, echo: Echo) -> Echo:
        del self._echoes[echo.client_id]
        self._bytes -= _size(echo)
        if echo.message_id:
            self._named.pop(echo.message_id, None)
        if not self._echoes:
            self._seen.clear()
        return echo

    def _acknowledged_as(self, message_id: str) -> Echo | None:
        return self._echoes.get(self._named.get(message_id, ""))

    def _own(self, client_id: str, message: MessageLike) -> Echo | None:
        echo = self._echoes.get(client_id)
        return echo if echo is not None and echo.user == message.user else None

    def _hinted(self, message: MessageLike) -> Echo | None:
        hint = message.extra.get("client_id") if message.extra else None
        return self._own(hint, message) if isinstance(hint, str) else None

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._echoes) <= 2 * self.max_echoes  # what was restored, and what was sent before
        assert self._bytes == sum(map(_size, self)) <= 2 * self.max_bytes
        assert all(name == echo.client_id for name, echo in self._echoes.items())
        assert all(self._echoes[client_id].message_id == name for name, client_id in self._named.items())
        assert {echo.message_id for echo in self if echo.message_id} == set(self._named)
        assert self._echoes or not self._seen


def _check(echo: Echo) -> None:
    check_id("echo.client_id", echo.client_id)
    check_message(Message(echo.client_id, echo.user, echo.content, UNSTAMPED, (), echo.extra))
    for where, at in (("echo.sent_at", echo.sent_at), ("echo.tried_at", echo.tried_at)):
        if not isfinite(at):
            raise InvalidValue(where, f"must be a finite number of seconds, got {at!r}")


def _size(echo: Echo) -> int:
    return _PER_ECHO + text_bytes(echo.content) + json_bytes(echo.extra)
