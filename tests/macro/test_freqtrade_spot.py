"""Real Freqtrade, bridged, on spot: one boot, one pair for each story."""

from __future__ import annotations

import time
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

import pytest
from freqtrade.enums import State
from freqtrade.exceptions import TemporaryError
from freqtrade.persistence import Order, PairLocks, Trade
from freqtrade_kit import impatient, running, unlock
from scripted_orders import Script

from citadel_macro.books import DATA_PREFIX
from citadel_proto.reason_codes import SIZED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    with running(simulator, tmp_path_factory.mktemp("spot"), signals_port) as rig:
        rig.until(lambda: rig.bot.state == State.RUNNING)
        yield rig


@pytest.fixture(autouse=True)
def _loose_strings(rig: Rig) -> Iterator[None]:
    yield
    rig.strategy.enter, rig.strategy.leave = set(), set()


def test_a_round_trip_leaves_equal_books(rig: Rig) -> None:
    rig.micro.scripts["BTC/USDT", "buy"] = Script(pieces=3)
    rig.strategy.enter = {"BTC/USDT"}
    trade = rig.until(lambda: rig.trade("BTC/USDT"))
    rig.strategy.enter, rig.strategy.leave = set(), {"BTC/USDT"}
    trade = rig.until(lambda: rig.trade("BTC/USDT", is_open=False))

    bought, sold = trade.select_filled_orders("buy")[0], trade.select_filled_orders("sell")[0]
    for order in (bought, sold):
        parent = rig.micro.parents[order.order_id]
        paid = sum(Decimal(f.price) * Decimal(f.quantity) for f in parent.fills)
        assert order.status == "closed"
        assert order.filled == float(parent.filled)
        assert order.average == float(paid / parent.filled)
        assert order.cost == float(paid)
        kept = trade.get_custom_data(f"{DATA_PREFIX}{order.order_id}")
        assert [fill[2] for fill in kept["fills"]] == [f.quantity for f in parent.fills]
        assert kept["shortfall_bps"] is not None
    fee = sum(Decimal(f.fee) for f in rig.micro.parents[bought.order_id].fills)
    assert len(rig.micro.parents[bought.order_id].fills) >= 3
    assert trade.fee_open_currency == "BTC"
    assert bought.ft_fee_base == pytest.approx(float(fee), rel=1e-12)
    assert trade.fee_close_currency == "USDT"
    assert trade.enter_tag == "puppet"
    assert rig.bot.wallets.get_total("USDT") == float(rig.micro.totals["USDT"])


def test_the_profit_of_several_entries_and_exits_is_what_the_wallet_has_gained(rig: Rig) -> None:
    """Freqtrade takes the last entry's fee for that of all, and after it for that of the exits, too."""
    pair = "BTC/USDT"
    unlock(pair)
    rig.micro.scripts.clear()
    usual, wallet = rig.micro.fee, rig.micro.totals
    before = wallet["USDT"], wallet.get("BTC", Decimal(0))
    bid, ask = rig.quotes[pair]
    rig.micro.fee = Decimal("0.0002")
    rig.strategy.enter = {pair}
    trade = rig.until(
        lambda: rig.trade(pair) and not rig.trade(pair).has_open_orders and rig.trade(pair)
    )
    rig.strategy.enter = set()
    for stake, fee in ((3_000, "0.001"), (-2_000, "0.0003"), (1_000, "0.0005")):
        rig.micro.fee = Decimal(fee)
        rig.quotes[pair] = (rig.quotes[pair][0] * 1.001, rig.quotes[pair][1] * 1.001)
        count = len(trade.select_filled_orders())
        rig.strategy.adjust = {pair: float(stake)}
        rig.until(lambda: len(trade.select_filled_orders()) > count)  # noqa: B023 - at once
    rig.micro.fee = Decimal("0.0007")
    rig.strategy.leave = {pair}
    rig.until(lambda: not trade.is_open)
    rig.quotes[pair], rig.micro.fee = (bid, ask), usual
    gained = wallet["USDT"] - before[0]
    left = (wallet["BTC"] - before[1]) * Decimal(str(trade.close_rate))
    # A fee in coins counts at its rate of what is left, not of what was bought: a millionth of it all.
    assert trade.close_profit_abs == pytest.approx(float(gained + left), abs=5e-3)


