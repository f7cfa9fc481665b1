"""The REST endpoints of Binance spot's public market data, with its parameter rules and errors."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from citadel_micro.sim.flow_candles import INTERVALS, next_open
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator import payloads
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from citadel_micro.sim.flow_feed import Feed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DEPTH_MAX = 5000
_KLINES_MAX = 1000
_TRADES_MAX = 1000
_LONGEST_HOLD_S = 0.005
# Everything that needs keys. There are none here yet.
_PRIVATE = re.compile(
    r"/(api/v[13]/(order|openOrders|allOrders|account|myTrades|userDataStream|orderList|"
    r"allOrderList|openOrderList|sor|rateLimit|myPreventedMatches|myAllocations)|sapi/)",
)


def _json(body: Any) -> web.Response:  # noqa: ANN401 - any JSON value
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _failure(error: ApiError) -> web.Response:
    body = msgspec.json.encode({"code": error.code, "msg": error.text})
    return web.Response(body=body, status=error.status, content_type="application/json")


class Rest:
    """Answers requests from a feed."""

    def __init__(self, feed: Feed) -> None:
        """Serve ``feed``."""
        self._feed = feed
        self._by_name = {spec.venue_symbol: name for name, spec in feed.specs.items()}

    def routes(self) -> list[web.RouteDef]:
        """Return the table of endpoints. Private ones will be rows here."""
        table: dict[str, Callable[[Query], Awaitable[Any]]] = {
            "ping": self.ping,
            "time": self.time,
            "exchangeInfo": self.exchange_info,
            "klines": self.klines,
            "uiKlines": self.klines,
            "ticker/24hr": self.ticker_day,
            "ticker/price": self.ticker_price,
            "ticker/bookTicker": self.ticker_book,
            "depth": self.depth,
            "trades": self.trades,
            "aggTrades": self.agg_trades,
            "avgPrice": self.average_price,
        }
        routes = [
            web.get(f"/api/v3/{path}", self._wrap(handler)) for path, handler in table.items()
        ]
        routes += [web.get(f"/api/v1/{path}", self._wrap(table[path])) for path in ("ping", "time")]
        routes.append(web.route("*", "/{path:.*}", self._unknown))
        return routes

    def _wrap(self, handler: Callable[[Query], Awaitable[Any]]) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return _json(await handler(Query(request.query, self._by_name)))
            except ApiError as error:
                return _failure(error)

        return answer

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
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
        return {"serverTime": self._now_ms}

    async def exchange_info(self, query: Query) -> payloads.Json:
        """Answer the trading rules of all, one or some symbols."""
        query.only(
            "symbol",
            "symbols",
            "permissions",
            "showPermissionSets",
            "symbolStatus",
        )
        names = query.symbols()
        return payloads.exchange_info([self._feed.specs[name] for name in names], self._now_ms)

    # ------------------------------------------------------------------ candles

    async def klines(self, query: Query) -> list[list[Any]]:
        """Answer candles, the current one included."""
        query.only("symbol", "interval", "startTime", "endTime", "timeZone", "limit")
        symbol = query.symbol()
        interval = query.text("interval")
        if interval not in INTERVALS:
            raise ApiError(-1120, "Invalid interval.")
        start_ms = query.integer("startTime")
        end_ms = query.integer("endTime")
        if start_ms is not None and end_ms is not None and start_ms > end_ms:
            return []
        if query.optional("timeZone") not in {None, "0", "00:00", "+00:00"}:
            raise ApiError(-1100, "Illegal characters found in parameter 'timeZone'; only 0 here.")
        limit = query.limit(500, _KLINES_MAX)
        store, spec = self._feed.candles[symbol], self._feed.specs[symbol]
        rows = []
        yielded = time.monotonic()
        for opened in store.opens(interval, start_ms, end_ms, limit):
            candle = store.span(opened, next_open(interval, opened))
            rows.append(payloads.kline_row(spec, interval, candle))
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
        kind = query.optional("type") or "FULL"
        if kind not in {"FULL", "MINI"}:
            raise ApiError(-1139, "Invalid ticker type.")
        return self._one_or_many(query, lambda symbol: self._day(symbol, kind))

    def _day(self, symbol: str, kind: str) -> payloads.Json:
        feed = self._feed
        store, spec = feed.candles[symbol], feed.specs[symbol]
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        if kind == "MINI":
            return payloads.mini_ticker_row(spec, day, feed.now_ns)
        last = feed.trades[symbol][-1] if feed.trades[symbol] else None
        return payloads.ticker_row(spec, day, feed.depth(symbol, 1), last, feed.now_ns)

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
            (bid, bid_lots), (ask, ask_lots) = depth.bids[0], depth.asks[0]
            return {
                "symbol": spec.venue_symbol,
                "bidPrice": spec.price_text(bid),
                "bidQty": spec.size_text(bid_lots),
                "askPrice": spec.price_text(ask),
                "askQty": spec.size_text(ask_lots),
            }

        return self._one_or_many(query, best)

    def _one_or_many(self, query: Query, answer: Callable[[str], payloads.Json]) -> Any:  # noqa: ANN401
        if query.optional("symbol") is not None:
            return answer(query.symbols()[0])
        return [answer(symbol) for symbol in query.symbols()]

    # ------------------------------------------------------------------ book and trades

    async def depth(self, query: Query) -> payloads.Json:
        """Answer the book and the update id it is valid for."""
        query.only("symbol", "limit", "symbolStatus")
        symbol = query.symbol()
        limit = query.limit(100, _DEPTH_MAX)
        return payloads.depth_snapshot(self._feed.specs[symbol], self._feed.depth(symbol, limit))

    async def trades(self, query: Query) -> list[payloads.Json]:
        """Answer the last trades, oldest first."""
        query.only("symbol", "limit")
        symbol = query.symbol()
        limit = query.limit(500, _TRADES_MAX)
        spec = self._feed.specs[symbol]
        return [payloads.trade_row(spec, item) for item in list(self._feed.trades[symbol])[-limit:]]

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
            kept = [item for item in kept if item.trade_id >= from_id]
        if start_ms is not None:
            kept = [item for item in kept if item.time_ns // payloads.MS_NS >= start_ms]
        if end_ms is not None:
            kept = [item for item in kept if item.time_ns // payloads.MS_NS <= end_ms]
        oldest_first = from_id is not None or start_ms is not None
        chosen = kept[:limit] if oldest_first else kept[-limit:]
        spec = self._feed.specs[symbol]
        return [payloads.agg_trade_row(spec, item) for item in chosen]
