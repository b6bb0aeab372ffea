"""Two copies of a log become one, in any order and any number of times, and nothing that was removed comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from roomstate.image import RoomImage
from roomstate.model import EMPTY, Annotation, Marker, MessageLike, Notification, RoomConfig, Tier, User
from roomstate.position import MAX_GAPS, MAX_SEQ, Gap, Position
from roomstate.room.passage import check_image, room_of
from roomstate.room.states import Limits
from roomstate.room.window import MAX_TOMBSTONES
from roomstate.sync.merge import MAX_MERGED, merge_logs, merge_messages, merge_part, same_message
from tests.room.strategies import START, Line, message
from tests.sync import images
from tests.sync.images import LAST, copies, holds, missing, missing_of_both, slowly_merged

Law = Callable[[RoomImage, RoomImage, RoomImage], None]


def merged(
    client: RoomImage, server: RoomImage, ancestor: RoomImage | None = None, most: int = MAX_MERGED
) -> RoomImage:
    """The image of both, which is sound."""
    image = structs.replace(server, **merge_logs(client, server, ancestor, most))
    check_image(image)
    return image


def said(image: RoomImage) -> dict[str, Any]:
    """What an image says of its log, whatever the words: gaps may be cut differently, tombstones in another order."""
    return {
        "messages": image.messages,
        "seqs": image.seqs,
        "annotations": dict(image.annotations),
        "gone": set(image.tombstones),
        "held": [seq for seq in range(LAST + 2) if holds(image, seq)],
        "missing": [seq for seq in range(LAST + 2) if missing(image, seq)],
        "place": (
            image.cursor,
            image.fingerprint,
            image.position,
            image.floor,
            image.held_after,
            image.ordinal,
            image.by_time,
        ),
    }


# -- the laws ----------------------------------------------------------------------------------------------------------


def idempotent(one: RoomImage, _: RoomImage, __: RoomImage) -> None:
    alive = structs.replace(one, tombstones=tuple(set(one.tombstones) - set(copies(one))))
    assert said(merged(alive, alive)) == said(merged(alive, merged(alive, alive)))
    assert merged(alive, alive).messages == alive.messages
    assert {**said(merged(alive, alive)), "annotations": {}} == {**said(alive), "annotations": {}}


def repeatable(one: RoomImage, other: RoomImage, _: RoomImage) -> None:
    both = merged(one, other)
    assert said(merged(both, other)) == said(both) == said(merged(both, both))


def commutative(one: RoomImage, other: RoomImage, _: RoomImage) -> None:
    there, back = said(merged(one, other)), said(merged(other, one))
    assert [each.id for each in there.pop("messages")] == [each.id for each in back.pop("messages")]
    assert {**there, "annotations": {}} == {**back, "annotations": {}}


def associative(one: RoomImage, two: RoomImage, three: RoomImage) -> None:
    assert said(merged(merged(one, two), three)) == said(merged(one, merged(two, three)))


def nothing_comes_back(one: RoomImage, two: RoomImage, three: RoomImage) -> None:
    both = merged(one, two)
    gone = images.removed(one, two)
    assert not gone & set(copies(both))
    assert not gone & set(copies(merged(both, three)))
    assert not gone & set(copies(merged(three, both)))


def as_the_slow_account(one: RoomImage, two: RoomImage, _: RoomImage) -> None:
    both = merged(one, two)
    rows = slowly_merged(one, two)
    assert list(zip(both.seqs, both.messages, strict=True)) == rows
    assert {seq for seq in range(LAST + 2) if missing(both, seq)} == missing_of_both(one, two)
    assert set(both.tombstones) >= {*one.tombstones, *two.tombstones}
    if not both.by_time:
        assert set(both.tombstones) == images.removed(one, two)
        held = {seq for seq in range(LAST + 2) if holds(one, seq) or holds(two, seq)}
        assert {seq for seq in range(LAST + 2) if holds(both, seq)} == held


def annotations_follow_their_messages(one: RoomImage, two: RoomImage, _: RoomImage) -> None:
    both = merged(one, two)
    for name in copies(both):
        side = two if name in copies(two) else one
        assert both.annotations.get(name, Annotation()) == side.annotations.get(name, Annotation())
    assert set(both.annotations) <= set(copies(both))


def a_room_can_be_made_of_it(one: RoomImage, two: RoomImage, _: RoomImage) -> None:
    both = merged(one, two)
    room = room_of(both, Tier.ACTIVE, Limits())
    room.check()
    assert room.timeline.messages() == both.messages


LAWS: tuple[Law, ...] = (
    idempotent,
    repeatable,
    commutative,
    associative,
    nothing_comes_back,
    as_the_slow_account,
    annotations_follow_their_messages,
    a_room_can_be_made_of_it,
)
triples = st.booleans().flatmap(lambda by_time: st.tuples(*[images.logs(by_time=by_time)] * 3))
each_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)


@each_law
@given(triples)
def test_a_law_holds(law: Law, three: tuple[RoomImage, RoomImage, RoomImage]) -> None:
    law(*three)


@pytest.mark.long
@each_law
@settings(max_examples=20_000)
@given(triples)
def test_a_law_holds_for_long(law: Law, three: tuple[RoomImage, RoomImage, RoomImage]) -> None:
    law(*three)


# -- timelines ---------------------------------------------------------------------------------------------------------

some = st.sets(st.integers(0, 11))


def timeline(rows: set[int], content: str, *, by_time: bool) -> tuple[list[MessageLike], list[int]]:
    """Messages whose names hang on a number, at positions or seconds that hang on it too."""
    made = [(number // 2, message(f"m{number}", content=content, second=number // 2)) for number in rows]
    made.sort(key=lambda row: (row[1].timestamp, row[1].id) if by_time else (row[0], row[1].id))
    return [row[1] for row in made], [row[0] for row in made]


@given(some, some, st.booleans())
def test_timelines_merge_as_a_dict_and_a_sort_say(ours: set[int], theirs: set[int], by_time: bool) -> None:
    client, server = timeline(ours, "ours", by_time=by_time), timeline(theirs, "theirs", by_time=by_time)
    rows = {each.id: (seq, each) for side in (client, server) for each, seq in zip(*side, strict=True)}
    expected = sorted(rows.values(), key=lambda row: (row[0], row[1].timestamp, row[1].id))
    messages, seqs = merge_messages(*client, *server, by_time=by_time)
    assert list(zip(seqs, messages, strict=True)) == expected


class Counted(int):
    """A position that counts how often positions are compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) < int(other)


