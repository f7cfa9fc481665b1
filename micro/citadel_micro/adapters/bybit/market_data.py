"""Bybit v5 spot, linear and inverse, and the depth and trades of the older linear v2 stream.

Books are numbered consecutively; ``u`` = 1 is a snapshot after the venue's service restarted. Source:
the venue's pages "Orderbook" and "Trade".
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
from citadel_micro.shell.marketdata.forms import NO_FIELD, Example, LearningDecoder, Shape
from citadel_micro.shell.marketdata.levels import pairs
from citadel_micro.shell.marketdata.naming import joined, settle_of, split_name
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import Channel


class _Book(msgspec.Struct, gc=False):
    s: str
    b: msgspec.Raw
    a: msgspec.Raw
    u: Whole


class _BookFrame(msgspec.Struct, gc=False):
    data: _Book
    type: str
    ts: Millis
    cts: Millis = 0


class _Trade(msgspec.Struct, gc=False):
    s: str
    T: Millis
    S: Literal["Buy", "Sell"]
    v: Size
    p: Price
    i: str


class _TradeFrame(msgspec.Struct, gc=False):
    data: list[_Trade]


class _OldRow(msgspec.Struct, gc=False):
    symbol: str
    price: Price
    side: Literal["Buy", "Sell"]
    size: Size = 0.0


class _OldData(msgspec.Struct):
    order_book: list[_OldRow] = []
    delete: list[_OldRow] = []
    update: list[_OldRow] = []
    insert: list[_OldRow] = []


class _OldBookFrame(msgspec.Struct):
    topic: str
    type: str
    data: _OldData
    cross_seq: Whole
    timestamp_e6: Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000_000)]


class _OldTrade(msgspec.Struct):
    symbol: str
    price: Price
    size: Size
    side: Literal["Buy", "Sell"]
    trade_time_ms: Millis
    trade_id: str


class _OldTradeFrame(msgspec.Struct):
    data: list[_OldTrade]


class _Head(msgspec.Struct):
    topic: str = ""
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""


_head: Final = msgspec.json.Decoder(_Head).decode
_books: Final = msgspec.json.Decoder(_BookFrame, strict=False).decode
_trades: Final = msgspec.json.Decoder(_TradeFrame, strict=False).decode
_old_books: Final = msgspec.json.Decoder(_OldBookFrame, strict=False).decode
_old_trades: Final = msgspec.json.Decoder(_OldTradeFrame, strict=False).decode

_BOOKS: Final = b'{"topic":"orderbook.50.'
_NAMED: Final = re.compile(r"(?:orderbook\.\d+|publicTrade)\.([A-Za-z0-9_-]+)")
_CHECKED_TIME: Final = ("millis", NO_FIELD)
_EXAMPLE: Final = (
    b'{"topic":"orderbook.50.NAME","type":"%s","ts":1672304484978,"data":{"s":"NAME","b":[["16493.50","0.006"]],'
    b'"a":[["16611.00","0.029"]],"u":18521288,"seq":7961638724},"cts":1672304484976}'
)
_BEST_DEPTH: Final = "orderbook.1."


def _shape_of(venue: str, name: str, symbol: str, *, snapshot: bool = False) -> Shape:
    """The shape of the changes of one book, ``name`` at the venue, or of its snapshots."""
    return Shape(
        event=DepthUpdate,
        fields=(venue, symbol, snapshot, 0, 0, -1, None, (), (), 0, 0, None, 0),
        recv=10,
        holes={
            "ts": _CHECKED_TIME,
            "cts": ("millis", 9),  # of the matching engine; one without it is learned by nobody
            "b": ("pairs", 7),
            "a": ("pairs", 8),
            "u": ("whole" if snapshot else "later", 3),  # 1 is always a snapshot
        },
        same={
            "topic": b'"orderbook.50.%s"' % name.encode(),
            "type": b'"snapshot"' if snapshot else b'"delta"',
            "s": b'"%s"' % name.encode(),
        },
        inside=frozenset({"data"}),
        copies=((4, 3),),
    )


def _examples(venue: str) -> Iterator[tuple[bytes, Shape]]:
    """Frames as the venue's page "Orderbook" has them."""
    for kind in (b"snapshot", b"delta"):
        shape = _shape_of(venue, Example.NAME.decode(), "", snapshot=kind == b"snapshot")
        yield _EXAMPLE % kind, shape


