"""Every venue that has no spec of its own, through ccxt.pro: ``ccxt-<exchange>``, never verified.

ccxt.pro keeps books well enough to look at, but takes gaps in silence, so what comes through here
is labelled by the integrity strategy ``unverified``: the book says so for as long as it is LIVE,
and no risk limit rests on it. What is known to go wrong inside it is contained:

- an exception in its message handling silently ends the reading of a connection: both of its
  handlers are wrapped, and any exception ends the connection's life at once, and with it the trust;
- books and subscriptions survive a reconnect: each life has a new ccxt object that may dial each
  address once, so nothing can;
- its books change under the reader: levels are copied before anything else can run;
- a subscription or a connection that has gone silent is noticed minutes later, if ever: every
  symbol has a watchdog of its own here.
"""

from __future__ import annotations

import asyncio
import difflib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog

from citadel_micro.adapters.ccxt.conversions import book_update, trade_ticks
from citadel_micro.core.marketdata.streams import WHOLE_VENUE
from citadel_micro.core.model.events import FeedStatus, StreamProof
from citadel_micro.shell.marketdata.backoff import Backoff
from citadel_micro.shell.marketdata.health import ConnectionHealth
from citadel_micro.shell.marketdata.lag_monitor import Load
from citadel_micro.shell.marketdata.liveness import PING_NS, PROOF_NS, SILENT_NS
from citadel_micro.shell.marketdata.naming import nearest
from citadel_micro.shell.marketdata.spec import PREFIX
from citadel_micro.shell.marketdata.trade_filter import TradeNews
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from citadel_micro.shell.marketdata.context import Emit
    from citadel_micro.shell.marketdata.spec import Channel

WATCH_S: Final = 0.25
SETTLED_S: Final = 20.0
"""A life this long was a good one: the next failure retries quickly."""
QUIET_CAP: Final = 16.0
"""A symbol that stays quiet is asked about at most this many times less often."""

Exchange = Any
"""An object of ccxt.pro, which has no types to speak of."""


def exchange_class(venue: str) -> Callable[[Mapping[str, Any]], Exchange]:
    """The ccxt.pro class of ``ccxt-<exchange>``.

    Raises BadInput, with the nearest names, where ccxt.pro has none that streams books.
    """
    import ccxt.pro  # noqa: PLC0415 - half a second and 100 MB that most runs need not pay

    name = venue.removeprefix(PREFIX)
    if name not in ccxt.pro.exchanges:
        near = difflib.get_close_matches(name, ccxt.pro.exchanges, n=3, cutoff=0.7)
        raise BadInput(
            f"ccxt.pro has no exchange {name!r}",
            where=f"venue {venue}",
            allowed=", ".join(PREFIX + each for each in near)
            or f"{PREFIX} and one of the {len(ccxt.pro.exchanges)} exchanges in ccxt.pro.exchanges",
            mend=f"did you mean {PREFIX}{near[0]}?" if near else None,
        )
    made: Callable[[Mapping[str, Any]], Exchange] = getattr(ccxt.pro, name)
    if not made({}).has.get("watchOrderBook"):
        raise BadInput(f"ccxt.pro streams no books of {name}", where=f"venue {venue}")
    return made