def test_a_rejected_entry_locks_its_pair_and_says_why(rig: Rig) -> None:
    rig.micro.scripts["ETH/USDT", "buy"] = Script(reject="MAX_POSITION")
    rig.strategy.enter = {"ETH/USDT"}
    rig.until(lambda: PairLocks.is_pair_locked("ETH/USDT"))
    for _ in range(5):
        rig.step()
    (lock,) = PairLocks.get_pair_locks("ETH/USDT")
    assert str(lock.reason).startswith("MAX_POSITION: ")
    assert len(rig.micro.signals_of("ETH/USDT")) == 1
    assert rig.trade("ETH/USDT") is None


def test_a_partial_fill_survives_the_unfilled_timeout(rig: Rig) -> None:
    rig.micro.scripts["SOL/USDT", "buy"] = Script(fraction="0.4")
    rig.strategy.enter = {"SOL/USDT"}
    trade = rig.until(lambda: rig.trade("SOL/USDT"))
    assert trade.amount == 0, "Freqtrade counts nothing before the order ends"
    rig.strategy.enter = set()
    rig.until(lambda: not rig.trade("SOL/USDT").has_open_orders)

    (order,) = rig.trade("SOL/USDT").orders
    parent = rig.micro.parents[order.order_id]
    assert parent.status == "canceled"
    assert order.status == "canceled"
    assert order.filled == float(parent.filled)
    assert 0 < order.filled < order.ft_amount
    fee = float(sum(Decimal(f.fee) for f in parent.fills))
    assert rig.trade("SOL/USDT").amount == pytest.approx(order.filled - fee, abs=1e-3)

    rig.strategy.leave = {"SOL/USDT"}
    trade = rig.until(lambda: rig.trade("SOL/USDT", is_open=False))
    assert trade.select_filled_orders("sell")[0].filled == pytest.approx(trade.amount)


def test_an_entry_that_micro_sized_down_is_a_trade_of_what_it_was_given(rig: Rig) -> None:
    pair = "ADA/USDT"
    rig.micro.scripts[pair, "buy"] = Script(fraction="0.25", pieces=2, cut=SIZED)
    rig.strategy.enter = {pair}
    trade = rig.until(lambda: rig.trade(pair) if rig.trade(pair).amount else None)
    for _ in range(3):
        rig.step()
    rig.strategy.enter = set()
    (order,) = trade.orders
    parent = rig.micro.parents[order.order_id]
    assert (parent.status, order.status) == ("canceled", "canceled")
    assert order.filled == float(parent.filled)
    assert order.filled == pytest.approx(order.ft_amount / 4, rel=0.01)
    fee = float(sum(Decimal(f.fee) for f in parent.fills))
    assert trade.amount == pytest.approx(order.filled - fee, rel=1e-3)
    assert len(rig.micro.signals_of(pair)) == 1, "the rest is not asked for again"
    assert not PairLocks.is_pair_locked(pair)
    del rig.micro.scripts[pair, "buy"]
    rig.strategy.leave = {pair}
    trade = rig.until(lambda: rig.trade(pair, is_open=False))
    assert trade.select_filled_orders("sell")[0].filled == pytest.approx(trade.amount)
    assert rig.bot.wallets.get_total("USDT") == float(rig.micro.totals["USDT"])


def test_an_order_without_acknowledgement_is_open_and_then_resolved(rig: Rig) -> None:
    rig.micro.scripts["XRP/USDT", "buy"] = Script(silent=True)
    rig.strategy.enter = {"XRP/USDT"}
    with rig.unfilled_timeout(60):
        with impatient(rig.exchange.link):
            trade = rig.until(lambda: rig.trade("XRP/USDT"))
        rig.strategy.enter = set()
        (order,) = trade.orders
        assert order.status == "open"
        assert order.ft_is_open
        assert order.order_id not in rig.micro.parents

        rig.micro.scripts["XRP/USDT", "buy"] = Script()
        trade = rig.until(
            lambda: not rig.trade("XRP/USDT").has_open_orders and rig.trade("XRP/USDT")
        )
    assert trade.orders[0].status == "closed"
    assert trade.amount > 0
    assert len(rig.micro.signals_of("XRP/USDT", "buy")) == 1, "the same signal, published again"


