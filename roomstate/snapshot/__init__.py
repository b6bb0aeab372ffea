"""A room at rest: images as snapshots, and the dictionaries that make them small."""

from roomstate.snapshot.codec import SnapshotCodec
from roomstate.snapshot.dictionary import Dictionary
from roomstate.snapshot.frame import Level
from roomstate.snapshot.header import SnapshotHeader
from roomstate.snapshot.training import DictionaryTrainer

__all__ = ["Dictionary", "DictionaryTrainer", "Level", "SnapshotCodec", "SnapshotHeader"]
