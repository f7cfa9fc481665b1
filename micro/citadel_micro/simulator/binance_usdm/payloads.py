"""Binance USD-M's public payloads: field names, order and number formats of streams and REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from citadel_micro.simulator import payloads as spot
from citadel_micro.simulator.binance_usdm.texts import cut, price, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.flow_aggregates import Aggregate
    from citadel_micro.sim.flow_book import Depth, Print, Quote
    from citadel_micro.sim.flow_candles import Candle
    from citadel_micro.sim.flow_feed import DepthBatch
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
MS_NS = 1_000_000


def _levels(spec: SymbolSpec, levels: Iterable[tuple[int, int]]) -> list[list[str]]:
    return [[price(spec, ticks), size(spec, lots)] for ticks, lots in levels]


def depth_update(spec: SymbolSpec, batch: DepthBatch, before: int) -> Json:
    """Return a diff. depth event; ``before`` is the last update id of the event before it."""
    time_ms = batch.time_ns // MS_NS
    return {
        "e": "depthUpdate",
        "E": time_ms,
        "T": time_ms,
        "s": spec.venue_symbol,
        "U": batch.first_id,
        "u": batch.last_id,
        "pu": before,
        "b": _levels(spec, batch.bids),
        "a": _levels(spec, batch.asks),
    }


def partial_depth(spec: SymbolSpec, batch: DepthBatch, depth: Depth, before: int) -> Json:
    """Return a partial book event: the best levels as they are."""
    event = depth_update(spec, batch, before)
    levels = {"b": _levels(spec, depth.bids), "a": _levels(spec, depth.asks)}
    return event | {"u": depth.last_update_id} | levels


def depth_snapshot(spec: SymbolSpec, depth: Depth, time_ms: int) -> Json:
    """Return the REST book."""
    return {
        "lastUpdateId": depth.last_update_id,
        "E": time_ms,
        "T": time_ms,
        "bids": _levels(spec, depth.bids),
        "asks": _levels(spec, depth.asks),
    }


def book_ticker(spec: SymbolSpec, quote: Quote, time_ms: int) -> Json:
    """Return a best bid/ask event."""
    return {
        "e": "bookTicker",
        "u": quote.update_id,
        "s": spec.venue_symbol,
        "b": price(spec, quote.bid_ticks),
        "B": size(spec, quote.bid_lots),
        "a": price(spec, quote.ask_ticks),
        "A": size(spec, quote.ask_lots),
        "T": time_ms,
        "E": time_ms,
    }


def agg_trade(spec: SymbolSpec, trades: Aggregate) -> Json:
    """Return an aggregate trade event."""
    time_ms = trades.time_ns // MS_NS
    return {
        "e": "aggTrade",
        "E": time_ms,
        "a": trades.aggregate_id,
        "s": spec.venue_symbol,
        "p": price(spec, trades.ticks),
        "q": size(spec, trades.lots),
        "nq": size(spec, trades.lots),
        "f": trades.first_id,
        "l": trades.last_id,
        "T": time_ms,
        "m": trades.buyer_is_maker,
    }


def trade(spec: SymbolSpec, print_: Print) -> Json:
    """Return a trade event."""
    time_ms = print_.time_ns // MS_NS
    return {
        "e": "trade",
        "E": time_ms,
        "T": time_ms,
        "s": spec.venue_symbol,
        "t": print_.trade_id,
        "p": price(spec, print_.ticks),
        "q": size(spec, print_.lots),
        "X": "MARKET",
        "m": print_.buyer_is_maker,
    }


def trade_row(spec: SymbolSpec, print_: Print) -> Json:
    """Return one row of the REST trades answer."""
    return {
        "id": print_.trade_id,
        "price": price(spec, print_.ticks),
        "qty": size(spec, print_.lots),
        "quoteQty": spec.quote_text(print_.ticks * print_.lots),
        "time": print_.time_ns // MS_NS,
        "isBuyerMaker": print_.buyer_is_maker,
        "isRPITrade": False,
    }


def agg_trade_row(spec: SymbolSpec, trades: Aggregate) -> Json:
    """Return one row of the REST aggTrades answer."""
    event = agg_trade(spec, trades)
    return {key: event[key] for key in ("a", "p", "q", "nq", "f", "l", "T", "m")}


def ticker_event(
    spec: SymbolSpec, day: Candle, quote: Depth, last: Print | None, time_ns: int
) -> Json:
    """Return a 24 h ticker event: spot's without the best bid and ask."""
    event = spot.ticker_event(spec, day, quote, last, time_ns)
    return {name: value for name, value in event.items() if name not in {"x", "b", "B", "a", "A"}}


def ticker_row(
    spec: SymbolSpec, day: Candle, quote: Depth, last: Print | None, time_ns: int
) -> Json:
    """Return the REST 24 h ticker."""
    row = spot.ticker_row(spec, day, quote, last, time_ns)
    no = {"prevClosePrice", "bidPrice", "bidQty", "askPrice", "askQty"}
    return {name: value for name, value in row.items() if name not in no}


def mark_price(exchange: FuturesExchange, symbol: str) -> Json:
    """Return a mark price event."""
    spec = exchange.rules[symbol].spec
    return {
        "e": "markPriceUpdate",
        "E": exchange.now_ns // MS_NS,
        "s": spec.venue_symbol,
        "p": cut(exchange.mark_e8(symbol), 8),
        "ap": cut(exchange.mark_e8(symbol), 8),
        "P": cut(exchange.mark_e8(symbol), 8),
        "i": cut(exchange.index_e8(symbol), 8),
        "r": cut(exchange.funding_e8[symbol], 8),
        "T": exchange.next_funding_ns() // MS_NS,
    }


def premium_index(exchange: FuturesExchange, symbol: str) -> Json:
    """Return mark price, index price and the funding to come."""
    spec = exchange.rules[symbol].spec
    mark = cut(exchange.mark_e8(symbol), 8)
    return {
        "symbol": spec.venue_symbol,
        "markPrice": mark,
        "indexPrice": cut(exchange.index_e8(symbol), 8),
        "estimatedSettlePrice": mark,
        "lastFundingRate": cut(exchange.funding_e8[symbol], 8),
        "interestRate": "0.00010000",
        "nextFundingTime": exchange.next_funding_ns() // MS_NS,
        "time": exchange.now_ns // MS_NS,
    }


def funding_row(spec: SymbolSpec, time_ns: int, rate_e8: int, mark_e8: int) -> Json:
    """Return one row of the history of funding rates."""
    return {
        "symbol": spec.venue_symbol,
        "fundingTime": time_ns // MS_NS,
        "fundingRate": cut(rate_e8, 8),
        "markPrice": cut(mark_e8, 8),
    }


def price_row(spec: SymbolSpec, row: list[Any]) -> list[Any]:
    """Return a candle of a price that is not traded: volumes are 0."""
    del spec
    return [*row[:5], "0", row[6], "0", row[8], "0", "0", "0"]
