"""A whole micro in live mode on simulated USD-M futures: long, short, funding, restart, refusals."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import aiohttp
import pytest
from fault_chances import SOFT
from usdm_client import UsdmClient
from usdm_desk import E8, UsdmDesk, on_futures
from usdm_kit import SPOT, SYMBOL, VENUE
from waiting import until

from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.journal.verify import verify_journal
from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.events import Side
    from citadel_micro.shell.keys.api_key import KeyKind


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_long_short_funding_and_flat_again(tmp_path: Path, kind: KeyKind) -> None:
    async def body(desk: UsdmDesk) -> None:
        await desk.start()
        before = desk.wallet()
        bought = await desk.ended(
            desk.signal("buy", "0.02", time_limit_ms=6_000, on_timeout="cross_ioc")
        )
        assert bought.state is ParentState.FILLED
        engine = desk.micro.engine
        await until(lambda: desk.exchange.position("demo", SPOT).lots > 0)
        theirs = Decimal(desk.exchange.position("demo", SPOT).liquidation_e8) / E8

        def near() -> bool:
            ours = engine.portfolio.liquidation_price(desk.position)
            return ours is not None and abs(ours - theirs) < theirs / 10_000

        await until(near)  # the margin comes with the next comparison
        desk.exchange.fund(SPOT, 10_000)
        await until(lambda: desk.position.funding != 0)
        assert desk.position.funding < 0
        sold = await desk.ended(desk.signal("sell", "0.05", algo="marketable_limit"))
        assert sold.state is ParentState.FILLED
        assert desk.position.quantity == Decimal("-0.03")
        ours = engine.portfolio.liquidation_price(desk.position)
        mark = engine.portfolio.margin.mark((VENUE, SYMBOL))
        assert ours is not None
        assert mark is not None
        assert ours > mark
        closed = await desk.ended(desk.signal("buy", "0.03", algo="marketable_limit"))
        assert closed.state is ParentState.FILLED
        assert desk.position.quantity == 0
        assert await desk.micro.stop("the end") is True
        desk.books_agree()
        assert abs(desk.wallet() - before - desk.position.cash) < Decimal("0.00001")
        path = desk.micro.journal.path
        await desk.micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

    on_futures(tmp_path, body, kind=kind)


def test_a_restart_with_a_short_and_an_order_in_the_book(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        await desk.start()
        await desk.ended(desk.signal("sell", "0.02", algo="marketable_limit"))
        mid = desk.micro.engine.markets[VENUE, SYMBOL].mid()
        assert mid is not None
        name = desk.signal("buy", "0.02", algo="limit", limit=f"{mid * 0.97:.1f}")
        await until(lambda: desk.parent(name).live and desk.parent(name).live[0].acknowledged)
        await desk.micro.close()
        desk.exchange.fund(SPOT, 10_000)
        await desk.start()
        assert desk.position.quantity == Decimal("-0.02")
        await until(lambda: desk.position.funding > 0)  # a short receives it
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_futures(tmp_path, body)


def test_more_leverage_than_the_account_has_is_rejected(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        desk.settings = "leverage = 10\n"
        await desk.start()
        parent = await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        assert parent.reason_code == "LIQUIDATION_DISTANCE"
        assert parent.filled == 0
        assert not desk.exchange.my_trades("demo", SPOT)

    on_futures(tmp_path, body)


@pytest.mark.parametrize("lag_s", [0, 2])
def test_a_liquidation_halts_the_symbol_and_is_booked(tmp_path: Path, lag_s: int) -> None:
    """Also by a matching engine whose trades have earlier times than the answers to queries."""

    async def body(desk: UsdmDesk) -> None:
        exchange = desk.exchange
        advance = exchange.advance
        exchange.advance = lambda ns: advance(max(exchange.now_ns, ns - lag_s * 10**9))
        await desk.start()
        await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        desk.exchange.close_out("demo", SPOT, "liquidation")
        engine = desk.micro.engine
        await until(lambda: desk.position.quantity == 0)
        await until(lambda: engine.risk.effective_state(VENUE, SYMBOL, "Test") == "HALTED")

    on_futures(tmp_path, body)


def test_books_agree_after_orders_among_faults(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        await desk.start()
        faults = desk.server.usdm.venue.faults
        faults.extend(SOFT)
        names: list[str] = []
        sides: tuple[Side, ...] = ("buy", "sell")
        for _ in range(4):
            for side in sides:
                name = desk.signal(side, "0.01", time_limit_ms=2_000, on_timeout="cross_ioc")
                names.append(name)
                await asyncio.sleep(0.5)
        faults.clear()
        for name in names:
            await desk.ended(name)
        assert await desk.micro.stop("the end") is True
        desk.books_agree()

    on_futures(tmp_path, body)


def test_hedge_mode_is_refused_before_the_first_order(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        async with aiohttp.ClientSession() as http:
            client = UsdmClient(desk.server, http)
            path = "/fapi/v1/positionSide/dual"
            answer = await client.send("POST", path, {"dualSidePosition": "true"})
            assert answer.status == 200
        with pytest.raises(CitadelError, match="hedge mode"):
            await desk.start()

    on_futures(tmp_path, body)
