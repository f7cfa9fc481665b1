"""What the bridged exchange asks of the connector, for one venue and one strategy."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from freqtrade.exceptions import InvalidOrderException

from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_bridge.errors import MicroUnavailable
from citadel_macro.strategy import BookView
from citadel_proto.bounds import cut_name
from citadel_proto.errors import BadInput
from citadel_proto.messages import TERMINAL_STATUSES

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterator, Mapping

    from citadel_bridge.config import NewSignal
    from citadel_macro.config import BridgeSettings
    from citadel_proto.messages import Balance, ExecutionReport, Position, Signal

logger = logging.getLogger(__name__)

BALANCES_EVERY_S: Final = 2.0
"""Balances come with every report; asking as well covers what no report of ours tells."""


@contextlib.contextmanager
def makes_sense() -> Iterator[None]:
    """Tell Freqtrade in its own words of an order that the bridge would not send.

    Raises:
        InvalidOrderException: the order itself makes no sense.
    """
    try:
        yield
    except BadInput as error:
        raise InvalidOrderException(str(error)) from error


class MicroLink:
    """One venue of micro, seen by one strategy, through the connector of this process.

    Args:
        connector: running.
        settings: of the bridge.
        strategy: name that travels with every order.
    """

    def __init__(self, connector: HybridConnector, settings: BridgeSettings, strategy: str) -> None:
        self.connector = connector
        self.settings = settings
        self.strategy = strategy
        self._asked_balances = -BALANCES_EVERY_S

    @classmethod
    def open(cls, settings: BridgeSettings, config: Mapping[str, Any]) -> MicroLink:
        """Link for a Freqtrade configuration; the connector is one per process and survives reloads.

        Raises:
            BadInput, Refused, PeerUnavailable: of the connector, each with how to mend it.
        """
        # A class may have a longer name than anything on the wire.
        strategy = cut_name(str(config.get("strategy") or ""))
        connector = HybridConnector.get(
            ConnectorConfig(
                signals=settings.signals,
                market=(settings.market,),
                state_path=settings.intents_path(Path(config["user_data_dir"])),
                owner=settings.owner,
                strategy=strategy,
                keys=Path(settings.keys_dir) if settings.keys_dir else None,
                ack_timeout=settings.ack_timeout_ms / 1e3,
            )
        )
        logger.info("Orders of this bot carry the owner %s.", connector.owner)
        return cls(connector, settings, strategy)

    def close(self) -> None:
        """End the connector of this process."""
        self.connector.close()

    @property
    def wake(self) -> threading.Event:
        """Set on every new report."""
        return self.connector.wake

    def alive(self) -> bool:
        """Whether micro's heartbeat is heard."""
        return self.connector.micro_alive()

    def venues(self) -> set[str]:
        """Venue ids that micro has told anything of."""
        return self.connector.venues()

    def now_ns(self) -> int:
        """Wall clock that expiry times are compared with."""
        return time.time_ns()

    # --- orders ----------------------------------------------------------------------------------

    def submit(
        self, request: NewSignal, signal_id: str = ""
    ) -> tuple[Signal, ExecutionReport | None]:
        """Send an order and wait ``ack_timeout_ms`` for its first report.

        Raises:
            MicroUnavailable: nothing was sent.
            InvalidOrderException: the request itself makes no sense; nothing was sent.
        """
        with makes_sense():
            strategy = request.strategy or self.strategy
            sent = self.connector.submit(replace(request, strategy=strategy, signal_id=signal_id))
        return sent.signal, sent.report

    def signal(self, signal_id: str) -> Signal | None:
        """An order of ours as it was sent, from the intent log."""
        intent = self.connector.intents.get(signal_id)
        return None if intent is None else intent.signal

    def was_acknowledged(self, signal_id: str) -> bool:
        """Whether micro has ever reported on an order; then it cannot be one that never arrived."""
        intent = self.connector.intents.get(signal_id)
        return intent is not None and bool(intent.status)

    def report(self, signal_id: str) -> ExecutionReport | None:
        """Newest report seen; the connector itself asks about orders that have been silent."""
        return self.connector.ours(self.connector.report(signal_id))

    def ask(self, signal_id: str) -> ExecutionReport | None:
        """Ask micro for one order; None when micro is sure that it knows no such order.

        Raises:
            MicroUnavailable: no answer in time.
        """
        return self.connector.ours(
            self.connector.query_order(signal_id, self.settings.query_timeout_ms / 1e3)
        )

    def owns(self, report: ExecutionReport) -> bool:
        """Whether an order is this bot's: of its intent log, whatever its strategy is called."""
        if report.owner:
            return report.owner == self.connector.owner
        # It was sent before orders named their owner, if by this log at all.
        return not report.own and self.connector.intents.get(report.signal_id) is not None

    def cancel(
        self, signal_id: str, reason: str, wait_s: float | None = None
    ) -> ExecutionReport | None:
        """Withdraw the rest of an order and wait for its end; newest report or None.

        Args:
            signal_id: the order.
            reason: goes into micro's journal.
            wait_s: longest wait; None: ``cancel_wait_ms``.
        """
        wait = self.settings.cancel_wait_ms / 1e3 if wait_s is None else wait_s
        return self.connector.cancel(signal_id, reason, wait)

    def orders_since(self, symbol: str, since_ns: int) -> tuple[ExecutionReport, ...]:
        """Orders of this bot and of micro itself on a symbol, updated since then.

        Raises:
            MicroUnavailable: no answer in time.
        """
        return self.connector.query_orders(
            self.settings.venue, symbol, since_ns, self.settings.query_timeout_ms / 1e3, mine=True
        )

    # --- orphans ---------------------------------------------------------------------------------

    def unsettled(self, known: Collection[str]) -> list[Signal]:
        """Orders of the intent log that are neither in ``known`` nor settled, oldest first."""
        return [intent.signal for intent in self.connector.intents.orphans(known)]

    def settle(self, signal_id: str, how: str) -> None:
        """Note that an order needs no further reconciliation (``booked``, ``adopted`` …)."""
        self.connector.intents.resolve(signal_id, how)

    def mine_working(self) -> list[ExecutionReport]:
        """Orders of this bot that are not terminal at micro.

        Raises:
            MicroUnavailable: no answer in time.
        """
        found = self.connector.query_orders(
            self.settings.venue,
            timeout=self.settings.query_timeout_ms / 1e3,
            mine=True,
            working=True,
        )
        return [
            report
            for report in found
            if self.owns(report) and report.status not in TERMINAL_STATUSES
        ]

    # --- account ---------------------------------------------------------------------------------

    def balances(self) -> tuple[Balance, ...] | None:
        """Newest balances, never older than the fills reported; None before micro has told any."""
        now = time.monotonic()
        if self.alive() and now - self._asked_balances >= BALANCES_EVERY_S:
            try:
                self.connector.query_balances(
                    self.settings.venue, self.settings.query_timeout_ms / 1e3
                )
                self._asked_balances = now
            except MicroUnavailable:
                pass  # what reports have told stays true; the caller learns when there is nothing
        return tuple(self.connector.balances(self.settings.venue).values()) or None

    def positions(self) -> tuple[Position, ...]:
        """Open positions of the venue.

        Raises:
            MicroUnavailable: no answer in time.
        """
        return self.connector.query_positions(
            self.settings.venue, self.settings.query_timeout_ms / 1e3
        )

    # --- market ----------------------------------------------------------------------------------

    def book(self, pair: str) -> BookView | None:
        """Newest book of micro for a pair; reads one dict, takes no lock."""
        found = self.connector.book(self.settings.venue, pair)
        if found is None:
            return None
        message = found.message
        now_ns = time.time_ns() + self.connector.skew_of(message.instance)
        return BookView(
            pair=pair,
            state=message.state,
            age_s=(now_ns - message.recv_ns) / 1e9,
            max_age_s=self.settings.book_max_age_ms / 1e3,
            bids=found.bids,
            asks=found.asks,
            microprice=message.microprice,
            imbalance=message.imbalance,
            spread=message.spread,
            flow=message.signed_flow,
            flow_window_s=message.flow_window_ms / 1e3,
            features=message.features,
            proof_age_s=(now_ns - (message.proof_ns or message.recv_ns)) / 1e9,
        )
