"""How a call begins and ends, and what the host answers to what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from roomstate.effects import (
    ANSWERS,
    Appended,
    AppendLog,
    FetchMessages,
    Head,
    Loaded,
    LoadHead,
    LoadPacked,
    LoadSnapshot,
    Packed,
    Recovered,
    RequestRecovery,
    SaveSnapshot,
    SendToAuthority,
    Sent,
)
from roomstate.errors import InvalidValue
from roomstate.holding import checks
from roomstate.holding.counting import COUNTED, Request
from roomstate.holding.durability import Durability
from roomstate.holding.following import Following
from roomstate.holding.house import Output
from roomstate.holding.reading import Readings
from roomstate.holding.record import Holding
from roomstate.holding.replicating import Replicating
from roomstate.holding.warming import Warming

__all__ = ["Answers", "Outputs"]

Outputs: TypeAlias = tuple[Output, ...]
_ASKED: Final[dict[str, type[Any]]] = {
    "head": LoadHead,
    "load": LoadSnapshot,
    "append": AppendLog,
    "save": SaveSnapshot,
    "fetch": FetchMessages,
    "recover": RequestRecovery,
    "send": SendToAuthority,
    "warm": LoadPacked,
}


class Answers(Readings):
    """The answering verbs of `RoomStateManager`, which is the one class that has them."""

    _clock: Callable[[], float]
    _durability: Durability
    _following: Following
    _replicating: Replicating
    _warming: Warming

    def complete(self, request_id: int, result: object = None, *, now: float | None = None) -> Outputs:
        """Answer an effect with its result, as the table in `roomstate.effects` says.

        An answer that is no longer wanted is ignored. Raises ``InvalidValue`` for a request that was never made, or a
        result of another type, or with a field of another type: the request is then still open.
        """
        now = self._begin(now)
        request = self._request(request_id)
        if request is None:
            return ()
        checks.answer(result, ANSWERS[_ASKED[request.kind]])
        holding = self._holdings.get(request.room_id)
        if holding is None:
            assert result is None or isinstance(result, Packed)
            self._warming.loaded(request.room_id, result, now)
        elif isinstance(result, Appended):
            self._durability.appended(holding, result)
            self._tiering.settle(holding, now)
        elif isinstance(result, Loaded):
            self._load_in(holding, result, now)
        elif isinstance(result, bytes):
            self._tiering.leaving.saved(holding, result, now)
        elif isinstance(result, Recovered):
            self._following.recovered(holding, result, now)
        elif isinstance(result, Sent):
            self._replicating.sending.acknowledged(holding, request_id, result)
            self._replicating.look(holding, now)
            self._tiering.settle(holding, now)
        elif isinstance(result, tuple):
            self._replicating.answered(holding, checks.envelopes(request.room_id, result), now)
        else:
            assert result is None or isinstance(result, Head)
            self._tiering.head_found(holding, result, now)
        self._house.forget(request_id)
        self._house.meter.took(now - request.at, "request", request.kind, "done")
        return self._end(now)

    def _load_in(self, holding: Holding, result: Loaded, now: float) -> None:
        try:
            self._tiering.loaded(holding, result, now)
        except (TypeError, AttributeError, ValueError) as error:
            if isinstance(error, InvalidValue):
                raise
            raise InvalidValue("result", f"is not what a room is made of: {error}") from error
        self._following.loaded(holding, result.image)

    def fail(self, request_id: int, error: Exception | str, *, now: float | None = None) -> Outputs:
        """Answer an effect with the reason why it could not be carried out.

        What was held stays; it is tried again at a deadline, with growing pauses. Of an error that cannot be written
        as text the type's name is told. Raises as `complete`.
        """
        now = self._begin(now)
        request = self._request(request_id)
        if request is None:
            return ()
        error = _readable(error)
        self._house.forget(request_id)
        self._house.meter.took(now - request.at, "request", request.kind, "failed")
        if request.kind == "warm":
            self._warming.failed(request.room_id)
        else:
            self._failed(request.kind, request_id, self._holdings[request.room_id], error, now)
        return self._end(now)

    def _failed(self, kind: str, request_id: int, holding: Holding, error: Exception | str, now: float) -> None:
        reason = str(error)
        if kind == "append":
            self._durability.append_failed(holding, reason, now)
        elif kind == "load":
            self._tiering.load_failed(holding, reason, now)
        elif kind == "save":
            self._tiering.leaving.failed(holding, reason, now)
        elif kind == "fetch":
            self._following.fetch_failed(holding, reason, now)
        elif kind == "recover":
            self._replicating.failed(holding, reason, now)
        elif kind == "send":
            self._replicating.sending.failed(holding, request_id, error)
            self._tiering.settle(holding, now)
        else:
            holding.head_id = 0
            self._house.save_failed(holding, "head", reason, now)

    def _request(self, request_id: int) -> Request | None:
        if isinstance(request_id, bool) or not isinstance(request_id, int):
            raise InvalidValue("request_id", f"must be an int, got {request_id!r}")
        request = self._house.requests.get(request_id)
        if request is None and not 0 < request_id <= self._house.last_request:
            raise InvalidValue("request_id", f"no such request was made: {request_id!r}")
        return request

    def warm(self, viewer: str, *, user: str | None = None, now: float | None = None) -> Outputs:
        """Load where ``viewer`` is likely to turn next: call it as a viewer connects, before it enters a room.

        Every `enter` does it too, for the turn after. ``user`` is whose connection ``viewer`` is, by default what it
        said before, or itself. The rooms come into the cache, as many as the warmer's bounds let, and if they are worth
        more there than what would give way. On a replica, without a ``warmer`` or a log, or while memory is short,
        nothing happens. What was loaded is counted in ``stats()`` as used, wasted or failed. O(candidates). Raises
        ``InvalidValue``.
        """
        now = self._begin(now)
        self._warming.plan(self._house.interests.whose(viewer, user), now)
        return self._end(now)

    # -- the frame of every verb -------------------------------------------------------------------------------------

    def _begin(self, now: float | None) -> float:
        """Return the one instant of this call, never before that of an earlier one, and start its outputs."""
        if now is None:
            now = self._clock()
        checks.instant(now)
        self._house.out.clear()
        return max(self._now, now)

    def _end(self, now: float) -> Outputs:
        """Keep the budget, and hand over what the call put out."""
        house = self._house
        self._now = now
        if house.over > 0:
            self._tiering.press(now)
        outputs = tuple(house.out)
        house.out.clear()
        for item in outputs:
            if type(item) in COUNTED:
                house.meter.happened(item)
        while house.begun < house.last_request:
            house.begun += 1
            if house.begun in house.requests:
                house.requests[house.begun].at = now
        return outputs


def _readable(error: Exception | str) -> Exception | str:
    """Return ``error``, or the name of its type where its own text cannot be read."""
    try:
        str(error)
    except Exception:  # a host's own
        return type(error).__name__
    return error
