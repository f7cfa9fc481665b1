"""Reports of orders, balances and positions: exact decimals made from ticks and lots."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.commands import BalanceView, FillView, PositionView, PublishReport
from citadel_micro.core.model.exact_fill import traded
from citadel_micro.core.orders import fractions
from citadel_micro.core.orders.order_states import ParentState

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.children import ChildFill
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.portfolio.portfolio import Portfolio, Position

_P = ParentState
_STATUS: Final = {
    _P.GATING: "accepted",
    _P.HELD: "accepted",
    _P.PAUSED: "paused",
    _P.UNKNOWN: "paused",
    _P.FILLED: "filled",
    _P.DONE_DUST: "done_dust",
    _P.EXPIRED: "expired",
    _P.CANCELED: "canceled",
    _P.DENIED: "rejected",
    _P.ANOMALY: "anomaly",
}


def status(parent: Parent) -> str:
    """The wire's status of a parent."""
    return status_in(parent.state, parent)


def status_in(state: ParentState, parent: Parent) -> str:
    """The wire's status of it in another state, such as the one that it was stored in."""
    if state is _P.READY and not parent.children:
        return "accepted"
    return _STATUS.get(state, "working")


WHOLE_FILLS: Final = 5_000
"""An order with more is reported in fewer: these are 650 kB on the wire, where a frame has 4 MiB."""
FILLS: Final = 1
"""Where ``report_key`` has the number of fills, and after it the lots."""


def report_key(parent: Parent) -> tuple[object, ...]:
    """The values whose change makes a new report worth sending."""
    return (
        status(parent),
        parent.fills,
        parent.filled,
        parent.triggered,
        parent.reason_code,
        parent.permitted,
    )


def average(parent: Parent) -> Decimal | None:
    """Volume-weighted average price of the fills; None before the first. At most 28 digits."""
    if parent.fractional:
        return fractions.average(parent.with_fills, parent.rules)
    lots = parent.filled - parent.unbooked
    return None if lots == 0 else parent.rules.tick * parent.cost / lots


def filled(parent: Parent) -> Decimal:
    """What has filled, in the unit of signals."""
    rules = parent.instrument
    if rules is None:
        return Decimal(0)
    whole = rules.amount(parent.filled)
    return whole + fractions.beyond_lots(parent.with_fills, rules) if parent.fractional else whole


def fill_views(parent: Parent) -> tuple[FillView, ...]:
    """Every fill, in the order in which they were reported within each child.

    Of an order with more than ``WHOLE_FILLS``, those of one child at one price are reported as one
    fill, under the id of the first and the time of the last: a report has to fit a frame.
    """
    for child in parent.with_fills:
        for fill in child.fills[len(child.views) :]:
            child.views.append(_fill_view(parent.rules, child.client_id, fill))
    views = tuple(view for child in parent.with_fills for view in child.views)
    return views if len(views) <= WHOLE_FILLS else _joined(views)


def _joined(views: tuple[FillView, ...]) -> tuple[FillView, ...]:
    joined: dict[tuple[object, ...], FillView] = {}
    for view in views:
        key = (view.child_id, view.price, view.fee_currency, view.liquidity)
        known = joined.get(key)
        joined[key] = (
            view
            if known is None
            else replace(
                known,
                quantity=known.quantity + view.quantity,
                fee=known.fee + view.fee,
                ts_ns=max(known.ts_ns, view.ts_ns),
            )
        )
    return tuple(joined.values())


def _fill_view(rules: Instrument, client_id: str, fill: ChildFill) -> FillView:
    price, quantity = traded(rules, fill)
    return FillView(
        trade_id=fill.trade_id,
        child_id=client_id,
        price=price,
        quantity=quantity * rules.contract_size,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        liquidity=fill.liquidity,
        ts_ns=fill.exchange_ns,
    )


def balance_views(
    portfolio: Portfolio, venue: str, only: tuple[str, ...] = ()
) -> tuple[BalanceView, ...]:
    """Balances of a venue, all or the named currencies, sorted by currency."""
    rows = portfolio.balances_in(venue, only) if only else portfolio.balances(venue)
    return tuple([BalanceView(currency=each, free=its.free, used=its.used) for each, its in rows])


def position_view(portfolio: Portfolio, position: Position, leverage: Decimal) -> PositionView:
    """One position, valued where a book can be trusted."""
    mark = portfolio.mark_price(position.venue, position.symbol)
    terms = portfolio.margin.terms.get((position.venue, position.symbol))
    return PositionView(
        venue=position.venue,
        symbol=position.symbol,
        quantity=position.quantity * position.contract_size,
        entry_price=position.entry_price,
        realised=position.realised,
        unrealised=Decimal(0) if mark is None else position.unrealised(mark),
        leverage=leverage if terms is None else Decimal(terms.leverage),
        valued=position.quantity == 0 or mark is not None,
        liquidation_price=portfolio.liquidation_price(position),
        funding=position.funding_since_open,
    )


def report(parent: Parent, portfolio: Portfolio) -> PublishReport:
    """The complete current state of a parent, under its current revision."""
    signal = parent.signal
    rules = parent.instrument
    position = portfolio.position(signal.venue, signal.symbol)
    return PublishReport(
        signal_id=parent.id,
        revision=parent.revision,
        venue=signal.venue,
        symbol=signal.symbol,
        side=signal.side,
        kind=signal.kind,
        order_type=signal.order_type,
        status=status(parent),
        quantity=signal.quantity,
        filled=filled(parent),
        average=average(parent),
        limit_price=signal.limit_price,
        stop_price=signal.stop_price,
        triggered=parent.triggered,
        reason_code=parent.reason_code,
        reason=parent.reason,
        permitted=(
            None if parent.permitted is None or rules is None else rules.amount(parent.permitted)
        ),
        fills=fill_views(parent),
        balances=() if rules is None else balance_views(portfolio, rules.venue, currencies(rules)),
        position=(
            None if position is None else position_view(portfolio, position, signal.leverage)
        ),
        strategy=signal.strategy,
        tag=signal.tag,
        algo=signal.algo,
        arrival_mid=mid(parent, parent.arrival_mid2_ticks),
        reprices=parent.reprices,
        own=parent.own,
        created_ns=parent.created_ns,
        updated_ns=parent.updated_ns,
        owner=signal.owner,
    )


def currencies(rules: Instrument) -> tuple[str, ...]:
    """Currencies whose balances its trades change."""
    return tuple(dict.fromkeys((rules.base, rules.quote, rules.settle)))


def mid(parent: Parent, half_ticks: int) -> float:
    """Mid in quote units; 0.0 where none was known."""
    if half_ticks == 0 or parent.instrument is None:
        return 0.0
    return float(parent.instrument.tick * half_ticks / 2)
