"""Hyperliquid: the whole book of twenty levels in every message.

Source: the venue's page "WebSocket, subscriptions".
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
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import Channel


class _Level(msgspec.Struct, gc=False):
    px: Price
    sz: Size


class _Book(msgspec.Struct, gc=False):
    coin: str
    time: Millis
    levels: tuple[list[_Level], list[_Level]]


class _Best(msgspec.Struct, gc=False):
    coin: str
    time: Millis
    bbo: tuple[_Level | None, _Level | None]


class _Trade(msgspec.Struct, gc=False):
    coin: str
    side: Literal["A", "B"]
    px: Price
    sz: Size
    time: Millis
    tid: Whole


class _BookFrame(msgspec.Struct, gc=False):
    data: _Book


class _BestFrame(msgspec.Struct, gc=False):
    data: _Best


class _TradeFrame(msgspec.Struct):
    data: list[_Trade]


class _Head(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame, strict=False).decode
_bests: Final = msgspec.json.Decoder(_BestFrame, strict=False).decode
_trades: Final = msgspec.json.Decoder(_TradeFrame, strict=False).decode


class HyperliquidDecoder(BringsSnapshots):
    """Decodes ``l2Book``, ``bbo`` and ``trades``."""

    __slots__ = ("_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        self._venue = venue
        self._symbols = symbols

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            head = _head(data)
            match head.channel:
                case "l2Book":
                    return (self._depth(_books(data).data, recv_ns),)
                case "bbo":
                    return self._quote(_bests(data).data, recv_ns)
                case "trades":
                    return oldest_first([self._trade(each, recv_ns) for each in _trades(data).data])
                case "pong":
                    return (Control("pong", "", ""),)
                case "subscriptionResponse":
                    return (Control("ack", "", ""),)
                case "error":
                    return (Control("refused", "", str(bytes(head.data), "utf-8")),)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None
        return ()

    def _depth(self, book: _Book, recv_ns: int) -> DepthUpdate:
        bids, asks = ([(level.px, level.sz) for level in side] for side in book.levels)
        at = book.time
        # There is no number: the venue's time, in milliseconds, orders the books.
        head = (self._venue, self._symbols[book.coin], True, at, at, -1, None)
        return make(DepthUpdate, (*head, bids, asks, at * MS_NS, recv_ns, None, 0))

    def _quote(self, best: _Best, recv_ns: int) -> Sequence[FeedEvent]:
        bid, ask = best.bbo
        if bid is None or ask is None or one_sided(bid.px, ask.px):
            return ()
        prices = (bid.px, bid.sz, ask.px, ask.sz)
        symbol = self._symbols[best.coin]
        return (QuoteTick(self._venue, symbol, -1, *prices, best.time * MS_NS, recv_ns),)

    def _trade(self, trade: _Trade, recv_ns: int) -> TradeTick:
        # B: the taker bought, A: the taker sold.
        side: Literal["buy", "sell"] = "buy" if trade.side == "B" else "sell"
        what = (str(trade.tid), trade.px, trade.sz, side, trade.time * MS_NS)
        return TradeTick(self._venue, self._symbols[trade.coin], *what, recv_ns)


# --- symbols and subscriptions ------------------------------------------------------------------


def _unify(name: str) -> str:
    """A bare coin is a perpetual in USDC; spot is written as a pair or as ``@number``."""
    return name if "/" in name or name.startswith("@") else f"{name}/USDC:USDC"


_CHANNELS: Final = {"depth": "l2Book", "quote": "bbo", "trade": "trades"}


def _request(method: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str]:
    return [
        json.dumps({"method": method, "subscription": {"type": _CHANNELS[channel], "coin": symbol}})
        for symbol in symbols
        for channel in channels
    ]


SPECS: Final = {
    "hyperliquid": VenueSpec(
        venue="hyperliquid",
        integrity="snapshot_only",
        snapshot_counts=True,
        websocket_url="wss://api.hyperliquid.xyz/ws",
        decoder=lambda symbols: HyperliquidDecoder("hyperliquid", symbols),
        subscribe=lambda symbols, channels, _number: _request("subscribe", symbols, channels),
        unmarked_history=True,
        unsubscribe=lambda symbols, channels, _number: _request("unsubscribe", symbols, channels),
        unify=_unify,
        beside=(b'"bbo"', b'"trades"'),
        native=lambda symbol: symbol.partition("/")[0] if ":" in symbol else symbol,
        heartbeat=Heartbeat(text='{"method":"ping"}', interval_s=30.0, silence_s=60.0),
        limits=Limits(symbols_per_connection=100, symbols_per_message=1, messages_per_s=20.0),
    ),
}
