"""An answer that stays unreadable is reported once, and asked for at the usual pace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from spot_kit import live_bench
from waiting import until

from citadel_micro.core.model.events import OrderAccepted, OrderState, RequestTimedOut, VenueAnomaly
from citadel_micro.shell.venue import queries
from citadel_micro.shell.venue.dialect import Unclear

if TYPE_CHECKING:
    import pytest

    from citadel_micro.shell.venue.dialect import Ask, Finding
    from citadel_micro.shell.venue.order_ids import OurOrder


def test_a_puzzle_that_lasts_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine asks at once about what is reported: told each time, it was asked for without a pause."""

    async def main() -> None:
        async with live_bench() as bench:
            await bench.begin()
            order = await bench.resting()
            await bench.told(OrderAccepted, order)
            dialect = bench.adapter._dialect
            texts = ["PENDING_REVIEW"] * 4 + ["SUSPENDED"] * 2

            async def puzzling(ask: Ask, of: OurOrder, *, deep: bool) -> Finding:
                del ask, of, deep
                return Unclear(texts[len(bench.of(RequestTimedOut, order))], anomaly=True)

            monkeypatch.setattr(dialect, "find", puzzling)
            for count in range(1, len(texts) + 1):
                bench.query(order)
                await bench.told(RequestTimedOut, order, count)
            told = [each.text for each in bench.of(VenueAnomaly, order)]
            assert told == ["PENDING_REVIEW", "SUSPENDED"]
            # Told again when that is some time ago, and at once of another order.
            monkeypatch.setattr(queries, "PUZZLE_AGAIN_NS", 0)
            texts.append("SUSPENDED")
            bench.query(order)
            await until(lambda: len(bench.of(VenueAnomaly, order)) == 3)
            monkeypatch.undo()
            assert (await bench.answer(order)).status == "open"
            assert bench.of(OrderState, order)

    asyncio.run(main())
