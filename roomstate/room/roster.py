"""Who is in a room, how they are, and whether that is everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from roomstate.errors import InvalidValue
from roomstate.model import PresenceState, User

__all__ = ["MAX_MEMBERS", "PER_MEMBER", "Roster"]

MAX_MEMBERS = 50_000
"""Members held of one room. Above it the roster is not complete and says so: counts then come from the source."""

PER_MEMBER = 250
"""Bytes that a member costs in memory, ids and names of up to 15 characters included; measured on CPython 3.11."""


class Roster:
    """The members known, by id in the order in which they came, at most ``max_members``, and their presence.

    ``complete`` says whether they are all: an empty roster that is not complete means "nobody has told me yet".

    >>> roster = Roster()
    >>> roster.join(User("ada")) is None, roster.join(User("ada", username="Ada")) is None
    (True, False)
    >>> "ada" in roster, roster.complete
    (True, False)
    """

    __slots__ = ("_members", "_presence", "complete", "max_members")

    def __init__(self, members: Iterable[User] = (), *, complete: bool = False, max_members: int = MAX_MEMBERS) -> None:
        if max_members < 1:
            raise InvalidValue("max_members", f"must be at least 1, got {max_members}")
        self.max_members = max_members
        self.complete = complete
        self._members: dict[str, User] = {}
        self._presence: dict[str, PresenceState] = {}
        for user in members:
            self.join(user)

    def join(self, user: User) -> User | None:
        """Add a member, or renew its record; return the old one. Beyond the bound nobody is added. O(1)."""
        old = self._members.get(user.id)
        if old is None and len(self._members) >= self.max_members:
            self.complete = False
        else:
            self._members[user.id] = user
        return old

    def leave(self, user_id: str) -> User | None:
        """Take a member out, with its presence; return its record, or None. O(1)."""
        self._presence.pop(user_id, None)
        return self._members.pop(user_id, None)

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
        """What the roster holds in memory, in bytes, by estimate. O(1)."""
        return PER_MEMBER * len(self._members) + 100 * len(self._presence)

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._members) <= self.max_members
        assert len(self._presence) <= self.max_members
        assert all(key == user.id for key, user in self._members.items())
        assert "offline" not in self._presence.values()
