"""Conflicts in a replica's rooms: what the host's policy makes of two states, and choices that somebody is to make.

The log is the authority's: its messages stand as its image has them, and what the copy has heard since is applied to
them again. What users here have written and it has not is an echo, and in no conflict. Only where a host gives messages
a strategy of its own is that asked about them; a copy that was merely behind has then let go of what it held below the
start of the image, for what it has missed may have changed that. About the rest the policy decides. A choice is open
for a while, with a default that stands at once; it never holds up the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import structs

from roomstate.effects import ConflictOpened, ConflictResolved, Decision
from roomstate.errors import ConflictError
from roomstate.holding.house import House
from roomstate.holding.record import Holding
from roomstate.image import RoomImage
from roomstate.position import above
from roomstate.room.passage import image_of, room_of
from roomstate.room.states import ActiveRoom, LiveRoom
from roomstate.sync.conflict import ConflictPolicy, Pending, detect, expire, resolve
from roomstate.sync.strategies import PARTS, Side, fields_of

__all__ = ["Settling"]

_QUIET: Final = frozenset(("messages", "info", "notifications", "markers", "ui_state"))
_PARTS_OF_MESSAGES: Final = frozenset(PARTS["messages"])  # a copy that was behind differs from its authority in these


class Settling:
    """Settles the conflicts of one house's rooms by one policy."""

    __slots__ = ("_house", "_policy")

    def __init__(self, house: House, policy: ConflictPolicy) -> None:
        self._house = house
        self._policy = policy

    def settle(self, holding: Holding, old: LiveRoom, image: RoomImage, now: float) -> RoomImage:
        """Return what becomes of ``old`` now that ``image`` came from the authority. O(n).

        Raises ``ConflictError`` where a host's own strategy fails; nothing has changed then.
        """
        mine = image_of(old, now)
        mine = _vouched(mine, image) if "messages" in self._policy.fields else _followed(mine, image)
        conflict = detect(mine, image)
        if conflict is None:
            return image
        settled = self._policy.settle(conflict, now)
        told = tuple(made for made in settled.decisions if _worth_telling(made))
        if told:
            self._house.out.append(ConflictResolved(holding.room_id, 0, told))
        for pending in settled.pending:
            self._open(holding, pending)
        return settled.image

    def _open(self, holding: Holding, pending: Pending) -> None:
        """Let somebody choose; of an older choice about the same part the default stands: each part has one at most."""
        house = self._house
        for conflict_id, older in tuple(holding.conflicts.items()):
            if older.part == pending.part:  # it is about values that nobody has any more
                self._close(holding, conflict_id, expire(older, older.expires_at))
        house.last_conflict += 1
        house.conflicts[house.last_conflict] = holding.room_id
        holding.conflicts[house.last_conflict] = pending
        house.out.append(ConflictOpened(holding.room_id, house.last_conflict, pending.fields, pending.expires_at))
        self._wait(holding)

    def _close(self, holding: Holding, conflict_id: int, decisions: tuple[Decision, ...]) -> None:
        del holding.conflicts[conflict_id], self._house.conflicts[conflict_id]
        self._house.out.append(ConflictResolved(holding.room_id, conflict_id, decisions))
        self._wait(holding)

    def _wait(self, holding: Holding) -> None:
        """Look again when the first choice is over."""
        key = ("conflict", holding.room_id)
        if holding.conflicts:
            self._house.due.set(key, min(pending.expires_at for pending in holding.conflicts.values()))
        else:
            self._house.due.clear(key)

    def resolve(self, conflict_id: int, choice: Side | Mapping[str, Any], now: float) -> None:
        """Put what somebody chose in the place of the default.

        Raises ``ConflictError``, and has changed nothing, for a choice that is not open, or cannot be made.
        """
        house = self._house
        given: object = conflict_id
        room_id = house.conflicts.get(conflict_id, "") if isinstance(given, int) else ""
        holding = house.holdings.get(room_id)
        if holding is None or holding.room is None:
            raise ConflictError(f"conflict {conflict_id!r}", "is not open: it was settled, or its time is over")
        old = holding.room
        settled = resolve(image_of(old, now), holding.conflicts[conflict_id], choice, now)
        room = room_of(settled.image, old.tier, house.limits, house.make)
        room.changes = old.changes + 1
        if isinstance(old, ActiveRoom) and isinstance(room, ActiveRoom):
            room.typing = old.typing  # in no image: it took no seq
        holding.room = room
        self._close(holding, conflict_id, settled.decisions)

    def expire(self, holding: Holding, now: float) -> None:
        """Let the defaults stand of all choices whose time is over."""
        for conflict_id, pending in tuple(holding.conflicts.items()):
            decisions = expire(pending, now)
            if decisions:
                self._close(holding, conflict_id, decisions)


def _vouched(mine: RoomImage, theirs: RoomImage) -> RoomImage:
    """Return the copy's image without what lies before the authority's, where it has missed something.

    Of one that is ahead the log is the image's: what it has heard since is applied to that again, all of it.
    """
    if mine.position.epoch != theirs.position.epoch or mine.position.seq == theirs.position.seq:
        return mine
    if mine.position.seq > theirs.position.seq:
        return _followed(mine, theirs)
    after = min(theirs.held_after, mine.position.seq)
    first = sum(seq <= after for seq in mine.seqs)
    messages = mine.messages[first:]
    ids = {message.id for message in messages}
    return structs.replace(
        mine,
        messages=messages,
        seqs=mine.seqs[first:],
        held_after=max(mine.held_after, after),
        annotations={name: note for name, note in mine.annotations.items() if name in ids},
        gaps=above(mine.gaps, after),
    )


def _followed(mine: RoomImage, theirs: RoomImage) -> RoomImage:
    """Return the copy's image with the authority's log in place of its own."""
    return structs.replace(mine, **fields_of("messages", theirs))


def _worth_telling(made: Decision) -> bool:
    """Whether a decision is more than that a copy which was behind has caught up."""
    return made.took not in ("server", "pending") and made.field not in _QUIET | _PARTS_OF_MESSAGES
