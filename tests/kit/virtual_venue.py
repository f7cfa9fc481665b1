"""Binance's private protocols at the simulator in virtual time: spot, and USD-M.

What runs is the product on both ends: the adapter's requests as the bytes that it would send, the
simulator's parsing, checks, faults and answers. Only sockets are replaced (``virtual_wire``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from exchange_kit import synthetic
from spot_kit import demo_key

from citadel_micro.adapters.binance import orders as binance_orders
from citadel_micro.adapters.binance import usdm_orders
from citadel_micro.adapters.binance.instruments import binance_instruments
from citadel_micro.adapters.binance.orders import spot_adapter
from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.simulator.binance_spot.app import BinanceSpot
from citadel_micro.simulator.binance_usdm.app import BinanceUsdm
from citadel_micro.simulator.binance_usdm.exchange_info import exchange_info as usdm_exchange_info
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.exchange_info import exchange_info
from citadel_micro.simulator.private.app import Membership
from citadel_micro.simulator.rest import Rest
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from virtual_loop import VirtualLoop

    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import KeyKind
    from citadel_micro.shell.order_adapter import AdapterSetup
    from citadel_micro.shell.venue.adapter import LiveAdapter
    from citadel_micro.sim.exchange.model import Fill
    from citadel_micro.sim.flow_feed import Feed, FeedEvent
    from citadel_micro.simulator.accounts import AccountConfig
    from citadel_micro.simulator.fault_rules import FaultRules
    from citadel_micro.simulator.private.ws_api import WebsocketApi
    from citadel_micro.simulator.sockets import Sockets

ADDRESS: Final = "127.0.0.1"
REST_URL: Final = "http://127.0.0.1:1"
WS_URL: Final = "ws://127.0.0.1:1"


class VirtualVenue:
    """A venue with its protocol, in the time of a loop.

    Args:
        loop: whose time it has.
        seed: of the market and of the faults.
        listed: names of the simulated symbols, as in ``BTC/USDT``.
        account: the one account.
    """

    name: str
    abilities: VenueAbilities
    key_kinds: tuple[KeyKind, ...] = ("hmac", "ed25519")
    money = "USDT"
    margined = False
    """It has positions."""
    feed: Feed
    exchange: Any
    side: Any
    weights: RequestWeights

    def __init__(
        self, loop: VirtualLoop, seed: int, listed: tuple[str, ...], account: AccountConfig
    ) -> None:
        self.config = SimulatorConfig(
            seed=seed, symbols=listed, history_days=1, warm_minutes=0, accounts=(account,)
        )
        self.now = loop.now_ns
        self.members = Membership.of(self.config)
        self.keys = account.all_keys
        self.open()
        self.handlers: dict[tuple[str, str], Any] = {
            (each.method, each.path): cast(Any, each).handler for each in self.routes()
        }
        self.instruments: dict[str, Instrument] = self.read_rules()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Unified."""
        return tuple(self.unified(each) for each in self.feed.specs)

    @staticmethod
    def listed(symbol: str) -> str:
        """The exchange's own name of a unified symbol."""
        return symbol.partition(":")[0]

    def unified(self, listed: str) -> str:
        """The other way round."""
        return next(each for each in self.instruments if self.listed(each) == listed)

    @property
    def faults(self) -> FaultRules:
        """Of the exchange."""
        return self.members.faults

    @staticmethod
    def trade_name(fill: Fill) -> str:
        """What the venue calls a fill."""
        return str(fill.trade_id)

    def open(self) -> None:
        """Set ``feed``, ``exchange``, ``side`` and ``weights``."""
        raise NotImplementedError

    def routes(self) -> list[Any]:
        """Its endpoints."""
        raise NotImplementedError

    def read_rules(self) -> dict[str, Instrument]:
        """Trading rules, by unified symbol."""
        raise NotImplementedError

    def serve(self, connection: Any, path: str) -> Awaitable[None]:  # noqa: ANN401 - as a socket
        """Serve a websocket that has connected."""
        raise NotImplementedError

    def catch_up(self) -> None:
        """Move the market to now, and tell."""
        raise NotImplementedError

    def tick(self) -> None:
        """Do what goes by the clock."""
        self.catch_up()

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """The product's adapter of this venue."""
        raise NotImplementedError

    def forgive(self) -> None:
        """Take back what would end the trade for good: a revoked key, a ban."""
        for key in self.keys:
            if self.members.ring.get(key.key_id) is None:
                self.members.ring.add(key)
        self.weights.pardon(ADDRESS)


