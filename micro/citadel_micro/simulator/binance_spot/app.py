"""Puts Binance spot's private side together: REST, websocket API and what needs no key there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from citadel_micro.simulator.binance_spot.methods import methods
from citadel_micro.simulator.binance_spot.session import SpotSession
from citadel_micro.simulator.binance_spot.user_stream import SpotStreams
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.private.app import Membership, PrivateSide
from citadel_micro.simulator.private.intake import Intake
from citadel_micro.simulator.private.rest import PrivateRest, respond
from citadel_micro.simulator.private.venue import OrderLimit
from citadel_micro.simulator.private.ws_api import WebsocketApi
from citadel_micro.simulator.public_weights import WEBSOCKET_NAMES, WEIGHTS
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.flow_feed import FeedEvent
    from citadel_micro.simulator.config import SimulatorConfig
    from citadel_micro.simulator.rest import Rest
    from citadel_micro.simulator.weights import RequestWeights


class BinanceSpot(PrivateSide):
    """The private side of the spot market."""

    def __init__(
        self,
        exchange: Exchange,
        config: SimulatorConfig,
        members: Membership,
        weights: RequestWeights,
        *,
        clock_ns: Callable[[], int],
        catch_up: Callable[[], None],
        publish: Callable[[list[FeedEvent]], None],
    ) -> None:
        """Open the accounts."""
        self._config = config
        for account in members.accounts.values():
            exchange.open_account(account.name, account.balances, fees=account.fees)
        super().__init__(
            exchange,
            members,
            weights,
            SpotStreams(),
            limits=(
                OrderLimit("SECOND", 10, config.orders_10s, "10S"),
                OrderLimit("DAY", 1, config.orders_day, "1D"),
            ),
            permission=Permission.TRADE,
            methods=methods,
            clock_ns=clock_ns,
            catch_up=catch_up,
            publish=publish,
        )

    def routes(self, public: Rest) -> list[web.RouteDef]:
        """Return the private endpoints; ``public`` answers what needs no key on the websocket."""
        intake = Intake(self.service, public.symbols)
        open_methods = {
            name: (WEIGHTS[path], public.table[path]) for name, path in WEBSOCKET_NAMES.items()
        }
        websocket = WebsocketApi(
            self.service,
            intake,
            open_methods,
            session=SpotSession,
            version="v3/",
            buffer_bytes=self._config.buffer_bytes,
            cut_after_s=self._config.session_s,
        )
        return [
            web.get("/ws-api/v3", websocket.serve),
            *PrivateRest(self.service, intake).routes(),
            web.get("/sapi/v1/system/status", _status),
            web.route("*", "/api/v3/userDataStream", _ended),
        ]


async def _status(_request: web.Request) -> web.Response:
    response = respond({"status": 0, "msg": "normal"})
    response.headers["X-SAPI-USED-IP-WEIGHT-1M"] = "1"
    return response


async def _ended(_request: web.Request) -> web.Response:
    """Listen keys ended in February 2026: always 410."""
    text = "This endpoint is gone; subscribe over the WebSocket API: userDataStream.subscribe."
    return respond(ApiError(-1020, text).body, status=410)
