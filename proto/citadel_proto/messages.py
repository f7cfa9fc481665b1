"""Everything that crosses the wire between macro and micro, as frozen typed facts.

Conventions, the same for every message:

- prices, quantities and money are decimal text (``"0.5"``), exact on both sides;
- times are integer nanoseconds since the Unix epoch unless the name says ``mono``;
- symbols are unified (``BTC/USDT``; perpetuals ``BTC/USDT:USDT``), venues are venue ids
  (``binance-spot``);
- structs are array-like on the wire. A field, once published, keeps its place forever; new ones
  are appended with a default, so every older frame still decodes.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

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
    "anomaly",  # the venue reported more than was asked: frozen, a human must look
]
TERMINAL_STATUSES: Final[frozenset[str]] = frozenset(
    {"filled", "done_dust", "canceled", "expired", "rejected", "anomaly"}
)
BookState = Literal["SYNCING", "LIVE", "STALE", "BROKEN"]
MicroState = Literal["recovering", "active", "reducing", "halted", "killed"]
MacroState = Literal["starting", "running", "stopping"]
QueryKind = Literal["order", "orders", "balances", "positions", "limits"]
Param = str | int | float | bool


# msgspec hands options down to subclasses, except kw_only; type checkers want frozen repeated too.
class _Message(msgspec.Struct, frozen=True, array_like=True, tag_field="type", tag=True):
    """Base of all messages: frozen, keyword-only, positional on the wire, tagged by class name."""


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a message that never travels alone, so it carries no tag."""


# --- signals channel: macro publishes -----------------------------------------------------------


class Signal(_Message, frozen=True, kw_only=True):
    """A parent order as desired state, never a delta. Re-publishing it changes nothing."""

    signal_id: str
    """Made by macro, stable across re-publication and across a restart of macro."""
    strategy: str
    venue: str
    symbol: str
    side: Side
    quantity: str
    """Base units (contracts' base amount for perpetuals), decimal text, greater than zero."""
    kind: SignalKind = "order"
    order_type: OrderType = "limit"
    limit_price: str | None = None
    """Worst acceptable price; None lets the algorithm's own caps decide."""
    stop_price: str | None = None
    """Trigger price of a ``stop``; None for ``order``."""
    time_in_force: TimeInForce = "GTC"
    reduce_only: bool = False
    leverage: str = "1"
    algo: str = "chase_limit"
    params: dict[str, Param] = {}
    confidence: float | None = None
    """Calibrated probability in [0, 1]; micro may scale down or veto on it, never amplify."""
    model_id: str = ""
    tag: str = ""
    candle_ns: int = 0
    created_ns: int
    expires_ns: int
    """Until when the signal may be taken up. An order whose algorithm has no working time
    (``time_limit_ms``) ends at this moment as well; stops are held until they are withdrawn."""
    epoch: int
    """Start of the publishing process (ns); a larger epoch is a newer process."""
    seq: int
    """Per-topic sequence inside the epoch, from 1."""
    owner: str = ""
    """Lasting id of the intent log that recorded this; empty from a publisher that has none.
    Whose order it is, whatever the strategy is called."""


class Cancel(_Message, frozen=True, kw_only=True):
    """Withdraw the unfilled rest of a parent order."""

    signal_id: str
    reason: str = ""
    created_ns: int
    epoch: int
    seq: int
    venue: str = ""
    symbol: str = ""
    owner: str = ""
    """Who asks: only its owner, or the operator, withdraws an order."""


class Query(_Message, frozen=True, kw_only=True):
    """A question to micro; the Answer carries the same ``query_id``."""

    query_id: str
    kind: QueryKind
    reply_to: str
    """Instance of the asking macro, the last part of the topic of the answer."""
    signal_id: str = ""
    venue: str = ""
    symbol: str = ""
    since_ns: int = 0
    created_ns: int
    epoch: int
    seq: int
    owner: str = ""
    """Who asks."""
    mine: bool = False
    """``orders`` of ``owner`` only."""
    working: bool = False
    """``orders`` that have not ended only, whenever they were updated."""
    cursor: str = ""
    """Go on after this ``Answer.cursor``; empty begins."""
    limit: int = 0
    """Most orders in the answer; 0 leaves it to micro, which may give fewer."""


