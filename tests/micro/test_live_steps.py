"""A venue changes ticks and lots while a whole micro runs: fills in finer lots, orders in coarser ones."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bybit_kit import on_desk as on_bybit
from live_desk import Desk as SpotDesk
from live_desk import used
from okx_desk import Desk as OkxDesk
from okx_kit import okx_server
from spot_kit import SYMBOL
from waiting import until

from citadel_micro.core.model.events import CancelReceived
from citadel_micro.core.model.exact_fill import traded
from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.shell.instruments import refresher
from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from live_desk import Desk

CENT, DIME = Decimal("0.01"), Decimal("0.1")
E8 = 10**8
COARSE = 10
"""Listed lots in the market's own."""


def on_binance(folder: Path, body: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        config = SimulatorConfig(symbols=(SYMBOL,), history_days=1, warm_minutes=1)
        async with SimulatorServer(config) as server:
            await used(SpotDesk(server, folder, "hmac"), body)

    asyncio.run(main())


def on_okx(folder: Path, body: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        async with okx_server() as server:
            await used(OkxDesk(server, folder, "hmac"), body)

    asyncio.run(main())


ON = {"binance": on_binance, "okx": on_okx, "bybit": on_bybit}


def steps(desk: Desk, price: int, quantity: int) -> None:
    """What the venue lists and takes, in ticks and lots of its market."""
    rules = desk.exchange.rules
    rules[SYMBOL] = rules[SYMBOL].coarser(price, quantity)


def agrees(desk: Desk) -> None:
    """Every fill is booked once and exactly, and coins and cash are the exchange's."""
    spec = desk.exchange.rules[SYMBOL].spec
    theirs = {
        (fill.order_id, fill.trade_id): (
            Decimal(fill.ticks * spec.tick_e8) / E8,
            Decimal(fill.lots * spec.lot_e8) / E8,
        )
        for fill in desk.exchange.my_trades("demo", SYMBOL)
    }
    rules = desk.micro.engine.inst_states[desk.venue, SYMBOL].instrument
    assert {key: traded(rules, fill) for key, fill in desk.fills().items()} == theirs
    assert not desk.exchange.open_orders("demo")
    desk.coins_agree()


async def verified(desk: Desk) -> None:
    """Its journal gives the same commands again."""
    path = desk.micro.journal.path
    await desk.micro.close()
    said: list[str] = []
    assert verify_journal(path, said.append) == 0, said


@pytest.mark.campaign
@pytest.mark.parametrize("venue", ON)
def test_fills_in_finer_lots_than_ours_are_booked_exactly(tmp_path: Path, venue: str) -> None:
    async def body(desk: Any) -> None:  # noqa: ANN401 - each venue's own
        steps(desk, 1, COARSE)
        await desk.start()
        steps(desk, 1, 1)  # finer from now on, and others always were
        before = desk.exchange.balances("demo")["BTC"]
        await desk.ended(desk.signal("buy", "0.05", time_limit_ms=2_000, on_timeout="cross_ioc"))
        desk.exchange.open_account("other", {"BTC": 1_000 * E8})
        async with asyncio.timeout(60):
            while all(fill.exact is None for fill in desk.fills().values()):
                offer(desk, "0.00123")
                await desk.ended(desk.signal("buy", "0.05", algo="marketable_limit"))
        assert sum(desk.exchange.balances("demo")["BTC"]) > sum(before)
        await desk.micro.close()
        await desk.start()
        held = desk.position.quantity
        sold = await desk.ended(desk.signal("sell", f"{held:f}", algo="marketable_limit"))
        assert sold.state in {ParentState.FILLED, ParentState.DONE_DUST}
        rules = desk.micro.engine.inst_states[desk.venue, SYMBOL].instrument
        assert 0 <= desk.position.quantity < rules.lot
        engine = desk.micro.engine
        assert engine.risk.effective_state(desk.venue, SYMBOL, "Test") == "ACTIVE"
        assert await desk.micro.stop("the end") is True
        agrees(desk)
        await verified(desk)

    ON[venue](tmp_path, body)


def offer(desk: Any, quantity: str) -> None:  # noqa: ANN401 - each venue's own
    """Another account sells at the best bid and a tick above, in the market's own lots."""
    spec = desk.exchange.rules[SYMBOL].spec
    bid = desk.exchange._feed.depth(SYMBOL, 1).best_bid
    assert bid is not None
    request = OrderRequest(
        symbol=SYMBOL,
        side="SELL",
        type="LIMIT",
        quantity_e8=int(Decimal(quantity) * E8),
        price_e8=(bid[0] + 1) * spec.tick_e8,
        origin="foreign",
    )
    desk.exchange.place("other", request)


async def fallen(desk: Any, told: Callable[[], bool]) -> None:  # noqa: ANN401 - each venue's own
    """Another account sells until it is so."""
    desk.exchange.open_account("other", {"BTC": 1_000 * E8})
    sale = OrderRequest(
        symbol=SYMBOL, side="SELL", type="MARKET", quantity_e8=E8 // 2, origin="foreign"
    )
    async with asyncio.timeout(120):
        while not told():
            desk.exchange.place("other", sale)
            await asyncio.sleep(0.05)


@pytest.mark.campaign
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("venue", ON)
def test_exits_go_on_when_ticks_and_lots_become_coarser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, venue: str, *, restart: bool
) -> None:
    """An order rests and a stop is held, both in the old ones; the list alone tells of the new ones."""
    monkeypatch.setattr(refresher, "HURRIED_S", 0.0)

    async def body(desk: Any) -> None:  # noqa: ANN401 - each venue's own
        await desk.start()
        await desk.ended(desk.signal("buy", "0.05234", algo="marketable_limit"))
        here = (desk.venue, SYMBOL)
        mid = Decimal(repr(desk.micro.engine.markets[here].mid()))
        profit = desk.signal(
            "sell", "0.01234", algo="limit", limit=f"{(mid * 102 / 100).quantize(DIME) + CENT}"
        )
        await until(lambda: bool(desk.parent(profit).live))
        await until(lambda: desk.parent(profit).live[0].acknowledged)
        held = desk.signal("sell", "0.03", stop=f"{(mid * 9997 / 10000).quantize(DIME) + CENT}")
        await until(lambda: desk.parent(held).state is ParentState.HELD)
        steps(desk, 10, 100)
        if restart:
            await desk.micro.close()
            await desk.start()
            assert desk.parent(held).state is ParentState.HELD
        await fallen(desk, lambda: desk.parent(held).triggered)
        sold = await desk.ended(held)
        assert (sold.state, sold.filled) == (ParentState.FILLED, 3_000)
        # What rested still does, at its own price and quantity.
        (order,) = desk.exchange.open_orders("demo")
        assert (order.lots, order.ticks % 10) == (1_234, 1)
        desk.micro.runner.post(CancelReceived(signal_id=profit, reason="t", operator=True))
        await desk.ended(profit)
        rest = desk.position.quantity
        async with asyncio.timeout(60):
            while (
                True
            ):  # as Freqtrade does: an exit ends after five refusals, before the list is there
                name = desk.signal("sell", f"{rest:f}", algo="marketable_limit")
                out = await desk.ended(name)
                if out.state is not ParentState.DENIED:
                    break
        assert out.state in {ParentState.FILLED, ParentState.DONE_DUST}
        assert desk.position.quantity == rest % Decimal("0.001")
        assert desk.micro.engine.risk.effective_state(*here, "Test") == "ACTIVE"
        await desk.micro.stop("the end")
        agrees(desk)
        await verified(desk)

    ON[venue](tmp_path, body)


@pytest.mark.campaign
def test_a_run_goes_on_while_its_pair_is_closed(tmp_path: Path) -> None:
    """Killed in a trading halt, it starts again, holds its stop, and sells when the halt is over."""

    async def body(desk: Any) -> None:  # noqa: ANN401 - as above
        await desk.start()
        await desk.ended(desk.signal("buy", "0.05", algo="marketable_limit"))
        mid = Decimal(repr(desk.micro.engine.markets[desk.venue, SYMBOL].mid()))
        held = desk.signal("sell", "0.03", stop=f"{(mid * 9997 / 10000).quantize(DIME)}")
        await until(lambda: desk.parent(held).state is ParentState.HELD)
        desk.exchange.set_status(SYMBOL, "BREAK")
        await desk.micro.close()
        await desk.start()
        assert desk.parent(held).state is ParentState.HELD
        desk.exchange.set_status(SYMBOL, "TRADING")
        await fallen(desk, lambda: desk.parent(held).triggered)
        assert (await desk.ended(held)).state is ParentState.FILLED

    on_binance(tmp_path, body)
