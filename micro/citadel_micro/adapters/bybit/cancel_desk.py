"""Cancels open orders at Bybit for a watchdog, over REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.bybit.codes import refusal
from citadel_micro.adapters.bybit.orders import bybit_signer
from citadel_micro.adapters.bybit.requests import LIMITS, LINEAR, ORDERS_PAGE, SPOT
from citadel_micro.adapters.bybit.search import MOST_PAGES
from citadel_micro.adapters.bybit.session import BybitRest
from citadel_micro.shell.venue.cancel_desk import CancelAccount, RestingOrder
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.rest_cancel_desk import RestCancelDesk

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTLE: Final = ("USDT", "USDC")
"""Orders of perpetuals are listed by their settle currency."""
_LISTING: Final = {"queries": 1, "requests": 1}


class _Open(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: str
    order_link_id: str = ""


class _Page(msgspec.Struct, rename="camel"):
    rows: list[_Open] = msgspec.field(name="list")
    next_page_cursor: str = ""


class _Answer(msgspec.Struct):
    result: _Page


class BybitCancelDesk(RestCancelDesk):
    """As ``RestCancelDesk``; conditional orders, which micro never places, stay.

    Args:
        account: and how it is reached.
    """

    _rest: BybitRest

    def __init__(self, account: CancelAccount) -> None:
        super().__init__(account, RequestBudget(LIMITS), refusal, _LISTING)
        self._category = SPOT if account.key.venue.endswith(SPOT) else LINEAR
        self._listings: list[dict[str, str]] = [{}]
        if self._category == LINEAR:
            self._listings = [{"settleCoin": coin} for coin in SETTLE]
        self._rest = BybitRest(
            self._client, bybit_signer(account.key, self._clock), self._clock, self._budget
        )

    async def _measure(self) -> None:
        await self._rest.measure(self._now)

    async def _listed(self) -> list[RestingOrder]:
        found: list[RestingOrder] = []
        for chosen in self._listings:
            cursor = ""
            for _ in range(MOST_PAGES):
                page = await self._page({**chosen, "cursor": cursor} if cursor else chosen)
                found += [
                    RestingOrder(
                        symbol=row.symbol,
                        venue_order_id=row.order_id,
                        client_id=row.order_link_id,
                    )
                    for row in page.rows
                ]
                cursor = page.next_page_cursor
                if not cursor or not page.rows:
                    break
        return found

    async def _page(self, chosen: Mapping[str, str]) -> _Page:
        params: dict[str, str | int] = {
            "category": self._category,
            "limit": ORDERS_PAGE,
            **chosen,
        }
        # What it lists is about to be canceled.
        request = Request(purpose="cancel", method="realtime", params=params, costs=_LISTING)
        return (await self._get(request, _Answer)).result

    def _cancels(self, order: RestingOrder) -> Request:
        return Request(
            purpose="cancel",
            method="order.cancel",
            params={
                "category": self._category,
                "symbol": order.symbol,
                "orderId": order.venue_order_id,
            },
            costs={"cancels": 1, "requests": 1},
        )
