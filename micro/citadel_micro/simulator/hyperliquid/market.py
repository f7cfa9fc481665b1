"""Public data: contexts, books, trades and candles, as answers and on websockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.sim import flow_klines
from citadel_micro.sim.flow_book import Print, Quote
from citadel_micro.sim.flow_feed import DepthBatch
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator.hyperliquid.order_json import MARGIN_TABLE, margin_tables
from citadel_micro.simulator.hyperliquid.universe import MAX_LEVERAGE, QUOTE, wire

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.flow_feed import Feed, FeedEvent
    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.hyperliquid.universe import Perp, Universe

Json = dict[str, Any]
LEVELS: Final = 20
COIN_CHANNELS: Final = ("l2Book", "bbo", "trades", "activeAssetCtx")
_MS_NS: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_MOST_CANDLES: Final = 5_000
_RECENT: Final = 10
encode = msgspec.json.encode


class Market:
    """The public side of all perpetuals."""

    def __init__(self, feed: Feed, exchange: FuturesExchange, universe: Universe) -> None:
        """Publish ``feed``."""
        self._feed = feed
        self._exchange = exchange
        self._universe = universe
        self._clients: dict[tuple[str, str], dict[Client, None]] = {}
        self._second = feed.now_ns // _SECOND_NS

    # ------------------------------------------------------------------ answers

    def meta(self) -> Json:
        """Return all perpetuals, in the order of their numbers, and their margin tables."""
        statuses = self._exchange.statuses
        return {
            "universe": [
                {
                    "name": perp.coin,
                    "szDecimals": perp.decimals,
                    "maxLeverage": MAX_LEVERAGE,
                    "marginTableId": MARGIN_TABLE,
                    # Only of those that are: it knows no other halt.
                    **({} if statuses[perp.symbol] == "TRADING" else {"isDelisted": True}),
                }
                for perp in self._universe.perps
            ],
            "marginTables": margin_tables(),
            "collateralToken": 0,
        }

    def spot_meta(self) -> Json:
        """Return the list of spot markets, of which none are simulated."""
        token = {
            "name": QUOTE,
            "szDecimals": 8,
            "weiDecimals": 8,
            "index": 0,
            "tokenId": f"0x{'0' * 32}",
            "isCanonical": True,
            "evmContract": None,
            "fullName": None,
        }
        return {"universe": [], "tokens": [token]}

    def contexts(self) -> list[Json]:
        """Return every perpetual's context."""
        return [self.context(perp) for perp in self._universe.perps]

    def context(self, perp: Perp) -> Json:
        """Return a perpetual's prices, funding and volume."""
        feed, exchange, spec = self._feed, self._exchange, perp.spec
        store = feed.candles[perp.symbol]
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        middle = wire(exchange.middle_e8(perp.symbol))
        depth = feed.depth(perp.symbol, 1)
        impact = [wire(each[0] * spec.tick_e8) for each in (depth.best_bid, depth.best_ask)]
        return {
            "funding": wire(exchange.funding_e8[perp.symbol]),
            "openInterest": wire(exchange.open_lots(perp.symbol) * spec.lot_e8),
            "prevDayPx": wire(day.open * spec.tick_e8),
            "dayNtlVlm": wire(day.quote * spec.tick_e8 * spec.lot_e8 // 100_000_000),
            "premium": "0.0",
            "oraclePx": wire(exchange.index_e8(perp.symbol)),
            "markPx": wire(exchange.mark_e8(perp.symbol)),
            "midPx": middle,
            "impactPxs": impact,
            "dayBaseVlm": wire(day.lots * spec.lot_e8),
        }

    def mids(self) -> dict[str, str]:
        """Return the middle of every book."""
        return {
            perp.coin: wire(self._exchange.middle_e8(perp.symbol)) for perp in self._universe.perps
        }

    def book(self, perp: Perp) -> Json:
        """Return twenty levels a side."""
        depth, spec = self._feed.depth(perp.symbol, LEVELS), perp.spec
        return {
            "coin": perp.coin,
            "time": self._feed.now_ns // _MS_NS,
            "levels": [
                [
                    {"px": wire(ticks * spec.tick_e8), "sz": wire(lots * spec.lot_e8), "n": 1}
                    for ticks, lots in side
                ]
                for side in (depth.bids, depth.asks)
            ],
        }

    def candles(
        self,
        perp: Perp,
        interval: str,
        window: tuple[int | None, int | None],
        most: int = _MOST_CANDLES,
    ) -> list[Json]:
        """Return candles of a period in ms."""
        store, now_ms = self._feed.candles[perp.symbol], self._feed.now_ns // _MS_NS
        opens = flow_klines.opens(store, interval, now_ms, window, most)
        rows = []
        for opened in opens:
            candle = flow_klines.candle(store, interval, opened)
            tick = perp.spec.tick_e8
            prices = {"o": candle.open, "c": candle.close, "h": candle.high, "l": candle.low}
            rows.append(
                {
                    "t": opened,
                    "T": flow_klines.next_ms(interval, opened) - 1,
                    "s": perp.coin,
                    "i": interval,
                    **{name: wire(ticks * tick) for name, ticks in prices.items()},
                    "v": wire(candle.lots * perp.spec.lot_e8),
                    "n": candle.trades,
                }
            )
        return rows

    def _trade(self, event: Print) -> Json:
        perp = self._universe.by_symbol[event.symbol]
        return {
            "coin": perp.coin,
            "side": "A" if event.buyer_is_maker else "B",
            "px": wire(event.ticks * perp.spec.tick_e8),
            "sz": wire(event.lots * perp.spec.lot_e8),
            "time": event.time_ns // _MS_NS,
            "hash": f"0x{'0' * 64}",
            "tid": event.trade_id,
            "users": [f"0x{'0' * 40}", f"0x{'0' * 40}"],
        }

    # ------------------------------------------------------------------ subscriptions

    def subscribe(self, client: Client, channel: str, coin: str) -> bool:
        """Start one; whether there was none of it yet."""
        clients = self._clients.setdefault((channel, coin), {})
        known = client in clients
        clients[client] = None
        return not known

    def unsubscribe(self, client: Client, channel: str, coin: str) -> bool:
        """End one; whether there was one."""
        return self._clients.get((channel, coin), {}).pop(client, False) is None

    def drop(self, client: Client) -> None:
        """Forget a connection."""
        for clients in self._clients.values():
            clients.pop(client, None)

    def snapshot(self, channel: str, coin: str) -> Json | None:
        """Return what a new subscription is sent first."""
        if channel == "allMids":
            return {"channel": channel, "data": {"mids": self.mids()}}
        if channel == "candle":
            return {"channel": channel, "data": self._candle(coin)}
        perp = self._universe.by_coin[coin]
        if channel == "l2Book":
            return {"channel": channel, "data": self.book(perp)}
        if channel == "activeAssetCtx":
            return {"channel": channel, "data": {"coin": coin, "ctx": self.context(perp)}}
        if channel == "trades":
            last = list(self._feed.trades[perp.symbol])[-_RECENT:]
            return {"channel": channel, "data": [self._trade(each) for each in last]}
        return None

    def _candle(self, name: str) -> Json:
        """Return the current candle of ``COIN INTERVAL``."""
        coin, _, interval = name.partition(" ")
        return self.candles(self._universe.by_coin[coin], interval, (None, None), 1)[0]

    def _send(self, channel: str, coin: str, data: Any) -> None:  # noqa: ANN401 - any JSON value
        frame = encode({"channel": channel, "data": data})
        for client in self._clients[channel, coin]:
            client.push(frame)

    # ------------------------------------------------------------------ events

    def publish(self, events: list[FeedEvent]) -> None:
        """Send events to whoever follows them: books ten times a second, as blocks come."""
        for event in events:
            perp = self._universe.by_symbol[event.symbol]
            if isinstance(event, DepthBatch):
                if self._clients.get(("l2Book", perp.coin)):
                    self._send("l2Book", perp.coin, self.book(perp))
            elif isinstance(event, Quote):
                if self._clients.get(("bbo", perp.coin)):
                    self._send("bbo", perp.coin, self._best(perp, event))
            elif self._clients.get(("trades", perp.coin)):
                self._send("trades", perp.coin, [self._trade(event)])

    @staticmethod
    def _best(perp: Perp, event: Quote) -> Json:
        spec = perp.spec
        sides = ((event.bid_ticks, event.bid_lots), (event.ask_ticks, event.ask_lots))
        rows = [
            {"px": wire(ticks * spec.tick_e8), "sz": wire(lots * spec.lot_e8), "n": 1}
            if lots
            else None
            for ticks, lots in sides
        ]
        return {"coin": perp.coin, "time": event.time_ns // _MS_NS, "bbo": rows}

    def tick(self, now_ns: int) -> None:
        """Send contexts and middles, once a second."""
        second = now_ns // _SECOND_NS
        if second == self._second:
            return
        self._second = second
        if self._clients.get(("allMids", "")):
            self._send("allMids", "", {"mids": self.mids()})
        for channel, name in [each for each, clients in self._clients.items() if clients]:
            if channel == "candle":
                self._send(channel, name, self._candle(name))
        for perp in self._universe.perps:
            if self._clients.get(("activeAssetCtx", perp.coin)):
                self._send(
                    "activeAssetCtx", perp.coin, {"coin": perp.coin, "ctx": self.context(perp)}
                )
