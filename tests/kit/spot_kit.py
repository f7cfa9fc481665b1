"""A live adapter at the simulated exchange: real sockets on loopback, a journal of rows, no engine."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from waiting import until

from citadel_micro.adapters.binance.instruments import binance_instruments, get
from citadel_micro.adapters.binance.orders import spot_adapter
from citadel_micro.core.model.approval import Approvals
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    QueryTrades,
    QueryVenue,
)
from citadel_micro.core.model.events import OrderState, VenueStatus
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.shell.order_adapter import AdapterSetup
from citadel_micro.simulator.accounts import named_keys
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from citadel_micro.core.model.events import Event, Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.keys.api_key import KeyKind
    from citadel_micro.shell.order_adapter import Send, Sign
    from citadel_micro.shell.venue.adapter import LiveAdapter
    from citadel_micro.shell.venue.stream_watch import StreamWatch

VENUE = "binance-spot"
SYMBOL = "BTC/USDT"
NATIVE = "BTCUSDT"
S = 1_000_000_000
EventT = TypeVar("EventT")


def demo_key(kind: KeyKind = "hmac", account: str = "demo") -> ApiKey:
    """One of the keys of an account of the simulator."""
    key = next(each for each in named_keys(account) if each.kind.value == kind)
    return ApiKey(
        venue=VENUE,
        account=account,
        network="testnet",
        kind=kind,
        id=Secret(key.key_id),
        secret=Secret(key.secret),
        passphrase=Secret(""),
        file="key.toml",
    )


class Rows:
    """What an adapter writes down, as a journal hands it back."""

    def __init__(self, venue: str = VENUE) -> None:
        self.venue = venue
        self.values: dict[str, object] = {}

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        del now_ns
        assert venue == self.venue
        for key, value in changes.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value


class LiveBench:
    """An adapter, what it reports, and the exchange behind it."""

    venue = VENUE
    symbol = SYMBOL
    mark = ""
    ticker = f"/api/v3/ticker/bookTicker?symbol={NATIVE}"

    def __init__(self, server: SimulatorServer, rules: Instrument) -> None:
        self.server = server
        self.rules = rules
        self.rows = Rows(self.venue)
        self.clock = Clock()
        self.reports: list[Event] = []
        self.adapter = cast("LiveAdapter", None)
        self._gate = Approvals(lambda: 0)
        self._numbers = iter(range(1, 1_000))
        self.engine: Any = SimpleNamespace(
            risk=SimpleNamespace(open=self._gate.redeem), order_store=SimpleNamespace(children={})
        )
        self.market_taps: list[Any] = []

    def post_many(self, events: Iterable[Event]) -> None:
        self.reports.extend(events)

    # a run

    def setup(self) -> AdapterSetup:
        """What the venue's adapter is made of."""
        return AdapterSetup(
            venue=self.venue,
            instruments={self.symbol: self.rules},
            config=cast("MicroConfig", None),
            loop=asyncio.get_running_loop(),
            clock=self.clock,
            account=self.rows,
            mark=self.mark,
        )

    def run(self, adapter: LiveAdapter) -> None:
        """Start it with what was written down before."""
        self.adapter = adapter
        adapter.restore(dict(self.rows.values))
        adapter.attach(self)
        adapter.start()

    def make(self, *what: Any, **settings: Any) -> None:  # noqa: ANN401 - each venue's own
        """Make and start the venue's adapter."""
        raise NotImplementedError

    async def begin(self, *what: Any, **settings: Any) -> None:  # noqa: ANN401 - of ``make``
        """Start the adapter and wait until it is up."""
        self.make(*what, **settings)
        await self.up()

    async def up(self, count: int = 1) -> None:
        """Wait until it has come up so many times, and orders go over the socket."""
        await until(lambda: self.statuses().count(True) >= count)
        await until(lambda: self.adapter.entry.current is not None)

    async def kill(self) -> None:
        """End the adapter as a crash would: no report is delivered any more."""
        await self.adapter.released()

    # requests

    def place(
        self,
        side: Side,
        ticks: int,
        lots: int,
        *,
        ioc: bool = False,
        post_only: bool = False,
        reduce_only: bool = False,
        window_ns: int = 2 * S,
    ) -> PlaceOrder:
        order, send = self.prepare(
            side,
            ticks,
            lots,
            ioc=ioc,
            post_only=post_only,
            reduce_only=reduce_only,
            window_ns=window_ns,
        )
        send()
        return order

    def prepare(
        self,
        side: Side,
        ticks: int,
        lots: int,
        *,
        ioc: bool = False,
        post_only: bool = False,
        reduce_only: bool = False,
        window_ns: int = 2 * S,
    ) -> tuple[PlaceOrder, Send]:
        """An order, and what sends it."""
        order, sign = self.drafted(
            side,
            ticks,
            lots,
            ioc=ioc,
            post_only=post_only,
            reduce_only=reduce_only,
            window_ns=window_ns,
        )
        return order, sign()

    def drafted(
        self,
        side: Side,
        ticks: int,
        lots: int,
        *,
        ioc: bool = False,
        post_only: bool = False,
        reduce_only: bool = False,
        window_ns: int = 2 * S,
    ) -> tuple[PlaceOrder, Sign]:
        """An order, and what signs it."""
        now_ns = self.clock.now()
        order = PlaceOrder(
            venue=self.venue,
            symbol=self.symbol,
            client_id=f"scabc123run1-1-{next(self._numbers)}",
            parent_id="p",
            side=side,
            price_ticks=ticks,
            quantity_lots=lots,
            post_only=post_only,
            time_in_force="IOC" if ioc else "GTC",
            reduce_only=reduce_only,
            expires_ns=now_ns + window_ns,
        )
        return order, self.adapter.prepare(self._gate.issue(order, book_seq=0), now_ns)

    def amend(self, order: PlaceOrder, ticks: int, lots: int) -> None:
        now_ns = self.clock.now()
        command = AmendOrder(
            venue=self.venue,
            symbol=self.symbol,
            client_id=order.client_id,
            parent_id="p",
            side=order.side,
            price_ticks=ticks,
            quantity_lots=lots,
            post_only=order.post_only,
            reduce_only=False,
            expires_ns=now_ns + 2 * S,
        )
        self.adapter.submit(self._gate.issue(command, book_seq=0), now_ns)

    def cancel(self, order: PlaceOrder) -> None:
        command = CancelOrder(venue=self.venue, symbol=self.symbol, client_id=order.client_id)
        self.adapter.submit(command, self.clock.now())

    def query(self, order: PlaceOrder) -> None:
        command = QueryOrder(venue=self.venue, symbol=self.symbol, client_id=order.client_id)
        self.adapter.submit(command, self.clock.now())

    def query_venue(self) -> None:
        self.adapter.submit(QueryVenue(venue=self.venue), self.clock.now())

    # what is there

    async def touch(self) -> tuple[int, int]:
        """Best bid and ask of the market, in ticks."""
        import json  # noqa: PLC0415 - only here
        from decimal import Decimal  # noqa: PLC0415

        body = json.loads(await get(f"{self.server.rest_url}{self.ticker}"))
        return (
            self.rules.ticks(Decimal(body["bidPrice"]), "nearest"),
            self.rules.ticks(Decimal(body["askPrice"]), "nearest"),
        )

    async def resting(self, lots: int = 100) -> PlaceOrder:
        """A bid far below the market."""
        bid, _ = await self.touch()
        return self.place("buy", bid - 50_000, lots, post_only=True)

    def of(self, kind: type[EventT], order: PlaceOrder | None = None) -> list[EventT]:
        """Reports of a kind, of one order or of all."""
        return [
            each
            for each in self.reports
            if isinstance(each, kind)
            and (order is None or getattr(each, "client_id", "") == order.client_id)
        ]

    async def told(
        self, kind: type[EventT], order: PlaceOrder | None = None, count: int = 1
    ) -> EventT:
        """The newest report of a kind, once there are so many."""
        await until(lambda: len(self.of(kind, order)) >= count)
        return self.of(kind, order)[-1]

    async def answer(self, order: PlaceOrder) -> OrderState:
        """Ask what became of an order until the venue says it."""
        before = len(self.of(OrderState, order))
        async with asyncio.timeout(60):
            while len(self.of(OrderState, order)) == before:
                self.query(order)
                await asyncio.sleep(0.1)
        return self.of(OrderState, order)[-1]

    def query_trades(self, since_ns: int) -> None:
        command = QueryTrades(venue=self.venue, symbol=self.symbol, since_ns=since_ns)
        self.adapter.submit(command, self.clock.now())

    def statuses(self) -> list[bool]:
        """Whether orders could be placed, each time that this has changed."""
        every = [each.up and not each.blind for each in self.of(VenueStatus)]
        return [each for each, _ in groupby(every)]

    def fault(self, *rules: str) -> None:
        """From now on."""
        self.server.spot.venue.faults.extend(rules)

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.server.spot.venue.exchange


class SpotBench(LiveBench):
    """Binance's."""

    def make(
        self,
        kind: KeyKind = "hmac",
        *,
        watch: StreamWatch | None = None,
        renew_s: float = 3_600.0,
        key: ApiKey | None = None,
    ) -> None:
        adapter = spot_adapter(
            self.setup(),
            key or demo_key(kind),
            rest_url=self.server.rest_url,
            ws_api_url=self.server.ws_url,
            renew_s=renew_s,
            watch=watch,
        )
        self.run(adapter)


@asynccontextmanager
async def live_bench(*faults: str, **settings: Any) -> AsyncIterator[SpotBench]:  # noqa: ANN401
    """A bench whose adapter is not started."""
    config = SimulatorConfig(
        symbols=(SYMBOL,), history_days=1, warm_minutes=1, fault_rules=faults, **settings
    )
    async with SimulatorServer(config) as server:
        body = await get(f"{server.rest_url}/api/v3/exchangeInfo")
        rules = next(each for each in binance_instruments(VENUE, body) if each.symbol == SYMBOL)
        bench = SpotBench(server, replace(rules))
        try:
            yield bench
        finally:
            if bench.adapter is not None:
                await bench.adapter.released()
