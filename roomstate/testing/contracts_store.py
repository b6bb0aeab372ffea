"""What every `RoomStore` keeps, as tests that a third party runs on its own.

Subclass `StoreContract` in a test module, give it ``make``, and let pytest collect it::

    class TestMine(StoreContract):
        def make(self) -> RoomStore:
            return MyStore(...)

A store that outlives its process also gives ``reopen``, and then `DurableStoreContract` is the class to take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from roomstate.effects import Appended, Head, LogEntry
from roomstate.errors import InvalidValue, StoreUnavailable
from roomstate.model import Message, Tier
from roomstate.position import Position
from roomstate.store.base import NOTHING, RoomStore
from roomstate.updates import MessageAdded, MessageEdited, MessageRemoved, TypingChanged, Update

EPOCH: Final = datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC)

NAMES: Final[tuple[str, ...]] = (
    *("a", "b/../c", "d\0e", "\0", "%", "_", "'; DROP TABLE room; --", " ", "\n", "A", "a "),
    *("\u00e9", "e\u0301", "\u202e", "\ud7ff", "\uffff", "\U0001f600", "\U0002f800", "\U0010ffff"),
    *(chr(plane << 16 | 0x41) for plane in range(17)),
    "x" * 512,
    "\U0001f600" * 512,
)
"""Names that a room or a message may have: NUL, slashes, quotes, every plane of Unicode, and as long as they get."""

BAD_NAMES: tuple[Any, ...] = ("", "x" * 513, "x" * 10_240, "\ud800", None, 3, b"a")
"""Names that nothing may have."""


def added(seq: int, message_id: str | None = None, **fields: Any) -> LogEntry:
    """A message at ``seq``, the ``seq``-th of its room."""
    message = Message(message_id or f"m{seq}", "bob", f"text {seq}", EPOCH + timedelta(seconds=seq), **fields)
    return LogEntry(seq, seq, MessageAdded(message))


def batch(start: int, stop: int) -> tuple[LogEntry, ...]:
    """Messages at seqs in ``[start, stop)``."""
    return tuple(added(seq) for seq in range(start, stop))


def head(seq: int, epoch: str = "e1") -> Head:
    """A head at ``seq``, where every entry was a message."""
    return Head(Position(epoch, seq), seq)


def state(store: RoomStore, rooms: Sequence[str] = ("a", "b")) -> list[object]:
    """All that a store says of some rooms: equal before and after means that nothing changed."""
    said: list[object] = [store.rooms(), store.dictionaries(), dict(store.damaged())]
    for room_id in rooms:
        snapshots = (store.load_snapshot(room_id, tier) for tier in Tier)
        said += [store.head(room_id), store.read(room_id), *snapshots]
    return said


def rejects(store: RoomStore, call: Callable[[], object]) -> None:
    """Assert that ``call`` raises `InvalidValue`, as every bad argument does, and changes nothing."""
    before = state(store)
    try:
        call()
    except InvalidValue:
        assert state(store) == before, "a rejected call has changed something"
        return
    raise AssertionError("a bad argument was accepted")


class StoreContract:
    """The contract; ``make`` gives a new, empty store."""

    def make(self) -> RoomStore:
        """A new store, with nothing in it."""
        raise NotImplementedError

    def filled(self) -> RoomStore:
        """A store whose room "a" has ten messages and a snapshot at 6."""
        store = self.make()
        store.append("a", "e1", batch(1, 11))
        store.save_snapshot("a", Tier.ACTIVE, head(6), b"deep")
        return store

    def test_is_a_store(self) -> None:
        assert isinstance(self.make(), RoomStore)

    def test_knows_nothing_at_first(self) -> None:
        store = self.make()
        assert state(store) == [(), (), {}] + [None, (), None, None, None, None] * 2
        assert store.load_dictionary("d") is None
        assert store.truncate("a", 0) == 0
        assert store.delete("a") is False

    # -- logs --------------------------------------------------------------------------------------------------------

    def test_what_was_appended_is_read(self) -> None:
        store = self.make()
        assert store.append("a", "e1", batch(1, 4)) == Appended(3)
        assert store.append("a", "e1", batch(4, 6)) == Appended(5)
        assert store.read("a") == batch(1, 6)
        assert store.head("a") == head(5)
        assert store.read("b") == ()

    def test_an_interval_leaves_out_its_start_and_includes_its_end(self) -> None:
        store = self.filled()
        assert store.read("a", 3, 5) == batch(4, 6)
        assert store.read("a", 5, 5) == ()
        assert store.read("a", 9, 99) == batch(10, 11)
        assert store.read("a", 99) == ()

    def test_a_limit_keeps_the_newest(self) -> None:
        store = self.filled()
        assert store.read("a", 0, None, 3) == batch(8, 11)
        assert store.read("a", 0, 5, 2) == batch(4, 6)
        assert store.read("a", 0, 5, 0) == ()

    def test_an_update_is_read_as_it_was_written(self) -> None:
        store = self.make()
        extra = {"n": [1, 2.5, None, {"deep": "\u2028\0"}], "": True}
        updates: tuple[Update, ...] = (
            MessageAdded(Message("1", "bob", "\0\n\U0001f600", EPOCH, ("mod",), extra)),
            MessageEdited("1", "new", EPOCH, {"k": "v"}),
            MessageRemoved("1", "ada"),
        )
        entries = tuple(LogEntry(seq, 1, update) for seq, update in enumerate(updates, 1))
        store.append("a", "e1", entries)
        assert store.read("a") == entries

    def test_rooms_do_not_mix(self) -> None:
        store = self.filled()
        store.append("b", "e2", batch(1, 3))
        assert store.read("b") == batch(1, 3)
        assert store.head("a") == head(10)
        assert store.load_snapshot("b", Tier.ACTIVE) is None

    def test_the_same_again_is_harmless(self) -> None:
        store = self.filled()
        before = state(store)
        assert store.append("a", "e1", batch(1, 11)) == Appended(10)
        assert store.append("a", "e1", batch(4, 6)) == Appended(10)
        assert state(store) == before
        assert store.append("a", "e1", batch(9, 13)) == Appended(12)
        assert store.read("a") == batch(1, 13)

    def test_a_hole_is_refused(self) -> None:
        store = self.filled()
        rejects(store, lambda: store.append("a", "e1", batch(12, 13)))
        rejects(store, lambda: store.append("b", "e1", batch(2, 3)))

    def test_other_content_at_a_seq_is_refused(self) -> None:
        store = self.filled()
        rejects(store, lambda: store.append("a", "e1", [added(10, "other")]))
        rejects(store, lambda: store.append("a", "e1", [added(10, "m3"), added(11)]))

    def test_a_repeated_message_keeps_its_seq_and_holds_nothing(self) -> None:
        store = self.filled()
        entries = (added(11, "m3"), added(12), added(13, "m12"), added(14, "m3"))
        assert store.append("a", "e1", entries) == Appended(14, (11, 13, 14))
        assert store.append("a", "e1", entries) == Appended(14, (11, 13, 14))
        read = store.read("a", 10)
        assert [entry.seq for entry in read] == [11, 12, 13, 14]
        assert [entry.update for entry in read] == [NOTHING, added(12).update, NOTHING, NOTHING]
        assert store.head("a") == head(14)

    def test_the_same_message_id_in_another_room_is_another_message(self) -> None:
        store = self.filled()
        assert store.append("b", "e1", batch(1, 3)) == Appended(2)

    def test_a_new_epoch_continues_the_numbers(self) -> None:
        store = self.filled()
        rejects(store, lambda: store.append("a", "e2", batch(1, 3)))
        rejects(store, lambda: store.append("a", "e2", batch(10, 12)))
        rejects(store, lambda: store.append("a", "e2", batch(12, 13)))
        assert store.append("a", "e2", batch(11, 13)) == Appended(12)
        assert store.head("a") == head(12, "e2")
        assert store.read("a") == batch(1, 13)

    def test_a_bad_append_changes_nothing(self) -> None:
        store = self.filled()
        bad: list[Sequence[LogEntry]] = [
            [],
            [added(11), added(13)],
            [added(12), added(11)],
            [LogEntry(11, 11, added(11).update), LogEntry(12, 10, added(12).update)],
            [LogEntry(11, 10, TypingChanged("bob"))],
            [added(11, extra={"object": object()})],
            [added(11), added(12, extra={"x": "\ud800"})],
            [LogEntry(0, 1, added(1).update)],
            [LogEntry(2**53, 1, added(1).update)],
        ]
        for entries in bad:
            rejects(store, lambda entries=entries: store.append("a", "e1", entries))  # type: ignore[misc]
        rejects(store, lambda: store.append("a", "", batch(11, 12)))

    # -- snapshots ---------------------------------------------------------------------------------------------------

    def test_a_snapshot_comes_back(self) -> None:
        store = self.filled()
        data = bytes(range(256)) * 1000
        assert store.save_snapshot("a", Tier.BACKGROUND, head(9), data) is True
        assert store.load_snapshot("a", Tier.BACKGROUND) == data
        assert store.load_snapshot("a", Tier.CACHED) == data
        assert store.load_snapshot("a", Tier.ACTIVE) == b"deep"

    def test_each_tier_gets_the_snapshot_that_serves_it_best(self) -> None:
        store = self.filled()
        assert store.load_snapshot("a", Tier.BACKGROUND) == b"deep"
        store.save_snapshot("a", Tier.BACKGROUND, head(6), b"brief")
        assert store.load_snapshot("a", Tier.BACKGROUND) == b"brief"
        store.save_snapshot("a", Tier.ACTIVE, head(8), b"deeper")
        assert store.load_snapshot("a", Tier.BACKGROUND) == b"deeper"
        store.save_snapshot("b", Tier.BACKGROUND, head(1), b"only")
        assert store.load_snapshot("b", Tier.ACTIVE) == b"only"

    def test_an_older_snapshot_does_not_replace_a_newer_one(self) -> None:
        store = self.filled()
        before = state(store)
        assert store.save_snapshot("a", Tier.ACTIVE, head(5), b"older") is False
        assert state(store) == before
        assert store.save_snapshot("a", Tier.ACTIVE, head(6), b"again") is True
        assert store.load_snapshot("a", Tier.ACTIVE) == b"again"

    def test_where_there_is_no_log_a_snapshot_of_another_epoch_replaces_everything(self) -> None:
        store = self.make()
        store.save_snapshot("a", Tier.ACTIVE, head(9, "e1"), b"deep")
        store.save_snapshot("a", Tier.BACKGROUND, head(10, "e1"), b"brief")
        assert store.save_snapshot("a", Tier.BACKGROUND, head(2, "e2"), b"other") is True
        assert store.head("a") == head(2, "e2")
        assert store.load_snapshot("a", Tier.ACTIVE) == b"other"
        assert store.save_snapshot("a", Tier.BACKGROUND, head(1, "e2"), b"older") is False

    def test_a_snapshot_beyond_the_log_is_the_head(self) -> None:
        store = self.filled()
        store.save_snapshot("a", Tier.ACTIVE, head(20), b"far")
        assert store.head("a") == head(20)
        rejects(store, lambda: store.append("a", "e1", batch(22, 23)))
        rejects(store, lambda: store.append("a", "e1", batch(12, 13)))
        assert store.append("a", "e1", batch(11, 13)) == Appended(12)  # the log catches up
        assert store.head("a") == head(20)
        assert store.append("a", "e2", batch(21, 23)) == Appended(22)  # or goes on from the snapshot
        assert store.head("a") == head(22, "e2")
        assert store.read("a", 11) == batch(12, 13) + batch(21, 23)

    def test_a_room_may_begin_with_a_snapshot(self) -> None:
        store = self.make()
        store.save_snapshot("a", Tier.BACKGROUND, head(500), b"brief")
        assert store.rooms() == ("a",)
        assert store.head("a") == head(500)
        assert store.append("a", "e1", batch(501, 503)) == Appended(502)

    def test_a_bad_snapshot_is_refused(self) -> None:
        store = self.filled()
        for tier in (Tier.CACHED, Tier.UNLOADED):
            rejects(store, lambda tier=tier: store.save_snapshot("a", tier, head(11), b"x"))  # type: ignore[misc]
        rejects(store, lambda: store.save_snapshot("a", Tier.ACTIVE, head(-1), b"x"))
        rejects(store, lambda: store.save_snapshot("a", Tier.ACTIVE, head(11, ""), b"x"))
        rejects(store, lambda: store.save_snapshot("a", Tier.ACTIVE, head(11), b""))

    # -- truncating, listing, deleting -------------------------------------------------------------------------------

    def test_truncating_drops_the_beginning(self) -> None:
        store = self.filled()
        assert store.truncate("a", 6, 2) == 2
        assert store.read("a") == batch(3, 11)
        assert store.truncate("a", 5) == 3
        assert store.truncate("a", 5) == 0
        assert store.read("a") == batch(6, 11)
        assert store.head("a") == head(10)

    def test_what_no_snapshot_covers_is_not_truncated(self) -> None:
        store = self.filled()
        assert store.truncate("a", 9) == 6
        assert store.read("a") == batch(7, 11)
        store.append("b", "e1", batch(1, 3))
        assert store.truncate("b", 1) == 0

    def test_what_follows_the_deep_snapshot_is_not_truncated(self) -> None:
        store = self.filled()
        store.save_snapshot("a", Tier.BACKGROUND, head(10), b"brief")
        assert store.truncate("a", 10) == 6
        assert store.read("a") == batch(7, 11)
        store.append("b", "e1", batch(1, 5))
        store.save_snapshot("b", Tier.BACKGROUND, head(4), b"brief")
        assert store.truncate("b", 3) == 3

    def test_a_truncated_log_goes_on(self) -> None:
        store = self.filled()
        store.save_snapshot("a", Tier.ACTIVE, head(10), b"all")
        assert store.truncate("a", 10) == 10
        assert store.read("a") == ()
        assert store.append("a", "e1", batch(9, 13)) == Appended(12)
        assert store.read("a") == batch(11, 13)

    def test_rooms_are_listed_in_order_and_in_pages(self) -> None:
        store = self.make()
        for name in reversed(NAMES):
            store.append(name, "e1", batch(1, 2))
        pages, after = [], ""
        while page := store.rooms(after, 5):
            pages.append(page)
            after = page[-1]
        assert max(map(len, pages)) == 5
        assert [name for page in pages for name in page] == sorted(set(NAMES))
        assert store.rooms("", 0) == ()

    def test_names_are_kept_apart(self) -> None:
        store = self.make()
        for at, name in enumerate(sorted(set(NAMES))):
            store.append(name, f"e{at}", [added(1, name)])
            store.save_snapshot(name, Tier.ACTIVE, head(1, f"e{at}"), name.encode())
        for at, name in enumerate(sorted(set(NAMES))):
            assert store.head(name) == head(1, f"e{at}")
            assert store.read(name) == (added(1, name),)
            assert store.load_snapshot(name, Tier.ACTIVE) == name.encode()

    def test_bad_names_are_refused(self) -> None:
        store = self.filled()
        for name in BAD_NAMES:
            for call in (
                lambda name=name: store.head(name),
                lambda name=name: store.append(name, "e1", batch(1, 2)),
                lambda name=name: store.read(name),
                lambda name=name: store.save_snapshot(name, Tier.ACTIVE, head(1), b"x"),
                lambda name=name: store.load_snapshot(name, Tier.ACTIVE),
                lambda name=name: store.truncate(name, 0),
                lambda name=name: store.delete(name),
                lambda name=name: store.save_dictionary(name, b"x"),
                lambda name=name: store.load_dictionary(name),
            ):
                rejects(store, call)

    def test_bad_numbers_are_refused(self) -> None:
        store = self.filled()
        for number in (-1, 2**53, 1.5, "1"):
            bad: Any = number
            rejects(store, lambda bad=bad: store.read("a", bad))  # type: ignore[misc]
            rejects(store, lambda bad=bad: store.read("a", 0, bad))  # type: ignore[misc]
            rejects(store, lambda bad=bad: store.read("a", 0, 9, bad))  # type: ignore[misc]
            rejects(store, lambda bad=bad: store.truncate("a", bad))  # type: ignore[misc]
            rejects(store, lambda bad=bad: store.truncate("a", 1, bad))  # type: ignore[misc]
            rejects(store, lambda bad=bad: store.rooms("", bad))  # type: ignore[misc]

    def test_a_deleted_room_is_gone(self) -> None:
        store = self.filled()
        store.append("b", "e1", batch(1, 3))
        assert store.delete("a") is True
        assert store.rooms() == ("b",)
        assert (store.head("a"), store.read("a"), store.load_snapshot("a", Tier.ACTIVE)) == (None, (), None)
        assert store.append("a", "e9", batch(1, 3)) == Appended(2)
        assert store.read("b") == batch(1, 3)

    # -- dictionaries, threads, the end ------------------------------------------------------------------------------

    def test_a_dictionary_comes_back(self) -> None:
        store = self.make()
        store.save_dictionary("d2", b"two")
        store.save_dictionary("d1", b"one")
        store.save_dictionary("d1", b"one")
        assert store.dictionaries() == ("d1", "d2")
        assert store.load_dictionary("d2") == b"two"

    def test_threads_may_call_at_once(self) -> None:
        store, failures = self.make(), list[BaseException]()

        def work(room_id: str) -> None:
            try:
                for start in range(1, 101, 5):
                    store.append(room_id, "e1", batch(start, start + 5))
                    assert store.read(room_id, start - 1) == batch(start, start + 5)
                    store.save_snapshot(room_id, Tier.BACKGROUND, head(start), b"x" * start)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(f"room {at}",)) for at in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert [store.read(room_id) for room_id in store.rooms()] == [batch(1, 101)] * 6

    def test_a_closed_store_says_so(self) -> None:
        store = self.filled()
        store.close()
        store.close()
        for call in (lambda: store.head("a"), lambda: store.append("a", "e1", batch(11, 12)), store.rooms):
            try:
                call()
            except StoreUnavailable:
                continue
            raise AssertionError("a closed store has answered")


class DurableStoreContract(StoreContract):
    """The contract of a store that outlives its process: ``reopen`` closes a store and opens what it left."""

    def reopen(self, store: RoomStore) -> RoomStore:
        """The same store, closed and opened again."""
        raise NotImplementedError

    def test_all_is_there_after_reopening(self) -> None:
        store = self.filled()
        store.append("b", "e2", (added(1), added(2, "m1"), added(3)))
        store.save_snapshot("a", Tier.BACKGROUND, head(9), b"brief")
        store.save_dictionary("d", b"words")
        store.truncate("a", 4)
        before = state(store)
        store = self.reopen(store)
        assert state(store) == before
        assert store.load_dictionary("d") == b"words"

    def test_work_goes_on_after_reopening(self) -> None:
        store = self.reopen(self.filled())
        assert store.append("a", "e1", batch(9, 13)) == Appended(12)
        assert store.append("a", "e1", [added(13, "m2")]) == Appended(13, (13,))
        assert self.reopen(store).head("a") == head(13)
