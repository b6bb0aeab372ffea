"""How far a copy of a room has come, and what of it is known to be missing.

Positions lie *on* logged updates: the first update of an epoch has seq 1, and a copy at seq 0 has seen none.
Intervals of positions are written ``(after, upto]``: they leave out ``after`` and include ``upto``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from msgspec import Struct

from roomstate.errors import InvalidValue, Malformed
from roomstate.model import Seq, check_bound, check_text

__all__ = ["MAX_GAPS", "MAX_SEQ", "Gap", "Position", "Token", "above", "bounded"]

MAX_SEQ = 2**53 - 1
"""The largest seq: the largest integer that every JSON reader keeps exactly (RFC 8259, section 6)."""

MAX_GAPS = 100
"""Gaps of one room: a hundred lost connections, each of which a fetch or an image closes."""

_MAX_TOKEN = 512  # characters: in base64, a seq, an epoch of 64 characters of 4 bytes, and a fingerprint
_MAX_EPOCH = 64
_MAX_FINGERPRINT = 64


class Position(Struct, frozen=True, order=True, gc=False):
    """How far a copy of a room has come: ``seq`` logged updates of the log named ``epoch``.

    Positions of different epochs are positions in different logs: only those of one epoch may be compared.

    >>> Position("e1", 3) < Position("e1", 4)
    True
    """

    epoch: str
    seq: int


class Gap(Struct, frozen=True, gc=False):
    """An interval ``(after, upto]`` of a room's log that is known to be missing.

    ``cursor`` is set where a foreign source has no seqs: it is that source's own opaque name for the last
    thing seen before the gap, and the interval then is one local seq, reserved for the hole.

    >>> gap = Gap(4, 9)
    >>> len(gap), 4 in gap, 9 in gap
    (5, False, True)
    """

    after: Seq
    upto: Seq
    cursor: str | None = None

    def __len__(self) -> int:
        return self.upto - self.after

    def __contains__(self, seq: int) -> bool:
        return self.after < seq <= self.upto


def above(gaps: Iterable[Gap], floor: int) -> tuple[Gap, ...]:
    """Return what of ``gaps`` lies above ``floor``. O(n).

    >>> above((Gap(1, 3), Gap(4, 9)), 5)
    (Gap(after=5, upto=9, cursor=None),)
    """
    return tuple(gap if gap.after >= floor else Gap(floor, gap.upto, gap.cursor) for gap in gaps if gap.upto > floor)


def bounded(gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """Return ``gaps``, which ascend, as at most ``MAX_GAPS``: beyond it the oldest become one. O(n).

    That one hides what is held between them, and is to be fetched from where the first of them begins.
    """
    beyond = len(gaps) - MAX_GAPS
    if beyond <= 0:
        return gaps
    return (Gap(gaps[0].after, gaps[beyond].upto, gaps[0].cursor), *gaps[beyond + 1 :])


class Token(Struct, frozen=True, gc=False):
    """A serialisable resume position: what a client shows to get exactly what it has missed.

    ``fingerprint`` is the equality hash of the entry at ``seq`` ("" at seq 0): epoch and seq alone do not
    survive the failover of a replicated store, where the same numbers come back with other content.

    Raises ``InvalidValue`` for an epoch of more than 64 characters, a seq outside of ``[0, MAX_SEQ]``, and a
    fingerprint of more than 64 characters or with a colon or a character beyond ASCII.

    >>> token = Token("e1", 3, "9f")
    >>> Token.from_str(token.to_str()) == token
    True
    """

    epoch: str
    seq: int
    fingerprint: str = ""

    def __post_init__(self) -> None:
        check_text("token.epoch", self.epoch, _MAX_EPOCH)
        check_bound("token.seq", self.seq, least=0)
        if self.seq > MAX_SEQ:
            raise InvalidValue("token.seq", f"must be at most {MAX_SEQ}, got {self.seq}")
        check_text("token.fingerprint", self.fingerprint, _MAX_FINGERPRINT)
        if ":" in self.fingerprint or not self.fingerprint.isascii():
            raise InvalidValue("token.fingerprint", "must be ASCII without a colon")

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
        try:
            check_text("token", text, _MAX_TOKEN)
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
            seq, fingerprint, epoch = plain.split(":", 2)
            if not (epoch and seq.isascii() and seq.isdigit()):
                raise InvalidValue("token", "has no epoch or no seq")
            return cls(epoch, int(seq), fingerprint)
        except InvalidValue as error:
            raise Malformed(error.where, error.reason) from None
        except ValueError:  # binascii.Error and UnicodeError are
            raise Malformed("token", "is not a token of roomstate") from None
