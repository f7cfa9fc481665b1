"""The bridged exchange's client of micro, for one venue and one strategy."""

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
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from citadel_bridge.config import NewSignal
    from citadel_macro.config import BridgeSettings
    from citadel_proto.messages import Balance, ExecutionReport, Position, RiskState, Signal

logger = logging.getLogger(__name__)

PAIRS_MOST: Final = 2_048
"""As many as a heartbeat takes."""
BALANCES_EVERY_S: Final = 2.0
"""Balances come with every report; they are also polled, for changes without a report of ours."""


CLOCK_ERROR_NS: Final = 1_000_000_000
"""How far micro's clock, known from heartbeats, may be off by their delay on the way. As much as
two clocks may differ before no new risk is taken."""

MOST_SENT: Final = 1_000
"""Orders whose time of sending is kept at hand."""


def _age_s(now_ns: int, then_ns: int) -> float:
    """Seconds from ``then_ns`` to now; a message from the near future has just been sent."""
    age_ns = now_ns - then_ns
    return 0.0 if -CLOCK_ERROR_NS <= age_ns < 0 else age_ns / 1e9


@contextlib.contextmanager
def makes_sense() -> Iterator[None]:
    """Translate the bridge's refusal of an order into Freqtrade's exception.

    Raises:
        InvalidOrderException: the order itself is invalid.
    """
    try:
        yield
    except BadInput as error:
        raise InvalidOrderException(str(error)) from error


