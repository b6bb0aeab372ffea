"""What may be told of an image that is ahead of the log, and what of it a BACKGROUND viewer gets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from roomstate.host.catching_up import brief, caught_up, complete, told
from roomstate.image import RoomImage
from roomstate.manager import RoomStateManager
from roomstate.model import Message, Tier, User
from roomstate.room.passage import check_image
from roomstate.room.states import Limits
from roomstate.updates import MessageAdded, MessageEdited, ReactionAdded, UserJoined

NOW = 1_000_000.0


def rooms_of(*updates: object, limits: Limits | None = None) -> RoomStateManager:
    rooms = RoomStateManager(clock=lambda: NOW, limits=limits, new_epoch=lambda: "e1")
    rooms.enter("v1", "rust", user="ada")
    for update in updates:
        rooms.publish("rust", update)  # type: ignore[arg-type]
    return rooms


def said(number: int, user: str = "bob", content: str = "hi") -> MessageAdded:
    return MessageAdded(Message(f"m{number}", user, content))


def of_ada(image: RoomImage) -> RoomImage:
    """An image as `told` gives it to ada: of the markers hers alone, and without what `token` says of its end."""
    markers = {"ada": image.markers["ada"]}
    info = structs.replace(image.info, last_activity=None)
    return structs.replace(image, markers=markers, info=info, fingerprint="")


@given(
    st.lists(st.tuples(st.sampled_from(["ada", "bob"]), st.sampled_from(["hi", "hi @ada"])), max_size=12),
    st.data(),
)
def test_what_may_be_told_is_what_the_room_was(posts: list[tuple[str, str]], data: st.DataObject) -> None:
    updates = [said(number, *post) for number, post in enumerate(posts)]
    cut = data.draw(st.integers(0, len(posts)))
    read = data.draw(st.integers(0, cut))
    rooms = rooms_of()
    rooms.mark_read("v1", "rust")
    for number, update in enumerate(updates[:cut], start=1):
        rooms.publish("rust", update)
        if number == read:
            rooms.mark_read("v1", "rust")
    was = rooms.image("rust")
    for update in updates[cut:]:
        rooms.publish("rust", update)
    found = told(rooms.image("rust"), cut, "ada")
    assert found is not None
    check_image(found)
    assert of_ada(found) == of_ada(was)


def test_a_marker_beyond_what_may_be_told_comes_back_to_it() -> None:
    rooms = rooms_of(said(1), said(2), said(3))
    rooms.mark_read("v1", "rust")
    found = told(rooms.image("rust"), 2, "ada")
    assert found is not None
    marker = found.markers["ada"]
    assert (marker.seq, marker.ordinal, marker.own) == (2, 2, 0)
    stranger = told(rooms.image("rust"), 2, "stranger")
    assert stranger is not None
    assert dict(stranger.markers) == {}


def test_what_is_more_than_new_messages_cannot_be_taken_back() -> None:
    assert told(rooms_of(said(1), said(2), MessageEdited("m1", "x")).image("rust"), 2) is None
    assert told(rooms_of(said(1), said(2), UserJoined(User("cy"))).image("rust"), 1) is None
    many = rooms_of(*(said(number) for number in range(9)), limits=Limits(active_messages=5))
    assert told(many.image("rust"), 3) is None  # the window begins after it
    assert told(many.image("rust"), 5) is not None


def test_a_brief_image_has_the_newest_messages_and_no_members() -> None:
    rooms = rooms_of(UserJoined(User("cy")), *(said(number) for number in range(9)), ReactionAdded("m8", "cy", "+1"))
    rooms.set_ui_state("v1", "rust", 1)
    whole = rooms.image("rust")
    found = brief(whole, 3)
    check_image(found)
    assert [message.id for message in found.messages] == ["m6", "m7", "m8"]
    assert (found.held_after, list(found.annotations)) == (7, ["m8"])
    assert (found.members, found.members_complete, dict(found.ui_state)) == ((), False, {})
    assert brief(whole, 20).messages == whole.messages
    assert brief(whole, 20).held_after == whole.held_after


def test_a_room_that_is_not_live_is_not_complete() -> None:
    rooms = RoomStateManager()
    assert not complete(rooms, "rust")
    answer = caught_up(rooms, "rust", None, viewer="v", user="u", tier=Tier.ACTIVE, now=NOW)
    assert answer == ()
