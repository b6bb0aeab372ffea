"""Two states of one room that must become one: what differs, who decides, and a record of every decision.

A `ConflictPolicy` gives each part of a room (`PARTS`) to a `ConflictStrategy`. Where a common ancestor of both states
is known, a part that only one side changed takes that side, and no strategy is asked. What comes out is a new image,
sound by `roomstate.room.passage.check_image`, with one `Decision` for each field of it over which the two differed. A
part that somebody is to choose (`UserChoice`) has its default meanwhile: nothing ever waits.

Of two different logs (another epoch, another fingerprint at one position, one with positions and one without) nothing
that rests on positions is put together: the server's stands, whatever the strategy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_type_hints

import msgspec
from msgspec import Struct, structs

from roomstate.effects import Decision
from roomstate.errors import ConflictError, InvalidValue
from roomstate.image import RoomImage
from roomstate.model import EMPTY, MAX_DEPTH, check_message, depth
from roomstate.room.passage import check_image
from roomstate.sync.checking import MAX_ENVELOPE
from roomstate.sync.merge import merge_messages
from roomstate.sync.strategies import (
    PARTS,
    POSITIONED,
    ClientWins,
    Conflict,
    ConflictKind,
    ConflictStrategy,
    Merge,
    ServerWins,
    Side,
    UserChoice,
    apart,
    check_images,
    detect,
    differing,
    fields_of,
)

__all__ = [
    "DEFAULTS",
    "PARTS",
    "ClientWins",
    "Conflict",
    "ConflictKind",
    "ConflictPolicy",
    "ConflictStrategy",
    "Merge",
    "Pending",
    "ServerWins",
    "Settled",
    "UserChoice",
    "chosen",
    "detect",
    "expire",
    "merge_messages",
    "resolve",
]

# -- the policy --------------------------------------------------------------------------------------------------------

_CLIENT, _SERVER, _MERGE = ClientWins(), ServerWins(), Merge()
_OURS: Final = (ClientWins, ServerWins, Merge, UserChoice)
_BOTH: Final[Mapping[str, ConflictStrategy]] = {
    "messages": _MERGE,
    "info": _SERVER,
    "config": _SERVER,
    "moderation": _SERVER,
    "members": _SERVER,
    "presence": _SERVER,
    "notifications": _MERGE,
    "markers": _MERGE,
    "ui_state": _CLIENT,
}
DEFAULTS: Final[Mapping[ConflictKind, Mapping[str, ConflictStrategy]]] = {
    ConflictKind.MESSAGE_ORDER: _BOTH,
    ConflictKind.USER_PRESENCE: {**_BOTH, "messages": _CLIENT},
    ConflictKind.ROOM_CONFIG: {
        **dict.fromkeys(PARTS, _CLIENT),
        **dict.fromkeys(("config", "moderation", "info"), _SERVER),
    },
    ConflictKind.COMPLEX: _BOTH,
}
"""Who settles what unless a policy says otherwise: DESIGN §6.

What it does not name is the server's, but for notifications and read markers: a server's image tells only some of them.
"""


class Pending(Struct, frozen=True):
    """A part of a room that somebody is to choose; meanwhile the ``default``'s side stands.

    ``client`` and ``server`` are the values of the fields that differ, by name. Show them, and give the answer to
    `resolve` before ``expires_at`` (seconds since 1970); from then on `expire` gives the record of it.
    """

    part: str
    client: Mapping[str, Any]
    server: Mapping[str, Any]
    default: Side
    expires_at: float

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that differ. O(1)."""
        return tuple(self.server)


class Settled(Struct, frozen=True):
    """What became of a conflict: the room's one ``image``, a decision for each field that differed, what is open."""

    image: RoomImage
    decisions: tuple[Decision, ...]
    pending: tuple[Pending, ...] = ()


