"""Run ``citadel macro`` and die, as by kill -9, right after an order of one side was published.

Usage: die_after_publish.py SIDE trade -c CONFIG
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from citadel_macro.exchange import BridgeMixin
from citadel_macro.launcher import run

if TYPE_CHECKING:
    from citadel_bridge.config import NewSignal


def main(side: str, argv: list[str]) -> int:
    published = BridgeMixin._send

    def _send(self: BridgeMixin, request: NewSignal, *, lock: bool) -> Any:  # noqa: ANN401
        order = published(self, request, lock=lock)
        if request.side == side:
            os.kill(os.getpid(), signal.SIGKILL)
        return order

    BridgeMixin._send = _send  # type: ignore[method-assign]
    return run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