class VirtualSpot(VirtualVenue):
    """Binance spot."""

    name = "binance-spot"
    abilities = binance_orders.ABILITIES
    ws_api_path = "/ws-api/v3"

    def open(self) -> None:
        """As ``VirtualVenue``."""
        self.feed = synthetic(self.config.seed, self.config.symbols)
        self.prints: list[FeedEvent] = []
        self.exchange = Exchange(self.feed)
        self.weights = RequestWeights(self.config.weight_limit)
        self.side = BinanceSpot(
            self.exchange,
            self.config,
            self.members,
            self.weights,
            clock_ns=self.now,
            catch_up=self.catch_up,
            publish=self.prints.extend,
        )

    def routes(self) -> list[Any]:
        """As ``VirtualVenue``."""
        limits = (self.config.orders_10s, self.config.orders_day)
        rest = Rest(
            self.feed,
            self.exchange,
            self.weights,
            limits,
            lambda: self.side.service.server_time_ns(("", ""), "time"),
        )
        return [*self.side.routes(rest), *rest.routes()]

    def read_rules(self) -> dict[str, Instrument]:
        """As ``VirtualVenue``."""
        return {each.symbol: each for each in binance_instruments(self.name, self._rules())}

    def _rules(self) -> bytes:
        entries = [(rules, self.exchange.statuses[n]) for n, rules in self.exchange.rules.items()]
        limits = (self.config.weight_limit, self.config.orders_10s, self.config.orders_day)
        return msgspec.json.encode(exchange_info(entries, 0, limits))

    def serve(self, connection: Any, path: str) -> Awaitable[None]:  # noqa: ANN401 - as a socket
        """As ``VirtualVenue``."""
        assert path == self.ws_api_path, path
        websocket: WebsocketApi = self.handlers["GET", path].__self__
        return websocket.converse(connection, connection, address=ADDRESS, rate_limits=True)

    def catch_up(self) -> None:
        """As ``VirtualVenue``."""
        self.prints.extend(self.exchange.advance(self.now()))
        self.side.settle()
        self.prints.clear()

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """As ``VirtualVenue``."""
        return spot_adapter(setup, demo_key(kind), rest_url=REST_URL, ws_api_url=WS_URL)


class VirtualUsdm(VirtualSpot):
    """Binance USD-M: positions, listen keys, and marks on streams of their own."""

    name = "binance-usdm"
    abilities = usdm_orders.ABILITIES
    ws_api_path = "/ws-fapi/v1"
    margined = True
    leverage = 5

    def open(self) -> None:
        """As ``VirtualVenue``."""
        self.feed = synthetic(self.config.seed, self.config.symbols)
        self.exchange = FuturesExchange(self.feed)
        self.side = BinanceUsdm(
            self.feed,
            self.exchange,
            self.config,
            self.members,
            clock_ns=self.now,
            catch_up=self.catch_up,
        )
        self.weights = self.side.weights

    def routes(self) -> list[Any]:
        """As ``VirtualVenue``."""
        routes: list[Any] = self.side.routes()
        return routes

    def _rules(self) -> bytes:
        rest = self.side.rest
        entries = [(rules, self.exchange.statuses[n]) for n, rules in self.exchange.rules.items()]
        return msgspec.json.encode(usdm_exchange_info(entries, 0, 2_400, rest._limits))

    def serve(self, connection: Any, path: str) -> Awaitable[None]:  # noqa: ANN401 - as a socket
        """As ``VirtualVenue``."""
        if path == self.ws_api_path:
            return super().serve(connection, path)
        part, _slash, names = path.removeprefix("/fstream/").partition("/")
        combined = part == "market"
        asked = names.removeprefix("stream?streams=" if combined else "ws/").split("/")
        sockets: Sockets = self.side.sockets
        return sockets.converse(connection, connection, asked, combined=combined)

    def catch_up(self) -> None:
        """As ``VirtualVenue``."""
        self.side.market.publish(self.exchange.advance(self.now()))
        self.side.settle()

    def tick(self) -> None:
        """Do what goes by the clock: marks, listen keys."""
        self.catch_up()
        self.side.tick()

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """As ``VirtualVenue``."""
        return usdm_orders.usdm_adapter(
            setup,
            replace(demo_key(kind), venue=self.name),
            rest_url=REST_URL,
            ws_api_url=WS_URL,
            stream_url=f"{WS_URL}/fstream",
            leverage=self.leverage,
        )
