"""Orders that pass every check of the gate beyond doubt, found with integers and floats.

Nearly every order is plain: of a known size on a calm book, far from every limit. For those this
finds what ``table.judge_all`` would find, with each limit drawn in by a part in 10^9, far more than floats
are wrong by; a verified reduction skips here what it skips there. Whatever is not plain is left to the checks
themselves: what any check would deny, what comes within that part of a limit, what only in part reduces a
position, inverse contracts, groups, budgets and references.

So an order passes here only if the checks pass it, and nothing is denied here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.risk_limits import UNUSED
from citadel_micro.core.risk.plain_bounds import BPS, DOUBT, SURE, Bounds, Valued
from citadel_micro.core.risk.plain_margin import PlainMargin

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.portfolio.portfolio import Portfolio
    from citadel_micro.core.risk.circuit_breakers import Breakers
    from citadel_micro.core.risk.conduct import Conduct
    from citadel_micro.core.risk.types import JudgedMarket, RiskRequest, RiskView, Standing

_INF: Final = float("inf")


class PlainOrders:
    """Finds the orders that are plain; see the module."""

    def __init__(self) -> None:
        self._bounds: dict[tuple[str, str], Bounds] = {}
        self._valued: Valued | None = None
        self._margin = PlainMargin()

    def passes(
        self,
        request: RiskRequest,
        view: RiskView,
        limits: RiskLimits,
        *,
        breakers: Breakers,
        armed: bool,
        conduct: Conduct,
        now_ns: int,
        expires_ns: int,
    ) -> JudgedMarket | None:
        """The book of a child order that every check passes beyond doubt; None for every other.

        Args:
            request: of a child order, or of its amend.
            view: the engine's state.
            limits: those in effect.
            breakers: of the gate.
            armed: the venue's dead man's switch is.
            conduct: how the gate's orders have gone so far.
            now_ns: the engine's time.
            expires_ns: when the order itself expires.
        """
        venue, symbol = request.venue, request.symbol
        rules, market = view.instrument(venue, symbol), view.market(venue, symbol)
        if rules is None or market is None:
            return None
        bounds = self._bounds.get((venue, symbol))
        if bounds is None or bounds.limits is not limits or bounds.instrument is not rules:
            bounds = self._bounds[venue, symbol] = Bounds(rules, limits)
        if (
            not bounds.plain
            or request.duplicate
            or request.missed_signals
            or request.asked_quantity is not None
            or request.asked_price is not None
            or view.reconciling
            or now_ns >= expires_ns
            or (breakers.trips and breakers.state(venue, symbol, request.strategy) != "ACTIVE")
            or not _priced(request, market, bounds, now_ns)
        ):
            return None
        portfolio = view.portfolio
        standing = view.standing(venue, symbol, request.side, request.parent_id)
        rate = portfolio.rate(bounds.currency)
        if standing is None or rate is None:
            return None
        worth = bounds.unit_worth * float(rate)
        if not _small(request, bounds, standing[2], worth):
            return None
        held = portfolio.quantity(venue, symbol)
        if held and (held < 0) is (request.side == "buy"):
            return market if _reduces(request, view, bounds, standing, held) else None
        valued = self._valued
        if valued is None or valued.view is not view:
            valued = self._valued = Valued(view)
        elif valued.at != portfolio.valued_at:
            valued.update()
        if (
            request.reduce_only
            or (venue in limits.dms_venues and not armed)
            or not _heard(request, view, limits, now_ns)
            or not _covered(request, market, bounds, standing, valued, tick_worth=worth)
            or not _profitable(portfolio, bounds)
            or not _calm(request, limits, conduct, now_ns)
        ):
            return None
        if bounds.spot or venue not in portfolio.margin.venues:
            return market
        carried = self._margin.carries(
            request, portfolio, bounds, standing, others=valued.money, now_ns=now_ns
        )
        return market if carried else None


def _small(request: RiskRequest, bounds: Bounds, own: int, worth: float) -> bool:
    """Rows 10 and 11: no larger than one order may be, and no order of ours is met.

    ``own``: the best price of ours on the other side, 0 for none. ``worth``: of a unit at one tick.
    """
    price = request.price_ticks or 0
    if own and (price >= own if request.side == "buy" else price <= own):
        return False
    live = request.quantity_lots - request.filled_lots
    return live * bounds.lot * price * worth <= bounds.order_worth


def _reduces(
    request: RiskRequest, view: RiskView, bounds: Bounds, standing: Standing, held: Decimal
) -> bool:
    """Row 14 of a verified reduction, which skips the others from 12 on; False for what is none."""
    venue, side = request.venue, request.side
    claimed = view.claimed_lots(venue, request.symbol, side, request.parent_id)
    if request.exposure_lots > int(abs(held) // bounds.instrument.lot) - claimed:
        return False
    if not bounds.spot:
        return True
    for rules, buys, sells in standing[4]:
        # What other symbols' orders are promised of the same currency is left to the checks.
        if rules.venue == venue and rules.kind == "spot":
            if side == "buy":
                if buys and rules.quote == bounds.quote:
                    return False
            elif sells and rules.base == bounds.base:
                return False
    lots = request.quantity_lots - request.filled_lots + claimed
    return _paid(request, view.portfolio, bounds, lots, 0.0)


def _covered(
    request: RiskRequest,
    market: JudgedMarket,
    bounds: Bounds,
    standing: Standing,
    valued: Valued,
    *,
    tick_worth: float,
) -> bool:
    """Rows 12 to 14 of new risk: every worst case lies within its limit, and spot is paid for."""
    same, other, _, parents, rows = standing
    buy, price, best = request.side == "buy", request.price_ticks, market.best()
    held_gross = valued.gross
    if price is None or best is None or held_gross is None or parents > bounds.most_parents:
        return False
    elsewhere = valued.elsewhere(bounds, rows)
    if elsewhere is None:
        return False
    venue = request.venue
    here = (venue, request.symbol)
    money = valued.money.get(here, 0.0)
    portfolio = valued.portfolio
    held = abs(float(portfolio.quantity(*here))) if money else 0.0
    lots = request.quantity_lots - request.filled_lots
    # At the mid or the own price, whichever is higher; half a tick more than the mid is rounded to.
    mid_ticks = (best[0] + best[2]) / bounds.tick / 2.0 + 0.5
    worth = tick_worth * (max(price, mid_ticks))
    grown = held + bounds.lot * (same + request.exposure_lots)
    net = grown * worth
    if grown > bounds.position or net > bounds.position_worth:
        return False
    back = bounds.lot * other - held
    gross = net if grown >= back else back * worth
    # All else that is held, and then what is pending besides.
    doubt = gross + held_gross + elsewhere.buys + elsewhere.sells
    gross -= abs(money)
    at_venue = gross + valued.venues.get(venue, 0.0) + elsewhere.at_venue
    gross += held_gross + elsewhere.gross
    if buy:
        net += valued.net - money + elsewhere.buys
        promised = elsewhere.promised_quote
    else:
        net += money - valued.net + elsewhere.sells
        promised = elsewhere.promised_base
    doubt *= DOUBT
    return (
        gross + doubt <= bounds.gross
        and net + doubt <= bounds.net
        and at_venue + doubt <= bounds.venue
        and _paid(request, portfolio, bounds, lots + same, promised)
    )


def _heard(request: RiskRequest, view: RiskView, limits: RiskLimits, now_ns: int) -> bool:
    """Rows 2 and 7: its macro was heard in time, and its clock can be trusted."""
    owner, epoch = request.owner, request.epoch
    if limits.lease_required:
        age = view.owner_age_ns(owner, epoch, now_ns)
        if age is None or age > limits.lease_hard_ns:
            return False
    return -limits.max_skew_ns <= view.owner_skew_ns(owner, epoch) <= limits.max_skew_ns


def _priced(request: RiskRequest, market: JudgedMarket, bounds: Bounds, now_ns: int) -> bool:
    """Rows 6 to 10: valid numbers, a book that can be trusted, a price near it, a small order."""
    quantity, filled = request.quantity_lots, request.filled_lots
    exposure, price = request.exposure_lots, request.price_ticks
    if (
        type(quantity) is not int
        or type(filled) is not int
        or type(exposure) is not int
        or type(price) is not int
    ):
        return False
    live = quantity - filled
    if (
        price <= 0
        or filled < 0
        or live <= 0
        or exposure < live
        or quantity < bounds.min_lots
        or quantity * price < bounds.min_worth
        or live > bounds.most_lots
        or market.state != "LIVE"
        or not 0 <= now_ns - market.proof_ns <= bounds.limits.stale_ns
    ):
        return False
    best = market.best()
    if best is None:
        return False
    bid, ask = best[0], best[2]
    if not 0.0 < bid < ask < _INF:
        return False
    mid = (bid + ask) / 2.0
    buy = request.side == "buy"
    own = price * bounds.tick
    away = (own - mid if buy else mid - own) / mid * BPS
    if (
        not bounds.far_bps <= away <= bounds.collar_bps
        or (ask - bid) / mid * BPS > bounds.spread_bps
    ):
        return False
    taking = False
    if not request.post_only:
        exact = bounds.instrument.price_float(price)
        taking = exact >= ask if buy else exact <= bid
    lot, share = bounds.lot, bounds.share
    if share <= 0.0:
        return False
    shown = market.book.displayed(
        "sell" if buy is taking else "buy", mid, mid * bounds.collar, 2 * live * lot / share
    )
    return shown < _INF and live <= int(shown / lot * share * SURE)


def _paid(
    request: RiskRequest, portfolio: Portfolio, bounds: Bounds, lots: int, promised: float
) -> bool:
    """Row 14: the balance covers these lots, and what orders elsewhere are promised of it."""
    if not bounds.spot:
        return True
    buy = request.side == "buy"
    balance = portfolio.balance(request.venue, bounds.quote if buy else bounds.base)
    if balance is None:
        return False
    if buy:
        cost = bounds.maker_cost if request.post_only else bounds.taker_cost
        needed = cost * (lots * (request.price_ticks or 0) + request.beside_cost)
    else:
        needed = bounds.lot * (lots + request.beside_lots)
    needed += promised
    total = float(balance.free) + float(balance.used)
    return needed + DOUBT * (needed + abs(total)) <= total


def _profitable(portfolio: Portfolio, bounds: Bounds) -> bool:
    """Row 15: no loss has reached its limit. Exact, since nothing is multiplied."""
    profit = portfolio.profit()
    if profit is None:
        return False
    curve = portfolio.curve
    return (
        curve.daily_loss(profit) < bounds.day_loss
        and curve.rolling_loss(profit) < bounds.rolling_loss
        and curve.drawdown(profit) < bounds.drawdown
    )


def _calm(request: RiskRequest, limits: RiskLimits, conduct: Conduct, now_ns: int) -> bool:
    """Row 16: it is none of too many."""
    most = limits.max_messages_per_second
    if most < UNUSED and conduct.messages(request, now_ns) >= most:
        return False
    most = limits.max_venue_rejects
    if most < UNUSED and conduct.rejects(request.venue, limits, now_ns) >= most:
        return False
    most = limits.max_unfilled_messages
    return most >= UNUSED or conduct.unfilled(request.venue, request.symbol, limits, now_ns) < most
