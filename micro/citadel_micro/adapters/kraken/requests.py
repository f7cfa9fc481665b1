"""Kraken's requests: their names, parameters and costs; orders over the websocket, queries over REST.

Source: the v2 websocket's pages ``add_order``, ``amend_order``, ``cancel_order`` and
``cancel_all_orders_after``, and those of the REST API of the same names. Never ``edit_order``,
which cancels and places anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.kraken.codes import CALLS
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.decimal_text import DecimalText
from citadel_micro.shell.venue.dialect import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.order_ids import OurOrder
    from citadel_micro.shell.venue.request_budget import Purpose

PLACE: Final = "add_order"
AMEND: Final = "amend_order"
CANCEL: Final = "cancel_order"
TIMER: Final = "cancel_all_orders_after"
OVER_WEBSOCKET: Final = frozenset({PLACE, AMEND, CANCEL, TIMER})
_AMEND_COSTS: Final = ((5, 3), (10, 2), (15, 1))
"""Younger than so many seconds -> that much, besides 1 ("Trading rate limits")."""
_CANCEL_COSTS: Final = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
DEEP: Final = 2
"""What a search among all trades costs at least: their first page."""
MOST_IDS: Final = 50
"""Orders in one QueryOrders."""
TIME: Final = Request(purpose="upkeep", method="Time", params={}, signed=False)


def trading(symbol: str) -> str:
    """The counter of orders in one pair."""
    return f"trading {symbol}"


class KrakenRequests:
    """Builds the requests about the orders of some instruments.

    Args:
        instruments: by unified symbol.
        theirs: our client order id in the venue's form.
        now: engine time in ns.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        theirs: Callable[[str], str],
        now: Callable[[], int],
    ) -> None:
        self._rules = {
            symbol: (each, DecimalText(each.tick), DecimalText(each.lot))
            for symbol, each in instruments.items()
        }
        self.theirs = theirs
        self._now = now

    def place(self, order: PlaceOrder) -> Request:
        """A limit order: good till canceled, immediate or cancel, or post-only."""
        rules, ticks, lots = self._rules[order.symbol]
        params: dict[str, str | int] = {
            "cl_ord_id": self.theirs(order.client_id),
            # Otherwise the fee of a sell is taken in the coin that is sold.
            "fee_preference": "quote",
            "limit_price": ticks.text(order.price_ticks),
            "order_qty": lots.text(order.quantity_lots),
            "order_type": "limit",
            "side": order.side,
            "stp_type": "cancel_newest",
            "symbol": rules.venue_symbol,
            "time_in_force": order.time_in_force.lower(),
        }
        if order.post_only:
            params["post_only"] = True
        return Request(
            purpose="place",
            method=PLACE,
            params=params,
            costs={trading(order.symbol): 1},
            expires_ns=order.expires_ns,
        )

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request:
        """Change price and quantity under the same id; it keeps its place where that is possible."""
        _, ticks, lots = self._rules[command.symbol]
        params: dict[str, str | int] = {
            **self._name(command.client_id, order),
            "limit_price": ticks.text(command.price_ticks),
            "order_qty": lots.text(command.quantity_lots),
        }
        if command.post_only:
            params["post_only"] = True
        return Request(
            purpose="amend",
            method=AMEND,
            params=params,
            costs={trading(command.symbol): 1 + self._by_age(_AMEND_COSTS, order)},
            expires_ns=command.expires_ns,
        )

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """By the venue's id where it is known."""
        return Request(
            purpose="cancel",
            method=CANCEL,
            params=self._name(command.client_id, order),
            costs={trading(command.symbol): self._by_age(_CANCEL_COSTS, order)},
        )

    def _name(self, client_id: str, order: OurOrder | None) -> dict[str, str | int]:
        if order is not None and order.venue_order_id:
            return {"order_id": order.venue_order_id}
        return {"cl_ord_id": self.theirs(client_id)}

    def _by_age(self, costs: tuple[tuple[int, int], ...], order: OurOrder | None) -> int:
        """What the age of an order makes a request cost; the most where it is not known."""
        age_ns = 0 if order is None or not order.placed_ns else self._now() - order.placed_ns
        return next((cost for limit, cost in costs if age_ns < limit * SECOND), 0)

    # queries

    def order(self, *venue_order_ids: str, purpose: Purpose = "query") -> Request:
        """Orders by the venue's ids, with the ids of their trades."""
        return query("QueryOrders", purpose=purpose, txid=",".join(venue_order_ids), trades="true")

    def open_orders(self) -> Request:
        """All of them."""
        return query("OpenOrders", purpose="audit", trades="true")

    def open_of(self, client_id: str, *, deep: bool) -> Request:
        """The open order of this name.

        It is charged for the calls that follow where it finds nothing, which are then free: half a
        search would spend again and again what the other half lacks.
        """
        cost = 2 + DEEP if deep else 2
        return query("OpenOrders", cost, trades="true", cl_ord_id=self.theirs(client_id))

    def closed_of(self, client_id: str) -> Request:
        """The closed orders of this name."""
        return query("ClosedOrders", 0, trades="true", cl_ord_id=self.theirs(client_id))

    def trades(self, trade_ids: list[str]) -> Request:
        """Trades by their ids."""
        return query("QueryTrades", txid=",".join(trade_ids))

    def trades_since(
        self, start_s: str, offset: int, *, purpose: Purpose = "audit", paid: bool = False
    ) -> Request:
        """All trades after a time in seconds, the newest first, 50 a page."""
        cost = 0 if paid else 2
        return query(
            "TradesHistory", cost, purpose=purpose, start=start_s, ofs=str(offset), trades="false"
        )

    def balances(self) -> Request:
        """Totals, and what orders hold."""
        return query("BalanceEx", purpose="audit")


def query(name: str, cost: int = 1, *, purpose: Purpose = "query", **params: str) -> Request:
    """A signed call over REST."""
    return Request(purpose=purpose, method=name, params=params, costs={CALLS: cost})


def timer(seconds: int) -> Request:
    """Cancel all orders of the account after so many seconds of silence; 0 ends it."""
    return Request(purpose="upkeep", method=TIMER, params={"timeout": seconds})
