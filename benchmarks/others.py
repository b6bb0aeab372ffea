"""discord.py, hikari and matrix-nio as they take in a message, each beside roomstate on the very same payload.

All start from decoded JSON (dicts) and end where a program can read the message from what is held. None is a
dependency: one that is not installed is skipped, with a line on stderr.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from benchmarks.harness import Figure
from benchmarks.rooms import NOW, collector_off, compared, contents, in_turns, watched
from roomstate import Message, MessageAdded

BATCH = 50
TURNS = 120
# What the payloads have beside what roomstate reads, as Discord's gateway sends it.
_USER: dict[str, Any] = json.loads(
    '{"public_flags":0, "global_name":null, "discriminator":"0", "avatar":null, "bot":false}'
)
_MESSAGE: dict[str, Any] = json.loads(
    """{"type":0, "tts":false, "pinned":false, "nonce":null, "mention_everyone":false, "flags":0, "mentions":[],
    "mention_roles":[], "embeds":[], "components":[], "attachments":[], "edited_timestamp":null, "channel_id":"11",
    "channel_type":0, "guild_id":"10", "member":{"roles":[], "premium_since":null, "pending":false, "nick":null,
    "mute":false, "deaf":false, "flags":0, "joined_at":"2020-01-01T00:00:00+00:00", "banner":null, "avatar":null,
    "communication_disabled_until":null}}"""
)
_GUILD: dict[str, Any] = json.loads(
    """{"id":"10", "name":"guild", "owner_id":"1", "member_count":100, "preferred_locale":"en-US", "emojis":[],
    "features":[], "members":[], "verification_level":0, "default_message_notifications":0, "mfa_level":0,
    "explicit_content_filter":0, "nsfw_level":0, "premium_tier":0, "afk_timeout":300, "system_channel_flags":0,
    "roles":[{"id":"10", "name":"@everyone", "permissions":"0", "color":0, "position":0, "hoist":false,
    "managed":false, "mentionable":false, "colors":{"primary_color":0, "secondary_color":null,
    "tertiary_color":null}}], "channels":[{"id":"11", "type":0, "name":"rust", "position":0, "parent_id":null,
    "permission_overwrites":[], "nsfw":false, "rate_limit_per_user":0, "last_message_id":null, "topic":null}]}"""
)
_SYNC: dict[str, Any] = json.loads(
    """{"to_device":{"events":[]}, "presence":{"events":[]}, "device_lists":{"changed":[], "left":[]},
    "device_one_time_keys_count":{}}"""
)
_JOINED: dict[str, Any] = json.loads(
    """{"state":{"events":[]}, "ephemeral":{"events":[]}, "account_data":{"events":[]}, "summary":{},
    "unread_notifications":{}}"""
)

Taker = Callable[[list[Any]], object]


def discord_payloads(turn: int) -> list[dict[str, Any]]:
    """MESSAGE_CREATE as Discord's gateway sends it, decoded."""
    made = [
        {
            **_MESSAGE,
            "id": str(1455000000000000000 + turn * BATCH + number),
            "timestamp": datetime.fromtimestamp(NOW + turn * BATCH + number, UTC).isoformat(),
            "content": content,
            "author": {**_USER, "id": str(1000 + number), "username": f"user{number}"},
        }
        for number, content in enumerate(contents(BATCH, seed=turn))
    ]
    return [json.loads(json.dumps(payload)) for payload in made]


def matrix_payloads(turn: int) -> list[dict[str, Any]]:
    """One answer of Matrix's /sync with 50 messages of one room, decoded."""
    events = [
        {
            "type": "m.room.message",
            "event_id": f"$event{turn * BATCH + number:09d}",
            "sender": f"@user{number}:example.org",
            "origin_server_ts": (int(NOW) + turn * BATCH + number) * 1000,
            "content": {"msgtype": "m.text", "body": content},
            "unsigned": {"age": 1},
        }
        for number, content in enumerate(contents(BATCH, seed=turn))
    ]
    joined = {**_JOINED, "timeline": {"events": events, "limited": False, "prev_batch": "p"}}
    sync = {
        **_SYNC,
        "next_batch": str(turn),
        "rooms": {"join": {"!room:example.org": joined}, "invite": {}, "leave": {}},
    }
    return [json.loads(json.dumps(sync))]


