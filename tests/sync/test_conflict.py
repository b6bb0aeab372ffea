"""What becomes of two states of one room: who decides about what, the record of it, and choices that never block."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from roomstate.errors import ConflictError, InvalidValue
from roomstate.image import RoomImage
from roomstate.model import Marker, RoomConfig, RoomInfo, User
from roomstate.position import Gap, Position
from roomstate.room.passage import check_image
from roomstate.sync.conflict import (
    PARTS,
    ClientWins,
    Conflict,
    ConflictKind,
    ConflictPolicy,
    ConflictStrategy,
    Merge,
    Pending,
    ServerWins,
    Settled,
    UserChoice,
    chosen,
    detect,
    expire,
    resolve,
)
from roomstate.sync.strategies import differing
from tests.sync import images
from tests.sync.images import OURS, THEIRS, image

NOW = 1000.0
LOCAL = {"room_id", "tier", "taken_at", "pending", "digest"}


def settle(
    client: RoomImage,
    server: RoomImage,
    ancestor: RoomImage | None = None,
    policy: ConflictPolicy | None = None,
    kind: ConflictKind | None = None,
) -> Settled:
    """What becomes of a conflict that is there."""
    conflict = detect(client, server, ancestor)
    assert conflict is not None
    if kind is not None:
        conflict = structs.replace(conflict, kind=kind)
    settled = (policy or ConflictPolicy()).settle(conflict, NOW)
    check_image(settled.image)
    return settled


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_images_of_different_rooms_have_no_conflict() -> None:
    other = structs.replace(image(), room_id="other")
    for client, server, ancestor in ((other, image(), None), (image(), other, None), (image(), image(1), other)):
        with pytest.raises(ConflictError, match="'other'"):
            detect(client, server, ancestor)
        with pytest.raises(ConflictError, match="'other'"):
            ConflictPolicy().settle(Conflict(ConflictKind.COMPLEX, client, server, ancestor), NOW)


def test_an_image_whose_parts_do_not_agree_is_refused() -> None:
    broken = structs.replace(image(1), seqs=())
    for client, server in ((broken, image()), (image(), broken)):
        with pytest.raises(InvalidValue, match=r"image\.seqs"):
            detect(client, server)
        with pytest.raises(InvalidValue, match=r"image\.seqs"):
            ConflictPolicy().settle(Conflict(ConflictKind.COMPLEX, client, server), NOW)


# -- the defaults ------------------------------------------------------------------------------------------------------


def test_complex_is_the_server_s_with_the_messages_of_both() -> None:
    result = settle(OURS, THEIRS).image
    assert detect(OURS, THEIRS, None) == Conflict(ConflictKind.COMPLEX, OURS, THEIRS)
    assert [(each.id, each.content) for each in result.messages] == [("m1", "server"), ("m2", "hi"), ("m11", "hi")]
    assert result.seqs == (1, 2, 11)
    assert (result.position, result.held_after, result.floor, result.ordinal) == (Position("e", 11), 0, 0, 3)
    assert result.gaps == (Gap(3, 4),)
    assert result.tombstones == ("gone",)
    assert result.annotations == {}
    assert (result.cursor, result.fingerprint) == ("server", "another")
    for name in ("info", "config", "moderation", "members", "members_complete", "presence"):
        assert getattr(result, name) == getattr(THEIRS, name), name
    for name in ("ui_state", "tier", "pending", "digest"):
        assert getattr(result, name) == getattr(OURS, name), name
    assert result.taken_at == 6.0
    assert result.markers == {"ada": Marker(7, 7), "cy": Marker(1, 1)}
    assert result.notifications == OURS.notifications + THEIRS.notifications


def test_complex_cuts_to_the_newest_thousand() -> None:
    client, server = image(*range(1, 801), head=1500), image(*range(801, 1501), head=1500, held_after=800)
    client = structs.replace(client, gaps=(Gap(800, 1500),), ui_state={"a": 1})
    assert settle(client, server).image.seqs == tuple(range(501, 1501))


def test_message_order_is_the_union_by_position() -> None:
    result = settle(image(1, 4, head=5), image(6, 7, head=7, held_after=5)).image
    assert result.seqs == (1, 4, 6, 7)
    assert result.gaps == ()


def test_what_the_server_holds_no_longer_was_removed_and_does_not_come_back() -> None:
    client, server = image(1, 2, 3, head=8), image(3, 9, held_after=1)
    result = settle(client, server).image
    assert result.seqs == (1, 3, 9)
    assert result.tombstones == ("m2",)
    assert settle(client, result).image.seqs == (1, 3, 9)


def test_user_presence_is_the_server_s_state_with_the_client_s_messages() -> None:
    result = settle(OURS, THEIRS, kind=ConflictKind.USER_PRESENCE).image
    for name in (*PARTS["messages"], "ui_state"):
        assert getattr(result, name) == getattr(OURS, name), name
    for name in ("info", "config", "moderation", "members", "members_complete", "presence"):
        assert getattr(result, name) == getattr(THEIRS, name), name


def test_room_config_is_the_client_s_state_with_the_server_s_configuration() -> None:
    result = settle(OURS, THEIRS, kind=ConflictKind.ROOM_CONFIG).image
    for part, names in PARTS.items():
        side = THEIRS if part in ("config", "moderation", "info") else OURS
        for name in names:
            assert getattr(result, name) == getattr(side, name), name


@pytest.mark.parametrize("part", PARTS)
def test_a_policy_says_otherwise_part_by_part(part: str) -> None:
    for strategy, side in ((ClientWins(), OURS), (ServerWins(), THEIRS)):
        result = settle(OURS, THEIRS, policy=ConflictPolicy({part: strategy})).image
        assert all(getattr(result, name) == getattr(side, name) for name in PARTS[part])


@pytest.mark.parametrize("part", sorted(set(PARTS) - {"messages"}))
def test_any_part_can_be_merged(part: str) -> None:
    settled = settle(OURS, THEIRS, policy=ConflictPolicy({part: Merge()}))
    assert {each.strategy for each in settled.decisions if each.field == part} <= {"Merge"}
    assert settle(settled.image, THEIRS, policy=ConflictPolicy({part: Merge()})).image == settled.image


@pytest.mark.parametrize(
    "other",
    [
        structs.replace(THEIRS, position=Position("f", 11)),
        structs.replace(THEIRS, position=OURS.position, seqs=(1, 10)),
        structs.replace(THEIRS, by_time=True),
    ],
    ids=["another epoch", "another fingerprint", "without positions"],
)
@pytest.mark.parametrize("strategy", [Merge(), ClientWins(), ServerWins()], ids=lambda each: type(each).__name__)
def test_of_two_logs_nothing_is_put_together(other: RoomImage, strategy: ConflictStrategy) -> None:
    policy = ConflictPolicy(dict.fromkeys(("messages", "markers", "notifications"), strategy))
    for ancestor in (None, OURS, other):
        settled = settle(OURS, other, ancestor, policy)
        for part in ("messages", "markers", "notifications"):
            assert all(getattr(settled.image, name) == getattr(other, name) for name in PARTS[part])
        assert settled.image.config == (OURS if ancestor == other else other).config
    taken = Merge().settle("messages", Conflict(ConflictKind.COMPLEX, OURS, other))
    assert taken == ServerWins().settle("messages", Conflict(ConflictKind.COMPLEX, OURS, other))


def test_an_unknown_fingerprint_says_nothing() -> None:
    other = structs.replace(THEIRS, position=OURS.position, seqs=(1, 10), fingerprint="")
    result = settle(OURS, other).image
    assert result.seqs == (1, 2, 10)
    assert result.fingerprint == "print"


def test_a_policy_names_parts_that_there_are() -> None:
    with pytest.raises(InvalidValue, match="no part 'seqs'; there are: messages, info"):
        ConflictPolicy({"seqs": Merge()})
    wrong: Any = "client"
    with pytest.raises(InvalidValue, match="has no strategy for config, but 'client'"):
        ConflictPolicy({"config": wrong})
    with pytest.raises(InvalidValue, match="messages cannot be chosen"):
        ConflictPolicy({"messages": UserChoice()})


class Longest:
    """A host's own strategy: whoever has more to say."""

    def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
        client, server = getattr(conflict.client, part), getattr(conflict.server, part)
        return {part: client if len(client) > len(server) else server}


