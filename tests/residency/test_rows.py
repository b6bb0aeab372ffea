"""The columns: what is known of each room, and of those that have left."""

from __future__ import annotations

from roomstate.residency.cache import MAX_GHOSTS, RoomCache
from roomstate.residency.rows import RECENT, Ghosts, Rows


def test_a_row_is_used_again_and_knows_nothing_of_the_room_before() -> None:
    rows = Rows(ghosts=0)
    row = rows.add("a", b"...", 1.0, 7)
    rows.access(row, 2.0)
    rows.restore(row, b"...", 3.0, 8)
    rows.hint(row, 3, 2, 0.5)
    assert rows.remove(row) == ("a", b"...")
    rows.check()
    assert rows.add("b", b"", 5.0, 0) == row
    entry = rows[row]
    assert (entry.room_id, entry.size, entry.stored_at, entry.accessed_at) == ("b", 0, 5.0, None)
    assert (entry.accesses, entry.priority, entry.messages, entry.mentions, entry.likelihood) == (0, 0, 0, 0, 0.0)
    assert (list(rows.recent(row)), list(rows.ghost_recent("a"))) == ([], [])


def test_a_ghost_comes_back_with_its_times() -> None:
    rows = Rows(ghosts=4)
    row = rows.add("a", b".", 0.0, 0)
    for now in (1.0, 2.5, 10_000_000.0):
        rows.access(row, now)
    times = list(rows.recent(row))
    assert times[0] == 10_000_000.0
    assert times[1] >= 10_000_000.0 - 8192.0, "a gap of more than two hours is kept as two hours"
    rows.remove(row)
    assert list(rows.ghost_recent("a")) == times
    row = rows.add("a", b".", 10_000_001.0, 0)
    assert list(rows.recent(row)) == times
    assert rows.touched(row) == 10_000_001.0


def test_ghosts_are_bounded_and_may_be_none() -> None:
    for limit in range(6):
        ghosts = Ghosts(limit)
        for number in range(50):
            ghosts.pop(f"r{number % 9}")  # as a row does that comes back
            ghosts.put(f"r{number % 9}", b"x")
            ghosts.check()
        assert (ghosts.get("r4") is None) == (limit == 0)
    cache = RoomCache(ghosts=0)
    cache.put("a", b".", now=0.0)
    cache.get("a", 1.0)
    cache.pop("a")
    cache.put("a", b".", now=2.0)
    assert cache.entry("a").accesses == 0


def test_recent_accesses_are_remembered_one_by_one() -> None:
    cache = RoomCache()
    cache.put("a", b".", now=0.0)
    for number in range(25):
        cache.get("a", number * 100.0)
    times = list(cache._rows.recent(0))
    assert times == [2400.0 - 100.0 * back for back in range(RECENT)]


def test_a_count_of_accesses_that_is_full_stays_full() -> None:
    cache = RoomCache()
    cache.put("a", b".", now=0.0)
    cache.get("a", 1.0)
    cache._rows.accesses[0] = 0xFFFFFFFF
    cache.get("a", 2.0)
    assert cache.entry("a").accesses == 0xFFFFFFFF


def test_a_room_never_accessed_leaves_no_ghost() -> None:
    rows = Rows(ghosts=4)
    rows.remove(rows.add("a", b".", 0.0, 0))
    assert len(rows._ghosts) == 0


def test_ghosts_are_four_for_each_room_unless_told_but_bounded_in_all() -> None:
    assert RoomCache(max_rooms=100)._rows._ghosts._limit == 400
    assert RoomCache(max_rooms=1_000_000)._rows._ghosts._limit == MAX_GHOSTS
    assert RoomCache(max_rooms=1_000_000, ghosts=50_000)._rows._ghosts._limit == 50_000
