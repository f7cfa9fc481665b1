"""The risk gate: processor time of one approved order, with every check run.

    python bench/bench_gate.py

Each state is made by events (books, signals, reports) in a real engine; the order that it then sends is
shown to its gate again and again. The time is the thread's own, so that other load on the machine counts
less, and of the rounds the median is printed, and the best. Marks change between rounds as they do every tenth
of a second; in the last column before every order, which is then the first to be valued at them.
"""

from __future__ import annotations

import statistics
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import (
    DepthUpdate,
    OrderFilled,
    SignalReceived,
    Started,
    TimerFired,
    VenueSnapshot,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.risk_limits import paper_defaults

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.risk.check_context import Case
    from citadel_micro.core.risk.types import RiskRequest, RiskView

ROUNDS: Final = 60
CALLS: Final = 400
"""Of one round: 10 ms."""
MS: Final = 1_000_000
START: Final = 1_700_000_000_000 * MS
VENUE: Final = "binance-spot"
COINS: Final = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA")


class Desk:
    """An engine, and the last order that its gate has approved."""

    def __init__(self, coins: tuple[str, ...]) -> None:
        self.now = START
        self.order: PlaceOrder | None = None
        self.case: Case | None = None
        self._seq = 0
        limits = paper_defaults(
            lease_required=False,
            max_gross_exposure=Decimal(10**9),
            max_net_exposure=Decimal(10**9),
            max_venue_exposure={"*": Decimal(10**9)},
            depth_participation_bps=10_000.0,
            max_identical_orders=1_000,
            max_messages_per_second=999_999,
            max_unfilled_messages=999_999,
        )
        venue = VenueConfig(
            integrity="range_bridge_spot", messages_per_second=1_000, message_burst=1_000
        )
        config = EngineConfig(
            run_id="bench", instance="bench", venues={VENUE: venue}, limits=limits
        )
        self.engine = Engine(config, {(VENUE, f"{c}/USDT"): _rules(c) for c in coins})
        self.engine.risk.watch = self._seen
        self.send(Started(state={}, damaged=""))
        rows = tuple((name, Decimal(10**9), Decimal(0)) for name in ("USDT", *coins))
        self.send(VenueSnapshot(venue=VENUE, open_orders=(), balances=rows, exchange_ns=START))
        for coin in coins:
            self.book(coin)
        self.later(200)

    def _seen(self, case: Case) -> None:
        self.case = case

    def send(self, event: Event) -> None:
        for command in self.engine.handle(event, self.now):
            if isinstance(command, Approved) and isinstance(command.order, PlaceOrder):
                self.order = command.order

    def book(self, coin: str, bid: float = 100.0) -> None:
        """Fifty levels a side."""
        self._seq += 1
        bids = [(round(bid - n * 0.01, 2), 50.0) for n in range(50)]
        asks = [(round(bid + 0.01 + n * 0.01, 2), 50.0) for n in range(50)]
        seq, now, whole = self._seq, self.now, True
        book = DepthUpdate(VENUE, f"{coin}/USDT", whole, seq, seq, -1, None, bids, asks, now, now)
        self.send(book)

    def sent(self) -> PlaceOrder | None:
        """The order that was sent last."""
        return self.order

    def later(self, ms: int) -> None:
        self.now += ms * MS
        self.send(TimerFired())

    def buy(self, coin: str, quantity: str, *, fill: bool = False) -> None:
        """An order that rests, or that fills at once."""
        self._seq += 1
        signal: dict[str, Any] = dict.fromkeys(("algo", "model_id", "tag"), "")
        signal.update(
            signal_id=f"s{self._seq}",
            strategy="bench",
            venue=VENUE,
            symbol=f"{coin}/USDT",
            side="buy",
            quantity=Decimal(quantity),
            kind="order",
            order_type="limit",
            limit_price=None,
            stop_price=None,
            time_in_force="GTC",
            reduce_only=False,
            leverage=Decimal(1),
            params=(("time_limit_ms", 3_600_000),),
            confidence=None,
            candle_ns=0,
            created_ns=self.now,
            expires_ns=self.now + 3_600_000 * MS,
            epoch=1,
            seq=self._seq,
        )
        signal["algo"] = "chase_limit"
        self.order = None
        self.send(SignalReceived(**signal))
        order = self.sent()
        if order is None:
            raise SystemExit(f"no order of {coin} was sent: {self._why()}")
        if fill:
            self.send(
                OrderFilled(
                    venue=VENUE,
                    symbol=order.symbol,
                    client_id=order.client_id,
                    trade_id="1",
                    price_ticks=order.price_ticks,
                    quantity_lots=order.quantity_lots,
                    cumulative_lots=order.quantity_lots,
                    fee=Decimal("0.001"),
                    fee_currency="USDT",
                    liquidity="maker",
                    exchange_ns=self.now,
                )
            )

    def _why(self) -> str:
        return "nothing was judged" if self.case is None else self.case.verdict().reason


def _rules(coin: str) -> Instrument:
    return Instrument(
        venue=VENUE,
        symbol=f"{coin}/USDT",
        venue_symbol=f"{coin}USDT",
        base=coin,
        quote="USDT",
        settle="USDT",
        kind="spot",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        min_lots=1,
        min_notional=Decimal(5),
        contract_size=Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        fee_side="quote",
    )


def one_order() -> Desk:
    """One instrument, nothing held: a strategy's first order."""
    desk = Desk(COINS[:1])
    desk.buy("BTC", "1")
    return desk


def three_symbols() -> Desk:
    """A position here and in another instrument, and an order working in a third."""
    desk = Desk(COINS[:3])
    desk.buy("ETH", "2", fill=True)
    desk.buy("BTC", "0.5", fill=True)
    desk.buy("SOL", "3")
    desk.buy("BTC", "1")
    return desk


def six_symbols() -> Desk:
    """A position and an order working in each of six."""
    desk = Desk(COINS)
    for coin in COINS:
        desk.buy(coin, "2", fill=True)
    for coin in (*COINS[1:], COINS[0]):
        desk.buy(coin, "1")
    return desk


CASES: Final = {
    "first order, one symbol": one_order,
    "two positions, two orders, three symbols": three_symbols,
    "a position and an order in each of six symbols": six_symbols,
}


def measure(desk: Desk, *, fresh: bool = False) -> list[float]:
    """µs of one approval, of each round; ``fresh``: the mark of the instrument changes before each."""
    order, case, risk = desk.order, desk.case, desk.engine.risk
    if order is None or case is None or case.parent:
        raise SystemExit("no order was judged")
    risk.watch = None
    request: RiskRequest = case.request
    view: RiskView = case.view
    now_ns, rounds = desk.now, []
    for number in range(ROUNDS):
        desk.engine.portfolio.mark(VENUE, "BTC/USDT", 100.005 + 0.01 * (number % 2))
        approve, clock = risk.approve_place, time.thread_time_ns
        began = clock()
        for call in range(CALLS):
            if fresh:
                desk.engine.portfolio.mark(VENUE, "BTC/USDT", 100.005 + 0.01 * (call % 2))
            answer = approve(order, request, view, now_ns)
        rounds.append((clock() - began) / CALLS / 1_000)
        if not isinstance(answer, Approved):
            raise SystemExit(f"denied: {answer.reason}")
    return rounds


def main() -> int:
    """Measure and print a markdown table."""
    print("| state | p50, µs | best round, µs | p50 after a new mark, µs |")
    print("| --- | ---: | ---: | ---: |")
    for name, make in CASES.items():
        rounds, fresh = measure(make()), measure(make(), fresh=True)
        print(
            f"| {name} | {statistics.median(rounds):.1f} | {min(rounds):.1f} "
            f"| {statistics.median(fresh):.1f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
