"""What ``PlainOrders`` computes once: limits in an order's units, and what positions are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.model.risk_limits import for_symbol, for_venue, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.types import RiskView

Key = tuple[str, str]
DOUBT: Final = 1e-9
"""Relative distance from a limit within which the exact check decides. Floats are wrong by 1e-13 here."""
SURE: Final = 1.0 - DOUBT
BPS: Final = 10_000.0


class Bounds:
    """What the limits say of one instrument, in the units that an order is in; computed once."""

    __slots__ = (
        "base",
        "collar",
        "collar_bps",
        "currency",
        "day_loss",
        "drawdown",
        "far_bps",
        "gross",
        "instrument",
        "limits",
        "liquidation_buffer",
        "lot",
        "maker_cost",
        "maker_fee",
        "min_lots",
        "min_worth",
        "most_lots",
        "most_parents",
        "net",
        "order_worth",
        "plain",
        "position",
        "position_worth",
        "quote",
        "rolling_loss",
        "share",
        "spot",
        "spread_bps",
        "taker_cost",
        "taker_fee",
        "tick",
        "unit_worth",
        "venue",
    )

    def __init__(self, rules: Instrument, limits: RiskLimits) -> None:
        self.instrument = rules
        self.limits = limits
        venue, symbol = rules.venue, rules.symbol
        most_order = for_symbol(limits.max_order_quantity, venue, symbol)
        most_position = for_symbol(limits.max_position_quantity, venue, symbol)
        most_venue = for_venue(limits.max_venue_exposure, venue)
        self.plain = (
            rules.kind != "inverse"
            and listed(limits.allowed_symbols, venue, symbol)
            and listed(limits.allowed_venues, "", venue)
            and not listed(limits.reference_symbols, venue, symbol)
            and not limits.groups_of(venue, symbol)
            and not limits.max_strategy_exposure
            and not limits.max_owner_exposure
            and most_order is not None
            and most_position is not None
            and most_venue is not None
        )
        self.spot = rules.kind == "spot"
        self.base, self.quote = rules.base, rules.quote
        self.currency = rules.quote if self.spot else rules.settle
        self.tick, self.lot = rules.tick_float, rules.lot_float
        self.min_lots = rules.min_lots
        least = rules.least_worth
        self.min_worth = -(-least.numerator // least.denominator)
        size = float(rules.contract_size)
        self.unit_worth = size * self.tick
        self.maker_fee, self.taker_fee = float(rules.maker_fee), float(rules.taker_fee)
        self.maker_cost = self.tick * self.lot * (1.0 + self.maker_fee)
        self.taker_cost = self.tick * self.lot * (1.0 + self.taker_fee)
        self.liquidation_buffer = float(limits.liquidation_buffer)
        self.most_lots = 0 if most_order is None else int(most_order // rules.lot)
        self.order_worth = float(limits.order_notional(venue)) * SURE
        self.position = 0.0 if most_position is None else float(most_position) * SURE
        self.position_worth = float(limits.max_position_notional) * SURE
        self.gross = float(limits.max_gross_exposure)
        self.net = float(limits.max_net_exposure)
        self.venue = 0.0 if most_venue is None else float(most_venue)
        self.most_parents = min(limits.max_open_orders, limits.max_open_orders_per_venue)
        self.collar = limits.price_collar_bps / BPS
        self.collar_bps = limits.price_collar_bps * SURE
        self.far_bps = -limits.fat_finger_bps * SURE
        self.spread_bps = limits.max_spread_bps * SURE
        self.share = limits.depth_participation_bps / BPS
        # Compared exactly: amounts of money that have been booked.
        self.day_loss = limits.max_daily_loss
        self.rolling_loss = limits.max_rolling_loss
        self.drawdown = limits.max_drawdown


class _Factors(NamedTuple):
    """What a mark is multiplied with."""

    rules: Instrument
    worth: float
    """One lot in its settle currency; of an inverse contract divided by the mark."""
    cost: float
    """What buying it costs, in its quote currency."""
    currency: str
    inverse: bool


class Elsewhere(NamedTuple):
    """What is pending on other instruments than one, beside what is held there; in the reporting currency."""

    rows: Sequence[tuple[Instrument, int, int]]
    """As ``RiskView.standing`` gave it."""
    buys: float
    sells: float
    gross: float
    """How much more the worst case is than what is held."""
    at_venue: float
    """Of it on the venue of the one."""
    promised_quote: float
    """Of the one's quote currency, to spot buys on its venue."""
    promised_base: float


