"""A replica written from the protocol's page alone, in plain Python on plain JSON, passes the conformance vectors.

It shares no code with ours: what the page leaves out, or says wrongly, shows here.
"""

from __future__ import annotations

from typing import Any

import pytest

from roomstate.testing.vectors import Vector, load

LISTS = "added_messages edited_messages reactions removed_messages users_joined updated_users users_left".split()
DEFAULTS: dict[str, Any] = {"presence": {}, "user_count": None, "stream_status": "", "slow_mode_duration": 0}
EARLY_MS, ANSWER_MS, RETRY_MS, MOST_MS = 500, 10_000, 500, 30_000


class Plain:
    """The page's table, row by row. Times are in milliseconds."""

    def __init__(self) -> None:
        self.now = 0
        self.active = self.withheld = False
        self.stale = False
        self.epoch, self.head, self.mark, self.known = "", 0, "", 0
        self.gaps: list[list[int]] = []
        self.messages: dict[str, dict[str, Any]] = {}
        self.dead: set[str] = set()
        self.members: dict[str, dict[str, Any]] = {}
        self.complete = False
        self.state: dict[str, Any] = dict(DEFAULTS)
        self.reactions: dict[str, dict[str, list[str]]] = {}
        self.typing: dict[str, float] = {}
        self.notes: list[str] = []
        self.newest: dict[tuple[str, str], int] = {}
        self.waiting: list[tuple[int, dict[str, Any]]] = []
        self.request: dict[str, Any] | None = None
        self.back_at: list[Any] | None = None
        self.failures = self.asked = self.followed = 0
        self.early_at: float | None = None
        self.retry_at: float | None = None

    # -- what may happen

    def enter(self, tier: str) -> None:
        self.active = tier == "ACTIVE"
        brief = self.request is not None and not self.request["active"]
        self.ask(whole=not self.epoch or (self.active and (brief or bool(self.gaps))))

    def receive(self, said: dict[str, Any], answers: bool = False) -> None:
        said = {"previous": max(0, said["sequence_number"] - 1), "epoch": "", **said}
        self.judge(said, answers)
        while self.join():
            pass
        if answers:
            self.end_of_answer(said)
        self.look()

    def answer(self, envelopes: list[dict[str, Any]]) -> None:
        for each in envelopes[:-1]:
            self.receive(each)
        self.receive(envelopes[-1], answers=True)

    def wait_ms(self, duration: int) -> None:
        until = self.now + duration
        while True:
            due = [at for at in (self.early_at, self.retry_at) if at is not None and at <= until]
            if not due:
                break
            self.now = int(max(self.now, min(due)))
            self.tick()
        self.now = until

    def tick(self) -> None:
        if self.early_at is not None and self.early_at <= self.now:
            self.early_at = None
            self.ask(whole=self.active and self.withheld)
        elif self.request is not None:
            self.request = None
            self.back_off()
        else:
            self.retry_at = None
            if self.lacks():
                self.ask()

    def disconnect(self, _: bool) -> None:
        self.stale, self.request, self.early_at, self.retry_at = True, None, None, None

    def reconnect(self, _: bool) -> None:
        self.stale, self.failures, self.waiting = False, 0, []
        here = [self.epoch, self.head, self.mark] if self.epoch else None
        self.back_at = self.back_at or here
        self.ask(whole=self.back_at != here or not self.epoch or (self.active and bool(self.gaps)))

    # -- the table

    def judge(self, said: dict[str, Any], answers: bool) -> None:
        kind, seq, data = said["message_type"], said["sequence_number"], said["data"]
        epoch = data["epoch"] if kind == "HEARTBEAT" else said["epoch"]
        if kind == "BULK_SYNC" and (not self.epoch or (epoch != self.epoch and answers)):
            self.adopt(said)
        elif not self.epoch or epoch != self.epoch:
            if kind != "HEARTBEAT":
                self.waiting.append((self.now, said))
            if self.epoch:
                self.ask()
        elif kind == "BULK_SYNC":
            late = not answers and self.active and said.get("answers", self.followed + 1) <= self.followed
            if late and seq > self.head:
                self.known = max(self.known, seq)
                return
            fell_back = answers and self.request is not None and seq < self.request["head"]
            if seq > self.head or fell_back or (answers and seq == self.head):
                self.adopt(said)
        elif kind == "HEARTBEAT":
            self.known = max(self.known, data["head"])
        elif said["previous"] == seq:
            if seq > self.head:
                self.known = max(self.known, seq)
            else:
                self.ephemeral(data, seq)
        elif seq > self.head:
            if said["previous"] > self.head:
                self.waiting.append((self.now, said))
            elif any(isinstance(item, str) for item in data.get("added_messages", ())):
                self.known = max(self.known, seq)
            else:
                self.apply(said)

    def join(self) -> bool:
        for at, said in sorted(self.waiting, key=lambda each: each[1]["previous"]):
            if said["epoch"] == self.epoch and said["previous"] <= self.head and self.epoch:
                self.waiting.remove((at, said))
                self.judge(said, False)
                return True
        return False

    def end_of_answer(self, said: dict[str, Any]) -> None:
        assert self.request is not None
        asked_at, head = self.request["at"], self.request["head"]
        self.request, self.retry_at, self.back_at = None, None, None
        self.known = said["sequence_number"]
        self.waiting = [
            (at, each)
            for at, each in self.waiting
            if at >= asked_at or (each["epoch"] == self.epoch and each["previous"] <= self.known)
        ]
        if self.head == head and self.lacks():
            self.back_off()
        else:
            self.failures = 0

    def lacks(self) -> bool:
        missing = self.known > self.head or bool(self.waiting) or not self.epoch
        return missing or self.back_at is not None or (self.active and self.withheld)

    def look(self) -> None:
        if not self.lacks():
            self.early_at = None
        elif self.request is None and self.retry_at is None and self.early_at is None:
            self.early_at = self.now + EARLY_MS

    def ask(self, whole: bool = False) -> None:
        if self.stale or (self.request is not None and not whole):
            return
        token = None if whole or not self.epoch else self.back_at or [self.epoch, self.head, self.mark]
        self.request = {"token": token, "at": self.now, "head": self.head, "active": self.active}
        self.early_at, self.retry_at = None, self.now + ANSWER_MS
        self.asked += 1
        self.followed = self.followed if self.active else self.asked

    def back_off(self) -> None:
        self.retry_at = self.now + min(MOST_MS, RETRY_MS * 2**self.failures) / 2
        self.failures += 1

    # -- contents

    def adopt(self, said: dict[str, Any]) -> None:
        data, messages = said["data"], said["data"].get("messages", [])
        seqs = data.get("seqs") or list(range(said["sequence_number"] - len(messages) + 1, said["sequence_number"] + 1))
        if self.epoch != said["epoch"] or said["sequence_number"] < self.head:
            self.newest.clear()
        self.epoch, self.head, self.mark = said["epoch"], said["sequence_number"], said.get("fingerprint", "")
        self.withheld = False
        self.messages = {each["id"]: {**each, "seq": seq} for each, seq in zip(messages, seqs, strict=True)}
        self.dead = set(data.get("removed_messages", ()))
        self.gaps = [[gap["after"], gap["upto"]] for gap in data.get("gaps", ())]
        self.members = {each["id"]: each for each in data.get("users", ())}
        self.complete = data.get("members_complete", False)
        self.reactions = {name: dict(note.get("reactions", {})) for name, note in data.get("annotations", {}).items()}
        self.state = dict(DEFAULTS)
        self.set_state({"presence": dict(data.get("presence", {})), **data})
        self.waiting = [each for each in self.waiting if each[1]["epoch"] == self.epoch]
        self.known = max(self.head, self.known) if self.epoch == said["epoch"] else self.head

    def apply(self, said: dict[str, Any]) -> None:
        data, before, seq = said["data"], self.head, said["sequence_number"]
        if said.get("withheld"):
            self.withheld = True
            if self.gaps and self.gaps[-1][1] == before:
                self.gaps[-1][1] = seq
            else:
                self.gaps.append([before, seq])
        elif said["message_type"] == "STATE_UPDATE":
            self.set_state(data)
        else:
            for at, name, item in placed(said):
                if at > before:
                    getattr(self, name)(item, at)
        self.head, self.mark = seq, said.get("fingerprint", "")
        if said["message_type"] == "DELTA_UPDATE":
            self.ephemeral(data, seq)

    def set_state(self, data: dict[str, Any]) -> None:
        for name in ("user_count", "stream_status", "presence"):
            if name in data:
                self.state[name] = data[name]
        if "room_config" in data:
            self.state["slow_mode_duration"] = data["room_config"].get("slow_mode_duration", 0)

    def added_messages(self, item: dict[str, Any], seq: int) -> None:
        if item["id"] not in self.messages and item["id"] not in self.dead:
            self.messages[item["id"]] = {**item, "seq": seq}

    def edited_messages(self, item: dict[str, Any], seq: int) -> None:
        if item["id"] in self.messages:
            self.messages[item["id"]]["content"] = item["content"]

    def reactions_(self, item: dict[str, Any], seq: int) -> None:
        if item["message_id"] not in self.messages:
            return
        users = self.reactions.setdefault(item["message_id"], {}).setdefault(item["emoji"], [])
        if item.get("removed"):
            users[:] = [user for user in users if user != item["user"]]
        elif item["user"] not in users:
            users.append(item["user"])

    def removed_messages(self, item: dict[str, Any], seq: int) -> None:
        self.messages.pop(item["id"], None)
        self.reactions.pop(item["id"], None)
        self.dead.add(item["id"])

    def users_joined(self, item: dict[str, Any], seq: int) -> None:
        self.count(0 if item["id"] in self.members else 1)
        self.members[item["id"]] = item
        self.count(0)

    def count(self, step: int) -> None:
        if self.complete:
            self.state["user_count"] = len(self.members)
        elif self.state["user_count"] is not None:
            self.state["user_count"] = max(0, self.state["user_count"] + step)

    def updated_users(self, item: dict[str, Any], seq: int) -> None:
        if item["id"] in self.members:
            self.members[item["id"]] = {**self.members[item["id"]], **item}

    def users_left(self, item: dict[str, Any], seq: int) -> None:
        self.count(-1)
        self.members.pop(item["id"], None)
        self.count(0)

    def ephemeral(self, data: dict[str, Any], seq: int) -> None:
        for user, state in data.get("presence", {}).items():
            if self.newest.get(("presence", user), 0) <= seq:
                self.newest["presence", user] = seq
                shown = {**self.state["presence"], user: state}
                self.state["presence"] = {name: each for name, each in shown.items() if each != "offline"}
        for user, seconds in data.get("typing", {}).items():
            self.typing[user] = self.now + 1000 * seconds
        self.notes += [each["message_id"] for each in data.get("notifications", ())]

    # -- what must then be so

    def expect(self, wanted: dict[str, Any]) -> None:
        shown = self.shown()
        assert {name: shown[name] for name in wanted} == wanted

    def shown(self) -> dict[str, Any]:
        messages = sorted(self.messages.values(), key=lambda each: int(each["seq"]))
        return {
            **self.state,
            "epoch": self.epoch,
            "head": self.head,
            "messages": [[each["id"], each["content"]] for each in messages],
            "gaps": self.gaps + self.missing(),
            "stale": self.stale,
            "request": self.request and {"token": self.request["token"]},
            "members": [
                [each["id"], each.get("username", ""), each.get("color", "")] for each in self.members.values()
            ],
            "typing": [user for user, until in self.typing.items() if until > self.now],
            "reactions": self.reactions,
            "notifications": self.notes,
        }

    def missing(self) -> list[list[int]]:
        found, at = [], self.head
        for _, said in sorted(self.waiting, key=lambda each: each[1]["previous"]):
            if said["epoch"] == self.epoch:
                if said["previous"] > at:
                    found.append([at, said["previous"]])
                at = max(at, said["sequence_number"])
        return found + ([[at, self.known]] if self.known > at else [])


