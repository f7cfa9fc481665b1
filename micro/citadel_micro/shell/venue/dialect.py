"""A venue's part of an order adapter: its requests, its answers, its events, and how to connect.

Formats only: a dialect makes no decision about orders and keeps no state of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from citadel_micro.shell.venue.facts import Fact, OrderFact, TradeFact
from citadel_micro.shell.venue.outcomes import Answered, Outcome, Refusal
from citadel_micro.shell.venue.reconnect import Session
from citadel_micro.shell.venue.request_budget import Purpose

if TYPE_CHECKING:
    from citadel_micro.core.model.account_events import FundingPayment
    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.shell.venue.order_ids import OurOrder

    Ask = Callable[["Request"], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, before it is signed."""

    purpose: Purpose
    method: str
    """The venue's name for it."""
    params: Mapping[str, str | int]
    costs: Mapping[str, int] = field(default_factory=dict)
    """Its cost by rate limit."""
    expires_ns: int = 0
    """Engine time after which the venue is to reject it; 0 for the usual window."""
    signed: bool = True


class Wire(Protocol):
    """One way to send requests."""

    @property
    def up(self) -> bool:
        """Whether it can be used now."""

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Send it; ``done`` is called once with the outcome."""

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Sign and write it, and send nothing: calling what is returned does, once.

        ``done`` is called once with the outcome, never before that.
        """


class WireSession(Session, Wire, Protocol):
    """A connection that requests can be sent on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The venue knows the order."""

    order: OrderFact
    trades: tuple[TradeFact, ...]
    """All its fills, or those not known yet."""


@dataclass(frozen=True, slots=True)
class Absent:
    """The venue does not know it."""

    trades_too: bool
    """Neither at its order nor at its trade endpoint, and no other order could be it."""
    text: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """The query was not answered."""

    text: str
    refusal: Refusal | None = None
    anomaly: bool = False
    """It was, but the answer is unreadable or impossible."""


Finding = Found | Absent | Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Current open orders and balances."""

    open_orders: tuple[OrderFact, ...]
    balances: tuple[tuple[str, Decimal, Decimal], ...]
    positions: tuple[tuple[str, Decimal], ...] | None = None
    """(unified symbol, signed quantity) of every derivative position; None where there are none."""
    isolated: tuple[tuple[str, Decimal], ...] = ()
    """(unified symbol, margin) of those whose margin is isolated."""
    changed: tuple[tuple[str, int], ...] = ()
    """(unified symbol, venue's time in ns of the last change that its position includes), as
    ``VenueSnapshot.changed``."""
    updated_ns: int = 0
    """When the account last changed, on the venue's clock; 0 where it does not say."""
    unsettled: str = ""
    """Why leverage and margin mode have to be verified again (``shell.venue.margin_settings``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedTrade:
    """A trade of the account, with its order's id."""

    fact: TradeFact
    """With the client id of its order."""
    side: Literal["buy", "sell"]


@runtime_checkable
class PaysFunding(Protocol):
    """A dialect whose positions pay and receive funding."""

    async def funding(self, ask: Ask, symbol: str, since_ns: int) -> list[FundingPayment] | Unclear:
        """Every payment in one symbol since a time of the venue."""


class Dialect(Protocol):
    """One venue's private protocol."""

    @property
    def probe(self) -> Request:
        """A request without account data: whether the venue can be reached."""

    def place(self, order: PlaceOrder) -> Request:
        """A new order."""

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """Request to cancel one."""

    def amend(self, command: AmendOrder, order: OurOrder | None) -> Request | str:
        """Request to amend one, or why the venue cannot."""

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Decode the answer to one of these three. Never raises because of its content."""

    def read_event(self, frame: bytes) -> list[Fact]:
        """Decode a frame of the stream; empty if irrelevant. Never raises either."""

    async def find(self, ask: Ask, order: OurOrder, *, deep: bool) -> Finding:
        """Query an order's state.

        Args:
            ask: sends a request.
            order: by the venue's id where it is known, else by ours.
            deep: look for it among all orders and trades where it is not found by its id.
        """

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """All open orders, those of others too, and all balances."""

    async def trades(self, ask: Ask, symbol: str, since_ns: int) -> list[OwnedTrade] | Unclear:
        """Every trade of the account in one symbol since a time of the venue, oldest first."""

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> WireSession:
        """A connection that reports orders and balances.

        Raises PeerUnavailable where there is none, Refused where the venue refuses the key.
        """

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> WireSession:
        """A connection for requests. Raises as ``open_stream`` does."""

    def fallback(self) -> Wire | None:
        """Another way to send requests while there is no such connection."""

    async def close(self) -> None:
        """Close whatever is open besides the sessions."""
