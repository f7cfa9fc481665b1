"""The checks that compare sizes and losses with limits: rows 10 and 12 to 15 of the risk table.

Exposure is always the worst case: every pending order, whatever its state, counts as filled
on its own side and as unfilled on the other. So whichever subset of them fills, the limits hold.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from citadel_micro.core.model.risk_limits import for_symbol, for_venue, listed
from citadel_micro.core.risk.budgets import BUDGETS, check_budgets
from citadel_micro.core.risk.check_context import growth_within, lots_within, worth_of
from citadel_micro.core.risk.rows import CLEAR, SKIPPED
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.risk.budgets import Budgets
    from citadel_micro.core.risk.check_context import Case

_ZERO = Decimal(0)
_ONE = Decimal(1)

# Looked up once: CPython 3.11 takes 0.2 µs to find a member of an enumeration.
MAX_ORDER_QTY = RiskCode.MAX_ORDER_QTY
MAX_ORDER_NOTIONAL = RiskCode.MAX_ORDER_NOTIONAL
MAX_POSITION = RiskCode.MAX_POSITION
GROSS = RiskCode.GROSS
NET = RiskCode.NET
VENUE = RiskCode.VENUE
GROUP = RiskCode.GROUP
OPEN_ORDERS = RiskCode.OPEN_ORDERS
FREE_BALANCE = RiskCode.FREE_BALANCE
DAILY_LOSS = RiskCode.DAILY_LOSS
ROLLING_LOSS = RiskCode.ROLLING_LOSS
DRAWDOWN = RiskCode.DRAWDOWN


def check_order_size(case: Case) -> None:
    """10: one order is not larger than an order may be; in probation a quarter of that."""
    request, limits, instrument = case.request, case.limits, case.instrument
    if instrument is None:
        case.failed(10, MAX_ORDER_QTY, "there are no trading rules to judge by")
        case.failed(10, MAX_ORDER_NOTIONAL, "there are no trading rules to judge by")
        return
    quantity = instrument.lot * case.live
    most = for_symbol(limits.max_order_quantity, request.venue, request.symbol)
    if most is None:
        text = f"no largest order quantity is configured for {request.symbol}"
        case.failed_size(10, MAX_ORDER_QTY, text, value=quantity)
    else:
        _judge_size(case, MAX_ORDER_QTY, quantity, most, instrument.lot)
    worth = case.unit_worth(case.price_half_ticks())
    if worth is None:
        text = f"the order cannot be valued in {limits.reporting_currency}"
        case.failed_size(10, MAX_ORDER_NOTIONAL, text, limit=limits.order_notional(request.venue))
    else:
        lot_worth = instrument.lot * worth
        notional = lot_worth * case.live
        most_worth = limits.order_notional(request.venue)
        _judge_size(case, MAX_ORDER_NOTIONAL, notional, most_worth, lot_worth)


def _judge_size(
    case: Case, code: RiskCode, value: Decimal, most: Decimal, per_lot: Decimal
) -> None:
    """Compare with the limit, for new risk on probation with its part of it."""
    if case.state == "PROBATION":
        entry_most = most * case.limits.probation_fraction
        case.entry_lots = min(case.entry_lots, lots_within(entry_most, per_lot))
        limit = most if case.reducing else entry_most
    else:
        limit = most
    if value <= limit:
        case.rows.append((10, code, True, value, limit, ""))
    elif value <= most:
        text = f"{value} is above {limit}, the limit while on probation"
        lots = lots_within(limit, per_lot)
        case.failed_entry(10, code, text, value=value, limit=limit, lots=lots)
    else:
        text = f"{value} is above {limit}"
        case.failed_size(10, code, text, value=value, limit=limit, lots=lots_within(most, per_lot))


def check_position(case: Case) -> None:
    """12 (not for reductions): the worst case of the order's side is within the position limit."""
    if case.reducing:
        case.rows.append(SKIPPED[MAX_POSITION])
        return
    request, limits, instrument = case.request, case.limits, case.instrument
    worth = case.worth
    if instrument is None or worth is None:
        case.failed_entry(12, MAX_POSITION, "the position cannot be valued")
        return
    most = for_symbol(limits.max_position_quantity, request.venue, request.symbol)
    if most is None:
        text = f"no largest position is configured for {request.symbol}"
        case.failed_entry(12, MAX_POSITION, text, value=case.grown)
        return
    worst = case.grown
    money = worst * worth
    if worst <= most and money <= limits.max_position_notional:
        case.rows.append((12, MAX_POSITION, True, worst, most, ""))
        return
    held, lot, pending = case.signed_position, instrument.lot, case.pending
    lots = min(
        growth_within(most, _ONE, held, lot, pending),
        growth_within(limits.max_position_notional, worth, held, lot, pending),
    )
    if worst > most:
        text = f"a position of {worst} would be above {most}"
        case.failed_entry(12, MAX_POSITION, text, value=worst, limit=most, lots=lots)
    else:
        limit = limits.max_position_notional
        text = f"a position worth {money:.2f} {limits.reporting_currency} would be above {limit}"
        case.failed_entry(12, MAX_POSITION, text, value=money, limit=limit, lots=lots)


