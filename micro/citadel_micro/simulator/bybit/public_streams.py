"""Public streams on ``/v5/public/spot``: books of 1, 50 and 200 levels, trades, tickers.

A book begins with a snapshot and goes on with deltas whose ``u`` rises by one, for every subscriber of
the topic alike; one level is always sent whole. Here every 100 ms, where Bybit sends every 10 to 20.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_book import Print
from citadel_micro.sim.flow_feed import DepthBatch
from citadel_micro.sim.rng import SplitMix64, key_of
from citadel_micro.simulator.bybit.order_json import price, size
from citadel_micro.simulator.bybit.public import levels, ticker, trade_side
from citadel_micro.simulator.bybit.sockets import Connection, Connections

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.flow_feed import Feed, FeedEvent
    from citadel_micro.simulator.config import SimulatorConfig

Json = dict[str, Any]
Rows = dict[int, int]
_MS_NS: Final = 1_000_000
_SECOND_NS: Final = 1_000_000_000
_TOPIC: Final = re.compile(r"(orderbook\.(1|50|200)|publicTrade|tickers)\.([A-Z0-9]+)")
_MOST_ARGS: Final = 10
"""Topics in one request, on spot."""


@dataclass(slots=True)
class Topic:
    """One topic and who listens."""

    name: str
    kind: str
    symbol: str
    depth: int = 0
    listeners: dict[Connection, None] = field(default_factory=dict)
    update_id: int = 1
    bids: Rows = field(default_factory=dict)
    asks: Rows = field(default_factory=dict)


class PublicSocket(Connections):
    """Serves the connections, and publishes."""

    def __init__(self, feed: Feed, exchange: Exchange, config: SimulatorConfig) -> None:
        """Publish ``feed``."""
        every = config.faults.disconnect_every_s
        super().__init__(buffer_bytes=config.buffer_bytes, cut_after_s=every or config.session_s)
        self._feed = feed
        self._exchange = exchange
        self._symbols = {spec.venue_symbol: name for name, spec in feed.specs.items()}
        self._topics: dict[str, Topic] = {}
        self._drop = config.faults.drop_depth
        self._rng = SplitMix64(key_of(config.seed, "bybit fault"))
        self._second = 0

    # ------------------------------------------------------------------ requests

    async def answer(self, connection: Connection, asked: Json) -> None:
        """Answer ``subscribe``, ``unsubscribe`` and ``ping``."""
        op, args = asked.get("op"), asked.get("args", [])
        answer: Json = {"success": True, "ret_msg": "", "conn_id": connection.name}
        if "req_id" in asked:
            answer["req_id"] = str(asked["req_id"])
        answer["op"] = op
        if op == "ping":
            connection.say(answer | {"ret_msg": "pong"})
            return
        bad = self._wrong(op, args)
        if bad:
            connection.say(answer | {"success": False, "ret_msg": bad})
            return
        connection.say(answer | ({"ret_msg": "subscribe"} if op == "subscribe" else {}))
        for name in args:
            if op == "subscribe":
                self._subscribe(connection, name)
            else:
                self._unsubscribe(connection, name)

    def _wrong(self, op: object, args: object) -> str:
        if op not in {"subscribe", "unsubscribe"}:
            return "error:invalid op"
        if not isinstance(args, list) or len(args) > _MOST_ARGS:
            return f"args size >{_MOST_ARGS}"
        for name in args:
            found = _TOPIC.fullmatch(str(name))
            if found is None or found[3] not in self._symbols:
                return f"error:handler not found,topic:{name}"
        return ""

    def _subscribe(self, connection: Connection, name: str) -> None:
        if name in connection.topics:
            return
        found = _TOPIC.fullmatch(name)
        if found is None:
            return
        topic = self._topics.get(name)
        if topic is None:
            kind, symbol = name.partition(".")[0], self._symbols[found[3]]
            topic = self._topics[name] = Topic(name, kind, symbol, int(found[2] or 0))
            if topic.depth:
                topic.bids, topic.asks = self._levels(topic)
        connection.topics[name] = None
        topic.listeners[connection] = None
        if topic.depth:
            connection.say(self._book(topic, "snapshot", topic.bids, topic.asks))
        elif topic.kind == "tickers":
            connection.say(self._ticker(topic))

    def _unsubscribe(self, connection: Connection, name: str) -> None:
        connection.topics.pop(name, None)
        topic = self._topics.get(name)
        if topic is not None:
            topic.listeners.pop(connection, None)
            if not topic.listeners:
                del self._topics[name]

    def end(self, connection: Connection) -> None:
        """Forget its topics."""
        for name in list(connection.topics):
            self._unsubscribe(connection, name)

    # ------------------------------------------------------------------ events

    def publish(self, events: Iterable[FeedEvent]) -> None:
        """Publish what the market has done."""
        if not self._topics:
            return
        for event in events:
            if isinstance(event, DepthBatch):
                for topic in list(self._topics.values()):
                    if topic.depth and topic.symbol == event.symbol:
                        self._send_book(topic)
            elif isinstance(event, Print):
                self._send_trade(event)

    def tick(self) -> None:
        """Send tickers, once a second."""
        second = self._exchange.now_ns // _SECOND_NS
        if second == self._second:
            return
        self._second = second
        for topic in list(self._topics.values()):
            if topic.kind == "tickers":
                message = self._ticker_change(topic)
                if message is not None:
                    self._send(topic, message)

    def _levels(self, topic: Topic) -> tuple[Rows, Rows]:
        depth = self._feed.depth(topic.symbol, topic.depth)
        return dict(depth.bids), dict(depth.asks)

    def _send_book(self, topic: Topic) -> None:
        bids, asks = self._levels(topic)
        changed = [_changes(topic.bids, bids), _changes(topic.asks, asks)]
        if not changed[0] and not changed[1]:
            return
        topic.bids, topic.asks = bids, asks
        topic.update_id += 1
        if topic.depth == 1:
            self._send(topic, self._book(topic, "snapshot", bids, asks), may_drop=True)
        else:
            self._send(topic, self._book(topic, "delta", *changed), may_drop=True)

    def _book(self, topic: Topic, kind: str, bids: Rows, asks: Rows) -> Json:
        spec, now_ms = self._feed.specs[topic.symbol], self._exchange.now_ns // _MS_NS
        return {
            "topic": topic.name,
            "ts": now_ms,
            "type": kind,
            "data": {
                "s": spec.venue_symbol,
                "b": levels(spec, sorted(bids.items(), reverse=True)),
                "a": levels(spec, sorted(asks.items())),
                "u": topic.update_id + 1,  # 1 is a snapshot after a restart of the service
                "seq": self._feed.depth(topic.symbol, 1).last_update_id,
            },
            "cts": now_ms,
        }

    def _send_trade(self, trade: Print) -> None:
        spec = self._feed.specs[trade.symbol]
        topic = self._topics.get(f"publicTrade.{spec.venue_symbol}")
        if topic is None:
            return
        time_ms = trade.time_ns // _MS_NS
        row = {
            "i": str(trade.trade_id),
            "T": time_ms,
            "p": price(spec, trade.ticks),
            "v": size(spec, trade.lots),
            "S": trade_side(trade),
            "s": spec.venue_symbol,
            "BT": False,
            "RPI": False,
            "seq": trade.trade_id,
        }
        self._send(topic, {"topic": topic.name, "ts": time_ms, "type": "snapshot", "data": [row]})

    def _ticker(self, topic: Topic) -> Json:
        now_ms = self._exchange.now_ns // _MS_NS
        return {
            "topic": topic.name,
            "ts": now_ms,
            "type": "snapshot",
            "cs": topic.update_id,
            "data": self._row(topic.symbol),
        }

    def _row(self, symbol: str) -> Json:
        row = ticker(self._feed, self._exchange, symbol)
        return {name: value for name, value in row.items() if "1" not in name}

    def _ticker_change(self, topic: Topic) -> Json | None:
        """Return what is reported a second later: on spot all again."""
        return self._ticker(topic)

    def _send(self, topic: Topic, message: Json, *, may_drop: bool = False) -> None:
        for connection in list(topic.listeners):
            if may_drop and self._drop and self._rng.uniform() < self._drop:
                continue
            connection.say(message)


def _changes(before: Rows, after: Rows) -> Rows:
    """Return what has changed: absolute sizes, 0 for a level that is gone."""
    changed = {ticks: lots for ticks, lots in after.items() if before.get(ticks) != lots}
    changed.update({ticks: 0 for ticks in before if ticks not in after})
    return changed
