"""The bound of the store in memory; all else is the contract's."""

from __future__ import annotations

import pytest

from roomstate.errors import InvalidValue, StoreFull
from roomstate.model import Tier
from roomstate.store import MemoryStore
from roomstate.testing.contracts_store import batch, head, state


def test_more_bytes_than_allowed_are_refused_and_change_nothing() -> None:
    store = MemoryStore(max_bytes=1500)
    store.append("a", "e1", batch(1, 6))
    before = state(store)
    for call in (
        lambda: store.append("a", "e1", batch(6, 30)),
        lambda: store.append("b", "e1", batch(1, 30)),
        lambda: store.save_snapshot("a", Tier.ACTIVE, head(5), b"x" * 1000),
        lambda: store.save_dictionary("d", b"x" * 1000),
    ):
        with pytest.raises(StoreFull, match="would be over 1500"):
            call()
        assert state(store) == before


def test_what_is_dropped_makes_space() -> None:
    store = MemoryStore(max_bytes=1500)
    for _ in range(20):
        store.append("a", "e1", batch(1, 6))
        store.save_snapshot("a", Tier.ACTIVE, head(5), b"x" * 500)
        store.save_snapshot("a", Tier.ACTIVE, head(5), b"y" * 600)
        assert store.truncate("a", 5) == 5
        assert store.delete("a")


@pytest.mark.parametrize("bad", [0, -1, 1.5])
def test_a_bound_out_of_range(bad: int) -> None:
    with pytest.raises(InvalidValue, match="max_bytes"):
        MemoryStore(max_bytes=bad)
