"""Bitget spot: today's v2, and v1, which ended in November 2025 and is read from captures only.

Since June 2026 each update names the one before it (``pseq``), and there is no checksum any more, or
a 0; before that, a CRC32 over the best 25 levels proved the book. Source: the venue's page "Depth
Channel".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, Literal

import msgspec

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
from citadel_micro.shell.marketdata.levels import text_pairs
from citadel_micro.shell.marketdata.naming import joined, split_name
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import Channel


class _Arg(msgspec.Struct, gc=False):
    channel: str = ""
    instId: str = ""  # noqa: N815 - the venue's name


class _Book(msgspec.Struct, gc=False):
    bids: msgspec.Raw
    asks: msgspec.Raw
    ts: Millis
    checksum: Whole = 0
    seq: Whole = -1
    pseq: Whole = -1


class _BookFrame(msgspec.Struct, gc=False):
    arg: _Arg
    action: Literal["snapshot", "update"]
    data: list[_Book]


class _Trade(msgspec.Struct, gc=False):
    ts: Millis
    price: Price
    size: Size
    side: Literal["buy", "sell"]
    tradeId: str = ""  # noqa: N815


class _TradeFrame(msgspec.Struct):
    data: list[_Trade]


class _OldTradeFrame(msgspec.Struct):
    data: list[tuple[Millis, Price, Size, Literal["buy", "sell"]]]


class _Ticker(msgspec.Struct):
    ts: Millis
    bidPr: Size = 0.0  # noqa: N815
    bidSz: Size = 0.0  # noqa: N815
    askPr: Size = 0.0  # noqa: N815
    askSz: Size = 0.0  # noqa: N815


class _TickerFrame(msgspec.Struct):
    data: list[_Ticker]


class _Head(msgspec.Struct):
    arg: _Arg = msgspec.field(default_factory=_Arg)
    action: str = ""
    event: str = ""
    msg: str = ""
    code: int | str = ""


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame, strict=False).decode
_trades: Final = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_old_trades: Final = msgspec.json.Decoder(_OldTradeFrame, strict=False).decode
_tickers: Final = msgspec.json.Decoder(_TickerFrame, strict=False).decode

_NAMED: Final = re.compile(r"instId:([A-Za-z0-9_]+)")


class BitgetDecoder(BringsSnapshots):
    """Decodes ``books``, ``trade`` and ``ticker`` of both versions."""

    __slots__ = ("_old", "_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols, *, old: bool) -> None:
        self._venue = venue
        self._symbols = symbols
        self._old = old

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            if data == b"pong":
                return (Control("pong", "", ""),)
            head = _head(data)
            if not head.action:
                return self._said(head)
            symbol = self._symbols[head.arg.instId]
            match head.arg.channel:
                case "books":
                    return self._depth(data, symbol, recv_ns)
                case "trade":
                    history = head.action == "snapshot"
                    return self._trades(data, symbol, recv_ns, history=history)
                case "ticker":
                    return self._quotes(data, symbol, recv_ns)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None
        return ()

    def _depth(self, data: bytes, symbol: str, recv_ns: int) -> Sequence[FeedEvent]:
        frame = _books(data)
        events: list[FeedEvent] = []
        for book in frame.data:
            bids, bid_texts = text_pairs(book.bids)
            asks, ask_texts = text_pairs(book.asks)
            # A number without a predecessor proves nothing.
            seq = book.seq if book.pseq >= 0 else -1
            fields = (
                self._venue,
                symbol,
                frame.action == "snapshot",
                seq,
                seq,
                book.pseq,
                book.checksum or None,
                bids,
                asks,
                book.ts * MS_NS,
                recv_ns,
                (bid_texts, ask_texts),
                0,
            )
            events.append(make(DepthUpdate, fields))
        return events

    def _trades(
        self, data: bytes, symbol: str, recv_ns: int, *, history: bool
    ) -> Sequence[FeedEvent]:
        if self._old:
            rows = [("", *row) for row in _old_trades(data).data]
        else:
            rows = [
                (each.tradeId, each.ts, each.price, each.size, each.side)
                for each in _trades(data).data
            ]
        return oldest_first(
            [
                TradeTick(
                    self._venue, symbol, number, price, size, side, ts * MS_NS, recv_ns, history
                )
                for number, ts, price, size, side in rows
            ]
        )

    def _quotes(self, data: bytes, symbol: str, recv_ns: int) -> Sequence[FeedEvent]:
        return [
            QuoteTick(
                self._venue,
                symbol,
                -1,
                best.bidPr,
                best.bidSz,
                best.askPr,
                best.askSz,
                best.ts * MS_NS,
                recv_ns,
            )
            for best in _tickers(data).data
            if not one_sided(best.bidPr, best.askPr)
        ]

    def _said(self, head: _Head) -> Sequence[FeedEvent]:
        match head.event:
            case "subscribe" | "unsubscribe":
                return (Control("ack", head.arg.instId, ""),)
            case "error":
                named = _NAMED.search(head.msg)
                symbol = head.arg.instId or (named.group(1) if named else "")
                return (Control("refused", symbol, f"{head.msg} (code {head.code})"),)
        return ()


# --- symbols and subscriptions ------------------------------------------------------------------


def _unify(name: str) -> str:
    pair = split_name(name)
    return name if pair is None else f"{pair[0]}/{pair[1]}"


_CHANNELS: Final = {"depth": "books", "quote": "ticker", "trade": "trade"}


def _request(
    method: str, kind: str, symbols: Sequence[str], channels: Sequence[Channel]
) -> list[str]:
    args = [
        {"instType": kind, "channel": _CHANNELS[channel], "instId": symbol}
        for symbol in symbols
        for channel in channels
    ]
    return [json.dumps({"op": method, "args": args})]


def _spec(venue: str, url: str, kind: str, *, old: bool) -> VenueSpec:
    return VenueSpec(
        venue=venue,
        integrity="unnumbered+crc:colon:25" if old else "chain+crc:colon:25",
        snapshot_counts=True,
        sequence="none" if old else "number",
        websocket_url=url,
        decoder=lambda symbols: BitgetDecoder(venue, symbols, old=old),
        subscribe=lambda symbols, channels, _number: _request("subscribe", kind, symbols, channels),
        unsubscribe=lambda symbols, channels, _number: _request(
            "unsubscribe", kind, symbols, channels
        ),
        unify=_unify,
        native=joined,
        beside=(b'"ticker"', b'"trade"'),
        heartbeat=Heartbeat(text="ping", interval_s=30.0, silence_s=60.0),
        # Under 50 channels a connection are advised; 10 messages a second, 240 subscriptions an
        # hour; a connection is cut after a day.
        limits=Limits(
            symbols_per_connection=16,
            symbols_per_message=16,
            messages_per_s=5.0,
            requests_per_h=230,
            lifetime_s=86_400.0,
        ),
        capture_only="the venue ended its v1 in November 2025; follow bitget-spot" if old else "",
    )


SPECS: Final = {
    "bitget-spot": _spec("bitget-spot", "wss://ws.bitget.com/v2/ws/public", "SPOT", old=False),
    "bitget-v1": _spec("bitget-v1", "wss://ws.bitget.com/spot/v1/stream", "SP", old=True),
}
