"""Puts Binance USD-M together: its market, public data, private protocol and streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from citadel_micro.simulator.binance_usdm.account_json import margin_call
from citadel_micro.simulator.binance_usdm.algos import algo_update
from citadel_micro.simulator.binance_usdm.methods import methods
from citadel_micro.simulator.binance_usdm.public import WEBSOCKET_NAMES, WEIGHTS, UsdmRest
from citadel_micro.simulator.binance_usdm.streams import UsdmStreams
from citadel_micro.simulator.binance_usdm.user_stream import UsdmUserStreams
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.private.app import Membership, PrivateSide
from citadel_micro.simulator.private.intake import Intake
from citadel_micro.simulator.private.rest import PrivateRest
from citadel_micro.simulator.private.session import Session
from citadel_micro.simulator.private.venue import OrderLimit
from citadel_micro.simulator.private.ws_api import WebsocketApi
from citadel_micro.simulator.sockets import Sockets
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.config import SimulatorConfig

STREAMS = "/fstream"
_ASSETS = ("USDT", "BNB")


class BinanceUsdm(PrivateSide):
    """The futures market of a simulator."""

    def __init__(
        self,
        feed: Feed,
        exchange: FuturesExchange,
        config: SimulatorConfig,
        members: Membership,
        *,
        clock_ns: Callable[[], int],
        catch_up: Callable[[], None],
    ) -> None:
        """Open a futures wallet for every account: what it has of USDT and BNB on spot."""
        self.exchange = exchange
        self._config = config
        for account in members.accounts.values():
            held = {
                asset: account.balances[asset] for asset in _ASSETS if asset in account.balances
            }
            exchange.open_account(account.name, held, fees=account.futures_fees)
        user = UsdmUserStreams(exchange, life_ms=round(config.listen_key_s * 1000))
        self.user = user
        self.market = UsdmStreams(
            feed, exchange, user, drop_depth=config.faults.drop_depth, seed=config.seed
        )
        user.force_order = self.market.force_order
        self.weights = RequestWeights(config.futures_weight_limit)
        limits = (
            OrderLimit("SECOND", 10, config.futures_orders_10s, "10S"),
            OrderLimit("MINUTE", 1, config.futures_orders_minute, "1M"),
        )
        super().__init__(
            exchange,
            members,
            self.weights,
            user,
            limits=limits,
            permission=Permission.FUTURES,
            methods=lambda venue: methods(venue, exchange, user),
            clock_ns=clock_ns,
            catch_up=catch_up,
            publish=self.market.publish,
        )
        self.rest = UsdmRest(
            feed,
            exchange,
            self.weights,
            limits,
            lambda: self.service.server_time_ns(("", ""), "time"),
        )
        self.sockets = Sockets(self.market, config, lambda: clock_ns() // 1_000_000)

    def settle(self) -> None:
        """Publish what doors of the exchange made, conditional orders included."""
        super().settle()
        for algo in self.exchange.algos.drain():
            self.user.tell(algo.account_id, "ALGO", algo_update(self.exchange, algo))
        calls, self.exchange.margin_calls = self.exchange.margin_calls, []
        for account, symbols in calls:
            self.user.tell(account, "MARGIN", margin_call(self.exchange, account, symbols))

    def tick(self) -> None:
        """Do what goes by the clock."""
        self.market.tick(self.exchange.now_ns)
        self.user.tick()

    def routes(self) -> list[web.RouteDef]:
        """Return everything below ``/fapi``, ``/ws-fapi`` and ``/fstream``."""
        intake = Intake(self.service, self.rest.symbols, strict=False)
        open_methods = {
            name: (WEIGHTS[path], self.rest.table[path]) for name, path in WEBSOCKET_NAMES.items()
        }
        websocket = WebsocketApi(
            self.service,
            intake,
            open_methods,
            session=Session,
            version="v2/",
            buffer_bytes=self._config.buffer_bytes,
            cut_after_s=self._config.session_s,
        )
        plain, combined = self.sockets.plain, self.sockets.combined
        sockets = []
        for kind in ("", "/public", "/market", "/private"):
            sockets += [
                web.get(f"{STREAMS}{kind}/ws", plain),
                web.get(f"{STREAMS}{kind}/ws/{{streams:.*}}", plain),
                web.get(f"{STREAMS}{kind}/stream", combined),
            ]
        return [
            web.get("/ws-fapi/v1", websocket.serve),
            *sockets,
            *PrivateRest(self.service, intake).routes(),
            *self.rest.routes(),
        ]
