"""Orders that pass every check of the gate beyond doubt, found with integers and floats.

Nearly every order is plain: of a known size on a calm book, far from every limit. For those this
finds what ``table.judge_all`` would find, with each limit drawn in by a part in 10^9, far more than floats
are wrong by; a verified reduction skips here what it skips there. Whatever is not plain is left to the checks
themselves: what any check would deny, what comes within that part of a limit, what only in part reduces a
position, inverse contracts, groups, budgets and references.

So an order passes here only if the checks pass it, and nothing is denied here. Likewise a parent at its
admission, of whom a little more is asked (``PlainOrders.admits``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.risk_limits import UNUSED
from citadel_micro.core.risk.plain_bounds import BPS, DOUBT, SURE, Bounds, Valued
from citadel_micro.core.risk.plain_margin import PlainMargin
from citadel_micro.core.risk.types import Verdict

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.portfolio.portfolio import Portfolio
    from citadel_micro.core.risk.circuit_breakers import Breakers
    from citadel_micro.core.risk.conduct import Conduct
    from citadel_micro.core.risk.types import JudgedMarket, RiskRequest, RiskView, Standing

_INF: Final = float("inf")
_GRID: Final = 1e-6
"""Part of a tick by which a float price may lie beside the grid."""


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
        price, market = request.price_ticks, view.market(request.venue, request.symbol)
        bounds = self._bounds_of(request, view, limits)
        if (
            market is None
            or bounds is None
            or price is None
            or request.asked_quantity is not None
            or request.asked_price is not None
            or now_ns >= expires_ns
        ):
            return None
        found = self._reducing(
            request,
            view,
            market,
            bounds,
            price=price,
            breakers=breakers,
            armed=armed,
            conduct=conduct,
            now_ns=now_ns,
        )
        return None if found is None else market

    def admits(
        self,
        request: RiskRequest,
        view: RiskView,
        limits: RiskLimits,
        *,
        breakers: Breakers,
        armed: bool,
        conduct: Conduct,
        now_ns: int,
    ) -> Verdict | None:
        """The verdict on a parent that every check passes beyond doubt, without its rows; None for others.

        Without a price it is judged as if it took the best one of the other side, and where a higher one
        costs more, at the ask, as the checks do. Args as ``passes``.
        """
        market = view.market(request.venue, request.symbol)
        bounds = self._bounds_of(request, view, limits)
        best = None if market is None else market.best()
        asked, quantity = request.asked_quantity, request.quantity_lots
        age_ns = now_ns - request.signal_created_ns
        if (
            market is None
            or bounds is None
            or best is None
            or not 0.0 < best[0] < best[2] < _INF
            or request.stop_ticks is not None
            or request.replaced_lots
            or now_ns >= request.signal_expires_ns
            or not -limits.max_skew_ns <= age_ns <= limits.signal_ttl_ns
            or type(quantity) is not int
        ):
            return None
        rules, tick = bounds.instrument, bounds.tick
        if asked is not None and asked != rules.quantity(request.asked_lots or quantity):
            return None
        price = request.price_ticks
        if price is None:
            low, high = math.floor(best[0] / tick + _GRID), math.ceil(best[2] / tick - _GRID)
            if request.asked_price is not None or quantity * low < bounds.min_worth:
                return None
            price = high if request.side == "buy" else low
            rate = view.portfolio.rate(bounds.currency)
            dearest = bounds.lot * high * bounds.unit_worth
            if rate is None or quantity * dearest * float(rate) > bounds.order_worth:
                return None
        elif request.asked_price is not None and request.asked_price != rules.price(price):
            return None
        reducing = self._reducing(
            request,
            view,
            market,
            bounds,
            price=price,
            breakers=breakers,
            armed=armed,
            conduct=conduct,
            now_ns=now_ns,
        )
        return None if reducing is None else Verdict(True, "", "", quantity, reducing, False, ())  # noqa: FBT003

    # inside

    def _bounds_of(self, request: RiskRequest, view: RiskView, limits: RiskLimits) -> Bounds | None:
        """Of its instrument; None where there are no rules."""
        key = (request.venue, request.symbol)
        rules, bounds = view.instrument(*key), self._bounds.get(key)
        if rules is None:
            return None
        if bounds is None or bounds.limits is not limits or bounds.instrument is not rules:
            bounds = self._bounds[key] = Bounds(rules, limits)
        return bounds

    def _reducing(
        self,
        request: RiskRequest,
        view: RiskView,
        market: JudgedMarket,
        bounds: Bounds,
        *,
        price: int,
        breakers: Breakers,
        armed: bool,
        conduct: Conduct,
        now_ns: int,
    ) -> bool | None:
        """Whether a plain order is a verified reduction; None for one that is not plain."""
        venue, symbol, limits = request.venue, request.symbol, bounds.limits
        if (
            not bounds.plain
            or request.duplicate
            or request.missed_signals
            or view.reconciling
            or (breakers.trips and breakers.state(venue, symbol, request.strategy) != "ACTIVE")
            or not _priced(request, market, bounds, price, now_ns)
        ):
            return None
        portfolio = view.portfolio
        standing = view.standing(venue, symbol, request.side, request.parent_id)
        rate = portfolio.rate(bounds.currency)
        if standing is None or rate is None:
            return None
        worth = bounds.unit_worth * float(rate)
        if not _small(request, bounds, standing[2], worth, price):
            return None
        held = portfolio.quantity(venue, symbol)
        if held and (held < 0) is (request.side == "buy"):
            return (
                True if _reduces(request, view, bounds, standing, held=held, price=price) else None
            )
        valued = self._valued
        if valued is None or valued.view is not view:
            valued = self._valued = Valued(view)
        elif valued.at != portfolio.valued_at:
            valued.update()
        if (
            request.reduce_only
            or (venue in limits.dms_venues and not armed)
            or not _heard(request, view, limits, now_ns)
            or not _covered(
                request, market, bounds, standing, valued, price=price, tick_worth=worth
            )
            or not _profitable(portfolio, bounds)
            or not _calm(request, limits, conduct, now_ns)
        ):
            return None
        if bounds.spot or venue not in portfolio.margin.venues:
            return False
        carried = self._margin.carries(
            request, portfolio, bounds, standing, price=price, others=valued.money, now_ns=now_ns
        )
        return False if carried else None


def _small(request: RiskRequest, bounds: Bounds, own: int, worth: float, price: int) -> bool:
    """Rows 10 and 11: no larger than one order may be, and no order of ours is met.

    ``own``: the best price of ours on the other side, 0 for none. ``worth``: of a unit at one tick.
    """
    if own and (price >= own if request.side == "buy" else price <= own):
        return False
    live = request.quantity_lots - request.filled_lots
    return live * bounds.lot * price * worth <= bounds.order_worth


def _reduces(
    request: RiskRequest,
    view: RiskView,
    bounds: Bounds,
    standing: Standing,
    *,
    held: Decimal,
    price: int,
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
    return _paid(request, view.portfolio, bounds, lots, promised=0.0, price=price)


def _covered(
    request: RiskRequest,
    market: JudgedMarket,
    bounds: Bounds,
    standing: Standing,
    valued: Valued,
    *,
    price: int,
    tick_worth: float,
) -> bool:
    """Rows 12 to 14 of new risk: every worst case lies within its limit, and spot is paid for."""
    same, other, _, parents, rows = standing
    buy, best, held_gross = request.side == "buy", market.best(), valued.gross
    if request.scope == "parent":
        parents += 1
    if best is None or held_gross is None or parents > bounds.most_parents:
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
        and _paid(request, portfolio, bounds, lots + same, promised=promised, price=price)
    )


def _heard(request: RiskRequest, view: RiskView, limits: RiskLimits, now_ns: int) -> bool:
    """Rows 2 and 7: its macro was heard in time, and its clock can be trusted."""
    owner, epoch = request.owner, request.epoch
    if limits.lease_required:
        age = view.owner_age_ns(owner, epoch, now_ns)
        most = limits.lease_soft_ns if request.scope == "parent" else limits.lease_hard_ns
        if age is None or age > most:
            return False
    return -limits.max_skew_ns <= view.owner_skew_ns(owner, epoch) <= limits.max_skew_ns


def _priced(
    request: RiskRequest, market: JudgedMarket, bounds: Bounds, price: int, now_ns: int
) -> bool:
    """Rows 6 to 10: valid numbers, a book that can be trusted, a price near it, a small order."""
    quantity, filled = request.quantity_lots, request.filled_lots
    exposure = request.exposure_lots
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
    request: RiskRequest,
    portfolio: Portfolio,
    bounds: Bounds,
    lots: int,
    *,
    promised: float,
    price: int,
) -> bool:
    """Row 14: the balance covers these lots, and what orders elsewhere are promised of it.

    A parent is given nothing of what is locked at the venue.
    """
    if not bounds.spot:
        return True
    buy = request.side == "buy"
    balance = portfolio.balance(request.venue, bounds.quote if buy else bounds.base)
    if balance is None:
        return False
    if buy:
        cost = bounds.maker_cost if request.post_only else bounds.taker_cost
        needed = cost * (lots * price + request.beside_cost)
    else:
        needed = bounds.lot * (lots + request.beside_lots)
    needed += promised
    total = float(balance.free) + float(balance.used)
    if request.scope == "parent":
        total = min(total, float(balance.free))
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
    if request.scope == "parent":
        most = limits.max_identical_orders
        if most < UNUSED and conduct.identical(request, limits, now_ns) >= most:
            return False
        most = limits.max_repeated_entries
        if most < UNUSED and conduct.entries(request, limits, now_ns) >= most:
            return False
    else:
        most = limits.max_messages_per_second
        if most < UNUSED and conduct.messages(request, now_ns) >= most:
            return False
    most = limits.max_venue_rejects
    if most < UNUSED and conduct.rejects(request.venue, limits, now_ns) >= most:
        return False
    most = limits.max_unfilled_messages
    return most >= UNUSED or conduct.unfilled(request.venue, request.symbol, limits, now_ns) < most
