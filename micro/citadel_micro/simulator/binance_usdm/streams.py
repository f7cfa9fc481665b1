"""Websocket streams of USD-M: other names, speeds and payloads than spot's, and listen keys.

Names as Binance documents them: ``<symbol>@depth`` (250 ms), ``@depth@100ms``, ``@depth@500ms``, and
``@depth@0ms``, which it serves without documenting it (nautilus_trader subscribes to it); with 5, 10 or 20
levels likewise, ``@aggTrade``, ``@trade``, ``@bookTicker``, ``@kline_<interval>``,
``@ticker``, ``@miniTicker``, ``@markPrice`` (3 s), ``@markPrice@1s``, ``@forceOrder``, and the arrays
``!ticker@arr``, ``!miniTicker@arr``, ``!markPrice@arr``, ``!markPrice@arr@1s``, ``!forceOrder@arr`` and
``!bookTicker``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_candles import INTERVALS
from citadel_micro.sim.flow_reference import DAY_MINUTES
from citadel_micro.simulator import payloads as spot
from citadel_micro.simulator.binance_usdm import payloads
from citadel_micro.simulator.streams import Channel, Streams, merge

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.flow_aggregates import Aggregate
    from citadel_micro.sim.flow_book import Print, Quote
    from citadel_micro.sim.flow_feed import DepthBatch, Feed
    from citadel_micro.simulator.binance_usdm.user_stream import UsdmUserStreams
    from citadel_micro.simulator.client import Client

Json = dict[str, Any]
_MS_NS: Final = 1_000_000
_DEPTH: Final = re.compile(r"depth(5|10|20)?(?:@(0|100|250|500)ms)?")
_DEFAULT_MS: Final = 250
_FASTEST_MS: Final = 100
"""The market moves so often: what is asked for sooner comes no sooner."""
_SLOW_MARK_S: Final = 3
_PLAIN: Final = {"trade", "aggTrade", "bookTicker", "ticker", "miniTicker", "forceOrder"}
_ARRAYS: Final = {"!ticker@arr": "!ticker", "!miniTicker@arr": "!miniTicker"}


class UsdmStreams(Streams):
    """All channels of the futures market; ``user`` knows the listen keys."""

    def __init__(
        self,
        feed: Feed,
        exchange: FuturesExchange,
        user: UsdmUserStreams,
        *,
        drop_depth: float,
        seed: int,
    ) -> None:
        """Publish ``feed``."""
        super().__init__(feed, drop_depth=drop_depth, seed=seed)
        self._exchange = exchange
        self._user = user

    # ------------------------------------------------------------------ subscriptions

    def knows(self, name: str) -> bool:
        """Tell whether there is such a stream. A listen key may have ended: nothing comes then."""
        is_key = "@" not in name and not name.startswith("!")
        return is_key or self._user.knows(name.partition("@")[0]) or super().knows(name)

    def subscribe(self, client: Client, name: str) -> None:
        """Add a subscriber: to a market stream, or with a listen key to an account's events."""
        key = name.partition("@")[0]
        if self._user.knows(key):
            client.streams[name] = None
            self._user.subscribe(client, key)
            return
        super().subscribe(client, name)

    def unsubscribe(self, client: Client, name: str) -> None:
        """Remove a subscriber."""
        self._user.unsubscribe(client, name.partition("@")[0])
        super().unsubscribe(client, name)

    def _parse(self, name: str) -> Channel | None:
        if name in _ARRAYS:
            return Channel(name, _ARRAYS[name], "")
        if name in {"!forceOrder@arr", "!bookTicker"}:
            return Channel(name, name, "")
        if name in {"!markPrice@arr", "!markPrice@arr@1s"}:
            return Channel(name, "!markPrice", "", every_ms=_mark_ms(name))
        prefix, _, kind = name.partition("@")
        symbol = self._by_name.get(prefix)
        if symbol is None:
            return None
        depth = _DEPTH.fullmatch(kind)
        if depth is not None:
            every_ms = int(depth[2] or _DEFAULT_MS)
            return Channel(name, "depth", symbol, levels=int(depth[1] or 0), every_ms=every_ms)
        if kind in {"markPrice", "markPrice@1s"}:
            return Channel(name, "markPrice", symbol, every_ms=_mark_ms(name))
        if kind.startswith("kline_"):
            interval = kind.removeprefix("kline_")
            return (
                Channel(name, "kline", symbol, interval=interval) if interval in INTERVALS else None
            )
        return Channel(name, kind, symbol) if kind in _PLAIN else None

    # ------------------------------------------------------------------ events

    def _send_quote(self, event: Quote) -> None:
        channels = (
            *self._by_kind.get((event.symbol, "bookTicker"), ()),
            *self._by_kind.get(("", "!bookTicker"), ()),
        )
        if channels:
            spec = self._feed.specs[event.symbol]
            payload = payloads.book_ticker(spec, event, event.time_ns // _MS_NS)
            for channel in channels:
                channel.send(payload)

    def _send_trade(self, event: Print) -> None:
        spec = self._feed.specs[event.symbol]
        for channel in self._by_kind.get((event.symbol, "trade"), ()):
            channel.send(payloads.trade(spec, event))

    def _send_aggregate(self, event: Aggregate) -> None:
        spec = self._feed.specs[event.symbol]
        for channel in self._by_kind.get((event.symbol, "aggTrade"), ()):
            channel.send(payloads.agg_trade(spec, event))

    def _send_depth(self, channel: Channel, batch: DepthBatch) -> None:
        if channel.every_ms <= _FASTEST_MS:
            self._emit_depth(channel, batch)
            return
        waiting = channel.pending
        channel.pending = batch if waiting is None else merge(waiting, batch)
        step = channel.every_ms * _MS_NS
        if batch.time_ns // step != (batch.time_ns - _FASTEST_MS * _MS_NS) // step:
            self._emit_depth(channel, channel.pending)
            channel.pending = None

    def _emit_depth(self, channel: Channel, batch: DepthBatch) -> None:
        before = channel.last_id if channel.last_id >= 0 else batch.first_id - 1
        channel.last_id = batch.last_id
        if self._is_dropped():
            return
        spec = self._feed.specs[batch.symbol]
        if channel.levels:
            depth = self._feed.depth(batch.symbol, channel.levels)
            channel.send(payloads.partial_depth(spec, batch, depth, before))
        else:
            channel.send(payloads.depth_update(spec, batch, before))

    def force_order(self, symbol: str, event: Json) -> None:
        """Publish a liquidation."""
        for key in ((symbol, "forceOrder"), ("", "!forceOrder@arr")):
            for channel in self._by_kind.get(key, ()):
                channel.send(event)

    # ------------------------------------------------------------------ by the clock

    def _every_second(self, channel: Channel, second: int, now_ns: int) -> None:
        if channel.kind in {"markPrice", "!markPrice"}:
            if second % (channel.every_ms // 1000) == 0:
                rows = [
                    payloads.mark_price(self._exchange, symbol)
                    for symbol in ([channel.symbol] if channel.symbol else self._feed.specs)
                ]
                channel.send(rows[0] if channel.symbol else rows)
        elif channel.kind in {"!ticker", "!miniTicker"}:
            kind = channel.kind[1:]
            channel.send([self._day(symbol, kind, now_ns) for symbol in self._feed.specs])
        elif not channel.kind.startswith("!"):
            super()._every_second(channel, second, now_ns)

    def _day(self, symbol: str, kind: str, now_ns: int) -> Json:
        feed = self._feed
        store, spec = feed.candles[symbol], feed.specs[symbol]
        day = store.span(store.now - DAY_MINUTES + 1, store.now + 1)
        if kind == "miniTicker":
            return spot.mini_ticker_event(spec, day, now_ns)
        last = feed.trades[symbol][-1] if feed.trades[symbol] else None
        return payloads.ticker_event(spec, day, feed.depth(symbol, 1), last, now_ns)


def _mark_ms(name: str) -> int:
    return 1000 if name.endswith("@1s") else _SLOW_MARK_S * 1000
