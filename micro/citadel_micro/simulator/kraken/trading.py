"""Methods that change orders: place, amend, cancel, cancel all, and the timer that cancels all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.simulator.kraken.counters import AMEND, CANCEL, Counters, by_age
from citadel_micro.simulator.kraken.errors import UNKNOWN_ORDER, KrakenError, invalid, refusal
from citadel_micro.simulator.kraken.names import make_id, number_of, order_name, stamp
from citadel_micro.simulator.kraken.order_json import client_id, description
from citadel_micro.simulator.kraken.params import Params
from citadel_micro.simulator.private.orders import cancel_order, note_new
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import Order
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
_SECOND_NS: Final = 1_000_000_000
LONGEST_TIMER_S: Final = 86_400


def params_of(call: Call) -> Params:
    """Return a call's parameters."""
    if not isinstance(call.query, Params):
        msg = f"{call.method}: parameters of another protocol"
        raise InvariantError(msg)
    return call.query


class Trading:
    """The methods, over one venue."""

    def __init__(self, venue: Venue, counters: Counters) -> None:
        """Trade there."""
        self._venue = venue
        self._counters = counters
        self._timers: dict[str, int] = {}
        """Account -> number of its newest timer: only that one fires."""

    def place(self, call: Call) -> Json:
        """Place an order; with ``validate`` only check it."""
        venue, params = self._venue, params_of(call)
        call.times.check(venue.now_ns)  # the matching engine's, however late it came here
        request = params.order()
        self._counters.trade(call.account, request.symbol, 1, venue.now_ns, cancels=False)
        try:
            if params.is_set("validate"):
                venue.exchange.check(call.account, request)
                return {}
            done = venue.exchange.place(call.account, request)
        except OrderRefused as refused:
            raise refusal(refused) from refused
        note_new(venue, call, done.order)
        return _named(done.order) | {
            "descr": {"order": description(venue.spec(request.symbol), done.order)}
        }

    def amend(self, call: Call) -> Json:
        """Change an order's quantity and price under its id."""
        venue, params = self._venue, params_of(call)
        call.times.check(venue.now_ns)
        order = self._open(call, params.word("order_id", "txid"), params.client_id())
        age_ns = venue.now_ns - order.time_ns
        cost = 1 + by_age(AMEND, age_ns)
        self._counters.trade(call.account, order.symbol, cost, venue.now_ns, cancels=False)
        quantity = params.amount_e8("order_qty")
        price = params.amount_e8("limit_price")
        if not quantity and not price:
            raise invalid("order_qty")
        lot = venue.spec(order.symbol).lot_e8
        try:
            changed = venue.exchange.amend(
                call.account,
                order.symbol,
                order_id=order.order_id,
                quantity_e8=quantity or order.lots * lot,
                price_e8=price,
                post_only=params.is_set("post_only"),
            )
        except OrderRefused as refused:
            raise refusal(refused) from refused
        return {"amend_id": make_id("A", changed.order_id * 1_000 + changed.amends)} | _named(
            changed
        )

    def cancel(self, call: Call) -> Json:
        """Cancel one order."""
        venue, params = self._venue, params_of(call)
        order = self._open(call, params.word("order_id", "txid"), params.client_id())
        cost = by_age(CANCEL, venue.now_ns - order.time_ns)
        self._counters.trade(call.account, order.symbol, cost, venue.now_ns, cancels=True)
        try:
            done = cancel_order(
                venue, call, order.symbol, order_id=order.order_id, client_id="", name="API"
            )
        except OrderRefused as refused:
            raise refusal(refused) from refused
        return _named(done)

    def cancel_all(self, call: Call) -> Json:
        """Cancel every open order of the account."""
        return {"count": self._cancel_all(call.account, "API")}

    def _cancel_all(self, account: str, by: str) -> int:
        exchange = self._venue.exchange
        count = 0
        for order in exchange.open_orders(account):
            if order.order_id in self._venue.confirmed:
                continue
            try:
                exchange.cancel(account, order.symbol, order_id=order.order_id, cancel_id=by)
            except OrderRefused:
                continue  # its market is closed
            count += 1
        return count

    def cancel_all_after(self, call: Call) -> Json:
        """Set the timer after which every order of the account is canceled; 0 ends it."""
        venue, params = self._venue, params_of(call)
        if not params.word("timeout"):
            raise invalid("timeout")
        timeout = params.whole("timeout", 0)
        if timeout > LONGEST_TIMER_S:
            raise invalid("timeout")
        account = call.account
        number = self._timers[account] = self._timers.get(account, 0) + 1

        def fire() -> None:
            if self._timers[account] == number:
                self._cancel_all(account, "TIMER")

        if timeout:
            venue.later(timeout, fire)
        ends = stamp(venue.now_ns + timeout * _SECOND_NS)[:-8] + "Z" if timeout else "0"
        return {"currentTime": stamp(venue.now_ns)[:-8] + "Z", "triggerTime": ends}

    def _open(self, call: Call, name: str, client: str) -> Order:
        """Return an open order by either id.

        Raises:
            KrakenError: there is none.
        """
        order_id = number_of(name, "O")
        if not order_id and not client:
            raise KrakenError(UNKNOWN_ORDER if name else "EGeneral:Invalid arguments")
        for order in self._venue.exchange.open_orders(call.account):
            if order.order_id == order_id or (not name and order.client_id == client):
                return order
        raise KrakenError(UNKNOWN_ORDER)


def _named(order: Order) -> Json:
    name = client_id(order)
    return {"order_id": order_name(order.order_id)} | ({"cl_ord_id": name} if name else {})
