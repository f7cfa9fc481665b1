"""Micro's end of the bridge: signals in, reports and books out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

from citadel_bridge.auth import ServerKeys
from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.gap_detector import Sequences
from citadel_bridge.sockets import Endpoint
from citadel_micro.core.model.commands import PublishAnswer, PublishBeat, PublishReport, PublishRisk
from citadel_micro.core.model.events import MacroBeat, SignalReceived, TradeTick
from citadel_micro.shell.bridge import wire
from citadel_micro.shell.bridge.peers import Peers
from citadel_micro.shell.bridge.published import ENCODE, Sources
from citadel_micro.shell.bridge.shares import Shares
from citadel_micro.shell.clock import STEP_NS
from citadel_micro.shell.stats import count
from citadel_proto import topics
from citadel_proto.bounds import LATEST_NS
from citadel_proto.codec import decode_signal
from citadel_proto.errors import DecodeError
from citadel_proto.messages import MacroHeartbeat, MarketChannel, Signal
from citadel_proto.shadow import PAPER

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from citadel_bridge.channels import Context
    from citadel_bridge.lane_ends import LaneServer
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.commands import Publication
    from citadel_micro.core.model.events import MarketEvent
    from citadel_micro.shell.bridge.scope import Scope
    from citadel_micro.shell.bridge.wire_in import ReceivedEvent
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.marketdata.health import ConnectionHealth
    from citadel_micro.shell.runner import Runner
    from citadel_micro.shell.stats import Stats
    from citadel_proto.messages import SignalChannel

log: Final = structlog.get_logger("uplink")
_Market = TypeVar("_Market", bound=MarketChannel)

TRADES_AFTER_S: Final = 0.05
"""Longest time that public trades are collected before they are published."""
TRADES_AT_MOST: Final = 1_000
"""Trades in one message: about 50 kB."""
_WALL_TIMES: Final = frozenset(
    {"recv_ns", "published_ns", "last_recv_ns", "proof_ns", "last_proof_ns"}
)
TURN: Final = 32
"""Messages of one publisher before books, venues and other publishers have their turn: about 30 ms
where each is a new order."""
SILENT_NS: Final = 5_000_000_000
"""An address from which nothing came for this long, five heartbeats, is reconnected."""
REPEAT_RISK_BEATS: Final = 5
"""Risk states are repeated after this many heartbeats, for late subscribers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkConfig:
    """Addresses, keys and sizes of the two channels."""

    instance: str
    """Names this run on the wire; a new one every run."""
    mode: str
    market: str
    """Where to publish; port 0 takes a free one."""
    market_keys: ServerKeys | None = None
    signals: tuple[Endpoint, ...] = ()
    """Publishers of signals: macros."""
    operators: tuple[Endpoint, ...] = ()
    """The command line's, whose cancels apply to any owner's order. With keys, only the holder of
    the command line's secret key can publish there."""
    book_levels: int = 20
    started_ns: int = 0
    lane: Path | None = None
    """Where macros on this machine may connect, beside the channels."""


class _WayIn:
    """One subscribed address: its messages are counted and charged to it alone."""

    def __init__(self, uplink: Uplink, address: str, *, operator: bool) -> None:
        self.address = address
        self.operator = operator
        """Whether it is the command line's, which may cancel any owner's order."""
        self.shares = Shares()
        self.sequences = Sequences()
        self.inbox: Inbox[SignalChannel] = Inbox(decode_signal, partial(uplink._on_message, self))  # noqa: SLF001


