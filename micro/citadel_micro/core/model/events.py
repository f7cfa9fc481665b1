"""Every event that the engine can receive: a closed union of facts.

Market events arrive a thousand times more often than the others, so they are named tuples (cheap
to create, immutable, compared by value). All others are frozen, slotted, keyword-only dataclasses.
Times are integer nanoseconds on the engine's clock (wall-anchored, monotone) unless a name says
``exchange``. Prices and sizes in market events are floats, as decoded from the venue's text;
everything about our own orders is integer ticks, integer lots and Decimal cash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from citadel_micro.core.model.account_events import (
    AccountTrade,
    AccountTrades,
    BalancesUpdated,
    FundingDue,
    MarginTerms,
    MarkPrice,
    VenueAnomaly,
    VenueStatus,
)
from citadel_micro.core.model.control_events import (
    LimitsChanged,
    OperatorCommand,
    Started,
    StepsChanged,
    TimerFired,
)
from citadel_micro.core.model.exact_fill import ExactFill

__all__ = [
    "AccountTrade",
    "AccountTrades",
    "BalancesUpdated",
    "FundingDue",
    "LimitsChanged",
    "MarginTerms",
    "MarkPrice",
    "OperatorCommand",
    "Started",
    "StepsChanged",
    "TimerFired",
    "VenueAnomaly",
    "VenueStatus",
]
"""Named here as well, so that every event is found in one place."""

Side = Literal["buy", "sell"]
Levels = Sequence[tuple[float, float]]
"""(price, size) pairs in any order; size 0 deletes the level."""
TextLevels = Sequence[tuple[str, str]]
"""The same pairs, in the same order, as the venue wrote them."""


# --- market -------------------------------------------------------------------------------------


class DepthUpdate(NamedTuple):
    """A change of one book, or with ``snapshot`` its whole content, with the venue's sequence."""

    venue: str
    symbol: str
    snapshot: bool
    first_seq: int
    """Binance ``U``; equal to ``last_seq`` where the venue numbers single updates."""
    last_seq: int
    prev_seq: int
    """Binance USD-M ``pu``, OKX ``prevSeqId``; -1 where the venue sends none."""
    checksum: int | None
    bids: Levels
    asks: Levels
    exchange_ns: int
    recv_ns: int
    texts: tuple[TextLevels, TextLevels] | None = None
    """Bids and asks as text, only where the venue's checksum is over its own digits."""
    covers: int = 0
    """Levels a side that the stream reports; 0 where it reports all, or does not say."""


class QuoteTick(NamedTuple):
    """Best bid and ask as the venue publishes them on a channel of their own."""

    venue: str
    symbol: str
    seq: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    exchange_ns: int
    recv_ns: int


