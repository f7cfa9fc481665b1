"""OKX's public REST: instruments, time, tickers, books, trades.

Source: "Public Data" and "Market Data" of the venue's documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.futures_exchange import LEVERAGES
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator.okx.errors import OkxError, parameter
from citadel_micro.simulator.okx.names import (
    Json,
    SwapSpec,
    inst_code,
    inst_id,
    inst_type,
    number,
    pair,
    size,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.flow_book import Depth, Print
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.sim.flow_symbols import SymbolSpec
    from citadel_micro.simulator.okx.names import Names

_TYPES: Final = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")
_LISTED_MS: Final = "1548133413000"
_MOST_TRADES: Final = 500
MOST_LEVELS: Final = 400


class Public:
    """Answers over one market."""

    def __init__(self, feed: Feed, exchange: Exchange, names: Names) -> None:
        """Show ``feed``, under the rules of ``exchange``, which say what an instrument is."""
        self._feed = feed
        self._exchange = exchange
        self._names = names
        self.specs = {symbol: rules.spec for symbol, rules in exchange.rules.items()}

    def _symbol(self, params: Mapping[str, str]) -> str:
        name = params.get("instId", "")
        found = self._names.find(name) if "-" in name else None
        if found is None:
            raise OkxError(51001, f"Instrument ID {name} doesn't exist.", status=400)
        return found

    def more(self) -> dict[str, Callable[[Mapping[str, str]], list[Json]]]:
        """Return further endpoints, below ``public``."""
        return {}

    def _kind(self, params: Mapping[str, str]) -> str:
        kind = params.get("instType", "")
        if kind not in _TYPES:
            raise parameter("instType", row=False)
        return kind

    def instruments(self, params: Mapping[str, str]) -> list[Json]:
        """Return what is traded, all of one kind."""
        chosen = [self._symbol(params)] if params.get("instId") else self._of_kind(params)
        return [self._instrument(symbol) for symbol in chosen]

    def _of_kind(self, params: Mapping[str, str]) -> list[str]:
        kind = self._kind(params)
        return [symbol for symbol, spec in self.specs.items() if inst_type(spec) == kind]

    def _instrument(self, symbol: str) -> Json:
        rules = self._exchange.rules[symbol]
        spec = rules.spec
        contract = (
            _contract(spec)
            if isinstance(spec, SwapSpec)
            else {"baseCcy": spec.base, "quoteCcy": spec.quote}
        )
        trades = self._exchange.statuses[symbol] == "TRADING"
        most = size(spec, rules.max_quantity_e8 // spec.lot_e8)
        empty = (
            "alias", "auctionEndTime", "contTdSwTime", "ctMult", "ctType", "ctVal", "ctValCcy",
            "expTime", "futureSettlement", "instFamily", "lever", "openType", "optType", "settleCcy",
            "stk", "uly",
        )  # fmt: skip
        return {
            **dict.fromkeys(empty, ""),
            "baseCcy": "",
            "quoteCcy": "",
            **contract,
            "category": "1",
            "instId": inst_id(spec),
            "instIdCode": inst_code(spec),
            "instType": inst_type(spec),
            "listTime": _LISTED_MS,
            "lotSz": size(spec, rules.quantity_step),
            "maxIcebergSz": most,
            "maxLmtAmt": number(rules.max_notional_e8),
            "maxLmtSz": most,
            "maxMktAmt": "1000000",
            "maxMktSz": "1000000",
            "maxStopSz": "1000000",
            "maxTriggerSz": most,
            "maxTwapSz": most,
            "minSz": size(spec, max(rules.min_quantity_e8 // spec.lot_e8, 1)),
            "ruleType": "normal",
            "state": "live" if trades else "suspend",
            "tickSz": number(rules.tick_e8),
            "tradeQuoteCcyList": [spec.quote],
        }

    def ticker(self, params: Mapping[str, str]) -> list[Json]:
        """Return one ticker."""
        return [self.ticker_row(self._symbol(params))]

    def tickers(self, params: Mapping[str, str]) -> list[Json]:
        """Return all of one kind."""
        return [self.ticker_row(symbol) for symbol in self._of_kind(params)]

    def ticker_row(self, symbol: str) -> Json:
        """Return one ticker as REST and its channel have it."""
        feed, spec = self._feed, self.specs[symbol]
        store = feed.candles[symbol]
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        depth = feed.depth(symbol, 1)
        last = feed.trades[symbol][-1] if feed.trades[symbol] else None

        def price(ticks: int) -> str:
            return number(ticks * spec.tick_e8)

        bid, ask = depth.best_bid, depth.best_ask
        return {
            "askPx": price(ask[0]) if ask[1] else "",
            "askSz": size(spec, ask[1]),
            "bidPx": price(bid[0]) if bid[1] else "",
            "bidSz": size(spec, bid[1]),
            "high24h": price(day.high),
            "instId": inst_id(spec),
            "instType": inst_type(spec),
            "last": price(self._exchange.last_ticks(symbol)),
            "lastSz": size(spec, last.lots) if last else "0",
            "low24h": price(day.low),
            "open24h": price(day.open),
            "sodUtc0": price(day.open),
            "sodUtc8": price(day.open),
            "ts": stamp(feed.now_ns),
            "vol24h": size(spec, day.lots),
            "volCcy24h": number(day.quote * spec.tick_e8 * spec.lot_e8 // 100_000_000),
        }

    def books(self, params: Mapping[str, str]) -> list[Json]:
        """Return the book, 1 level a side unless ``sz`` says more."""
        symbol, text = self._symbol(params), params.get("sz", "1")
        if not text.isdecimal() or not 1 <= int(text) <= MOST_LEVELS:
            raise parameter("sz", row=False)
        spec, depth = self.specs[symbol], self._feed.depth(symbol, int(text))
        return [
            {**levels(spec, depth), "ts": stamp(self._feed.now_ns), "seqId": depth.last_update_id}
        ]

    def trades(self, params: Mapping[str, str]) -> list[Json]:
        """Return the last trades, newest first."""
        symbol, text = self._symbol(params), params.get("limit", "100")
        if not text.isdecimal() or not 1 <= int(text) <= _MOST_TRADES:
            raise parameter("limit", row=False)
        spec, kept = self.specs[symbol], list(self._feed.trades[symbol])
        return [trade(spec, each) for each in reversed(kept[-int(text) :])]


def _contract(spec: SwapSpec) -> Json:
    """Return what the rules of a perpetual have beside those of a pair."""
    return {
        "ctMult": "1",
        "ctType": "linear",
        "ctVal": number(spec.contract_e8),
        "ctValCcy": spec.base,
        "instFamily": pair(spec),
        "lever": str(LEVERAGES[-1]),
        "settleCcy": spec.quote,
        "uly": pair(spec),
    }


def levels(spec: SymbolSpec, depth: Depth) -> Json:
    """Return both sides of a book."""
    return {
        "asks": [level(spec, ticks, lots) for ticks, lots in depth.asks],
        "bids": [level(spec, ticks, lots) for ticks, lots in depth.bids],
    }


def level(spec: SymbolSpec, ticks: int, lots: int) -> list[str]:
    """Return one level: price, size, nothing, and a number of orders that is not known here."""
    return [
        number(ticks * spec.tick_e8),
        size(spec, lots),
        "0",
        "1" if lots else "0",
    ]


def trade(spec: SymbolSpec, item: Print) -> Json:
    """Return one trade; ``side`` is the taker's."""
    return {
        "instId": inst_id(spec),
        "px": number(item.ticks * spec.tick_e8),
        "side": "sell" if item.buyer_is_maker else "buy",
        "source": "0",
        "sz": size(spec, item.lots),
        "tradeId": str(item.trade_id),
        "ts": stamp(item.time_ns),
    }
