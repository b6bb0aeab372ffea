from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.errors import DamagedSnapshot, InvalidValue
from roomstate.model import Message
from roomstate.room.digest import MAX_READ, MessageDigest, unicode_emoji
from roomstate.room.sketch import Estimate

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
WORDS = ["build", "Build", "red", "green", "the", "a", "naïve", "сборка", "🎉", "👍🏽", "x" * 40, "don't"]

messages = st.lists(
    st.builds(
        lambda user, words, seconds: Message("1", user, " ".join(words), NOON + timedelta(seconds=seconds)),
        st.integers(0, 12).map(lambda n: f"user{n}"),
        st.lists(st.sampled_from(WORDS), max_size=5),
        st.integers(-1000, 1000),
    ),
    max_size=40,
)


def digest_of(added: list[Message], **bounds: Any) -> MessageDigest:
    made = MessageDigest(stop_words=["THE"], **bounds)
    made.add(added)
    made.check()
    return made


def said(text: str, user: str = "ada") -> list[Message]:
    return [Message("1", user, text, NOON)]


@given(messages)
def test_it_is_exact_up_to_its_bounds(added: list[Message]) -> None:
    made = digest_of(added)
    assert made.messages == len(added)
    assert made.first == min((message.timestamp for message in added), default=None)
    assert made.last == max((message.timestamp for message in added), default=None)
    assert made.users.counts == Counter(message.user for message in added)
    assert made.distinct_users == Estimate(len({message.user for message in added}))
    words = Counter(word.casefold() for message in added for word in message.content.split())
    for dropped in ("the", "a", "🎉", "👍🏽", "x" * 40):
        del words[dropped]
    assert made.keywords.counts == words
    assert made.emotes.total == sum(message.content.count("🎉") + message.content.count("👍🏽") for message in added)


@given(messages, messages, messages)
def test_merging_is_what_adding_everything_would_be(a: list[Message], b: list[Message], c: list[Message]) -> None:
    one, two, three = digest_of(a), digest_of(b), digest_of(c)
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three)) == digest_of(a + b + c)
    assert one.merge(MessageDigest()) == one


@given(messages, messages, st.integers(2, 9))
def test_above_its_bounds_it_is_short_by_its_error(a: list[Message], b: list[Message], bound: int) -> None:
    one, two = (digest_of(added, max_users=bound, max_keywords=bound) for added in (a, b))
    merged, exact = one.merge(two), Counter(message.user for message in a + b)
    assert merged == two.merge(one)
    merged.check()
    for user, count in exact.items():
        kept = merged.users.counts.get(user, 0)
        assert kept <= count <= kept + merged.users.error
    assert abs(merged.distinct_users.value - len(exact)) <= max(merged.distinct_users.error, 1)
    if len(exact) <= bound:
        assert merged.distinct_users == Estimate(len(exact))


@given(messages, messages, st.integers(2, 9))
def test_how_many_users_does_not_depend_on_how_they_came(a: list[Message], b: list[Message], bound: int) -> None:
    merged = digest_of(a, max_users=bound).merge(digest_of(b, max_users=bound))
    assert merged.distinct_users == digest_of(a + b, max_users=bound).distinct_users


@given(messages, st.integers(2, 200))
def test_plain_values_say_it_all(added: list[Message], bound: int) -> None:
    made = digest_of(added, max_users=bound, max_emotes=2)
    again = MessageDigest.from_plain(made.to_plain(), stop_words=["the"])
    assert again == made
    again.add(added)
    made.add(added)
    assert again == made
    assert made != 3


def test_no_digest_is_an_empty_one() -> None:
    assert MessageDigest.from_plain({}) == MessageDigest()


PLAIN = digest_of(said("hello 🎉") * 3).to_plain()


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"messages": -1},
        {"messages": 4},
        {"messages": "3"},
        {"first_us": None},
        {"last_us": 2**70},
        {"distinct": "0" * 1024},
        {"distinct": "?"},
        {"users": {"max_keys": 64, "total": 3, "error": 1, "counts": {"ada": 3}}},
        {"users": {"max_keys": 2**30, "total": 3, "error": 0, "counts": {"ada": 3}}},
        {"keywords": None},
    ],
)
def test_plain_values_that_no_digest_says_are_damage(changed: dict[str, Any]) -> None:
    with pytest.raises(DamagedSnapshot, match="digest"):
        MessageDigest.from_plain({**PLAIN, **changed})


def test_times_belong_to_messages() -> None:
    made = MessageDigest()
    made.first = NOON
    with pytest.raises(InvalidValue, match="first"):
        made.check()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Größe GROSSE", ["grösse", "grosse"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("don't rock'n'roll", ["don't", "rock'n'roll"]),
        ("https://example.org/a1", ["https", "example", "org", "a1"]),
        ("42 x _y", []),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
    ],
)
def test_words_are_found_in_their_scripts(text: str, words: list[str]) -> None:
    assert set(digest_of(said(text)).keywords.counts) == set(words)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain 1 # *", []),
        ("ünï — «»", []),
        ("🎉🎉", ["🎉", "🎉"]),
        ("👩🏽‍🚀!", ["👩🏽‍🚀"]),
        ("❤️ ❤", ["❤️", "❤"]),
        ("🇳🇿🇫🇷", ["🇳🇿", "🇫🇷"]),
        ("1️⃣", ["1️⃣"]),
        ("‼️", ["‼️"]),
        ("👨‍👩‍👧‍👦", ["👨‍👩‍👧‍👦"]),
    ],
)
def test_emoji_are_found_whole(text: str, found: list[str]) -> None:
    assert unicode_emoji(text) == found


def test_a_host_finds_its_own_emotes() -> None:
    made = MessageDigest(emotes=lambda text: [word for word in text.split() if word.startswith(":")])
    made.add(said(":wave: hello :wave: " + ":" * 100))
    assert made.emotes.counts == {":wave:": 2, ":" * 32: 1}


def test_only_the_beginning_of_a_long_message_is_read() -> None:
    assert digest_of(said("a " * (MAX_READ // 2) + "late")).keywords.counts == {}


def test_its_size_is_bounded_whatever_comes() -> None:
    made = digest_of([Message("1", f"user-{n}", f"word{n} 🎉", NOON) for n in range(5000)])
    assert len(made.users) <= 128
    assert len(made.keywords) <= 128
    assert abs(made.distinct_users.value - 5000) < 3 * made.distinct_users.error


def test_it_is_the_same_under_any_hash_seed() -> None:
    code = """
from datetime import UTC, datetime
from roomstate.model import Message
from roomstate.room.digest import MessageDigest
made = MessageDigest(max_users=5, max_keywords=5)
noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
made.add(Message("1", f"user{n * n % 31}", f"word{n % 17} \\U0001f389", noon) for n in range(500))
print(made.to_plain(), made.keywords.top(9))
"""
    shown = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(shown) == 1
