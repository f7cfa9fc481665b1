"""Methods that change orders: place, test, cancel, cancel and replace, amend, cancel all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.simulator.binance_spot import order_json
from citadel_micro.simulator.binance_spot.order_params import ORDER, read_order, response_type
from citadel_micro.simulator.binance_spot.refusals import refusal
from citadel_micro.simulator.private.orders import UNKNOWN, cancel_order, note_new
from citadel_micro.simulator.private.params import SIGNED, client_id, decimal_e8, order_number
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import OrderRequest, Status
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]


class Trading:
    """The methods, over one venue."""

    def __init__(self, venue: Venue) -> None:
        """Trade there."""
        self._venue = venue

    def place(self, call: Call) -> Json:
        """Place an order."""
        call.only(*ORDER, *SIGNED)
        request = read_order(call.query)
        kind = response_type(call.query, request.type)
        self._venue.check_order_count(call.account)
        return self._place(call, request, kind)

    def _place(self, call: Call, request: OrderRequest, kind: str) -> Json:
        venue = self._venue
        try:
            done = venue.exchange.place(call.account, request)
        except OrderRefused as refused:
            raise refusal(refused, "place") from refused
        note_new(venue, call, done.order)
        return order_json.placed(venue.spec(request.symbol), done.order, done.fills, kind=kind)

    def test(self, call: Call) -> Json:
        """Judge an order without placing it; with ``computeCommissionRates`` say what it would cost."""
        call.only(*ORDER, *SIGNED, "computeCommissionRates")
        request = read_order(call.query)
        response_type(call.query, request.type)
        venue = self._venue
        try:
            venue.exchange.check(call.account, request)
        except OrderRefused as refused:
            raise refusal(refused, "place") from refused
        if call.query.optional("computeCommissionRates") != "true":
            return {}
        rates = commission(venue, call.account)
        return {
            "standardCommissionForOrder": rates["standardCommission"],
            "specialCommissionForOrder": rates["specialCommission"],
            "taxCommissionForOrder": rates["taxCommission"],
            "discount": rates["discount"],
        }

    # ------------------------------------------------------------------ cancel

    def cancel(self, call: Call) -> Json:
        """Cancel an order."""
        query = call.query
        call.only(
            "symbol",
            "orderId",
            "origClientOrderId",
            "newClientOrderId",
            "cancelRestrictions",
            *SIGNED,
        )
        order_id = order_number(query, "orderId")
        original = client_id(query, "origClientOrderId")
        name = client_id(query, "newClientOrderId")
        symbol = query.symbol()
        if not order_id and not original:
            text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            raise ApiError(-1102, text)
        return self._cancel(call, symbol, order_id, original, name)

    def _cancel(self, call: Call, symbol: str, order_id: int, original: str, name: str) -> Json:
        venue = self._venue
        only = _restriction(call)
        try:
            order = cancel_order(
                venue,
                call,
                symbol,
                order_id=order_id,
                client_id=original,
                name=name or venue.new_name(),
                only=only,
            )
        except OrderRefused as refused:
            raise refusal(refused, "cancel") from refused
        return order_json.canceled(venue.spec(symbol), order)

    def cancel_all(self, call: Call) -> list[Json]:
        """Cancel all open orders of a symbol."""
        call.only("symbol", *SIGNED)
        symbol = call.query.symbol()
        venue = self._venue
        orders = [
            order
            for order in venue.exchange.open_orders(call.account, symbol)
            if order.order_id not in venue.confirmed
        ]
        if not orders:
            raise ApiError(-2011, UNKNOWN)
        spec = venue.spec(symbol)
        done = []
        for order in orders:
            try:
                canceled = venue.exchange.cancel(
                    call.account, symbol, order_id=order.order_id, cancel_id=venue.new_name()
                )
            except OrderRefused as refused:
                raise refusal(refused, "cancel") from refused
            done.append(order_json.canceled(spec, canceled))
        return done

    # ------------------------------------------------------------------ cancel and replace

    def replace(self, call: Call) -> Json:
        """Cancel an order and place another.

        Raises:
            ApiError: 400 with -2022 where neither was done, 409 with -2021 where only one was.
        """
        query = call.query
        call.only(
            *ORDER,
            *SIGNED,
            "cancelReplaceMode",
            "cancelNewClientOrderId",
            "cancelOrigClientOrderId",
            "cancelOrderId",
            "cancelRestrictions",
            "orderRateLimitExceededMode",
        )
        request = read_order(query)
        kind = response_type(query, request.type)
        mode = query.text("cancelReplaceMode")
        if mode not in {"STOP_ON_FAILURE", "ALLOW_FAILURE"}:
            raise ApiError(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
        order_id = order_number(query, "cancelOrderId")
        original = client_id(query, "cancelOrigClientOrderId")
        name = client_id(query, "cancelNewClientOrderId")
        if not order_id and not original:
            text = "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were"
            raise ApiError(-1102, f"{text} empty/null!")
        _restriction(call)
        self._check_filters(call, request)
        limited = self._limited(call)
        if limited and query.optional("orderRateLimitExceededMode") != "CANCEL_ONLY":
            raise limited
        canceled: Json | ApiError
        try:
            canceled = self._cancel(call, request.symbol, order_id, original, name)
        except ApiError as error:
            canceled = error
        if isinstance(canceled, ApiError) and (mode == "STOP_ON_FAILURE" or limited):
            raise _replace_error(canceled, None)
        placed: Json | ApiError
        try:
            if limited:
                raise limited
            if "half-replace" in call.hits:
                text = "Account has insufficient balance for requested action."
                raise ApiError(-2010, text)  # noqa: TRY301 - likewise
            placed = self._place(call, request, kind)
        except ApiError as error:
            placed = error
        if isinstance(canceled, ApiError) or isinstance(placed, ApiError):
            raise _replace_error(canceled, placed)
        return {
            "cancelResult": "SUCCESS",
            "newOrderResult": "SUCCESS",
            "cancelResponse": canceled,
            "newOrderResponse": placed,
        }

    def _check_filters(self, call: Call, request: OrderRequest) -> None:
        """Refuse what breaks a filter before anything is canceled, as Binance does."""
        try:
            self._venue.exchange.check(call.account, request)
        except OrderRefused as refused:
            if refused.reason in {"FILTER", "STP_MODE", "BAD_COMBINATION"}:
                raise refusal(refused, "place") from refused

    def _limited(self, call: Call) -> ApiError | None:
        try:
            self._venue.check_order_count(call.account)
        except ApiError as error:
            return error
        return None

    # ------------------------------------------------------------------ amend

    def amend(self, call: Call) -> Json:
        """Reduce an order's quantity; it keeps its place in the queue."""
        query, venue = call.query, self._venue
        call.only("symbol", "orderId", "origClientOrderId", "newClientOrderId", "newQty", *SIGNED)
        symbol = query.symbol()
        order_id = order_number(query, "orderId")
        original = client_id(query, "origClientOrderId")
        name = client_id(query, "newClientOrderId")
        if not order_id and not original:
            text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            raise ApiError(-1102, text)
        query.text("newQty")
        quantity = decimal_e8(query, "newQty") or 0
        if not quantity:
            raise ApiError(-1013, "Invalid quantity.")
        spec = venue.spec(symbol)
        try:
            before = venue.exchange.order(
                call.account, symbol, order_id=order_id, client_id=original
            )
            if before.open and before.lots * spec.lot_e8 == quantity:
                raise ApiError(-2038, "The requested action would change no state; rejecting")
            order = venue.exchange.amend(
                call.account,
                symbol,
                order_id=order_id,
                client_id=original,
                quantity_e8=quantity,
                new_client_id=name or venue.new_name(),
            )
        except OrderRefused as refused:
            raise refusal(refused, "amend") from refused
        execution = venue.last_sequence.get(call.account, 0) + 1
        return order_json.amended(spec, order, before.client_id, execution)


