"""Rooms of an authority that numbers its updates: taking envelopes in, noticing what is missing, and asking for it.

A copy that lacks something asks once, with the token of what it holds, and gets the exact updates or a whole image.
What comes meanwhile is kept. Where an answer does not help it is asked again, at random moments that lie further and
further apart (full jitter), so that neither one hostile peer nor a thousand clients at once can make a storm of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from roomstate.effects import GapClosed, GapOpened, RequestRecovery, Resynced
from roomstate.errors import RoomStateError
from roomstate.holding.durability import Durability
from roomstate.holding.house import House, stream
from roomstate.holding.marking import reread, settle_awaited
from roomstate.holding.record import Holding
from roomstate.holding.sending import Sending
from roomstate.holding.settling import Settling
from roomstate.image import RoomImage
from roomstate.model import Status, as_message
from roomstate.position import Gap, bounded
from roomstate.room.passage import empty, room_of
from roomstate.room.reduce import Change, Outcome, apply_logged, made
from roomstate.room.states import ActiveRoom, LiveRoom
from roomstate.room.tiers import LoadingSignal
from roomstate.sync.conflict import ConflictPolicy
from roomstate.sync.envelope import Envelope
from roomstate.sync.payloads import BulkSync, Heartbeat
from roomstate.sync.replica import RoomReplica, Verdict
from roomstate.updates import EPHEMERAL, MessageAdded, MessageRemoved, PresenceChanged, TypingChanged, Update

__all__ = ["Replicating"]


class Replicating:
    """Keeps the rooms of one house in step with their authority."""

    __slots__ = ("_durability", "_house", "sending", "settling")

    def __init__(self, house: House, durability: Durability, policy: ConflictPolicy) -> None:
        self._house = house
        self._durability = durability
        self.settling: Settling = Settling(house, policy)
        self.sending: Sending = Sending(house)

    # -- receiving ---------------------------------------------------------------------------------------------------

    def receive(self, holding: Holding, envelope: Envelope, now: float) -> None:
        """Take one envelope in. Raises a `ProtocolError` for one that contradicts itself; nothing has changed then."""
        replica = holding.following()
        if holding.kept is not None:  # what the store has is on its way, and comes first
            replica.hold(envelope)
            self._house.weigh(holding)
            return
        asked = replica.request_id != 0 and envelope.answers == replica.request_id
        if isinstance(envelope.data, Heartbeat) and holding.status is Status.STALE:
            self.connected(holding, now)  # nobody has said so, but only who is reached hears one
        self._take(holding, envelope, now, asked=asked)
        self._drain(holding, now)
        if asked:
            self._resolve(holding, envelope, now)
        self.look(holding, now)

    def answered(self, holding: Holding, envelopes: Sequence[Envelope], now: float) -> None:
        """Take in the answer to the request under way; where one of its envelopes is unfit, those before it."""
        try:
            for envelope in envelopes:
                self._take(holding, envelope, now, asked=True)
                self._drain(holding, now)
        except RoomStateError as error:
            self.failed(holding, str(error), now)
            return
        self._resolve(holding, envelopes[-1] if envelopes else None, now)
        self.look(holding, now)

    def _drain(self, holding: Holding, now: float) -> None:
        """Take in what has waited and joins now; one that contradicts itself is dropped, and its contents asked for."""
        replica = holding.following()
        while holding.room is not None and (early := replica.next(holding.room)) is not None:
            try:
                self._take(holding, early, now, asked=False)
            except RoomStateError:
                self._count("malformed")

    def _take(self, holding: Holding, envelope: Envelope, now: float, *, asked: bool) -> None:
        room, replica = holding.room, holding.following()
        assert room is not None
        verdict = replica.judge(room, envelope, asked=asked)
        if verdict is Verdict.ADOPT:
            self._adopt(holding, envelope, now, asked=asked)
        elif verdict is Verdict.APPLY:
            self._apply(holding, room, envelope, now)
            if not asked and envelope.previous < envelope.sequence_number:  # no other answer follows one
                replica.keep(envelope)
        elif verdict is Verdict.BEHIND:
            replica.known = max(replica.known, _told(envelope))
        elif verdict is not Verdict.DUPLICATE:
            self._wait(holding, envelope, now, suspect=verdict is Verdict.OTHER_EPOCH)
        self._count(verdict.value)

    def _wait(self, holding: Holding, envelope: Envelope, now: float, *, suspect: bool) -> None:
        """Let an envelope wait that does not join; where there is no room for it, or its log is another, ask soon."""
        replica = holding.following()
        held = isinstance(envelope.data, Heartbeat) or replica.hold(envelope)
        replica.suspect = replica.suspect or suspect or not held

    def _count(self, outcome: str) -> None:
        self._house.counts["envelope", outcome] += 1

    def _apply(self, holding: Holding, room: LiveRoom, envelope: Envelope, now: float) -> None:
        """Apply what of ``envelope`` lies above the head, in order."""
        replica, before = holding.following(), room.head
        entries = () if envelope.withheld else envelope.entries(room.roster.get)
        for seq, update in entries:
            if isinstance(update, EPHEMERAL):
                self._ephemeral(holding, update, envelope.sequence_number, now)
            elif seq > before:
                self._update(holding, room, update, seq, now)
        if envelope.withheld and envelope.sequence_number > before:
            self._withhold(holding, room, Gap(before, envelope.sequence_number))
        if envelope.sequence_number > before:
            room.head = holding.durable = envelope.sequence_number
            replica.fingerprint = envelope.fingerprint
        if envelope.ordinal is not None:
            room.timeline.count_to(envelope.ordinal)
        holding.touched = max(holding.touched, now)

    def _update(self, holding: Holding, room: LiveRoom, update: Update, seq: int, now: float) -> None:
        house = self._house
        if house.make is not None and isinstance(update, MessageAdded):
            update = MessageAdded(made(as_message(update.message), house.make))
        buried = isinstance(update, MessageRemoved) and update.message_id in room.timeline.tombstones
        try:
            change = apply_logged(room, update, seq, now, house.limits, house.make)
        except RoomStateError as error:  # each was checked alone; what they make together may still be too much
            change = Change(Outcome.MISFIT, str(error))
        finally:
            room.head = seq
        if change.outcome is not Outcome.APPLIED:
            self._not_applied(holding, update, change)
            return
        house.meter.applied[type(update)] += 1
        if isinstance(update, MessageAdded):
            self.sending.arrived(holding, update.message)
            self._durability.posted(holding, update.message, seq)
        elif isinstance(update, MessageRemoved):
            self.sending.removed(holding, update.message_id, change.removed)
            if not buried:
                self._durability.note_removed(holding, change, room.held_after)
        self._durability.announce(holding, update, seq)

    def _not_applied(self, holding: Holding, update: Update, change: Change) -> None:
        """Take note of an update that the log has, and that changed nothing here."""
        if change.outcome is Outcome.MISFIT:
            self._durability.misfit(holding, update, change.reason)
            return
        assert isinstance(update, MessageAdded)  # nothing else can be known already
        self._house.counts["update", "message_added", "duplicate"] += 1
        self.sending.arrived(holding, update.message)

    def _ephemeral(self, holding: Holding, update: Update, seq: int, now: float) -> None:
        """Take an ephemeral update, unless a newer one of the same user was here before it."""
        if isinstance(update, (PresenceChanged, TypingChanged)) and not holding.following().is_news(
            type(update).__name__, update.user_id, seq
        ):
            return
        self._durability.ephemeral(holding, update, now)

    def _withhold(self, holding: Holding, room: LiveRoom, gap: Gap) -> None:
        """Note that the authority has kept something back: it is a gap, which an image fills."""
        holding.following().kept_back = True
        last = room.gaps[-1] if room.gaps else None
        if last is not None and last.upto == gap.after:
            room.gaps = (*room.gaps[:-1], Gap(last.after, gap.upto))
        else:
            room.gaps = bounded((*room.gaps, gap))
            self._house.out.append(GapOpened(holding.room_id, gap))

    # -- images ------------------------------------------------------------------------------------------------------

    def _adopt(self, holding: Holding, envelope: Envelope, now: float, *, asked: bool) -> None:
        """Take an image in place of what is held; what took no seq, and what users have read, goes on."""
        house, replica, old = self._house, holding.following(), holding.room
        assert old is not None
        image = envelope.image()
        if old.epoch:
            image = self.settling.settle(holding, old, image, now)
        room = room_of(image, holding.tier, house.limits, house.make)
        _carry_over(old, room)
        if old.epoch:
            self._tell_resync(holding, old, room)
        reread(holding, old, room, image.markers, self._durability.concerned)
        holding.room, holding.durable = room, room.head
        holding.audience_known = False
        replica.fingerprint, replica.suspect = envelope.fingerprint, False
        replica.whole = replica.whole and replica.request_id > 0 and not asked
        replica.kept_back = False
        fell_back = old.epoch == room.epoch and replica.fell_back(old, room.head, asked=asked)
        replica.known = max(replica.known, room.head) if old.epoch == room.epoch and not fell_back else room.head
        is_anew = fell_back or old.epoch != room.epoch
        replica.adopted(room.epoch, asked=asked, fell_back=fell_back, anew=is_anew)
        settle_awaited(holding)
        if is_anew:  # what was acknowledged may be lost with the end of the log, or all of it
            self.sending.restarted(holding)
        self._match(holding)
        if is_anew:
            self.sending.resend(holding, now)

    def _tell_resync(self, holding: Holding, old: LiveRoom, room: LiveRoom) -> None:
        out = self._house.out
        for gap in old.gaps:
            if gap not in room.gaps:
                out.append(GapClosed(holding.room_id, gap, filled=old.epoch == room.epoch))
        if old.epoch != room.epoch:
            out.append(Resynced(holding.room_id, room.position, "other epoch"))
        elif room.held_after > old.head:
            out.append(Resynced(holding.room_id, room.position, "too much was missed"))

    # -- asking ------------------------------------------------------------------------------------------------------

    def resume(self, holding: Holding, now: float) -> None:
        """Ask for what a room lacks that was just loaded, promoted, or connected again."""
        room = holding.room
        if not self._house.replica or room is None or holding.kept is not None or holding.apart:
            return
        replica = holding.following()
        whole = not replica.joins(room)
        if isinstance(room, ActiveRoom) and not holding.brief:
            whole = whole or bool(room.gaps) or not room.roster.complete or replica.asks_briefly(room)
        self._ask(holding, now, whole=whole)

    def loaded(self, holding: Holding, image: RoomImage | None, now: float) -> None:
        """Go on from what the store had: ask the authority for what came after it."""
        replica = holding.following()
        if image is not None:
            replica.fingerprint = image.fingerprint
            self.restore(holding, image)
            self._match(holding)
        self._drain(holding, now)
        self.resume(holding, now)
        self.sending.resend(holding, now)

    def restore(self, holding: Holding, image: RoomImage) -> None:
        """Take up again what was sent and not acknowledged when ``image`` was saved."""
        if image.pending:
            self.sending.restore(holding, image.pending)

    def abandon(self, holding: Holding, now: float) -> None:
        """Begin anew with nothing, and ask for a whole image: what the store had cannot be read."""
        room = holding.room
        assert room is not None
        holding.room = empty(room.room_id, "", room.tier, self._house.limits)
        holding.kept = holding.packed = None
        holding.audience_known = False
        self.resume(holding, now)

    def _match(self, holding: Holding) -> None:
        """Let the messages of a new room take the places of what was sent."""
        if holding.echoes and holding.room is not None:
            for message in holding.room.timeline:
                self.sending.arrived(holding, message)

    def _ask(self, holding: Holding, now: float, *, whole: bool = False) -> None:
        """Ask for what is missing, unless that is asked already, or the time has not come to ask again."""
        house, replica, room = self._house, holding.following(), holding.room
        assert room is not None
        whole = whole or room.epoch == ""
        if replica.request_id and not (whole and replica.gives_less(room)):
            return
        replica.whole = replica.whole or whole
        if not replica.request_id and ("recover", holding.room_id) in house.due:
            return
        house.forget(replica.request_id)
        house.due.clear(("early", holding.room_id))
        house.set_status(holding, LoadingSignal.REQUESTED)
        self._open_gap(holding, room)
        replica.asks(house.ask("recover", holding.room_id), room, now)
        house.due.set(("recover", holding.room_id), now + house.bounds.answer_s)
        token = None if replica.whole else replica.joined_at or replica.token(room)
        house.out.append(RequestRecovery(holding.room_id, replica.request_id, token))

    def _open_gap(self, holding: Holding, room: LiveRoom) -> None:
        replica = holding.following()
        missing = replica.missing(room)
        if missing and replica.told is None and room.epoch:
            replica.told = Gap(missing[0].after, missing[-1].upto)
            self._house.out.append(GapOpened(holding.room_id, replica.told))

    def _resolve(self, holding: Holding, answer: Envelope | None, now: float) -> None:
        """Take note that the request under way was answered, and whether that has helped."""
        replica, room = holding.following(), holding.room
        assert room is not None
        self._forget(holding)
        if answer is not None and answer.epoch == room.epoch:
            replica.trust(room.epoch, answer.sequence_number)
            self.sending.doubt(holding, max(room.head, answer.sequence_number), now)
        if room.position == replica.asked_from:
            outcome = "nothing"
            self._back_off(holding, now)
        else:
            outcome = "image" if answer is not None and isinstance(answer.data, BulkSync) else "updates"
            self._house.succeeded(holding, "recover")
        self._house.meter.took(now - replica.asked_at, "recovery", outcome)

    def _forget(self, holding: Holding) -> None:
        replica = holding.following()
        replica.request_id = self._house.forget(replica.request_id)
        self._house.due.clear(("recover", holding.room_id))

    def _back_off(self, holding: Holding, now: float) -> None:
        """Do not ask again before a random moment, within a time that doubles with each try that has not helped."""
        bounds = self._house.bounds
        failures = holding.failures.get("recover", 0)
        holding.failures["recover"] = failures + 1
        most = min(bounds.max_retry_s, bounds.retry_s * 2.0 ** min(failures, 30))
        self._house.due.set(("recover", holding.room_id), now + most * self._house.jitter())

    def look(self, holding: Holding, now: float) -> None:
        """See what is missing now, and ask for it: at once, in a short while, or not again so soon."""
        house, replica, room = self._house, holding.following(), holding.room
        assert room is not None
        if replica.dropped:
            house.counts["envelope", "dropped"] += replica.dropped
            replica.dropped = 0
        if holding.kept is not None:  # what the store has is on its way: what is missing then is asked for after it
            return
        if not (replica.lacks(room) or replica.whole or len(replica) or _wants_more(room, replica)):
            self._caught_up(holding, now)
        elif not replica.request_id and ("recover", holding.room_id) not in house.due:
            if replica.suspect or replica.whole or room.epoch == "":
                self._ask(holding, now)
            elif ("early", holding.room_id) not in house.due:
                house.due.set(("early", holding.room_id), now + house.bounds.early_s)
        house.weigh(holding)

    def _caught_up(self, holding: Holding, now: float) -> None:
        house, replica = self._house, holding.following()
        house.due.clear(("early", holding.room_id))
        self.sending.settled(holding)
        if replica.told is not None:
            house.out.append(GapClosed(holding.room_id, replica.told))
            replica.told = None
        if not replica.request_id and holding.status is not Status.STALE:
            house.set_status(holding, LoadingSignal.LOADED)
            house.filled(holding, now)

    def due(self, holding: Holding, kind: str, now: float) -> None:
        """Do what is due: ask for what an early update waits for, or again; or give a request up."""
        replica = holding.following()
        if holding.room is None or holding.kept is not None:
            return
        if kind == "recover" and replica.request_id:
            self.failed(holding, "was not answered in time", now)
        elif kind == "early" or replica.lacks(holding.room) or replica.whole:
            self._ask(holding, now, whole=_wants_more(holding.room, replica))
        else:
            holding.failures.pop("recover", None)
            self.look(holding, now)  # what waits without anything to join asks once more

    def failed(self, holding: Holding, reason: str, now: float) -> None:
        """Note that the request under way will not be answered; what is held stays, and it is asked again later."""
        self._forget(holding)
        holding.following().suspect = True
        self._house.meter.took(now - holding.following().asked_at, "recovery", "failed")
        self._house.set_status(holding, LoadingSignal.FAILED, reason)
        self._back_off(holding, now)

    # -- the link ----------------------------------------------------------------------------------------------------

    def disconnected(self, holding: Holding) -> None:
        """Note that the authority cannot be reached: what is held is STALE, and nothing is asked for."""
        self._forget(holding)
        self._house.due.clear(("early", holding.room_id))
        self._house.set_status(holding, LoadingSignal.LINK_LOST)

    def connected(self, holding: Holding, now: float) -> None:
        """Note that the authority is reached again: ask for what was missed, and send what was not acknowledged."""
        if holding.apart and holding.room is not None:
            holding.apart = False
            self._house.out.append(stream(holding.room_id, holding.tier))
        self._forget(holding)  # what was asked over the old link will not be answered
        holding.following().reconnected(holding.epoch)
        self._house.set_status(holding, LoadingSignal.LINK_BACK)
        self._house.succeeded(holding, "recover")
        self.resume(holding, now)
        self.sending.resend(holding, now)


def _wants_more(room: LiveRoom, replica: RoomReplica) -> bool:
    """Whether an authority withholds what this tier holds: to it the room's viewers here seem to only follow it."""
    return replica.kept_back and isinstance(room, ActiveRoom)


def _told(envelope: Envelope) -> int:
    """Return how far the authority has come, as an envelope tells."""
    return envelope.data.head if isinstance(envelope.data, Heartbeat) else envelope.sequence_number


def _carry_over(old: LiveRoom, room: LiveRoom) -> None:
    """Keep what only the old room knows: what took no seq of the authority's."""
    room.changes = old.changes + 1
    if isinstance(old, ActiveRoom) and isinstance(room, ActiveRoom) and old.epoch == room.epoch:
        room.typing = old.typing
