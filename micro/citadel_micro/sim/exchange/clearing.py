"""Effects of orders and fills on accounts: what is locked, who pays what to whom.

One matching engine, two kinds of clearing: spot exchanges whole amounts, futures move positions
and margin. ``Clearing`` is the matching engine's interface to either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from citadel_micro.sim.exchange.model import Fill, Movement, Order
from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.accounts import Account
    from citadel_micro.sim.exchange.rules import SymbolRules
    from citadel_micro.sim.flow_book import Print

BNB = "BNB"


class Clearing(Protocol):
    """The accounts' side of matching. All amounts are integers of 1e-8.

    ``fee_box`` is the sum of all fees, ``flow`` what the anonymous flow has won or paid.
    """

    fee_box: dict[str, int]
    flow: dict[str, int]

    def reserve(
        self, account: Account, rules: SymbolRules, order: Order, cost: tuple[int, int] | None
    ) -> None:
        """Lock what an accepted order needs.

        ``cost`` is what a market order will take from the book: (lots, ticks times lots).

        Raises:
            OrderRefused: INSUFFICIENT_BALANCE; nothing was changed.
        """
        ...

    def adjust(self, account: Account, rules: SymbolRules, order: Order) -> None:
        """Release what the order no longer needs: after an amend down, or all when it is closed."""
        ...

    def settle(
        self, account: Account, rules: SymbolRules, order: Order, trade: Print, *, maker: bool
    ) -> Fill:
        """Book one side of a trade that ``order`` has already counted."""
        ...

    def assets(self, rules: SymbolRules, fill: Fill) -> tuple[str, ...]:
        """Return the assets whose balances a fill changes."""
        ...

    def counter(self, rules: SymbolRules, order: Order, trade: Print) -> None:
        """Book the other side of a trade with the anonymous flow."""
        ...


class SpotClearing:
    """Spot: a buy locks quote, a sell locks base; a fill swaps them and takes its fee.

    ``fee_box`` is the sum of all fees, ``flow`` the anonymous flow's net position: the sum
    over all accounts, the box and the flow never changes except by deposits.
    """

    def __init__(self, bnb_price: Callable[[str], tuple[int, int] | None]) -> None:
        """``bnb_price`` returns the last price of BNB in a quote asset as a fraction, or None."""
        self._bnb_price = bnb_price
        self.fee_box: dict[str, int] = {}
        self.flow: dict[str, int] = {}

    def reserve(
        self, account: Account, rules: SymbolRules, order: Order, cost: tuple[int, int] | None
    ) -> None:
        """Lock quote for a buy and base for a sell."""
        spec = rules.spec
        lots, worth = cost or (order.left, self._worth(order))
        if order.side == "SELL":
            asset, amount = spec.base, (order.left or lots) * spec.lot_e8
        else:
            value = max(self._value(rules, worth), order.quote_e8)
            asset, amount = spec.quote, self._with_fee(account, value)
        account.lock(asset, amount)
        order.lock_asset, order.lock_e8 = asset, amount

    def adjust(self, account: Account, rules: SymbolRules, order: Order) -> None:
        """Release what is locked beyond the order's need."""
        need = 0
        if order.open:
            if order.side == "SELL":
                need = order.left * rules.spec.lot_e8
            else:
                need = self._with_fee(account, self._value(rules, self._worth(order)))
        self._release(account, order, max(order.lock_e8 - need, 0))

    @staticmethod
    def _release(account: Account, order: Order, amount: int) -> None:
        if amount:
            account.lock(order.lock_asset, -amount)
            order.lock_e8 -= amount

    @staticmethod
    def _worth(order: Order) -> int:
        return order.left * (order.ticks or order.stop_ticks)

    @staticmethod
    def _value(rules: SymbolRules, tick_lots: int) -> int:
        return tick_lots * rules.unit_e8

    @staticmethod
    def _with_fee(account: Account, quote: int) -> int:
        """Add the largest fee that may be taken in quote, rounded up."""
        fees = account.fees
        if fees.asset != "quote":
            return quote
        return quote + -(-quote * max(fees.maker_e8, fees.taker_e8) // E8)

    def settle(
        self, account: Account, rules: SymbolRules, order: Order, trade: Print, *, maker: bool
    ) -> Fill:
        """Swap base and quote out of the order's lock, and take the fee."""
        spec = rules.spec
        base, quote = trade.lots * spec.lot_e8, self._value(rules, trade.ticks * trade.lots)
        if order.type == "MARKET" or not order.ticks:
            # Locked at its exact cost, or by its quote amount: the rest is released at its end.
            spent = base if order.side == "SELL" else self._with_fee(account, quote)
            self._release(account, order, min(spent, order.lock_e8))
        else:
            self.adjust(account, rules, order)
        sign = 1 if order.side == "BUY" else -1
        where = (spec.symbol, trade.trade_id, order.order_id)
        time_ns = order.update_ns
        moves = [(spec.quote, -sign * quote), (spec.base, sign * base)]
        for asset, amount in sorted(moves, key=lambda move: move[1]):  # what is given goes first
            account.move(Movement(time_ns, asset, amount, "trade", *where))
        fee, asset = self._fee(account, rules, (order.side, base, quote), maker=maker)
        if fee:
            account.move(Movement(time_ns, asset, -fee, "fee", *where))
            self.fee_box[asset] = self.fee_box.get(asset, 0) + fee
        fill = Fill(
            len(account.fills) + 1, account.account_id, trade.trade_id, order.order_id,
            order.client_id, spec.symbol, order.side, trade.ticks, trade.lots, quote, fee, asset,
            time_ns, maker,
        )  # fmt: skip
        account.fills.append(fill)
        return fill

    def assets(self, rules: SymbolRules, fill: Fill) -> tuple[str, ...]:
        """Return the assets whose balances a fill changes."""
        return rules.spec.base, rules.spec.quote, fill.fee_asset

    def counter(self, rules: SymbolRules, order: Order, trade: Print) -> None:
        """Give to the flow what the client gave, and the other way round."""
        sign = 1 if order.side == "BUY" else -1
        spec, flow = rules.spec, self.flow
        base, quote = trade.lots * spec.lot_e8, self._value(rules, trade.ticks * trade.lots)
        flow[spec.base] = flow.get(spec.base, 0) - sign * base
        flow[spec.quote] = flow.get(spec.quote, 0) + sign * quote

    def _fee(
        self, account: Account, rules: SymbolRules, done: tuple[str, int, int], *, maker: bool
    ) -> tuple[int, str]:
        """Return the commission of a fill (side, base, quote) and its asset."""
        side, base, quote = done
        fees, spec = account.fees, rules.spec
        rate = fees.maker_e8 if maker else fees.taker_e8
        if fees.asset == "bnb":
            price = self._bnb_price(spec.quote)
            if price is not None:
                numerator, denominator = price
                cut = rate * (E8 - fees.discount_e8)
                fee = quote * cut * denominator // (numerator * E8 * E8)
                if fee <= account.free.get(BNB, 0):
                    return fee, BNB
        if fees.asset == "quote":
            # After a rise of the rate a resting buy may have locked less than it now costs.
            return min(quote * rate // E8, account.free.get(spec.quote, 0)), spec.quote
        if side == "BUY":
            return base * rate // E8, spec.base
        return quote * rate // E8, spec.quote
