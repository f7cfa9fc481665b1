"""Futures: real Freqtrade opens a leveraged short and closes it, without one private request."""

from __future__ import annotations

import time
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from freqtrade.enums import ExitCheckTuple, ExitType, MarginMode, TradingMode
from freqtrade.exceptions import InvalidOrderException, TemporaryError
from freqtrade.persistence import PairLocks, Trade
from freqtrade_kit import impatient, unlock
from futures_bot import PAIR, futures_bot, market
from msgspec.structs import replace
from scripted_micro import ScriptedMicro
from scripted_orders import Script

from citadel_bridge.errors import MicroUnavailable
from citadel_macro import late_funding
from citadel_macro import late_orders as late
from citadel_macro.ccxt_orders import is_terminal
from citadel_macro.exchange import BridgeMixin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from freqtrade.freqtradebot import FreqtradeBot


@pytest.fixture(scope="module")
def quotes() -> dict[str, tuple[float, float]]:
    return {PAIR: (50_000.0, 50_000.1)}


@pytest.fixture(scope="module")
def micro(quotes: dict[str, tuple[float, float]], signals_port: int) -> Iterator[ScriptedMicro]:
    with ScriptedMicro(
        signals=f"tcp://127.0.0.1:{signals_port}", quotes=lambda: quotes, venue="binance-usdm"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def bot(
    micro: ScriptedMicro, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[FreqtradeBot]:
    folder = tmp_path_factory.mktemp("futures")
    with futures_bot(folder, micro, f"tcp://127.0.0.1:{signals_port}") as running:
        yield running


@pytest.fixture
def exchange(bot: FreqtradeBot) -> BridgeMixin:
    assert isinstance(bot.exchange, BridgeMixin)
    return bot.exchange


def test_a_short_with_leverage_and_back(
    bot: FreqtradeBot,
    exchange: BridgeMixin,
    micro: ScriptedMicro,
    quotes: dict[str, tuple[float, float]],
) -> None:
    before = micro.totals["USDT"]
    assert bot.execute_entry(PAIR, 100.0, is_short=True, leverage_=3.0)
    (entry,) = micro.signals_of(PAIR)
    assert (entry.side, entry.leverage, entry.reduce_only) == ("sell", "3", False)
    assert Decimal(entry.quantity) == Decimal("0.006"), "100 USDT at 3x, on the venue's grid"

    trade = Trade.get_open_trades()[0]
    assert (trade.is_short, trade.leverage, trade.amount) == (True, 3.0, 0.006)
    assert trade.liquidation_price == pytest.approx(50_000 * 0.7 - 50_000 * 0.3 * 0.05)
    position = bot.wallets.get_all_positions()[PAIR]
    assert (position.side, position.position) == ("short", 0.006)
    assert position.collateral == pytest.approx(0.006 * 50_000 / 3)
    assert exchange.get_funding_fees(PAIR, 0.006, True, datetime.now(UTC)) == 0.0
    micro.positions[PAIR] = replace(micro.positions[PAIR], funding="0.75")
    assert exchange.get_funding_fees(PAIR, 0.006, True, datetime.now(UTC)) == 0.75

    quotes[PAIR] = (49_000.0, 49_000.1)
    told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
    assert bot.execute_trade_exit(trade, 49_000.1, told)
    leave = micro.signals_of(PAIR, "buy")[0]
    assert leave.reduce_only
    assert not trade.is_open
    paid = sum(Decimal(f.fee) for p in micro.parents.values() for f in p.fills)
    gained = Decimal("0.006") * (Decimal(50_000) - Decimal("49000.1"))
    assert micro.totals["USDT"] - before == gained - paid
    assert trade.fee_open_currency == trade.fee_close_currency == "USDT"
    # Freqtrade counts profit with fee rates rounded to 1e-8.
    assert trade.funding_fees == 0.75
    assert trade.close_profit_abs == pytest.approx(float(gained - paid) + 0.75, abs=1e-4)
    quotes[PAIR] = (50_000.0, 50_000.1)


def test_funding_is_booked_once_by_each_of_several_exits_and_while_one_is_worked(
    bot: FreqtradeBot, micro: ScriptedMicro
) -> None:
    told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
    assert bot.execute_entry(PAIR, 200.0, is_short=True, leverage_=3.0)
    trade = Trade.get_open_trades()[0]

    def fund(total: str) -> None:
        micro.positions[PAIR] = replace(micro.positions[PAIR], funding=total)

    fund("-0.5")
    bot.update_funding_fees()
    assert trade.funding_fees == -0.5
    assert bot.execute_trade_exit(trade, 50_000.1, told, sub_trade_amt=0.004)
    assert trade.funding_fees == -0.5
    fund("-0.75")
    bot.update_funding_fees()
    assert trade.funding_fees == -0.75, "what the first exit has is not counted again"
    micro.scripts[PAIR, "buy"] = Script(fraction="0")
    assert bot.execute_trade_exit(trade, 50_000.1, told)
    (leave,) = (order for order in trade.orders if order.ft_is_open)
    fund("-1.25")
    micro.parents[leave.order_id].script = Script()
    until_closed(bot)
    assert trade.funding_fees == -1.25
    micro.scripts.clear()


def test_a_trade_that_waits_for_its_entry_has_none_of_the_funding_of_the_one_before(
    bot: FreqtradeBot, exchange: BridgeMixin, micro: ScriptedMicro
) -> None:
    micro.positions[PAIR] = replace(micro.positions[PAIR], funding="-1.25")
    micro.scripts[PAIR, "sell"] = Script(fraction="0")
    assert bot.execute_entry(PAIR, 200.0, is_short=True, leverage_=3.0)
    trade = Trade.get_open_trades()[0]
    bot.update_funding_fees()
    assert trade.funding_fees in {None, 0.0}
    (order,) = trade.orders
    assert exchange.cancel_order(order.order_id, PAIR)["status"] == "canceled"
    until_closed(bot)
    micro.scripts.clear()


def test_a_stop_that_closes_a_trade_has_the_funding_that_came_before_it(
    bot: FreqtradeBot, micro: ScriptedMicro, quotes: dict[str, tuple[float, float]]
) -> None:
    """Freqtrade books funding with entries and exits, and none with a stop at the exchange."""
    before = micro.totals["USDT"]
    assert bot.execute_entry(PAIR, 100.0, is_short=True, leverage_=3.0)
    trade = Trade.get_open_trades()[0]
    assert bot.create_stoploss_order(trade, 51_000.0)
    micro.positions[PAIR] = replace(micro.positions[PAIR], funding="-0.5")
    bot.update_funding_fees()
    micro.positions[PAIR] = replace(micro.positions[PAIR], funding="-0.75")
    quotes[PAIR] = (51_000.0, 51_000.1)
    until(lambda: bot.handle_stoploss_on_exchange(trade))
    quotes[PAIR] = (50_000.0, 50_000.1)
    assert not trade.is_open
    assert trade.funding_fees == -0.75
    gained = float(micro.totals["USDT"] - before)
    assert trade.close_profit_abs == pytest.approx(gained - 0.75, abs=1e-4)


@pytest.mark.parametrize("after_a_part", [False, True])
def test_funding_that_is_told_after_the_close_is_of_the_trade_that_was_closed(
    bot: FreqtradeBot, exchange: BridgeMixin, micro: ScriptedMicro, *, after_a_part: bool
) -> None:
    told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
    assert bot.execute_entry(PAIR, 200.0, is_short=True, leverage_=3.0)
    trade = Trade.get_open_trades()[0]
    late_funding.book(exchange)
    if after_a_part:
        micro.positions[PAIR] = replace(micro.positions[PAIR], funding="-0.25")
        assert bot.execute_trade_exit(trade, 50_000.1, told, sub_trade_amt=0.004)
    assert bot.execute_trade_exit(trade, 50_000.1, told)
    assert not trade.is_open
    before = (trade.funding_fees, trade.close_profit_abs)
    late_funding.book(exchange)
    assert (trade.funding_fees, trade.close_profit_abs) == before
    micro.positions[PAIR] = replace(micro.positions[PAIR], funding="-1.25")
    late_funding.book(exchange)
    assert trade.funding_fees == -1.25
    assert trade.close_profit_abs == pytest.approx(before[1] - 1.25 - before[0])
    held = micro.positions[PAIR]
    for others in ({"quantity": "0.001"}, {"funding": "0"}):
        micro.positions[PAIR] = replace(held, **{"funding": "-3", **others})
        late_funding.book(exchange)
        assert trade.funding_fees == -1.25, "somebody else has opened it since"
    micro.positions[PAIR] = held
    assert bot.execute_entry(PAIR, 200.0, is_short=True, leverage_=3.0)
    newer = Trade.get_open_trades()[0]
    micro.positions[PAIR] = replace(micro.positions[PAIR], funding="-2")
    late_funding.book(exchange)
    assert trade.funding_fees == -1.25, "it is of the position that is held now"
    assert bot.execute_trade_exit(newer, 50_000.1, told)


def test_a_trade_on_the_rest_of_another_has_none_of_the_funding_of_before(
    bot: FreqtradeBot, exchange: BridgeMixin, micro: ScriptedMicro
) -> None:
    told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
    rest = Decimal("-0.002")

    def settled() -> bool:
        bot.manage_open_orders()
        return not Trade.get_open_trades()[0].has_open_orders

    held = micro.positions[PAIR]
    assert Decimal(held.quantity) == 0
    micro.positions[PAIR] = replace(held, quantity=str(rest), funding="-0.5")
    for fraction, further in (("1", "-0.75"), ("0.5", "-1.25")):
        paid = Decimal(further) - Decimal(micro.positions[PAIR].funding)
        micro.scripts[PAIR, "sell"] = Script(fraction=fraction)
        assert bot.execute_entry(PAIR, 140.0, is_short=True, leverage_=3.0)
        trade = Trade.get_open_trades()[0]
        bot.manage_open_orders()
        micro.positions[PAIR] = replace(micro.positions[PAIR], funding=further)
        bot.manage_open_orders()
        for order in trade.open_orders:
            exchange.cancel_order(order.order_id, PAIR)
        until(settled)
        bot.update_funding_fees()
        assert trade.funding_fees == float(paid)
        assert bot.execute_trade_exit(trade, 50_000.1, told)
        assert not trade.is_open
        assert trade.funding_fees == float(paid)
        assert Decimal(micro.positions[PAIR].quantity) == rest
    micro.positions[PAIR] = held
    micro.scripts.clear()


def test_a_further_entry_that_outlives_its_short_becomes_a_short_of_its_own(
    bot: FreqtradeBot,
    exchange: BridgeMixin,
    micro: ScriptedMicro,
    quotes: dict[str, tuple[float, float]],
) -> None:
    assert bot.execute_entry(PAIR, 100.0, is_short=True, leverage_=3.0)
    trade = Trade.get_open_trades()[0]
    assert bot.create_stoploss_order(trade, 51_000.0)
    micro.scripts[PAIR, "sell"] = Script(fraction="0", sticky=True)
    assert bot.execute_entry(PAIR, 200.0, trade=trade, is_short=True, mode="pos_adjust")
    further = micro.parents[micro.signals_of(PAIR, "sell")[-1].signal_id]
    quotes[PAIR] = (51_000.0, 51_000.1)
    until(lambda: bot.handle_stoploss_on_exchange(trade))
    assert not trade.is_open

    further.script = Script(sticky=True)

    def adopted() -> list[Trade]:
        late.settle(bot, exchange)
        return Trade.get_open_trades()

    until(adopted)
    (lone,) = Trade.get_open_trades()
    assert (lone.is_short, lone.leverage) == (True, 3.0)
    assert lone.amount == float(further.filled) == float(Decimal(further.signal.quantity))
    assert [order.order_id for order in lone.orders] == [further.signal.signal_id]
    assert micro.positions[PAIR].quantity == f"-{further.filled}"
    micro.scripts.clear()
    told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
    assert bot.execute_trade_exit(lone, 51_000.1, told)
    assert not lone.is_open
    quotes[PAIR] = (50_000.0, 50_000.1)


def test_a_trade_is_closed_with_all_that_follows_while_micro_answers_nothing(
    bot: FreqtradeBot, exchange: BridgeMixin, micro: ScriptedMicro, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Freqtrade reads its wallet as it closes a trade, and locks the pair afterwards."""
    unlock(PAIR)
    assert bot.execute_entry(PAIR, 100.0, is_short=True, leverage_=3.0)
    trade = Trade.get_open_trades()[0]
    micro.scripts[PAIR, "buy"] = Script(fraction="0")
    told = ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="told")
    assert bot.execute_trade_exit(trade, 50_000.1, told)
    (leave,) = trade.open_orders
    micro.parents[leave.order_id].script = Script()
    until(lambda: is_terminal(exchange.link.report(leave.order_id) or pytest.fail("unknown")))

    def silent(*_: object) -> object:
        raise MicroUnavailable("micro did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(exchange.link, "positions", silent)
        bot.manage_open_orders()
    assert not trade.is_open
    assert PairLocks.is_pair_locked(PAIR, side="short")
    micro.scripts.clear()


def until_closed(bot: FreqtradeBot) -> None:
    """Let Freqtrade look at its orders until no trade is open."""

    def closed() -> bool:
        bot.manage_open_orders()
        return not Trade.get_open_trades()

    until(closed)


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stop_is_reduce_only_and_held(exchange: BridgeMixin, micro: ScriptedMicro) -> None:
    stop = exchange.create_stoploss(PAIR, 0.01, 45_000.04, {"stoploss": "limit"}, "sell", 3.0)
    sent = micro.signals_of(PAIR, "sell")[-1]
    assert (sent.kind, sent.reduce_only, sent.leverage) == ("stop", True, "3")
    assert (sent.stop_price, sent.limit_price) == ("45000.1", "44550.1")
    assert (stop["status"], stop["stopPrice"]) == ("open", 45_000.1)
    assert exchange.fetch_stoploss_order(stop["id"], PAIR)["status"] == "open"
    assert exchange.stoploss_adjust(46_000.0, stop, "sell")
    assert exchange.cancel_stoploss_order(stop["id"], PAIR)["status"] == "canceled"
    assert exchange.get_order_id_conditional(stop) == stop["id"]


def test_account_settings_make_no_request(exchange: BridgeMixin) -> None:
    """The configured URLs answer nothing, so a request would raise."""
    exchange.additional_exchange_init()
    exchange._lev_prep(PAIR, 3.0, "buy")
    exchange._set_leverage(3.0, PAIR)
    exchange.set_margin_mode(PAIR, MarginMode.ISOLATED)
    assert exchange.fetch_trading_fees() == {}
    assert exchange.trading_mode == TradingMode.FUTURES
    assert exchange.get_max_leverage(PAIR, 100.0) > 20
    assert exchange.fetch_positions("ETH/USDT:USDT") == []


def test_other_exchanges_take_leverage_from_public_rules(
    exchange: BridgeMixin, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = deepcopy(market())
    rules["limits"]["leverage"]["max"] = 50
    monkeypatch.setattr(exchange, "_markets", {PAIR: rules})
    monkeypatch.setattr(exchange._api, "id", "okx")
    tiers = exchange.load_leverage_tiers()
    assert tiers[PAIR][0]["maxLeverage"] == 50.0
    assert exchange.parse_leverage_tier(tiers[PAIR][0])["maxNotional"] is None


def test_an_amount_below_a_lot_is_refused_here(exchange: BridgeMixin, micro: ScriptedMicro) -> None:
    before = len(micro.signals_of(PAIR))
    with pytest.raises(InvalidOrderException, match="below the smallest quantity"):
        exchange.create_order(
            pair=PAIR, ordertype="limit", side="buy", amount=0.0001, rate=50_000.0, leverage=1.0
        )
    assert len(micro.signals_of(PAIR)) == before


def test_how_an_order_is_worked_travels_with_it(
    exchange: BridgeMixin, micro: ScriptedMicro
) -> None:
    micro.scripts[PAIR, "buy"] = Script(fraction="0")
    exchange.execution(
        PAIR, urgency="high", confidence=0.7, model_id="m1", tag="why", max_chase_bps=25
    )
    for tif in ("GTC", "PO"):
        exchange.create_order(
            pair=PAIR,
            ordertype="limit",
            side="buy",
            amount=0.01,
            rate=50_000.0,
            leverage=1.0,
            time_in_force=tif,
        )
    first, second = micro.signals_of(PAIR, "buy")[-2:]
    assert first.params["urgency"] == "high"
    assert first.params["max_chase_bps"] == 25
    assert (first.confidence, first.model_id, first.tag) == (0.7, "m1", "why")
    assert first.expires_ns - first.created_ns == 50 * 10**9, "the time limit and 30 s of grace"
    assert first.params["time_limit_ms"] == 50_000
    assert second.confidence is None, "a wish is for one order"
    assert second.time_in_force == "PO"
    for sent in (first, second):
        assert exchange.cancel_order(sent.signal_id, PAIR)["status"] == "canceled"


@pytest.mark.parametrize("algo", ["limit", "chase_limit"])
@pytest.mark.parametrize(("asked_ms", "sent_ms"), [(3_600_000, 50_000), (2_000, 2_000), (0, 0)])
def test_a_hinted_working_time_ends_with_the_order(
    exchange: BridgeMixin, micro: ScriptedMicro, algo: str, asked_ms: int, sent_ms: int
) -> None:
    micro.scripts[PAIR, "buy"] = Script(fraction="0")
    exchange.execution(PAIR, algo=algo, time_limit_ms=asked_ms)
    exchange.create_order(
        pair=PAIR, ordertype="limit", side="buy", amount=0.01, rate=50_000.0, leverage=1.0
    )
    sent = micro.signals_of(PAIR, "buy")[-1]
    assert sent.params["time_limit_ms"] == sent_ms
    assert exchange.cancel_order(sent.signal_id, PAIR)["status"] == "canceled"


def test_a_market_order_has_no_limit(exchange: BridgeMixin, micro: ScriptedMicro) -> None:
    micro.scripts[PAIR, "buy"] = Script()
    order = exchange.create_order(
        pair=PAIR, ordertype="market", side="buy", amount=0.01, rate=50_000.0, leverage=1.0
    )
    sent = micro.signals_of(PAIR, "buy")[-1]
    assert (sent.order_type, sent.limit_price) == ("market", None)
    assert (order["status"], order["price"]) == ("closed", 50_000.1)
    trades = exchange.get_trades_for_order(order["id"], PAIR, datetime.now(UTC))
    assert [trade["fee"]["currency"] for trade in trades] == ["USDT"]


def test_positions_need_micro(exchange: BridgeMixin, micro: ScriptedMicro) -> None:
    held = exchange.fetch_positions()
    assert held
    micro.deaf = True
    try:
        with impatient(exchange.link):
            assert exchange.fetch_positions() == held, "a wallet's are the last known"
            with pytest.raises(TemporaryError, match="did not answer"):
                exchange.fetch_positions(PAIR)
            with pytest.raises(TemporaryError, match="did not answer"):
                exchange.fetch_orders(PAIR, datetime.now(UTC))
    finally:
        micro.deaf = False