def placed(said: dict[str, Any]) -> list[tuple[int, str, Any]]:
    """Every logged item with its position and what handles it, in order of application."""
    data, after, upto = said["data"], said["previous"], said["sequence_number"]
    items = [
        ("reactions_" if name == "reactions" else name, {"id": each} if isinstance(each, str) else each)
        for name in LISTS
        for each in data.get(name, ())
    ]
    plain = all(name == "added_messages" and "seq" not in each for name, each in items)
    if plain and len(items) == upto - after:
        return [(at, name, each) for at, (name, each) in enumerate(items, after + 1)]
    return sorted(((each.get("seq", upto), name, each) for name, each in items), key=lambda each: each[0])


class NoDuplicates(Plain):
    """Applies again what it knows already."""

    def judge(self, said: dict[str, Any], answers: bool) -> None:
        if said["message_type"] != "HEARTBEAT" and said["epoch"] == self.epoch != "":
            self.head = min(self.head, said["previous"]) if said["message_type"] != "BULK_SYNC" else 0
        super().judge(said, answers)


class NoEpochs(Plain):
    """Takes every log for its own."""

    def judge(self, said: dict[str, Any], answers: bool) -> None:
        if self.epoch:
            said = {**said, "epoch": self.epoch, "data": {**said["data"], "epoch": self.epoch}}
        super().judge(said, answers)


