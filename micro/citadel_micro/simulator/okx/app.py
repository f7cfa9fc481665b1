"""Puts OKX together: a market of its own, public data, private protocol and channels. Spot here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.okx.channels import Channels
from citadel_micro.simulator.okx.desk import Desk
from citadel_micro.simulator.okx.limits import RateLimits
from citadel_micro.simulator.okx.methods import methods
from citadel_micro.simulator.okx.names import Names
from citadel_micro.simulator.okx.public import Public
from citadel_micro.simulator.okx.records import Records
from citadel_micro.simulator.okx.rest import OkxRest
from citadel_micro.simulator.okx.socket import Sockets
from citadel_micro.simulator.okx.trading import Trading
from citadel_micro.simulator.okx.user_stream import OkxStreams
from citadel_micro.simulator.private.app import PrivateSide
from citadel_micro.simulator.private.venue import OrderLimit
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.accounts import AccountConfig
    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.config import SimulatorConfig
    from citadel_micro.simulator.private.method import Method
    from citadel_micro.simulator.private.venue import Venue
    from citadel_micro.simulator.venues import VenueParts

_NO_LIMIT = 1 << 60
"""OKX counts requests by endpoint (``limits``), not by weight."""


class Okx(PrivateSide):
    """The venue, as ``simulator.venues.VenueSide``."""

    name = "okx"
    path = ""
    kind = Permission.TRADE
    exchange: Exchange
    public: Public
    private: OkxStreams
    channels: Channels

    def __init__(self, parts: VenueParts) -> None:
        """Open the accounts."""
        config = parts.config
        feed = self.feed = parts.market(self.name)
        self._make(parts, feed)
        for account in parts.members.accounts.values():
            self._open(account)
        names = Names(rules.spec for rules in self.exchange.rules.values())
        self._show(feed, names, config)
        public, streams = self.public, self.private

        def made(venue: Venue) -> Mapping[str, Method]:
            return self._methods(venue)

        super().__init__(
            self.exchange,
            parts.members,
            RequestWeights(_NO_LIMIT),
            streams,
            # What the common parts count; OKX's own limits are in ``limits``.
            limits=(
                OrderLimit("SECOND", 10, _NO_LIMIT, "10S"),
                OrderLimit("DAY", 1, _NO_LIMIT, "1D"),
            ),
            permission=self.kind,
            methods=made,
            clock_ns=parts.clock_ns,
            catch_up=parts.catch_up,
            publish=self.channels.publish,
        )
        self.service.status_field = "state"
        limits = RateLimits()
        desk = Desk(self.service, names, limits)
        self._rest = OkxRest(desk, public, limits, path=self.path)
        self._sockets = Sockets(
            desk,
            self.channels,
            streams,
            buffer_bytes=config.buffer_bytes,
            cut_after_s=config.session_s,
        )

    def _make(self, parts: VenueParts, feed: Feed) -> None:
        """Make the exchange."""
        del parts
        rules = {
            symbol: replace(
                SymbolRules.of(spec), in_place=True, accepts_takers=True, min_notional_e8=0
            )
            for symbol, spec in feed.specs.items()
        }
        self.exchange = Exchange(feed, rules)

    def _open(self, account: AccountConfig) -> None:
        """Open an account."""
        self.exchange.open_account(account.name, account.balances, fees=account.fees)

    def _show(self, feed: Feed, names: Names, config: SimulatorConfig) -> None:
        """Make what shows the exchange: its public data, its channels, its accounts' events."""
        self.public = Public(feed, self.exchange, names)
        self.channels = Channels(
            feed, self.public, names, drop=config.faults.drop_depth, seed=config.seed
        )
        self.private = OkxStreams(self.exchange)

    def _methods(self, venue: Venue) -> Mapping[str, Method]:
        """Make the private requests."""
        self.trading = self.private.trading = Trading(venue)
        return methods(self.trading, Records(venue, self.trading))

    @property
    def clients(self) -> Iterable[Client]:
        """Return every open websocket."""
        return self._sockets.clients

    def routes(self) -> list[web.RouteDef]:
        """Return everything below ``/api/v5`` and ``/ws/v5``."""
        return [*self._rest.routes(), *self._sockets.routes()]

    def addresses(self, rest_url: str, ws_url: str) -> dict[str, str]:
        """Return where clients find it, by the names of micro's settings."""
        return {
            "rest_url": rest_url,
            "ws_url": f"{ws_url}/ws/v5/public",
            "private_rest_url": rest_url,
            "ws_api_url": f"{ws_url}/ws/v5/private",
        }

    def next_ns(self) -> int:
        """Return when ``advance`` may next have something."""
        return self.exchange.next_ns()

    def advance(self, until_ns: int) -> None:
        """Move the market, and cancel where a timer has run out."""
        self.channels.publish(self.exchange.advance(until_ns))
        self.trading.run_timers()

    def tick(self) -> None:
        """Send what goes by the clock."""
        self.channels.tick(self.exchange.now_ns)
