"""``python -m roomstate``: see `roomstate.cli`."""

from __future__ import annotations

import sys

from roomstate.cli import inspect, replay, simulate
from roomstate.cli.main import main

if __name__ == "__main__":
    sys.exit(main((replay, simulate, inspect)))
