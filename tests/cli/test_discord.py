"""DiscordChatExporter's JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomstate.cli import discord
from roomstate.cli.files import Source
from roomstate.cli.logline import LogLine, ReadOptions
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog


def message(**fields: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "type": "Default",
        "timestamp": "2024-01-02T03:04:05.678+00:00",
        "timestampEdited": None,
        "content": "hi",
        "author": {"id": "7", "name": "ada", "discriminator": "0000", "isBot": False, "roles": [{"id": "9"}]},
    } | fields


def export(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {
        "guild": {"id": "1", "name": "Rustaceans"},
        "channel": {"id": "2", "type": "GuildTextChat", "category": "x", "name": "general", "topic": None},
        "dateRange": {"after": None, "before": None},
        "exportedAt": "2024-02-01T00:00:00+00:00",
        "messages": list(messages),
        "messageCount": len(messages),
    } | fields


def read(document: Any) -> tuple[list[LogLine], Tally, list[str]]:
    raw = document if isinstance(document, bytes) else json.dumps(document, indent=1).encode()
    seen: list[str] = []
    tally = Tally(lambda error: seen.append(str(error)))
    return list(discord.read(Source("a", "stem", raw, iter([raw])), ReadOptions(), tally)), tally, seen


def test_an_export_as_it_is_written() -> None:
    old = {"name": "bob", "discriminator": "1234", "isBot": True}
    found, tally, seen = read(
        export(
            message(),
            message(id="2", type="Reply", author=old, reference={"messageId": "1", "channelId": "2"}),
            message(id="3", type="GuildMemberJoin"),
            message(id="4", timestamp="2024-01-02T05:04:05.6781234+02:00", author={"name": "eve"}, reference={}),
        )
    )
    assert seen == []
    assert found == [
        LogLine(1704164645.678, "Rustaceans/general", "ada", "hi", "1"),
        LogLine(*(1704164645.678, "Rustaceans/general", "bob#1234", "hi", "2"), {"badges": ["bot"], "reply_to": "1"}),
        LogLine(1704164645.678123, "Rustaceans/general", "eve", "hi", "4"),
    ]
    assert tally.skipped == 1


def test_without_names_the_room_is_the_files() -> None:
    found, _, seen = read(export(message(), guild=None, channel={"name": ""}))
    assert [line.room for line in found] == ["stem"]
    assert len(seen) == 1


@pytest.mark.parametrize(
    "bad",
    [
        7,
        [],
        message(id=""),
        message(id=1),
        message(content=None),
        message(timestamp="2024-01-02T03:04:05"),
        message(timestamp="yesterday"),
        message(timestamp=1704164645),
        message(timestamp="1969-12-31T23:59:59+00:00"),
        message(timestamp="9999-12-31T23:59:59-05:00"),
        message(author={}),
        message(author={"name": "x" * 251}),
        message(author={"name": "ada", "discriminator": "12345"}),
    ],
)
def test_a_damaged_message_is_skipped_and_named(bad: Any) -> None:
    found, _, seen = read(export(bad, message()))
    assert [line.id for line in found] == ["1"]
    assert len(seen) == 1
    assert seen[0].startswith("a:19: ")
    raw = json.dumps(export(bad)).encode()
    with pytest.raises(DamagedLog):
        list(discord.read(Source("a", "a", raw, iter([raw])), ReadOptions(), Tally()))


@given(st.integers(0, 700), st.integers(0, 5), st.binary(max_size=5))
def test_no_change_of_an_export_makes_it_fail(at: int, dropped: int, noise: bytes) -> None:
    raw = json.dumps(export(message(), message(id="2")), indent=1).encode()
    found, tally, seen = read(raw[:at] + noise + raw[at + dropped :])
    assert len(found) + tally.skipped <= 2
    assert tally.damaged == len(seen)