@pytest.mark.parametrize("step", [2, 3, 7])
def test_timelines_in_order_merge_in_linear_time(step: int) -> None:
    counts = []
    for size in (1000, 4000):
        sides = [[Counted(seq) for seq in range(first, size * step, step)] for first in (0, 1)]
        made = [[message(f"m{seq}", second=0) for seq in side] for side in sides]
        Counted.compared = 0
        merge_messages(made[0], sides[0], made[1], sides[1])
        counts.append(Counted.compared)
    assert counts[0] <= 2 * 2000
    assert counts[1] <= 4.1 * counts[0]


def at(seq: int, *names: str) -> tuple[list[MessageLike], list[int]]:
    """Messages of those names at one position, of one time."""
    return [message(name) for name in names], [seq] * len(names)


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (("b", "a"), (), "ba"),
        ((), ("b", "a"), "ba"),
        (("b", "a"), ("b", "a"), "ba"),
        (("b", "a"), ("a", "b"), "ab"),
        (("b",), ("c", "a"), "abc"),
        (("b", "a"), ("b",), "ab"),
    ],
)
def test_messages_of_one_position_keep_their_order_unless_the_sides_differ(
    client: tuple[str, ...], server: tuple[str, ...], expected: str
) -> None:
    messages, seqs = merge_messages(*at(3, *client), *at(3, *server))
    assert "".join(each.id for each in messages) == expected
    assert seqs == [3] * len(expected)


