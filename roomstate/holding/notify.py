"""Whom a message concerns: notification rules, as values that a host chooses, configures, or writes.

A rule names users; the manager keeps those who are members of the room (who have a read marker there) and are not the
author. A rule says what a message must have for it to be asked at all, so that most messages ask none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Protocol

from msgspec import Struct

from roomstate.errors import InvalidValue
from roomstate.model import EMPTY, MessageLike

__all__ = ["Everything", "Keywords", "Mentions", "NotificationRule", "Replies", "Trigger", "concerned", "triggers"]

MAX_CONCERNED = 1000
"""Users whom one message may concern; a message that names more concerns the first so many."""


class Trigger(Enum):
    """What a message must have for a rule to be asked."""

    AT = "at"  # an @ in its content
    EXTRA = "extra"  # any host fields
    ANYTHING = "anything"


class Members(Protocol):
    """The users of a room who may be concerned, and who wrote what."""

    def __contains__(self, user: str) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def author_of(self, message_id: str) -> str | None:
        """Return who wrote a held message, or None."""
        ...


class NotificationRule(Protocol):
    """What the manager asks of a rule; a host may write its own."""

    @property
    def kind(self) -> str:
        """What notifications of this rule are called."""
        ...

    @property
    def trigger(self) -> Trigger:
        """What a message must have for the rule to be asked."""
        ...

    def concerns(self, message: MessageLike, members: Members) -> Iterable[str]:
        """Return the users whom ``message`` concerns. It may name strangers: they are left out."""
        ...


_MENTION = re.compile(r"@([\w.\-]+)")


class Mentions(Struct, frozen=True):
    """Those named with an @ in the text: ``@ada``. ``names`` maps what is written to user ids, where they differ.

    >>> from roomstate.model import Message
    >>> list(Mentions().concerns(Message("1", "bob", "hi @ada."), None))
    ['ada', 'ada.']
    """

    names: Mapping[str, str] = EMPTY
    kind: str = "mention"
    trigger: Trigger = Trigger.AT

    def concerns(self, message: MessageLike, members: Members | None) -> Iterable[str]:
        """Return the users named, as written and without a full stop or dash at the end. O(length of the text)."""
        for written in _MENTION.findall(message.content):
            for name in dict.fromkeys((written.rstrip(".-"), written)):
                yield self.names.get(name, name)


class Replies(Struct, frozen=True):
    """The author of the message that this one answers, by the id in ``extra["reply_to"]``."""

    field: str = "reply_to"
    kind: str = "reply"
    trigger: Trigger = Trigger.EXTRA

    def concerns(self, message: MessageLike, members: Members) -> Iterable[str]:
        """Return the author of the message answered, if that is held. O(log n)."""
        target = message.extra.get(self.field)
        author = members.author_of(target) if isinstance(target, str) else None
        return () if author is None else (author,)


def _watchers(watched: Mapping[str, Iterable[str]]) -> Mapping[str, Sequence[str]]:
    users: dict[str, list[str]] = {}
    for user, words in watched.items():
        for word in words:
            if not word:
                raise InvalidValue("watched", f"user {user!r} watches an empty word")
            users.setdefault(word.casefold(), []).append(user)
    return users


class Keywords:
    """Those who watch a word that the text has: ``Keywords({"ada": ["rust", "borrow checker"]})``, in any case."""

    __slots__ = ("_pattern", "_users", "kind", "trigger", "watched")

    def __init__(self, watched: Mapping[str, Iterable[str]], kind: str = "keyword") -> None:
        self.watched: Mapping[str, Iterable[str]] = watched
        self.kind: str = kind
        self.trigger: Trigger = Trigger.ANYTHING
        self._users = _watchers(watched)
        words = sorted(self._users, key=lambda word: (-len(word), word))  # the longest first
        pattern = r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)" if words else r"(?!)"
        self._pattern = re.compile(pattern)

    def concerns(self, message: MessageLike, members: Members | None) -> Iterable[str]:
        """Return the users who watch a word of the text. O(length of the text)."""
        for word in self._pattern.findall(message.content.casefold()):
            yield from self._users[word]


class Everything(Struct, frozen=True):
    """``users`` hear of every message in the rooms that they are members of."""

    users: Sequence[str]
    kind: str = "everything"
    trigger: Trigger = Trigger.ANYTHING

    def concerns(self, message: MessageLike, members: Members | None) -> Iterable[str]:
        """Return the users. O(users)."""
        return self.users


def triggers(rules: Sequence[NotificationRule]) -> frozenset[Trigger]:
    """Return what any of ``rules`` asks for."""
    return frozenset(rule.trigger for rule in rules)


def concerned(rules: Sequence[NotificationRule], message: MessageLike, members: Members) -> dict[str, str]:
    """Return whom ``message`` concerns, with the kind of the first rule that says so, in the order of the rules."""
    found: dict[str, str] = {}
    for rule in rules:
        if rule.trigger is Trigger.AT and "@" not in message.content:
            continue
        for user in rule.concerns(message, members):
            if user != message.user and user in members:
                found.setdefault(user, rule.kind)
            if len(found) >= MAX_CONCERNED:
                return found
    return found
