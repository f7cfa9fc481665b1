"""Walks through a journal with an engine, as a replay does, and notes what happened to every order.

The engine keeps the books as it kept them in the run, so the market at any moment is the one that decided
then. Its commands say where the children stood, its reports what became of the orders.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.engine.foreign_reports import is_foreign
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.events import (
    DepthUpdate,
    FeedStatus,
    OrderDone,
    OrderFilled,
    OrderRejected,
    QuoteTick,
    SignalReceived,
    TradeTick,
)
from citadel_micro.offline.tca.market_past import MarketPast
from citadel_micro.offline.tca.orders import (
    HORIZONS_NS,
    MOST_POINTS,
    Fill,
    Instead,
    Order,
    Point,
    Standing,
)
from citadel_micro.offline.tca.other_ways import NOT_OVER, FreqtradeAlone, Pace, Resting, sweep
from citadel_micro.shell.journal.reader import JournalReader, event_of
from citadel_proto.tape import EVENT

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
    from citadel_micro.offline.tca.market_past import Best

ENDED: Final = frozenset({"filled", "canceled", "expired", "rejected", "done_dust", "anomaly"})
"""Statuses of a report after which nothing is placed."""
_MARKET: Final = (DepthUpdate, QuoteTick, TradeTick, FeedStatus)
Key = tuple[str, str]


class Walk:
    """One journal.

    Args:
        path: the journal.
        before: the walk through the journal of the run before it; its orders that had not ended go on.
        pace: Freqtrade's own.

    Raises:
        BadInput, DecodeError: it cannot be read, or is no journal.
    """

    def __init__(self, path: Path, before: Walk | None = None, pace: Pace | None = None) -> None:
        self._reader = JournalReader(path)
        header = self._reader.header
        self.lacks = self._reader.lacks
        """Parts of the journal that are missing, so that it cannot be walked."""
        self.run = header.run_id
        self._engine = Engine(header.config, header.instruments)
        self._venues = header.config.venues
        self._past = {
            key: MarketPast(self._engine.markets[key], rules)
            for key, rules in header.instruments.items()
        }
        self.orders: dict[str, Order] = {}
        """Those that began in it, or in a journal before and went on."""
        self.parents: dict[str, str] = {}
        """Child -> its parent."""
        if before is not None:
            open_ = {
                name: order
                for name, order in before.orders.items()
                if order.report.status not in ENDED and _key(order.report) in self._past
            }
            for order in open_.values():
                order.rested = Instead(why_not="micro was started again meanwhile")
                if order.alone.why_not == NOT_OVER:
                    order.alone = Instead(why_not="micro was started again meanwhile")
            self.orders |= open_
            self.parents |= {
                child: parent for child, parent in before.parents.items() if parent in open_
            }
        self._working: dict[Key, dict[str, Resting | None]] = {}
        self._pace = pace or Pace()
        self._exits: set[str] = set()
        """Signals that say they reduce a position."""
        self._alone: dict[Key, list[FreqtradeAlone]] = {}
        """Orders that Freqtrade alone would have at work, whatever has become of ours."""
        self.notes: list[str] = []

    def walk(self) -> list[Order]:
        """Read it to its end. The orders of ``orders``, in the order in which they came."""
        try:
            for record in self._reader.records():
                if record.direction != EVENT:
                    continue
                event = event_of(record)
                now_ns = record.recv_ns
                if isinstance(event, OrderFilled):
                    self._filled(event, now_ns)
                elif isinstance(event, SignalReceived) and event.reduce_only:
                    self._exits.add(event.signal_id)
                commands = self._engine.handle(event, now_ns)
                if isinstance(event, _MARKET):
                    self._moved(event, now_ns)
                elif isinstance(event, OrderDone | OrderRejected):
                    self._stands(event.client_id, 0, now_ns)
                # An order's first report comes after the first of its children.
                for command in commands:
                    if isinstance(command, PublishReport):
                        self._reported(command, now_ns)
                for command in commands:
                    if isinstance(command, Approved):
                        self._sent(command, now_ns)
            self.notes += filter(None, self._reader.ending())
        finally:
            self._reader.close()
        for order in self.orders.values():
            if order.report.status not in ENDED:
                order.ended = self._past[_key(order.report)].now
        return list(self.orders.values())

    def _moved(self, event: DepthUpdate | QuoteTick | TradeTick | FeedStatus, now_ns: int) -> None:
        key = (event.venue, event.symbol)
        past = self._past.get(key)
        if past is None:
            return
        exchange_ns = 0
        if isinstance(event, TradeTick):
            past.traded(now_ns, event.exchange_ns)
        elif isinstance(event, QuoteTick | DepthUpdate):
            exchange_ns = event.exchange_ns
        changed = past.note(now_ns, exchange_ns)
        alone = self._alone.get(key)
        if alone:
            for each in alone:
                if isinstance(event, TradeTick):
                    each.trade(event, now_ns)
                else:
                    each.moved(now_ns)
            alone[:] = [each for each in alone if not each.done]
        working = self._working.get(key)
        if not working:
            return
        for signal_id, resting in working.items():
            if resting is not None:
                if isinstance(event, TradeTick):
                    resting.trade(event, now_ns)
                else:
                    resting.moved(now_ns)
            best, points = past.now, self.orders[signal_id].points
            if changed and best is not None and len(points) < MOST_POINTS:
                points.append(Point(now_ns, best.bid, best.ask))

    def _filled(self, event: OrderFilled, now_ns: int) -> None:
        order = self.orders.get(self.parents.get(event.client_id, ""))
        past = self._past.get((event.venue, event.symbol))
        if (
            order is None
            or past is None
            or any(
                each.trade_id == event.trade_id and each.child_id == event.client_id
                for each in order.fills
            )
        ):
            return
        # A venue on paper lives in the engine's time; its fills are of this run's markets.
        if not self._venues[event.venue].shows_own_orders and event.exchange_ns:
            at_ns = min(now_ns, event.exchange_ns)
            exchange_ns = past.trade_time(at_ns)
        else:
            at_ns = past.engine_time(event.exchange_ns, now_ns)
            exchange_ns = event.exchange_ns
        fill = Fill(
            child_id=event.client_id,
            trade_id=event.trade_id,
            price_ticks=event.price_ticks,
            lots=event.quantity_lots,
            fee=event.fee,
            fee_currency=event.fee_currency,
            liquidity=event.liquidity,
            at_ns=at_ns,
            before=past.before(at_ns, exchange_ns),
        )
        order.fills.append(fill)
        for horizon in HORIZONS_NS:

            def tell(best: Best | None, horizon: int = horizon) -> None:
                fill.later[horizon] = best

            past.after(at_ns + horizon, now_ns, tell)

    def _sent(self, approved: Approved[PlaceOrder] | Approved[AmendOrder], now_ns: int) -> None:
        asked = approved.order
        self.parents[asked.client_id] = asked.parent_id
        order = self.orders.get(asked.parent_id)
        if order is not None and not order.released_ns:
            order.released_ns = now_ns
            order.release = self._past[asked.venue, asked.symbol].now
        self._stands(asked.client_id, asked.price_ticks, now_ns)

    def _stands(self, client_id: str, ticks: int, now_ns: int) -> None:
        order = self.orders.get(self.parents.get(client_id, ""))
        if order is not None and len(order.standing) < MOST_POINTS:
            order.standing.append(Standing(now_ns, client_id, ticks))

    def _reported(self, report: PublishReport, now_ns: int) -> None:
        key = _key(report)
        past = self._past.get(key)
        if past is None:
            return  # of no known instrument, so it was rejected
        if is_foreign(report):
            return  # a person at the exchange: what that has cost is no measure of ours
        order = self.orders.get(report.signal_id)
        if order is None:
            if report.revision > 1:
                return  # it began in an earlier run, whose journal has its beginning
            order = self.orders[report.signal_id] = Order(
                run=self.run,
                instrument=past.instrument,
                report=report,
                target=past.instrument.lots(report.quantity),
                arrived_ns=now_ns,
            )
        order.report = report
        working = self._working.setdefault(key, {})
        if order.arrival is None and report.arrival_mid > 0:
            self._arrived(order, past, now_ns, working)
        if report.status in ENDED and report.signal_id in working:
            order.ended = past.now
            resting = working.pop(report.signal_id)
            if resting is not None:
                resting.end()

    def _arrived(
        self, order: Order, past: MarketPast, now_ns: int, working: dict[str, Resting | None]
    ) -> None:
        """Its work begins: at its admission, a stop's at its trigger."""
        order.arrived_ns = now_ns
        best = order.arrival = past.now
        resting = None
        if best is not None and best.mid2 is not None:
            order.points.append(Point(now_ns, best.bid, best.ask))
            order.crossed = sweep(past, order.sign, order.target)
            touch = best.bid if order.sign > 0 else best.ask
            resting = Resting(order, past, touch, order.rested)
            self._go_alone(order, past, now_ns)
        else:
            order.crossed = Instead(why_not="no book")
            order.rested = Instead(why_not="no book")
            order.alone = Instead(why_not="no book")
        working[order.report.signal_id] = resting

    def _go_alone(self, order: Order, past: MarketPast, now_ns: int) -> None:
        report = order.report
        if report.own or report.kind == "stop":
            what = "a flattening" if report.own else "a stop"
            order.alone = Instead(why_not=f"{what} is not an order of Freqtrade's loop")
        elif report.order_type == "market":
            order.alone = replace(order.crossed)
        else:
            # Freqtrade is long only on spot: what is sold there is an exit.
            spot = order.instrument.kind == "spot"
            exits = report.side == "sell" if spot else report.signal_id in self._exits
            made = FreqtradeAlone(order, past, self._pace, exits=exits, now_ns=now_ns)
            if not made.done:
                self._alone.setdefault(_key(report), []).append(made)


def _key(report: PublishReport) -> Key:
    return report.venue, report.symbol
