"""Images of one room as several copies of it may have them, and a slow account of what merging two should give."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from roomstate.image import RoomImage
from roomstate.model import Annotation, Echo, Marker, Message, Notification, RoomConfig, RoomInfo, Tier, User
from roomstate.position import MAX_SEQ, Gap, Position
from tests.room.strategies import START, message

LAST = 12  # the last position of the log
ROOM = "room"


def line(seq: int, name: str, content: str = "hi", *, moved: int = 0) -> Message:
    """The message of that name at that position: every copy of it has the same time, unless it is ``moved``."""
    return Message(f"m{seq}{name}", "bob", content, START + timedelta(seconds=(seq * 7) % 5 + moved))


# Some positions have one message, some two, some none: those are edits and the like, or messages nobody here ever saw.
LOG = tuple((seq, line(seq, name)) for seq in range(1, LAST + 1) for name in "ab"[: (1, 2, 0, 1)[seq % 4]])
IDS = tuple(message.id for _, message in LOG)

CONTENTS = ("hi", "hi", "edited", "edited again")
NOTES = (None, None, Annotation(edited_at=START), Annotation(reactions={"+": ("ada",)}))

many = st.integers(0, (1 << 2 * len(LOG)) - 1)


def bits(number: int, width: int, count: int) -> list[int]:
    """The first ``count`` digits of a number, ``width`` bits each: many choices for one draw."""
    return [number >> width * index & (1 << width) - 1 for index in range(count)]


@st.composite
def gaps(draw: st.DrawFn, floor: int, head: int, cursors: tuple[str | None, ...]) -> tuple[Gap, ...]:
    """Ascending gaps in ``(floor, head]`` that do not overlap."""
    picked = bits(draw(st.integers(0, (1 << LAST + 1) - 1)) & draw(st.integers(0, (1 << LAST + 1) - 1)), 1, LAST + 1)
    ends = [seq for seq, bit in enumerate(picked) if bit and floor <= seq <= head]
    named = bits(draw(st.integers(0, 4**8 - 1)), 2, 8) if any(cursors) else [0] * 8
    pairs = zip(ends[::2], ends[1::2], named, strict=False)
    return tuple(Gap(after, upto, cursors[name % len(cursors)]) for after, upto, name in pairs)


@st.composite
def logs(draw: st.DrawFn, *, by_time: bool = False) -> RoomImage:
    """What a copy may say of the log: anything sound."""
    head = draw(st.integers(0, LAST))
    held_after = draw(st.integers(0, head))
    floor = draw(st.integers(0, held_after))
    here, texts, noted, stones = (bits(draw(many), 2, len(LOG)) for _ in range(4))
    first = 0 if by_time else held_after + (held_after == head)
    rows = [
        (seq, structs.replace(message, content=CONTENTS[text]))
        for (seq, message), bit, text in zip(LOG, here, texts, strict=True)
        if bit and first <= seq <= head
    ]
    rows.sort(key=lambda row: _place(row) if by_time else (row[0], *_place(row)))
    held = {message.id for _, message in rows}
    return RoomImage(
        room_id=ROOM,
        position=Position("e", head),
        floor=floor,
        held_after=held_after,
        ordinal=head,
        messages=tuple(message for _, message in rows),
        seqs=tuple(seq for seq, _ in rows),
        tombstones=tuple(name for name, bit in zip(reversed(IDS), stones, strict=True) if bit == 3),
        gaps=draw(gaps(floor, head, (None, "c", "d") if by_time else (None,))),
        annotations={name: note for name, bit in zip(IDS, noted, strict=True) if name in held and (note := NOTES[bit])},
        by_time=by_time,
        cursor=f"at {head}",
        fingerprint=f"print {head}",
    )


def _place(row: tuple[int, Message]) -> tuple[Any, str]:
    return row[1].timestamp, row[1].id


def holds(image: RoomImage, seq: int) -> bool:
    """Whether a copy has everything that there is at a position."""
    return not image.by_time and image.held_after < seq <= image.position.seq and not missing(image, seq)


def missing(image: RoomImage, seq: int) -> bool:
    """Whether a copy says that it lacks a position."""
    return any(gap.after < seq <= gap.upto for gap in image.gaps)


def copies(image: RoomImage) -> dict[str, tuple[int, Message]]:
    """The messages by id, with their positions."""
    rows = zip(image.seqs, image.messages, strict=True)
    return {message.id: (seq, message) for seq, message in rows if isinstance(message, Message)}


def removed(one: RoomImage, other: RoomImage) -> set[str]:
    """The ids of which either copy shows that they are gone."""
    gone = {*one.tombstones, *other.tombstones}
    for mine, yours in ((one, other), (other, one)):
        for name, (seq, _) in copies(mine).items():
            if name not in copies(yours) and holds(yours, seq):
                gone.add(name)
    return gone


def slowly_merged(client: RoomImage, server: RoomImage) -> list[tuple[int, Message]]:
    """The rows of both copies but for the removed ones, in order: the account that the fast merge must agree with."""
    gone = removed(client, server)
    rows = [row for name, row in {**copies(client), **copies(server)}.items() if name not in gone]
    return sorted(rows, key=lambda row: _place(row) if client.by_time else (row[0], *_place(row)))


def missing_of_both(client: RoomImage, server: RoomImage) -> set[int]:
    """The positions that a merge must call missing: known to be, or between the windows, and held by neither."""
    windows = [image for image in (client, server) if image.held_after < image.position.seq]
    begin = min((image.held_after for image in windows), default=LAST)
    head = max(client.position.seq, server.position.seq)
    return {
        seq
        for seq in range(1, head + 1)
        if (missing(client, seq) or missing(server, seq) or (seq > begin and not client.by_time))
        and not holds(client, seq)
        and not holds(server, seq)
    }


# -- whole images ------------------------------------------------------------------------------------------------------

users = st.builds(User, st.sampled_from(["ada", "bob", "cy"]), st.sampled_from(["", "Ada"]))
presence = st.dictionaries(st.sampled_from(["ada", "bob", "cy"]), st.sampled_from(["online", "away"]))
configs = st.builds(RoomConfig, st.booleans(), st.integers(0, 1), st.booleans())
infos = st.builds(RoomInfo, st.none() | st.integers(0, 1), st.none() | st.integers(0, 1), st.sampled_from(["", "live"]))
plain = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 1))
notifications = st.builds(
    Notification,
    st.just(ROOM),
    st.sampled_from(["ada", "bob"]),
    st.just("mention"),
    st.sampled_from(IDS),
    st.integers(1, 4),
    st.just(START),
)
markers = st.dictionaries(st.sampled_from(["ada", "bob"]), st.builds(Marker, st.integers(0, 9), st.integers(0, 9)))


@st.composite
def rooms(draw: st.DrawFn, *, by_time: bool = False) -> RoomImage:
    """A sound image in which anything may be as it likes."""
    return structs.replace(
        draw(logs(by_time=by_time)),
        tier=draw(st.sampled_from([Tier.ACTIVE.name, Tier.BACKGROUND.name])),
        taken_at=draw(st.floats(0, 9)),
        info=draw(infos),
        config=draw(configs),
        moderation=draw(plain),
        members=tuple({user.id: user for user in draw(st.lists(users, max_size=3))}.values()),
        members_complete=draw(st.booleans()),
        presence=draw(presence),
        notifications=tuple(draw(st.lists(notifications, max_size=3))),
        ui_state=draw(plain),
        markers=draw(markers),
        digest=draw(plain),
    )


# -- by hand -----------------------------------------------------------------------------------------------------------


def image(*seqs: int, head: int = 10, **fields: Any) -> RoomImage:
    """A room at position ``head`` of one log, with a message at each of the seqs."""
    messages = tuple(message(f"m{seq}", second=seq) for seq in seqs)
    return RoomImage(room_id="room", position=Position("e", head), messages=messages, seqs=seqs, **fields)


OURS = RoomImage(
    room_id="room",
    position=Position("e", 10),
    tier=Tier.BACKGROUND.name,
    taken_at=5.0,
    info=RoomInfo(user_count=1),
    config=RoomConfig(emote_only=True),
    moderation={"words": ["client"]},
    messages=(message("m1", content="client"), message("m2", second=1)),
    seqs=(1, 2),
    ordinal=2,
    annotations={"m1": Annotation(edited_at=START)},
    tombstones=("gone",),
    gaps=(Gap(3, 10),),
    members=(User("ada", "of the client"), User("only")),
    presence={"ada": "away", "only": "online"},
    notifications=(Notification("room", "ada", "mention", "m1", 1, START),),
    ui_state={"tab": "client"},
    markers={"ada": Marker(7, 7)},
    cursor="client",
    pending=(Echo("c1", "ada", "sent", 1.0),),
    fingerprint="print",
    digest={"of": "the client"},
)
THEIRS = RoomImage(
    room_id="room",
    position=Position("e", 11),
    taken_at=6.0,
    info=RoomInfo(user_count=2),
    config=RoomConfig(subscriber_only=True),
    moderation={"words": ["server"]},
    messages=(message("m1", content="server"), message("m11", second=3)),
    seqs=(1, 11),
    ordinal=3,
    held_after=4,
    floor=1,
    members=(User("ada", "of the server", ("mod",)), User("cy")),
    members_complete=True,
    presence={"ada": "online"},
    notifications=(Notification("room", "ada", "mention", "m11", 11, START),),
    ui_state={"tab": "server"},
    markers={"ada": Marker(3, 3), "cy": Marker(1, 1)},
    cursor="server",
    fingerprint="another",
    digest={"of": "the server"},
)

# -- hostile -----------------------------------------------------------------------------------------------------------

numbers = st.integers(0, 9) | st.integers(0, MAX_SEQ) | st.just(MAX_SEQ)
names = st.sampled_from(["a", "b", "c", "é", "x" * 512])


@st.composite
def nonsense(draw: st.DrawFn, *, by_time: bool = False) -> RoomImage:
    """An image that `check_image` lets pass, and that no room would have made: ids twice, messages below the window,
    messages that have tombstones, gaps of no length, positions as large as may be."""
    floor, held_after, head = sorted(draw(st.tuples(numbers, numbers, numbers)))
    seqs = draw(st.lists(numbers, max_size=6))
    seqs = [min(seq, head) for seq in (seqs if by_time else sorted(seqs))]
    ends = sorted(max(floor, min(end, head)) for end in draw(st.lists(numbers, max_size=6)))
    made = [Message(draw(names), "bob", draw(names), START + timedelta(seconds=draw(st.integers(0, 2)))) for _ in seqs]
    return RoomImage(
        room_id=ROOM,
        position=Position("e", head),
        floor=draw(st.sampled_from([floor, 0])),
        held_after=draw(numbers) if by_time else held_after,
        ordinal=draw(numbers),
        messages=tuple(made),
        seqs=tuple(seqs),
        annotations=draw(st.dictionaries(names, st.just(Annotation(edited_at=START)), max_size=2)),
        tombstones=tuple(draw(st.lists(names, max_size=4))),
        gaps=tuple(Gap(after, upto) for after, upto in zip(ends[::2], ends[1::2], strict=False)),
        members=tuple(draw(st.lists(users, max_size=3))),
        notifications=tuple(draw(st.lists(notifications, max_size=3))),
        by_time=by_time,
    )
