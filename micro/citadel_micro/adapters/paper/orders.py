"""The order adapter of the paper venue: runs the pure venue with a clock, a market and a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import CancelOrder, QueryOrder, QueryVenue
from citadel_micro.core.model.events import VenueStatus
from citadel_micro.shell.marketdata.spec import known_spec
from citadel_micro.shell.runner import TIMER_GRAIN_NS
from citadel_micro.sim.accounts import FeeToken
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig
from citadel_micro.sim.paper_link import LinkConfig
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Mapping

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.commands import PlaceOrder
    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.order_adapter import (
        AccountBook,
        AdapterHost,
        AdapterSetup,
        VenueCommand,
    )

MS_NS: Final = 1_000_000
ABILITIES: Final = VenueAbilities(
    dead_man_timer=True, fill_or_kill=True, shows_own_orders=False, execution="paper"
)
"""Its orders fill only while micro runs; the public book does not contain them."""
ACCOUNT: Final = "account"
"""Key of everything about the account but its orders."""
ORDER: Final = "order/"
"""Prefix of the key of each order, by client id; its fills are stored apart, so that each is stored once."""
FILL: Final = "fill/"
"""Prefix of the key of each fill, by client id and number."""


class PaperAdapter:
    """Sends orders to a ``PaperVenue`` and posts its reports.

    The account must survive a crash as an exchange's does, so its changes are saved
    before the reports on them are delivered: a reported fill is never lost.

    Args:
        paper: the venue.
        loop: for timers.
        clock: the engine's.
        account: where changes are saved.
    """

    def __init__(
        self,
        paper: PaperVenue,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        account: AccountBook,
    ) -> None:
        self.paper = paper
        self._loop = loop
        self._clock = clock
        self._account = account
        self._runner: AdapterHost | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._saved_revision = -1
        self._open: list[str] = []
        self._saved_fills: dict[str, int] = {}
        """Saved fills of the orders that were open at the last save."""
        self._last = ""

    @property
    def venue(self) -> str:
        """Venue id."""
        return self.paper.venue

    def restore(self, saved: Mapping[str, object]) -> None:
        """Restore the saved account."""
        state = paper_state(saved)
        if state is not None:
            self.paper.restore(state)

    def attach(self, host: AdapterHost) -> None:
        """Set the receiver of the reports and the source of market data."""
        self._runner = host
        host.market_taps.append(self._on_market)

    def start(self) -> None:
        """Save the complete account once; later only its changes. Then report the venue as up.

        The paper venue's dead man's switch is always armed: its orders fill only while micro
        runs.
        """
        self._save(whole=True)
        if self._runner is not None:
            status = VenueStatus(
                venue=self.venue, up=True, reason="on paper, as long as micro runs", dms_armed=True
            )
            self._runner.post_many((status,))

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        """Send a request."""
        if isinstance(command, Approved):
            if self._runner is None:
                raise InvariantError(f"{self.venue}: an order without a gate to open it")
            self.paper.submit(self._runner.engine.risk.open(command), now_ns)
        elif isinstance(command, CancelOrder | QueryOrder | QueryVenue):
            self.paper.submit(command, now_ns)
        else:
            raise InvariantError(f"{self.venue}: {type(command).__name__} without an approval")
        self._arm()

    def rehearse(self, order: PlaceOrder) -> None:
        """Nothing is signed here: what else is in the way of an order is rehearsed on paper too."""

    def close(self) -> None:
        """Stop delivering reports, and save the changes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._runner = None
        self._save()

    async def released(self) -> None:
        """It has no connections."""

    # inside

    def _on_market(self, event: MarketEvent, market: MarketBook, now_ns: int) -> None:
        if event.venue == self.paper.venue:
            self.paper.on_market(event, market, now_ns)
            self._arm()

    def _arm(self) -> None:
        due_ns = self.paper.next_timer()
        if due_ns is None or (self._timer is not None and self._timer_due <= due_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        delay_ns = max(due_ns - self._clock.now(), 0) + TIMER_GRAIN_NS - 1
        self._timer_due = due_ns
        self._timer = self._loop.call_later(
            delay_ns // TIMER_GRAIN_NS * TIMER_GRAIN_NS / 1e9, self._wake
        )

    def _wake(self) -> None:
        self._timer = None
        if self._runner is None:
            return
        reports = self.paper.due(self._clock.now())
        self._save()
        self._runner.post_many(reports)
        self._arm()

    def _save(self, *, whole: bool = False) -> None:
        if self.paper.revision == self._saved_revision and not whole:
            return
        orders = self.paper.orders
        # A closed order never changes again; those that were open, and new ones, do.
        names = list(orders) if whole else [*self._open, *self._newer()]
        changes: dict[str, object] = {ACCOUNT: self.paper.account_state()}
        for name in names:
            if name in orders:
                order = orders[name]
                changes[ORDER + name] = order.head_state()
                for number in range(self._saved_fills.get(name, 0), len(order.fills)):
                    changes[f"{FILL}{name}/{number}"] = order.fill_state(number)
        self._account.venue_state(self._clock.now(), self.paper.venue, changes)
        self._saved_revision = self.paper.revision
        self._open = [name for name in names if name in orders and orders[name].open]
        self._saved_fills = {name: len(orders[name].fills) for name in self._open}
        self._last = next(reversed(orders), "")

    def _newer(self) -> list[str]:
        """Orders that came after the last saved one, in their order."""
        names: list[str] = []
        for name in reversed(self.paper.orders):
            if name == self._last:
                break
            names.append(name)
        return names[::-1]


def paper_state(changes: Mapping[str, object]) -> dict[str, object] | None:
    """The argument of ``PaperVenue.restore``, from the last value of every key; None if none was saved."""
    account = changes.get(ACCOUNT)
    if not isinstance(account, dict):
        return None
    orders = [
        {**row, "fills": list(_fills(changes, key.removeprefix(ORDER)))}
        for key, row in changes.items()
        if key.startswith(ORDER) and isinstance(row, dict)
    ]
    return {**account, "orders": orders}


def _fills(changes: Mapping[str, object], client_id: str) -> Iterator[object]:
    number = 0
    while (row := changes.get(f"{FILL}{client_id}/{number}")) is not None:
        yield row
        number += 1


class PaperOrders:
    """Creates the paper venues: as ``shell.order_adapter.OrderAdapters``."""

    account = "paper"

    def abilities(self, venue: str) -> VenueAbilities:  # noqa: ARG002 - of whatever venue
        """The same for paper on any venue."""
        return ABILITIES

    def inspector(self, venue: str) -> None:
        """None: a paper account is as configured."""

    def on_demand(self, venue: str) -> bool:
        """Anywhere: no account has to be prepared for a pair."""
        return bool(venue)

    def saved_symbols(self, saved: Mapping[str, object]) -> set[str]:
        """Unified symbols of the saved orders, which are in ticks and lots."""
        return {
            row["symbol"]
            for key, row in saved.items()
            if key.startswith(ORDER) and isinstance(row, dict)
        }

    def make(self, setup: AdapterSetup) -> PaperAdapter:
        """The paper venue on the public data of this venue."""
        paper = setup.config.paper
        spec = known_spec(setup.venue)
        venue = PaperVenue(
            setup.venue,
            setup.instruments,
            PaperConfig(
                seed=paper.seed,
                queue_model=paper.queue_model,
                self_trade="expire_maker" if spec is None else spec.self_trade,
                balances=paper.balances,
                fee_token=FeeToken(
                    currency=paper.fee_token,
                    discount=paper.fee_token_discount,
                    price=paper.fee_token_price,
                )
                if paper.fee_token
                else None,
                funding=paper.funding_rates,
                funding_interval_ns=paper.funding_interval_h * 3_600_000 * MS_NS,
                link=LinkConfig(
                    latency_floor_ns=int(paper.latency_floor_ms * MS_NS),
                    latency_mean_ns=int(paper.latency_mean_ms * MS_NS),
                    round_trips_ns=tuple(int(each * MS_NS) for each in paper.latency_quantiles_ms),
                    faults=paper.fault_model(),
                ),
            ),
        )
        return PaperAdapter(venue, loop=setup.loop, clock=setup.clock, account=setup.account)
