"""Rests that nobody can sell close their trade, and nothing that ends at once is repeated in a loop."""

from __future__ import annotations

import contextlib
import time
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.enums import State, TradingMode
from freqtrade.persistence import Order, PairLocks, Trade
from freqtrade.rpc.rpc import RPC, RPCException
from freqtrade_kit import HELD_STOPS, running, unlock
from scripted_orders import Script

from citadel_macro.books import DATA_PREFIX, _dust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    over: dict[str, Any] = {
        "order_types": HELD_STOPS,
        "force_entry_enable": True,
    }
    with running(simulator, tmp_path_factory.mktemp("dust"), signals_port, **over) as rig:
        rig.until(lambda: rig.bot.state == State.RUNNING)
        yield rig


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> Iterator[None]:
    if "rig" not in request.fixturenames:
        yield
        return
    rig = request.getfixturevalue("rig")
    before = dict(rig.quotes)
    yield
    rig.quotes.update(before)
    rig.micro.scripts.clear()
    rig.strategy.enter, rig.strategy.leave, rig.strategy.adjust = set(), set(), {}
    unlock(*rig.quotes)


def protected(rig: Rig, pair: str) -> Any:  # noqa: ANN401 - a Trade
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair) and rig.trade(pair).has_open_sl_orders)
    rig.strategy.enter = set()
    return rig.trade(pair)


def stops(rig: Rig, pair: str) -> list[Any]:
    return [s for s in rig.micro.signals_of(pair, "sell") if s.kind == "stop"]


def test_a_stop_that_leaves_dust_closes_the_trade(rig: Rig) -> None:
    pair = "ADA/USDT"
    rig.micro.scripts[pair, "sell"] = Script(fraction="0.99", dust=True)
    trade = protected(rig, pair)
    bid, ask = rig.quotes[pair]
    rig.quotes[pair] = (bid * 0.4, ask * 0.4)
    trade = rig.until(lambda: rig.trade(pair, is_open=False))
    (stop,) = stops(rig, pair)
    parent = rig.micro.parents[stop.signal_id]
    assert parent.status == "done_dust"
    rest = float(Decimal(stop.quantity) - parent.filled)
    assert trade.get_custom_data(f"{DATA_PREFIX}dust") == pytest.approx(rest)
    assert trade.exit_reason == "stoploss_on_exchange"
    assert trade.close_rate == pytest.approx(bid * 0.4, rel=1e-3)
    assert trade.close_profit_abs < -100
    for _ in range(20):
        rig.step()
    assert len(rig.micro.signals_of(pair, "sell")) == 1, "nothing more was tried"


def test_an_entry_too_small_to_sell_is_closed_with_a_note(rig: Rig) -> None:
    pair = "SOL/USDT"
    rig.micro.scripts[pair, "buy"] = Script(fraction="0.01", dust=True)
    rig.strategy.enter = {pair}
    trade = rig.until(lambda: rig.trade(pair, is_open=False))
    (entry,) = trade.orders
    filled = rig.micro.parents[entry.order_id].filled
    assert 0 < float(filled) * trade.open_rate < 5, "the venue's minimum"
    note = trade.get_custom_data(f"{DATA_PREFIX}dust")
    assert note == trade.amount == pytest.approx(float(filled), abs=1.1e-3), "a step at most"
    assert (trade.exit_reason, trade.close_profit_abs) == ("dust", 0)
    assert trade.close_rate == trade.open_rate
    for _ in range(20):
        rig.step()  # the signal still stands
    assert len(rig.micro.signals_of(pair)) == 1, "neither sold in vain nor bought again"
    (lock,) = PairLocks.get_pair_locks(pair)
    assert str(lock.reason).startswith("DUST: ")


def test_a_trade_left_in_two_exits_keeps_the_profit_of_both(rig: Rig) -> None:
    pair = "DOGE/USDT"
    trade = protected(rig, pair)
    rig.strategy.adjust = {pair: -100.0}
    rig.until(lambda: rig.trade(pair).select_filled_orders("sell"))
    first = rig.trade(pair).realized_profit
    assert first < 0, "fees"
    rig.micro.scripts[pair, "sell"] = Script(fraction="0.99", dust=True)
    rig.strategy.leave = {pair}
    trade = rig.until(lambda: rig.trade(pair, is_open=False))
    assert trade.get_custom_data(f"{DATA_PREFIX}dust") > 0
    one, two = (trade.orders[0], trade.select_filled_orders("sell"))
    sold = sum(order.cost * (1 - trade.fee_close) for order in two)
    bought = one.average * sum(order.filled for order in two) * (1 + trade.fee_open)
    assert trade.close_profit_abs == pytest.approx(sold - bought, rel=1e-6, abs=1e-6)
    assert trade.close_profit_abs < first


