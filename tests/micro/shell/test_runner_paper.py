"""The paper adapter: reports in time, and an account that a crash cannot undo."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from citadel_micro.adapters.paper.orders import PaperAdapter, paper_state
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.approval import Approvals
from citadel_micro.core.model.commands import CancelOrder, PlaceOrder, QueryVenue
from citadel_micro.core.model.events import (
    DepthUpdate,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    TradeTick,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.order_adapter import Rehearses
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig
from citadel_micro.sim.paper_link import LinkConfig
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.core.model.approval import Approved
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.runner import Runner

RULES = Instrument(
    venue="v",
    symbol="A/B",
    venue_symbol="AB",
    base="A",
    quote="B",
    settle="B",
    kind="spot",
    tick=Decimal("0.1"),
    lot=Decimal("0.1"),
    min_lots=1,
    min_notional=Decimal(0),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
    fee_side="received",
)
BOOK = DepthUpdate("v", "A/B", True, 1, 1, -1, None, [(9.9, 5.0)], [(10.1, 5.0)], 0, 0)


GATE = Approvals(lambda: 0)
"""The gate itself has its own tests."""


class FakeRunner:
    def __init__(self, log: list[Any]) -> None:
        self.market_taps: list[Any] = []
        self.log = log
        self.engine = SimpleNamespace(risk=SimpleNamespace(open=GATE.redeem))

    def post_many(self, events: Iterable[Event]) -> None:
        self.log.extend(events)


class Account:
    """Folds what is written down as a restart would, and remembers when."""

    def __init__(self, log: list[Any]) -> None:
        self.values: dict[str, object] = {}
        self.log = log

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        del now_ns
        assert venue == "v"
        self.values.update(changes)
        self.log.append("saved")


def paper() -> PaperVenue:
    link = LinkConfig(latency_floor_ns=1_000_000, latency_mean_ns=0)
    return PaperVenue("v", {"A/B": RULES}, PaperConfig(balances={"B": Decimal(1000)}, link=link))


def place(client_id: str, price_ticks: int, *, lots: int = 10) -> Approved[PlaceOrder]:
    order = PlaceOrder(
        venue="v",
        symbol="A/B",
        client_id=client_id,
        parent_id="p",
        side="buy",
        price_ticks=price_ticks,
        quantity_lots=lots,
        post_only=False,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=2**62,
    )
    return GATE.issue(order, book_seq=0)


class Bench:
    def __init__(self, venue: PaperVenue) -> None:
        self.log: list[Any] = []
        self.clock = Clock()
        self.account = Account(self.log)
        self.venue = venue
        self.runner = FakeRunner(self.log)
        self.market = MarketBook("v", "A/B", "range_bridge_spot")
        self.adapter = PaperAdapter(
            venue, loop=asyncio.get_running_loop(), clock=self.clock, account=self.account
        )
        self.adapter.attach(cast("Runner", self.runner))
        self.adapter.start()
        self.tick(BOOK)

    def tick(self, event: DepthUpdate | TradeTick) -> None:
        if isinstance(event, DepthUpdate):
            self.market.on_depth(event)
        else:
            self.market.on_trade(event)
        for tap in self.runner.market_taps:
            tap(event, self.market, self.clock.now())

    def submit(self, command: Any) -> None:  # noqa: ANN401 - any venue command
        self.adapter.submit(command, self.clock.now())

    async def until(self, kind: type) -> Any:  # noqa: ANN401 - an event of that kind
        await self.when(lambda: any(isinstance(each, kind) for each in self.log))
        return next(each for each in self.log if isinstance(each, kind))

    async def when(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event to await
                await asyncio.sleep(0.002)


def test_a_request_is_answered_after_its_latency_by_events() -> None:
    async def main() -> None:
        bench = Bench(paper())
        approval = place("c-1", 99)
        bench.submit(approval)
        saved, status = bench.log
        assert (saved, status.up, status.dms_armed) == ("saved", True, True)
        accepted = await bench.until(OrderAccepted)
        assert accepted.client_id == "c-1"
        assert bench.log.index("saved", 1) < bench.log.index(accepted)

    asyncio.run(main())


def test_the_way_of_an_order_is_rehearsed_on_paper_too() -> None:
    async def main() -> None:
        bench = Bench(paper())
        assert isinstance(bench.adapter, Rehearses)
        before = list(bench.log)
        bench.adapter.rehearse(place("c-1", 99).order)
        assert (bench.log, dict(bench.venue.orders)) == (before, {})

    asyncio.run(main())


def test_an_approval_is_spent_once() -> None:
    async def main() -> None:
        bench = Bench(paper())
        approval = place("c-1", 99)
        bench.submit(approval)
        try:
            bench.submit(approval)
        except Exception as error:  # noqa: BLE001 - its kind is what is shown
            assert type(error).__name__ == "InvariantError"  # noqa: PT017
        else:
            raise AssertionError("it was sent twice")

    asyncio.run(main())


def test_what_was_reported_survives_a_crash() -> None:
    """Whatever was delivered is in the account as written down; the rest may be gone."""

    async def main() -> None:
        bench = Bench(paper())
        bench.submit(place("taker", 101))
        bench.submit(place("resting", 99))
        await bench.until(OrderDone)
        fill = await bench.until(OrderFilled)
        assert fill.client_id == "taker"
        await bench.when(lambda: "resting" in bench.venue.orders)
        state = paper_state(bench.account.values)
        assert state is not None

        restored = paper()
        restored.restore(state)
        assert restored.orders["taker"].status == "filled"
        assert restored.orders["resting"].status == "open"
        assert restored.ledger.to_state() == bench.venue.ledger.to_state()

        again = Bench(restored)
        again.submit(QueryVenue(venue="v"))
        again.submit(CancelOrder(venue="v", symbol="A/B", client_id="resting"))
        done = await again.until(OrderDone)
        assert (done.client_id, done.status) == ("resting", "canceled")
        state = paper_state(again.account.values)
        assert state is not None
        final = paper()
        final.restore(state)
        assert final.orders["resting"].status == "canceled"
        assert final.ledger.purse("B").used == 0

    asyncio.run(main())


def test_many_orders_are_written_as_they_change_not_all_over() -> None:
    async def main() -> None:
        bench = Bench(paper())
        for number in range(30):
            bench.submit(place(f"c-{number}", 90, lots=1))
            bench.submit(CancelOrder(venue="v", symbol="A/B", client_id=f"c-{number}"))
        await bench.when(lambda: sum(isinstance(each, OrderDone) for each in bench.log) == 30)
        bench.submit(place("last", 90, lots=1))
        written: list[int] = []
        real = bench.account.venue_state

        def spy(now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
            written.append(len(changes))
            real(now_ns, venue, changes)

        bench.account.venue_state = spy  # type: ignore[method-assign]
        await bench.when(lambda: bool(written))
        assert written[0] == 2  # the account, and the one order that is new
        state = paper_state(bench.account.values)
        assert state is not None
        restored = paper()
        restored.restore(state)
        assert restored.to_state() == bench.venue.to_state()

    asyncio.run(main())


def test_a_fill_is_written_once_however_many_its_order_has() -> None:
    async def main() -> None:
        bench = Bench(paper())
        bench.submit(place("c-1", 99, lots=40))
        await bench.when(lambda: any(isinstance(each, OrderAccepted) for each in bench.log))
        written: list[Mapping[str, object]] = []
        real = bench.account.venue_state

        def spy(now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
            written.append(dict(changes))
            real(now_ns, venue, changes)

        bench.account.venue_state = spy  # type: ignore[method-assign]
        for number in range(1, 13):
            bench.tick(TradeTick("v", "A/B", str(number), 9.8, 0.1, "sell", 0, bench.clock.now()))
            await bench.when(
                lambda: sum(isinstance(each, OrderFilled) for each in bench.log) == number  # noqa: B023
            )
        assert max(len(changes) for changes in written) == 3  # account, order, fill
        state = paper_state(bench.account.values)
        assert state is not None
        restored = paper()
        restored.restore(state)
        assert restored.to_state() == bench.venue.to_state()
        assert len(restored.orders["c-1"].fills) == 12

    asyncio.run(main())


def test_no_account_was_saved() -> None:
    assert paper_state({}) is None


def test_nothing_is_delivered_after_closing() -> None:
    async def main() -> None:
        bench = Bench(paper())
        bench.submit(place("c-1", 99))
        bench.adapter.close()
        await asyncio.sleep(0.01)
        assert not [each for each in bench.log if isinstance(each, OrderAccepted)]

    asyncio.run(main())


def test_an_order_without_an_approval_of_this_gate_does_not_leave() -> None:
    async def main() -> None:
        bench = Bench(paper())
        approved = place("c-1", 99)
        theirs = Approvals(lambda: 0).issue(approved.order, book_seq=0)
        for command in (approved.order, theirs):
            with pytest.raises(InvariantError):
                bench.submit(command)
        bench.submit(approved)
        with pytest.raises(InvariantError, match="spent before"):
            bench.submit(approved)

    asyncio.run(main())
