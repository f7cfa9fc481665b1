"""OKX v5: spot, swaps and futures on one public websocket.

Today's books are a chain of seqId and prevSeqId, their checksum is always 0 (absent). Older
recordings have a checksum and no seqId; both are read. Source: the venue's page "Order book
channel".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.okx.book_shape import examples, shape_of
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
    make,
    oldest_first,
    one_sided,
    violation,
)
from citadel_micro.shell.marketdata.forms import LearningDecoder
from citadel_micro.shell.marketdata.levels import pairs, text_pairs
from citadel_micro.shell.marketdata.naming import joined, settle_of
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.forms import Shape
    from citadel_micro.shell.marketdata.spec import Channel


class _Arg(msgspec.Struct, gc=False):
    channel: str = ""
    instId: str = ""  # noqa: N815 - the venue's names, here and below


class _Book(msgspec.Struct, gc=False):
    bids: msgspec.Raw
    asks: msgspec.Raw
    ts: Millis
    checksum: Whole = 0
    seqId: Whole = -1  # noqa: N815
    prevSeqId: Whole = -1  # noqa: N815


class _Trade(msgspec.Struct, gc=False):
    instId: str  # noqa: N815
    tradeId: str  # noqa: N815
    px: Price
    sz: Size
    side: str
    ts: Millis


class _BookFrame(msgspec.Struct, gc=False):
    arg: _Arg
    data: list[_Book]
    action: str = "snapshot"


class _TradeFrame(msgspec.Struct, gc=False):
    data: list[_Trade]


class _Head(msgspec.Struct):
    arg: _Arg = msgspec.field(default_factory=_Arg)
    event: str = ""
    msg: str = ""
    code: str = ""


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame, strict=False).decode
_trades: Final = msgspec.json.Decoder(_TradeFrame, strict=False).decode

_BOOKS: Final = b'{"arg":{"channel":"books"'
_NAMED: Final = re.compile(r"instId:([A-Za-z0-9_-]+)")


class OkxDecoder(BringsSnapshots, LearningDecoder):
    """Decodes ``books``, ``bbo-tbt`` and ``trades``."""

    __slots__ = ("_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        # {"arg":{"channel":"books","instId":"NAME"},"action":"update","data":[{"asks":
        super().__init__(9, 14, examples=examples(venue))
        self._venue = venue
        self._symbols = symbols
        self.prepare(symbols, symbols.__getitem__)

    def decode(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of a frame that is not read at once. Raises VenueViolation only."""
        try:
            if data.startswith(_BOOKS):
                known = self.introduce(data, recv_ns, self._symbols.__getitem__)
                return self._depth(data, recv_ns) if known is None else known
            if data == b"pong":
                return (Control("pong", "", ""),)
            return self._other(data, recv_ns)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None

    def _depth(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        frame = _books(data)
        symbol = self._symbols[frame.arg.instId]
        snapshot = frame.action == "snapshot"
        events: list[DepthUpdate] = []
        for book in frame.data:
            seq = book.seqId
            # Digits are needed only where there is a checksum to verify: not in today's protocol.
            texts = None
            if book.checksum:
                bids, bid_texts = text_pairs(book.bids, more=True)
                asks, ask_texts = text_pairs(book.asks, more=True)
                texts = (bid_texts, ask_texts)
            else:
                bids, asks = pairs(book.bids, more=True), pairs(book.asks, more=True)
            fields = (
                self._venue,
                symbol,
                snapshot,
                seq,
                seq,
                book.prevSeqId,
                book.checksum or None,
                bids,
                asks,
                book.ts * MS_NS,
                recv_ns,
                texts,
                0,
            )
            events.append(make(DepthUpdate, fields))
        if not snapshot and len(events) == 1:
            self.learn(frame.arg.instId, data, events[0])
        return events

    def shape(self, name: str, event: DepthUpdate) -> Shape:
        """See ``LearningDecoder``."""
        return shape_of(
            self._venue,
            name,
            event.symbol,
            checked=event.checksum is not None,
            numbered=event.first_seq >= 0,
        )

    def _other(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        head = _head(data)
        if head.event:
            return self._said(head)
        channel = head.arg.channel
        if channel == "trades":
            return oldest_first(
                [
                    TradeTick(
                        self._venue,
                        self._symbols[trade.instId],
                        trade.tradeId,
                        trade.px,
                        trade.sz,
                        "buy" if trade.side == "buy" else "sell",
                        trade.ts * MS_NS,
                        recv_ns,
                    )
                    for trade in _trades(data).data
                ]
            )
        if channel == "bbo-tbt":
            return self._quotes(data, recv_ns)
        if channel == "books":
            return self._depth(data, recv_ns)
        return ()

    def _quotes(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        frame = _books(data)
        symbol = self._symbols[frame.arg.instId]
        events: list[FeedEvent] = []
        for book in frame.data:
            bids, asks = pairs(book.bids, more=True), pairs(book.asks, more=True)
            if bids and asks:
                bid, ask = bids[0], asks[0]
                if not one_sided(bid[0], ask[0]):
                    # Its seqId is of another channel: the venue's time decides which is newer.
                    fields = (*bid, *ask, book.ts * MS_NS, recv_ns)
                    events.append(QuoteTick(self._venue, symbol, -1, *fields))
        return events

    def _said(self, head: _Head) -> Sequence[FeedEvent]:
        match head.event:
            case "subscribe" | "unsubscribe":
                return (Control("ack", head.arg.instId, ""),)
            case "error":
                named = _NAMED.search(head.msg)
                words = f"{head.msg} (code {head.code})"
                return (Control("refused", named.group(1) if named else "", words),)
            case "notice":
                return (Control("shutdown", "", f"{head.msg} (code {head.code})"),)
        return ()


# --- symbols and subscriptions ------------------------------------------------------------------


def _unify(name: str) -> str:
    parts = name.split("-")
    if len(parts) < 2:  # noqa: PLR2004 - base and quote
        return name
    base, quote = parts[0], parts[1]
    if len(parts) == 2:  # noqa: PLR2004 - and nothing more: spot
        return f"{base}/{quote}"
    settle = base if quote == "USD" else quote
    if parts[2] == "SWAP":
        return f"{base}/{quote}:{settle}"
    if len(parts) == 3 and parts[2].isdigit():  # noqa: PLR2004 - and an expiry
        return f"{base}/{quote}:{settle}-{parts[2]}"
    return name


def _native(symbol: str) -> str:
    settle, expiry = settle_of(symbol)
    name = joined(symbol, "-")
    return f"{name}-{expiry or 'SWAP'}" if settle else name


_CHANNELS: Final = {"depth": "books", "quote": "bbo-tbt", "trade": "trades"}


def _request(method: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str]:
    args = [
        {"channel": _CHANNELS[channel], "instId": symbol}
        for symbol in symbols
        for channel in channels
    ]
    return [json.dumps({"op": method, "args": args})]


SPECS: Final = {
    "okx": VenueSpec(
        venue="okx",
        integrity="chain+crc:colon:25",
        snapshot_counts=True,
        websocket_url="wss://ws.okx.com:8443/ws/v5/public",
        decoder=lambda symbols: OkxDecoder("okx", symbols),
        subscribe=lambda symbols, channels, _number: _request("subscribe", symbols, channels),
        unsubscribe=lambda symbols, channels, _number: _request("unsubscribe", symbols, channels),
        unify=_unify,
        native=_native,
        beside=(b'"bbo-tbt"', b'"trades"'),
        # The venue disconnects after 30 s without a message either way.
        heartbeat=Heartbeat(text="ping", interval_s=20.0, silence_s=30.0),
        # 3 connects a second, 480 subscribe operations an hour, 64 KiB a request.
        limits=Limits(
            symbols_per_connection=100,
            symbols_per_message=100,
            messages_per_s=1.0,
            requests_per_h=460,
            connects_per_s=2.0,
        ),
    ),
}
