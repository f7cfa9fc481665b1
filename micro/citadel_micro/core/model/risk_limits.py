"""The limits of the risk gate: one frozen value, changed only as a whole.

Fields without a default are *required*: there is no figure that would be safe for everybody, so a
configuration has to name them. ``paper_defaults`` gives documented figures for paper money.

Money is in ``reporting_currency`` unless a field says otherwise. Tables by symbol or venue look
for ``venue:symbol``, then the symbol (or the venue), then ``*``; a table without an answer denies.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import MISSING, Field, dataclass, field, fields
from decimal import Decimal
from typing import Final, Literal

from citadel_proto.errors import BadInput

SECOND_NS = 1_000_000_000
_DEAD_ACTIONS: Final = ("hold", "flatten")
ANY = "*"
SIZING_METHODS: Final = ("fixed_fraction", "volatility_target", "kelly")
_FRACTIONS: Final = (
    *("probation_fraction", "warn_fraction", "liquidation_buffer"),
    *("sizing_fraction", "sizing_daily_volatility", "kelly_fraction", "kelly_loss"),
)
UNUSED: Final = 1_000_000
"""From here on a count, or a move in basis points, is not limited, and not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Every parameter of the gate and of its circuit breakers, with its unit in its name.

    Quantities are in units of the instrument's quantity (base units, contracts for derivatives).
    Raises BadInput for a number that is not finite or below its range, and for a group that has
    no limit.
    """

    # Without a default: these have to be given.
    max_order_quantity: dict[str, Decimal]
    """By symbol: the largest single order."""
    max_order_notional: Decimal
    max_position_quantity: dict[str, Decimal]
    """By symbol: the largest position on either side, all pending orders counted as filled."""
    max_position_notional: Decimal
    """The same in money, one figure for every symbol."""
    max_gross_exposure: Decimal
    max_net_exposure: Decimal
    max_venue_exposure: dict[str, Decimal]
    """By venue: gross."""
    max_open_orders: int
    """Working parent orders, all venues."""
    max_daily_loss: Decimal
    """Since midnight UTC."""
    max_rolling_loss: Decimal
    """Over ``rolling_window_ns``."""
    max_drawdown: Decimal
    """Below the highest profit ever reached."""

    # Check 2, leases.
    lease_required: bool = True
    """Whether new risk needs heartbeats (of a macro, or the command line)."""
    lease_soft_ns: int = 5 * SECOND_NS
    lease_hard_ns: int = 15 * SECOND_NS
    lease_dead_ns: int = 60 * SECOND_NS
    """Silence of every macro and command line after which ``lease_dead_action`` is taken."""
    lease_dead_action: Literal["hold", "flatten"] = "hold"
    """Keep positions, with their exits and stops, or flatten them."""
    dms_venues: tuple[str, ...] = ()
    """Venues whose dead man's switch must be armed before new risk: the venue's timer, or a watchdog that
    stands by. Live, every venue traded on, unless this says otherwise or it is a simulator."""

    # Checks 4 and 5, the intent.
    signal_ttl_ns: int = 10 * SECOND_NS
    allowed_venues: tuple[str, ...] = ()
    allowed_symbols: tuple[str, ...] = ()
    """``venue:symbol``, symbol, or ``*``. Empty allows nothing."""

    # Checks 7 to 9, the market.
    stale_ns: int = 3 * SECOND_NS // 2
    max_skew_ns: int = SECOND_NS // 2
    price_collar_bps: float = 100.0
    """On the side that costs money: a buy above the mid, a sell below it."""
    fat_finger_bps: float = 1_000.0
    """On the other side, where an order only rests: the limit against fat fingers."""
    reference_symbols: tuple[str, ...] = ()
    """Where a consolidated reference price is configured; there a missing one denies."""
    ref_divergence_bps: float = 50.0
    max_spread_bps: float = 30.0
    depth_participation_bps: float = 1_000.0
    """Largest share of the displayed depth within the collar: 1,000 = 10 %."""

    # Checks 12 to 15, valuation.
    mark_stale_ns: int = 10 * SECOND_NS
    """Age up to which the mid of a STALE book still values a position; a book in any other state
    but LIVE values none."""

    # Check 10, by venue.
    max_venue_order_notional: dict[str, Decimal] = field(default_factory=dict)
    """By venue: the largest single order there, where ``max_order_notional`` allows more."""

    # Check 13, groups and counts.
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> its symbols (``venue:symbol``, symbol)."""
    max_group_exposure: dict[str, Decimal] = field(default_factory=dict)
    """By group, gross; required for every group."""
    max_open_orders_per_venue: int = 1_000_000
    max_held_orders: int = 1_000
    """Stops waiting for their trigger, all venues."""

    # Check 13, budgets.
    max_strategy_exposure: dict[str, Decimal] = field(default_factory=dict)
    """By strategy, gross: what its own orders hold and may still fill. Empty: no budgets. A strategy that
    the table does not name has none to spend."""
    max_owner_exposure: dict[str, Decimal] = field(default_factory=dict)
    """The same by owner, one macro's intent log."""

    # Check 14, margin.
    liquidation_buffer: Decimal = Decimal("0.1")
    """Least distance of a position's liquidation price from the mark price, as a fraction of it."""

    # Check 15, losses.
    reporting_currency: str = "USDT"
    par_currencies: tuple[str, ...] = ()
    """Counted as equal to the reporting currency where no mark says otherwise."""
    rolling_window_ns: int = 3_600 * SECOND_NS
    warn_fraction: Decimal = Decimal("0.8")

    # Breakers.
    healthy_ns: int = 10 * SECOND_NS
    """An automatic reset needs this long without a relapse."""
    cooldown_ns: int = 60 * SECOND_NS
    """A timed reset leads to probation after this long."""
    probation_fraction: Decimal = Decimal("0.25")
    probation_parents: int = 3
    reject_burst: int = 5
    """This many venue rejects of one symbol within ``reject_window_ns`` trip its breaker."""
    reject_window_ns: int = 10 * SECOND_NS
    feed_trip_ns: int = 3 * SECOND_NS
    """A book that has not been LIVE for this long trips its symbol's breaker."""

    # Check 16, and the breakers that watch the same. Unused by default, as in earlier versions.
    max_messages_per_second: int = UNUSED
    """Orders and amends of one strategy; above it its entries wait. 1,000,000: not limited."""
    max_identical_orders: int = UNUSED
    """Entries of one strategy with the same instrument, side, quantity and price within
    ``identical_window_ns``. 1,000,000: not limited."""
    identical_window_ns: int = 10 * SECOND_NS
    max_venue_rejects: int = UNUSED
    """Orders that one venue has rejected within ``venue_rejects_window_ns``; at it entries wait.
    1,000,000: not limited."""
    venue_rejects_window_ns: int = 60 * SECOND_NS
    max_unfilled_messages: int = UNUSED
    """Orders and amends of one symbol since its last fill, within ``unfilled_window_ns``; at it
    entries wait. 1,000,000: not limited."""
    unfilled_window_ns: int = 600 * SECOND_NS
    max_repeated_entries: int = UNUSED
    """Entries of one strategy to the same side within ``repeated_window_ns``; one more trips
    REPEATED_EXECUTION. 1,000,000: not limited."""
    repeated_window_ns: int = 60 * SECOND_NS
    loss_streak: int = UNUSED
    """This many positions of one symbol in a row closed with a loss trip its breaker. 1,000,000: never."""
    flash_move_bps: float = float(UNUSED)
    """A mid that moves by more within ``flash_window_ns`` trips its symbol's breaker. 1,000,000: never."""
    flash_window_ns: int = 10 * SECOND_NS
    max_ack_ns: int = 3_600 * SECOND_NS
    """``slow_acks`` acknowledgments in a row that take longer trip the venue's breaker."""
    slow_acks: int = 3

    # Sizing, before the gate. Off by default.
    sizing: dict[str, str] = field(default_factory=dict)
    """By strategy or ``*``: ``fixed_fraction``, ``volatility_target`` or ``kelly``. Entries are given at most
    what they ask for, and no more than fits checks 10 to 14. Empty: what they ask for."""
    sizing_capital: Decimal = Decimal(0)
    """What the methods reckon with. 0: all balances and the unrealized profit of derivatives."""
    sizing_fraction: Decimal = Decimal("0.1")
    """``fixed_fraction``: the part of the capital that a position may be worth."""
    sizing_daily_volatility: Decimal = Decimal("0.01")
    """``volatility_target``: a position's daily standard deviation, as a part of the capital."""
    kelly_fraction: Decimal = Decimal("0.25")
    """``kelly``: the part of the Kelly fraction that is staked."""
    kelly_payoff: Decimal = Decimal(1)
    """``kelly``: what is won, in units of what is lost otherwise."""
    kelly_loss: Decimal = Decimal(1)
    """``kelly``: the part of a position's worth that is lost when it is lost, such as the stop's distance."""

    def __post_init__(self) -> None:
        """Reject numbers that cannot be limits."""
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, dict):
                for key, inner in value.items():
                    _check_number(f"{each.name}.{key}", inner)
            else:
                _check_number(each.name, value)
        if self.lease_hard_ns < self.lease_soft_ns:
            raise BadInput(
                f"lease_hard_ns {self.lease_hard_ns} is below lease_soft_ns {self.lease_soft_ns}",
                where="risk limits",
                allowed="a hard limit no shorter than the soft one",
                mend="raise lease_hard_ns",
            )
        if self.lease_dead_ns < self.lease_hard_ns:
            raise BadInput(
                f"lease_dead_ns {self.lease_dead_ns} is below lease_hard_ns {self.lease_hard_ns}",
                where="risk limits",
                allowed="no shorter than the hard lease: entries end first",
                mend="raise lease_dead_ns",
            )
        if self.lease_dead_action not in _DEAD_ACTIONS:
            raise BadInput(
                f"lease_dead_action is {self.lease_dead_action!r}",
                where="risk limits",
                allowed=", ".join(_DEAD_ACTIONS),
            )
        for name in _FRACTIONS:
            if getattr(self, name) > 1:
                raise BadInput(
                    f"{name} is {getattr(self, name)}",
                    where="risk limits",
                    allowed="0 to 1",
                    mend="give it as a fraction, not in percent",
                )
        _check_sizing(self)
        for name in self.groups:
            if name not in self.max_group_exposure:
                raise BadInput(
                    f"group {name} has no limit",
                    where="risk limits",
                    mend=f"add max_group_exposure.{name}",
                )

    def order_notional(self, venue: str) -> Decimal:
        """The largest single order at a venue."""
        of_venue = for_venue(self.max_venue_order_notional, venue)
        return (
            self.max_order_notional if of_venue is None else min(self.max_order_notional, of_venue)
        )

    def groups_of(self, venue: str, symbol: str) -> tuple[str, ...]:
        """Names of the groups that this instrument belongs to, in the order they were given."""
        if not self.groups:
            return ()
        return tuple(
            name for name, members in self.groups.items() if listed(members, venue, symbol)
        )


