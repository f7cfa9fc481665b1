"""Everything that micro publishes, as one table: the message, its command, and its encoder.

``Uplink`` publishes by it and by nothing else; a message's topic is declared with the message
(``TOPIC``). A new kind is one line here, besides the message and the command for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import NAMES
from citadel_micro.core.model.commands import (
    PublishAnswer,
    PublishBeat,
    PublishBook,
    PublishConsolidated,
    PublishFeed,
    PublishReport,
    PublishRisk,
)
from citadel_micro.core.model.events import TradeTick
from citadel_micro.shell.bridge import wire
from citadel_micro.shell.bridge.peers import Peers
from citadel_micro.shell.bridge.wire_in import other_schema
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.marketdata.health import ConnectionHealth
from citadel_proto.messages import (
    SCHEMA_VERSION,
    Answer,
    BookSnapshot,
    ConsolidatedBook,
    ExecutionReport,
    FeedState,
    MarketChannel,
    MicroHeartbeat,
    RiskState,
    Trades,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True, kw_only=True)
class Sources:
    """What messages are built from besides their command."""

    instance: str
    mode: str
    started_ns: int
    book_levels: int
    clock: Clock
    peers: Peers
    engine: Engine | None = None
    """None until the run starts."""
    markets: Mapping[tuple[str, str], MarketBook] = field(default_factory=dict)
    feed_health: Callable[[str, str], ConnectionHealth | None] | None = None
    """State of the connection that serves a book, to be published with the book's."""
    serves: tuple[tuple[str, str], ...] = ()
    """As one of several micros: (venue, symbol) of the orders that it takes."""
    reports: int = 0
    """Published so far, counted before a heartbeat."""
    drift_ns: int = 0
    """Wall clock minus engine time, measured before a heartbeat."""


@dataclass(frozen=True, slots=True)
class Published:
    """How one kind of message is published. ``Publisher`` adds sequence and instance."""

    made_from: type
    """The engine's command; for public trades the ticks that the uplink has collected."""
    encode: Callable[[Sources, Any, int], MarketChannel | None]
    """Sources, command, engine time -> the message; None when there is nothing to publish."""


def _report(source: Sources, command: PublishReport, _now_ns: int) -> ExecutionReport:
    return wire.report_of(command, source.instance, 0)


def _answer(source: Sources, command: PublishAnswer, now_ns: int) -> Answer:
    return wire.answer_of(command, source.instance, 0, now_ns)


def _risk(source: Sources, command: PublishRisk, _now_ns: int) -> RiskState:
    return wire.risk_of(command, source.instance, 0)


def _book(source: Sources, command: PublishBook, now_ns: int) -> BookSnapshot | None:
    key = (command.venue, command.symbol)
    market = source.markets.get(key)
    if market is None:
        return None
    features = dict(zip(NAMES, command.features, strict=False))  # none where none are computed
    levels = source.book_levels
    return wire.book_of(market, levels, source.instance, 0, now_ns, features=features)


def _consolidated(
    source: Sources, command: PublishConsolidated, now_ns: int
) -> ConsolidatedBook | None:
    if source.engine is None:
        return None
    view = source.engine.references.consolidated(command.symbol, now_ns, source.book_levels)
    return None if view is None else wire.consolidated_of(view, source.instance, 0, now_ns)


def _feed(source: Sources, command: PublishFeed, _now_ns: int) -> FeedState:
    state = wire.feed_of(command, source.instance, 0)
    if source.feed_health is None:
        return state
    health = source.feed_health(command.venue, command.symbol)
    return state if health is None else msgspec.structs.replace(state, health=health.wire())


def _trades(source: Sources, ticks: Sequence[TradeTick], _now_ns: int) -> Trades | None:
    return wire.trades_of(ticks, source.instance, 0) if ticks else None


def _beat(source: Sources, command: PublishBeat, now_ns: int) -> MicroHeartbeat:
    reasons = dict(command.macros_refused)
    for peer in source.peers.alive(now_ns):
        if peer.schema != SCHEMA_VERSION:
            reasons[peer.instance] = other_schema(peer.schema)
    alive = [peer for peer in source.peers.alive(now_ns) if peer.instance not in reasons]
    return MicroHeartbeat(
        instance=source.instance,
        seq=0,
        state=command.state,
        started_ns=source.started_ns,
        wall_ns=source.clock.wall(),
        mono_ns=source.clock.mono(),
        macro_instance_seen=command.macro_instance_seen,
        macro_seq_seen=command.macro_seq_seen,
        working=command.working,
        mode=source.mode,
        macros_seen=tuple((peer.instance, peer.seq) for peer in alive),
        macros_refused=tuple(reasons.items()),
        clock_drift_ns=source.drift_ns,
        serves=source.serves,
        reports=source.reports,
    )


PUBLISHED: Final[Mapping[type[MarketChannel], Published]] = {
    BookSnapshot: Published(PublishBook, _book),
    ConsolidatedBook: Published(PublishConsolidated, _consolidated),
    Trades: Published(TradeTick, _trades),
    FeedState: Published(PublishFeed, _feed),
    ExecutionReport: Published(PublishReport, _report),
    Answer: Published(PublishAnswer, _answer),
    RiskState: Published(PublishRisk, _risk),
    MicroHeartbeat: Published(PublishBeat, _beat),
}
"""By the message. Its topic is ``message.TOPIC``."""
ENCODE: Final = {each.made_from: each.encode for each in PUBLISHED.values()}
"""By the command."""
