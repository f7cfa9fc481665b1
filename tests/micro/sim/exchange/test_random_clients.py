"""Twenty random clients against the flow: what must hold at every step, whatever they do."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from exchange_kit import BTC, RICH, Floor, check_books, check_cash, synthetic

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.exchange.model import AccountEvent, Order, OrderEvent, OrderRefused, Side
from citadel_micro.sim.flow_book import Print
from citadel_micro.sim.flow_feed import DepthBatch, FeedEvent
from citadel_micro.sim.rng import SplitMix64

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = tuple(f"c{number}" for number in range(20))
TYPES = ("LIMIT", "LIMIT", "LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "QUOTE")
PLANS = (
    None,
    FeePlan(asset="quote"),
    FeePlan(asset="bnb"),
    FeePlan(maker_e8=0, taker_e8=0),
)
SUITE = range(1, 5)
STP = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT")


class Crowd:
    """Random orders, cancels and amends, all drawn from one seed."""

    def __init__(self, seed: int, fees: FeePlan | None = None) -> None:
        self.floor = Floor(
            still=False,
            feed=synthetic(seed, (BTC, "ADA/USDT", "BNB/USDT")),
            accounts=CLIENTS,
            fees=fees,
        )
        self.rng = SplitMix64(seed)
        self.public: list[FeedEvent] = []
        self.events: list[AccountEvent] = []
        self.refused: dict[str, int] = {}

    def pick(self, choices: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever is in it
        return choices[self.rng.below(len(choices))]

    def act(self) -> None:
        exchange = self.floor.exchange
        self.public += exchange.advance(exchange.now_ns + 1 + int(5e7 * self.rng.exponential()))
        account = CLIENTS[int(len(CLIENTS) * self.rng.uniform() ** 9)]  # some trade far more
        out = exchange.open_orders(account)
        choice = self.rng.uniform()
        try:
            if out and choice < 0.3:
                order = self.pick(out)
                exchange.cancel(account, order.symbol, order_id=order.order_id)
            elif out and choice < 0.4:
                self.amend(self.pick(out))
            else:
                self.place(account)
        except OrderRefused as refusal:
            self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
        self.public += exchange.take_public()
        self.events += exchange.drain()

    def amend(self, order: Order) -> None:
        spec = self.floor.feed.specs[order.symbol]
        lots = max(order.lots - 1 - self.rng.below(max(order.left, 1)), 0)
        self.floor.exchange.amend(
            order.account_id, order.symbol, order_id=order.order_id, quantity_e8=lots * spec.lot_e8
        )

    def place(self, account: str) -> None:
        rng = self.rng
        symbol = self.pick((BTC, "ADA/USDT"))
        spec = self.floor.feed.specs[symbol]
        bid, ask = self.floor.best(symbol)
        side: Side = self.pick(("BUY", "SELL"))
        kind = self.pick(TYPES)
        unit = spec.tick_e8 * spec.lot_e8 / 1e8
        lots = 1 + int(10 ** (2.5 + 2.5 * rng.uniform()) * 1e6 / (bid * unit))
        offset = int(rng.gauss() * 6)
        ticks = bid + offset if side == "BUY" else ask - offset
        more: dict[str, Any] = {"symbol": symbol, "stp": self.pick(STP)}
        if kind == "QUOTE":
            request = self.floor.ask(account, side, 0, quote_e8=int(lots * bid * unit), **more)
            self.floor.exchange.place(account, request)
            return
        if kind == "MARKET":
            self.floor.place(account, side, lots, **more)
            return
        if kind == "STOP_LOSS_LIMIT":
            stop = ask + 3 if side == "BUY" else bid - 3
            more["stop_e8"] = stop * spec.tick_e8
        elif kind == "LIMIT":
            more["time_in_force"] = self.pick(("GTC", "GTC", "IOC", "FOK"))
        if more.get("time_in_force", "GTC") == "GTC" and rng.uniform() < 0.3 and lots > 10:
            more["visible_e8"] = (lots // 4 + 1) * spec.lot_e8
        self.floor.place(account, side, lots, ticks, type=kind, **more)


def check_orders(crowd: Crowd) -> None:
    """Every order kept its limit, its quantity and its time in force."""
    exchange = crowd.floor.exchange
    for account in CLIENTS:
        for symbol in crowd.floor.feed.specs:
            fills = exchange.my_trades(account, symbol, limit=10**9)
            for order in exchange.all_orders(account, symbol, limit=10**9):
                mine = [fill for fill in fills if fill.order_id == order.order_id]
                assert sum(fill.lots for fill in mine) == order.filled_lots
                assert sum(fill.quote_e8 for fill in mine) == order.filled_quote_e8
                assert order.filled_lots + order.prevented_lots <= order.lots
                assert (order.status == "FILLED") <= (order.left == 0)
                for fill in mine:
                    if order.ticks and order.side == "BUY":
                        assert fill.ticks <= order.ticks
                    elif order.ticks:
                        assert fill.ticks >= order.ticks
                if order.time_in_force == "FOK":
                    assert order.filled_lots in {0, order.lots}
                if order.time_in_force in {"IOC", "FOK"} or order.type == "MARKET":
                    assert not order.open
                    assert not any(fill.maker for fill in mine)
                if order.type == "LIMIT_MAKER":
                    assert all(fill.maker for fill in mine)
                if order.quote_e8:
                    assert order.filled_quote_e8 <= order.quote_e8
                if not order.open:
                    assert order.lock_e8 == 0


def check_public(crowd: Crowd, books: dict[str, tuple[dict[int, int], dict[int, int]]]) -> None:
    """A book built from the public messages alone is the exchange's; ids have no gap."""
    crowd.public += crowd.floor.exchange.advance(crowd.floor.exchange.now_ns + 100_000_000)
    for symbol, (bids, asks) in books.items():
        mine = [event for event in crowd.public if event.symbol == symbol]
        trades = [event.trade_id for event in mine if isinstance(event, Print)]
        assert all(b == a + 1 for a, b in pairwise(trades))
        batches = [event for event in mine if isinstance(event, DepthBatch)]
        assert all(b.first_id == a.last_id + 1 for a, b in pairwise(batches))
        for batch in batches:
            for levels, changes in ((bids, batch.bids), (asks, batch.asks)):
                for ticks, lots in changes:
                    levels[ticks] = lots
        book = crowd.floor.feed.book(symbol)
        if batches and book.update_id == batches[-1].last_id:
            assert {t: n for t, n in bids.items() if n} == book.bid_lots
            assert {t: n for t, n in asks.items() if n} == book.ask_lots


