"""One bit flipped anywhere in a store's file: what is read is what was written, or the error is typed."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roomstate.errors import StorageError
from roomstate.model import Tier
from roomstate.store import RoomStore, SQLiteStore
from roomstate.store.survey import survey
from roomstate.testing.contracts_store import added, batch, head

ROOMS = tuple(f"room {at}" for at in range(6))


def fill(path: Path) -> None:
    """Rooms with logs that were cut, repeat a message, or begin with a snapshot."""
    with SQLiteStore(path) as store:
        for at, room_id in enumerate(ROOMS):
            if at == 5:
                store.save_snapshot(room_id, Tier.ACTIVE, head(100), b"far " * 50)
                store.append(room_id, "e1", batch(101, 120))
                continue
            store.append(room_id, "e1", (*batch(1, 40), added(40, "m7")))
            store.save_snapshot(room_id, Tier.ACTIVE, head(30), room_id.encode() * 60)
            store.save_snapshot(room_id, Tier.BACKGROUND, head(35), room_id.encode() * 20)
            store.truncate(room_id, 10 * (at % 3))
        store.save_dictionary("words", b"words" * 100)


def asked(store: RoomStore) -> Iterator[tuple[str, Callable[[], object]]]:
    """What may be asked of the store, by name."""
    yield "rooms", store.rooms
    yield "dictionaries", store.dictionaries
    yield "words", lambda: store.load_dictionary("words")
    for room_id in ROOMS:
        yield f"head of {room_id}", lambda room_id=room_id: store.head(room_id)  # type: ignore[misc]
        yield f"log of {room_id}", lambda room_id=room_id: store.read(room_id)  # type: ignore[misc]
        yield f"end of {room_id}", lambda room_id=room_id: store.read(room_id, 36)  # type: ignore[misc]
        for tier in (Tier.ACTIVE, Tier.BACKGROUND):
            yield f"{tier.name} of {room_id}", lambda r=room_id, t=tier: store.load_snapshot(r, t)  # type: ignore[misc]


def answers(store: RoomStore) -> dict[str, object]:
    """The answers, or of what kind the errors were; whatever is not ours is raised."""
    found: dict[str, object] = {}
    for name, ask in asked(store):
        try:
            found[name] = ask()
        except StorageError as error:
            found[name] = type(error)
    return found


def flipped(whole: bytes, bit: int, path: Path, right: dict[str, object]) -> list[str]:
    """What is read wrong of a store in which one bit is flipped."""
    content = bytearray(whole)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    try:
        with SQLiteStore(path) as store:
            found = answers(store)
            with store.reading() as connection:
                survey(connection)
    except StorageError:
        return []
    return [name for name, said in found.items() if said != right[name] and not isinstance(said, type)]


def campaign(flips: int, seed: int) -> list[tuple[int, list[str]]]:
    """Flip so many bits, one at a time; what was wrong."""
    draw, wrong = random.Random(seed), list[tuple[int, list[str]]]()
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder, "whole.db"))
        whole = Path(folder, "whole.db").read_bytes()
        with SQLiteStore(Path(folder, "whole.db"), readonly=True) as store:
            right = answers(store)
        assert not any(isinstance(said, type) for said in right.values())
        for _ in range(flips):
            with tempfile.TemporaryDirectory(dir=folder) as own:
                bit = draw.randrange(8 * len(whole))
                if names := flipped(whole, bit, Path(own, "rooms.db"), right):
                    wrong.append((bit, names))
    return wrong


@pytest.mark.campaign
def test_no_flipped_bit_is_read_as_something_else() -> None:
    assert campaign(500, 1) == []


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_twenty_thousand_flipped_bits(part: int) -> None:
    assert campaign(2000, 100 + part) == []
