"""Instruments and fills for the portfolio."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from citadel_micro.core.model.events import OrderFilled, Side
from citadel_micro.core.model.instrument import Instrument

if TYPE_CHECKING:
    from citadel_micro.core.portfolio.portfolio import Portfolio

VENUE = "binance-spot"


HOUR_NS = 3_600_000_000_000


def spot(symbol: str = "BTC/USDT") -> Instrument:
    base, _, quote = symbol.partition("/")
    return Instrument(
        venue=VENUE,
        symbol=symbol,
        venue_symbol=base + quote,
        base=base,
        quote=quote,
        settle=quote,
        kind="spot",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        min_lots=1,
        min_notional=Decimal(5),
        contract_size=Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        fee_side="received",
    )


BTC = spot()


def fill(
    rules: Instrument,
    price: str,
    quantity: str,
    fee: str = "0",
    currency: str = "USDT",
    *,
    exchange_ns: int = 1,
) -> OrderFilled:
    return OrderFilled(
        venue=rules.venue,
        symbol=rules.symbol,
        client_id="c-1",
        trade_id="t-1",
        price_ticks=rules.ticks(Decimal(price), "nearest"),
        quantity_lots=rules.lots(Decimal(quantity)),
        cumulative_lots=-1,
        fee=Decimal(fee),
        fee_currency=currency,
        liquidity="maker",
        exchange_ns=exchange_ns,
    )


def book(portfolio: Portfolio, side: Side, one: OrderFilled, rules: Instrument = BTC) -> None:
    portfolio.apply_fill(rules, side, one, now_ns=7)
