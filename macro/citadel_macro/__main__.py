"""``python -m citadel_macro trade …``: the commands of ``citadel macro``."""

import sys

from citadel_bridge.cli import main

if __name__ == "__main__":
    sys.exit(main(["macro", *sys.argv[1:]], only="macro", prog="citadel"))