def test_a_strategy_of_one_s_own() -> None:
    policy = ConflictPolicy({"moderation": Longest(), "members": Longest()})
    client, server = image(moderation={"a": 1, "b": 2}), image(moderation={"c": 3})
    settled = settle(client, server, policy=policy)
    assert settled.image.moderation == client.moderation
    assert [(each.strategy, each.took) for each in settled.decisions] == [("Longest", "client")]
    with pytest.raises(ConflictError, match="strategy Longest: must return members, members_complete for members"):
        settle(image(members=(User("ada"),)), image(), policy=policy)


class Says:
    """A host's own strategy that gives what it was told to, or raises it."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def settle(self, part: str, conflict: Conflict, /) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


@pytest.mark.parametrize(
    ("part", "given", "reason"),
    [
        ("config", KeyError("oops"), "strategy Says: failed over config with KeyError: 'oops'"),
        ("config", None, "must return config for config"),
        ("config", ["config"], "must return config for config"),
        ("config", {"config": None}, "strategy Says: config: "),
        ("info", {"info": {"user_count": "1"}}, "strategy Says: info: "),
        ("moderation", {"moderation": {"a": float("nan")}}, "does not come back from JSON"),
        (
            "messages",
            {**dict.fromkeys(PARTS["messages"], 0), "messages": ("m1",)},
            "strategy Says: messages: message: ",
        ),
        ("messages", dict.fromkeys(PARTS["messages"]), "strategy Says: messages: 'NoneType'"),
    ],
)
def test_what_a_strategy_of_one_s_own_does_wrong_is_told(part: str, given: Any, reason: str) -> None:
    client = image(1, config=SLOW, moderation={"a": 1}, info=RoomInfo(user_count=1))
    with pytest.raises(ConflictError, match=reason):
        settle(client, image(), policy=ConflictPolicy({part: Says(given)}))


def test_a_strategy_of_one_s_own_may_give_what_is_neither_side_s() -> None:
    given = {"moderation": {"a": 3}}
    assert settle(image(moderation={"a": 1}), image(), policy=ConflictPolicy({"moderation": Says(given)})).image == (
        image(moderation={"a": 3})
    )
    client, server = image(1, 2), image(1)
    merged = {
        **Merge().settle("messages", Conflict(ConflictKind.COMPLEX, client, server)),
        "messages": list(client.messages[:1]),
    }
    merged["seqs"] = [1]
    settled = settle(client, server, policy=ConflictPolicy({"messages": Says(merged)}))
    assert (settled.image.messages, settled.image.seqs) == (server.messages, (1,))


# -- with an ancestor --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [ClientWins(), ServerWins(), UserChoice()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_one_side_alone_changed_takes_that_side(part: str, strategy: ConflictStrategy) -> None:
    if part == "messages" and isinstance(strategy, UserChoice):
        strategy = Merge()
    policy = ConflictPolicy(dict.fromkeys(set(PARTS) - {"messages"}, strategy))
    names = PARTS[part]
    changed = {name: getattr(OURS, name) for name in names}
    if part == "messages":
        changed["position"] = Position("e", 20)
    client = structs.replace(image(1), **changed)
    for pair in ((client, image(1)), (image(1), client)):
        settled = settle(*pair, image(1), policy)
        took = "client" if pair[0] is client else "server"
        if part != "messages":
            assert all(getattr(settled.image, name) == changed[name] for name in names)
            assert {each.took for each in settled.decisions} == {took}
            assert {each.strategy for each in settled.decisions} == {"three-way"}
            assert {each.detail for each in settled.decisions} == {f"only the {took} changed it"}
        assert settled.pending == ()


def test_a_part_that_both_changed_is_the_strategy_s() -> None:
    client, server, old = (image(config=RoomConfig(slow_mode_duration=each)) for each in (1, 2, 3))
    for strategy, duration in ((ClientWins(), 1), (ServerWins(), 2), (Merge(), 2)):
        settled = settle(client, server, old, ConflictPolicy({"config": strategy}))
        assert settled.image.config.slow_mode_duration == duration
        assert settled.decisions[0].strategy == type(strategy).__name__


def test_both_may_go_back_to_what_was() -> None:
    client, server, old = (
        image(config=RoomConfig(*each)) for each in ((True, 1, False), (False, 2, True), (False, 1, False))
    )
    settled = settle(client, server, old, ConflictPolicy({"config": Merge()}))
    assert settled.image.config == RoomConfig(True, 2, True)
    assert settled.decisions[0].took == "both"
    client, server, old = (image(moderation=each) for each in ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}))
    settled = settle(client, server, old, ConflictPolicy({"moderation": Merge()}))
    assert settled.image.moderation == {}
    client, server, old = (image(moderation=each) for each in ({"a": 1, "c": 0}, {"a": 0, "c": 1}, {"a": 1, "c": 1}))
    settled = settle(client, server, old, ConflictPolicy({"moderation": Merge()}))
    assert (settled.image.moderation, settled.decisions[0].took) == ({"a": 0, "c": 0}, "both")


def test_the_ancestor_s_value_is_called_so() -> None:
    class Undo:
        def settle(self, part: str, conflict: Conflict, /) -> Mapping[str, Any]:
            assert conflict.ancestor is not None
            return {part: getattr(conflict.ancestor, part)}

    client, server, old = (image(config=RoomConfig(slow_mode_duration=each)) for each in (1, 2, 3))
    settled = settle(client, server, old, ConflictPolicy({"config": Undo()}))
    assert settled.image.config == old.config
    assert [(each.field, each.strategy, each.took) for each in settled.decisions] == [("config", "Undo", "ancestor")]


# -- the record --------------------------------------------------------------------------------------------------------

STRATEGIES: tuple[ConflictStrategy, ...] = (ServerWins(), ClientWins(), Merge(), Merge(2), UserChoice(60))
pairs = st.booleans().flatmap(lambda by_time: st.tuples(*[images.rooms(by_time=by_time)] * 3))
policies = st.dictionaries(st.sampled_from(sorted(set(PARTS) - {"messages"})), st.sampled_from(STRATEGIES)).map(
    ConflictPolicy
)


def every_field_has_its_decision(
    three: tuple[RoomImage, RoomImage, RoomImage], known: bool, policy: ConflictPolicy, kind: ConflictKind
) -> None:
    client, server, ancestor = three
    settled = policy.settle(Conflict(kind, client, server, ancestor if known else None), NOW)
    check_image(settled.image)
    decided = [each.field for each in settled.decisions]
    names = [name for names in PARTS.values() for name in names]
    differing = {name for name in names if getattr(client, name) != getattr(server, name)}
    assert len(decided) == len(set(decided))
    assert differing <= set(decided)
    asked = {name for pending in settled.pending for name in pending.fields}
    for each in settled.decisions:
        value = getattr(settled.image, each.field)
        if each.took in ("client", "server", "ancestor"):
            assert value == getattr({"client": client, "server": server, "ancestor": ancestor}[each.took], each.field)
        elif each.took == "both":
            assert value not in (getattr(client, each.field), getattr(server, each.field))
        assert (each.took == "pending") == (each.field in asked)
    for name in set(names) - set(decided):
        assert getattr(settled.image, name) == getattr(client, name) == getattr(server, name)
    for pending in settled.pending:
        assert all(getattr(client, name) == value for name, value in pending.client.items())
        assert all(getattr(server, name) == value for name, value in pending.server.items())
        assert expire(pending, pending.expires_at)


@given(pairs, st.booleans(), policies, st.sampled_from(ConflictKind))
def test_every_field_that_differs_has_its_decision(
    three: tuple[RoomImage, RoomImage, RoomImage], known: bool, policy: ConflictPolicy, kind: ConflictKind
) -> None:
    every_field_has_its_decision(three, known, policy, kind)


@pytest.mark.long
@settings(max_examples=20_000)
@given(pairs, st.booleans(), policies, st.sampled_from(ConflictKind))
def test_every_field_that_differs_has_its_decision_for_long(
    three: tuple[RoomImage, RoomImage, RoomImage], known: bool, policy: ConflictPolicy, kind: ConflictKind
) -> None:
    every_field_has_its_decision(three, known, policy, kind)


def settling_again_changes_nothing(three: tuple[RoomImage, RoomImage, RoomImage]) -> None:
    client, server, _ = three
    once = ConflictPolicy().settle(Conflict(ConflictKind.COMPLEX, client, server), NOW).image
    again = ConflictPolicy().settle(Conflict(ConflictKind.COMPLEX, once, server), NOW).image
    assert structs.replace(again, tombstones=(), gaps=()) == structs.replace(once, tombstones=(), gaps=())


@given(pairs)
def test_settling_again_changes_nothing(three: tuple[RoomImage, RoomImage, RoomImage]) -> None:
    settling_again_changes_nothing(three)


@pytest.mark.long
@settings(max_examples=20_000)
@given(pairs)
def test_settling_again_changes_nothing_for_long(three: tuple[RoomImage, RoomImage, RoomImage]) -> None:
    settling_again_changes_nothing(three)


def test_a_record_says_how_much_became_of_how_much() -> None:
    decisions = {each.field: each for each in settle(OURS, THEIRS).decisions}
    assert decisions["messages"].detail == "3 of 2 and 2"
    assert decisions["messages"].took == "both"
    assert (decisions["config"].strategy, decisions["config"].took, decisions["config"].detail) == (
        "ServerWins",
        "server",
        "",
    )
    assert decisions["ui_state"].took == "client"
    assert "by_time" not in decisions


def test_a_field_that_nobody_differed_over_is_recorded_where_it_changes() -> None:
    settled = settle(image(1, 2, 3), image(2, 3, 4), policy=ConflictPolicy({"messages": Merge(1)}))
    decisions = {each.field: each.took for each in settled.decisions}
    assert settled.image.seqs == (3,)
    assert decisions == {"messages": "both", "seqs": "both", "tombstones": "both", "held_after": "both"}


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (image(head=0), image(1)),
        (image(gaps=(Gap(0, 10),)), image(1, 2)),
        (image(gaps=(Gap(0, 10),)), image(gaps=(Gap(5, 10),))),
        (image(head=0), image(head=2**53 - 1, held_after=2**53 - 2, floor=2**53 - 2)),
        (image(head=0, by_time=True, held_after=7), image(head=0, by_time=True, floor=9)),
        (image(tombstones=("m1", "m2")), image(1, 2)),
    ],
    ids=["empty", "only a gap", "only gaps", "enormous", "by time", "all removed"],
)
def test_odd_images_are_settled(client: RoomImage, server: RoomImage) -> None:
    for pair in ((client, server), (server, client)):
        settled = settle(*pair)
        assert settled.pending == ()
        check_image(settled.image)


hostile = st.booleans().flatmap(lambda by_time: st.tuples(*[images.nonsense(by_time=by_time)] * 3))
any_policy = st.dictionaries(st.sampled_from(sorted(PARTS)), st.sampled_from(STRATEGIES[:-1])).map(ConflictPolicy)


@given(hostile, st.booleans(), any_policy, st.sampled_from(ConflictKind))
def test_nonsense_becomes_something_sound(
    three: tuple[RoomImage, RoomImage, RoomImage], known: bool, policy: ConflictPolicy, kind: ConflictKind
) -> None:
    client, server, ancestor = three
    result = policy.settle(Conflict(kind, client, server, ancestor if known else None), NOW).image
    check_image(result)
    result = ConflictPolicy().settle(Conflict(ConflictKind.COMPLEX, client, server), NOW).image
    ids = [each.id for each in result.messages]
    if differing("messages", client, server):
        assert len(ids) == len(set(ids))
        assert not set(ids) & {*client.tombstones, *server.tombstones}
    assert len(result.tombstones) <= 1000


# -- choosing ----------------------------------------------------------------------------------------------------------


def asked(default: Any = "server", **fields: tuple[Any, Any]) -> tuple[RoomImage, Pending]:
    """The image that stands, and what is to be chosen, of one part whose fields are the client's and the server's."""
    client, server = (image(**{name: pair[side] for name, pair in fields.items()}) for side in (0, 1))
    part = next(iter(fields))
    settled = settle(client, server, policy=ConflictPolicy({part: UserChoice(60, default)}))
    (pending,) = settled.pending
    assert {each.took for each in settled.decisions} == {"pending"}
    assert {each.detail for each in settled.decisions} == {f"meanwhile the {default}'s"}
    return settled.image, pending


SLOW, FAST = RoomConfig(slow_mode_duration=9), RoomConfig()


def test_the_default_stands_until_somebody_chooses() -> None:
    for default, standing in (("client", SLOW), ("server", FAST)):
        now, pending = asked(default, config=(SLOW, FAST))
        assert now.config == standing
        assert pending == Pending("config", {"config": SLOW}, {"config": FAST}, pending.default, NOW + 60)
        assert pending.default == default
        assert pending.fields == ("config",)


@pytest.mark.parametrize(
    ("choice", "expected", "took"),
    [
        ("client", SLOW, "client"),
        ("server", FAST, "server"),
        ({"config": RoomConfig(emote_only=True)}, RoomConfig(emote_only=True), "given"),
        ({"config": {"emote_only": True}}, RoomConfig(emote_only=True), "given"),
    ],
)
def test_a_choice_is_made(choice: Any, expected: RoomConfig, took: str) -> None:
    now, pending = asked(config=(SLOW, FAST))
    settled = resolve(now, pending, choice, NOW + 59)
    assert settled.image == structs.replace(now, config=expected)
    assert [(each.field, each.strategy, each.took) for each in settled.decisions] == [("config", "UserChoice", took)]
    assert settled.pending == ()


def test_a_choice_meets_the_room_as_it_is_now() -> None:
    now, pending = asked(config=(SLOW, FAST))
    later = structs.replace(image(1, 2, head=20), config=now.config)
    assert resolve(later, pending, "client", NOW).image == structs.replace(later, config=SLOW)


def test_members_are_chosen_with_whether_they_are_all() -> None:
    now, pending = asked(members=((User("ada"),), ()), members_complete=(True, False))
    assert pending.client == {"members": (User("ada"),), "members_complete": True}
    assert resolve(now, pending, "client", NOW).image.members_complete is True
    settled = resolve(now, pending, {"members": [{"id": "cy"}]}, NOW)
    assert (settled.image.members, settled.image.members_complete) == ((User("cy"),), False)
    assert [(each.field, each.took) for each in settled.decisions] == [
        ("members", "given"),
        ("members_complete", "server"),
    ]


def nested(levels: int) -> list[Any]:
    """Lists in lists, so many deep."""
    return [nested(levels - 1)] if levels > 1 else []


@pytest.mark.parametrize(
    ("part", "choice", "reason"),
    [
        ("config", "both", "must be 'client', 'server', or values by name, of: config"),
        ("config", None, "must be 'client'"),
        ("config", {}, "must be 'client'"),
        ("config", {"presence": {}}, "must be 'client'"),
        ("config", {3: 4}, "must be 'client'"),
        ("config", {"config": {"slow_mode_duration": -1}}, "slow_mode_duration"),
        ("config", {"config": RoomConfig(slow_mode_duration=-1)}, "slow_mode_duration"),
        ("config", {"config": object()}, "object"),
        ("config", {"config": {"bogus": 1}}, "has no 'bogus'; there are: slow_mode_enabled, slow_mode_duration, "),
        ("members", {"members": [{"id": "ada"}, {"id": "cy", "colour": "red"}]}, "has no 'colour'; there are: id, "),
        ("markers", {"markers": {"ada": {"seq": 1, "ordinal": 1, "read": 1}}}, "has no 'read'"),
        ("config", {"config": None}, "got `null`"),
        ("moderation", {"moderation": {"a": float("nan")}}, "does not come back from JSON"),
        ("moderation", {"moderation": {"a": "\ud800"}}, "surrogates"),
        ("moderation", {"moderation": {"a": {1, 2}}}, ""),
        ("presence", {"presence": {"ada": "asleep"}}, "asleep"),
        ("members", {"members": [{"id": ""}]}, "length >= 1"),
        ("moderation", {"moderation": {"a": "x" * (1 << 22)}}, "must have at most 4194304 bytes"),
        ("moderation", {"moderation": {"a": nested(64)}}, "must be nested at most 64 deep"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(part: str, choice: Any, reason: str) -> None:
    values: dict[str, tuple[Any, Any]] = {
        "config": (SLOW, FAST),
        "moderation": ({"a": 1}, {}),
        "presence": ({"ada": "online"}, {}),
        "members": ((User("ada"),), ()),
        "markers": ({"ada": Marker(1, 1)}, {}),
    }
    now, pending = asked(**{part: values[part]})
    if reason:
        with pytest.raises(ConflictError, match=reason) as caught:
            resolve(now, pending, choice, NOW)
        assert caught.value.where.startswith(f"choice of {part}")
    else:
        assert chosen(pending, choice) == {"moderation": {"a": [1, 2]}}


def test_a_choice_may_be_of_our_own_values() -> None:
    now, pending = asked(members=((User("ada"),), ()))
    given = (User("cy", badges=("mod",), extra={"a": [1]}),)
    assert resolve(now, pending, {"members": given}, NOW).image.members == given


def test_what_a_host_keeps_of_its_own_may_have_any_names() -> None:
    now, pending = asked(members=((User("ada"),), ()))
    chosen_one = {"id": "cy", "extra": {"colour": {"bogus": [1]}}}
    assert resolve(now, pending, {"members": [chosen_one]}, NOW).image.members[0].extra == chosen_one["extra"]
    now, pending = asked(moderation=({"a": 1}, {}))
    assert resolve(now, pending, {"moderation": {"b": {"c": 1}}}, NOW).image.moderation == {"b": {"c": 1}}


def test_nesting_that_never_ends_is_refused() -> None:
    deep: list[Any] = []
    deep.append(deep)
    now, pending = asked(moderation=({"a": 1}, {}))
    with pytest.raises(ConflictError):
        resolve(now, pending, {"moderation": {"a": deep}}, NOW)


def test_a_choice_after_its_time_is_refused() -> None:
    now, pending = asked(config=(SLOW, FAST))
    assert expire(pending, NOW + 59.9) == ()
    with pytest.raises(ConflictError, match="was open until 1060: the default stands"):
        resolve(now, pending, "client", NOW + 60)
    (decision,) = expire(pending, NOW + 60)
    assert (decision.field, decision.strategy, decision.took) == ("config", "UserChoice", "server")
    assert decision.detail == "nobody chose in time"


def test_a_choice_between_what_nobody_has_any_more_is_refused() -> None:
    now, pending = asked(config=(SLOW, FAST))
    with pytest.raises(ConflictError, match="is out of date: it has changed since"):
        resolve(structs.replace(now, config=RoomConfig(emote_only=True)), pending, "client", NOW)


def test_when_a_copy_has_applied_its_configuration_is_no_conflict() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert detect(image(info=RoomInfo(last_config_update=at)), image(info=RoomInfo())) is None
    assert detect(image(info=RoomInfo(user_count=1, last_config_update=at)), image(info=RoomInfo())) is not None


def test_times_may_be_chosen() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    now, pending = asked(info=(RoomInfo(1), RoomInfo(2)))
    assert resolve(now, pending, {"info": RoomInfo(last_activity=moment)}, NOW).image.info.last_activity == moment
