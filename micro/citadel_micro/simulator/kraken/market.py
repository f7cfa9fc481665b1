"""The public channels of v2: book with its checksum, trade, ticker, instrument, status, heartbeat."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.sim.flow_book import Print, Quote
from citadel_micro.sim.flow_feed import DepthBatch
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator.client import Client
from citadel_micro.simulator.kraken.names import (
    decimals,
    fixed,
    number,
    pair_status,
    raw,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.sim.exchange.model import SymbolStatus
    from citadel_micro.sim.flow_feed import Feed, FeedEvent
    from citadel_micro.sim.flow_symbols import SymbolSpec

Json = dict[str, Any]
Levels = dict[int, int]
DEPTHS: Final = (10, 25, 100, 500, 1_000)
CHECKED: Final = 10
"""Levels a side in the checksum."""
SNAPSHOT_TRADES: Final = 50
CHANNELS: Final = ("book", "trade", "ticker")
_SECOND_NS: Final = 1_000_000_000
_encode: Final = msgspec.json.encode
HEARTBEAT: Final = _encode({"channel": "heartbeat"})


@dataclass(slots=True, eq=False)
class Channel:
    """One channel of one pair. ``depth`` and the levels that were sent are the book's."""

    name: str
    symbol: str
    depth: int = 0
    clients: dict[Client, None] = field(default_factory=dict)
    bids: Levels = field(default_factory=dict)
    asks: Levels = field(default_factory=dict)

    def send(self, rows: list[Json], kind: str) -> None:
        """Send rows to every subscriber."""
        frame = _encode({"channel": self.name, "type": kind, "data": rows})
        for client in list(self.clients):
            client.push(frame)


