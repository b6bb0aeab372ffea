"""The rules of `promtool check metrics`, and those of Prometheus's page on naming, over a scrape."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
COUNTER = re.compile(r"^# TYPE (\w+)(?<!_total) counter$", re.MULTILINE)
RESERVED = ("_bucket", "_count", "_sum", "_total", "_created", "_info")
NOT_BASE = set(
    """
    ms us ns milliseconds microseconds nanoseconds minutes hours days weeks kb mb gb kib mib gib kilobytes megabytes
    bits percent secs sec byte second millis
    """.split()
)
TYPES = {"counter", "gauge", "histogram", "summary", "metric"}


def lint(text: str) -> list[str]:
    """What is wrong with a scrape in Prometheus's text format, one sentence each."""
    totals = [f"{name}: a counter that is not called total" for name in COUNTER.findall(text)]
    found = [(*_names(family), *_values(family)) for family in text_string_to_metric_families(text)]
    return [*totals, *(complaint for complaints in found for complaint in complaints)]


def _names(family: Metric) -> Iterator[str]:
    name, words = family.name, set(family.name.split("_"))
    if not family.documentation.strip():
        yield f"{name}: no help text"
    if not SNAKE.fullmatch(name):
        yield f"{name}: not in snake case"
    if words & NOT_BASE:
        yield f"{name}: not a base unit: {sorted(words & NOT_BASE)}"
    if words & TYPES:
        yield f"{name}: names its type"
    if name.endswith(RESERVED):
        yield f"{name}: ends like a part of another type"
    if words & {"bytes", "seconds"} and not name.endswith(("_bytes", "_seconds")):
        yield f"{name}: the unit is not last"
    if family.type == "histogram" and not name.endswith(("_bytes", "_seconds")):
        yield f"{name}: a histogram without a unit"
    if family.type not in ("counter", "gauge", "histogram"):
        yield f"{name}: is {family.type}"


def _values(family: Metric) -> Iterator[str]:
    for sample in family.samples:
        for label in sample.labels:
            if not SNAKE.fullmatch(label) or label.startswith("__"):
                yield f"{family.name}: label {label!r} is not in snake case"
            if label in family.name.split("_"):
                yield f"{family.name}: the name says its label {label!r}"
            if label == "le" and family.type != "histogram":
                yield f"{family.name}: le belongs to histograms"
        if len({tuple(one.labels) for one in family.samples if one.name == sample.name}) > 1:
            yield f"{family.name}: samples with different labels"
