"""Binance spot, USD-M and COIN-M futures: depth, best bid/ask and trades.

Sources: the venue's pages "WebSocket Streams" and "How to manage a local order book correctly" for
each of the three markets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.stream_shapes import shape_of
from citadel_micro.adapters.binance.symbols import (
    native,
    native_coinm,
    snapshot_symbol,
    unify_coinm,
    unify_spot,
    unify_usdm,
)
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import (
    DECODE_ERRORS,
    MS_NS,
    Control,
    Millis,
    Size,
    Symbols,
    Whole,
    make,
    one_sided,
    violation,
)
from citadel_micro.shell.marketdata.forms import MOST_FORMS, FormDecoder, learn
from citadel_micro.shell.marketdata.levels import pairs
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent
from citadel_micro.shell.marketdata.spec import Channel


class _Depth(msgspec.Struct, gc=False):
    s: str
    U: Whole
    u: Whole
    b: msgspec.Raw
    a: msgspec.Raw
    E: Millis
    T: Millis = 0
    pu: Whole = -1


class _Quote(msgspec.Struct, gc=False):
    s: str
    u: Whole
    b: Size
    B: Size
    a: Size
    A: Size
    T: Millis = 0


class _Trade(msgspec.Struct, gc=False):
    s: str
    p: Size
    q: Size
    m: bool
    T: Millis
    t: Whole = -1
    a: Whole = -1
    X: str = "MARKET"


class _Snapshot(msgspec.Struct):
    lastUpdateId: Whole  # noqa: N815 - the venue's name
    bids: msgspec.Raw
    asks: msgspec.Raw
    T: Millis = 0


class _QuickDepth(msgspec.Struct, gc=False):
    """The rest of a frame whose symbol is known from its stream's name."""

    U: Whole
    u: Whole
    b: msgspec.Raw
    a: msgspec.Raw
    E: Millis
    T: Millis = 0
    pu: Whole = -1


class _QuickQuote(msgspec.Struct, gc=False):
    u: Whole
    b: Size
    B: Size
    a: Size
    A: Size
    T: Millis = 0


class _QuickTrade(msgspec.Struct, gc=False):
    p: Size
    q: Size
    m: bool
    T: Millis
    t: Whole = -1
    a: Whole = -1
    X: str = "MARKET"


class _DepthFrame(msgspec.Struct, gc=False):
    data: _QuickDepth


class _QuoteFrame(msgspec.Struct, gc=False):
    data: _QuickQuote


