"""The shadow's own thread: it sends micro every order of Freqtrade, and keeps the table.

Freqtrade never waits for it, and gets nothing from it: whatever ends this thread ends the shadow alone.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from freqtrade.exceptions import FreqtradeException

from citadel_bridge.config import NewSignal
from citadel_bridge.errors import MicroUnavailable
from citadel_macro import order_terms, pricing
from citadel_macro.ccxt_orders import text
from citadel_macro.micro_client import makes_sense
from citadel_macro.shadow import facts
from citadel_macro.shadow.observer import (
    Canceling,
    Failed,
    Observer,
    Placed,
    Placing,
    PlacingStop,
    Seen,
    Trades,
)
from citadel_macro.shadow.table import ShadowOrder
from citadel_proto.errors import CitadelError
from citadel_proto.messages import TERMINAL_STATUSES
from citadel_proto.shadow import PAPER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from freqtrade.exchange.exchange import Exchange

    from citadel_macro.config import BridgeSettings
    from citadel_macro.micro_client import MicroLink
    from citadel_macro.shadow.observer import Note
    from citadel_macro.shadow.table import ShadowTable
    from citadel_proto.messages import Param

logger = logging.getLogger(__name__)

CHECK_S: Final = 0.25
"""How often reports are looked for."""
ASK_S: Final = 5.0
"""How often micro is asked about an order that it has not reported on."""
CLOSE_S: Final = 5.0
UNKNOWN: Final = "unknown"
"""Status at micro of an order that it says it does not know."""
FORGET_NS: Final = 86_400_000_000_000
"""Rows without news for a day are not followed any more."""
_MILLION: Final = 1_000_000


class ShadowDesk:
    """Works the notes of an observer.

    Args:
        link: to micro, with an intent log of the shadow's own.
        table: where rows go.
        settings: of the bridge.
        config: Freqtrade's.
    """

    def __init__(
        self,
        link: MicroLink,
        table: ShadowTable,
        settings: BridgeSettings,
        config: Mapping[str, Any],
    ) -> None:
        self._link = link
        self._table = table
        self._settings = settings
        self._config = config
        self._exchange: Exchange | None = None
        self._rows: dict[int, ShadowOrder] = {}
        """Those that may still change, by number."""
        self._by_id: dict[str, ShadowOrder] = {}
        """The same, by their id at Freqtrade's exchange."""
        self._revisions: dict[int, int] = {}
        self._asked = time.monotonic()
        self._lost = 0
        self._was_alive: bool | None = None
        """Whether micro was there at the last look."""
        self._stop = threading.Event()
        last = 0
        for row in table.rows():
            last = row.number
            if not _settled(row) and time.time_ns() - row.placed_ns < FORGET_NS:
                self._keep(row)
        spot = str(config.get("trading_mode", "spot")) != "futures"
        self.observer = Observer(last + 1, spot=spot)
        self._thread = threading.Thread(target=self._run, name="citadel-shadow", daemon=True)

    def watch(self, exchange: Exchange) -> None:
        """Observe the exchange object that the bot uses from now on."""
        self._exchange = exchange
        self.observer.watch(exchange)
        if not self._thread.is_alive():
            self._thread.start()

    def close(self) -> None:
        """Work what has been noted, and close the table."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._table.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._take(CHECK_S)
                self._log_micro()
            self._take(0.0)
            self._log_micro()
        except sqlite3.Error:
            logger.exception(
                "The shadow has ended: its table cannot be written. Freqtrade trades on."
            )

    # --- notes -----------------------------------------------------------------------------------

    def _take(self, wait_s: float) -> None:
        """Work every note there is; wait for the first one."""
        try:
            note = self.observer.notes.get(timeout=wait_s) if wait_s else None
            while True:
                if note is not None:
                    self._work(note)
                note = self.observer.notes.get_nowait()
        except queue.Empty:
            pass
        if self.observer.lost > self._lost:
            self._lost = self.observer.lost
            logger.warning("The shadow was too busy: %d notes are lost.", self._lost)

    def _work(self, note: Note) -> None:
        match note:
            case Placing():
                self._place(note)
            case PlacingStop():
                self._put(
                    ShadowOrder(
                        number=note.number,
                        placed_ns=note.placed_ns,
                        pair=note.pair,
                        side=note.side,
                        kind="stop",
                        order_type="stop",
                        quantity=text(note.amount),
                        rate=text(note.stop_price),
                        dry_run=int(bool(self._config.get("dry_run"))),
                        unsent="a stop",
                    )
                )
            case Placed():
                self._placed(note)
            case Failed():
                row = self._rows.get(note.number)
                if row is not None:
                    row.error = note.error
                    self._cancel(row, "Freqtrade's order was not placed")
                    self._put(row)
            case Canceling():
                row = self._by_id.get(note.order_id)
                if row is not None and row.status not in facts.ENDED:
                    row.cancel_ns = row.cancel_ns or note.at_ns
                    self._cancel(row, "Freqtrade cancels its own")
                    self._put(row)
            case Seen():
                order = note.order
                order_id = order.get("id") if isinstance(order, dict) else None
                row = self._by_id.get(order_id) if isinstance(order_id, str) else None
                if row is not None:
                    facts.take_order(row, order, time.time_ns())
                    self._put(row)
            case Trades():
                row = self._by_id.get(note.order_id)
                if row is not None:
                    facts.take_trades(row, note.trades)
                    self._put(row)

    def _placed(self, note: Placed) -> None:
        row = self._rows.get(note.number)
        if row is None:
            return
        order_id = note.order.get("id") if isinstance(note.order, dict) else None
        row.order_id = order_id if isinstance(order_id, str) else ""
        facts.take_order(row, note.order, time.time_ns())
        self._put(row)

    def _place(self, note: Placing) -> None:
        row = ShadowOrder(
            number=note.number,
            placed_ns=note.placed_ns,
            pair=note.pair,
            side=note.side,
            kind="order",
            order_type=note.order_type,
            quantity=text(note.amount),
            rate=text(note.rate),
            dry_run=int(bool(self._config.get("dry_run"))),
        )
        try:
            row.unsent = self._not_on_paper()
            if not row.unsent:
                request = self._request(note, row)
                signal, report = self._link.submit(request)
                row.signal_id = signal.signal_id
                if report is None:
                    # Worked later it would not be of the same moment any more.
                    report = self._link.cancel(row.signal_id, "not acknowledged in time", 0.0)
                if report is not None:
                    self._revisions[row.number] = report.revision
                    facts.take_report(row, report)
        except (CitadelError, FreqtradeException) as error:
            row.unsent = str(error)
            logger.warning("The shadow of %s %s was not sent: %s", row.side, row.pair, error)
        self._put(row)

    def _not_on_paper(self) -> str:
        """Why a connected micro must not be sent this; it refuses as well."""
        modes = {peer.mode for peer in self._link.connector.peers()} - {PAPER}
        if not modes:
            return ""
        return f"micro's mode is {', '.join(sorted(modes))}: a shadow needs paper"

    def _request(self, note: Placing, row: ShadowOrder) -> NewSignal:
        exchange = cast("Exchange", self._exchange)
        row.quantity = order_terms.quantity_text(exchange, note.pair, note.amount)
        market = note.order_type == "market"
        rate = None if market else text(exchange.price_to_precision(note.pair, note.rate))
        row.rate = rate or row.rate
        settings = self._settings
        # Not a moment longer than Freqtrade's own order; micro's own grace is for Freqtrade's absence.
        life_s = settings.order_life_s or order_terms.unfilled_timeout_s(
            self._config, is_entry=note.entry
        )
        params: dict[str, Param] = {}
        if settings.algo in pricing.TIMED:
            life_ms = min(int(life_s * 1_000), order_terms.LONGEST_CHASE_MS)
            params["time_limit_ms"] = life_ms
        if settings.algo in pricing.FOLLOWING:
            quoted = note.quoted
            if quoted is not None and text(exchange.price_to_precision(note.pair, quoted)) == rate:
                params[pricing.PARAM] = float(Decimal(repr(settings.chase_beyond_bps)))
        with makes_sense():
            return NewSignal(
                venue=settings.venue,
                symbol=note.pair,
                side=cast("Any", note.side),
                quantity=row.quantity,
                order_type="market" if market else "limit",
                limit_price=rate,
                time_in_force=cast("Any", note.time_in_force.upper()),
                algo=settings.algo,
                params=params,
                tag="entry" if note.entry else "exit",
                ttl=life_s,
            )

    def _cancel(self, row: ShadowOrder, why: str) -> None:
        """End micro's order at the moment when Freqtrade's ends."""
        if row.signal_id and row.micro_status not in TERMINAL_STATUSES:
            try:
                self._link.cancel(row.signal_id, why, 0.0)
            except CitadelError as error:
                logger.warning("The shadow %s could not be canceled: %s", row.signal_id, error)

    # --- reports ---------------------------------------------------------------------------------

    def _log_micro(self) -> None:
        alive = self._link.alive()
        if alive != self._was_alive:
            self._was_alive = alive
            log = logger.info if alive else logger.warning
            log(
                "Shadow: micro is %s.",
                "connected" if alive else "not connected; orders are counted apart",
            )
        ask = time.monotonic() - self._asked >= ASK_S
        if ask:
            self._asked = time.monotonic()
        for row in list(self._rows.values()):
            if not row.signal_id or row.micro_status in TERMINAL_STATUSES:
                continue
            report = self._link.report(row.signal_id)
            if report is None and ask:
                try:
                    report = self._link.ask(row.signal_id)
                except MicroUnavailable:
                    continue
                if report is None:
                    row.micro_status = row.micro_status or UNKNOWN
                    self._put(row)
            if report is not None and report.revision > self._revisions.get(row.number, -1):
                self._revisions[row.number] = report.revision
                facts.take_report(row, report)
                self._put(row)
        now_ns = time.time_ns()
        for row in [each for each in self._rows.values() if now_ns - each.placed_ns > FORGET_NS]:
            self._drop(row)

    # --- rows ------------------------------------------------------------------------------------

    def _put(self, row: ShadowOrder) -> None:
        self._table.put(row)
        if _settled(row):
            self._drop(row)
        else:
            self._keep(row)

    def _keep(self, row: ShadowOrder) -> None:
        self._rows[row.number] = row
        if row.order_id:
            self._by_id[row.order_id] = row

    def _drop(self, row: ShadowOrder) -> None:
        self._rows.pop(row.number, None)
        self._by_id.pop(row.order_id, None)
        self._revisions.pop(row.number, None)


def _settled(row: ShadowOrder) -> bool:
    """Whether nothing about a row can change any more."""
    theirs = bool(row.error) or (
        row.status in facts.ENDED and (bool(row.fees) or not Decimal(row.filled))
    )
    ours = row.micro_status in TERMINAL_STATUSES or bool(row.unsent)
    return theirs and ours