def _restriction(call: Call) -> Status | None:
    """Return the status that a cancel asks for.

    Raises:
        ApiError: -1145 for what is none.
    """
    text = call.query.optional("cancelRestrictions")
    if text is None:
        return None
    if text not in {"ONLY_NEW", "ONLY_PARTIALLY_FILLED"}:
        raise ApiError(-1145, "Invalid cancelRestrictions")
    return cast("Status", text.removeprefix("ONLY_"))


def _replace_error(canceled: Json | ApiError, placed: Json | ApiError | None) -> ApiError:
    """Return the answer to a replace of which one leg or both failed."""
    failed = [isinstance(leg, ApiError) for leg in (canceled, placed)]
    is_half = not all(failed) and placed is not None
    status = 409 if is_half else 400
    retry = 0
    if isinstance(placed, ApiError) and placed.status == 429:  # noqa: PLR2004 - HTTP
        status, retry = 429, placed.retry_at_ms
    data = {
        "cancelResult": "FAILURE" if failed[0] else "SUCCESS",
        "newOrderResult": (
            "NOT_ATTEMPTED" if placed is None else "FAILURE" if failed[1] else "SUCCESS"
        ),
        "cancelResponse": canceled.body if isinstance(canceled, ApiError) else canceled,
        "newOrderResponse": placed.body if isinstance(placed, ApiError) else placed,
    }
    if is_half:
        text = "Order cancel-replace partially failed."
        return ApiError(-2021, text, status=status, data=data, retry_at_ms=retry)
    text = "Order cancel-replace failed."
    return ApiError(-2022, text, status=status, data=data, retry_at_ms=retry)


def commission(venue: Venue, account: str) -> Json:
    """Return an account's commission as ``account/commission`` lists it, without the symbol."""
    fees = venue.exchange.fees(account)
    text = e8_text
    none = {"maker": text(0), "taker": text(0), "buyer": text(0), "seller": text(0)}
    return {
        "standardCommission": none | {"maker": text(fees.maker_e8), "taker": text(fees.taker_e8)},
        "specialCommission": none,
        "taxCommission": none,
        "discount": {
            "enabledForAccount": fees.asset == "bnb",
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": text(fees.discount_e8),
        },
    }
