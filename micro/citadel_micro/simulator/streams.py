"""Websocket streams: names, subscribers, and who gets which payload.

Names and speeds as Binance spot documents them: ``<symbol>@depth`` (1000 ms),
``@depth@100ms``, ``@depth<5|10|20>[@100ms]``, ``@trade``, ``@aggTrade``, ``@bookTicker``,
``@kline_<interval>`` (every 2 s and at the close), ``@ticker``, ``@miniTicker`` and the arrays
``!ticker@arr``, ``!miniTicker@arr`` (every second). A payload is made only when somebody listens.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from citadel_micro.sim.flow_book import Print, Quote
from citadel_micro.sim.flow_candles import INTERVALS, next_open, open_minute
from citadel_micro.sim.flow_feed import DepthBatch, Feed, FeedEvent
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.sim.rng import SplitMix64, key_of
from citadel_micro.simulator import payloads
from citadel_micro.simulator.client import Client

log = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_DEPTH = re.compile(r"depth(5|10|20)?(@100ms|@1000ms)?")
_encode = msgspec.json.encode


@dataclass(slots=True)
class Channel:
    """One stream and its subscribers. ``levels`` is 0 for a diff. stream."""

    name: str
    kind: str
    symbol: str
    levels: int = 0
    slow: bool = False
    interval: str = ""
    clients: dict[Client, None] = field(default_factory=dict)
    pending: DepthBatch | None = None
    sent_trades: int = -1
    sent_minute: int = -1

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


def _merge(old: DepthBatch, new: DepthBatch) -> DepthBatch:
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
        self._minute = feed.now_ns // _MINUTE_NS

    # ------------------------------------------------------------------ subscriptions

    def subscribe(self, client: Client, name: str) -> None:
        """Add a subscriber. Like Binance's, an unknown name is accepted and stays silent."""
        client.streams[name] = None
        channel = self._channels.get(name)
        if channel is None:
            channel = self._parse(name)
            if channel is None:
                log.info("subscribed to %r, which is no stream of this simulator", name)
                return
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
        if name in {"!ticker@arr", "!miniTicker@arr"}:
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
            interval = kind.removeprefix("kline_")
            if interval in INTERVALS:
                return Channel(name, "kline", symbol, interval=interval)
            return None
        if kind in {"trade", "aggTrade", "bookTicker", "ticker", "miniTicker"}:
            return Channel(name, kind, symbol)
        return None

    # ------------------------------------------------------------------ events

    def publish(self, events: list[FeedEvent]) -> None:
        """Send what happened to whom it concerns."""
        for event in events:
            spec = self._feed.specs[event.symbol]
            if isinstance(event, DepthBatch):
                for channel in self._by_kind.get((event.symbol, "depth"), ()):
                    self._send_depth(channel, event)
            elif isinstance(event, Quote):
                for channel in self._by_kind.get((event.symbol, "bookTicker"), ()):
                    channel.send(payloads.book_ticker(spec, event))
            else:
                self._send_trade(event)

    def _send_trade(self, event: Print) -> None:
        spec = self._feed.specs[event.symbol]
        for channel in self._by_kind.get((event.symbol, "trade"), ()):
            channel.send(payloads.trade(spec, event))
        for channel in self._by_kind.get((event.symbol, "aggTrade"), ()):
            channel.send(payloads.agg_trade(spec, event))

    def _send_depth(self, channel: Channel, batch: DepthBatch) -> None:
        if channel.slow:
            channel.pending = batch if channel.pending is None else _merge(channel.pending, batch)
            return
        self._emit_depth(channel, batch)

    def _emit_depth(self, channel: Channel, batch: DepthBatch) -> None:
        if self._drop and self._fault_rng.uniform() < self._drop:
            return
        spec = self._feed.specs[batch.symbol]
        if channel.levels:
            depth = self._feed.depth(batch.symbol, channel.levels)
            channel.send(payloads.depth_snapshot(spec, depth))
        else:
            channel.send(payloads.depth_update(spec, batch))

    # ------------------------------------------------------------------ by the clock

    def tick(self, now_ns: int) -> None:
        """Send what goes by the clock. Call often; it acts once a second."""
        minute = now_ns // _MINUTE_NS
        if minute != self._minute:
            self._close_candles(minute, now_ns)
            self._minute = minute
        second = now_ns // _SECOND_NS
        if second == self._second:
            return
        self._second = second
        for channel in list(self._channels.values()):
            self._every_second(channel, second, now_ns)

    def _close_candles(self, minute: int, now_ns: int) -> None:
        for channel in list(self._channels.values()):
            if channel.kind != "kline":
                continue
            opened = open_minute(channel.interval, self._minute)
            if next_open(channel.interval, opened) <= minute:
                self._send_kline(channel, opened, now_ns, closed=True)

    def _send_kline(self, channel: Channel, opened: int, now_ns: int, *, closed: bool) -> None:
        store = self._feed.candles[channel.symbol]
        end = next_open(channel.interval, opened)
        candle = store.span(opened, end)
        if not closed and (opened, candle.trades) == (channel.sent_minute, channel.sent_trades):
            return
        channel.sent_minute, channel.sent_trades = opened, candle.trades
        spec = self._feed.specs[channel.symbol]
        channel.send(
            payloads.kline_event(spec, channel.interval, candle, now_ns, closed=closed),
        )

    def _every_second(self, channel: Channel, second: int, now_ns: int) -> None:
        if channel.pending is not None:
            self._emit_depth(channel, channel.pending)
            channel.pending = None
        elif channel.kind == "kline" and second % 2 == 0:
            opened = open_minute(channel.interval, now_ns // _MINUTE_NS)
            self._send_kline(channel, opened, now_ns, closed=False)
        elif channel.kind in {"ticker", "miniTicker"}:
            channel.send(self._day(channel.symbol, channel.kind, now_ns))
        elif channel.kind.startswith("!"):
            kind = channel.kind[1:].removesuffix("@arr")
            channel.send([self._day(symbol, kind, now_ns) for symbol in self._feed.specs])

    def _day(self, symbol: str, kind: str, now_ns: int) -> payloads.Json:
        feed = self._feed
        store, spec = feed.candles[symbol], feed.specs[symbol]
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        if kind == "miniTicker":
            return payloads.mini_ticker_event(spec, day, now_ns)
        last = feed.trades[symbol][-1] if feed.trades[symbol] else None
        return payloads.ticker_event(spec, day, feed.depth(symbol, 1), last, now_ns)
