"""A clock that was set between an order's sending and the search for it, or a machine that was suspended.

The search begins at the venue's time of then: by the offset of now it would begin after the sending, and an
order that has filled would be one that never came.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from unheard_adapters import NAMES, placing, unheard_adapter

from citadel_micro.core.model.time_units import MS, SECOND
from citadel_micro.shell.venue.dialect import Absent
from citadel_micro.shell.venue.outcomes import Answered

if TYPE_CHECKING:
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.outcomes import Outcome

HOUR_NS = 3_600 * SECOND
NOTHING: dict[str, tuple[tuple[str, int, bytes], ...]] = {
    "binance": (
        ("status", 400, b'{"code":-2013,"msg":"Order does not exist."}'),
        ("", 200, b"[]"),
    ),
    "bybit": (("", 200, b'{"retCode":0,"retMsg":"OK","result":{"list":[],"nextPageCursor":""}}'),),
    "hyperliquid": (("orderStatus", 200, b'{"status":"unknownOid"}'), ("", 200, b"[]")),
    "kraken": (
        ("Open", 200, b'{"error":[],"result":{"open":{}}}'),
        ("Closed", 200, b'{"error":[],"result":{"closed":{},"count":0}}'),
        ("Trades", 200, b'{"error":[],"result":{"trades":{},"count":0}}'),
    ),
    "okx": (
        ("fills", 200, b'{"code":"0","msg":"","data":[]}'),
        ("order", 200, b'{"code":"51603","msg":"Order does not exist","data":[]}'),
    ),
}
"""By the first word of a venue, its answers that show no order: to methods with such a word in them."""


class Searched:
    """A venue that has nothing of any order, and is asked since when."""

    def __init__(self, venue: str) -> None:
        self._answers = NOTHING[venue.partition("-")[0]]
        self.since_ns: list[int] = []

    async def ask(self, request: Request) -> Outcome:
        for name, value in request.params.items():
            if re.fullmatch("start|startTime|begin", name):
                seconds = "." in str(value)
                self.since_ns.append(int(float(value) * SECOND if seconds else int(value) * MS))
        asked = f"{request.method} {request.params}"
        return next(
            Answered(status=status, body=body)
            for word, status, body in self._answers
            if word in asked
        )


@pytest.mark.parametrize("set_ns", [-HOUR_NS, HOUR_NS], ids=["back", "on"])
@pytest.mark.parametrize("venue", NAMES)
def test_a_search_begins_before_the_sending_by_whichever_clock(venue: str, set_ns: int) -> None:
    async def main() -> None:
        adapter = unheard_adapter(venue)
        sent_ns = adapter.clock.venue_ns()
        order = adapter.ids.find(placing(adapter).client_id)
        assert order is not None
        order.expires_ns = order.placed_ns + SECOND
        adapter.clock.offset_ns += set_ns
        searched = Searched(venue)
        found = await adapter._dialect.find(searched.ask, order, deep=True)
        assert isinstance(found, Absent), found
        assert found.trades_too
        assert searched.since_ns
        assert max(searched.since_ns) <= sent_ns, "whatever it begins with"
        await adapter.released()

    asyncio.run(main())


def test_not_found_counts_once_the_order_has_expired_by_the_venues_clock_too() -> None:
    """Ours was set on by an hour while micro was down for a second: the request may still be under way."""

    async def main() -> None:
        adapter = unheard_adapter("binance-spot")
        order = adapter.ids.find(placing(adapter).client_id)
        assert order is not None
        late_ns = order.placed_ns + HOUR_NS
        assert not adapter._queries._is_past(order, late_ns)
        adapter.clock.offset_ns += 60 * SECOND
        assert adapter._queries._is_past(order, late_ns)
        order.venue_placed_ns = 0  # of a version that did not note it
        adapter.clock.offset_ns -= 60 * SECOND
        assert adapter._queries._is_past(order, late_ns)
        await adapter.released()

    asyncio.run(main())
