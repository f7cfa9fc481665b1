"""Marks, and what a unit of each currency is worth by them.

A mark is the mid of a book that may be trusted (``InstrumentState.mark``): who sets it takes it back
when the book is too old, so no rate is older than its oldest mark may be.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONE = Decimal(1)


class Rates:
    """The newest mark of every instrument, and rates of currencies.

    Args:
        reporting: currency that rates are in.
        par: currencies counted as equal to it where no mark says otherwise (USDC to USDT).
        two_hops: whether a currency without a pair of its own is valued through one other; in
            journals of earlier versions it was not.
    """

    def __init__(self, reporting: str, par: tuple[str, ...], *, two_hops: bool) -> None:
        self.reporting = reporting
        self._par = par
        self._two_hops = two_hops
        self.version = 0
        """Grows with every change of a mark."""
        self._marks: dict[tuple[str, str], float] = {}
        self._exact: dict[tuple[str, str], tuple[float, Decimal]] = {}
        self._pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._beside: dict[str, list[str]] = {}
        """Currency -> those that it has a spot pair with, in alphabetical order."""

    @property
    def marks(self) -> Mapping[tuple[str, str], float]:
        """(venue, symbol) -> latest mid, where there is one."""
        return self._marks

    def mark(self, venue: str, symbol: str, mid: float | None) -> None:
        """Set the latest mid; None or an invalid price removes it."""
        key = (venue, symbol)
        if mid is None or not math.isfinite(mid) or mid <= 0:
            if self._marks.pop(key, None) is not None:
                self.version += 1
            return
        known = self._marks.get(key)
        if known is None:
            self._index(key)
        if known != mid:
            self._marks[key] = mid
            self.version += 1

    def _index(self, key: tuple[str, str]) -> None:
        base, slash, quote = key[1].partition("/")
        if not slash or ":" in quote:
            return
        keys = self._pairs.setdefault((base, quote), [])
        if key not in keys:
            keys.append(key)
        for one, other in ((base, quote), (quote, base)):
            beside = self._beside.setdefault(one, [])
            if other not in beside:
                beside.append(other)
                beside.sort()

    def price(self, venue: str, symbol: str) -> Decimal | None:
        """The latest mid as the decimal its float was written as; None when there is none."""
        key = (venue, symbol)
        mid = self._marks.get(key)
        if mid is None:
            return None
        cached = self._exact.get(key)
        if cached is not None and cached[0] == mid:
            return cached[1]
        exact = Decimal(repr(mid))
        self._exact[key] = (mid, exact)
        return exact

    def rate(self, currency: str) -> Decimal | None:
        """Reporting currency for one unit of another; None when unknown.

        By their own pair, else at par, else through the first currency in the alphabet that has a pair
        with the one, and a pair with the reporting currency or its par.
        """
        reporting = self.reporting
        if currency == reporting:
            return _ONE
        found = self._near(currency)
        if found is not None or not self._two_hops:
            return found
        for between in self._beside.get(currency, ()):
            second = self._near(between)
            if second is not None:
                first = self._pair(currency, between)
                if first is not None:
                    return first * second
        return None

    def _near(self, currency: str) -> Decimal | None:
        found = self._pair(currency, self.reporting)
        if found is None and currency in self._par:
            return _ONE
        return found

    def _pair(self, currency: str, other: str) -> Decimal | None:
        for key in self._pairs.get((currency, other), ()):
            mark = self.price(*key)
            if mark is not None:
                return mark
        for key in self._pairs.get((other, currency), ()):
            mark = self.price(*key)
            if mark is not None:
                return _ONE / mark
        return None
