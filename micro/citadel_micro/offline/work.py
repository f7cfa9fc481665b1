"""Working one parent order on a capture: the composition, without output files or printing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, getcontext, setcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos import DEFAULT, algorithm
from citadel_micro.core.algos.base import Value
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.arithmetic import DECISIONS
from citadel_micro.core.model.events import (
    FeedStatus,
    OperatorCommand,
    Side,
    SignalReceived,
    Started,
    StreamProof,
)
from citadel_micro.offline.account import engine_config, paper_venue
from citadel_micro.offline.driver import NEVER, OfflineDriver
from citadel_micro.offline.passing import Passing
from citadel_micro.offline.prepared_cache import Source
from citadel_micro.offline.result import describe
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_micro.sim.queue_model import QueueModel
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.offline.driver import Journal

_BETWEEN: Final = (StreamProof, FeedStatus)
"""What comes between frames. A union would be made anew for each of them."""
SIGNAL_ID: Final = "work-1"
SECOND_NS: Final = 1_000_000_000
_SIGNAL_LIFE_NS: Final = 30 * 86_400 * SECOND_NS
"""Longer than any capture, so that an order without a working time ends with its capture."""
_LONGEST_NS: Final = 30 * 86_400 * SECOND_NS
"""A longer gap between two lines is a wrong time; every timer within it would be executed."""
_LATEST_NS: Final = 4_102_444_800 * SECOND_NS
"""The year 2100: anything far beyond it counts as never."""
_DRAIN_NS: Final = 60 * SECOND_NS
"""Virtual time for working orders to be canceled and confirmed when the capture ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOrder:
    """The order to work, and its capture. ``start_after_s`` counts from the first frame."""

    capture: Path
    venue: str
    symbol: str
    side: Side
    quantity: Decimal
    algo: str = DEFAULT
    params: tuple[tuple[str, Value], ...] = ()
    limit_price: Decimal | None = None
    start_after_s: float = 0.0
    instruments: Path | None = None
    queue_model: QueueModel = "expected"
    seed: int = 1
    cache: Path | None = None
    """Folder of prepared captures; None to decode the capture, and to keep nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """The outcome as plain data, and how many frames it took."""

    outcome: dict[str, object]
    frames: int
    doubt: str = ""
    """Empty, or why the book, and so the outcome, is only partly reliable."""
    prepared: bool = False
    """The capture's events were in the cache."""
    note: str = ""
    """Empty, or why they were not kept there."""


