"""One connection of one venue, with its share of the symbols, kept up as long as it is needed.

It runs one ``FeedSession`` (session) after the other. When one is about to end (its lifetime is nearly over, or
the venue announces a shutdown), its successor is opened first, and each symbol handed over: ``handover``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from citadel_micro.core.model.events import FeedStatus
from citadel_micro.shell.http.public import fetch
from citadel_micro.shell.marketdata.backoff import Backoff
from citadel_micro.shell.marketdata.conflating_queue import strategy_of
from citadel_micro.shell.marketdata.context import Counts
from citadel_micro.shell.marketdata.decode import DECODE_ERRORS
from citadel_micro.shell.marketdata.handover import Handover
from citadel_micro.shell.marketdata.health import ConnectionHealth
from citadel_micro.shell.marketdata.lag_monitor import Load
from citadel_micro.shell.marketdata.session import RENEWED, FeedSession
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.marketdata.context import Emit, SinkEvent, VenueContext

SETTLED_S: Final = 20.0
"""A connection that lasted this long was a good one: the next failure retries quickly."""
HANDOVER_S: Final = 10.0
"""Symbols without traffic for this long on either connection are handed over."""
TICKET_TIMEOUT_S: Final = 10.0
"""Of the request for an address, where a venue assigns one."""
LINGER_S: Final = 1.0
"""The old one is read for this long after its last book, for trades still in transit."""
_CHECK_S: Final = 0.01
"""How often a handover is checked for completion."""


class Connection:
    """See the module. ``run`` returns only when canceled.

    Args:
        number: of this connection among those of the venue, from 0.
        natives: venue symbol of each unified symbol that it serves.
    """

    def __init__(self, shared: VenueContext, number: int, natives: Mapping[str, str]) -> None:
        self._shared = shared
        self._spec = shared.spec
        self.number = number
        self._natives = dict(natives)
        self._emit: Emit = shared.outlet.emit
        self._session: FeedSession | None = None
        self._successor: FeedSession | None = None
        self._handover: Handover | None = None
        self._backoff = Backoff(shared.rng)
        self._log = structlog.get_logger("feeds").bind(venue=self._spec.venue, conn=number)
        self.counts = Counts()
        self.load = Load()

    @property
    def up(self) -> bool:
        """Connected just now."""
        return self._session is not None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Unified symbols of this connection."""
        return tuple(self._natives)

    def health(self) -> ConnectionHealth:
        """Its counts so far, without those of its consumer."""
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
            clock=None if self._session is None else self._session.clock.estimate(),
        )

    def octets_read(self) -> int:
        """As ``outlet.Source``."""
        return self.counts.octets

    def unread(self) -> int:
        """As ``outlet.Source``."""
        return sum(session.unread() for session in self._sessions())

    def hold(self, *, held: bool) -> None:
        """As ``outlet.Source``."""
        for session in self._sessions():
            session.hold(held=held)

    def resync(self, symbol: str, reason: str, *, mute: bool = False) -> None:
        """The book of this unified symbol has a gap, or went mute: resynchronize it."""
        session, handover = self._session, self._handover
        if handover is not None and self._successor is not None and handover.moved(symbol):
            session = self._successor
        if session is not None:
            session.resync(symbol, reason, mute=mute)

    def silence(self) -> None:
        """Emit nothing any more: it is about to be canceled."""
        self._emit = _nowhere
        for session in self._sessions():
            session.emit = _nowhere
        for native in self._natives.values():
            self._shared.drop_snapshot(native)

    async def run(self) -> None:
        """Connect, and reconnect whenever it is lost, at a bounded rate."""
        loop = asyncio.get_running_loop()
        while True:
            opened_s = loop.time()
            try:
                session = await self._open()
            except PeerUnavailable as error:
                self.counts.failures += 1
                self._log.warning("connect failed", error=str(error))
                self._down(str(error))
            else:
                opened_s = loop.time()
                session.begin()
                why = await self._run_session(session)
                self._log.warning("disconnected", reason=why, after_s=loop.time() - opened_s)
                self._down(why)
                if why == RENEWED:
                    continue  # as planned, so there is nothing to back off from
            if loop.time() - opened_s >= SETTLED_S:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next())

    async def _open(self) -> FeedSession:
        """A new connection, not yet subscribed. Raises PeerUnavailable."""
        await self._shared.connects.turn()
        session = FeedSession(
            self._shared,
            self.number,
            self._natives,
            counts=self.counts,
            load=self.load,
            emit=self._emit,
        )
        await session.open(await self._address())
        return session

    async def _address(self) -> str:
        """Where to connect, which some venues assign anew each time. Raises PeerUnavailable."""
        spec = self._spec
        if not spec.ticket or self._shared.given_url:
            return self._shared.url
        url = self._shared.rest_url.rstrip("/") + spec.ticket
        answer = await fetch(url, timeout_s=TICKET_TIMEOUT_S, method="POST")
        try:
            return spec.ticket_url(answer)
        except DECODE_ERRORS as error:
            raise PeerUnavailable(f"{spec.venue}: no address to connect to: {error}") from None

    def _sessions(self) -> list[FeedSession]:
        return [session for session in (self._session, self._successor) if session is not None]

    async def _run_session(self, session: FeedSession) -> str:
        """Run a session and its successors to the end of the last. Returns why that ended."""
        self._session = session
        ending: asyncio.Future[str] = asyncio.ensure_future(session.closed())
        try:
            while True:
                await _either(ending, session.wants_successor)
                if ending.done():
                    return ending.result()
                if self._shared.tap is not None:
                    # Two connections under one number would make a capture that nobody can read.
                    session.restart(session.renewal)
                    return await ending
                begun = await self._begin_successor(ending)
                if begun is None:
                    await asyncio.wait([ending], timeout=self._backoff.next())
                elif await self._hand_over(session, ending, *begun):
                    session, ending = begun
                    self._session = session
                    self._log.info("handed over", connects=self.counts.connects)
        finally:
            self._session = None
            await _end(ending)

    async def _begin_successor(
        self, ending: asyncio.Future[str]
    ) -> tuple[FeedSession, asyncio.Future[str]] | None:
        """Open a successor, and its end. None if there is none before the old one ends."""
        opening = asyncio.ensure_future(self._open())
        try:
            both: list[asyncio.Future[Any]] = [ending, opening]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _abandon(opening)
            raise
        if not opening.done():
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        if opening.cancelled():
            return None
        try:
            session = opening.result()
        except PeerUnavailable as error:
            self.counts.failures += 1
            self._log.warning("no successor yet", error=str(error))
            return None
        return session, asyncio.ensure_future(session.closed())

    async def _hand_over(
        self,
        old: FeedSession,
        ending: asyncio.Future[str],
        new: FeedSession,
        closing: asyncio.Future[str],
    ) -> bool:
        """Hand every symbol over. False if the successor was lost before it was complete."""
        loop = asyncio.get_running_loop()
        self._log.info("renewing", reason=old.renewal)
        handover = Handover(
            self._spec.venue,
            self._natives,
            strategy_of(self._spec.integrity),
            self._emit,
            bridges=self._shared.want_snapshot is not None,
        )
        old.emit, new.emit = handover.old, handover.new
        self._handover, self._successor = handover, new
        try:
            new.begin(succeeds=True)
            give_up_s = loop.time() + HANDOVER_S
            while not (handover.done or ending.done() or closing.done()):
                await asyncio.wait([ending, closing], timeout=_CHECK_S)
                if new.subscribing:
                    give_up_s = loop.time() + HANDOVER_S
                elif loop.time() > give_up_s:
                    break
            if closing.done() and not ending.done():
                self._take_back(old, handover, closing.result())
                await asyncio.wait([ending], timeout=self._backoff.next())
                return False
            why = ending.result() if ending.done() else old.renewal
            for symbol in handover.finish(why, lost=ending.done()):
                new.expect(symbol)
            await asyncio.wait([ending], timeout=LINGER_S)
            old.emit, new.emit = _nowhere, self._emit
            await old.end()
            await asyncio.wait([ending])
        except BaseException:
            await _end(closing)
            raise
        finally:
            self._handover = self._successor = None
        return True

    def _take_back(self, old: FeedSession, handover: Handover, reason: str) -> None:
        """The successor is lost: books moved to it are void until the old one has resynced them."""
        self._log.warning("the successor is lost", reason=reason)
        old.emit = self._emit
        for symbol in self._natives:
            if handover.moved(symbol):
                old.status(symbol, up=False, reason=reason)
                old.resync(symbol, reason)

    def _down(self, reason: str) -> None:
        for symbol, native in self._natives.items():
            self._shared.drop_snapshot(native)
            status = FeedStatus(
                venue=self._spec.venue, symbol=symbol, up=False, reason=reason, refused=False
            )
            self._emit(status, self._shared.clock())


async def _either(ending: asyncio.Future[str], event: asyncio.Event) -> None:
    """Wait for the first of both."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        both: list[asyncio.Future[Any]] = [ending, waiting]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _end(ending: asyncio.Future[str]) -> None:
    """Let a session close its connection, and wait for that."""
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)


async def _abandon(opening: asyncio.Future[FeedSession]) -> None:
    """End an attempt to connect, also one that has just succeeded: nobody else knows of its session."""
    opening.cancel()
    for session in await asyncio.gather(opening, return_exceptions=True):
        if isinstance(session, FeedSession):
            await session.end()


def _nowhere(_event: SinkEvent, _recv_ns: int) -> None:
    """Drops the events of a connection whose successor has taken over."""
