"""Positions, balances, fees, profit and loss: exact, from our own fills.

Cash is exact: every fill changes a signed cash flow in the settle currency, so that realized plus
unrealized profit is ``cash + quantity x value(mark)`` to the last digit, however entries were
averaged. Only the split between the two, through the average entry, is rounded (28 digits).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from citadel_micro.core.model.exact_fill import traded
from citadel_micro.core.portfolio.foreign import ForeignBook
from citadel_micro.core.portfolio.margin import MarginBook
from citadel_micro.core.portfolio.pnl_curve import LossCurve
from citadel_micro.core.portfolio.position import Position
from citadel_micro.core.portfolio.rates import Rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.model.events import OrderFilled, Side
    from citadel_micro.core.model.instrument import Instrument

__all__ = ["Balance", "Portfolio", "Position"]

_ZERO = Decimal(0)
HOUR_NS = 3_600_000_000_000


class Balance(NamedTuple):
    """One currency on one venue; ``used`` is locked in resting orders."""

    free: Decimal
    used: Decimal

    @property
    def total(self) -> Decimal:
        """Free and used together."""
        return self.free + self.used


_NOTHING = Balance(_ZERO, _ZERO)


class Portfolio:
    """All positions and balances of one engine.

    Args:
        reporting_currency: currency of ``profit``, ``equity`` and of the loss limits.
        par_currencies: counted as equal to it where no mark says otherwise (USDC to USDT).
        rolling_window_ns: window of the rolling loss.
        two_hop_rates: value a currency through another where it has no pair of its own.
    """

    def __init__(
        self,
        reporting_currency: str = "USDT",
        *,
        par_currencies: tuple[str, ...] = (),
        rolling_window_ns: int = HOUR_NS,
        two_hop_rates: bool = False,
    ) -> None:
        self.rates = Rates(reporting_currency, par_currencies, two_hops=two_hop_rates)
        self.curve = LossCurve(rolling_window_ns)
        self.foreign_fees: dict[tuple[str, str], Decimal] = {}
        """(venue, currency) -> fees paid in a currency that is neither base nor settle."""
        self.foreign = ForeignBook()
        self.margin = MarginBook()
        self._positions: dict[tuple[str, str], Position] = {}
        self._balances: dict[str, dict[str, Balance]] = {}
        self._balance_ns: dict[tuple[str, str], int] = {}
        self._fill_ns: dict[tuple[str, str], int] = {}
        self._changes = 0
        """Grows with every change of what the profit is made of, marks left out."""
        self._known: tuple[tuple[int, int], Decimal | None] | None = None
        """(changes, marks' version) that the profit was last calculated at, and the profit."""

    @property
    def reporting_currency(self) -> str:
        """Currency of ``profit``, ``equity`` and of the loss limits."""
        return self.rates.reporting

    # updates

    def apply_fill(
        self, instrument: Instrument, side: Side, fill: OrderFilled, now_ns: int
    ) -> Position:
        """Book one fill, which the caller has checked is new; returns the position after it.

        A fee in the base currency of a spot instrument is taken out of the position and counted
        at the fill's price; a fee in a third currency is kept in ``foreign_fees``.
        """
        self._changes += 1
        position = self._position_of(instrument)
        price, quantity = traded(instrument, fill)
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

    def apply_funding(
        self, instrument: Instrument, amount: Decimal, currency: str, now_ns: int
    ) -> None:
        """Book a payment of funding, which the caller has checked is new."""
        self._changes += 1
        position = self._position_of(instrument)
        if currency == position.settle:
            position.fund(amount)
            position.updated_ns = now_ns
        else:
            key = (instrument.venue, currency)
            self.foreign_fees[key] = self.foreign_fees.get(key, _ZERO) - amount

    def adopt(self, instrument: Instrument, quantity: Decimal, now_ns: int) -> bool:
        """Set a position to the venue's figure, as accepted by the operator.

        It makes neither profit nor loss: missing units leave at the entry price, additional ones come
        at the mark. False, and nothing changed, while there is no mark that this needs.
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
        self._changes += 1
        position.trade(change, price)
        position.updated_ns = now_ns
        return True

    def set_balances(
        self,
        venue: str,
        rows: Iterable[tuple[str, Decimal, Decimal]],
        exchange_ns: int | None = None,
    ) -> None:
        """Set balances as the venue states them: (currency, free, used), named ones only.

        With ``exchange_ns`` a statement older than a fill already booked is ignored for that
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
        """Set the latest mid; None or an invalid price removes it."""
        self.rates.mark(venue, symbol, mid)

    # holdings

    def position(self, venue: str, symbol: str) -> Position | None:
        """The position, or None where there never was one."""
        return self._positions.get((venue, symbol))

    def quantity(self, venue: str, symbol: str) -> Decimal:
        """Signed quantity held, 0 where there never was any."""
        position = self._positions.get((venue, symbol))
        return _ZERO if position is None else position.quantity

    @property
    def traded(self) -> bool:
        """Whether there ever was a position, or a fee."""
        return bool(self._positions or self.foreign_fees)

    def positions(self) -> Iterable[Position]:
        """Every position, flat ones included, in the order of their first fill."""
        return self._positions.values()

    def balance(self, venue: str, currency: str) -> Balance | None:
        """Balance of one currency; None when the venue has not stated any balance yet."""
        held = self._balances.get(venue)
        if held is None:
            return None
        return held.get(currency, _NOTHING)

    def balances(self, venue: str) -> tuple[tuple[str, Balance], ...]:
        """(currency, balance) of a venue, sorted by currency."""
        return tuple(sorted(self._balances.get(venue, {}).items()))

    def balances_in(self, venue: str, currencies: Iterable[str]) -> tuple[tuple[str, Balance], ...]:
        """The same of some currencies, where the venue has told of them: an account may have hundreds."""
        its = self._balances.get(venue, {})
        return tuple((each, its[each]) for each in sorted(currencies) if each in its)

    # valuation

    @property
    def marks(self) -> Mapping[tuple[str, str], float]:
        """(venue, symbol) -> latest mid, where there is one."""
        return self.rates.marks

    def mark_price(self, venue: str, symbol: str) -> Decimal | None:
        """The latest mid as the decimal its float was written as; None when there is none."""
        return self.rates.price(venue, symbol)

    def rate(self, currency: str) -> Decimal | None:
        """Reporting currency for one unit of another, from spot marks; None when unknown."""
        return self.rates.rate(currency)

    @property
    def valued_at(self) -> tuple[int, int]:
        """Changes with every position and every mark: as long as it is equal, so is what they are worth."""
        return self._changes, self.rates.version

    def profit(self) -> Decimal | None:
        """Realized plus unrealized less fees since the first fill, in the reporting currency.

        None as soon as one open position has no mark or one currency no rate: a loss that cannot
        be measured must not look like none. Fees in third currencies count where a rate is known
        (``unvalued_fees`` lists the others).
        """
        at = (self._changes, self.rates.version)
        known = self._known
        if known is None or known[0] != at:
            known = self._known = (at, self._profit())
        return known[1]

    def _profit(self) -> Decimal | None:
        total, price, rate_of = _ZERO, self.rates.price, self.rates.rate
        for (venue, symbol), position in self._positions.items():
            if not position.quantity:
                amount = position.cash
            else:
                mark = price(venue, symbol)
                if mark is None:
                    return None
                amount = position.profit(mark)
            if amount:
                rate = rate_of(position.settle)
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
        """Currencies of fees paid for which no mark gives a rate."""
        return tuple(
            dict.fromkeys(c for _, c in self.foreign_fees if self.rate(c) is None),
        )

    def equity(self) -> Decimal | None:
        """All balances and the unrealized profit of derivatives, in the reporting currency.

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

    def liquidation_price(self, position: Position) -> Decimal | None:
        """Mark price at which the venue liquidates a position; None: there is none, or not known."""
        margin, others = self.margin, _ZERO
        if (position.venue, position.symbol) not in margin.terms:
            return None
        for each in self._positions.values():
            if each is not position and each.quantity and each.venue == position.venue:
                beside = margin.beside(each, position.settle)
                if beside is None:
                    return None
                others += beside
        balance = self.balance(position.venue, position.settle)
        return margin.liquidation_price(
            position, None if balance is None else balance.total, others
        )

    def observe(self, now_ns: int) -> Decimal | None:
        """Add the current profit to the loss curve, where it can be measured; returns it."""
        profit = self.profit()
        if profit is not None:
            self.curve.observe(now_ns, profit)
        return profit

    # durable state

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``load`` makes an equal portfolio. Marks are not part of it."""
        foreign = self.foreign.to_state()
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
                    **{name: str(getattr(p, name)) for name in _FUNDING if getattr(p, name)},
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
            # Left out where there is nothing, as in journals of earlier versions.
            **({"foreign": foreign} if foreign else {}),
        }

    def load(self, state: dict[str, object]) -> None:
        """Restore what ``to_state`` gave."""
        self._changes += 1
        self._positions = {}
        for row in cast("list[dict[str, Any]]", state["positions"]):
            exact = {name: Decimal(row[name]) for name in (*_DECIMALS, *_FUNDING) if name in row}
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
        self.foreign.load(cast("dict[str, object]", state.get("foreign", {})))

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
        """Book a fill in a spot balance, unless the venue's statement already contains it.

        Payments come out of ``used`` first: the amount was locked while the order rested.
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


_FUNDING = ("funding", "funding_since_open")
"""Left out where there was none, as in journals of earlier versions."""
_DECIMALS = ("contract_size", "quantity", "cash", "entry_value", "fees")


def _times(rows: object) -> dict[tuple[str, str], int]:
    return {(v, c): ns for v, c, ns in cast("list[tuple[str, str, int]]", rows)}
