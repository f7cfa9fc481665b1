"""What must hold of a run in chaos, on the way and at its end."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from algo_signals import NAMES, most_live
from chaos_market import INSTRUMENTS, MS, SECOND, START, VENUE
from ladder_kit import MOST

from citadel_micro.core.model.commands import (
    AmendOrder,
    PlaceOrder,
    PublishReport,
)
from citadel_micro.core.orders.order_states import PARENT_TERMINAL, ParentState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.approval import Approved
    from citadel_micro.core.model.config import VenueConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.sim.paper import PaperVenue

STOPPED: Final = ("HALTED", "KILLED", "POSITION_BUSY", "FREE_BALANCE")
"""What may keep a triggered stop from its end although venue and market are fair: the operator, a
flattening or an order in doubt, a balance that was spent elsewhere."""


def check_parents(engine: Engine, event: Event) -> None:
    """Within its budget and with as many orders at work as its algorithm may have."""
    for parent in engine.order_store.active.values():
        assert parent.state is not ParentState.ANOMALY, (event, parent)
        assert parent.filled + parent.reserved <= parent.target, (event, parent)
        most = MOST if parent.signal.algo == "ladder" else most_live(parent)
        assert len(parent.live) <= most, (event, parent)
        check_halt(engine, parent)


def check_halt(engine: Engine, parent: Parent) -> None:
    """Under a halt nothing is left to rest, but for what its venue or its rate keeps waiting."""
    signal = parent.signal
    of = (signal.venue, signal.symbol, signal.strategy)
    state = engine.risk.effective_state(*of)
    if state != "KILLED" and (state != "HALTED" or parent.through_halt):
        return
    for child in parent.live:
        waits = child.cancel_after_ns > 0 or engine.executor.venue_down
        assert child.state.value not in ("placing", "working", "amending") or waits, parent


def check_truth(engine: Engine, paper: PaperVenue) -> None:
    """What the venue holds and has filled of a parent is never more than was asked."""
    children = engine.order_store.children
    totals: dict[str, tuple[Parent, int]] = {}
    for client_id, order in paper.orders.items():
        found = children.get(client_id)
        if found is None:
            assert not order.open or engine.reconciling, client_id
            continue
        parent, child = found
        assert not (order.open and child.terminal), (client_id, child)
        lots = order.quantity_lots if order.open else order.filled_lots
        totals[parent.id] = parent, totals.get(parent.id, (parent, 0))[1] + lots
    for parent, lots in totals.values():
        assert lots <= parent.target, parent


def check_order(
    engine: Engine,
    limits: RiskLimits,
    now: int,
    approved: Approved[PlaceOrder] | Approved[AmendOrder],
    *,
    tripped: bool,
) -> None:
    """What is sent is within everything that the gate is there for."""
    order = approved.order
    key = (order.venue, order.symbol)
    market, parent = engine.markets[key], engine.order_store.known[order.parent_id]
    rules = INSTRUMENTS[key]
    best = market.best()
    assert not engine.reconciling
    assert market.state == "LIVE"
    assert best is not None
    assert best[0] < best[2]
    assert now - market.last_recv_ns <= limits.stale_ns
    assert 0 < order.quantity_lots <= parent.target
    least = rules.min_lots_at(order.price_ticks, reduce_only=order.reduce_only)
    assert order.quantity_lots >= least
    if parent.limit_ticks is not None:
        assert parent.sign * order.price_ticks <= parent.sign * parent.limit_ticks
    if order.post_only:
        bid, ask = rules.ticks_of_float(best[0]), rules.ticks_of_float(best[2])
        assert order.price_ticks < ask if order.side == "buy" else order.price_ticks > bid
    if tripped:
        return  # by what came after it in the same call, which also withdraws it
    assert approved.risk_epoch == engine.risk.risk_epoch
    state = engine.risk.effective_state(*key, parent.signal.strategy)
    assert state != "KILLED"
    assert state != "HALTED" or parent.through_halt
    if parent.exits and isinstance(order, PlaceOrder):
        check_exits(engine, parent)
    held = engine.portfolio.quantity(*key) * -parent.sign
    child = engine.order_store.children[order.client_id][1]
    beside = sum(other.reserved for other in parent.live if other is not child)
    reduces = (order.quantity_lots - child.filled + beside) * rules.lot <= held
    if state == "REDUCING" or order.reduce_only:
        assert reduces, (state, held, order)
    if limits.lease_required and not reduces:
        beat = engine.view.leases.last_beat_ns
        assert beat is not None
        assert now - beat <= limits.lease_hard_ns


def check_exits(engine: Engine, parent: Parent) -> None:
    """All exits of a side that are out are never more than the position."""
    rules = parent.rules
    held = engine.portfolio.quantity(rules.venue, rules.symbol) * -parent.sign
    out = sum(
        other.out
        for other in engine.inst_states[rules.venue, rules.symbol].parents
        if other.exits and other.sign == parent.sign
    )
    assert out * rules.lot <= held, (parent, held, out)


def check_report(last: PublishReport, report: PublishReport) -> None:
    """What has once been told of an order stays true."""
    assert report.revision >= last.revision, (last, report)
    assert report.filled >= last.filled, (last, report)
    ids = [fill.trade_id for fill in report.fills]
    assert set(ids) >= {fill.trade_id for fill in last.fills}
    assert len(ids) == len(set(ids))
    if report.revision == last.revision:
        assert (report.status, report.filled, report.fills) == (
            last.status,
            last.filled,
            last.fills,
        )


def check_stops(engine: Engine, now: int) -> None:
    """With a fair venue a triggered stop is done, but for what says why it may not be."""
    for parent in engine.order_store.active.values():
        if not parent.triggered or parent.terminal or parent.verdict is not None:
            continue
        if parent.signal.algo == "stop_limit":
            continue  # it rests at its limit
        market = engine.markets[VENUE, parent.signal.symbol]
        if market.crossed or now - parent.accepted_ns < 30 * SECOND:
            continue  # the market was left locked, or it has only just triggered
        in_doubt = any(child.state.value == "quarantined" for child in parent.children)
        assert in_doubt or parent.reason_code in STOPPED, (parent.reason_code, parent)


def check_time_limit(parent: Parent, now: int, seconds: int) -> None:
    """A parent with a time limit has ended in time, unless an order of it is in doubt."""
    timed = parent.signal.algo in ("chase_limit", "marketable_limit", "ladder", *NAMES)
    rests = dict(parent.signal.params).get("on_timeout") == "rest"
    in_doubt = any(child.state.value == "quarantined" for child in parent.children)
    if timed and not rests and not parent.own and not in_doubt:
        since = (now - max(parent.accepted_ns, START)) / SECOND
        assert since < 35 + seconds, parent
        assert _held_up(parent, now), parent


def _held_up(parent: Parent, now: int) -> bool:
    """Only its own working time may keep a parent with a time limit alive."""
    limit = dict(parent.signal.params).get("time_limit_ms", 10_000)
    assert isinstance(limit, int)
    return now - parent.accepted_ns < limit * MS + 15 * SECOND


def check_end(engine: Engine, paper: PaperVenue, reports: Mapping[str, PublishReport]) -> None:
    """Nothing is open, and engine, reports and venue agree on every fill, position and balance."""
    assert engine.order_store.active == {}, engine.order_store.active
    assert [order for order in paper.orders.values() if order.open] == []
    fills: dict[str, int] = {}
    held: dict[str, Decimal] = {}
    for order in paper.orders.values():
        rules = INSTRUMENTS[VENUE, order.symbol]
        found = engine.order_store.children.get(order.client_id)
        assert found is not None, order
        parent, child = found
        fills[parent.id] = fills.get(parent.id, 0) + order.filled_lots
        assert child.filled == child.seen_lots == order.filled_lots, (child, order)
        sign = 1 if order.side == "buy" else -1
        for fill in order.fills:
            change = sign * rules.quantity(fill.quantity_lots)
            if rules.kind == "spot" and fill.fee_currency == rules.base:
                change -= fill.fee
            held[order.symbol] = held.get(order.symbol, Decimal(0)) + change
    for parent in engine.order_store.known.values():
        assert parent.state in PARENT_TERMINAL, parent
        assert parent.state is not ParentState.ANOMALY, parent
        assert parent.fills_complete
        assert parent.filled == fills.get(parent.id, 0), parent
        report = reports[parent.id]
        lot = Decimal(1) if parent.instrument is None else parent.instrument.lot
        assert report.filled == lot * parent.filled
        assert sum((fill.quantity for fill in report.fills), Decimal(0)) == report.filled
        assert report.revision == parent.revision
    for venue, symbol in INSTRUMENTS:
        position = engine.portfolio.quantity(venue, symbol)
        assert position == held.get(symbol, Decimal(0)), symbol
        theirs = paper.ledger.positions.get(symbol)
        if theirs is not None:
            assert position == theirs.quantity
    for currency, purse in paper.ledger.purses.items():
        balance = engine.portfolio.balance(VENUE, currency)
        assert balance is not None
        assert (balance.free, balance.used) == (purse.free, purse.used), currency


def check_rates(venue: VenueConfig, times: Sequence[int]) -> None:
    """No more requests than the venue takes."""
    for first in range(0, len(times), 5):
        for last in range(first + venue.message_burst, len(times), 11):
            most = venue.message_burst + (
                (times[last] - times[first]) * venue.messages_per_second / SECOND
            )
            assert last - first + 1 <= most + 1
