"""Puts Bybit together: a spot market of its own, public data, private protocol and streams."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import web

from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.simulator.bybit.intake import Intake
from citadel_micro.simulator.bybit.methods import methods
from citadel_micro.simulator.bybit.order_json import SPOT
from citadel_micro.simulator.bybit.private_api import PrivateApi, TradeSocket
from citadel_micro.simulator.bybit.private_streams import BybitStreams, PrivateSocket
from citadel_micro.simulator.bybit.public import Public
from citadel_micro.simulator.bybit.public_streams import PublicSocket
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.private.app import PrivateSide
from citadel_micro.simulator.private.venue import OrderLimit
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.accounts import AccountConfig
    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.private.method import Method
    from citadel_micro.simulator.private.venue import Venue
    from citadel_micro.simulator.venues import VenueParts

NAME: Final = "bybit"
_ADDRESS_LIMIT: Final = 7_200
"""Requests of an address in a minute: Bybit allows 600 in 5 s."""
_MOST_AMENDS: Final = 10_000
_MOST_ORDERS: Final = 500


class Bybit:
    """The venue: as ``simulator.venues.VenueSide``."""

    name = NAME
    path = ""
    market = SPOT
    permission = Permission.TRADE
    exchange: Exchange
    streams: BybitStreams
    public_socket: PublicSocket
    public_kind: type[Public] = Public

    def __init__(self, setup: VenueParts) -> None:
        """Open the accounts, with as much as they have at Binance."""
        config, feed = setup.config, setup.market(self.name)
        self.feed = feed
        self._make(setup, feed)
        for account in setup.members.accounts.values():
            self._open(account)
        self.side = PrivateSide(
            self.exchange,
            setup.members,
            RequestWeights(_ADDRESS_LIMIT),
            self.streams,
            limits=(
                OrderLimit("SECOND", 10, config.orders_10s, "10S"),
                OrderLimit("DAY", 1, config.orders_day, "1D"),
            ),
            permission=self.permission,
            methods=self.methods,
            clock_ns=setup.clock_ns,
            catch_up=setup.catch_up,
            publish=self.public_socket.publish,
        )
        service = self.side.service
        service.status_field = "orderStatus"
        self.public = self.public_kind(
            feed,
            self.exchange,
            lambda: service.server_time_ns(("", ""), "time"),
            setup.catch_up,
        )
        intake = Intake(service, self.public.symbols, self.permission)
        self._api = PrivateApi(service, intake)
        buffer, age = config.buffer_bytes, config.session_s
        self._trade = TradeSocket(self._api, buffer_bytes=buffer, cut_after_s=age)
        self._private = PrivateSocket(service, intake, buffer_bytes=buffer, cut_after_s=age)

    def _make(self, parts: VenueParts, feed: Feed) -> None:
        """Make the exchange, its streams, and what it publishes."""
        self.exchange = Exchange(
            feed,
            {
                symbol: replace(
                    SymbolRules.of(spec),
                    max_amends=_MOST_AMENDS,
                    max_orders=_MOST_ORDERS,
                    default_stp="NONE",
                    in_place=True,
                    accepts_takers=True,
                )
                for symbol, spec in feed.specs.items()
            },
        )
        self.streams = BybitStreams()
        self.public_socket = PublicSocket(feed, self.exchange, parts.config)

    def _open(self, account: AccountConfig) -> None:
        """Open an account, whose fees are taken from what it receives."""
        fees = replace(account.fees, asset="received")
        self.exchange.open_account(account.name, account.balances, fees=fees)

    def methods(self, venue: Venue) -> dict[str, Method]:
        """Return every signed method."""
        return methods(venue)

    @property
    def clients(self) -> Iterable[Client]:
        """Return every open websocket."""
        return [
            *self.public_socket.clients,
            *self._trade.clients,
            *self._private.clients,
        ]

    def topics(self, account: str) -> set[str]:
        """Return the private topics that clients of an account have subscribed to."""
        return self.streams.topics(account)

    def routes(self) -> list[web.RouteDef]:
        """Return everything below ``/v5``."""
        return [
            web.get(f"/v5/public/{self.market}", self.public_socket.serve),
            web.get("/v5/private", self._private.serve),
            web.get("/v5/trade", self._trade.serve),
            *self.public.routes(),
            *self._api.routes(),
        ]

    def addresses(self, rest_url: str, ws_url: str) -> dict[str, str]:
        """Return where clients find it, by the names of micro's settings."""
        rest, ws = f"{rest_url}{self.path}", f"{ws_url}{self.path}"
        return {
            "rest_url": rest,
            "ws_url": f"{ws}/v5/public/{self.market}",
            "private_rest_url": rest,
            "ws_api_url": f"{ws}/v5/trade",
            "private_ws_url": f"{ws}/v5/private",
        }

    def advance(self, until_ns: int) -> None:
        """Move its market, and publish what happens."""
        self.public_socket.publish(self.exchange.advance(until_ns))
        self.settle()

    def next_ns(self) -> int:
        """Return when ``advance`` may next have something."""
        return self.exchange.next_ns()

    def settle(self) -> None:
        """Publish what calls have made."""
        self.side.settle()

    def tick(self) -> None:
        """Do what goes by the clock."""
        self.public_socket.tick()
