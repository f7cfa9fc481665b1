"""What an order adapter is to the rest of micro: one protocol for paper and every venue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.config.config import MicroConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.approval import Approved
    from citadel_micro.core.model.commands import (
        AmendOrder,
        CancelOrder,
        PlaceOrder,
        QueryOrder,
        QueryVenue,
    )
    from citadel_micro.core.model.events import Event, MarketEvent

    VenueCommand = (
        Approved[PlaceOrder] | Approved[AmendOrder] | CancelOrder | QueryOrder | QueryVenue
    )
    MarketTap = Callable[[MarketEvent, MarketBook, int], None]


class AdapterHost(Protocol):
    """What an adapter is attached to: the runner."""

    engine: Engine
    """Its gate opens approvals (``engine.risk.open``)."""
    market_taps: list[MarketTap]
    """Called after the engine with each market event and the book that took it."""

    def post_many(self, events: Iterable[Event]) -> None:
        """Take reports, in their order."""


class OrderAdapter(Protocol):
    """Sends orders to one venue and feeds its reports back into the runner.

    The calls come in this order: ``restore``, ``attach``, ``start``, any number of ``submit``,
    ``close``. New and amended orders are taken only as approvals, each of which the adapter has
    opened by the gate of the engine that it works for, right before it sends. Reports come later,
    through ``post_many``, never from inside ``submit``.
    """

    @property
    def venue(self) -> str:
        """Venue id, as in ``PlaceOrder.venue``."""

    def restore(self, saved: Mapping[str, object]) -> None:
        """Take up what it has saved in earlier runs: the last value of every key."""

    def attach(self, host: AdapterHost) -> None:
        """Say who takes the reports."""

    def start(self) -> None:
        """Begin to deliver reports, the first of them a ``VenueStatus``."""

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        """Send a command. Every Persist of its ``handle`` call is durable by now."""

    def close(self) -> None:
        """Deliver nothing more, and write down what must survive."""


class AccountBook(Protocol):
    """Where an adapter writes down what must survive: the journal."""

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        """Append the new values of the named keys; None removes a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSetup:
    """What an adapter is made of."""

    venue: str
    instruments: Mapping[str, Instrument]
    """Of this venue, by unified symbol."""
    config: MicroConfig
    loop: asyncio.AbstractEventLoop
    clock: Clock
    account: AccountBook


class OrderAdapters(Protocol):
    """Makes the adapters of one mode of trading."""

    @property
    def account(self) -> str:
        """The account that orders are marked with."""

    def abilities(self, venue: str) -> VenueAbilities:
        """What the venue can do. Raises BadInput for one that there is no adapter of."""

    def saved_symbols(self, saved: Mapping[str, object]) -> Iterable[str]:
        """Unified symbols of which something is saved in ticks and lots."""

    def make(self, setup: AdapterSetup) -> OrderAdapter:
        """The adapter of one venue."""
