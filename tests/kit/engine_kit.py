"""An engine with a scripted market and an exchange that can misbehave, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any, Literal, cast

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved, not_sent
from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    PublishReport,
    QueryOrder,
    QueryVenue,
)
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelReceived,
    CancelRejected,
    DepthUpdate,
    MacroBeat,
    OperatorCommand,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    SignalReceived,
    Started,
    TimerFired,
    TradeTick,
    VenueSnapshot,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.risk_limits import paper_defaults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event, Side, VenueReport
    from citadel_micro.core.orders.orders import Parent

VENUE = "fake"
SYMBOL = "BTC/USDT"
KEY = (VENUE, SYMBOL)
MS = 1_000_000
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND

Request = PlaceOrder | AmendOrder | CancelOrder | QueryOrder | QueryVenue


def rules(**changes: object) -> Instrument:
    """Tick 0.1, lot 0.001, at least 5 USDT an order."""
    values: dict[str, Any] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "venue_symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "kind": "spot",
        "tick": Decimal("0.1"),
        "lot": Decimal("0.001"),
        "min_lots": 1,
        "min_notional": Decimal(5),
        "contract_size": Decimal(1),
        "maker_fee": Decimal("0.001"),
        "taker_fee": Decimal("0.001"),
        "fee_side": "quote",
    }
    return Instrument(**{**values, **changes})


def config(venue: VenueConfig | None = None, /, **changes: object) -> EngineConfig:
    """Paper limits without a lease; a venue whose books do not show our orders."""
    usual = VenueConfig(shows_own_orders=False, messages_per_second=100, message_burst=500)
    values: dict[str, Any] = {
        "run_id": "test",
        "instance": "test",
        "venues": {VENUE: venue or usual},
        "limits": paper_defaults(
            lease_required=False, max_open_orders=1_000, depth_participation_bps=10_000.0
        ),
        "book_publish_interval_ns": 0,
    }
    return EngineConfig(**{**values, **changes})


def signal(signal_id: str = "s1", /, **changes: object) -> SignalReceived:
    """Buy 0.5 BTC by chase_limit, unless told otherwise. Times are relative to START."""
    values: dict[str, Any] = {
        "signal_id": signal_id,
        "strategy": "test",
        "venue": VENUE,
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": Decimal("0.5"),
        "kind": "order",
        "order_type": "limit",
        "limit_price": None,
        "stop_price": None,
        "time_in_force": "GTC",
        "reduce_only": False,
        "leverage": Decimal(1),
        "algo": "chase_limit",
        "params": (),
        "confidence": None,
        "model_id": "",
        "tag": "",
        "candle_ns": 0,
        "created_ns": START,
        "expires_ns": START + 10 * SECOND,
        "epoch": 1,
        "seq": 1,
    }
    return SignalReceived(**{**values, **changes})


@dataclass(slots=True)
class FakeOrder:
    """An order as the fake exchange has it."""

    place: PlaceOrder
    price_ticks: int
    quantity_lots: int
    filled_lots: int = 0
    status: Literal["open", "filled", "canceled", "expired"] = "open"
    fills: list[OrderFilled] = field(default_factory=list)


@dataclass(slots=True)
class Faults:
    """Probabilities of misbehaviour, and how late slow messages are at most."""

    lose_request: float = 0.0
    lose_report: float = 0.0
    duplicate: float = 0.0
    slow: float = 0.0
    slow_ns: int = 5 * SECOND
    silent_loss: float = 0.0
    """Of lost requests: share that brings no timeout either."""


class FakeVenue:
    """Exchange with an account of endless funds: correct, however badly its lines behave.

    Whether and how much fills is drawn from ``chance``; ``fill`` fills by hand.
    """

    def __init__(self, chance: Random, faults: Faults | None = None) -> None:
        self.chance = chance
        self.faults = faults or Faults()
        self.orders: dict[str, FakeOrder] = {}
        self.bid_ticks = 0
        self.ask_ticks = 0
        self.latency_ns = 2 * MS
        self.fill_at_once = True
        """Marketable orders fill (else they find nothing)."""
        self.partial_share = 0.3
        """Of the marketable orders that fill, how many find only a part."""
        self.placed: list[PlaceOrder] = []
        self.requests: list[tuple[int, Request]] = []
        self.mute = False
        """Answers nothing, tells nothing."""
        self.positions: tuple[tuple[str, Decimal], ...] | None = None
        """What it says of derivative positions; None for nothing."""
        self._inbox: list[tuple[int, int, Request]] = []
        self._outbox: list[tuple[int, int, VenueReport]] = []
        self._count = 0
        self.now = 0

    def heal(self) -> None:
        """Behave from now on."""
        self.faults = Faults()
        self.mute = False

    def submit(self, command: Request, now_ns: int) -> None:
        self.now = max(self.now, now_ns)
        self.requests.append((now_ns, command))
        if isinstance(command, PlaceOrder):
            self.placed.append(command)
        if not isinstance(command, QueryVenue | QueryOrder) and self._happens(
            self.faults.lose_request
        ):
            if not self._happens(self.faults.silent_loss):
                kind = _KINDS[type(command)]
                self._push_out(
                    RequestTimedOut(
                        venue=VENUE, symbol=SYMBOL, client_id=command.client_id, request=kind
                    ),
                    1 * SECOND,
                )
            return
        self._count += 1
        heappush(self._inbox, (now_ns + self._delay(), self._count, command))

    def next_due(self) -> int | None:
        times = [queue[0][0] for queue in (self._inbox, self._outbox) if queue]
        return min(times) if times else None

    def due(self, now_ns: int) -> list[VenueReport]:
        """Work up to a time; returns the reports that have arrived by then."""
        self.now = max(self.now, now_ns)
        while self._inbox and self._inbox[0][0] <= now_ns:
            _, _, command = heappop(self._inbox)
            self._arrive(command)
        reports: list[VenueReport] = []
        while self._outbox and self._outbox[0][0] <= now_ns:
            reports.append(heappop(self._outbox)[2])
        return reports

    def fill(self, client_id: str, lots: int, liquidity: str = "maker") -> OrderFilled:
        """Fill some of an order and report it."""
        order = self.orders[client_id]
        assert order.status == "open", order
        lots = min(lots, order.quantity_lots - order.filled_lots)
        order.filled_lots += lots
        self._count += 1
        notional = Decimal(order.price_ticks * lots) / 10_000
        report = OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=client_id,
            trade_id=f"t{self._count}",
            price_ticks=order.price_ticks,
            quantity_lots=lots,
            cumulative_lots=order.filled_lots,
            fee=notional / 1_000,
            fee_currency="USDT",
            liquidity=cast("Literal['maker', 'taker']", liquidity),
            exchange_ns=self.now,
        )
        order.fills.append(report)
        self._tell(report)
        if order.filled_lots == order.quantity_lots:
            self._close(order, "filled")
        return report

    def fill_something(self) -> None:
        """Fill a random part of a random open order."""
        open_ids = [cid for cid, order in self.orders.items() if order.status == "open"]
        if open_ids:
            cid = self.chance.choice(open_ids)
            order = self.orders[cid]
            self.fill(cid, self.chance.randint(1, order.quantity_lots - order.filled_lots))

    def filled_of(self, parent_id: str) -> int:
        return sum(o.filled_lots for o in self.orders.values() if o.place.parent_id == parent_id)

    def open_orders(self) -> list[FakeOrder]:
        return [order for order in self.orders.values() if order.status == "open"]

    def state_of(self, client_id: str, source: str) -> OrderState:
        order = self.orders.get(client_id)
        return OrderState(
            venue=VENUE,
            symbol=SYMBOL,
            client_id=client_id,
            status="not_found" if order is None else order.status,
            source=cast("Literal['order', 'trades']", source),
            price_ticks=0 if order is None else order.price_ticks,
            quantity_lots=0 if order is None else order.quantity_lots,
            cumulative_lots=0 if order is None else order.filled_lots,
            exchange_ns=self.now,
        )

    # arrivals

    def _arrive(self, command: Request) -> None:
        if isinstance(command, PlaceOrder):
            self._place(command)
        elif isinstance(command, AmendOrder):
            self._amend(command)
        elif isinstance(command, CancelOrder):
            order = self.orders.get(command.client_id)
            if order is not None and order.status == "open":
                self._close(order, "canceled")
            else:
                self._tell(
                    CancelRejected(
                        venue=VENUE,
                        symbol=SYMBOL,
                        client_id=command.client_id,
                        code="NOT_FOUND",
                        text="unknown order",
                    )
                )
        elif isinstance(command, QueryOrder):
            order = self.orders.get(command.client_id)
            for fill in order.fills if order is not None else ():
                self._tell(fill)
            for source in ("order", "trades"):
                self._tell(self.state_of(command.client_id, source))
        else:
            rows = [self.state_of(cid, "order") for cid in self.orders]
            self._tell(
                VenueSnapshot(
                    venue=VENUE,
                    open_orders=tuple(row for row in rows if row.status == "open"),
                    balances=(
                        ("USDT", Decimal(1_000_000), Decimal(0)),
                        ("BTC", Decimal(1_000), Decimal(0)),
                    ),
                    exchange_ns=self.now,
                    positions=self.positions,
                )
            )

    def _place(self, command: PlaceOrder) -> None:
        if command.client_id in self.orders:
            self._reject(command, "DUPLICATE_ID")
            return
        if self.now > command.expires_ns:
            self._reject(command, "OTHER")
            return
        buy = command.side == "buy"
        takes = (
            command.price_ticks >= self.ask_ticks if buy else command.price_ticks <= self.bid_ticks
        )
        if takes and command.post_only:
            self._reject(command, "POST_ONLY")
            return
        order = FakeOrder(command, command.price_ticks, command.quantity_lots)
        self.orders[command.client_id] = order
        self._tell(
            OrderAccepted(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=command.client_id,
                venue_order_id=f"v{len(self.orders)}",
                exchange_ns=self.now,
            )
        )
        if takes and self.fill_at_once:
            whole = not self._happens(self.partial_share)
            lots = order.quantity_lots if whole else self.chance.randint(1, order.quantity_lots)
            self.fill(command.client_id, lots, "taker")
        if command.time_in_force == "IOC" and order.status == "open":
            self._close(order, "expired")

    def _amend(self, command: AmendOrder) -> None:
        order = self.orders.get(command.client_id)
        code: Literal["NOT_FOUND", "OTHER"] | None = None
        if order is None or order.status != "open":
            code = "NOT_FOUND"
        elif self.now > command.expires_ns or command.quantity_lots <= order.filled_lots:
            code = "OTHER"
        if code is not None or order is None:
            self._tell(
                AmendRejected(
                    venue=VENUE,
                    symbol=SYMBOL,
                    client_id=command.client_id,
                    code=code or "OTHER",
                    text="no",
                )
            )
            return
        order.price_ticks, order.quantity_lots = command.price_ticks, command.quantity_lots
        self._tell(
            OrderAmended(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=command.client_id,
                price_ticks=order.price_ticks,
                quantity_lots=order.quantity_lots,
                exchange_ns=self.now,
            )
        )

    def _reject(self, command: PlaceOrder, code: str) -> None:
        self._tell(
            OrderRejected(
                venue=VENUE, symbol=SYMBOL, client_id=command.client_id, code=code, text="no"
            )
        )

    def _close(self, order: FakeOrder, status: Literal["filled", "canceled", "expired"]) -> None:
        order.status = status
        self._tell(
            OrderDone(
                venue=VENUE,
                symbol=SYMBOL,
                client_id=order.place.client_id,
                status=status,
                cumulative_lots=order.filled_lots,
                reason="",
                exchange_ns=self.now,
            )
        )

    def _tell(self, report: VenueReport) -> None:
        if self.mute or self._happens(self.faults.lose_report):
            return
        for _ in range(2 if self._happens(self.faults.duplicate) else 1):
            self._push_out(report, self._delay())

    def _push_out(self, report: VenueReport, delay_ns: int) -> None:
        self._count += 1
        heappush(self._outbox, (self.now + delay_ns, self._count, report))

    def _delay(self) -> int:
        if self._happens(self.faults.slow):
            return self.latency_ns + self.chance.randint(0, self.faults.slow_ns)
        return self.latency_ns

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self.chance.random() < probability


_KINDS: dict[type, Literal["place", "amend", "cancel"]] = {
    PlaceOrder: "place",
    AmendOrder: "amend",
    CancelOrder: "cancel",
}


class Rig:
    """An engine, its market and its exchange; time moves by ``run``.

    ``check`` is called after every event with the commands it caused.
    """

    def __init__(
        self,
        settings: EngineConfig | None = None,
        *,
        instrument: Instrument | None = None,
        chance: Random | None = None,
        faults: Faults | None = None,
        start: bool = True,
    ) -> None:
        self.settings = settings or config()
        self.instrument = instrument or rules()
        self.venue = FakeVenue(chance or Random(1), faults)
        self.now = START
        self.seq = 0
        self.durable: dict[str, object] = {}
        self.reports: list[PublishReport] = []
        self.notes: list[Note] = []
        self.commands: list[tuple[int, Command]] = []
        self.bid = self.ask = 0.0
        self.drop_after: int | None = None
        """Crash inside a later batch of commands: only so many of them happen."""
        self.crashed = False
        self.hold_back = False
        """Keep approvals, as a shell does that handles other events before it sends."""
        self._held_back: list[Approved[PlaceOrder] | Approved[AmendOrder]] = []
        self._unsent: list[Event] = []
        self.engine = Engine(self.settings, {KEY: self.instrument})
        if start:
            self.send(Started(state={}, damaged=""))
            self.book(60_000.0, 60_000.1)
            self.run(20 * MS)

    # in

    def send(self, event: Event) -> list[Command]:
        """Hand over one event now, and carry out what comes back."""
        commands = self.engine.handle(event, self.now)
        self.check_after(event, commands)
        for number, command in enumerate(commands):
            if self.drop_after is not None and number >= self.drop_after:
                self.crashed = True
                return commands
            self._carry_out(command)
        while self._unsent:
            self.send(self._unsent.pop(0))
        return commands

    def let_go(self) -> None:
        """Now is the moment of sending for what was held back."""
        self.hold_back = False
        held, self._held_back = self._held_back, []
        for approved in held:
            self._carry_out(approved)
        while self._unsent:
            self.send(self._unsent.pop(0))

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        """For tests to override."""

    def _carry_out(self, command: Command) -> None:
        self.commands.append((self.now, command))
        if isinstance(command, Approved):
            if self.hold_back:
                self._held_back.append(command)
            elif self.engine.risk.still_valid(command):
                self.venue.submit(self.engine.risk.open(command), self.now)
            else:
                self._unsent.append(not_sent(command.order))
        elif isinstance(command, CancelOrder | QueryOrder | QueryVenue):
            self.venue.submit(command, self.now)
        elif isinstance(command, Persist):
            if command.value is None:
                self.durable.pop(command.key, None)
            else:
                self.durable[command.key] = command.value
        elif isinstance(command, PublishReport):
            self.reports.append(command)
        elif isinstance(command, Note):
            self.notes.append(command)

    def book(
        self,
        bid: float,
        ask: float,
        *,
        size: float = 50.0,
        own: tuple[Side, float, float] | None = None,
    ) -> list[Command]:
        """A whole new book of five levels a side around these prices."""
        self.seq += 1
        self.bid, self.ask = bid, ask
        tick = self.instrument.tick_float
        ticks = self.instrument.ticks_of_float
        self.venue.bid_ticks, self.venue.ask_ticks = ticks(bid), ticks(ask)
        bids = {round(bid - n * tick, 8): size for n in range(5)}
        asks = {round(ask + n * tick, 8): size for n in range(5)}
        if own is not None:
            side, price, extra = own
            levels = bids if side == "buy" else asks
            levels[price] = levels.get(price, 0.0) + extra
        return self.send(
            DepthUpdate(
                VENUE,
                SYMBOL,
                True,
                self.seq,
                self.seq,
                -1,
                None,
                list(bids.items()),
                list(asks.items()),
                self.now,
                self.now,
            )
        )

    def trade(self, price: float, size: float = 0.1, side: Side = "sell") -> list[Command]:
        self.seq += 1
        return self.send(
            TradeTick(VENUE, SYMBOL, f"m{self.seq}", price, size, side, self.now, self.now)
        )

    def cancel(self, signal_id: str = "s1") -> list[Command]:
        return self.send(CancelReceived(signal_id=signal_id, reason="test"))

    def operate(
        self,
        action: str,
        scope: str = "",
        trip_id: str = "",
        reason: str = "t",
        *,
        through_halt: bool = False,
    ) -> None:
        self.send(
            OperatorCommand(
                action=cast("Literal['halt']", action),
                scope=scope,
                trip_id=trip_id,
                reason=reason,
                through_halt=through_halt,
            )
        )

    def beat(self) -> None:
        self.send(MacroBeat(instance="m", strategy="test", epoch=1, seq=1, skew_ns=0))

    # time

    def run(self, duration_ns: int, *, refresh_ns: int = 200 * MS) -> None:
        """Let time pass: timers, the exchange, and a book that is confirmed now and then."""
        end = self.now + duration_ns
        refresh = self.now + refresh_ns if refresh_ns else end + 1
        while not self.dead():
            times = [end, refresh]
            dues = (self.engine.next_timer(), self.venue.next_due())
            times += [due for due in dues if due is not None]
            self.now = max(self.now, min(times))
            if self.now >= end and min(times) >= end:
                self.now = end
                return
            for report in self.venue.due(self.now):
                if self.dead():
                    return
                self.send(report)
            if self.dead():
                return
            due = self.engine.next_timer()
            if due is not None and due <= self.now:
                self.send(TimerFired())
            if self.now >= refresh and not self.dead():
                refresh = self.now + refresh_ns
                self.book(self.bid, self.ask)

    def dead(self) -> bool:
        """It has crashed inside a batch of commands."""
        return self.crashed

    def recovering(self) -> bool:
        """It does nothing yet but ask."""
        return self.engine.reconciling

    def restart(self) -> None:
        """A new engine on what was durable; reports under way are lost."""
        self.crashed = False
        self.drop_after = None
        self.venue._outbox.clear()
        self.engine = Engine(replace(self.settings), {KEY: self.instrument})
        self.send(Started(state=dict(self.durable), damaged=""))
        self.book(self.bid, self.ask)

    # out

    def parent(self, signal_id: str = "s1") -> Parent:
        return self.engine.order_store.known[signal_id]

    def report(self, signal_id: str = "s1") -> PublishReport:
        return [r for r in self.reports if r.signal_id == signal_id][-1]

    def live(self, signal_id: str = "s1") -> FakeOrder:
        """The one open order of a parent at the exchange."""
        found = [o for o in self.venue.open_orders() if o.place.parent_id == signal_id]
        assert len(found) == 1, found
        return found[0]

    def sent(self, kind: type) -> list[tuple[int, object]]:
        """(time, request) of one kind that were sent to the exchange."""
        return [(at, request) for at, request in self.venue.requests if isinstance(request, kind)]

    def events_noted(self) -> list[str]:
        return [note.event for note in self.notes]
