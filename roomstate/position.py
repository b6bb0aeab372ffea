"""How far a copy of a room has come, and what of it is known to be missing.

Positions lie *on* logged updates: the first update of an epoch has seq 1, and a copy at seq 0 has seen none.
Intervals of positions are written ``(after, upto]``: they leave out ``after`` and include ``upto``.
"""

from __future__ import annotations

import base64
import binascii

from msgspec import Struct

from roomstate.errors import Malformed

__all__ = ["MAX_SEQ", "Gap", "Position", "Token"]

MAX_SEQ = 2**53 - 1
"""The largest seq: the largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

_MAX_TOKEN = 512  # characters; epoch (at most 64) + seq + fingerprint, in base64, with room to spare


class Position(Struct, frozen=True, order=True, gc=False):
    """How far a copy of a room has come: ``seq`` logged updates of the log named ``epoch``.

    Positions of different epochs are positions in different logs: only those of one epoch may be compared.

    >>> Position("e1", 3) < Position("e1", 4)
    True
    """

    epoch: str
    seq: int


class Gap(Struct, frozen=True, order=True, gc=False):
    """An interval ``(after, upto]`` of a room's log that is known to be missing.

    ``cursor`` is set where a foreign source has no seqs: it is that source's own opaque name for the last
    thing seen before the gap, and the interval then is one local seq, reserved for the hole.

    >>> gap = Gap(4, 9)
    >>> len(gap), 4 in gap, 9 in gap
    (5, False, True)
    """

    after: int
    upto: int
    cursor: str | None = None

    def __len__(self) -> int:
        return self.upto - self.after

    def __contains__(self, seq: int) -> bool:
        return self.after < seq <= self.upto


class Token(Struct, frozen=True, gc=False):
    """A serialisable resume position: what a client shows to get exactly what it has missed.

    ``fingerprint`` is the equality hash of the entry at ``seq`` ("" at seq 0): epoch and seq alone do not
    survive the failover of a replicated store, where the same numbers come back with other content.

    >>> token = Token("e1", 3, "9f")
    >>> Token.from_str(token.to_str()) == token
    True
    """

    epoch: str
    seq: int
    fingerprint: str = ""

    def to_str(self) -> str:
        """Return the token as URL-safe text of at most 512 characters. O(1)."""
        plain = f"{self.seq}:{self.fingerprint}:{self.epoch}".encode()
        return base64.urlsafe_b64encode(plain).decode().rstrip("=")

    @classmethod
    def from_str(cls, text: str) -> Token:
        """Read what ``to_str`` wrote. O(1).

        Raises ``Malformed`` for anything else. To a manager a malformed token means "send a snapshot":
        it never travels up as an exception from ``subscribe``.
        """
        if len(text) > _MAX_TOKEN:
            raise Malformed("token", f"must be text of at most {_MAX_TOKEN} characters")
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
            seq_text, fingerprint, epoch = plain.split(":", 2)
        except (ValueError, binascii.Error):
            raise Malformed("token", "is not a token of roomstate") from None
        if not (seq_text.isascii() and seq_text.isdigit() and len(seq_text) <= 16 and epoch):
            raise Malformed("token", "has no epoch or no seq")
        seq = int(seq_text)
        if seq > MAX_SEQ:
            raise Malformed("token", f"seq is above {MAX_SEQ}")
        return cls(epoch, seq, fingerprint)
