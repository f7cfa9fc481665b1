"""Methods that change orders: place, test, modify, cancel, cancel all, batches, the countdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.simulator.binance_usdm import order_json
from citadel_micro.simulator.binance_usdm.order_params import (
    amount,
    check_position_side,
    is_result,
    order_name,
    read_order,
    side_of,
)
from citadel_micro.simulator.binance_usdm.refusals import Doing, refusal
from citadel_micro.simulator.binance_usdm.texts import plain
from citadel_micro.simulator.private.orders import cancel_order, note_new
from citadel_micro.simulator.private.params import order_number
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.simulator.binance_usdm.settings import Settings
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
WhatT = TypeVar("WhatT")
_MS_NS: Final = 1_000_000
_LARGEST_BATCH: Final = 5
_LARGEST_CANCEL_BATCH: Final = 10


class Trading:
    """The methods, over one venue."""

    def __init__(self, venue: Venue, exchange: FuturesExchange, settings: Settings) -> None:
        """Trade there."""
        self._venue = venue
        self._exchange = exchange
        self._settings = settings

    def place(self, call: Call) -> Json:
        """Place an order."""
        return self._place(call, call.query)

    def _place(self, call: Call, query: Query) -> Json:
        exchange, venue = self._exchange, self._venue
        request = read_order(query, exchange.rules.__getitem__, venue.now_ns)
        check_position_side(query, hedged=self._settings.of(call.account).hedged)
        result = is_result(query)
        venue.check_order_count(call.account)
        try:
            done = exchange.place(call.account, request)
        except OrderRefused as refused:
            raise self._refusal(refused, "place", request.symbol) from refused
        note_new(venue, call, done.order)
        return order_json.placed(venue.spec(request.symbol), done.order, result=result)

    def _refusal(self, refused: OrderRefused, doing: Doing, symbol: str) -> ApiError:
        least = plain(self._exchange.rules[symbol].min_notional_e8)
        return refusal(refused, doing, min_notional=least)

    def test(self, call: Call) -> Json:
        """Judge an order without placing it."""
        request = read_order(call.query, self._exchange.rules.__getitem__, self._venue.now_ns)
        check_position_side(call.query, hedged=self._settings.of(call.account).hedged)
        is_result(call.query)
        try:
            self._exchange.check(call.account, request)
        except OrderRefused as refused:
            raise self._refusal(refused, "place", request.symbol) from refused
        return {}

    # ------------------------------------------------------------------ modify

    def modify(self, call: Call) -> Json:
        """Change an order's price and total quantity; it goes to the back of the queue."""
        return self._modify(call, call.query)

    def _modify(self, call: Call, query: Query) -> Json:
        exchange, venue = self._exchange, self._venue
        symbol, order_id, name = which_order(query)
        spec = venue.spec(symbol)
        side = side_of(query)
        quantity = amount(
            query, "quantity", spec.lot_e8, ApiError(-4003, "Quantity less than or equal to zero.")
        )
        price = amount(query, "price", spec.tick_e8, ApiError(-4001, "Price less than 0."))
        venue.check_order_count(call.account)
        try:
            order = exchange.order(call.account, symbol, order_id=order_id, client_id=name)
            if not order.open or order.order_id in venue.confirmed:
                raise ApiError(-2013, "Order does not exist.")
            if order.side != side:
                raise ApiError(-1117, "Invalid side.")
            if (order.lots * spec.lot_e8, order.ticks * spec.tick_e8) == (quantity, price):
                raise ApiError(-5027, "No need to modify the order.")
            order = exchange.amend(
                call.account,
                symbol,
                order_id=order.order_id,
                quantity_e8=quantity,
                price_e8=price,
            )
        except OrderRefused as refused:
            raise self._refusal(refused, "query", symbol) from refused
        return order_json.changed(spec, order)

    # ------------------------------------------------------------------ cancel

    def cancel(self, call: Call) -> Json:
        """Cancel an order."""
        symbol, order_id, name = which_order(call.query)
        return self._cancel(call, symbol, order_id, name)

    def _cancel(self, call: Call, symbol: str, order_id: int, name: str) -> Json:
        try:
            order = cancel_order(self._venue, call, symbol, order_id=order_id, client_id=name)
        except OrderRefused as refused:
            raise self._refusal(refused, "cancel", symbol) from refused
        return order_json.changed(self._venue.spec(symbol), order)

    def cancel_all(self, call: Call) -> Json:
        """Cancel all open orders of a symbol; that there are none is no error."""
        symbol = call.query.symbol()
        venue = self._venue
        for order in self._exchange.open_orders(call.account, symbol):
            if order.order_id not in venue.confirmed:
                try:
                    self._exchange.cancel(call.account, symbol, order_id=order.order_id)
                except OrderRefused as refused:
                    raise self._refusal(refused, "cancel", symbol) from refused
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def count_down(self, call: Call) -> Json:
        """Cancel all orders of a symbol after a time, unless told again; 0 stops that."""
        symbol = call.query.symbol()
        time_ms = call.query.integer("countdownTime")
        if time_ms is None:
            call.query.text("countdownTime")
            time_ms = 0
        self._exchange.count_down(call.account, symbol, time_ms * _MS_NS)
        return {"symbol": self._venue.spec(symbol).venue_symbol, "countdownTime": str(time_ms)}

    # ------------------------------------------------------------------ batches

    def place_batch(self, call: Call) -> list[Json]:
        """Place up to five orders, each on its own: an error of one is its answer."""
        return [_leg(lambda query: self._place(call, query), query) for query in self._orders(call)]

    def modify_batch(self, call: Call) -> list[Json]:
        """Modify up to five orders, each on its own."""
        return [
            _leg(lambda query: self._modify(call, query), query) for query in self._orders(call)
        ]

    def _orders(self, call: Call) -> list[Query]:
        text = call.query.text("batchOrders")
        try:
            legs = msgspec.json.decode(text, type=list[dict[str, Any]])
        except msgspec.DecodeError as error:
            raise ApiError(-1130, "Data sent for parameter 'batchOrders' is not valid.") from error
        if not 0 < len(legs) <= _LARGEST_BATCH:
            raise ApiError(-4082, "Invalid number of batch place orders.")
        return [call.query.like({key: _text(value) for key, value in leg.items()}) for leg in legs]

    def cancel_batch(self, call: Call) -> list[Json]:
        """Cancel up to ten orders by id or by client id, each on its own."""
        symbol = call.query.symbol()
        try:
            ids = msgspec.json.decode(call.query.optional("orderIdList") or "[]", type=list[int])
            names = msgspec.json.decode(
                call.query.optional("origClientOrderIdList") or "[]", type=list[str]
            )
        except msgspec.DecodeError as error:
            raise ApiError(-1130, "Data sent for parameter 'orderIdList' is not valid.") from error
        if not 0 < len(ids) + len(names) <= _LARGEST_CANCEL_BATCH:
            raise ApiError(-4083, "Invalid number of batch cancel orders.")
        wanted = [(each, "") for each in ids] + [(0, each) for each in names]
        return [_leg(lambda which: self._cancel(call, symbol, *which), which) for which in wanted]


def _leg(act: Callable[[WhatT], Json], what: WhatT) -> Json:
    """Return the answer of one leg of a batch, or its error."""
    try:
        return act(what)
    except ApiError as error:
        return error.body


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def which_order(query: Query) -> tuple[str, int, str]:
    """Return symbol, order id and client id of the order that a request is about.

    Raises:
        ApiError: -1102 where neither id is there.
    """
    order_id = order_number(query, "orderId")
    name = order_name(query, "origClientOrderId")
    symbol = query.symbol()
    if not order_id and not name:
        text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        raise ApiError(-1102, text)
    return symbol, order_id, name