def test_a_host_s_own_message_is_the_same_if_what_is_read_of_it_is() -> None:
    plain = message("a", extra={"k": 1})
    own = Line("a", "bob", "hi", START, {"k": 1})
    assert same_message(own, plain)
    assert not same_message(own, message("a"))
    assert same_message(None, None)
    assert not same_message(own, None)
    assert not same_message(plain, message("a"))


# -- what is cut, and what is bounded ----------------------------------------------------------------------------------


def image(*seqs: int, head: int = 0, **fields: Any) -> RoomImage:
    """A copy with a message at each of the seqs."""
    made = tuple(message(f"m{seq}", second=seq % 1000) for seq in seqs)
    return RoomImage(room_id="room", position=Position("e", head or max(seqs)), messages=made, seqs=seqs, **fields)


def test_the_newest_stay_and_the_window_begins_where_they_do() -> None:
    both = merged(image(*range(1, 701)), image(*range(901, 1601), held_after=900))
    assert len(both.messages) == MAX_MERGED == 1000
    assert both.seqs == (*range(401, 701), *range(901, 1601))
    assert both.held_after == 400
    assert both.gaps == (Gap(700, 900),)


def test_gaps_below_what_was_cut_are_cut_too() -> None:
    client = image(1, 2, 9, head=10, gaps=(Gap(2, 4), Gap(5, 8)), floor=0)
    server = image(12, 13, 14, head=14, held_after=11)
    assert merged(client, server, most=5).gaps == (Gap(2, 4), Gap(5, 8), Gap(10, 11))
    assert merged(client, server, most=4).gaps == (Gap(2, 4), Gap(5, 8), Gap(10, 11))
    assert merged(client, server, most=3).gaps == (Gap(10, 11),)
    assert merged(client, server, most=1).gaps == ()


def test_a_gap_over_the_beginning_is_clipped() -> None:
    client, server = image(1, 5, head=7, gaps=(Gap(2, 7),)), image(8, held_after=7)
    both = merged(client, server, most=2)
    assert (both.seqs, both.held_after, both.gaps) == ((5, 8), 1, (Gap(2, 7),))
    both = merged(client, server, most=1)
    assert (both.seqs, both.held_after, both.gaps) == ((8,), 5, (Gap(5, 7),))


def test_by_time_what_is_cut_takes_its_highest_seq_along() -> None:
    client = structs.replace(image(7, 8, 9), by_time=True, gaps=(Gap(1, 2, "c"),))
    both = merged(client, structs.replace(client, messages=client.messages[:1], seqs=(3,)), most=2)
    assert (both.seqs, both.held_after, both.gaps) == ((8, 9), 3, (Gap(1, 2, "c"),))


def test_a_window_that_is_empty_reaches_nowhere() -> None:
    nothing = RoomImage(room_id="room", position=Position("e", 0))
    held = image(6, 8, head=9, held_after=5, floor=4)
    for both in (merged(nothing, held), merged(held, nothing)):
        assert (both.held_after, both.floor, both.gaps, both.seqs) == (5, 0, (), (6, 8))
    later = structs.replace(nothing, position=Position("e", 20), held_after=20, floor=20)
    assert merged(held, later).gaps == (Gap(9, 20),)
    assert merged(nothing, later).held_after == 20
    assert merged(nothing, nothing) == nothing


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        ((Gap(1, 5),), (Gap(3, 8),), (Gap(3, 5),)),
        ((Gap(1, 5),), (Gap(5, 8),), ()),
        ((Gap(1, 5),), (), ()),
        ((Gap(1, 3), Gap(3, 5)), (Gap(1, 5),), (Gap(1, 5),)),
        ((Gap(0, 10),), (Gap(0, 10),), (Gap(0, 10),)),
    ],
)
def test_what_either_holds_is_held(client: tuple[Gap, ...], server: tuple[Gap, ...], expected: tuple[Gap, ...]) -> None:
    nothing = RoomImage(room_id="room", position=Position("e", 10))
    both = merged(structs.replace(nothing, gaps=client), structs.replace(nothing, gaps=server))
    assert both.gaps == expected


