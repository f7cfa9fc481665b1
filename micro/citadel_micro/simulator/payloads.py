"""Binance spot's public payloads: field names, order and number formats of websocket and REST.

Compared field by field with recorded traffic. Prices and sizes are texts of eight decimals, times
are milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from citadel_micro.sim.flow_symbols import e8_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.flow_aggregates import Aggregate
    from citadel_micro.sim.flow_book import Depth, Print, Quote
    from citadel_micro.sim.flow_candles import Candle
    from citadel_micro.sim.flow_feed import DepthBatch
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
MS_NS = 1_000_000
MINUTE_MS = 60_000


def _levels(spec: SymbolSpec, levels: Iterable[tuple[int, int]]) -> list[list[str]]:
    return [[spec.price_text(ticks), spec.size_text(lots)] for ticks, lots in levels]


def depth_update(spec: SymbolSpec, batch: DepthBatch) -> Json:
    """Return a diff. depth event."""
    return {
        "e": "depthUpdate",
        "E": batch.time_ns // MS_NS,
        "s": spec.venue_symbol,
        "U": batch.first_id,
        "u": batch.last_id,
        "b": _levels(spec, batch.bids),
        "a": _levels(spec, batch.asks),
    }


def depth_snapshot(spec: SymbolSpec, depth: Depth) -> Json:
    """Return a book: the REST answer, and the partial book streams."""
    return {
        "lastUpdateId": depth.last_update_id,
        "bids": _levels(spec, depth.bids),
        "asks": _levels(spec, depth.asks),
    }


def book_ticker(spec: SymbolSpec, quote: Quote) -> Json:
    """Return a best bid/ask event (it carries no time)."""
    return {
        "u": quote.update_id,
        "s": spec.venue_symbol,
        "b": spec.price_text(quote.bid_ticks),
        "B": spec.size_text(quote.bid_lots),
        "a": spec.price_text(quote.ask_ticks),
        "A": spec.size_text(quote.ask_lots),
    }


def trade(spec: SymbolSpec, print_: Print) -> Json:
    """Return a trade event."""
    time_ms = print_.time_ns // MS_NS
    return {
        "e": "trade",
        "E": time_ms,
        "s": spec.venue_symbol,
        "t": print_.trade_id,
        "p": spec.price_text(print_.ticks),
        "q": spec.size_text(print_.lots),
        "T": time_ms,
        "m": print_.buyer_is_maker,
        "M": True,
    }


def agg_trade(spec: SymbolSpec, trades: Aggregate) -> Json:
    """Return an aggregate trade event."""
    time_ms = trades.time_ns // MS_NS
    return {
        "e": "aggTrade",
        "E": time_ms,
        "s": spec.venue_symbol,
        "a": trades.aggregate_id,
        "p": spec.price_text(trades.ticks),
        "q": spec.size_text(trades.lots),
        "f": trades.first_id,
        "l": trades.last_id,
        "T": time_ms,
        "m": trades.buyer_is_maker,
        "M": True,
    }


def kline_event(
    spec: SymbolSpec,
    interval: str,
    candle: Candle,
    span_ms: tuple[int, int],
    time_ns: int,
    *,
    closed: bool,
) -> Json:
    """Return a kline event. ``span_ms``: when this and the next candle open; sent at ``time_ns``."""
    return {
        "e": "kline",
        "E": time_ns // MS_NS,
        "s": spec.venue_symbol,
        "k": {
            "t": span_ms[0],
            "T": span_ms[1] - 1,
            "s": spec.venue_symbol,
            "i": interval,
            "f": candle.first_id,
            "L": candle.last_id,
            "o": spec.price_text(candle.open),
            "c": spec.price_text(candle.close),
            "h": spec.price_text(candle.high),
            "l": spec.price_text(candle.low),
            "v": spec.size_text(candle.lots),
            "n": candle.trades,
            "x": closed,
            "q": spec.quote_text(candle.quote),
            "V": spec.size_text(candle.buy_lots),
            "Q": spec.quote_text(candle.buy_quote),
            "B": "0",
        },
    }


def kline_row(spec: SymbolSpec, candle: Candle, opened_ms: int, next_ms: int) -> list[Any]:
    """Return one row of the REST klines answer."""
    return [
        opened_ms,
        spec.price_text(candle.open),
        spec.price_text(candle.high),
        spec.price_text(candle.low),
        spec.price_text(candle.close),
        spec.size_text(candle.lots),
        next_ms - 1,
        spec.quote_text(candle.quote),
        candle.trades,
        spec.size_text(candle.buy_lots),
        spec.quote_text(candle.buy_quote),
        "0",
    ]


def _average_text(spec: SymbolSpec, candle: Candle) -> str:
    """Return the volume-weighted average price, cut to eight decimals."""
    if not candle.lots:
        return spec.price_text(candle.close)
    return e8_text(candle.quote * spec.tick_e8 // candle.lots)


def _change_texts(spec: SymbolSpec, candle: Candle) -> tuple[str, str]:
    change = candle.close - candle.open
    per_mille = 0 if not candle.open else round(change * 100_000 / candle.open)
    sign = "-" if per_mille < 0 else ""
    return spec.price_text(change), f"{sign}{abs(per_mille) // 1000}.{abs(per_mille) % 1000:03d}"


def ticker_event(
    spec: SymbolSpec,
    day: Candle,
    quote: Depth,
    last: Print | None,
    time_ns: int,
    *,
    before: int | None = None,
) -> Json:
    """Return a 24 h ticker event over the candle ``day`` (1440 minutes that end now).

    ``before`` is the last price before them, in ticks.
    """
    change, percent = _change_texts(spec, day)
    bid, ask = quote.best_bid, quote.best_ask
    return {
        "e": "24hrTicker",
        "E": time_ns // MS_NS,
        "s": spec.venue_symbol,
        "p": change,
        "P": percent,
        "w": _average_text(spec, day),
        "x": spec.price_text(day.open if before is None else before),
        "c": spec.price_text(day.close),
        "Q": spec.size_text(last.lots if last else 0),
        "b": spec.price_text(bid[0]),
        "B": spec.size_text(bid[1]),
        "a": spec.price_text(ask[0]),
        "A": spec.size_text(ask[1]),
        "o": spec.price_text(day.open),
        "h": spec.price_text(day.high),
        "l": spec.price_text(day.low),
        "v": spec.size_text(day.lots),
        "q": spec.quote_text(day.quote),
        "O": day.minute * MINUTE_MS,
        "C": time_ns // MS_NS,
        "F": day.first_id,
        "L": day.last_id,
        "n": day.trades,
    }


def mini_ticker_event(spec: SymbolSpec, day: Candle, time_ns: int) -> Json:
    """Return a 24 h mini ticker event."""
    return {
        "e": "24hrMiniTicker",
        "E": time_ns // MS_NS,
        "s": spec.venue_symbol,
        "c": spec.price_text(day.close),
        "o": spec.price_text(day.open),
        "h": spec.price_text(day.high),
        "l": spec.price_text(day.low),
        "v": spec.size_text(day.lots),
        "q": spec.quote_text(day.quote),
    }


def ticker_row(
    spec: SymbolSpec,
    day: Candle,
    quote: Depth,
    last: Print | None,
    time_ns: int,
    *,
    before: int | None = None,
) -> Json:
    """Return the REST 24 h ticker."""
    event = ticker_event(spec, day, quote, last, time_ns, before=before)
    names = {
        "s": "symbol", "p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice",
        "x": "prevClosePrice", "c": "lastPrice", "Q": "lastQty", "b": "bidPrice", "B": "bidQty",
        "a": "askPrice", "A": "askQty", "o": "openPrice", "h": "highPrice", "l": "lowPrice",
        "v": "volume", "q": "quoteVolume", "O": "openTime", "C": "closeTime", "F": "firstId",
        "L": "lastId", "n": "count",
    }  # fmt: skip
    return {name: event[key] for key, name in names.items()}


def window_event(spec: SymbolSpec, size: str, window: Candle, time_ns: int) -> Json:
    """Return a rolling window's ticker event; ``size`` as in the stream's name."""
    change, percent = _change_texts(spec, window)
    return {
        "e": f"{size}Ticker",
        "E": time_ns // MS_NS,
        "s": spec.venue_symbol,
        "p": change,
        "P": percent,
        "o": spec.price_text(window.open),
        "h": spec.price_text(window.high),
        "l": spec.price_text(window.low),
        "c": spec.price_text(window.close),
        "w": _average_text(spec, window),
        "v": spec.size_text(window.lots),
        "q": spec.quote_text(window.quote),
        "O": window.minute * MINUTE_MS,
        "C": time_ns // MS_NS,
        "F": window.first_id,
        "L": window.last_id,
        "n": window.trades,
    }


def window_row(spec: SymbolSpec, window: Candle, close_ms: int) -> Json:
    """Return the REST ticker of a window that is not the last 24 hours."""
    row = mini_ticker_row(spec, window, close_ms * MS_NS)
    change, percent = _change_texts(spec, window)
    full = {
        "symbol": row.pop("symbol"),
        "priceChange": change,
        "priceChangePercent": percent,
        "weightedAvgPrice": _average_text(spec, window),
    }
    return full | row


def mini_ticker_row(spec: SymbolSpec, day: Candle, time_ns: int) -> Json:
    """Return a REST ticker with ``type=MINI``."""
    return {
        "symbol": spec.venue_symbol,
        "openPrice": spec.price_text(day.open),
        "highPrice": spec.price_text(day.high),
        "lowPrice": spec.price_text(day.low),
        "lastPrice": spec.price_text(day.close),
        "volume": spec.size_text(day.lots),
        "quoteVolume": spec.quote_text(day.quote),
        "openTime": day.minute * MINUTE_MS,
        "closeTime": time_ns // MS_NS,
        "firstId": day.first_id,
        "lastId": day.last_id,
        "count": day.trades,
    }


def trade_row(spec: SymbolSpec, print_: Print) -> Json:
    """Return one row of the REST trades answer."""
    return {
        "id": print_.trade_id,
        "price": spec.price_text(print_.ticks),
        "qty": spec.size_text(print_.lots),
        "quoteQty": spec.quote_text(print_.ticks * print_.lots),
        "time": print_.time_ns // MS_NS,
        "isBuyerMaker": print_.buyer_is_maker,
        "isBestMatch": True,
    }


def agg_trade_row(spec: SymbolSpec, trades: Aggregate) -> Json:
    """Return one row of the REST aggTrades answer."""
    event = agg_trade(spec, trades)
    return {key: event[key] for key in ("a", "p", "q", "f", "l", "T", "m", "M")}


def average_price(spec: SymbolSpec, candle: Candle, close_ms: int) -> Json:
    """Return the five-minute average price."""
    return {"mins": 5, "price": _average_text(spec, candle), "closeTime": close_ms}


def average_event(spec: SymbolSpec, candle: Candle, last_ms: int, time_ns: int) -> Json:
    """Return an average price event; ``last_ms`` is the time of the last trade."""
    return {
        "e": "avgPrice",
        "E": time_ns // MS_NS,
        "s": spec.venue_symbol,
        "i": "5m",
        "w": _average_text(spec, candle),
        "T": last_ms,
    }
