"""What others sell of what Freqtrade holds becomes exits of its trades: live, with all three books.

The longer runs, of random actions, are ``make campaign-hands``.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.persistence import Trade
from hands_audit import audit
from hands_kit import PATIENCE_S, Hands
from hands_plays import play

from citadel_micro.offline.tca.files import journals, orders_in
from citadel_micro.shell.journal.verify import verify_journal

if TYPE_CHECKING:
    from collections.abc import Iterator

BTC, ETH = "BTC/USDT", "ETH/USDT"
STEP = Decimal("0.00001")
"""Of BTC."""


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    """One system for all scenes; at their end the books of all of them are compared."""
    with Hands(tmp_path_factory.mktemp("hands")) as up:
        up.agree()
        yield up
        up.agree()
        assert audit(up) == []
        # Every decision comes out the same again, and no order of others counts in what ours have cost.
        said: list[str] = []
        (journal,) = (up.folder / "run").glob("journal-*")
        assert verify_journal(journal, said.append) == 0, said
        costs, _ = orders_in(journals([up.folder / "run"]))
        assert "unknown" not in {order.report.strategy for order in costs}


def entered(hands: Hands, pair: str) -> Trade:
    """An open trade, wholly filled."""
    trade: Any = hands.rig.trade(pair)
    if trade is None:
        hands.enter_surely(pair)
        hands.agree()
        trade = hands.rig.trade(pair)
    assert trade.has_open_position
    assert isinstance(trade, Trade)
    return trade


def held(trade: Trade) -> Decimal:
    return Decimal(repr(trade.amount))


def closed(number: int) -> Trade:
    """A trade, read anew, that is closed."""
    Trade.session.expire_all()
    (trade,) = Trade.get_trades([Trade.id == number]).all()
    assert not trade.is_open
    found: Trade = trade
    return found


def test_a_position_that_is_closed_at_the_exchange_is_an_exit(hands: Hands) -> None:
    trade = entered(hands, BTC)
    number, amount = trade.id, held(trade)
    hands.at_exchange(BTC, "sell", amount)
    hands.agree()
    sold = closed(number)
    assert sold.exit_reason == "exchange"
    (order,) = [each for each in sold.orders if each.ft_order_side == "sell"]
    assert Decimal(repr(order.filled)) == amount
    fills = [
        each
        for each in hands.exchange.ledger("trader")["fills"]
        if f"-{each['orderId']}-" in order.order_id
    ]
    paid = sum((Decimal(each["quote"]) for each in fills), Decimal(0))
    fees = sum((Decimal(each["fee"]) for each in fills), Decimal(0))
    assert order.cost == pytest.approx(float(paid), rel=1e-12)
    assert sold.fee_close_cost == pytest.approx(float(fees), rel=1e-9)
    assert sold.close_profit_abs is not None


def test_a_part_of_it_leaves_the_trade_with_the_rest(hands: Hands) -> None:
    trade = entered(hands, BTC)
    number, amount = trade.id, held(trade)
    part = Decimal("0.01")
    hands.at_exchange(BTC, "sell", part)
    hands.agree()
    trade = hands.rig.trade(BTC)
    shown = [each["id"] for each in hands.rig.exchange.fetch_orders(BTC, trade.open_date_utc)]
    # Booked twice, a half would be taken for all that was left.
    assert len(shown) == len(set(shown))
    left = held(trade)
    assert abs(left - (amount - part)) <= 2 * STEP, "dust of earlier trades goes first"
    hands.by_command(BTC, "sell", left)
    hands.agree()
    assert closed(number).exit_reason == "manual"


def test_an_order_from_the_command_line_closes_it_too(hands: Hands) -> None:
    trade = entered(hands, ETH)
    number = trade.id
    hands.by_command(ETH, "sell", held(trade))
    hands.agree()
    assert closed(number).exit_reason == "manual"


def test_coins_of_ones_own_are_sold_first(hands: Hands) -> None:
    """Bought and sold beside a trade, at the exchange and from the command line: it keeps what it has."""
    amount = held(entered(hands, ETH))
    own = Decimal("0.1")
    for act in (hands.at_exchange, hands.by_command):
        act(ETH, "buy", own)
        hands.agree()
        assert held(hands.rig.trade(ETH)) == amount
        act(ETH, "sell", hands.stock[ETH] // Decimal("0.0001") * Decimal("0.0001"))
        hands.agree()
        assert held(hands.rig.trade(ETH)) == amount
    # More than one's own: the rest was the trade's.
    hands.at_exchange(ETH, "buy", own)
    hands.agree()
    sold = Decimal("0.25")
    left = amount - (sold - hands.stock[ETH])
    hands.at_exchange(ETH, "sell", sold)
    hands.agree()
    assert abs(held(hands.rig.trade(ETH)) - left) <= Decimal("0.0001")


def test_a_flattening_takes_the_trade_and_leaves_coins_of_others(hands: Hands) -> None:
    number = entered(hands, BTC).id
    hands.at_exchange(BTC, "buy", Decimal("0.005"))
    hands.agree()
    kept = hands.stock[BTC]
    hands.flatten()
    hands.agree()
    assert closed(number).exit_reason == "flatten"
    assert hands.stock[BTC] == pytest.approx(kept, abs=Decimal("0.00002"))


def test_a_stop_that_micro_triggers_closes_it(hands: Hands) -> None:
    number = entered(hands, ETH).id
    hands.stop(ETH)
    hands.rig.until(lambda: hands.rig.trade(ETH) is None, PATIENCE_S)
    hands.agree()
    assert closed(number).exit_reason == "stoploss_on_exchange"


def test_what_happened_during_a_reload_is_found_after_it(hands: Hands) -> None:
    number = entered(hands, BTC).id
    everything = hands.coins("BTC") // STEP * STEP
    hands.at_exchange(BTC, "sell", everything)
    hands.reload()
    hands.agree()
    assert closed(number).exit_reason == "exchange"


def test_orders_of_a_deleted_trade_are_not_booked_on_the_next(hands: Hands) -> None:
    first = held(entered(hands, ETH))
    # Nor are those of others that were booked on it: a part that somebody has sold.
    part = hands.stock[ETH] + first / 2
    hands.at_exchange(ETH, "sell", part // Decimal("0.0001") * Decimal("0.0001"))
    hands.agree()
    old = hands.rig.trade(ETH)
    amount, booked = held(old), {each.order_id for each in old.orders}
    assert amount < first
    assert hands.delete(ETH) == ""
    hands.agree()
    assert hands.stock[ETH] >= amount
    trade = entered(hands, ETH)
    number = trade.id
    # With this one Freqtrade looks at all orders of the pair since the trade was opened.
    hands.at_exchange(ETH, "sell", hands.stock[ETH] // Decimal("0.0001") * Decimal("0.0001"))
    hands.by_command(ETH, "sell", held(trade))
    hands.agree()
    orders = closed(number).orders
    assert len([each for each in orders if each.ft_order_side == "buy"]) == 1
    assert not booked & {each.order_id for each in orders}


@pytest.mark.campaign
def test_a_short_leg_of_the_campaign(hands: Hands) -> None:
    took_s: defaultdict[str, list[float]] = defaultdict(list)
    assert play(hands, 7, 6, took_s) == []
    assert took_s, "something was done"
