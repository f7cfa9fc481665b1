"""Coinbase: Advanced Trade today, and the older Exchange stream.

Advanced Trade numbers all messages of a connection in one sequence, and answers products in USDC as
products in USD, whose book they share. The Exchange stream numbers nothing in its books. Sources: the
venue's pages "WebSocket channels" of both.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from citadel_micro.adapters.coinbase.book_shape import examples, shape_of
from citadel_micro.core.marketdata.sequence_verdict import APPLY, GAP
from citadel_micro.core.marketdata.sequencing import ConnectionSequence
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import (
    DECODE_ERRORS,
    BringsSnapshots,
    Control,
    Level,
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
from citadel_micro.shell.marketdata.levels import sides
from citadel_micro.shell.marketdata.naming import joined
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.events import Levels, Side
    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.forms import Shape
    from citadel_micro.shell.marketdata.spec import Channel


class _Book(msgspec.Struct, gc=False):
    type: Literal["snapshot", "update"]
    product_id: str
    updates: msgspec.Raw


class _BookFrame(msgspec.Struct, gc=False):
    sequence_num: Whole
    timestamp: str
    events: list[_Book]


class _Trade(msgspec.Struct, gc=False):
    trade_id: str
    product_id: str
    price: Price
    size: Size
    side: Literal["BUY", "SELL"]
    time: str


class _Trades(msgspec.Struct):
    trades: list[_Trade]
    type: str = "update"


class _TradeFrame(msgspec.Struct):
    events: list[_Trades]


class _Ticker(msgspec.Struct):
    product_id: str
    best_bid: Size
    best_bid_quantity: Size
    best_ask: Size
    best_ask_quantity: Size


class _Tickers(msgspec.Struct):
    tickers: list[_Ticker]


class _TickerFrame(msgspec.Struct):
    timestamp: str
    events: list[_Tickers]


class _Head(msgspec.Struct):
    channel: str = ""
    sequence_num: Whole | None = None
    type: str = ""
    message: str = ""


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame, strict=False).decode
_trades: Final = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_tickers: Final = msgspec.json.Decoder(_TickerFrame, strict=False).decode

_BOOKS: Final = b'{"channel":"l2_data"'
LAST_SEQ: Final = DepthUpdate._fields.index("last_seq")


class CoinbaseAdvancedDecoder(BringsSnapshots, LearningDecoder):
    """Decodes ``l2_data``, ``market_trades`` and ``ticker`` of one connection, in its sequence."""

    __slots__ = ("_answered", "_judge", "_sequence", "_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        # {"channel":"l2_data","client_id":"","timestamp":"TIME","sequence_num":1,
        # "events":[{"type":"update","product_id":"NAME"
        self._sequence = ConnectionSequence()
        super().__init__(19, 24, self._sequence, LAST_SEQ, examples=examples(venue))
        self._venue = venue
        self._symbols = symbols
        self._judge = self._sequence.judge
        self._answered: dict[str, tuple[str, ...]] = {}
        self.prepare(symbols, self._one_symbol)

    def unexpected(self, known: tuple[Any]) -> Sequence[FeedEvent]:
        """As of ``FormDecoder``."""
        verdict = self._judge(known[0][LAST_SEQ])
        return known if verdict == APPLY else self._instead(verdict)

    def decode(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of a frame that is not read at once. Raises VenueViolation only."""
        try:
            if data.startswith(_BOOKS):
                known = self.introduce(data, recv_ns, self._one_symbol)
                return self._depth(data, recv_ns) if known is None else self.unexpected(known)
            return self._other(data, recv_ns)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None

    def _in_order(self, seq: int) -> Sequence[FeedEvent] | None:
        """None for the next message, else what to emit instead of its events."""
        verdict = self._judge(seq)
        return None if verdict == APPLY else self._instead(verdict)

    def _instead(self, verdict: int) -> Sequence[FeedEvent]:
        return (Control("lost", "", self._sequence.reason),) if verdict == GAP else ()

    def _symbols_of(self, product: str) -> tuple[str, ...]:
        """The symbols of a product: one book serves USD and USDC, and is called USD.

        That of the subscribed products; both where both were.
        """
        known = self._answered.get(product)
        if known is not None:
            return known
        names = (product, f"{product}C") if product.endswith("-USD") else (product,)
        asked = [self._symbols[name] for name in names if name in self._symbols]
        symbols = tuple(asked) or (self._symbols[product],)
        if len(self._answered) < 10_000:  # noqa: PLR2004 - garbage must not fill the memory
            self._answered[product] = symbols
        return symbols

    def _one_symbol(self, product: str) -> str | None:
        symbols = self._symbols_of(product)
        return symbols[0] if len(symbols) == 1 else None

    def _depth(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        frame = _books(data)
        seq = frame.sequence_num
        instead = self._in_order(seq)
        if instead is not None:
            return instead
        at_ns = iso_ns(frame.timestamp)
        events: list[DepthUpdate] = []
        for book in frame.events:
            bids, asks = sides(
                book.updates,
                b"price_level",
                b"new_quantity",
                side_key=b"side",
                bid=b"bid",
                ask=b"offer",
            )
            product = book.product_id
            for symbol in self._answered.get(product) or self._symbols_of(product):
                fields = (
                    self._venue,
                    symbol,
                    book.type == "snapshot",
                    seq,
                    seq,
                    -1,
                    None,
                    bids,
                    asks,
                    at_ns,
                    recv_ns,
                    None,
                    0,
                )
                events.append(make(DepthUpdate, fields))
        if len(events) == len(frame.events) == 1 and not events[0].snapshot:
            self.learn(frame.events[0].product_id, data, events[0])
        return events

    def shape(self, name: str, event: DepthUpdate) -> Shape:
        """See ``LearningDecoder``."""
        return shape_of(self._venue, name, event.symbol)

    def _other(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        head = _head(data)
        if head.type == "error":
            return (Control("refused", "", head.message),)
        if head.channel == "l2_data":
            return self._depth(data, recv_ns)
        # Every channel counts: a lost message may have been of any.
        instead = None if head.sequence_num is None else self._in_order(head.sequence_num)
        if instead is not None:
            return instead
        match head.channel:
            case "market_trades":
                return oldest_first(
                    [
                        self._trade(trade, symbol, recv_ns, history=event.type == "snapshot")
                        for event in _trades(data).events
                        for trade in event.trades
                        for symbol in self._symbols_of(trade.product_id)
                    ]
                )
            case "ticker":
                frame = _tickers(data)
                at_ns = iso_ns(frame.timestamp)
                return [
                    self._quote(ticker, symbol, at_ns, recv_ns)
                    for event in frame.events
                    for ticker in event.tickers
                    for symbol in self._symbols_of(ticker.product_id)
                    if not one_sided(ticker.best_bid, ticker.best_ask)
                ]
            case "subscriptions":
                return (Control("ack", "", ""),)
        return ()

    def _trade(self, trade: _Trade, symbol: str, recv_ns: int, *, history: bool) -> TradeTick:
        return TradeTick(
            self._venue,
            symbol,
            trade.trade_id,
            trade.price,
            trade.size,
            _taker(trade.side),
            iso_ns(trade.time),
            recv_ns,
            history,
        )

    def _quote(self, ticker: _Ticker, symbol: str, at_ns: int, recv_ns: int) -> QuoteTick:
        return QuoteTick(
            self._venue,
            symbol,
            -1,
            ticker.best_bid,
            ticker.best_bid_quantity,
            ticker.best_ask,
            ticker.best_ask_quantity,
            at_ns,
            recv_ns,
        )


def _taker(maker: str) -> Side:
    """The venue names the side of the resting order."""
    return "sell" if maker.upper() == "BUY" else "buy"


# --- Exchange -----------------------------------------------------------------------------------


class _OldSnapshot(msgspec.Struct):
    product_id: str
    bids: list[Level]
    asks: list[Level]
    time: str = ""


class _OldUpdate(msgspec.Struct, gc=False):
    product_id: str
    changes: list[tuple[Literal["buy", "sell"], Price, Size]]
    time: str


class _OldMatch(msgspec.Struct):
    product_id: str
    trade_id: Whole
    side: Literal["buy", "sell"]
    size: Size
    price: Price
    time: str


_old_snapshot: Final = msgspec.json.Decoder(_OldSnapshot, strict=False).decode
_old_update: Final = msgspec.json.Decoder(_OldUpdate, strict=False).decode
_old_match: Final = msgspec.json.Decoder(_OldMatch, strict=False).decode

_OLD_UPDATE: Final = b'{"type":"l2update"'


class CoinbaseExchangeDecoder(BringsSnapshots):
    """Decodes ``level2`` and ``matches`` of the Exchange stream."""

    __slots__ = ("_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        self._venue = venue
        self._symbols = symbols

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            if data.startswith(_OLD_UPDATE):
                return self._change(data, recv_ns)
            return self._other(data, recv_ns)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None

    def _change(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        update = _old_update(data)
        bids = [(price, size) for side, price, size in update.changes if side == "buy"]
        asks = [(price, size) for side, price, size in update.changes if side == "sell"]
        symbol = self._symbols[update.product_id]
        at_ns = iso_ns(update.time)
        return (self._update(symbol, bids, asks, at_ns, recv_ns, snapshot=False),)

    def _other(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        head = _head(data)
        match head.type:
            case "l2update":
                return self._change(data, recv_ns)
            case "snapshot":
                book = _old_snapshot(data)
                at_ns = iso_ns(book.time) if book.time else 0
                symbol = self._symbols[book.product_id]
                return (self._update(symbol, book.bids, book.asks, at_ns, recv_ns, snapshot=True),)
            case "match":
                match = _old_match(data)
                return (
                    TradeTick(
                        self._venue,
                        self._symbols[match.product_id],
                        str(match.trade_id),
                        match.price,
                        match.size,
                        _taker(match.side),
                        iso_ns(match.time),
                        recv_ns,
                    ),
                )
            case "error":
                return (Control("refused", "", head.message),)
            case "subscriptions":
                return (Control("ack", "", ""),)
        return ()

    def _update(
        self,
        symbol: str,
        bids: Levels,
        asks: Levels,
        at_ns: int,
        recv_ns: int,
        *,
        snapshot: bool,
    ) -> DepthUpdate:
        return DepthUpdate(
            self._venue, symbol, snapshot, -1, -1, -1, None, bids, asks, at_ns, recv_ns
        )


# --- symbols and subscriptions ------------------------------------------------------------------

_CHANNELS: Final = {"depth": "level2", "quote": "ticker", "trade": "market_trades"}
_OLD_CHANNELS: Final = {"depth": "level2_batch", "trade": "matches"}


def _request(method: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str]:
    messages = [
        {"type": method, "product_ids": list(symbols), "channel": _CHANNELS[channel]}
        for channel in channels
    ]
    if method == "subscribe":
        # Without heartbeats the venue closes connections of quiet products.
        messages.append({"type": method, "channel": "heartbeats"})
    return [json.dumps(message) for message in messages]


def _old_request(method: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str]:
    names = [_OLD_CHANNELS[channel] for channel in channels if channel in _OLD_CHANNELS]
    return [json.dumps({"type": method, "product_ids": list(symbols), "channels": names})]


SPECS: Final = {
    "coinbase-advanced": VenueSpec(
        venue="coinbase-advanced",
        integrity="conn_seq",
        websocket_url="wss://advanced-trade-ws.coinbase.com",
        decoder=lambda symbols: CoinbaseAdvancedDecoder("coinbase-advanced", symbols),
        subscribe=lambda symbols, channels, _number: _request("subscribe", symbols, channels),
        unsubscribe=lambda symbols, channels, _number: _request("unsubscribe", symbols, channels),
        unify=lambda name: name.replace("-", "/", 1),
        native=lambda symbol: joined(symbol, "-"),
        beside=(b'"ticker"', b'"market_trades"'),
        # A heartbeat comes every second.
        heartbeat=Heartbeat(silence_s=15.0, frames=True),
        limits=Limits(symbols_per_connection=50, messages_per_s=6.0, connects_per_s=1.0),
        deflate=True,
    ),
    "coinbase-exchange": VenueSpec(
        venue="coinbase-exchange",
        integrity="unnumbered",
        sequence="time",
        websocket_url="wss://ws-feed.exchange.coinbase.com",
        decoder=lambda symbols: CoinbaseExchangeDecoder("coinbase-exchange", symbols),
        subscribe=lambda symbols, channels, _number: _old_request("subscribe", symbols, channels),
        unsubscribe=lambda symbols, channels, _number: _old_request(
            "unsubscribe", symbols, channels
        ),
        unify=lambda name: name.replace("-", "/", 1),
        native=lambda symbol: joined(symbol, "-"),
        limits=Limits(symbols_per_connection=50, messages_per_s=6.0, connects_per_s=1.0),
    ),
}
