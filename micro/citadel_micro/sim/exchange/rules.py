"""A symbol's trading rules, and the check of a request against them.

Filters as Binance documents them ("Filters", developers.binance.com/docs/binance-spot-api-docs);
multipliers and rates are integers of 1e-8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from citadel_micro.sim.exchange.model import (
    STOP_TYPES,
    OrderRefused,
    OrderRequest,
    Side,
    StpMode,
)
from citadel_micro.sim.flow_symbols import E8, SymbolSpec
from citadel_proto.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolRules:
    """Rules for orders of one symbol; what exchangeInfo lists and what is enforced.

    ``max_position_e8`` 0: no MAX_POSITION filter. ``futures``: GTX, GTD, reduce-only and modify
    exist, and LIMIT_MAKER, quote quantities and icebergs do not.

    ``in_place``: an amend changes price and quantity, as at Kraken, OKX and Bybit: an order made smaller
    at its price keeps its place, and a post-only amend that would match is refused. Otherwise as at
    Binance. ``accepts_takers``: a post-only order that would match is accepted and then canceled, as at
    OKX and Bybit, instead of refused.
    """

    spec: SymbolSpec
    min_price_e8: int
    max_price_e8: int
    min_quantity_e8: int
    max_quantity_e8: int
    max_market_quantity_e8: int
    min_notional_e8: int
    max_notional_e8: int
    bid_up_e8: int = 5 * E8
    bid_down_e8: int = E8 // 5
    ask_up_e8: int = 5 * E8
    ask_down_e8: int = E8 // 5
    max_orders: int = 200
    max_algo_orders: int = 5
    max_iceberg_parts: int = 100
    max_amends: int = 10
    max_position_e8: int = 0
    default_stp: StpMode = "EXPIRE_MAKER"
    allowed_stp: tuple[StpMode, ...] = (
        "NONE",
        "EXPIRE_TAKER",
        "EXPIRE_MAKER",
        "EXPIRE_BOTH",
        "DECREMENT",
    )
    futures: bool = False
    in_place: bool = False
    accepts_takers: bool = False
    price_step: int = 1
    """New orders have prices in multiples of so many ticks of the market ..."""
    quantity_step: int = 1
    """... and quantities of so many lots. What rests or comes from others is in single ones, as at a venue that
    has made them coarser."""

    def coarser(self, price_step: int, quantity_step: int) -> SymbolRules:
        """Return these rules with other steps.

        Raises:
            BadInput: one is not at least 1.
        """
        if min(price_step, quantity_step) < 1:
            raise BadInput("ticks and lots are multiples of the market's", where="trading rules")
        return replace(
            self,
            price_step=price_step,
            quantity_step=quantity_step,
            min_quantity_e8=self.spec.lot_e8 * quantity_step,
        )

    @property
    def tick_e8(self) -> int:
        """Return what prices of new orders are multiples of."""
        return self.spec.tick_e8 * self.price_step

    @property
    def lot_e8(self) -> int:
        """Return what quantities of new orders are multiples of."""
        return self.spec.lot_e8 * self.quantity_step

    @classmethod
    def linear(cls, spec: SymbolSpec) -> SymbolRules:
        """Return the rules that the simulator gives a linear perpetual."""
        return replace(
            cls.of(spec),
            futures=True,
            default_stp="EXPIRE_MAKER",
            allowed_stp=("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"),
            max_algo_orders=200,
            max_amends=10_000,
            max_notional_e8=10**12 * E8,  # futures have brackets instead
        )

    @property
    def unit_e8(self) -> int:
        """Return the value of one tick times one lot, in 1e-8 quote."""
        return self.spec.tick_e8 * self.spec.lot_e8 // E8

    def __post_init__(self) -> None:
        """Refuse steps whose product is no whole number of 1e-8.

        Raises:
            BadInput: cash would not be exact.
        """
        if self.spec.tick_e8 * self.spec.lot_e8 % E8:
            what = f"tick times lot of {self.spec.symbol} is finer than eight decimals"
            raise BadInput(what, where="trading rules", mend="choose a larger tick or lot")

    @classmethod
    def of(cls, spec: SymbolSpec) -> SymbolRules:
        """Return the rules that the simulator gives a spot symbol."""
        largest = 900_000_000 * spec.lot_e8
        return cls(
            spec=spec,
            min_price_e8=spec.tick_e8,
            max_price_e8=100_000_000 * spec.tick_e8,
            min_quantity_e8=spec.lot_e8,
            max_quantity_e8=largest,
            max_market_quantity_e8=largest // 50,
            min_notional_e8=spec.min_notional_e8,
            max_notional_e8=9_000_000 * E8,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account's open orders and balances in one symbol, and the market's prices, for the filters.

    ``average_e8`` is the average price of five minutes; ``held_e8`` is base held, ``buying_e8`` base
    in open buys.
    """

    average_e8: int
    orders: int
    algo_orders: int
    held_e8: int = 0
    buying_e8: int = 0


