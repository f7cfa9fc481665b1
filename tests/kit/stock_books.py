"""The books of a Freqtrade that trades for itself, against the exchange's ledger."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stock_exchange import Exchange
    from stock_freqtrade import StockFreqtrade

ACCOUNT = "freqtrade"
OPENING = {"USDT": Decimal(10_000_000), "BNB": Decimal(1)}


def orders_of(bot: StockFreqtrade) -> dict[str, dict[str, Any]]:
    """Every order of Freqtrade's database, by the exchange's id."""
    return {row["order_id"]: row for row in bot.rows("SELECT * FROM orders")}


def filled_orders(exchange: Exchange) -> dict[str, dict[str, Decimal]]:
    """Total quantity, money and fee of every order that the exchange has filled."""
    found: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for fill in exchange.ledger(ACCOUNT)["fills"]:
        sums = found[str(fill["orderId"])]
        for name in ("quantity", "quote", "fee"):
            sums[name] += Decimal(fill[name])
    return found


def check_books(bot: StockFreqtrade, exchange: Exchange) -> None:
    """Freqtrade's orders are the exchange's, to the last unit, and so are its balances."""
    theirs, ours = orders_of(bot), filled_orders(exchange)
    assert {name for name, row in theirs.items() if row["filled"]} == set(ours)
    for name, sums in ours.items():
        row = theirs[name]
        assert row["filled"] == float(sums["quantity"]), row
        assert row["cost"] == pytest.approx(float(sums["quote"]), rel=1e-12), row
        assert row["average"] == pytest.approx(float(sums["quote"] / sums["quantity"]), rel=1e-8)
        if row["ft_order_side"] == "buy":
            # Paid in the coin that was bought.
            assert row["ft_fee_base"] == pytest.approx(float(sums["fee"]), rel=1e-12), row
    ledger = exchange.ledger(ACCOUNT)
    kept: dict[str, Decimal] = defaultdict(Decimal, OPENING)
    for item in ledger["movements"]:
        kept[item["asset"]] += Decimal(item["amount"])
    assert {k: v for k, v in kept.items() if v} == {
        k: Decimal(v) for k, v in ledger["balances"].items() if Decimal(v)
    }
    told = {row["currency"]: row for row in bot.ask("GET", "balance")["currencies"]}
    for asset, total in kept.items():
        if total and asset in told:
            assert told[asset]["balance"] == pytest.approx(float(total), rel=1e-12), asset
