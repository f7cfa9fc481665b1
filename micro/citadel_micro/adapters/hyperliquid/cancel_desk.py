"""Cancels open orders at Hyperliquid for a watchdog, over HTTP, with an API wallet of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from citadel_micro.adapters.hyperliquid.codes import refusal
from citadel_micro.adapters.hyperliquid.margin import Meta
from citadel_micro.adapters.hyperliquid.messages import Order
from citadel_micro.adapters.hyperliquid.requests import LIMITS, TIME, HyperRequests, action, query
from citadel_micro.adapters.hyperliquid.session import HyperRest
from citadel_micro.adapters.hyperliquid.signing import ActionSigner
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.cancel_desk import CancelAccount, RestingOrder
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.rest_cancel_desk import RestCancelDesk

if TYPE_CHECKING:
    from citadel_micro.shell.venue.dialect import Request


class _Time(msgspec.Struct):
    time: int


class HyperCancelDesk(RestCancelDesk):
    """As ``RestCancelDesk``.

    Args:
        account: and how it is reached.
    """

    def __init__(self, account: CancelAccount) -> None:
        requests = HyperRequests({}, account.key.account.lower())
        self._listing = requests.of_user("frontendOpenOrders", "cancel")
        self._assets: dict[str, int] = {}
        super().__init__(account, RequestBudget(LIMITS), refusal, self._listing.costs)
        self._rest = HyperRest(self._client, ActionSigner(account.key, self._clock))

    async def _measure(self) -> None:
        sent_ns = self._now()
        told = await self._get(TIME, _Time)
        self._clock.measured(sent_ns, told.time * MS)

    async def _listed(self) -> list[RestingOrder]:
        rows = await self._get(self._listing, list[Order])
        if any(row.coin not in self._assets for row in rows):
            meta = await self._get(query("meta", purpose="cancel"), Meta)
            self._assets = {each.name: number for number, each in enumerate(meta.universe)}
        return [
            RestingOrder(symbol=row.coin, venue_order_id=str(row.oid), client_id=row.cloid or "")
            for row in rows
        ]

    def _cancels(self, order: RestingOrder) -> Request | str:
        asset = self._assets.get(order.symbol)
        if asset is None:
            return f"the venue does not list {order.symbol}: it is no perpetual"
        return action("cancel", "cancel", asset=asset, oid=int(order.venue_order_id))
