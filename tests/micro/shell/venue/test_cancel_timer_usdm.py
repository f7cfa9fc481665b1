"""The kit's timer on the simulator's own: Binance USD-M's ``countdownCancelAll``, over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from usdm_client import FAR, SYMBOL, UsdmClient, trade
from waiting import until

from citadel_micro.adapters.binance.usdm_timer import UsdmTimer
from citadel_micro.shell.venue.cancel_timer import CancelTimer, VenueTimer
from citadel_micro.shell.venue.order_ids import OrderIds
from citadel_micro.shell.venue.outcomes import Answered

if TYPE_CHECKING:
    from citadel_micro.shell.venue.dialect import Request

PERIOD_NS = 2_500_000_000


def test_orders_rest_while_it_is_renewed_and_are_canceled_when_we_fall_silent() -> None:
    async def body(client: UsdmClient) -> None:
        async def ask(request: Request) -> Answered:
            path = f"/fapi/v1/{request.method}"
            answer = await client.send("POST", path, dict(request.params))
            return Answered(status=answer.status, body=json.dumps(answer.body).encode())

        timer = CancelTimer(
            "binance-usdm",
            VenueTimer(scope="symbol", period_ns=PERIOD_NS, requests=UsdmTimer({SYMBOL: SYMBOL})),
            (SYMBOL,),
            ids=OrderIds(lambda _changes: None),
            ask=ask,
            on_refusal=lambda _refusal: None,
            now=time.time_ns,
        )
        timer.surveyed((), 0)
        timer.upkeep()
        await until(lambda: timer.armed)
        placed = await client.order(**FAR | {"price": client.price(0.9)})
        name = placed.body["orderId"]
        end_s = time.monotonic() + 3.5
        while time.monotonic() < end_s:
            timer.upkeep()
            await asyncio.sleep(0.1)
        assert (await client.order("GET", orderId=name)).body["status"] == "NEW"
        # We fall silent.

        async def canceled() -> bool:
            return bool((await client.order("GET", orderId=name)).body["status"] == "CANCELED")

        await until(canceled)
        assert not timer.armed

    trade(body)
