"""The numbers that the risk gate compares with: one frozen value, changed only as a whole.

Fields without a default are *required*: there is no figure that would be safe for everybody, so a
configuration has to name them. ``paper_defaults`` gives documented figures for paper money.

Money is in ``reporting_currency`` unless a field says otherwise. Tables by symbol or venue look
for ``venue:symbol``, then the symbol (or the venue), then ``*``; a table without an answer denies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Final, Literal

from citadel_proto.errors import BadInput

SECOND_NS = 1_000_000_000
_DEAD_ACTIONS: Final = ("hold", "flatten")
ANY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Every parameter of the gate and of the breakers behind it, with its unit in its name.

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
    """Whether somebody (a macro, or the command line) must be heard for new risk."""
    lease_soft_ns: int = 5 * SECOND_NS
    lease_hard_ns: int = 15 * SECOND_NS
    lease_dead_ns: int = 60 * SECOND_NS
    """Silence of every macro and command line after which ``lease_dead_action`` is taken."""
    lease_dead_action: Literal["hold", "flatten"] = "hold"
    """Keep what is held, with its exits and stops, or flatten it."""
    dms_venues: tuple[str, ...] = ()
    """Venues whose dead man's switch must be armed before the first order."""

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
    """On the other side, where an order merely rests: farther away it is a slip of the hand."""
    reference_symbols: tuple[str, ...] = ()
    """Where a consolidated reference price is configured; there a missing one denies."""
    ref_divergence_bps: float = 50.0
    max_spread_bps: float = 30.0
    depth_participation_bps: float = 1_000.0
    """Largest share of the displayed depth within the collar: 1,000 = 10 %."""

    # Checks 12 to 15, what holdings are worth.
    mark_stale_ns: int = 10 * SECOND_NS
    """Age up to which the mid of a STALE book still values a holding; a book in any other state
    but LIVE values none."""

    # Check 13, groups and counts.
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> its symbols (``venue:symbol``, symbol)."""
    max_group_exposure: dict[str, Decimal] = field(default_factory=dict)
    """By group, gross; required for every group that is named."""
    max_open_orders_per_venue: int = 1_000_000
    max_held_orders: int = 1_000
    """Stops that wait for their trigger, all venues."""

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

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be limits."""
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
                allowed="no shorter than the hard lease: entries go first",
                mend="raise lease_dead_ns",
            )
        if self.lease_dead_action not in _DEAD_ACTIONS:
            raise BadInput(
                f"lease_dead_action is {self.lease_dead_action!r}",
                where="risk limits",
                allowed=", ".join(_DEAD_ACTIONS),
            )
        for name in ("probation_fraction", "warn_fraction"):
            if getattr(self, name) > 1:
                raise BadInput(
                    f"{name} is {getattr(self, name)}",
                    where="risk limits",
                    allowed="0 to 1",
                    mend="give it as a fraction, not in percent",
                )
        for name in self.groups:
            if name not in self.max_group_exposure:
                raise BadInput(
                    f"group {name} has no limit",
                    where="risk limits",
                    mend=f"add max_group_exposure.{name}",
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
    """The most special entry of a table by symbol; None when it has no answer."""
    found = table.get(f"{venue}:{symbol}")
    if found is None:
        found = table.get(symbol)
    return table.get(ANY) if found is None else found


def for_venue(table: dict[str, Decimal], venue: str) -> Decimal | None:
    """The venue's entry of a table, else the one for ``*``; None when it has no answer."""
    found = table.get(venue)
    return table.get(ANY) if found is None else found


def paper_defaults(**changes: object) -> RiskLimits:
    """Limits for paper money in USDT, for demonstrations and first steps.

    50,000 an order, 100,000 a symbol and venue-wide 250,000 gross; stop for the day at a loss of
    2,500, at 1,500 within an hour, at 5,000 below the best. Orders and positions are bounded in
    money; the bound in units is 10^9 so that it is never the first to be met. All symbols and
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


_LARGEST = 10**18


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
