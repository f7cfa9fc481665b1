"""OKX's public channels: ``books``, ``books5``, ``bbo-tbt``, ``trades``, ``trades-all``, ``tickers``.

A book is a snapshot of 400 levels and then its changes, every 100 ms; ``seqId`` and ``prevSeqId`` link
them, and the checksum is 0 (the venue's page "Order book channel").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.sim.flow_book import Quote
from citadel_micro.sim.flow_feed import DepthBatch
from citadel_micro.sim.rng import SplitMix64, key_of
from citadel_micro.simulator.client import Client
from citadel_micro.simulator.okx.names import Json, inst_id, stamp
from citadel_micro.simulator.okx.public import MOST_LEVELS, level, levels, trade

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.flow_book import Print
    from citadel_micro.sim.flow_feed import Feed, FeedEvent
    from citadel_micro.simulator.okx.names import Names
    from citadel_micro.simulator.okx.public import Public

_SECOND_NS: Final = 1_000_000_000
_encode = msgspec.json.encode


@dataclass(slots=True)
class Channel:
    """One channel of one instrument. ``bids`` and ``asks`` are what subscribers of ``books`` have."""

    name: str
    symbol: str
    arg: dict[str, str]
    clients: dict[Client, None] = field(default_factory=dict)
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    sequence: int = -1

    def send(self, data: list[Json], action: str = "") -> None:
        """Send to every subscriber."""
        frame = self.frame(data, action)
        for client in list(self.clients):
            client.push(frame)

    def frame(self, data: list[Json], action: str = "") -> bytes:
        """Return the frame of one push."""
        body: dict[str, Any] = {"arg": self.arg}
        if action:
            body["action"] = action
        return _encode(body | {"data": data})


class Channels:
    """All public channels of one market."""

    names: tuple[str, ...] = ("books", "books5", "bbo-tbt", "trades", "trades-all", "tickers")

    def __init__(self, feed: Feed, public: Public, names: Names, *, drop: float, seed: int) -> None:
        """Publish ``feed``; ``drop`` is the share of a book's changes to lose on purpose."""
        self._feed = feed
        self._public = public
        self._names = names
        self.rows: dict[str, Callable[[str], Json]] = {"tickers": public.ticker_row}
        """Channel that is sent by the clock -> its row of a symbol."""
        self._drop = drop
        self._rng = SplitMix64(key_of(seed, "okx fault"))
        self._channels: dict[tuple[str, str], Channel] = {}
        self._second = feed.now_ns // _SECOND_NS

    # ------------------------------------------------------------------ subscriptions

    def subscribe(self, client: Client, name: str, instrument: str) -> bytes | None:
        """Add a subscriber; return what it is sent first (empty for nothing), or None for no channel."""
        symbol = self._names.find(instrument) if "-" in instrument else None
        if name not in self.names or symbol is None:
            return None
        channel = self._channels.get((symbol, name))
        if channel is None:
            arg = {"channel": name, "instId": instrument}
            channel = self._channels[symbol, name] = Channel(name, symbol, arg)
        first = b""
        if name == "books":
            if not channel.clients:
                self._check(channel)
            first = channel.frame([self._snapshot(channel)], "snapshot")
        elif name in {"books5", "bbo-tbt"}:
            first = channel.frame([self._top(symbol, 5 if name == "books5" else 1)])
        elif name in self.rows:
            first = channel.frame([self.rows[name](symbol)])
        channel.clients[client] = None
        return first

    def unsubscribe(self, client: Client, name: str, instrument: str) -> None:
        """Remove a subscriber."""
        symbol = self._names.find(instrument)
        if symbol is not None and (symbol, name) in self._channels:
            self._channels[symbol, name].clients.pop(client, None)

    def drop(self, client: Client) -> None:
        """Forget a client."""
        for channel in self._channels.values():
            channel.clients.pop(client, None)

    # ------------------------------------------------------------------ events

    def publish(self, events: list[FeedEvent]) -> None:
        """Send events to their subscribers."""
        for event in events:
            if isinstance(event, DepthBatch):
                self._books(event)
            elif isinstance(event, Quote):
                self._quote(event)
            else:
                self._trade(event)

    def tick(self, now_ns: int) -> None:
        """Send tickers, and the like, once a second."""
        second = now_ns // _SECOND_NS
        if second != self._second:
            self._second = second
            for (symbol, name), channel in self._channels.items():
                if name in self.rows and channel.clients:
                    channel.send([self.rows[name](symbol)])

    def _to(self, symbol: str, name: str) -> Channel | None:
        channel = self._channels.get((symbol, name))
        return channel if channel is not None and channel.clients else None

    def _books(self, event: DepthBatch) -> None:
        channel = self._to(event.symbol, "books")
        if channel is not None and event.last_id > channel.sequence:
            before, bids, asks = channel.sequence, channel.bids, channel.asks
            self._check(channel)
            spec = self._public.specs[event.symbol]
            row = {
                "asks": [level(spec, *each) for each in _changes(asks, channel.asks)],
                "bids": [level(spec, *each) for each in reversed(_changes(bids, channel.bids))],
                "ts": stamp(event.time_ns),
                "checksum": 0,
                "seqId": channel.sequence,
                "prevSeqId": before,
            }
            if not (self._drop and self._rng.uniform() < self._drop):
                channel.send([row], "update")
        five = self._to(event.symbol, "books5")
        if five is not None:
            five.send([self._top(event.symbol, 5)])

    def _check(self, channel: Channel) -> None:
        depth = self._feed.depth(channel.symbol, MOST_LEVELS)
        channel.bids, channel.asks = dict(depth.bids), dict(depth.asks)
        channel.sequence = depth.last_update_id

    def _snapshot(self, channel: Channel) -> Json:
        spec = self._public.specs[channel.symbol]
        return {
            "asks": [level(spec, *each) for each in channel.asks.items()],
            "bids": [level(spec, *each) for each in channel.bids.items()],
            "ts": stamp(self._feed.now_ns),
            "checksum": 0,
            "seqId": channel.sequence,
            "prevSeqId": -1,
        }

    def _top(self, symbol: str, count: int) -> Json:
        depth, spec = self._feed.depth(symbol, count), self._public.specs[symbol]
        row = levels(spec, depth) | {"ts": stamp(self._feed.now_ns), "seqId": depth.last_update_id}
        return row | {"instId": inst_id(spec)} if count > 1 else row

    def _quote(self, event: Quote) -> None:
        channel = self._to(event.symbol, "bbo-tbt")
        if channel is None:
            return
        spec = self._public.specs[event.symbol]
        channel.send(
            [
                {
                    "asks": [level(spec, event.ask_ticks, event.ask_lots)],
                    "bids": [level(spec, event.bid_ticks, event.bid_lots)],
                    "ts": stamp(event.time_ns),
                    "seqId": event.update_id,
                }
            ]
        )

    def _trade(self, event: Print) -> None:
        for name in ("trades", "trades-all"):
            channel = self._to(event.symbol, name)
            if channel is not None:
                row = trade(self._public.specs[event.symbol], event)
                channel.send([row | {"count": "1"} if name == "trades" else row])


def _changes(old: dict[int, int], new: dict[int, int]) -> list[tuple[int, int]]:
    """Return what turns one side into another, by price; 0 for what is gone."""
    changed = {ticks: lots for ticks, lots in new.items() if old.get(ticks) != lots}
    changed |= {ticks: 0 for ticks in old if ticks not in new}
    return sorted(changed.items())
