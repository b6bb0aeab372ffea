"""Moving rooms between tiers, and bringing back what a tier holds: the only code that changes a tier or a status.

Every move goes through the tables of `room.tiers`. Going up shows at once what is there and asks for the rest; what
comes meanwhile is kept, and applied to what was loaded. The way down is in `leaving`.
"""

from __future__ import annotations

from msgspec import structs

from roomstate.effects import Head, Loaded, LoadSnapshot, LogEntry
from roomstate.errors import InvalidValue
from roomstate.holding.counting import Promotion
from roomstate.holding.durability import Durability
from roomstate.holding.house import House, stream
from roomstate.holding.leaving import Leaving
from roomstate.holding.marking import restore, settle_awaited
from roomstate.holding.record import Holding
from roomstate.holding.replicating import Replicating
from roomstate.model import MessageLike, Tier
from roomstate.position import Position
from roomstate.room.passage import empty, promoted, rebuilt
from roomstate.room.reduce import Change, Outcome, apply, apply_logged
from roomstate.room.states import ActiveRoom, CachedRoom, LiveRoom
from roomstate.room.tiers import LoadingSignal, Signal, next_tier
from roomstate.updates import SETTINGS, MessageAdded

__all__ = ["Tiering"]

_TAIL = 2  # log entries asked for per message of an ACTIVE room, which is how often a snapshot is owed


