"""Each parent order in a process of its own, forked where it begins.

One process plays the recording and keeps the books. At each start it forks once for every order: the
child continues from exactly the same state, works its order to the end, and reports one row. So no
order meets another, and what came before the start (order flow, volatility) is known to all.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from bisect import bisect_right
from dataclasses import asdict, dataclass
from decimal import Decimal, getcontext, setcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.arithmetic import DECISIONS
from citadel_micro.core.model.events import (
    FeedStatus,
    OperatorCommand,
    Side,
    Started,
    StreamProof,
)
from citadel_micro.core.orders.execution_reports import status
from citadel_micro.core.orders.tca import shortfall
from citadel_micro.offline.account import engine_config, paper_venue
from citadel_micro.offline.driver import OfflineDriver
from citadel_micro.offline.work import SIGNAL_ID, WorkOrder, signal_of
from citadel_micro.sim.queue_model import QueueModel
from citadel_micro.sim.rng import key_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.offline.study.plans import Plan
    from citadel_micro.offline.study.tape import Tape

SECOND_NS: Final = 1_000_000_000
MARKOUTS_NS: Final = (100_000_000, SECOND_NS, 5 * SECOND_NS, 30 * SECOND_NS)
_LEVELS: Final = 1_000
_BETWEEN: Final = (StreamProof, FeedStatus)


class Ask(NamedTuple):
    """One order at every start. ``quantity`` is in the units of the recording's books."""

    side: Side
    quantity: Decimal
    plan: Plan


class Fill(NamedTuple):
    """One fill of a parent. ``sign`` is 1 for a buy."""

    at_ns: int
    lots: int
    maker: bool


@dataclass(slots=True)
class Row:
    """What one parent order came to. Costs are signed bps of its arrival value; positive costs."""

    plan: str
    side: str
    quantity: str
    start: int
    cost_bps: float
    """Implementation shortfall with fees, the rest that stayed unfilled charged as a crossing at the
    end: what the book then showed, and the taker's fee, on top of the market's move. NaN: rejected."""
    filled: float
    """Share of the target."""
    maker: float
    """Share of what was filled."""
    seconds: float
    reprices: int
    status: str
    reason: str
    fills: list[Fill]
    markouts: tuple[float | None, ...] = ()
    """How far the mid moved our way after the maker fills, by ``MARKOUTS_NS``; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a study is made."""

    starts: int
    horizon_ns: int
    queue_model: QueueModel = "expected"
    seed: int = 1
    jobs: int = 2


def run(tape: Tape, asks: Sequence[Ask], settings: Settings) -> tuple[list[Row], int]:
    """All orders of a study on one recording: (rows, time between two starts in ns).

    Raises:
        BadInput: the recording is shorter than a parent's time, or its book never fit to trade on.
    """
    others = getcontext()
    setcontext(DECISIONS)
    gc.collect()
    gc.freeze()
    try:
        return _run(tape, asks, settings)
    finally:
        gc.unfreeze()
        setcontext(others)


def _run(tape: Tape, asks: Sequence[Ask], settings: Settings) -> tuple[list[Row], int]:
    instrument = tape.instrument
    key = (instrument.venue, instrument.symbol)
    begin_ns, end_ns = tape.steps[0][0], tape.steps[-1][0]
    room_ns = end_ns - begin_ns - settings.horizon_ns
    if room_ns <= 0:
        raise BadInput(
            f"it lasts {(end_ns - begin_ns) / 1e9:.0f} s, an order {settings.horizon_ns / 1e9:.0f} s",
            where=tape.name,
            mend="take a longer recording, or a shorter --horizon",
        )
    every_ns = room_ns // settings.starts
    driver = OfflineDriver(
        Engine(engine_config(instrument, tape.integrity), {key: instrument}),
        paper_venue(
            instrument,
            queue_model=settings.queue_model,
            seed=settings.seed,
            self_trade=tape.self_trade,
        ),
    )
    driver.post(Started(state={}, damaged=""), begin_ns)
    pool = _Pool(settings.jobs)
    market = driver.engine.markets[key]
    mids = Mids()
    start = 0
    for index, (recv_ns, events) in enumerate(tape.steps):
        if isinstance(events, _BETWEEN):
            driver.post(events, recv_ns)
            continue
        due = start < settings.starts and recv_ns >= begin_ns + start * every_ns
        if due and not driver.engine.reconciling and driver.engine.inst_states[key].fit:
            driver.advance(recv_ns)
            for ask in asks:
                pool.fork(partial(_work, driver, tape, ask, settings, (start, index, recv_ns)))
            start = (recv_ns - begin_ns) // every_ns + 1
        for event in events:
            driver.market(event, recv_ns)
        mids.add(recv_ns, market)
    rows = pool.rows()
    if not rows:
        raise BadInput("its book was never fit to trade on", where=tape.name)
    for row in rows:
        row.markouts = mids.markouts(row)
    rows.sort(key=lambda row: (row.plan, row.side, Decimal(row.quantity), row.start))
    return rows, every_ns