class _TradeFrame(msgspec.Struct, gc=False):
    data: _QuickTrade


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Other(msgspec.Struct):
    """A combined frame whose stream name could not be read in place, or an answer."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    e: str = ""
    id: int | str | None = None
    error: _Error | None = None
    code: int = 0
    msg: str = ""


class _AnyEvent(msgspec.Struct):
    e: str = ""
    s: str = ""
    B: msgspec.Raw = msgspec.Raw()


_depth_frame: Final = msgspec.json.Decoder(_DepthFrame, strict=False).decode
_quote_frame: Final = msgspec.json.Decoder(_QuoteFrame, strict=False).decode
_trade_frame: Final = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_depth_data: Final = msgspec.json.Decoder(_Depth, strict=False).decode
_quote_data: Final = msgspec.json.Decoder(_Quote, strict=False).decode
_trade_data: Final = msgspec.json.Decoder(_Trade, strict=False).decode
_snapshot: Final = msgspec.json.Decoder(_Snapshot, strict=False).decode
_other: Final = msgspec.json.Decoder(_Other, strict=False).decode
_any_event: Final = msgspec.json.Decoder(_AnyEvent).decode

_COMBINED: Final = b'{"stream":"'
_NAME_AT: Final = len(_COMBINED)
_NO_SYMBOL: Final = ""

Handler = Callable[[bytes, int, str], "Sequence[FeedEvent]"]


class BinanceDecoder(FormDecoder):
    """Decodes combined (``{"stream": ..., "data": ...}``) and single stream frames.

    The type and the symbol of a combined frame are in its stream's name, and the same for every
    frame of that stream. So the first one of each name is parsed completely, and the later ones are
    read at once where the kernel is compiled and they have the first one's form, else parsed once,
    into their one possible type, without the symbol.
    """

    __slots__ = ("_spot", "_streams", "_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        super().__init__(3, 4)  # {"stream":"NAME"
        self._venue = venue
        self._symbols = symbols
        self._spot = venue == "binance-spot"
        self._streams: dict[bytes, tuple[Handler, str]] = {}

    def decode(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of a frame that is not read at once. Raises VenueViolation only."""
        try:
            known = self._streams.get(data[_NAME_AT : data.find(b'"', _NAME_AT)])
            if known is None:
                return self._slow(data, recv_ns)
            handle, symbol = known
            return handle(data, recv_ns, symbol)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None

    def rest(self, symbol: str, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """The snapshot that ``/depth`` answered. Raises VenueViolation only."""
        try:
            book = _snapshot(data)
            bids, asks = pairs(book.bids), pairs(book.asks)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None
        seq = book.lastUpdateId
        return [
            DepthUpdate(
                venue=self._venue,
                symbol=self._symbols[symbol],
                snapshot=True,
                first_seq=seq,
                last_seq=seq,
                prev_seq=-1,
                checksum=None,
                bids=bids,
                asks=asks,
                exchange_ns=book.T * MS_NS,
                recv_ns=recv_ns,
            )
        ]

    def _quick_depth(self, data: bytes, recv_ns: int, symbol: str) -> Sequence[FeedEvent]:
        return self._depth(_depth_frame(data).data, recv_ns, symbol)

    def _quick_quote(self, data: bytes, recv_ns: int, symbol: str) -> Sequence[FeedEvent]:
        """``_quote`` inlined: nine of ten frames are quotes or trades."""
        q = _quote_frame(data).data
        bid, ask = q.b, q.a
        if 0.0 < bid < ask:
            fields = (self._venue, symbol, q.u, bid, q.B, ask, q.A, q.T * MS_NS, recv_ns)
            return (make(QuoteTick, fields),)
        return self._quote(q, recv_ns, symbol)

    def _quick_trade(self, data: bytes, recv_ns: int, symbol: str) -> Sequence[FeedEvent]:
        return self._trade(_trade_frame(data).data, recv_ns, symbol)

    def _depth(self, d: _Depth | _QuickDepth, recv_ns: int, symbol: str) -> Sequence[FeedEvent]:
        # Spot has only the event time E, futures also the matching engine's T.
        at_ns = (d.T or d.E) * MS_NS
        head = (self._venue, symbol, False, d.U, d.u, d.pu, None)
        return (make(DepthUpdate, (*head, pairs(d.b), pairs(d.a), at_ns, recv_ns, None, 0)),)

    def _quote(self, q: _Quote | _QuickQuote, recv_ns: int, symbol: str) -> Sequence[FeedEvent]:
        bid, ask = q.b, q.a
        if not (0.0 < bid < ask) and one_sided(bid, ask):
            return ()
        fields = (self._venue, symbol, q.u, bid, q.B, ask, q.A, q.T * MS_NS, recv_ns)
        return (make(QuoteTick, fields),)

    def _trade(self, t: _Trade | _QuickTrade, recv_ns: int, symbol: str) -> Sequence[FeedEvent]:
        # Futures also send trades that are no market trades: insurance fund, liquidation, placeholders.
        price, size = t.p, t.q
        if t.X != "MARKET" or not price or not size:
            return ()
        number = str(t.t if t.t >= 0 else t.a)
        # m: the buyer was resting, so the seller took.
        side = "sell" if t.m else "buy"
        fields = (self._venue, symbol, number, price, size, side, t.T * MS_NS, recv_ns, False)
        return (make(TradeTick, fields),)

    def _slow(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """The first of each stream, single-stream frames, answers, and other JSON formatting."""
        other = _other(data)
        if other.stream:
            event = bytes(other.data)
            events = self._by_event(event, recv_ns)
            self._learn(data, event, events)
            return events
        if other.error is not None or other.msg:
            error = other.error or _Error(other.code, other.msg)
            number = other.id if isinstance(other.id, int) else -1
            return (Control("refused", "", f"{error.msg} (code {error.code})", number),)
        if other.id is not None:
            number = other.id if isinstance(other.id, int) else -1
            return (Control("ack", "", "", number),)
        if other.e == "serverShutdown":
            return (Control("shutdown", "", "serverShutdown"),)
        return self._by_event(data, recv_ns)

    def _learn(self, data: bytes, event: bytes, events: Sequence[FeedEvent]) -> None:
        """Record the type of this frame's stream, if its name agrees with its content."""
        if not data.startswith(_COMBINED) or len(self._streams) >= MOST_FORMS:
            return
        name = data[_NAME_AT : data.find(b'"', _NAME_AT)]
        kind = name.partition(b"@")[2]
        native = _any_event(event).s
        if name.partition(b"@")[0].decode().upper() != native:
            return
        handler: Handler | None = None
        if kind.startswith(b"depth"):
            handler = self._quick_depth
        elif kind == b"bookTicker":
            handler = self._quick_quote
        elif kind in (b"trade", b"aggTrade"):
            handler = self._quick_trade
        if handler is not None:
            symbol = self._symbols[native]
            self._streams[name] = (handler, symbol)
            shape = shape_of(kind, self._venue, symbol, native, name, engine_time=b'"T":' in event)
            for each in events:
                if shape is not None and not isinstance(each, Control):
                    form = learn(shape, data, each)
                    if form is not None:
                        self.add(data, form)

    def _by_event(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        event = _any_event(data)
        symbol = self._symbols[event.s] if event.s else _NO_SYMBOL
        match event.e:
            case "depthUpdate":
                depth = _depth_data(data)
                if (depth.pu < 0) is not self._spot:
                    raise ValueError("spot names no update before (pu), and futures always do")
                return self._depth(depth, recv_ns, symbol)
            case "trade" | "aggTrade":
                return self._trade(_trade_data(data), recv_ns, symbol)
            case "bookTicker":
                return self._quote(_quote_data(data), recv_ns, symbol)
            case "serverShutdown":
                return (Control("shutdown", "", "serverShutdown"),)
            case "" if bytes(event.B):  # spot's best bid/ask names no event
                return self._quote(_quote_data(data), recv_ns, symbol)
        return ()


# --- subscriptions ------------------------------------------------------------------------------

_STREAMS: Final = {"depth": "depth@100ms", "quote": "bookTicker", "trade": "trade"}


def _request(method: str, symbols: Sequence[str], channels: Sequence[Channel], number: int) -> str:
    streams = [f"{symbol.lower()}@{_STREAMS[name]}" for symbol in symbols for name in channels]
    return json.dumps({"method": method, "params": streams, "id": number})


def _subscribe(symbols: Sequence[str], channels: Sequence[Channel], number: int) -> list[str]:
    return [_request("SUBSCRIBE", symbols, channels, number)]


def _unsubscribe(symbols: Sequence[str], channels: Sequence[Channel], number: int) -> list[str]:
    return [_request("UNSUBSCRIBE", symbols, channels, number)]


_DAY_S: Final = 86_400.0
_BESIDE: Final = (b"@trade", b"@aggTrade", b'"e":"trade"', b'"e":"aggTrade"', b'"B":"')
"""Texts in quotes and trades that no message of a book contains."""
_FUTURES: Final = Limits(
    symbols_per_connection=60,
    messages_per_s=8.0,
    snapshots_per_s=1.5,
    snapshot_burst=20,
    lifetime_s=_DAY_S,
)

SPECS: Final = {
    "binance-spot": VenueSpec(
        venue="binance-spot",
        integrity="range_bridge_spot",
        websocket_url="wss://stream.binance.com:9443/stream",
        rest_url="https://api.binance.com",
        decoder=lambda symbols: BinanceDecoder("binance-spot", symbols),
        subscribe=_subscribe,
        unsubscribe=_unsubscribe,
        snapshot=lambda symbol: f"/api/v3/depth?symbol={symbol}&limit=1000",
        quick_snapshot=lambda symbol: f"/api/v3/depth?symbol={symbol}&limit=100",
        quick_cost=0.1,
        poll=lambda symbol: f"/api/v3/depth?symbol={symbol}&limit=20",
        beside=_BESIDE,
        snapshot_symbol=snapshot_symbol,
        unify=unify_spot,
        native=native,
        heartbeat=Heartbeat(silence_s=60.0),
        # 1,024 streams and 5 inbound messages a second; of 6,000 a minute a snapshot of 1,000 levels
        # weighs 50, one of 100 or fewer 5.
        limits=Limits(
            symbols_per_connection=300,
            messages_per_s=4.0,
            snapshots_per_s=1.5,
            snapshot_burst=20,
            lifetime_s=_DAY_S,
        ),
    ),
    "binance-usdm": VenueSpec(
        venue="binance-usdm",
        integrity="range_bridge_futures",
        # The root without a class carries public streams only, without reporting it.
        websocket_url="wss://fstream.binance.com/public/stream",
        rest_url="https://fapi.binance.com",
        decoder=lambda symbols: BinanceDecoder("binance-usdm", symbols),
        subscribe=_subscribe,
        unsubscribe=_unsubscribe,
        snapshot=lambda symbol: f"/fapi/v1/depth?symbol={symbol}&limit=1000",
        quick_snapshot=lambda symbol: f"/fapi/v1/depth?symbol={symbol}&limit=100",
        quick_cost=0.25,
        poll=lambda symbol: f"/fapi/v1/depth?symbol={symbol}&limit=20",
        beside=_BESIDE,
        snapshot_symbol=snapshot_symbol,
        unify=unify_usdm,
        native=native,
        heartbeat=Heartbeat(silence_s=60.0),
        limits=_FUTURES,
        # -4164: "no smaller than 5.0 (unless you choose reduce only)".
        reduce_only_exempt=True,
    ),
    "binance-coinm": VenueSpec(
        venue="binance-coinm",
        integrity="range_bridge_futures",
        websocket_url="wss://dstream.binance.com/stream",
        rest_url="https://dapi.binance.com",
        decoder=lambda symbols: BinanceDecoder("binance-coinm", symbols),
        subscribe=_subscribe,
        unsubscribe=_unsubscribe,
        snapshot=lambda symbol: f"/dapi/v1/depth?symbol={symbol}&limit=1000",
        quick_snapshot=lambda symbol: f"/dapi/v1/depth?symbol={symbol}&limit=100",
        quick_cost=0.25,
        poll=lambda symbol: f"/dapi/v1/depth?symbol={symbol}&limit=20",
        beside=_BESIDE,
        snapshot_symbol=snapshot_symbol,
        unify=unify_coinm,
        native=native_coinm,
        heartbeat=Heartbeat(silence_s=60.0),
        limits=_FUTURES,
    ),
}
