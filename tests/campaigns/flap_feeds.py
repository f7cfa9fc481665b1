"""Thousands of reconnects, and what each of them leaves in memory: ``make flap``.

Two venues on loopback end every connection a moment after its snapshot, in each of the ways in which
connections end, and refuse one in eight. Once with each of the two websocket clients. The exit code
is 1 when memory grows by more than the bound a reconnect, or when a task or a socket is left.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

import pytest
import structlog
from flapping_kit import Flapped, flap

LIMIT: Final = 256.0
"""Bytes in use a reconnect. The least that could be left by mistake, a task or a listener, is some
500; what is in flight at a look makes the line through all looks uncertain by some ten."""
WARM: Final = 800
"""By then the windows of latencies, of 1,000 samples a connection, are full."""
SECONDS_A_CONNECT: Final = 0.2
"""Six times as long as it takes on a machine with other work."""


def main() -> int:
    """Measure with both clients; print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reconnects", type=int, default=2_000)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    logging.disable()  # of the websocket clients
    found: dict[str, Flapped] = {}
    for name, deflate in (("picows", False), ("aiohttp", True)):
        with pytest.MonkeyPatch.context() as patch:
            found[name] = flap(
                patch,
                connects=args.reconnects,
                warm=WARM,
                deflate=deflate,
                limit_s=60.0 + (args.reconnects + WARM) * SECONDS_A_CONNECT,
            )
    print("| measure | " + " | ".join(found) + " |")
    print("| --- |" + " --- |" * len(found))
    rows = {
        f"reconnects after the first {WARM}, in seconds": [
            f"{each.connects}, {each.seconds:.0f}" for each in found.values()
        ],
        "refused besides": [f"{each.failures}" for each in found.values()],
        "books that came to LIVE": [f"{each.lives}" for each in found.values()],
        "RSS before, after, MB": [
            f"{each.before.resident / 1e6:.1f}, {each.after.resident / 1e6:.1f}"
            for each in found.values()
        ],
        "in use in both heaps, before, after, MB": [
            f"{each.before.in_use / 1e6:.2f}, {each.after.in_use / 1e6:.2f}"
            for each in found.values()
        ],
        "growth of what is in use, bytes a reconnect": [
            f"{each.in_use_a_connect:+.0f}" for each in found.values()
        ],
        "growth of RSS, bytes a reconnect": [
            f"{each.resident_a_connect:+.0f}" for each in found.values()
        ],
        "growth of blocks of Python memory a reconnect": [
            f"{each.blocks_a_connect:+.2f}" for each in found.values()
        ],
        "tasks left, sockets left, faults": [
            f"{len(each.tasks_left)}, {each.sockets_left}, {each.faults}" for each in found.values()
        ],
    }
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")
    bad = [
        f"{name}: {text}"
        for name, each in found.items()
        for text, is_bad in (
            (f"{each.in_use_a_connect:.0f} bytes a reconnect", each.in_use_a_connect > LIMIT),
            (f"left: {each.tasks_left}", bool(each.tasks_left)),
            (f"{each.sockets_left} sockets are left open", each.sockets_left > 0),
            (f"{each.faults} faults", each.faults > 0),
            ("books seldom came to LIVE", each.lives < each.connects / 2),
        )
        if is_bad
    ]
    print("\nflap: " + ("; ".join(bad) if bad else "nothing is left of a connection"))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
