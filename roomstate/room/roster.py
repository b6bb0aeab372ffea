"""Who is in a room, how they are, and whether that is everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from roomstate.model import PresenceState, User, check_bound
from roomstate.room.weight import json_bytes, texts_bytes

__all__ = ["MAX_MEMBERS", "PER_MEMBER", "Roster"]

MAX_MEMBERS = 50_000
"""Members held of one room. Above it the roster is not complete and says so: counts then come from the source."""

PER_MEMBER = 250
"""Bytes that a member costs in memory, ids and names of up to 15 characters included; measured on CPython 3.11."""

_PER_PRESENCE = 100  # bytes: a place in a dict, and the id
_TUPLE = ().__sizeof__() + 16  # as the collector counts it
_COMMON = 3 * 15
_NAMES = 3 * "".__sizeof__() + _COMMON  # what PER_MEMBER has of id, name and color


class Roster(Struct, eq=False, gc=False):
    """The members known, by id in the order in which they came, at most ``max_members``, and their presence.

    ``complete`` says whether they are all: an empty roster that is not complete means "nobody has told me yet". Who is
    present need not be a member known. Raises ``InvalidValue`` for a bound below 1.

    >>> roster = Roster()
    >>> roster.join(User("ada")) is None, roster.join(User("ada", username="Ada")) is None
    (True, False)
    >>> "ada" in roster, roster.complete
    (True, False)
    """

    complete: bool = False
    max_members: int = MAX_MEMBERS
    _members: dict[str, User] = {}
    _presence: dict[str, PresenceState] = {}
    _bytes: int = 0

    def __post_init__(self) -> None:
        check_bound("max_members", self.max_members)

    @classmethod
    def of(cls, members: Iterable[User], presence: Mapping[str, PresenceState], *, complete: bool) -> Roster:
        """Return the roster of these members and this presence; more than fit make it incomplete. O(n)."""
        roster = cls(complete)
        known = {user.id: user for user in members}
        if len(known) <= roster.max_members:
            roster._members = known
            roster._bytes = _weight(*known.values())
        else:
            for user in known.values():
                roster.join(user)
        for user_id, state in presence.items():
            roster.set_presence(user_id, state)
        return roster

    def join(self, user: User) -> User | None:
        """Add a member, or renew its record; return the old one. Beyond the bound nobody is added. O(1)."""
        old = self._members.get(user.id)
        if old is None and len(self._members) >= self.max_members:
            self.complete = False
        else:
            self._members[user.id] = user
            self._bytes += _weight(user) - (_weight(old) if old is not None else 0)
        return old

    def leave(self, user_id: str) -> User | None:
        """Take a member out, with its presence; return its record, or None. O(1)."""
        self._presence.pop(user_id, None)
        old = self._members.pop(user_id, None)
        if old is not None:
            self._bytes -= _weight(old)
        return old

    def forget_members(self) -> None:
        """Forget who the members are, but not who is present: what a BACKGROUND room does. O(1)."""
        self._members = {}
        self._bytes = 0
        self.complete = False

    def set_presence(self, user_id: str, state: PresenceState) -> PresenceState | None:
        """Note how a member is; return how it was. "offline" is not kept. Bounded like the members. O(1)."""
        old = self._presence.get(user_id)
        if state == "offline":
            self._presence.pop(user_id, None)
        elif old is not None or len(self._presence) < self.max_members:
            self._presence[user_id] = state
        return old

    def get(self, user_id: str) -> User | None:
        """Return a member's record, or None. O(1)."""
        return self._members.get(user_id)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._members

    def __len__(self) -> int:
        return len(self._members)

    def members(self) -> tuple[User, ...]:
        """Return the members in the order in which they came. O(n)."""
        return tuple(self._members.values())

    @property
    def presence(self) -> Mapping[str, PresenceState]:
        """How those who are not offline are. A copy. O(n)."""
        return dict(self._presence)

    @property
    def present(self) -> int:
        """How many are not offline. O(1)."""
        return len(self._presence)

    @property
    def bytes(self) -> int:
        """What the roster holds in memory, in bytes, within 10 %. O(1)."""
        return self._bytes + _PER_PRESENCE * len(self._presence)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._members) <= self.max_members
        assert len(self._presence) <= self.max_members
        assert all(key == user.id for key, user in self._members.items())
        assert "offline" not in self._presence.values()
        assert self._bytes == sum(map(_weight, self._members.values())) == _weight(*self._members.values())


def _weight(*users: User) -> int:
    """Return the bytes that these members' records take."""
    names = [user.id + user.username + user.color for user in users]
    if "".join(names).isascii():
        beyond = sum([len(each) - _COMMON for each in names if len(each) > _COMMON])
    else:
        beyond = sum(max(0, texts_bytes((user.id, user.username, user.color)) - _NAMES) for user in users)
    badges = [badge for user in users for badge in user.badges]
    extras = sum(json_bytes(user.extra) for user in users if user.extra)
    return (PER_MEMBER + _TUPLE) * len(users) + beyond + 8 * len(badges) + texts_bytes(badges) + extras
