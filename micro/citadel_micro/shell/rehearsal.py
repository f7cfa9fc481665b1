"""Orders that are never sent: they keep the way of an order in the caches of a core that never sleeps.

What has not run for some milliseconds has left the processor's caches, and takes nearly twice as long.
So while nothing happens, an order of its own goes through a second engine, with a book and an account
that exist nowhere: from the book's update over a macro's frame, both checks of the gate and the records of the
journal to the venue's signed request and the frame of the report. All of that is then dropped.

Nothing that counts is touched: not the run's engine, its journal, its books or its limits, and no byte
goes to a venue or a macro. Of the real adapter its formats and its signature are used alone (``Rehearses``),
of the bridge what it makes of bytes and of reports (``Wire``).
"""

from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import PlaceOrder, PublishReport
from citadel_micro.core.model.events import (
    BalancesUpdated,
    DepthUpdate,
    FeedStatus,
    OrderAccepted,
    OrderDone,
    Started,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.core.model.risk_limits import UNUSED
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.journal import records
from citadel_micro.shell.order_adapter import Rehearses
from citadel_proto import topics
from citadel_proto.codec import encode
from citadel_proto.errors import CitadelError
from citadel_proto.messages import Signal
from citadel_proto.tape import COMMAND, EVENT, TapeHeader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import Event
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.shell.order_adapter import OrderAdapter

log: Final = structlog.get_logger("rehearsal")

EVERY_NS: Final = 2_000_000
"""Between two steps, each of some 0.2 ms: more often, and frames that count would wait for one more often."""
PAUSES: Final = 9
"""A pause is at least so many times as long as the step before it: a signature can take milliseconds (RSA)."""
ORDERS: Final = 100
"""After so many a new engine is made: one remembers its orders for a day, and the collector walks them."""
LEVELS: Final = 20
MID_TICKS: Final = 1_000_000
PLENTY: Final = Decimal(10) ** 15
_MANY: Final = 10**9


class Wire(Protocol):
    """Micro's end of the bridge, for a signal and a report that are none: nothing is counted, kept or sent."""

    def rehearse_signal(self, frame: bytes) -> Event:
        """The event of a signal's frame."""

    def rehearse_report(self, report: PublishReport, now_ns: int) -> None:
        """Make the frame of a report, and drop it."""


class Rehearsals:
    """Those of every venue in turn, now and then.

    Args:
        config: of the run's engine.
        instruments: of the run; the first of each venue is rehearsed.
        venues: order adapters by venue id.
        now: engine time in ns.
        wire: the run's end of the bridge.
    """

    def __init__(
        self,
        config: EngineConfig,
        instruments: Mapping[tuple[str, str], Instrument],
        venues: Mapping[str, OrderAdapter],
        now: Callable[[], int],
        wire: Wire,
    ) -> None:
        self._now = now
        self._next_ns = 0
        first = {
            venue: instruments[venue, symbol] for venue, symbol in sorted(instruments, reverse=True)
        }
        self.each = [
            Rehearsal(config, first[venue], adapter.rehearse, wire)
            for venue, adapter in sorted(venues.items())
            if isinstance(adapter, Rehearses) and venue in first
        ]

    def turn(self) -> None:
        """Rehearse where it is time."""
        now_ns = self._now()
        if now_ns < self._next_ns or not self.each:
            return
        rehearsal = self.each.pop(0)
        try:
            rehearsal.step(now_ns)
        except (CitadelError, ArithmeticError, LookupError, ValueError) as error:
            # Without it nothing is missing but warm caches.
            log.warning("no more rehearsals", venue=rehearsal.venue, error=str(error))
        else:
            self.each.append(rehearsal)
        ended_ns = self._now()
        self._next_ns = ended_ns + max(EVERY_NS, PAUSES * (ended_ns - now_ns))


class _Nowhere(io.RawIOBase):
    """A file that keeps nothing."""

    def write(self, data: object) -> int:
        """As if all of it were written."""
        return len(data)  # type: ignore[arg-type]  # bytes


class Rehearsal:
    """Sends nothing, for one instrument.

    Args:
        config: of the run's engine.
        instrument: whose orders are rehearsed.
        prepare: signs the request of an order, and sends nothing.
        wire: reads the frame of a signal, and makes that of a report.
    """

    def __init__(
        self,
        config: EngineConfig,
        instrument: Instrument,
        prepare: Callable[[PlaceOrder], object],
        wire: Wire,
    ) -> None:
        self.venue = instrument.venue
        self.signed = 0
        """Requests that were signed, and dropped."""
        self._instrument = instrument
        self._prepare = prepare
        self._wire = wire
        venue = replace(
            config.venues[instrument.venue],
            integrity="range_bridge_spot",
            messages_per_second=1_000_000,
            message_burst=1_000_000,
            margined=False,
            on_demand=(),
        )
        self._config = replace(
            config,
            run_id="rehearsal",
            venues={instrument.venue: venue},
            references={},
            limits=_generous(config.limits, instrument),
        )
        self._journal = TapeWriter(_Nowhere(), TapeHeader(created_ns=0))  # type: ignore[arg-type]
        self._numbers = count(1)
        self._left = 0
        self._seq = 0
        self._order: PlaceOrder | None = None
        self._engine: Engine

    @property
    def pending(self) -> bool:
        """Its next step is the end of an order."""
        return self._order is not None

    def step(self, now_ns: int) -> None:
        """Go on: to the signed request of an order, or to its end.

        Args:
            now_ns: the run's time; that of this engine.
        """
        if self._order is not None:
            order, self._order = self._order, None
            self._end(order, now_ns)
            return
        if self._left <= 0:
            self._begin(now_ns)
        self._left -= 1
        self._handle(self._update(snapshot=False, now_ns=now_ns), now_ns)
        for command in self._handle(self._wire.rehearse_signal(self._frame(now_ns)), now_ns):
            if isinstance(command, PublishReport):
                self._wire.rehearse_report(command, now_ns)
            elif isinstance(command, Approved):
                placed = self._engine.risk.open(command)
                if isinstance(placed, PlaceOrder):
                    self._prepare(placed)
                    self.signed += 1
                    self._order = placed
        self._journal.flush()

    # inside

    def _begin(self, now_ns: int) -> None:
        """A new engine, ready to trade."""
        its = self._instrument
        self._left = ORDERS
        self._engine = Engine(self._config, {(its.venue, its.symbol): its})
        coins = dict.fromkeys((its.base, its.quote, its.settle))
        balances = tuple((each, PLENTY, Decimal(0)) for each in coins)
        for event in (
            Started(state={}, damaged=""),
            VenueStatus(venue=its.venue, up=True, reason="", dms_armed=True),
            VenueSnapshot(venue=its.venue, open_orders=(), balances=balances, exchange_ns=now_ns),
            BalancesUpdated(venue=its.venue, balances=balances, exchange_ns=now_ns),
            FeedStatus(venue=its.venue, symbol=its.symbol, up=True, reason=""),
            self._update(snapshot=True, now_ns=now_ns),
            self._update(snapshot=False, now_ns=now_ns),
        ):
            self._engine.handle(event, now_ns)

    def _handle(self, event: Event, now_ns: int) -> list[Command]:
        """As the runner, with a journal that keeps nothing."""
        if not isinstance(event, DepthUpdate):
            self._journal.append(EVENT, now_ns, records.encode(event))
        commands = self._engine.handle(event, now_ns)
        for command in commands:
            self._journal.append(COMMAND, now_ns, records.encode(command))
        return commands

    def _update(self, *, snapshot: bool, now_ns: int) -> DepthUpdate:
        self._seq += 1
        price, size = self._instrument.price_float, float(self._seq % 7 + 1) * 1e9
        return DepthUpdate(
            self._instrument.venue,
            self._instrument.symbol,
            snapshot,
            self._seq,
            self._seq,
            self._seq - 1,
            None,
            [(price(MID_TICKS - each), size) for each in range(LEVELS)],
            [(price(MID_TICKS + 1 + each), size) for each in range(LEVELS)],
            now_ns,
            now_ns,
        )

    def _frame(self, now_ns: int) -> bytes:
        """What a macro would send."""
        its, number = self._instrument, next(self._numbers)
        signal = Signal(
            signal_id=f"rehearsal-{number}",
            strategy="rehearsal",
            venue=its.venue,
            symbol=its.symbol,
            side="buy" if number % 2 else "sell",
            quantity=format(its.amount(its.min_lots_at(MID_TICKS) * 2), "f"),
            order_type="market",
            algo="marketable_limit",
            params={"repeat": False},
            created_ns=now_ns,
            expires_ns=now_ns + 3_600 * SECOND,
            epoch=1,
            seq=number,
        )
        return topics.join(topics.topic_of(signal), encode(signal))

    def _end(self, order: PlaceOrder, now_ns: int) -> None:
        """It has found nothing, so that no position begins."""
        names = {"venue": order.venue, "symbol": order.symbol, "client_id": order.client_id}
        self._handle(OrderAccepted(**names, venue_order_id="0", exchange_ns=now_ns), now_ns)
        done = OrderDone(
            **names, status="expired", cumulative_lots=0, reason="", exchange_ns=now_ns
        )
        self._handle(done, now_ns)


def _generous(limits: RiskLimits, instrument: Instrument) -> RiskLimits:
    """The run's limits, as far as they decide which way an order goes, and far from every one of them."""
    far: dict[str, Any] = {
        **dict.fromkeys(_MONEY, PLENTY),
        **{name: {"*": PLENTY} for name in _BY_NAME},
        **{name: UNUSED for name in _COUNTED if getattr(limits, name) != UNUSED},
        **{name: {} for name in _NARROWER},
    }
    return replace(
        limits,
        **far,
        max_open_orders=_MANY,
        lease_required=False,
        dms_venues=(),
        allowed_venues=(instrument.venue,),
        allowed_symbols=(instrument.symbol,),
        reference_symbols=(),
        sizing={},
        reporting_currency=instrument.settle,
    )


_MONEY: Final = (
    "max_order_notional",
    "max_position_notional",
    "max_gross_exposure",
    "max_net_exposure",
    "max_daily_loss",
    "max_rolling_loss",
    "max_drawdown",
)
_BY_NAME: Final = ("max_order_quantity", "max_position_quantity", "max_venue_exposure")
_NARROWER: Final = (
    "max_venue_order_notional",
    "groups",
    "max_group_exposure",
    "max_strategy_exposure",
    "max_owner_exposure",
)
_COUNTED: Final = (
    "max_messages_per_second",
    "max_identical_orders",
    "max_venue_rejects",
    "max_unfilled_messages",
    "max_repeated_entries",
    "loss_streak",
)
"""Limits that so many orders without a fill would reach."""
