"""Each storing effect, carried out: what comes back is what the manager's `complete` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roomstate.effects import (
    Appended,
    AppendLog,
    Loaded,
    LoadHead,
    LoadLog,
    LoadPacked,
    LoadSnapshot,
    LogEntry,
    Packed,
    SaveSnapshot,
)
from roomstate.errors import DamagedSnapshot, InvalidValue, SnapshotError, StoreUnavailable
from roomstate.host.ports import Codec, codec_for, perform
from roomstate.image import RoomImage
from roomstate.model import Message, Tier
from roomstate.position import Position
from roomstate.snapshot.codec import SnapshotCodec
from roomstate.store import MemoryStore
from roomstate.testing.contracts_store import added, batch, head
from roomstate.updates import MessageAdded

CODEC = SnapshotCodec()


def message(entry: LogEntry) -> Message:
    update = entry.update
    assert isinstance(update, MessageAdded)
    assert isinstance(update.message, Message)
    return update.message


def image(seq: int, tier: Tier = Tier.ACTIVE, room_id: str = "a", first: int = 1) -> RoomImage:
    """The image of a room whose entries are `batch`'s, at ``seq``."""
    entries = batch(first, seq + 1)
    return RoomImage(
        room_id=room_id,
        position=Position("e1", seq),
        tier=tier.name,
        ordinal=seq,
        held_after=first - 1,
        messages=tuple(message(entry) for entry in entries),
        seqs=tuple(entry.seq for entry in entries),
    )


def store_with(log: int, **snapshots: int) -> MemoryStore:
    """A store whose room "a" has a log up to ``log``, and snapshots by tier, taken at seqs."""
    store = MemoryStore()
    if log:
        store.append("a", "e1", batch(1, log + 1))
    for tier, seq in snapshots.items():
        perform(SaveSnapshot("a", 1, image(seq, Tier[tier])), store, CODEC)
    return store


def load(store: MemoryStore | None, tier: Tier = Tier.ACTIVE, packed: bytes | None = None, limit: int = 100) -> Loaded:
    loaded = perform(LoadSnapshot("a", 1, tier, packed, limit), store, CODEC)
    assert isinstance(loaded, Loaded)
    return loaded


def test_the_codec_of_the_library_is_a_codec() -> None:
    assert isinstance(CODEC, Codec)


def test_a_head_is_found_or_there_is_none() -> None:
    assert perform(LoadHead("a", 1), store_with(5), CODEC) == head(5)
    assert perform(LoadHead("a", 1), MemoryStore(), CODEC) is None
    assert perform(LoadHead("a", 1), None, CODEC) is None


def test_entries_are_appended_and_read() -> None:
    store = MemoryStore()
    entries = (*batch(1, 4), added(4, "m1"))
    assert perform(AppendLog("a", 1, "e1", entries), store, CODEC) == Appended(4, (4,))
    assert perform(LoadLog("a", 1, 1, 3, 10), store, CODEC) == batch(2, 4)
    assert perform(LoadLog("a", 1, 0, 3, 1), store, CODEC) == batch(3, 4)
    assert perform(LoadLog("a", 1, 0, 3, 1), None, CODEC) == ()


def test_there_must_be_a_store_to_append_to() -> None:
    with pytest.raises(StoreUnavailable, match="a: there is no store"):
        perform(AppendLog("a", 1, "e1", batch(1, 2)), None, CODEC)


def test_a_snapshot_is_kept_under_its_tier_and_given_back() -> None:
    store = store_with(5)
    data = perform(SaveSnapshot("a", 1, image(5, Tier.BACKGROUND)), store, CODEC)
    assert isinstance(data, bytes)
    assert store.load_snapshot("a", Tier.BACKGROUND) == data
    assert CODEC.decode(data) == image(5, Tier.BACKGROUND)
    assert perform(SaveSnapshot("a", 1, image(5)), None, CODEC) == CODEC.encode(image(5))


def test_an_older_snapshot_is_given_back_but_not_kept() -> None:
    store = store_with(9, ACTIVE=8)
    data = perform(SaveSnapshot("a", 1, image(5)), store, CODEC)
    assert isinstance(data, bytes)
    assert CODEC.decode(data) == image(5)
    assert load(store).image == image(8)


def test_a_room_comes_back_as_its_snapshot_and_what_followed() -> None:
    assert load(store_with(9, ACTIVE=4)) == Loaded(head(9), image(4), batch(5, 10))
    assert load(store_with(9, ACTIVE=9)) == Loaded(head(9), image(9), ())
    assert load(store_with(9)) == Loaded(head(9), None, batch(1, 10))
    assert load(MemoryStore()) == Loaded()


def test_the_packed_bytes_go_before_the_store() -> None:
    packed = CODEC.encode(image(7))
    assert load(store_with(9, ACTIVE=4), packed=packed) == Loaded(head(9), image(7), batch(8, 10))
    assert load(None, packed=packed) == Loaded(None, image(7))
    assert load(None) == Loaded()
    assert load(store_with(5), packed=packed) == Loaded(head(5), image(7), ())


def test_a_limit_keeps_the_newest_and_leaves_a_hole() -> None:
    assert load(store_with(9, ACTIVE=4), limit=2) == Loaded(head(9), image(4), batch(8, 10))