def test_rooms_that_hold_only_gaps_of_enormous_logs() -> None:
    half = MAX_SEQ // 2
    client = RoomImage(room_id="room", position=Position("e", MAX_SEQ), gaps=(Gap(0, MAX_SEQ),))
    server = RoomImage(room_id="room", position=Position("e", half), held_after=half - 1)
    assert merged(client, server).gaps == (Gap(0, half - 1), Gap(half, MAX_SEQ))


def test_a_flood_of_gaps_leaves_a_hundred() -> None:
    client = RoomImage(
        room_id="room", position=Position("e", 10_000), gaps=tuple(Gap(n, n + 1) for n in range(0, 9999, 2))
    )
    both = merged(client, client)
    assert len(both.gaps) == MAX_GAPS == 100
    assert both.gaps[0] == Gap(0, 9801)
    assert both.gaps[1:] == client.gaps[-99:]


def test_by_time_gaps_keep_the_cursor_that_fetches_all() -> None:
    nothing = RoomImage(room_id="room", position=Position("e", 9), by_time=True)
    client = structs.replace(nothing, gaps=(Gap(1, 3, "b"), Gap(3, 4, "c"), Gap(6, 7)))
    server = structs.replace(nothing, gaps=(Gap(2, 3, "a"), Gap(5, 9, "d")))
    for both in (merged(client, server), merged(server, client)):
        assert both.gaps == (Gap(1, 3, "b"), Gap(3, 4, "c"), Gap(5, 9, "d"))


def test_tombstones_are_the_newest_of_both() -> None:
    nothing = RoomImage(room_id="room", position=Position("e", 9))
    ours, theirs = (tuple(f"{side}{number:04}" for number in range(900)) for side in "ab")
    client, server = (structs.replace(nothing, tombstones=stones) for stones in (ours, theirs))
    for both in (merged(client, server), merged(server, client)):
        assert len(both.tombstones) == MAX_TOMBSTONES
        assert set(both.tombstones) == {*ours[-500:], *theirs[-500:]}
        assert both.tombstones[-2:] == ("a0899", "b0899")


def test_a_removal_that_nobody_noted_gets_a_tombstone() -> None:
    both = merged(image(1, 2, 3, head=9), image(3, head=9, held_after=1, tombstones=("x",)))
    assert both.seqs == (1, 3)
    assert both.tombstones == ("m2", "x")


def test_a_message_that_stands_twice_in_an_image_stands_once_after() -> None:
    client = RoomImage(
        room_id="room", position=Position("e", 9), messages=(message("a"), message("a", content="again")), seqs=(1, 2)
    )
    assert merged(client, RoomImage(room_id="room", position=Position("e", 0))).messages == (client.messages[1],)


# -- with an ancestor --------------------------------------------------------------------------------------------------

copies_of_one = st.tuples(*[st.sampled_from(["old", "new", "newer"])] * 3)


@given(copies_of_one, copies_of_one, st.booleans())
def test_what_one_side_alone_changed_takes_that_side(
    texts: tuple[str, str, str], stamps: tuple[str, str, str], own: bool
) -> None:
    def side(text: str, stamp: str) -> RoomImage:
        made: Any = Line("a", "bob", text, START, {}) if own else message("a", content=text)
        note = {} if stamp == "old" else {"a": Annotation(reactions={stamp: ("ada",)})}
        return RoomImage(room_id="room", position=Position("e", 1), messages=(made,), seqs=(1,), annotations=note)

    def expected(client: str, server: str, old: str) -> str:
        return client if server == old else server

    client, server, ancestor = (side(text, stamp) for text, stamp in zip(texts, stamps, strict=True))
    both = merged(client, server, ancestor)
    assert both.messages[0].content == expected(*texts)
    assert dict(both.annotations) == dict(side("", expected(*stamps)).annotations)


