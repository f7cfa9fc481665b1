"""Kraken Futures: Kraken's v2 protocol with an asset class, and the older one of their own.

Today's stream is proven by checksums, as Kraken's spot is. The older one numbered its books consecutively for
each product; it ends on 1 March 2027, and is read from captures only. Sources: the venue's pages "Unified
WebSocket", "Book (Level 2)"; of the older, "Book" and "Trade" of the futures websocket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from citadel_micro.adapters.kraken.market_data import DEPTH, KrakenDecoder, requests
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import (
    DECODE_ERRORS,
    MS_NS,
    BringsSnapshots,
    Control,
    Millis,
    Price,
    Size,
    Symbols,
    Whole,
    one_sided,
    violation,
)
from citadel_micro.shell.marketdata.naming import settle_of
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent


class _Level(msgspec.Struct, gc=False):
    price: Price
    qty: Size


class _Snapshot(msgspec.Struct):
    product_id: str
    timestamp: Millis
    seq: Whole
    bids: list[_Level]
    asks: list[_Level]


class _Change(msgspec.Struct, gc=False):
    product_id: str
    side: Literal["buy", "sell"]
    seq: Whole
    price: Price
    qty: Size
    timestamp: Millis


class _Trade(msgspec.Struct, gc=False):
    product_id: str
    uid: str
    side: Literal["buy", "sell"]
    type: str
    time: Millis
    qty: Size
    price: Price


class _Ticker(msgspec.Struct):
    product_id: str
    bid: Size = 0.0
    ask: Size = 0.0
    bid_size: Size = 0.0
    ask_size: Size = 0.0
    time: Millis = 0


class _Head(msgspec.Struct):
    channel: str = ""
    method: str = ""
    feed: str = ""
    event: str = ""
    message: str = ""
    product_ids: list[str] = []


_head: Final = msgspec.json.Decoder(_Head).decode
_snapshot: Final = msgspec.json.Decoder(_Snapshot).decode
_change: Final = msgspec.json.Decoder(_Change).decode
_trade: Final = msgspec.json.Decoder(_Trade).decode
_ticker: Final = msgspec.json.Decoder(_Ticker).decode

_TODAY: Final = b'{"channel":'
_CHANGE: Final = b'{"feed":"book",'


class KrakenFuturesDecoder(BringsSnapshots):
    """Decodes ``book``, ``trade`` and ``ticker`` of both protocols."""

    __slots__ = ("_symbols", "_today", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        self._venue = venue
        self._symbols = symbols
        self._today = KrakenDecoder(venue, symbols, covers=DEPTH)

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        if data.startswith(_TODAY):
            return self._today.frame(data, recv_ns)
        try:
            if data.startswith(_CHANGE):
                return self._depth(data, recv_ns)
            head = _head(data)
            if head.channel or head.method:
                return self._today.frame(data, recv_ns)
            return self._other(head, data, recv_ns)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None

    def _depth(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        change = _change(data)
        level = [(change.price, change.qty)]
        bids, asks = (level, []) if change.side == "buy" else ([], level)
        return (self._update(change, recv_ns, bids, asks, snapshot=False),)

    def _other(self, head: _Head, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        match head.feed if not head.event else "":
            case "book":
                return self._depth(data, recv_ns)
            case "book_snapshot":
                book = _snapshot(data)
                bids = [(level.price, level.qty) for level in book.bids]
                asks = [(level.price, level.qty) for level in book.asks]
                return (self._update(book, recv_ns, bids, asks, snapshot=True),)
            case "trade":
                return self._trades(_trade(data), recv_ns)
            case "ticker":
                return self._quote(_ticker(data), recv_ns)
        return self._said(head)

    def _update(
        self,
        book: _Snapshot | _Change,
        recv_ns: int,
        bids: list[tuple[float, float]],
        asks: list[tuple[float, float]],
        *,
        snapshot: bool,
    ) -> DepthUpdate:
        return DepthUpdate(
            self._venue,
            self._symbols[book.product_id],
            snapshot,
            book.seq,
            book.seq,
            -1,
            None,
            bids,
            asks,
            book.timestamp * MS_NS,
            recv_ns,
        )

    def _trades(self, trade: _Trade, recv_ns: int) -> Sequence[FeedEvent]:
        at_ns = trade.time * MS_NS
        symbol = self._symbols[trade.product_id]
        fields = (trade.uid, trade.price, trade.qty, trade.side, at_ns, recv_ns)
        return (TradeTick(self._venue, symbol, *fields),)

    def _quote(self, ticker: _Ticker, recv_ns: int) -> Sequence[FeedEvent]:
        if one_sided(ticker.bid, ticker.ask):
            return ()
        symbol = self._symbols[ticker.product_id]
        best = (ticker.bid, ticker.bid_size, ticker.ask, ticker.ask_size)
        return (QuoteTick(self._venue, symbol, -1, *best, ticker.time * MS_NS, recv_ns),)

    def _said(self, head: _Head) -> Sequence[FeedEvent]:
        symbol = head.product_ids[0] if len(head.product_ids) == 1 else ""
        match head.event:
            case "subscribed" | "unsubscribed":
                return (Control("ack", symbol, ""),)
            case "error" | "alert" | "subscribed_failed" | "unsubscribed_failed":
                return (Control("refused", symbol, head.message),)
        return ()


# --- symbols and subscriptions ------------------------------------------------------------------


def _unify(name: str) -> str:
    """``PI_XBTUSD`` and ``FI_XBTUSD_210924`` are inverse, ``PF_`` and ``FF_`` linear in USD."""
    kind, _, rest = name.upper().partition("_")
    pair, _, expiry = rest.partition("_")
    if kind not in ("PI", "FI", "PF", "FF") or not pair.endswith("USD"):
        return name
    base = pair.removesuffix("USD")
    base = {"XBT": "BTC", "XDG": "DOGE"}.get(base, base)
    settle = base if kind.endswith("I") else "USD"
    return f"{base}/USD:{settle}" + (f"-{expiry}" if expiry else "")


def _native(symbol: str) -> str:
    settle, expiry = settle_of(symbol)
    base = symbol.partition("/")[0]
    kind = ("F" if expiry else "P") + ("F" if settle == "USD" else "I")
    base = {"BTC": "XBT", "DOGE": "XDG"}.get(base, base)
    return f"{kind}_{base}USD" + (f"_{expiry}" if expiry else "")


SPECS: Final = {
    "kraken-futures": VenueSpec(
        venue="kraken-futures",
        # The older format is numbered, today's has a checksum.
        integrity="contiguous+crc:kraken:10",
        websocket_url="wss://uws.kraken.com/v2/public",
        decoder=lambda symbols: KrakenFuturesDecoder("kraken-futures", symbols),
        subscribe=lambda symbols, channels, number: requests(
            "subscribe", symbols, channels, number, asset_class="derivatives"
        ),
        unsubscribe=lambda symbols, channels, number: requests(
            "unsubscribe", symbols, channels, number, asset_class="derivatives"
        ),
        unify=_unify,
        native=_native,
        beside=(b'"ticker"', b'"trade"', b'"trade_snapshot"'),
        heartbeat=Heartbeat(text='{"method":"ping"}', interval_s=30.0, silence_s=20.0),
        limits=Limits(symbols_per_connection=100, messages_per_s=5.0),
    ),
}