class Valued:
    """What positions and lots are worth at the marks; in the reporting currency."""

    __slots__ = (
        "_elsewhere", "_factors", "_lots", "_rates", "at", "gross", "money", "net", "portfolio", "venues", "view",
    )  # fmt: skip

    def __init__(self, view: RiskView) -> None:
        self.portfolio = view.portfolio
        self.view = view
        self._factors: dict[Key, _Factors] = {}
        self._lots: dict[Key, tuple[float, float]] = {}
        """Of instruments asked for: what one lot is worth, and what buying it costs in its quote currency."""
        self._rates: dict[str, float] = {}
        self.update()

    def update(self) -> None:
        """Value everything at the marks of now. To be called when ``Portfolio.valued_at`` has changed."""
        self.at = self.portfolio.valued_at
        self.gross: float | None = 0.0
        """None where a position cannot be valued."""
        self.net = 0.0
        self.venues: dict[str, float] = {}
        """Gross, by venue."""
        self.money: dict[Key, float] = {}
        """Signed, of each position that is not flat."""
        self._elsewhere: dict[Key, Elsewhere] = {}
        self._lots.clear()
        self._rates.clear()
        gross, instrument, value = 0.0, self.view.instrument, self._lot
        for position in self.portfolio.positions():
            quantity = position.quantity
            if not quantity:
                continue
            key = (position.venue, position.symbol)
            rules = instrument(*key)
            lot = None if rules is None else value(key, rules)
            if rules is None or lot is None:
                self.gross = None
                return
            money = self.money[key] = float(quantity) / rules.lot_float * lot[0]
            self.net += money
            money = abs(money)
            gross += money
            self.venues[key[0]] = self.venues.get(key[0], 0.0) + money
        self.gross = gross

    def _lot(self, key: Key, rules: Instrument) -> tuple[float, float] | None:
        """What one lot is worth, and what buying it costs in its quote currency; None where that is not known."""
        found = self._lots.get(key)
        if found is not None:
            return found
        factors = self._factors.get(key)
        if factors is None or factors.rules is not rules:
            lot = rules.lot_float
            factors = self._factors[key] = _Factors(
                rules,
                lot * float(rules.contract_size),
                lot * (1.0 + float(rules.taker_fee)),
                rules.quote if rules.kind == "spot" else rules.settle,
                rules.kind == "inverse",
            )
        _, worth, cost, currency, inverse = factors
        rate = self._rates.get(currency)
        if rate is None:
            exact = self.portfolio.rate(currency)
            if exact is None:
                return None
            rate = self._rates[currency] = float(exact)
        mark = self.portfolio.rates.marks.get(key)
        if mark is None:
            return None
        found = self._lots[key] = (worth / mark if inverse else worth * mark) * rate, cost * mark
        return found

    def elsewhere(
        self, bounds: Bounds, rows: Sequence[tuple[Instrument, int, int]]
    ) -> Elsewhere | None:
        """What is pending on these instruments, for an order of another; None where it cannot be valued.

        Summed up anew for other rows, and once something is worth something else.
        """
        one = bounds.instrument
        here = (one.venue, one.symbol)
        found = self._elsewhere.get(here)
        if found is not None and found.rows is rows:
            return found
        buys = sells = gross = at_venue = promised_quote = promised_base = 0.0
        lots, held, venue = self._lots, self.money, one.venue
        for rules, bought, sold in rows:
            key = (rules.venue, rules.symbol)
            lot = lots.get(key) or self._lot(key, rules)
            if lot is None:
                return None
            up, down = bought * lot[0], sold * lot[0]
            buys += up
            sells += down
            money = held.get(key, 0.0)
            most = max(down - money, money + up) - abs(money)
            gross += most
            if key[0] == venue:
                at_venue += most
                if rules.kind == "spot":
                    if rules.base == one.base:
                        promised_base += sold * rules.lot_float
                    if rules.quote == one.quote:
                        promised_quote += bought * lot[1]
        found = self._elsewhere[here] = Elsewhere(
            rows, buys, sells, gross, at_venue, promised_quote, promised_base
        )
        return found
