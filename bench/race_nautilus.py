"""One round of ``race_work.py`` at nautilus_trader: its backtest engine with a strategy that is told every frame."""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    BookAction,
    BookType,
    OmsType,
    OrderSide,
    RecordFlag,
)
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

ID = InstrumentId.from_str("BTCUSDT-PERP.BINANCE")


def instrument_of(tick: str, lot: str) -> CryptoPerpetual:
    """The contract."""
    price, size = Price.from_str(tick), Quantity.from_str(lot)
    return CryptoPerpetual(
        instrument_id=ID,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=price.precision,
        size_precision=size.precision,
        price_increment=price,
        size_increment=size,
        margin_init=Decimal("0.05"),
        margin_maint=Decimal("0.025"),
        maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"),
        ts_event=0,
        ts_init=0,
    )


def deltas_of(now: int, what: object, levels: list[list[Any]], precisions: tuple[int, int]) -> Any:  # noqa: ANN401
    """One frame of depth."""
    rows = []
    if what:
        rows.append(OrderBookDelta.clear(ID, 0, now, now))
    sides = ((OrderSide.BUY, levels[0]), (OrderSide.SELL, levels[1]))
    flat = [(side, price, size) for side, each in sides for price, size in each]
    for number, (side, price, size) in enumerate(flat):
        action = BookAction.UPDATE if size else BookAction.DELETE
        order = BookOrder(side, Price(price, precisions[0]), Quantity(size, precisions[1]), 0)
        flags = RecordFlag.F_LAST if number == len(flat) - 1 else 0
        rows.append(OrderBookDelta(ID, action, order, int(flags), 0, now, now))
    return OrderBookDeltas(ID, rows) if rows else None


class Rests(Strategy):  # type: ignore[misc] # it has no types
    """One order, and what came."""

    def __init__(self, price: Price, quantity: Quantity) -> None:
        super().__init__(StrategyConfig())
        self._terms = price, quantity
        self.frames = 0
        self.filled = 0.0
        self.placed = False
        self.rested = 0

    def on_start(self) -> None:
        """Ask for everything."""
        self.subscribe_order_book_deltas(ID, BookType.L2_MBP)
        self.subscribe_trade_ticks(ID)

    def on_order_book_deltas(self, deltas: Any) -> None:  # noqa: ANN401, ARG002
        """A frame of depth."""
        self.frames += 1
        if not self.placed:
            book = self.cache.order_book(ID)
            if book is not None and book.best_bid_price() and book.best_ask_price():
                self.placed = True
                price, quantity = self._terms
                self.submit_order(self.order_factory.limit(ID, OrderSide.BUY, quantity, price))

    def on_trade_tick(self, tick: Any) -> None:  # noqa: ANN401, ARG002
        """A trade."""
        self.frames += 1

    def on_order_accepted(self, event: Any) -> None:  # noqa: ANN401, ARG002
        """The order rests."""
        self.rested += 1

    def on_order_filled(self, event: Any) -> None:  # noqa: ANN401
        """A fill."""
        self.filled += float(event.last_qty)


def main() -> None:
    """Print one line of JSON."""
    given = json.loads(Path(sys.argv[1]).read_text())
    instrument = instrument_of(given["tick"], given["lot"])
    precisions = instrument.price_precision, instrument.size_precision
    data: list[Any] = []
    making = time.process_time()
    for number, (now, what, *rest) in enumerate(given["frames"]):
        if isinstance(what, str):
            side = AggressorSide.BUYER if what == "buy" else AggressorSide.SELLER
            price, size = Price(rest[0], precisions[0]), Quantity(rest[1], precisions[1])
            data.append(TradeTick(ID, price, size, side, TradeId(str(number)), now, now))
        else:
            made = deltas_of(now, what, rest, precisions)
            if made is not None:
                data.append(made)
    made = time.process_time() - making
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=Venue("BINANCE"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(10_000_000, USDT)],
        book_type=BookType.L2_MBP,
    )
    engine.add_instrument(instrument)
    price = Price(float(given["price"]), precisions[0])
    strategy = Rests(price, Quantity(float(given["quantity"]), precisions[1]))
    engine.add_strategy(strategy)
    engine.add_data(data)
    began = time.process_time()
    engine.run()
    seconds = time.process_time() - began
    book = engine.cache.order_book(ID)
    best = [float(book.best_bid_price()), float(book.best_ask_price())]
    name = f"nautilus_trader {version('nautilus_trader')}"
    if strategy.frames != len(data):
        raise SystemExit(f"the strategy was told {strategy.frames} of {len(data)} frames")
    if strategy.rested != 1:
        raise SystemExit("the order does not rest")
    text = f"{strategy.filled:g} filled"
    print(json.dumps({"name": name, "seconds": seconds, "made": made, "order": text, "best": best}))


if __name__ == "__main__":
    main()
