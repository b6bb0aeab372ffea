from __future__ import annotations

import pytest

from tests.export.lint import lint

GOOD = '# HELP a_things_total Things.\n# TYPE a_things_total counter\na_things_total{kind="x"} 1\n'


def test_what_follows_the_rules_passes() -> None:
    assert lint(GOOD) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("# TYPE a gauge\na 1\n", "no help text"),
        ("# HELP aB x\n# TYPE aB gauge\naB 1\n", "not in snake case"),
        ("# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n", "not a base unit"),
        ("# HELP a_gauge x\n# TYPE a_gauge gauge\na_gauge 1\n", "names its type"),
        ("# HELP a_total x\n# TYPE a_total gauge\na_total 1\n", "ends like a part"),
        ("# HELP a_bytes_held x\n# TYPE a_bytes_held gauge\na_bytes_held 1\n", "the unit is not last"),
        ('# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n', "a histogram without a unit"),
        ("# HELP a x\n# TYPE a untyped\na 1\n", "is unknown"),
        ('# HELP a x\n# TYPE a gauge\na{bigLabel="x"} 1\n', "label 'bigLabel'"),
        ('# HELP a_by_kind x\n# TYPE a_by_kind gauge\na_by_kind{kind="x"} 1\n', "says its label"),
        ('# HELP a x\n# TYPE a gauge\na{le="1"} 1\n', "le belongs to histograms"),
        ('# HELP a x\n# TYPE a gauge\na{b="1"} 1\na{c="1"} 1\n', "different labels"),
        ("# HELP a x\n# TYPE a counter\na 1\n", "not called total"),
    ],
)
def test_each_breach_is_found(text: str, complaint: str) -> None:
    assert any(complaint in found for found in lint(text))
