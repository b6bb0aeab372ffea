"""The way down: what a tier does not hold leaves memory, once it is safe elsewhere.

A room waits at the tier that it has until its updates are in the log, and a room on its way to CACHED until its
snapshot is safe. A room whose load has not succeeded is not saved: it knows less than the store does, and goes back to
what it came from.
"""

from __future__ import annotations

from msgspec import structs

from roomstate.effects import Evicted, Head, SaveSnapshot
from roomstate.holding.house import House
from roomstate.holding.marking import folded
from roomstate.holding.record import Holding
from roomstate.image import RoomImage
from roomstate.model import RoomInfo, Status, Tier
from roomstate.position import Gap, above
from roomstate.residency.entry import Eviction
from roomstate.room.passage import demoted, image_of
from roomstate.room.states import ActiveRoom, CachedRoom, LiveRoom

__all__ = ["Leaving"]


class Leaving:
    """Moves the rooms of one house down, and out."""

    __slots__ = ("_house",)

    def __init__(self, house: House) -> None:
        self._house = house

    def image(self, holding: Holding, now: float) -> RoomImage:
        """Return all of a live room as values. Without a log nothing is known of what has left its window."""
        room = holding.room
        assert room is not None
        image = image_of(room, now, folded(holding.sync_reads()))
        if not (self._house.logged or room.timeline.by_time):
            image = _begun_at(image, room.held_after)
        if holding.brief:  # what it lacks is not to be lost from the deep one
            image = structs.replace(image, tier=Tier.BACKGROUND.name)
        if holding.cursor is not None:
            image = structs.replace(image, cursor=holding.cursor)
        if room.timeline.by_time and holding.replica is None:
            return image
        return structs.replace(image, pending=tuple(holding.echoes or ()), fingerprint=holding.fingerprint())

    def down(self, holding: Holding, target: Tier, now: float) -> None:
        """Move down as far as what must be safe allows; the rest follows when it is."""
        if not holding.idle or holding.room is None:
            return
        self._house.given_up(holding, now)
        if isinstance(holding.room, ActiveRoom):
            self._to_background(holding, now)
        if target >= Tier.BACKGROUND:
            return
        if holding.kept is not None:
            self._back(holding, now)
        elif self._house.replica and holding.room.epoch == "" and not holding.echoes:
            self._out(holding)  # nothing was heard of it yet
        elif holding.saving is None:
            self.save(holding, now)

    def _to_background(self, holding: Holding, now: float) -> None:
        """Drop what BACKGROUND does not hold: it is in the log, or was never promised to be kept."""
        house, room = self._house, holding.room
        assert isinstance(room, ActiveRoom)
        before = room.bytes
        if house.logged and holding.kept is None and not holding.brief:
            self.cancel(holding)
            self.save(holding, now)
        holding.room = demoted(room, house.limits)
        if holding.saving is not None:
            holding.saving_bytes = max(0, before - holding.room.bytes)
        if not (house.logged or room.timeline.by_time):
            self._raise_floor(holding, holding.room)
        house.set_tier(holding.room_id, Tier.ACTIVE, Tier.BACKGROUND)
        holding.tier = Tier.BACKGROUND

    def _raise_floor(self, holding: Holding, room: LiveRoom) -> None:
        """Know nothing any more of what has left the window; what was missing of it stays uncounted for good."""
        room.floor = room.held_after
        holding.sync_reads().cut(_lost(room.gaps, room.floor))
        room.gaps = above(room.gaps, room.floor)

    # -- saving ------------------------------------------------------------------------------------------------------

    def save(self, holding: Holding, now: float) -> None:
        """Ask for the room as it is to be saved."""
        holding.saving = self.image(holding, now)
        self.ask(holding)

    def ask(self, holding: Holding) -> None:
        """Ask for the image that is on its way to be saved, for the first time or again."""
        image = holding.saving
        assert image is not None
        holding.save_id = self._house.ask("save", holding.room_id)
        self._house.out.append(SaveSnapshot(holding.room_id, holding.save_id, image))

    def cancel(self, holding: Holding) -> None:
        """Let an image that is on its way matter no more: the room has gone on."""
        holding.save_id = self._house.forget(holding.save_id)
        holding.saving, holding.saving_bytes = None, 0
        self._house.succeeded(holding, "save")

    def saved(self, holding: Holding, packed: bytes, now: float) -> None:
        """Take the bytes of a snapshot that is safe; where nobody asks for the room any more, only they stay."""
        house = self._house
        image, room = holding.saving, holding.room
        assert image is not None
        assert room is not None
        holding.snapshot_seq = max(holding.snapshot_seq, image.position.seq)
        if image.tier == Tier.ACTIVE.name and image.position.seq >= holding.owed_deep:
            holding.owed_deep = 0
        holding.save_id = 0
        self.cancel(holding)
        if holding.idle and holding.tier is Tier.BACKGROUND and house.wanted(holding.room_id) < Tier.BACKGROUND:
            if image.tier == Tier.BACKGROUND.name and (house.logged or image.position.seq == room.head):
                self._to_cached(holding, image, packed, now)
                return
            self.save(holding, now)
        house.refile(holding)
        house.weigh(holding)

    def failed(self, holding: Holding, reason: str, now: float) -> None:
        """Keep the room and its image as they are, and try again later."""
        holding.save_id = 0
        self._house.save_failed(holding, "save", reason, now)

    # -- at rest -----------------------------------------------------------------------------------------------------

    def _to_cached(self, holding: Holding, image: RoomImage, snapshot: bytes, now: float) -> None:
        room = holding.room
        assert room is not None
        newest = next(reversed(room.timeline.messages()), None)
        info = room.info if newest is None else structs.replace(room.info, last_activity=newest.timestamp)
        head = Head(room.position, room.timeline.ordinal)
        if room.gaps:
            holding.sync_reads().cut(room.gaps[-1].upto)
        self._put(holding, CachedRoom(room.room_id, head, info, image.position.seq, image.taken_at, snapshot), now)

    def _back(self, holding: Holding, now: float) -> None:
        """Let a room that was never filled go back to where it came from, as far on as it has come since."""
        room, old = holding.room, holding.packed
        assert room is not None
        if room.epoch == "" or (old is None and not self._house.logged):
            self._out(holding)
            return
        head = Head(room.position, room.timeline.ordinal)
        cached = old if old is not None else CachedRoom(room.room_id, head, room.info, 0, now, b"")
        self._put(holding, structs.replace(cached, head=head, info=self._latest(holding, room.info)), now)

    def _latest(self, holding: Holding, info: RoomInfo) -> RoomInfo:
        """Return ``info`` with the time of the newest message that is known of."""
        room = holding.room
        newest = next(reversed(room.timeline.messages()), None) if room is not None else None
        times = (info.last_activity, holding.activity, newest.timestamp if newest is not None else None)
        return structs.replace(info, last_activity=max((at for at in times if at is not None), default=None))

    def _put(self, holding: Holding, cached: CachedRoom, now: float) -> None:
        house = self._house
        old = holding.tier
        holding.reads.head, holding.reads.ordinal = cached.head.position.seq, cached.head.ordinal
        holding.room, holding.packed, holding.status, holding.tier = None, None, Status.READY, Tier.CACHED
        house.release(holding)
        house.set_tier(holding.room_id, old, Tier.CACHED)
        self.evicted(house.cache.put(cached.room_id, cached.packed(), now=now))

    def _out(self, holding: Holding) -> None:
        """Forget a live room of which nothing is known."""
        old = holding.tier
        holding.room, holding.status, holding.tier = None, Status.READY, Tier.UNLOADED
        self._house.release(holding)
        self._house.set_tier(holding.room_id, old, Tier.UNLOADED)

    def rest(self, holding: Holding, now: float) -> None:
        """Let go of a room whose log was written to while it was at rest, and that nobody asks for."""
        house = self._house
        packed, head = house.cache.peek(holding.room_id), holding.head
        house.release(holding)
        if packed is not None and head is not None:
            old = CachedRoom.unpacked(holding.room_id, packed)
            new = structs.replace(old, head=head, info=self._latest(holding, old.info))
            self.evicted(house.cache.replace(old.room_id, new.packed(), now))

    def evicted(self, evictions: tuple[Eviction, ...]) -> None:
        """Tell of rooms that the cache let go."""
        for eviction in evictions:
            self._gone(eviction.room_id, str(eviction.reason.value), eviction.size)

    def purge(self, room_id: str) -> None:
        """Drop a cached room."""
        packed = self._house.cache.pop(room_id)
        assert packed is not None
        self._gone(room_id, "purged", len(packed))

    def _gone(self, room_id: str, reason: str, size: int) -> None:
        house = self._house
        if house.foresight is not None:
            house.foresight.dropped(room_id)
        house.counts["eviction", reason] += 1
        house.set_tier(room_id, Tier.CACHED, Tier.UNLOADED)
        house.out.append(Evicted(room_id, reason, size))


def _lost(gaps: tuple[Gap, ...], floor: int) -> int:
    """Return up to where gaps that begin below ``floor`` reach: what lies in them will not be filled."""
    return max((gap.upto for gap in gaps if gap.after < floor), default=0)


def _begun_at(image: RoomImage, floor: int) -> RoomImage:
    """Return ``image`` as one that knows nothing at or below ``floor``."""
    lost = _lost(image.gaps, floor)
    markers = {
        user: structs.replace(marker, cut=True) if marker.seq < lost else marker
        for user, marker in image.markers.items()
    }
    return structs.replace(image, floor=floor, gaps=above(image.gaps, floor), markers=markers)
