"""One connection of one venue, with its share of the symbols, kept up for as long as it is wanted.

The hot path is ``_on_frame``: websocket callback, decoder, sink, by direct calls. Everything else
(connecting, subscribing, watching) is one task beside it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from citadel_micro.core.events import DepthUpdate, FeedStatus
from citadel_micro.shell.feeds.clock_offset import ClockOffset
from citadel_micro.shell.feeds.decode import (
    DECODE_ERRORS,
    Control,
    FeedEvent,
    Symbols,
    mentioned,
)
from citadel_micro.shell.feeds.health import ConnectionHealth
from citadel_micro.shell.feeds.link import CLOSE_TIMEOUT_S, Link, open_link, post
from citadel_micro.shell.feeds.outlet import Outlet
from citadel_micro.shell.feeds.overload import Load
from citadel_micro.shell.feeds.pace import Backoff, Pacer
from citadel_micro.shell.feeds.spec import Channel, VenueSpec
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    SinkEvent = FeedEvent | FeedStatus

WATCH_S: Final = 0.25
"""How often silence is looked for."""
SETTLED_S: Final = 20.0
"""A connection that lived this long was a good one: the next failure retries quickly."""
FIRST_UPDATE_S: Final = 3.0
"""A quiet symbol gets its snapshot after this even if no update has come to join it to."""
PROBE_S: Final = 5.0
"""How often a round trip is measured: of the budgets of venues that count pings, a small part."""
QUIET_CAP: Final = 16.0
"""A symbol that stays quiet is asked about at most this many times less often."""
RENEW_BEFORE: Final = 0.995
"""Part of a connection's lifetime after which it is renewed, before the venue cuts it."""

RENEWED: Final = "renewed before the venue cuts it"


class Emit(Protocol):
    """Takes one event, at the time it was received."""

    def __call__(self, event: SinkEvent, recv_ns: int, /) -> None:
        """Take it, at once."""


class Tap(Protocol):
    """Takes raw traffic in the terms of a capture: kind, connection, address, text."""

    def __call__(self, recv_ns: int, kind: str, conn: int, url: str, text: str, /) -> None:
        """Take it, at once."""


