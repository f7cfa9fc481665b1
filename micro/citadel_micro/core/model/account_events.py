"""A venue's statements about the account beside our own orders, and about its connection."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from citadel_micro.core.model.exact_fill import ExactFill

TradeKind = Literal["trade", "liquidation", "adl", "settlement"]
MarginMode = Literal["isolated", "cross"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancesUpdated:
    """Balances as the venue states them, (currency, free, used), for the named currencies only."""

    venue: str
    balances: tuple[tuple[str, Decimal, Decimal], ...]
    exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTrade:
    """One trade of the account, whoever placed the order: of ``AccountTrades``.

    It is known by symbol, venue order id and trade id together: the two orders of a self-trade
    share their trade id (Binance).
    """

    trade_id: str
    venue_order_id: str
    client_id: str
    """Of its order, whoever placed it; an adapter whose venue leaves it out of trades queries the
    order. Empty only where the order has none."""
    side: Literal["buy", "sell"]
    price_ticks: int
    quantity_lots: int
    fee: Decimal
    fee_currency: str
    liquidity: Literal["maker", "taker"]
    exchange_ns: int
    kind: TradeKind = "trade"
    """Other than ``trade`` for the venue's own actions on the position."""
    exact: ExactFill | None = None
    """Where price or quantity is between two of our ticks or lots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPayment:
    """One payment of funding for a position of a perpetual contract."""

    payment_id: str
    """Unique within its symbol."""
    amount: Decimal
    """Received, or where negative paid."""
    currency: str
    exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTrades:
    """Answer to ``QueryTrades``: every trade of the account in one symbol since ``since_ns``."""

    venue: str
    symbol: str
    since_ns: int
    """As asked."""
    trades: tuple[AccountTrade, ...]
    exchange_ns: int
    """Venue's time up to which the list is complete: that of the query, not of its answer."""
    funding: tuple[FundingPayment, ...] = ()
    """Every funding payment in the same period."""


class MarkPrice(NamedTuple):
    """What a derivative is valued and liquidated by, and its next funding."""

    venue: str
    symbol: str
    mark: float
    index_price: float
    """Of the underlying; 0 where the venue does not say."""
    funding_rate: float
    """Of the next payment: a long pays this fraction of its notional, a short receives it."""
    next_funding_ns: int
    """Venue's time; 0 where there is none."""
    exchange_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingDue:
    """The venue has settled funding; the payments are listed with the account's trades."""

    venue: str
    exchange_ns: int


@dataclass(frozen=True, slots=True)
class MarginTier:
    """One bracket of notional: what it may be leveraged to, and what keeps it from liquidation."""

    max_notional: Decimal
    """In the settle currency, this one included."""
    max_leverage: int
    maintenance_rate: Decimal
    """Of the notional."""
    maintenance_amount: Decimal
    """Subtracted from it, in the settle currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTerms:
    """How a derivative is margined on this account, as the venue confirmed it."""

    venue: str
    symbol: str
    mode: MarginMode
    leverage: int
    tiers: tuple[MarginTier, ...]
    """By rising notional."""
    text: str = ""
    """Why they are not as configured: others have changed them, and the venue does not restore them while
    there is a position. Empty where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAnomaly:
    """The venue said something about an order of ours that is unreadable or impossible.

    An unknown status, a quantity that is no number of lots. The adapter sends this
    instead of guessing; the symbol is halted until a person has looked.
    """

    venue: str
    symbol: str
    client_id: str
    """Empty where it is about no single order."""
    text: str
    """The venue's own text, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueStatus:
    """The order connection to a venue went up or down, or its own dead man's switch changed."""

    venue: str
    up: bool
    reason: str
    dms_armed: bool = False
    """If we fall silent, the venue cancels our orders by itself. Meaningless while it is down."""
    blind: bool = False
    """Requests pass, but our orders are not reported: the user stream is down, silent
    or not yet subscribed. Only cancels and queries are sent."""