class KrakenMarket:
    """All public channels of one feed."""

    def __init__(self, feed: Feed, statuses: Mapping[str, SymbolStatus]) -> None:
        """Publish ``feed``, and as what ``statuses`` of its symbols say."""
        self._feed = feed
        self._statuses = statuses
        self._channels: dict[tuple[str, str, int], Channel] = {}
        self.second = feed.now_ns // _SECOND_NS
        self._listeners: dict[Client, None] = {}

    # ------------------------------------------------------------------ subscriptions

    def subscribe(
        self, client: Client, name: str, symbol: str, depth: int, *, snapshot: bool
    ) -> None:
        """Send the snapshot of a channel, and from then on what happens."""
        key = (name, symbol, depth)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(name, symbol, depth)
            if name == "book":
                channel.bids, channel.asks = self._levels(channel)
        self._listeners[client] = None
        if snapshot:
            rows = self._snapshot(channel)
            client.push(_encode({"channel": name, "type": "snapshot", "data": rows}))
        channel.clients[client] = None

    def unsubscribe(self, client: Client, name: str, symbol: str, depth: int) -> None:
        """Remove a subscriber."""
        key = (name, symbol, depth)
        channel = self._channels.get(key)
        if channel is not None:
            channel.clients.pop(client, None)
            if not channel.clients:
                del self._channels[key]

    def tell(self, client: Client, name: str, data: Json) -> None:
        """Send one client a snapshot that is not followed by anything."""
        client.push(_encode({"channel": name, "type": "snapshot", "data": data}))

    def drop(self, client: Client) -> None:
        """Forget a client."""
        self._listeners.pop(client, None)
        for name, symbol, depth in list(self._channels):
            self.unsubscribe(client, name, symbol, depth)

    # ------------------------------------------------------------------ events

    def publish(self, events: Iterable[FeedEvent]) -> None:
        """Send events to their subscribers."""
        for event in events:
            channels = [each for each in self._channels.values() if each.symbol == event.symbol]
            for channel in channels:
                if isinstance(event, DepthBatch):
                    if channel.name == "book":
                        self._send_book(channel, event.time_ns)
                elif isinstance(event, Print):
                    if channel.name == "trade":
                        channel.send([self._trade(event)], "update")
                elif channel.name == "ticker":
                    channel.send([self._ticker(event)], "update")

    def tick(self, now_ns: int) -> None:
        """Send heartbeats, once a second."""
        second = now_ns // _SECOND_NS
        if second != self.second:
            self.second = second
            for client in self._listeners:
                client.push(HEARTBEAT)

    # ------------------------------------------------------------------ the book

    def _levels(self, channel: Channel) -> tuple[Levels, Levels]:
        depth = self._feed.depth(channel.symbol, channel.depth)
        return dict(depth.bids), dict(depth.asks)

    def _send_book(self, channel: Channel, time_ns: int) -> None:
        """Send what has changed; levels that have only left the depth are not sent."""
        bids, asks = self._levels(channel)
        gone_bids = _gone(channel.bids, bids, channel.depth, sign=-1)
        gone_asks = _gone(channel.asks, asks, channel.depth, sign=1)
        new_bids = {t: n for t, n in bids.items() if channel.bids.get(t) != n}
        new_asks = {t: n for t, n in asks.items() if channel.asks.get(t) != n}
        channel.bids, channel.asks = bids, asks
        if not (gone_bids or gone_asks or new_bids or new_asks):
            return
        row = self._book(channel, gone_bids | new_bids, gone_asks | new_asks)
        channel.send([row | {"timestamp": stamp(time_ns)}], "update")

    def _book(self, channel: Channel, bids: Levels, asks: Levels) -> Json:
        spec = self._feed.specs[channel.symbol]
        return {
            "symbol": channel.symbol,
            "bids": [_level(spec, ticks, lots) for ticks, lots in bids.items()],
            "asks": [_level(spec, ticks, lots) for ticks, lots in asks.items()],
            "checksum": checksum(spec, channel.bids, channel.asks),
        }

    def _snapshot(self, channel: Channel) -> list[Json]:
        if channel.name == "book":
            return [self._book(channel, channel.bids, channel.asks)]
        if channel.name == "trade":
            newest = list(self._feed.trades[channel.symbol])[-SNAPSHOT_TRADES:]
            return [self._trade(each) for each in newest]
        quote = self._feed.book(channel.symbol).quote(self._feed.now_ns, channel.symbol)
        return [] if quote is None else [self._ticker(quote)]

    # ------------------------------------------------------------------ trades and quotes

    def _trade(self, event: Print) -> Json:
        spec = self._feed.specs[event.symbol]
        return {
            "symbol": event.symbol,
            "side": "sell" if event.buyer_is_maker else "buy",
            "price": raw(price_text(spec, event.ticks)),
            "qty": raw(size_text(spec, event.lots)),
            "ord_type": "market",
            "trade_id": event.trade_id,
            "timestamp": stamp(event.time_ns),
        }

    def _ticker(self, quote: Quote) -> Json:
        spec = self._feed.specs[quote.symbol]
        store = self._feed.candles[quote.symbol]
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        first, last = day.open * spec.tick_e8, day.close * spec.tick_e8
        value = day.quote * spec.tick_e8 // day.lots if day.lots else last
        return {
            "symbol": quote.symbol,
            "bid": raw(price_text(spec, quote.bid_ticks)),
            "bid_qty": raw(size_text(spec, quote.bid_lots)),
            "ask": raw(price_text(spec, quote.ask_ticks)),
            "ask_qty": raw(size_text(spec, quote.ask_lots)),
            "last": number(last),
            "volume": number(day.lots * spec.lot_e8),
            "vwap": number(value),
            "low": number(day.low * spec.tick_e8),
            "high": number(day.high * spec.tick_e8),
            "change": number(last - first),
            "change_pct": number((last - first) * 10_000_000_000 // first) if first else 0,
            "timestamp": stamp(quote.time_ns),
        }

    def instruments(self) -> Json:
        """Return the snapshot of ``instrument``."""
        pairs = []
        assets: dict[str, None] = {}
        for spec in self._feed.specs.values():
            assets |= {spec.base: None, spec.quote: None}
            pairs.append(
                {
                    "symbol": spec.symbol,
                    "base": spec.base,
                    "quote": spec.quote,
                    "status": pair_status(self._statuses[spec.symbol]),
                    "qty_precision": decimals(spec.lot_e8),
                    "qty_increment": number(spec.lot_e8),
                    "qty_min": number(spec.lot_e8),
                    "price_precision": decimals(spec.tick_e8),
                    "price_increment": number(spec.tick_e8),
                    "tick_size": number(spec.tick_e8),
                    "cost_precision": 8,
                    "cost_min": number(spec.min_notional_e8),
                    "marginable": False,
                    "has_index": False,
                }
            )
        rows = [{"id": each, "status": "enabled", "precision": 8} for each in assets]
        return {"assets": rows, "pairs": pairs}


def price_text(spec: SymbolSpec, ticks: int) -> str:
    """Write a price with the pair's decimals."""
    return fixed(ticks * spec.tick_e8, decimals(spec.tick_e8))


def size_text(spec: SymbolSpec, lots: int) -> str:
    """Write a size with the pair's decimals."""
    return fixed(lots * spec.lot_e8, decimals(spec.lot_e8))


def checksum(spec: SymbolSpec, bids: Levels, asks: Levels) -> int:
    """Return the CRC32 over the best ten of either side ("Order book checksum" of Kraken).

    Asks first, each price and size as its digits, without the point and without leading zeros.
    """
    parts = []
    for ticks in [*sorted(asks)[:CHECKED], *sorted(bids, reverse=True)[:CHECKED]]:
        lots = asks[ticks] if ticks in asks else bids[ticks]
        parts += [_digits(price_text(spec, ticks)), _digits(size_text(spec, lots))]
    return zlib.crc32("".join(parts).encode())


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")


def _gone(before: Levels, after: Levels, depth: int, *, sign: int) -> Levels:
    """Return the levels that are no longer there, and would still be within the depth."""
    gone = [ticks for ticks in before if ticks not in after]
    if len(after) >= depth:
        worst = max(sign * ticks for ticks in after)
        gone = [ticks for ticks in gone if sign * ticks < worst]
    return dict.fromkeys(gone, 0)


def _level(spec: SymbolSpec, ticks: int, lots: int) -> Json:
    return {"price": raw(price_text(spec, ticks)), "qty": raw(size_text(spec, lots))}
