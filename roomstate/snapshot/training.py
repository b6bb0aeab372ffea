"""Training compression dictionaries from real snapshots, and again when the rooms' talk has moved on."""

from __future__ import annotations

from collections import deque
from typing import Final

import zstandard

from roomstate.errors import InvalidValue
from roomstate.snapshot.dictionary import Dictionary
from roomstate.snapshot.frame import Frames, Level

__all__ = ["DictionaryTrainer"]

_SEGMENT: Final = {"k": 200, "d": 8}  # of those tried on three archives the best, and four times as fast as a search
_HELD_OUT: Final = 8  # one sample in so many is not trained on, but measured with


class DictionaryTrainer:
    """Keeps the newest payloads of real snapshots, and makes dictionaries of them.

    ``size_bytes`` is the size of a dictionary: 1 MiB by default, because what it saves still grows there (50 / 1,000
    messages at HIGH, as a share of JSON + zstd 19: 0.67 / 0.79 with 110 KiB, 0.61 / 0.72 with 1 MiB, measured on the
    columns alone). ``max_bytes`` bounds the payloads that are kept; 30 times the dictionary or more trains well.

    A dictionary knows words and names from the rooms that it was trained on, and stays beside their snapshots: keep
    every one that a snapshot still names, and hand them to `SnapshotCodec` as ``dictionaries``.
    """

    def __init__(self, size_bytes: int = 1 << 20, max_bytes: int = 64 << 20) -> None:
        if size_bytes < 1 << 10:
            raise InvalidValue("size_bytes", f"must be at least {1 << 10}, got {size_bytes}")
        if max_bytes < size_bytes:
            raise InvalidValue("max_bytes", f"must be at least size_bytes, {size_bytes}, got {max_bytes}")
        self.size_bytes = size_bytes
        self.max_bytes = max_bytes
        self.held_bytes: int = 0
        self._added = 0
        self._samples: deque[tuple[bool, bytes]] = deque()

    def __len__(self) -> int:
        """The payloads that are kept."""
        return len(self._samples)

    def add(self, payload: bytes) -> None:
        """Keep what `SnapshotCodec.payload` gave, dropping the oldest beyond ``max_bytes``. O(1).

        A payload that alone is larger than ``max_bytes`` is left out.
        """
        if len(payload) > self.max_bytes:
            return
        self._samples.append((self._added % _HELD_OUT == _HELD_OUT - 1, payload))
        self._added += 1
        self.held_bytes += len(payload)
        while self.held_bytes > self.max_bytes:
            self.held_bytes -= len(self._samples.popleft()[1])

    def train(self) -> Dictionary:
        """A dictionary of what is kept, the same for the same payloads. About a second for 64 MiB.

        Raises ``InvalidValue`` where too little is kept to train on.
        """
        samples: list[bytes | bytearray | memoryview] = [payload for held_out, payload in self._samples if not held_out]
        try:
            trained = zstandard.train_dictionary(self.size_bytes, samples, **_SEGMENT)
        except (zstandard.ZstdError, ValueError) as error:
            raise InvalidValue("samples", f"{len(samples)} are not enough to train on: {error}") from None
        return Dictionary.of(trained.as_bytes())

    def measure(self, dictionary: Dictionary | None, level: Level = Level.MEDIUM) -> int:
        """Bytes that the payloads held out from training take with a dictionary, or with none. O(bytes)."""
        frames = Frames(level, dictionary, ())
        return sum(len(frames.compress(payload)) for held_out, payload in self._samples if held_out)

    def retrain(
        self, current: Dictionary | None, level: Level = Level.MEDIUM, min_gain: float = 0.02
    ) -> Dictionary | None:
        """A new dictionary, if it makes the newest snapshots smaller than ``current`` by ``min_gain`` (0.02: 2 %).

        None if it does not, or if nothing is held out yet to measure with. Write the new one down before the first
        snapshot that names it, and keep ``current``. Raises as `train` does.
        """
        before = self.measure(current, level)
        fresh = self.train()
        return fresh if self.measure(fresh, level) < (1 - min_gain) * before else None