def listed(names: tuple[str, ...], venue: str, symbol: str) -> bool:
    """Whether a list names this instrument: as ``venue:symbol``, as symbol, or by ``*``."""
    return ANY in names or symbol in names or f"{venue}:{symbol}" in names


def for_symbol(table: dict[str, Decimal], venue: str, symbol: str) -> Decimal | None:
    """The most specific entry of a table by symbol; None when it has no answer."""
    found = table.get(f"{venue}:{symbol}")
    if found is None:
        found = table.get(symbol)
    return table.get(ANY) if found is None else found


def for_venue(table: dict[str, Decimal], venue: str) -> Decimal | None:
    """The venue's entry of a table, else the one for ``*``; None when it has no answer."""
    if not table:
        return None
    found = table.get(venue)
    return table.get(ANY) if found is None else found


def paper_defaults(**changes: object) -> RiskLimits:
    """Limits for paper money in USDT, for demonstrations and first steps.

    50,000 an order, 100,000 a symbol and venue-wide 250,000 gross; stop for the day at a loss of
    2,500, at 1,500 within an hour, at 5,000 below the best. Orders and positions are bounded in
    money; the bound in units is 10^9 so that it is never reached first. All symbols and
    venues are allowed. ``changes`` replace single fields.
    """
    huge = Decimal(10) ** 9
    values: dict[str, object] = {
        "max_order_quantity": {ANY: huge},
        "max_order_notional": Decimal(50_000),
        "max_position_quantity": {ANY: huge},
        "max_position_notional": Decimal(100_000),
        "max_gross_exposure": Decimal(250_000),
        "max_net_exposure": Decimal(250_000),
        "max_venue_exposure": {ANY: Decimal(250_000)},
        "max_open_orders": 50,
        "max_daily_loss": Decimal(2_500),
        "max_rolling_loss": Decimal(1_500),
        "max_drawdown": Decimal(5_000),
        "allowed_venues": (ANY,),
        "allowed_symbols": (ANY,),
    }
    values.update(changes)
    return RiskLimits(**values)  # type: ignore[arg-type]