def judge(rules: SymbolRules, request: OrderRequest, standing: Standing) -> None:
    """Refuse what the symbol's rules do not allow.

    Raises:
        OrderRefused: BAD_COMBINATION, STP_MODE, or FILTER with the first filter that fails.
    """
    _combination(rules, request)
    if request.stp is not None and request.stp not in rules.allowed_stp:
        raise OrderRefused("STP_MODE", request.stp)
    for price in (request.price_e8, request.stop_e8):
        if price:
            judge_price(rules, price)
    if request.price_e8:
        _percent(rules, request.side, request.price_e8, standing.average_e8)
    _size(rules, request)
    _notional(rules, request, standing.average_e8)
    if request.visible_e8:
        _step(rules, request.visible_e8, "LOT_SIZE")
        parts = -(-request.quantity_e8 // request.visible_e8)
        _require(parts <= rules.max_iceberg_parts, "ICEBERG_PARTS")
    _require(standing.orders < rules.max_orders, "MAX_NUM_ORDERS")
    if request.type in STOP_TYPES:
        _require(standing.algo_orders < rules.max_algo_orders, "MAX_NUM_ALGO_ORDERS")
    if rules.max_position_e8 and request.side == "BUY":
        total = standing.held_e8 + standing.buying_e8 + request.quantity_e8
        _require(total <= rules.max_position_e8, "MAX_POSITION")


def judge_size(
    rules: SymbolRules, side: Side, quantity_e8: int, price_e8: int, *, reduce_only: bool = False
) -> None:
    """Refuse a new size (and price) of a live order.

    Raises:
        OrderRefused: FILTER.
    """
    judge_price(rules, price_e8)
    _step(rules, quantity_e8, "LOT_SIZE")
    request = OrderRequest(
        symbol=rules.spec.symbol,
        side=side,
        type="LIMIT",
        quantity_e8=quantity_e8,
        price_e8=price_e8,
        reduce_only=reduce_only,
    )
    _notional(rules, request, price_e8)


def _require(holds: bool, name: str) -> None:  # noqa: FBT001 - a check reads best so
    if not holds:
        raise OrderRefused("FILTER", filter_name=name)


def _combination(rules: SymbolRules, request: OrderRequest) -> None:
    """Refuse fields that exclude each other. Only futures have GTX, GTD and reduce-only."""
    market = request.type in {"MARKET", "STOP_LOSS", "TAKE_PROFIT"}
    stop = request.type in STOP_TYPES
    plain_limit = request.type in {"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"}
    by_quote = request.quote_e8 != 0
    amounts = (request.quantity_e8, request.quote_e8, request.price_e8, request.stop_e8)
    wrong = {
        "a negative number": min(*amounts, request.visible_e8) < 0,
        "price": (request.price_e8 == 0) != market,
        "stopPrice": (request.stop_e8 != 0) != stop,
        "quantity": (request.quantity_e8 != 0) == by_quote,
        "quoteOrderQty": by_quote and (request.type != "MARKET" or rules.futures),
        "timeInForce": request.time_in_force != "GTC" and not plain_limit,
        "futures only": not rules.futures
        and (request.time_in_force in {"GTX", "GTD"} or request.reduce_only),
        "spot only": rules.futures and (request.type == "LIMIT_MAKER" or request.visible_e8 != 0),
        "icebergQty": request.visible_e8 != 0 and (market or request.time_in_force != "GTC"),
        "goodTillDate": (request.good_till_ns != 0) != (request.time_in_force == "GTD"),
    }
    for name, holds in wrong.items():
        if holds:
            raise OrderRefused("BAD_COMBINATION", name)


def judge_price(rules: SymbolRules, price_e8: int) -> None:
    """Refuse a price that is between two ticks, too low or too high.

    Raises:
        OrderRefused: FILTER.
    """
    _require(
        rules.min_price_e8 <= price_e8 <= rules.max_price_e8 and price_e8 % rules.tick_e8 == 0,
        "PRICE_FILTER",
    )


def _percent(rules: SymbolRules, side: Side, price_e8: int, average_e8: int) -> None:
    up, down = (
        (rules.bid_up_e8, rules.bid_down_e8)
        if side == "BUY"
        else (rules.ask_up_e8, rules.ask_down_e8)
    )
    low, high = average_e8 * down, average_e8 * up
    _require(low <= price_e8 * E8 <= high, "PERCENT_PRICE_BY_SIDE")


def _step(rules: SymbolRules, quantity_e8: int, name: str) -> None:
    _require(
        rules.min_quantity_e8 <= quantity_e8 <= rules.max_quantity_e8
        and quantity_e8 % rules.lot_e8 == 0,
        name,
    )


def _size(rules: SymbolRules, request: OrderRequest) -> None:
    if not request.quantity_e8:
        return
    _step(rules, request.quantity_e8, "LOT_SIZE")
    if request.price_e8 == 0:
        _require(request.quantity_e8 <= rules.max_market_quantity_e8, "MARKET_LOT_SIZE")


def _notional(rules: SymbolRules, request: OrderRequest, average_e8: int) -> None:
    """The minimum holds for market orders as well, at the average price; the maximum does not."""
    price = request.price_e8 or request.stop_e8 or average_e8
    value = request.quote_e8 or price * request.quantity_e8 // E8
    # Binance USD-M: "no smaller than 5.0 (unless you choose reduce only)" (-4164).
    _require(request.reduce_only or value >= rules.min_notional_e8, "NOTIONAL")
    if request.price_e8:
        _require(value <= rules.max_notional_e8, "NOTIONAL")