class _Others:
    """Worst-case exposure of every symbol but the order's, in the reporting currency."""

    __slots__ = ("by_group", "gross", "net", "unknown", "venue")

    def __init__(self, case: Case, groups: tuple[str, ...]) -> None:
        self.gross = self.net = self.venue = _ZERO
        self.by_group = dict.fromkeys(groups, _ZERO)
        self.unknown = ""
        portfolio, view = case.portfolio, case.view
        here = (case.request.venue, case.request.symbol)
        seen = {here: True}
        for venue, symbol, pending in case.active_symbols():
            key = (venue, symbol)
            if key in seen:
                continue
            seen[key] = True
            held = portfolio.quantity(venue, symbol)
            if held == 0 and not any(pending.values()):
                continue
            rules = view.instrument(venue, symbol)
            worth = None if rules is None else worth_of(case, rules)
            if rules is None or worth is None:
                self.unknown = f"{venue} {symbol}"
                continue
            up = held + rules.lot * pending.get("buy", 0)
            down = rules.lot * pending.get("sell", 0) - held
            self._add(case, venue, symbol, up * worth, down * worth)
        for position in portfolio.positions():
            key = (position.venue, position.symbol)
            if position.quantity == 0 or key in seen:
                continue
            rules = view.instrument(*key)
            worth = None if rules is None else worth_of(case, rules)
            if worth is None:
                self.unknown = f"{position.venue} {position.symbol}"
                continue
            money = position.quantity * worth
            self._add(case, position.venue, position.symbol, money, -money)

    def _add(self, case: Case, venue: str, symbol: str, up: Decimal, down: Decimal) -> None:
        gross = max(up, down)
        self.gross += gross
        self.net += up if case.buy else down
        if venue == case.request.venue:
            self.venue += gross
        for name in self.by_group:
            if listed(case.limits.groups[name], venue, symbol):
                self.by_group[name] += gross


def check_exposure(case: Case, budgets: Budgets) -> None:
    """13 (not for reductions): total exposure of all positions, and the number of orders."""
    if case.reducing:
        for code in (GROSS, NET, VENUE, GROUP, *BUDGETS, OPEN_ORDERS):
            case.rows.append(SKIPPED[code])
        return
    request, limits = case.request, case.limits
    groups = limits.groups_of(request.venue, request.symbol)
    others = _Others(case, groups)
    worth = case.worth
    venue_most = for_venue(limits.max_venue_exposure, request.venue)
    if case.instrument is None or worth is None or others.unknown:
        unknown = others.unknown or f"{request.venue} {request.symbol}"
        for code in (GROSS, NET, VENUE, GROUP):
            case.failed_entry(13, code, f"{unknown} cannot be valued")
    else:
        other_side: Side = "sell" if case.buy else "buy"
        pending = case.view.pending_lots(
            request.venue, request.symbol, other_side, request.parent_id
        )
        room = _Room(case, worth, case.instrument.lot * pending - case.signed_position)
        room.judge(GROSS, others.gross, limits.max_gross_exposure)
        room.judge(NET, others.net, limits.max_net_exposure, net=True)
        if venue_most is None:
            text = f"no largest exposure is configured for {request.venue}"
            case.failed_entry(13, VENUE, text, value=others.venue)
        else:
            room.judge(VENUE, others.venue, venue_most)
        if not groups:
            case.rows.append(CLEAR[GROUP])
        for name in groups:
            room.judge(GROUP, others.by_group[name], limits.max_group_exposure[name])
    check_budgets(case, budgets)
    _check_count(case)


