"""An exchange over the synthetic market, with a flow that can be kept still, and its invariants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.model import Order, OrderEvent, OrderRequest, Placed, Side
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_book import NOBODY
from citadel_micro.sim.flow_feed import SyntheticFeed
from citadel_micro.sim.flow_symbols import E8, choose_symbols

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.sim.exchange.accounts import FeePlan
    from citadel_micro.sim.flow_feed import Feed

SECOND = 1_000_000_000
START = 1_763_800_020 * SECOND
BTC = "BTC/USDT"
RICH = {"USDT": 10**8 * E8, "BTC": 10**4 * E8, "ADA": 10**8 * E8, "BNB": 10**4 * E8}


def synthetic(
    seed: int = 1, names: tuple[str, ...] = (BTC, "ADA/USDT"), start_ns: int = START
) -> SyntheticFeed:
    """A synthetic feed that has not moved."""
    symbols = choose_symbols(names)
    return SyntheticFeed(SyntheticMarket(symbols, seed, start_ns), symbols, 10)


class Floor:
    """An exchange with the accounts ``ann`` and ``bob``, and short ways to trade on it."""

    def __init__(
        self,
        *,
        still: bool = True,
        feed: Feed | None = None,
        fees: FeePlan | None = None,
        accounts: tuple[str, ...] = ("ann", "bob"),
        rules: dict[str, SymbolRules] | None = None,
        kind: type[Exchange] = Exchange,
    ) -> None:
        """``still`` keeps the flow from acting: the book is its opening one.

        Without ``rules`` orders of any value are allowed.
        """
        self.feed: Feed = feed or synthetic()
        if still:
            for symbol in self.feed.specs:
                self.feed.pause(symbol, paused=True)
        if rules is None:
            rules = {
                symbol: replace(SymbolRules.of(spec), min_notional_e8=0, max_notional_e8=10**20)
                for symbol, spec in self.feed.specs.items()
            }
        self.exchange = kind(self.feed, rules)
        self.accounts = accounts
        for account in accounts:
            self.exchange.open_account(account, RICH, fees=fees)

    def ask(self, account: str, side: Side, lots: int, ticks: int = 0, **more: Any) -> OrderRequest:  # noqa: ANN401 - any field of a request
        """A request in ticks and lots: LIMIT with a price, MARKET without."""
        assert account
        symbol = more.pop("symbol", BTC)
        spec = self.feed.specs[symbol]
        more.setdefault("type", "LIMIT" if ticks else "MARKET")
        return OrderRequest(
            symbol=symbol,
            side=side,
            quantity_e8=lots * spec.lot_e8,
            price_e8=ticks * spec.tick_e8,
            **more,
        )

    def place(self, account: str, side: Side, lots: int, ticks: int = 0, **more: Any) -> Placed:  # noqa: ANN401 - any field of a request
        """Place an order in ticks and lots."""
        return self.exchange.place(account, self.ask(account, side, lots, ticks, **more))

    def order(self, placed: Placed) -> Order:
        """An order as it stands now."""
        was = placed.order
        return self.exchange.order(was.account_id, was.symbol, order_id=was.order_id)

    def best(self, symbol: str = BTC) -> tuple[int, int]:
        """Best bid and ask in ticks."""
        book = self.feed.book(symbol)
        return book.bids[-1], book.asks[0]

    def step(self, ns: int) -> None:
        """Move the market."""
        self.exchange.advance(self.exchange.now_ns + ns)

    def causes(self) -> list[str]:
        """What new order events say, in order."""
        return [e.cause for e in self.exchange.drain() if isinstance(e, OrderEvent)]


def inside(floor: Floor) -> int:
    """A bid price one tick above the best: made free of anonymous size by taking the asks."""
    bid, ask = floor.best()
    if ask - bid < 3:
        floor.place("bob", "BUY", floor.feed.book(BTC).ask_lots[ask], ask, time_in_force="IOC")
        bid, ask = floor.best()
    assert ask - bid >= 3
    return bid + 1


def check_books(exchange: Exchange, feed: Feed, accounts: Sequence[str]) -> None:
    """Every level is the sum of its queue, queues hold exactly the open orders, nothing crosses."""
    resting: dict[int, int] = {}
    for symbol in feed.specs:
        book = feed.book(symbol)
        assert not book.bids or not book.asks or book.bids[-1] < book.asks[0]
        for side in ("bid", "ask"):
            prices = book.bids if side == "bid" else book.asks
            sizes = book.bid_lots if side == "bid" else book.ask_lots
            queues = book.bid_queues if side == "bid" else book.ask_queues
            assert prices == sorted(sizes)
            assert min(sizes.values(), default=1) > 0
            assert set(queues) <= set(sizes)
            for ticks, queue in queues.items():
                assert sum(each.lots for each in queue) == sizes[ticks]
                assert min(each.lots for each in queue) > 0
                resting.update(
                    {each.order_id: each.left for each in queue if each.order_id != NOBODY}
                )
    out = {
        order.order_id: order.left
        for account in accounts
        for order in exchange.open_orders(account)
        if order.working
    }
    assert resting == out


def check_cash(exchange: Exchange, accounts: Sequence[str], opening: dict[str, int]) -> None:
    """No balance is negative, what is locked is locked by orders, and nothing came or went."""
    total: dict[str, int] = dict(exchange.clearing.fee_box)
    for asset, amount in exchange.clearing.flow.items():
        total[asset] = total.get(asset, 0) + amount
    for account in accounts:
        locked: dict[str, int] = {}
        for order in exchange.open_orders(account):
            locked[order.lock_asset] = locked.get(order.lock_asset, 0) + order.lock_e8
        for asset, (free, used) in exchange.balances(account).items():
            assert free >= 0
            assert used == locked.get(asset, 0)
            total[asset] = total.get(asset, 0) + free + used
        ledger = exchange.ledger(account)
        book = dict(ledger.opening)
        for move in ledger.movements:
            book[move.asset] = book.get(move.asset, 0) + move.amount_e8
        assert {a: n for a, n in book.items() if n} == {
            a: n for a, n in ledger.balances.items() if n
        }
    expected = {asset: amount * len(accounts) for asset, amount in opening.items()}
    assert {a: n for a, n in total.items() if n} == {a: n for a, n in expected.items() if n}