class MicroLink:
    """One venue of micro for one strategy, through the connector of this process.

    Args:
        connector: running.
        settings: of the bridge.
        strategy: name sent with every order.
    """

    def __init__(self, connector: HybridConnector, settings: BridgeSettings, strategy: str) -> None:
        self.connector = connector
        self.settings = settings
        self.strategy = strategy
        self._asked_balances = -BALANCES_EVERY_S
        self._sent: dict[str, int] = {}
        """When orders were sent, in ns of our wall clock; the oldest are looked up again."""

    @classmethod
    def open(cls, settings: BridgeSettings, config: Mapping[str, Any]) -> MicroLink:
        """Link for a Freqtrade configuration; the connector is one per process and survives reloads.

        Raises:
            BadInput, Refused, PeerUnavailable: of the connector, each with how to fix it.
        """
        # A class may have a longer name than the wire permits.
        strategy = cut_name(str(config.get("strategy") or ""))
        connector = HybridConnector.get(
            ConnectorConfig(
                signals=settings.signals,
                market=settings.market,
                lanes=settings.lanes,
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
        """Close the connector of this process."""
        self.connector.close()

    @property
    def wake(self) -> threading.Event:
        """Set on every new report."""
        return self.connector.wake

    def alive(self) -> bool:
        """Whether micro's heartbeats arrive."""
        return self.connector.micro_alive()

    def is_away(self, pair: str) -> bool:
        """Whether, of several micros, the one that trades a pair is silent."""
        several = len(self.settings.market) > 1
        return several and not self.connector.serving(self.settings.venue, pair)

    def silent(self) -> list[str]:
        """Names of the micros that are not connected, where others are."""
        return self.connector.routing.silent() if len(self.settings.market) > 1 else []

    def refuses_us(self) -> str:
        """Why micro accepts no orders of this process; empty while it does."""
        return next((peer.refuses_us for peer in self.connector.peers() if peer.refuses_us), "")

    def risk(self) -> Mapping[str, RiskState]:
        """State of every risk scope that micro has published."""
        return self.connector.risk()

    def venues(self) -> set[str]:
        """Venue ids of which micro has sent anything."""
        return self.connector.venues()

    def name_pairs(self, pairs: Iterable[str]) -> None:
        """Tell micro which pairs may be traded or looked at now; a change is sent at once."""
        venue = self.settings.venue
        named = tuple((venue, pair) for pair in dict.fromkeys(pairs))[:PAIRS_MOST]
        if named != self.connector.pairs:
            self.connector.pairs = named
            self.connector.beat()

    def now_ns(self) -> int:
        """Wall clock that expiry times are compared with."""
        return time.time_ns()

    def now_of(self, report: ExecutionReport) -> int:
        """Now, by the clock that a report is stamped with."""
        return self.connector.stamp_now_ns(report.instance)

    # --- orders ----------------------------------------------------------------------------------

    def submit(
        self, request: NewSignal, signal_id: str = ""
    ) -> tuple[Signal, ExecutionReport | None]:
        """Send an order and wait ``ack_timeout_ms`` for its first report.

        Raises:
            MicroUnavailable: nothing was sent.
            InvalidOrderException: the request itself is invalid; nothing was sent.
        """
        with makes_sense():
            strategy = request.strategy or self.strategy
            sent = self.connector.submit(replace(request, strategy=strategy, signal_id=signal_id))
        self._remember(signal_id or sent.signal.signal_id, sent.signal.created_ns)
        return sent.signal, sent.report

    def sent_ns(self, report: ExecutionReport) -> int:
        """When an order was sent, by our clock; of one that is not ours, when micro says that it came.

        micro's clock stands still while its machine is suspended, and does not follow one that is set:
        Freqtrade would take an order of now for one that has waited too long.
        """
        known = self._sent.get(report.signal_id)
        if known is None:
            signal = self.signal(report.signal_id)
            known = report.created_ns if signal is None else signal.created_ns
            self._remember(report.signal_id, known)
        return known

    def _remember(self, signal_id: str, sent_ns: int) -> None:
        if len(self._sent) >= MOST_SENT:
            # Freqtrade's API has threads of its own: another one may just have removed it.
            self._sent.pop(next(iter(self._sent)), None)
        self._sent[signal_id] = sent_ns

    def signal(self, signal_id: str) -> Signal | None:
        """An order of ours as sent, from the intent log."""
        intent = self.connector.intents.get(signal_id)
        return None if intent is None else intent.signal

    def was_acknowledged(self, signal_id: str) -> bool:
        """Whether micro has ever reported on an order; then it cannot have been lost on the way."""
        intent = self.connector.intents.get(signal_id)
        return intent is not None and bool(intent.status)

    def report(self, signal_id: str) -> ExecutionReport | None:
        """Newest report received; the connector itself queries orders that have been silent."""
        return self.connector.ours(self.connector.report(signal_id))

    def ask(self, signal_id: str) -> ExecutionReport | None:
        """Query one order; None when micro confirms that it knows no such order.

        Raises:
            MicroUnavailable: no answer in time.
        """
        return self.connector.ours(
            self.connector.query_order(signal_id, self.settings.query_timeout_ms / 1e3)
        )

    def take_of_others(self) -> list[ExecutionReport]:
        """New closed orders with fills on our venue that this bot did not send; each is given once.

        Also what micro made itself: a flattening is nobody's, a bracket's exit its owner's.
        """
        venue = self.settings.venue
        return [each for each in self.connector.take_of_others() if each.venue == venue]

    def owns(self, report: ExecutionReport) -> bool:
        """Whether an order is this bot's: sent by its intent log, whatever its strategy's name.

        Or made by micro for one of its orders.
        """
        if report.owner:
            return report.owner == self.connector.owner
        # It was sent before orders carried their owner, if by this log at all.
        return not report.own and self.connector.intents.get(report.signal_id) is not None

    def cancel(
        self, signal_id: str, reason: str, wait_s: float | None = None
    ) -> ExecutionReport | None:
        """Cancel the rest of an order and wait until it is closed; newest report or None.

        Args:
            signal_id: the order.
            reason: goes into micro's journal.
            wait_s: longest wait; None: ``cancel_wait_ms``.
        """
        wait = self.settings.cancel_wait_ms / 1e3 if wait_s is None else wait_s
        return self.connector.cancel(signal_id, reason, wait)

    def orders_since(
        self, symbol: str, since_ns: int, *, mine: bool = True
    ) -> tuple[ExecutionReport, ...]:
        """Orders of this bot and of micro itself on a symbol, updated since then; or of everybody.

        Raises:
            MicroUnavailable: no answer in time.
        """
        return self.connector.query_orders(
            self.settings.venue, symbol, since_ns, self.settings.query_timeout_ms / 1e3, mine=mine
        )

    # --- orphans ---------------------------------------------------------------------------------

    def unsettled(self, known: Collection[str]) -> list[Signal]:
        """Orders of the intent log that are neither in ``known`` nor settled, oldest first."""
        return [intent.signal for intent in self.connector.intents.orphans(known)]

    def settle(self, signal_id: str, how: str) -> None:
        """Record that an order needs no further reconciliation (``booked``, ``adopted`` …)."""
        self.connector.intents.resolve(signal_id, how)

    def mine_working(self) -> list[ExecutionReport]:
        """Open orders of this bot at micro.

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
        """Newest balances, never older than the fills reported; None before the first."""
        now = time.monotonic()
        if self.alive() and now - self._asked_balances >= BALANCES_EVERY_S:
            try:
                self.connector.query_balances(
                    self.settings.venue, self.settings.query_timeout_ms / 1e3
                )
                self._asked_balances = now
            except MicroUnavailable:
                pass  # the balances of reports are still valid; the caller sees when there are none
        return tuple(self.connector.balances(self.settings.venue).values()) or None

    def balance(self, currency: str) -> Balance | None:
        """Newest balance of one currency that micro has sent; asks for nothing."""
        return self.connector.balances(self.settings.venue).get(currency)

    def position(self, pair: str) -> Position | None:
        """Newest position of one pair that micro has sent; asks for nothing."""
        return self.connector.positions().get((self.settings.venue, pair))

    def known_positions(self) -> tuple[Position, ...]:
        """Newest position of every pair of the venue that micro has sent; asks for nothing."""
        known = dict(self.connector.positions())
        return tuple(each for (venue, _), each in known.items() if venue == self.settings.venue)

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
            age_s=_age_s(now_ns, message.recv_ns),
            max_age_s=self.settings.book_max_age_ms / 1e3,
            bids=found.bids,
            asks=found.asks,
            microprice=message.microprice,
            imbalance=message.imbalance,
            spread=message.spread,
            flow=message.signed_flow,
            flow_window_s=message.flow_window_ms / 1e3,
            features=message.features,
            proof_age_s=_age_s(now_ns, message.proof_ns or message.recv_ns),
        )
