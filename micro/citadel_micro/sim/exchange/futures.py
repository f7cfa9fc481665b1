"""Linear futures: one-way positions, margin and the effects of fills on them.

A position is signed lots and their cost; profit is realized when lots close, and moves the wallet
of the settle asset (the quote). Orders lock initial margin for what they could open. Cross positions
use the whole free wallet, isolated ones the margin that is locked for them. Unrealized profit
cannot be spent; an unrealized loss reduces what is available.

Conservation: a fill at ``value`` moves ``value`` from buyer to seller, and a position's cost is what
of that is not in its wallet yet. Hence the sum of (wallet - signed cost) over all accounts, plus the
fee box, the insurance fund and the flow, never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.clearing import BNB
from citadel_micro.sim.exchange.model import (
    STOP_TYPES,
    Fill,
    Movement,
    Order,
    OrderRefused,
    PositionView,
)
from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.accounts import Account
    from citadel_micro.sim.exchange.records import Records
    from citadel_micro.sim.exchange.rules import SymbolRules
    from citadel_micro.sim.flow_book import Print


@dataclass(frozen=True, slots=True)
class Bracket:
    """Leverage and maintenance margin of positions up to ``cap_e8`` notional.

    ``rate_e8`` is the maintenance rate, ``less_e8`` what is taken off so that it has no steps.
    """

    number: int
    floor_e8: int
    cap_e8: int
    leverage: int
    rate_e8: int
    less_e8: int


def _brackets(rows: tuple[tuple[int, int, int], ...]) -> tuple[Bracket, ...]:
    """Make brackets of (cap in whole quote units, leverage, rate in 1e-4)."""
    out: list[Bracket] = []
    floor = less = last = 0
    for number, (cap, leverage, rate) in enumerate(rows, 1):
        less += floor * (rate - last)
        out.append(
            Bracket(
                number, floor * E8, cap * E8, leverage, rate * E8 // 10_000, less * E8 // 10_000
            )
        )
        floor, last = cap, rate
    return tuple(out)


BRACKETS: Final = _brackets(
    (
        (50_000, 125, 40),
        (500_000, 100, 50),
        (10_000_000, 50, 100),
        (80_000_000, 20, 250),
        (150_000_000, 10, 500),
        (300_000_000, 5, 1000),
        (10_000_000_000, 1, 5000),
    )
)
"""Similar to those that Binance lists for BTCUSDT: notional cap, leverage, maintenance rate."""


def bracket_of(notional_e8: int) -> Bracket:
    """Return the bracket of a notional; the last one for anything larger."""
    return next((each for each in BRACKETS if notional_e8 <= each.cap_e8), BRACKETS[-1])


@dataclass(slots=True)
class Position:
    """One account's position in one symbol; ``margin_e8`` is locked for an isolated one."""

    lots: int = 0
    cost_e8: int = 0
    leverage: int = 20
    isolated: bool = False
    margin_e8: int = 0
    realised_e8: int = 0
    update_ns: int = 0

    @property
    def sign(self) -> int:
        """Return 1 for a long, -1 for a short, 0 for none."""
        return (self.lots > 0) - (self.lots < 0)


