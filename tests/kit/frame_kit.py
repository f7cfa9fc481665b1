"""Frames of every venue, whole and damaged, and what must hold whatever a decoder is fed."""

from __future__ import annotations

import importlib
import importlib.util
import math
import pkgutil
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro import adapters
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.capture.frames import read_capture
from citadel_micro.shell.journal.records import encode
from citadel_micro.shell.marketdata.decode import Control
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CAPTURES: Final = {
    "binance-spot": ("binance-spot-2021",),
    "binance-usdm": ("binance-usdm-2021",),
    "binance-coinm": ("binance-usdm-2021",),
    "bitget-v1": ("bitget-spot-v1-2022",),
    "bitget-spot": ("bitget-spot-v1-2022",),
    "bybit-spot": ("bybit-v5-linear.transcoded",),
    "bybit-linear": ("bybit-v5-linear.transcoded", "bybit-linear-v2-2021"),
    "bybit-inverse": ("bybit-v5-linear.transcoded",),
    "coinbase-advanced": ("coinbase-advanced.transcoded",),
    "coinbase-exchange": ("coinbase-exchange-2021",),
    "kraken-futures": ("kraken-futures-2021",),
    "kraken-v1": ("kraken-v1-2021",),
    "kraken-spot": ("kraken-v2.transcoded",),
    "kucoin-spot": ("kucoin-spot-2021",),
    "okx": ("okx-2022", "okx-2026-checksum.transcoded"),
}
"""Captures whose frames a venue's decoder reads, or nearly."""

NASTY: Final = (
    *(b"null", b"true", b"{}", b"[]", b'""', b"nan", b'"nan"', b'"inf"', b"1e999", b'"1e999"'),
    *(b"-1", b'"-1"', b"0", b'"0"', b"9" * 30, b'"' + b"9" * 400 + b'"', b"1e-400", b"-0.0"),
    *(b"\x00", b"\xff\xfe", b'"\\ud800"', b"\xc3", b"[" * 2_000, b'{"a":' * 2_000, b" " * 3_000),
)
"""What is put into frames in place of something else."""


def real_frames(shared: Path, venue: str, count: int = 400) -> list[bytes]:
    """The first frames from the captures of this venue, in order; none where it has none."""
    frames: list[bytes] = []
    for name in CAPTURES.get(venue, ()):
        found = (
            record.text.encode()
            for _, record in read_capture(shared / "captures" / f"{name}.jsonl.gz")
            if record.kind in ("frame", "rest") and len(record.text) < 20_000
        )
        frames.extend(islice(found, count))
    return frames


def frame_types(venue: str) -> list[type[msgspec.Struct]]:
    """The types into which this venue's module decodes."""
    for module in pkgutil.iter_modules(adapters.__path__, f"{adapters.__name__}."):
        if not module.ispkg:
            continue  # what adapters share
        name = f"{module.name}.market_data"
        loaded = importlib.import_module(name) if importlib.util.find_spec(name) else None
        if loaded is not None and venue in loaded.SPECS:
            return [
                each
                for each in vars(loaded).values()
                if isinstance(each, type) and issubclass(each, msgspec.Struct)
            ]
    raise AssertionError(f"no module has {venue}")


class Victim:
    """One connection's decoder and the books behind it, as the feed has them."""

    def __init__(self, venue: str) -> None:
        self.spec = venue_spec(venue)
        self.decoder = self.spec.decoder(self.spec.symbols())
        self.markets: dict[str, MarketBook] = {}
        self.longest_error = 0
        self.events = 0

    def take(self, data: bytes) -> None:
        """Anything may come; only a VenueViolation may be raised, and only sane events come out."""
        for read in (
            self.decoder.frame,
            lambda data, at_ns: self.decoder.rest("BTCUSDT", data, at_ns),
        ):
            try:
                events = read(data, 1)
            except VenueViolation as error:
                self.longest_error = max(self.longest_error, len(str(error)))
                continue
            self._apply(events)
        assert self.longest_error < 5_000, "an error must not carry the whole frame"

    def _apply(self, events: Sequence[Any]) -> None:
        for event in events:
            self.events += 1
            if isinstance(event, Control):
                assert isinstance(event.text, str)
                continue
            encode(event)  # raises for a number that nothing can write down
            market = self.markets.get(event.symbol)
            if market is None:
                if len(self.markets) > 50:
                    self.markets.clear()
                market = MarketBook(self.spec.venue, event.symbol, self.spec.integrity)
                self.markets[event.symbol] = market
            if isinstance(event, DepthUpdate):
                for price, size in (*event.bids, *event.asks):
                    assert math.isfinite(price), event
                    assert math.isfinite(size), event
                    assert price > 0, event
                    assert size >= 0, event
                market.on_depth(event)
                if market.state == "LIVE":
                    assert market.book.top(50)[0] == sorted(market.book.top(50)[0], reverse=True)
                    best = market.best()
                    assert best is None or best[0] < best[2], "LIVE and crossed"
            elif isinstance(event, QuoteTick):
                assert 0 < event.bid < event.ask < math.inf, event
                assert 0 <= event.bid_size < math.inf, event
                assert 0 <= event.ask_size < math.inf, event
                market.on_quote(event)
            else:
                assert isinstance(event, TradeTick)
                assert 0 < event.price < math.inf, event
                assert 0 <= event.size < math.inf, event
                market.on_trade(event)
