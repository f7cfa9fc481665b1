"""The risk gate's request, its inputs, and its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from citadel_micro.core.model.events import Side
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.core.model.commands import Note, Persist, PublishRisk
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.portfolio.portfolio import Portfolio

Number = int | float | Decimal
Row = tuple[int, RiskCode, bool, Number | str | None, Number | str | None, str]
"""The fields of a ``CheckResult``."""
Standing: TypeAlias = "tuple[int, int, int, int, Sequence[tuple[Instrument, int, int]]]"
"""Our open orders at the venues: see ``RiskView.standing``."""
RiskCommand: TypeAlias = "PublishRisk | Persist | Note"
"""All commands that the gate issues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRequest:
    """One order to check: a parent at its admission, or a child at every place and amend."""

    scope: Literal["parent", "child"]
    venue: str
    symbol: str
    strategy: str
    side: Side
    quantity_lots: int
    """Parent: its target. Child: the order's quantity (of an amend the new total)."""
    exposure_lots: int
    """Lots that the worst case of this side grows by. Parent: its target T. Child: T - F, all
    that its parent may still fill, because the parent itself is left out of ``pending_lots``."""
    price_ticks: int | None
    """None only for a parent without a limit price."""
    post_only: bool
    reduce_only: bool
    ioc: bool
    parent_id: str
    signal_created_ns: int
    signal_expires_ns: int
    filled_lots: int = 0
    """Amend: what the child has filled already, part of ``quantity_lots``."""
    asked_quantity: Decimal | None = None
    """Parent: the requested quantity, when it is to be checked against the lot."""
    asked_price: Decimal | None = None
    """Parent: the requested limit price, when it is to be checked against the tick."""
    round_exits: bool = False
    """Parent: both were rounded for the order, and a verified reduction is not refused for that."""
    duplicate: bool = False
    """The signal's id was admitted or rejected before."""
    missed_signals: int = 0
    """Earlier signals of the same publisher and topic that are known to be lost on the way."""
    stop_ticks: int | None = None
    """Of a stop at its admission: its trigger. ``price_ticks`` is its limit, or this once more."""
    beside_lots: int = 0
    """Other live orders of the same parent."""
    beside_cost: int = 0
    """Σ of their lots times their prices in ticks."""
    through_halt: bool = False
    """A flattening requested to pass a halt; nothing passes the kill switch."""
    reference_mid: float | None = None
    """Mid of the consolidated book in quote units, where there is one."""
    leverage: Decimal = Decimal(1)
    """What its strategy reckons with."""
    owner: str = ""
    """Owner of the order: its lease and its clock count. Empty where the signal names none."""
    epoch: int = 0
    """Run of the publisher that the signal came from."""
    replaced_lots: int = 0
    """Parent: lots of the position claimed by orders that it takes the place of."""
    sliced: bool = False
    """Parent: its algorithm works it in several orders, each of which is compared with the depth."""
    confidence: float | None = None
    """Parent: its strategy's calibrated probability of being right, for sizing."""
    daily_volatility: float | None = None
    """Parent: of its instrument, as a fraction of the price, for sizing; None where it is not known."""
    asked_lots: int = 0
    """Parent: what it asked for, where it is given less; ``sizing`` says why."""
    sizing: str = ""


class Levels(Protocol):
    """What the gate reads from a ``Book``."""

    def displayed(self, side: Side, mid: float, reach: float, enough: float) -> float:
        """Size of ``side`` from its best price to ``reach`` from the mid, counted until enough."""


class JudgedMarket(Protocol):
    """What the gate reads from a ``MarketBook``."""

    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def last_seq(self) -> int: ...  # noqa: D102
    @property
    def proof_ns(self) -> int: ...  # noqa: D102
    @property
    def crossed(self) -> bool: ...  # noqa: D102
    @property
    def on_demand(self) -> bool: ...  # noqa: D102
    @property
    def book(self) -> Levels: ...  # noqa: D102
    def best(self) -> tuple[float, float, float, float] | None:
        """Bid, bid size, ask, ask size; None when a side is empty."""