class FuturesClearing:
    """Margin and positions of all accounts in one exchange of linear futures."""

    def __init__(
        self,
        rules: dict[str, SymbolRules],
        records: Records,
        mark_e8: Callable[[str], int],
    ) -> None:
        """``mark_e8`` returns a symbol's mark price in 1e-8 quote."""
        self._rules = rules
        self._records = records
        self._mark_e8 = mark_e8
        self.positions: dict[str, dict[str, Position]] = {}
        self.fee_box: dict[str, int] = {}
        self.flow: dict[str, int] = {}
        self.insurance: dict[str, int] = {}
        self.changed: dict[tuple[str, str], None] = {}
        """(account, symbol) of positions that fills have changed, to be taken."""

    def position(self, account_id: str, symbol: str) -> Position:
        """Return the live position of an account, flat if there was none."""
        return self.positions.setdefault(account_id, {}).setdefault(symbol, Position())

    # ------------------------------------------------------------------ orders

    def reserve(
        self, account: Account, rules: SymbolRules, order: Order, cost: tuple[int, int] | None
    ) -> None:
        """Lock initial margin for what the order could open; a reduce-only order needs none.

        A waiting stop locks nothing and reduces nothing yet: it is checked when it triggers.

        Raises:
            OrderRefused: INSUFFICIENT_BALANCE; REDUCE_ONLY when there is nothing left to reduce.
        """
        symbol, asset = rules.spec.symbol, rules.spec.quote
        position = self.position(account.account_id, symbol)
        sign = 1 if order.side == "BUY" else -1
        others = [
            each
            for each in self._records.open_of(account.account_id, symbol)
            if each.side == order.side and each.working and each.order_id != order.order_id
        ]
        held = abs(position.lots) if position.sign == -sign else 0
        order.lock_asset, order.lock_e8 = asset, 0
        if order.type in STOP_TYPES and not order.triggered:
            return
        if order.reduce_only:
            room = held - sum(each.left for each in others if each.reduce_only)
            if room <= 0:
                raise OrderRefused("REDUCE_ONLY", "open orders" if held else "position")
            order.lots = min(order.lots, order.filled_lots + room)
            return
        closes = max(held - sum(each.left for each in others), 0)
        opens = max(order.left - closes, 0)
        lots, worth = cost or (order.left, order.left * (order.ticks or order.stop_ticks))
        # A market order's price is what the book costs; thin books cost what they cost.
        value = -(-worth * rules.unit_e8 * opens // max(lots, 1))
        notional = value + position.lots * sign * self._mark_e8(symbol) * rules.spec.lot_e8 // E8
        if opens and bracket_of(max(notional, 0)).leverage < position.leverage:
            raise OrderRefused("MAX_LEVERAGE", f"at {position.leverage}x")
        margin = -(-value // position.leverage)
        if margin > self.available(account, asset):
            raise OrderRefused("INSUFFICIENT_BALANCE", f"margin of {margin} in 1e-8 {asset}")
        account.lock(asset, margin)
        order.lock_e8 = margin
        order.lock_first = (margin, order.left)

    def adjust(self, account: Account, rules: SymbolRules, order: Order) -> None:
        """Release the margin of the quantity that is no longer open."""
        del rules
        first, lots = order.lock_first
        need = -(-first * order.left // lots) if order.open and lots else 0
        release = max(order.lock_e8 - need, 0)
        if release:
            account.lock(order.lock_asset, -release)
            order.lock_e8 -= release

    # ------------------------------------------------------------------ fills

    def settle(
        self, account: Account, rules: SymbolRules, order: Order, trade: Print, *, maker: bool
    ) -> Fill:
        """Update the position, realize what closes, and take the fee in the settle asset."""
        self.adjust(account, rules, order)
        asset, symbol = rules.spec.quote, rules.spec.symbol
        position = self.position(account.account_id, symbol)
        sign = 1 if order.side == "BUY" else -1
        where = (symbol, trade.trade_id, order.order_id)
        closing = min(abs(position.lots), trade.lots) if position.sign == -sign else 0
        realised = 0
        if closing:
            realised = self._close(account, rules, position, closing, trade.ticks)
            position.realised_e8 += realised
            self._pay(account, Movement(order.update_ns, asset, realised, "pnl", *where))
        opening = trade.lots - closing
        if opening:
            value = trade.ticks * opening * rules.unit_e8
            position.cost_e8 += value
            position.lots += sign * opening
            if position.isolated:
                margin = min(-(-value // position.leverage), account.free.get(asset, 0))
                account.lock(asset, margin)
                position.margin_e8 += margin
        position.update_ns = order.update_ns
        self.changed[account.account_id, symbol] = None
        quote = trade.ticks * trade.lots * rules.unit_e8
        fee, fee_asset = self._fee(account, asset, quote, maker=maker)
        if fee:
            self._pay(account, Movement(order.update_ns, fee_asset, -fee, "fee", *where))
            self.fee_box[fee_asset] = self.fee_box.get(fee_asset, 0) + fee
        fill = Fill(
            len(account.fills) + 1, account.account_id, trade.trade_id, order.order_id,
            order.client_id, symbol, order.side, trade.ticks, trade.lots, quote, fee, fee_asset,
            order.update_ns, maker, realised,
        )  # fmt: skip
        account.fills.append(fill)
        return fill

    def _fee(self, account: Account, asset: str, quote: int, *, maker: bool) -> tuple[int, str]:
        """Return the commission of a fill and its asset: BNB at its mark price, where it is held."""
        fees = account.fees
        rate = fees.maker_e8 if maker else fees.taker_e8
        symbol = f"{BNB}/{asset}"
        if fees.asset == "bnb" and symbol in self._rules:
            fee = quote * rate * (E8 - fees.discount_e8) // (self._mark_e8(symbol) * E8)
            if fee <= account.free.get(BNB, 0):
                return fee, BNB
        return quote * rate // E8, asset

    def _close(
        self, account: Account, rules: SymbolRules, position: Position, lots: int, ticks: int
    ) -> int:
        """Close a part of a position; return the profit in 1e-8."""
        whole = abs(position.lots)
        sign = position.sign
        cost = position.cost_e8 * lots // whole
        release = position.margin_e8 * lots // whole
        position.cost_e8 -= cost
        position.lots -= sign * lots
        if release:
            account.lock(rules.spec.quote, -release)
            position.margin_e8 -= release
        return sign * (ticks * lots * rules.unit_e8 - cost)

    def _pay(self, account: Account, movement: Movement) -> None:
        """Book a movement; the insurance fund pays what the account does not have."""
        asset = movement.asset
        short = -(account.free.get(asset, 0) + movement.amount_e8)
        if short > 0:
            self.insurance[asset] = self.insurance.get(asset, 0) - short
            account.move(Movement(movement.time_ns, asset, short, "liquidation", movement.symbol))
        account.move(movement)

    def assets(self, rules: SymbolRules, fill: Fill) -> tuple[str, ...]:
        """Return the assets whose balances a fill changes."""
        return tuple(dict.fromkeys((rules.spec.quote, fill.fee_asset)))

    def counter(self, rules: SymbolRules, order: Order, trade: Print) -> None:
        """Give the flow the value that the client's side moved."""
        sign = 1 if order.side == "BUY" else -1
        asset = rules.spec.quote
        value = sign * trade.ticks * trade.lots * rules.unit_e8
        self.flow[asset] = self.flow.get(asset, 0) + value

    def fund(self, account: Account, symbol: str, rate_e8: int, time_ns: int) -> bool:
        """Exchange funding: longs pay shorts when the rate is positive. False when flat."""
        position = self.position(account.account_id, symbol)
        amount = -position.sign * self.notional(symbol, position) * rate_e8 // E8
        if not position.lots:
            return False
        asset = self._rules[symbol].spec.quote
        self._pay(account, Movement(time_ns, asset, amount, "funding", symbol))
        self.flow[asset] = self.flow.get(asset, 0) - amount
        return True

    # ------------------------------------------------------------------ margin

    def notional(self, symbol: str, position: Position) -> int:
        """Return a position's absolute value at the mark price."""
        return abs(position.lots) * self._mark_e8(symbol) * self._rules[symbol].spec.lot_e8 // E8

    def unrealised(self, symbol: str, position: Position) -> int:
        """Return the profit at the mark price."""
        return position.sign * (self.notional(symbol, position) - position.cost_e8)

    def maintenance(self, symbol: str, position: Position) -> int:
        """Return the margin below which a position is liquidated."""
        notional = self.notional(symbol, position)
        bracket = bracket_of(notional)
        return max(notional * bracket.rate_e8 // E8 - bracket.less_e8, 0)

    def crossed(self, account_id: str, asset: str) -> list[tuple[str, Position]]:
        """Return the cross positions that settle in an asset."""
        return [
            (symbol, position)
            for symbol, position in self.positions.get(account_id, {}).items()
            if position.lots and not position.isolated and self._rules[symbol].spec.quote == asset
        ]

    def available(self, account: Account, asset: str) -> int:
        """Return what new orders may lock: free, less cross margin and unrealized losses."""
        cross = self.crossed(account.account_id, asset)
        margin = sum(
            -(-self.notional(symbol, position) // position.leverage) for symbol, position in cross
        )
        profit = sum(self.unrealised(symbol, position) for symbol, position in cross)
        return max(account.free.get(asset, 0) - margin + min(profit, 0), 0)

    def cross_wallet(self, account: Account, asset: str) -> int:
        """Return what cross positions stand on: the wallet, margin of orders included."""
        held = self.positions.get(account.account_id, {})
        isolated = sum(
            position.margin_e8
            for symbol, position in held.items()
            if self._rules[symbol].spec.quote == asset
        )
        return sum(account.balance(asset)) - isolated

    def short_of_margin(self, account: Account, percent: int = 100) -> list[str]:
        """Return the symbols of positions whose margin is used up to ``percent`` of what is left."""
        out: list[str] = []
        assets: dict[str, None] = {}
        for symbol, position in self.positions.get(account.account_id, {}).items():
            if not position.lots:
                continue
            if position.isolated:
                left = position.margin_e8 + self.unrealised(symbol, position)
                if left * percent < self.maintenance(symbol, position) * 100:
                    out.append(symbol)
            else:
                assets[self._rules[symbol].spec.quote] = None
        for asset in assets:
            cross = self.crossed(account.account_id, asset)
            left = self.cross_wallet(account, asset)
            left += sum(self.unrealised(*each) for each in cross)
            if left * percent < sum(self.maintenance(*each) for each in cross) * 100:
                out += [symbol for symbol, _ in cross]
        return out

    @staticmethod
    def cap_of(leverage: int) -> int:
        """Return the largest notional that a leverage allows, in 1e-8."""
        return max(each.cap_e8 for each in BRACKETS if each.leverage >= leverage)

    def view(self, account: Account, symbol: str) -> PositionView:
        """Return a position at the mark price."""
        position = self.position(account.account_id, symbol)
        lot, lots = self._rules[symbol].spec.lot_e8, abs(position.lots)
        entry = position.cost_e8 * E8 // (lots * lot) if lots else 0
        return PositionView(
            symbol=symbol,
            lots=position.lots,
            entry_e8=entry,
            mark_e8=self._mark_e8(symbol),
            unrealised_e8=self.unrealised(symbol, position),
            leverage=position.leverage,
            isolated=position.isolated,
            margin_e8=position.margin_e8,
            realised_e8=position.realised_e8,
            liquidation_e8=self._liquidation_e8(account, symbol, position),
            update_ns=position.update_ns,
        )

    def _liquidation_e8(self, account: Account, symbol: str, position: Position) -> int:
        """Return the mark price at which margin and loss meet maintenance; 0 when none does."""
        if not position.lots:
            return 0
        asset, lot = self._rules[symbol].spec.quote, self._rules[symbol].spec.lot_e8
        margin = position.margin_e8
        if not position.isolated:
            others = [each for each in self.crossed(account.account_id, asset) if each[0] != symbol]
            margin = self.cross_wallet(account, asset) + sum(
                self.unrealised(*each) - self.maintenance(*each) for each in others
            )
        bracket = bracket_of(self.notional(symbol, position))
        # margin + sign * (worth - cost) = rate * worth - less, solved for worth.
        above = position.sign * position.cost_e8 - margin - bracket.less_e8
        worth = above * E8 // (position.sign * E8 - bracket.rate_e8)
        return max(worth * E8 // (abs(position.lots) * lot), 0)