def _work(
    driver: OfflineDriver,
    tape: Tape,
    ask: Ask,
    settings: Settings,
    at: tuple[int, int, int],
) -> Row:
    """In the child: the order, from its start to its end."""
    start, index, now_ns = at
    paper = driver.paper
    paper.restore({**paper.to_state(), "rng": key_of(settings.seed, tape.name, start)})
    order = WorkOrder(
        capture=Path(tape.name),
        venue=tape.instrument.venue,
        symbol=tape.instrument.symbol,
        side=ask.side,
        quantity=ask.quantity,
        algo=ask.plan.algo,
        params=ask.plan.params,
    )
    driver.post(signal_of(order, now_ns, tape.instrument.contract_size), now_ns)
    parent = driver.engine.order_store.known[SIGNAL_ID]
    until_ns = now_ns + settings.horizon_ns
    for recv_ns, events in tape.steps[index:]:
        if parent.terminal or recv_ns > until_ns:
            break
        now_ns = recv_ns
        if isinstance(events, _BETWEEN):
            driver.post(events, recv_ns)
            continue
        for event in events:
            driver.market(event, recv_ns)
    if not parent.terminal:
        why = "the time of the study is over"
        stop = OperatorCommand(action="shutdown", scope="global", trip_id="", reason=why)
        driver.post(stop, now_ns)
        driver.advance(now_ns + 60 * SECOND_NS)
    market = driver.engine.markets[tape.instrument.venue, tape.instrument.symbol]
    return _row(parent, ask, start, market)


def _row(parent: Parent, ask: Ask, start: int, market: MarketBook) -> Row:
    rules = parent.instrument
    fills = [fill for child in parent.children for fill in child.fills]
    cost = shortfall(parent)
    filled = parent.filled / parent.target if parent.target else 0.0
    total = float("nan") if cost is None else cost.total_bps
    if filled < 1.0 and rules is not None:
        left = (parent.target - parent.filled) * rules.lot_float
        total += (1.0 - filled) * (
            _crossing_bps(market, ask.side, left) + float(rules.taker_fee) * 10_000
        )
    maker = sum(fill.quantity_lots for fill in fills if fill.liquidity == "maker")
    return Row(
        plan=ask.plan.name,
        side=ask.side,
        quantity=f"{ask.quantity.normalize():f}",
        start=start,
        cost_bps=total,
        filled=filled,
        maker=maker / parent.filled if parent.filled else 0.0,
        seconds=(parent.done_ns - parent.created_ns) / 1e9 if parent.done_ns else 0.0,
        reprices=parent.reprices,
        status=status(parent),
        reason=parent.reason_code,
        fills=[
            Fill(fill.exchange_ns, fill.quantity_lots, fill.liquidity == "maker") for fill in fills
        ],
    )


def _crossing_bps(market: MarketBook, side: Side, quantity: float) -> float:
    """What the shown book would charge for this much, from the mid; the last level for all beyond it."""
    best = market.best()
    if best is None:
        return 0.0
    mid = (best[0] + best[2]) / 2
    bids, asks = market.book.top(_LEVELS)
    left, paid, price = quantity, 0.0, mid
    for price, size in asks if side == "buy" else bids:
        got = min(left, size)
        paid += got * price
        left -= got
        if left <= 0:
            break
    paid += left * price
    return abs(paid / quantity / mid - 1) * 10_000 if quantity else 0.0


class Mids:
    """The recording's mids, to see where the market went after a fill."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._mids: list[float] = []

    def add(self, now_ns: int, market: MarketBook) -> None:
        """Note the mid after a message."""
        best = market.best()
        if best is not None and market.state == "LIVE":
            mid = (best[0] + best[2]) / 2
            if not self._mids or mid != self._mids[-1]:
                self._times.append(now_ns)
                self._mids.append(mid)

    def at(self, now_ns: int) -> float | None:
        """The last mid up to a time."""
        place = bisect_right(self._times, now_ns)
        return self._mids[place - 1] if place else None

    def markouts(self, row: Row) -> tuple[float | None, ...]:
        """Mean over the maker fills, by size: the move of the mid our way, in bps, from just before."""
        sign = 1 if row.side == "buy" else -1
        found: list[float | None] = []
        for horizon_ns in MARKOUTS_NS:
            total = weight = 0.0
            for at_ns, lots, maker in row.fills:
                before, after = self.at(at_ns - 1), self.at(at_ns + horizon_ns)
                if maker and before and after:
                    total += lots * sign * (after / before - 1) * 10_000
                    weight += lots
            found.append(total / weight if weight else None)
        return tuple(found)


class _Pool:
    """Forked children, at most so many at once; each writes one row into its pipe."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._live: list[tuple[int, int]] = []
        self._rows: list[Row] = []

    def fork(self, work: Callable[[], Row]) -> None:
        """Run it in a child; waits for the oldest one while there are too many."""
        while len(self._live) >= self._jobs:
            self._collect()
        reader, writer = os.pipe()
        child = os.fork()
        if child:
            os.close(writer)
            self._live.append((child, reader))
            return
        code = 1
        try:
            gc.disable()
            os.close(reader)
            data = json.dumps(asdict(work())).encode()
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(data)
            code = 0
        except BaseException:  # noqa: BLE001 - nothing of the child may go on in the parent's code
            import traceback  # noqa: PLC0415

            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def rows(self) -> list[Row]:
        """All rows, once every child has ended."""
        while self._live:
            self._collect()
        return self._rows

    def _collect(self) -> None:
        child, reader = self._live.pop(0)
        with os.fdopen(reader, "rb") as pipe:
            data = pipe.read()
        _, ended = os.waitpid(child, 0)
        if ended:
            msg = "an order of the study failed; its error is above"
            raise SystemExit(msg)
        row = json.loads(data)
        row["fills"] = [Fill(*fill) for fill in row["fills"]]
        self._rows.append(Row(**row))
