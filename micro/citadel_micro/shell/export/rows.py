"""Rows of tables from the records of a journal or of a tape of both channels.

Market data goes out as it is read. An order is reported again and again, whole each time: the newest report
of each is kept, as it was recorded, and makes its rows at the end. So memory grows with the orders
of a file, not with its length.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.marketdata.deltas import read_events
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.bridge.wire import report_of
from citadel_micro.shell.journal import records
from citadel_proto import tape, topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import DecodeError
from citadel_proto.messages import Answer, BookSnapshot, ExecutionReport, Trades
from citadel_proto.packed_levels import unpack_levels
from citadel_proto.shortfall import Traded, costs, fee_in_quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = tuple[str, dict[str, Any]]
"""A table's name, and a row of it: exact numbers as decimal text, times as nanoseconds or None."""

_MARKET_EVENTS: Final = (records.begins(QuoteTick), records.begins(TradeTick))
PORTFOLIO: Final = b"portfolio"
KEY_WITHIN: Final = 64
"""Bytes of a record in which its key is, to pass by all others without decoding them."""
_REPORT_TOPIC: Final = b"report/"
_MARKET_TOPICS: Final = (b"book/", b"trades/", b"answer/", _REPORT_TOPIC)


class Rows:
    """Turns records into rows.

    Attributes:
        unreadable: records of a known kind that could not be read, each counted and left out.
    """

    def __init__(self) -> None:
        self.unreadable = 0
        self._newest: dict[str, tuple[int, int, bytes]] = {}
        """Revision, direction and frame of every order's newest report."""
        self._looked_ns = 0

    def of(self, source: Iterable[tape.Record]) -> Iterator[Row]:
        """Every row of a file, those of orders and fills last."""
        for record in source:
            try:
                yield from self._of_record(record)
            except DecodeError:
                self.unreadable += 1
        for report in self._reports():
            yield "orders", order_row(report)
            yield from (("fills", row) for row in fill_rows(report))

    def _of_record(self, record: tape.Record) -> Iterator[Row]:
        frame = record.frame
        if record.direction == tape.EVENT:
            if frame.startswith(_MARKET_EVENTS):
                yield _market_row(records.decode_event(frame))
        elif record.direction == tape.MARKET_EVENTS:
            for _, event in read_events(frame):
                if not isinstance(event, DepthUpdate):
                    yield _market_row(event)
        elif record.direction == tape.COMMAND:
            command = records.decode_report(frame)
            if command is not None:
                self._keep(command.signal_id, command.revision, record)
            elif PORTFOLIO in frame[:KEY_WITHIN]:
                yield from self._profit(frame)
        elif record.direction == tape.MARKET and frame.startswith(_MARKET_TOPICS):
            yield from self._of_message(record)

    def _profit(self, frame: bytes) -> Iterator[Row]:
        """The curve of profit, as it was stored: once for each time that it was looked at."""
        stored = records.decode_persist(frame)
        if stored is None or stored.key != "portfolio" or not isinstance(stored.value, dict):
            return
        curve = stored.value["holdings"]["curve"]
        if curve["last_ns"] > self._looked_ns:
            self._looked_ns = curve["last_ns"]
            yield "profit", profit_row(curve, stored.value.get("equity"))

    def _of_message(self, record: tape.Record) -> Iterator[Row]:
        message = decode_market(topics.split(record.frame)[1])
        if isinstance(message, ExecutionReport):
            self._keep(message.signal_id, message.revision, record)
        elif isinstance(message, Answer):
            for report in message.reports:
                if report.revision > self._newest.get(report.signal_id, (-1, 0, b""))[0]:
                    self._keep(report.signal_id, report.revision, record)
        elif isinstance(message, BookSnapshot):
            row = _book_row(message)
            if row is not None:
                yield "quotes", row
        elif isinstance(message, Trades):
            for trade in message.trades:
                yield (
                    "trades",
                    {
                        "venue": message.venue,
                        "symbol": message.symbol,
                        "trade_id": trade.trade_id,
                        "price": trade.price,
                        "size": trade.quantity,
                        "side": trade.side,
                        "exchange": trade.exchange_ns or None,
                        "received": message.recv_ns,
                    },
                )

    def _keep(self, signal_id: str, revision: int, record: tape.Record) -> None:
        known = self._newest.get(signal_id)
        if known is None or revision >= known[0]:
            self._newest[signal_id] = (revision, record.direction, record.frame)

    def _reports(self) -> Iterator[ExecutionReport]:
        """The newest report of every order, the order that came first before the others."""
        for signal_id, (_, direction, frame) in self._newest.items():
            if direction == tape.COMMAND:
                command = records.decode_report(frame)
                if command is not None:
                    yield report_of(command, "", 0)
                continue
            message = decode_market(topics.split(frame)[1])
            if isinstance(message, ExecutionReport):
                yield message
            elif isinstance(message, Answer):
                yield next(each for each in message.reports if each.signal_id == signal_id)


