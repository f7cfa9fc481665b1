"""A node of nautilus_trader that trades on ``citadel sim``: ``test_nautilus.py`` starts it with a Python of its own.

Reads one JSON object (addresses, key, market) from standard input, and prints one of what the node was told.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.adapters.binance.common.symbol import BinanceSymbol
from nautilus_trader.adapters.binance.futures.enums import BinanceFuturesMarginType
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LoggingConfig,
    StrategyConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import OrderSide, TrailingOffsetType
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.trading.strategy import Strategy

BOUGHT, SOLD = 0.01, 0.004
LATE_S = 60
STREAMS = frozenset({"quotes", "trades", "books"})
REFUSALS = frozenset({"OrderRejected", "OrderDenied", "OrderModifyRejected", "OrderCancelRejected"})


class Walk(Strategy):  # type: ignore[misc]
    """Rest, move (futures), cancel, buy, sell a part, wait with stops and limits, cancel all."""

    def __init__(self, given: dict[str, Any], node: TradingNode) -> None:
        super().__init__(StrategyConfig())
        self._futures: bool = given["futures"]
        self._pair = InstrumentId.from_str(given["instrument"])
        self._node = node
        self._first: Any = None
        self._last: list[Any] = []
        self._counts: dict[str, int] = {}
        self.told: dict[str, Any] = {"why": "", "fills": [], "counts": self._counts}

    def on_start(self) -> None:
        """Ask for the market's data; the first quote begins the rest."""
        self._alarm("late", LATE_S)
        self.subscribe_quote_ticks(self._pair)
        self.subscribe_trade_ticks(self._pair)
        self.subscribe_order_book_deltas(self._pair)
        bars = BarType.from_str(f"{self._pair}-1-MINUTE-LAST-EXTERNAL")
        self.request_bars(bars, start=self.clock.utc_now() - timedelta(minutes=20))
        if self._futures:
            self.subscribe_mark_prices(self._pair)

    def on_stop(self) -> None:
        """Nothing is left to be done."""

    def on_historical_data(self, _data: Any) -> None:  # noqa: ANN401
        """A candle that was asked for."""
        self._count("candles")

    def on_trade_tick(self, _tick: Any) -> None:  # noqa: ANN401
        """A trade of the market."""
        self._count("trades")

    def on_order_book_deltas(self, _deltas: Any) -> None:  # noqa: ANN401
        """The snapshot, then changes."""
        self._count("books")

    def on_mark_price(self, _mark: Any) -> None:  # noqa: ANN401
        """Of futures."""
        self._count("marks")

    def on_quote_tick(self, tick: Any) -> None:  # noqa: ANN401
        """The first one begins it."""
        self._count("quotes")
        if self._first is None:
            self._far = float(tick.bid_price) * 0.97
            self._first = self._limit(OrderSide.BUY, BOUGHT, 1.0, post_only=True)
            self.submit_order(self._first)
        if self._last and all(order.is_closed for order in self._last):
            self._last_seen()

    def on_order_accepted(self, event: Any) -> None:  # noqa: ANN401
        """It rests: move it, or cancel it where nothing can be moved."""
        if event.client_order_id == self._first.client_order_id:
            if self._futures:
                self.modify_order(self._first, self._quantity(BOUGHT), self._price(0.995))
            else:
                self.cancel_order(self._first)
        elif self._last and all(order.is_open for order in self._last):
            self.told["resting"] = sorted(order.order_type.name for order in self._last)
            self.cancel_all_orders(self._pair)

    def on_order_updated(self, event: Any) -> None:  # noqa: ANN401
        """It was moved."""
        self.told["moved"] = [str(event.price), str(self._price(0.995))]
        self.cancel_order(self._first)

    def on_order_canceled(self, event: Any) -> None:  # noqa: ANN401
        """Buy, once the first is gone."""
        if event.client_order_id == self._first.client_order_id:
            self._trade(OrderSide.BUY, BOUGHT)

    def on_order_filled(self, event: Any) -> None:  # noqa: ANN401
        """Sell a part of what was bought; then let the rest wait."""
        fee = event.commission
        self.told["fills"].append(
            {
                "id": str(event.trade_id),
                "side": event.order_side.name,
                "quantity": str(event.last_qty),
                "price": str(event.last_px),
                "fee": str(fee.as_decimal()),
                "fee_asset": fee.currency.code,
            }
        )
        if self.cache.order(event.client_order_id).is_closed:
            if event.order_side == OrderSide.BUY:
                self._trade(OrderSide.SELL, SOLD, reduce_only=self._futures)
            else:
                self._wait()

    def on_event(self, event: Any) -> None:  # noqa: ANN401
        """Whatever is refused ends it."""
        if type(event).__name__ in REFUSALS:
            self._end(str(event))
        elif getattr(event, "name", "") == "late":
            self._end(f"not over after {LATE_S} s")

    def _wait(self) -> None:
        sell, stop = OrderSide.SELL, self._price(0.9)
        make = self.order_factory
        quantity = self._quantity(SOLD)
        self._last = [
            self._limit(OrderSide.BUY, BOUGHT, 0.98),
            make.stop_limit(
                self._pair, sell, quantity, self._price(0.89), stop, reduce_only=self._futures
            ),
        ]
        if self._futures:
            self._last.append(make.stop_market(self._pair, sell, quantity, stop, reduce_only=True))
            trailing = make.trailing_stop_market(
                self._pair,
                sell,
                quantity,
                trailing_offset=Decimal(150),
                trailing_offset_type=TrailingOffsetType.BASIS_POINTS,
                activation_price=self._price(1.2),
                reduce_only=True,
            )
            self._last.append(trailing)
        for order in self._last:
            self.submit_order(order)

    def _last_seen(self) -> None:
        wanted = STREAMS | ({"marks"} if self._futures else set())
        if self._counts.get("books", 0) > 5 and all(self._counts.get(each) for each in wanted):
            self._end("")

    def _end(self, why: str) -> None:
        account = self.portfolio.account(self._pair.venue)
        self.told["why"] = self.told["why"] or why
        self.told["balances"] = {
            each.code: str(account.balance_total(each).as_decimal())
            for each in account.currencies()
        }
        self.told["orders"] = [order.status.name for order in self.cache.orders()]
        self.told["held"] = str(self.portfolio.net_position(self._pair))
        self._node.stop()

    def _limit(self, side: OrderSide, quantity: float, factor: float, **more: bool) -> Any:  # noqa: ANN401
        return self.order_factory.limit(
            self._pair, side, self._quantity(quantity), self._price(factor), **more
        )

    def _trade(self, side: OrderSide, quantity: float, *, reduce_only: bool = False) -> None:
        size = self._quantity(quantity)
        self.submit_order(
            self.order_factory.market(self._pair, side, size, reduce_only=reduce_only)
        )

    def _alarm(self, name: str, seconds: int) -> None:
        at_ns = self.clock.timestamp_ns() + seconds * 1_000_000_000
        self.clock.set_time_alert_ns(name, at_ns, self.on_event)

    def _count(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1

    def _quantity(self, number: float) -> Any:  # noqa: ANN401
        return self.cache.instrument(self._pair).make_qty(number)

    def _price(self, factor: float) -> Any:  # noqa: ANN401
        return self.cache.instrument(self._pair).make_price(self._far * factor)


def main() -> None:
    """Trade, and print what was told."""
    given = json.load(sys.stdin)
    futures, pair = given["futures"], InstrumentId.from_str(given["instrument"])
    same = {
        "account_type": BinanceAccountType.USDT_FUTURES if futures else BinanceAccountType.SPOT,
        "api_key": given["key"],
        "api_secret": given["secret"],
        "base_url_http": given["rest"],
        "instrument_provider": InstrumentProviderConfig(load_ids=frozenset({pair})),
    }
    settings: dict[str, Any] = {}
    if futures:
        symbol = BinanceSymbol(given["instrument"].partition("-")[0])
        settings = {
            "base_url_ws_stream": given["user_stream"],
            "futures_leverages": {symbol: 4},
            "futures_margin_types": {symbol: BinanceFuturesMarginType.ISOLATED},
        }
    execution = BinanceExecClientConfig(base_url_ws=given["ws_api"], **same, **settings)
    data = BinanceDataClientConfig(base_url_ws=given["streams"], **same)
    node = TradingNode(
        TradingNodeConfig(
            trader_id=TraderId("WALK-001"),
            logging=LoggingConfig(log_level="WARNING"),
            data_clients={BINANCE: data},
            exec_clients={BINANCE: execution},
        )
    )
    walk = Walk(given, node)
    node.trader.add_strategy(walk)
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    node.build()
    try:
        node.run()
    finally:
        node.dispose()
    sys.stdout.write("\n" + json.dumps(walk.told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
