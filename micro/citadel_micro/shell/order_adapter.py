"""The interface of an order adapter: one protocol for paper and every venue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.config.config import MicroConfig
from citadel_micro.shell.keys.api_key import ApiKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.approval import Approved
    from citadel_micro.core.model.commands import (
        AmendOrder,
        CancelOrder,
        PlaceOrder,
        QueryOrder,
        QueryTrades,
        QueryVenue,
    )
    from citadel_micro.core.model.events import Event, MarketEvent
    from citadel_micro.shell.account_facts import AccountInspector

    VenueCommand = (
        Approved[PlaceOrder]
        | Approved[AmendOrder]
        | CancelOrder
        | QueryOrder
        | QueryTrades
        | QueryVenue
    )
    Send = Callable[[], object]
    """Sends what was signed."""
    Sign = Callable[[], Send]
    """Signs and writes what was prepared."""
    MarketTap = Callable[[MarketEvent, MarketBook, int], None]


class AdapterHost(Protocol):
    """What an adapter is attached to: the runner."""

    engine: Engine
    """Its gate redeems approvals (``engine.risk.open``)."""
    market_taps: list[MarketTap]
    """Called after the engine with each market event and the book that it updated."""

    def post_many(self, events: Iterable[Event]) -> None:
        """Receive reports, in their order."""


@runtime_checkable
class Prepares(Protocol):
    """An adapter that does everything but sending before the journal is on the disk.

    After the wait for the disk caches are cold, so that the same work would take twice as long. And
    what needs no row of the journal is done while the disk is at work.
    """

    def prepare(self, command: VenueCommand, now_ns: int) -> Sign:
        """Write what must survive of a command; what is returned makes the request that is to be sent.

        That is called once, when the journal was passed to the disk, and adds nothing to it. What it
        returns sends as ``OrderAdapter.submit``. It is called once, when all of it is on the disk, or
        never where the journal could not be written. Nothing else of the adapter is called in between
        but the same of other commands.
        """


@runtime_checkable
class Rehearses(Protocol):
    """An adapter that can go the way of an order without an order (``shell.rehearsal``)."""

    def rehearse(self, order: PlaceOrder) -> None:
        """Sign the request of an order that is none, and drop it: nothing is counted, kept or sent."""


class OrderAdapter(Protocol):
    """Sends orders to one venue and feeds its reports back into the runner.

    The calls come in this order: ``restore``, ``attach``, ``start``, any number of ``submit``,
    ``close``, ``released``. New and amended orders come only as approvals, each of which the adapter
    redeems at the gate of the engine that it works for, right before it sends. Reports come later,
    through ``post_many``, never from inside ``submit``.
    """

    @property
    def venue(self) -> str:
        """Venue id, as in ``PlaceOrder.venue``."""

    def restore(self, saved: Mapping[str, object]) -> None:
        """Restore the state saved in earlier runs: the last value of every key."""

    def attach(self, host: AdapterHost) -> None:
        """Set the receiver of the reports."""

    def start(self) -> None:
        """Start to deliver reports, the first of them a ``VenueStatus``."""

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        """Send a command. Every Persist of its ``handle`` call is durable by then."""

    def close(self) -> None:
        """Stop delivering reports, and save what must survive."""

    async def released(self) -> None:
        """After ``close``: wait until its connections are closed."""


class AccountBook(Protocol):
    """Where an adapter saves what must survive: the journal."""

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        """Append the new values of the named keys; None removes a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSetup:
    """What an adapter is built from."""

    venue: str
    instruments: Mapping[str, Instrument]
    """Of this venue, by unified symbol."""
    config: MicroConfig
    loop: asyncio.AbstractEventLoop
    clock: Clock
    account: AccountBook
    key: ApiKey | None = None
    """Of the venue; None on paper."""
    mark: str = ""
    """Of our orders there (``VenueConfig.mark``)."""
    watched: Callable[[], bool] = bool
    """Whether a watchdog would cancel there if we fell silent; False where none runs."""
    yields: Callable[[], bool] = bool
    """Whether a watchdog is canceling there: nothing may be placed before it has stopped."""


class OrderAdapters(Protocol):
    """Makes the adapters of one mode of trading."""

    @property
    def account(self) -> str:
        """The account that orders are marked with, where no key names one."""

    def abilities(self, venue: str) -> VenueAbilities:
        """What the venue supports. Raises BadInput for a venue without an adapter."""

    def inspector(self, venue: str) -> AccountInspector | None:
        """Who asks the venue before the first order; None on paper. Raises as ``abilities``."""

    def on_demand(self, venue: str) -> bool:
        """Whether pairs there may be followed on demand. Raises as ``abilities``."""

    def saved_symbols(self, saved: Mapping[str, object]) -> Iterable[str]:
        """Unified symbols of which something is saved in ticks and lots."""

    def make(self, setup: AdapterSetup) -> OrderAdapter:
        """The adapter of one venue."""
