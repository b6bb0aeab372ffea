"""The default order of eviction: it learns from the traffic itself what is worth keeping.

Each room has a *trait*: how often it was accessed (1 to 5 and more), and the usual time between its
accesses. How long rooms of each trait stay away is learned (see `roomstate.residency.reuse`), from the rooms
held and from a table of those that have left, and the room with the least worth goes, the newcomer included.

Nobody is looked at twice: a hand goes round, a few rooms are looked at for each one that leaves, and the
least of them wait in a small pool. Hints (new messages, mentions) give a room another trait,
so what they are worth is learned too.

Measured against eight other policies in ``benchmarks/eviction.py``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from zlib import crc32

from roomstate.residency.entry import Reason
from roomstate.residency.reuse import AGES, BUCKETS, CLOCK, FINE, ReuseModel, bucket
from roomstate.residency.rows import Rows

# A trait is hinted * 8192 + accesses * 1024 + usual bucket of age between them * 16; 0 is nobody.
_USUAL = 1024
_SCALE = 16
_NEW, _TWICE, _THRICE, _FOUR = 1 * _USUAL, 2 * _USUAL, 3 * _USUAL, 4 * _USUAL
_MOST = 5 * _USUAL
_HINTED = 8 * _USUAL
_OCTAVES = AGES // 2
_KINDS = 3  # accesses: 2, 3 or 4, more

_ROOMS = Reason.ROOMS  # an enum's attribute is looked up anew each time
_LOOKED_AT = 4  # rooms for each one that leaves: with 5 the mean rises by 0.002, with 3 it falls by as much
_BATCH = 3  # victims between two looks, because sorting pays better in larger batches
_POOL = 8

_GHOSTS = 3  # rooms remembered that have left, for each one held: 30 bytes; with 2 the mean falls by 0.0006
_LEAST_GHOSTS = 256
_LEARN_LEAST = 2000
_LEARN_MOST = 8000  # in a small cache that has learned for long: 4000 costs twice and raises the mean by 0.0004
_FADE = 0.9  # of the counts, every so many accesses for each room held:
_FADE_EVERY = 8


def _tree() -> tuple[list[int], list[int]]:
    """The parent of each class, and the class of each trait as its place in the model."""
    parents, place = [0], [0] * (2 * _HINTED)
    for hinted in (0, _HINTED):
        parents += [0, len(parents)]
        group = len(parents) - 2
        place[hinted + _NEW : hinted + 2 * _USUAL] = [(group + 1) * AGES] * _USUAL
        for octave in range(_OCTAVES):
            pool = len(parents)
            parents += [group] + [pool] * _KINDS
            for accesses, kind in ((2, 1), (3, 2), (4, 2), (5, 3)):
                start = hinted + accesses * _USUAL + octave * 2 * _SCALE
                place[start : start + 2 * _SCALE] = [(pool + kind) * AGES] * (2 * _SCALE)
    return parents, place


_PARENTS, _PLACE = _tree()


def _older(trait: int, age: int) -> int:
    """The trait after one more access, ``age`` (a bucket) after the one before it."""
    trait &= _HINTED - 1
    accesses, usual = trait // _USUAL, trait % _USUAL
    if accesses > 1:
        usual += (age * _SCALE - usual) // min(accesses, 4)
    else:
        usual = age * _SCALE
    return min(trait - trait % _USUAL + _USUAL, _MOST) + usual


class AdaptivePolicy:
    """The default `EvictionPolicy`. Deterministic: the same calls give the same victims.

    Memory: 18 bytes for each room held and at most 30 for those that have left. Cost: O(1) amortised for
    each call. A newcomer may be the victim.
    """

    refuses = True

    def __init__(self) -> None:
        self._model = ReuseModel(_PARENTS)
        self._back = self._model.back
        self._ghosts = GhostTable()
        self._rows = Rows(0)  # those of the last call of `victims`
        self._clock = 0  # accesses so far, never 0 again: 0 is the last access of nobody
        self._due = 200
        self._traits = array("H")
        self._last = array("I")
        self._sums = array("I")
        self._place = array("I")  # where in _held a row is
        self._held = array("I")
        self._pool: list[tuple[float, int, int]] = []  # worth when looked at, last access, row
        self._hand = 0
        self._left = 0  # victims until the hand moves on
        self._newest = 0
        self._by_size = False

    def inserted(self, rows: Rows, row: int, now: float) -> None:
        """A room comes in, or comes back: then it is known how long it was away."""
        self._clock = clock = (self._clock + 1) & CLOCK or 1
        checksum, ghosts, held, trait = crc32(rows.ids[row].encode()), self._ghosts, self._held, _NEW
        at = checksum % ghosts.size
        if ghosts.sums[at] == checksum and ghosts.traits[at]:
            before, last = ghosts.take(at)
            age = clock - last
            age = BUCKETS[age] if 0 <= age < FINE else bucket(age)
            self._back[_PLACE[before] + age] += self._model.one
            trait = _older(before, age)
        if row >= len(self._last):
            self._grow(row)
        self._traits[row], self._last[row] = trait, clock
        self._sums[row], self._place[row] = checksum, len(held)
        held.append(row)
        self._newest = row
        if clock == self._due:
            self._learn()

    def accessed(self, rows: Rows, row: int, now: float) -> None:
        """A room is looked at."""
        self._clock = clock = (self._clock + 1) & CLOCK or 1
        trait, age = self._traits[row], clock - self._last[row]
        age = BUCKETS[age] if 0 <= age < FINE else bucket(age)
        self._back[_PLACE[trait] + age] += self._model.one
        if _TWICE <= trait < _HINTED:  # as `_older` does, without the call
            usual, ceiling = trait % _USUAL, trait - trait % _USUAL + _USUAL
            usual += (age * _SCALE - usual) // (2 if trait < _THRICE else 3 if trait < _FOUR else 4)
            self._traits[row] = (ceiling if ceiling < _MOST else _MOST) + usual
        else:
            self._traits[row] = _older(trait, age)
        self._last[row] = clock
        if clock == self._due:
            self._learn()

    def changed(self, rows: Rows, row: int, now: float) -> None:
        """A hint of what has happened starts the room's age again, under a trait of its own.

        That a visit is likely does not: on the Lean archive a warmed room's own history told more.
        """
        entry = rows[row]
        if entry.messages or entry.mentions:
            self._lost(self._traits[row], self._last[row])
            self._traits[row] |= _HINTED
            self._last[row] = self._clock

    def removed(self, rows: Rows, row: int) -> None:
        """A room leaves, and is remembered for some time."""
        checksum, ghosts, held = self._sums[row], self._ghosts, self._held
        at = checksum % ghosts.size
        traits, last = ghosts.traits, ghosts.last
        trait = traits[at]
        if trait:  # as `_lost` does, without the call
            age = self._clock - last[at]
            age = BUCKETS[age] if 0 <= age < FINE else bucket(age)
            self._model.lost[_PLACE[trait] + age] += self._model.one
        ghosts.sums[at], traits[at], last[at] = checksum, self._traits[row], self._last[row]
        self._last[row] = 0
        other = held.pop()
        if other != row:
            place = self._place[row]
            held[place] = other
            self._place[other] = place

    def victims(self, rows: Rows, reason: Reason, now: float) -> Iterator[int]:
        """The rooms of least worth; if bytes are wanted, of least worth for each byte."""
        by_size = reason is not _ROOMS
        if by_size is not self._by_size:
            self._by_size = by_size
            self._pool.clear()
        self._rows = rows
        return self

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        """The next victim. The policy is its own iterator: making another would cost as much as this."""
        if not self._held:
            raise StopIteration
        self._left -= 1
        if self._left < 0 or not self._pool:
            self._look()
        pool, last, newest = self._pool, self._last, self._newest
        while pool and last[pool[-1][2]] != pool[-1][1]:
            pool.pop()
        if last[newest] == self._clock:  # it has just come in: its age is 0
            worth = self._model.worth[_PLACE[self._traits[newest]]]
            if not pool or (self._worth(newest) if self._by_size else worth) < pool[-1][0]:
                return newest
        return pool.pop()[2] if pool else self._held[0]

    def _look(self) -> None:
        """Move the hand over some more rooms; keep the least of them and of the pool, the very least last."""
        self._left = _BATCH - 1
        start = self._hand if self._hand < len(self._held) else 0
        self._hand = start + _LOOKED_AT * _BATCH
        worth, traits, last, clock = self._model.worth, self._traits, self._last, self._clock
        if self._by_size:
            looked = [(self._worth(row), last[row], row) for row in self._held[start : self._hand]]
        else:  # as `_worth` does, without the call
            looked = [
                (worth[_PLACE[traits[row]] + (BUCKETS[age] if 0 <= age < FINE else bucket(age))], when, row)
                for row in self._held[start : self._hand]
                for when in (last[row],)
                for age in (clock - when,)
            ]
        looked += [one for one in self._pool if last[one[2]] == one[1]]
        looked.sort(reverse=True)
        self._pool = looked[-_POOL - _BATCH :]

    def _worth(self, row: int) -> float:
        worth = self._model.worth[_PLACE[self._traits[row]] + bucket(self._clock - self._last[row])]
        return worth / (self._rows.size(row) or 1) if self._by_size else worth

    def _grow(self, row: int) -> None:
        for column in (self._traits, self._last, self._sums, self._place):
            column.extend([0] * (row + 1 - len(column)))
        if 3 * len(self._last) > 2 * self._ghosts.size:
            self._ghosts.grow(_GHOSTS * len(self._last))

    def _lost(self, trait: int, last: int) -> None:
        """A room is lost sight of: it had not come back until now."""
        self._model.lost[_PLACE[trait] + bucket(self._clock - last)] += self._model.one

    def _learn(self) -> None:
        """Bring the worth up to date: often at first, then once for every half of the rooms held."""
        held = len(self._held)
        settled = min(_LEARN_MOST, max(_LEARN_LEAST, self._clock // 5))
        wait = min(max(settled, held // 2), max(200, self._clock))
        self._due = (self._clock + wait) & CLOCK or 1
        self._model.learn(_FADE ** (wait / max(2000, _FADE_EVERY * held)))
        self._pool.clear()


class GhostTable:
    """Trait and last access of rooms that have left, by a checksum of their ids: 10 bytes for each place.

    One place for each checksum (modulo ``size``), the newer room takes it: so what is lost is lost at random, which
    the model can account for. Two rooms of one checksum share their history; that costs a little worth, no more.
    """

    def __init__(self) -> None:
        self.size: int = _LEAST_GHOSTS
        self._clear()

    def take(self, at: int) -> tuple[int, int]:
        """Trait and last access of the room at this place, now forgotten. O(1)."""
        found = self.traits[at], self.last[at]
        self.traits[at] = 0
        return found

    def grow(self, size: int) -> None:
        """Make place for more. O(size)."""
        old = self.sums, self.traits, self.last
        self.size = max(size, self.size)
        self._clear()
        for checksum, trait, last in zip(*old, strict=True):
            if trait:
                at = checksum % self.size
                self.sums[at], self.traits[at], self.last[at] = checksum, trait, last

    def _clear(self) -> None:
        self.sums: array[int] = array("I", bytes(4 * self.size))
        self.traits: array[int] = array("H", bytes(2 * self.size))
        self.last: array[int] = array("I", bytes(4 * self.size))