class _Room:
    """Room below the limits for the order's symbol.

    ``worth`` is the price of one unit of quantity, ``back`` the worst case of the side that the
    order is not on, in quantity units.
    """

    __slots__ = ("back", "case", "gross", "net", "worth")

    def __init__(self, case: Case, worth: Decimal, back: Decimal) -> None:
        self.case = case
        self.worth = worth
        self.back = back
        self.net = case.grown * worth
        self.gross = self.net if case.grown >= back else back * worth

    def judge(self, code: RiskCode, others: Decimal, most: Decimal, *, net: bool = False) -> None:
        """Compare one sum with its limit; the other side does not add to a net figure."""
        case = self.case
        total = others + (self.net if net else self.gross)
        if total <= most:
            case.rows.append((13, code, True, total, most, ""))
            return
        lots = 0
        if case.instrument is not None and (net or others + self.back * self.worth <= most):
            held, lot = case.signed_position, case.instrument.lot
            lots = growth_within(most - others, self.worth, held, lot, case.pending)
        text = f"exposure of {total:.2f} {case.limits.reporting_currency} would be above {most}"
        case.failed_entry(13, code, text, value=total, limit=most, lots=lots)


def _check_count(case: Case) -> None:
    limits, venue = case.limits, case.request.venue
    more = 1 if case.parent else 0
    everywhere = here = case.view.open_parents(None) + more
    if here > limits.max_open_orders_per_venue:  # else it cannot be more on one venue either
        here = case.view.open_parents(venue) + more
    if everywhere > limits.max_open_orders:
        text = f"{everywhere} orders would be open"
        most = limits.max_open_orders
        case.failed_entry(13, OPEN_ORDERS, text, value=everywhere, limit=most)
    elif here > limits.max_open_orders_per_venue:
        text = f"{here} orders would be open on {venue}"
        most = limits.max_open_orders_per_venue
        case.failed_entry(13, OPEN_ORDERS, text, value=here, limit=most)
    else:
        case.rows.append((13, OPEN_ORDERS, True, everywhere, limits.max_open_orders, ""))


def check_held_count(case: Case, *, protects: bool) -> None:
    """13, of a stop: how many are held, and unless it protects a position, how many are open.

    ``protects``: it and all that are held on its side together are no more than the position.
    """
    limits = case.limits
    held = case.view.held_orders() + 1
    if held > limits.max_held_orders:
        text = f"{held} stops would be held"
        case.failed(13, OPEN_ORDERS, text, value=held, limit=limits.max_held_orders)
        return
    everywhere = held + case.view.open_parents(None)
    if protects or everywhere <= limits.max_open_orders:
        case.rows.append((13, OPEN_ORDERS, True, held, limits.max_held_orders, ""))
        return
    text = f"{everywhere} orders would be open or held, and no position asks for this one"
    case.failed(13, OPEN_ORDERS, text, value=everywhere, limit=limits.max_open_orders)


