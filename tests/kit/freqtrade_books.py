"""One trade in a real Freqtrade's database, entered and left in steps, with micro's reports of its orders."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from freqtrade.persistence import Order, Trade

from citadel_macro import books
from citadel_micro.core.model.commands import FillView, PublishReport
from citadel_micro.demo.audit import Audit, compare, read_deleted, read_freqtrade, read_owners

OURS, THEIRS = "o" + "1" * 24, "o" + "2" * 24


@dataclass(frozen=True)
class Market:
    """What Freqtrade knows of a pair."""

    pair: str
    short: bool
    leverage: float
    step: Decimal
    contract: float
    tick: float
    price_mode: int
    base_fee: bool


SPOT = Market("AAA/USDT", False, 1.0, Decimal("0.001"), 1.0, 0.01, 4, True)
SPOT_IN_QUOTE = Market("AAA/USDT", False, 1.0, Decimal("0.001"), 1.0, 2, 2, False)
SHORT = Market("AAA/USDT:USDT", True, 3.0, Decimal("0.01"), 0.01, 5, 3, False)
MARKETS = [SPOT, SPOT_IN_QUOTE, SHORT]


@dataclass
class Books:
    """One trade in Freqtrade's database, and micro's reports of its orders."""

    database: Path
    market: Market
    owner: str = OURS
    prefix: str = ""
    reports: dict[str, PublishReport] = field(default_factory=dict)
    trade: Any = None

    def audit(self, **others: PublishReport) -> Audit:
        found = read_freqtrade(self.database)
        owners, deleted = read_owners(self.database), read_deleted(self.database)
        return compare(*found, self.reports | others, owners, deleted)

    def report(self, side: str, fills: list[tuple[Decimal, Decimal]], rate: str) -> PublishReport:
        """Micro's account of one order; fills are (price, quantity)."""
        name = f"{self.prefix}{len(self.reports)}"
        base_fee = self.market.base_fee and side == "buy"
        views = tuple(
            FillView(
                trade_id=f"{name}-{number}",
                child_id=f"{name}-c",
                price=price,
                quantity=quantity,
                fee=(quantity if base_fee else quantity * price) * Decimal(rate),
                fee_currency="AAA" if base_fee else "USDT",
                liquidity="maker",
                ts_ns=number,
            )
            for number, (price, quantity) in enumerate(fills)
        )
        filled = sum((view.quantity for view in views), Decimal(0))
        value = sum((view.quantity * view.price for view in views), Decimal(0))
        made = PublishReport(
            **dict.fromkeys(("limit_price", "stop_price", "permitted", "position"), None),  # type: ignore[arg-type]
            **dict.fromkeys(("reason_code", "reason", "tag"), ""),  # type: ignore[arg-type]
            signal_id=name,
            revision=1,
            venue="v",
            symbol=self.market.pair,
            side="buy" if side == "buy" else "sell",
            kind="order",
            order_type="limit",
            status="filled",
            quantity=filled,
            filled=filled,
            average=value / filled if filled else None,
            triggered=False,
            fills=views,
            balances=(),
            strategy="s",
            algo="chase_limit",
            arrival_mid=100.0,
            reprices=0,
            own=False,
            created_ns=1,
            updated_ns=2,
            owner=self.owner,
        )
        self.reports[name] = made
        return made

    def row(self, report: PublishReport, side: str, *, over: bool = True) -> Order:
        """Freqtrade's row of an order, on the trade."""
        average = float(report.average or 0)
        order = Order(
            order_id=report.signal_id,
            ft_order_side=side,
            ft_pair=self.market.pair,
            ft_amount=float(report.quantity),
            ft_price=average,
            ft_is_open=not over,
            status="closed" if over else "open",
            order_type="limit",
            side=report.side,
            price=average,
            average=average,
            amount=float(report.quantity),
            filled=float(report.filled),
            remaining=0.0,
            order_filled_date=datetime.now(UTC),
        )
        self.trade.orders.append(order)
        return order

    def booked(self, report: PublishReport, side: str, *, eaten: bool = False) -> None:
        """As ``FreqtradeBot.update_trade_state`` does once an order is over."""
        fee = sum((fill.fee for fill in report.fills), Decimal(0))
        currency = report.fills[0].fee_currency
        paid_on = report.filled if currency == "AAA" else report.filled * (report.average or 0)
        if side == self.trade.entry_side and self.trade.nr_of_successful_entries:
            self.trade.fee_open_currency = None
        order = self.row(report, side)
        self.trade.update_fee(
            float(fee), currency, round(float(fee) / float(paid_on), 8), report.side
        )
        if currency == "AAA" and not eaten:
            order.ft_fee_base = float(fee)
        self.trade.update_trade(order)
        Trade.commit()  # type: ignore[no-untyped-call]

    def enter(
        self, fills: list[tuple[Decimal, Decimal]], rate: str = "0.001", *, eaten: bool = False
    ) -> None:
        side = "sell" if self.market.short else "buy"
        report = self.report(side, fills, rate)
        if self.trade is None:
            self.trade = Trade(  # type: ignore[no-untyped-call]
                pair=self.market.pair,
                base_currency="AAA",
                stake_currency="USDT",
                stake_amount=100.0,
                amount=0.0,
                open_rate=float(fills[0][0]),
                fee_open=0.001,
                fee_close=0.001,
                exchange="binance",
                is_open=True,
                open_date=datetime.now(UTC),
                is_short=self.market.short,
                leverage=self.market.leverage,
                trading_mode="futures" if self.market.short else "spot",
                amount_precision=float(self.market.step) / self.market.contract,
                precision_mode=4,
                price_precision=self.market.tick,
                precision_mode_price=self.market.price_mode,
                contract_size=self.market.contract,
            )
            self.trade.funding_fee_running = 0.0
            Trade.session.add(self.trade)
        self.booked(report, side, eaten=eaten)

    def leave(self, quantity: Decimal, price: Decimal, rate: str, *, stop: bool = False) -> None:
        side = "buy" if self.market.short else "sell"
        report = self.report(side, [(price, quantity)], rate)
        self.booked(report, "stoploss" if stop else side)

    def close_as_dust(self) -> None:
        bot: Any = SimpleNamespace(
            handle_protections=lambda *_: None, wallets=SimpleNamespace(update=lambda: None)
        )
        exchange: Any = SimpleNamespace(unsellable=set(), lock=lambda *_: None)
        books._close(bot, exchange, self.trade, self.trade.amount)


def emptied(database: Path, market: Market, owner: str = OURS) -> Books:
    Trade.session.remove()
    with closing(sqlite3.connect(database)) as link:
        for table in ("orders", "trade_custom_data", "trades", '"KeyValueStore"'):
            link.execute(f"DELETE FROM {table}")  # noqa: S608 - the names above
        link.commit()
    return Books(database, market, owner)


def change(database: Path, table: str, column: str, by: float) -> bool:
    """Make a figure of the first row wrong; whether there was one."""
    first = f"id = (SELECT min(id) FROM {table})"  # noqa: S608 - names of this file
    query = f"UPDATE {table} SET {column} = {column} * ? WHERE {column} != 0 AND {first}"  # noqa: S608
    with closing(sqlite3.connect(database)) as link:
        done = link.execute(query, (by,))
        link.commit()
        return done.rowcount == 1