class Uplink:
    """Both channels. Everything is called from the loop's thread.

    Binding happens at construction, so that a port in use ends a run before it has started.

    Raises:
        PortTaken, Refused, BadInput: as ``citadel_bridge.sockets.publisher_socket``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        config: UplinkConfig,
        *,
        clock: Clock,
        stats: Stats,
    ) -> None:
        self._loop = loop
        self._context = context
        self._config = config
        self._clock = clock
        self._stats = stats
        self._publisher = Publisher(
            context, config.market, stamp={"instance": config.instance}, keys=config.market_keys
        )
        self.market_address = self._publisher.address
        self._lanes: LaneServer | None = None
        if config.lane is not None:
            from citadel_bridge.lane_ends import LaneServer  # noqa: PLC0415 - most have none

            try:
                self._lanes = LaneServer(loop, config.lane)
            except BaseException:
                self._publisher.close()
                raise
            self._publisher.beside = self._lanes.send
        self._ways_in: list[_WayIn] = []
        self._readers: list[SubscriberFD] = []
        self._runner: Runner | None = None
        self.peers = Peers(clock, config.instance)
        self._sources = Sources(
            instance=config.instance,
            mode=config.mode,
            started_ns=config.started_ns,
            book_levels=config.book_levels,
            clock=clock,
            peers=self.peers,
        )
        self._risk: dict[str, PublishRisk] = {}
        self._trades: dict[tuple[str, str], list[TradeTick]] = {}
        self._trades_timer: asyncio.TimerHandle | None = None
        self.on_pairs: Callable[[str, tuple[tuple[str, str], ...]], None] | None = None
        """Called with every heartbeat's macro and the (venue, symbol) that it may trade."""
        self.scope: Scope | None = None
        """As one of several micros: what it takes. Set before ``start``."""
        self._beats = 0
        self._shift_ns = 0
        self.last_beat_ns = 0
        """Engine time of the last heartbeat published."""

    def set_feed_health(self, of: Callable[[str, str], ConnectionHealth | None]) -> None:
        """Publish the state of the serving connection with that of a book."""
        self._sources.feed_health = of

    def start(self, runner: Runner) -> None:
        """Start to listen and to collect public trades; events go to ``runner``."""
        self._runner = runner
        engine = runner.engine
        self._sources.engine = engine
        self._sources.markets = engine.markets
        runner.market_taps.append(self._on_market)
        scope = self.scope
        prefixes = [topics.ALL] if scope is None else scope.subscriptions()
        self._sources.serves = () if scope is None else scope.pairs
        for endpoints, operator in ((self._config.signals, False), (self._config.operators, True)):
            for endpoint in endpoints:
                way = _WayIn(self, endpoint.address, operator=operator)
                self._ways_in.append(way)
                reader = SubscriberFD(
                    self._loop, self._context, [endpoint], prefixes, way.inbox, batch=TURN
                )
                self._readers.append(reader)
                if self._lanes is not None:
                    reader.links[0].join(self._lanes.merge.way(way.inbox.feed))
        if self._lanes is not None:
            self._lanes.merge.want(prefixes)
            self._lanes.start()

    def close(self) -> None:
        """Stop listening, publish the collected trades, and close all sockets."""
        for reader in self._readers:
            reader.close()
        if self._trades_timer is not None:
            self._trades_timer.cancel()
        self._send_trades()
        if self._lanes is not None:
            self._lanes.close()
        self._publisher.close()

    def disconnect_subscribers(self) -> None:
        """Disconnect all; those that are admitted connect again. From any thread."""
        self._publisher.upstream.disconnect_all()

    @property
    def published(self) -> int:
        """Messages passed to ZeroMQ."""
        return self._publisher.published

    @property
    def reports(self) -> int:
        """Reports among them, and those that were not sent."""
        return self._publisher.reports

    @property
    def dropped(self) -> int:
        """Messages that were not sent, because no room was left or they were too large."""
        return self._publisher.dropped + self._publisher.oversize

    @property
    def undecodable(self) -> dict[str, int]:
        """Frames that did not decode, by kind."""
        return _sums(way.inbox.undecodable for way in self._ways_in)

    def refused(self) -> dict[str, object]:
        """What was refused to peers since the start."""
        return {
            "beyond_share": _sums(way.shares.beyond for way in self._ways_in),
            "heartbeats_of_too_many_macros": self.peers.refused,
            "subscribers_disconnected": self._publisher.upstream.disconnected,
        }

    def lane(self) -> dict[str, int] | None:
        """The lane's connections and counts; None where there is none."""
        return None if self._lanes is None else self._lanes.status()

    def macro_age_ns(self, now_ns: int) -> int | None:
        """Time since the last heartbeat of any macro; None if there was none."""
        return self.peers.age_ns(now_ns)

    def received_by(self, now_ns: int) -> list[str]:
        """Connected macros that report that they receive this run."""
        return [peer.instance for peer in self.peers.alive(now_ns) if peer.receives_us]

    def skews(self, now_ns: int) -> dict[str, int]:
        """Wall clock of every connected macro, minus this machine's, in ns."""
        return {peer.instance: peer.skew.skew_ns for peer in self.peers.alive(now_ns)}

    def listening(self) -> list[dict[str, object]]:
        """Every subscribed address, and how long nothing has come from it."""
        now_ns = time.monotonic_ns()
        return [
            {
                "address": link.endpoint.address,
                "silent_ms": (now_ns - link.received_ns) // 1_000_000 if link.received_ns else None,
                "connected_anew": link.remade,
            }
            for reader in self._readers
            for link in reader.links
        ]

    # in

    def _on_message(self, way: _WayIn, topic: bytes, message: SignalChannel) -> None:
        received_ns = time.perf_counter_ns()
        runner = self._runner
        if runner is None:
            return
        owner, epoch = message.owner, message.epoch
        lost = way.sequences.observe((owner, epoch), topic, message.seq)
        if lost > 0:
            self._missed(topic, message, lost)
        if not way.shares.take(message, self._clock.now()):
            self._beyond(way, message)
            return
        if self.scope is not None and not self.scope.takes(message, self._knows):
            return
        written_ns = message.created_ns if isinstance(message, Signal) else LATEST_NS
        offset_ns = self.peers.offset_ns(owner, epoch, written_ns)
        try:
            event = wire.event_of(
                message,
                missed=max(0, lost),
                offset_ns=offset_ns,
                operator=way.operator,
                paper=self._config.mode == PAPER,
                schema=self.peers.schema_of(owner, epoch),
            )
        except DecodeError as error:
            self._drop(message, error)
            return
        if isinstance(message, MacroHeartbeat) and isinstance(event, MacroBeat):
            peer = self.peers.on_heartbeat(message, way.address)
            if peer is None:
                return
            if self.on_pairs is not None:
                self.on_pairs(message.instance, message.pairs)
            event = replace(event, skew_ns=peer.skew.skew_ns)
        if isinstance(event, SignalReceived):
            self._stats.signal_to_submit.received(event.signal_id, received_ns)
        runner.post(event)

    def _knows(self, signal_id: str) -> bool:
        assert self._runner is not None  # noqa: S101 - the order of calls is ours
        return signal_id in self._runner.engine.order_store.known

    def _missed(self, topic: bytes, message: SignalChannel, lost: int) -> None:
        """Count lost messages. Their sender publishes them again; entries after a gap are rejected."""
        missing, kind = self._stats.missing, type(message).__name__
        missing[kind] = missing.get(kind, 0) + lost
        log.warning(
            "messages lost",
            topic=topic.decode("utf-8", "replace"),
            epoch=message.epoch,
            missing=lost,
        )

    def _beyond(self, way: _WayIn, message: SignalChannel) -> None:
        kind = type(message).__name__
        if way.shares.beyond[kind] == 1:
            log.warning(
                "a publisher's share is used up: message not accepted (counted from now on)",
                kind=kind,
                address=way.address,
            )

    def _drop(self, message: SignalChannel, error: DecodeError) -> None:
        kind = type(message).__name__
        count(self._stats.undecodable, kind)
        if self._stats.undecodable[kind] == 1:
            log.warning("dropped an invalid message", kind=kind, error=str(error))

    # out

    def publish(self, command: Publication, now_ns: int) -> None:
        """Publish a command's message; never waits."""
        if isinstance(command, PublishBeat):
            self._check_clock()
            self._sources.reports = self.reports
        message = ENCODE[type(command)](self._sources, command, now_ns)
        if message is not None:
            reply_to = command.reply_to if isinstance(command, PublishAnswer) else ""
            self._publisher.publish(self._dated(message), reply_to)
        if isinstance(command, PublishRisk):
            self._risk[command.scope] = command
        elif isinstance(command, PublishBeat):
            self._after_beat(now_ns)

    # without a macro (``shell.rehearsal``)

    def rehearse_signal(self, frame: bytes) -> ReceivedEvent:
        """The event of a signal's frame that nobody sent; nothing is counted or handed on."""
        events: list[ReceivedEvent] = []
        inbox = Inbox(decode_signal, lambda _topic, message: events.append(wire.event_of(message)))
        inbox.feed(frame)
        return events[0]

    def rehearse_report(self, report: PublishReport, now_ns: int) -> None:
        """Make the frame of a report, and drop it."""
        message = ENCODE[PublishReport](self._sources, report, now_ns)
        if message is not None:
            self._publisher.rehearse(self._dated(message))

    def _dated(self, message: _Market) -> _Market:
        """Convert its times to the wall clock, where that was set since the start.

        Readers compare them with their own. The times of reports stay in engine time, which never
        goes back: the newest balance is found by them.
        """
        shift_ns = self._shift_ns
        if not shift_ns:
            return message
        names = [name for name in message.__struct_fields__ if name in _WALL_TIMES]
        times = {name: getattr(message, name) for name in names}
        changed = {name: max(ns + shift_ns, 0) for name, ns in times.items() if ns}
        return msgspec.structs.replace(message, **changed)

    def _check_clock(self) -> None:
        drift_ns = self._sources.drift_ns = self._clock.drift_ns()
        self._shift_ns = drift_ns if abs(drift_ns) >= STEP_NS else 0
        step_ns = self._clock.check_step()
        if step_ns:
            log.warning(
                "this machine's clock was set",
                by_s=step_ns / 1e9,
                now_ahead_of_engine_s=drift_ns / 1e9,
            )

    def _after_beat(self, now_ns: int) -> None:
        self.last_beat_ns = now_ns
        for reader in self._readers:
            reader.remake_silent(SILENT_NS)
        if self._lanes is not None:
            self._lanes.check()
        self._beats += 1
        if self._beats % REPEAT_RISK_BEATS == 0:
            for risk in list(self._risk.values()):
                self.publish(risk, now_ns)

    # public trades

    def _on_market(self, event: MarketEvent, market: MarketBook, _now_ns: int) -> None:
        if type(event) is not TradeTick or market.news is not event:
            return  # no trade, or one that the market had already
        gathered = self._trades.setdefault((event.venue, event.symbol), [])
        gathered.append(event)
        if len(gathered) >= TRADES_AT_MOST:
            self._send_trades()
        elif self._trades_timer is None:
            self._trades_timer = self._loop.call_later(TRADES_AFTER_S, self._send_trades)

    def _send_trades(self) -> None:
        self._trades_timer = None
        now_ns = self._clock.now()
        for ticks in self._trades.values():
            message = ENCODE[TradeTick](self._sources, ticks, now_ns)
            if message is not None:
                self._publisher.publish(self._dated(message))
                ticks.clear()


def _sums(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counts by kind, over several addresses."""
    found: dict[str, int] = {}
    for each in counts:
        for kind, number in each.items():
            found[kind] = found.get(kind, 0) + number
    return found
