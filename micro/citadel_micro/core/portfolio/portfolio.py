"""Positions, balances, fees, profit and loss: exact, from our own fills.

Cash is exact: every fill changes a signed cash flow in the settle currency, so that realised plus
unrealised profit is ``cash + quantity x value(mark)`` to the last digit, however entries were
averaged. Only the split between the two, through the average entry, is rounded (28 digits).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from citadel_micro.core.model.instrument import Kind
from citadel_micro.core.portfolio.pnl_curve import LossCurve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.events import OrderFilled, Side
    from citadel_micro.core.model.instrument import Instrument

_ZERO = Decimal(0)
_ONE = Decimal(1)
HOUR_NS = 3_600_000_000_000


@dataclass(slots=True, kw_only=True)
class Position:
    """One instrument's holding.

    ``quantity`` is signed, in the instrument's quantity units (base units, contracts for
    derivatives). ``cash`` is the signed flow of the settle currency, all of its fees included.
    ``entry_value`` is the average of ``value()`` over the open quantity.
    """

    venue: str
    symbol: str
    base: str
    quote: str
    settle: str
    kind: Kind
    contract_size: Decimal
    quantity: Decimal = _ZERO
    cash: Decimal = _ZERO
    entry_value: Decimal = _ZERO
    fees: Decimal = _ZERO
    """Paid so far in the settle currency, or in base and valued at their fill's price."""
    updated_ns: int = 0
    exchange_ns: int = 0
    """The venue's time of the last fill."""

    def value(self, price: Decimal) -> Decimal:
        """What one unit of quantity is worth in the settle currency.

        Inverse contracts gain ``contract_size x (1/entry - 1/exit)``, so their worth is counted
        as ``-contract_size / price``.
        """
        if self.kind == "inverse":
            return -self.contract_size / price
        return price * self.contract_size

    @property
    def entry_price(self) -> Decimal:
        """Average entry in quote units; 0 when flat."""
        if self.quantity == 0:
            return _ZERO
        if self.kind == "inverse":
            return -self.contract_size / self.entry_value
        return self.entry_value / self.contract_size

    @property
    def realised(self) -> Decimal:
        """Profit of what was closed, less all fees, in the settle currency."""
        return self.cash + self.quantity * self.entry_value

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit that closing at ``mark`` would add, before its fees, in the settle currency."""
        if self.quantity == 0:
            return _ZERO
        return self.quantity * (self.value(mark) - self.entry_value)

    def profit(self, mark: Decimal) -> Decimal:
        """Realised plus unrealised, exact."""
        return self.cash + self.quantity * self.value(mark)

    def trade(self, change: Decimal, price: Decimal) -> None:
        """Add a signed quantity at a price: open, add, close in part, close, or flip."""
        value = self.value(price)
        before = self.quantity
        after = before + change
        self.cash -= change * value
        if after == 0:
            self.entry_value = _ZERO
        elif before == 0 or (after > 0) != (before > 0):
            self.entry_value = value
        elif (change > 0) == (before > 0):
            self.entry_value = (self.entry_value * before + value * change) / after
        self.quantity = after


class Balance(NamedTuple):
    """One currency on one venue; ``used`` is locked in resting orders."""

    free: Decimal
    used: Decimal

    @property
    def total(self) -> Decimal:
        """Free and used together."""
        return self.free + self.used


class Portfolio:
    """All holdings of one engine.

    Args:
        reporting_currency: currency of ``profit``, ``equity`` and of the loss limits.
        par_currencies: counted as equal to it where no mark says otherwise (USDC to USDT).
        rolling_window_ns: window of the rolling loss.
    """

    def __init__(
        self,
        reporting_currency: str = "USDT",
        *,
        par_currencies: tuple[str, ...] = (),
        rolling_window_ns: int = HOUR_NS,
    ) -> None:
        self.reporting_currency = reporting_currency
        self.par_currencies = par_currencies
        self.curve = LossCurve(rolling_window_ns)
        self.foreign_fees: dict[tuple[str, str], Decimal] = {}
        """(venue, currency) -> fees paid in a currency that is neither base nor settle."""
        self._positions: dict[tuple[str, str], Position] = {}
        self._balances: dict[str, dict[str, Balance]] = {}
        self._balance_ns: dict[tuple[str, str], int] = {}
        self._fill_ns: dict[tuple[str, str], int] = {}
        self._marks: dict[tuple[str, str], float] = {}
        self._exact_marks: dict[tuple[str, str], tuple[float, Decimal]] = {}
        self._pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}

    # what happened

    def apply_fill(
        self, instrument: Instrument, side: Side, fill: OrderFilled, now_ns: int
    ) -> Position:
        """Book one fill, which the caller has made sure is new; returns the position after it.

        A fee in the base currency of a spot instrument is taken out of the position and counted
        at the fill's price; a fee in a third currency is kept in ``foreign_fees``.
        """
        position = self._position_of(instrument)
        price = instrument.price(fill.price_ticks)
        quantity = instrument.quantity(fill.quantity_lots)
        change = quantity if side == "buy" else -quantity
        position.trade(change, price)
        if fill.fee_currency == position.settle:
            position.cash -= fill.fee
            position.fees += fill.fee
        elif fill.fee_currency == instrument.base and instrument.kind == "spot":
            # Gone without proceeds: sold at the price, and the proceeds paid as the fee.
            position.trade(-fill.fee, price)
            position.cash -= fill.fee * price
            position.fees += fill.fee * price
        else:
            key = (fill.venue, fill.fee_currency)
            self.foreign_fees[key] = self.foreign_fees.get(key, _ZERO) + fill.fee
        position.updated_ns = now_ns
        position.exchange_ns = max(position.exchange_ns, fill.exchange_ns)
        if instrument.kind == "spot":
            self._move(instrument.venue, instrument.base, change, fill.exchange_ns)
            self._move(instrument.venue, instrument.quote, -change * price, fill.exchange_ns)
            self._move(instrument.venue, fill.fee_currency, -fill.fee, fill.exchange_ns)
        return position

    def adopt(self, instrument: Instrument, quantity: Decimal, now_ns: int) -> bool:
        """Set a position to what the venue says, as a person has accepted.

        It makes neither profit nor loss: what is gone goes at its entry price, what has come is
        taken at the mark. False, and nothing changed, while there is no mark that this needs.
        """
        position = self._position_of(instrument)
        change = quantity - position.quantity
        if change == 0:
            return True
        shrinks = abs(quantity) <= abs(position.quantity) and quantity * position.quantity >= 0
        mark = self.mark_price(instrument.venue, instrument.symbol)
        price = position.entry_price if shrinks else mark
        if price is None:
            return False
        position.trade(change, price)
        position.updated_ns = now_ns
        return True

    def set_balances(
        self,
        venue: str,
        rows: Iterable[tuple[str, Decimal, Decimal]],
        exchange_ns: int | None = None,
    ) -> None:
        """Take balances as the venue states them: (currency, free, used), named ones only.

        With ``exchange_ns`` a statement older than a fill already booked is left aside for that
        currency, and fills no newer than the statement are not added to it again.
        """
        held = self._balances.setdefault(venue, {})
        for currency, free, used in rows:
            key = (venue, currency)
            if exchange_ns is not None:
                known = self._fill_ns.get(key, exchange_ns), self._balance_ns.get(key, exchange_ns)
                if exchange_ns < max(known):
                    continue
                self._balance_ns[key] = exchange_ns
            held[currency] = Balance(free, used)

    def mark(self, venue: str, symbol: str, mid: float | None) -> None:
        """Take the latest mid; None or a number that is no price forgets it."""
        key = (venue, symbol)
        if mid is None or not math.isfinite(mid) or mid <= 0:
            self._marks.pop(key, None)
            return
        if key not in self._marks:
            base, slash, quote = symbol.partition("/")
            if slash and ":" not in quote:
                keys = self._pairs.setdefault((base, quote), [])
                if key not in keys:
                    keys.append(key)
        self._marks[key] = mid

    # what is held

    def position(self, venue: str, symbol: str) -> Position | None:
        """The position, or None where there never was one."""
        return self._positions.get((venue, symbol))

    def quantity(self, venue: str, symbol: str) -> Decimal:
        """Signed quantity held, 0 where there never was any."""
        position = self._positions.get((venue, symbol))
        return _ZERO if position is None else position.quantity

    def positions(self) -> Iterable[Position]:
        """Every position, flat ones included, in the order of their first fill."""
        return self._positions.values()

    def balance(self, venue: str, currency: str) -> Balance | None:
        """Balance of one currency; None when the venue has not stated any balance yet."""
        held = self._balances.get(venue)
        if held is None:
            return None
        return held.get(currency, Balance(_ZERO, _ZERO))

    def balances(self, venue: str) -> tuple[tuple[str, Balance], ...]:
        """(currency, balance) of a venue, sorted by currency."""
        return tuple(sorted(self._balances.get(venue, {}).items()))

    # what it is worth

    def mark_price(self, venue: str, symbol: str) -> Decimal | None:
        """The latest mid as the decimal its float was written as; None when there is none."""
        key = (venue, symbol)
        mid = self._marks.get(key)
        if mid is None:
            return None
        cached = self._exact_marks.get(key)
        if cached is not None and cached[0] == mid:
            return cached[1]
        exact = Decimal(repr(mid))
        self._exact_marks[key] = (mid, exact)
        return exact

    def rate(self, currency: str) -> Decimal | None:
        """Reporting currency for one unit of another, from spot marks; None when unknown."""
        reporting = self.reporting_currency
        if currency == reporting:
            return _ONE
        for key in self._pairs.get((currency, reporting), ()):
            mark = self.mark_price(*key)
            if mark is not None:
                return mark
        for key in self._pairs.get((reporting, currency), ()):
            mark = self.mark_price(*key)
            if mark is not None:
                return _ONE / mark
        return _ONE if currency in self.par_currencies else None

    def profit(self) -> Decimal | None:
        """Realised plus unrealised less fees since the first fill, in the reporting currency.

        None as soon as one open position has no mark or one currency no rate: a loss that cannot
        be measured must not look like none. Fees in third currencies count where a rate is known
        (``unvalued_fees`` tells the others).
        """
        total = _ZERO
        for position in self._positions.values():
            if position.quantity == 0:
                amount = position.cash
            else:
                mark = self.mark_price(position.venue, position.symbol)
                if mark is None:
                    return None
                amount = position.profit(mark)
            if amount:
                rate = self.rate(position.settle)
                if rate is None:
                    return None
                total += amount * rate
        for (_, currency), fee in self.foreign_fees.items():
            rate = self.rate(currency)
            if rate is not None:
                total -= fee * rate
        return total

    @property
    def unvalued_fees(self) -> tuple[str, ...]:
        """Currencies in which fees were paid and that no mark gives a rate for."""
        return tuple(
            dict.fromkeys(c for _, c in self.foreign_fees if self.rate(c) is None),
        )

    def equity(self) -> Decimal | None:
        """All balances and the unrealised profit of derivatives, in the reporting currency.

        None when a balance or an open position cannot be valued.
        """
        total = _ZERO
        for held in self._balances.values():
            for currency, balance in held.items():
                if balance.total:
                    rate = self.rate(currency)
                    if rate is None:
                        return None
                    total += balance.total * rate
        for position in self._positions.values():
            if position.kind == "spot" or position.quantity == 0:
                continue
            mark = self.mark_price(position.venue, position.symbol)
            rate = self.rate(position.settle)
            if mark is None or rate is None:
                return None
            total += position.unrealised(mark) * rate
        return total

    def observe(self, now_ns: int) -> Decimal | None:
        """Put the present profit on the loss curve, where it can be measured; returns it."""
        profit = self.profit()
        if profit is not None:
            self.curve.observe(now_ns, profit)
        return profit

    # durable state

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``load`` makes an equal portfolio. Marks are not part of it."""
        return {
            "positions": [
                {
                    "venue": p.venue,
                    "symbol": p.symbol,
                    "base": p.base,
                    "quote": p.quote,
                    "settle": p.settle,
                    "kind": p.kind,
                    "updated_ns": p.updated_ns,
                    "exchange_ns": p.exchange_ns,
                    **{name: str(getattr(p, name)) for name in _DECIMALS},
                }
                for p in self._positions.values()
            ],
            "balances": [
                [venue, currency, str(b.free), str(b.used)]
                for venue, held in self._balances.items()
                for currency, b in held.items()
            ],
            "venues": list(self._balances),
            "balance_ns": [[v, c, ns] for (v, c), ns in self._balance_ns.items()],
            "fill_ns": [[v, c, ns] for (v, c), ns in self._fill_ns.items()],
            "foreign_fees": [[v, c, str(fee)] for (v, c), fee in self.foreign_fees.items()],
            "curve": self.curve.to_state(),
        }

    def load(self, state: dict[str, object]) -> None:
        """Take over what ``to_state`` gave."""
        self._positions = {}
        for row in cast("list[dict[str, Any]]", state["positions"]):
            exact = {name: Decimal(row[name]) for name in _DECIMALS}
            position = Position(**{**row, **exact})
            self._positions[(position.venue, position.symbol)] = position
        self._balances = {venue: {} for venue in cast("list[str]", state["venues"])}
        for venue, currency, free, used in cast("list[list[str]]", state["balances"]):
            self._balances[venue][currency] = Balance(Decimal(free), Decimal(used))
        self._balance_ns = _times(state["balance_ns"])
        self._fill_ns = _times(state["fill_ns"])
        self.foreign_fees = {
            (venue, currency): Decimal(fee)
            for venue, currency, fee in cast("list[list[str]]", state["foreign_fees"])
        }
        self.curve.load(cast("dict[str, object]", state["curve"]))

    # inside

    def _position_of(self, instrument: Instrument) -> Position:
        key = (instrument.venue, instrument.symbol)
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = Position(
                venue=instrument.venue,
                symbol=instrument.symbol,
                base=instrument.base,
                quote=instrument.quote,
                settle=instrument.quote if instrument.kind == "spot" else instrument.settle,
                kind=instrument.kind,
                contract_size=instrument.contract_size,
            )
        return position

    def _move(self, venue: str, currency: str, amount: Decimal, exchange_ns: int) -> None:
        """Carry a fill into a spot balance, unless the venue's statement already holds it.

        What is paid comes out of ``used`` first: it was locked while the order rested.
        """
        key = (venue, currency)
        self._fill_ns[key] = max(self._fill_ns.get(key, exchange_ns), exchange_ns)
        held = self._balances.get(venue)
        stated_ns = self._balance_ns.get(key)
        if held is None or (stated_ns is not None and exchange_ns <= stated_ns):
            return
        free, used = held.get(currency, (_ZERO, _ZERO))
        if amount < 0:
            from_used = min(used, -amount)
            used -= from_used
            amount += from_used
        held[currency] = Balance(free + amount, used)


_DECIMALS = ("contract_size", "quantity", "cash", "entry_value", "fees")


def _times(rows: object) -> dict[tuple[str, str], int]:
    return {(v, c): ns for v, c, ns in cast("list[tuple[str, str, int]]", rows)}
