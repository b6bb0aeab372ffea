"""The follower's answer to "what is this to me?": how an envelope joins what a copy holds, and what is still missing.

A copy at ``head`` takes an envelope that covers ``(previous, seq]`` if ``previous <= head < seq``; one that is all at
or below the head is a repetition; one that begins above it is early, and waits for what lies between. Nothing here asks
for anything, and nothing changes a room: `holding.replicating` does, by what `RoomReplica.judge` says.
"""

from __future__ import annotations

from bisect import insort
from enum import Enum
from operator import attrgetter
from typing import Final

from msgspec import Struct

from roomstate.errors import Malformed
from roomstate.position import Gap, Position, Token
from roomstate.room.states import ActiveRoom, LiveRoom
from roomstate.room.weight import struct_bytes
from roomstate.sync.envelope import Envelope
from roomstate.sync.payloads import BulkSync, Heartbeat

__all__ = ["MAX_EARLY", "MAX_EARLY_BYTES", "RoomReplica", "Verdict"]

MAX_EARLY: Final = 1000
"""Envelopes of one room that wait for what lies before them: as many as an ACTIVE room's messages."""

MAX_EARLY_BYTES: Final = 1 << 20
"""Bytes of them, by estimate. As much again may be kept while an answer is on its way."""

_MAX_KEYS: Final = 1000  # users whose newest ephemeral state is remembered, so that an older one does not undo it
_PER_ENVELOPE: Final = 150  # bytes of its place here: a `_Waiting` with its numbers


class Verdict(Enum):
    """What an envelope is to a copy."""

    APPLY = "applied"  # it joins what is held
    ADOPT = "adopted"  # an image, to be taken in place of what is held
    DUPLICATE = "duplicate"  # all of it is known
    EARLY = "early"  # what lies before it has not come
    BEHIND = "behind"  # it tells of updates that are not here, and does not bring them
    OTHER_EPOCH = "other epoch"  # it belongs to another log than what is held


class _Waiting(Struct, frozen=True):
    """An envelope that waits, the number of questions before it, and what it holds in memory."""

    envelope: Envelope
    questions: int
    size: int

    @property
    def place(self) -> tuple[int, int]:
        return self.envelope.previous, self.envelope.sequence_number