@pytest.mark.parametrize(
    ("script", "pair"),
    [
        (Script(fraction="0", dust=True), "XRP/USDT"),
        (Script(reject="STALE_BOOK"), "BTC/USDT"),
    ],
)
def test_what_ends_at_once_is_not_repeated_in_a_tight_loop(
    rig: Rig, script: Script, pair: str
) -> None:
    trade = protected(rig, pair)
    stop = rig.micro.parents[stops(rig, pair)[0].signal_id]
    rig.micro.scripts[pair, "sell"] = script
    if script.reject:
        rig.strategy.leave = {pair}
    else:
        stop.script = script
        bid, ask = rig.quotes[pair]
        rig.quotes[pair] = (bid * 0.4, ask * 0.4)
    before = len(rig.micro.signals_of(pair, "sell"))
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        rig.step()
    tried = rig.micro.signals_of(pair, "sell")[before:]
    assert len([s for s in tried if s.kind == "order"]) <= 5
    if not script.reject:
        assert len(tried) <= 10, "at once, then 1, 2 and 4 s apart, of each kind"
    assert rig.trade(pair) is not None
    with contextlib.suppress(RPCException):  # by hand it is tried at once
        RPC(rig.bot)._rpc_force_exit(str(trade.id))
    assert len(rig.micro.signals_of(pair, "sell")) > before + len(tried)
    rig.micro.scripts.clear()
    rig.strategy.leave = {pair}
    RPC(rig.bot)._rpc_force_exit(str(trade.id))
    rig.until(lambda: rig.trade(pair) is None)


def test_what_fell_below_the_minimum_is_dust_when_micro_says_so(rig: Rig) -> None:
    pair = "ETH/USDT"
    rig.micro.scripts[pair, "buy"] = Script(fraction="0.03", dust=True)  # about 6 USDT
    trade = protected(rig, pair)
    rig.micro.scripts[pair, "sell"] = Script(reject="BELOW_MIN")
    rig.strategy.leave = {pair}
    trade = rig.until(lambda: rig.trade(pair, is_open=False))
    assert trade.get_custom_data(f"{DATA_PREFIX}dust") > 0
    assert trade.select_filled_orders("sell") == []


@pytest.mark.campaign
def test_a_minimum_that_could_not_be_judged_is_no_dust(rig: Rig) -> None:
    pair = "XRP/USDT"
    rig.micro.scripts[pair, "buy"] = Script(fraction="0.03", dust=True)  # about 6 USDT
    protected(rig, pair)
    why = "there is no price to value the minimum by"
    rig.micro.scripts[pair, "sell"] = Script(reject="BELOW_MIN", why=why)
    rig.strategy.leave = {pair}
    for _ in range(10):
        rig.step()
    assert rig.trade(pair) is not None
    rig.micro.scripts.clear()
    rig.until(lambda: rig.trade(pair) is None)
    assert rig.trade(pair, is_open=False).get_custom_data(f"{DATA_PREFIX}dust") is None


# --- the rule alone -------------------------------------------------------------------------------


class Venue(SimpleNamespace):
    """Enough of an exchange for the rule; amounts are in base units, steps of 0.001."""

    def amount_to_contract_precision(self, _pair: str, amount: float) -> float:
        return int(amount * 1_000 + 1e-9) / 1_000

    def _amount_to_contracts(self, _pair: str, amount: float) -> float:
        return amount


def venue(mode: TradingMode, *told: str) -> Any:  # noqa: ANN401 - stands in for an exchange
    limits = {"amount": {"min": 0.002}, "cost": {"min": 5.0}}
    return Venue(markets={"A/U": {"limits": limits}}, trading_mode=mode, unsellable=set(told))


def held(amount: float, *sold: tuple[str, float], price: float = 100.0) -> Trade:
    trade = Trade(  # type: ignore[no-untyped-call]
        pair="A/U",
        amount=amount,
        open_rate=price,
        stake_amount=amount * price,
        fee_open=0.001,
        fee_close=0.001,
        is_open=True,
        exchange="x",
    )
    for number, (side, quantity) in enumerate((("buy", amount), *sold)):
        trade.orders.append(
            Order(
                order_id=f"o{number}",
                ft_order_side=side,
                ft_pair="A/U",
                ft_is_open=False,
                ft_amount=quantity,
                ft_price=price,
                average=price,
                price=price,
                status="closed",
                filled=quantity,
                amount=quantity,
            )
        )
    return trade


@pytest.mark.parametrize(
    ("trade", "mode", "told", "dust"),
    [
        (held(1.0, ("sell", 0.97)), TradingMode.SPOT, (), True),
        (held(1.0, ("stoploss", 0.97)), TradingMode.SPOT, (), True),
        (held(1.0, ("sell", 0.9)), TradingMode.SPOT, (), False),
        (held(0.04), TradingMode.SPOT, (), True),
        (held(0.06), TradingMode.SPOT, (), False),
        (held(0.06), TradingMode.SPOT, ("A/U",), True),
        (held(0.6), TradingMode.SPOT, ("A/U",), False),
        # A contract below the minimum notional can be closed; below a step it cannot.
        (held(1.0, ("sell", 0.97)), TradingMode.FUTURES, (), False),
        (held(1.0, ("sell", 0.97)), TradingMode.FUTURES, ("A/U",), True),
        (held(1.0, ("sell", 0.9985)), TradingMode.FUTURES, (), True),
        # Freqtrade keeps the amount where the rest is less than a step.
        (held(1.0, ("sell", 0.9996)), TradingMode.SPOT, (), True),
        (held(1.0, ("sell", 1.0)), TradingMode.SPOT, (), True),
    ],
)
def test_what_counts_as_dust(
    trade: Trade, mode: TradingMode, told: tuple[str, ...], dust: bool
) -> None:
    assert (_dust(venue(mode, *told), trade) is not None) is dust
