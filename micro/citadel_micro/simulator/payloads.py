"""Binance spot's public payloads: field names, order and number formats of websocket and REST.

Compared field by field with recorded traffic. Prices and sizes are texts of eight decimals, times
are milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from citadel_micro.sim.flow_candles import next_open
from citadel_micro.sim.flow_symbols import E8, e8_text

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def agg_trade(spec: SymbolSpec, print_: Print) -> Json:
    """Return an aggregate trade event. Every simulated trade is an aggregate of its own."""
    time_ms = print_.time_ns // MS_NS
    return {
        "e": "aggTrade",
        "E": time_ms,
        "s": spec.venue_symbol,
        "a": print_.trade_id,
        "p": spec.price_text(print_.ticks),
        "q": spec.size_text(print_.lots),
        "f": print_.trade_id,
        "l": print_.trade_id,
        "T": time_ms,
        "m": print_.buyer_is_maker,
        "M": True,
    }


def kline_event(
    spec: SymbolSpec,
    interval: str,
    candle: Candle,
    time_ns: int,
    *,
    closed: bool,
) -> Json:
    """Return a kline event. ``time_ns`` is when it is sent."""
    return {
        "e": "kline",
        "E": time_ns // MS_NS,
        "s": spec.venue_symbol,
        "k": {
            "t": candle.minute * MINUTE_MS,
            "T": next_open(interval, candle.minute) * MINUTE_MS - 1,
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


def kline_row(spec: SymbolSpec, interval: str, candle: Candle) -> list[Any]:
    """Return one row of the REST klines answer."""
    return [
        candle.minute * MINUTE_MS,
        spec.price_text(candle.open),
        spec.price_text(candle.high),
        spec.price_text(candle.low),
        spec.price_text(candle.close),
        spec.size_text(candle.lots),
        next_open(interval, candle.minute) * MINUTE_MS - 1,
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
) -> Json:
    """Return a 24 h ticker event over the candle ``day`` (1440 minutes that end now)."""
    change, percent = _change_texts(spec, day)
    bid, ask = quote.bids[0], quote.asks[0]
    return {
        "e": "24hrTicker",
        "E": time_ns // MS_NS,
        "s": spec.venue_symbol,
        "p": change,
        "P": percent,
        "w": _average_text(spec, day),
        "x": spec.price_text(day.open),
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
) -> Json:
    """Return the REST 24 h ticker."""
    event = ticker_event(spec, day, quote, last, time_ns)
    names = {
        "s": "symbol", "p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice",
        "x": "prevClosePrice", "c": "lastPrice", "Q": "lastQty", "b": "bidPrice", "B": "bidQty",
        "a": "askPrice", "A": "askQty", "o": "openPrice", "h": "highPrice", "l": "lowPrice",
        "v": "volume", "q": "quoteVolume", "O": "openTime", "C": "closeTime", "F": "firstId",
        "L": "lastId", "n": "count",
    }  # fmt: skip
    return {name: event[key] for key, name in names.items()}


def mini_ticker_row(spec: SymbolSpec, day: Candle, time_ns: int) -> Json:
    """Return the REST 24 h ticker with ``type=MINI``."""
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


def agg_trade_row(spec: SymbolSpec, print_: Print) -> Json:
    """Return one row of the REST aggTrades answer."""
    event = agg_trade(spec, print_)
    return {key: event[key] for key in ("a", "p", "q", "f", "l", "T", "m", "M")}


def average_price(spec: SymbolSpec, candle: Candle, close_ms: int) -> Json:
    """Return the five-minute average price."""
    return {"mins": 5, "price": _average_text(spec, candle), "closeTime": close_ms}


def symbol_info(spec: SymbolSpec) -> Json:
    """Return one symbol of exchangeInfo, with the filters Binance spot sets on such a symbol."""
    largest_price = 100_000_000 * spec.tick_e8
    largest_size = 900_000_000 * spec.lot_e8
    return {
        "symbol": spec.venue_symbol,
        "status": "TRADING",
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [
            "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT",
            "TAKE_PROFIT_LIMIT",
        ],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": e8_text(spec.tick_e8),
                "maxPrice": e8_text(largest_price),
                "tickSize": e8_text(spec.tick_e8),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": e8_text(spec.lot_e8),
                "maxQty": e8_text(largest_size),
                "stepSize": e8_text(spec.lot_e8),
            },
            {"filterType": "ICEBERG_PARTS", "limit": 100},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": e8_text(0),
                "maxQty": e8_text(largest_size // 50),
                "stepSize": e8_text(0),
            },
            {
                "filterType": "TRAILING_DELTA",
                "minTrailingAboveDelta": 10,
                "maxTrailingAboveDelta": 2000,
                "minTrailingBelowDelta": 10,
                "maxTrailingBelowDelta": 2000,
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": "5",
                "bidMultiplierDown": "0.2",
                "askMultiplierUp": "5",
                "askMultiplierDown": "0.2",
                "avgPriceMins": 5,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": e8_text(spec.min_notional_e8),
                "applyMinToMarket": True,
                "maxNotional": e8_text(9_000_000 * E8),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
            {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": [
            "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT",
        ],
    }  # fmt: skip


def exchange_info(specs: Iterable[SymbolSpec], time_ms: int) -> Json:
    """Return the exchangeInfo answer."""
    return {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": 6000,
            },
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
            {
                "rateLimitType": "RAW_REQUESTS",
                "interval": "MINUTE",
                "intervalNum": 5,
                "limit": 61_000,
            },
        ],
        "exchangeFilters": [],
        "symbols": [symbol_info(spec) for spec in specs],
    }
