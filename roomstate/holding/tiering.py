"""Moving rooms between tiers, and bringing back what a tier holds: the only code that changes a tier or a status.

Every move goes through the tables of `room.tiers`. Going up shows at once what is there and asks for the rest; what
comes meanwhile is kept, and applied to what was loaded. Going down waits for what must be safe first: until then the
room stays as it is.
"""

from __future__ import annotations

from roomstate.effects import Evicted, Head, Loaded, LoadSnapshot, SaveSnapshot
from roomstate.holding.durability import Durability
from roomstate.holding.record import Holding, House
from roomstate.image import RoomImage
from roomstate.model import Status, Tier
from roomstate.position import Position
from roomstate.residency.entry import Eviction
from roomstate.room.passage import demoted, empty, image_of, promoted, rebuilt
from roomstate.room.reduce import apply
from roomstate.room.states import ActiveRoom, CachedRoom, LiveRoom
from roomstate.room.tiers import LoadingSignal, Signal, next_tier
from roomstate.updates import MessageAdded

__all__ = ["Tiering"]

_TAIL = 2  # log entries asked for per message that a tier holds: edits and reactions take seqs too


class Tiering:
    """Moves the rooms of one house. ``durability`` numbers what waited once a room's head is known."""

    __slots__ = ("_durability", "_house")

    def __init__(self, house: House, durability: Durability) -> None:
        self._house = house
        self._durability = durability

    # -- what is wanted ----------------------------------------------------------------------------------------------

    def wanted(self, room_id: str) -> Tier:
        """Return the highest tier that any interest asks for: viewers', and the host's own."""
        holding = self._house.holdings.get(room_id)
        own = holding.own if holding is not None else Tier.UNLOADED
        return max(own, self._house.interests.wanted(room_id))

    def signal(self, room_id: str, signal: Signal, now: float) -> Tier:
        """Let ``signal`` happen to a room and move it as the table says; return the tier that it reached."""
        house = self._house
        old = house.tier(room_id)
        target = next_tier(old, signal, self.wanted(room_id))
        house.counts["signal", signal.name] += 1
        if target > old and target >= Tier.BACKGROUND:
            self._up(house.hold(room_id, now), old, target, now)
        elif target < old and old >= Tier.BACKGROUND:
            self._down(house.holdings[room_id], target, now)
        elif target < old:
            self._drop_cached(room_id, "purged")
        holding = house.holdings.get(room_id)
        if holding is not None:
            self._house.refile(holding)
            house.weigh(holding)
        return house.tier(room_id)

    def settle(self, holding: Holding, now: float) -> None:
        """Move a live room down if it is held higher than anybody asks, and nothing keeps it."""
        wanted = max(Tier.CACHED, self.wanted(holding.room_id))
        if holding.room is not None and wanted < holding.tier:
            self._down(holding, wanted, now)
            self._house.refile(holding)
            self._house.weigh(holding)
        elif holding.room is None and holding.idle:
            self._rest(holding, now)

    # -- up ----------------------------------------------------------------------------------------------------------

    def _up(self, holding: Holding, old: Tier, target: Tier, now: float) -> None:
        house = self._house
        if holding.save_id:  # it was on its way down
            holding.save_id = house.forget(holding.save_id)
        if old is Tier.BACKGROUND:
            assert holding.room is not None
            house.counts["lookup", "hit"] += 1
            holding.room = promoted(holding.room, house.limits)
        elif old is Tier.CACHED:
            house.counts["lookup", "hit"] += 1
            self._unpack(holding, target, now)
        else:
            house.counts["lookup", "miss"] += 1
            self._begin(holding, target)
        house.set_tier(holding.room_id, old, target)
        holding.tier = target
        holding.touched = max(holding.touched, now)
        if self._lacks(holding):
            self.load(holding)

    def _unpack(self, holding: Holding, target: Tier, now: float) -> None:
        """Start from what a cached room's packed bytes tell without being decoded."""
        house = self._house
        packed = house.cache.pop(holding.room_id, now)
        assert packed is not None
        cached = CachedRoom.unpacked(holding.room_id, packed)
        head = holding.head or cached.head
        room = empty(
            holding.room_id, head.position.epoch, target, house.limits, head=head.position.seq, ordinal=head.ordinal
        )
        room.info = cached.info
        holding.feed, holding.feed_floor = None, room.head
        holding.room, holding.packed, holding.durable = room, cached, max(holding.durable, cached.head.position.seq)
        holding.head = None

    def _begin(self, holding: Holding, target: Tier) -> None:
        """Start with nothing: a new room, or one whose store will be asked."""
        house = self._house
        if holding.head is not None:  # its log is being written to: the head is known
            position, ordinal = holding.head.position, holding.head.ordinal
            holding.room = empty(
                holding.room_id, position.epoch, target, house.limits, head=position.seq, ordinal=ordinal
            )
            holding.head = None
            holding.feed, holding.feed_floor = None, position.seq
        elif house.logged:
            holding.room = empty(holding.room_id, "", target, house.limits)
            holding.head_id = holding.head_id and house.forget(holding.head_id)
        else:
            holding.room = empty(holding.room_id, house.new_epoch(), target, house.limits)

    def _lacks(self, holding: Holding) -> bool:
        """Whether the room's tier holds more than is here, and somebody has it."""
        room = holding.room
        assert room is not None
        if holding.packed is not None or room.epoch == "":
            return True
        if not self._house.logged:
            return False
        return room.held_after > room.floor or isinstance(room, ActiveRoom)

    def load(self, holding: Holding) -> None:
        """Ask for what the room's tier holds, or let the load that is under way serve."""
        house = self._house
        if holding.load_id:
            holding.load_id = house.forget(holding.load_id)
        self._house.set_status(holding, LoadingSignal.REQUESTED)
        if holding.kept is None:
            holding.kept = list(holding.undurable)
        holding.load_id = house.ask("load", holding.room_id)
        packed = holding.packed.snapshot if holding.packed is not None else b""
        limit = _TAIL * house.limits.messages(holding.tier)
        house.out.append(LoadSnapshot(holding.room_id, holding.load_id, holding.tier, packed or None, limit))

    def loaded(self, holding: Holding, result: Loaded, now: float) -> None:
        """Put together what was loaded, what was kept meanwhile, and what the live room alone knows."""
        house = self._house
        live = holding.room
        assert live is not None
        holding.load_id = 0
        blank = self._blank(live, result)
        room = rebuilt(result.image, result.entries, blank, now, house.limits, house.make)
        known = holding.packed is not None or live.epoch != ""
        for entry in holding.kept or ():
            if entry.seq == room.head + 1:
                apply(room, entry.update, entry.seq, now, house.limits, house.make)
                room.head = entry.seq
        if known and room.head < live.head:
            self.load_failed(holding, f"what was loaded ends at {room.head}, before {live.head}", now)
            return
        self._carry_over(live, room)
        self._feed(holding, result, now)
        holding.room, holding.kept, holding.packed = room, None, None
        holding.failures = 0
        holding.durable = max(holding.durable, result.head.position.seq if result.head is not None else 0)
        self._restore_reads(holding, result)
        self._house.set_status(holding, LoadingSignal.LOADED)
        self._durability.flush_waiting(holding, now)
        self.settle(holding, now)
        self._house.refile(holding)
        house.weigh(holding)

    def _blank(self, live: LiveRoom, result: Loaded) -> LiveRoom:
        """Return an empty room of the epoch that goes on from what was loaded, right before its log entries."""
        house = self._house
        head = result.head or (Head(result.image.position, result.image.ordinal) if result.image is not None else None)
        goes_on = head is not None and house.durability == "logged"
        epoch = live.epoch or (head.position.epoch if head is not None and goes_on else house.new_epoch())
        seq, ordinal = (head.position.seq, head.ordinal) if head is not None and result.image is None else (0, 0)
        if result.image is None and result.entries:
            first = result.entries[0]
            seq, ordinal = first.seq - 1, first.ordinal - isinstance(first.update, MessageAdded)
        blank = empty(live.room_id, epoch, live.tier, house.limits, head=seq, ordinal=ordinal)
        blank.floor = 0  # the log has what is not held
        return blank

    def _feed(self, holding: Holding, result: Loaded, now: float) -> None:
        """Let the feed answer for all that was loaded and kept: clients of before a restart catch up from it."""
        image, entries = result.image, (*result.entries, *(holding.kept or ()))
        joined = image is not None and (not entries or entries[0].seq <= image.position.seq + 1)
        floor = entries[0].seq - 1 if entries else 0
        holding.feed = None
        holding.feed_floor = image.position.seq if image is not None and joined else floor
        seq = holding.feed_floor
        for entry in entries:
            if entry.seq > seq and not isinstance(entry.update, MessageAdded):
                holding.feeding().note(entry, now)
            seq = max(seq, entry.seq)

    def _carry_over(self, live: LiveRoom, room: LiveRoom) -> None:
        """Keep what only the live room knows: what took no seq."""
        room.changes = live.changes + 1
        if live.notifications is not None:
            for note in live.notifications:
                if room.notifications is None or note not in room.notifications:
                    room.note(note, self._house.limits)
        if isinstance(live, ActiveRoom) and isinstance(room, ActiveRoom):
            room.typing = live.typing
            room.ui_state = {**room.ui_state, **live.ui_state}
            for user, state in live.roster.presence.items():
                room.roster.set_presence(user, state)

    def _restore_reads(self, holding: Holding, result: Loaded) -> None:
        reads = holding.sync_reads()
        if result.image is not None:
            reads.restore(result.image.markers)
        for message_id in [name for name in reads.awaited if holding.room and name in holding.room.timeline]:
            for user in reads.awaited.pop(message_id):
                self._durability.receipt(holding, user, message_id)

    def load_failed(self, holding: Holding, reason: str, now: float) -> None:
        """Keep what is held, say ERROR, and try again later."""
        holding.load_id = 0
        self._house.set_status(holding, LoadingSignal.FAILED, reason)
        self._durability.retry(holding, reason, now)
        self._house.refile(holding)

    def retry(self, holding: Holding, now: float) -> None:
        """Do again what failed: the append, the head, the load, or the way down."""
        self._durability.append(holding)
        if holding.waiting and not holding.head_id and not holding.load_id and holding.room is None:
            self._durability.find_head(holding)
        if holding.kept is not None and not holding.load_id:
            self.load(holding)
        self.settle(holding, now)

    def wake(self, holding: Holding, now: float) -> None:
        """Hold a room at BACKGROUND for as long as things happen in it, where there is no log to keep them."""
        house = self._house
        holding.own = max(holding.own, Tier.BACKGROUND)
        house.due.set(("own", holding.room_id), now + house.interests.idle_s(Tier.BACKGROUND))
        self.signal(holding.room_id, Signal.FOLLOW, now)

    # -- down --------------------------------------------------------------------------------------------------------

    def _down(self, holding: Holding, target: Tier, now: float) -> None:
        """Move down as far as what must be safe allows; the rest follows when it is."""
        if not holding.idle or holding.room is None:
            return
        if isinstance(holding.room, ActiveRoom):
            self._to_background(holding, now)
        if target <= Tier.CACHED and not holding.save_id:
            self._save(holding, image_of(holding.room, now, holding.sync_reads().image()))

    def _to_background(self, holding: Holding, now: float) -> None:
        """Drop what BACKGROUND does not hold: it is in the log, or was never promised to be kept."""
        house = self._house
        room = holding.room
        assert isinstance(room, ActiveRoom)
        if house.logged:
            self._save(holding, image_of(room, now, holding.sync_reads().image()))
        holding.room = demoted(room, house.limits)
        if not house.logged:
            holding.room.floor = holding.room.held_after
        house.set_tier(holding.room_id, Tier.ACTIVE, Tier.BACKGROUND)
        holding.tier = Tier.BACKGROUND

    def _save(self, holding: Holding, image: RoomImage) -> None:
        house = self._house
        holding.saving = image
        holding.save_id = house.ask("save", holding.room_id)
        house.out.append(SaveSnapshot(holding.room_id, holding.save_id, image))

    def saved(self, holding: Holding, packed: bytes, now: float) -> None:
        """Take the bytes of a snapshot that is safe; where nobody asks for the room any more, only they stay."""
        house = self._house
        image = holding.saving
        holding.save_id, holding.saving, holding.failures = 0, None, 0
        room = holding.room
        if image is None or room is None or not holding.idle:
            self._house.refile(holding)
            return
        wanted = self.wanted(holding.room_id)
        if wanted >= Tier.BACKGROUND or holding.tier is Tier.ACTIVE:
            self._house.refile(holding)
        elif image.tier != Tier.BACKGROUND.name or (not house.logged and image.position.seq != room.head):
            self._save(holding, image_of(room, now, holding.sync_reads().image()))
            self._house.refile(holding)
        else:
            self._to_cached(holding, image, packed, now)

    def _to_cached(self, holding: Holding, image: RoomImage, snapshot: bytes, now: float) -> None:
        house = self._house
        room = holding.room
        assert room is not None
        head = Head(room.position, room.timeline.ordinal)
        cached = CachedRoom(holding.room_id, head, room.info, image.position.seq, image.taken_at, snapshot)
        holding.room, holding.status, holding.tier = None, Status.READY, Tier.CACHED
        house.release(holding)
        holding.reads.head, holding.reads.ordinal = head.position.seq, head.ordinal
        house.set_tier(holding.room_id, Tier.BACKGROUND, Tier.CACHED)
        self.evicted(house.cache.put(cached.room_id, cached.packed(), now=now))

    def save_failed(self, holding: Holding, reason: str, now: float) -> None:
        """Keep the room as it is, and try again later."""
        holding.save_id, holding.saving = 0, None
        self._durability.retry(holding, reason, now)
        self._house.refile(holding)

    # -- at rest -----------------------------------------------------------------------------------------------------

    def _rest(self, holding: Holding, now: float) -> None:
        """Let go of a room whose log was written to while it was at rest, and that nobody asks for."""
        house = self._house
        packed = house.cache.peek(holding.room_id)
        head = holding.head
        house.release(holding)
        if packed is not None and head is not None:
            old = CachedRoom.unpacked(holding.room_id, packed)
            new = CachedRoom(old.room_id, head, old.info, old.snapshot_seq, old.taken_at, old.snapshot)
            self.evicted(house.cache.replace(old.room_id, new.packed(), now))

    def evicted(self, evictions: tuple[Eviction, ...]) -> None:
        """Tell of rooms that the cache let go."""
        for eviction in evictions:
            self._gone(eviction.room_id, str(eviction.reason.value), eviction.size)

    def _gone(self, room_id: str, reason: str, size: int) -> None:
        house = self._house
        house.counts["eviction", reason] += 1
        house.set_tier(room_id, Tier.CACHED, Tier.UNLOADED)
        house.out.append(Evicted(room_id, reason, size))

    def _drop_cached(self, room_id: str, reason: str) -> None:
        packed = self._house.cache.pop(room_id)
        if packed is not None:
            self._gone(room_id, reason, len(packed))

    def head_found(self, holding: Holding, head: Head | None, now: float) -> None:
        """Number what waited at a room that is at rest, now that its head is known."""
        house = self._house
        holding.head_id = 0
        if head is None:
            holding.head = Head(Position(house.new_epoch(), 0))
        elif house.durability == "logged":
            holding.head = head
        else:
            holding.head = Head(Position(house.new_epoch(), head.position.seq), head.ordinal)
        holding.durable = holding.head.position.seq
        self._durability.flush_waiting(holding, now)
        self.settle(holding, now)

    # -- memory ------------------------------------------------------------------------------------------------------

    def press(self, now: float) -> None:
        """Free memory until ``max_bytes`` is kept: cached rooms leave first, then the coldest BACKGROUND rooms pack up.

        Pinned, ACTIVE and undurable bytes may exceed the budget, and so may a room whose snapshot is being saved.
        """
        house = self._house
        over = house.bytes + house.cache.bytes - house.bounds.max_bytes
        if over > 0 and house.cache.bytes:
            self.evicted(house.cache.shrink(max(0, house.cache.bytes - over), now))
            over = house.bytes + house.cache.bytes - house.bounds.max_bytes
        while over > 0 and (touched := house.by_cold.next()) is not None:
            holding = house.holdings[house.by_cold.pop(touched) or ""]
            if holding.touched > touched:
                house.by_cold.set(holding.room_id, holding.touched)
            else:
                over -= holding.bytes
                self._squeeze(holding, now)

    def _squeeze(self, holding: Holding, now: float) -> None:
        """Let the interests in a BACKGROUND room lapse early, and pack it up."""
        house = self._house
        for viewer in house.interests.viewers_of(holding.room_id, Tier.BACKGROUND):
            house.interests.drop(viewer, holding.room_id)
        holding.own = Tier.UNLOADED
        self.signal(holding.room_id, Signal.PRESSURE, now)