def test_a_deep_snapshot_is_preferred_though_it_is_older() -> None:
    store = store_with(9, ACTIVE=4, BACKGROUND=8)
    assert load(store) == Loaded(head(9), image(4), batch(5, 10))
    assert load(store, Tier.BACKGROUND) == Loaded(head(9), image(8, Tier.BACKGROUND), batch(9, 10))


def test_a_log_that_reaches_further_back_than_a_brief_snapshot_is_read_for_who_looks() -> None:
    store = store_with(9)
    perform(SaveSnapshot("a", 1, image(8, Tier.BACKGROUND, first=7)), store, CODEC)
    brief = image(8, Tier.BACKGROUND, first=7)
    assert load(store) == Loaded(head(9), brief, batch(1, 10))
    assert load(store, limit=5) == Loaded(head(9), brief, batch(5, 10))
    assert load(store, limit=3) == Loaded(head(9), brief, batch(9, 10))
    assert load(store, Tier.BACKGROUND) == Loaded(head(9), brief, batch(9, 10))


def test_a_log_with_a_hole_begins_after_it() -> None:
    store = store_with(4, ACTIVE=3, BACKGROUND=8)
    assert load(store) == Loaded(head(8), image(8, Tier.BACKGROUND), ())  # the log does not reach the head
    store.append("a", "e1", batch(9, 12))
    assert load(store) == Loaded(head(11), image(8, Tier.BACKGROUND), batch(9, 12))  # it joins the newer one
    assert load(store, Tier.BACKGROUND) == Loaded(head(11), image(8, Tier.BACKGROUND), batch(9, 12))


def test_a_head_that_nothing_reaches_is_still_told() -> None:
    class Forgetful(MemoryStore):
        def load_snapshot(self, room_id: str, tier: Tier) -> bytes | None:
            return None

    store = Forgetful()
    store.append("a", "e1", batch(1, 3))
    store.save_snapshot("a", Tier.ACTIVE, head(8), b"lost")
    assert load(store) == Loaded(head(8), None, ())


def test_a_snapshot_of_another_room_is_damaged() -> None:
    store = store_with(5)
    store.save_snapshot("a", Tier.ACTIVE, head(5), CODEC.encode(image(5, room_id="b")))
    with pytest.raises(DamagedSnapshot, match="a: the snapshot is of another room, 'b'"):
        load(store)


def test_what_is_no_snapshot_is_a_typed_error() -> None:
    store = store_with(5)
    store.save_snapshot("a", Tier.ACTIVE, head(5), b"nonsense")
    with pytest.raises(SnapshotError):
        load(store)


def test_what_the_log_does_not_take_is_refused() -> None:
    with pytest.raises(InvalidValue, match="must continue the log"):
        perform(AppendLog("a", 1, "e1", batch(3, 4)), store_with(1), CODEC)


def test_a_store_s_dictionaries_are_known_to_its_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    store, asked = MemoryStore(), list[Any]()
    store.save_dictionary("d1", b"one")

    def known(data: bytes) -> bytes:
        asked.append(data)
        return data

    monkeypatch.setattr("roomstate.host.ports.Dictionary", known)
    monkeypatch.setattr("roomstate.host.ports.SnapshotCodec", lambda dictionaries: list(dictionaries))
    found: Any = codec_for(store)
    assert found == [b"one"] == asked
    found = codec_for(None)
    assert found == []


class Own:
    """A host's own codec: it has no headers."""

    def encode(self, image: RoomImage, /) -> bytes:
        return CODEC.encode(image)

    def decode(self, data: bytes, /) -> RoomImage:
        return CODEC.decode(data)


@pytest.mark.parametrize("codec", [CODEC, Own()])
def test_a_room_comes_packed_as_it_lies_in_the_store(codec: Codec) -> None:
    store = store_with(9, ACTIVE=5, BACKGROUND=7)
    packed = perform(LoadPacked("a", 1), store, codec)
    data = store.load_snapshot("a", Tier.ACTIVE) or b""
    assert packed == Packed(head(9), data, 5, 0.0, image(5).info)
    assert perform(LoadPacked("a", 1), store_with(9), codec) == Packed(head(9))
    assert perform(LoadPacked("b", 1), store, codec) is None
    assert perform(LoadPacked("a", 1), None, codec) is None


def test_a_packed_room_is_the_one_that_was_asked_for() -> None:
    store = store_with(9)
    store.save_snapshot("a", Tier.ACTIVE, head(5), CODEC.encode(image(5, room_id="b")))
    with pytest.raises(DamagedSnapshot):
        perform(LoadPacked("a", 1), store, CODEC)
    store.save_snapshot("a", Tier.ACTIVE, head(6), b"damaged")
    with pytest.raises(SnapshotError):
        perform(LoadPacked("a", 1), store, CODEC)


@pytest.mark.parametrize("path", ["chat.db", Path("chat.db")])
def test_a_path_is_no_store(path: Any) -> None:
    with pytest.raises(InvalidValue, match=r"store: must be a store, such as SQLiteStore\('chat.db'\)"):
        codec_for(path)