def work(
    order: WorkOrder,
    open_journal: Callable[[EngineConfig, Instrument, int], Journal] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> Worked:
    """Work the order on the capture.

    Args:
        order: the order.
        open_journal: called once with the configuration, the instrument and the first time.
        on_ready: called when the rules are known and the frames begin, for timing.

    Raises:
        BadInput: venue, symbol, capture, quantity or parameters that cannot be used.
    """
    others = getcontext()
    setcontext(DECISIONS)  # here, since the engine would have to for each frame
    try:
        return _work(order, open_journal, on_ready)
    finally:
        setcontext(others)


def _work(
    order: WorkOrder,
    open_journal: Callable[[EngineConfig, Instrument, int], Journal] | None,
    on_ready: Callable[[], None] | None,
) -> Worked:
    spec = venue_spec(order.venue)
    algorithm(order.algo).make(order.params).check(signal_of(order, 0))
    found = Source(
        order.capture, order.venue, order.symbol, folder=order.cache, file=order.instruments
    )
    instrument, source = found.rules
    smallest = max(1, instrument.min_lots)
    if instrument.lots(order.quantity) < smallest:
        raise BadInput(
            f"quantity {order.quantity:f} is below the minimum",
            where=f"{order.symbol} on {order.venue}",
            allowed=f"at least {instrument.quantity(smallest):f}",
            mend=f"raise --quantity; the minimum is {source}",
        )
    config = engine_config(instrument, spec.integrity)
    engine = Engine(config, {(order.venue, order.symbol): instrument})
    paper = paper_venue(
        instrument, queue_model=order.queue_model, seed=order.seed, self_trade=spec.self_trade
    )
    if on_ready is not None:
        on_ready()
    driver: OfflineDriver | None = None
    passing = Passing(iter(found.steps()))
    frames = 0
    start_ns = now_ns = 0
    parent: Parent | None = None
    while (step := passing.next(now_ns, start_ns if parent is None else NEVER)) is not None:
        recv_ns, events = step
        now_ns = max(now_ns, passing.now_ns)
        if recv_ns - now_ns > _LONGEST_NS and (frames or recv_ns > _LATEST_NS):
            raise BadInput(
                f"the time of receipt jumps by {(recv_ns - now_ns) // (86_400 * SECOND_NS)} days",
                where=f"{order.capture}, after {frames + passing.frames} frames",
                mend="cut the capture there; each part can be worked by itself",
            )
        if recv_ns > now_ns:  # noqa: PLR1730 - max() takes three times as long
            now_ns = recv_ns
        if type(events) is not tuple and isinstance(events, _BETWEEN):  # most are a tuple
            if driver is not None:
                driver.post(events, now_ns)
            continue
        frames += 1
        if driver is None:
            journal = None if open_journal is None else open_journal(config, instrument, now_ns)
            driver = OfflineDriver(engine, paper, journal)
            passing.play(driver, (order.venue, order.symbol))
            driver.post(Started(state={}, damaged=""), now_ns)
            start_ns = now_ns + int(order.start_after_s * SECOND_NS)
        if parent is None and now_ns >= start_ns and _ready(engine, order):
            driver.post(signal_of(order, now_ns, instrument.contract_size), now_ns)
            # Held here: a parent that ended a day before the capture is dropped from the store.
            parent = engine.order_store.known[SIGNAL_ID]
        for event in events:
            driver.market(event, now_ns)
    if driver is None or parent is None:
        raise BadInput(
            f"the book of {order.symbol} was never fit to trade on after {order.start_after_s:g} s",
            where=str(order.capture),
            mend="check --symbol and --venue, or lower --start-after",
        )
    now_ns = max(now_ns, passing.now_ns)
    doubt = _doubt(engine.markets[order.venue, order.symbol])  # before the silence that follows
    if not parent.terminal:
        stop = OperatorCommand(
            action="shutdown", scope="global", trip_id="", reason="the capture ends"
        )
        driver.post(stop, now_ns)
        driver.finish(now_ns + _DRAIN_NS)
    return Worked(
        outcome=describe(driver, parent, instrument, source),
        frames=frames + passing.frames,
        doubt=doubt,
        prepared=found.prepared is not None,
        note=found.note,
    )


def _doubt(market: MarketBook) -> str:
    if market.state == "LIVE" and not market.gaps:
        return ""
    why = f" ({market.reason})" if market.reason else ""
    return (
        f"the book had {market.gaps} gaps and was {market.state} at the end{why}; if that is "
        "unexpected, check --venue, and the capture with `citadel books`"
    )


def _ready(engine: Engine, order: WorkOrder) -> bool:
    return not engine.reconciling and engine.inst_states[order.venue, order.symbol].fit


def signal_of(order: WorkOrder, now_ns: int, contract_size: Decimal = Decimal(1)) -> SignalReceived:
    """The order as a signal, in coins; the order is in the units of the capture's books."""
    return SignalReceived(
        signal_id=SIGNAL_ID,
        strategy="work",
        venue=order.venue,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity * contract_size,
        kind="order",
        order_type="limit",
        limit_price=order.limit_price,
        stop_price=None,
        time_in_force="GTC",
        reduce_only=False,
        leverage=Decimal(1),
        algo=order.algo,
        params=tuple(sorted(order.params)),
        confidence=None,
        model_id="",
        tag="",
        candle_ns=0,
        created_ns=now_ns,
        expires_ns=now_ns + _SIGNAL_LIFE_NS,
        epoch=1,
        seq=1,
    )
