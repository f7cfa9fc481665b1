"""Cancels open orders at Binance spot for a watchdog, over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.error_codes import refusal
from citadel_micro.adapters.binance.orders import LIMITS
from citadel_micro.adapters.binance.spot_requests import OPEN_ORDERS_ALL, ROUTES, TIME, SpotSigner
from citadel_micro.adapters.binance.spot_session import SpotRest
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.cancel_desk import CancelAccount, RestingOrder
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.rest_cancel_desk import RestCancelDesk
from citadel_micro.shell.venue.signing import signer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPEN_ORDERS: Final = Request(
    purpose="cancel",  # what it lists is about to be canceled
    method="openOrders.status",
    params={},
    costs={"weight": OPEN_ORDERS_ALL},
)


class _Open(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: int
    client_order_id: str = ""


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


class SpotCancelDesk(RestCancelDesk):
    """As ``RestCancelDesk``.

    Args:
        account: and how it is reached.
    """

    listing = _OPEN_ORDERS
    time = TIME
    limits: Mapping[tuple[str, int], int] = LIMITS
    routes: Mapping[str, tuple[str, str]] = ROUTES

    def __init__(self, account: CancelAccount) -> None:
        super().__init__(account, RequestBudget(self.limits), refusal, self.listing.costs)
        key = account.key
        self._rest = SpotRest(
            self._client,
            SpotSigner(key, signer_of(key), self._clock, self.routes),
            self._clock,
            self._budget,
            self.routes,
        )

    async def _measure(self) -> None:
        sent_ns = self._now()
        told = await self._get(self.time, _Time)
        self._clock.measured(sent_ns, told.server_time * MS)

    async def _listed(self) -> list[RestingOrder]:
        return [
            RestingOrder(
                symbol=row.symbol,
                venue_order_id=str(row.order_id),
                client_id=row.client_order_id,
            )
            for row in await self._get(self.listing, list[_Open])
        ]

    def _cancels(self, order: RestingOrder) -> Request:
        return Request(
            purpose="cancel",
            method="order.cancel",
            params={"symbol": order.symbol, "orderId": int(order.venue_order_id)},
            costs={"weight": 1},
        )
