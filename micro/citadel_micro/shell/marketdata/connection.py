"""One connection of one venue, with its share of the symbols, kept up for as long as it is wanted.

It has one ``Life`` after the other. When one is about to end (its lifetime is nearly over, or the venue
says that it will go away), its successor is opened first, and each symbol handed over: ``handover``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from citadel_micro.core.model.events import FeedStatus
from citadel_micro.shell.marketdata.backoff import Backoff
from citadel_micro.shell.marketdata.conflating_queue import strategy_of
from citadel_micro.shell.marketdata.context import Counts
from citadel_micro.shell.marketdata.decode import DECODE_ERRORS
from citadel_micro.shell.marketdata.handover import Handover
from citadel_micro.shell.marketdata.health import ConnectionHealth
from citadel_micro.shell.marketdata.lag_monitor import Load
from citadel_micro.shell.marketdata.session import RENEWED, Life
from citadel_micro.shell.marketdata.websocket import post
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.marketdata.context import Shared, SinkEvent

SETTLED_S: Final = 20.0
"""A connection that lived this long was a good one: the next failure retries quickly."""
HANDOVER_S: Final = 10.0
"""Symbols on which nothing has happened for this long on either connection are handed over."""
LINGER_S: Final = 1.0
"""The old one is heard for this long after its last book, for trades that are still under way."""
_LOOK_S: Final = 0.01
"""How often it is looked whether a handover is done."""


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
        self._emit = shared.outlet.emit
        self._life: Life | None = None
        self._successor: Life | None = None
        self._handover: Handover | None = None
        self._backoff = Backoff(shared.rng)
        self._log = structlog.get_logger("feeds").bind(venue=self._spec.venue, conn=number)
        self.counts = Counts()
        self.load = Load()

    @property
    def up(self) -> bool:
        """Connected just now."""
        return self._life is not None

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
            clock=None if self._life is None else self._life.clock.estimate(),
        )

    def octets_read(self) -> int:
        """As ``outlet.Source``."""
        return self.counts.octets

    def unread(self) -> int:
        """As ``outlet.Source``."""
        return sum(life.unread() for life in self._lives())

    def hold(self, *, held: bool) -> None:
        """As ``outlet.Source``."""
        for life in self._lives():
            life.hold(held=held)

    def resync(self, symbol: str, reason: str, *, mute: bool = False) -> None:
        """The book of this unified symbol lost its place, or its depth fell mute: bring it anew."""
        life, handover = self._life, self._handover
        if handover is not None and self._successor is not None and handover.moved(symbol):
            life = self._successor
        if life is not None:
            life.resync(symbol, reason, mute=mute)

    async def run(self) -> None:
        """Connect, and again whenever it is lost, at a bounded rate."""
        loop = asyncio.get_running_loop()
        while True:
            opened_s = loop.time()
            try:
                life = await self._open()
            except PeerUnavailable as error:
                self.counts.failures += 1
                self._log.warning("connect failed", error=str(error))
                self._down(str(error))
            else:
                opened_s = loop.time()
                life.begin()
                why = await self._live(life)
                self._log.warning("disconnected", reason=why, after_s=loop.time() - opened_s)
                self._down(why)
                if why == RENEWED:
                    continue  # as planned, so there is nothing to back off from
            if loop.time() - opened_s >= SETTLED_S:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next())

    async def _open(self) -> Life:
        """A new connection, not yet subscribed. Raises PeerUnavailable."""
        await self._shared.connects.turn()
        life = Life(
            self._shared,
            self.number,
            self._natives,
            counts=self.counts,
            load=self.load,
            emit=self._emit,
        )
        await life.open(await self._address())
        return life

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

    def _lives(self) -> list[Life]:
        return [life for life in (self._life, self._successor) if life is not None]

    async def _live(self, life: Life) -> str:
        """From the beginning of a life to the end of its last successor. Returns why that ended."""
        self._life = life
        ending: asyncio.Future[str] = asyncio.ensure_future(life.closed())
        try:
            while True:
                await _either(ending, life.wants_successor)
                if ending.done():
                    return ending.result()
                if self._shared.tap is not None:
                    # Two connections under one number would make a capture that nobody can read.
                    life.restart(life.renewal)
                    return await ending
                begun = await self._begin_successor(ending)
                if begun is None:
                    await asyncio.wait([ending], timeout=self._backoff.next())
                elif await self._hand_over(life, ending, *begun):
                    life, ending = begun
                    self._life = life
                    self._log.info("handed over", connects=self.counts.connects)
        finally:
            self._life = None
            await _end(ending)

    async def _begin_successor(
        self, ending: asyncio.Future[str]
    ) -> tuple[Life, asyncio.Future[str]] | None:
        """A further connection, and its end. None if there is none before the old one ends."""
        opening = asyncio.ensure_future(self._open())
        try:
            both: list[asyncio.Future[Any]] = [ending, opening]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not opening.done():
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
        if opening.cancelled():
            return None
        try:
            life = opening.result()
        except PeerUnavailable as error:
            self.counts.failures += 1
            self._log.warning("no successor yet", error=str(error))
            return None
        return life, asyncio.ensure_future(life.closed())

    async def _hand_over(
        self, old: Life, ending: asyncio.Future[str], new: Life, closing: asyncio.Future[str]
    ) -> bool:
        """Hand every symbol over. False if the successor has died before it was one."""
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
                await asyncio.wait([ending, closing], timeout=_LOOK_S)
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

    def _take_back(self, old: Life, handover: Handover, reason: str) -> None:
        """The successor is lost: what had moved to it is void until the old one has brought it."""
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
    """Let a life close its connection, and wait for that."""
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)


def _nowhere(_event: SinkEvent, _recv_ns: int) -> None:
    """For a connection whose successor has taken over."""
