"""Feeds against a hard venue, and an observer that knows its true books.

``Observer`` keeps the books that an engine would keep from the Aggregator's events, and after every
event checks the one promise that matters: a book that says LIVE is what the venue's book was at
that sequence.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hard_venue import BinanceSpot, Dialect, HardVenue, fingerprint

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.streams import WHOLE_VENUE, Streams
from citadel_micro.core.model.events import BookLook, DepthUpdate, FeedStatus, StreamProof
from citadel_micro.shell.marketdata import aggregator as aggregator_module
from citadel_micro.shell.marketdata import event_queue as outlet_module
from citadel_micro.shell.marketdata import lag_monitor as overload_module
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.spec import Limits, venue_spec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    import pytest

    from citadel_micro.shell.marketdata.spec import VenueSpec

QUICK = Limits(
    symbols_per_connection=1_000,
    symbols_per_message=100,
    messages_per_s=500.0,
    connects_per_s=200.0,
    snapshots_per_s=5_000.0,
)
"""Limits of a venue that takes all that a test sends."""


class Observer:
    """An Aggregator, the books that an engine would keep, and whether they are honest."""

    def __init__(self, venue: HardVenue, spec: VenueSpec, config: FeedConfig) -> None:
        self.venue = venue
        self.natives = dict(config.symbols)
        self.markets = {
            symbol: MarketBook(spec.venue, symbol, spec.integrity) for symbol in config.symbols
        }
        self.streams = Streams()
        self.polls = 0
        self.faults: list[Exception] = []
        self.lies: list[str] = []
        """Moments at which a book said LIVE and was not what the venue's had been."""
        self.slow_s = 0.0
        """How long each event keeps the consumer busy."""
        self.bombs: dict[str, int] = {}
        """Unified symbol to how many of its next events the consumer fails at."""
        self.not_live_s: dict[str, float] = {}
        """Unified symbol to the longest time that it was not LIVE, after it first was."""
        self._left_live: dict[str, float] = {}
        self.events = 0
        self.aggregator = Aggregator(
            [config], self.sink, time.time_ns, seed=7, on_fault=self.faults.append
        )

    def sink(self, event: object, recv_ns: int) -> None:
        self.events += 1
        if self.slow_s:
            time.sleep(self.slow_s)
        symbol = getattr(event, "symbol", "")
        if self.bombs.get(symbol, 0):
            self.bombs[symbol] -= 1
            raise RuntimeError(f"our own mistake about {symbol}")
        if isinstance(event, DepthUpdate):
            assert event.recv_ns == recv_ns
            market = self.markets[event.symbol]
            changed = market.on_depth(event)
            self._check(market)
            self._note(market)
            if changed & Change.GAP:
                self.aggregator.request_snapshot(event.venue, event.symbol, market.reason)
        elif isinstance(event, FeedStatus):
            market = self.markets[event.symbol]
            if event.up:
                assert event.stream > WHOLE_VENUE
                market.stream = self.streams.of(event.venue, event.stream)
            market.on_status(event)
            self._note(market)
        elif isinstance(event, BookLook):
            self.polls += 1
            self.markets[event.symbol].on_poll(event)
        elif isinstance(event, StreamProof):
            assert event.recv_ns == recv_ns
            self.streams.on_proof(event, time.time_ns())

    def look_at_ages(self, stale_ns: int = 1_500_000_000) -> None:
        """What an engine does about the ages of its books."""
        for market in self.markets.values():
            if market.check_age(time.time_ns(), stale_ns) and market.mute:
                self.aggregator.request_snapshot(
                    market.venue, market.symbol, market.reason, mute=True
                )

    def _check(self, market: MarketBook) -> None:
        if market.state == "LIVE":
            truth = self.venue.truths[self.natives[market.symbol]]
            was = truth.history.get(market.last_seq)
            if was != fingerprint(market.book.sizes("buy"), market.book.sizes("sell")):
                self.lies.append(f"{market.symbol} at {market.last_seq}")

    def _note(self, market: MarketBook) -> None:
        now_s, symbol = time.monotonic(), market.symbol
        if market.state == "LIVE":
            left_s = self._left_live.pop(symbol, now_s)
            self.not_live_s[symbol] = max(self.not_live_s.get(symbol, 0.0), now_s - left_s)
        elif symbol in self.not_live_s:
            self._left_live.setdefault(symbol, now_s)

    def state(self, symbol: str) -> str:
        return self.markets[symbol].state

    def agrees(self, symbol: str) -> bool:
        """LIVE, and at the venue's newest sequence, with the same levels."""
        market, truth = self.markets[symbol], self.venue.truths[self.natives[symbol]]
        return (
            market.state == "LIVE"
            and market.last_seq == truth.seq
            and (market.book.sizes("buy"), market.book.sizes("sell")) == (truth.bids, truth.asks)
        )

    async def agree(self, symbols: Sequence[str] = (), seconds: float = 60.0) -> None:
        """Push changes, as a venue does, until these books agree; all if none is named."""
        names = list(symbols or self.markets)

        async def step() -> bool:
            for symbol in names:
                native = self.natives[symbol]
                if self.venue.subscribed(native):
                    await self.venue.push(native)
            patience_s = time.monotonic() + 0.005 * len(names)
            while time.monotonic() < patience_s:
                await asyncio.sleep(0.005)
                if all(self.agrees(symbol) for symbol in names):
                    return True
            return False

        await until(step, seconds)


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 60.0
) -> None:
    """Wait for a condition; AssertionError when it does not come."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if not isinstance(result, bool):
            result = await result
        if result:
            return
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)


def pairs(count: int, settle: str = "") -> dict[str, str]:
    """Unified symbol to venue symbol of so many instruments."""
    return {f"C{number}/USDT{settle}": f"C{number}USDT" for number in range(count)}


def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every update be counted, however late this machine is: none is joined to another."""
    monkeypatch.setattr(overload_module, "BEGIN_NS", 1 << 60)
    monkeypatch.setattr(outlet_module, "_LATE_NS", 1 << 60)


