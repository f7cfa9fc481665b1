"""ccxt's books and trades converted to our events, or rejected."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.model.events import DepthUpdate, TradeTick
from citadel_micro.shell.marketdata.decode import oldest_first
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEVELS: Final = 200
"""Levels of a side that are copied; some venues send thousands on every update."""
MAX_NUMBER: Final = 1e18
_MS_NS: Final = 1_000_000


def book_update(venue: str, symbol: str, book: Mapping[str, Any], recv_ns: int) -> DepthUpdate:
    """A copy of ccxt's book, as a whole. Raises VenueViolation for an invalid book."""
    try:
        bids = [_level(row) for row in book["bids"][:LEVELS]]
        asks = [_level(row) for row in book["asks"][:LEVELS]]
        nonce = book.get("nonce")
        seq = nonce if isinstance(nonce, int) else -1
        exchange_ns = int(book.get("timestamp") or 0) * _MS_NS
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise VenueViolation(f"{venue}: no book of {symbol}: {error!r}") from None
    return DepthUpdate(
        venue=venue,
        symbol=symbol,
        snapshot=True,
        first_seq=seq,
        last_seq=seq,
        prev_seq=-1,
        checksum=None,
        bids=bids,
        asks=asks,
        exchange_ns=exchange_ns,
        recv_ns=recv_ns,
    )


def trade_ticks(
    venue: str, symbol: str, trades: Sequence[Mapping[str, Any]], recv_ns: int
) -> list[TradeTick]:
    """New trades, oldest first; those without a known taker side are left out.

    Raises VenueViolation for an invalid trade.
    """
    ticks = []
    for trade in trades:
        try:
            side = trade["side"]
            if side not in ("buy", "sell"):
                continue
            price, size = _number(trade["price"]), _number(trade["amount"])
            exchange_ns = int(trade.get("timestamp") or 0) * _MS_NS
            name = str(trade.get("id") or "")
        except (KeyError, TypeError, ValueError) as error:
            raise VenueViolation(f"{venue}: no trade of {symbol}: {error!r}") from None
        ticks.append(TradeTick(venue, symbol, name, price, size, side, exchange_ns, recv_ns))
    return oldest_first(ticks)


def _level(row: Sequence[Any]) -> tuple[float, float]:
    return _number(row[0]), _number(row[1])


def _number(value: Any) -> float:  # noqa: ANN401 - a float, or text that means one
    number = float(value)
    if not 0 < number <= MAX_NUMBER or not math.isfinite(number):
        raise ValueError(f"{value!r} is not a price or size")
    return number
