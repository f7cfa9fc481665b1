"""The paper venue's ledger: balances of an account, and what resting orders have locked.

All amounts are exact decimals. A spot account pays with quote and base; a perpetual account pays
fees and realized profit from its settle currency and locks initial margin. Shorting on spot is
not possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument

ZERO = Decimal(0)
_TOKEN_STEP = Decimal("0.00000001")
"""Binance states commissions with eight decimals."""


@dataclass(slots=True)
class Purse:
    """One currency: ``free`` may be spent, ``used`` is locked by resting orders and margin."""

    free: Decimal = ZERO
    used: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeToken:
    """A currency in which the venue takes fees, at a discount: BNB on Binance.

    ``discount`` is a share of the fee (Binance: 0.25 on spot, 0.1 on USD-M futures), ``price`` that of
    one token in the quote currency.
    """

    currency: str
    discount: Decimal
    price: Decimal


@dataclass(slots=True)
class PaperPosition:
    """A perpetual position: signed base quantity and its average entry price in quote units."""

    quantity: Decimal = ZERO
    entry: Decimal = ZERO


class Ledger:
    """Balances and positions of one paper account."""

    def __init__(self, balances: Mapping[str, Decimal]) -> None:
        self.purses: dict[str, Purse] = {
            currency: Purse(free=amount) for currency, amount in sorted(balances.items())
        }
        self.positions: dict[str, PaperPosition] = {}

    def purse(self, currency: str) -> Purse:
        """The purse of a currency, empty if it was never used."""
        return self.purses.setdefault(currency, Purse())

    # locks

    def lock(
        self, instrument: Instrument, side: Side, notional: Decimal, quantity: Decimal
    ) -> tuple[str, Decimal]:
        """The lock that an order needs: (currency, amount).

        ``notional`` is at the order's own limit price. A spot buy locks quote (and its fee where
        the venue takes fees in quote), a spot sell locks base, a perpetual locks its notional in
        the settle currency (leverage 1: a paper account never borrows).
        """
        if instrument.kind == "spot":
            if side == "sell":
                return instrument.base, quantity
            fee = notional * instrument.taker_fee if instrument.fee_side == "quote" else ZERO
            return instrument.quote, notional + fee
        return instrument.settle, notional

    def hold(self, currency: str, amount: Decimal) -> bool:
        """Lock an amount; False (and nothing changed) when not enough is free."""
        purse = self.purse(currency)
        if amount > purse.free:
            return False
        purse.free -= amount
        purse.used += amount
        return True

    def release(self, currency: str, amount: Decimal) -> None:
        """Undo a lock."""
        purse = self.purse(currency)
        purse.used -= amount
        purse.free += amount

    # fills

    def settle(
        self,
        instrument: Instrument,
        side: Side,
        price: Decimal,
        quantity: Decimal,
        notional: Decimal,
        *,
        maker: bool,
        token: FeeToken | None = None,
    ) -> tuple[Decimal, str]:
        """Book one fill into free balances (locks are released by the caller first).

        Returns (fee, fee currency). Spot fees are taken from what is received where
        ``fee_side`` is ``received``, as Binance does without a discount token. Where the account
        has not enough of the token for the whole fee, none of it is used, as there.
        """
        rate = instrument.maker_fee if maker else instrument.taker_fee
        self._exchange(instrument, side, price, quantity, notional)
        if token is not None and instrument.kind != "inverse":
            fee = notional * rate * (1 - token.discount) / token.price
            fee = fee.quantize(_TOKEN_STEP, ROUND_HALF_EVEN)
            purse = self.purse(token.currency)
            if fee <= purse.free:
                purse.free -= fee
                return fee, token.currency
        return self._charge(instrument, side, notional * rate, quantity * rate)

    def _exchange(
        self,
        instrument: Instrument,
        side: Side,
        price: Decimal,
        quantity: Decimal,
        notional: Decimal,
    ) -> None:
        """What is traded changes hands, without a fee."""
        if instrument.kind != "spot":
            profit = self._realise(instrument, side, price, quantity)
            self.purse(instrument.settle).free += profit
            return
        base, quote = self.purse(instrument.base), self.purse(instrument.quote)
        sign = 1 if side == "buy" else -1
        base.free += sign * quantity
        quote.free -= sign * notional

    def _charge(
        self, instrument: Instrument, side: Side, of_quote: Decimal, of_base: Decimal
    ) -> tuple[Decimal, str]:
        """Take the fee, given in both currencies, where this venue takes it."""
        fee, currency = of_quote, instrument.settle
        if instrument.kind == "spot":
            received = side == "buy" and instrument.fee_side == "received"
            fee, currency = (of_base, instrument.base) if received else (of_quote, instrument.quote)
        self.purse(currency).free -= fee
        return fee, currency

    def _realise(
        self, instrument: Instrument, side: Side, price: Decimal, quantity: Decimal
    ) -> Decimal:
        """Update the position and return the realized profit, in the settle currency."""
        position = self.positions.setdefault(instrument.symbol, PaperPosition())
        signed = quantity if side == "buy" else -quantity
        before = position.quantity
        after = before + signed
        realised = ZERO
        if before * signed < 0:
            closed = min(abs(before), quantity) * (1 if before > 0 else -1)
            if instrument.kind == "inverse":
                realised = closed * instrument.contract_size * (1 / position.entry - 1 / price)
            else:
                realised = closed * instrument.contract_size * (price - position.entry)
            if before * after < 0:
                position.entry = price
        elif after != 0:
            position.entry = (position.entry * abs(before) + price * quantity) / abs(after)
        if after == 0:
            position.entry = ZERO
        position.quantity = after
        return realised

    def reducible(self, instrument: Instrument, side: Side) -> Decimal:
        """Quantity of a side that would only reduce a derivative's position, in base units."""
        held = self.positions.get(instrument.symbol, PaperPosition()).quantity
        if side == "sell":
            return max(held, ZERO)
        return max(-held, ZERO)

    # persistence

    def to_state(self) -> dict[str, object]:
        """Plain data that ``from_state`` turns back into an equal ledger."""
        return {
            "purses": {c: [str(p.free), str(p.used)] for c, p in self.purses.items()},
            "positions": {s: [str(p.quantity), str(p.entry)] for s, p in self.positions.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, dict[str, list[str]]]) -> Ledger:
        """The ledger that ``to_state`` described."""
        ledger = cls({})
        for currency, (free, used) in state["purses"].items():
            ledger.purses[currency] = Purse(Decimal(free), Decimal(used))
        for symbol, (quantity, entry) in state["positions"].items():
            ledger.positions[symbol] = PaperPosition(Decimal(quantity), Decimal(entry))
        return ledger
