"""The private stream ``/v5/private``: log-on, topics, and the events of an account.

Topics are ``order``, ``execution`` and ``wallet``; their ``.spot`` forms too. One transaction of the
exchange is told as a message of each topic that it concerns.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSCloseCode

from citadel_micro.sim.exchange.model import OrderEvent, OrderRefused
from citadel_micro.simulator.bybit.envelope import as_bybit
from citadel_micro.simulator.bybit.order_json import (
    POST_ONLY,
    SPOT,
    execution_row,
    order_row,
    wallet,
)
from citadel_micro.simulator.bybit.records import fees_of
from citadel_micro.simulator.bybit.sockets import Connection, Connections
from citadel_micro.simulator.knobs import UNKNOWN_STATUS
from citadel_micro.simulator.private.user_streams import Subscription, UserStreams, encode, kind_of
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.model import AccountEvent
    from citadel_micro.simulator.bybit.intake import Intake
    from citadel_micro.simulator.private.service import Service

Json = dict[str, Any]
TOPICS: Final = {
    "order": "order",
    "order.spot": "order",
    "execution": "execution",
    "execution.spot": "execution",
    "order.linear": "order",
    "execution.linear": "execution",
    "wallet": "wallet",
    "position": "position",
    "position.linear": "position",
}
"""Topic -> what is published under it."""
SILENT: Final = ("greeks", "dcp")
"""Topics that exist, and under which nothing is published."""


@dataclass(slots=True, eq=False, kw_only=True)
class BybitSubscription(Subscription):
    """An account on a connection. ``connection`` knows the topics."""

    connection: Connection
    count: int = 0

    def frame(self, event: Json) -> bytes:
        """Return a message of one topic."""
        self.count += 1
        return encode({"id": f"{self.connection.name}-{self.count}", **event})

    def topic(self, kind: str) -> str:
        """Return the topic under which this is subscribed to; empty for none."""
        topics = self.connection.topics
        return next((name for name, what in TOPICS.items() if what == kind and name in topics), "")


class BybitStreams(UserStreams):
    """The events."""

    category = SPOT

    def topics(self, account: str) -> set[str]:
        """Return the topics of an account, over all its connections."""
        return {
            topic
            for each in self._subscriptions.get(account, ())
            if isinstance(each, BybitSubscription)
            for topic in each.connection.topics
        }

    def _bodies(self, event: AccountEvent) -> list[tuple[str, Json]]:
        venue = self.venue
        if venue is None:
            return []
        kind, time_ms = kind_of(event), event.time_ns // 1_000_000

        def body(topic: str, row: Json) -> tuple[str, Json]:
            return kind, {"topic": topic, "creationTime": time_ms, "data": [row]}

        if not isinstance(event, OrderEvent):
            return [body("wallet", wallet(event.balances))]
        order = event.order
        spec = venue.spec(order.symbol)
        if event.cause == "NEW" and self._will_be_rejected(event):
            return []
        row = {"category": self.category, **order_row(spec, order, fees_of(venue, order))}
        bodies = [body("order", row)]
        if event.fill is not None:
            fill = {"category": self.category, **execution_row(spec, event.fill, order)}
            bodies.insert(0, body("execution", fill))
        return bodies

    def _will_be_rejected(self, event: OrderEvent) -> bool:
        """A post-only order that would have taken is reported once: rejected."""
        order, venue = event.order, self.venue
        if venue is None or order.type != "LIMIT_MAKER":
            return False
        try:
            now = venue.exchange.order(order.account_id, order.symbol, order_id=order.order_id)
        except OrderRefused:
            return False
        return now.expiry == POST_ONLY

    def _deliver(self, subscription: Subscription, body: Json, kind: str) -> None:
        if not isinstance(subscription, BybitSubscription):
            return
        topic = subscription.topic(body["topic"])
        if topic:
            super()._deliver(subscription, body | {"topic": topic}, kind)

    def _edited(self, body: Json, change: Callable[[Json], Json]) -> Json:
        return body | {"data": [change(row) for row in body["data"]]}

    def _unknown_status(self, report: Json) -> Json:
        return report | {"orderStatus": UNKNOWN_STATUS} if "orderStatus" in report else report

    def _shrunk(self, report: Json) -> Json:
        """Return an order whose filled total is lower than was reported before."""
        if "cumExecQty" not in report:
            return report
        less = (Decimal(report["cumExecQty"]) / 2).quantize(Decimal("0.00001")).normalize()
        return report | {"cumExecQty": f"{less:f}"}

    # ------------------------------------------------------------------ ends: without a word

    def shut_down(self, seconds: float) -> None:
        """Cut every private connection later: Bybit announces nothing."""
        asyncio.get_running_loop().call_later(seconds, self.cut)

    def terminate(self, account: str) -> None:
        """Close the streams of an account."""
        for subscription in list(self._subscriptions.get(account, ())):
            subscription.client.close(WSCloseCode.GOING_AWAY, b"stream ended")


class PrivateSocket(Connections):
    """Serves ``/v5/private``."""

    def __init__(
        self, service: Service, intake: Intake, *, buffer_bytes: int, cut_after_s: float
    ) -> None:
        """Serve ``service``."""
        super().__init__(buffer_bytes=buffer_bytes, cut_after_s=cut_after_s)
        self._service = service
        self._intake = intake

    async def answer(self, connection: Connection, asked: Json) -> None:
        """Answer ``auth``, ``subscribe``, ``unsubscribe`` and ``ping``."""
        service, op = self._service, asked.get("op")
        service.catch_up()
        if op == "ping":
            now = str(service.server_time_ns(("", ""), "time") // 1_000_000)
            self._say(connection, asked, op="pong", args=[now])
        elif op == "auth":
            self._log_on(connection, asked)
        elif op in {"subscribe", "unsubscribe"}:
            self._subscribe(connection, asked, add=op == "subscribe")
        else:
            self._say(connection, asked, op=op or "", success=False, ret_msg="error:invalid op")

    def _log_on(self, connection: Connection, asked: Json) -> None:
        try:
            key = self._intake.log_on(asked.get("args"), connection.address)
        except ApiError as error:
            text = as_bybit(error).text
            self._say(connection, asked, op="auth", success=False, ret_msg=text)
            return
        connection.key = key
        self._say(connection, asked, op="auth", success=True, ret_msg="")

    def _subscribe(self, connection: Connection, asked: Json, *, add: bool) -> None:
        op, topics = asked["op"], asked.get("args")
        if connection.key is None:
            self._say(connection, asked, op=op, success=False, ret_msg="Request not authorized")
            return
        if not isinstance(topics, list) or not all(
            each in TOPICS or each in SILENT for each in topics
        ):
            text = f"error:handler not found,topic:{topics}"
            self._say(connection, asked, op=op, success=False, ret_msg=text)
            return
        for topic in topics:
            if add:
                connection.topics[topic] = None
            else:
                connection.topics.pop(topic, None)
        if connection.subscription is None:
            subscription = BybitSubscription(
                client=connection.client, key=connection.key, connection=connection
            )
            connection.subscription = subscription
            self._service.streams.add(subscription)
            self._service.streams.clients[connection.client] = None
        self._say(connection, asked, op=op, success=True, ret_msg="")

    @staticmethod
    def _say(connection: Connection, asked: Json, **parts: object) -> None:
        number = {"req_id": str(asked["req_id"])} if "req_id" in asked else {}
        connection.say({**number, **parts, "conn_id": connection.name})

    def end(self, connection: Connection) -> None:
        """Forget its subscription."""
        self._service.streams.clients.pop(connection.client, None)
        if connection.subscription is not None:
            self._service.streams.remove(connection.subscription, tell=False)
