"""Cancels open orders at Kraken for a watchdog, over REST."""

from __future__ import annotations

import msgspec

from citadel_micro.adapters.kraken.codes import CALLS, refusal
from citadel_micro.adapters.kraken.orders import budget_of
from citadel_micro.adapters.kraken.requests import CANCEL
from citadel_micro.adapters.kraken.session import REST_TIMEOUT_S, KrakenRest, RestSigner
from citadel_micro.shell.venue.cancel_desk import CancelAccount, RestingOrder
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.rest_cancel_desk import RestCancelDesk

_OPEN_ORDERS = Request(
    purpose="cancel",  # what it lists is about to be canceled
    method="OpenOrders",
    params={},
    costs={CALLS: 1},
)


class _Described(msgspec.Struct, frozen=True):
    pair: str = ""


class _Order(msgspec.Struct):
    descr: _Described = _Described()
    cl_ord_id: str | None = None


class _Open(msgspec.Struct):
    open: dict[str, _Order]


class _Answer(msgspec.Struct):
    result: _Open


class KrakenCancelDesk(RestCancelDesk):
    """As ``RestCancelDesk``.

    Args:
        account: and how it is reached.
    """

    def __init__(self, account: CancelAccount) -> None:
        costs = _OPEN_ORDERS.costs
        super().__init__(account, budget_of({}), refusal, costs, timeout_s=REST_TIMEOUT_S)
        self._rest = KrakenRest(self._client, RestSigner(account.key))

    async def _measure(self) -> None:
        """Its calls are numbered, and carry no time."""

    async def _listed(self) -> list[RestingOrder]:
        rows = (await self._get(_OPEN_ORDERS, _Answer)).result.open
        return [
            RestingOrder(
                symbol=row.descr.pair, venue_order_id=order_id, client_id=row.cl_ord_id or ""
            )
            for order_id, row in rows.items()
        ]

    def _cancels(self, order: RestingOrder) -> Request:
        params = {"order_id": order.venue_order_id}
        return Request(purpose="cancel", method=CANCEL, params=params)
