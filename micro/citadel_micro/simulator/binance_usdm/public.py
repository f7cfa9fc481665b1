"""The REST endpoints of USD-M's public data below ``/fapi/v1``.

Parameters that an endpoint does not know are ignored, as futures do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_candles import INTERVALS
from citadel_micro.simulator.binance_usdm import payloads
from citadel_micro.simulator.binance_usdm.exchange_info import exchange_info
from citadel_micro.simulator.binance_usdm.texts import price, size
from citadel_micro.simulator.query import ApiError, Query
from citadel_micro.simulator.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.flow_aggregates import Aggregate
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.private.venue import OrderLimit
    from citadel_micro.simulator.weights import RequestWeights

Json = dict[str, Any]
_DEPTHS: Final = (5, 10, 20, 50, 100, 500, 1000)
_DEPTH_WEIGHTS: Final = ((50, 2), (100, 5), (500, 10))
_DEEPEST_WEIGHT: Final = 20
_KLINE_WEIGHTS: Final = ((99, 1), (499, 2), (1000, 5))
_LONGEST_WEIGHT: Final = 10
_MINUTE_NS: Final = 60_000_000_000


def _flat(weight: int) -> Callable[[Mapping[str, str]], int]:
    return lambda _params: weight


def _by_limit(
    steps: tuple[tuple[int, int], ...], most: int, default: str
) -> Callable[[Mapping[str, str]], int]:
    def weigh(params: Mapping[str, str]) -> int:
        text = params.get("limit", default)
        limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
        return next((weight for up_to, weight in steps if limit <= up_to), most)

    return weigh


def _one_or_all(one: int, every: int) -> Callable[[Mapping[str, str]], int]:
    return lambda params: one if params.get("symbol") else every


_KLINES: Final = _by_limit(_KLINE_WEIGHTS, _LONGEST_WEIGHT, "500")
WEIGHTS: Final[dict[str, Callable[[Mapping[str, str]], int]]] = {
    "ping": _flat(1),
    "time": _flat(1),
    "exchangeInfo": _flat(1),
    "depth": _by_limit(_DEPTH_WEIGHTS, _DEEPEST_WEIGHT, "500"),
    "trades": _flat(5),
    "aggTrades": _flat(20),
    "klines": _KLINES,
    "continuousKlines": _KLINES,
    "markPriceKlines": _KLINES,
    "indexPriceKlines": _KLINES,
    "premiumIndex": _one_or_all(1, 10),
    "fundingRate": _flat(1),
    "fundingInfo": _flat(1),
    "ticker/24hr": _one_or_all(1, 40),
    "ticker/price": _one_or_all(1, 2),
    "ticker/bookTicker": _one_or_all(2, 5),
    "openInterest": _flat(1),
}
WEBSOCKET_NAMES: Final = {
    "ping": "ping",
    "time": "time",
    "depth": "depth",
    "ticker.price": "ticker/price",
    "ticker.book": "ticker/bookTicker",
}
"""The websocket API's name of a method: the REST path that answers the same."""


class _Lenient(Query):
    """Parameters of which unknown ones are ignored."""

    def only(self, *names: str) -> None:
        """Let every parameter pass."""