def check_balance(case: Case) -> None:
    """14, spot: the balance covers the order and is not reserved for another order.

    A buy needs its notional and the fee in quote currency, a sell its quantity in base currency.
    Pending orders of other parents are subtracted from the total. For a parent so is whatever more is
    locked at the venue; for a child that may be the lock of its own predecessor, whose release
    the venue reports later than its end.
    """
    instrument = case.instrument
    if instrument is not None and instrument.kind != "spot":
        return  # ``checks_margin`` judges it
    half_ticks = case.price_half_ticks()
    if instrument is None or half_ticks <= 0:
        case.failed(14, FREE_BALANCE, "the order's cost cannot be calculated")
        return
    fee = _ZERO
    if case.buy:
        currency = instrument.quote
        fee = instrument.maker_fee if case.request.post_only else instrument.taker_fee
        per_lot = instrument.half_tick_lot * half_ticks * (_ONE + fee)
    else:
        currency = instrument.base
        per_lot = instrument.lot
    balance = case.portfolio.balance(instrument.venue, currency)
    promised = _promised(case, currency, per_lot)
    if balance is None or promised is None:
        case.failed(14, FREE_BALANCE, f"how much {currency} is free is not known")
        return
    needed = per_lot * case.live
    free = balance.total - (max(promised, balance.used) if case.parent else promised)
    if case.request.beside_lots:
        free -= _beside(case, instrument, fee)
    if needed <= free:
        case.rows.append((14, FREE_BALANCE, True, needed, free, ""))
        return
    lots = lots_within(free, per_lot)
    text = f"{needed} {currency} is needed, {max(free, _ZERO)} is free"
    case.failed(14, FREE_BALANCE, text, value=needed, limit=free, lots=lots)


def _beside(case: Case, instrument: Instrument, fee: Decimal) -> Decimal:
    """Amount of the currency reserved for the other orders of the same parent."""
    if case.buy:
        return instrument.half_tick_lot * 2 * case.request.beside_cost * (_ONE + fee)
    return instrument.lot * case.request.beside_lots


def _promised(case: Case, currency: str, per_lot: Decimal) -> Decimal | None:
    """Amount of a currency that pending orders of other parents need on this venue."""
    view, request = case.view, case.request
    # An exit with priority comes before those that wait for it, here as in the position.
    total = per_lot * (case.claimed if case.reducing else case.pending)
    for venue, symbol, pending in case.active_symbols():
        lots = pending.get(request.side, 0)
        if venue != request.venue or symbol == request.symbol or not lots:
            continue
        rules = view.instrument(venue, symbol)
        if rules is None:
            return None
        if rules.kind != "spot" or currency != (rules.quote if case.buy else rules.base):
            continue
        if case.buy:
            mark = case.portfolio.mark_price(venue, symbol)
            if mark is None:
                return None
            total += rules.lot * lots * mark * (_ONE + rules.taker_fee)
        else:
            total += rules.lot * lots
    return total


def check_losses(case: Case) -> None:
    """15 (not for reductions): daily loss, rolling loss and drawdown, in money."""
    if case.reducing:
        for code in (DAILY_LOSS, ROLLING_LOSS, DRAWDOWN):
            case.rows.append(SKIPPED[code])
        return
    limits, portfolio = case.limits, case.portfolio
    profit = portfolio.profit()
    if profit is None:
        for code in (DAILY_LOSS, ROLLING_LOSS, DRAWDOWN):
            case.failed_entry(15, code, "profit and loss cannot be valued: a mark is missing")
        return
    curve = portfolio.curve
    _judge_loss(case, DAILY_LOSS, curve.daily_loss(profit), limits.max_daily_loss)
    _judge_loss(case, ROLLING_LOSS, curve.rolling_loss(profit), limits.max_rolling_loss)
    _judge_loss(case, DRAWDOWN, curve.drawdown(profit), limits.max_drawdown)


def _judge_loss(case: Case, code: RiskCode, loss: Decimal, most: Decimal) -> None:
    if loss < most:
        case.rows.append((15, code, True, loss, most, ""))
    else:
        text = f"a loss of {loss:.2f} {case.limits.reporting_currency} has reached {most}"
        case.failed_entry(15, code, text, value=loss, limit=most)
