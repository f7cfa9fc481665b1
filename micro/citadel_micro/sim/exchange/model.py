"""The exchange's types: requests, orders, fills, events and refusals.

Prices are integer ticks and sizes integer lots of the symbol (``SymbolSpec``); cash and balances are
integers of 1e-8 of the asset (``_e8``). Requests come in 1e-8 as well, because a client can request
a price between two ticks, which a filter must refuse. Words in capitals are
Binance's own, so that a protocol passes them on unchanged. Times are ns since 1970 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

from citadel_proto.errors import Refused

Side = Literal["BUY", "SELL"]
OrderType = Literal[
    "LIMIT",
    "MARKET",
    "LIMIT_MAKER",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTX", "GTD"]
StpMode = Literal["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]
Status = Literal[
    "NEW",
    "PARTIALLY_FILLED",
    "FILLED",
    "CANCELED",
    "REJECTED",
    "EXPIRED",
    "EXPIRED_IN_MATCH",
]
Cause = Literal["NEW", "TRADE", "CANCELED", "REPLACED", "REJECTED", "EXPIRED", "TRADE_PREVENTION"]
"""Why an order event was sent (Binance's execution type ``x``)."""
Origin = Literal["client", "foreign", "liquidation", "adl"]
"""Who placed an order: a client over a protocol, or the simulator's operator in its name."""
BalanceReason = Literal["order", "deposit", "withdrawal", "funding", "margin"]
SymbolStatus = Literal["TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"]
Permission = Literal["read", "trade", "futures", "withdraw"]

OPEN: Final[frozenset[Status]] = frozenset({"NEW", "PARTIALLY_FILLED"})
STOP_TYPES: Final[frozenset[OrderType]] = frozenset(
    {"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"}
)

Reason = Literal[
    "UNKNOWN_ACCOUNT",
    "UNKNOWN_SYMBOL",
    "UNKNOWN_ORDER",  # cancel, amend or query of an order that is not (or no longer) open
    "DUPLICATE_CLIENT_ID",  # an open order has this client id
    "FILTER",  # ``OrderRefused.filter`` names it
    "INSUFFICIENT_BALANCE",
    "WOULD_TAKE",  # a post-only order that would match at once
    "WOULD_TRIGGER",  # a stop whose price has already been passed
    "MARKET_CLOSED",  # the symbol's status does not allow it
    "NO_PERMISSION",
    "BAD_COMBINATION",  # fields that exclude each other; ``detail`` says which
    "STP_MODE",  # a self-trade prevention mode that the symbol does not allow
    "AMEND_QUANTITY",  # spot: the new quantity is not below the old one
    "AMEND_COUNT",  # MAX_NUM_ORDER_AMENDS reached
    "CANCEL_RESTRICTION",  # cancel of an order that is not in the status asked for
    "FOK",  # futures only; a spot FOK that cannot fill is accepted and EXPIRED
    "REDUCE_ONLY",
    "MARGIN_TYPE",  # a change of margin that the position does not allow, or no change
    "MAX_LEVERAGE",  # the position would be too large for its leverage
]


class OrderRefused(Refused):
    """The exchange refused a request and changed nothing.

    ``reason`` is for programs; a protocol converts it to its own code and text. ``filter`` is the name
    of the filter that failed (``PRICE_FILTER`` …) when the reason is ``FILTER``. ``detail`` is a
    sentence for people.
    """

    def __init__(self, reason: Reason, detail: str = "", *, filter_name: str = "") -> None:
        """Keep the parts."""
        self.reason: Reason = reason
        self.filter = filter_name
        self.detail = detail
        super().__init__(" ".join(part for part in (reason, filter_name, detail) if part))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order request. ``symbol`` is the unified name (``BTC/USDT``).

    ``quantity_e8`` is in base; a MARKET order may give ``quote_e8`` instead (spot). 0 means not
    given. ``client_id`` empty: the exchange makes one. ``stp`` None: the symbol's default.
    ``good_till_ns`` belongs to GTD. LIMIT with GTX is LIMIT_MAKER in futures' words. ``visible_e8``
    is the size shown of an iceberg. ``reduce_only`` is for futures.
    """

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce = "GTC"
    quantity_e8: int = 0
    quote_e8: int = 0
    price_e8: int = 0
    stop_e8: int = 0
    visible_e8: int = 0
    client_id: str = ""
    stp: StpMode | None = None
    good_till_ns: int = 0
    reduce_only: bool = False
    origin: Origin = "client"


@dataclass(slots=True, kw_only=True)
class Order:
    """An order in the exchange's records. Callers get a copy.

    ``ticks`` is 0 for MARKET, ``stop_ticks`` for what is no stop, ``visible_lots`` for what is no
    iceberg. ``lots`` is the quantity asked for (0 before the first fill of a MARKET order by
    ``quote_e8``, which counts up with ``filled_lots``). ``working_ns`` is when it came into the
    book, 0 before a stop triggers. ``prevented_lots`` were taken off by self-trade prevention.
    ``client_id`` stays what the client gave; a cancel's own id is ``cancel_id``.
    """

    account_id: str
    order_id: int
    client_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    lots: int
    quote_e8: int
    ticks: int
    stop_ticks: int
    visible_lots: int
    stp: StpMode
    reduce_only: bool
    good_till_ns: int
    origin: Origin
    time_ns: int
    update_ns: int
    working_ns: int
    status: Status = "NEW"
    filled_lots: int = 0
    filled_quote_e8: int = 0
    prevented_lots: int = 0
    amends: int = 0
    triggered: bool = False
    cancel_id: str = ""
    expiry: str = ""
    """Short code of why it expired or was rejected: ``LIQUIDITY``, ``STP``, ``FUNDS``, ``GTD`` …"""
    lock_asset: str = ""
    lock_e8: int = 0
    """Amount of the account's balance that it has locked now."""
    lock_first: tuple[int, int] = (0, 0)
    """Futures: the margin that it locked at first (1e-8), and for how many lots."""

    @property
    def left(self) -> int:
        """Lots that may still fill."""
        return self.lots - self.filled_lots - self.prevented_lots

    @property
    def open(self) -> bool:
        """Whether it may still fill: resting in the book, or a stop that waits."""
        return self.status in OPEN

    @property
    def working(self) -> bool:
        """Whether it is (or was) in the book: anything but a stop that has not triggered."""
        return self.working_ns > 0

    def snapshot(self) -> Order:
        """Return a copy that no longer changes."""
        copied = Order.__new__(Order)
        for name in _FIELDS:
            setattr(copied, name, getattr(self, name))
        return copied


_FIELDS: Final = tuple(each.name for each in fields(Order))


@dataclass(frozen=True, slots=True)
class Fill:
    """One side of one trade. A self-trade has two fills with one ``trade_id``.

    ``number`` rises by one with every fill of the account (the third book's line number).
    ``realised_e8`` is the profit of a futures position that it closed.
    """

    number: int
    account_id: str
    trade_id: int
    order_id: int
    client_id: str
    symbol: str
    side: Side
    ticks: int
    lots: int
    quote_e8: int
    fee_e8: int
    fee_asset: str
    time_ns: int
    maker: bool
    realised_e8: int = 0


@dataclass(frozen=True, slots=True)
class Prevention:
    """A prevented self-trade: the taker, the maker, and how much did not trade.

    ``taker_lots`` and ``maker_lots`` are what either order lost by it.
    """

    prevented_id: int
    symbol: str
    stp: StpMode
    ticks: int
    taker_order_id: int
    maker_order_id: int
    taker_lots: int
    maker_lots: int
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """A futures position at the mark price: signed lots, prices and margin in 1e-8 quote.

    ``liquidation_e8`` is 0 where no price would liquidate it.
    """

    symbol: str
    lots: int
    entry_e8: int
    mark_e8: int
    unrealised_e8: int
    leverage: int
    isolated: bool
    margin_e8: int
    liquidation_e8: int
    update_ns: int
    realised_e8: int = 0
    """What closing it has realised since the account was opened, before fees."""


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An order event: the complete order after it, and its fill, if it was one.

    ``sequence`` counts all events of the account from 1, without a gap.
    """

    sequence: int
    account_id: str
    time_ns: int
    cause: Cause
    order: Order
    fill: Fill | None = None
    prevention: Prevention | None = None


@dataclass(frozen=True, slots=True)
class BalanceEvent:
    """Balances after a transaction: (asset, free, locked) of every asset it touched, in 1e-8.

    Sent once after the order events of the same transaction. For a deposit or withdrawal
    ``delta_e8`` is what came (or went) of the one asset named; 0 otherwise. ``positions`` are the
    futures positions that it changed.
    """

    sequence: int
    account_id: str
    time_ns: int
    balances: tuple[tuple[str, int, int], ...]
    delta_e8: int = 0
    reason: BalanceReason = "order"
    positions: tuple[PositionView, ...] = ()


AccountEvent = OrderEvent | BalanceEvent


@dataclass(frozen=True, slots=True)
class Movement:
    """A change of one asset's total (free and locked together) of an account, in 1e-8.

    ``trade_id`` and ``order_id`` are 0 for deposits and withdrawals.
    """

    time_ns: int
    asset: str
    amount_e8: int
    kind: Literal["trade", "fee", "deposit", "withdrawal", "funding", "pnl", "liquidation"]
    symbol: str = ""
    trade_id: int = 0
    order_id: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The exchange's book of one account: opening + movements = balances, exactly.

    ``balances`` are totals (free and locked together) now.
    """

    account_id: str
    opening: dict[str, int]
    movements: tuple[Movement, ...]
    fills: tuple[Fill, ...]
    balances: dict[str, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """Result of an accepted order: its state after matching, and its fills."""

    order: Order
    fills: tuple[Fill, ...]
    preventions: tuple[Prevention, ...] = ()