def test_lost_reports_are_asked_for(rig: Rig) -> None:
    rig.micro.scripts["DOGE/USDT", "buy"] = Script(lose_reports=True)
    rig.strategy.enter = {"DOGE/USDT"}
    with rig.unfilled_timeout(60):
        with impatient(rig.exchange.link):
            rig.until(lambda: rig.trade("DOGE/USDT"))
        rig.strategy.enter = set()
        trade = rig.until(
            lambda: not rig.trade("DOGE/USDT").has_open_orders and rig.trade("DOGE/USDT")
        )
    assert trade.orders[0].filled == float(rig.micro.parents[trade.orders[0].order_id].filled)


def test_a_stop_is_held_by_micro_and_closes_the_trade(rig: Rig) -> None:
    pair = "ADA/USDT"
    rig.strategy.order_types = {
        **rig.strategy.order_types,
        "stoploss": "market",
        "stoploss_on_exchange": True,
    }
    unlock(pair)
    try:
        rig.strategy.enter = {pair}
        rig.until(lambda: rig.trade(pair) and rig.trade(pair).has_open_sl_orders)
        rig.strategy.enter = set()
        stops = [s for s in rig.micro.signals_of(pair, "sell") if s.kind == "stop"]
        trade = rig.trade(pair)
        assert [s.quantity for s in stops] == [f"{trade.amount:.8f}".rstrip("0").rstrip(".")]
        assert float(str(stops[0].stop_price)) == pytest.approx(trade.stop_loss, rel=1e-3)
        assert rig.micro.parents[stops[0].signal_id].status == "accepted"

        bid, ask = rig.quotes[pair]
        rig.quotes[pair] = (bid * 0.4, ask * 0.4)
        rig.until(lambda: rig.trade(pair) is None)
        trade = rig.trade(pair, is_open=False)
        assert trade.exit_reason == "stoploss_on_exchange"
        assert trade.close_rate == pytest.approx(bid * 0.4, rel=1e-3)
    finally:
        rig.strategy.order_types = {**rig.strategy.order_types, "stoploss_on_exchange": False}
        rig.quotes[pair] = (bid, ask)
        for other in Trade.get_open_trades():
            rig.bot.cancel_stoploss_on_exchange(other)
        assert not any(p.status == "accepted" for p in rig.micro.parents.values())


def test_an_exit_that_leaves_dust_closes_the_trade(rig: Rig) -> None:
    pair = "XRP/USDT"
    assert rig.trade(pair) is not None
    rig.micro.scripts[pair, "sell"] = Script(fraction="0.99", dust=True)
    rig.strategy.leave = {pair}
    trade = rig.until(lambda: rig.trade(pair, is_open=False))
    (sold,) = trade.select_filled_orders("sell")
    parent = rig.micro.parents[sold.order_id]
    assert (parent.status, sold.status) == ("done_dust", "closed")
    assert sold.filled == float(parent.filled) < float(parent.signal.quantity)
    rest = trade.get_custom_data(f"{DATA_PREFIX}dust")
    assert rest == pytest.approx(float(parent.signal.quantity) - sold.filled)
    assert trade.close_rate == sold.average
    assert trade.close_profit < 0, "fees at the same price"
    exits = [s for s in rig.micro.signals_of(pair, "sell") if s.kind == "order"]
    assert len(exits) == 1, "nothing more was tried"
    del rig.micro.scripts[pair, "sell"]


def test_an_order_that_nobody_asks_for_any_more_wakes_nobody(rig: Rig) -> None:
    ids = [order_id for order_id, p in rig.micro.parents.items() if p.status == "filled"]
    rig.exchange._shown[ids[0]] = "open"
    assert rig.exchange.news() == {ids[0]}
    rig.step()
    assert rig.exchange.news() == set()