class GenericFeed:
    """Books and trades of one venue through ccxt.pro, kept up for as long as ``run`` runs.

    Args:
        venue: ``ccxt-<exchange>``.
        symbols: unified symbols.
        emit: takes every event.
        clock: engine time, ns.
        rng: jitter of retries.
        channels: which of depth and trade; quotes are part of the depth here.
        quiet_s: a symbol without depth for this long is void, and the connection made anew.
        ws_url: websocket root instead of the venue's own hosts, ``ws://HOST:PORT``.
        rest_url: the same for HTTP.
        options: further settings of the ccxt object.
    """

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        *,
        emit: Emit,
        clock: Callable[[], int],
        rng: random.Random,
        channels: Sequence[Channel] = ("depth", "trade"),
        quiet_s: float = 60.0,
        ws_url: str = "",
        rest_url: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.venue = venue
        self.symbols = tuple(symbols)
        self._make = exchange_class(venue)
        self._emit = emit
        self._clock = clock
        self._channels = tuple(channels)
        self._quiet_s = quiet_s
        self._urls = (ws_url.rstrip("/"), rest_url.rstrip("/"))
        self._options = dict(options or {})
        self._backoff = Backoff(rng)
        # ccxt keeps to itself what a venue has marked as history.
        self._news = TradeNews(unmarked=True)
        self._markets: tuple[Any, Any] | None = None
        self._patience: dict[str, float] = {}
        self._heard_ns: dict[str, int] = {}
        self._taken: dict[str, bool] = {}
        self._client_ns: dict[str, int] = {}
        """When each of ccxt's connections was last heard, pongs included."""
        self._proof_ns = self._ping_ns = 0
        self._pings: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Future[str] | None = None
        self._log = structlog.get_logger("feeds").bind(venue=venue)
        self.up = False
        self.frames = self.octets = self.violations = self.connects = self.failures = 0
        self.resubscribed = 0
        self.last_frame_ns = 0
        self.load = Load()
        self._room = asyncio.Event()
        self._room.set()

    async def run(self) -> None:
        """Live after live, at a bounded rate. Returns when cancelled, and at no other time."""
        loop = asyncio.get_running_loop()
        while True:
            opened_s = loop.time()
            why = await self._live()
            self.up = False
            self._log.warning("disconnected", reason=why, after_s=loop.time() - opened_s)
            for symbol in self.symbols:
                self._status(symbol, up=False, reason=why)
            if loop.time() - opened_s >= SETTLED_S:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next())

    def health(self) -> ConnectionHealth:
        """What it has seen so far."""
        return ConnectionHealth(
            venue=self.venue,
            number=0,
            up=self.up,
            symbols=self.symbols,
            frames=self.frames,
            octets=self.octets,
            violations=self.violations,
            connects=self.connects,
            failures=self.failures,
            resubscribed=self.resubscribed,
            last_frame_ns=self.last_frame_ns,
        )

    def octets_read(self) -> int:
        """As ``outlet.Source``."""
        return self.octets

    def unread(self) -> int:
        """As ``outlet.Source``: not known, for ccxt reads its sockets itself."""
        return 0

    def hold(self, *, held: bool) -> None:
        """As ``outlet.Source``: ccxt reads on, and its caches keep the newest."""
        if held:
            self._room.clear()
        else:
            self._room.set()

    def resync(self, symbol: str, reason: str) -> None:
        """The book of this symbol is not to be trusted: begin anew, all of it.

        One that has not come yet in this life is on its way already.
        """
        if symbol in self._taken:
            self.resubscribed += 1
            self._end(f"{symbol}: {reason}")

    # --- one life -----------------------------------------------------------------------------

    async def _live(self) -> str:
        """From a new ccxt object to its end. Returns why it ended."""
        ending: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ending = ending
        exchange = self._make({"newUpdates": True, "enableRateLimit": True, **self._options})
        tasks: list[asyncio.Task[None]] = []
        try:
            self._prepare(exchange)
            why = await self._load(exchange)
            if why:
                return why
            self.connects += 1
            for symbol in self.symbols:
                if symbol not in exchange.markets:
                    near = nearest(symbol, exchange.markets)
                    hint = f"; the nearest: {', '.join(near)}" if near else ""
                    reason = f"{self.venue} has no {symbol}{hint}"
                    self._status(symbol, up=False, reason=reason, refused=True)
                    continue
                self._heard_ns[symbol] = self._clock()
                self._status(symbol, up=True, reason="connected, waiting for a snapshot")
                if "depth" in self._channels:
                    tasks.append(asyncio.create_task(self._watch_book(exchange, symbol)))
                if "trade" in self._channels and exchange.has.get("watchTrades"):
                    tasks.append(asyncio.create_task(self._watch_trades(exchange, symbol)))
            tasks.append(asyncio.create_task(self._watch_silence(exchange)))
            for task in tasks:
                task.set_name(f"feed {self.venue} ccxt")
            return await ending
        finally:
            self._heard_ns.clear()
            self._taken.clear()
            self._client_ns.clear()
            tasks += self._pings
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close(exchange)

    def _prepare(self, exchange: Exchange) -> None:
        """Move it to the given addresses, and wrap what may raise."""
        exchange.urls["api"] = _moved(exchange.urls["api"], *self._urls)
        plain_client = exchange.client
        dialled: list[str] = []

        def client(url: str) -> Any:  # noqa: ANN401 - ccxt's own
            if url in exchange.clients:
                return exchange.clients[url]
            if url in dialled:
                # ccxt has dropped it, and would dial again past every limit of ours.
                raise PeerUnavailable(f"the connection to {url} was lost")
            dialled.append(url)
            made = plain_client(url)
            made.handle_message = self._guarded(made.handle_message, url)
            return made

        exchange.client = client

    def _guarded(self, handle: Callable[[Any], None], url: str) -> Callable[[Any], None]:
        """Wrap a handler whose exceptions would otherwise end the reading of a socket unseen."""

        def guarded(message: Any) -> None:  # noqa: ANN401 - aiohttp's message
            self.frames += 1
            data = message.data
            self.octets += len(data) if isinstance(data, str | bytes) else 0
            self.last_frame_ns = self._client_ns[url] = self._clock()
            try:
                handle(message)
            except Exception as error:  # noqa: BLE001 - somebody else's code; this life ends here
                self.violations += 1
                self._end(f"ccxt could not handle a message: {type(error).__name__}: {error}")

        return guarded

    async def _load(self, exchange: Exchange) -> str:
        """Markets, once for all lives. Empty, or why they are not to be had."""
        if self._markets is not None:
            exchange.set_markets(*self._markets)
            return ""
        try:
            await exchange.load_markets()
        except Exception as error:  # noqa: BLE001 - somebody else's code; tried again later
            self.failures += 1
            return f"no list of markets: {type(error).__name__}: {error}"
        self._markets = (list(exchange.markets.values()), exchange.currencies)
        return ""

    async def _close(self, exchange: Exchange) -> None:
        # Of requests made together one fails first; the others would each open a session anew.
        exchange.open = _closed
        closing = asyncio.ensure_future(exchange.close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait({closing})  # cut short, it would leave its session open
            raise
        except Exception as error:  # noqa: BLE001 - it is thrown away; nothing depends on it
            self._log.warning("ccxt did not close", error=repr(error))

    def _end(self, reason: str) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(reason)

    # --- what comes in ------------------------------------------------------------------------

    async def _watch_book(self, exchange: Exchange, symbol: str) -> None:
        try:
            while True:
                await self._room.wait()
                book = await exchange.watch_order_book(symbol)
                now_ns = self._clock()
                update = book_update(self.venue, symbol, book, now_ns)
                self._taken[symbol] = True
                self.up = True
                self._heard_ns[symbol] = now_ns
                self._patience.pop(symbol, None)
                self._emit(update, now_ns)
        except asyncio.CancelledError:
            raise
        except VenueViolation as error:
            self.violations += 1
            self._end(str(error))
        except Exception as error:  # noqa: BLE001 - somebody else's code; it ends a life, or a symbol
            self._failed(symbol, error, refused=symbol not in self._taken)

    async def _watch_trades(self, exchange: Exchange, symbol: str) -> None:
        began_ns = self._clock()
        try:
            while True:
                await self._room.wait()
                trades = await exchange.watch_trades(symbol)
                now_ns = self._clock()
                for tick in trade_ticks(self.venue, symbol, trades, now_ns):
                    if self._news.take(tick, began_ns):
                        self._emit(tick, now_ns)
        except asyncio.CancelledError:
            raise
        except VenueViolation as error:
            self.violations += 1
            self._end(str(error))
        except Exception as error:  # noqa: BLE001 - somebody else's code; it ends a life
            self._failed(symbol, error, refused=False)

    def _failed(self, symbol: str, error: Exception, *, refused: bool) -> None:
        """The connection's end ends the life; the venue's refusal ends one symbol."""
        import ccxt  # noqa: PLC0415 - is there, or we would not be

        words = f"{type(error).__name__}: {error}"
        if refused and isinstance(error, ccxt.ExchangeError):
            self._heard_ns.pop(symbol, None)
            self._status(symbol, up=False, reason=words, refused=True)
        else:
            self.failures += 1
            self._end(words)

    async def _watch_silence(self, exchange: Exchange) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            now_ns = self._clock()
            if self._room.is_set() and self._client_ns:
                self._watch_pulse(exchange, now_ns)
            for symbol, heard_ns in self._heard_ns.items():
                patience = self._patience.get(symbol, 1.0)
                if now_ns - heard_ns > self._quiet_s * patience * 1e9:
                    self._patience[symbol] = min(QUIET_CAP, patience * 2.0)
                    self.resubscribed += 1
                    self._end(f"{symbol}: nothing for {(now_ns - heard_ns) / 1e9:.1f} s")
                    return

    def _watch_pulse(self, exchange: Exchange, now_ns: int) -> None:
        """Tell the books that all of ccxt's connections live, and ask the silent ones for a pong.

        Which of them carries a book, ccxt does not say, so the one that was heard least counts.
        """
        heard_ns = min(self._client_ns.values())
        if heard_ns - self._proof_ns >= PROOF_NS:
            self._proof_ns = heard_ns
            proof = StreamProof(venue=self.venue, stream=WHOLE_VENUE, recv_ns=heard_ns)
            self._emit(proof, heard_ns)
        if now_ns - heard_ns < SILENT_NS or now_ns - self._ping_ns < PING_NS:
            return
        self._ping_ns = now_ns
        for url, client in exchange.clients.items():
            # Some venues hang up on a ping that comes before they have said anything.
            if url in self._client_ns:
                ping = asyncio.create_task(_ping(client.connection))
                self._pings.add(ping)
                ping.add_done_callback(self._pings.discard)

    def _status(self, symbol: str, *, up: bool, reason: str, refused: bool = False) -> None:
        status = FeedStatus(venue=self.venue, symbol=symbol, up=up, reason=reason, refused=refused)
        self._emit(status, self._clock())


def _closed(*_: object, **__: object) -> None:
    """Stands in for ccxt's own ``open`` once the exchange is thrown away."""
    raise PeerUnavailable("this ccxt object is closed")


async def _ping(connection: Any) -> None:  # noqa: ANN401 - aiohttp's, or None
    """Ask for a pong; a connection that has ended says so elsewhere."""
    with suppress(ConnectionError, aiohttp.ClientError):
        if connection is not None and not connection.closed:
            await connection.ping()


def _moved(urls: Any, ws_url: str, rest_url: str) -> Any:  # noqa: ANN401 - nested tables of text
    """The same addresses on other hosts, paths kept."""
    if isinstance(urls, dict):
        return {name: _moved(each, ws_url, rest_url) for name, each in urls.items()}
    if not isinstance(urls, str):
        return urls
    target = ws_url if urls.startswith(("ws://", "wss://")) else rest_url
    if not target:
        return urls
    host = urlsplit(target)
    parts = urlsplit(urls)
    return urlunsplit((host.scheme, host.netloc, parts.path, parts.query, ""))
