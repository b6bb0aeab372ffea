"""A JSON document, one item at a time: the elements of its array, or the members of its object.

A member that is an array is given element by element too, so that an export of any size is read in the memory
of its largest message. Items are found by brackets and strings alone; whoever decodes an item validates it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from roomstate.cli.files import Source
from roomstate.cli.tally import Tally
from roomstate.errors import DamagedLog

# A whole string is one token, and is passed over; a lone quote is a string whose end has not come yet.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{},:"]', re.DOTALL)

_MORE = "something follows the JSON document"


class Item(NamedTuple):
    """``raw`` begins on line ``line``; ``key`` names its member, and is empty in a top-level array."""

    line: int
    key: str
    raw: bytes


def items(source: Source, tally: Tally, max_item_bytes: int) -> Iterator[Item]:
    """The items of a JSON document, in order.

    Damage that hides where the next item begins (a cut-off file, an item of more than ``max_item_bytes``,
    text that is no JSON document) is reported once, and ends the document.
    """
    cutter = _Cutter(max_item_bytes)
    try:
        for chunk in source.chunks:
            tally.raw_bytes += len(chunk)
            yield from cutter.feed(chunk)
        cutter.close()
    except DamagedLog as error:
        reason = error.reason
    else:
        return
    tally.damage(source.where, cutter.line, reason)


class _Cutter:
    """Cuts at commas and brackets of the level where items lie; ``line`` counts from 1."""

    def __init__(self, max_item_bytes: int) -> None:
        self.line = 1
        self._max = max_item_bytes
        self._buffer = b""
        self._seen = 0  # how much of the buffer has been scanned
        self._depth = 0
        self._level = 0  # the depth at which items lie: 1, or 2 inside a member that is an array
        self._top = b""
        self._key = b""
        self._done = False

    def feed(self, chunk: bytes) -> Iterator[Item]:
        self._buffer += chunk
        start = 0
        for match in _TOKEN.finditer(self._buffer, self._seen):
            token = match[0]
            self._seen = match.end()
            if token == b'"':
                self._seen = match.start()
                break
            if token[0] == 0x22 or not self._cuts(token):
                continue
            item = self._item(token, self._buffer[start : match.start()])
            start = match.end()
            if item is not None:
                yield item
        else:
            self._seen = len(self._buffer)
        self._buffer = self._buffer[start:]
        self._seen -= start
        self._bounded(self._buffer)

    def close(self) -> None:
        """The document must be whole, and nothing may follow it."""
        if not self._done:
            raise DamagedLog("", "the JSON document ends in the middle")
        self._blank(self._buffer)

    def _cuts(self, token: bytes) -> bool:
        """Follow the nesting; whether an item, or the space before one, ends here."""
        if self._done:
            raise DamagedLog("", _MORE)
        if token in b"[{":
            return self._open(token)
        if self._depth == 0:
            raise DamagedLog("", "is not a JSON document")
        if token in b"]}":
            return self._close()
        return self._depth == self._level and (token == b"," or self._is_key())

    def _is_key(self) -> bool:
        return self._level == 1 and self._top == b"{"

    def _open(self, token: bytes) -> bool:
        self._depth += 1
        if self._depth == 1:
            self._top = token
        elif not (self._depth == 2 and self._is_key() and token == b"["):
            return False
        self._level = self._depth
        return True

    def _close(self) -> bool:
        self._depth -= 1
        return self._depth == self._level - 1

    def _item(self, token: bytes, raw: bytes) -> Item | None:
        self._bounded(raw)
        text = raw.lstrip()
        line = self.line + raw.count(b"\n", 0, len(raw) - len(text))
        self.line += raw.count(b"\n")
        text = text.rstrip()
        if token in b"[{":
            self._blank(text)
            return None
        if token == b":":
            self._key = text.strip(b'"')
            return None
        if token in b"]}":
            self._level -= 1
            self._done = self._level == 0
        return Item(line, self._key.decode("utf-8", "replace"), text) if text else None

    def _bounded(self, raw: bytes) -> None:
        if len(raw) > self._max:
            raise DamagedLog("", f"an item is longer than {self._max} bytes: not read further")

    def _blank(self, raw: bytes) -> None:
        if raw.strip():
            raise DamagedLog("", _MORE if self._done else "is not a JSON document")
