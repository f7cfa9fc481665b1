"""An order adapter that is not the paper venue: every order is taken, and fills at once or rests."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, cast

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    QueryVenue,
)
from citadel_micro.core.model.events import (
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderState,
    VenueSnapshot,
    VenueStatus,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.order_adapter import AdapterHost, AdapterSetup, VenueCommand


class FakeVenue:
    """Remembers how many orders it has filled, in this run and those before."""

    def __init__(self, setup: AdapterSetup) -> None:
        self.venue = setup.venue
        self.setup = setup
        self.host: AdapterHost | None = None
        self.filled = 0
        self.resting: dict[str, PlaceOrder] = {}
        self.amended: list[AmendOrder] = []

    def restore(self, saved: Mapping[str, object]) -> None:
        self.filled = cast("int", saved.get("filled", 0))

    def attach(self, host: AdapterHost) -> None:
        self.host = host

    def start(self) -> None:
        self._report(VenueStatus(venue=self.venue, up=True, reason="there", dms_armed=True))

    def close(self) -> None:
        self.host = None

    async def released(self) -> None:
        pass

    def submit(self, command: VenueCommand, now_ns: int) -> None:
        assert self.host is not None
        if isinstance(command, Approved):
            order = self.host.engine.risk.open(command)
            if isinstance(order, PlaceOrder):
                self._place(order, now_ns)
            else:
                self._amend(order, now_ns)
        elif isinstance(command, CancelOrder):
            self.resting.pop(command.client_id, None)
            self._done(command, "canceled", 0, now_ns)
        elif isinstance(command, QueryVenue):
            balances = (("USDT", Decimal(100_000), Decimal(0)),)
            self._report(
                VenueSnapshot(
                    venue=self.venue, open_orders=(), balances=balances, exchange_ns=now_ns
                )
            )
        elif isinstance(command, QueryOrder):
            self._answer(command, now_ns)

    # inside

    def _report(self, *events: Event) -> None:
        self.setup.loop.call_soon(self._deliver, events)

    def _deliver(self, events: tuple[Event, ...]) -> None:
        if self.host is not None:
            self.host.post_many(events)

    def _place(self, order: PlaceOrder, now_ns: int) -> None:
        self._report(
            OrderAccepted(
                venue=self.venue,
                symbol=order.symbol,
                client_id=order.client_id,
                venue_order_id=f"v-{order.client_id}",
                exchange_ns=now_ns,
            )
        )
        if order.time_in_force != "IOC":
            self.resting[order.client_id] = order
            return
        self.filled += 1
        self.setup.account.venue_state(now_ns, self.venue, {"filled": self.filled})
        self._report(
            OrderFilled(
                venue=self.venue,
                symbol=order.symbol,
                client_id=order.client_id,
                trade_id=f"t{self.filled}",
                price_ticks=order.price_ticks,
                quantity_lots=order.quantity_lots,
                cumulative_lots=order.quantity_lots,
                fee=Decimal(0),
                fee_currency="USDT",
                liquidity="taker",
                exchange_ns=now_ns,
            )
        )
        self._done(order, "filled", order.quantity_lots, now_ns)

    def _amend(self, order: AmendOrder, now_ns: int) -> None:
        self.amended.append(order)
        self._report(
            OrderAmended(
                venue=self.venue,
                symbol=order.symbol,
                client_id=order.client_id,
                price_ticks=order.price_ticks,
                quantity_lots=order.quantity_lots,
                exchange_ns=now_ns,
            )
        )

    def _done(self, order: PlaceOrder | CancelOrder, status: str, lots: int, now_ns: int) -> None:
        self._report(
            OrderDone(
                venue=self.venue,
                symbol=order.symbol,
                client_id=order.client_id,
                status=status,  # type: ignore[arg-type]  # one of the venue's words
                cumulative_lots=lots,
                reason="",
                exchange_ns=now_ns,
            )
        )

    def _answer(self, query: QueryOrder, now_ns: int) -> None:
        order = self.resting.get(query.client_id)
        for source in ("order", "trades"):
            self._report(
                OrderState(
                    venue=self.venue,
                    symbol=query.symbol,
                    client_id=query.client_id,
                    status="not_found" if order is None else "open",
                    source=source,
                    price_ticks=0 if order is None else order.price_ticks,
                    quantity_lots=0 if order is None else order.quantity_lots,
                    cumulative_lots=0,
                    exchange_ns=now_ns,
                )
            )


class FakeVenues:
    """Makes them."""

    account = "an account"

    def __init__(self, abilities: VenueAbilities) -> None:
        self.of_all = abilities
        self.made: list[FakeVenue] = []

    def abilities(self, venue: str) -> VenueAbilities:
        assert venue
        return self.of_all

    def inspector(self, venue: str) -> None:
        assert venue

    def on_demand(self, venue: str) -> bool:
        return bool(venue)

    def saved_symbols(self, saved: Mapping[str, object]) -> tuple[str, ...]:
        del saved
        return ()

    def make(self, setup: AdapterSetup) -> FakeVenue:
        self.made.append(FakeVenue(setup))
        return self.made[-1]
