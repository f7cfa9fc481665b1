"""Somebody changes the leverage of an open position at the venue: exits go on, and count with what is so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from bybit_kit import on_linear_desk
from hyper_desk import on_hyperliquid
from hyper_kit import SPOT as HYPER_SPOT
from okx_desk import on_swaps
from spot_kit import SYMBOL as SPOT
from usdm_client import UsdmClient
from usdm_desk import on_futures
from waiting import until

from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.sim.exchange.model import OrderRefused

if TYPE_CHECKING:
    from pathlib import Path

    from live_desk import Desk

ON = {
    "binance-usdm": on_futures,
    "okx": on_swaps,
    "bybit-linear": on_linear_desk,
    "hyperliquid": on_hyperliquid,
}
RAISED = 20
OURS = 5


def flow(desk: Desk) -> str:
    """What the exchange calls the symbol."""
    return HYPER_SPOT if desk.venue == "hyperliquid" else SPOT


async def by_hand(desk: Desk, leverage: int) -> None:
    """Another client sets it; at Binance the stream tells."""
    if desk.venue != "binance-usdm":
        desk.exchange.set_leverage("demo", flow(desk), leverage)
        return
    async with aiohttp.ClientSession() as http:
        asked = {"symbol": "BTCUSDT", "leverage": str(leverage)}
        answer = await UsdmClient(desk.server, http).send("POST", "/fapi/v1/leverage", asked)
        assert answer.status == 200


def terms(desk: Desk) -> Any:  # noqa: ANN401 - of the engine
    return desk.micro.engine.portfolio.margin.terms[desk.venue, desk.symbol]


def leverage(desk: Desk) -> int:
    told: int = desk.exchange.position("demo", flow(desk)).leverage
    return told


@pytest.mark.campaign
@pytest.mark.parametrize("venue", ON)
def test_leverage_that_cannot_be_restored_counts_and_exits_are_sent(
    tmp_path: Path, venue: str
) -> None:
    async def body(desk: Any) -> None:  # noqa: ANN401 - each venue's own
        await desk.start()
        await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        given = desk.exchange.set_leverage

        def kept(account: str, symbol: str, wanted: int) -> int:
            held = desk.exchange.position(account, symbol)
            if held.lots and wanted < held.leverage:
                raise OrderRefused("INSUFFICIENT_BALANCE")
            told: int = given(account, symbol, wanted)
            return told

        desk.exchange.set_leverage = kept
        await by_hand(desk, RAISED)
        await until(lambda: terms(desk).leverage == RAISED and bool(terms(desk).text))
        adapter = desk.micro.adapters[desk.venue]
        await until(lambda: adapter.stream.current is not None)
        # A restart with it comes up as well, and the position can be left.
        await desk.micro.close()
        await desk.start()
        assert terms(desk).leverage == RAISED
        sold = await desk.ended(desk.signal("sell", "0.02", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        # Hyperliquid's limits of a minute may be reached by now.
        await until(lambda: terms(desk).leverage == OURS and not terms(desk).text, 150)
        assert leverage(desk) == OURS
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    ON[venue](tmp_path, body)  # type: ignore[operator]


@pytest.mark.campaign
@pytest.mark.parametrize("venue", ["okx", "bybit-linear", "hyperliquid"])
def test_leverage_that_others_have_set_is_set_back(tmp_path: Path, venue: str) -> None:
    async def body(desk: Any) -> None:  # noqa: ANN401 - each venue's own
        await desk.start()
        await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        await by_hand(desk, RAISED)
        await until(lambda: leverage(desk) == OURS)
        adapter = desk.micro.adapters[desk.venue]
        await until(lambda: adapter.stream.current is not None)
        sold = await desk.ended(desk.signal("sell", "0.02", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        assert terms(desk).leverage == OURS

    ON[venue](tmp_path, body)  # type: ignore[operator]
