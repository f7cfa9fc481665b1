"""Gate spot and USDT perpetuals: ranges of sequences.

Spot's ``obu`` brings its own snapshots and sends the best 400 levels; the host in the EU lacks it.
``order_book_update``, of futures and of older captures of spot, needs a snapshot over HTTP and sends
the best 100: a level that was beyond and has come back since was never sent, so books are cut to what the
stream covers. Sources: the venue's pages "Order Book V2 API" and "Changed order book levels";
gateio/gatews#51 and #52.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import (
    DECODE_ERRORS,
    MS_NS,
    Control,
    Millis,
    Moment,
    Price,
    Seconds,
    Size,
    Symbols,
    Whole,
    oldest_first,
    one_sided,
    violation,
)
from citadel_micro.shell.marketdata.levels import NONE, objects, pairs
from citadel_micro.shell.marketdata.naming import joined
from citadel_micro.shell.marketdata.spec import Heartbeat, Limits, VenueSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.model.events import Levels, Side
    from citadel_micro.shell.marketdata.decode import FeedEvent
    from citadel_micro.shell.marketdata.spec import Channel


class _SpotBook(msgspec.Struct, gc=False):
    s: str
    t: Millis
    b: msgspec.Raw = NONE
    a: msgspec.Raw = NONE
    U: Whole = -1
    u: Whole = -1
    full: bool = False


class _ContractBook(msgspec.Struct, gc=False):
    s: str
    t: Millis
    b: msgspec.Raw = NONE
    a: msgspec.Raw = NONE
    U: Whole = -1
    u: Whole = -1
    full: bool = False


class _Quote(msgspec.Struct, gc=False):
    s: str
    t: Millis
    u: Whole
    b: Size | None = None
    B: Size = 0.0
    a: Size | None = None
    A: Size = 0.0


class _SpotTrade(msgspec.Struct, gc=False):
    id: Whole
    create_time_ms: Moment
    side: str
    currency_pair: str
    amount: Size
    price: Price


class _ContractTrade(msgspec.Struct, gc=False):
    id: Whole
    create_time_ms: Moment
    contract: str
    size: float
    price: Price


class _SpotBookFrame(msgspec.Struct, gc=False):
    result: _SpotBook


class _ContractBookFrame(msgspec.Struct, gc=False):
    result: _ContractBook


class _QuoteFrame(msgspec.Struct):
    result: _Quote


class _SpotTradeFrame(msgspec.Struct):
    result: _SpotTrade


class _ContractTradeFrame(msgspec.Struct):
    result: list[_ContractTrade]


class _SpotSnapshot(msgspec.Struct):
    id: Whole
    bids: msgspec.Raw
    asks: msgspec.Raw
    update: Moment = 0.0


class _ContractSnapshot(msgspec.Struct):
    id: Whole
    bids: msgspec.Raw
    asks: msgspec.Raw
    update: Seconds = 0.0


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Head(msgspec.Struct):
    channel: str = ""
    event: str = ""
    error: _Error | None = None
    id: int = -1


WINDOW: Final = 100
"""Levels a side that ``order_book_update`` sends."""
LEVELS: Final = 400
"""Levels a side of ``obu``: the maximum; the other choice is 50."""

_head: Final = msgspec.json.Decoder(_Head).decode
_quotes: Final = msgspec.json.Decoder(_QuoteFrame, strict=False).decode
_LARGEST: Final = 1e18


def _decoder(kind: Any) -> Any:  # noqa: ANN401 - one for each type
    return msgspec.json.Decoder(kind, strict=False).decode


_spot_books: Final = _decoder(_SpotBookFrame)
_contract_books: Final = _decoder(_ContractBookFrame)
_spot_trades: Final = _decoder(_SpotTradeFrame)
_contract_trades: Final = _decoder(_ContractTradeFrame)
_spot_snapshot: Final = _decoder(_SpotSnapshot)
_contract_snapshot: Final = _decoder(_ContractSnapshot)


def _contract_levels(raw: msgspec.Raw) -> Levels:
    return objects(raw, b"p", b"s")


class GateDecoder:
    """Decodes ``obu``, ``order_book_update``, ``book_ticker`` and ``trades``, spot or futures."""

    __slots__ = ("_contracts", "_prefix", "_symbols", "_venue")

    def __init__(self, venue: str, symbols: Symbols, *, contracts: bool) -> None:
        self._venue = venue
        self._symbols = symbols
        self._contracts = contracts
        self._prefix = "futures." if contracts else "spot."

    def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """Events of one websocket message. Raises VenueViolation only."""
        try:
            head = _head(data)
            if head.error is not None:
                words = f"{head.error.message} (code {head.error.code})"
                return (Control("refused", "", words, head.id),)
            if head.channel == f"{self._prefix}pong":
                return (Control("pong", "", ""),)
            if head.event in ("subscribe", "unsubscribe"):
                return (Control("ack", "", "", head.id),)
            if head.event not in ("update", "all"):
                return ()
            match head.channel.removeprefix(self._prefix):
                case "obu" | "order_book_update":
                    return (self._depth(data, recv_ns),)
                case "book_ticker":
                    return self._quote(_quotes(data).result, recv_ns)
                case "trades":
                    return self._trades(data, recv_ns)
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None
        return ()

    def rest(self, symbol: str, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        """The snapshot over HTTP. Raises VenueViolation only."""
        try:
            if self._contracts:
                contract: _ContractSnapshot = _contract_snapshot(data)
                bids, asks = _contract_levels(contract.bids), _contract_levels(contract.asks)
                seq, at_ns = contract.id, int(contract.update * 1_000) * MS_NS
            else:
                spot: _SpotSnapshot = _spot_snapshot(data)
                bids, asks = pairs(spot.bids), pairs(spot.asks)
                seq, at_ns = spot.id, int(spot.update) * MS_NS
        except DECODE_ERRORS as error:
            raise violation(self._venue, data, error) from None
        head = (self._venue, self._symbols[symbol], True, seq, seq, -1, None)
        return [DepthUpdate._make((*head, bids, asks, at_ns, recv_ns, None, 0))]

    def _depth(self, data: bytes, recv_ns: int) -> DepthUpdate:
        book: _SpotBook | _ContractBook
        if self._contracts:
            book = contract = _contract_books(data).result
            bids, asks = _contract_levels(contract.b), _contract_levels(contract.a)
        else:
            book = spot = _spot_books(data).result
            bids, asks = pairs(spot.b), pairs(spot.a)
        native, covers = book.s, WINDOW
        if native.startswith("ob."):  # obu names ob.BTC_USDT.400
            native, _, levels = native[3:].rpartition(".")
            covers = int(levels)
        # ``full``: the message is the whole book. Its first number may be left out.
        first = book.U if book.U >= 0 else book.u
        head = (self._venue, self._symbols[native], book.full, first, book.u, -1, None)
        return DepthUpdate._make((*head, bids, asks, book.t * MS_NS, recv_ns, None, covers))

    def _quote(self, quote: _Quote, recv_ns: int) -> Sequence[FeedEvent]:
        bid, ask = quote.b or 0.0, quote.a or 0.0
        if one_sided(bid, ask):
            return ()
        symbol = self._symbols[quote.s]
        best = (bid, quote.B, ask, quote.A)
        return (QuoteTick(self._venue, symbol, quote.u, *best, quote.t * MS_NS, recv_ns),)

    def _trades(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
        rows: list[tuple[str, _SpotTrade | _ContractTrade, float, bool]]
        if not self._contracts:
            trade: _SpotTrade = _spot_trades(data).result
            rows = [(trade.currency_pair, trade, trade.amount, trade.side == "buy")]
        else:
            contracts: list[_ContractTrade] = _contract_trades(data).result
            # A taker's sale has a negative size.
            rows = [(each.contract, each, abs(each.size), each.size > 0) for each in contracts]
        ticks: list[TradeTick] = []
        for native, row, size, bought in rows:
            if not 0.0 < size <= _LARGEST:
                raise ValueError(f"size {size} is no trade")
            side: Side = "buy" if bought else "sell"
            fields = (
                str(row.id),
                row.price,
                size,
                side,
                int(row.create_time_ms * 1_000) * 1_000,
                recv_ns,
            )
            ticks.append(TradeTick(self._venue, self._symbols[native], *fields))
        return oldest_first(ticks)


# --- symbols and subscriptions ------------------------------------------------------------------


def _unify_contract(name: str) -> str:
    base, _, rest = name.partition("_")
    quote, _, expiry = rest.partition("_")
    return f"{base}/{quote}:{quote}" + (f"-{expiry[2:]}" if expiry else "")


def _native_contract(symbol: str) -> str:
    expiry = symbol.partition(":")[2].partition("-")[2]
    return joined(symbol, "_") + (f"_20{expiry}" if expiry else "")


_CHANNELS: Final = {"quote": "book_ticker", "trade": "trades"}
_SYMBOL: Final = re.compile(r"/order_book\?\S*(?:currency_pair|contract)=([^&]+)")


def _snapshot_symbol(url: str) -> str | None:
    found = _SYMBOL.search(url)
    return found.group(1) if found else None


def _depth_of(symbol: str, book: str) -> list[str]:
    """What a subscription to the ``book`` channel of one symbol carries."""
    if book == "spot.obu":
        return [f"ob.{symbol}.{LEVELS}"]
    return [symbol, "100ms"] if book.startswith("spot.") else [symbol, "100ms", str(WINDOW)]


def _request(
    event: str, book: str, symbols: Sequence[str], channels: Sequence[Channel], number: int
) -> list[str]:
    prefix = book.partition(".")[0]
    messages: list[dict[str, object]] = []
    for channel in channels:
        name = f"{prefix}.{_CHANNELS[channel]}" if channel in _CHANNELS else book
        payloads = [list(symbols)]
        if channel == "depth":  # one symbol a message
            payloads = [_depth_of(symbol, book) for symbol in symbols]
        messages += [
            {
                "time": 0,
                "id": number + len(messages) + offset,
                "channel": name,
                "event": event,
                "payload": payload,
            }
            for offset, payload in enumerate(payloads)
        ]
    return [json.dumps(message) for message in messages]


def _spec(
    venue: str,
    book: str,
    websocket_url: str,
    path: str,
) -> VenueSpec:
    """A venue of Gate's; ``book`` is the channel of its depth."""
    contracts = book.startswith("futures.")
    own_snapshots = book.endswith(".obu")
    return VenueSpec(
        venue=venue,
        integrity=f"range_bridge_spot+depth:{LEVELS if own_snapshots else WINDOW}",
        websocket_url=websocket_url,
        rest_url="https://api.gateio.ws",
        decoder=lambda symbols: GateDecoder(venue, symbols, contracts=contracts),
        subscribe=lambda symbols, channels, number: _request(
            "subscribe", book, symbols, channels, number
        ),
        unsubscribe=lambda symbols, channels, number: _request(
            "unsubscribe", book, symbols, channels, number
        ),
        snapshot=lambda symbol: f"{path}={symbol}&limit={WINDOW}&with_id=true",
        poll=lambda symbol: f"{path}={symbol}&limit=20&with_id=true",
        beside=(b'.book_ticker"', b'.trades"'),
        snapshot_symbol=_snapshot_symbol,
        own_snapshots=own_snapshots,
        unify=_unify_contract if contracts else (lambda name: name.replace("_", "/", 1)),
        native=_native_contract if contracts else (lambda symbol: joined(symbol, "_")),
        heartbeat=Heartbeat(
            text=json.dumps({"time": 0, "channel": f"{book.partition('.')[0]}.ping"}),
            interval_s=15.0,
        ),
        limits=Limits(symbols_per_connection=50, symbols_per_message=50, messages_per_s=20.0),
    )


SPECS: Final = {
    "gate-spot": _spec(
        "gate-spot",
        "spot.obu",
        "wss://api.gateio.ws/ws/v4/",
        "/api/v4/spot/order_book?currency_pair",
    ),
    "gate-usdm": _spec(
        "gate-usdm",
        "futures.order_book_update",
        "wss://fx-ws.gateio.ws/v4/ws/usdt",
        "/api/v4/futures/usdt/order_book?contract",
    ),
}
