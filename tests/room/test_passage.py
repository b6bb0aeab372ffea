"""Up, down, out and back: what a room is after it is what it was before, as far as the tier holds it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from roomstate.effects import LogEntry
from roomstate.errors import InvalidValue
from roomstate.image import RoomImage
from roomstate.model import EMPTY, Annotation, Marker, Message, Notification, RoomConfig, Tier, User
from roomstate.position import Gap, Position
from roomstate.room.digest import MessageDigest
from roomstate.room.passage import check_image, demoted, empty, image_of, promoted, rebuilt, room_of
from roomstate.room.reduce import Outcome, apply
from roomstate.room.states import ActiveRoom, LiveRoom
from roomstate.updates import (
    LOGGED,
    MessageAdded,
    MessageEdited,
    MessageRemoved,
    NotificationAdded,
    PresenceChanged,
    RoomConfigChanged,
    Update,
    UserJoined,
)
from tests.room.strategies import LIMITS, LIVE, NOW, START, Line, message, room, updates


def fill(live: LiveRoom, given: list[Update]) -> list[LogEntry]:
    """Apply what is applicable; return the log of it."""
    log = []
    for update in given:
        seq = live.head + 1
        change = apply(live, update, seq, NOW, LIMITS)
        if type(update) in LOGGED and change.outcome is Outcome.APPLIED:
            log.append(LogEntry(seq, live.timeline.ordinal, update))
    return log


def timeless(live: LiveRoom) -> RoomImage:
    """An image but for its times: one taken earlier may have told of a message that was removed since."""
    image = image_of(live, 0.0)
    return structs.replace(image, info=structs.replace(image.info, last_activity=None))


@pytest.mark.parametrize("by_time", [False, True], ids=["by seq", "by time"])
@pytest.mark.parametrize("tier", LIVE, ids=str)
@settings(max_examples=100)
@given(given=st.lists(updates, max_size=25))
def test_a_room_is_its_image(tier: Tier, by_time: bool, given: list[Update]) -> None:
    live = room(tier, by_time=by_time)
    fill(live, given)
    image = image_of(live, NOW, {"ada": Marker(1, 1)})
    check_image(image)
    back = room_of(image, tier, LIMITS)
    back.check()
    assert image_of(back, NOW, image.markers) == image
    assert (back.tier, back.timeline.by_time) == (tier, by_time)


@settings(max_examples=100)
@given(st.lists(updates, max_size=25))
def test_what_does_not_fit_into_a_lower_tier_is_left_out_as_demoting_does(given: list[Update]) -> None:
    live = room()
    fill(live, given)
    image = image_of(live, NOW)
    low = room_of(image, Tier.BACKGROUND, LIMITS)
    low.check()
    assert isinstance(live, ActiveRoom)
    down = demoted(live, LIMITS)
    down.check()
    down.floor = low.floor
    assert image_of(down, NOW) == image_of(low, NOW)
    assert all(low.timeline.knows(held.id) for held in image.messages)


@pytest.mark.parametrize("tier", LIVE, ids=str)
@settings(max_examples=100)
@given(given=st.lists(updates, max_size=25), at=st.integers(0, 25))
def test_an_image_and_the_log_after_it_are_the_room(tier: Tier, given: list[Update], at: int) -> None:
    """The image may be older, and entries that it has already are passed over."""
    logged = [update for update in given if type(update) in LOGGED]
    live, older = room(tier), room(tier)
    log = fill(live, logged)
    fill(older, [entry.update for entry in log][:at])
    image = image_of(older, 0.0) if older.head else None
    back = rebuilt(image, log, room(tier), NOW, LIMITS)
    back.check()
    assert timeless(back) == timeless(live)


@settings(max_examples=200)
@given(given=st.lists(updates, max_size=25), at=st.integers(0, 25), begin=st.integers(0, 25))
def test_a_log_that_reaches_further_back_than_a_brief_image_gives_the_messages(
    given: list[Update], at: int, begin: int
) -> None:
    live = room()
    log = fill(live, [update for update in given if type(update) in LOGGED])
    brief = rebuilt(None, log[:at], room(Tier.BACKGROUND), NOW, LIMITS)
    begin = min(begin, at, len(log))
    back = rebuilt(image_of(brief, 0.0), log[begin:], room(), NOW, LIMITS)
    back.check()
    after = min(begin, brief.held_after)
    both = zip(live.timeline.seqs(), live.timeline.messages(), strict=True)
    newer = [(seq, held) for seq, held in both if seq > after]
    assert list(zip(back.timeline.seqs(), back.timeline.messages(), strict=True)) == newer
    notes, found = live.timeline.annotations, back.timeline.annotations
    assert all(found.get(held.id) == notes.get(held.id) for _, held in newer)
    assert (back.head, back.floor, back.config, back.moderation) == (live.head, 0, live.config, live.moderation)


def test_messages_that_a_digest_has_summed_up_are_not_brought_back() -> None:
    limits = structs.replace(LIMITS, digest=MessageDigest)
    log = [LogEntry(seq, seq, MessageAdded(message(f"m{seq}", second=seq))) for seq in range(1, 9)]
    brief = rebuilt(None, log, empty("room", "epoch", Tier.BACKGROUND, limits), NOW, limits)
    image = image_of(brief, 0.0)
    assert len(image.messages) == limits.background_messages < 6
    for begin, held in ((0, 8), (2, limits.background_messages)):
        back = rebuilt(image, log[begin:], empty("room", "epoch", Tier.ACTIVE, limits), NOW, limits)
        back.check()
        assert len(back.timeline) == min(held, limits.active_messages)
        assert isinstance(back.digest, MessageDigest)
        assert back.digest.messages + len(back.timeline) == 8


@given(st.lists(updates, max_size=25))
def test_entries_that_do_not_join_begin_a_window_of_their_own(given: list[Update]) -> None:
    live = room()
    log = fill(live, [update for update in given if type(update) in LOGGED])
    config = RoomConfig(emote_only=True)
    image = RoomImage(
        room_id="room",
        position=Position("old", 5),
        config=config,
        messages=(message("old"),),
        seqs=(5,),
        ordinal=5,
        gaps=(Gap(1, 2),),
        members=(User("old"),),
        members_complete=True,
    )
    entries = [LogEntry(entry.seq + 10, entry.ordinal + 10, entry.update) for entry in log]
    back = rebuilt(image, entries, room(), NOW, LIMITS)
    back.check()
    if not entries:
        assert [held.id for held in back.timeline] == ["old"]
        return
    assert (back.head, back.epoch, back.floor, back.gaps) == (entries[-1].seq, "epoch", 0, (Gap(1, 2),))
    assert back.held_after >= 10
    assert back.timeline.messages() == live.timeline.messages()
    assert back.timeline.ordinal == live.timeline.ordinal + 10
    assert not back.roster.complete
    assert back.config == (live.config if live.config != RoomConfig() else back.config)


def test_an_entry_that_repeats_a_message_holds_nothing_and_takes_its_seq() -> None:
    log = [LogEntry(1, 1, MessageAdded(message())), LogEntry(2, 2, MessageAdded(message()))]
    back = rebuilt(None, log, room(), NOW, LIMITS)
    assert (back.head, len(back.timeline)) == (2, 1)


def test_a_message_that_a_cut_log_has_again_is_shown_where_it_has_it() -> None:
    names = [*(f"m{number}" for number in range(6)), "m0"]
    log = [LogEntry(at, at, MessageAdded(message(name, second=at))) for at, name in enumerate(names, 1)]
    back = rebuilt(None, log, room(Tier.BACKGROUND), NOW, LIMITS)
    back.check()
    assert back.timeline.seq_of("m0") == 7


def test_a_message_that_has_left_a_window_in_order_of_time_does_not_come_back_as_its_newest() -> None:
    log = [LogEntry(at, at, MessageAdded(message(f"m{at}", second=at))) for at in range(1, 7)]
    again = LogEntry(7, 7, MessageAdded(message("m1", second=1)))
    back = rebuilt(None, [*log, again], room(Tier.BACKGROUND, by_time=True), NOW, LIMITS)
    back.check()
    assert (back.head, [held.id for held in back.timeline]) == (7, ["m4", "m5", "m6"])


def test_promoting_shares_what_is_held_and_brings_nothing_back() -> None:
    live = room(Tier.BACKGROUND)
    fill(live, [MessageAdded(message(f"m{number}", second=number)) for number in range(6)])
    fill(live, [PresenceChanged("ada", "away"), NotificationAdded(Notification("room", "ada", "m", "m1", 1, START))])
    held = live.timeline.messages()
    up = promoted(live, LIMITS)
    up.check()
    assert up.tier is Tier.ACTIVE
    assert up.timeline.messages() == held
    assert (up.held_after, up.present, len(up.notifications or ()), up.changes) == (3, 1, 1, 3)
    fill(up, [MessageAdded(message(f"n{number}", second=9 + number)) for number in range(5)])
    assert len(up.timeline) == 8


def test_demoting_forgets_members_but_not_who_is_present() -> None:
    live = room()
    fill(live, [UserJoined(User("ada")), PresenceChanged("ada", "away")])
    assert isinstance(live, ActiveRoom)
    down = demoted(live, LIMITS)
    assert (down.roster.members(), down.roster.complete, down.present, down.info.user_count) == ((), False, 1, 1)


def test_only_a_log_that_has_just_begun_is_known_to_have_no_members() -> None:
    for options, complete in (({}, True), ({"head": 3}, False), ({"by_time": True}, False)):
        assert empty("room", "epoch", Tier.ACTIVE, LIMITS, **options).roster.complete == complete
    assert not empty("room", "", Tier.ACTIVE, LIMITS).roster.complete
    assert not room(Tier.BACKGROUND).roster.complete
    assert promoted(room(Tier.BACKGROUND), LIMITS).roster.complete
    live = room(Tier.BACKGROUND)
    fill(live, [UserJoined(User("ada"))])
    assert not promoted(live, LIMITS).roster.complete


def test_an_image_says_when_the_room_was_last_active() -> None:
    live = room()
    assert image_of(live, 0.0).info.last_activity is None
    fill(live, [MessageAdded(message("m1", second=5)), MessageAdded(message("m2", second=3))])
    assert image_of(live, 0.0).info.last_activity == message(second=3).timestamp
    live.info = structs.replace(live.info, last_activity=message(second=9).timestamp)
    assert image_of(live, 0.0).info.last_activity == message(second=9).timestamp


def line(of: Message) -> Line:
    return Line(of.id, of.user, of.content, of.timestamp, dict(of.extra))


def test_what_is_loaded_is_made_into_the_hosts_own_class() -> None:
    image = RoomImage(room_id="room", position=Position("e", 1), messages=(message(extra={"a": 1}),), seqs=(1,))
    log = [LogEntry(2, 2, MessageAdded(message("m2"))), LogEntry(3, 2, MessageEdited("m2", "edited"))]
    back = rebuilt(image, log, room(), NOW, LIMITS, line)
    assert back.timeline.messages() == (
        Line("m1", "bob", "hi", START, {"a": 1}),
        Line("m2", "bob", "edited", START, {}),
    )
    again = image_of(back, 0.0)
    assert room_of(again, Tier.BACKGROUND, LIMITS, line).timeline.messages() == back.timeline.messages()


def test_what_an_image_says_twice_counts_once() -> None:
    image = RoomImage(
        room_id="room",
        position=Position("e", 3),
        messages=(message("m1"), message("m1"), message("m2")),
        seqs=(1, 2, 3),
        tombstones=("m2", "m3"),
        annotations={"m9": Annotation(START), "m2": Annotation(START)},
    )
    live = room_of(image, Tier.ACTIVE, LIMITS)
    live.check()
    assert [held.id for held in live.timeline] == ["m1", "m2"]
    assert list(live.timeline.tombstones) == ["m3"]
    assert live.timeline.annotations == {"m2": Annotation(START)}
    assert live.timeline.ordinal == 3


SOUND = RoomImage(
    room_id="room", position=Position("e", 5), messages=(message("m1"), message("m2")), seqs=(2, 4), gaps=(Gap(2, 3),)
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seqs": (2,)},
        {"seqs": ()},
        {"seqs": (4, 2)},
        {"seqs": (-1, 2)},
        {"seqs": (2, 6)},
        {"floor": -1},
        {"floor": 2},
        {"held_after": 6},
        {"position": Position("e", -1)},
        {"position": Position("e", 1 << 60)},
        {"gaps": (Gap(3, 4), Gap(1, 2))},
        {"gaps": (Gap(3, 2),)},
        {"gaps": (Gap(4, 6),)},
        {"floor": 1, "held_after": 1, "gaps": (Gap(0, 2),)},
    ],
    ids=str,
)
def test_an_image_whose_parts_do_not_agree_is_refused(wrong: dict[str, Any]) -> None:
    check_image(SOUND)
    with pytest.raises(InvalidValue, match="image"):
        room_of(structs.replace(SOUND, **wrong), Tier.ACTIVE, LIMITS)


def test_an_entry_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="message_id"):
        rebuilt(None, [LogEntry(1, 0, MessageRemoved(""))], room(), NOW, LIMITS)


def test_the_parts_of_an_image_that_a_tier_does_not_hold_are_left_out() -> None:
    image = structs.replace(SOUND, moderation={"a": 1}, ui_state={"v": 1}, presence={"ada": "away"})
    active, background = (image_of(room_of(image, tier, LIMITS), 0.0) for tier in (Tier.ACTIVE, Tier.BACKGROUND))
    assert (active.moderation, active.ui_state, active.presence) == ({"a": 1}, {"v": 1}, {"ada": "away"})
    assert (background.moderation, background.ui_state, background.presence) == ({"a": 1}, EMPTY, {"ada": "away"})
    live = room()
    fill(live, [RoomConfigChanged(RoomConfig(emote_only=True))])
    assert image_of(live, 0.0).config.emote_only