def run_hard(
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[Observer], Coroutine[Any, Any, None]],
    *,
    dialect: Dialect | None = None,
    symbols: int = 2,
    spec: dict[str, Any] | None = None,
    prepare: Callable[[HardVenue], None] | None = None,
    through: Callable[[HardVenue], Coroutine[Any, Any, int]] | None = None,
    **config: Any,  # noqa: ANN401 - fields of FeedConfig
) -> None:
    """Run a scenario against a venue; afterwards no task may be left and no book may have lied.

    ``spec`` is what differs from the venue's real spec, timers above all; ``prepare`` turns the
    venue's knobs before anybody connects; ``through`` starts a proxy and returns its port.
    """
    speech = dialect or BinanceSpot()
    real = venue_spec(speech.venue)
    used = replace(real, **{"limits": QUICK, **(spec or {})})
    monkeypatch.setattr(aggregator_module, "venue_spec", lambda _venue: used)
    names = pairs(symbols, ":USDT" if speech.venue == "bybit-linear" else "")

    async def main() -> None:
        venue = HardVenue(speech, list(names.values()))
        if prepare is not None:
            prepare(venue)
        await venue.start()
        port = await through(venue) if through is not None else venue.port
        feed = FeedConfig(
            venue=speech.venue,
            symbols=names,
            websocket_url=f"ws://127.0.0.1:{port}",
            rest_url=f"http://127.0.0.1:{venue.port}",
            **{"channels": ("depth",), **config},
        )
        observer = Observer(venue, used, feed)
        await observer.aggregator.start()
        try:
            await scenario(observer)
        finally:
            await observer.aggregator.close()
            await venue.stop()
        assert observer.lies == []
        await asyncio.sleep(0)
        left = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in left if name.startswith(("feed ", "snapshot "))], left

    asyncio.run(main())
