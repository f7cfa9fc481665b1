"""Recording a feed's raw traffic, while following its books so that the capture is usable."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus
from citadel_micro.shell.capture.writer import CaptureWriter, CompactWriter
from citadel_micro.shell.marketdata.aggregator import Aggregator
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.marketdata.aggregator import FeedConfig

FLUSH_S: Final = 2.0
"""What a capture may lose when its process is killed."""


class Recording:
    """One capture being recorded.

    Args:
        config: what to receive.
        out, rotate_bytes, rotate_ns: as for ``CaptureWriter``.
        compact: as ``CompactWriter`` does it.
    """

    def __init__(
        self,
        config: FeedConfig,
        out: Path,
        *,
        rotate_bytes: int = 0,
        rotate_ns: int = 0,
        compact: bool = False,
    ) -> None:
        spec = venue_spec(config.venue)
        self._venue = config.venue
        self.markets = {
            symbol: MarketBook(config.venue, symbol, spec.integrity) for symbol in config.symbols
        }
        self.faults: list[Exception] = []
        self._done = asyncio.Event()
        when: Any = {
            "rotate_bytes": rotate_bytes,
            "rotate_ns": rotate_ns,
            "on_rotate": self._on_rotate,
        }
        self.writer = CompactWriter(out, spec, **when) if compact else CaptureWriter(out, **when)
        self.feeds = Aggregator(
            [config], self._sink, time.time_ns, on_fault=self._on_fault, tap=self.writer
        )
        self.frames = 0

    async def run(self, seconds: float | None) -> None:
        """Record for this long, or until SIGINT or SIGTERM.

        Raises:
            PeerUnavailable: the disk is full; what was written is usable.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._done.set)
        await self.feeds.start()
        flushing = loop.create_task(self._flush())
        try:
            async with asyncio.timeout(seconds):
                await self._done.wait()
        except TimeoutError:
            pass
        finally:
            flushing.cancel()
            await asyncio.gather(flushing, return_exceptions=True)
            # Frames go on coming, and into the capture, until the connections are closed.
            self.frames = sum(each.frames for each in await self.feeds.close())
            self.writer.close()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        if self.faults:
            raise self.faults[0]
        if self.writer.error is not None:
            raise self.writer.error

    def stop(self) -> None:
        """End ``run`` soon."""
        self._done.set()

    def _sink(self, event: object, _recv_ns: int) -> None:
        if isinstance(event, DepthUpdate):
            market = self.markets.get(event.symbol)
            if market is not None and market.on_depth(event) & Change.GAP:
                self._request(market)
        elif isinstance(event, FeedStatus):
            self.markets[event.symbol].on_status(event)

    def _request(self, market: MarketBook) -> None:
        self.feeds.request_snapshot(self._venue, market.symbol, market.reason)

    def _on_rotate(self) -> None:
        """A new file needs snapshots of its own. Soon: this is in the middle of a frame."""
        asyncio.get_running_loop().call_soon(self._request_all)

    def _request_all(self) -> None:
        if not self._done.is_set():
            for symbol in self.markets:
                self.feeds.request_snapshot(self._venue, symbol, "a new file begins")

    def _on_fault(self, error: Exception) -> None:
        self.faults.append(error)
        self._done.set()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self.writer.flush()
            if self.writer.error is not None:
                self._done.set()
