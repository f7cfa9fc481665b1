"""Every command that the engine can issue: a closed union. The shell executes commands in order.

Only ``Persist`` carries a guarantee: every Persist of one ``handle`` call is durable (synced)
before any venue command of the same call is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from citadel_micro.core.model.events import Side

# --- to a venue ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """One child order. ``expires_ns`` is sent to the venue where it has a receive window."""

    venue: str
    symbol: str
    client_id: str
    parent_id: str
    side: Side
    price_ticks: int
    quantity_lots: int
    post_only: bool
    time_in_force: Literal["GTC", "IOC", "FOK"]
    reduce_only: bool
    expires_ns: int
    displayed_lots: int | None = None
    """Quantity shown in the book; None for the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendOrder:
    """Change price and total quantity of a resting child in place, keeping its client id."""

    venue: str
    symbol: str
    client_id: str
    parent_id: str
    side: Side
    price_ticks: int
    quantity_lots: int
    """New total quantity, including what has filled."""
    post_only: bool
    reduce_only: bool
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel a child by its client id. Needs no approval: cancels always pass."""

    venue: str
    symbol: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOrder:
    """Query a child's state, at the venue's order and trade endpoints."""

    venue: str
    symbol: str
    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryVenue:
    """Query open orders, balances and positions; answered by a VenueSnapshot."""

    venue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryTrades:
    """Ask the venue for every trade of the account in one symbol; answered by AccountTrades.

    Sent only to venues that tell trades (``VenueAbilities.tells_trades``).
    """

    venue: str
    symbol: str
    since_ns: int
    """Venue's time of the oldest trade that is wanted."""


# --- to macro and every other subscriber --------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FillView:
    """One fill in exact decimals, as reported."""

    trade_id: str
    child_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Literal["maker", "taker"]
    ts_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceView:
    """One currency; total = free + used."""

    currency: str
    free: Decimal
    used: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """Signed base quantity in one instrument."""

    venue: str
    symbol: str
    quantity: Decimal
    entry_price: Decimal
    realised: Decimal
    unrealised: Decimal
    leverage: Decimal
    valued: bool = True
    """False when no book can be trusted for ``unrealised``, which is then 0."""
    liquidation_price: Decimal | None = None
    """Mark price at which the venue liquidates it; None where there is none or it is not known."""
    funding: Decimal = Decimal(0)
    """Received less paid since the position was opened from nothing, part of ``realised``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """Complete cumulative state of one parent. Field meanings as in the wire's ExecutionReport."""

    signal_id: str
    revision: int
    venue: str
    symbol: str
    side: Side
    kind: Literal["order", "stop"]
    order_type: Literal["limit", "market"]
    status: str
    quantity: Decimal
    filled: Decimal
    average: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    triggered: bool
    reason_code: str
    reason: str
    permitted: Decimal | None
    fills: tuple[FillView, ...]
    balances: tuple[BalanceView, ...]
    position: PositionView | None
    strategy: str
    tag: str
    algo: str
    arrival_mid: float
    reprices: int
    own: bool
    created_ns: int
    updated_ns: int
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAnswer:
    """Reply to a QueryReceived."""

    query_id: str
    kind: str
    reply_to: str
    found: bool
    reports: tuple[PublishReport, ...]
    balances: tuple[BalanceView, ...]
    positions: tuple[PositionView, ...]
    limits: tuple[tuple[str, str], ...]
    error: str
    truncated: bool = False
    """More orders match than are here."""
    cursor: str = ""
    """Where to continue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishBook:
    """Publish the current top of this book. The shell reads its levels from the engine's books."""

    venue: str
    symbol: str
    features: tuple[float, ...] = ()
    """Its order flow at the time of this command, in the order of ``core.marketdata.order_flow.NAMES``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishConsolidated:
    """Publish the consolidated book of this symbol. The shell reads it from the engine."""

    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRisk:
    """State of one risk scope."""

    scope: str
    state: str
    trip_id: str
    code: str
    reason: str
    manual_reset: bool
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishFeed:
    """State of one book."""

    venue: str
    symbol: str
    state: str
    reason: str
    last_seq: int
    last_recv_ns: int
    gaps: int
    resyncs: int
    last_proof_ns: int = 0
    """When the book was last proven current; at least ``last_recv_ns``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishBeat:
    """Heartbeat of micro."""

    state: Literal["recovering", "active", "reducing", "halted", "killed"]
    working: int
    macro_instance_seen: str
    macro_seq_seen: int
    macros_refused: tuple[tuple[str, str], ...] = ()
    """(instance, reason) of connected processes whose orders are rejected."""


Publication = (
    PublishReport
    | PublishAnswer
    | PublishBook
    | PublishConsolidated
    | PublishRisk
    | PublishFeed
    | PublishBeat
)
"""Everything that is published; ``shell.bridge.published`` maps each to its message."""

# --- to the shell itself ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSnapshot:
    """The book has a gap: fetch or resubscribe, and feed the answer back as an event."""

    venue: str
    symbol: str
    reason: str
    mute: bool = False
    """Its depth does not come: a snapshot alone would not fix that, so resubscribe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Durable state: the last value of each key is restored by ``Started`` after a restart."""

    key: str
    value: object
    """Plain data: text, int, bool, None, lists and dicts of these. None deletes the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A log line. ``level``: debug, info, warning, error."""

    level: Literal["debug", "info", "warning", "error"]
    event: str
    fields: tuple[tuple[str, str | int | float | bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Every working order is confirmed terminal after ``shutdown``: the process may end."""

    clean: bool
