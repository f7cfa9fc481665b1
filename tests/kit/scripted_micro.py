"""A micro that does what a test tells it, speaking the real messages over real sockets.

It keeps no risk limits and no market of its own: for each symbol and side a ``Script`` says whether an order is
filled, filled in part, left resting, rejected, or met with silence. Fees are exact: taken from what is received.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Self

import zmq
from scripted_orders import Parent, Quotes, Script, step_of

from citadel_bridge.channels import Inbox, Publisher
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_proto import topics
from citadel_proto.codec import decode_signal
from citadel_proto.messages import (
    TERMINAL_STATUSES,
    Answer,
    Balance,
    BookSnapshot,
    Cancel,
    ExecutionReport,
    Fill,
    MacroHeartbeat,
    MicroHeartbeat,
    ParentStatus,
    Position,
    Query,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from citadel_proto.messages import BookState, Side, SignalChannel

TICK_S: Final = 0.005
BOOK_EVERY_S: Final = 0.1


class ScriptedMicro:
    """Use it as a context manager; ``scripts[symbol, side]`` may change at any time.

    Args:
        signals: address that macro binds.
        market: address to bind; port 0 takes a free one, see ``address``.
        quotes: called for the current prices.
        balances: totals at the start.
        fee: fee as a fraction of what is received.
        state: orders and balances of an earlier instance, for a restart.
    """

    def __init__(
        self,
        *,
        signals: str,
        quotes: Callable[[], Quotes],
        market: str = "tcp://127.0.0.1:0",
        balances: Mapping[str, str] | None = None,
        fee: str = "0.001",
        venue: str = "binance-spot",
        state: ScriptedMicro | None = None,
    ) -> None:
        self.scripts: dict[tuple[str, str], Script] = {}
        self.received: deque[SignalChannel] = deque(maxlen=10_000)
        self.book_state: BookState = "LIVE"
        self.instance = f"micro-{time.time_ns()}"
        self.parents: dict[str, Parent] = {} if state is None else state.parents
        self.totals: dict[str, Decimal] = (
            {name: Decimal(text) for name, text in (balances or {"USDT": "100000"}).items()}
            if state is None
            else state.totals
        )
        self.positions: dict[str, Position] = {} if state is None else state.positions
        self.tombstones: set[str] = set() if state is None else state.tombstones
        self.fee = Decimal(fee)
        self.venue = venue
        self.deaf = False
        self._quotes = quotes
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._publisher = Publisher(self._context, market, stamp={"instance": self.instance})
        self.address = self._publisher.address
        self._inbox = Inbox(decode_signal, self._on_message)
        self._reader = SubscriberThread(
            self._context, [Endpoint(signals)], [topics.ALL], self._inbox, name="scripted-receive"
        )
        self._thread = threading.Thread(target=self._run, name="scripted-micro", daemon=True)
        self.mute = False
        """No heartbeats."""
        self.mode = "paper"
        self._macro = ("", 0)
        self._started_ns = time.time_ns()

    def __enter__(self) -> Self:
        self._reader.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Fall silent at once, as a killed process would."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._reader.close()
        self._publisher.close()
        self._context.term()

    # --- what tests ask --------------------------------------------------------------------------

    def signals_of(self, symbol: str, side: str = "") -> list[Signal]:
        """Signals received for a symbol, without repetitions, oldest first."""
        with self._lock:
            found = [m for m in self.received if isinstance(m, Signal) and m.symbol == symbol]
        unique = {m.signal_id: m for m in found if side in ("", m.side)}
        return list(unique.values())

    def own_order(self, symbol: str, side: Side, quantity: str) -> str:
        """Trade by itself, as a flattening does; returns the order's id."""
        with self._lock:
            signal = Signal(
                signal_id=f"own-{time.time_ns()}"[:32],
                strategy="",
                venue=self.venue,
                symbol=symbol,
                side=side,
                quantity=quantity,
                order_type="market",
                created_ns=time.time_ns(),
                expires_ns=time.time_ns() + 10**9,
                epoch=0,
                seq=0,
            )
            self._admit(signal, Script(), own=True)
        return signal.signal_id

    # --- life ------------------------------------------------------------------------------------

    def _run(self) -> None:
        beat = book = 0.0
        while not self._stop.wait(TICK_S):
            now = time.monotonic()
            with self._lock:
                if now - beat >= 0.5:
                    beat = now
                    self._beat()
                if now - book >= BOOK_EVERY_S:
                    book = now
                    for symbol, quote in self._quotes().items():
                        self._book(symbol, *quote)
                for parent in tuple(self.parents.values()):
                    self._step(parent, now)

    def _beat(self) -> None:
        if self.mute:
            return
        name, seq = self._macro
        self._publisher.publish(
            MicroHeartbeat(
                instance="",
                seq=0,
                state="active",
                started_ns=self._started_ns,
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
                macro_instance_seen=name,
                macro_seq_seen=seq,
                working=sum(p.status not in TERMINAL_STATUSES for p in self.parents.values()),
                mode=self.mode,
            )
        )

    def _book(self, symbol: str, bid: float, ask: float) -> None:
        now = time.time_ns()
        step = (ask - bid) or bid * 1e-4
        sides = [
            b"".join(struct.pack("<dd", price + sign * step * n, 5.0 + n) for n in range(10))
            for price, sign in ((bid, -1), (ask, 1))
        ]
        self._publisher.publish(
            BookSnapshot(
                venue=self.venue,
                symbol=symbol,
                state=self.book_state,
                exchange_ns=now,
                recv_ns=now,
                venue_seq=now,
                bids=sides[0],
                asks=sides[1],
                microprice=(bid + ask) / 2,
                imbalance=0.0,
                spread=ask - bid,
                signed_flow=0.0,
                flow_window_ms=1_000,
                published_ns=now,
                instance="",
                seq=0,
            )
        )

    # --- messages --------------------------------------------------------------------------------

    def _on_message(self, _topic: bytes, message: SignalChannel) -> None:
        with self._lock:
            self.received.append(message)
            if isinstance(message, MacroHeartbeat):
                if message.instance != self._macro[0]:
                    self._macro = (message.instance, message.seq)
                    self._beat()
                self._macro = (message.instance, message.seq)
            elif self.deaf:
                return
            elif isinstance(message, Signal):
                self._on_signal(message)
            elif isinstance(message, Cancel):
                self._on_cancel(message)
            elif isinstance(message, Query):
                self._on_query(message)

    def _on_signal(self, signal: Signal) -> None:
        known = self.parents.get(signal.signal_id)
        if known is not None:
            self._report(known)
            return
        script = self.scripts.get((signal.symbol, signal.side), Script())
        if script.silent or signal.signal_id in self.tombstones:
            return
        self._admit(signal, script)

    def _admit(self, signal: Signal, script: Script, *, own: bool = False) -> None:
        now = time.time_ns()
        parent = Parent(signal, script, time.monotonic() + script.after_s, own=own, created_ns=now)
        self.parents[signal.signal_id] = parent
        if script.reject or time.time_ns() > signal.expires_ns:
            parent.reason_code = script.reject or "INTENT_EXPIRED"
            parent.reason = script.why
            self._end(parent, "rejected")
            return
        parent.status = "accepted" if signal.kind == "stop" else "working"
        if script.after_s > 0 or signal.kind == "stop":
            self._changed(parent)
        self._step(parent, time.monotonic())

    def _step(self, parent: Parent, now: float) -> None:
        if parent.status in TERMINAL_STATUSES or now < parent.due:
            return
        signal = parent.signal
        if signal.kind == "stop" and not parent.triggered:
            bid, ask = self._quotes()[signal.symbol]
            stop = float(signal.stop_price or "nan")
            if not (bid <= stop if signal.side == "sell" else ask >= stop):
                return
            parent.triggered = True
        target = Decimal(signal.quantity) * Decimal(parent.script.fraction)
        target = target.quantize(step_of(signal))
        if parent.filled < target:
            self._fill(parent, target)
        if parent.filled >= Decimal(signal.quantity):
            self._end(parent, "filled")
        elif parent.script.dust:
            self._end(parent, "done_dust")
        elif parent.script.cut:
            parent.reason_code = parent.script.cut
            self._end(parent, "canceled")
        elif time.time_ns() > signal.expires_ns:
            self._end(parent, "expired")

    def _fill(self, parent: Parent, target: Decimal) -> None:
        signal = parent.signal
        base, quote = signal.symbol.partition(":")[0].split("/")
        bid, ask = self._quotes()[signal.symbol]
        price = Decimal(repr(ask if signal.side == "buy" else bid))
        if signal.limit_price is not None:
            worst = Decimal(signal.limit_price)
            price = min(price, worst) if signal.side == "buy" else max(price, worst)
        step = step_of(signal)
        piece = max((target / parent.script.pieces).quantize(step), step)
        while parent.filled < target:
            quantity = min(piece, target - parent.filled)
            if target - parent.filled - quantity < step:
                quantity = target - parent.filled
            if ":" in signal.symbol:
                received = (quote, Decimal(0))
                fee = quantity * price * self.fee
                self._hold(signal, quantity, price)
                self.totals[quote] -= fee
            else:
                received = (base, quantity) if signal.side == "buy" else (quote, quantity * price)
                paid = (quote, quantity * price) if signal.side == "buy" else (base, quantity)
                fee = received[1] * self.fee
                self._book_in(received[0], received[1] - fee)
                self._book_in(paid[0], -paid[1])
            number = len(parent.fills) + 1
            parent.fills.append(
                Fill(
                    trade_id=f"{signal.signal_id}-t{number}",
                    child_id=f"{signal.signal_id}-{number}",
                    price=str(price),
                    quantity=str(quantity),
                    fee=str(fee),
                    fee_currency=received[0],
                    liquidity="maker" if parent.script.maker else "taker",
                    ts_ns=time.time_ns(),
                )
            )
        if parent.filled < Decimal(signal.quantity):
            self._changed(parent)

    def _book_in(self, currency: str, amount: Decimal) -> None:
        self.totals[currency] = self.totals.get(currency, Decimal(0)) + amount

    def _hold(self, signal: Signal, quantity: Decimal, price: Decimal) -> None:
        """Change a perpetual position; profit goes to the settle currency."""
        known = self.positions.get(signal.symbol)
        held = Decimal(known.quantity) if known else Decimal(0)
        entry = Decimal(known.entry_price) if known else Decimal(0)
        change = quantity if signal.side == "buy" else -quantity
        if held * change >= 0:
            entry = (abs(held) * entry + quantity * price) / (abs(held) + quantity)
        else:
            closing = min(quantity, abs(held))
            profit = closing * (price - entry) * (1 if held > 0 else -1)
            self._book_in(signal.symbol.partition(":")[2], profit)
        self.positions[signal.symbol] = Position(
            venue=self.venue,
            symbol=signal.symbol,
            quantity=str(held + change),
            entry_price=str(entry),
            realised="0",
            unrealised="0",
            leverage=signal.leverage,
            liquidation_price=str(entry * Decimal("0.7")),
            funding=known.funding if known is not None and held else "0",
        )

    def _on_cancel(self, cancel: Cancel) -> None:
        parent = self.parents.get(cancel.signal_id)
        if parent is None:
            self.tombstones.add(cancel.signal_id)
        elif parent.script.sticky:
            self._report(parent)
        elif parent.status not in TERMINAL_STATUSES:
            parent.reason_code = "CANCELED_BY_MACRO"
            self._end(parent, "canceled")
        else:
            self._report(parent)

    def _on_query(self, query: Query) -> None:
        parents = [p for p in self.parents.values() if query.symbol in ("", p.signal.symbol)]
        found = True
        reports: tuple[ExecutionReport, ...] = ()
        if query.kind == "order":
            parent = self.parents.get(query.signal_id)
            found = parent is not None
            reports = () if parent is None else (self.report_of(parent),)
        elif query.kind == "orders":
            reports = tuple(self.report_of(p) for p in parents if p.updated_ns >= query.since_ns)
        self._publisher.publish(
            Answer(
                query_id=query.query_id,
                kind=query.kind,
                found=found,
                reports=reports,
                balances=self._balances() if query.kind == "balances" else (),
                positions=tuple(self.positions.values()) if query.kind == "positions" else (),
                instance="",
                seq=0,
                answered_ns=time.time_ns(),
            ),
            query.reply_to,
        )

    # --- reports ---------------------------------------------------------------------------------

    def _end(self, parent: Parent, status: ParentStatus) -> None:
        parent.status = status
        self._changed(parent)

    def _changed(self, parent: Parent) -> None:
        parent.revision += 1
        parent.updated_ns = time.time_ns()
        if not parent.script.lose_reports:
            self._report(parent)

    def _report(self, parent: Parent) -> None:
        self._publisher.publish(self.report_of(parent))

    def report_of(self, parent: Parent) -> ExecutionReport:
        """An order as it would be reported now."""
        signal = parent.signal
        filled = parent.filled
        cost = sum((Decimal(f.price) * Decimal(f.quantity) for f in parent.fills), Decimal(0))
        bid, ask = self._quotes()[signal.symbol]
        return ExecutionReport(
            signal_id=signal.signal_id,
            revision=parent.revision,
            venue=self.venue,
            symbol=signal.symbol,
            side=signal.side,
            kind=signal.kind,
            order_type=signal.order_type,
            status=parent.status,
            quantity=signal.quantity,
            filled=str(filled),
            average=str(cost / filled) if filled else None,
            limit_price=signal.limit_price,
            stop_price=signal.stop_price,
            triggered=parent.triggered,
            reason_code=parent.reason_code,
            reason=parent.reason,
            permitted=None,
            fills=tuple(parent.fills),
            balances=self._balances(),
            position=self.positions.get(signal.symbol),
            strategy=signal.strategy,
            tag=signal.tag,
            algo=signal.algo,
            arrival_mid=(bid + ask) / 2,
            reprices=0,
            own=parent.own,
            created_ns=parent.created_ns,
            updated_ns=parent.updated_ns,
            instance="",
            seq=0,
        )

    def _balances(self) -> tuple[Balance, ...]:
        return tuple(
            Balance(currency=name, free=str(total), used="0", total=str(total))
            for name, total in self.totals.items()
        )
