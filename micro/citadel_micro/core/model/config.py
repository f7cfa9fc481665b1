"""The engine's configuration, fixed at its start. Part of the journal's header, so plain data only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from citadel_micro.core.model.account_events import TradeKind
from citadel_micro.core.model.risk_limits import RiskLimits
from citadel_micro.core.model.time_units import MS, SECOND
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.model.abilities import VenueAbilities

MAX_RUN_ID = 12
MARK_LENGTH = 6
"""Two billion marks: two micros on one account hardly ever share one. With the run's id, parent and
child an order's id stays within 36 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """How one venue handles our orders.

    Messages are orders, amends, cancels and queries together: a bucket of ``message_burst`` that
    refills at ``messages_per_second``, of which ``cancel_reserve`` (a fraction) is kept for
    cancels, and half of it for queries too; while a cancel waits, nothing else is sent.
    """

    integrity: str = "range_bridge_spot"
    """Name of a strategy of ``core.marketdata.sequencing``."""
    amend_native: bool = False
    """The venue changes price and quantity of a resting order in place, atomically."""
    amend_down: bool = False
    """It lowers the quantity of a resting order in place, which keeps its turn."""
    shows_own_orders: bool = True
    """Our resting orders are part of the public book: true of exchanges, false on paper."""
    fill_or_kill: bool = False
    """The venue has orders that fill at once and as a whole, or not at all."""
    displays_part: bool = False
    """The venue can show a part of a resting order's quantity; elsewhere the whole is shown."""
    messages_per_second: int = 10
    message_burst: int = 50
    cancel_reserve: float = 0.2
    order_window_ns: int = 2 * SECOND
    """The venue rejects a request that reaches it later than this (``recvWindow``)."""
    tells_trades: bool = False
    """The account's trades can be asked for, with the client ids of their orders."""
    backend_timeout_ns: int = 0
    """So long after its expiry a request that had arrived may still be carried out."""
    forced_ids: tuple[tuple[str, TradeKind], ...] = ()
    """Beginnings of the client ids of the venue's own orders against a position."""
    margined: bool = False
    """Its derivatives are checked for leverage, margin and their distance to liquidation; without it
    (paper, earlier versions) they are not."""
    counts_rate_limits: bool = True
    """Refusals for the venue's rate limit count towards REJECT_BURST, as in earlier versions."""
    shared_account: bool = False
    """Other micros may trade the derivatives of this account: what they do is theirs, and our
    position is what our own orders have made."""
    mark: str = ""
    """Follows ``sc`` in every client order id: six letters and digits that permanently identify
    this micro on this account. Without one, only the orders of this run are known as its own."""
    on_demand: tuple[str, ...] = ()
    """Symbols whose books are followed only while a macro may trade them."""

    @classmethod
    def of(
        cls,
        abilities: VenueAbilities,
        *,
        integrity: str,
        mark: str = "",
        shared_account: bool = False,
        on_demand: tuple[str, ...] = (),
    ) -> VenueConfig:
        """The configuration for a venue with these abilities."""
        return cls(
            integrity=integrity,
            amend_native=abilities.amends == "in_place",
            amend_down=abilities.amends == "quantity_down",
            shows_own_orders=abilities.shows_own_orders,
            displays_part=abilities.displays_part,
            fill_or_kill=abilities.fill_or_kill,
            messages_per_second=abilities.messages_per_second,
            message_burst=abilities.message_burst,
            order_window_ns=abilities.order_window_ns,
            tells_trades=abilities.tells_trades,
            backend_timeout_ns=abilities.backend_timeout_ns,
            forced_ids=abilities.forced_ids,
            margined=abilities.margined,
            counts_rate_limits=False,
            shared_account=shared_account,
            mark=mark,
            on_demand=on_demand,
        )

    def __post_init__(self) -> None:
        """Reject buckets that could never send an order, and invalid marks."""
        if self.mark and not re.fullmatch(rf"[a-z0-9]{{{MARK_LENGTH}}}", self.mark):
            raise BadInput(
                f"mark {self.mark!r}",
                where="venue configuration",
                allowed=f"{MARK_LENGTH} small letters and digits, or none",
            )
        usable = self.message_burst * (1 - self.cancel_reserve)
        if self.messages_per_second < 1 or not 0 <= self.cancel_reserve < 1 or usable < 1:
            raise BadInput(
                f"a bucket of {self.message_burst} messages, {self.messages_per_second} a second,"
                f" {self.cancel_reserve} of it reserved, cannot send an order",
                where="venue configuration",
                allowed="at least 1 a second, a reserve from 0 to below 1, and 1 left beside it",
                mend="raise message_burst or messages_per_second, or lower cancel_reserve",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceConfig:
    """One venue whose books are followed and never traded on."""

    integrity: str
    """Name of a strategy of ``core.marketdata.sequencing``."""
    symbols: Mapping[str, float]
    """Unified symbol -> base units of one unit of size; of inverse contracts quote units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Everything that is not an event. Times in nanoseconds, fractions of 1."""

    run_id: str
    """Letters and digits, at most 12: begins every client order id of this run."""
    instance: str
    venues: Mapping[str, VenueConfig]
    limits: RiskLimits
    algo_defaults: Mapping[str, Mapping[str, str | int | float | bool]] = field(
        default_factory=dict
    )
    """Algorithm -> parameter -> value used where a signal names none."""
    tick_ns: int = 100 * MS
    """Housekeeping: book ages, risk, and what is published at intervals."""
    book_publish_interval_ns: int = 100 * MS
    """0 publishes no books."""
    feed_publish_interval_ns: int = 5 * SECOND
    heartbeat_ns: int = SECOND
    stale_cancel_ns: int = 3 * SECOND
    """A chasing order is canceled when its book has been unfit for this long."""
    crossed_resync_ns: int = 500 * MS
    request_timeout_ns: int = 3 * SECOND
    """An unanswered request makes its order unknown, even where the shell reports no timeout."""
    query_interval_ns: int = 250 * MS
    """Between the first two queries about an unknown order; doubles up to 5 s."""
    release_skew_ns: int = 500 * MS
    """Added to a request's expiry before "not found" is accepted."""
    quarantine_ns: int = 60 * SECOND
    audit_ns: int = 15 * SECOND
    """A resting order without a report for this long is queried."""
    gate_retry_ns: int = 100 * MS
    """Before the gate is asked again after a temporary reject."""
    reconcile_retry_ns: int = 2 * SECOND
    compare_ns: int = 60 * SECOND
    """Between two comparisons of our positions and balances with the venue's; 0 compares once."""
    shutdown_ns: int = 10 * SECOND
    """Longest wait for confirmation that every order is canceled."""
    retention_ns: int = 24 * 3_600 * SECOND
    """How long terminal parents are remembered, against duplicates and for queries."""
    retention_count: int = 5_000
    flatten_cross_bps: float = 50.0
    max_signal_skew_ns: int = 0
    """Tolerance added to a signal's expiry for clock differences."""
    slice_entries: bool = False
    """An entry larger than the depth permits one order to be is accepted, and worked in several, where
    its algorithm can; in earlier versions it was rejected."""
    wide_valuation: bool = False
    """A currency without a spot pair against the reporting currency is valued through another (BNB by
    BNB/BTC and BTC/USDT), and what the account is worth is stored; in earlier versions neither was."""
    tell_foreign: bool = False
    """Trades of others are reported to macros; in earlier versions they were only counted."""
    flatten_ends_small: bool = False
    """A flattening ends with its filled order if what is left is too small for another; in earlier
    versions it tried again a second later, and took what had been bought meanwhile."""
    flatten_spares_later: bool = False
    """A flattening leaves what orders that came after it have bought (or sold short); in earlier versions it
    took that too, until nothing was left."""
    flatten_counts_contracts: bool = False
    """What they have bought is counted in contracts where the position is; in earlier versions in coins."""
    late_reject_ends: bool = False
    """An order that was acknowledged, and is found rejected when the venue is asked, has ended with what it had
    filled; in earlier versions it was unknown again, and asked about for ever."""
    round_exits: bool = False
    """An exit whose quantity or limit is between two lots or ticks of ours is rounded, to the safe side; in
    earlier versions it was refused as an entry is."""
    ask_trades_again: bool = False
    """What makes the account's trades worth a query while one is out is queried after its answer; in earlier
    versions that answer counted, which may have been made before: funding, or a trade of others, was found late."""
    references: Mapping[str, ReferenceConfig] = field(default_factory=dict)
    """Venues by id that provide reference books only; none of ``venues``."""

    def __post_init__(self) -> None:
        """Reject an id that a venue would not accept."""
        if not re.fullmatch(rf"[A-Za-z0-9]{{1,{MAX_RUN_ID}}}", self.run_id):
            raise BadInput(
                f"run id {self.run_id!r}",
                where="engine configuration",
                allowed=f"1 to {MAX_RUN_ID} letters and digits",
                mend="shorten it",
            )
        if self.tick_ns <= 0 or self.heartbeat_ns <= 0:
            raise BadInput("tick_ns and heartbeat_ns must be above 0", where="engine configuration")
        for venue in self.references:
            if venue in self.venues:
                raise BadInput(
                    f"{venue} is traded on, so it cannot be a reference as well",
                    where="engine configuration",
                    mend="name it once",
                )

    def late_ns(self, venue: str) -> int:
        """How long after its expiry a venue may still execute a request, with the clocks' difference."""
        return self.venues[venue].backend_timeout_ns + self.release_skew_ns
