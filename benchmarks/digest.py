"""`MessageDigest` under ten million messages by a million users: the memory it takes, its errors, its speed.

``python -m benchmarks digest``; some minutes.
"""

from __future__ import annotations

import bisect
import itertools
import random
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.harness import Figure, Timed, at_most, compare, peak_memory, read_ndjson, shared_data
from roomstate.model import Message
from roomstate.room.digest import MessageDigest
from roomstate.room.sketch import Frequencies

MESSAGES = 10_000_000
USERS = 1_000_000
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
EXPONENT = 1.0


def zipf(count: int, users: int) -> Iterator[int]:
    """Numbers of users, the n-th of them in proportion to 1 / n; every one at least once."""
    draw = random.Random(7)
    heights = list(itertools.accumulate(1 / (n + 1) ** EXPONENT for n in range(users)))
    yield from range(users)
    for _ in range(count - users):
        yield bisect.bisect(heights, draw.random() * heights[-1])


def adversarial(count: int, users: int) -> Iterator[int]:
    """What is worst for the counts: everybody equally often, and nobody twice before everybody once."""
    for n in range(count):
        yield n % users


def message_of(user: int) -> Message:
    """A short message whose words hang on who writes it."""
    return Message("1", f"user{user}", f"word{user % 50_021} said again {user % 7}", NOON)


def large(name: str, numbers: Iterator[int], messages: int, users: int) -> Iterator[Figure]:
    """A digest of all of them, beside exact counts."""
    digest, exact = MessageDigest(), array("I", bytes(4 * users))

    def counted() -> Iterator[Message]:
        for user in numbers:
            exact[user] += 1
            yield message_of(user)

    digest.add(counted())
    digest.check()
    said = digest.users.counts
    worst = max(exact[user] - said.get(f"user{user}", 0) for user in range(users))
    over = max((count - exact[int(user[4:])] for user, count in said.items()), default=0)
    millions = f"{messages / 1e6:g} M messages, {users / 1e6:g} M users, {name}"
    yield at_most(f"{millions}: worst count is short by", worst, digest.users.error, "messages")
    yield at_most(f"{millions}: that error, against its bound", digest.users.error, messages / 113, "messages")
    yield at_most(f"{millions}: most that a count is over", over, 0, "messages")
    estimate = digest.distinct_users
    off = abs(estimate.value - users) / estimate.error
    yield at_most(f"{millions}: users, in standard errors off", off, 3, "")


def memory() -> Iterator[Figure]:
    """What a digest takes, after ten thousand messages and after a million."""
    held = []
    for count in (10_000, 1_000_000):

        def work(count: int = count) -> MessageDigest:
            digest = MessageDigest()
            digest.add(map(message_of, adversarial(count, count)))
            return digest

        taken = peak_memory(work)
        held.append(taken.held)
        yield Figure(what=f"digest of {count:,} messages by as many users: peak", value=taken.peak, unit="bytes")
    yield at_most("held after 1,000,000 messages, against 10,000", held[1], 1.1 * held[0], "bytes", held[0])


def speed() -> Iterator[Figure]:
    """Adding real messages, against a bare count of their users and words."""
    path = shared_data("chat/ubuntu-irc.ndjson.zst")
    if path is None:
        return
    messages = [
        Message(line["id"], line["user"], line["text"], datetime.fromtimestamp(line["ts"], UTC))
        for line in read_ndjson(path, 20_000)
    ]
    words = re.compile(r"\w+")

    def bare(_: object) -> None:
        users: Counter[str] = Counter(message.user for message in messages)
        for message in messages:
            users.update(words.findall(message.content.casefold()))

    turns = compare(
        Timed(lambda digest: digest.add(messages), MessageDigest, len(messages)),
        Timed(bare, lambda: None, len(messages)),
        rounds=7,
    )
    yield turns.figure("adding a real message, against unbounded counters of users and words")
    small, big = Frequencies(128), Frequencies(128)
    small.add(message.user for message in messages)
    big.add(word for message in messages for word in message.content.split())
    merging = compare(lambda: small.merge(big), lambda: Counter(small.counts) + Counter(big.counts), rounds=7)
    yield merging.figure("merging two counts of 128 keys, against adding two counters")


def run() -> Iterator[Figure]:
    yield from memory()
    yield from speed()
    for name, source in (("Zipf", zipf), ("adversarial", adversarial)):
        yield from large(name, source(MESSAGES, USERS), MESSAGES, USERS)
