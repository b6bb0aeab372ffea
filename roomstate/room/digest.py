"""What is kept of messages whose text is not: how many, from when to when, by whom, about what.

A digest grows as messages leave a room's memory. It holds a bounded number of names and words whatever comes, is exact
up to its bounds and states its error above them, and two digests merge into the digest of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from roomstate.errors import DamagedSnapshot, InvalidValue
from roomstate.model import MessageLike
from roomstate.room.sketch import Distinct, Estimate, Frequencies

__all__ = ["MessageDigest", "unicode_emoji"]

VERSION: Final = 1
MAX_READ: Final = 4096
"""Characters of a message that are searched for words and emotes: enough for 99.9 % of real messages."""

_MAX_WORD: Final = 32  # characters; what is longer is a link, a key or a run of text without spaces
_BATCH: Final = 32  # messages searched at a time, so that no more than 32 × MAX_READ characters are copied
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# A letter, then letters, digits, apostrophes and the vowel signs that Python's \w leaves out (Indic, Thai, Burmese).
_WORD = re.compile(r"[^\W\d_](?:[\w'’]|[\u0300-\u036f\u0900-\u0963\u0966-\u0dff\u0e31-\u0eff\u1000-\u109f])+")

_BASE = "[\u203c-\u3299\U0001f000-\U0001faff]"
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}"  # flags
    "|[0-9#*]\ufe0f\u20e3"  # keycaps
    "|(?:[\u231a\u231b\u23e9-\u23f3\u2600-\u27bf\u2b05-\u2b55\U0001f300-\U0001faff]|[\u203c-\u3299]\ufe0f)"
    f"[\U0001f3fb-\U0001f3ff]?\ufe0f?(?:\u200d{_BASE}[\U0001f3fb-\U0001f3ff]?\ufe0f?)*"
)


def unicode_emoji(text: str) -> list[str]:
    """The emoji in a text, joined and coloured ones as one, in order. O(characters); nothing to do for ASCII.

    >>> unicode_emoji("so 👩🏽‍🚀 and 🇳🇿 ❤️")
    ['👩🏽\u200d🚀', '🇳🇿', '❤️']
    """
    return [] if text.isascii() else _EMOJI.findall(text)


class _PlainFrequencies(Struct):
    max_keys: Annotated[int, Meta(ge=2, le=1 << 16)]
    total: int
    error: int
    counts: dict[str, int]


class _Plain(Struct):
    """A digest at rest."""

    version: int
    messages: Annotated[int, Meta(ge=0)]
    first_us: int | None
    last_us: int | None
    users: _PlainFrequencies
    keywords: _PlainFrequencies
    emotes: _PlainFrequencies
    distinct: str = ""


class MessageDigest:
    """A bounded summary of any number of messages.

    ``users``, ``keywords`` and ``emotes`` are exact up to ``max_users``, ``max_keywords`` and ``max_emotes`` different
    ones; above that a count is short by at most ``error``, at worst about ``total / (7/8 max)``, as `Frequencies`
    says. How many users there were is exact up to ``max_users``, then known within a standard error of 3.3 %.

    Keywords are words of 2 to 32 characters in any script that parts words, case folded, without ``stop_words``
    (compared case folded). ``emotes`` finds the emotes in a text: `unicode_emoji`, unless the host has its own. Of each
    message the first 4,096 characters are read. Neither setting is kept at rest: give them again to `from_plain`.

    >>> from roomstate.model import Message
    >>> digest = MessageDigest(stop_words={"the"})
    >>> digest.add([Message("1", "ada", "The build is red 😢"), Message("2", "bob", "the BUILD?")])
    >>> digest.messages, digest.keywords.top(1), digest.distinct_users
    (2, [('build', Count(value=2, exact=True))], Estimate(value=2, error=0))
    """

    __slots__ = ("_distinct", "_find_emotes", "_stop_words", "emotes", "first", "keywords", "last", "messages", "users")

    def __init__(
        self,
        *,
        stop_words: Collection[str] = (),
        emotes: Callable[[str], Iterable[str]] = unicode_emoji,
        max_users: int = 128,
        max_keywords: int = 128,
        max_emotes: int = 32,
    ) -> None:
        self.messages: int = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.users: Frequencies = Frequencies(max_users)
        self.keywords: Frequencies = Frequencies(max_keywords)
        self.emotes: Frequencies = Frequencies(max_emotes)
        self._distinct: Distinct | None = None  # from where the users' counts stop being exact
        self._stop_words = frozenset(word.casefold() for word in stop_words)
        self._find_emotes = emotes

    def __eq__(self, other: object) -> bool:
        return self.to_plain() == other.to_plain() if isinstance(other, MessageDigest) else NotImplemented

    def __hash__(self) -> int:  # it changes
        raise TypeError("unhashable type: 'MessageDigest'")

    @property
    def distinct_users(self) -> Estimate:
        """How many different users wrote. O(1)."""
        return Estimate(len(self.users)) if self._distinct is None else self._distinct.estimate()

    @property
    def bytes(self) -> int:
        """What the digest holds in memory, in bytes, by estimate: at most 60 kB with the default bounds. O(1)."""
        named = len(self.users) + len(self.keywords) + len(self.emotes)
        return 1500 + 130 * named + (0 if self._distinct is None else 20_000)

    def add(self, messages: Iterable[MessageLike]) -> None:
        """Take messages into account, for good: call it once for each message that leaves. O(characters)."""
        rest = iter(messages)
        while batch := list(islice(rest, _BATCH)):
            self.messages += len(batch)
            times = [message.timestamp for message in batch]
            self.first = min([self.first, *times] if self.first else times)
            self.last = max([self.last, *times] if self.last else times)
            self._add_users([message.user for message in batch])
            self._add_texts([message.content[:MAX_READ] for message in batch])

    def merge(self, other: MessageDigest) -> MessageDigest:
        """The digest of both, with this one's settings and the smaller bounds. O(bounds).

        It is the same whichever of the two merges the other. The messages of both must not overlap.
        """
        made = MessageDigest(stop_words=self._stop_words, emotes=self._find_emotes)
        made.messages = self.messages + other.messages
        made.first = min((each for each in (self.first, other.first) if each), default=None)
        made.last = max((each for each in (self.last, other.last) if each), default=None)
        made.users = self.users.merge(other.users)
        made.keywords = self.keywords.merge(other.keywords)
        made.emotes = self.emotes.merge(other.emotes)
        if made.users.error:
            made._distinct = self._sketch().merge(other._sketch())
        return made

    def to_plain(self) -> dict[str, Any]:
        """Plain values, the same for equal digests: what `RoomImage.digest` keeps. O(bounds)."""
        return {
            "version": VERSION,
            "messages": self.messages,
            "first_us": _to_us(self.first),
            "last_us": _to_us(self.last),
            "users": _frequencies_to_plain(self.users),
            "keywords": _frequencies_to_plain(self.keywords),
            "emotes": _frequencies_to_plain(self.emotes),
            "distinct": self._distinct.to_str() if self._distinct else "",
        }

    @classmethod
    def from_plain(
        cls,
        plain: Mapping[str, Any],
        *,
        stop_words: Collection[str] = (),
        emotes: Callable[[str], Iterable[str]] = unicode_emoji,
    ) -> MessageDigest:
        """What `to_plain` said; of ``{}``, which images without a digest have, an empty one. O(bounds).

        Raises ``DamagedSnapshot`` for what no digest says.
        """
        made = cls(stop_words=stop_words, emotes=emotes)
        if not plain:
            return made
        try:
            made._fill(msgspec.convert(dict(plain), _Plain))
        except (InvalidValue, msgspec.ValidationError, OverflowError) as error:
            raise DamagedSnapshot("digest", f"is not one: {error}") from None
        return made

    def check(self) -> None:
        """Raise ``InvalidValue`` unless the stated bounds hold. O(bounds)."""
        for each in (self.users, self.keywords, self.emotes):
            each.check()
        if self.users.total != self.messages or (self._distinct is not None) != bool(self.users.error):
            raise InvalidValue("users", f"of {self.users.total} messages do not fit a digest of {self.messages}")
        if (self.first is None) != (self.messages == 0) or (self.last is None) != (self.messages == 0):
            raise InvalidValue("first", "and last are the times of messages, if there are any")

    def _fill(self, plain: _Plain) -> None:
        if plain.version != VERSION:
            raise InvalidValue("version", f"is {plain.version}, not {VERSION}")
        self.messages = plain.messages
        self.first, self.last = _from_us(plain.first_us), _from_us(plain.last_us)
        self.users = _frequencies_from_plain(plain.users)
        self.keywords = _frequencies_from_plain(plain.keywords)
        self.emotes = _frequencies_from_plain(plain.emotes)
        self._distinct = Distinct.from_str(plain.distinct) if plain.distinct else None
        self.check()

    def _add_users(self, users: list[str]) -> None:
        before = list(self.users.counts) if self._distinct is None else []
        self.users.add(users)
        if self._distinct is None and self.users.error:  # all users until now were still known by name
            self._distinct = Distinct()
            self._distinct.add(before)
        if self._distinct is not None:
            self._distinct.add(dict.fromkeys(users))

    def _add_texts(self, texts: list[str]) -> None:
        words = _WORD.findall("\n".join(texts).casefold())
        stop_words = self._stop_words
        self.keywords.add([word for word in words if len(word) <= _MAX_WORD and word not in stop_words])
        for text in texts:
            if found := [emote[:_MAX_WORD] for emote in self._find_emotes(text)]:
                self.emotes.add(found)

    def _sketch(self) -> Distinct:
        if self._distinct is not None:
            return self._distinct
        made = Distinct()
        made.add(self.users.counts)
        return made


def _frequencies_to_plain(each: Frequencies) -> dict[str, Any]:
    return {"max_keys": each.max_keys, "total": each.total, "error": each.error, "counts": each.counts}


def _frequencies_from_plain(plain: _PlainFrequencies) -> Frequencies:
    return Frequencies.of(plain.max_keys, plain.total, plain.error, plain.counts)


def _to_us(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def _from_us(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
