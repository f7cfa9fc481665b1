"""What ``PlainOrders`` computes once: limits in an order's units, and what positions are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.risk_limits import for_symbol, for_venue, listed

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.risk.types import RiskView

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


class Valued:
    """What positions and lots are worth at the marks, until one of them changes; in the reporting currency."""

    __slots__ = ("at", "gross", "lots", "money", "net", "portfolio", "venues", "view")

    def __init__(self, view: RiskView) -> None:
        portfolio = self.portfolio = view.portfolio
        self.view = view
        self.at = portfolio.valued_at
        self.gross: float | None = 0.0
        """None where a position cannot be valued."""
        self.net = 0.0
        self.venues: dict[str, float] = {}
        """Gross, by venue."""
        self.money: dict[tuple[str, str], float] = {}
        """Signed, of each position that is not flat."""
        self.lots: dict[tuple[str, str], tuple[float, float]] = {}
        """Of instruments asked for: what one lot is worth, and what buying it costs in its quote currency."""
        for position in portfolio.positions():
            quantity = position.quantity
            if not quantity:
                continue
            key = (position.venue, position.symbol)
            rules = view.instrument(*key)
            lot = None if rules is None else self.lot(key, rules)
            if rules is None or lot is None:
                self.gross = None
                return
            money = self.money[key] = float(quantity) / rules.lot_float * lot[0]
            self.net += money
            self.gross += abs(money)
            self.venues[key[0]] = self.venues.get(key[0], 0.0) + abs(money)

    def lot(self, key: tuple[str, str], rules: Instrument) -> tuple[float, float] | None:
        """What ``lots`` has of an instrument; None where there is no mark, or no rate."""
        found = self.lots.get(key)
        if found is None:
            portfolio = self.portfolio
            mark = portfolio.marks.get(key)
            rate = portfolio.rate(rules.quote if rules.kind == "spot" else rules.settle)
            if mark is None or rate is None:
                return None
            size, lot = float(rules.contract_size), rules.lot_float
            worth = size / mark if rules.kind == "inverse" else size * mark
            cost = lot * mark * (1.0 + float(rules.taker_fee))
            found = self.lots[key] = lot * worth * float(rate), cost
        return found
