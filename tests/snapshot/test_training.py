from __future__ import annotations

import pytest

from roomstate.errors import DamagedSnapshot, InvalidValue, UnknownDictionary
from roomstate.snapshot import Dictionary, DictionaryTrainer, Level, SnapshotCodec
from tests.snapshot.test_damage import room

PLAIN = SnapshotCodec()


def trainer(rooms: int, first: int = 0, size: int = 4096) -> DictionaryTrainer:
    made = DictionaryTrainer(size, 4 << 20)
    for seed in range(first, first + rooms):
        made.add(PLAIN.payload(PLAIN.encode(room(50, f"room{seed}", seed))))
    return made


def foreign() -> DictionaryTrainer:
    """Samples in which nothing is as in the rooms of the other trainers."""
    made = DictionaryTrainer(4096, 4 << 20)
    for seed in range(200):
        made.add(" ".join(f"{word * (seed + 7) % 9973:04x}" for word in range(300)).encode())
    return made


DICTIONARY = trainer(200).train()


def test_a_dictionary_makes_snapshots_smaller_and_is_needed_to_read_them() -> None:
    codec = SnapshotCodec(dictionary=DICTIONARY)
    image = room(50, "new", 999)
    data = codec.encode(image)
    assert len(data) < 0.9 * len(PLAIN.encode(image))
    assert codec.decode(data) == image
    assert codec.header(data).dictionary == DICTIONARY.id
    with pytest.raises(UnknownDictionary, match=DICTIONARY.name):
        PLAIN.decode(data)


@pytest.mark.parametrize("level", Level)
def test_old_dictionaries_keep_reading(level: Level) -> None:
    old = SnapshotCodec(level, DICTIONARY).encode(room(20))
    newer = foreign().train()
    for codec in (SnapshotCodec(level, newer, [DICTIONARY]), SnapshotCodec(dictionaries=[newer, DICTIONARY])):
        assert codec.decode(old) == room(20)
        assert codec.decode(PLAIN.encode(room(20))) == room(20)


def test_training_is_the_same_every_time_and_names_by_content() -> None:
    assert trainer(200).train() == DICTIONARY
    assert Dictionary(DICTIONARY.data) == DICTIONARY
    assert DICTIONARY.name == f"{DICTIONARY.id:08x}"
    assert foreign().train().id != DICTIONARY.id


def test_a_changed_dictionary_is_damage() -> None:
    for at in (0, 5, 100, len(DICTIONARY.data) - 1):
        changed = bytearray(DICTIONARY.data)
        changed[at] ^= 1
        with pytest.raises(DamagedSnapshot, match="dictionary"):
            Dictionary(bytes(changed))
    with pytest.raises(DamagedSnapshot, match="not a dictionary of zstd"):
        Dictionary(b"")
    with pytest.raises(DamagedSnapshot, match="cannot be used"):
        Dictionary.of(DICTIONARY.data[:20])


def test_two_dictionaries_of_one_id_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = foreign().train()
    monkeypatch.setattr(Dictionary, "id", 7)
    with pytest.raises(InvalidValue, match="two have the id 00000007"):
        SnapshotCodec(dictionary=DICTIONARY, dictionaries=[other])


def test_it_retrains_only_for_a_measured_gain() -> None:
    rooms = trainer(200)
    assert rooms.retrain(DICTIONARY) is None
    fresh = rooms.retrain(foreign().train())
    assert fresh == DICTIONARY
    assert rooms.measure(fresh) < rooms.measure(None)
    assert rooms.retrain(None) == DICTIONARY
    assert rooms.retrain(None, min_gain=0.9) is None


def test_it_keeps_the_newest_within_its_bound() -> None:
    made = DictionaryTrainer(1024, 5000)
    for n in range(10):
        made.add(bytes([n]) * 1000)
    made.add(bytes(6000))
    assert (len(made), made.held_bytes) == (5, 5000)
    assert made._samples[0][1][0] == 5


def test_too_little_to_train_on_is_refused() -> None:
    with pytest.raises(InvalidValue, match="0 are not enough"):
        DictionaryTrainer().train()


@pytest.mark.parametrize(("size", "bound", "where"), [(1000, 5000, "size_bytes"), (2000, 1999, "max_bytes")])
def test_bounds_are_checked(size: int, bound: int, where: str) -> None:
    with pytest.raises(InvalidValue, match=where):
        DictionaryTrainer(size, bound)