class MacroHeartbeat(_Message, frozen=True, kw_only=True):
    """Sent every second. Micro's lease on a macro lives on these."""

    instance: str
    epoch: int
    seq: int
    state: MacroState
    wall_ns: int
    mono_ns: int
    micro_instance_seen: str = ""
    micro_seq_seen: int = 0
    """Last MicroHeartbeat sequence received, 0 before the first."""
    schema: int = SCHEMA_VERSION
    strategy: str = ""
    owner: str = ""
    """As in this macro's signals."""


# --- market channel: micro publishes ------------------------------------------------------------


class BookSnapshot(_Message, frozen=True, kw_only=True):
    """The top of one venue's book, with its age and how far it can be trusted."""

    venue: str
    symbol: str
    state: BookState
    reason: str = ""
    exchange_ns: int
    """The venue's own time of the last update, 0 where it sends none."""
    recv_ns: int
    """When micro received the last update."""
    venue_seq: int
    bids: bytes
    """Little-endian float64 pairs price, size; best first; 16 bytes a level."""
    asks: bytes
    microprice: float
    """Size-weighted mid of the best level (Stoikov 2018, first-order form); NaN if one-sided."""
    imbalance: float
    """(bid size - ask size) / (bid size + ask size) over the published levels, in [-1, 1]."""
    spread: float
    """Best ask - best bid in price units; NaN if one-sided."""
    signed_flow: float
    """Taker buys - taker sells in base units over ``flow_window_ms``."""
    flow_window_ms: int
    published_ns: int
    instance: str
    seq: int
    features: dict[str, float] = {}
    proof_ns: int = 0
    """When micro last knew this to be the venue's book: its last update, or a later sign of life of
    the connection that carries it. 0 from a micro that does not tell: ``recv_ns`` then."""


class Trade(_Part, frozen=True, kw_only=True):
    """One public trade; ``side`` is the aggressor's."""

    price: float
    quantity: float
    side: Side
    exchange_ns: int
    trade_id: str


class Trades(_Message, frozen=True, kw_only=True):
    """Public trades since the last message of the topic, none left out."""

    venue: str
    symbol: str
    trades: tuple[Trade, ...]
    recv_ns: int
    instance: str
    seq: int


class Fill(_Part, frozen=True, kw_only=True):
    """One fill of one child order. ``trade_id`` is unique within the venue and symbol."""

    trade_id: str
    child_id: str
    price: str
    quantity: str
    fee: str
    fee_currency: str
    liquidity: Liquidity
    ts_ns: int


class Balance(_Part, frozen=True, kw_only=True):
    """One currency: total = free + used."""

    currency: str
    free: str
    used: str
    total: str


class Position(_Part, frozen=True, kw_only=True):
    """Signed base quantity held in one instrument, with its average entry price."""

    venue: str
    symbol: str
    quantity: str
    entry_price: str
    realised: str
    unrealised: str
    leverage: str = "1"
    liquidation_price: str | None = None
    valued: bool = True
    """False when micro has no book to value it by; ``unrealised`` is then "0" and says nothing."""


class ExecutionReport(_Message, frozen=True, kw_only=True):
    """The whole cumulative state of one parent order. Idempotent: the highest revision wins."""

    signal_id: str
    revision: int
    """Grows by at least one with every change of this parent, across restarts of micro."""
    venue: str
    symbol: str
    side: Side
    kind: SignalKind
    order_type: OrderType
    status: ParentStatus
    quantity: str
    filled: str
    average: str | None
    """Volume-weighted average of the fills; None before the first."""
    limit_price: str | None
    stop_price: str | None
    triggered: bool
    """A stop that has fired."""
    reason_code: str
    """Empty, or a code of the risk gate or of the executor (``MAX_POSITION``, ``CANCELED_BY_MACRO``)."""
    reason: str
    permitted: str | None
    """On a rejection, the largest quantity that would have passed."""
    fills: tuple[Fill, ...]
    balances: tuple[Balance, ...]
    """Never older than ``fills``."""
    position: Position | None
    strategy: str
    tag: str
    algo: str
    arrival_mid: float
    reprices: int
    own: bool
    """True when micro itself made the order (a flattening), so macro never asked for it."""
    created_ns: int
    updated_ns: int
    instance: str
    seq: int
    owner: str = ""
    """Whose order it is, as in its signal; empty for micro's own and for those without one."""