class NoGaps(Plain):
    """Applies what is early at once."""

    def judge(self, said: dict[str, Any], answers: bool) -> None:
        super().judge({**said, "previous": min(said["previous"], self.head)} if self.epoch else said, answers)


class NoTombstones(Plain):
    """Forgets what was removed."""

    def added_messages(self, item: dict[str, Any], seq: int) -> None:
        self.dead.clear()
        super().added_messages(item, seq)


class PartialAnswers(Plain):
    """Takes the first envelope after a question for the whole answer."""

    def receive(self, said: dict[str, Any], answers: bool = False) -> None:
        super().receive(said, answers or self.request is not None)


class NoHeartbeats(Plain):
    """Does not listen to heartbeats."""

    def judge(self, said: dict[str, Any], answers: bool) -> None:
        if said["message_type"] != "HEARTBEAT":
            super().judge(said, answers)


class NothingWithheld(Plain):
    """Takes what was withheld for nothing."""

    def apply(self, said: dict[str, Any]) -> None:
        super().apply({**said, "withheld": False})


class NoPatience(Plain):
    """Asks for what is early at once."""

    def look(self) -> None:
        if self.lacks():
            self.ask()


class NoRepetition(Plain):
    """Asks once."""

    def back_off(self) -> None:
        self.retry_at = None


BROKEN = (
    *(NoDuplicates, NoEpochs, NoGaps, NoTombstones, PartialAnswers, NoHeartbeats),
    *(NothingWithheld, NoPatience, NoRepetition),
)


def play(replica: Plain, vector: Vector) -> None:
    for number, step in enumerate(vector.steps):
        [(verb, said)] = step.items()
        try:
            getattr(replica, verb)(said)
        except AssertionError as error:
            raise AssertionError(f"{vector.name}, step {number}, {verb}: {error}") from error


@pytest.mark.parametrize("vector", load(), ids=lambda vector: vector.name)
def test_a_replica_from_the_page_passes(vector: Vector) -> None:
    play(Plain(), vector)


@pytest.mark.parametrize("broken", BROKEN)
def test_the_vectors_find_a_replica_that_breaks_a_rule(broken: type[Plain]) -> None:
    found = []
    for vector in load():
        try:
            play(broken(), vector)
        except AssertionError as error:
            found.append(str(error))
    assert found
    assert len(found) < len(load()), "it is broken in one way only"
