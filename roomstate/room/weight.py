"""What values hold in memory, in bytes: by estimate, and the same whenever it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from sys import getsizeof
from typing import Any

from msgspec import Struct, structs

from roomstate.model import Annotation, MessageLike

__all__ = [
    "PER_MESSAGE",
    "annotation_bytes",
    "json_bytes",
    "messages_bytes",
    "struct_bytes",
    "text_bytes",
    "texts_bytes",
]

_EMPTY_TEXT = "".__sizeof__()  # 49 bytes on Python 3.11, 41 on later ones

_SHARED_KEY = 32  # characters up to which the decoder keeps one copy of a key for all

PER_MESSAGE = 175 + _EMPTY_TEXT
"""Bytes that a held message costs beyond its content: what `python -m benchmarks memory` found on three archives.

One of its parts is a text of its own: the id.
"""


def text_bytes(text: str) -> int:
    """Return the bytes that ``text`` takes once it was written as JSON: the same before and after. O(length).

    A text beyond ASCII keeps its UTF-8 when somebody asks for that, and ``__sizeof__`` grows: what is weighed before
    and taken off after would go below zero.
    """
    if text.isascii():
        return text.__sizeof__()
    return (text + " ").__sizeof__() + len(text.encode("utf-8", "surrogatepass"))


def texts_bytes(texts: Sequence[str]) -> int:
    """Return the bytes that ``texts`` take, each as `text_bytes` says: most are ASCII, which one look tells. O(length).

    >>> texts_bytes(("a", "bc")) == text_bytes("a") + text_bytes("bc")
    True
    """
    joined = "".join(texts)
    if joined.isascii():
        return len(joined) + _EMPTY_TEXT * len(texts)
    return sum(map(text_bytes, texts))


def json_bytes(value: object) -> int:
    """Return about how many bytes a JSON value holds, or one with structs in it. O(size).

    Short keys are not counted: the decoder shares them.

    >>> json_bytes({"a": ["b"]}) > json_bytes({"a": []}) > json_bytes({})
    True
    """
    if isinstance(value, str):  # what there is most of comes first, and the slow question, Mapping, last
        return text_bytes(value)
    if isinstance(value, list | tuple):
        return getsizeof(value) + sum(map(json_bytes, value))
    if isinstance(value, Struct):
        return struct_bytes(value)
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101
        fields: Mapping[Any, Any] = value
        long = [key for key in fields if len(key) > _SHARED_KEY]
        return getsizeof(dict(fields)) + texts_bytes(long) + sum(map(json_bytes, fields.values()))
    return 24


def struct_bytes(value: Struct) -> int:
    """Return about how many bytes a struct holds with all that is in it. O(size).

    Empty fields cost nothing: they share their defaults.

    >>> from roomstate.model import Message
    >>> struct_bytes(Message("m1", "ada", "x" * 1000)) - struct_bytes(Message("m1", "ada", "x"))
    999
    """
    return getsizeof(value) + sum(json_bytes(field) for field in structs.astuple(value) if field)


def annotation_bytes(note: Annotation | None) -> int:
    """Return about how many bytes an annotation holds, with its place in a dict. O(reactions)."""
    if note is None:
        return 0
    return 300 + sum(150 + 64 * len(users) for users in note.reactions.values())


def messages_bytes(messages: Iterable[MessageLike]) -> int:
    """Return the bytes that messages hold: their contents', and a constant each. O(characters).

    What is in their ``extra`` is not counted.
    """
    contents = [message.content for message in messages]
    return texts_bytes(contents) + PER_MESSAGE * len(contents)
