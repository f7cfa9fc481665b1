"""Rates: a burst after a pause, then even spacing."""

from __future__ import annotations

import asyncio
import itertools

from citadel_micro.shell.marketdata.backoff import Pacer


async def passages(pacer: Pacer, count: int) -> list[float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    times = []
    for _ in range(count):
        await pacer.turn()
        times.append(loop.time() - began)
    return times


def test_without_a_burst_passages_are_spaced() -> None:
    times = asyncio.run(passages(Pacer(50.0), 4))
    assert all(later - earlier >= 0.019 for earlier, later in itertools.pairwise(times))


def test_a_burst_passes_at_once_and_the_rate_holds_after_it() -> None:
    times = asyncio.run(passages(Pacer(20.0, burst=3), 6))
    spaced = [b - a for a, b in itertools.pairwise(times)]
    assert sum(spaced[:3]) < 0.05
    # Whoever is late may be followed sooner; nobody passes before his time.
    assert all(times[n] - times[0] >= (n - 3) / 20.0 - 0.005 for n in range(4, 6))
