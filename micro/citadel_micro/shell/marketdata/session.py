"""One session of a connection, from open to closed: subscribing, watching, receiving.

The hot path is ``_on_frame``: websocket callback, decoder, consumer, by direct calls. Subscribing and
watching are tasks beside it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.core.model.events import DepthUpdate, FeedStatus, StreamProof, TradeTick
from citadel_micro.shell.marketdata.clock_offset import ClockOffset
from citadel_micro.shell.marketdata.decode import Control, is_beside, mentioned
from citadel_micro.shell.marketdata.liveness import Liveness
from citadel_micro.shell.marketdata.quiet_symbols import MUTES, QuietSymbols
from citadel_micro.shell.marketdata.spec import broken_venue
from citadel_micro.shell.marketdata.subscriptions import Subscriptions
from citadel_micro.shell.marketdata.unanswered import Unanswered
from citadel_micro.shell.marketdata.websocket import WebSocket, open_link
from citadel_micro.shell.marketdata.websocket_parts import CLOSE_TIMEOUT_S
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.shell.marketdata.context import Counts, Emit, VenueContext
    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.lag_monitor import Load

WATCH_S: Final = 0.25
"""How often silence is checked."""
FIRST_UPDATE_S: Final = 3.0
"""A quiet symbol gets its snapshot after this even without an update to join it to."""
SAMPLE_NS: Final = 5_000_000
"""Handling times and timestamps are sampled at most this often: the first of a burst is the fastest."""
WARN_NS: Final = 10_000_000_000
"""Unreadable messages of one kind are logged at most this often."""
_FAR: Final = 1 << 62
RENEWED: Final = "renewed before the venue cuts it"
RENEW_BEFORE: Final = 0.99
"""Fraction of a connection's lifetime after which its successor is opened: 14 minutes before the end of a
day, enough time for several attempts."""


class FeedSession:
    """See the module. Created by ``FeedSession.begin``; ended when ``closed`` returns.

    Args:
        number: of the connection that it is a session of.
        natives: venue symbol of each unified symbol that it serves.
        counts, load: of the connection, continued from session to session.
        emit: receives every event.
    """

    def __init__(
        self,
        shared: VenueContext,
        number: int,
        natives: Mapping[str, str],
        *,
        counts: Counts,
        load: Load,
        emit: Emit,
    ) -> None:
        self._shared = shared
        self._spec = shared.spec
        self._number = number
        self._natives = natives
        self._counts = counts
        self._load = load
        self._outlet = shared.outlet
        self._clock = shared.clock
        self._tap = shared.tap
        self._news = shared.news
        symbols = shared.spec.symbols()
        symbols.update({native: symbol for symbol, native in natives.items()})
        self._decode = shared.spec.decoder(symbols).frame
        self._link: WebSocket | None = None
        self._asking = Subscriptions(shared.spec, natives, shared.channels, shared.rng)
        self._ended = ""
        self._quiet = QuietSymbols(shared.quiet_s, polls=shared.want_poll is not None)
        self._updated_ns = self._quiet.updated_ns
        self._began_ns: dict[str, int] = {}
        self._unjoined: dict[str, int] = {}
        self._answers = Unanswered()
        self._unanswered = self._answers.waiting
        self._refused: dict[str, str] = {}
        self._warned_ns = 0
        self._held = False
        self._liveness = Liveness()
        self._sample_ns = 0
        self._sampled = counts.frames
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("feeds").bind(venue=self._spec.venue, conn=number)
        self.emit = emit
        """Receives every event; may change from one event to the next."""
        self.clock = ClockOffset()
        self.renewal = ""
        """Why a successor is needed while this one is still up; empty while none is."""
        self.wants_successor = asyncio.Event()

    async def open(self, url: str) -> None:
        """Connect. Raises PeerUnavailable."""
        self._link = await open_link(
            url, self._on_frame, self._on_round_trip, deflate=self._spec.deflate
        )

    def begin(self, *, succeeds: bool = False) -> None:
        """Subscribe and watch. A successor has no book to fetch: the books are handed over."""
        now_ns = self._clock()
        self._counts.connects += 1
        self._liveness.frame_ns = self._counts.last_frame_ns = now_ns
        if self._tap is not None:
            self._tap(now_ns, "open", self._number, self._shared.url, "")
        for symbol in self._natives:
            self.status(symbol, up=True, reason="connected, waiting for a snapshot")
        self._subscribe(list(self._natives))
        if succeeds:
            self._unjoined.clear()
        link = self._link
        assert link is not None  # noqa: S101 - the order of calls is ours
        self._tasks = [
            asyncio.ensure_future(self._asking.send(self._send)),
            asyncio.ensure_future(self._watch(link)),
        ]

    async def closed(self) -> str:
        """Wait for the end and return the reason. When canceled, the close handshake is started."""
        link = self._link
        assert link is not None  # noqa: S101 - as above
        try:
            why = await link.closed()
        except asyncio.CancelledError:
            # No other connection is opened, so there is time for the peer to answer the close.
            link.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                    await link.closed()
            raise
        finally:
            await self.end()
        return self._ended or why

    async def end(self) -> None:
        """Close, and wait for its tasks."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def subscribing(self) -> bool:
        """Requests are queued."""
        return self._asking.busy

    def unread(self) -> int:
        """Unread octets in its socket."""
        return 0 if self._link is None else self._link.unread()

    def hold(self, *, held: bool) -> None:
        """Stop or resume reading."""
        self._held = held
        if self._link is not None:
            self._link.hold(held=held)

    def resync(self, symbol: str, reason: str, *, mute: bool = False) -> None:
        """The book of this unified symbol has a gap, or went mute: resynchronize it."""
        if symbol in self._refused or self._link is None:
            return
        if mute:
            self._fell_mute(symbol, reason)
        elif self._shared.want_snapshot is not None:
            self._shared.want_snapshot(self._natives[symbol], symbol)
        else:
            self._resubscribe(symbol, reason)

    def _fell_mute(self, symbol: str, reason: str) -> None:
        """Resubscribe; a symbol that goes mute again and again is BROKEN until updates arrive."""
        if self._quiet.on_mute(symbol, self._clock()):
            self.status(symbol, up=False, reason=reason)
            self._resubscribe(symbol, reason)
            return
        text = f"{reason}; resubscribing {MUTES} times has not helped"
        self._log.warning("mute", symbol=symbol, reason=text)
        self.status(symbol, up=False, reason=text, refused=True)
        if self._shared.want_snapshot is not None:
            self._unjoined[symbol] = _FAR  # its first update brings it back, nothing else

    def expect(self, symbol: str) -> None:
        """Fetch a snapshot of this symbol with its first update, or soon."""
        if self._shared.want_snapshot is not None:
            self._unjoined[symbol] = self._clock()

    def _subscribe(self, symbols: Sequence[str]) -> None:
        self._asked(symbols)
        self._asking.subscribe(symbols)

    def _asked(self, symbols: Sequence[str]) -> None:
        now_ns = self._clock()
        for symbol in symbols:
            self._updated_ns[symbol] = self._began_ns[symbol] = now_ns
            if self._shared.want_snapshot is not None:
                self._unjoined[symbol] = now_ns
        if self._shared.want_snapshot is None and "depth" in self._shared.channels:
            self._answers.asked(symbols, now_ns)

    def _resubscribe(self, symbol: str, reason: str) -> None:
        self._log.info("resubscribe", symbol=symbol, reason=reason)
        self._counts.resubscribed += 1
        if self._spec.unsubscribe is None:
            self.restart(f"{symbol}: {reason}")
            return
        wait_s = self._asking.again(symbol)
        self._asked([symbol])
        if wait_s > FIRST_UPDATE_S:
            spent = f"{reason}; the venue's limits permit resubscribing in {wait_s:.0f} s"
            self.status(symbol, up=False, reason=spent)

    def _send(self, text: str) -> None:
        link = self._link
        if link is not None:
            link.send(text)
        if self._tap is not None:
            self._tap(self._clock(), "sent", self._number, "", text)

    async def _watch(self, link: WebSocket) -> None:
        """Check what the stream does not report: silence, of all or of one symbol, and age."""
        loop = asyncio.get_running_loop()
        opened_s = loop.time()
        lifetime_s = self._spec.limits.lifetime_s * RENEW_BEFORE
        beat = self._spec.heartbeat
        silence_ns = int(beat.silence_s * 1e9)
        frames_come = beat.frames or bool(beat.text)
        while True:
            if self._liveness.ping_due(self._clock()):
                link.ping()
            await asyncio.sleep(WATCH_S)
            now_ns = self._clock()
            if self._held:
                # The silence is ours.
                self._liveness.frame_ns = now_ns
                self._quiet.pause(now_ns)
            else:
                self._prove()
            alive_ns = self._liveness.frame_ns if frames_come else self._liveness.alive_ns
            if now_ns - alive_ns > silence_ns:
                self.restart(f"no frame for {beat.silence_s:g} s")
            elif lifetime_s and loop.time() - opened_s > lifetime_s:
                self._succeed(RENEWED)
            if self._ended:
                link.close()
                return
            self._watch_unjoined(now_ns)
            self._watch_unanswered(now_ns)
            if "depth" in self._shared.channels:
                self._watch_quiet(now_ns)

    def _prove(self) -> None:
        """Pass the time of the last message on to the books, if it is new."""
        alive_ns = self._liveness.proof_due()
        if alive_ns:
            proof = StreamProof(venue=self._spec.venue, stream=self._number, recv_ns=alive_ns)
            self.emit(proof, alive_ns)

    def _watch_unjoined(self, now_ns: int) -> None:
        due = now_ns - int(FIRST_UPDATE_S * 1e9)
        for symbol in [symbol for symbol, since in self._unjoined.items() if since < due]:
            self._first_update(symbol)

    def _watch_unanswered(self, now_ns: int) -> None:
        """Report unanswered subscriptions after a time; if the book comes after all, it is used."""
        if self._held or self._asking.busy:
            self._answers.pause(now_ns)
            return
        for symbol, waited_ns in self._answers.overdue(now_ns):
            if symbol in self._refused:
                continue
            reason = (
                f"subscribed as {self._natives[symbol]} for {waited_ns / 1e9:.0f} s without "
                "an answer of the venue; is that still its name?"
            )
            self._log.warning("unanswered", symbol=symbol, reason=reason)
            self.status(symbol, up=False, reason=reason, refused=True)

    def _watch_quiet(self, now_ns: int) -> None:
        """A subscription can stop silently while its connection is up."""
        for symbol, what, silent_ns in self._quiet.due(now_ns, self._refused):
            if what == "poll" and self._shared.want_poll is not None:
                self._shared.want_poll(self._natives[symbol], symbol, self._polled)
            elif what == "resubscribe":
                reason = f"nothing for {silent_ns / 1e9:.1f} s on a live connection"
                unanswered = symbol in self._answers.given_up
                self.status(symbol, up=False, reason=reason, refused=unanswered)
                self._resubscribe(symbol, reason)

    def _polled(self, symbol: str) -> None:
        self._quiet.proven(symbol, self._clock())

    def restart(self, reason: str) -> None:
        """End this session; the connection starts the next."""
        self._ended = self._ended or reason

    def _succeed(self, reason: str) -> None:
        """Request a successor, and stay up until it has taken over."""
        if not self.renewal:
            self.renewal = reason
            self.wants_successor.set()

    # --- receiving ----------------------------------------------------------------------------

    def _on_frame(self, data: bytes) -> None:
        recv_ns = self._clock()
        counts = self._counts
        counts.frames += 1
        counts.octets += len(data)
        counts.last_frame_ns = self._liveness.frame_ns = recv_ns
        if self._tap is not None:
            self._tap(recv_ns, "frame", self._number, "", data.decode("utf-8", "replace"))
        try:
            events = self._decode(data, recv_ns)
        except VenueViolation as error:
            self._violated(error, data)
            return
        except Exception as error:  # noqa: BLE001 - a venue's file may be anybody's
            broken = broken_venue(self._spec.venue, error)
            self._outlet.fault(broken)
            self.restart(str(broken))
            return
        for event in events:
            kind = type(event)
            if kind is DepthUpdate:
                symbol = event.symbol
                self._updated_ns[symbol] = recv_ns
                if self._unanswered and symbol in self._unanswered:
                    self._answers.answered(symbol)
                if self._unjoined and symbol in self._unjoined:
                    self._first_update(symbol)
                self.emit(event, recv_ns)
            elif kind is TradeTick:
                if self._news.take(event, self._began_ns.get(event.symbol, 0)):  # type: ignore[arg-type] # narrowed by kind
                    self.emit(event, recv_ns)
            elif kind is Control:
                self._control(event)  # type: ignore[arg-type] # narrowed by kind
            else:
                self.emit(event, recv_ns)
        if recv_ns >= self._sample_ns:
            self._sample(events, recv_ns)

    def _sample(self, events: Sequence[FeedEvent], recv_ns: int) -> None:
        """Measure with this frame what is not worth measuring with every one."""
        frames = self._counts.frames - self._sampled
        self._sampled = self._counts.frames
        self._outlet.done(self._load, recv_ns, frames)
        if events and (exchange_ns := getattr(events[-1], "exchange_ns", 0)):
            self.clock.message(exchange_ns, recv_ns)
            self._sample_ns = recv_ns + SAMPLE_NS

    def _on_round_trip(self, rtt_ns: int) -> None:
        now_ns = self._clock()
        self.clock.round_trip(rtt_ns, now_ns)
        if not self._held:
            self._liveness.pong(now_ns)
            self._prove()

    def _first_update(self, symbol: str) -> None:
        del self._unjoined[symbol]
        self._quiet.begun(symbol)
        if self._shared.want_snapshot is not None and symbol in self._natives:
            self._shared.want_snapshot(self._natives[symbol], symbol)

    def _violated(self, error: VenueViolation, data: bytes) -> None:
        """An unreadable frame: the books that it names are void, or all if it names none.

        One of another channel than the book's invalidates no book.
        """
        now_ns = self._clock()
        self._counts.violations += 1
        if now_ns - self._warned_ns >= WARN_NS:
            self._warned_ns = now_ns
            self._log.warning("violation", error=str(error), so_far=self._counts.violations)
        if is_beside(data, self._spec.beside):
            return
        natives = mentioned(data, self._natives.values())
        damaged = [self._shared.symbols[native] for native in natives] or list(self._natives)
        for symbol in damaged:
            if symbol not in self._refused:
                self.status(symbol, up=False, reason=f"unreadable frame: {error}")
                if natives:
                    self.resync(symbol, "unreadable frame")
        if not natives:
            self.restart("unreadable frame")

    def _control(self, control: Control) -> None:
        if control.kind == "refused":
            self._was_refused(control)
        elif control.kind == "shutdown":
            self._succeed(f"the venue asks to reconnect: {control.text}")
        elif control.kind == "lost":
            for symbol in self._natives:
                self.status(symbol, up=False, reason=control.text)
            self.restart(control.text)
        elif control.kind == "answer" and self._link is not None:
            self._link.send(control.text)

    def _was_refused(self, control: Control) -> None:
        """Find which symbols the venue rejected; those subscribed with them must not suffer."""
        asked = self._asking.take(control.request)
        symbol = self._shared.symbols[control.symbol] if control.symbol else ""
        if symbol in self._natives:
            # Venues do not say whether the rest of the request holds: it does if messages come.
            soon_ns = self._clock() - int((self._shared.quiet_s - FIRST_UPDATE_S) * 1e9)
            for other in asked:
                self._updated_ns[other] = min(self._updated_ns[other], soon_ns)
        elif len(asked) > 1:
            half = len(asked) // 2
            self._log.warning("refused together", symbols=asked, words=control.text)
            self._subscribe(asked[:half])
            self._subscribe(asked[half:])
            return
        elif asked:
            symbol = asked[0]
        else:
            self._log.warning("refused", words=control.text)
            return
        self._log.warning("refused", symbol=symbol, words=control.text)
        self._refused[symbol] = control.text
        self._unjoined.pop(symbol, None)
        self.status(symbol, up=False, reason=control.text, refused=True)

    def status(self, symbol: str, *, up: bool, reason: str, refused: bool = False) -> None:
        """Report the state of this symbol's subscription."""
        status = FeedStatus(
            venue=self._spec.venue,
            symbol=symbol,
            up=up,
            reason=reason,
            refused=refused,
            stream=self._number,
        )
        self.emit(status, self._clock())