def listed_limits(limits: RiskLimits) -> list[tuple[str, str]]:
    """Names and values as text; later limits only where they are used.

    Answers of earlier versions did not have them, and a journal of theirs gives the same answers.
    """
    return [
        (each.name, str(getattr(limits, each.name)))
        for each in fields(limits)
        if each.name not in _LATER or getattr(limits, each.name) != _default_of(each)
    ]


_LATER: Final = frozenset(
    {
        *("max_strategy_exposure", "max_owner_exposure", "max_messages_per_second"),
        *("max_identical_orders", "identical_window_ns", "max_venue_rejects"),
        *("venue_rejects_window_ns", "max_unfilled_messages", "unfilled_window_ns"),
        *("max_repeated_entries", "repeated_window_ns", "loss_streak", "flash_move_bps"),
        *("flash_window_ns", "max_ack_ns", "slow_acks"),
        *("sizing", "sizing_capital", "sizing_fraction", "sizing_daily_volatility"),
        *("kelly_fraction", "kelly_payoff", "kelly_loss"),
    }
)


def _default_of(each: Field[object]) -> object:
    return each.default if each.default_factory is MISSING else each.default_factory()


def fingerprint(limits: RiskLimits) -> str:
    """Twelve hex digits that two sets of limits share only when every limit is equal.

    5 and 5.0 are equal, and so are tables whatever the order of their keys.
    """
    rows = (f"{each.name}={_plain(getattr(limits, each.name))}" for each in fields(limits))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{_plain(value[key])}" for key in sorted(value))
    if isinstance(value, tuple):
        return ",".join(map(_plain, value))
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return repr(value)
    return format(Decimal(str(value)).normalize(), "f")


_LARGEST = 10**18


def _check_sizing(limits: RiskLimits) -> None:
    for strategy, method in limits.sizing.items():
        if method not in SIZING_METHODS:
            raise BadInput(
                f"sizing.{strategy} is {method!r}",
                where="risk limits",
                allowed=", ".join(SIZING_METHODS),
                mend="leave the strategy out for no sizing",
            )
    for name in ("kelly_payoff", "kelly_loss"):
        if not getattr(limits, name):
            raise BadInput(f"{name} is 0", where="risk limits", allowed="above 0")


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return
    finite = value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
    largest = 2**63 if name.endswith("_ns") else _LARGEST
    if not finite or value < 0 or value > largest:
        raise BadInput(
            f"{name} is {value}",
            where="risk limits",
            allowed="a finite number, 0 or more, at most 10^18",
            mend="a limit of 0 permits nothing; there is no way to say unlimited",
        )
