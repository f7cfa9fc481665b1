"""Websocket streams: names, subscribers, and who gets which payload.

Names and speeds as Binance spot documents them: ``<symbol>@depth`` (1000 ms),
``@depth@100ms``, ``@depth<5|10|20>[@100ms]``, ``@trade``, ``@aggTrade``, ``@bookTicker``,
``@kline_<interval>[@+08:00]`` (every 2 s and at the close; ``1s`` at the close only), ``@avgPrice``,
``@ticker``, ``@miniTicker``, ``@ticker_<1h|4h|1d>`` and the arrays ``!ticker@arr``,
``!miniTicker@arr``, ``!ticker_<1h|4h|1d>@arr`` (every second). A payload is built only for subscribers.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from citadel_micro.sim import flow_klines
from citadel_micro.sim.flow_aggregates import Aggregate, Aggregator
from citadel_micro.sim.flow_book import Print, Quote
from citadel_micro.sim.flow_feed import DepthBatch, Feed, FeedEvent
from citadel_micro.sim.flow_klines import KLINES, SECOND, next_ms, open_ms
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.sim.rng import SplitMix64, key_of
from citadel_micro.simulator import payloads
from citadel_micro.simulator.client import Client
from citadel_micro.simulator.windows import WINDOWS, rolling

log = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_EAST = "@+08:00"
_EAST_MINUTES = 8 * 60
_ARRAYS = {"!ticker@arr", "!miniTicker@arr", *(f"!ticker_{size}@arr" for size in WINDOWS)}
_PLAIN = {"trade", "aggTrade", "bookTicker", "ticker", "miniTicker", "avgPrice"} | {
    f"ticker_{size}" for size in WINDOWS
}
_DEPTH = re.compile(r"depth(5|10|20)?(@100ms|@1000ms)?")
_encode = msgspec.json.encode


@dataclass(slots=True)
class Channel:
    """One stream and its subscribers. ``levels`` is 0 for a diff. stream.

    ``every_ms`` and ``last_id`` are for futures: how often, and the last update id that was sent.
    ``opened_ms`` is when the current candle opened; ``shift`` is its time zone.
    """

    name: str
    kind: str
    symbol: str
    levels: int = 0
    slow: bool = False
    interval: str = ""
    clients: dict[Client, None] = field(default_factory=dict)
    pending: DepthBatch | None = None
    every_ms: int = 0
    last_id: int = -1
    sent_trades: int = -1
    opened_ms: int = -1
    shift: int = 0

    def send(self, payload: Any) -> None:  # noqa: ANN401 - any JSON value
        """Encode once and queue for every subscriber, wrapped where it asked for that."""
        raw = _encode(payload)
        wrapped: bytes | None = None
        for client in list(self.clients):
            if client.combined:
                if wrapped is None:
                    wrapped = b'{"stream":"%b","data":%b}' % (self.name.encode(), raw)
                client.push(wrapped)
            else:
                client.push(raw)


def merge(old: DepthBatch, new: DepthBatch) -> DepthBatch:
    """Return two changes of a book, one after the other, as one."""
    bids, asks = dict(old.bids), dict(old.asks)
    bids.update(new.bids)
    asks.update(new.asks)
    return replace(
        new,
        first_id=old.first_id,
        bids=tuple(sorted(bids.items(), reverse=True)),
        asks=tuple(sorted(asks.items())),
    )


class Streams:
    """All channels of one feed."""

    def __init__(self, feed: Feed, *, drop_depth: float, seed: int) -> None:
        """Publish ``feed``; ``drop_depth`` is the share of depth messages to lose on purpose."""
        self._feed = feed
        self._by_name = {spec.venue_symbol.lower(): name for name, spec in feed.specs.items()}
        self._channels: dict[str, Channel] = {}
        self._by_kind: dict[tuple[str, str], list[Channel]] = {}
        self._drop = drop_depth
        self._fault_rng = SplitMix64(key_of(seed, "fault"))
        self._second = feed.now_ns // _SECOND_NS
        self._aggregators = {symbol: Aggregator() for symbol in feed.specs}

    # ------------------------------------------------------------------ subscriptions

    def knows(self, name: str) -> bool:
        """Tell whether there is such a stream."""
        known = name in self._channels or self._parse(name) is not None
        if not known:
            log.info("%r is no stream of this simulator", name)
        return known

    def subscribe(self, client: Client, name: str) -> None:
        """Add a subscriber; one of a stream that does not exist receives nothing."""
        client.streams[name] = None
        channel = self._channels.get(name)
        if channel is None:
            channel = self._parse(name)
            if channel is None:
                return
            if channel.kind == "kline":
                now_ms = self._feed.now_ns // payloads.MS_NS
                channel.opened_ms = open_ms(channel.interval, now_ms, channel.shift)
            self._channels[name] = channel
            self._by_kind.setdefault((channel.symbol, channel.kind), []).append(channel)
        channel.clients[client] = None

    def unsubscribe(self, client: Client, name: str) -> None:
        """Remove a subscriber; the last one takes the channel with it."""
        client.streams.pop(name, None)
        channel = self._channels.get(name)
        if channel is None:
            return
        channel.clients.pop(client, None)
        if not channel.clients:
            del self._channels[name]
            self._by_kind[channel.symbol, channel.kind].remove(channel)

    def drop(self, client: Client) -> None:
        """Forget a client."""
        for name in list(client.streams):
            self.unsubscribe(client, name)

    def _parse(self, name: str) -> Channel | None:
        if name in _ARRAYS:
            return Channel(name, name, "")
        prefix, _, kind = name.partition("@")
        symbol = self._by_name.get(prefix)
        if symbol is None:
            return None
        depth = _DEPTH.fullmatch(kind)
        if depth is not None:
            levels = int(depth[1] or 0)
            slow = depth[2] != "@100ms"
            return Channel(name, "depth", symbol, levels=levels, slow=slow)
        if kind.startswith("kline_"):
            interval = kind.removeprefix("kline_").removesuffix(_EAST)
            if interval in KLINES:
                shift = _EAST_MINUTES if kind.endswith(_EAST) else 0
                return Channel(name, "kline", symbol, interval=interval, shift=shift)
            return None
        if kind in _PLAIN:
            return Channel(name, kind, symbol)
        return None

    # ------------------------------------------------------------------ events

    def publish(self, events: list[FeedEvent]) -> None:
        """Send events to their subscribers."""
        for event in events:
            if isinstance(event, DepthBatch):
                for channel in self._by_kind.get((event.symbol, "depth"), ()):
                    self._send_depth(channel, event)
            elif isinstance(event, Quote):
                self._send_quote(event)
            else:
                self._send_trade(event)
                for each in self._aggregators[event.symbol].add(event):
                    self._send_aggregate(each)

    def _send_quote(self, event: Quote) -> None:
        spec = self._feed.specs[event.symbol]
        for channel in self._by_kind.get((event.symbol, "bookTicker"), ()):
            channel.send(payloads.book_ticker(spec, event))

    def _send_trade(self, event: Print) -> None:
        spec = self._feed.specs[event.symbol]
        for channel in self._by_kind.get((event.symbol, "trade"), ()):
            channel.send(payloads.trade(spec, event))

    def _send_aggregate(self, event: Aggregate) -> None:
        spec = self._feed.specs[event.symbol]
        for channel in self._by_kind.get((event.symbol, "aggTrade"), ()):
            channel.send(payloads.agg_trade(spec, event))

    def _send_depth(self, channel: Channel, batch: DepthBatch) -> None:
        if channel.slow:
            channel.pending = batch if channel.pending is None else merge(channel.pending, batch)
            return
        self._emit_depth(channel, batch)

    def _is_dropped(self) -> bool:
        return bool(self._drop) and self._fault_rng.uniform() < self._drop

    def _emit_depth(self, channel: Channel, batch: DepthBatch) -> None:
        if self._is_dropped():
            return
        spec = self._feed.specs[batch.symbol]
        if channel.levels:
            depth = self._feed.depth(batch.symbol, channel.levels)
            channel.send(payloads.depth_snapshot(spec, depth))
        else:
            channel.send(payloads.depth_update(spec, batch))

    # ------------------------------------------------------------------ by time

    def tick(self, now_ns: int) -> None:
        """Send the periodic streams. Call often; it acts once a second."""
        second = now_ns // _SECOND_NS
        if second == self._second:
            return
        self._second = second
        channels = list(self._channels.values())
        for channel in channels:
            if channel.kind == "kline":
                self._close_candles(channel, now_ns)
        for channel in channels:
            self._every_second(channel, second, now_ns)

    def _close_candles(self, channel: Channel, now_ns: int) -> None:
        while True:
            after = next_ms(channel.interval, channel.opened_ms, channel.shift)
            if after * payloads.MS_NS > now_ns:
                return
            self._send_kline(channel, now_ns, closed=True)
            channel.opened_ms, channel.sent_trades = after, -1

    def _send_kline(self, channel: Channel, now_ns: int, *, closed: bool) -> None:
        store, opened = self._feed.candles[channel.symbol], channel.opened_ms
        candle = flow_klines.candle(store, channel.interval, opened, channel.shift)
        if not closed and candle.trades == channel.sent_trades:
            return
        channel.sent_trades = candle.trades
        spec = self._feed.specs[channel.symbol]
        span = opened, next_ms(channel.interval, opened, channel.shift)
        event = payloads.kline_event(spec, channel.interval, candle, span, now_ns, closed=closed)
        channel.send(event)

    def _every_second(self, channel: Channel, second: int, now_ns: int) -> None:
        if channel.pending is not None:
            self._emit_depth(channel, channel.pending)
            channel.pending = None
        elif channel.kind == "kline":
            if second % 2 == 0 and channel.interval != SECOND:
                self._send_kline(channel, now_ns, closed=False)
        elif channel.kind == "avgPrice":
            self._send_average(channel, now_ns)
        elif channel.kind.startswith(("ticker", "miniTicker")):
            channel.send(self._day(channel.symbol, channel.kind, now_ns))
        elif channel.kind.startswith("!"):
            kind = channel.kind[1:].removesuffix("@arr")
            channel.send([self._day(symbol, kind, now_ns) for symbol in self._feed.specs])

    def _send_average(self, channel: Channel, now_ns: int) -> None:
        """Send the average price, where there has been a trade since the last time."""
        trades, store = self._feed.trades[channel.symbol], self._feed.candles[channel.symbol]
        if not trades or trades[-1].trade_id == channel.sent_trades:
            return
        channel.sent_trades = trades[-1].trade_id
        candle = store.span(store.now - 4, store.now + 1)
        spec, last_ms = self._feed.specs[channel.symbol], trades[-1].time_ns // payloads.MS_NS
        channel.send(payloads.average_event(spec, candle, last_ms, now_ns))

    def _day(self, symbol: str, kind: str, now_ns: int) -> payloads.Json:
        feed = self._feed
        store, spec = feed.candles[symbol], feed.specs[symbol]
        size = kind.removeprefix("ticker_")
        if size in WINDOWS:
            return payloads.window_event(spec, size, rolling(store, WINDOWS[size]), now_ns)
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        if kind == "miniTicker":
            return payloads.mini_ticker_event(spec, day, now_ns)
        last = feed.trades[symbol][-1] if feed.trades[symbol] else None
        before = store.close_before(day.minute)
        depth = feed.depth(symbol, 1)
        return payloads.ticker_event(spec, day, depth, last, now_ns, before=before)