class Answer(_Message, frozen=True, kw_only=True):
    """Reply to a Query. ``found`` is False only when micro is sure that it knows no such order."""

    query_id: str
    kind: QueryKind
    found: bool
    reports: tuple[ExecutionReport, ...] = ()
    balances: tuple[Balance, ...] = ()
    positions: tuple[Position, ...] = ()
    limits: dict[str, str] = {}
    error: str = ""
    instance: str
    seq: int
    answered_ns: int = 0
    """When micro wrote the answer; balances in it are no older than this."""
    truncated: bool = False
    """More orders fit the question than are in this answer; it is right as far as it goes."""
    cursor: str = ""
    """Where to go on when ``truncated``."""


class RiskState(_Message, frozen=True, kw_only=True):
    """State of one risk scope and why."""

    scope: str
    """``global``, ``venue:<id>``, ``symbol:<venue>:<symbol>`` or ``strategy:<name>``."""
    state: str
    trip_id: str = ""
    code: str = ""
    reason: str = ""
    manual_reset: bool = False
    since_ns: int = 0
    instance: str
    seq: int


class FeedHealth(_Part, frozen=True, kw_only=True):
    """The connection behind a book: how far micro is behind it, and where the venue's clock is.

    Times in ns. Counts are since the start.
    """

    overloaded: bool = False
    """Micro does not keep up just now: books conflate, trades wait."""
    overloads: int = 0
    overloaded_ns: int = 0
    behind_ns: int = 0
    """Age of the oldest thing that has come and is not handled."""
    behind_peak_ns: int = 0
    loop_lag_ns: int = 0
    waiting: int = 0
    """Events that wait to be handled."""
    waiting_peak: int = 0
    unread_octets: int = 0
    unread_octets_peak: int = 0
    conflated: int = 0
    """Book updates that were handled as part of a younger one."""
    handled_ns: tuple[int, ...] = ()
    """From receipt to handled, at 50, 90 and 99 % of the last events."""
    clock_offset_ns: int | None = None
    """The venue's clock minus micro's; None until it is known."""
    clock_error_ns: int | None = None
    """The offset is right to within this."""
    rtt_ns: int | None = None
    """The quickest round trip of the last minute."""


class FeedState(_Message, frozen=True, kw_only=True):
    """State of one book subscription; published on every change and every few seconds."""

    venue: str
    symbol: str
    state: BookState
    reason: str
    last_seq: int
    last_recv_ns: int
    gaps: int
    resyncs: int
    instance: str
    seq: int
    health: FeedHealth | None = None
    last_proof_ns: int = 0
    """As ``BookSnapshot.proof_ns``."""


class MicroHeartbeat(_Message, frozen=True, kw_only=True):
    """Sent every second. Macro refuses to send orders when these stop."""

    instance: str
    seq: int
    state: MicroState
    started_ns: int
    wall_ns: int
    mono_ns: int
    macro_instance_seen: str = ""
    macro_seq_seen: int = 0
    working: int = 0
    """Parent orders not yet terminal."""
    schema: int = SCHEMA_VERSION
    mode: str = "paper"
    macros_seen: tuple[tuple[str, int], ...] = ()
    """(instance, last heartbeat sequence) of every macro that is alive; ``macro_instance_seen`` is
    only the latest of them, so it cannot serve two macros at once."""
    macros_refused: tuple[tuple[str, str], ...] = ()
    """(instance, reason) of every macro that is heard and whose orders are not taken."""


class VenueQuote(_Part, frozen=True, kw_only=True):
    """Best bid and ask of one venue's LIVE book, as part of a consolidated one."""

    venue: str
    bid: float
    bid_size: float
    """Base units, whatever the venue counts in."""
    ask: float
    ask_size: float
    age_ns: int
    """Since micro received the last update of this book, at ``published_ns``."""
    verified: bool = True
    """The venue's protocol lets gaps be seen, and none was."""
    proof_age_ns: int = 0
    """Since micro last knew the book to be the venue's, at ``published_ns``: at most ``age_ns``."""


class ConsolidatedBook(_Message, frozen=True, kw_only=True):
    """Many venues' books of one unified symbol as one: LIVE and young ones only."""

    symbol: str
    bids: bytes
    """As ``BookSnapshot.bids``; sizes in base units, summed over the venues at each price."""
    asks: bytes
    venues: tuple[VenueQuote, ...]
    """Whose books are in it, by venue id. Empty: there is no consolidated book now."""
    left_out: dict[str, str]
    """Whose books are not, and why."""
    published_ns: int
    instance: str
    seq: int


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
