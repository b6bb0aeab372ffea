"""What each kind of event does to a world."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec import structs

from roomstate.errors import RoomStateError
from roomstate.model import Message, Notification, RoomConfig, User
from roomstate.sync.frames import Send
from roomstate.testing.schedule import Event
from roomstate.testing.world import AUTHORITY, WEATHERS, World, room_name
from roomstate.updates import (
    CountsChanged,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ModerationConfigChanged,
    NotificationAdded,
    PresenceChanged,
    ReactionAdded,
    ReactionRemoved,
    ReceiptRead,
    RoomConfigChanged,
    StreamStatusChanged,
    TypingChanged,
    Update,
    UserJoined,
    UserLeft,
    UserUpdated,
)

__all__ = ["HAPPENINGS", "happen"]

_EMOJI: Final = ("+1", "🎉", "eyes")
_STATES: Final = ("online", "away", "busy", "offline")


def happen(world: World, event: Event) -> None:
    """Let an event happen in its time. That an end refuses it with a `RoomStateError` is counted, and no fault."""
    world.dice.seed(event.dice)
    world.wait(event.wait)
    try:
        HAPPENINGS[event.kind](world, event)
    except RoomStateError:
        world.refused += 1


# -- what is published at the authority ------------------------------------------------------------------------------


def _user(event: Event) -> str:
    return f"u{event.user}"


def _message(world: World, event: Event) -> Message:
    """A message of an event; its time has whole seconds, so that neighbours often share one."""
    written = datetime.fromtimestamp(int(world.machines[0].now()), UTC)
    return world.written.setdefault(event.name, Message(event.name, _user(event), event.text, written))


def _again(world: World, event: Event) -> Message:
    """The same message once more, or one that takes its name."""
    first = _message(world, event)
    return first if event.number % 4 else structs.replace(first, content=event.text)


def _known_user(event: Event) -> User:
    return User(_user(event), username=f"U {event.number % 7}", badges=("mod",) if event.number % 3 == 0 else ())


def _notification(world: World, event: Event) -> Update:
    written = datetime.fromtimestamp(int(world.now), UTC)
    return NotificationAdded(Notification(room_name(event.room), _user(event), "source", event.name, 0, written))


UPDATES: Final[dict[str, Callable[[World, Event], Update]]] = {
    "post": lambda world, event: MessageAdded(_message(world, event)),
    "repeat": lambda world, event: MessageAdded(_again(world, event)),
    "edit": lambda world, event: MessageEdited(event.name, event.text),
    "remove": lambda world, event: MessageRemoved(event.name, _user(event)),
    "react": lambda world, event: ReactionAdded(event.name, _user(event), _EMOJI[event.number % 3]),
    "unreact": lambda world, event: ReactionRemoved(event.name, _user(event), _EMOJI[event.number % 3]),
    "config": lambda world, event: RoomConfigChanged(RoomConfig(slow_mode_duration=event.number)),
    "moderate": lambda world, event: ModerationConfigChanged({"level": event.number}),
    "join": lambda world, event: UserJoined(_known_user(event)),
    "part": lambda world, event: UserLeft(_user(event)),
    "rename": lambda world, event: UserUpdated(_known_user(event)),
    "status": lambda world, event: StreamStatusChanged(("live", "offline")[event.number % 2]),
    "count": lambda world, event: CountsChanged(user_count=event.number),
    "presence": lambda world, event: PresenceChanged(_user(event), _STATES[event.number % 4]),
    "typing": lambda world, event: TypingChanged(_user(event), float(event.number % 3 * 3)),
    "receipt": lambda world, event: ReceiptRead(_user(event), event.name),
    "notify": _notification,
}
"""What each kind of event publishes."""


def _publish(world: World, event: Event) -> None:
    if event.kind != "repeat" or event.name in world.written:
        world.ends[0].call("publish", room_name(event.room), UPDATES[event.kind](world, event))


# -- what users do at a replica --------------------------------------------------------------------------------------


def _viewer(event: Event) -> str:
    return f"v{event.user % 2}"


def _say(world: World, event: Event) -> None:
    user = f"u{event.user}"
    world.ends[event.node].call("send", room_name(event.room), event.text, user=user, client_id=event.name)


def _tell(world: World, event: Event) -> None:
    """A client may send any update; nobody waits for it to come back."""
    frame = Send(room_name(event.room), f"t{event.dice}", MessageEdited(event.name, event.text))
    world.machines[event.node].send(AUTHORITY, (frame.to_json().encode(),))


def _enter(world: World, event: Event) -> None:
    world.ends[event.node].call(event.kind, _viewer(event), room_name(event.room), user=f"u{event.user % 2}")


def _leave(world: World, event: Event) -> None:
    world.ends[event.node].call("leave", _viewer(event), room_name(event.room))


def _read(world: World, event: Event) -> None:
    name = event.name if event.number % 3 else None
    world.ends[event.node].call("mark_read", _viewer(event), room_name(event.room), name)


def _retry(world: World, event: Event) -> None:
    """Send again, or give up, what was not taken."""
    end, room_id = world.ends[event.node], room_name(event.room)
    for echo in end.manager.view(room_id).pending:
        if echo.failed and event.kind == "discard":
            end.call("discard", room_id, echo.client_id)
        elif echo.failed:
            end.call("send", room_id, echo.content, user=echo.user, client_id=echo.client_id)


# -- trouble ---------------------------------------------------------------------------------------------------------


def _cut(world: World, event: Event) -> None:
    world.network.links[event.node].cut = event.kind == "cut"


def _weather(world: World, event: Event) -> None:
    world.network.links[event.node].weather = WEATHERS[event.number % len(WEATHERS)]


def _slow(world: World, event: Event) -> None:
    (world.slow.add if event.kind == "slow" else world.slow.discard)(event.node)


def _crash(world: World, event: Event) -> None:
    """Restart the authority: on its log, on an earlier state of its log, or on nothing."""
    told = not (world.options.quiet and event.number % 2)
    if event.number < 120:
        world.lose_store()
    elif event.number < 700 and world.options.failover:
        world.fall_back()
        told = True
    world.crash(0, told=told)


def _reboot(world: World, event: Event) -> None:
    if not world.options.keeps or event.number < 200:
        world.lose_shelf(event.node)
    world.crash(event.node)


def _beat(world: World, event: Event) -> None:
    """Time for heartbeats; and for what a store is copied to, which would take its place, to catch up with it."""
    world.ends[0].beat()
    if world.options.failover and event.number % 2:
        world.back_up()


def _back_up(world: World, event: Event) -> None:
    """Keep a copy; now and then, let the log go of what is far behind any window."""
    if event.number % 2:
        world.truncate(room_name(event.room), 2 * world.options.active_messages + event.number % 50)
    world.back_up()


def _clock(world: World, event: Event) -> None:
    machine = world.machines[event.number % len(world.machines)]
    machine.offset += 3600.0 if event.number % 2 else -3600.0
    machine.asked = True


def _disk(world: World, event: Event) -> None:
    world.machines[event.number % len(world.machines)].rough_until = world.now + 10.0


HAPPENINGS: Final[dict[str, Callable[[World, Event], None]]] = {
    **dict.fromkeys(UPDATES, _publish),
    "say": _say,
    "tell": _tell,
    "enter": _enter,
    "follow": _enter,
    "leave": _leave,
    "read": _read,
    "retry": _retry,
    "discard": _retry,
    "beat": _beat,
    "ping": lambda world, event: world.ends[event.node].beat(),
    "cut": _cut,
    "mend": _cut,
    "hang_up": lambda world, event: world.hang_up(event.node, told=event.number % 4 > 0),
    "dial": lambda world, event: world.dial(event.node),
    "weather": _weather,
    "slow": _slow,
    "brisk": _slow,
    "crash": _crash,
    "reboot": _reboot,
    "clock": _clock,
    "disk": _disk,
    "back_up": _back_up,
}
"""What each kind of event does."""
