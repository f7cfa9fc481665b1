"""An exchange in virtual time for the engine alone: correct, however badly its lines behave."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal, cast

from engine_samples import MS, SECOND, SYMBOL, VENUE

from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    QueryTrades,
    QueryVenue,
)
from citadel_micro.core.model.events import (
    AccountTrade,
    AccountTrades,
    AmendRejected,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    VenueSnapshot,
)

if TYPE_CHECKING:
    from random import Random

    from citadel_micro.core.model.account_events import TradeKind
    from citadel_micro.core.model.events import Side, VenueReport

Request = PlaceOrder | AmendOrder | CancelOrder | QueryOrder | QueryTrades | QueryVenue


@dataclass(slots=True)
class FakeOrder:
    """An order as the fake exchange has it."""

    place: PlaceOrder
    price_ticks: int
    quantity_lots: int
    filled_lots: int = 0
    venue_id: str = ""
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
        self.fee_in_base = False
        """Buys pay their fee in what they bought."""
        self.true_positions = False
        """Say what the account holds instead: by its own orders, and by ``foreign_trade``."""
        self.account: list[AccountTrade] = []
        """Every trade of the account in SYMBOL, whoever made it, oldest first."""
        self.names_orders = True
        """Trades carry the client id of their order."""
        self.held_lots = 0
        self.coins = {"USDT": "1000000", "BTC": "1000"}
        """Totals that it states: before everything that was traded with ``true_coins``, else
        whatever was."""
        self.true_coins = False
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
        if not isinstance(command, QueryVenue | QueryOrder | QueryTrades) and self._happens(
            self.faults.lose_request
        ):
            if not self._happens(self.faults.silent_loss):
                kind = _KINDS[type(command)]
                self._push_out(
                    RequestTimedOut(
                        venue=VENUE,
                        symbol=command.symbol,
                        client_id=command.client_id,
                        request=kind,
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
        in_base = self.fee_in_base and order.place.side == "buy"
        report = OrderFilled(
            venue=VENUE,
            symbol=order.place.symbol,
            client_id=client_id,
            trade_id=f"t{self._count}",
            price_ticks=order.price_ticks,
            quantity_lots=lots,
            cumulative_lots=order.filled_lots,
            fee=Decimal(lots) / 1_000_000 if in_base else notional / 1_000,
            fee_currency="BTC" if in_base else "USDT",
            liquidity=cast("Literal['maker', 'taker']", liquidity),
            exchange_ns=self.now,
        )
        order.fills.append(report)
        self._record(report, order.place.side, order.venue_id)
        self._tell(report)
        if order.filled_lots == order.quantity_lots:
            self._close(order, "filled")
        return report

    def foreign_trade(
        self,
        side: Side,
        lots: int,
        *,
        client_id: str = "web_1",
        kind: TradeKind = "trade",
        price_ticks: int = 600_000,
    ) -> AccountTrade:
        """Somebody else trades on the account, and the user stream does not say so."""
        self._count += 1
        trade = AccountTrade(
            trade_id=f"f{self._count}",
            venue_order_id=f"x{self._count}",
            client_id=client_id,
            side=side,
            price_ticks=price_ticks,
            quantity_lots=lots,
            fee=Decimal(0),
            fee_currency="USDT",
            liquidity="taker",
            exchange_ns=self.now,
            kind=kind,
        )
        self.account.append(trade)
        self.held_lots += lots if side == "buy" else -lots
        return trade

    def _coins(self, name: str, total: str) -> Decimal:
        """Of BTC what was bought, less what was sold and fees of orders in it."""
        if name != "BTC" or not self.true_coins:
            return Decimal(total)
        fees = sum((t.fee for t in self.account if t.fee_currency == "BTC"), Decimal(0))
        return Decimal(total) + Decimal(self.held_lots) / 1_000 - fees

    def _record(self, fill: OrderFilled, side: Side, venue_id: str) -> None:
        self.held_lots += fill.quantity_lots if side == "buy" else -fill.quantity_lots
        self.account.append(
            AccountTrade(
                trade_id=fill.trade_id,
                venue_order_id=venue_id,
                client_id=fill.client_id if self.names_orders else "",
                side=side,
                price_ticks=fill.price_ticks,
                quantity_lots=fill.quantity_lots,
                fee=fill.fee,
                fee_currency=fill.fee_currency,
                liquidity=fill.liquidity,
                exchange_ns=fill.exchange_ns,
            )
        )

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
            symbol=SYMBOL if order is None else order.place.symbol,
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
                        symbol=command.symbol,
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
        elif isinstance(command, QueryTrades):
            self._tell(
                AccountTrades(
                    venue=VENUE,
                    symbol=command.symbol,
                    since_ns=command.since_ns,
                    trades=tuple(t for t in self.account if t.exchange_ns >= command.since_ns),
                    exchange_ns=self.now,
                )
            )
        else:
            rows = [self.state_of(cid, "order") for cid in self.orders]
            self._tell(
                VenueSnapshot(
                    venue=VENUE,
                    open_orders=tuple(row for row in rows if row.status == "open"),
                    balances=tuple(
                        (name, self._coins(name, total), Decimal(0))
                        for name, total in self.coins.items()
                    ),
                    exchange_ns=self.now,
                    positions=((SYMBOL, Decimal(self.held_lots) / 1_000),)
                    if self.true_positions
                    else self.positions,
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
        order.venue_id = f"v{len(self.orders)}"
        self._tell(
            OrderAccepted(
                venue=VENUE,
                symbol=command.symbol,
                client_id=command.client_id,
                venue_order_id=order.venue_id,
                exchange_ns=self.now,
            )
        )
        if takes and self.fill_at_once:
            whole = not self._happens(self.partial_share)
            lots = order.quantity_lots if whole else self.chance.randint(1, order.quantity_lots)
            if whole or command.time_in_force != "FOK":
                self.fill(command.client_id, lots, "taker")
        if command.time_in_force != "GTC" and order.status == "open":
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
                    symbol=command.symbol,
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
                symbol=command.symbol,
                client_id=command.client_id,
                price_ticks=order.price_ticks,
                quantity_lots=order.quantity_lots,
                exchange_ns=self.now,
            )
        )

    def _reject(self, command: PlaceOrder, code: str) -> None:
        self._tell(
            OrderRejected(
                venue=VENUE,
                symbol=command.symbol,
                client_id=command.client_id,
                code=code,
                text="no",
            )
        )

    def _close(self, order: FakeOrder, status: Literal["filled", "canceled", "expired"]) -> None:
        order.status = status
        self._tell(
            OrderDone(
                venue=VENUE,
                symbol=order.place.symbol,
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
