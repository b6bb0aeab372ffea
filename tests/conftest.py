"""What every test shares: where `benchmarks` is found, and how hard Hypothesis tries."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Appended, not prepended: `benchmarks` and `tests` come from the checkout, but an installed `roomstate` wins
# over the one that lies beside them.
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

# ci: the same examples on every run, so that a red run is red for everybody.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# long: new examples on every run, and many more of them; for `pytest -m long --hypothesis-profile=long`.
settings.register_profile(
    "long",
    parent=settings.get_profile("ci"),
    derandomize=False,
    max_examples=2000,
    stateful_step_count=100,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
