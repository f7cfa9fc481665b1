"""The paper venue's own ledger: what an account holds, and what resting orders have locked.

All amounts are exact decimals. A spot account pays with quote and base; a perpetual account pays
fees and realised profit from its settle currency and locks initial margin. Shorting on spot is
not possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument

ZERO = Decimal(0)


@dataclass(slots=True)
class Purse:
    """One currency: ``free`` may be spent, ``used`` is locked by resting orders and margin."""

    free: Decimal = ZERO
    used: Decimal = ZERO


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
        """The purse of a currency, empty if it was never seen."""
        return self.purses.setdefault(currency, Purse())

    # locks

    def lock(
        self, instrument: Instrument, side: Side, notional: Decimal, quantity: Decimal
    ) -> tuple[str, Decimal]:
        """What an order needs locked: (currency, amount).

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
        """Lock an amount; False (and nothing changed) when there is not enough free."""
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
    ) -> tuple[Decimal, str]:
        """Book one fill into free balances (locks are released by the caller first).

        Returns (fee, fee currency). Spot fees are taken from what is received where
        ``fee_side`` is ``received``, as Binance does without a discount token.
        """
        rate = instrument.maker_fee if maker else instrument.taker_fee
        if instrument.kind != "spot":
            fee = notional * rate
            self.purse(instrument.settle).free += (
                self._realise(instrument, side, price, quantity) - fee
            )
            return fee, instrument.settle
        base, quote = self.purse(instrument.base), self.purse(instrument.quote)
        if side == "buy":
            quote.free -= notional
            base.free += quantity
            if instrument.fee_side == "received":
                fee = quantity * rate
                base.free -= fee
                return fee, instrument.base
        else:
            base.free -= quantity
            quote.free += notional
        fee = notional * rate
        quote.free -= fee
        return fee, instrument.quote

    def _realise(
        self, instrument: Instrument, side: Side, price: Decimal, quantity: Decimal
    ) -> Decimal:
        """Move the position and return the profit realised, in the settle currency."""
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
        """How much of a side would only shrink a derivative's position, in base units."""
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
