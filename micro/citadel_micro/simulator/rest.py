"""The REST endpoints of Binance spot's public market data, with its parameter rules and errors."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from citadel_micro.sim import flow_klines
from citadel_micro.sim.flow_aggregates import aggregates
from citadel_micro.sim.flow_klines import KLINES, next_ms
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator import payloads, windows
from citadel_micro.simulator.exchange_info import PERMISSION, exchange_info
from citadel_micro.simulator.public_weights import WEIGHTS
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.flow_aggregates import Aggregate
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.weights import RequestWeights

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DEPTH_MAX = 5000
_KLINES_MAX = 1000
_TRADES_MAX = 1000
_LONGEST_HOLD_S = 0.005
# What needs a key and is not served here: a request without one gets that error first.
_PRIVATE = re.compile(
    r"/(api/v[13]/(order|orderList|allOrderList|openOrderList|sor|myAllocations)|sapi/)",
)


def _json(body: Any) -> web.Response:  # noqa: ANN401 - any JSON value
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _failure(error: ApiError) -> web.Response:
    body = msgspec.json.encode(error.body)
    return web.Response(body=body, status=error.status, content_type="application/json")


class Rest:
    """Answers requests from a feed.

    ``roots`` are where its paths are found, ``path_weights`` what they weigh.
    """

    roots: tuple[str, ...] = ("/api/v3",)
    path_weights: Mapping[str, Callable[[Mapping[str, str]], int]] = WEIGHTS
    most_klines = _KLINES_MAX
    intervals: Collection[str] = KLINES
    query: type[Query] = Query

    def __init__(
        self,
        feed: Feed,
        exchange: Exchange,
        weights: RequestWeights,
        order_limits: tuple[int, int],
        clock_ns: Callable[[], int],
    ) -> None:
        """Serve ``feed``; ``order_limits`` are listed: unfilled orders in 10 s and a day.

        ``clock_ns`` is the clock that clients are shown, and that judges their timestamps.
        """
        self._feed = feed
        self._exchange = exchange
        self._weights = weights
        self._order_limits = order_limits
        self._clock_ns = clock_ns
        self.symbols = {spec.venue_symbol: name for name, spec in feed.specs.items()}
        self.table: dict[str, Callable[[Query], Awaitable[Any]]] = {
            "ping": self.ping,
            "time": self.time,
            "exchangeInfo": self.exchange_info,
            "klines": self.klines,
            "uiKlines": self.klines,
            "ticker": self.ticker_window,
            "ticker/tradingDay": self.ticker_calendar_day,
            "ticker/24hr": self.ticker_day,
            "ticker/price": self.ticker_price,
            "ticker/bookTicker": self.ticker_book,
            "depth": self.depth,
            "trades": self.trades,
            "historicalTrades": self.old_trades,
            "aggTrades": self.agg_trades,
            "avgPrice": self.average_price,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the table of endpoints."""
        return [
            web.get(f"{root}/{path}", self._wrap(path))
            for root in self.roots
            for path in self.table
        ]

    def last_routes(self) -> list[web.RouteDef]:
        """Return what else spot has; the last takes what no other route does."""
        routes = [web.get(f"/api/v1/{path}", self._wrap(path)) for path in ("ping", "time")]
        routes.append(web.route("*", "/{path:.*}", self._unknown))
        return routes

    def _wrap(self, path: str) -> Handler:
        handler, weigh = self.table[path], self.path_weights[path]

        async def answer(request: web.Request) -> web.StreamResponse:
            address = request.remote or ""
            now_ms, weights = self._now_ms, self._weights
            limited = weights.take(address, weigh(request.query), now_ms)
            if limited is not None:
                response = _failure(weights.error(limited))
                response.headers["Retry-After"] = str(limited.retry_after_s(now_ms))
            else:
                try:
                    response = _json(await handler(self.query(request.query, self.symbols)))
                except ApiError as error:
                    response = _failure(error)
            return self._tell_used(request, response)

        return answer

    def _tell_used(self, request: web.Request, response: web.Response) -> web.Response:
        """Say in headers what the address has used in this minute."""
        used = str(self._weights.used(request.remote or "", self._now_ms))
        response.headers["X-MBX-USED-WEIGHT"] = used
        response.headers["X-MBX-USED-WEIGHT-1M"] = used
        return response

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        response = self._refuse_path(request)
        return response if "/sapi/" in request.path else self._tell_used(request, response)

    def _refuse_path(self, request: web.Request) -> web.Response:
        if _PRIVATE.match(request.path):
            if "X-MBX-APIKEY" in request.headers:
                text = "Invalid API-key, IP, or permissions for action."
                return _failure(ApiError(-2015, text, status=401))
            return _failure(ApiError(-2014, "API-key format invalid.", status=401))
        text = f"Path {request.path}, Method {request.method} is invalid"
        return _failure(ApiError(-5000, text, status=404))

    @property
    def _now_ms(self) -> int:
        return self._feed.now_ns // payloads.MS_NS

    # ------------------------------------------------------------------ general

    async def ping(self, query: Query) -> payloads.Json:
        """Answer ``{}``."""
        query.only()
        return {}

    async def time(self, query: Query) -> payloads.Json:
        """Answer the simulator's clock."""
        query.only()
        return {"serverTime": self._clock_ns() // payloads.MS_NS}

    async def exchange_info(self, query: Query) -> payloads.Json:
        """Answer the trading rules of all, one or some symbols."""
        query.only("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
        status, permissions = query.status(), query.permissions()
        named = query.optional("symbol") is not None or query.optional("symbols") is not None
        if named and (status is not None or permissions is not None):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        names = query.symbols()
        if permissions is not None and PERMISSION not in permissions:
            names = []
        exchange = self._exchange
        entries = [
            (exchange.rules[name], exchange.statuses[name])
            for name in names
            if status in {None, exchange.statuses[name]}
        ]
        limits = (self._weights.limit, *self._order_limits)
        permission_sets = query.flag("showPermissionSets", default=True)
        return exchange_info(entries, self._now_ms, limits, permission_sets=permission_sets)

    # ------------------------------------------------------------------ candles

    async def klines(self, query: Query) -> list[list[Any]]:
        """Answer candles, the current one included."""
        query.only("symbol", "interval", "startTime", "endTime", "timeZone", "limit")
        symbol = query.symbol()
        interval = query.text("interval")
        if interval not in self.intervals:
            raise ApiError(-1120, "Invalid interval.")
        start_ms = query.integer("startTime")
        end_ms = query.integer("endTime")
        if start_ms is not None and end_ms is not None and start_ms > end_ms:
            return []
        shift = query.time_zone()
        limit = query.limit(500, self.most_klines)
        store, spec = self._feed.candles[symbol], self._feed.specs[symbol]
        rows = []
        yielded = time.monotonic()
        window = (start_ms, end_ms)
        for opened in flow_klines.opens(store, interval, self._now_ms, window, limit, shift=shift):
            candle = flow_klines.candle(store, interval, opened, shift)
            after = next_ms(interval, opened, shift)
            rows.append(payloads.kline_row(spec, candle, opened, after))
            # Long spans of history are drawn minute by minute: let the market move meanwhile.
            if time.monotonic() - yielded > _LONGEST_HOLD_S:
                await asyncio.sleep(0)
                yielded = time.monotonic()
        return rows

    async def average_price(self, query: Query) -> payloads.Json:
        """Answer the average price of the last five minutes."""
        query.only("symbol")
        symbol = query.symbol()
        store = self._feed.candles[symbol]
        candle = store.span(store.now - 4, store.now + 1)
        last = list(self._feed.trades[symbol])[-1:]
        close_ms = last[0].time_ns // payloads.MS_NS if last else self._now_ms
        return payloads.average_price(self._feed.specs[symbol], candle, close_ms)

    # ------------------------------------------------------------------ tickers

    async def ticker_day(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer 24 h statistics."""
        query.only("symbol", "symbols", "type", "symbolStatus")
        kind = windows.ticker_type(query)
        return self._one_or_many(query, lambda symbol: self._day(symbol, kind))

    def _day(self, symbol: str, kind: str) -> payloads.Json:
        feed = self._feed
        store, spec = feed.candles[symbol], feed.specs[symbol]
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        if kind == "MINI":
            return payloads.mini_ticker_row(spec, day, feed.now_ns)
        last = feed.trades[symbol][-1] if feed.trades[symbol] else None
        before = store.close_before(day.minute)
        depth = feed.depth(symbol, 1)
        return payloads.ticker_row(spec, day, depth, last, feed.now_ns, before=before)

    async def ticker_window(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer statistics of a rolling window of 1 minute to 7 days."""
        query.only("symbol", "symbols", "windowSize", "type", "symbolStatus")
        query.some_symbols()
        kind, minutes = windows.ticker_type(query), windows.window_minutes(query)
        rows = [
            await windows.rolling_row(
                self._feed.specs[symbol], self._feed.candles[symbol], minutes, kind, self._now_ms
            )
            for symbol in self._chosen(query)
        ]
        return rows if query.optional("symbol") is None else rows[0]

    async def ticker_calendar_day(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer statistics of the calendar day in a time zone."""
        query.only("symbol", "symbols", "timeZone", "type", "symbolStatus")
        query.some_symbols()
        kind, shift = windows.ticker_type(query), query.time_zone()

        def day(symbol: str) -> payloads.Json:
            spec, store = self._feed.specs[symbol], self._feed.candles[symbol]
            return windows.day_row(spec, store, shift, kind, self._now_ms)

        return self._one_or_many(query, day)

    async def ticker_price(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer the last price."""
        query.only("symbol", "symbols", "symbolStatus")

        def last(symbol: str) -> payloads.Json:
            spec, store = self._feed.specs[symbol], self._feed.candles[symbol]
            price = spec.price_text(store.minute(store.now).close)
            return {"symbol": spec.venue_symbol, "price": price}

        return self._one_or_many(query, last)

    async def ticker_book(self, query: Query) -> Any:  # noqa: ANN401 - an object or a list
        """Answer the best bid and ask."""
        query.only("symbol", "symbols", "symbolStatus")

        def best(symbol: str) -> payloads.Json:
            spec = self._feed.specs[symbol]
            depth = self._feed.depth(symbol, 1)
            (bid, bid_lots), (ask, ask_lots) = depth.best_bid, depth.best_ask
            return {
                "symbol": spec.venue_symbol,
                "bidPrice": spec.price_text(bid),
                "bidQty": spec.size_text(bid_lots),
                "askPrice": spec.price_text(ask),
                "askQty": spec.size_text(ask_lots),
            }

        return self._one_or_many(query, best)

    def _one_or_many(self, query: Query, answer: Callable[[str], payloads.Json]) -> Any:  # noqa: ANN401
        rows = [answer(symbol) for symbol in self._chosen(query)]
        return rows if query.optional("symbol") is None else rows[0]

    def _chosen(self, query: Query) -> list[str]:
        """Return the symbols that were asked for and have the status that was.

        Raises:
            ApiError: -1220 when the only one has another.
        """
        names, status = query.symbols(), query.status()
        if status is None:
            return names
        found = [name for name in names if self._exchange.statuses[name] == status]
        if not found and query.optional("symbol") is not None:
            text = "The symbol's status does not match the requested symbolStatus."
            raise ApiError(-1220, text)
        return found

    # ------------------------------------------------------------------ book and trades

    async def depth(self, query: Query) -> payloads.Json:
        """Answer the book and the update id it is valid for."""
        query.only("symbol", "limit", "symbolStatus")
        query.symbol()
        symbol = self._chosen(query)[0]
        limit = query.limit(100, _DEPTH_MAX)
        return payloads.depth_snapshot(self._feed.specs[symbol], self._feed.depth(symbol, limit))

    async def trades(self, query: Query) -> list[payloads.Json]:
        """Answer the last trades, oldest first."""
        query.only("symbol", "limit")
        symbol = query.symbol()
        limit = query.limit(500, _TRADES_MAX)
        spec = self._feed.specs[symbol]
        return [payloads.trade_row(spec, item) for item in list(self._feed.trades[symbol])[-limit:]]

    async def old_trades(self, query: Query) -> list[payloads.Json]:
        """Answer trades from an id on, or the last; only kept ones exist."""
        query.only("symbol", "limit", "fromId")
        symbol = query.symbol()
        limit = query.limit(500, _TRADES_MAX)
        from_id = query.integer("fromId")
        kept = list(self._feed.trades[symbol])
        if from_id is None:
            chosen = kept[-limit:]
        else:
            chosen = [item for item in kept if item.trade_id >= from_id][:limit]
        spec = self._feed.specs[symbol]
        return [payloads.trade_row(spec, item) for item in chosen]

    async def agg_trades(self, query: Query) -> list[payloads.Json]:
        """Answer aggregate trades from an id, from a time, or the last; only kept ones exist."""
        query.only("symbol", "fromId", "startTime", "endTime", "limit")
        symbol = query.symbol()
        limit = query.limit(500, _TRADES_MAX)
        from_id = query.integer("fromId")
        start_ms = query.integer("startTime")
        end_ms = query.integer("endTime")
        if from_id is not None and (start_ms is not None or end_ms is not None):
            text = "Combination of optional parameters invalid."
            raise ApiError(-1128, text)
        kept = list(self._feed.trades[symbol])
        if from_id is not None:
            kept = [item for item in kept if item.aggregate_id >= from_id]
        if start_ms is not None:
            kept = [item for item in kept if item.time_ns // payloads.MS_NS >= start_ms]
        if end_ms is not None:
            kept = [item for item in kept if item.time_ns // payloads.MS_NS <= end_ms]
        if from_id is None and start_ms is None:
            oldest = kept[-1].aggregate_id - limit if kept else 0
            kept = [item for item in kept if item.aggregate_id > oldest]
        return [self._agg_trade_row(symbol, item) for item in islice(aggregates(kept), limit)]

    def _agg_trade_row(self, symbol: str, item: Aggregate) -> payloads.Json:
        return payloads.agg_trade_row(self._feed.specs[symbol], item)
