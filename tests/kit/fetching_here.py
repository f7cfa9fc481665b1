"""A venue's list read in the tests' process, which has ccxt anyway, instead of a child for each micro.

What a child does otherwise, down to the octets that it would write; only its start is left out: one and a
half seconds of a processor for each micro that a test starts. ``test_child.py``, ``test_micro_on_okx.py``
and the tests of whole programs start the child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from citadel_micro.shell.instruments.child import Answer, Order, answer, result_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.shell.instruments.markets import MarketList


class FetchHere:
    """Stands where ``ChildFetch`` does."""

    def __init__(self, folder: Path | None, *, timeout_s: float) -> None:
        del timeout_s  # the test's own
        self._folder = "" if folder is None else str(folder)

    async def __call__(self, venue: str, rest_url: str, symbols: Sequence[str]) -> MarketList:
        order = Order(venue=venue, rest_url=rest_url, symbols=list(symbols), folder=self._folder)
        written = msgspec.json.encode(await answer(order))
        return result_of(msgspec.json.decode(written, type=Answer))