class BybitDecoder(BringsSnapshots, LearningDecoder):
    """Decodes ``orderbook.50``, ``orderbook.1`` (as quotes) and ``publicTrade``."""

    __slots__ = ("_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols) -> None:
        # {"topic":"orderbook.50.NAME","type":"delta"
        super().__init__(3, 8, examples=_examples(venue))
        self._venue = venue
        self._symbols = symbols
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
        book = frame.data
        seq = book.u
        fields = (
            self._venue,
            self._symbols[book.s],
            seq == 1 or frame.type == "snapshot",
            seq,
            seq,
            -1,
            None,
            pairs(book.b),
            pairs(book.a),
            (frame.cts or frame.ts) * MS_NS,
            recv_ns,
            None,
            0,
        )
        event = make(DepthUpdate, fields)
        if data.startswith(_BOOKS) and not event.snapshot:
            self.learn(book.s, data, event)
        return (event,)

    def shape(self, name: str, event: DepthUpdate) -> Shape:
        """See ``LearningDecoder``."""
        return _shape_of(self._venue, name, event.symbol)

    def _other(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        head = _head(data)
        topic = head.topic
        if topic.startswith("publicTrade."):
            return oldest_first(
                [
                    TradeTick(
                        self._venue,
                        self._symbols[trade.s],
                        trade.i,
                        trade.p,
                        trade.v,
                        "buy" if trade.S == "Buy" else "sell",
                        trade.T * MS_NS,
                        recv_ns,
                    )
                    for trade in _trades(data).data
                ]
            )
        if topic.startswith(_BEST_DEPTH):
            return self._quote(data, recv_ns)
        if topic.startswith("orderbook."):
            return self._depth(data, recv_ns)
        if topic.startswith("orderBookL2_"):
            return self._old_depth(data, recv_ns)
        if topic.startswith("trade."):
            return self._old_trades(data, recv_ns)
        return self._said(head)

    def _quote(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        frame = _books(data)
        book = frame.data
        bids, asks = pairs(book.b), pairs(book.a)
        if not bids or not asks or one_sided(bids[0][0], asks[0][0]):
            return ()
        at_ns = (frame.cts or frame.ts) * MS_NS
        symbol = self._symbols[book.s]
        return (QuoteTick(self._venue, symbol, -1, *bids[0], *asks[0], at_ns, recv_ns),)

    def _old_depth(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        frame = _old_books(data)
        rows = frame.data
        for row in rows.delete:
            row.size = 0.0
        changes = [*rows.order_book, *rows.delete, *rows.update, *rows.insert]
        return (
            DepthUpdate(
                self._venue,
                self._symbols[frame.topic.rpartition(".")[2]],
                frame.type == "snapshot",
                -1,  # cross_seq is shared by all symbols: it proves nothing about one
                frame.cross_seq,
                -1,
                None,
                [(row.price, row.size) for row in changes if row.side == "Buy"],
                [(row.price, row.size) for row in changes if row.side == "Sell"],
                frame.timestamp_e6 * 1_000,
                recv_ns,
            ),
        )

    def _old_trades(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        return oldest_first(
            [
                TradeTick(
                    self._venue,
                    self._symbols[trade.symbol],
                    trade.trade_id,
                    trade.price,
                    trade.size,
                    "buy" if trade.side == "Buy" else "sell",
                    trade.trade_time_ms * MS_NS,
                    recv_ns,
                )
                for trade in _old_trades(data).data
            ]
        )

    def _said(self, head: _Head) -> Sequence[FeedEvent]:
        number = int(head.req_id) if head.req_id.isdigit() else -1
        if not head.success:
            named = _NAMED.search(head.ret_msg)
            symbol = named.group(1) if named else ""
            return (Control("refused", symbol, head.ret_msg, number),)
        if head.op in ("subscribe", "unsubscribe"):
            return (Control("ack", "", "", number),)
        if head.op in ("ping", "pong"):
            return (Control("pong", "", ""),)
        return ()


# --- symbols and subscriptions ------------------------------------------------------------------


def _unify_spot(name: str) -> str:
    pair = split_name(name)
    return name if pair is None else f"{pair[0]}/{pair[1]}"


def _unify_linear(name: str) -> str:
    if name.endswith("PERP"):
        return f"{name.removesuffix('PERP')}/USDC:USDC"
    pair = split_name(name)
    return name if pair is None else f"{pair[0]}/{pair[1]}:{pair[1]}"


def _unify_inverse(name: str) -> str:
    base = name.removesuffix("USD")
    return name if base == name else f"{base}/USD:{base}"


def _native(symbol: str) -> str:
    settle, _ = settle_of(symbol)
    if settle == "USDC":
        return symbol.partition("/")[0] + "PERP"
    return joined(symbol)


_CHANNELS: Final = {"depth": "orderbook.50.", "quote": _BEST_DEPTH, "trade": "publicTrade."}


def _request(
    method: str, symbols: Sequence[str], channels: Sequence[Channel], number: int
) -> list[str]:
    args = [_CHANNELS[channel] + symbol for symbol in symbols for channel in channels]
    return [json.dumps({"op": method, "args": args, "req_id": str(number)})]


def _spec(venue: str, path: str, unify: Callable[[str], str], per_message: int) -> VenueSpec:
    return VenueSpec(
        venue=venue,
        integrity="contiguous",
        snapshot_counts=True,
        websocket_url=f"wss://stream.bybit.com/v5/public/{path}",
        decoder=lambda symbols: BybitDecoder(venue, symbols),
        subscribe=lambda symbols, channels, number: _request(
            "subscribe", symbols, channels, number
        ),
        unsubscribe=lambda symbols, channels, number: _request(
            "unsubscribe", symbols, channels, number
        ),
        unify=unify,
        native=_native,
        beside=(b'"orderbook.1.', b'"publicTrade.'),
        heartbeat=Heartbeat(text='{"op":"ping"}', interval_s=20.0, silence_s=45.0),
        limits=Limits(
            symbols_per_connection=100, symbols_per_message=per_message, messages_per_s=5.0
        ),
    )


SPECS: Final = {
    # Spot takes ten topics a message, three of each symbol.
    "bybit-spot": _spec("bybit-spot", "spot", _unify_spot, 3),
    "bybit-linear": _spec("bybit-linear", "linear", _unify_linear, 50),
    "bybit-inverse": _spec("bybit-inverse", "inverse", _unify_inverse, 50),
}
