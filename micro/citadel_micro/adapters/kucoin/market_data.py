"""KuCoin spot: ranges of sequences on an HTTP snapshot; the address comes with a ticket.

Source: the venue's pages "Market Snapshot", "Level-2 Market Data" and "Apply connect token".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import (
    DECODE_ERRORS,
    MS_NS,
    Control,
    Level,
    Millis,
    Price,
    Size,
    Symbols,
    Whole,
    one_sided,
    violation,
)
from citadel_micro.shell.marketdata.naming import joined
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import Channel

Row = tuple[Size, Size, str]


class _Changes(msgspec.Struct, gc=False):
    bids: list[Row] | None = None
    asks: list[Row] | None = None


class _Book(msgspec.Struct, gc=False):
    symbol: str
    sequenceStart: Whole  # noqa: N815 - the venue's names, here and below
    sequenceEnd: Whole  # noqa: N815
    changes: _Changes
    time: Millis = 0


class _BookFrame(msgspec.Struct, gc=False):
    data: _Book


class _Match(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    size: Size
    price: Price
    tradeId: str  # noqa: N815
    time: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    """In nanoseconds, unlike everything else of this venue."""


class _MatchFrame(msgspec.Struct):
    data: _Match


class _Ticker(msgspec.Struct):
    bestBid: Size  # noqa: N815
    bestBidSize: Size  # noqa: N815
    bestAsk: Size  # noqa: N815
    bestAskSize: Size  # noqa: N815
    time: Millis


class _TickerFrame(msgspec.Struct):
    topic: str
    data: _Ticker


class _Snapshot(msgspec.Struct):
    sequence: Whole
    bids: list[Level] | None = None
    asks: list[Level] | None = None
    time: Millis = 0


class _SnapshotAnswer(msgspec.Struct):
    data: _Snapshot


class _Head(msgspec.Struct):
    type: str = ""
    subject: str = ""
    id: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Server(msgspec.Struct):
    endpoint: str


class _Ticket(msgspec.Struct):
    token: str
    instanceServers: list[_Server]  # noqa: N815


class _TicketAnswer(msgspec.Struct):
    data: _Ticket


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame, strict=False).decode
_matches: Final = msgspec.json.Decoder(_MatchFrame, strict=False).decode
_tickers: Final = msgspec.json.Decoder(_TickerFrame, strict=False).decode
_snapshot: Final = msgspec.json.Decoder(_SnapshotAnswer, strict=False).decode
_ticket: Final = msgspec.json.Decoder(_TicketAnswer).decode


def _levels(rows: list[Row] | None) -> list[tuple[float, float]]:
    """Price 0 only moves the sequence: a hidden order changed. A side without levels may be null."""
    return [(price, size) for price, size, _ in rows or () if price]


class KucoinDecoder:
    """Decodes ``level2``, ``match`` and ``ticker``."""

    __slots__ = ("_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        self._venue = venue
        self._symbols = symbols

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            head = _head(data)
            match head.subject:
                case "trade.l2update":
                    return (self._depth(_books(data).data, recv_ns),)
                case "trade.l3match":
                    return (self._trade(_matches(data).data, recv_ns),)
                case "trade.ticker":
                    return self._quote(_tickers(data), recv_ns)
            return self._said(head)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None

    def rest(self, symbol: str, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """The snapshot over HTTP. Raises VenueViolation only."""
        try:
            book = _snapshot(data).data
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None
        seq = book.sequence
        return [
            DepthUpdate(
                self._venue,
                self._symbols[symbol],
                True,  # noqa: FBT003 - a field of the tuple: snapshot
                seq,
                seq,
                -1,
                None,
                book.bids or (),
                book.asks or (),
                book.time * MS_NS,
                recv_ns,
            )
        ]

    def _depth(self, book: _Book, recv_ns: int) -> DepthUpdate:
        return DepthUpdate(
            self._venue,
            self._symbols[book.symbol],
            False,  # noqa: FBT003 - a field of the tuple: snapshot
            book.sequenceStart,
            book.sequenceEnd,
            -1,
            None,
            _levels(book.changes.bids),
            _levels(book.changes.asks),
            book.time * MS_NS,
            recv_ns,
        )

    def _trade(self, match: _Match, recv_ns: int) -> TradeTick:
        symbol = self._symbols[match.symbol]
        # Matches are in nanoseconds; the side is the taker's.
        fields = (match.tradeId, match.price, match.size, match.side, match.time, recv_ns)
        return TradeTick(self._venue, symbol, *fields)

    def _quote(self, frame: _TickerFrame, recv_ns: int) -> Sequence[FeedEvent]:
        best = frame.data
        if one_sided(best.bestBid, best.bestAsk):
            return ()
        return (
            QuoteTick(
                self._venue,
                self._symbols[frame.topic.rpartition(":")[2]],
                -1,
                best.bestBid,
                best.bestBidSize,
                best.bestAsk,
                best.bestAskSize,
                best.time * MS_NS,
                recv_ns,
            ),
        )

    def _said(self, head: _Head) -> Sequence[FeedEvent]:
        number = int(head.id) if head.id.isdigit() else -1
        match head.type:
            case "ack":
                return (Control("ack", "", "", number),)
            case "error":
                return (Control("refused", "", str(bytes(head.data), "utf-8"), number),)
            case "pong":
                return (Control("pong", "", ""),)
        return ()


# --- symbols and subscriptions ------------------------------------------------------------------

_CHANNELS: Final = {
    "depth": "/market/level2:",
    "quote": "/market/ticker:",
    "trade": "/market/match:",
}
_SYMBOL: Final = re.compile(r"/orderbook/level2\S*[?&]symbol=([^&]+)")


def _request(
    method: str, symbols: Sequence[str], channels: Sequence[Channel], number: int
) -> list[str]:
    return [
        json.dumps(
            {
                "id": str(number + offset),
                "type": method,
                "topic": _CHANNELS[channel] + ",".join(symbols),
                "response": True,
            }
        )
        for offset, channel in enumerate(channels)
    ]


def _snapshot_symbol(url: str) -> str | None:
    found = _SYMBOL.search(url)
    return found.group(1) if found else None


def _ticket_url(answer: bytes) -> str:
    ticket = _ticket(answer).data
    return f"{ticket.instanceServers[0].endpoint}?token={ticket.token}"


SPECS: Final = {
    "kucoin-spot": VenueSpec(
        venue="kucoin-spot",
        integrity="range_bridge_spot",
        websocket_url="wss://ws-api-spot.kucoin.com",
        rest_url="https://api.kucoin.com",
        ticket="/api/v1/bullet-public",
        ticket_url=_ticket_url,
        decoder=lambda symbols: KucoinDecoder("kucoin-spot", symbols),
        subscribe=lambda symbols, channels, number: _request(
            "subscribe", symbols, channels, number
        ),
        unsubscribe=lambda symbols, channels, number: _request(
            "unsubscribe", symbols, channels, number
        ),
        # The full book needs a key; the best hundred levels do not.
        snapshot=lambda symbol: f"/api/v1/market/orderbook/level2_100?symbol={symbol}",
        poll=lambda symbol: f"/api/v1/market/orderbook/level2_20?symbol={symbol}",
        beside=(b"/market/ticker", b"/market/match"),
        snapshot_symbol=_snapshot_symbol,
        unify=lambda name: name.replace("-", "/", 1),
        native=lambda symbol: joined(symbol, "-"),
        heartbeat=Heartbeat(text='{"id":"1","type":"ping"}', interval_s=18.0, silence_s=45.0),
        limits=Limits(
            symbols_per_connection=100,
            symbols_per_message=100,
            messages_per_s=8.0,
            snapshots_per_s=3.0,
        ),
    ),
}