class RoomReplica:
    """What a copy of one room knows of its authority, beyond what it holds.

    ``known`` is the last seq that the authority is known to have given out; ``fingerprint`` is that of the entry at the
    copy's head. ``request_id`` is the recovery that is under way (0: none), asked for at ``asked_at`` from
    ``asked_from``; ``whole`` says that an image is wanted, ``followed`` is the last request for a room that nobody here
    looked at. ``joined_at`` is where the copy stood when it last met its authority, until that has answered.
    ``suspect`` says that there is reason to ask: another epoch was heard of, something could not wait, or nobody has
    answered; ``kept_back``, that something was withheld. ``told`` is the gap at the head that hosts were told of.
    ``dropped`` counts envelopes that waited and were not believed, or did not fit, since it was last set to 0.
    """

    __slots__ = (
        "_bytes",
        "_early",
        "_kept",
        "_kept_bytes",
        "_latest",
        "_questions",
        "asked_at",
        "asked_from",
        "dropped",
        "fingerprint",
        "followed",
        "joined_at",
        "kept_back",
        "known",
        "request_id",
        "suspect",
        "told",
        "whole",
    )

    def __init__(self, fingerprint: str = "") -> None:
        self.known: int = 0
        self.fingerprint: str = fingerprint
        self.request_id: int = 0
        self.asked_at: float = 0.0
        self.asked_from: Position | None = None
        self.followed: int = 0
        self.joined_at: Token | None = None
        self.whole: bool = False
        self.suspect: bool = False
        self.kept_back: bool = False
        self.dropped: int = 0
        self.told: Gap | None = None
        self._early: list[_Waiting] = []
        self._kept: list[Envelope] = []
        self._kept_bytes = 0
        self._bytes = 0
        self._latest: dict[tuple[str, str], int] = {}
        self._questions = 0  # put so far: what came before one is told from what came after, whatever the clock says

    def __len__(self) -> int:
        """How many envelopes wait."""
        return len(self._early)

    @property
    def bytes(self) -> int:
        """What waits here, in bytes, by estimate. O(1)."""
        return self._bytes

    # -- judging -----------------------------------------------------------------------------------------------------

    def judge(self, room: LiveRoom, envelope: Envelope, *, asked: bool = False) -> Verdict:
        """Say what ``envelope`` is to the copy ``room``; nothing changes. O(1), O(items) to find bodies missing.

        ``asked`` says that it answers the request under way: an image of another epoch is taken only then, for it may
        as well be one that was late. Raises ``Malformed`` for an envelope of no epoch: it could be of any log.
        """
        data = envelope.data
        if envelope.epoch == "" and not isinstance(data, Heartbeat):
            raise Malformed("room_state_sync.epoch", "must be given: it names the log")
        if isinstance(data, BulkSync):
            return self._judge_image(room, envelope, asked)
        if isinstance(data, Heartbeat):
            if data.epoch != room.epoch:
                return Verdict.OTHER_EPOCH
            return Verdict.BEHIND if data.head > room.head else Verdict.DUPLICATE
        if room.epoch == "":
            return Verdict.EARLY
        if envelope.epoch != room.epoch:
            return Verdict.OTHER_EPOCH
        if envelope.previous == envelope.sequence_number:
            return Verdict.BEHIND if envelope.sequence_number > room.head else Verdict.APPLY
        if envelope.sequence_number <= room.head:
            return Verdict.DUPLICATE
        if envelope.previous > room.head:
            return Verdict.EARLY
        return Verdict.BEHIND if envelope.bare else Verdict.APPLY

    def _judge_image(self, room: LiveRoom, envelope: Envelope, asked: bool) -> Verdict:
        if room.epoch == "":
            return Verdict.ADOPT
        if envelope.epoch != room.epoch:
            return Verdict.ADOPT if asked else Verdict.OTHER_EPOCH
        if envelope.sequence_number > room.head:
            late = not asked and envelope.answers is not None and self._is_brief(room, envelope.answers)
            return Verdict.BEHIND if late else Verdict.ADOPT
        return Verdict.ADOPT if asked and self._answers(room, envelope.sequence_number) else Verdict.DUPLICATE

    def _answers(self, room: LiveRoom, seq: int) -> bool:
        """Whether an image at ``seq`` serves as the answer.

        It does where it reaches the head of the copy with what was kept since, or the authority has fallen back to it.
        """
        return self.fell_back(room, seq, asked=True) or self._reaches(room, seq)

    def _reaches(self, room: LiveRoom, seq: int) -> bool:
        """Whether an image at ``seq`` and what was kept since it was asked for reach the head of the copy."""
        for envelope in self._kept:
            if envelope.previous <= seq:
                seq = max(seq, envelope.sequence_number)
        return seq >= room.head

    def is_news(self, kind: str, user: str, seq: int) -> bool:
        """Whether an ephemeral update of a user, told at ``seq``, is no older than the last one; remembers it. O(1)."""
        key = (kind, user)
        if self._latest.get(key, 0) > seq:
            return False
        self._latest.pop(key, None)
        self._latest[key] = seq
        if len(self._latest) > _MAX_KEYS:
            del self._latest[next(iter(self._latest))]
        return True

    # -- waiting -----------------------------------------------------------------------------------------------------

    def asks(self, request_id: int, room: LiveRoom, now: float) -> None:
        """Note that a request is put now for what ``room`` lacks. O(1)."""
        self.request_id, self._questions = request_id, self._questions + 1
        self.asked_at, self.asked_from = now, room.position
        self._take_kept()
        if not isinstance(room, ActiveRoom):
            self.followed = request_id

    def gives_less(self, room: LiveRoom) -> bool:
        """Whether what is asked for is less than the whole of ``room`` as it is looked at now. O(1)."""
        return not self.whole or self.asks_briefly(room)

    def asks_briefly(self, room: LiveRoom) -> bool:
        """Whether the request under way was put when ``room``, which is looked at now, was only followed. O(1)."""
        return self.request_id > 0 and self._is_brief(room, self.request_id)

    def _is_brief(self, room: LiveRoom, request_id: int) -> bool:
        """Whether a request was for less than ``room`` holds: it was only followed then, and is looked at now."""
        return isinstance(room, ActiveRoom) and request_id <= self.followed

    def hold(self, envelope: Envelope) -> bool:
        """Let an envelope wait; False where the bounds do not allow it: then nothing waits any more. O(size + waiting).

        Whoever is told False asks for what is missing at once: what waited is among that.
        """
        if self._put(_Waiting(envelope, self._questions, _size(envelope))):
            return True
        self.dropped += len(self._early) + 1
        self._retain([])
        return False

    def _put(self, waiting: _Waiting) -> bool:
        """Put ``waiting`` in its place; False where the bounds do not allow it."""
        if len(self._early) >= MAX_EARLY or self._bytes + waiting.size > MAX_EARLY_BYTES:
            return False
        insort(self._early, waiting, key=attrgetter("place"))
        self._bytes += waiting.size
        return True

    def keep(self, envelope: Envelope) -> None:
        """Keep an envelope that was applied while an answer is on its way: an image may not have it. O(size).

        One for which there is no room is not kept; an image that would need it is not taken, and asked for again.
        """
        if self.request_id and len(self._kept) < MAX_EARLY:
            size = _size(envelope)
            if self._kept_bytes + size <= MAX_EARLY_BYTES:
                self._kept.append(envelope)
                self._kept_bytes += size

    def _take_kept(self) -> list[Envelope]:
        """Return what was kept, and keep it no longer."""
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        return kept

    def fell_back(self, room: LiveRoom, seq: int, *, asked: bool) -> bool:
        """Whether an image at ``seq`` of the copy's own epoch lies before where the copy was when it asked for it.

        Then the authority has lost the end of its log: the failover of a replicated store.
        """
        return asked and self.asked_from is not None and seq < min(self.asked_from.seq, room.head)

    def adopted(self, epoch: str, *, asked: bool, fell_back: bool, anew: bool) -> None:
        """Let what was kept wait again, to be applied to the image that has come; of other epochs nothing. O(size).

        ``anew``: the log is another than before, or has lost its end; its seqs say nothing of what was told before.
        What came before the question that the image answers is in it, or was never given out. What was kept goes before
        what waited, should there not be room for both: the copy had it already.
        """
        if anew:
            self._latest.clear()
        kept = self._take_kept()
        since = self._questions if asked else 0
        early = [waiting for waiting in self._early if waiting.questions >= since and waiting.envelope.epoch == epoch]
        self._retain([])
        for envelope in kept:
            if envelope.epoch == epoch and not fell_back:
                self.hold(envelope)  # there is room: what is kept has the same bounds
        for waiting in early:
            self.dropped += not self._put(waiting)

    def _retain(self, early: list[_Waiting]) -> None:
        self._early = early
        self._bytes = sum(waiting.size for waiting in early)

    def next(self, room: LiveRoom) -> Envelope | None:
        """Take out an envelope that joins the copy now, and all that it knows already; None where none does. O(n).

        Those of another epoch go on waiting: the copy may yet become one of theirs.
        """
        at = 0
        while at < len(self._early) and (envelope := self._early[at].envelope).previous <= room.head:
            if envelope.epoch != room.epoch:
                at += 1
                continue
            self._bytes -= self._early.pop(at).size
            if envelope.sequence_number > room.head:
                return envelope
        return None

    def trust(self, epoch: str, seq: int) -> None:
        """Believe an answer: when it was asked for the authority was at ``seq`` of ``epoch``, and not further. O(n).

        What came before the question is known by now, or was never given out.
        """
        self.suspect, self.joined_at = False, None
        kept = [waiting for waiting in self._early if waiting.questions == self._questions]
        self.known = max([seq, *_told(kept, epoch)])
        self.dropped += len(self._early) - len(kept)
        self._take_kept()
        self._retain(kept)

    def joins(self, room: LiveRoom) -> bool:
        """Note that ``room`` meets its authority (again), which may have fallen back from there meanwhile. O(1).

        What is applied before it has answered would hide that: until then all that is asked is asked from here. False
        where it has not answered since the last time, and something was applied: no one token names both places, and
        only an image will do.
        """
        token = self.token(room)
        self.joined_at = self.joined_at or token
        return token == self.joined_at

    def reconnected(self, epoch: str) -> None:
        """Drop what waited, but go on knowing of it: all of it is asked for anew, or was lost with the link. O(n).

        Joined to the answer it would be taken for what an authority has that has fallen back meanwhile.
        """
        self.known = max([self.known, *_told(self._early, epoch)])
        self.dropped += len(self._early)
        self._retain([])

    # -- what is missing ---------------------------------------------------------------------------------------------

    def lacks(self, room: LiveRoom) -> bool:
        """Whether something is known to be missing at the copy's head. O(1)."""
        return self.suspect or self.known > room.head or room.epoch == ""

    def missing(self, room: LiveRoom) -> tuple[Gap, ...]:
        """Return the intervals above the copy's head that are known to be missing, in order. O(waiting)."""
        gaps, at = [], room.head
        for waiting in self._early:
            envelope = waiting.envelope
            if envelope.epoch == room.epoch:
                if envelope.previous > at:
                    gaps.append(Gap(at, envelope.previous))
                at = max(at, envelope.sequence_number)
        if self.known > at:
            gaps.append(Gap(at, self.known))
        return tuple(gaps)

    def token(self, room: LiveRoom) -> Token | None:
        """Return where the copy has come to; None where it holds nothing. O(1)."""
        return Token(room.epoch, room.head, self.fingerprint) if room.epoch else None

    def check(self) -> None:
        """Assert the invariants; for tests. O(n)."""
        assert len(self._early) <= MAX_EARLY
        assert self._bytes == sum(waiting.size for waiting in self._early) <= MAX_EARLY_BYTES
        places = [waiting.place for waiting in self._early]
        assert places == sorted(places)
        assert len(self._kept) <= MAX_EARLY
        assert self._kept_bytes == sum(map(_size, self._kept)) <= MAX_EARLY_BYTES
        assert len(self._latest) <= _MAX_KEYS


def _told(early: list[_Waiting], epoch: str) -> list[int]:
    """Return how far what waits says that the authority has come in ``epoch``."""
    return [waiting.envelope.sequence_number for waiting in early if waiting.envelope.epoch == epoch]


def _size(envelope: Envelope) -> int:
    """Estimate what an envelope holds in memory, in bytes, whatever it carries. O(size)."""
    return _PER_ENVELOPE + struct_bytes(envelope)
