"""Every remembered parent, and what has to be stored and reported about it."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import OrderFilled
from citadel_micro.core.orders.execution_reports import FILLS, report, report_key
from citadel_micro.core.orders.order_records import (
    CHILD_KEY,
    PARENT_KEY,
    child_state,
    fill_key,
    fill_state,
    parent_state,
)
from citadel_micro.core.orders.orders import Parent
from citadel_micro.core.orders.remembered_ids import Ended, Remembered
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.command_buffer import CommandBuffer
    from citadel_micro.core.model.commands import PublishReport
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.portfolio.portfolio import Portfolio

CHILD_RETENTION_NS: Final = 3_600_000_000_000
"""How long a child that closed without a fill is remembered, against late reports."""
SURPLUS: Final = 1_000
"""Number of orders beyond ``retention_count`` kept until the next clean-up."""
MOST_FILLS: Final = 100_000
"""Of all remembered parents: 25 MB in the first record of the next run's journal."""
FREE_FILLS: Final = 100
"""A parent with more fills than this is not reported at every one of them ..."""
FILL_PAUSE_NS: Final = 1_000_000
"""... but after this long for each that it has: a report holds them all, so the cost of a report
at every fill would grow with their square."""

_FILL: Final = tuple(each.name for each in fields(OrderFilled) if each.name != "exact")
_fill_values: Final = attrgetter(*_FILL)