@example(0b111, 0b111, 0b111)
@given(*[st.integers(0, 7)] * 3)
def test_an_ancestor_brings_nothing_in(client: int, server: int, ancestor: int) -> None:
    def side(mask: int) -> RoomImage:
        return image(*[seq for seq in (1, 2, 3) if mask >> seq - 1 & 1], head=3)

    both = merged(side(client), side(server), side(ancestor))
    assert both.seqs == side(client & server).seqs


# -- the other parts ---------------------------------------------------------------------------------------------------


def test_a_mapping_merges_by_key() -> None:
    nothing = RoomImage(room_id="room", position=Position("e", 1))
    client = structs.replace(nothing, moderation={"both": 1, "ours": 2, "same": 0})
    server = structs.replace(nothing, moderation={"theirs": 3, "both": 4, "same": 0})
    assert merge_part("moderation", client, server) == {"moderation": {"theirs": 3, "both": 4, "same": 0, "ours": 2}}
    old = structs.replace(nothing, moderation={"both": 4, "ours": 2, "gone": 5})
    assert merge_part("moderation", client, server, old) == {"moderation": {"theirs": 3, "both": 1, "same": 0}}
    assert merge_part("moderation", nothing, nothing) == {"moderation": EMPTY}


@given(*[images.plain] * 3)
def test_a_mapping_with_an_ancestor_takes_what_one_side_alone_changed(
    ours: dict[str, int], theirs: dict[str, int], old: dict[str, int]
) -> None:
    client, server, base = (
        RoomImage(room_id="room", position=Position("e", 1), ui_state=state) for state in (ours, theirs, old)
    )
    found = merge_part("ui_state", client, server, base)["ui_state"]
    for key in "ab":
        expected = ours.get(key) if theirs.get(key) == old.get(key) else theirs.get(key)
        assert found.get(key) == expected


def test_a_configuration_merges_by_setting() -> None:
    client, server, old = (
        RoomImage(room_id="room", position=Position("e", 1), config=RoomConfig(*values))
        for values in ((True, 5), (False, 5, True), (False, 0))
    )
    assert merge_part("config", client, server)["config"] == server.config
    assert merge_part("config", client, server, old)["config"] == RoomConfig(True, 5, True)


def test_members_of_a_server_that_knows_all_are_all() -> None:
    def side(*ids: str, complete: bool = False, name: str = "") -> RoomImage:
        people = tuple(User(each, name) for each in ids)
        return RoomImage(room_id="room", position=Position("e", 1), members=people, members_complete=complete)

    client = side("ada", "bob", name="old")
    found = merge_part("members", client, side("cy", "bob", name="new"))
    assert [(user.id, user.username) for user in found["members"]] == [("cy", "new"), ("bob", "new"), ("ada", "old")]
    assert found["members_complete"] is False
    found = merge_part("members", client, side("cy", "bob", complete=True))
    assert [user.id for user in found["members"]] == ["cy", "bob"]
    found = merge_part("members", client, side("cy", "bob"), side("ada", name="old"))
    assert [user.id for user in found["members"]] == ["cy", "bob"]


def test_notifications_are_the_newest_hundred_of_both() -> None:
    def note(seq: int) -> Notification:
        return Notification("room", "ada", "mention", f"m{seq}", seq, START)

    client, server = (
        RoomImage(room_id="room", position=Position("e", 1), notifications=tuple(map(note, seqs)))
        for seqs in (range(80), range(60, 140))
    )
    found = merge_part("notifications", client, server)["notifications"]
    assert [each.seq for each in found] == list(range(40, 140))


def test_who_has_read_further_has_read_further() -> None:
    client, server = (
        RoomImage(room_id="room", position=Position("e", 1), markers=markers)
        for markers in (
            {"ada": Marker(5, 5), "bob": Marker(1, 1), "cy": Marker(1, 1)},
            {"ada": Marker(3, 3), "bob": Marker(1, 2)},
        )
    )
    found = merge_part("markers", client, server)["markers"]
    assert found == {"ada": Marker(5, 5), "bob": Marker(1, 2), "cy": Marker(1, 1)}