class RiskView(Protocol):
    """The state of the engine, as the gate reads it for a check."""

    @property
    def portfolio(self) -> Portfolio:
        """Positions, balances, profit and loss."""

    @property
    def reconciling(self) -> bool:
        """Recovery is not complete: the venue's state is not reconciled yet."""

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        """Trading rules, or None when there are none."""

    def market(self, venue: str, symbol: str) -> JudgedMarket | None:
        """The venue's own book, or None when it is not subscribed."""

    def pending_lots(self, venue: str, symbol: str, side: Side, exclude_parent: str) -> int:
        """Σ T - F of active parents of a side (open, in flight, unknown), except one of them.

        Stops that have not triggered are not counted.
        """

    def pending_of(
        self, kind: Literal["strategy", "owner"], name: str, exclude_parent: str
    ) -> Mapping[tuple[str, str], tuple[int, int]]:
        """(venue, symbol) -> lots that the buys and the sells of one strategy or owner may still fill."""

    def claimed_lots(self, venue: str, symbol: str, side: Side, parent_id: str) -> int:
        """Lots of a position that the other parents of a side claim before this one.

        Entries count as well: without them two orders could together flip the position.
        """

    def open_parents(self, venue: str | None) -> int:
        """Active parents of a venue, or of all; a parent at its admission is not among them."""

    def own_best(self, venue: str, symbol: str, side: Side) -> int | None:
        """Most aggressive price in ticks of our own orders of a side at the venue; None: none."""

    def held_orders(self) -> int:
        """Stops waiting for their trigger; one at its admission is not among them."""

    def held_lots(self, venue: str, symbol: str, side: Side) -> int:
        """Σ of their quantity on one side of a symbol."""

    def lease_age_ns(self, now_ns: int) -> int | None:
        """Time since the last heartbeat of a macro or command line; None when there was none."""

    def owner_age_ns(self, owner: str, epoch: int, now_ns: int) -> int | None:
        """Time since the last heartbeat of an order's owner; None when there was none."""

    def owner_skew_ns(self, owner: str, epoch: int) -> int:
        """Wall clock of the owner minus ours; 0 without a heartbeat."""

    def unknown_children(self, venue: str, symbol: str) -> int:
        """Unknown child orders: the venue may or may not have them."""

    def standing(self, venue: str, symbol: str, side: Side, parent_id: str) -> Standing | None:
        """What ``PlainOrders`` needs of all this at once; None where an order of the symbol is unknown.

        Lots that other parents of its side may still fill; those of the other side; the most
        aggressive price in ticks of our orders of the other side, 0 where there is none; at least as
        many parents as are open; and of every other symbol with parents its rules, and what its
        buys and its sells may still fill.
        """

    def active_symbols(self) -> Sequence[tuple[str, str, Mapping[Side, int]]]:
        """(venue, symbol, side -> pending lots) of every symbol with an active parent."""


class CheckResult(NamedTuple):
    """One code of one check. ``number`` is the row of the risk table."""

    number: int
    code: RiskCode
    ok: bool
    value: Number | str | None
    """The value found, in the unit of the limit; None where it was not available."""
    limit: Number | str | None
    text: str
    """Why it failed or was skipped, as text; empty when it passed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict: every check, the first failure as the reason, and what would be permitted."""

    ok: bool
    code: str
    """Empty when ``ok``."""
    reason: str
    permitted_lots: int
    """Largest quantity, at most the requested one, at which the same request (with its exposure cut
    to the same quantity) passes; of an amend without what has filled. 0 when none does."""
    reducing: bool
    """The order is a verified reduction of the position."""
    unknown: bool
    """The reason is a missing input, not a limit."""
    rows: tuple[Row, ...]
    """The checks as plain tuples: they are created for every order and rarely read."""

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """Every check, in the order of the risk table."""
        return tuple(map(CheckResult._make, self.rows))


class LeaseAction(Enum):
    """Consequence of a silent macro for the engine."""

    NONE = "none"
    NO_NEW_PARENTS = "no_new_parents"
    CANCEL_ENTRIES = "cancel_entries"
    """Cancel what adds to positions, keep what reduces them."""