@pytest.mark.parametrize("seed", range(1, 1 + examples(len(SUITE), 100)))
def test_invariants_hold_at_every_step(seed: int) -> None:
    crowd = Crowd(seed, PLANS[seed % len(PLANS)])
    exchange, feed = crowd.floor.exchange, crowd.floor.feed
    opening = {
        symbol: (dict(feed.book(symbol).bid_lots), dict(feed.book(symbol).ask_lots))
        for symbol in feed.specs
    }
    for step in range(900):
        crowd.act()
        check_books(exchange, feed, CLIENTS)
        if step % 10 == 0:
            check_cash(exchange, CLIENTS, RICH)
    check_cash(exchange, CLIENTS, RICH)
    check_orders(crowd)
    check_public(crowd, opening)
    for account in CLIENTS:
        numbers = [event.sequence for event in crowd.events if event.account_id == account]
        assert numbers == list(range(1, len(numbers) + 1))
    causes = {event.cause for event in crowd.events if isinstance(event, OrderEvent)}
    assert causes >= {"NEW", "TRADE", "CANCELED", "REPLACED", "EXPIRED"}
    if seed in SUITE:
        assert "TRADE_PREVENTION" in causes
    makers = [
        event.fill.maker
        for event in crowd.events
        if isinstance(event, OrderEvent) and event.fill is not None
    ]
    assert makers.count(True) > 20
    assert makers.count(False) > 50


def test_the_same_seed_has_the_same_history() -> None:
    first, second, other = Crowd(9), Crowd(9), Crowd(10)
    for crowd in (first, second, other):
        for _ in range(250):
            crowd.act()
    assert first.events == second.events
    assert first.public == second.public
    assert first.events != other.events


def test_the_streams_last_word_is_what_queries_say() -> None:
    crowd = Crowd(12)
    for _ in range(500):
        crowd.act()
    exchange = crowd.floor.exchange
    last: dict[int, Order] = {}
    balances: dict[tuple[str, str], tuple[int, int]] = {}
    for event in crowd.events:
        if isinstance(event, OrderEvent):
            last[event.order.order_id] = event.order
        else:
            for asset, free, locked in event.balances:
                balances[event.account_id, asset] = (free, locked)
    assert len(last) > 200
    for order_id, order in last.items():
        assert exchange.order(order.account_id, order.symbol, order_id=order_id) == order
    for (account, asset), both in balances.items():
        assert exchange.balances(account)[asset] == both