class ConflictPolicy(Struct, frozen=True):
    """Says who settles each part of a room: ``fields`` maps a part (`PARTS`) to a strategy; others as in `DEFAULTS`.

    Raises ``InvalidValue`` for a part that there is not, for what is no strategy, and for messages that somebody is to
    choose.

    >>> policy = ConflictPolicy({"config": UserChoice(expires_s=60)})
    >>> policy.strategy("config", ConflictKind.COMPLEX)
    UserChoice(expires_s=60, default='server')
    >>> policy.strategy("messages", ConflictKind.COMPLEX)
    Merge(max_messages=1000)
    """

    fields: Mapping[str, ConflictStrategy] = EMPTY

    def __post_init__(self) -> None:
        for part, strategy in self.fields.items():
            if part not in PARTS:
                raise InvalidValue("conflict_policy.fields", f"has no part {part!r}; there are: {', '.join(PARTS)}")
            if not isinstance(strategy, ConflictStrategy):
                raise InvalidValue("conflict_policy.fields", f"has no strategy for {part}, but {strategy!r}")
            if part == "messages" and isinstance(strategy, UserChoice):
                raise InvalidValue("conflict_policy.fields", "messages cannot be chosen: their log goes on meanwhile")

    def strategy(self, part: str, kind: ConflictKind) -> ConflictStrategy:
        """Return who settles a part in a conflict of this kind. O(1)."""
        return self.fields.get(part, DEFAULTS[kind][part])

    def settle(self, conflict: Conflict, now: float) -> Settled:
        """Make one image of two. O(n).

        ``now`` (seconds since 1970) is when the time for choosing begins. The image is the room's from now on; tell the
        user what is ``pending``, and keep it to `resolve` or `expire`. Raises ``ConflictError`` for images of different
        rooms and for a strategy that fails, or does not return the fields of its part, ``InvalidValue`` for an image
        whose parts do not agree.
        """
        client, server = conflict.client, conflict.server
        check_images(client, server, conflict.ancestor)
        values: dict[str, Any] = {}
        decisions: list[Decision] = []
        pending: list[Pending] = []
        for part in PARTS:
            names = differing(part, client, server)
            if names:
                outcome = self._settle(part, conflict)
                values.update(outcome.values)
                decisions += _decisions(names, conflict, outcome)
                if outcome.choice is not None:
                    pending.append(_pending(part, names, conflict, outcome.choice, now))
        image = structs.replace(
            server,
            tier=client.tier,
            taken_at=max(client.taken_at, server.taken_at),
            pending=client.pending,
            digest=client.digest or server.digest,
            **values,
        )
        check_image(image)
        return Settled(image, tuple(decisions), tuple(pending))

    def _settle(self, part: str, conflict: Conflict) -> _Outcome:
        client, server, ancestor = conflict.client, conflict.server, conflict.ancestor
        strategy = self.strategy(part, conflict.kind)
        name = type(strategy).__name__
        if part in POSITIONED and apart(client, server):
            return _Outcome(fields_of(part, server), "ServerWins", "positions of another log")
        if ancestor is not None and not isinstance(strategy, Merge):
            if not differing(part, client, ancestor):
                return _Outcome(fields_of(part, server), "three-way", "only the server changed it")
            if not differing(part, server, ancestor):
                return _Outcome(fields_of(part, client), "three-way", "only the client changed it")
        taken = _taken(strategy, part, conflict)
        return _Outcome(taken, name, choice=strategy if isinstance(strategy, UserChoice) else None)


class _Outcome(Struct, frozen=True):
    """What became of one part: its fields, by which strategy, why, and the rule by which somebody is to choose."""

    values: Mapping[str, Any]
    strategy: str
    detail: str = ""
    choice: UserChoice | None = None


def _taken(strategy: ConflictStrategy, part: str, conflict: Conflict) -> Mapping[str, Any]:
    """Return what a strategy makes of a part; whatever a host's own one does wrong is a ``ConflictError``. O(size)."""
    where = f"strategy {type(strategy).__name__}"
    try:
        taken: object = strategy.settle(part, conflict)
    except Exception as error:
        raise ConflictError(where, f"failed over {part} with {type(error).__name__}: {error}") from error
    if not isinstance(taken, Mapping) or set(taken) != set(PARTS[part]):
        raise ConflictError(where, f"must return {', '.join(PARTS[part])} for {part}")
    if type(strategy) in _OURS:
        return taken
    return {name: _fit(f"{where}: {name}", name, taken[name], conflict) for name in PARTS[part]}


def _fit(where: str, name: str, value: Any, conflict: Conflict) -> Any:
    """Return what a host's own strategy gives for a field, if that can have it; either side's is as sound as it was."""
    if value is getattr(conflict.server, name) or value is getattr(conflict.client, name):
        return value
    if name != "messages":
        return _checked(where, value, _TYPES[name])
    try:
        for message in value:
            check_message(message)
        return tuple(value)
    except (InvalidValue, TypeError) as error:
        raise ConflictError(where, str(error)) from None


def _pending(part: str, names: Sequence[str], conflict: Conflict, choice: UserChoice, now: float) -> Pending:
    ours, theirs = ({name: getattr(image, name) for name in names} for image in (conflict.client, conflict.server))
    return Pending(part, ours, theirs, choice.default, now + choice.expires_s)


def _decisions(names: Sequence[str], conflict: Conflict, outcome: _Outcome) -> list[Decision]:
    """Record every field of a part over which the two differed, or that is now like neither of them."""
    made = []
    for name, value in outcome.values.items():
        whose = _whose(name, conflict, value)
        if name in names and outcome.choice is not None:
            made.append(Decision(name, outcome.strategy, "pending", f"meanwhile the {outcome.choice.default}'s"))
        elif name in names or whose not in ("client", "server"):
            made.append(Decision(name, outcome.strategy, whose, outcome.detail or _counts(name, conflict, value)))
    return made