def test_an_unknown_order_is_a_temporary_error(rig: Rig) -> None:
    with pytest.raises(TemporaryError, match="knows no order never-sent"):
        rig.exchange.fetch_order("never-sent", "BTC/USDT")


def test_a_cancel_of_the_unknown_does_not_raise(rig: Rig) -> None:
    answer = rig.exchange.cancel_order_with_result("never-sent", "BTC/USDT", 1.0)
    assert answer["status"] == "open"
    assert answer["fee"] == {}


def test_what_micro_sold_by_itself_is_noticed(rig: Rig) -> None:
    pair = "BTC/USDT"
    unlock(pair)
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair))
    rig.strategy.enter = set()
    lots = Decimal(str(rig.trade(pair).amount)).quantize(Decimal("0.00001"), ROUND_DOWN)
    own = rig.micro.own_order(pair, "sell", str(lots))
    rig.until(lambda: rig.trade(pair) is None)
    trade = rig.trade(pair, is_open=False)
    assert Order.order_by_id(own, pair) is not None
    assert trade.orders[-1].order_id == own


def test_a_reload_keeps_the_bridge_and_the_trade(rig: Rig) -> None:
    before = rig.exchange
    trade = rig.trade("DOGE/USDT")
    assert trade is not None
    rig.bot.state = State.RELOAD_CONFIG
    rig.until(lambda: rig.exchange is not before and rig.bot.state == State.RUNNING)
    assert rig.exchange.link.connector is before.link.connector
    rig.strategy.leave = {"DOGE/USDT"}
    rig.until(lambda: rig.trade("DOGE/USDT", is_open=False))


def test_micro_gone_sends_nothing_and_micro_back_goes_on(rig: Rig) -> None:
    unlock("ETH/USDT")
    rig.micro.scripts["ETH/USDT", "buy"] = Script(fraction="0")
    rig.strategy.enter = {"ETH/USDT"}
    trade = rig.until(lambda: rig.trade("ETH/USDT"))
    rig.strategy.enter = set()  # what is asked for before its silence is noticed would be sent
    unlock("SOL/USDT")
    old = rig.micro
    old.stop()
    rig.until(lambda: not rig.exchange.link.alive())
    rig.strategy.enter = {"SOL/USDT"}
    before = len(rig.exchange.link.connector.intents.unfinished())
    with impatient(rig.exchange.link):
        for _ in range(3):
            rig.step()
    assert len(rig.exchange.link.connector.intents.unfinished()) == before, "nothing was recorded"
    assert rig.trade("SOL/USDT") is None
    assert rig.trade("ETH/USDT").has_open_orders, "the cancel is not confirmed, so it is open"

    rig.strategy.enter = set()
    micro = rig.restart_micro()
    order_id = trade.orders[0].order_id
    rig.until(lambda: rig.trade("ETH/USDT") is None)
    assert micro.parents[order_id].status == "canceled"


def test_books_of_micro_price_the_orders(rig: Rig) -> None:
    bid, ask = rig.quotes["BTC/USDT"]
    deadline = time.monotonic() + 60
    # A busy machine may let micro's book grow old before its next one comes: then the venue's is taken.
    while (book := rig.exchange.fetch_l2_order_book("BTC/USDT", 5))["bids"][0][0] != bid:
        assert time.monotonic() < deadline
    assert book["asks"][0][0] == ask
    rig.micro.book_state = "STALE"
    while (view := rig.exchange.book("BTC/USDT")) is None or view.fresh:
        assert time.monotonic() < deadline
    stock = rig.exchange.fetch_l2_order_book("BTC/USDT", 5)
    assert stock["nonce"] is not None, "from the venue's public endpoint"
    rig.micro.book_state = "LIVE"


def test_every_order_is_settled_in_the_intent_log(rig: Rig) -> None:
    for _ in range(2):
        rig.step()
    booked = frozenset(
        order.order_id for trade in Trade.get_trades([]).all() for order in trade.orders
    )
    left = [signal.symbol for signal in rig.exchange.link.unsettled(booked)]
    assert left == []