def ours_from_discord() -> Taker:
    rooms = watched(room_id="11")

    def take(payloads: list[Any]) -> None:
        for data in payloads:
            sent = datetime.fromisoformat(data["timestamp"])
            message = Message(data["id"], data["author"]["id"], data["content"], sent)
            rooms.publish(data["channel_id"], MessageAdded(message), now=NOW)

    return take


def ours_from_matrix() -> Taker:
    rooms = watched(room_id="!room:example.org")

    def take(payloads: list[Any]) -> None:
        for room_id, joined in payloads[0]["rooms"]["join"].items():
            for event in joined["timeline"]["events"]:
                sent = datetime.fromtimestamp(event["origin_server_ts"] / 1000, UTC)
                message = Message(event["event_id"], event["sender"], event["content"]["body"], sent)
                rooms.publish(room_id, MessageAdded(message), now=NOW)

    return take


def discord_py() -> Taker:
    intents = importlib.import_module("discord").Intents.default()
    state = importlib.import_module("discord.state").ConnectionState(
        dispatch=lambda *event: None, handlers={}, hooks={}, http=None, intents=intents, max_messages=1000
    )
    state._add_guild(importlib.import_module("discord.guild").Guild(data=_GUILD, state=state))

    def take(payloads: list[Any]) -> None:
        for data in payloads:
            state.parse_message_create(data)

    return take


def hikari() -> Taker:
    class App:
        cache: Any = None

    app, settings = App(), importlib.import_module("hikari.impl.config").CacheSettings(max_messages=1000)
    entities = importlib.import_module("hikari.impl.entity_factory").EntityFactoryImpl(app)
    cache = app.cache = importlib.import_module("hikari.impl.cache").CacheImpl(app, settings)

    def take(payloads: list[Any]) -> None:
        for data in payloads:
            cache.set_message(entities.deserialize_message(data))

    return take


def matrix_nio() -> Taker:
    nio = importlib.import_module("nio")
    client = importlib.import_module("nio.client.base_client").Client("@me:example.org")
    client.user_id, client.access_token = "@me:example.org", "token"

    def take(payloads: list[Any]) -> None:
        for data in payloads:
            client.receive_response(nio.SyncResponse.from_dict(data))

    return take


OTHERS: tuple[tuple[str, str, Callable[[], Taker], Callable[[], Taker], Callable[[int], list[Any]]], ...] = (
    (
        "discord.py parse_message_create: also Member, flags, mentions; 1 deque for all rooms",
        "discord",
        discord_py,
        ours_from_discord,
        discord_payloads,
    ),
    (
        "hikari deserialize + set_message: also member and user, ref-counted; no order",
        "hikari",
        hikari,
        ours_from_discord,
        discord_payloads,
    ),
    (
        "matrix-nio from_dict + receive_response: JSON schemas, callbacks; keeps no message",
        "nio",
        matrix_nio,
        ours_from_matrix,
        matrix_payloads,
    ),
)


def beside_others() -> Iterator[Figure]:
    """Each library's time over ours, for one message."""
    for what, module, theirs, ours, payloads in OTHERS:
        try:
            importlib.import_module(module)
        except ImportError:
            print(f"skipped: {module} is not installed", file=sys.stderr)
            continue

        def prepare(turn: int, payloads: Callable[[int], list[Any]] = payloads) -> tuple[list[Any], list[Any]]:
            return payloads(turn), payloads(turn)

        with collector_off():
            pairs = in_turns(theirs(), ours(), prepare, TURNS, TURNS // 8)
        yield compared(pairs, BATCH).figure(what)
