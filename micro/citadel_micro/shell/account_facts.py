"""A venue's data on an account, its key and itself, read before the first order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol

from citadel_micro.core.model.abilities import Execution
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.keys.api_key import ApiKey

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder

Timer = Literal["none", "symbol", "account"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRights:
    """Permissions of a key. None: the venue does not report it, or any."""

    trade: bool | None
    withdraw: bool | None
    transfer: bool | None
    """Move money to other accounts of the same owner or of others."""
    bound_to_addresses: bool | None
    """Only some IP addresses may use it."""
    not_told: str = ""
    """Why rights are None: what the venue, or this network of it, does not offer."""
    failed: str = ""
    """The query failed: nothing may be assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolFacts:
    """One symbol as the venue trades it for this account. Fees are fractions of notional."""

    status: str
    """The venue's own status text."""
    tradable: bool
    why_not: str = ""
    tick: Decimal | None = None
    lot: Decimal | None = None
    min_notional: Decimal | None = None
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    """Every rule of the venue, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """One budget of requests."""

    name: str
    limit: int
    used: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """Everything that is checked before the first order."""

    account: str
    """The venue's own id of it; empty where it is not reported."""
    clock_offset_ns: int
    """The venue's clock minus this machine's."""
    clock_error_ns: int
    """Error bound, either way."""
    may_trade: bool
    """Of the account, whatever the key may do."""
    rights: KeyRights
    symbols: Mapping[str, SymbolFacts]
    """By unified symbol: those that were asked about and are there."""
    balances: Mapping[str, tuple[Decimal, Decimal]]
    """Currency -> (free, in orders), without those that are 0."""
    open_orders: int
    rate_limits: tuple[RateLimit, ...]
    timer: Timer
    """The venue's timer that micro keeps armed, so that it cancels our orders when we fall silent: none,
    one for each symbol, or one for the account."""
    hedge_mode: bool | None = None
    """Longs and shorts are held apart. None: there are no positions at this venue."""
    multi_asset_mode: bool | None = None
    """Other assets count as margin. None as above."""
    execution: Execution = "native"
    """As ``core.model.abilities.VenueAbilities``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountQuery:
    """The account to query, and what about it."""

    venue: str
    key: ApiKey
    section: VenueSection
    instruments: Mapping[str, Instrument]
    """Rules used for orders, by unified symbol."""
    now: Callable[[], int]
    """This machine's clock, in ns of Unix time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """Outcome of one request about the test order."""

    done: bool
    text: str
    nothing_sent: bool = False
    """It is certain that the venue has not accepted it."""


class TrialDesk(Protocol):
    """Sends one test order by the same path as real ones, and nothing else."""

    async def last_price(self, symbol: str) -> Decimal:
        """Of the last trade. Raises as ``AccountInspector.facts``."""

    async def place(self, order: PlaceOrder) -> StepResult:
        """Place it."""

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        """Query it; ``done`` when it rests with nothing filled, or has ended without a fill."""

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        """Change its quantity to a smaller one; None where the venue has no such request."""

    async def cancel(self, command: CancelOrder) -> StepResult:
        """Cancel it; ``done`` when that is confirmed."""

    async def close(self) -> None:
        """Close the connection."""


class AccountInspector(Protocol):
    """Queries one venue. It never places an order, except through ``trial_desk``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """Everything at once.

        Raises:
            BadInput: the venue rejects the key or its signature.
            Refused: it accepts the key and rejects the request: the address, the clock.
            PeerUnavailable: it does not answer, or asks to wait.
            VenueViolation: its answer is not as documented.
        """

    async def trial_desk(self, query: AccountQuery) -> TrialDesk:
        """A connection for one test order. Raises as ``facts`` does."""