@dataclass(slots=True)
class Counts:
    """What a connection has seen so far."""

    frames: int = 0
    octets: int = 0
    violations: int = 0
    connects: int = 0
    failures: int = 0
    resubscribed: int = 0
    last_frame_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all connections of one venue share."""

    spec: VenueSpec
    url: str
    rest_url: str
    given_url: bool
    """The address was configured, so no ticket is asked for."""
    symbols: Symbols
    channels: Sequence[Channel]
    outlet: Outlet
    clock: Callable[[], int]
    rng: random.Random
    connects: Pacer
    want_snapshot: Callable[[str, str], None] | None
    """(venue symbol, unified symbol); None where the stream brings its own."""
    drop_snapshot: Callable[[str], None]
    quiet_s: float
    tap: Tap | None


class Connection:
    """See the module. ``run`` returns when cancelled, and at no other time.

    Args:
        number: of this connection among those of the venue, from 0.
        natives: venue symbol of each unified symbol that it serves.
    """

    def __init__(self, shared: Shared, number: int, natives: Mapping[str, str]) -> None:
        self._shared = shared
        self._spec = shared.spec
        self.number = number
        self._natives = dict(natives)
        self._decode = shared.spec.decoder(shared.symbols).frame
        self._outlet = shared.outlet
        self._emit = shared.outlet.emit
        self._clock = shared.clock
        self._tap = shared.tap
        self._link: Link | None = None
        self._backoff = Backoff(shared.rng)
        self._outbox: deque[str] = deque()
        self._outbox_filled = asyncio.Event()
        self._requests: dict[int, tuple[str, ...]] = {}
        self._next_request = 1
        self._renew = ""
        # Per unified symbol: when its depth was last heard, and how patient to be.
        self._heard_ns: dict[str, int] = {}
        self._patience: dict[str, float] = {}
        self._unjoined: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._log = structlog.get_logger("feeds").bind(venue=self._spec.venue, conn=number)
        self._held = False
        self.counts = Counts()
        self.load = Load()
        self.clock = ClockOffset()

    @property
    def up(self) -> bool:
        """Connected just now."""
        return self._link is not None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Unified symbols of this connection."""
        return tuple(self._natives)

    def health(self) -> ConnectionHealth:
        """What it has seen so far, without what its consumer has made of it."""
        counts = self.counts
        return ConnectionHealth(
            venue=self._spec.venue,
            number=self.number,
            up=self.up,
            symbols=self.symbols,
            frames=counts.frames,
            octets=counts.octets,
            violations=counts.violations,
            connects=counts.connects,
            failures=counts.failures,
            resubscribed=counts.resubscribed,
            last_frame_ns=counts.last_frame_ns,
            clock=self.clock.estimate(),
        )

    def octets_read(self) -> int:
        """As ``outlet.Source``."""
        return self.counts.octets

    def unread(self) -> int:
        """As ``outlet.Source``."""
        return 0 if self._link is None else self._link.unread()

    def hold(self, *, held: bool) -> None:
        """As ``outlet.Source``."""
        self._held = held
        if self._link is not None:
            self._link.hold(held=held)

    async def run(self) -> None:
        """Connect, and again whenever it is lost, at a bounded rate."""
        loop = asyncio.get_running_loop()
        while True:
            await self._shared.connects.turn()
            try:
                url = await self._address()
                link = await open_link(
                    url, self._on_frame, self._on_round_trip, deflate=self._spec.deflate
                )
            except PeerUnavailable as error:
                self.counts.failures += 1
                self._log.warning("connect failed", error=str(error))
                self._down(str(error))
            else:
                opened_s = loop.time()
                why = await self._serve(link)
                self._log.warning("disconnected", reason=why, after_s=loop.time() - opened_s)
                self._down(why)
                if loop.time() - opened_s >= SETTLED_S:
                    self._backoff.reset()
                if self._renew == RENEWED:
                    continue  # as planned, so there is nothing to back off from
            await asyncio.sleep(self._backoff.next())

    def resync(self, symbol: str, reason: str) -> None:
        """The book of this unified symbol lost its place: bring it a snapshot."""
        native = self._natives[symbol]
        if symbol in self._refused or self._link is None:
            return
        if self._shared.want_snapshot is not None:
            self._shared.want_snapshot(native, symbol)
        else:
            self._resubscribe(symbol, reason)

    async def _address(self) -> str:
        """Where to connect, which some venues tell anew each time. Raises PeerUnavailable."""
        spec = self._spec
        if not spec.ticket or self._shared.given_url:
            return self._shared.url
        answer = await post(self._shared.rest_url.rstrip("/") + spec.ticket)
        try:
            return spec.ticket_url(answer)
        except DECODE_ERRORS as error:
            raise PeerUnavailable(f"{spec.venue}: no address to connect to: {error}") from None

    # --- one life of the connection -----------------------------------------------------------

    async def _serve(self, link: Link) -> str:
        """From open to closed. Returns why it ended."""
        now_ns = self._clock()
        self._link = link
        self._held = False
        self._decode = self._spec.decoder(self._shared.symbols).frame
        self._outbox.clear()
        self._requests.clear()
        self._refused.clear()
        self._renew = ""
        self.counts.connects += 1
        self.counts.last_frame_ns = now_ns
        if self._tap is not None:
            self._tap(now_ns, "open", self.number, self._shared.url, "")
        for symbol in self._natives:
            self._status(symbol, up=True, reason="connected, waiting for a snapshot")
        self._subscribe(list(self._natives))
        helpers = [
            asyncio.ensure_future(self._send_outbox(link)),
            asyncio.ensure_future(self._watch(link)),
        ]
        try:
            why = await link.closed()
        except asyncio.CancelledError:
            # Nobody opens another one, so there is time to let the peer answer the close.
            link.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                    await link.closed()
            raise
        finally:
            self._link = None
            link.close()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        return self._renew or why

    def _subscribe(self, symbols: Sequence[str]) -> None:
        spec, now_ns = self._spec, self._clock()
        size = spec.limits.symbols_per_message
        for symbol in symbols:
            self._heard_ns[symbol] = now_ns
            if self._shared.want_snapshot is not None:
                self._unjoined[symbol] = now_ns
        for start in range(0, len(symbols), size):
            chunk = symbols[start : start + size]
            natives = [self._natives[symbol] for symbol in chunk]
            self._queue(spec.subscribe(natives, self._shared.channels, self._next_request), chunk)

    def _resubscribe(self, symbol: str, reason: str) -> None:
        unsubscribe = self._spec.unsubscribe
        self._log.info("resubscribe", symbol=symbol, reason=reason)
        self.counts.resubscribed += 1
        if unsubscribe is None:
            self._restart(f"{symbol}: {reason}")
            return
        native = self._natives[symbol]
        self._queue(unsubscribe([native], self._shared.channels, self._next_request), ())
        self._subscribe([symbol])

    def _queue(self, messages: Sequence[str], symbols: Sequence[str]) -> None:
        for message in messages:
            self._requests[self._next_request] = tuple(symbols)
            self._next_request += 1
            self._outbox.append(message)
        self._outbox_filled.set()

    async def _send_outbox(self, link: Link) -> None:
        """Send what is queued, no faster than the venue takes it, and its heartbeats."""
        pacer = Pacer(self._spec.limits.messages_per_s)
        beat = self._spec.heartbeat
        while True:
            timeout = beat.interval_s if beat.text else None
            try:
                async with asyncio.timeout(timeout):
                    await self._outbox_filled.wait()
            except TimeoutError:
                self._outbox.append(beat.text)
            self._outbox_filled.clear()
            while self._outbox:
                await pacer.turn()
                text = self._outbox.popleft()
                link.send(text)
                if self._tap is not None:
                    self._tap(self._clock(), "sent", self.number, "", text)

    async def _watch(self, link: Link) -> None:
        """Look for what does not announce itself: silence, of all or of one symbol, and age."""
        loop = asyncio.get_running_loop()
        opened_s = loop.time()
        lifetime_s = self._spec.limits.lifetime_s * RENEW_BEFORE
        silence_ns = int(self._spec.heartbeat.silence_s * 1e9)
        probe_s = opened_s
        while True:
            if loop.time() >= probe_s:
                probe_s = loop.time() + PROBE_S
                link.ping()
            await asyncio.sleep(WATCH_S)
            now_ns = self._clock()
            if self._held:
                # The silence is ours.
                self.counts.last_frame_ns = now_ns
                self._heard_ns.update(dict.fromkeys(self._heard_ns, now_ns))
            if now_ns - self.counts.last_frame_ns > silence_ns:
                self._restart(f"no frame for {self._spec.heartbeat.silence_s:g} s")
            elif lifetime_s and loop.time() - opened_s > lifetime_s:
                self._restart(RENEWED)
            if self._renew:
                link.close()
                return
            self._watch_unjoined(now_ns)
            if "depth" in self._shared.channels:
                self._watch_quiet(now_ns)

    def _watch_unjoined(self, now_ns: int) -> None:
        due = now_ns - int(FIRST_UPDATE_S * 1e9)
        for symbol in [symbol for symbol, since in self._unjoined.items() if since < due]:
            self._first_update(symbol)

    def _watch_quiet(self, now_ns: int) -> None:
        """A subscription can die without a word while its connection lives."""
        for symbol, heard_ns in self._heard_ns.items():
            patience = self._patience.get(symbol, 1.0)
            if now_ns - heard_ns > self._shared.quiet_s * patience * 1e9:
                if symbol in self._refused:
                    continue
                self._patience[symbol] = min(QUIET_CAP, patience * 2.0)
                self._heard_ns[symbol] = now_ns
                reason = f"nothing for {(now_ns - heard_ns) / 1e9:.1f} s on a live connection"
                self._status(symbol, up=False, reason=reason)
                self._resubscribe(symbol, reason)

    def _restart(self, reason: str) -> None:
        """End this connection; ``run`` opens the next."""
        self._renew = self._renew or reason

    # --- what comes in ------------------------------------------------------------------------

    def _on_frame(self, data: bytes) -> None:
        recv_ns = self._clock()
        counts = self.counts
        counts.frames += 1
        counts.octets += len(data)
        counts.last_frame_ns = recv_ns
        if self._tap is not None:
            self._tap(recv_ns, "frame", self.number, "", data.decode("utf-8", "replace"))
        try:
            events = self._decode(data, recv_ns)
        except VenueViolation as error:
            self._violated(error, data)
            return
        for event in events:
            kind = type(event)
            if kind is DepthUpdate:
                symbol = event.symbol
                self._heard_ns[symbol] = recv_ns
                if self._unjoined and symbol in self._unjoined:
                    self._first_update(symbol)
                self._emit(event, recv_ns)
            elif kind is Control:
                self._control(event)  # type: ignore[arg-type] # narrowed by kind
            else:
                self._emit(event, recv_ns)
        if events and (exchange_ns := getattr(events[-1], "exchange_ns", 0)):
            self.clock.message(exchange_ns, recv_ns)
        self._outlet.done(self.load, recv_ns)

    def _on_round_trip(self, rtt_ns: int) -> None:
        self.clock.round_trip(rtt_ns, self._clock())

    def _first_update(self, symbol: str) -> None:
        del self._unjoined[symbol]
        self._patience.pop(symbol, None)
        if self._shared.want_snapshot is not None and symbol in self._natives:
            self._shared.want_snapshot(self._natives[symbol], symbol)

    def _violated(self, error: VenueViolation, data: bytes) -> None:
        """An unreadable frame: the books that it names are void, or all if it names none."""
        self.counts.violations += 1
        self._log.warning("violation", error=str(error))
        natives = mentioned(data, self._natives.values())
        damaged = [self._shared.symbols[native] for native in natives] or list(self._natives)
        for symbol in damaged:
            if symbol not in self._refused:
                self._status(symbol, up=False, reason=f"unreadable frame: {error}")
                if natives:
                    self.resync(symbol, "unreadable frame")
        if not natives:
            self._restart("unreadable frame")

    def _control(self, control: Control) -> None:
        if control.kind == "refused":
            self._was_refused(control)
        elif control.kind == "shutdown":
            self._restart(f"the venue asks to reconnect: {control.text}")
        elif control.kind == "lost":
            for symbol in self._natives:
                self._status(symbol, up=False, reason=control.text)
            self._restart(control.text)
        elif control.kind == "answer" and self._link is not None:
            self._link.send(control.text)

    def _was_refused(self, control: Control) -> None:
        """Find which symbols the venue will not serve; those asked for with them must not suffer."""
        asked = self._requests.pop(control.request, ())
        symbol = self._shared.symbols[control.symbol] if control.symbol else ""
        if symbol in self._natives:
            # Whether the rest of the request holds, venues do not say: it does if it speaks.
            soon_ns = self._clock() - int((self._shared.quiet_s - FIRST_UPDATE_S) * 1e9)
            for other in asked:
                self._heard_ns[other] = min(self._heard_ns[other], soon_ns)
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
        self._status(symbol, up=False, reason=control.text, refused=True)

    def _down(self, reason: str) -> None:
        for symbol, native in self._natives.items():
            self._shared.drop_snapshot(native)
            self._status(symbol, up=False, reason=reason)
        self._unjoined.clear()

    def _status(self, symbol: str, *, up: bool, reason: str, refused: bool = False) -> None:
        status = FeedStatus(
            venue=self._spec.venue, symbol=symbol, up=up, reason=reason, refused=refused
        )
        self._emit(status, self._clock())
