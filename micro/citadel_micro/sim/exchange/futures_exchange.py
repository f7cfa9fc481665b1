"""An exchange of linear futures: leverage, margin, funding, liquidation and operator actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.core.model.time_units import FAR
from citadel_micro.sim.exchange.accounts import FeePlan, OrderCounts
from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.futures import FuturesClearing, Position, bracket_of
from citadel_micro.sim.exchange.futures_algos import AlgoOrder, AlgoOrders, AlgoRequest
from citadel_micro.sim.exchange.model import OrderRefused, OrderRequest, PositionView, Side
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.sim.exchange.accounts import Account
    from citadel_micro.sim.exchange.clearing import Clearing
    from citadel_micro.sim.exchange.model import Order, Permission
    from citadel_micro.sim.flow_feed import Feed

_SECOND_NS: Final = 1_000_000_000
FUNDING_NS: Final = 8 * 3600 * _SECOND_NS
LEVERAGES: Final = range(1, 126)
MARGIN_CALL_PERCENT: Final = 80
"""Margin is called when the maintenance margin is this part of what is left; Binance names none."""


@dataclass(frozen=True, slots=True)
class Funding:
    """A funding that was exchanged: its rate in 1e-8, and the mark price in 1e-8 quote."""

    time_ns: int
    rate_e8: int
    mark_e8: int


class FuturesExchange(Exchange):
    """Order entry, one-way positions and margin over a market of its own.

    The mark price is Binance's median of three: the index with the funding to come, the middle of the
    book, and the last trade; without an index the middle; or what the operator set. Positions are checked
    every second: one that has lost its maintenance margin is closed at market by an order of origin
    ``liquidation``, and what the book does not take is closed at the mark price (``adl``).
    """

    def __init__(
        self,
        feed: Feed,
        rules: Mapping[str, SymbolRules] | None = None,
        *,
        index: Callable[[str], int] | None = None,
        funding_ns: int = FUNDING_NS,
    ) -> None:
        """Trade on ``feed``; ``rules`` of a symbol that is not named are ``SymbolRules.linear``.

        ``index`` returns the index price in 1e-8 quote; without it it is the middle of the book.
        Funding is exchanged at whole multiples of ``funding_ns``.
        """
        self._index = index
        self.funding_ns = funding_ns
        self.funded: dict[str, list[Funding]] = {symbol: [] for symbol in feed.specs}
        self._called: dict[str, tuple[str, ...]] = {}
        self.margin_calls: list[tuple[str, tuple[str, ...]]] = []
        """Accounts that were called for margin, and for which symbols, to be taken."""
        self._countdowns: dict[tuple[str, str], int] = {}
        self._marks: dict[str, int] = {}
        self.funding_e8: dict[str, int] = dict.fromkeys(feed.specs, 10_000)
        linear = {symbol: SymbolRules.linear(spec) for symbol, spec in feed.specs.items()}
        super().__init__(feed, {**linear, **(rules or {})})
        self._log.view = self._futures.view
        self.algos = AlgoOrders(
            self.rules,
            self._records.next_id,
            self.place,
            lambda account_id, symbol: self._futures.position(account_id, symbol).lots,
            self._records.orders.get,
        )
        self._second = (feed.now_ns // _SECOND_NS + 1) * _SECOND_NS
        self._funding = (feed.now_ns // funding_ns + 1) * funding_ns

    def _make_clearing(self) -> Clearing:
        self._futures = FuturesClearing(self.rules, self._records, self.mark_e8)
        return self._futures

    # ------------------------------------------------------------------ prices and time

    def mark_e8(self, symbol: str) -> int:
        """Return the mark price in 1e-8 quote."""
        mark = self._marks.get(symbol)
        if mark is not None:
            return mark
        middle = self.middle_e8(symbol)
        if self._index is None:
            return middle
        index = self._index(symbol)
        left = (self._funding - self.now_ns) // (self.funding_ns // E8 or 1)
        fair = index + index * self.funding_e8[symbol] * left // (E8 * E8)
        last = self.last_ticks(symbol) * self.rules[symbol].spec.tick_e8
        return sorted((fair, middle, last))[1]

    def index_e8(self, symbol: str) -> int:
        """Return the index price in 1e-8 quote."""
        return self.middle_e8(symbol) if self._index is None else self._index(symbol)

    def set_mark(self, symbol: str, price_e8: int | None) -> None:
        """Fix the mark price (None: let it follow the book again), and liquidate what falls below margin."""
        self._entry.rules_of(symbol)
        if price_e8 is None:
            self._marks.pop(symbol, None)
        else:
            self._marks[symbol] = price_e8
        self._check_positions()
        self._settle()

    def next_funding_ns(self) -> int:
        """Return the next funding time."""
        return self._funding

    def _next_due(self) -> int:
        due = min(self._countdowns.values(), default=FAR)
        return min(super()._next_due(), self._second, self._funding, due)

    def _act_by_time(self) -> None:
        super()._act_by_time()
        if self.now_ns >= self._funding:
            time_ns = self._funding
            self._funding += self.funding_ns
            for symbol, rate in self.funding_e8.items():
                self.funded[symbol].append(Funding(time_ns, rate, self.mark_e8(symbol)))
                self.fund(symbol, rate)
        for (account_id, symbol), due in list(self._countdowns.items()):
            if self.now_ns >= due:
                del self._countdowns[account_id, symbol]
                for order in self._records.open_orders(account_id, symbol or None):
                    self._entry.end(order, "CANCELED", "COUNTDOWN")
        if self.now_ns >= self._second:
            self._second = (self.now_ns // _SECOND_NS + 1) * _SECOND_NS
            self._check_positions()

    def fund(self, symbol: str, rate_e8: int) -> None:
        """Exchange funding now, at a rate in 1e-8 of the notional."""
        self._log.end(self.now_ns)
        for account in self._accounts.values():
            if self._futures.fund(account, symbol, rate_e8, self.now_ns):
                self._log.touch(account, self.rules[symbol].spec.quote)
                self._log.touch_position(account, symbol)
        self._log.end(self.now_ns, reason="funding")

    # ------------------------------------------------------------------ orders

    def on_trades(self, symbol: str, low: int, high: int) -> None:
        """Trigger stops by trades of the flow, and trim orders that have nothing left to reduce."""
        super().on_trades(symbol, low, high)
        self._trigger(symbol, low, high)
        self._trim()

    def _settle(self) -> None:
        self._log.end(self.now_ns)
        traded = self._matching.traded
        while traded:
            symbol = next(iter(traded))
            low, high = traded.pop(symbol)
            self._entry.trigger(symbol, low, high)
            self._trigger(symbol, low, high)
        self._trim()

    def _trigger(self, symbol: str, low: int, high: int) -> None:
        tick = self.rules[symbol].spec.tick_e8
        self.algos.trigger(symbol, "CONTRACT_PRICE", (low * tick, high * tick), self.now_ns)

    def add_algo(self, account_id: str, request: AlgoRequest) -> AlgoOrder:
        """Let a conditional order wait for its trigger.

        Raises:
            OrderRefused: as ``AlgoOrders.add``, and MARKET_CLOSED.
        """
        self._account(account_id)
        symbol = request.symbol
        tick = self._entry.rules_of(symbol).spec.tick_e8
        if self.statuses[symbol] != "TRADING":
            raise OrderRefused("MARKET_CLOSED", self.statuses[symbol])
        prices = (self.last_ticks(symbol) * tick, self.mark_e8(symbol))
        return self.algos.add(account_id, request, prices, self.now_ns)

    def _trim(self) -> None:
        """Expire reduce-only orders beyond positions that have changed, the newest first."""
        changed = self._futures.changed
        while changed:
            account_id, symbol = next(iter(changed))
            del changed[account_id, symbol]
            lots = self._futures.position(account_id, symbol).lots
            room = {"BUY": max(-lots, 0), "SELL": max(lots, 0)}
            for order in list(self._records.open_of(account_id, symbol)):
                if not (order.reduce_only and order.working):
                    continue
                if order.left <= room[order.side]:
                    room[order.side] -= order.left
                else:
                    self._entry.end(order, "EXPIRED", "REDUCE_ONLY")
        self._log.end(self.now_ns)

    def count_down(self, account_id: str, symbol: str, time_ns: int) -> None:
        """Cancel all orders of a symbol after so long, unless told again; 0: not any more.

        An empty symbol stands for the whole account, with a countdown of its own.
        """
        if symbol:
            self._entry.rules_of(symbol)
        self._account(account_id)
        if time_ns:
            self._countdowns[account_id, symbol] = self.now_ns + time_ns
        else:
            self._countdowns.pop((account_id, symbol), None)

    # ------------------------------------------------------------------ accounts

    def open_account(
        self,
        account_id: str,
        balances: Mapping[str, int],
        *,
        fees: FeePlan | None = None,
        permissions: frozenset[Permission] = frozenset({"read", "futures"}),
    ) -> None:
        """Open a futures wallet; its orders are counted in 10 s and a minute, filled or not."""
        fees = fees or FeePlan(maker_e8=20_000, taker_e8=50_000)
        super().open_account(account_id, balances, fees=fees, permissions=permissions)
        self._log.changed_ns[account_id] = (
            self.now_ns
        )  # of a wallet that never changed ccxt tells nothing
        self._account(account_id).counts = OrderCounts(
            (10 * _SECOND_NS, 60 * _SECOND_NS), gives_back=False
        )

    def available(self, account_id: str, asset: str) -> int:
        """Return what new orders may lock, in 1e-8."""
        return self._futures.available(self._account(account_id), asset)

    def position(self, account_id: str, symbol: str) -> PositionView:
        """Return a position's current state, flat or not."""
        self._entry.rules_of(symbol)
        return self._futures.view(self._account(account_id), symbol)

    def positions(self, account_id: str) -> list[PositionView]:
        """Return every position of an account that is not flat, by symbol."""
        self._account(account_id)
        views = [self.position(account_id, symbol) for symbol in sorted(self.rules)]
        return [view for view in views if view.lots]

    def cap_e8(self, leverage: int) -> int:
        """Return the largest notional that a leverage allows, in 1e-8 quote."""
        return self._futures.cap_of(leverage)

    def open_lots(self, symbol: str) -> int:
        """Return what all accounts are long of a symbol, or short if that is more."""
        held = [each.get(symbol, Position()).lots for each in self._futures.positions.values()]
        longs, shorts = sum(max(lots, 0) for lots in held), sum(max(-lots, 0) for lots in held)
        return max(longs, shorts)

    def set_leverage(self, account_id: str, symbol: str, leverage: int) -> int:
        """Change the leverage of a symbol; return the largest notional it allows (1e-8).

        Raises:
            OrderRefused: BAD_COMBINATION outside 1 to 125; MAX_LEVERAGE for the position there is;
                INSUFFICIENT_BALANCE for an isolated one that would need margin.
        """
        account, position = self._position(account_id, symbol)
        if leverage not in LEVERAGES:
            raise OrderRefused("BAD_COMBINATION", "leverage is from 1 to 125")
        notional = self._futures.notional(symbol, position)
        if position.lots and bracket_of(notional).leverage < leverage:
            raise OrderRefused("MAX_LEVERAGE")
        if position.isolated and position.lots:
            self._move_margin(
                account, symbol, max(-(-notional // leverage) - position.margin_e8, 0)
            )
        position.leverage = leverage
        return self._futures.cap_of(leverage)

    def set_isolated(self, account_id: str, symbol: str, *, isolated: bool) -> None:
        """Change the margin mode of a symbol.

        Raises:
            OrderRefused: MARGIN_TYPE when it is that already, or while there is a position or order.
        """
        _, position = self._position(account_id, symbol)
        if position.isolated == isolated:
            raise OrderRefused("MARGIN_TYPE", "no need to change")
        if position.lots or self._records.open_orders(account_id, symbol):
            raise OrderRefused("MARGIN_TYPE", "there are open orders or a position")
        position.isolated = isolated

    def add_margin(self, account_id: str, symbol: str, amount_e8: int) -> None:
        """Move margin to an isolated position (negative: back).

        Raises:
            OrderRefused: MARGIN_TYPE for a cross or flat one, INSUFFICIENT_BALANCE.
        """
        account, position = self._position(account_id, symbol)
        if not position.isolated or not position.lots:
            raise OrderRefused("MARGIN_TYPE", "no isolated position")
        least = -(-self._futures.notional(symbol, position) // position.leverage)
        if amount_e8 < 0 and position.margin_e8 + amount_e8 < least:
            raise OrderRefused("INSUFFICIENT_BALANCE", "the position needs its margin")
        self._move_margin(account, symbol, amount_e8)
        self._log.end(self.now_ns, reason="margin")

    def _move_margin(self, account: Account, symbol: str, amount_e8: int) -> None:
        asset = self.rules[symbol].spec.quote
        if amount_e8 > self._futures.available(account, asset):
            raise OrderRefused("INSUFFICIENT_BALANCE", f"margin of {amount_e8} in 1e-8 {asset}")
        account.lock(asset, amount_e8)
        self._futures.position(account.account_id, symbol).margin_e8 += amount_e8
        self._log.touch(account, asset)
        self._log.touch_position(account, symbol)

    def _position(self, account_id: str, symbol: str) -> tuple[Account, Position]:
        self._entry.rules_of(symbol)
        return self._account(account_id), self._futures.position(account_id, symbol)

    # ------------------------------------------------------------------ liquidation

    def _check_positions(self) -> None:
        for symbol in self.rules:
            mark = self.mark_e8(symbol)
            self.algos.trigger(symbol, "MARK_PRICE", (mark, mark), self.now_ns)
        for account in self._accounts.values():
            for symbol in self._futures.short_of_margin(account):
                self.close_out(account.account_id, symbol, "liquidation")
            self._call_margin(account)

    def _call_margin(self, account: Account) -> None:
        """Call for margin once, each time that a position comes near its liquidation."""
        short = self._futures.short_of_margin(account, MARGIN_CALL_PERCENT)
        called = self._called.get(account.account_id, ())
        new = [symbol for symbol in short if symbol not in called]
        self._called[account.account_id] = tuple(short)
        if new:
            self.margin_calls.append((account.account_id, tuple(new)))

    def close_out(
        self, account_id: str, symbol: str, origin: Literal["liquidation", "adl"]
    ) -> Order | None:
        """Cancel a symbol's orders and close its position, as the exchange itself does.

        A liquidation of a cross position cancels the account's orders in all symbols.

        A liquidation takes the book; what it does not get, and an ``adl`` wholly, trades with the
        flow at the mark price. Returns the last closing order; None when flat.
        """
        account, position = self._position(account_id, symbol)
        # The margin of all orders is part of what a cross position stands on.
        wide = origin == "liquidation" and not position.isolated
        for order in self._records.open_orders(account_id, None if wide else symbol):
            self._entry.end(order, "CANCELED", origin.upper())
        self.algos.drop(account_id, symbol, self.now_ns)
        closing: Order | None = None
        if origin == "liquidation" and position.lots:
            order = self._entry.make(account, self._closing(symbol, position, "autoclose-"))
            self._entry.accept(account, order)
            self._entry.work(order)
            closing = order
        if position.lots:
            order = self._entry.make(account, self._closing(symbol, position, "adl_autoclose-"))
            self._entry.accept(account, order)
            tick = self.rules[symbol].spec.tick_e8
            self._matching.pass_to_flow(order, max(self.mark_e8(symbol) // tick, 1))
            closing = order
        self._settle()
        return None if closing is None else closing.snapshot()

    def _closing(self, symbol: str, position: Position, prefix: str) -> OrderRequest:
        spec = self.rules[symbol].spec
        side: Side = "SELL" if position.lots > 0 else "BUY"
        return OrderRequest(
            symbol=symbol,
            side=side,
            type="MARKET",
            quantity_e8=abs(position.lots) * spec.lot_e8,
            client_id=f"{prefix}{self.now_ns // 1_000_000}",
            stp="NONE",
            reduce_only=True,
            origin="liquidation" if prefix == "autoclose-" else "adl",
        )
