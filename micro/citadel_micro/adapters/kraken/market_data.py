"""Kraken spot: today's v2 protocol, and the older v1.

Nothing is numbered; a CRC32 over the best ten levels proves the book, in the venue's own
digits, so numbers are decoded as text. The venue keeps the subscribed depth and
does not report what falls off its end. Source: the venue's pages "Book (Level 2)" and "Order book
checksum".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from citadel_micro.adapters.kraken.book_shape import examples, shape_of
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import (
    DECODE_ERRORS,
    BringsSnapshots,
    Control,
    Price,
    Size,
    Symbols,
    Whole,
    iso_ns,
    make,
    oldest_first,
    one_sided,
    violation,
)
from citadel_micro.shell.marketdata.forms import LearningDecoder
from citadel_micro.shell.marketdata.levels import NONE, text_objects
from citadel_micro.shell.marketdata.naming import joined
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from citadel_micro.core.model.events import Levels, TextLevels
    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.forms import Shape
    from citadel_micro.shell.marketdata.spec import Channel

DEPTH: Final = 1_000
"""Levels that are subscribed: the maximum."""
DEPTHS: Final = "10,25,100,500,1000"
_LARGEST: Final = 1e18


class _Book(msgspec.Struct, gc=False):
    symbol: str
    bids: msgspec.Raw = NONE
    asks: msgspec.Raw = NONE
    checksum: Whole | None = None
    timestamp: str = ""


class _BookFrame(msgspec.Struct, gc=False):
    type: Literal["snapshot", "update"]
    data: list[_Book]


class _Trade(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: Price
    qty: Size
    trade_id: Whole
    timestamp: str


class _TradeFrame(msgspec.Struct):
    data: list[_Trade]
    type: str = "update"


class _Ticker(msgspec.Struct):
    symbol: str
    bid: Size
    bid_qty: Size
    ask: Size
    ask_qty: Size
    timestamp: str = ""


class _TickerFrame(msgspec.Struct):
    data: list[_Ticker]


class _Head(msgspec.Struct):
    channel: str = ""
    method: str = ""
    success: bool = True
    error: str = ""
    symbol: str = ""
    req_id: Whole = -1


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame).decode
_trades: Final = msgspec.json.Decoder(_TradeFrame).decode
_tickers: Final = msgspec.json.Decoder(_TickerFrame).decode

_BOOKS: Final = b'{"channel":"book"'


def _both(pairs: Iterable[tuple[str, str]]) -> tuple[Levels, TextLevels]:
    """Levels as floats and as text. Raises ValueError for an invalid price or size."""
    levels: list[tuple[float, float]] = []
    texts: list[tuple[str, str]] = []
    for pair in pairs:
        price, size = float(pair[0]), float(pair[1])
        if not (0.0 < price <= _LARGEST and 0.0 <= size <= _LARGEST):
            raise ValueError(f"{pair[0]} x {pair[1]} is no level")
        levels.append((price, size))
        texts.append(pair)
    return levels, texts


class KrakenDecoder(BringsSnapshots, LearningDecoder):
    """Decodes v2 ``book``, ``trade`` and ``ticker``.

    Args:
        venue: venue id.
        symbols: symbol map.
        covers: levels a side that are subscribed, where the venue's integrity does not give it.
    """

    __slots__ = ("_covers", "_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols, *, covers: int = 0) -> None:
        # {"channel":"book","type":"update","data":[{"symbol":"NAME"
        super().__init__(7, 14, examples=examples(venue, covers))
        self._venue = venue
        self._symbols = symbols
        self._covers = covers
        self.prepare(symbols, symbols.__getitem__)

    def decode(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of a frame that is not read at once. Raises VenueViolation only."""
        try:
            if data.startswith(_BOOKS):
                known = self.introduce(data, recv_ns, self._symbols.__getitem__)
                return self._depth(data, recv_ns) if known is None else known
            return self._other(data, recv_ns)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None

    def _depth(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        frame = _books(data)
        snapshot = frame.type == "snapshot"
        events: list[DepthUpdate] = []
        for book in frame.data:
            bids, bid_texts = text_objects(book.bids, b"price", b"qty")
            asks, ask_texts = text_objects(book.asks, b"price", b"qty")
            fields = (
                self._venue,
                self._symbols[book.symbol],
                snapshot,
                -1,
                -1,
                -1,
                book.checksum,
                bids,
                asks,
                iso_ns(book.timestamp) if book.timestamp else 0,
                recv_ns,
                (bid_texts, ask_texts),
                self._covers,
            )
            events.append(make(DepthUpdate, fields))
        if len(events) == 1 and not snapshot:
            self.learn(frame.data[0].symbol, data, events[0])
        return events

    def shape(self, name: str, event: DepthUpdate) -> Shape:
        """See ``LearningDecoder``."""
        return shape_of(self._venue, name, event.symbol, self._covers)

    def _other(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        head = _head(data)
        match head.channel:
            case "book":
                return self._depth(data, recv_ns)
            case "trade":
                return self._trades(_trades(data), recv_ns)
            case "ticker":
                return [
                    QuoteTick(
                        self._venue,
                        self._symbols[each.symbol],
                        -1,
                        each.bid,
                        each.bid_qty,
                        each.ask,
                        each.ask_qty,
                        iso_ns(each.timestamp) if each.timestamp else recv_ns,
                        recv_ns,
                    )
                    for each in _tickers(data).data
                    if not one_sided(each.bid, each.ask)
                ]
        if not head.success:
            return (Control("refused", head.symbol, head.error, head.req_id),)
        if head.method == "pong":
            return (Control("pong", "", ""),)
        if head.method in ("subscribe", "unsubscribe"):
            return (Control("ack", head.symbol, "", head.req_id),)
        return ()

    def _trades(self, frame: _TradeFrame, recv_ns: int) -> Sequence[FeedEvent]:
        history = frame.type == "snapshot"
        return oldest_first(
            [
                TradeTick(
                    self._venue,
                    self._symbols[trade.symbol],
                    str(trade.trade_id),
                    trade.price,
                    trade.qty,
                    trade.side,  # the taker's
                    iso_ns(trade.timestamp),
                    recv_ns,
                    history,
                )
                for trade in frame.data
            ]
        )


# --- v1 -----------------------------------------------------------------------------------------


class _OldLevel(msgspec.Struct, array_like=True, gc=False):
    """Price, size and time; an "r" may follow, for a level that is sent again."""

    price: str
    size: str
    time: str


_V1_FIELDS: Final = frozenset({"a", "b", "as", "bs", "c"})
_list: Final = msgspec.json.Decoder(list[Any]).decode
_old_levels: Final = list[_OldLevel]
_old_trades: Final = list[tuple[Price, Size, str, str, str, str]]


class _OldStatus(msgspec.Struct):
    event: str = ""
    status: str = ""
    pair: str = ""
    errorMessage: str = ""  # noqa: N815 - the venue's name
    reqid: Whole = -1


_old_status: Final = msgspec.json.Decoder(_OldStatus).decode


class KrakenV1Decoder(BringsSnapshots):
    """Decodes v1 ``book-N`` and ``trade``: lists whose last entry is the pair."""

    __slots__ = ("_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        self._venue = venue
        self._symbols = symbols

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            if data.startswith(b"["):
                return self._listed(_list(data), recv_ns)
            status = _old_status(data)
        except (*DECODE_ERRORS, TypeError) as error:
            raise violation(self._venue, data, error) from None
        if status.event == "subscriptionStatus":
            if status.status == "error":
                return (Control("refused", status.pair, status.errorMessage, status.reqid),)
            return (Control("ack", status.pair, "", status.reqid),)
        return ()

    def _listed(self, items: list[Any], recv_ns: int) -> Sequence[FeedEvent]:
        channel, pair = items[-2], items[-1]
        symbol = self._symbols[str(pair)]
        channel = str(channel)
        if channel.startswith("book-"):
            return (self._book(items[1:-2], symbol, recv_ns),)
        if channel == "trade":
            return oldest_first(
                [
                    TradeTick(
                        self._venue,
                        symbol,
                        "",  # v1 does not number trades
                        price,
                        size,
                        "buy" if side == "b" else "sell",
                        _seconds_ns(time),
                        recv_ns,
                    )
                    for price, size, time, side, _, _ in msgspec.convert(
                        items[1], _old_trades, strict=False
                    )
                ]
            )
        return ()

    def _book(self, parts: list[dict[str, Any]], symbol: str, recv_ns: int) -> DepthUpdate:
        fields: dict[str, Any] = {}
        for part in parts:
            fields.update(part)
        if not fields or not fields.keys() <= _V1_FIELDS:
            raise ValueError(f"a book with {sorted(fields)}")
        snapshot = "as" in fields or "bs" in fields
        bid_rows = msgspec.convert(fields.get("bs" if snapshot else "b", []), _old_levels)
        ask_rows = msgspec.convert(fields.get("as" if snapshot else "a", []), _old_levels)
        bids, bid_texts = _both([(row.price, row.size) for row in bid_rows])
        asks, ask_texts = _both([(row.price, row.size) for row in ask_rows])
        times = [_seconds_ns(row.time) for row in (*bid_rows, *ask_rows)]
        return DepthUpdate(
            self._venue,
            symbol,
            snapshot,
            -1,
            -1,
            -1,
            int(fields["c"]) if "c" in fields else None,
            bids,
            asks,
            max(times, default=0),
            recv_ns,
            (bid_texts, ask_texts),
        )


def _seconds_ns(text: str) -> int:
    """``1618678133.123456`` in nanoseconds."""
    whole, _, part = text.partition(".")
    if not 0 <= int(whole) <= 9_000_000_000:  # noqa: PLR2004 - the year 2255, and what fits into 64 bits
        raise ValueError(f"{text!r} is not a time")
    return int(whole) * 1_000_000_000 + int(part[:9].ljust(9, "0") or 0)


# --- symbols and subscriptions ------------------------------------------------------------------

_RENAMED: Final = {"XBT": "BTC", "XDG": "DOGE"}


def _unify(name: str) -> str:
    base, slash, quote = name.partition("/")
    return _RENAMED.get(base, base) + slash + _RENAMED.get(quote, quote)


_CHANNELS: Final = {"depth": "book", "quote": "ticker", "trade": "trade"}


def requests(
    method: str,
    symbols: Sequence[str],
    channels: Sequence[Channel],
    number: int,
    **more: object,
) -> list[str]:
    """Messages of v2 that subscribe or unsubscribe, with ``more`` among their parameters."""
    messages = []
    for offset, channel in enumerate(channels):
        params = {"channel": _CHANNELS[channel], **more, "symbol": list(symbols)}
        if channel == "depth":
            params["depth"] = DEPTH
        if channel == "quote" and method == "subscribe":
            params["event_trigger"] = "bbo"
        messages.append(json.dumps({"method": method, "params": params, "req_id": number + offset}))
    return messages


def _subscribe_v1(symbols: Sequence[str], channels: Sequence[Channel], number: int) -> list[str]:
    names = {"depth": {"name": "book", "depth": DEPTH}, "trade": {"name": "trade"}}
    return [
        json.dumps(
            {
                "event": "subscribe",
                "pair": list(symbols),
                "subscription": names[channel],
                "reqid": number + offset,
            }
        )
        for offset, channel in enumerate(channels)
        if channel in names
    ]


SPECS: Final = {
    "kraken-spot": VenueSpec(
        venue="kraken-spot",
        integrity=f"unnumbered+crc:kraken:10+depth:{DEPTHS}",
        snapshot_counts=True,
        sequence="none",
        websocket_url="wss://ws.kraken.com/v2",
        self_trade="expire_taker",  # AddOrder: "stptype" is cancel-newest unless given
        decoder=lambda symbols: KrakenDecoder("kraken-spot", symbols),
        subscribe=lambda symbols, channels, number: requests(
            "subscribe", symbols, channels, number
        ),
        unsubscribe=lambda symbols, channels, number: requests(
            "unsubscribe", symbols, channels, number
        ),
        unify=_unify,
        beside=(b'"ticker"', b'"trade"', b'"spread"'),
        native=lambda symbol: joined(symbol, "/"),
        # The venue sends a heartbeat every second while anything is subscribed.
        heartbeat=Heartbeat(text='{"method":"ping"}', interval_s=30.0, silence_s=20.0),
        limits=Limits(symbols_per_connection=200, symbols_per_message=100, messages_per_s=5.0),
    ),
    "kraken-v1": VenueSpec(
        venue="kraken-v1",
        integrity=f"unnumbered+crc:kraken:10+depth:{DEPTHS}",
        snapshot_counts=True,
        sequence="none",
        websocket_url="wss://ws.kraken.com",
        decoder=lambda symbols: KrakenV1Decoder("kraken-v1", symbols),
        subscribe=_subscribe_v1,
        unmarked_history=True,
        unify=_unify,
        beside=(b'"ticker"', b'"trade"', b'"spread"'),
        native=lambda symbol: joined(symbol, "/").replace("BTC", "XBT").replace("DOGE", "XDG"),
        heartbeat=Heartbeat(text='{"event":"ping"}', interval_s=30.0, silence_s=20.0),
        limits=Limits(symbols_per_connection=200, symbols_per_message=100, messages_per_s=5.0),
    ),
}
