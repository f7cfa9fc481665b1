"""Cancels open orders at OKX for a watchdog, over REST.

The venue's own timer does the same, later.
"""

from __future__ import annotations

from typing import Final

import msgspec

from citadel_micro.adapters.okx.codes import refusal
from citadel_micro.adapters.okx.requests import LIMITS, PAGE, TIME, OkxSigner
from citadel_micro.adapters.okx.search import MOST_PAGES
from citadel_micro.adapters.okx.session import OkxRest
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.cancel_desk import CancelAccount, RestingOrder
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.rest_cancel_desk import RestCancelDesk
from citadel_proto.errors import VenueViolation

_PENDING: Final = {"pending": 1}
_CANCELS: Final = ("cancels", 2)
_MOST_CANCELS: Final = 60
"""Of one instrument; here of all together."""


class _Open(msgspec.Struct):
    instId: str  # noqa: N815 - the venue's names
    ordId: str  # noqa: N815
    clOrdId: str = ""  # noqa: N815


class _OpenRows(msgspec.Struct):
    data: list[_Open]


class _Time(msgspec.Struct):
    ts: str


class _TimeRows(msgspec.Struct):
    data: list[_Time]


class OkxCancelDesk(RestCancelDesk):
    """As ``RestCancelDesk``.

    Args:
        account: and how it is reached.
    """

    def __init__(self, account: CancelAccount) -> None:
        budget = RequestBudget({**LIMITS, _CANCELS: _MOST_CANCELS})
        super().__init__(account, budget, refusal, _PENDING)
        self._rest = OkxRest(self._client, OkxSigner(account.key, self._clock))

    async def _measure(self) -> None:
        sent_ns = self._now()
        told = (await self._get(TIME, _TimeRows)).data
        if not told or not told[0].ts.isdecimal():
            raise VenueViolation("the venue's time is not as documented")
        self._clock.measured(sent_ns, int(told[0].ts) * MS)

    async def _listed(self) -> list[RestingOrder]:
        rows: list[_Open] = []
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            request = Request(
                purpose="cancel",  # what it lists is about to be canceled
                method="trade/orders-pending",
                params={"limit": str(PAGE), **after},  # of every kind
                costs=_PENDING,
            )
            page = (await self._get(request, _OpenRows)).data
            rows += page
            if len(page) < PAGE:
                break
            after = {"after": page[-1].ordId}
        return [
            RestingOrder(symbol=row.instId, venue_order_id=row.ordId, client_id=row.clOrdId)
            for row in rows
        ]

    def _cancels(self, order: RestingOrder) -> Request:
        return Request(
            purpose="cancel",
            method="trade/cancel-order",
            params={"instId": order.symbol, "ordId": order.venue_order_id},
            costs={"cancels": 1},
        )
