"""What must be true of a simulated world: of every copy at every moment, and of all of them once it has healed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from msgspec import Struct, field, structs

from roomstate.image import RoomImage
from roomstate.model import (
    EMPTY,
    Annotation,
    AnyMessage,
    Message,
    RoomConfig,
    Status,
    Tier,
    User,
    as_message,
)
from roomstate.sync.feed import fingerprint
from roomstate.testing.ledger import Book
from roomstate.testing.world import World, room_name
from roomstate.updates import (
    SETTINGS,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    ModerationConfigChanged,
    ReactionAdded,
    ReactionRemoved,
    RoomConfigChanged,
    StreamStatusChanged,
    Update,
)

__all__ = ["Diverged", "check_copies", "check_healed"]


_HELD = (
    "misplaced removed missing messages short annotations config moderation stream_status user_count moderator_count"
    " members"
).split()
"""The faults of what a copy holds, and not of how it holds it."""


class Diverged(AssertionError):
    """A copy is not what it must be. ``fault`` is one word for how, ``where`` the replica and room, ``detail`` more."""

    def __init__(self, fault: str, where: str, detail: str) -> None:
        super().__init__(f"{fault}: {where}: {detail}")
        self.fault: str = fault
        self.where: str = where
        self.detail: str = detail


# -- at every moment -------------------------------------------------------------------------------------------------


def check_copies(world: World) -> None:
    """Check every copy that a replica holds against the log up to where it has come. O(messages held)."""
    for replica in range(1, world.options.replicas + 1):
        manager = world.manager(replica)
        for room_id in manager.known():
            if manager.tier(room_id) >= Tier.BACKGROUND:
                with _unless_alike(world, replica, room_id):
                    _check_copy(world, replica, room_id)


@contextmanager
def _unless_alike(world: World, replica: int, room_id: str) -> Iterator[None]:
    """Let a copy of a log that fell back hold anything where what was lost and what came are alike: none can tell.

    The world remembers that copy as deceived.
    """
    try:
        yield
    except Diverged as diverged:
        book = world.ledger.current(room_id)
        if diverged.fault not in _HELD or not any(_are_alike(earlier, book) for earlier in book.earlier):
            raise
        world.deceived.add((replica, room_id))


def _are_alike(earlier: Book, book: Book) -> bool:
    """Whether two logs, which differ, have the same at a position after that, or both a message that was removed."""
    seqs = [seq for seq in sorted(earlier.updates) if seq in book.updates]
    differ = next((seq for seq in seqs if earlier.updates[seq] != book.updates[seq]), None)
    return differ is not None and any(
        _marks(earlier, seq, book) & _marks(book, seq, book) for seq in seqs if seq > differ
    )


def _marks(log: Book, seq: int, book: Book) -> set[str]:
    """The fingerprint of an entry, and of a message that ``book`` has removed what all such have."""
    update = log.updates[seq]
    gone = isinstance(update, MessageAdded) and update.message.id in book.removed
    return {fingerprint(update), *(("removed",) if gone else ())}


def _check_copy(world: World, replica: int, room_id: str) -> None:
    manager, where = world.manager(replica), f"replica {replica}, {room_id}"
    image = manager.image(room_id)
    ids = [message.id for message in image.messages]
    held = dict(zip(ids, image.seqs, strict=True))
    if len(held) != len(ids):
        raise Diverged("twice", where, f"shows {ids}")
    if any(before >= after for before, after in pairwise(image.seqs)):
        raise Diverged("order", where, f"shows seqs {image.seqs}")
    for echo in manager.view(room_id).pending:
        if echo.client_id in held:
            raise Diverged("twice", where, f"shows {echo.client_id} and its echo")
    book = world.ledger.books.get((room_id, image.position.epoch))
    if book is None or any(_is_prefix(earlier, image, held) for earlier in book.earlier):
        return
    if not book.earlier or manager.status(room_id) is Status.READY:  # else it is asking which log it is of
        _check_prefix(book, image, held, where)


def _is_prefix(book: Book, image: RoomImage, held: dict[str, int]) -> bool:
    """Whether a copy is as a log was that has fallen back since: its replica may not have heard of that."""
    try:
        _check_prefix(book, image, held, "")
    except Diverged:
        return False
    return image.position.seq <= max(book.updates, default=0)


def _check_prefix(book: Book, image: RoomImage, held: dict[str, int], where: str) -> None:
    head = image.position.seq
    for name, seq in held.items():
        if book.added.get(name) != seq and seq > book.cut:  # what was cut off may have come again
            raise Diverged("misplaced", where, f"shows {name} at {seq}, the log has it at {book.added.get(name)}")
        removed = book.removed.get(name, 0)
        if seq < removed <= head and not any(removed in gap for gap in image.gaps):
            raise Diverged("removed", where, f"at {head} shows {name}, removed at {book.removed[name]}")
    for name, seq in reversed(book.added.items()):
        if seq <= image.held_after:
            break
        known = seq > head or name in held or name in book.removed
        if not known and not any(seq in gap for gap in image.gaps):
            raise Diverged("missing", where, f"has come to {head}, and lacks {name} at {seq} without a gap")


# -- once it has healed ----------------------------------------------------------------------------------------------


def check_healed(world: World, *, settled: bool = True) -> None:
    """Check that every copy is as the authority's room, and that as its log. O(everything).

    ``settled``: every room must be ACTIVE everywhere, and no echo may wait; else only rooms that are ACTIVE count.
    """
    check_copies(world)
    for end in world.ends:
        end.manager.check()
    _check_choices(world)
    for room in range(world.options.rooms):
        room_id = room_name(room)
        if settled or _is_up(world, 0, room_id):
            _check_authority(world, room_id)
            for replica in range(1, world.options.replicas + 1):
                if settled or _is_up(world, replica, room_id):
                    with _unless_alike(world, replica, room_id):
                        _check_equal(world, replica, room_id, settled=settled)
    _check_promises(world)


def _check_choices(world: World) -> None:
    """Check that no choice is open whose time is over."""
    for machine in world.machines:
        latest = max(machine.now(), machine.newest)
        over = [conflict_id for conflict_id, until in machine.choices.items() if until < latest]
        if over:
            raise Diverged("conflict", f"replica {machine.number}", f"{over} are open, and their time is over")


def _is_up(world: World, number: int, room_id: str) -> bool:
    return world.manager(number).tier(room_id) is Tier.ACTIVE


def _check_promises(world: World) -> None:
    for room_id, name in world.ledger.acknowledged:
        book = world.ledger.current(room_id)
        if name not in book.added and name not in book.removed:  # it may have been removed before it came
            raise Diverged("lost", room_id, f"{name} was acknowledged, and is not in the log")


class _Fold(Struct, eq=False):
    """What a log says, read by somebody who keeps everything."""

    messages: dict[str, Message]
    reactions: dict[str, dict[str, tuple[str, ...]]]
    config: RoomConfig = RoomConfig()
    moderation: Mapping[str, Any] = EMPTY
    stream_status: str = ""
    told: dict[type[Update], int] = field(default_factory=dict)  # the last entry of each kind of setting


def _fold(book: Book) -> _Fold:
    folded = _Fold({}, {})
    for seq, update in sorted(book.updates.items()):
        if isinstance(update, MessageAdded):
            message = as_message(update.message)
            if not book.removed.get(message.id, seq) < seq:
                if folded.messages.pop(message.id, None) is not None:  # the log had forgotten it: it is a new one
                    folded.reactions.pop(message.id, None)
                folded.messages[message.id] = message
        elif isinstance(update, MessageRemoved):
            folded.messages.pop(update.message_id, None)
            folded.reactions.pop(update.message_id, None)
        elif isinstance(update, MessageEdited) and update.message_id in folded.messages:
            held = folded.messages[update.message_id]
            folded.messages[held.id] = structs.replace(held, content=update.content)
        elif isinstance(update, ReactionAdded | ReactionRemoved) and update.message_id in folded.messages:
            _fold_reaction(folded, update)
        elif isinstance(update, SETTINGS):
            folded.told[type(update)] = seq
            _fold_setting(folded, update)
    return folded


def _fold_reaction(folded: _Fold, update: ReactionAdded | ReactionRemoved) -> None:
    reactions = folded.reactions.setdefault(update.message_id, {})
    users = reactions.get(update.emoji, ())
    if isinstance(update, ReactionRemoved):
        users = tuple(user for user in users if user != update.user)
    elif update.user not in users:
        users = (*users, update.user)
    reactions[update.emoji] = users
    if not users:
        del reactions[update.emoji]


def _fold_setting(folded: _Fold, update: Update) -> None:
    if isinstance(update, RoomConfigChanged):
        folded.config = update.config
    elif isinstance(update, ModerationConfigChanged):
        folded.moderation = update.config
    elif isinstance(update, StreamStatusChanged):
        folded.stream_status = update.status


def _check_authority(world: World, room_id: str) -> None:
    image, where = world.manager(0).image(room_id), f"authority, {room_id}"
    book = world.ledger.current(room_id)
    logged = [update for seq, update in book.updates.items() if seq > book.cut]
    names = [update.message.id for update in logged if isinstance(update, MessageAdded)]
    if len(names) != len(set(names)):
        raise Diverged("twice", where, "the log has a message twice")
    folded = _fold(book)
    expected = [m for m in folded.messages.values() if book.added[m.id] > image.held_after]
    _same(where, "messages", [held for held in image.messages if not _is_unsure(book, held.id)], expected)
    held = {message.id for message in expected}
    shown = {name: dict(note.reactions) for name, note in image.annotations.items() if note.reactions and name in held}
    _same(where, "reactions", shown, {name: put for name, put in folded.reactions.items() if put and name in held})
    for kind, seq in folded.told.items():
        if world.ledger.unsure.get((room_id, kind)) != seq:
            what, mine, told = _setting(kind, image, folded)
            _same(where, what, mine, told)


def _setting(kind: type[Update], image: RoomImage, folded: _Fold) -> tuple[str, object, object]:
    if kind is RoomConfigChanged:
        return "config", image.config, folded.config
    if kind is ModerationConfigChanged:
        return "moderation", dict(image.moderation), dict(folded.moderation)
    return "stream_status", image.info.stream_status, folded.stream_status


def _is_unsure(book: Book, name: str) -> bool:
    """Whether a message was removed before it came, and a load, which is bounded, has read only the one."""
    removed, added = book.removed.get(name, 0), book.added.get(name, 0)
    return 0 < removed < added and any(removed <= after < added for after in book.read)


def _check_equal(world: World, replica: int, room_id: str, *, settled: bool) -> None:
    where = f"replica {replica}, {room_id}"
    theirs, mine = world.manager(0).image(room_id), world.manager(replica).image(room_id)
    view = world.manager(replica).view(room_id)
    _same(where, "position", mine.position, theirs.position)
    _same(where, "tier", view.tier, Tier.ACTIVE)
    _same(where, "status", view.status, Status.READY)
    _same(where, "gaps", mine.gaps, ())
    after = max(mine.held_after, theirs.held_after)
    _same(where, "messages", _since(mine, after), _since(theirs, after))
    _check_window(world, mine, theirs, where)
    names = {message.id for _, message in _since(mine, after)}
    _same(where, "annotations", _notes(mine, names), _notes(theirs, names))
    for name in ("config", "moderation"):
        _same(where, name, getattr(mine, name), getattr(theirs, name))
    for name in ("stream_status", "user_count", "moderator_count"):
        _same(where, name, getattr(mine.info, name), getattr(theirs.info, name))
    if mine.members_complete and theirs.members_complete:
        _same(where, "members", _by_id(mine), _by_id(theirs))
    if settled and view.pending:
        raise Diverged("pending", where, f"still waits for {view.pending}")


def _since(image: RoomImage, after: int) -> list[tuple[int, AnyMessage]]:
    return [(seq, held) for seq, held in zip(image.seqs, image.messages, strict=True) if seq > after]


def _notes(image: RoomImage, names: set[str]) -> dict[str, Annotation]:
    return {name: note for name, note in image.annotations.items() if name in names}


def _by_id(image: RoomImage) -> dict[str, User]:
    return {user.id: user for user in image.members}


def _check_window(world: World, mine: RoomImage, theirs: RoomImage, where: str) -> None:
    """A copy may reach less far back than the authority only where its window has overflowed since."""
    if mine.held_after > theirs.held_after:
        book = world.ledger.current(mine.room_id)
        since = sum(1 for seq in book.added.values() if seq > mine.held_after)
        if since < world.options.active_messages:
            raise Diverged("short", where, f"holds {since} messages after {mine.held_after}, and more are to be had")


def _same(where: str, what: str, mine: object, expected: object) -> None:
    if mine != expected:
        raise Diverged(what, where, f"is {_brief(mine)}, not {_brief(expected)}")


def _brief(value: object) -> str:
    if isinstance(value, list):
        return str([getattr(one, "id", one) for one in value])[-600:]
    return str(value)[-600:]