class TradeTick(NamedTuple):
    """One public trade. ``side`` is the aggressor's (the taker's)."""

    venue: str
    symbol: str
    trade_id: str
    price: float
    size: float
    side: Side
    exchange_ns: int
    recv_ns: int
    history: bool = False
    """A past trade, sent after subscribing: not new, whatever its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """The connection of one subscription changed; the book must not be trusted meanwhile."""

    venue: str
    symbol: str
    up: bool
    reason: str
    refused: bool = False
    """The venue will not serve this subscription (``reason`` is the venue's text): BROKEN."""
    stream: int = -1
    """Number of the connection of this venue that carries it; -1 where it is not known."""
    followed: bool = True
    """False: nobody trades this on-demand pair now, so it has no connection, and that is no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProof:
    """A connection received something: everything that the venue had sent on it before has arrived.

    Any message proves it: an update, a pong, a heartbeat. It is emitted now and then, once for all
    books that the connection carries (``core.marketdata.streams``).
    """

    venue: str
    stream: int
    """As in ``FeedStatus``."""
    recv_ns: int


class BookLook(NamedTuple):
    """The best levels of the venue's book, polled beside the stream of a silent book."""

    venue: str
    symbol: str
    last_seq: int
    """In the numbers of the stream."""
    bids: Levels
    asks: Levels
    recv_ns: int


# --- macro --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived:
    """A parent order requested by a macro or by the command line."""

    signal_id: str
    strategy: str
    venue: str
    symbol: str
    side: Side
    quantity: Decimal
    kind: Literal["order", "stop"]
    order_type: Literal["limit", "market"]
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: Literal["GTC", "IOC", "FOK", "PO"]
    reduce_only: bool
    leverage: Decimal
    algo: str
    params: tuple[tuple[str, str | int | float | bool], ...]
    """Sorted by name."""
    confidence: float | None
    model_id: str
    tag: str
    candle_ns: int
    created_ns: int
    expires_ns: int
    epoch: int
    seq: int
    missed: int = 0
    """Messages of the same publisher and topic that were lost directly before this one."""
    owner: str = ""
    """Permanent id of the publisher's intent log; empty where it names none."""
    offset_ns: int = 0
    """The publisher's clock minus ours, by which ``created_ns`` and ``expires_ns`` were converted;
    ``epoch`` is still its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRefused:
    """A signal that decoded but cannot be expressed as a SignalReceived (NaN quantity ...)."""

    signal_id: str
    strategy: str
    venue: str
    symbol: str
    side: Side
    code: str
    reason: str
    owner: str = ""
    epoch: int = 0
    expires_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReceived:
    """Its owner, or the operator, cancels the unfilled rest of a parent."""

    signal_id: str
    reason: str
    owner: str = ""
    epoch: int = 0
    operator: bool = False
    """It came from the operator's own address, so it may cancel any owner's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryReceived:
    """A query about orders, balances, positions or limits."""

    query_id: str
    kind: Literal["order", "orders", "balances", "positions", "limits"]
    reply_to: str
    signal_id: str
    venue: str
    symbol: str
    since_ns: int
    owner: str = ""
    mine: bool = False
    working: bool = False
    cursor: str = ""
    limit: int = 0
    """Maximum number of orders in the answer; 0 for as many as fit."""
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroBeat:
    """A heartbeat of a macro. ``skew_ns`` is its wall clock minus this machine's at receipt."""

    instance: str
    strategy: str
    epoch: int
    seq: int
    skew_ns: int
    owner: str = ""
    state: Literal["starting", "running", "stopping"] = "running"


# --- venue reports on our own orders ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAccepted:
    """The venue has acknowledged the order. ``client_id`` is ours, ``venue_order_id`` theirs."""

    venue: str
    symbol: str
    client_id: str
    venue_order_id: str
    exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRejected:
    """The venue has certainly rejected the order: it is not and will not be live.

    ``code`` is one of ``POST_ONLY``, ``INSUFFICIENT_FUNDS``, ``BAD_PRICE``, ``BAD_QUANTITY``,
    ``BELOW_MIN``, ``RATE_LIMIT``, ``NOTHING_TO_REDUCE`` (Binance -2022, -4118),
    ``DUPLICATE_ID``, ``NOT_FILLED`` (a fill or kill that its book cannot fill), ``OTHER``; ``text`` is
    the venue's own words.
    ``VOID`` is ours: it was not even sent (``core.model.approval``).
    """

    venue: str
    symbol: str
    client_id: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled:
    """One fill. ``trade_id`` deduplicates; ``cumulative_lots`` is the venue's own total or -1.

    Totals are of whole lots, and so is ``quantity_lots``: 0 is possible with an ``exact``.
    """

    venue: str
    symbol: str
    client_id: str
    trade_id: str
    price_ticks: int
    quantity_lots: int
    cumulative_lots: int
    fee: Decimal
    fee_currency: str
    liquidity: Literal["maker", "taker"]
    exchange_ns: int
    exact: ExactFill | None = None
    """Where price or quantity is between two of our ticks or lots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDone:
    """Proof that the child is no longer live, with its final cumulative quantity.

    Where the venue tells the end without a total that is -1, and the order is asked about.
    """

    venue: str
    symbol: str
    client_id: str
    status: Literal["filled", "canceled", "expired"]
    cumulative_lots: int
    reason: str
    exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRejected:
    """The venue would not cancel. ``NOT_FOUND`` means unknown, never done."""

    venue: str
    symbol: str
    client_id: str
    code: Literal["NOT_FOUND", "RATE_LIMIT", "OTHER"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAmended:
    """The venue amended a resting order in place."""

    venue: str
    symbol: str
    client_id: str
    price_ticks: int
    quantity_lots: int
    exchange_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendRejected:
    """The venue left the order unchanged (or does not know it: ``NOT_FOUND``)."""

    venue: str
    symbol: str
    client_id: str
    code: Literal["NOT_FOUND", "POST_ONLY", "RATE_LIMIT", "OTHER"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimedOut:
    """No answer in time, or the connection broke after sending: the outcome is unknown."""

    venue: str
    symbol: str
    client_id: str
    request: Literal["place", "amend", "cancel", "query"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """Authoritative answer of the venue to a query by client id.

    ``open`` orders are adopted, terminal ones are proof. ``not_found`` counts only with its
    ``source``: two of them, from the order and from the trade endpoint, release a reservation.
    """

    venue: str
    symbol: str
    client_id: str
    status: Literal["open", "filled", "canceled", "expired", "rejected", "not_found"]
    source: Literal["order", "trades"]
    price_ticks: int
    quantity_lots: int
    cumulative_lots: int
    exchange_ns: int
    """When the answer was made, at the earliest, on the engine's clock: what may be older than a
    later answer, or than a report of the venue's, changes no price and no quantity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSnapshot:
    """The venue's open orders; ``complete`` marks the end of a reconciliation answer."""

    venue: str
    open_orders: tuple[OrderState, ...]
    balances: tuple[tuple[str, Decimal, Decimal], ...]
    """(currency, free, used) of every currency held; empty where the venue sent none."""
    exchange_ns: int
    """Venue's time of the first of the questions: nothing in the answer is older."""
    positions: tuple[tuple[str, Decimal], ...] | None = None
    """(symbol, signed quantity in the venue's units) of every derivative position that is open;
    None where the venue told none."""
    isolated: tuple[tuple[str, Decimal], ...] = ()
    """(symbol, margin) of the open positions whose margin is isolated, in the settle currency."""
    changed: tuple[tuple[str, int], ...] = ()
    """(symbol, time of the last trade that its position includes), by the clock that stamps trades. It
    may lag behind the one of ``exchange_ns``; without a symbol where the venue does not say."""


MarketEvent = DepthUpdate | QuoteTick | TradeTick
VenueReport = (
    OrderAccepted
    | OrderRejected
    | OrderFilled
    | OrderDone
    | CancelRejected
    | OrderAmended
    | AmendRejected
    | RequestTimedOut
    | OrderState
    | VenueSnapshot
    | AccountTrades
    | VenueAnomaly
    | BalancesUpdated
    | VenueStatus
    | MarkPrice
    | MarginTerms
    | FundingDue
)
Event = (
    MarketEvent
    | FeedStatus
    | StreamProof
    | BookLook
    | SignalReceived
    | SignalRefused
    | CancelReceived
    | QueryReceived
    | MacroBeat
    | VenueReport
    | TimerFired
    | OperatorCommand
    | LimitsChanged
    | StepsChanged
    | Started
)
