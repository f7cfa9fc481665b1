"""Puts Kraken spot together: its market, its public data, its private protocol."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.kraken.auth import TOKEN_S, Door
from citadel_micro.simulator.kraken.counters import Counters
from citadel_micro.simulator.kraken.deadline import Deadline
from citadel_micro.simulator.kraken.errors import KrakenError, invalid
from citadel_micro.simulator.kraken.market import CHANNELS, DEPTHS, HEARTBEAT, KrakenMarket
from citadel_micro.simulator.kraken.methods import BY_REST, BY_SOCKET, Methods
from citadel_micro.simulator.kraken.params import Params
from citadel_micro.simulator.kraken.public import PublicRest
from citadel_micro.simulator.kraken.rest import KrakenRest
from citadel_micro.simulator.kraken.sockets import Connection, Sockets
from citadel_micro.simulator.kraken.user_streams import (
    CHANNELS as PRIVATE_CHANNELS,
)
from citadel_micro.simulator.kraken.user_streams import (
    KrakenStreams,
    KrakenSubscription,
)
from citadel_micro.simulator.private.app import PrivateSide
from citadel_micro.simulator.private.signed import NO_TIMES
from citadel_micro.simulator.private.venue import Call, OrderLimit
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.venues import VenueParts

Json = dict[str, Any]
ROOT: Final = "/kraken"
PUBLIC: Final = f"{ROOT}/v2"
PRIVATE: Final = f"{ROOT}/auth/v2"
"""The venue has another host for it."""
_NO_LIMIT: Final = 1 << 60


def kraken_rules(rules: SymbolRules) -> SymbolRules:
    """Return Kraken's rules: amends in place, no band of prices around the market."""
    return replace(
        rules,
        in_place=True,
        max_amends=1_000_000,
        max_notional_e8=_NO_LIMIT,
        bid_up_e8=_NO_LIMIT,
        bid_down_e8=0,
        ask_up_e8=_NO_LIMIT,
        ask_down_e8=0,
        default_stp="EXPIRE_TAKER",
        allowed_stp=("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "NONE"),
    )


class _Private(Connection):
    """A private connection, with its subscriptions."""

    def __init__(self, side: KrakenSpot, client: Client, address: str) -> None:
        super().__init__(client, address)
        self._side = side
        self.subscriptions: dict[str, KrakenSubscription] = {}

    def forget(self, name: str) -> None:
        """A subscription has ended."""
        self.subscriptions.pop(name, None)

    def end(self) -> None:
        for subscription in self.subscriptions.values():
            self._side.streams.remove(subscription, tell=False)
        self.subscriptions.clear()


class KrakenSpot(PrivateSide):
    """The Kraken side of a simulator."""

    def __init__(self, parts: VenueParts) -> None:
        """Open the accounts, whose fees are taken in quote here."""
        config = parts.config
        feed = parts.market("kraken")
        rules = {name: kraken_rules(SymbolRules.of(spec)) for name, spec in feed.specs.items()}
        self.exchange = Exchange(feed, rules)
        listed = FeePlan(asset="quote")
        for number, account in enumerate(parts.members.accounts.values()):
            fees = replace(account.fees, asset="quote")
            listed = listed if number else fees
            self.exchange.open_account(account.name, account.balances, fees=fees)
        self.market = KrakenMarket(feed, self.exchange.statuses)
        self.door = Door(parts.members.ring)
        self.counters = Counters()
        user = KrakenStreams()
        self._user = user
        super().__init__(
            self.exchange,
            parts.members,
            RequestWeights(_NO_LIMIT),
            user,
            limits=(OrderLimit("SECOND", 10, _NO_LIMIT, "10S"),),
            permission=Permission.TRADE,
            methods=lambda venue: Methods(venue, self.counters, self.issue_token).table,
            clock_ns=parts.clock_ns,
            catch_up=parts.catch_up,
            publish=self.market.publish,
        )
        self._public_clients: dict[Client, None] = {}
        self._public = PublicRest(feed, listed, self._now, self.exchange.statuses)
        sockets = partial(
            Sockets,
            clock_ns=self._now,
            buffer_bytes=config.buffer_bytes,
            cut_after_s=config.session_s,
        )
        self._open_sockets = sockets(Connection, self._answer_public, clients=self._public_clients)
        self._sockets = sockets(partial(_Private, self), self._answer_private, clients=user.clients)

    def _now(self) -> int:
        return self.service.server_time_ns(("", ""), "time")

    def issue_token(self, call: Call) -> Json:
        """Return GetWebSocketsToken."""
        return {"token": self.door.issue(call.key, self.exchange.now_ns), "expires": TOKEN_S}

    # ------------------------------------------------------------------ as a venue's side

    @property
    def clients(self) -> Iterable[Client]:
        """Return every open websocket connection."""
        return [*self._public_clients, *self.streams.clients]

    def routes(self) -> list[web.RouteDef]:
        """Return everything below ``/kraken``."""
        rest = KrakenRest(self._public, self.door, self._call_rest)
        return [
            web.get(PUBLIC, self._open_sockets.serve),
            web.get(PRIVATE, self._sockets.serve),
            *rest.routes(ROOT, BY_REST),
        ]

    def addresses(self, rest_url: str, ws_url: str) -> dict[str, str]:
        """Return the roots of REST and of both websockets."""
        return {
            "rest": f"{rest_url}{ROOT}",
            "ws": f"{ws_url}{PUBLIC}",
            "ws_api": f"{ws_url}{PRIVATE}",
        }

    def next_ns(self) -> int:
        """Return when ``advance`` may next have something."""
        return self.exchange.next_ns()

    def advance(self, until_ns: int) -> None:
        """Move its market, and publish what happens."""
        self.market.publish(self.exchange.advance(until_ns))

    def tick(self) -> None:
        """Send heartbeats."""
        before = self.market.second
        self.market.tick(self.exchange.now_ns)
        if self.market.second != before:
            for client in self.streams.clients:
                client.push(HEARTBEAT)

    # ------------------------------------------------------------------ requests

    async def _call_rest(self, key: ApiKey, name: str, params: Params, address: str) -> Any:  # noqa: ANN401 - JSON
        self.service.catch_up()
        endpoint = BY_REST[name]
        self.counters.call(key.key_id, endpoint.cost, self.exchange.now_ns)
        return endpoint.shape(await self._perform(endpoint.method, key, params, address))

    async def _perform(self, method: str, key: ApiKey, params: Params, address: str) -> Any:  # noqa: ANN401 - JSON
        if self.service.methods[method].trades and not key.may(Permission.TRADE):
            raise KrakenError("EGeneral:Permission denied")
        now_ns = self.service.server_time_ns((key.key_id, key.account), method)
        at_ns = params.deadline_ns(now_ns)
        call = Call(
            method=method,
            key=key,
            query=params,
            address=address,
            times=Deadline(at_ns) if at_ns else NO_TIMES,
            strict=False,
        )
        return await self.service.perform(call)

    async def _answer_private(
        self, connection: Connection, method: str, params: Json
    ) -> list[Json]:
        self.service.catch_up()
        token = params.pop("token", "")
        now_ns = self.exchange.now_ns
        key = self.door.open(token, now_ns, connection.tokens, connection.address)
        if method in {"subscribe", "unsubscribe"}:
            return [self._subscribe_private(connection, key, method, params)]
        name = BY_SOCKET.get(method)
        if name is None:
            raise KrakenError("Unsupported method")
        results: list[Json] = []
        for values in _each(method, params):
            asked = Params(values, self._public.symbols)
            answer = await self._perform(name, key, asked, connection.address)
            if isinstance(answer, dict):
                answer = {field: each for field, each in answer.items() if field != "descr"}
            results.append({"result": answer})
        return results

    def _subscribe_private(
        self, connection: Connection, key: ApiKey, method: str, params: Json
    ) -> Json:
        name = params.get("channel")
        if name not in PRIVATE_CHANNELS or not isinstance(connection, _Private):
            raise KrakenError("Channel not supported on a private connection")
        known = connection.subscriptions.get(name)
        if method == "unsubscribe":
            if known is None:
                raise KrakenError("Subscription not found")
            self.streams.remove(connection.subscriptions.pop(name), tell=False)
            return {"result": {"channel": name}}
        if known is not None:
            raise KrakenError("Already subscribed")
        subscription = KrakenSubscription(client=connection.client, key=key, channel=name)
        subscription.on_end = partial(connection.forget, name)
        connection.subscriptions[name] = subscription
        orders = params.get("snap_orders") is not False
        trades = params.get("snap_trades") is True
        result: Json = {"channel": name, "snapshot": True}
        if name == "executions":
            result = {
                "channel": name, "maxratecount": 180, "snap_orders": orders, "snap_trades": trades,
            }  # fmt: skip
        # Its acknowledgement comes first.
        _after(partial(self._user.begin, subscription, orders=orders, trades=trades))
        return {"result": result}

    async def _answer_public(self, connection: Connection, method: str, params: Json) -> list[Json]:
        self.service.catch_up()
        if method not in {"subscribe", "unsubscribe"}:
            raise KrakenError("Unsupported method")
        name, client = params.get("channel"), connection.client
        if name == "instrument":
            data = self.market.instruments()
            _after(lambda: self.market.tell(client, "instrument", data))
            return [{"result": {"channel": name, "snapshot": True}}]
        if name not in CHANNELS:
            raise KrakenError("Subscription name invalid")
        depth = 0
        if name == "book":
            text = str(params.get("depth") or DEPTHS[0])
            if not text.isdecimal() or int(text) not in DEPTHS:
                raise KrakenError("Subscription depth not supported")
            depth = int(text)
        symbols = params.get("symbol")
        if not isinstance(symbols, list) or not symbols:
            raise invalid("symbol")
        snapshot = None if method == "unsubscribe" else params.get("snapshot") is not False
        return [
            self._subscribe_public(client, name, str(each), depth, snapshot=snapshot)
            for each in symbols
        ]

    def _subscribe_public(
        self, client: Client, name: str, symbol: str, depth: int, *, snapshot: bool | None
    ) -> Json:
        """Subscribe, or with ``snapshot`` None unsubscribe."""
        if symbol not in self.exchange.rules:
            return {"error": f"Currency pair not supported {symbol}", "symbol": symbol}
        result: Json = {"channel": name, "symbol": symbol}
        if depth:
            result["depth"] = depth
        if snapshot is None:
            self.market.unsubscribe(client, name, symbol, depth)
            return {"result": result}
        _after(partial(self.market.subscribe, client, name, symbol, depth, snapshot=snapshot))
        return {"result": result | {"snapshot": snapshot}}


def _after(act: Callable[[], None]) -> None:
    """Do something once the answer has been handed over."""
    asyncio.get_running_loop().call_soon(act)


def _each(method: str, params: Json) -> list[Json]:
    """Return the parameters of every order that a request names: it gets an answer for each.

    Raises:
        KrakenError: a cancel names none.
    """
    if method != "cancel_order":
        return [params]
    found = [
        {name: str(each)}
        for name in ("order_id", "cl_ord_id")
        for each in params.get(name) or ()
        if isinstance(params.get(name), list)
    ]
    if not found:
        raise invalid("order_id")
    return found
