"""Public REST: the time, instruments, tickers, books and trades. Fields of the venue's "Market" pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.bybit import params
from citadel_micro.simulator.bybit.envelope import as_bybit, envelope
from citadel_micro.simulator.bybit.intake import query_texts
from citadel_micro.simulator.bybit.order_json import SPOT, plain, price, size
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.flow_book import Print
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
_MS_NS: Final = 1_000_000
_MOST_TRADES: Final = 60
_MOST_LEVELS: Final = 200


def levels(spec: SymbolSpec, rows: Iterable[tuple[int, int]]) -> list[list[str]]:
    """Return levels of a book."""
    return [[price(spec, ticks), size(spec, lots)] for ticks, lots in rows]


def ticker(feed: Feed, exchange: Exchange, symbol: str) -> Json:
    """Return the last day of a symbol, and the top of its book."""
    spec, store = feed.specs[symbol], feed.candles[symbol]
    day = store.span(store.now - DAY_MINUTES, store.now + 1)
    last = exchange.last_ticks(symbol)
    depth = feed.depth(symbol, 1)
    change = (last - day.open) * E8 // day.open if day.open else 0
    return {
        "symbol": spec.venue_symbol,
        "bid1Price": price(spec, depth.best_bid[0]),
        "bid1Size": size(spec, depth.best_bid[1]),
        "ask1Price": price(spec, depth.best_ask[0]),
        "ask1Size": size(spec, depth.best_ask[1]),
        "lastPrice": price(spec, last),
        "prevPrice24h": price(spec, day.open),
        "price24hPcnt": plain(change),
        "highPrice24h": price(spec, day.high),
        "lowPrice24h": price(spec, day.low),
        "turnover24h": plain(day.quote * spec.tick_e8 * spec.lot_e8 // E8),
        "volume24h": size(spec, day.lots),
        "usdIndexPrice": "",
    }


def trade_side(trade: Print) -> str:
    """Return the taker's side."""
    return "Sell" if trade.buyer_is_maker else "Buy"


class Public:
    """The endpoints."""

    category = SPOT

    def __init__(
        self,
        feed: Feed,
        exchange: Exchange,
        time_ns: Callable[[], int],
        catch_up: Callable[[], None],
    ) -> None:
        """Show ``feed``; ``time_ns`` is the server's time."""
        self._feed = feed
        self._exchange = exchange
        self._time_ns = time_ns
        self._catch_up = catch_up
        self.symbols = {spec.venue_symbol: name for name, spec in feed.specs.items()}

    def routes(self) -> list[web.RouteDef]:
        """Return the table of endpoints."""
        return [
            web.get(f"/v5/market/{path}", self._wrap(act)) for path, act in self.table().items()
        ]

    def table(self) -> Mapping[str, Callable[[Query], object]]:
        """Return who answers, by path."""
        return {
            "time": self.time,
            "instruments-info": self.instruments,
            "tickers": self.tickers,
            "orderbook": self.book,
            "recent-trade": self.trades,
        }

    def _wrap(
        self, act: Callable[[Query], object]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            self._catch_up()
            query = Query(query_texts(request.raw_path.partition("?")[2]), self.symbols)
            code, text, result = 0, "OK", None
            try:
                result = act(query)
            except ApiError as found:
                error = as_bybit(found)
                code, text = error.code, error.text
            body = envelope(result, self._time_ns() // _MS_NS, code=code, text=text)
            return web.Response(body=msgspec.json.encode(body), content_type="application/json")

        return answer

    def time(self, _query: Query) -> Json:
        """Return the server's time."""
        now = self._time_ns()
        return {"timeSecond": str(now // 1_000_000_000), "timeNano": str(now)}

    def _chosen(self, query: Query) -> list[str]:
        params.category(query, self.category)
        return [query.symbol()] if query.values.get("symbol") else list(self.symbols.values())

    def instruments(self, query: Query) -> Json:
        """Return the trading rules."""
        rows = []
        for symbol in self._chosen(query):
            rules = self._exchange.rules[symbol]
            spec = rules.spec
            is_open = self._exchange.statuses[symbol] == "TRADING"
            rows.append(
                {
                    "symbol": spec.venue_symbol,
                    "baseCoin": spec.base,
                    "quoteCoin": spec.quote,
                    "innovation": "0",
                    "status": "Trading" if is_open else "Closed",
                    "marginTrading": "none",
                    "stTag": "0",
                    "lotSizeFilter": {
                        "basePrecision": plain(rules.lot_e8),
                        "quotePrecision": plain(spec.tick_e8 * spec.lot_e8 // E8 or 1),
                        "minOrderQty": plain(rules.min_quantity_e8),
                        "maxOrderQty": plain(rules.max_quantity_e8),
                        "minOrderAmt": plain(rules.min_notional_e8),
                        "maxOrderAmt": plain(rules.max_notional_e8),
                        "maxLimitOrderQty": plain(rules.max_quantity_e8),
                        "maxMarketOrderQty": plain(rules.max_market_quantity_e8),
                    },
                    "priceFilter": {"tickSize": plain(rules.tick_e8)},
                    "riskParameters": {
                        "priceLimitRatioX": "0.05",
                        "priceLimitRatioY": "0.1",
                    },
                }
            )
        return {"category": self.category, "list": rows}

    def tickers(self, query: Query) -> Json:
        """Return the last day."""
        rows = [ticker(self._feed, self._exchange, symbol) for symbol in self._chosen(query)]
        return {"category": self.category, "list": rows}

    def book(self, query: Query) -> Json:
        """Return a book."""
        params.category(query, self.category)
        symbol = params.symbol(query)
        limit = min(params.whole(query, "limit") or 1, _MOST_LEVELS)
        spec, depth = self._feed.specs[symbol], self._feed.depth(symbol, limit)
        now_ms = self._exchange.now_ns // _MS_NS
        return {
            "s": spec.venue_symbol,
            "b": levels(spec, depth.bids),
            "a": levels(spec, depth.asks),
            "ts": now_ms,
            "u": depth.last_update_id,
            "seq": depth.last_update_id,
            "cts": now_ms,
        }

    def trades(self, query: Query) -> Json:
        """Return the last trades, the newest first."""
        params.category(query, self.category)
        symbol = params.symbol(query)
        limit = min(params.whole(query, "limit") or _MOST_TRADES, _MOST_TRADES)
        spec, kept = self._feed.specs[symbol], self._feed.trades[symbol]
        rows = [
            {
                "execId": str(trade.trade_id),
                "symbol": spec.venue_symbol,
                "price": price(spec, trade.ticks),
                "size": size(spec, trade.lots),
                "side": trade_side(trade),
                "time": str(trade.time_ns // _MS_NS),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(trade.trade_id),
            }
            for trade in list(kept)[-limit:][::-1]
        ]
        return {"category": self.category, "list": rows}
