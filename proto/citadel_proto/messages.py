"""Every message between macro and micro, as frozen typed structs.

Conventions, the same for every message:

- prices, quantities and money are decimal text (``"0.5"``), exact on both sides;
- times are integer nanoseconds since the Unix epoch unless the name says ``mono``;
- symbols are unified (``BTC/USDT``; perpetuals ``BTC/USDT:USDT``), venues are venue ids
  (``binance-spot``);
- structs are array-like on the wire. A field, once published, keeps its place forever; new ones
  are appended with a default, so every older frame still decodes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec

from citadel_proto.bounds import Count, Integer, Levels, Name, Number, RawNumber, Scope, Text, Time
from citadel_proto.feed_parts import FeedHealth, Part, VenueQuote

SCHEMA_VERSION: Final = 1
"""Version of the message set; raised only when a reader must know of a change."""

Side = Literal["buy", "sell"]
SignalKind = Literal["order", "stop"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["GTC", "IOC", "FOK", "PO"]
Liquidity = Literal["maker", "taker"]
ParentStatus = Literal[
    "accepted",  # journaled, nothing sent to the venue yet (a held stop stays here)
    "working",  # at least one child placed or being placed
    "paused",  # waiting for a trustworthy book, a venue answer or a risk state
    "filled",
    "done_dust",  # complete but for a residual below the venue's minimum
    "canceled",
    "expired",
    "rejected",
    "anomaly",  # the venue reported an overfill: frozen, a human must look
]
TERMINAL_STATUSES: Final[frozenset[str]] = frozenset(
    {"filled", "done_dust", "canceled", "expired", "rejected", "anomaly"}
)
BookState = Literal["SYNCING", "LIVE", "STALE", "BROKEN"]
MicroState = Literal["recovering", "active", "reducing", "halted", "killed"]
MacroState = Literal["starting", "running", "stopping"]
QueryKind = Literal["order", "orders", "balances", "positions", "limits"]
Param = Annotated[str, msgspec.Meta(max_length=1_024)] | int | float | bool


# msgspec hands options down to subclasses, except kw_only; type checkers want frozen repeated too.
class _Message(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=True):
    """Base of all messages: frozen, keyword-only, positional on the wire, tagged by class name."""

    TOPIC: ClassVar[tuple[str, ...]]
    """Its topic: the kind, then the names of the fields that select it (``topics``)."""


# --- signals channel: macro publishes -----------------------------------------------------------


class Signal(_Message, frozen=True, kw_only=True):
    """A parent order as desired state, never a delta. Re-publishing it changes nothing."""

    TOPIC = ("signal", "venue", "symbol")

    signal_id: Name
    """Made by macro, stable across re-publication and across a restart of macro."""
    strategy: Name
    venue: Name
    symbol: Name
    side: Side
    quantity: RawNumber
    """Base units (contracts' base amount for perpetuals), decimal text, greater than zero."""
    kind: SignalKind = "order"
    order_type: OrderType = "limit"
    limit_price: RawNumber | None = None
    """Worst acceptable price; None lets the algorithm's own caps decide."""
    stop_price: RawNumber | None = None
    """Trigger price of a ``stop``; None for ``order``."""
    time_in_force: TimeInForce = "GTC"
    reduce_only: bool = False
    leverage: RawNumber = "1"
    algo: Name = "chase_limit"
    params: Annotated[dict[Name, Param], msgspec.Meta(max_length=1_024)] = {}
    confidence: float | None = None
    """Calibrated probability in [0, 1]; micro may scale down or veto on it, never amplify."""
    model_id: Name = ""
    tag: Name = ""
    candle_ns: int = 0
    created_ns: int
    expires_ns: int
    """Until when the signal may be accepted. An order whose algorithm has no working time
    (``time_limit_ms``) ends at this moment as well; stops are held until they are canceled."""
    epoch: Count
    """Start of the publishing process (ns); a larger epoch is a newer process."""
    seq: Count
    """Per-topic sequence inside the epoch, from 1."""
    owner: Name = ""
    """Permanent id of the intent log that recorded this; empty from a publisher that has none.
    It owns the order, whatever the strategy is called."""


class Cancel(_Message, frozen=True, kw_only=True):
    """Cancel the unfilled rest of a parent order."""

    TOPIC = ("cancel", "venue", "symbol")

    signal_id: Name
    reason: Text = ""
    created_ns: Time
    epoch: Count
    seq: Count
    venue: Name = ""
    symbol: Name = ""
    owner: Name = ""
    """Who sends the cancel: only an order's owner, or the operator, can cancel it."""


class Query(_Message, frozen=True, kw_only=True):
    """A query to micro; the Answer carries the same ``query_id``."""

    TOPIC = ("query",)

    query_id: Name
    kind: QueryKind
    reply_to: Name
    """Instance of the querying macro, the last part of the answer's topic."""
    signal_id: Name = ""
    venue: Name = ""
    symbol: Name = ""
    since_ns: Integer = 0
    created_ns: Time
    epoch: Count
    seq: Count
    owner: Name = ""
    """Who asks."""
    mine: bool = False
    """Only ``orders`` of ``owner``."""
    working: bool = False
    """Only open ``orders``, whenever they were updated."""
    cursor: Scope = ""
    """Continue after this ``Answer.cursor``; empty starts from the beginning."""
    limit: Integer = 0
    """Maximum number of orders in the answer; 0 leaves it to micro, which may return fewer."""


class MacroHeartbeat(_Message, frozen=True, kw_only=True):
    """Sent every second. They renew micro's lease on a macro."""

    TOPIC = ("hb",)

    instance: Name
    epoch: Count
    seq: Count
    state: MacroState
    wall_ns: Time
    mono_ns: Time
    micro_instance_seen: Name = ""
    micro_seq_seen: Count = 0
    """Last MicroHeartbeat sequence received, 0 before the first."""
    schema: Count = SCHEMA_VERSION
    strategy: Name = ""
    owner: Name = ""
    """As in this macro's signals."""
    pairs: Annotated[tuple[tuple[Name, Name], ...], msgspec.Meta(max_length=2_048)] = ()
    """(venue, symbol) of everything that it may trade or look at now: micro follows those of its
    ``on_demand`` pairs while they are in it. Empty from a macro that does not say."""
    micros_seen: Annotated[tuple[tuple[Name, Count], ...], msgspec.Meta(max_length=256)] = ()
    """(instance, last heartbeat sequence) of every connected micro; ``micro_instance_seen`` is only
    the latest of them."""


# --- market channel: micro publishes ------------------------------------------------------------


class BookSnapshot(_Message, frozen=True, kw_only=True):
    """The top of one venue's book, with its age and integrity."""

    TOPIC = ("book", "venue", "symbol")

    venue: Name
    symbol: Name
    state: BookState
    reason: Text = ""
    exchange_ns: Integer
    """The venue's own time of the last update, 0 where it sends none."""
    recv_ns: Time
    """When micro received the last update."""
    venue_seq: Integer
    bids: Levels
    """Little-endian float64 pairs price, size; best first; 16 bytes a level."""
    asks: Levels
    microprice: float
    """Size-weighted mid of the best level (Stoikov 2018, first-order form); NaN if one-sided."""
    imbalance: float
    """(bid size - ask size) / (bid size + ask size) over the published levels, in [-1, 1]."""
    spread: float
    """Best ask - best bid in price units; NaN if one-sided."""
    signed_flow: float
    """Taker buys - taker sells in base units over ``flow_window_ms``."""
    flow_window_ms: Count
    published_ns: Time
    instance: Name
    seq: Count
    features: Annotated[dict[Name, float], msgspec.Meta(max_length=256)] = {}
    proof_ns: Time = 0
    """When the book was last proven current: its last update, or any later message of the connection
    that carries it. 0 from a micro that does not send it: ``recv_ns`` then."""


class Trade(Part, frozen=True, kw_only=True):
    """One public trade; ``side`` is the aggressor's."""

    price: float
    quantity: float
    side: Side
    exchange_ns: Integer
    trade_id: Name


class Trades(_Message, frozen=True, kw_only=True):
    """Public trades since the last message of the topic, complete."""

    TOPIC = ("trades", "venue", "symbol")

    venue: Name
    symbol: Name
    trades: Annotated[tuple[Trade, ...], msgspec.Meta(max_length=10_000)]
    recv_ns: Time
    instance: Name
    seq: Count


class Fill(Part, frozen=True, kw_only=True):
    """One fill of one child order. ``trade_id`` is unique within the venue and symbol."""

    trade_id: Name
    child_id: Name
    price: Number
    quantity: Number
    fee: Number
    fee_currency: Name
    liquidity: Liquidity
    ts_ns: Time


class Balance(Part, frozen=True, kw_only=True):
    """One currency: total = free + used."""

    currency: Name
    free: Number
    used: Number
    total: Number


class Position(Part, frozen=True, kw_only=True):
    """Signed base quantity held in one instrument, with its average entry price."""

    venue: Name
    symbol: Name
    quantity: Number
    entry_price: Number
    realised: Number
    unrealised: Number
    leverage: Number = "1"
    liquidation_price: Number | None = None
    valued: bool = True
    """False when micro has no book to value it by; ``unrealised`` is then "0" and meaningless."""
    funding: Number = "0"
    """Funding received less paid since the position was opened from nothing, also after its end; part of
    ``realised``."""


class ExecutionReport(_Message, frozen=True, kw_only=True):
    """The whole cumulative state of one parent order. Idempotent: the highest revision wins."""

    TOPIC = ("report", "strategy", "symbol")

    signal_id: Name
    revision: Count
    """Grows by at least one with every change of this parent, across restarts of micro."""
    venue: Name
    symbol: Name
    side: Side
    kind: SignalKind
    order_type: OrderType
    status: ParentStatus
    quantity: Number
    filled: Number
    average: Number | None
    """Volume-weighted average of the fills; None before the first."""
    limit_price: Number | None
    stop_price: Number | None
    triggered: bool
    """A stop that has triggered."""
    reason_code: Name
    """Empty, or a code of the risk gate or of the executor (``MAX_POSITION``, ``CANCELED_BY_MACRO``)."""
    reason: Text
    permitted: Number | None
    """On a rejection, the largest quantity that would have passed."""
    fills: Annotated[tuple[Fill, ...], msgspec.Meta(max_length=100_000)]
    balances: Annotated[tuple[Balance, ...], msgspec.Meta(max_length=10_000)]
    """Never older than ``fills``."""
    position: Position | None
    strategy: Name
    tag: Name
    algo: Name
    arrival_mid: float
    reprices: Count
    own: bool
    """True when micro itself created the order (a flattening), without a signal of macro."""
    created_ns: Time
    updated_ns: Time
    instance: Name
    seq: Count
    owner: Name = ""
    """Owner of the order, as in its signal; empty for micro's own and for those without one."""


class Answer(_Message, frozen=True, kw_only=True):
    """Reply to a Query. ``found`` is False only when micro is sure that it knows no such order."""

    TOPIC = ("answer", "reply_to")
    """``reply_to`` is its Query's: the answer does not repeat it."""

    query_id: Name
    kind: QueryKind
    found: bool
    reports: Annotated[tuple[ExecutionReport, ...], msgspec.Meta(max_length=10_000)] = ()
    balances: Annotated[tuple[Balance, ...], msgspec.Meta(max_length=10_000)] = ()
    positions: Annotated[tuple[Position, ...], msgspec.Meta(max_length=10_000)] = ()
    limits: Annotated[dict[Name, Text], msgspec.Meta(max_length=256)] = {}
    error: Text = ""
    instance: Name
    seq: Count
    answered_ns: Time = 0
    """When micro wrote the answer; balances in it are no older than this."""
    truncated: bool = False
    """More orders match the query than are in this answer; those in it are correct."""
    cursor: Scope = ""
    """Where to continue when ``truncated``."""


class RiskState(_Message, frozen=True, kw_only=True):
    """State of one risk scope and why."""

    TOPIC = ("risk",)

    scope: Scope
    """``global``, ``venue:<id>``, ``symbol:<venue>:<symbol>`` or ``strategy:<name>``."""
    state: Name
    trip_id: Name = ""
    code: Name = ""
    reason: Text = ""
    manual_reset: bool = False
    since_ns: Time = 0
    instance: Name
    seq: Count


class FeedState(_Message, frozen=True, kw_only=True):
    """State of one book subscription; published on every change and every few seconds."""

    TOPIC = ("feed", "venue", "symbol")

    venue: Name
    symbol: Name
    state: BookState
    reason: Text
    last_seq: Integer
    last_recv_ns: Time
    gaps: Count
    resyncs: Count
    instance: Name
    seq: Count
    health: FeedHealth | None = None
    last_proof_ns: Time = 0
    """As ``BookSnapshot.proof_ns``."""


class MicroHeartbeat(_Message, frozen=True, kw_only=True):
    """Sent every second. Macro stops sending orders when these stop."""

    TOPIC = ("hb",)

    instance: Name
    seq: Count
    state: MicroState
    started_ns: Time
    wall_ns: Time
    mono_ns: Time
    macro_instance_seen: Name = ""
    macro_seq_seen: Count = 0
    working: Count = 0
    """Parent orders not yet terminal."""
    schema: Count = SCHEMA_VERSION
    mode: Name = "paper"
    macros_seen: Annotated[tuple[tuple[Name, Count], ...], msgspec.Meta(max_length=256)] = ()
    """(instance, last heartbeat sequence) of every connected macro; ``macro_instance_seen`` is
    only the latest of them, so it cannot serve two macros at once."""
    macros_refused: Annotated[tuple[tuple[Name, Text], ...], msgspec.Meta(max_length=256)] = ()
    """(instance, reason) of every connected macro whose orders are rejected."""
    clock_drift_ns: Integer = 0
    """``wall_ns`` minus the clock that orders are stamped with, which never goes back."""
    serves: Annotated[tuple[tuple[Name, Name], ...], msgspec.Meta(max_length=4_096)] = ()
    """(venue, symbol) of the orders that it takes, as one of several micros, each with its own pairs.
    Empty from one that is alone: it answers every order, if only with a reject."""
    reports: Count | None = None
    """ExecutionReports that this run has published so far, under all topics together. Messages arrive in
    order, so a subscriber of all reports that has fewer has lost some, the last of a topic too, after
    which no gap shows; it queries. None from a micro that does not count."""


class ConsolidatedBook(_Message, frozen=True, kw_only=True):
    """Several venues' books of one unified symbol merged into one: LIVE and fresh ones only."""

    TOPIC = ("consolidated", "symbol")

    symbol: Name
    bids: Levels
    """As ``BookSnapshot.bids``; sizes in base units, summed over the venues at each price."""
    asks: Levels
    venues: Annotated[tuple[VenueQuote, ...], msgspec.Meta(max_length=1_024)]
    """The venues included, by id. Empty: there is no consolidated book now."""
    left_out: Annotated[dict[Name, Text], msgspec.Meta(max_length=1_024)]
    """The venues excluded, and why."""
    published_ns: Time
    instance: Name
    seq: Count


SignalChannel = Signal | Cancel | Query | MacroHeartbeat
MarketChannel = (
    BookSnapshot
    | Trades
    | ExecutionReport
    | Answer
    | RiskState
    | FeedState
    | MicroHeartbeat
    | ConsolidatedBook
)
