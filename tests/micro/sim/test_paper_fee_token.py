"""Fees in BNB: at a discount while there is enough of it, else as without."""

from __future__ import annotations

from decimal import Decimal

import pytest
from paper_kit import SYMBOL, VENUE, Bench, quiet_config, spot

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import BalancesUpdated, DepthUpdate, OrderFilled
from citadel_micro.sim.accounts import FeeToken, Ledger
from citadel_micro.sim.paper import PaperVenue

BNB = FeeToken(currency="BNB", discount=Decimal("0.25"), price=Decimal(500))
BALANCES = {"USDT": Decimal(100_000), "BTC": Decimal(10), "BNB": Decimal("0.001")}


def bench(token: FeeToken | None = BNB, **rules: object) -> Bench:
    return Bench(spot(**rules), config=quiet_config(fee_token=token, balances=BALANCES))


def fees(desk: Bench) -> list[tuple[Decimal, str]]:
    fills = {each.trade_id: each for each in desk.reports if isinstance(each, OrderFilled)}
    return [(fill.fee, fill.fee_currency) for fill in fills.values()]


@pytest.mark.parametrize(("side", "price"), [("buy", 102), ("sell", 100)])
def test_the_fee_is_its_worth_in_the_token_less_the_discount(side: str, price: int) -> None:
    desk = bench()
    desk.order("buy" if side == "buy" else "sell", price, 100, ioc=True)
    desk.settle()
    fee = (Decimal(price) * Decimal("0.001") * Decimal("0.75") / 500).quantize(Decimal("1e-8"))
    assert fees(desk) == [(fee, "BNB")]
    purse = desk.venue.ledger.purse
    assert purse("BNB").free == BALANCES["BNB"] - fee
    sign = 1 if side == "buy" else -1
    assert purse("BTC").free == 10 + sign, "the whole coin: nothing was taken from it"
    assert purse("USDT").free == 100_000 - sign * price
    told = [
        row for each in desk.reports if isinstance(each, BalancesUpdated) for row in each.balances
    ]
    assert ("BNB", BALANCES["BNB"] - fee, Decimal(0)) in told


def test_without_enough_of_it_the_fee_is_the_usual_one() -> None:
    desk = bench()
    for _ in range(12):
        desk.depth([], [(102.0, 0.0)])
        desk.depth([], [(102.0, 1.0)])
        desk.order("buy", 102, 100, ioc=True)
        desk.settle()
    kinds = [currency for _, currency in fees(desk)]
    assert kinds == ["BNB"] * 6 + ["BTC"] * 6
    assert desk.venue.ledger.purse("BNB").free >= 0


def test_of_an_unknown_price_it_is_the_usual_one() -> None:
    desk = bench(FeeToken(currency="BNB", discount=Decimal("0.25"), price=Decimal(0)))
    desk.order("buy", 102, 100, ioc=True)
    desk.settle()
    assert fees(desk) == [(Decimal("0.001"), "BTC")]


def test_a_perpetual_pays_in_it_too_and_an_inverse_one_does_not() -> None:
    linear = bench(kind="linear", fee_side="quote")
    linear.order("buy", 102, 100, ioc=True)
    linear.settle()
    assert [currency for _, currency in fees(linear)] == ["BNB"]
    inverse = spot(kind="inverse", settle="BTC", fee_side="quote")
    amounts = (Decimal(102), Decimal(1), Decimal(1))
    fee = Ledger(BALANCES).settle(inverse, "buy", *amounts, maker=False, token=BNB)
    assert fee == (Decimal("0.001"), "BTC")


def test_the_tokens_own_book_gives_its_price() -> None:
    own = spot(symbol="BNB/USDT", venue_symbol="BNBUSDT", base="BNB")
    rules = spot()
    config = quiet_config(fee_token=BNB, balances=BALANCES)
    desk = Bench(config=config)
    desk.venue = PaperVenue(VENUE, {SYMBOL: rules, "BNB/USDT": own}, config)
    desk.depth([], [(103.0, 2.0)])
    market = MarketBook(VENUE, "BNB/USDT", "range_bridge_spot")
    levels = ([(249.0, 5.0)], [(251.0, 5.0)])
    update = DepthUpdate(VENUE, "BNB/USDT", True, 1, 1, -1, None, *levels, 0, 0)
    market.on_depth(update)
    desk.venue.on_market(update, market, 0)
    desk.order("buy", 102, 100, ioc=True)
    desk.settle()
    fee = (Decimal(102) * Decimal("0.001") * Decimal("0.75") / 250).quantize(Decimal("1e-8"))
    assert fees(desk) == [(fee, "BNB")]