def order_row(report: ExecutionReport) -> dict[str, Any]:
    """One order, with what it cost."""
    times = sorted(fill.ts_ns for fill in report.fills)
    return {
        "signal_id": report.signal_id,
        "venue": report.venue,
        "symbol": report.symbol,
        "side": report.side,
        "kind": report.kind,
        "order_type": report.order_type,
        "algo": report.algo,
        "strategy": report.strategy,
        "tag": report.tag,
        "owner": report.owner,
        "own": report.own,
        "status": report.status,
        "reason_code": report.reason_code,
        "reason": report.reason,
        "quantity": report.quantity,
        "filled": report.filled,
        "average": report.average,
        "limit_price": report.limit_price,
        "stop_price": report.stop_price,
        "arrival_mid": report.arrival_mid if math.isfinite(report.arrival_mid) else None,
        **_costs(report),
        "fills": len(report.fills),
        "reprices": report.reprices,
        "created": report.created_ns,
        "first_fill": times[0] if times else None,
        "last_fill": times[-1] if times else None,
        "updated": report.updated_ns,
    }


def profit_row(curve: dict[str, Any], equity: str | None) -> dict[str, Any]:
    """A stored curve: profit, and how far it is below its reference points."""
    profit, anchor = Decimal(curve["last"]), Decimal(curve["day_anchor"])
    peak = Decimal(curve["peak"])
    return {
        "time": curve["last_ns"],
        "profit": str(profit),
        "equity": equity,
        "loss_today": str(anchor - profit),
        "drawdown": str(max(peak - profit, Decimal(0))),
        "day_anchor": str(anchor),
        "peak": str(peak),
    }


def fill_rows(report: ExecutionReport) -> Iterator[dict[str, Any]]:
    """Every fill of an order."""
    for fill in report.fills:
        yield {
            "signal_id": report.signal_id,
            "child_id": fill.child_id,
            "trade_id": fill.trade_id,
            "venue": report.venue,
            "symbol": report.symbol,
            "side": report.side,
            "price": fill.price,
            "quantity": fill.quantity,
            "fee": fill.fee,
            "fee_currency": fill.fee_currency,
            "liquidity": fill.liquidity,
            "time": fill.ts_ns,
        }


def _costs(report: ExecutionReport) -> dict[str, float | None]:
    """As Freqtrade's database has them: ``citadel_proto.shortfall`` of the filled part."""
    found: dict[str, float | None] = {
        "shortfall_bps": None,
        "fees_bps": None,
        "maker_share": None,
    }
    if not report.fills or not (math.isfinite(report.arrival_mid) and report.arrival_mid > 0):
        return found
    base, _, rest = report.symbol.partition("/")
    quote = rest.partition(":")[0]
    fees = [
        fee_in_quote(Decimal(f.fee), f.fee_currency, base=base, quote=quote, price=Decimal(f.price))
        for f in report.fills
    ]
    cost = costs(
        [
            Traded(Fraction(f.price), Fraction(f.quantity), fee=fee or 0)
            for f, fee in zip(report.fills, fees, strict=True)
        ],
        sign=1 if report.side == "buy" else -1,
        # The shortest text of the float is the mid that micro rounded it from.
        arrival=Fraction(repr(report.arrival_mid)),
    ).shortfall()
    found["shortfall_bps"] = float(cost.prices)
    if None not in fees:
        found["fees_bps"] = float(cost.fees)
    filled = sum((Decimal(f.quantity) for f in report.fills), Decimal(0))
    maker = sum((Decimal(f.quantity) for f in report.fills if f.liquidity == "maker"), Decimal(0))
    found["maker_share"] = float(maker / filled)
    return found


def _market_row(event: object) -> Row:
    if isinstance(event, QuoteTick):
        return "quotes", {
            "venue": event.venue,
            "symbol": event.symbol,
            "bid": event.bid,
            "bid_size": event.bid_size,
            "ask": event.ask,
            "ask_size": event.ask_size,
            "exchange": event.exchange_ns or None,
            "received": event.recv_ns,
        }
    if isinstance(event, TradeTick):
        return "trades", {
            "venue": event.venue,
            "symbol": event.symbol,
            "trade_id": event.trade_id,
            "price": event.price,
            "size": event.size,
            "side": event.side,
            "exchange": event.exchange_ns or None,
            "received": event.recv_ns,
        }
    raise DecodeError(f"{type(event).__name__} is no market data")


def _book_row(book: BookSnapshot) -> dict[str, Any] | None:
    """The best of both sides; None for a book that is not LIVE or has one side only."""
    bids, asks = unpack_levels(book.bids[:16]), unpack_levels(book.asks[:16])
    if book.state != "LIVE" or not bids or not asks:
        return None
    return {
        "venue": book.venue,
        "symbol": book.symbol,
        "bid": bids[0][0],
        "bid_size": bids[0][1],
        "ask": asks[0][0],
        "ask_size": asks[0][1],
        "exchange": book.exchange_ns or None,
        "received": book.recv_ns,
    }