def _whose(name: str, conflict: Conflict, value: Any) -> Literal["client", "server", "ancestor", "both"]:
    sides: tuple[Side, Side] = ("server", "client")
    for side in sides:
        if value == getattr(getattr(conflict, side), name):
            return side
    return "ancestor" if conflict.ancestor is not None and value == getattr(conflict.ancestor, name) else "both"


def _counts(name: str, conflict: Conflict, value: Any) -> str:
    if not isinstance(value, tuple | dict):
        return ""
    return f"{len(value)} of {len(getattr(conflict.client, name))} and {len(getattr(conflict.server, name))}"


# -- choosing ----------------------------------------------------------------------------------------------------------

_TYPES: Final[Mapping[str, Any]] = get_type_hints(RoomImage, include_extras=True)


def chosen(pending: Pending, choice: Side | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields that a choice stands for: a side's, or values given by name, checked. O(their size).

    Values may be roomstate's own or plain JSON (``{"config": {"emote_only": True}}``). Raises ``ConflictError`` for a
    choice that is neither, and for a value that the field cannot have (a name that it does not know, too), or that no
    envelope could carry.
    """
    if choice == "client" or choice == "server":
        return pending.client if choice == "client" else pending.server
    where = f"choice of {pending.part}"
    names = PARTS.get(pending.part, ())
    given: object = choice
    if not isinstance(given, Mapping) or not given or not given.keys() <= set(names):
        raise ConflictError(where, f"must be 'client', 'server', or values by name, of: {', '.join(names)}")
    return {name: _given(f"{where}: {name}", given[name], _TYPES[name]) for name in names if name in given}


def _given(where: str, value: Any, kind: Any) -> Any:
    """Return a value that somebody gave as the field has it, if an envelope could carry it."""
    made = _checked(where, value, kind)
    if len(msgspec.json.encode(made)) > MAX_ENVELOPE:
        raise ConflictError(where, f"must have at most {MAX_ENVELOPE} bytes as JSON")
    if depth(msgspec.to_builtins(made, str_keys=True)) > MAX_DEPTH:
        raise ConflictError(where, f"must be nested at most {MAX_DEPTH} deep")
    return made


def _checked(where: str, value: Any, kind: Any) -> Any:
    """Return a value as the field has it: one that comes back from JSON as it was, and keeps the field's rules."""
    try:
        plain = msgspec.to_builtins(value, str_keys=True)
        made = msgspec.convert(plain, kind)
        if msgspec.json.decode(msgspec.json.encode(plain), type=kind) != made:
            raise ConflictError(where, "does not come back from JSON as it was")
        _check_names(where, plain, made)
        return made
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConflictError(where, str(error)) from None


def _check_names(where: str, plain: Any, made: Any) -> None:
    """Raise ``ConflictError`` for a name that a value does not have, however deep: it was left out of ``made``."""
    if isinstance(made, Struct):
        own = dict(zip(made.__struct_encode_fields__, made.__struct_fields__, strict=True))
        for name, value in plain.items():
            if name not in own:
                raise ConflictError(where, f"has no {name!r}; there are: {', '.join(own)}")
            _check_names(where, value, getattr(made, own[name]))
    elif isinstance(made, Mapping):
        for name in made:
            _check_names(where, plain[name], made[name])
    elif isinstance(made, tuple):
        for each, one in zip(plain, made, strict=True):
            _check_names(where, each, one)


def resolve(image: RoomImage, pending: Pending, choice: Side | Mapping[str, Any], now: float) -> Settled:
    """Put what somebody chose into the room's present image; the pending is then to be forgotten. O(size of the part).

    Raises ``ConflictError``, and has changed nothing, when the time is over, when what was to be chosen has changed
    since (the choice was between values that nobody has any more), and as `chosen` does.
    """
    if now >= pending.expires_at:
        raise ConflictError(f"choice of {pending.part}", f"was open until {pending.expires_at:.0f}: the default stands")
    standing = pending.client if pending.default == "client" else pending.server
    if any(getattr(image, name) != value for name, value in standing.items()):
        raise ConflictError(f"choice of {pending.part}", "is out of date: it has changed since")
    values = chosen(pending, choice)
    rest: Side = choice if isinstance(choice, str) else pending.default  # of the fields that are not given
    given = () if isinstance(choice, str) else tuple(values)
    names = dict.fromkeys((*pending.fields, *given))
    decisions = tuple(Decision(name, "UserChoice", "given" if name in given else rest) for name in names)
    return Settled(structs.replace(image, **values), decisions)


def expire(pending: Pending, now: float) -> tuple[Decision, ...]:
    """Return the record of a choice that nobody made in time; () while it is open. O(1).

    The default stands already: nothing of the room changes. The pending is then to be forgotten.
    """
    if now < pending.expires_at:
        return ()
    return tuple(Decision(name, "UserChoice", pending.default, "nobody chose in time") for name in pending.fields)