class UsdmRest(Rest):
    """Answers requests about the futures market."""

    roots = ("/fapi/v1", "/fapi/v2")
    path_weights = WEIGHTS
    most_klines = 1500
    intervals = INTERVALS
    query = _Lenient

    def __init__(
        self,
        feed: Feed,
        exchange: FuturesExchange,
        weights: RequestWeights,
        limits: tuple[OrderLimit, ...],
        clock_ns: Callable[[], int],
    ) -> None:
        """Serve ``feed``; ``limits`` of orders are listed."""
        super().__init__(feed, exchange, weights, (0, 0), clock_ns)
        self._futures = exchange
        self._limits = limits
        self.table = {
            "ping": self.ping,
            "time": self.time,
            "exchangeInfo": self.exchange_info,
            "depth": self.depth,
            "trades": self.trades,
            "aggTrades": self.agg_trades,
            "klines": self.klines,
            "continuousKlines": self.pair_klines,
            "markPriceKlines": self.mark_klines,
            "indexPriceKlines": self.index_klines,
            "premiumIndex": self.premium_index,
            "fundingRate": self.funding_rate,
            "fundingInfo": self.funding_info,
            "ticker/24hr": self.ticker_day,
            "ticker/price": self.ticker_price,
            "ticker/bookTicker": self.ticker_book,
            "openInterest": self.open_interest,
        }

    async def exchange_info(self, query: Query) -> Json:
        """Answer the trading rules of all perpetuals."""
        del query
        exchange = self._futures
        entries = [(rules, exchange.statuses[name]) for name, rules in exchange.rules.items()]
        return exchange_info(entries, self._now_ms, self._weights.limit, self._limits)

    # ------------------------------------------------------------------ candles

    def _by_pair(self, query: Query) -> Query:
        """Return a query whose ``pair`` is read as the symbol."""
        return _Lenient({**query.values, "symbol": query.text("pair")}, self.symbols)

    async def pair_klines(self, query: Query) -> list[list[Any]]:
        """Answer candles of a pair's perpetual."""
        if query.text("contractType") != "PERPETUAL":
            raise ApiError(-1130, "Data sent for parameter 'contractType' is not valid.")
        return await self.klines(self._by_pair(query))

    async def mark_klines(self, query: Query) -> list[list[Any]]:
        """Answer candles of the mark price: the traded prices, without volumes."""
        spec = self._feed.specs[query.symbol()]
        return [payloads.price_row(spec, row) for row in await self.klines(query)]

    async def index_klines(self, query: Query) -> list[list[Any]]:
        """Answer candles of the index price, likewise."""
        return await self.mark_klines(self._by_pair(query))

    # ------------------------------------------------------------------ prices

    async def premium_index(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer mark price, index price and the funding to come."""
        return self._one_or_many(query, lambda name: payloads.premium_index(self._futures, name))

    async def funding_rate(self, query: Query) -> list[Json]:
        """Answer past funding rates; before the start the rate was what it is now."""
        symbols = query.symbols()
        start, end = query.integer("startTime"), query.integer("endTime")
        limit = query.limit(100, 1000)
        rows = sorted(
            (row for symbol in symbols for row in self._funding_rows(symbol, start, end, limit)),
            key=lambda row: row["fundingTime"],
        )
        return rows[:limit] if start is not None else rows[-limit:]

    def _funding_rows(
        self, symbol: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Json]:
        exchange, spec = self._futures, self._feed.specs[symbol]
        store = self._feed.candles[symbol]
        step = exchange.funding_ns
        known = {each.time_ns: each for each in exchange.funded[symbol]}
        newest = exchange.next_funding_ns() // step - 1
        oldest = -(-store.listed * _MINUTE_NS // step)
        if end_ms is not None:
            newest = min(newest, end_ms * payloads.MS_NS // step)
        if start_ms is not None:
            oldest = max(oldest, -(-start_ms * payloads.MS_NS // step))
            newest = min(newest, oldest + limit - 1)
        rows = []
        for number in range(max(oldest, newest - limit + 1), newest + 1):
            time_ns = number * step
            was = known.get(time_ns)
            rate = exchange.funding_e8[symbol] if was is None else was.rate_e8
            minute = min(time_ns // _MINUTE_NS, store.now)
            mark = store.minute(minute).open * spec.tick_e8 if was is None else was.mark_e8
            rows.append(payloads.funding_row(spec, time_ns, rate, mark))
        return rows

    async def funding_info(self, query: Query) -> list[Json]:
        """Answer how often funding is exchanged, and within which rates."""
        del query
        hours = max(self._futures.funding_ns // (60 * _MINUTE_NS), 1)
        return [
            {
                "symbol": spec.venue_symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": hours,
                "disclaimer": False,
            }
            for spec in self._feed.specs.values()
        ]

    async def open_interest(self, query: Query) -> Json:
        """Answer what clients hold."""
        symbol = query.symbol()
        spec = self._feed.specs[symbol]
        lots = self._futures.open_lots(symbol)
        return {"openInterest": size(spec, lots), "symbol": spec.venue_symbol, "time": self._now_ms}

    def _day(self, symbol: str, kind: str) -> Json:
        del kind
        feed = self._feed
        store, spec = feed.candles[symbol], feed.specs[symbol]
        day = store.span(store.now - 1439, store.now + 1)
        last = feed.trades[symbol][-1] if feed.trades[symbol] else None
        return payloads.ticker_row(spec, day, feed.depth(symbol, 1), last, feed.now_ns)

    async def ticker_price(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer the last price."""

        def last(symbol: str) -> Json:
            spec, store = self._feed.specs[symbol], self._feed.candles[symbol]
            close = price(spec, store.minute(store.now).close)
            return {"symbol": spec.venue_symbol, "price": close, "time": self._now_ms}

        return self._one_or_many(query, last)

    async def ticker_book(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer the best bid and ask."""

        def best(symbol: str) -> Json:
            spec = self._feed.specs[symbol]
            depth = self._feed.depth(symbol, 1)
            (bid, bid_lots), (ask, ask_lots) = depth.best_bid, depth.best_ask
            return {
                "symbol": spec.venue_symbol,
                "bidPrice": price(spec, bid),
                "bidQty": size(spec, bid_lots),
                "askPrice": price(spec, ask),
                "askQty": size(spec, ask_lots),
                "time": self._now_ms,
                "lastUpdateId": depth.last_update_id,
            }

        return self._one_or_many(query, best)

    # ------------------------------------------------------------------ book and trades

    async def depth(self, query: Query) -> Json:
        """Answer the book and the update id it is valid for."""
        symbol = query.symbol()
        limit = query.integer("limit") or 500
        if limit not in _DEPTHS:
            raise ApiError(-4021, f"{limit} is not valid depth limit.")
        spec = self._feed.specs[symbol]
        return payloads.depth_snapshot(spec, self._feed.depth(symbol, limit), self._now_ms)

    async def trades(self, query: Query) -> list[Json]:
        """Answer the last trades, oldest first."""
        symbol = query.symbol()
        limit = query.limit(500, 1000)
        spec = self._feed.specs[symbol]
        return [payloads.trade_row(spec, each) for each in list(self._feed.trades[symbol])[-limit:]]

    def _agg_trade_row(self, symbol: str, item: Aggregate) -> Json:
        return payloads.agg_trade_row(self._feed.specs[symbol], item)
