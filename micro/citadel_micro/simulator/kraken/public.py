"""The public REST endpoints: Time, SystemStatus, Assets, AssetPairs, Ticker, Depth, Trades, OHLC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator.kraken.errors import KrakenError, invalid
from citadel_micro.simulator.kraken.market import price_text, size_text
from citadel_micro.simulator.kraken.names import (
    asset_id,
    decimals,
    fixed,
    number,
    pair_id,
    pair_status,
    seconds,
    short_name,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.sim.exchange.accounts import FeePlan
    from citadel_micro.sim.exchange.model import SymbolStatus
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.sim.flow_symbols import SymbolSpec
    from citadel_micro.simulator.kraken.params import Params

Json = dict[str, Any]
INTERVALS: Final = (1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600)
CANDLES: Final = 720
_MINUTE_NS: Final = 60_000_000_000
_MOST_TRADES: Final = 1_000
_MOST_LEVELS: Final = 500


class PublicRest:
    """Answers from a feed. ``clock_ns`` is the clock that clients are shown."""

    def __init__(
        self,
        feed: Feed,
        fees: FeePlan,
        clock_ns: Callable[[], int],
        statuses: Mapping[str, SymbolStatus],
    ) -> None:
        """Serve ``feed``; ``fees`` are listed for everybody, ``statuses`` are of its symbols."""
        self._feed = feed
        self._statuses = statuses
        self._fees = fees
        self._clock_ns = clock_ns
        self.symbols: dict[str, str] = {}
        for symbol, spec in feed.specs.items():
            for name in (
                symbol,
                pair_id(spec),
                f"{short_name(spec.base)}/{short_name(spec.quote)}",
            ):
                self.symbols[name] = symbol
        self.table: dict[str, Callable[[Params], Any]] = {
            "Time": self.time,
            "SystemStatus": self.system_status,
            "Assets": self.assets,
            "AssetPairs": self.asset_pairs,
            "Ticker": self.ticker,
            "Depth": self.depth,
            "Trades": self.trades,
            "OHLC": self.candles,
        }

    def time(self, _params: Params) -> Json:
        """Return the server's time: seconds of Unix time."""
        now_s = self._clock_ns() // 1_000_000_000
        return {"unixtime": now_s, "rfc1123": stamp(self._clock_ns())}

    def system_status(self, _params: Params) -> Json:
        """Return that the exchange is online."""
        return {"status": "online", "timestamp": stamp(self._clock_ns())[:-8] + "Z"}

    def assets(self, _params: Params) -> Json:
        """Return every asset."""
        coins = {c: None for spec in self._feed.specs.values() for c in (spec.base, spec.quote)}
        return {
            asset_id(coin): {
                "aclass": "currency",
                "altname": short_name(coin),
                "decimals": 8,
                "display_decimals": 5,
                "status": "enabled",
            }
            for coin in coins
        }

    def asset_pairs(self, params: Params) -> Json:
        """Return the rules of every pair, or of those named."""
        specs = self._feed.specs
        names = params.word("pair")
        wanted = [self._symbol(name) for name in names.split(",")] if names else list(specs)
        return {pair_id(specs[each]): self._pair(specs[each]) for each in wanted}

    def _pair(self, spec: SymbolSpec) -> Json:
        def percent(rate_e8: int) -> list[list[Any]]:
            return [[0, number(rate_e8 * 100)]]

        return {
            "altname": pair_id(spec),
            "wsname": f"{short_name(spec.base)}/{short_name(spec.quote)}",
            "aclass_base": "currency",
            "base": asset_id(spec.base),
            "aclass_quote": "currency",
            "quote": asset_id(spec.quote),
            "lot": "unit",
            "cost_decimals": 8,
            "pair_decimals": decimals(spec.tick_e8),
            "lot_decimals": decimals(spec.lot_e8),
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": percent(self._fees.taker_e8),
            "fees_maker": percent(self._fees.maker_e8),
            "fee_volume_currency": "ZUSD",
            "margin_call": 80,
            "margin_stop": 40,
            "ordermin": size_text(spec, 1),
            "costmin": fixed(spec.min_notional_e8, 2),
            "tick_size": price_text(spec, 1),
            "status": pair_status(self._statuses[spec.symbol]),
        }

    def _symbol(self, name: str) -> str:
        found = self.symbols.get(name)
        if found is None:
            raise KrakenError("EQuery:Unknown asset pair")
        return found

    # ------------------------------------------------------------------ market data

    def ticker(self, params: Params) -> Json:
        """Return the day of every pair, or of those named."""
        names = params.word("pair")
        wanted = [self._symbol(n) for n in names.split(",")] if names else list(self._feed.specs)
        return {pair_id(self._feed.specs[each]): self._ticker(each) for each in wanted}

    def _ticker(self, symbol: str) -> Json:
        spec, store = self._feed.specs[symbol], self._feed.candles[symbol]
        depth = self._feed.depth(symbol, 1)
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        bid, ask = depth.best_bid, depth.best_ask

        def twice(text: str) -> list[str]:
            return [text, text]

        average = day.quote * spec.tick_e8 // day.lots if day.lots else day.close * spec.tick_e8
        return {
            "a": [price_text(spec, ask[0]), "1", size_text(spec, ask[1])],
            "b": [price_text(spec, bid[0]), "1", size_text(spec, bid[1])],
            "c": [price_text(spec, day.close), size_text(spec, 1)],
            "v": twice(size_text(spec, day.lots)),
            "p": twice(fixed(average, 8)),
            "t": [day.trades, day.trades],
            "l": twice(price_text(spec, day.low)),
            "h": twice(price_text(spec, day.high)),
            "o": price_text(spec, day.open),
        }

    def depth(self, params: Params) -> Json:
        """Return a book."""
        symbol = params.symbol()
        count = params.whole("count", 100)
        if not 1 <= count <= _MOST_LEVELS:
            raise invalid("count")
        spec, depth = self._feed.specs[symbol], self._feed.depth(symbol, count)
        now_s = self._feed.now_ns // 1_000_000_000

        def rows(levels: tuple[tuple[int, int], ...]) -> list[list[Any]]:
            return [[price_text(spec, t), size_text(spec, n), now_s] for t, n in levels]

        return {pair_id(spec): {"asks": rows(depth.asks), "bids": rows(depth.bids)}}

    def trades(self, params: Params) -> Json:
        """Return the last trades, or those after ``since`` (ns)."""
        symbol = params.symbol()
        count = params.whole("count", _MOST_TRADES)
        if not 1 <= count <= _MOST_TRADES:
            raise invalid("count")
        since = params.word("since")
        start_ns = _since_ns(since) if since else 0
        spec = self._feed.specs[symbol]
        found = [each for each in self._feed.trades[symbol] if each.time_ns > start_ns]
        found = found[:count] if since else found[-count:]
        rows = [
            [
                price_text(spec, each.ticks), fixed(each.lots * spec.lot_e8, 8),
                seconds(each.time_ns), "s" if each.buyer_is_maker else "b", "m", "", each.trade_id,
            ]
            for each in found
        ]  # fmt: skip
        last = found[-1].time_ns if found else start_ns
        return {pair_id(spec): rows, "last": str(last)}

    def candles(self, params: Params) -> Json:
        """Return candles: the newest 720, or those from ``since`` on."""
        symbol = params.symbol()
        interval = params.whole("interval", 1)
        if interval not in INTERVALS:
            raise invalid("interval")
        spec, store = self._feed.specs[symbol], self._feed.candles[symbol]
        last = store.now // interval * interval
        first = max(last - (CANDLES - 1) * interval, store.listed)
        since = params.time_ns("since")
        if since is not None:
            first = max(first, -(-since // (_MINUTE_NS * interval)) * interval)
        rows = []
        for minute in range(first, last + 1, interval):
            each = store.span(minute, min(minute + interval, store.now + 1))
            value = each.quote * spec.tick_e8 // each.lots if each.lots else 0
            rows.append(
                [
                    minute * 60,
                    price_text(spec, each.open),
                    price_text(spec, each.high),
                    price_text(spec, each.low),
                    price_text(spec, each.close),
                    fixed(value, decimals(spec.tick_e8)),
                    fixed(each.lots * spec.lot_e8, 8),
                    each.trades,
                ]
            )
        return {pair_id(spec): rows, "last": (last - interval) * 60}


def _since_ns(text: str) -> int:
    """Return ``since``, which is an id in ns or a time in s."""
    if not text.isdecimal():
        raise invalid("since")
    return int(text) if len(text) > 12 else int(text) * 1_000_000_000  # noqa: PLR2004 - s or ns
