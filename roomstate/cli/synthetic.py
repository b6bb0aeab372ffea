"""A made-up day of chat, as code: the log that ``replay`` plays when it is given none.

Rooms and users are drawn by Zipf's law, the rate follows the hours of a day, a few bursts draw everybody into
one room, and people talk in conversations: they answer those who just spoke, mention them, and move on. All
words are made of random syllables. The same seed gives the same day in every process and on every supported
Python: only ``Random.random`` is used, whose sequence Python promises to keep.
"""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import accumulate
from math import cos, pi
from random import Random
from typing import Any

from roomstate.cli.logline import LogLine
from roomstate.errors import InvalidValue

DAY_START = 1_704_067_200.0
"""2024-01-01T00:00:00Z: any day would do; a fixed one makes two runs comparable."""

MINUTES = 24 * 60
BURSTS = 6
MAX_ITEMS = 10_000_000
"""The most messages, rooms or users of one day: above it the tables alone would fill the memory."""

_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "kl", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ou")
_VOCABULARY = 2_000


def generate(
    seed: int = 0, *, messages: int = 20_000, rooms: int = 200, users: int = 1_000
) -> Generator[LogLine, None, None]:
    """A day of ``messages`` lines in time order, ids unique; one conversation's worth of state in memory.

    Raises :class:`InvalidValue` unless ``0 <= messages`` and ``1 <= rooms, users``, none above 10 million.

    >>> day = list(generate(7, messages=3, rooms=2, users=2))
    >>> [line.id for line in day], day[0].ts <= day[1].ts <= day[2].ts
    (['7-0', '7-1', '7-2'], True)
    """
    for name, value, least in (("messages", messages, 0), ("rooms", rooms, 1), ("users", users, 1)):
        if not least <= value <= MAX_ITEMS:
            raise InvalidValue(name, f"must be in [{least}, {MAX_ITEMS}], got {value}")
    return _Day(seed, rooms, users).lines(messages)


class _Zipf:
    """Ranks ``[0, count)``, rank ``r`` drawn with weight ``1 / (r + 1)``; O(log count) a draw."""

    def __init__(self, count: int) -> None:
        self._sums = list(accumulate(1 / rank for rank in range(1, count + 1)))

    def draw(self, random: Random) -> int:
        return bisect(self._sums, random.random() * self._sums[-1], hi=len(self._sums) - 1)


class _Words:
    """A vocabulary of made-up words, the short ones common."""

    def __init__(self, random: Random) -> None:
        self._zipf = _Zipf(_VOCABULARY)
        self._words = [_word(random, 1 + rank // 60) for rank in range(_VOCABULARY)]

    def sentence(self, random: Random) -> str:
        length = 1 + int(24 * random.random() * random.random())
        return " ".join(self._words[self._zipf.draw(random)] for _ in range(length))


def _word(random: Random, room: int) -> str:
    """Up to four syllables; few when there is ``room`` for few."""
    syllables = 1 + int(random.random() * min(4, room))
    return "".join(_pick(random, _ONSETS) + _pick(random, _VOWELS) for _ in range(syllables))


def _pick(random: Random, choices: Sequence[str]) -> str:
    return choices[int(random.random() * len(choices))]


class _Clock:
    """Sorted times within the day, without sorting: the k-th of n is drawn given the one before it."""

    def __init__(self, random: Random) -> None:
        weights = [1 - 0.8 * cos(2 * pi * (minute / MINUTES - 1 / 6)) for minute in range(MINUTES)]
        self.bursts: dict[int, int] = {}
        for number in range(BURSTS):
            first = int(random.random() * MINUTES)
            for minute in range(first, min(first + 10, MINUTES)):
                weights[minute] *= 5
                self.bursts[minute] = number
        self._sums = [0.0, *accumulate(weights)]

    def times(self, random: Random, count: int) -> Iterator[tuple[float, int]]:
        """``(epoch seconds, minute of the day)``, ``count`` of them, ascending."""
        share = 0.0
        for left in range(count, 0, -1):
            share = 1 - (1 - share) * (1 - random.random()) ** (1 / left)
            at = share * self._sums[-1]
            minute = bisect(self._sums, at, lo=1, hi=MINUTES) - 1
            part = (at - self._sums[minute]) / (self._sums[minute + 1] - self._sums[minute])
            yield DAY_START + round((minute + min(part, 0.999)) * 60, 3), minute


class _Day:
    """Who is where: the conversations that go on, and in each room the last few to speak."""

    def __init__(self, seed: int, rooms: int, users: int) -> None:
        self._seed = seed
        self._random = random = Random(seed)
        self._words = _Words(random)
        self._rooms, self._users = _Zipf(rooms), _Zipf(users)
        self._user_count = users
        self._room_names = [f"{_word(random, 4)}-{rank}" for rank in range(rooms)]
        self._user_names = [f"{_word(random, 3)}{rank}" for rank in range(users)]
        self._clock = _Clock(random)
        self._hot = [self._rooms.draw(random) for _ in range(BURSTS)]
        self._going: deque[int] = deque(maxlen=8)
        self._spoke: dict[int, deque[tuple[int, str]]] = {}

    def lines(self, count: int) -> Generator[LogLine, None, None]:
        for number, (ts, minute) in enumerate(self._clock.times(self._random, count)):
            room = self._room(minute)
            spoke = self._spoke.setdefault(room, deque(maxlen=6))
            user = self._user(room, spoke)
            text, extra = self._say(user, spoke)
            if user % 50 == 0:
                extra["badges"] = ["moderator"]
            line = LogLine(ts, self._room_names[room], self._user_names[user], text, f"{self._seed}-{number}", extra)
            spoke.append((user, line.id))
            yield line

    def _room(self, minute: int) -> int:
        """Half of a burst is in its room; else a conversation goes on, or now and then one begins."""
        chance = self._random.random()
        burst = self._clock.bursts.get(minute)
        if burst is not None and chance < 0.5:
            return self._hot[burst]
        if self._going and chance < 0.85:
            return self._going[int(self._random.random() * len(self._going))]
        self._going.append(self._rooms.draw(self._random))
        return self._going[-1]

    def _user(self, room: int, spoke: deque[tuple[int, str]]) -> int:
        """One of the last speakers, or one of the room's own regulars: each room is near other homes."""
        if len(spoke) > 1 and self._random.random() < 0.6:
            return spoke[int(self._random.random() * (len(spoke) - 1))][0]
        return (self._users.draw(self._random) + room * 7) % self._user_count

    def _say(self, user: int, spoke: deque[tuple[int, str]]) -> tuple[str, dict[str, Any]]:
        """A sentence; every fourth mentions the last speaker, half of those as a reply, and none oneself."""
        text = self._words.sentence(self._random)
        if not spoke or self._random.random() > 0.25 or spoke[-1][0] == user:
            return text, {}
        last, message = spoke[-1]
        return f"@{self._user_names[last]} {text}", {"reply_to": message} if self._random.random() < 0.5 else {}
