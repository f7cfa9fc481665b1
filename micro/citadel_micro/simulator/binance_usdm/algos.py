"""Conditional orders over the protocol: place, cancel, query, and the events about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.sim.exchange.futures_algos import LIMITED, AlgoRequest
from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.simulator.binance_usdm.order_json import average
from citadel_micro.simulator.binance_usdm.order_params import (
    amount,
    check_position_side,
    flag,
    mandatory,
    order_name,
    read_good_till,
    read_time_in_force,
    side_of,
    stp_mode,
)
from citadel_micro.simulator.binance_usdm.refusals import refusal
from citadel_micro.simulator.binance_usdm.texts import cut, decimals, plain, size
from citadel_micro.simulator.private.params import decimal_e8
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_algos import AlgoOrder, AlgoType, Working
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import TimeInForce
    from citadel_micro.simulator.binance_usdm.settings import Settings
    from citadel_micro.simulator.private.venue import Call, Venue
    from citadel_micro.simulator.query import Query

Json = dict[str, Any]
_MS_NS: Final = 1_000_000
_TRAILING: Final = "TRAILING_STOP_MARKET"
_TYPES: Final = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", _TRAILING)
_HUNDREDTH_E8: Final = 1_000_000
"""``callbackRate`` is in percent, and is kept in hundredths of one: 0.1 to 10 %."""
_RATES_E8: Final = (10_000_000, 1_000_000_000)


class Algos:
    """The methods, over one venue."""

    def __init__(self, venue: Venue, exchange: FuturesExchange, settings: Settings) -> None:
        """Trade there."""
        self._venue = venue
        self._exchange = exchange
        self._settings = settings

    def place(self, call: Call) -> Json:
        """Place a conditional order."""
        check_position_side(call.query, hedged=self._settings.of(call.account).hedged)
        request = self._read(call.query)
        try:
            algo = self._exchange.add_algo(call.account, request)
        except OrderRefused as refused:
            least = plain(self._exchange.rules[request.symbol].min_notional_e8)
            raise refusal(refused, "place", min_notional=least) from refused
        return algo_json(self._exchange, algo)

    def _read(self, query: Query) -> AlgoRequest:
        if query.text("algoType") != "CONDITIONAL":
            raise ApiError(-1130, "Data sent for parameter 'algoType' is not valid.")
        symbol = query.symbol()
        spec = self._venue.spec(symbol)
        side, kind = side_of(query), query.text("type")
        if kind not in _TYPES:
            raise ApiError(-1116, "Invalid orderType.")
        working = query.optional("workingType") or "CONTRACT_PRICE"
        if working not in {"CONTRACT_PRICE", "MARK_PRICE"}:
            raise ApiError(-1130, "Data sent for parameter 'workingType' is not valid.")
        no_price = ApiError(-4001, "Price less than 0.")
        trail_e4 = _trail_e4(query) if kind == _TRAILING else 0
        if trail_e4:
            known = query.optional("activatePrice") is not None
            trigger = amount(query, "activatePrice", spec.tick_e8, no_price) if known else 0
        else:
            trigger = amount(query, "triggerPrice", spec.tick_e8, no_price)
        close = flag(query, "closePosition")
        reduce_only = flag(query, "reduceOnly")
        if close and (trail_e4 or kind in LIMITED or query.optional("quantity") or reduce_only):
            raise ApiError(
                -4136, f"Target strategy invalid for orderType {kind},closePosition true"
            )
        limited = kind in LIMITED
        time_in_force: TimeInForce = "GTC"
        if limited and query.optional("timeInForce") is not None:
            time_in_force = read_time_in_force(query)
        no_size = ApiError(-4003, "Quantity less than or equal to zero.")
        is_gtd = time_in_force == "GTD"
        return AlgoRequest(
            symbol=symbol,
            side=side,
            type=cast("AlgoType", kind),
            trigger_e8=trigger,
            working=cast("Working", working),
            time_in_force=time_in_force,
            quantity_e8=0 if close else amount(query, "quantity", spec.lot_e8, no_size),
            price_e8=amount(query, "price", spec.tick_e8, no_price) if limited else 0,
            reduce_only=reduce_only,
            close_position=close,
            stp=stp_mode(query),
            good_till_ns=read_good_till(query, self._venue.now_ns) if is_gtd else 0,
            client_id=order_name(query, "clientAlgoId"),
            trail_e4=trail_e4,
        )

    # ------------------------------------------------------------------ cancel

    def cancel(self, call: Call) -> Json:
        """Cancel one that waits."""
        algo_id, name = _which(call.query)
        try:
            algo = self._exchange.algos.cancel(call.account, algo_id, name, self._venue.now_ns)
        except OrderRefused as refused:
            raise refusal(refused, "cancel") from refused
        return {
            "algoId": algo.algo_id,
            "clientAlgoId": algo.client_id,
            "code": "200",
            "msg": "success",
        }

    def cancel_all(self, call: Call) -> Json:
        """Cancel all of a symbol that wait."""
        self._exchange.algos.drop(call.account, call.query.symbol(), self._venue.now_ns)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    # ------------------------------------------------------------------ queries

    def status(self, call: Call) -> Json:
        """Return one."""
        algo_id, name = _which(call.query)
        self._exchange.algos.follow()
        try:
            algo = self._exchange.algos.find(call.account, algo_id, name)
        except OrderRefused as refused:
            raise refusal(refused, "query") from refused
        return algo_json(self._exchange, algo)

    def open_orders(self, call: Call) -> list[Json]:
        """Return those that wait."""
        query = call.query
        symbol = None if query.optional("symbol") is None else query.symbol()
        wanted = query.integer("algoId")
        return [
            algo_json(self._exchange, each)
            for each in self._exchange.algos.open_of(call.account, symbol)
            if wanted in {None, each.algo_id}
        ]

    def all_orders(self, call: Call) -> list[Json]:
        """Return those of a symbol, whatever became of them."""
        query = call.query
        symbol = query.symbol()
        first = query.integer("algoId") or 0
        start, end = query.integer("startTime"), query.integer("endTime")
        found = [
            each
            for each in self._exchange.algos.all_of(call.account, symbol)
            if each.algo_id >= first
            and (start is None or each.create_ns // _MS_NS >= start)
            and (end is None or each.create_ns // _MS_NS <= end)
        ]
        limit = query.limit(500, 1000)
        chosen = found[:limit] if first or start is not None else found[-limit:]
        return [algo_json(self._exchange, each) for each in chosen]


def _which(query: Query) -> tuple[int, str]:
    algo_id, name = query.integer("algoId") or 0, order_name(query, "clientAlgoId")
    if not algo_id and not name:
        text = "Param 'algoid' or 'clientalgoid' must be sent, but both were empty/null!"
        raise ApiError(-1102, text)
    return algo_id, name


def _trail_e4(query: Query) -> int:
    """Return how far a trailing stop follows, in 1e-4.

    Raises:
        ApiError: -1102 without a rate, -2007 for one that is not between 0.1 and 10 percent.
    """
    rate_e8 = decimal_e8(query, "callbackRate")
    if rate_e8 is None:
        raise mandatory("callbackRate")
    if not _RATES_E8[0] <= rate_e8 <= _RATES_E8[1] or rate_e8 % _HUNDREDTH_E8:
        raise ApiError(-2007, "Invalid callBack rate.")
    return rate_e8 // _HUNDREDTH_E8


def algo_json(exchange: FuturesExchange, algo: AlgoOrder) -> Json:
    """Return a conditional order as queries and answers show it."""
    request = algo.request
    spec = exchange.rules[request.symbol].spec
    places = decimals(spec.tick_e8)
    actual = _actual(exchange, algo)
    trailing: Json = {}
    if request.trail_e4:
        trailing = {
            "activatePrice": cut(request.trigger_e8, places),
            "callbackRate": plain(request.trail_e4 * _HUNDREDTH_E8),
        }
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": request.type,
        "symbol": spec.venue_symbol,
        "side": request.side,
        "positionSide": "BOTH",
        "timeInForce": request.time_in_force,
        "quantity": size(spec, request.quantity_e8 // spec.lot_e8),
        "algoStatus": algo.status,
        "actualOrderId": actual[0],
        "actualPrice": actual[1],
        "triggerPrice": cut(0 if trailing else request.trigger_e8, places),
        "price": cut(request.price_e8, places),
        "icebergQuantity": None,
        "tpTriggerPrice": "0.0",
        "tpPrice": "0.0",
        "slTriggerPrice": "0.0",
        "slPrice": "0.0",
        "tpOrderType": "",
        "selfTradePreventionMode": request.stp or exchange.rules[request.symbol].default_stp,
        "workingType": request.working,
        "priceMatch": "NONE",
        "closePosition": request.close_position,
        "priceProtect": False,
        "reduceOnly": request.reduce_only,
        "createTime": algo.create_ns // _MS_NS,
        "updateTime": algo.update_ns // _MS_NS,
        "triggerTime": algo.trigger_ns // _MS_NS,
        "goodTillDate": request.good_till_ns // _MS_NS,
        **trailing,
    }


def _actual(exchange: FuturesExchange, algo: AlgoOrder) -> tuple[str, str, str, str]:
    """Return the order that one has placed: its id, average price, quantity filled and type."""
    if not algo.order_id:
        return "", "0", "0", ""
    symbol = algo.request.symbol
    spec = exchange.rules[symbol].spec
    try:
        order = exchange.order(algo.account_id, symbol, order_id=algo.order_id)
    except OrderRefused:  # archived
        return str(algo.order_id), "0", "0", ""
    filled = size(spec, order.filled_lots)
    return str(algo.order_id), average(spec, order), filled, order.type


def algo_update(exchange: FuturesExchange, algo: AlgoOrder) -> Json:
    """Return ``ALGO_UPDATE``."""
    request = algo.request
    spec = exchange.rules[request.symbol].spec
    places = decimals(spec.tick_e8)
    time_ms = algo.update_ns // _MS_NS
    actual = _actual(exchange, algo)
    return {
        "e": "ALGO_UPDATE",
        "E": time_ms,
        "T": time_ms,
        "o": {
            "caid": algo.client_id,
            "aid": algo.algo_id,
            "at": "CONDITIONAL",
            "o": request.type,
            "s": spec.venue_symbol,
            "S": request.side,
            "ps": "BOTH",
            "f": request.time_in_force,
            "q": size(spec, request.quantity_e8 // spec.lot_e8),
            "X": algo.status,
            "ai": actual[0],
            "ap": actual[1],
            "aq": actual[2],
            "act": actual[3],
            "tp": cut(request.trigger_e8, places),
            "p": cut(request.price_e8, places),
            "V": request.stp or exchange.rules[request.symbol].default_stp,
            "wt": request.working,
            "pm": "NONE",
            "cp": request.close_position,
            "pP": False,
            "R": request.reduce_only,
            "tt": algo.trigger_ns // _MS_NS,
            "gtd": request.good_till_ns // _MS_NS,
            "rm": algo.reason,
        },
    }