class OrderStore:
    """Parents by signal id and children by client id, with their durable form and reports.

    Parents are touched while an event is handled; ``flush`` then stores each once and reports it
    once if something reportable has changed.
    """

    def __init__(
        self,
        config: EngineConfig,
        inst_states: Mapping[tuple[str, str], InstrumentState],
        portfolio: Portfolio,
        out: CommandBuffer,
    ) -> None:
        self.known: dict[str, Parent] = {}
        """All that are remembered, oldest first."""
        self.active: dict[str, Parent] = {}
        """Those that are open, or have something live or unsettled."""
        self.awake: dict[str, Parent] = {}
        """Of these, all but the stops that only the market can wake."""
        self.children: dict[str, tuple[Parent, Child]] = {}
        self.remembered = Remembered(out, config.retention_ns)
        """Ids of orders that are not kept, or have not come yet."""
        self.changed = False
        """``flush`` has something to do."""
        self.fills: list[OrderFilled] = []
        """Booked while this event is handled."""
        self.traded: dict[tuple[str, str], None] = {}
        """Instruments with orders placed since the account's trades there were last read."""
        self.unreported: list[Parent] = []
        """What ``flush`` has stored and ``reports`` has still to report, in order."""
        self.doubted: dict[tuple[str, str], None] = {}
        """Instruments where the venue has rejected reducing a position of ours."""
        self.count = 0
        """Parents ever created, over all runs."""
        self._config = config
        self._inst_states = inst_states
        self._portfolio = portfolio
        self._out = out
        self._holdings_changed = False
        self._fill_rows: list[dict[str, object]] = []
        self._last_fills: list[dict[str, object]] = []
        self._touched: dict[str, Parent] = {}
        self._repeat: dict[str, Parent] = {}
        self._late: dict[str, Parent] = {}
        """Their last fills are stored and not yet reported."""
        self._crowded = config.retention_count + SURPLUS
        """Number of parents at which old ones are dropped before the next clean-up."""

    def open(self, signal: SignalReceived, now_ns: int, *, own: bool) -> Parent:
        """A new parent, GATING."""
        if len(self.known) >= self._crowded:
            self.forget_old(now_ns)
        self.remembered.names.add(signal.owner)
        self.count += 1
        self._out.durable["seq"] = self.count
        parent = Parent(
            signal=signal,
            instrument=None,
            number=self.count,
            own=own,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        self.known[parent.id] = parent
        self.active[parent.id] = self.awake[parent.id] = parent
        return parent

    def index(self, parent: Parent, child: Child) -> None:
        """Find it by its client id from now on."""
        self.traded[parent.signal.venue, parent.signal.symbol] = None
        self.children[child.client_id] = (parent, child)

    def activate(self, parent: Parent) -> None:
        """Something of it is live, whether or not it had ended."""
        if parent.id not in self.active:
            self.active[parent.id] = self.awake[parent.id] = parent
        if parent.instrument is not None:
            inst = self._inst_states[parent.instrument.venue, parent.instrument.symbol]
            inst.admit(parent)

    def retire(self, parent: Parent) -> None:
        """It has ended and needs no further attention."""
        self.active.pop(parent.id, None)
        self.awake.pop(parent.id, None)
        if parent.instrument is not None:
            inst = self._inst_states[parent.instrument.venue, parent.instrument.symbol]
            inst.held.remove(parent)
            inst.release(parent)

    def hold(self, parent: Parent, inst: InstrumentState) -> None:
        """It is a stop that waits for the market."""
        self.awake.pop(parent.id, None)
        inst.held.add(parent)

    def rearm(self, parent: Parent, inst: InstrumentState) -> None:
        """A held stop was checked: whether it needs every further update."""
        armed = parent.algo is not None and parent.algo.armed
        inst.held.arm(parent, armed=armed)
        if armed:
            self.awake[parent.id] = parent
        else:
            self.awake.pop(parent.id, None)

    def release(self, parent: Parent, inst: InstrumentState) -> None:
        """It was triggered."""
        inst.held.remove(parent)
        self.awake[parent.id] = parent

    # storing and reporting

    def touch(self, parent: Parent) -> None:
        """It has changed, or may have."""
        self._touched[parent.id] = parent
        self.changed = True

    def repeat(self, parent: Parent) -> None:
        """Report its current state again, whatever was reported before."""
        self._repeat[parent.id] = parent
        self.changed = True

    def booked(self, fill: OrderFilled, mid_half_ticks: int) -> None:
        """A fill has changed the portfolio."""
        self.holdings_changed()
        self.fills.append(fill)
        # Not ``asdict``, which copies each value and takes twenty times as long.
        row = dict(zip(_FILL, _fill_values(fill), strict=True))
        row |= {"fee": str(fill.fee), "mid_half_ticks": mid_half_ticks}
        if fill.exact is not None:  # left out as in journals of earlier versions
            row["exact"] = fill.exact.row()
        self._fill_rows.append(row)

    @property
    def late(self) -> bool:
        """Whether ``report_late`` has something to report."""
        return bool(self._late)

    def report_late(self) -> None:
        """Report what was postponed. To be called several times a second."""
        for parent in self._late.values():
            self.touch(parent)

    def holdings_changed(self) -> None:
        """The portfolio has to be stored."""
        self._holdings_changed = True
        self.changed = True

    def flush(self, now_ns: int) -> None:
        """Store what was touched, and list what is to be reported. To be called at the end of every event.

        The portfolio is stored first, with the fills that it has just booked: recovery relies
        on it.
        """
        self.changed = False
        if self.unreported:
            raise InvariantError("reports of an event were not taken before the next one")
        if self._holdings_changed:
            self._holdings_changed = False
            if self._fill_rows:
                self._last_fills, self._fill_rows = self._fill_rows, []
            self._out.durable["portfolio"] = {
                "holdings": self._portfolio.to_state(),
                "last_fills": self._last_fills,
                **self._worth(),
            }
            self.fills = []
        if self._touched:
            for parent in self._touched.values():
                self._flush(parent, now_ns)
            self._touched.clear()
        if self._repeat:
            self.unreported += self._repeat.values()
            self._repeat.clear()

    def reports(self) -> list[PublishReport]:
        """Reports of what ``flush`` has listed, once. Nothing may have changed since."""
        made = [report(parent, self._portfolio) for parent in self.unreported]
        self.unreported.clear()
        return made

    def _worth(self) -> dict[str, object]:
        """What the account is worth, for the curve that is made of a journal; never read back."""
        if not self._config.wide_valuation:
            return {}
        equity = self._portfolio.equity()
        return {"equity": None if equity is None else str(equity)}

    def _flush(self, parent: Parent, now_ns: int) -> None:
        news = report_key(parent)
        if news == parent.last_report_key:
            pass
        elif _can_wait(parent, news, now_ns):
            self._late[parent.id] = parent
        else:
            self._late.pop(parent.id, None)
            parent.last_report_key = news
            parent.reported_fills = parent.fills
            parent.revision += 1
            parent.updated_ns = now_ns
            self.unreported.append(parent)
            self._repeat.pop(parent.id, None)
        state = parent_state(parent)
        if state != parent.written:
            parent.written = state
            self._out.durable[PARENT_KEY + parent.id] = state
        # After their parent: a child without its parent after a crash was never sent.
        for child in parent.unstored.values():
            self._out.durable[CHILD_KEY + child.client_id] = child_state(parent, child)
            for number in range(child.stored_fills, len(child.fills)):
                self._out.durable[fill_key(child, number)] = fill_state(child.fills[number])
            child.stored_fills = len(child.fills)
        parent.unstored.clear()

    def forget_old(self, now_ns: int) -> None:
        """Drop what has ended long ago, or is too much, except ids that may still act."""
        config = self._config
        oldest_ns = now_ns - config.retention_ns
        surplus = len(self.known) - config.retention_count
        surplus_fills = sum(parent.fills for parent in self.known.values()) - MOST_FILLS
        for signal_id, parent in tuple(self.known.items()):
            too_much = surplus > 0 or surplus_fills > 0
            if not too_much and parent.created_ns > oldest_ns:
                break
            if signal_id in self.active or (not too_much and parent.done_ns > oldest_ns):
                continue
            if any(signal_id in waiting for waiting in (self._touched, self._repeat, self._late)):
                continue  # about to be stored or reported
            surplus -= 1
            surplus_fills -= parent.fills
            del self.known[signal_id]
            self.remembered.end(signal_id, Ended.of(parent), now_ns)
            self._out.durable[PARENT_KEY + signal_id] = None
            for child in parent.children:
                self._forget_child(child)
        self._crowded = max(len(self.known), config.retention_count) + SURPLUS
        for parent in self.known.values():
            self._forget_children(parent, now_ns - CHILD_RETENTION_NS)
        self.remembered.forget_old(now_ns)

    def _forget_children(self, parent: Parent, oldest_ns: int) -> None:
        """Drop those that closed without a fill long ago, except the last one."""
        children = parent.children
        if len(children) < 2:  # noqa: PLR2004 - the last one and no other
            return
        kept: list[Child] = []
        looked_at = 0
        for child in children[:-1]:
            if child.terminal and child.filled == 0:
                if child.done_ns >= oldest_ns:
                    break  # those after it ended later
                self._forget_child(child)
            else:
                kept.append(child)
            looked_at += 1
        children[:looked_at] = kept

    def _forget_child(self, child: Child) -> None:
        self.children.pop(child.client_id, None)
        self._out.durable[CHILD_KEY + child.client_id] = None
        for number in range(child.stored_fills):
            self._out.durable[fill_key(child, number)] = None


def _can_wait(parent: Parent, news: tuple[object, ...], now_ns: int) -> bool:
    """Whether only further fills are new, and many were just reported."""
    if len(parent.last_report_key) != len(news):
        return False
    others = [one == other for one, other in zip(parent.last_report_key, news, strict=True)]
    fills = parent.fills
    return (
        fills > FREE_FILLS
        and all(others[:FILLS] + others[FILLS + 2 :])
        and now_ns - parent.updated_ns < fills * FILL_PAUSE_NS
    )
