"""One order under judgement: what is known about it, and what the checks have found so far."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from citadel_micro.core.risk.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.codes import State
    from citadel_micro.core.risk.types import Number, RiskRequest, RiskView, Row
    from citadel_proto.reason_codes import RiskCode

_ZERO = Decimal(0)
_TWO = Decimal(2)


class Case:
    """Facts of one request, the rows found so far, and how much would pass.

    ``entry_lots`` and ``reduce_lots`` are the largest quantities that would pass as new risk and
    as a verified reduction; every failed check lowers the one or both.
    """

    __slots__ = (
        "_active",
        "ask",
        "bid",
        "buy",
        "claimed",
        "denied",
        "dms_armed",
        "entry_lots",
        "exposure",
        "grown",
        "half_tick_worth",
        "instrument",
        "limits",
        "live",
        "market",
        "mid",
        "mid_half_ticks",
        "now_ns",
        "numbers_bad",
        "order_expires_ns",
        "parent",
        "pending",
        "portfolio",
        "price",
        "quantity",
        "reduce_lots",
        "reducible",
        "reducing",
        "request",
        "rows",
        "signed_position",
        "state",
        "view",
        "worth",
    )

    def __init__(
        self,
        request: RiskRequest,
        view: RiskView,
        limits: RiskLimits,
        *,
        state: State,
        dms_armed: bool,
        now_ns: int,
        order_expires_ns: int | None,
    ) -> None:
        self.request = request
        self.view = view
        self.limits = limits
        self.state = state
        self.dms_armed = dms_armed
        self.now_ns = now_ns
        self.order_expires_ns = order_expires_ns
        self.rows: list[Row] = []
        self.denied = False
        self._active: Sequence[tuple[str, str, Mapping[Side, int]]] | None = None
        venue, symbol = request.venue, request.symbol
        self.buy = request.side == "buy"
        self.parent = request.scope == "parent"
        self.instrument = view.instrument(venue, symbol)
        self.market = view.market(venue, symbol)
        self.portfolio = view.portfolio
        self._numbers(request)
        self._prices()
        self._position(request, view)
        self._worth()
        live, reducible = self.live, self.reducible
        self.entry_lots = 0 if request.reduce_only else live
        self.reduce_lots = min(reducible, live)

    def _numbers(self, request: RiskRequest) -> None:
        """Set the integers; an invalid one counts as nothing and fails BAD_NUMBER."""
        quantity, filled = request.quantity_lots, request.filled_lots
        exposure, price = request.exposure_lots, request.price_ticks
        self.numbers_bad = ""
        if type(quantity) is not int or type(filled) is not int or type(exposure) is not int:
            self.numbers_bad = f"quantity {quantity}, filled {filled}, exposure {exposure}"
            quantity, filled, exposure = 0, 0, 0
        elif quantity <= 0 or filled < 0 or quantity <= filled:
            self.numbers_bad = f"quantity {quantity}, of it filled {filled}"
            quantity, filled = 0, 0
        elif exposure < quantity - filled:
            self.numbers_bad = f"exposure {exposure} is less than the order's {quantity - filled}"
        if price is None:
            if not self.parent:
                self.numbers_bad = self.numbers_bad or "a child order has no price"
        elif type(price) is not int or price <= 0:
            self.numbers_bad = self.numbers_bad or f"price {price}"
            price = None
        live = quantity - filled
        self.quantity, self.live, self.price = quantity, live, price
        self.exposure = max(live, exposure)

    def _prices(self) -> None:
        """Best bid, ask and mid, if they are valid numbers."""
        self.bid = self.ask = self.mid = None
        self.mid_half_ticks = 0
        best = None if self.market is None else self.market.best()
        if best is None:
            return
        bid, _, ask, _ = best
        if not (math.isfinite(bid) and math.isfinite(ask)) or bid <= 0 or ask <= 0:
            return
        self.bid, self.ask, self.mid = bid, ask, (bid + ask) / 2
        if self.instrument is not None:
            self.mid_half_ticks = round((bid + ask) / self.instrument.tick_float)

    def _position(self, request: RiskRequest, view: RiskView) -> None:
        """How much of the order is covered by a position on the other side."""
        venue, symbol, side = request.venue, request.symbol, request.side
        self.pending = view.pending_lots(venue, symbol, side, request.parent_id)
        quantity = self.portfolio.quantity(venue, symbol)
        self.signed_position = quantity if self.buy else -quantity
        self.reducible = self.claimed = 0
        if self.signed_position < 0 and self.instrument is not None:
            self.claimed = view.claimed_lots(venue, symbol, side, request.parent_id)
            held = int(-self.signed_position // self.instrument.lot)
            self.reducible = max(0, min(held, held - self.claimed + request.replaced_lots))
        self.reducing = 0 < self.exposure <= self.reducible
        self.grown = self.signed_position
        if self.instrument is not None:
            self.grown += self.instrument.lot * (self.pending + self.exposure)

    def active_symbols(self) -> Sequence[tuple[str, str, Mapping[Side, int]]]:
        """The view's answer, evaluated once."""
        if self._active is None:
            self._active = self.view.active_symbols()
        return self._active

    # valuation

    def _worth(self) -> None:
        """Value of one unit of quantity in the reporting currency.

        ``half_tick_worth``: at a price of half a tick. ``worth``: for exposure, at the mid or the
        order's own price, whichever is higher.
        """
        self.half_tick_worth: Decimal | None = None
        self.worth: Decimal | None = None
        rules = self.instrument
        if rules is None:
            return
        rate = self.portfolio.rate(rules.quote if rules.kind == "spot" else rules.settle)
        if rate is None:
            return
        if rules.kind == "inverse":
            self.half_tick_worth = rules.contract_size * rate / rules.tick * _TWO
        else:
            self.half_tick_worth = rules.contract_size * rate * rules.tick / _TWO
        half_ticks = self.mid_half_ticks
        if half_ticks > 0 and self.price is not None:
            weigh = min if rules.kind == "inverse" else max
            half_ticks = weigh(half_ticks, 2 * self.price)
        self.worth = self.unit_worth(half_ticks)

    def unit_worth(self, half_ticks: int) -> Decimal | None:
        """One unit of quantity at a price of half ticks, in the reporting currency."""
        each = self.half_tick_worth
        if half_ticks <= 0 or each is None or self.instrument is None:
            return None
        return each / half_ticks if self.instrument.kind == "inverse" else each * half_ticks

    def price_half_ticks(self) -> int:
        """The order's own price; of a parent without one the ask, the dearer side; 0 if unknown."""
        if self.price is not None:
            return 2 * self.price
        if self.ask is None or self.instrument is None:
            return 0
        return 2 * math.ceil(self.ask / self.instrument.tick_float - _GRID)

    # results

    def failed(
        self,
        number: int,
        code: RiskCode,
        text: str,
        *,
        value: Number | str | None = None,
        limit: Number | str | None = None,
        lots: int = 0,
    ) -> None:
        """Record a failure that holds for reductions too; ``lots`` is what would have passed."""
        self.denied = True
        self.rows.append((number, code, False, value, limit, text))
        self.entry_lots = min(self.entry_lots, lots)
        self.reduce_lots = min(self.reduce_lots, lots)

    def failed_entry(
        self,
        number: int,
        code: RiskCode,
        text: str,
        *,
        value: Number | str | None = None,
        limit: Number | str | None = None,
        lots: int = 0,
    ) -> None:
        """Record a failure of a check that verified reductions skip."""
        self.denied = True
        self.rows.append((number, code, False, value, limit, text))
        self.entry_lots = min(self.entry_lots, lots)

    def failed_size(
        self,
        number: int,
        code: RiskCode,
        text: str,
        *,
        value: Number | str | None = None,
        limit: Number | str | None = None,
        lots: int = 0,
    ) -> None:
        """Record that the order is larger than one order may be; ``lots`` is what would have passed.

        A verified reduction is not rejected for its size. At admission it may be as large as the
        position, since it is worked in slices; a slice too small to be split into two valid orders
        is sent as it is.
        """
        whole = 2 * self.min_lots() - 1
        if self.reducing and (self.parent or self.live <= whole):
            self.rows.append((number, code, True, value, limit, "a reduction is worked in slices"))
            return
        self.denied = True
        self.rows.append((number, code, False, value, limit, text))
        self.entry_lots = min(self.entry_lots, lots)
        if not self.parent:
            self.reduce_lots = min(self.reduce_lots, max(lots, whole))

    def verdict(self) -> Verdict:
        """The verdict: the first failure is the reason."""
        rows = tuple(self.rows)
        if self.denied:
            for number, code, ok, value, _, text in rows:
                if not ok:
                    permitted = max(self.reduce_lots, 0 if self.reducing else self.entry_lots, 0)
                    if permitted + (self.quantity - self.live) < self.min_lots():
                        permitted = 0
                    return Verdict(
                        ok=False,
                        code=code,
                        reason=text,
                        permitted_lots=permitted,
                        reducing=self.reducing,
                        unknown=number >= _MONEY and value is None,
                        rows=rows,
                    )
        return Verdict(
            ok=True,
            code="",
            reason="",
            permitted_lots=self.live,
            reducing=self.reducing,
            unknown=False,
            rows=rows,
        )

    def min_lots(self) -> int:
        """Smallest quantity that the venue accepts at the order's price (or at the mid)."""
        if self.instrument is None:
            return 0
        ticks = self.mid_half_ticks // 2 if self.price is None else self.price
        return self.instrument.min_lots_at(ticks, reduce_only=self.request.reduce_only)


