"""Puts Hyperliquid together: its market, public data, private protocol and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.simulator import markets
from citadel_micro.simulator.hyperliquid.actions import Actions
from citadel_micro.simulator.hyperliquid.allowance import Allowance
from citadel_micro.simulator.hyperliquid.door import Door, Http, WebSockets
from citadel_micro.simulator.hyperliquid.info import Info
from citadel_micro.simulator.hyperliquid.market import Market
from citadel_micro.simulator.hyperliquid.universe import QUOTE, Universe, flow_symbol, rules_of
from citadel_micro.simulator.hyperliquid.user_stream import HyperStreams
from citadel_micro.simulator.hyperliquid.wallets import Wallets
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.private.app import PrivateSide
from citadel_micro.simulator.private.venue import OrderLimit
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.config import SimulatorConfig
    from citadel_micro.simulator.private.method import Method
    from citadel_micro.simulator.private.venue import Venue
    from citadel_micro.simulator.venues import VenueParts

NAME: Final = "hyperliquid"
ROOT: Final = f"/{NAME}"
FEES: Final = FeePlan(maker_e8=15_000, taker_e8=45_000, asset="quote")
"""Of an ordinary account's perpetuals."""
WEIGHT_LIMIT: Final = 1_200
_NO_LIMIT: Final = 1 << 60
FUNDING_NS: Final = 3_600_000_000_000


def make_feed(config: SimulatorConfig, now_ns: int) -> Feed:
    """Return a market in USDC of the symbols of a simulator, with steps of this venue."""
    symbols = tuple(flow_symbol(name, deep_levels=config.deep_levels) for name in config.symbols)
    return markets.open_market(config, symbols, now_ns, NAME)


class Hyperliquid(PrivateSide):
    """As ``simulator.venues.VenueSide``."""

    def __init__(self, parts: VenueParts) -> None:
        """Open a wallet of USDC for every account: as much as it has of USDC, or of USDT."""
        config, members = parts.config, parts.members
        self._config = config
        self.feed = make_feed(config, parts.clock_ns())
        rules = {symbol: rules_of(spec) for symbol, spec in self.feed.specs.items()}
        exchange = FuturesExchange(self.feed, rules, funding_ns=FUNDING_NS)
        self.exchange = exchange
        for account in members.accounts.values():
            held = account.balances.get(QUOTE) or account.balances.get("USDT", 0)
            exchange.open_account(account.name, {QUOTE: held}, fees=FEES)
        self.universe = Universe(self.feed.specs)
        self.wallets = Wallets(members.accounts, members.ring)
        self.allowance = Allowance()
        self.market = Market(self.feed, exchange, self.universe)
        self.user = HyperStreams(exchange, self.universe, self.wallets, self.allowance)
        self.weights = RequestWeights(WEIGHT_LIMIT)
        super().__init__(
            exchange,
            members,
            self.weights,
            self.user,
            # Its own, in its own words, is in ``allowance``; a fault asks for an end of an interval.
            limits=(OrderLimit("DAY", 1, _NO_LIMIT, "1D"),),
            permission=Permission.FUTURES,
            methods=self._methods,
            clock_ns=parts.clock_ns,
            catch_up=parts.catch_up,
            publish=self.market.publish,
        )
        door = Door(self.service, self._info, self.universe, self.wallets, self.allowance)
        self._http = Http(door)
        self._sockets = WebSockets(
            door,
            self.market,
            self.user,
            (self.universe, self.wallets),
            buffer_bytes=config.buffer_bytes,
        )

    def _methods(self, venue: Venue) -> dict[str, Method]:
        actions = Actions(venue, self.exchange, self.universe, self.allowance, self._best)
        parts = (self.market, self.user, self.wallets, self.allowance)
        self._info = Info(venue, self.exchange, self.universe, parts, self._time_ms)
        return {each.name: each for each in (*actions.methods(), *self._info.methods())}

    def _best(self, symbol: str) -> tuple[int, int]:
        book = self.feed.book(symbol)
        return book.best("bid") or 0, book.best("ask") or 0

    def _time_ms(self) -> int:
        return self.service.server_time_ns(("", ""), "time") // 1_000_000

    # ------------------------------------------------------------------ as a venue's side

    @property
    def clients(self) -> Iterable[Client]:
        """Return every open websocket connection."""
        return tuple(self._sockets.clients)

    def routes(self) -> list[web.RouteDef]:
        """Return its endpoints."""
        return [
            web.post(f"{ROOT}/info", self._http.info),
            web.post(f"{ROOT}/exchange", self._http.exchange),
            web.get(f"{ROOT}/ws", self._sockets.serve),
        ]

    def addresses(self, rest_url: str, ws_url: str) -> dict[str, str]:
        """Return its roots by micro's settings, and each account's address and API wallet's key."""
        wallets = self.wallets.by_account.items()
        rest, socket = f"{rest_url}{ROOT}", f"{ws_url}{ROOT}/ws"
        return {
            "rest_url": rest,
            "ws_url": socket,
            "private_rest_url": rest,
            "ws_api_url": socket,
            **{f"{name}.account": wallet.address for name, wallet in wallets},
            **{f"{name}.private_key": wallet.agent.secret for name, wallet in wallets},
        }

    def next_ns(self) -> int:
        """Return when ``advance`` may next have something."""
        return self.exchange.next_ns()

    def advance(self, until_ns: int) -> None:
        """Move its market, and publish what happens."""
        if until_ns > self.exchange.now_ns:
            self.market.publish(self.exchange.advance(until_ns))

    def tick(self) -> None:
        """Do what goes by the clock."""
        self.market.tick(self.exchange.now_ns)
        self.user.tick(self.exchange.now_ns)
