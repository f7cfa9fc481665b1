"""Messages to bytes and back: msgpack, one closed union per channel.

Decoding is the boundary of the process. For any input, the result is a valid message or a
``DecodeError``: a body that is too large, malformed, of another channel, or with a field beyond its
``bounds``, or a market message with an invalid number. The numbers of a Signal are checked here
for length only, so that micro can reject a bad one with a report instead of silence;
``parse_decimal`` reads its decimal text.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_proto.errors import DecodeError
from citadel_proto.messages import (
    Answer,
    BookSnapshot,
    ConsolidatedBook,
    ExecutionReport,
    MarketChannel,
    Position,
    SignalChannel,
    Trades,
)
from citadel_proto.packed_levels import sum_of_levels

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FRAME: Final = 4 * 1024 * 1024
"""Largest frame in bytes, topic included. A book of 20 levels takes 800; the largest message is an
Answer that lists orders, about 500 bytes each plus 100 a fill."""

MAX_DECIMAL_TEXT: Final = 64
"""Longest accepted decimal text. Twice what an 18-decimals token with 12 leading digits needs."""

_INFINITE: Final = frozenset({math.inf, -math.inf})
_HEX_PREFIX: Final = 16
_DECIMALS: Final = re.compile(r"(?:-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]{1,2})?+ )*+")
"""Any count of numbers, each with a blank after it."""
_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)

_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()
_signal_decoder: msgspec.msgpack.Decoder[SignalChannel] = msgspec.msgpack.Decoder(SignalChannel)
_market_decoder: msgspec.msgpack.Decoder[MarketChannel] = msgspec.msgpack.Decoder(MarketChannel)

encode: Final[Callable[[SignalChannel | MarketChannel], bytes]] = _encoder.encode
"""Body of a frame for a message of either channel."""


def decode_signal(body: bytes) -> SignalChannel:
    """Read a message that a macro published.

    The numbers of a Signal may still be invalid (NaN, a quantity of 0): its sender must learn of it,
    so micro answers with a rejection.

    Raises:
        DecodeError: for any bytes that are not a message of the signals channel.
    """
    return _decode(_signal_decoder, body)


def decode_market(body: bytes) -> MarketChannel:
    """Read a message that micro published.

    ``microprice``, ``spread``, ``arrival_mid`` and ``features`` may be NaN, which means no value;
    every other number must be finite.

    Raises:
        DecodeError: for any bytes that are not a message of the market channel.
    """
    message = _decode(_market_decoder, body)
    kind = type(message)
    if kind is BookSnapshot:
        _check_book(message, body)  # type: ignore[arg-type]
    elif kind is Trades:
        _check_trades(message, body)  # type: ignore[arg-type]
    elif kind is ConsolidatedBook:
        _check_consolidated(message, body)  # type: ignore[arg-type]
    elif kind is ExecutionReport:
        _check_reports((message,), [], body)  # type: ignore[arg-type]
    elif kind is Answer:
        _check_answer(message, body)  # type: ignore[arg-type]
    return message


def parse_decimal(text: str, name: str = "number") -> Decimal:
    """Read the decimal text of a message, exactly.

    Args:
        text: digits with an optional sign, point and exponent; at most 64 characters.
        name: what the error message calls it.

    Raises:
        DecodeError: for anything else: NaN, infinity, blanks, underscores, other digits than 0-9.
    """
    if len(text) > MAX_DECIMAL_TEXT or _DECIMAL.fullmatch(text) is None:
        raise DecodeError(f"{name} is not a finite decimal number: {text[:MAX_DECIMAL_TEXT]!r}")
    return Decimal(text)


def _check_book(book: BookSnapshot, body: bytes) -> None:
    # One addition per number is the cheapest test: the sum is finite only if every term is.
    if not math.isfinite(sum_of_levels(book.bids, book.asks)):
        raise _bad("BookSnapshot.bids or asks holds a number that is not finite", body)
    if not math.isfinite(book.imbalance + book.signed_flow):
        raise _bad("BookSnapshot.imbalance or signed_flow is not finite", body)
    # NaN is allowed here and hides infinities in a sum, so only a finite sum is conclusive.
    if not math.isfinite(sum(book.features.values()) + book.microprice + book.spread):
        if math.isinf(book.microprice) or math.isinf(book.spread):
            raise _bad("BookSnapshot.microprice or spread is infinite", body)
        if not _INFINITE.isdisjoint(book.features.values()):
            raise _bad("BookSnapshot.features holds an infinite number", body)


def _check_consolidated(book: ConsolidatedBook, body: bytes) -> None:
    numbers = sum_of_levels(book.bids, book.asks)
    for each in book.venues:
        numbers += each.bid + each.bid_size + each.ask + each.ask_size
    if not math.isfinite(numbers):
        raise _bad("ConsolidatedBook holds a number that is not finite", body)


def _check_trades(trades: Trades, body: bytes) -> None:
    for trade in trades.trades:
        if not math.isfinite(trade.price + trade.quantity):
            raise _bad("Trades holds a price or quantity that is not finite", body)


def _check_answer(answer: Answer, body: bytes) -> None:
    texts: list[str | None] = []
    for position in answer.positions:
        texts += _numbers_of(position)
    for balance in answer.balances:
        texts += (balance.free, balance.used, balance.total)
    _check_reports(answer.reports, texts, body)


def _check_reports(
    reports: tuple[ExecutionReport, ...], texts: list[str | None], body: bytes
) -> None:
    """Check that all decimal texts are numbers, these and those of reports."""
    for report in reports:
        if math.isinf(report.arrival_mid):
            raise _bad("ExecutionReport.arrival_mid is infinite", body)
        texts += (report.quantity, report.filled, report.average, report.permitted)
        texts += (report.limit_price, report.stop_price)
        for fill in report.fills:
            texts += (fill.price, fill.quantity, fill.fee)
        for balance in report.balances:
            texts += (balance.free, balance.used, balance.total)
        if report.position is not None:
            texts += _numbers_of(report.position)
    given = [text for text in texts if text is not None]
    joined = " ".join([*given, ""])
    if _DECIMALS.fullmatch(joined) is None or joined.count(" ") != len(given):
        raise _bad("a decimal text is not a finite number with a small exponent", body)


def _numbers_of(position: Position) -> tuple[str | None, ...]:
    return (
        position.quantity,
        position.entry_price,
        position.realised,
        position.unrealised,
        position.leverage,
        position.liquidation_price,
        position.funding,
    )


def _decode(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    if len(body) > MAX_FRAME:
        raise DecodeError(f"{len(body)} bytes are more than the {MAX_FRAME} of a frame")
    try:
        return decoder.decode(body)
    # ValueError: text that is not UTF-8. RecursionError: nesting no message of ours has.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _bad(str(error), body) from error


def _bad(why: str, body: bytes) -> DecodeError:
    return DecodeError(f"{why} (bytes {body[:_HEX_PREFIX].hex()}…, {len(body)} in all)")