_MONEY = 12
"""First row of the table that needs valuation; a failure there without a figure is
one of valuation."""
_GRID = 1e-6
"""Part of a tick by which a float price may lie beside the grid."""


def lots_within(room: Decimal, step: Decimal) -> int:
    """Whole steps that fit into a room, exact whatever the digits; 0 if there is none."""
    if room <= 0 or step <= 0:
        return 0
    return Fraction(room) // Fraction(step)


def growth_within(
    room: Decimal | Fraction, worth: Decimal, held: Decimal, lot: Decimal, pending: int
) -> int:
    """Lots by which ``held + lot x (pending + lots)``, times ``worth``, grows to fill a room.

    Negative when nothing fits.
    """
    units = Fraction(room) / Fraction(worth) - Fraction(held)
    return units // Fraction(lot) - pending


def worth_of(case: Case, rules: Instrument) -> Decimal | None:
    """One unit of quantity of any instrument at its mark, in the reporting currency."""
    mark = case.portfolio.mark_price(rules.venue, rules.symbol)
    rate = case.portfolio.rate(rules.quote if rules.kind == "spot" else rules.settle)
    if mark is None or rate is None:
        return None
    if rules.kind == "inverse":
        return rules.contract_size / mark * rate
    return rules.contract_size * mark * rate
