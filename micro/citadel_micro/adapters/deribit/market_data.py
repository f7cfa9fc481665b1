"""Deribit: a chain of change ids over JSON-RPC.

Source: the venue's pages "book.{instrument_name}.{interval}" and "public/set_heartbeat".
"""

from __future__ import annotations

import json
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
from citadel_micro.shell.marketdata.naming import expiry_month, month_expiry, settle_of
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import Channel

Change = tuple[Literal["new", "change", "delete"], Price, Size]


class _Book(msgspec.Struct, gc=False):
    type: Literal["snapshot", "change"]
    instrument_name: str
    change_id: Whole
    timestamp: Millis
    bids: list[Change]
    asks: list[Change]
    prev_change_id: Whole = -1


class _Quote(msgspec.Struct, gc=False):
    instrument_name: str
    timestamp: Millis
    best_bid_price: Size | None = None
    best_bid_amount: Size = 0.0
    best_ask_price: Size | None = None
    best_ask_amount: Size = 0.0


class _Trade(msgspec.Struct, gc=False):
    instrument_name: str
    trade_id: str
    price: Price
    amount: Size
    direction: Literal["buy", "sell"]
    timestamp: Millis


class _BookParams(msgspec.Struct, gc=False):
    data: _Book


class _BookFrame(msgspec.Struct, gc=False):
    params: _BookParams


class _QuoteParams(msgspec.Struct):
    data: _Quote


class _QuoteFrame(msgspec.Struct):
    params: _QuoteParams


class _TradeParams(msgspec.Struct):
    data: list[_Trade]


class _TradeFrame(msgspec.Struct):
    params: _TradeParams


class _Params(msgspec.Struct):
    channel: str = ""
    type: str = ""


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Head(msgspec.Struct):
    method: str = ""
    params: _Params = msgspec.field(default_factory=_Params)
    id: int = -1
    error: _Error | None = None


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame).decode
_quotes: Final = msgspec.json.Decoder(_QuoteFrame).decode
_trades: Final = msgspec.json.Decoder(_TradeFrame).decode

_ALIVE: Final = '{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}'


class DeribitDecoder(BringsSnapshots):
    """Decodes ``book``, ``quote`` and ``trades``."""

    __slots__ = ("_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        self._venue = venue
        self._symbols = symbols

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            head = _head(data)
            if head.error is not None:
                words = f"{head.error.message} (code {head.error.code})"
                return (Control("refused", "", words, head.id),)
            if head.method == "heartbeat":
                # The venue disconnects a client that does not answer a test request.
                if head.params.type == "test_request":
                    return (Control("answer", "", _ALIVE),)
                return (Control("pong", "", ""),)
            if head.method != "subscription":
                return (Control("ack", "", "", head.id),) if head.id > 0 else ()
            match head.params.channel.partition(".")[0]:
                case "book":
                    return (self._depth(_books(data).params.data, recv_ns),)
                case "quote":
                    return self._quote(_quotes(data).params.data, recv_ns)
                case "trades":
                    return oldest_first(
                        [self._trade(each, recv_ns) for each in _trades(data).params.data]
                    )
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None
        return ()

    def _depth(self, book: _Book, recv_ns: int) -> DepthUpdate:
        seq = book.change_id
        snapshot = book.type == "snapshot"
        head = (self._venue, self._symbols[book.instrument_name], snapshot, seq, seq)
        bids = [(price, 0.0 if how == "delete" else size) for how, price, size in book.bids]
        asks = [(price, 0.0 if how == "delete" else size) for how, price, size in book.asks]
        tail = (book.prev_change_id, None, bids, asks, book.timestamp * MS_NS, recv_ns, None, 0)
        return make(DepthUpdate, (*head, *tail))

    def _quote(self, quote: _Quote, recv_ns: int) -> Sequence[FeedEvent]:
        bid, ask = quote.best_bid_price or 0.0, quote.best_ask_price or 0.0
        if one_sided(bid, ask):
            return ()
        symbol = self._symbols[quote.instrument_name]
        best = (bid, quote.best_bid_amount, ask, quote.best_ask_amount)
        return (QuoteTick(self._venue, symbol, -1, *best, quote.timestamp * MS_NS, recv_ns),)

    def _trade(self, trade: _Trade, recv_ns: int) -> TradeTick:
        symbol = self._symbols[trade.instrument_name]
        what = (trade.trade_id, trade.price, trade.amount, trade.direction)
        return TradeTick(self._venue, symbol, *what, trade.timestamp * MS_NS, recv_ns)


# --- symbols and subscriptions ------------------------------------------------------------------


def _unify(name: str) -> str:
    """``BTC-PERPETUAL`` is inverse, ``BTC_USDC-PERPETUAL`` linear, ``BTC_USDC`` spot."""
    main, _, expiry = name.partition("-")
    base, _, quote = main.partition("_")
    if not expiry:
        return f"{base}/{quote}" if quote else name
    settle = f"{base}/{quote}:{quote}" if quote else f"{base}/USD:{base}"
    if expiry == "PERPETUAL":
        return settle
    date = month_expiry(expiry)
    return name if date is None else f"{settle}-{date}"


def _native(symbol: str) -> str:
    settle, expiry = settle_of(symbol)
    base, _, quote = symbol.partition(":")[0].partition("/")
    if not settle:
        return f"{base}_{quote}"
    main = base if settle == base else f"{base}_{quote}"
    return f"{main}-{expiry_month(expiry) if expiry else 'PERPETUAL'}"


_CHANNELS: Final = {"depth": "book.{}.100ms", "quote": "quote.{}", "trade": "trades.{}.100ms"}


def _request(
    method: str, symbols: Sequence[str], channels: Sequence[Channel], number: int
) -> list[str]:
    names = [_CHANNELS[channel].format(symbol) for symbol in symbols for channel in channels]
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": {"channels": names}}
    return [json.dumps(message)]


def _subscribe(symbols: Sequence[str], channels: Sequence[Channel], number: int) -> list[str]:
    beat = {"jsonrpc": "2.0", "id": 0, "method": "public/set_heartbeat", "params": {"interval": 30}}
    return [*_request("public/subscribe", symbols, channels, number), json.dumps(beat)]


SPECS: Final = {
    "deribit": VenueSpec(
        venue="deribit",
        integrity="chain",
        snapshot_counts=True,
        websocket_url="wss://www.deribit.com/ws/api/v2",
        decoder=lambda symbols: DeribitDecoder("deribit", symbols),
        subscribe=_subscribe,
        unsubscribe=lambda symbols, channels, number: _request(
            "public/unsubscribe", symbols, channels, number
        ),
        unify=_unify,
        native=_native,
        beside=(b'"quote.', b'"trades.'),
        heartbeat=Heartbeat(silence_s=60.0),
        limits=Limits(symbols_per_connection=100, symbols_per_message=50, messages_per_s=3.0),
    ),
}
