"""What each protocol's proof notices of traffic that goes wrong, on all captures: a markdown table.

``docs/generate.py --faults`` puts it into ``docs/reference/fault-detection.md``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.shell.capture.fault_table import rows


def main() -> int:
    """Print the table; skipped without captures."""
    shared = Path(
        os.environ.get("CITADEL_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    )
    folder = shared / "captures"
    if not folder.is_dir():
        print(f"bench_faults: skipped, no {folder}; set CITADEL_SHARED")
        return 0
    for row in rows(folder):
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
