"""``python -m citadel_micro --mode paper …``: the same as ``citadel micro …``."""

from __future__ import annotations

import sys

from citadel_bridge.cli import main

if __name__ == "__main__":
    sys.exit(main(["micro", *sys.argv[1:]], only="micro", prog="citadel"))
