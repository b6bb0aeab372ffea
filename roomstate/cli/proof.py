"""The proof of a replay: what was fed, kept apart from the manager, against what can be read back.

Nothing here asks the manager for a count. The ledger notes each message as it comes out of the log; at the end
somebody reads every room back, from memory and store, and the two sequences are compared.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import attrs
import msgspec

from roomstate.cli.logline import LogLine


@attrs.frozen
class Verdict:
    """What became of the messages that were fed; add verdicts of rooms to get that of all rooms.

    ``fed`` counts messages with different ids, ``repeated`` those that came with an id again. Of the fed ones
    ``found`` were read back as they were, ``in_gaps`` lie in a declared gap, and ``lost`` are neither. Of what
    was read back, ``duplicated`` came again, ``out_of_order`` came after one that was fed later, and
    ``strange`` was never fed in this form.
    """

    fed: int = 0
    repeated: int = 0
    found: int = 0
    in_gaps: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    strange: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*map(sum, zip(attrs.astuple(self), attrs.astuple(other), strict=True)))

    @property
    def holds(self) -> bool:
        """Nothing is lost, duplicated, out of order or strange."""
        return not (self.lost or self.duplicated or self.out_of_order or self.strange)


class Ledger:
    """What was fed, room by room, in order: 16 bytes a message, two 64-bit hashes.

    A changed message passes unseen, or two ids for one, with a chance of about ``n² / 2⁶⁵`` in a room of ``n``
    messages: one in a hundred million at a million.

    >>> ledger = Ledger()
    >>> line = LogLine(1.5, "rust", "ada", "hi", "1")
    >>> ledger.feed(line)
    >>> ledger.verdict("rust", [line]).holds, ledger.verdict("rust", []).lost
    (True, 1)
    """

    def __init__(self) -> None:
        self._ids: dict[str, array[int]] = {}
        self._whole: dict[str, array[int]] = {}

    def feed(self, line: LogLine) -> None:
        """Note a message that the manager has accepted. O(length of its text)."""
        self._ids.setdefault(line.room, array("q")).append(hash(line.id))
        self._whole.setdefault(line.room, array("q")).append(_hash(line))

    def rooms(self) -> Sequence[str]:
        """Rooms in the order of their first message."""
        return tuple(self._ids)

    def verdict(self, room: str, read_back: Iterable[LogLine], gaps: Sequence[tuple[int, int]] = ()) -> Verdict:
        """Compare what was fed to ``room`` with what can be read back of it, in the order of reading.

        ``gaps`` are intervals ``[start, stop)`` of the room's messages, counted from 0 without repeated ones,
        that are declared missing. Memory: a table of the room's messages while it runs.
        """
        expected = self._expected(room)
        seen: set[int] = set()
        strange = duplicated = out_of_order = 0
        last = -1
        for line in read_back:
            key = _hash(line)
            place = expected.get(key)
            if place is None:
                strange += 1
            elif key in seen:
                duplicated += 1
            else:
                out_of_order += place < last
                last = max(last, place)
                seen.add(key)
        missing = [place for key, place in expected.items() if key not in seen]
        in_gaps = sum(any(start <= place < stop for start, stop in gaps) for place in missing)
        return Verdict(
            fed=len(expected),
            repeated=len(self._ids.get(room, ())) - len(expected),
            found=len(seen),
            in_gaps=in_gaps,
            lost=len(missing) - in_gaps,
            duplicated=duplicated,
            out_of_order=out_of_order,
            strange=strange,
        )

    def _expected(self, room: str) -> dict[int, int]:
        """``hash of the message -> its place``; of the messages with one id the first counts."""
        ids: set[int] = set()
        expected: dict[int, int] = {}
        for identity, whole in zip(self._ids.get(room, ()), self._whole.get(room, ()), strict=True):
            if identity not in ids:
                ids.add(identity)
                expected[whole] = len(expected)
        return expected


def _hash(line: LogLine) -> int:
    """A 64-bit hash, good within this process; times to the millisecond, as stores keep them."""
    extra = msgspec.json.encode(line.extra, order="deterministic")
    return hash((line.id, line.user, line.text, round(line.ts * 1000), extra))
