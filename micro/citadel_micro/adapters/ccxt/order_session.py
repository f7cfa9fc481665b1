"""One ccxt object as a connection of the kit of live venues: requests, and the account's news.

With ``watchOrders`` and ``watchMyTrades`` the news come from ccxt.pro's streams, elsewhere from polls.
Each object may dial each address once: a subscription that ccxt would silently renew has a gap.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.adapters.ccxt.generic_feed import moved
from citadel_micro.adapters.ccxt.order_errors import plain
from citadel_micro.adapters.ccxt.order_poller import Poller
from citadel_micro.adapters.ccxt.order_rows import Frame, balance_rows, order_row, trade_row
from citadel_micro.adapters.ccxt.order_transport import ATTEMPT, Attempt, TooLateError, Transport
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_proto.errors import PeerUnavailable, Refused, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.adapters.ccxt.order_venue import CcxtVenue
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.venue_clock import VenueClock

MS: Final = 1_000_000
REQUEST_S: Final = 10.0
WAIT_S: Final = 30.0
"""For a request with all the waiting inside ccxt."""
SUBSCRIBED_S: Final = 5.0
PULSE_S: Final = 30.0
CLOCK_SAMPLES: Final = 3
_AUTHENTICATION: Final = ("AuthenticationError", "PermissionDenied", "AccountSuspended")
_QUIET: Final = logging.getLogger("citadel.ccxt-orders")
"""ccxt logs requests with their keys, so nothing of it is kept."""
_QUIET.setLevel(logging.CRITICAL + 1)

Exchange = Any
"""An object of ccxt.pro, which has no useful types."""


class CcxtSession:
    """One ccxt object, as ``shell.venue.dialect.WireSession``.

    Args:
        venue: which exchange, and how it is reached.
        clock: the venue's time.
        now: engine time in ns.
        on_frame: takes the account's news.
    """

    def __init__(
        self,
        venue: CcxtVenue,
        clock: VenueClock,
        now: Callable[[], int],
        on_frame: Callable[[bytes], None],
    ) -> None:
        self.venue = venue
        self._clock = clock
        self._now = now
        self._on_frame = on_frame
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks: dict[asyncio.Task[None], None] = {}
        """Requests under way."""
        self._watchers: list[asyncio.Task[None]] = []
        self._heartbeat: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._transport = Transport(venue.where, now)
        self.exchange: Exchange = self._made()

    # as a session

    @property
    def up(self) -> bool:
        """Requests can be sent."""
        return not self._ended.done()

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Nothing is made yet: ccxt makes and sends a request in one."""
        return partial(self.send, request, done)

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        """Let ccxt make the request."""
        task = asyncio.get_running_loop().create_task(
            self._carry_out(request, done), name=f"{self.venue.name} {request.method}"
        )
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def closed(self) -> str:
        """Wait for the end and return the reason."""
        return await asyncio.shield(self._ended)

    def close(self) -> None:
        """End it once the requests under way are answered."""
        self._end("closed")

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
            self.venue.closings[self._closing] = None
            self._closing.add_done_callback(self.venue.closings.pop)

    # opening

    async def open(self) -> None:
        """Load the markets, measure the clock, and show the key.

        Raises:
            PeerUnavailable: the venue does not answer.
            Refused: it does not accept the key.
        """
        try:
            await self._load()
            for _ in range(CLOCK_SAMPLES):
                sent_ns = self._now()
                told = await self.exchange.fetch_time()
                self._clock.measured(sent_ns, int(told) * MS)
            await self.exchange.fetch_balance()
        except Exception as error:  # noqa: BLE001 - somebody else's code: it is told whose fault it is
            self.close()
            raise _told(error) from None

    async def listen(self, wanted: frozenset[str]) -> None:
        """Pass on the account's news from now on. Raises as ``open``.

        Args:
            wanted: currencies whose balances are told though they are 0.
        """
        exchange, loop = self.exchange, asyncio.get_running_loop()
        work: list[Callable[[], Awaitable[None]]] = []
        if self.venue.streams:
            for symbol in self.venue.symbols:
                work.append(partial(self._watch_orders, symbol))
                work.append(partial(self._watch_trades, symbol))
            if exchange.has.get("watchBalance"):
                work.append(partial(self._watch_balance, wanted))
            self._heartbeat = loop.create_task(self._guarded(self._check_alive))
        else:
            poller = Poller(self.venue, self.venue.poll_s, wanted)
            work.append(
                lambda: poller.run(
                    exchange, self.report, lambda: self._clock.surely_past_ns() // MS
                )
            )
        self._watchers = [loop.create_task(self._guarded(each)) for each in work]
        until_s = loop.time() + SUBSCRIBED_S
        while self.venue.streams and loop.time() < until_s and self.up:
            # ccxt does not say when a subscription is confirmed; it waits for news by then.
            waiting = sum(len(client.futures) for client in exchange.clients.values())
            if waiting >= len(self._watchers):
                break
            await asyncio.sleep(0.05)
        if not self.up:
            why = self._ended.result()
            self.close()
            if why.startswith(_AUTHENTICATION):
                raise Refused(f"the venue refuses the key: {why}")
            raise PeerUnavailable(why)

    def report(self, frame: Frame) -> None:
        """Pass on news."""
        if self.up:
            self._on_frame(msgspec.json.encode(frame))

    # requests

    async def _carry_out(self, request: Request, done: Callable[[Outcome], None]) -> None:
        attempt = Attempt(expires_ns=request.expires_ns)
        ATTEMPT.set(attempt)
        outcome: Outcome = Unknown("cut short")
        try:
            async with asyncio.timeout(WAIT_S):
                frame = await self.venue.carry_out(self.exchange, request)
            outcome = Answered(status=200, body=msgspec.json.encode(frame))
        except asyncio.CancelledError:
            outcome = Unknown("cut short") if attempt.left else NotSent("cut short")
            raise
        except TooLateError as error:
            outcome = Unknown(str(error)) if attempt.left else NotSent(str(error))
        except Exception as error:  # noqa: BLE001 - somebody else's code: what it means is a table
            if attempt.unreachable and not attempt.left:
                outcome = NotSent(f"no connection: {plain(error)}")
            else:
                frame = Frame(error=type(error).__name__, text=plain(error), left=attempt.left)
                outcome = Answered(status=400, body=msgspec.json.encode(frame))
        finally:
            # From the loop: an error of ours in there is not one of this task.
            asyncio.get_running_loop().call_soon(done, outcome)

    # news of the account

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            # Called in here: a task that ends before it began would leave it unawaited.
            await work()
        except VenueViolation as error:
            self.report(Frame(ends=str(error)))
            self._end(str(error))
        except Exception as error:  # noqa: BLE001 - somebody else's code; it ends this session
            self._end(plain(error))

    async def _check_alive(self) -> None:
        """A key that is refused ends no stream that ccxt knows of: ask for something now and then."""
        while True:
            await asyncio.sleep(PULSE_S)
            await self.exchange.fetch_balance()

    async def _watch_orders(self, symbol: str) -> None:
        while True:
            rows = await self.exchange.watch_orders(symbol)
            orders = tuple(order_row(each, symbol) for each in rows)
            self.report(
                Frame(orders=orders, stamp_ms=max((each.stamp_ms for each in orders), default=0))
            )

    async def _watch_trades(self, symbol: str) -> None:
        while True:
            rows = await self.exchange.watch_my_trades(symbol)
            trades = tuple(trade_row(each, symbol) for each in rows)
            self.report(
                Frame(trades=trades, stamp_ms=max((each.stamp_ms for each in trades), default=0))
            )

    async def _watch_balance(self, wanted: frozenset[str]) -> None:
        while True:
            told = await self.exchange.watch_balance()
            stamp = int(told.get("timestamp") or self._clock.surely_past_ns() // MS)
            self.report(Frame(balances=balance_rows(told, wanted, whole=False), stamp_ms=stamp))

    # ccxt's object

    def _made(self) -> Exchange:
        exchange = self.venue.make(
            {
                "newUpdates": True,
                "enableRateLimit": True,
                "timeout": int(REQUEST_S * 1_000),
                "session": self._transport,
                "enableLastHttpResponse": False,
                "enableLastJsonResponse": False,
                **self.venue.credentials(),
            }
        )
        exchange.logger = _QUIET
        exchange.urls["api"] = moved(exchange.urls["api"], *self.venue.urls)
        exchange.options["maxRetriesOnFailure"] = 0
        plain_client, dialled = exchange.client, dict[str, None]()

        def client(url: str) -> Any:  # noqa: ANN401 - ccxt's own
            if url in exchange.clients:
                return exchange.clients[url]
            if url in dialled:
                raise PeerUnavailable("the connection of the account's stream was lost")
            dialled[url] = None
            made = plain_client(url)
            handle = made.handle_message

            def guarded(message: Any) -> None:  # noqa: ANN401 - aiohttp's message
                try:
                    handle(message)
                except Exception as error:  # noqa: BLE001 - it would silently end the reading
                    self.report(Frame(ends=f"ccxt could not handle a message: {plain(error)}"))
                    self._end(plain(error))

            made.handle_message = guarded
            return made

        exchange.client = client
        return exchange

    async def _load(self) -> None:
        known = self.venue.markets
        if known is None:
            await self.exchange.load_markets()
            known = list(self.exchange.markets.values()), self.exchange.currencies
            self.venue.markets = known
        else:
            self.exchange.set_markets(*known)
        # From here on the venue's own text is kept, to the last digit. With Decimal ccxt drops fees:
        # its readers of nested numbers know text, int and float only.
        self.exchange.number = str

    async def _close(self) -> None:
        watchers = [*self._watchers, *([] if self._heartbeat is None else [self._heartbeat])]
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=REQUEST_S)
        try:
            await self.exchange.close()
        finally:
            await self._transport.close()

    async def cut_short(self) -> None:
        """Close without waiting for the requests under way: they end as unknown."""
        for task in tuple(self._tasks):
            task.cancel()
        self.close()
        await asyncio.gather(*self.venue.closings, return_exceptions=True)


def _told(error: Exception) -> PeerUnavailable | Refused:
    if isinstance(error, Refused | PeerUnavailable):
        return error
    if type(error).__name__ in _AUTHENTICATION:
        return Refused(f"the venue refuses the key: {plain(error)}")
    return PeerUnavailable(plain(error))
