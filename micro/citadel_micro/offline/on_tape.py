"""An engine and a paper account whose market is what a micro published on a tape, in virtual time.

For a user's own tests: what would this order have done, what would micro do with this strategy's
signals. A tape has a few levels of each book a few times a second, so fills are like those of then, not
the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.algos import with_present_defaults
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import DepthUpdate, Started, TradeTick
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.offline.driver import OfflineDriver
from citadel_micro.shell.bridge.wire_in import event_of
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig
from citadel_proto import topics
from citadel_proto.codec import decode_market, decode_signal
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.messages import BookSnapshot, Signal, Trades
from citadel_proto.packed_levels import unpack_levels
from citadel_proto.tape import MARKET, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_proto.tape import Record

_S: Final = 1_000_000_000
_RICH: Final = Decimal(10) ** 9
STALE_NS: Final = 5 * _S
"""Books of a tape come a few times a second, and not at all while micro was down."""


class EngineOnTape(OfflineDriver):
    """An engine and a paper venue; ``reports`` has the last report of every order, by its id.

    Args:
        instruments: trading rules by (venue, symbol); of one venue.
        limits: of the risk gate; by default next to none.
        balances: of the paper account; by default plenty of every currency.
        seed: of the paper venue's latencies.

    Raises:
        BadInput: the instruments are of several venues, or there are none.
    """

    def __init__(
        self,
        instruments: Mapping[tuple[str, str], Instrument],
        *,
        limits: RiskLimits | None = None,
        balances: Mapping[str, Decimal] | None = None,
        seed: int = 1,
    ) -> None:
        venues = {venue for venue, _ in instruments}
        if len(venues) != 1:
            raise BadInput(
                f"instruments of {', '.join(sorted(venues)) or 'no venue'}",
                where="EngineOnTape",
                allowed="those of one venue; play a tape of several once for each",
            )
        (self.venue,) = venues
        by_symbol = {symbol: each for (_, symbol), each in instruments.items()}
        currencies = {name for each in by_symbol.values() for name in (each.base, each.quote)}
        config = EngineConfig(
            run_id="tape",
            instance="tape",
            venues={self.venue: VenueConfig(integrity="snapshot_only", shows_own_orders=False)},
            limits=limits or open_limits(),
            stale_cancel_ns=2 * STALE_NS,
            algo_defaults=with_present_defaults({}),
        )
        rich = dict.fromkeys(sorted(currencies), _RICH)
        paper = PaperVenue(
            self.venue, by_symbol, PaperConfig(seed=seed, balances=dict(balances or rich))
        )
        super().__init__(Engine(config, instruments), paper)
        self._orders: list[tuple[int, str, dict[str, Any]]] = []

    def order(self, after_s: float, side: str, symbol: str, quantity: str, **fields: Any) -> str:  # noqa: ANN401 - fields by name
        """Send an order of one's own while the tape is played.

        Args:
            after_s: seconds after the first record.
            side: ``buy`` or ``sell``.
            symbol: unified.
            quantity: base units, decimal text.
            fields: further ones of a ``Signal``: ``algo``, ``limit_price``, ``params`` …

        Returns:
            Its id, for ``reports``.
        """
        signal_id = f"order-{len(self._orders) + 1}"
        given = {"side": side, "symbol": symbol, "quantity": quantity, **fields}
        self._orders.append((round(after_s * _S), signal_id, given))
        return signal_id

    def play(
        self, records: Sequence[Record], *, signals: bool = True, after_s: float = 60.0
    ) -> None:
        """Feed a tape, each record at the time at which it was received.

        Args:
            records: ``played.records`` of the fixture ``tape``.
            signals: its signals, too; else its market alone.
            after_s: seconds that pass after its end.
        """
        if not records:
            return
        begins_ns = records[0].recv_ns
        waiting = sorted((begins_ns + at_ns, name, given) for at_ns, name, given in self._orders)
        self.post(Started(state={}, damaged=""), begins_ns)
        for record in records:
            while waiting and waiting[0][0] <= record.recv_ns:
                self._send(*waiting.pop(0))
            for event in self._market(record):
                self.market(event, record.recv_ns)
            if signals and record.direction == SIGNALS:
                self._signal(record)
        ends_ns = records[-1].recv_ns + round(after_s * _S)
        for each in waiting:
            if each[0] <= ends_ns:
                self._send(*each)
        self.advance(ends_ns)

    def _market(self, record: Record) -> Iterator[MarketEvent]:
        if record.direction != MARKET:
            return
        try:
            message = decode_market(topics.split(record.frame)[1])
        except DecodeError:
            return  # a tape keeps every frame
        if isinstance(message, BookSnapshot) and message.venue == self.venue:
            yield depth_of(message)
        elif isinstance(message, Trades) and message.venue == self.venue:
            yield from ticks_of(message, record.recv_ns)

    def _signal(self, record: Record) -> None:
        try:
            event = event_of(decode_signal(topics.split(record.frame)[1]))
        except DecodeError:
            return
        self.post(event, record.recv_ns)

    def _send(self, at_ns: int, signal_id: str, given: dict[str, Any]) -> None:
        fixed: dict[str, Any] = {
            "signal_id": signal_id,
            "strategy": "test",
            "venue": self.venue,
            "created_ns": at_ns,
            "expires_ns": at_ns + 60 * _S,
            "epoch": 1,
            "seq": 1,
        }
        self.post(event_of(Signal(**fixed | given)), at_ns)


def open_limits(**changes: Any) -> RiskLimits:  # noqa: ANN401 - fields by name
    """Limits that stop next to nothing, with some changed."""
    generous: dict[str, Any] = {
        "lease_required": False,
        "stale_ns": STALE_NS,
        "max_order_quantity": {"*": _RICH},
        "depth_participation_bps": 1_000_000.0,
        "max_order_notional": _RICH,
        "max_position_notional": _RICH,
        "max_gross_exposure": _RICH,
        "max_net_exposure": _RICH,
        "max_venue_exposure": {"*": _RICH},
    }
    return paper_defaults(**generous | changes)


def depth_of(book: BookSnapshot) -> DepthUpdate:
    """A published book as the venue's snapshot."""
    return DepthUpdate(
        book.venue,
        book.symbol,
        True,  # noqa: FBT003 - by position: it is a whole book
        book.venue_seq,
        book.venue_seq,
        -1,
        None,
        unpack_levels(book.bids),
        unpack_levels(book.asks),
        book.exchange_ns,
        book.recv_ns,
    )


def ticks_of(message: Trades, recv_ns: int) -> Iterator[TradeTick]:
    """Published trades, one by one."""
    for trade in message.trades:
        yield TradeTick(
            message.venue,
            message.symbol,
            trade.trade_id,
            trade.price,
            trade.quantity,
            trade.side,
            trade.exchange_ns,
            recv_ns,
        )
