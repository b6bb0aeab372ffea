"""What a reader counted on its way through a log, and what it does about a line that it cannot read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from roomstate.errors import DamagedLog

T = TypeVar("T")


def stop(error: DamagedLog) -> None:
    """The policy ``stop``: the first damaged line ends the reading. Raises ``error``."""
    raise error


class Tally:
    """Counts of one reading: what was a message, what was not, and what was damaged.

    ``on_damage`` is called once for each damaged line, in order; it returns to skip the line, or raises to
    end the reading. The default, :func:`stop`, raises.

    >>> seen = []
    >>> tally = Tally(seen.append)
    >>> tally.damage("a.log", 7, "no nick")
    >>> tally.damaged, str(seen[0])
    (1, 'a.log:7: no nick')
    """

    def __init__(self, on_damage: Callable[[DamagedLog], None] = stop) -> None:
        self.raw_bytes = 0
        """Bytes of log text read so far, decompressed."""
        self.skipped = 0
        """Lines that are whole but are no messages: joins, parts, topics, the log's own notes."""
        self.damaged: int = 0
        """Lines that could not be read."""
        self._on_damage = on_damage

    def damage(self, where: str, line: int, reason: str) -> None:
        """Count line number ``line`` (from 1) of ``where`` as damaged, and let the policy decide."""
        self.damaged += 1
        self._on_damage(DamagedLog(f"{where}:{line}", reason))

    def decode(self, decoder: msgspec.json.Decoder[T], raw: bytes, where: str, line: int) -> T | None:
        """``raw`` as the decoder's type, or None when it is damaged and the policy says to skip it."""
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self.damage(where, line, str(error))
            return None
