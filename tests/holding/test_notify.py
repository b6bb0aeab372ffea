from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from roomstate import Everything, Keywords, Mentions, Replies
from roomstate.errors import InvalidValue
from roomstate.holding import notify
from roomstate.holding.marking import Members
from roomstate.holding.notify import NotificationRule, Trigger, concerned, triggers
from roomstate.model import Marker
from tests.holding.world import message


def members(*users: str, authors: dict[str, str] | None = None) -> Members:
    return Members({user: Marker(0, 0) for user in users}, (authors or {}).get)


def test_mentions_are_members_named_with_an_at() -> None:
    said = message("m1", "bob", "@ada, @bob and @stranger: see @cy. and mail a@b")
    assert concerned([Mentions()], said, members("ada", "bob", "cy")) == {"ada": "mention", "cy": "mention"}
    assert concerned([Mentions()], message("m1", content="nobody"), members("ada")) == {}
    assert list(Mentions({"Ada": "u1"}).concerns(message("m1", content="@Ada"), None)) == ["u1"]


def test_replies_concern_the_author_of_what_is_answered() -> None:
    present = members("ada", "bob", authors={"m1": "ada"})
    assert concerned([Replies()], message("m2", reply_to="m1"), present) == {"ada": "reply"}
    for target in ("m9", 5, None):
        assert concerned([Replies()], message("m2", reply_to=target), present) == {}


def test_keywords_are_whole_words_in_any_case() -> None:
    rule = Keywords({"ada": ["Rust", "borrow checker"], "cy": ["rust"]})
    present = members("ada", "cy")
    assert list(concerned([rule], message("m1", content="RUST!"), present)) == ["ada", "cy"]
    assert list(concerned([rule], message("m1", content="the Borrow Checker"), present)) == ["ada"]
    assert concerned([rule], message("m1", content="rusty trust"), present) == {}
    assert concerned([Keywords({})], message("m1"), present) == {}
    with pytest.raises(InvalidValue, match="empty word"):
        Keywords({"ada": [""]})


def test_the_first_rule_that_concerns_a_user_names_the_kind() -> None:
    rules: list[NotificationRule] = [Mentions(), Everything(["ada", "cy"])]
    assert concerned(rules, message("m1", content="@ada"), members("ada", "cy")) == {
        "ada": "mention",
        "cy": "everything",
    }
    assert triggers(rules) == {Trigger.AT, Trigger.ANYTHING}


def test_one_message_concerns_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "MAX_CONCERNED", 2)
    assert list(concerned([Everything(["a", "b", "c"])], message("m1"), members("a", "b", "c"))) == ["a", "b"]


def test_a_host_writes_its_own_rule() -> None:
    class Loud:
        kind = "loud"
        trigger = Trigger.ANYTHING

        def concerns(self, message: Any, members: Any) -> Iterable[str]:
            return members if message.content.isupper() else ()

    assert concerned([Loud()], message("m1", content="HEY"), members("ada")) == {"ada": "loud"}
    assert concerned([Loud()], message("m1", content="hey"), members("ada")) == {}
