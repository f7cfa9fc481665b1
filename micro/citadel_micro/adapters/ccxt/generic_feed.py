"""Every venue without a spec of its own, through ccxt.pro: ``ccxt-<exchange>``, never verified.

ccxt.pro keeps books well enough to look at, but ignores gaps silently, so what comes through here
has the integrity strategy ``unverified``: the book says so for as long as it is LIVE,
and no risk limit depends on it. Its known problems are contained:

- an exception in its message handling silently ends the reading of a connection: both of its
  handlers are wrapped, and any exception ends the session at once, and voids its books;
- books and subscriptions survive a reconnect: each session has a new ccxt object that may dial each
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
"""A session this long was a good one: the next failure retries quickly."""
QUIET_CAP: Final = 16.0
"""A symbol that stays quiet is resubscribed at most this many times less often."""

Exchange = Any
"""An object of ccxt.pro, which has no useful types."""


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


def only_spot(exchange: Exchange) -> None:
    """Let it load spot markets only, where its class offers that: others cost time, and other hosts."""
    given = exchange.options.get("fetchMarkets")
    types = given.get("types") if isinstance(given, dict) else None
    if isinstance(types, dict) and "spot" in types:
        only: Any = {name: name == "spot" for name in types}
    elif isinstance(types, list) and "spot" in types:
        only = ["spot"]
    else:
        return
    exchange.options["fetchMarkets"] = {**given, "types": only}


class GenericFeed:
    """Books and trades of one venue through ccxt.pro, kept up for as long as ``run`` runs.

    Args:
        venue: ``ccxt-<exchange>``.
        symbols: unified symbols.
        emit: takes every event.
        clock: engine time, ns.
        rng: jitter of retries.
        channels: which of depth and trade; quotes are part of the depth here.
        quiet_s: a symbol without depth for this long is void, and the connection is reconnected.
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
        # ccxt does not pass on what a venue has marked as history.
        self._news = TradeNews(unmarked=True)
        self._markets: tuple[Any, Any] | None = None
        self._patience: dict[str, float] = {}
        self._updated_ns: dict[str, int] = {}
        self._taken: dict[str, bool] = {}
        self._client_ns: dict[str, int] = {}
        """When each of ccxt's connections last received anything, pongs included."""
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
        """Session after session, at a bounded rate. Returns only when canceled."""
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
        """Its counts so far."""
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
        """As ``outlet.Source``: ccxt continues to read, and its caches keep the newest."""
        if held:
            self._room.clear()
        else:
            self._room.set()

    def resync(self, symbol: str, reason: str) -> None:
        """The book of this symbol cannot be trusted: reconnect everything.

        One that has not come yet in this session is in transit already.
        """
        if symbol in self._taken:
            self.resubscribed += 1
            self._end(f"{symbol}: {reason}")

    # --- one session --------------------------------------------------------------------------

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
                self._updated_ns[symbol] = self._clock()
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
            self._updated_ns.clear()
            self._taken.clear()
            self._client_ns.clear()
            tasks += self._pings
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:  # also when this feed is cancelled meanwhile
                await self._close(exchange)

    def _prepare(self, exchange: Exchange) -> None:
        """Set the given addresses, and wrap what may raise."""
        exchange.urls["api"] = moved(exchange.urls["api"], *self._urls)
        if not any(":" in symbol for symbol in self.symbols):
            only_spot(exchange)
        plain_client = exchange.client
        dialled: list[str] = []

        def client(url: str) -> Any:  # noqa: ANN401 - ccxt's own
            if url in exchange.clients:
                return exchange.clients[url]
            if url in dialled:
                # ccxt has dropped it, and would reconnect beyond every limit of ours.
                raise PeerUnavailable(f"the connection to {url} was lost")
            dialled.append(url)
            made = plain_client(url)
            made.handle_message = self._guarded(made.handle_message, url)
            return made

        exchange.client = client

    def _guarded(self, handle: Callable[[Any], None], url: str) -> Callable[[Any], None]:
        """Wrap a handler whose exceptions would otherwise silently end the reading of a socket."""

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
        """Load the markets, once for all sessions. Empty, or why that failed."""
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
        # Of parallel requests one fails first; the others would each open a new session.
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

    # --- receiving ----------------------------------------------------------------------------

    async def _watch_book(self, exchange: Exchange, symbol: str) -> None:
        try:
            while True:
                await self._room.wait()
                book = await exchange.watch_order_book(symbol)
                now_ns = self._clock()
                update = book_update(self.venue, symbol, book, now_ns)
                self._taken[symbol] = True
                self.up = True
                self._updated_ns[symbol] = now_ns
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
        """The connection's end ends the session; the venue's reject ends one symbol."""
        import ccxt  # noqa: PLC0415 - is there, or we would not be

        words = f"{type(error).__name__}: {error}"
        if refused and isinstance(error, ccxt.ExchangeError):
            self._updated_ns.pop(symbol, None)
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
            for symbol, alive_ns in self._updated_ns.items():
                patience = self._patience.get(symbol, 1.0)
                if now_ns - alive_ns > self._quiet_s * patience * 1e9:
                    self._patience[symbol] = min(QUIET_CAP, patience * 2.0)
                    self.resubscribed += 1
                    self._end(f"{symbol}: nothing for {(now_ns - alive_ns) / 1e9:.1f} s")
                    return

    def _watch_pulse(self, exchange: Exchange, now_ns: int) -> None:
        """Prove the books of all of ccxt's connections alive, and ping the silent ones.

        ccxt does not say which of them carries a book, so the most silent one counts.
        """
        alive_ns = min(self._client_ns.values())
        if alive_ns - self._proof_ns >= PROOF_NS:
            self._proof_ns = alive_ns
            proof = StreamProof(venue=self.venue, stream=WHOLE_VENUE, recv_ns=alive_ns)
            self._emit(proof, alive_ns)
        if now_ns - alive_ns < SILENT_NS or now_ns - self._ping_ns < PING_NS:
            return
        self._ping_ns = now_ns
        for url, client in exchange.clients.items():
            # Some venues disconnect on a ping that comes before their first message.
            if url in self._client_ns:
                ping = asyncio.create_task(_ping(client.connection))
                self._pings.add(ping)
                ping.add_done_callback(self._pings.discard)

    def _status(self, symbol: str, *, up: bool, reason: str, refused: bool = False) -> None:
        status = FeedStatus(venue=self.venue, symbol=symbol, up=up, reason=reason, refused=refused)
        self._emit(status, self._clock())


def _closed(*_: object, **__: object) -> None:
    """Replaces ccxt's own ``open`` once the exchange is discarded."""
    raise PeerUnavailable("this ccxt object is closed")


async def _ping(connection: Any) -> None:  # noqa: ANN401 - aiohttp's, or None
    """Send a ping; the end of a connection is detected elsewhere."""
    with suppress(ConnectionError, aiohttp.ClientError):
        if connection is not None and not connection.closed:
            await connection.ping()


def moved(urls: Any, ws_url: str, rest_url: str) -> Any:  # noqa: ANN401 - nested tables of text
    """The same addresses on other hosts, paths kept."""
    if isinstance(urls, dict):
        return {name: moved(each, ws_url, rest_url) for name, each in urls.items()}
    if not isinstance(urls, str):
        return urls
    target = ws_url if urls.startswith(("ws://", "wss://")) else rest_url
    if not target:
        return urls
    host = urlsplit(target)
    parts = urlsplit(urls)
    return urlunsplit((host.scheme, host.netloc, parts.path, parts.query, ""))
