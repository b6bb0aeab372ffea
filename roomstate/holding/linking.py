"""What comes from somebody else's authority, and what is sent to it: the verbs of a room's other end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from roomstate.errors import InvalidValue, TooManyRooms
from roomstate.holding import checks
from roomstate.holding.answering import Answers, Outputs
from roomstate.holding.record import Holding
from roomstate.model import EMPTY, Echo, check_id
from roomstate.sync.envelope import Envelope
from roomstate.sync.strategies import Side
from roomstate.updates import Update

__all__ = ["Links"]


class Links(Answers):
    """The linking verbs of `RoomStateManager`, which is the one class that has them."""

    @overload
    def receive(self, source: Envelope, /, *, now: float | None = None) -> Outputs: ...

    @overload
    def receive(
        self, source: str, update: Update, /, *, cursor: str | None = None, now: float | None = None
    ) -> Outputs: ...

    def receive(
        self,
        source: Envelope | str,
        update: Update | None = None,
        /,
        *,
        cursor: str | None = None,
        now: float | None = None,
    ) -> Outputs:
        """Take what somebody else's authority has given out: ``receive(envelope)`` or ``receive(room_id, update)``.

        An envelope (a replica only) is joined to what is held. One that is known already changes nothing; one that is
        early waits ``early_s``; what stays missing is asked for with `RequestRecovery`. One for a room that nobody
        holds here is counted and dropped: whoever enters the room later asks for it.

        An update is of a source without seqs, whose rooms are ordered by (timestamp, id) and never published to.
        ``cursor`` is the source's opaque name for this point: `disconnected` opens a gap from the last one. Repetitions
        are harmless. O(log n).

        Raises ``InvalidValue``, ``TooManyRooms`` for an update of one more room than ``max_live_rooms``, ``Malformed``
        for an envelope that contradicts itself, or ``ConflictError`` where a host's own strategy fails over an image;
        nothing has changed then.
        """
        now = self._begin(now)
        if isinstance(source, Envelope):
            self._receive_envelope(source, now)
            return self._end(now)
        check_id("room_id", source)
        if self._house.replica or update is None:
            raise InvalidValue("update", "must be given for a source without seqs; a replica receives envelopes")
        update = checks.checked(update, now)
        if cursor is not None:
            check_id("cursor", cursor)
        self._admit_room(source)
        self._following.receive(source, update, cursor, now)
        return self._end(now)

    def _receive_envelope(self, envelope: Envelope, now: float) -> None:
        if not self._house.replica:
            raise InvalidValue("role", "an authority gives out envelopes: only a replica receives them")
        holding = self._holdings.get(envelope.room_id)
        if holding is None or holding.room is None:
            self._house.counts["envelope", "not held"] += 1
            return
        self._replicating.receive(holding, envelope, now)
        self._tiering.settle(holding, now)

    def disconnected(self, room_id: str, *, now: float | None = None) -> Outputs:
        """Note that a room's source or authority cannot be reached, or was not. The room is STALE.

        Of a foreign source, what it said meanwhile is a gap: the `FetchMessages` that comes back asks for it from the
        last cursor; complete it when the source answers again. A room at rest is loaded for that; of one for which
        nothing was received nothing is missing. Of an authority nothing is asked for until `connected`, a heartbeat, or
        somebody who comes to look at the room.
        Raises ``UnknownRoom``, or ``InvalidValue`` for a live room that is published to.
        """
        now = self._begin(now)
        self._known(room_id)
        at_rest = room_id not in self._holdings and not self._house.stored
        holding = None if at_rest and not self._house.replica else self._live(room_id)
        if holding is None:
            self._admit_room(room_id)
            self._following.missed(room_id, now)
        elif self._house.replica:
            self._replicating.disconnected(holding)
        else:
            self._following.disconnected(holding, now)
        return self._end(now)

    def connected(self, room_id: str, *, now: float | None = None) -> Outputs:
        """Note that the room's source or authority is reached again; asks for every gap that nobody is filling.

        On a replica, what was sent and neither acknowledged nor refused is sent again. Raises as `disconnected`.
        """
        now = self._begin(now)
        holding = self._live(room_id)
        if self._house.replica:
            self._replicating.connected(holding, now)
        else:
            self._following.connected(holding, now)
        return self._end(now)

    # -- local echo --------------------------------------------------------------------------------------------------

    def send(
        self,
        room_id: str,
        content: str,
        *,
        user: str | None = None,
        client_id: str | None = None,
        extra: Mapping[str, Any] | None = None,
        now: float | None = None,
    ) -> Outputs:
        """Send a message to the room's authority, and show it as pending (``view.pending``) until it comes back.

        The result has the `SendToAuthority`; complete it with `Sent`, or fail it: then an `EchoFailed` says whether
        sending again may help. ``client_id`` names the message (None: a random name is given); one that is pending
        already is sent again, as it was. ``user`` is the author: None means the one user who is in the room. Raises
        ``UnknownRoom``, ``InvalidValue``, ``RoomBusy`` where too much is pending; nothing has changed then.
        """
        now = self._begin(now)
        holding = self._live(room_id)
        if not self._house.replica:
            raise InvalidValue("role", "only a replica sends: an authority publishes")
        author = self._author(holding, user)
        name = client_id if client_id is not None else self._house.new_epoch()
        checks.json_value("extra", dict(extra or {}))
        echo = Echo(name, author, content, sent_at=now, extra=dict(extra) if extra else EMPTY, tried_at=now)
        self._replicating.sending.send(holding, echo, now)
        return self._end(now)

    def discard(self, room_id: str, client_id: str, *, now: float | None = None) -> Outputs:
        """Show no longer what was sent and failed. Should the authority have taken it, it comes as any message does.

        One that is not pending changes nothing. Raises ``UnknownRoom``, or ``InvalidValue`` for what is no id.
        """
        now = self._begin(now)
        holding = self._live(room_id)
        check_id("client_id", client_id)
        self._replicating.sending.discard(holding, client_id)
        self._tiering.settle(holding, now)
        return self._end(now)

    # -- conflicts ---------------------------------------------------------------------------------------------------

    def resolve(self, conflict_id: int, choice: Side | Mapping[str, Any], *, now: float | None = None) -> Outputs:
        """Choose in a conflict that a `ConflictOpened` told of: "client", "server", or values by field name.

        Raises ``ConflictError``, and has changed nothing, when the time for choosing is over, or for a value that the
        field cannot have or no envelope could carry: the default stands.
        """
        now = self._begin(now)
        self._replicating.settling.resolve(conflict_id, choice, now)
        return self._end(now)

    def _author(self, holding: Holding, user: str | None) -> str:
        users = {self._house.interests.user_of(viewer) for viewer in self._house.interests.in_room(holding.room_id)}
        if user is None and len(users) != 1:
            raise InvalidValue("user", f"must be given: {len(users)} users are in room {holding.room_id!r}")
        author = user if user is not None else users.pop()
        check_id("user", author)
        return author

    def _admit_room(self, room_id: str) -> None:
        bound = self._house.bounds.max_live_rooms
        if room_id not in self._holdings and len(self._holdings) >= bound:
            raise TooManyRooms("max_live_rooms", f"{bound} rooms are held already")
