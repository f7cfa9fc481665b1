"""A venue's statements about our orders, in one form for every venue, answer and stream."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from citadel_micro.core.model.exact_fill import ExactFill

OrderStanding = Literal["open", "filled", "canceled", "expired", "rejected"]
TERMINAL = ("filled", "canceled", "expired", "rejected")
STREAMED_ENDS = ("filled", "canceled", "expired")
"""Which every venue's stream reports: of a reject, some say so in the answer alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFact:
    """State of an order, by one statement of the venue."""

    symbol: str
    """Unified."""
    client_id: str
    """The one that it was placed with; empty where the statement has none."""
    venue_order_id: str
    """Empty where an order has ended without one."""
    standing: OrderStanding
    price_ticks: int
    quantity_lots: int
    cumulative_lots: int
    """Filled quantity; -1 where the statement has none."""
    exchange_ns: int
    reason: str = ""
    code: str = "OTHER"
    """For a rejected one: as in ``core.model.events.OrderRejected``."""
    amended: bool = False
    """The statement is of a change of price or quantity."""
    shows_terms: bool = False
    """It is of a venue that does not say which of its statements are of changes (Bybit): one of another
    price or quantity than the order's is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFact:
    """One fill of one order."""

    symbol: str
    client_id: str
    """Empty where the statement names none."""
    venue_order_id: str
    trade_id: str
    """Both orders of a self-trade have the same."""
    price_ticks: int
    quantity_lots: int
    cumulative_lots: int
    """The order's total after it; -1 where the statement has none."""
    fee: Decimal
    fee_currency: str
    liquidity: Literal["maker", "taker"]
    exchange_ns: int
    exact: ExactFill | None = None
    """Where price or quantity is between two of our ticks or lots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceFact:
    """Balances of the named currencies: (currency, free, used)."""

    balances: tuple[tuple[str, Decimal, Decimal], ...]
    exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAccepted:
    """An answer only says that a request was taken: what came of it, the stream will report.

    So of OKX and Bybit, whose answer is no proof. A stream that stays silent about it is mute.
    """

    venue_order_id: str
    closed: bool
    """Its end is awaited, otherwise any report of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAlive:
    """The stream sent something irrelevant: it is not mute."""

    exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnds:
    """The venue announces the end of this stream or connection."""

    reason: str
    blind: bool
    """It sends nothing from now on; otherwise it is about to close."""
    key: bool = False
    """Because the key is no longer accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """An unreadable or impossible statement about our orders: its symbol halts until an operator has checked."""

    symbol: str
    client_id: str
    text: str


Fact = OrderFact | TradeFact | BalanceFact | RequestAccepted | StreamAlive | StreamEnds | Anomaly