class Tiering:
    """Moves the rooms of one house. ``durability`` numbers what waited once a room's head is known."""

    __slots__ = ("_durability", "_house", "_replicating", "leaving")

    def __init__(self, house: House, durability: Durability, replicating: Replicating) -> None:
        self._house = house
        self._durability = durability
        self._replicating = replicating
        self.leaving: Leaving = Leaving(house)

    # -- what is wanted ----------------------------------------------------------------------------------------------

    def signal(self, room_id: str, signal: Signal, now: float) -> Tier:
        """Let ``signal`` happen to a room and move it as the table says; return the tier that it reached."""
        house = self._house
        old = house.tier(room_id)
        target = next_tier(old, signal, house.wanted(room_id))
        house.counts["signal", signal.name] += 1
        if target > old and target >= Tier.BACKGROUND:
            self._up(house.hold(room_id, now), old, target, now)
        elif target < old and old >= Tier.BACKGROUND:
            self.leaving.down(house.holdings[room_id], target, now)
        elif target < old:
            self.leaving.purge(room_id)
        self._file(room_id)
        return house.tier(room_id)

    def _file(self, room_id: str) -> None:
        holding = self._house.holdings.get(room_id)
        if holding is not None:
            self._house.refile(holding)
            self._house.weigh(holding)

    def settle(self, holding: Holding, now: float) -> None:
        """Move a room to where its interests, and what it still waits for, let it be."""
        house = self._house
        if holding.room is None and holding.owed_seq and house.logged:
            target = Tier.ACTIVE if holding.owed_deep else Tier.BACKGROUND
            self._up(holding, house.tier(holding.room_id), target, now)
        if holding.room is not None:
            self._settle_live(holding, max(Tier.CACHED, house.wanted(holding.room_id)), now)
        elif holding.idle and holding.room_id in house.holdings:
            self.leaving.rest(holding, now)

    def _settle_live(self, holding: Holding, wanted: Tier, now: float) -> None:
        if wanted < holding.tier:
            self.leaving.down(holding, wanted, now)
        elif self._owes_snapshot(holding):
            self._save(holding, now)
        else:
            return
        self._file(holding.room_id)

    def _save(self, holding: Holding, now: float) -> None:
        """Save a room that stays where it is; for a deep snapshot what it lacks is brought here first."""
        brief = holding.brief
        holding.brief = brief and not holding.owed_deep
        if holding.owed_deep and holding.tier is Tier.BACKGROUND:
            self._up(holding, Tier.BACKGROUND, Tier.ACTIVE, now)
        elif brief and not holding.brief:
            self.load(holding)
        else:
            self.leaving.save(holding, now)

    def _owes_snapshot(self, holding: Holding) -> bool:
        """Whether a configuration, or as many entries as a load reads half of, came after the snapshot."""
        newer = holding.owed_seq > holding.snapshot_seq and self._house.logged
        return newer and holding.kept is None and holding.saving is None and holding.idle

    # -- up ----------------------------------------------------------------------------------------------------------

    def _up(self, holding: Holding, old: Tier, target: Tier, now: float) -> None:
        house = self._house
        if holding.saving is not None:  # it was on its way down
            self.leaving.cancel(holding)
        if old is Tier.BACKGROUND:
            assert holding.room is not None
            holding.room = promoted(holding.room, house.limits)
        elif old is Tier.CACHED:
            self._unpack(holding, target, now)
        else:
            self._begin(holding, target, now)
        house.set_tier(holding.room_id, old, target)
        holding.tier = target
        holding.touched = max(holding.touched, now)
        house.given_up(holding, now)
        if house.replica or self._lacks(holding):
            holding.promotion = Promotion(old.name, target.name, now)
        else:
            house.meter.took(0.0, "promotion", old.name, target.name, "at_once")
        if self._lacks(holding):
            self.load(holding)
        else:
            self._replicating.resume(holding, now)

    def _unpack(self, holding: Holding, target: Tier, now: float) -> None:
        """Start from what a cached room's packed bytes tell without being decoded."""
        packed = self._house.cache.pop(holding.room_id, now)
        assert packed is not None
        cached = CachedRoom.unpacked(holding.room_id, packed)
        self._start(holding, holding.head or cached.head, target, now)
        assert holding.room is not None
        holding.room.info = cached.info
        holding.packed, holding.durable = cached, max(holding.durable, cached.head.position.seq)

    def _begin(self, holding: Holding, target: Tier, now: float) -> None:
        """Start with nothing: a new room, or one whose store will be asked."""
        house, reads = self._house, holding.reads
        if holding.head is not None:  # its log is being written to: the head is known
            self._start(holding, holding.head, target, now)
        elif house.logged or house.replica:
            self._start(holding, Head(Position("", 0)), target, now)
        else:  # what was read of a room that is gone goes on counting
            self._start(holding, Head(Position(house.new_epoch(), reads.head), reads.ordinal), target, now)
            assert holding.room is not None
            holding.room.floor = reads.head
            holding.durable = reads.head

    def _start(self, holding: Holding, head: Head, target: Tier, now: float) -> None:
        """Let the room be live, holding nothing and having come as far as ``head``; what lies before is elsewhere."""
        epoch, seq, ordinal = head.position.epoch, head.position.seq, head.ordinal
        if holding.undurable:
            first = holding.undurable[0]
            seq, ordinal = first.seq - 1, first.ordinal - isinstance(first.update, MessageAdded)
        room = holding.room = empty(holding.room_id, epoch, target, self._house.limits, head=seq, ordinal=ordinal)
        room.floor = 0
        holding.informed = False
        holding.feed, holding.feed_floor, holding.feed_mark = None, seq, ""
        for entry in holding.undurable:
            self._apply_entry(room, entry, now)
            if not isinstance(entry.update, MessageAdded):
                holding.feeding().note(entry, now)
        holding.head = None
        holding.head_id = self._house.forget(holding.head_id)

    def _apply_entry(self, room: LiveRoom, entry: LogEntry, now: float) -> Change:
        """Apply an entry that has its seq, whatever becomes of it: a repeated message's seq holds nothing."""
        applied = apply_logged if self._house.logged else apply
        change = applied(room, entry.update, entry.seq, now, self._house.limits, self._house.make)
        room.head = entry.seq
        room.timeline.count_to(entry.ordinal)
        return change

    def _lacks(self, holding: Holding) -> bool:
        """Whether the room's tier holds more than is here, and somebody has it."""
        room = holding.room
        assert room is not None
        if holding.packed is not None or holding.kept is not None:
            return True
        if self._house.replica:
            return self._house.stored and room.epoch == "" and holding.replica is None
        if room.epoch == "":
            return True
        if not self._house.logged or holding.brief:
            return False
        return room.held_after > room.floor or (isinstance(room, ActiveRoom) and room.head > 0)

    # -- loading -----------------------------------------------------------------------------------------------------

    def load(self, holding: Holding) -> None:
        """Ask for what the room's tier holds, in place of what was asked for a lower one."""
        house = self._house
        holding.load_id = house.forget(holding.load_id)
        house.due.clear(("load", holding.room_id))
        house.set_status(holding, LoadingSignal.REQUESTED)
        if holding.kept is None:
            holding.kept, holding.kept_bytes = list(holding.undurable), 0
        holding.load_id = house.ask("load", holding.room_id)
        tier = Tier.BACKGROUND if holding.brief else holding.tier
        packed = (
            holding.packed.snapshot if holding.packed is not None and self._is_enough(holding.packed, tier) else b""
        )
        limit = _TAIL * house.limits.active_messages
        house.out.append(LoadSnapshot(holding.room_id, holding.load_id, tier, packed or None, limit))

    def _is_enough(self, cached: CachedRoom, tier: Tier) -> bool:
        """Whether the packed snapshot has all that a tier holds; that of a room gone down to BACKGROUND may not."""
        limits = self._house.limits
        shallow = cached.head.ordinal > limits.background_messages
        return not self._house.logged or tier is Tier.BACKGROUND or cached.full or not shallow

    def ask(self, holding: Holding, now: float, *, brief: bool = False, apart: bool = False) -> None:
        """Say what somebody wants of a room: who wants more than there is, of a room that is held, makes it come."""
        more = (holding.brief and not brief) or (holding.apart and not apart)
        fresh = holding.room is None
        joins = holding.apart and not apart
        holding.brief, holding.apart = brief and (fresh or holding.brief), apart and (fresh or holding.apart)
        if fresh or not more:
            return
        if joins and self._house.replica:
            self._house.out.append(stream(holding.room_id, holding.tier))
        if self._lacks(holding) and holding.kept is None:
            self.load(holding)
        else:
            self._replicating.resume(holding, now)

    def loaded(self, holding: Holding, result: Loaded, now: float) -> None:
        """Put together what was loaded, what was kept meanwhile, and what the live room alone knows.

        Raises ``InvalidValue`` for what is no state of this room; nothing has changed then.
        """
        live, image = holding.room, result.image
        assert live is not None
        if self._house.replica and image is not None and live.epoch not in ("", image.position.epoch):
            self._replicating.restore(holding, image)
            self.load_failed(holding, f"what was loaded is of epoch {image.position.epoch!r}", now)
            return
        room, repeated = self._merged(holding, live, result, now)
        holding.load_id = 0
        if room.head < live.head:
            self.load_failed(holding, f"what was loaded ends at {room.head}, before {live.head}", now)
            return
        self._carry_over(live, room)
        if not self._house.replica:
            self._keep_told(holding, live, room, now)
        holding.informed = True
        self._feed(holding, result, now)
        entries = (*result.entries, *(holding.kept or ()))
        holding.room, holding.kept, holding.packed = room, None, None
        self._house.succeeded(holding, "load")
        holding.durable = max(holding.durable, room.head - len(holding.undurable))
        holding.snapshot_seq = result.image.position.seq if result.image is not None else 0
        if result.image is not None and holding.cursor is None:
            holding.cursor = result.image.cursor
        restore(holding, result.image, entries, self._durability.concerned)
        for seq, message in repeated:
            holding.sync_reads().removed(seq, message.user)
        settle_awaited(holding)
        if self._house.replica:
            self._replicating.loaded(holding, result.image, now)
        else:
            self._house.set_status(holding, LoadingSignal.LOADED)
            self._house.filled(holding, now)
        self._house.refile(holding)
        self._durability.flush_waiting(holding, now)
        self.settle(holding, now)

    def _merged(
        self, holding: Holding, live: LiveRoom, result: Loaded, now: float
    ) -> tuple[LiveRoom, list[tuple[int, MessageLike]]]:
        """Return the room that was loaded, with what was kept; and the kept messages that it had, without a log."""
        house = self._house
        _check_loaded(live.room_id, result)
        room = rebuilt(result.image, result.entries, self._blank(live, result), now, house.limits, house.make)
        if result.entries:
            room.timeline.count_to(result.entries[-1].ordinal)
        if live.timeline.by_time and room.head == room.floor:  # a foreign source has spoken first since it was saved
            room.timeline.by_time = True
            room.roster.complete = False
        repeated = []
        for entry in holding.kept or ():
            if entry.seq == room.head + 1 or (room.timeline.by_time and entry.seq > room.head):
                change = self._apply_entry(room, entry, now)
                if isinstance(entry.update, MessageAdded) and change.outcome is not Outcome.APPLIED:
                    repeated.append((entry.seq, entry.update.message))
        if room.timeline.by_time:  # its gaps took seqs too
            room.head, room.gaps = max(room.head, live.head), (*room.gaps, *live.gaps)
        return room, [] if house.logged else repeated  # a log says for itself what it held already

    def _blank(self, live: LiveRoom, result: Loaded) -> LiveRoom:
        """Return an empty room of the epoch that goes on from what was loaded, right before its log entries."""
        house = self._house
        head = result.head or (Head(result.image.position, result.image.ordinal) if result.image is not None else None)
        epoch = live.epoch or house.epoch_after(head)
        seq, ordinal = (head.position.seq, head.ordinal) if head is not None and result.image is None else (0, 0)
        if result.image is None and result.entries:
            first = result.entries[0]
            seq, ordinal = first.seq - 1, first.ordinal - isinstance(first.update, MessageAdded)
        blank = empty(live.room_id, epoch, live.tier, house.limits, head=seq, ordinal=max(0, ordinal))
        blank.floor = 0  # the log has what is not held
        return blank

    def _feed(self, holding: Holding, result: Loaded, now: float) -> None:
        """Let the feed answer for all that was loaded and kept: clients of before a restart catch up from it."""
        image, entries = result.image, (*result.entries, *(holding.kept or ()))
        joined = image is not None and (not entries or entries[0].seq <= image.position.seq + 1)
        floor = entries[0].seq - 1 if entries else 0
        holding.feed = None
        holding.feed_floor, holding.feed_mark = floor, ""
        if image is not None and joined:
            holding.feed_floor, holding.feed_mark = image.position.seq, image.fingerprint
        seq = holding.feed_floor
        for entry in entries:
            if entry.seq > seq and not isinstance(entry.update, MessageAdded):
                holding.feeding().note(entry, now)
            seq = max(seq, entry.seq)

    def _carry_over(self, live: LiveRoom, room: LiveRoom) -> None:
        """Keep what only the live room knows: what took no seq."""
        room.changes = live.changes + 1
        room.timeline.bury(live.timeline.tombstones)
        if live.notifications is not None:
            for note in live.notifications:
                if room.notifications is None or note not in room.notifications:
                    room.note(note, self._house.limits)
        if isinstance(live, ActiveRoom) and isinstance(room, ActiveRoom):
            room.typing = live.typing
            room.ui_state = {**room.ui_state, **live.ui_state}
            for user, state in live.roster.presence.items():
                room.roster.set_presence(user, state)

    def _keep_told(self, holding: Holding, live: LiveRoom, room: LiveRoom, now: float) -> None:
        """Keep the settings that are known here: what was loaded may lack entries between the image and the log."""
        if holding.informed:
            room.config, room.moderation = live.config, live.moderation
            count = room.info.user_count if room.roster.complete else live.info.user_count
            room.info = structs.replace(live.info, user_count=count)
        head = room.head
        for entry in holding.kept or ():
            if isinstance(entry.update, SETTINGS):
                self._apply_entry(room, entry, now)
        room.head = head

    def load_failed(self, holding: Holding, reason: str, now: float) -> None:
        """Keep what is held, say ERROR, and try again later."""
        house = self._house
        holding.load_id = 0
        house.set_status(holding, LoadingSignal.FAILED, reason)
        if house.replica:  # the authority has it all
            self._replicating.abandon(holding, now)
        else:
            house.retry(holding, "load", now)
        self._file(holding.room_id)
        self.settle(holding, now)

    def retry(self, holding: Holding, kind: str, now: float) -> None:
        """Do again what failed: the append, the head, the load, or the save."""
        if kind == "append":
            self._durability.append(holding)
        elif kind == "head":
            self._durability.find_head(holding)
        elif kind == "load":
            self.load(holding)
        else:
            self.leaving.ask(holding)
        self._file(holding.room_id)

    def wake(self, holding: Holding, now: float) -> None:
        """Hold a room at BACKGROUND for as long as things happen in it, where there is no log to keep them."""
        house = self._house
        if holding.own < Tier.BACKGROUND:
            holding.own = Tier.BACKGROUND
        house.due.set(("own", holding.room_id), now + house.interests.idle_s(Tier.BACKGROUND))
        self.signal(holding.room_id, Signal.FOLLOW, now)

    def head_found(self, holding: Holding, head: Head | None, now: float) -> None:
        """Number what waited at a room that is at rest, now that its head is known."""
        house = self._house
        holding.head_id = 0
        house.succeeded(holding, "head")
        position = Position(house.epoch_after(head), head.position.seq if head is not None else 0)
        holding.head = Head(position, head.ordinal if head is not None else 0)
        holding.durable = position.seq
        self._durability.flush_waiting(holding, now)
        self.settle(holding, now)

    def know_head(self, holding: Holding) -> None:
        """Let a room at rest be numbered from its cached record: this process alone writes its log."""
        packed = self._house.cache.peek(holding.room_id)
        if holding.room is None and holding.head is None and packed is not None and not holding.head_id:
            holding.head = CachedRoom.unpacked(holding.room_id, packed).head
            holding.durable = holding.head.position.seq
            holding.reads.head, holding.reads.ordinal = holding.durable, holding.head.ordinal

    # -- memory ------------------------------------------------------------------------------------------------------

    def press(self, now: float) -> None:
        """Free memory until ``max_bytes`` is kept: cached rooms leave first, then the coldest BACKGROUND rooms pack up.

        Pinned, ACTIVE and undurable bytes may exceed the budget, and so may a room whose snapshot is being saved.
        """
        house = self._house
        self._shrink(now)
        while house.over > 0 and (touched := house.by_cold.next()) is not None:
            holding = house.holdings[house.by_cold.pop(touched) or ""]
            if holding.touched_by(now) > touched:
                house.by_cold.set(holding.room_id, holding.touched_by(now))
            elif house.movable(holding):
                self._squeeze(holding, now)
        self._shrink(now)

    def _shrink(self, now: float) -> None:
        house = self._house
        while house.over > 0 and house.cache.bytes:
            gone = house.cache.shrink(max(0, house.cache.bytes - house.over), now)
            if not gone:
                return  # what is left is pinned
            self.leaving.evicted(gone)

    def _squeeze(self, holding: Holding, now: float) -> None:
        """Let the interests in a BACKGROUND room lapse early, and pack it up."""
        house = self._house
        for viewer in house.interests.viewers_of(holding.room_id, Tier.BACKGROUND):
            house.interests.drop(viewer, holding.room_id)
        holding.own = Tier.UNLOADED
        house.due.clear(("own", holding.room_id))
        self.signal(holding.room_id, Signal.PRESSURE, now)


def _check_loaded(room_id: str, result: Loaded) -> None:
    """Raise ``InvalidValue`` unless an answer is of this room, and its entries are consecutive."""
    image, entries = result.image, result.entries
    if image is not None and image.room_id != room_id:
        raise InvalidValue("result.image", f"is of room {image.room_id!r}, not of {room_id!r}")
    if any(entry.seq != entries[0].seq + at for at, entry in enumerate(entries)):
        raise InvalidValue("result.entries", f"of room {room_id!r} are not consecutive")
