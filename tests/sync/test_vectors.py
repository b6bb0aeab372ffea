"""Our own replica passes the conformance vectors, whichever way the answers to its requests come in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from roomstate import RoomStateManager
from roomstate.effects import RequestRecovery
from roomstate.errors import RoomStateError
from roomstate.room.states import LiveRoom
from roomstate.sync.envelope import Envelope, decode, encode
from roomstate.sync.payloads import BulkSync
from roomstate.sync.replica import RoomReplica, Verdict
from roomstate.testing.vectors import Vector, load

ROOM = "rust"
VECTORS = load()
by_name = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


class Player:
    """A replica to which the steps of a vector happen."""

    def __init__(self, *, stream: bool) -> None:
        self.now = 1_767_225_600.0
        self.stream = stream
        self.asked: RequestRecovery | None = None
        self.replica = RoomStateManager(role="replica", clock=lambda: self.now, jitter=lambda: 0.5)

    def play(self, vector: Vector) -> None:
        for number, step in enumerate(vector.steps):
            [(verb, said)] = step.items()
            try:
                getattr(self, verb)(said)
            except (AssertionError, RoomStateError) as error:
                raise AssertionError(f"{vector.name}, step {number}, {verb}: {error}") from error
            self.replica.check()

    def note(self, outputs: tuple[Any, ...]) -> None:
        for each in outputs:
            if isinstance(each, RequestRecovery):
                self.asked = each

    # -- what may happen

    def enter(self, tier: str) -> None:
        verb: Callable[..., tuple[Any, ...]] = {"ACTIVE": self.replica.enter, "BACKGROUND": self.replica.follow}[tier]
        self.note(verb("viewer", ROOM, user="ada"))

    def receive(self, inner: dict[str, Any]) -> None:
        self.note(self.replica.receive(envelope(inner)))

    def answer(self, inners: list[dict[str, Any]]) -> None:
        asked, self.asked = self.asked, None
        assert asked is not None, "nothing was asked for"
        envelopes = [envelope(each) for each in inners[:-1]]
        envelopes.append(envelope({**inners[-1], "answers": asked.request_id}))
        if not self.stream:
            self.note(self.replica.complete(asked.request_id, tuple(envelopes)))
            return
        for each in envelopes:
            self.note(self.replica.receive(each))

    def wait_ms(self, duration: int) -> None:
        until = self.now + duration / 1000
        while (due := self.replica.next_deadline()) is not None and due <= until + 1e-9:
            self.now = max(self.now, due)
            self.note(self.replica.tick())
        self.now = until

    def disconnect(self, said: bool) -> None:
        self.asked = None
        self.note(self.replica.disconnected(ROOM))

    def reconnect(self, said: bool) -> None:
        self.note(self.replica.connected(ROOM))

    # -- what must then be so

    def expect(self, wanted: dict[str, Any]) -> None:
        shown = self.shown()
        assert set(wanted) <= set(shown), "an expectation that nobody looks at"
        assert {name: shown[name] for name in wanted} == wanted

    def shown(self) -> dict[str, Any]:
        view = self.replica.view(ROOM)
        token = self.asked.token if self.asked is not None else None
        return {
            "epoch": view.position.epoch if view.position is not None else "",
            "head": view.position.seq if view.position is not None else 0,
            "messages": [[message.id, message.content] for message in view.messages],
            "gaps": [[gap.after, gap.upto] for gap in view.gaps],
            "stale": view.status.value == "stale",
            "request": None if self.asked is None else {"token": token and [token.epoch, token.seq, token.fingerprint]},
            "members": [[user.id, user.username, user.color] for user in view.members],
            "presence": dict(view.presence),
            "typing": list(view.typing),
            "slow_mode_duration": view.config.slow_mode_duration,
            "user_count": view.info.user_count,
            "stream_status": view.info.stream_status,
            "reactions": {
                message_id: {emoji: list(users) for emoji, users in note.reactions.items()}
                for message_id, note in view.annotations.items()
                if note.reactions
            },
            "notifications": [note.message_id for note in view.notifications],
        }


def envelope(inner: dict[str, Any]) -> Envelope:
    return decode(json.dumps({"room_state_sync": inner}))


@by_name
@pytest.mark.parametrize("stream", [False, True], ids=["answers apart", "answers on the stream"])
def test_our_replica_passes(vector: Vector, stream: bool) -> None:
    Player(stream=stream).play(vector)


@by_name
def test_a_vector_says_something(vector: Vector) -> None:
    verbs = [verb for step in vector.steps for verb in step]
    assert len(verbs) == len(vector.steps), "each step has one field"
    assert verbs[0] == "enter"
    assert verbs[-1] == "expect"
    assert len(vector.why) > 20, "which rule of the protocol it is about"


def told(vector: Vector) -> list[dict[str, Any]]:
    """Every envelope in a vector."""
    received = [step["receive"] for step in vector.steps if "receive" in step]
    return received + [each for step in vector.steps for each in step.get("answer", ())]


@by_name
def test_every_envelope_in_a_vector_is_sound_and_says_no_more_than_is_read(vector: Vector) -> None:
    for inner in told(vector):
        read = json.loads(encode(envelope(inner)))["room_state_sync"]
        assert missing_from(read, inner) in ([], ["$.colour"]), "one vector has a field that nobody knows"


def missing_from(read: Any, written: Any, path: str = "$") -> list[str]:
    """The paths of what was written and not read; a default that is left out is no loss."""
    if isinstance(written, dict):
        inside = [(f"{path}.{key}", read.get(key), value) for key, value in written.items()]
    elif isinstance(written, list) and isinstance(read, list) and len(read) == len(written):
        inside = [(f"{path}[{index}]", read[index], value) for index, value in enumerate(written)]
    else:
        return [] if read == written or (read is None and not written) else [path]
    return [
        lost
        for where, one, other in inside
        if not (one is None and not other)
        for lost in missing_from(one, other, where)
    ]


def test_names_are_unique_and_every_type_occurs() -> None:
    names = [vector.name for vector in VECTORS]
    assert len(set(names)) == len(names)
    kinds = {inner["message_type"] for vector in VECTORS for inner in told(vector)}
    assert kinds == {"STATE_UPDATE", "BULK_SYNC", "DELTA_UPDATE", "HEARTBEAT"}


@pytest.mark.parametrize("rule", [Verdict.OTHER_EPOCH, Verdict.EARLY, Verdict.BEHIND])
def test_a_replica_that_breaks_a_rule_fails(rule: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = RoomReplica.judge

    def careless(self: RoomReplica, room: LiveRoom, envelope: Envelope, *, asked: bool = False) -> Verdict:
        verdict = judge(self, room, envelope, asked=asked)
        if verdict is not rule or isinstance(envelope.data, BulkSync):
            return verdict
        return Verdict.APPLY  # a duplicate is refused twice over: once more where it is applied

    monkeypatch.setattr(RoomReplica, "judge", careless)
    assert not all(passes(vector) for vector in VECTORS)


def passes(vector: Vector) -> bool:
    try:
        Player(stream=True).play(vector)
    except AssertionError:
        return False
    return True
