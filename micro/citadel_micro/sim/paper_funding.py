"""Funding of perpetuals on paper: at fixed times, longs pay shorts a share of the position's value.

Venues state each rate shortly before it is due, and public books do not hold it. So a rate is what
the user configures: Binance's interest part alone is 0.01 % every 8 hours.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.model.instrument import Instrument

HOURS_8_NS: Final = 8 * 3_600_000_000_000
_ZERO: Final = Decimal(0)


class PaperFunding:
    """Which payments are due. Times are whole multiples of the interval since 1970, as at 0, 8 and 16 UTC.

    Args:
        rates: share of the value that a long pays each time, by unified symbol, "*" for all others;
            negative where shorts pay.
        interval_ns: time between two payments.
    """

    def __init__(self, rates: Mapping[str, Decimal], interval_ns: int) -> None:
        self._rates = dict(rates)
        self._interval_ns = interval_ns
        self.paid: dict[str, int] = {}
        """The last time of payment that has passed, by symbol."""

    def next_ns(self, held: Iterable[str]) -> int | None:
        """When the next payment is due for the symbols of open positions; None for none."""
        times = [self.paid[symbol] + self._interval_ns for symbol in held if symbol in self.paid]
        return min(times, default=None) if self._rates else None

    def due(
        self, instrument: Instrument, quantity: Decimal, price: Decimal, now_ns: int
    ) -> list[tuple[int, Decimal]]:
        """(time, amount received) of each payment since the last call; negative where it is paid.

        All of them are at this price: those that were missed while nothing ran, too.

        Args:
            instrument: of the position.
            quantity: signed, in base units or contracts.
            price: what it is valued at.
            now_ns: venue's time.
        """
        symbol = instrument.symbol
        rate = self._rates.get(symbol, self._rates.get("*", _ZERO))
        if instrument.kind == "spot" or not self._rates:
            return []
        passed = now_ns - now_ns % self._interval_ns
        before = self.paid.get(symbol, passed)
        self.paid[symbol] = passed
        if not quantity or not rate or before >= passed:
            return []
        units = quantity * instrument.contract_size
        value = units / price if instrument.kind == "inverse" else units * price
        times = range(before + self._interval_ns, passed + 1, self._interval_ns)
        return [(at_ns, -value * rate) for at_ns in times]
