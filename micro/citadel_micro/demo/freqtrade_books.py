"""Freqtrade's side of the books, read from its own SQLite file without locking it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

OWNER_KEY: Final = "citadel_owner"
"""Key of the owners of macro's intent logs, in Freqtrade's key-value table."""
DELETED_KEY: Final = "citadel_deleted."
"""In the same table, before an order's id: it had filled when its trade was deleted."""
DUST_KEY: Final = "citadel.dust"
"""Custom data of a trade that was closed with a rest too small to sell: how much."""

_DECIMAL_PLACES, _SIGNIFICANT_DIGITS, _TICK_SIZE = 2, 3, 4

_ORDERS: Final = """
    SELECT o.order_id, o.ft_trade_id, o.ft_pair, o.ft_order_side, o.status, o.ft_is_open,
           o.filled, o.average, o.ft_fee_base
    FROM orders o ORDER BY o.id
"""
_TRADES: Final = """
    SELECT id, pair, is_open, amount, open_rate, close_rate, fee_open_cost, fee_open_currency,
           fee_close_cost, fee_close_currency, close_profit_abs, exit_reason, fee_open, fee_close,
           amount_precision, precision_mode, price_precision, precision_mode_price, is_short,
           contract_size, funding_fees
    FROM trades ORDER BY id
"""
_DUST: Final = "SELECT ft_trade_id, cd_value FROM trade_custom_data WHERE cd_key = ?"
_DELETED: Final = 'SELECT key FROM "KeyValueStore" WHERE key LIKE ?'
_OWNER: Final = 'SELECT string_value FROM "KeyValueStore" WHERE key = ?'


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedOrder:
    """One row of Freqtrade's order table."""

    order_id: str
    trade_id: int
    pair: str
    side: str
    status: str
    open: bool
    filled: float
    average: float | None
    fee_base: float | None = None
    """Fee in base currency that Freqtrade deducted from the amount; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedTrade:
    """One row of Freqtrade's trade table."""

    trade_id: int
    pair: str
    open: bool
    amount: float
    open_rate: float
    close_rate: float | None
    fee_open: float | None
    """Money that Freqtrade computes from the rate."""
    fee_open_rate: float
    fee_open_currency: str | None
    fee_close: float | None
    fee_close_rate: float
    fee_close_currency: str | None
    profit: float | None
    exit_reason: str
    step: Decimal
    """Freqtrade cuts holdings after fees down to a multiple of this; 0 where it does not."""
    tick: Decimal
    """Freqtrade rounds an average over several orders to a multiple of this; 0 where it does not."""
    short: bool | None = None
    """None: as its first order."""
    funding: float = 0.0
    """Received less paid, in the quote currency."""
    dust: float | None = None
    """Rest too small to sell, with which macro closed the trade; None for every other trade."""


def read_freqtrade(database: Path) -> tuple[list[BookedOrder], list[BookedTrade]]:
    """Read the tables of a Freqtrade trade database.

    Raises BadInput when the file does not exist or is not such a database.
    """
    with closing(_opened(database)) as link:
        try:
            orders = [_order(row) for row in link.execute(_ORDERS)]
            rows = list(link.execute(_TRADES))
            notes = _rows(link, "trade_custom_data", _DUST, DUST_KEY)
        except sqlite3.DatabaseError as error:
            raise _no_database(database, error) from error
    dust = {number: _number(text) for number, text in notes}
    return orders, [_trade(row, dust.get(row[0])) for row in rows]


def read_owners(database: Path) -> frozenset[str]:
    """Owners of the intent logs that wrote this database; none where macro has not named any.

    Raises BadInput when the file does not exist or is not a database.
    """
    with closing(_opened(database)) as link:
        try:
            found = _rows(link, "KeyValueStore", _OWNER, OWNER_KEY)
        except sqlite3.DatabaseError as error:
            raise _no_database(database, error) from error
    return frozenset(name for (text,) in found for name in str(text or "").split(",") if name)


def read_deleted(database: Path) -> frozenset[str]:
    """Filled orders whose trade a person has deleted. Raises as ``read_owners``."""
    with closing(_opened(database)) as link:
        try:
            found = _rows(link, "KeyValueStore", _DELETED, f"{DELETED_KEY}%")
        except sqlite3.DatabaseError as error:
            raise _no_database(database, error) from error
    return frozenset(str(key)[len(DELETED_KEY) :] for (key,) in found)


def _opened(database: Path) -> sqlite3.Connection:
    if not database.is_file():
        raise BadInput("no trade database", where=str(database), mend="let Freqtrade start once")
    try:
        return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    except sqlite3.DatabaseError as error:
        raise _no_database(database, error) from error


def _no_database(database: Path, error: sqlite3.DatabaseError) -> BadInput:
    return BadInput(f"not a Freqtrade trade database: {error}", where=str(database))


def _rows(link: sqlite3.Connection, table: str, query: str, key: str) -> list[tuple[object, ...]]:
    """Rows of a table that a database of an older Freqtrade may not have."""
    known = link.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", (table,))
    return list(link.execute(query, (key,))) if known.fetchone() else []


def _order(row: tuple[object, ...]) -> BookedOrder:
    order_id, trade_id, pair, side, status, is_open, filled, average, fee_base = row
    return BookedOrder(
        order_id=str(order_id),
        trade_id=int(str(trade_id)),
        pair=str(pair),
        side=str(side),
        status=str(status or ""),
        open=bool(is_open),
        filled=_number(filled) or 0.0,
        average=_number(average),
        fee_base=_number(fee_base) or 0.0,
    )


def _trade(row: tuple[object, ...], dust: float | None) -> BookedTrade:
    contract = _number(row[19]) or 1.0
    open_rate = _number(row[4]) or 0.0
    return BookedTrade(
        trade_id=int(str(row[0])),
        pair=str(row[1]),
        open=bool(row[2]),
        amount=_number(row[3]) or 0.0,
        open_rate=open_rate,
        close_rate=_number(row[5]),
        fee_open=_number(row[6]),
        fee_open_currency=None if row[7] is None else str(row[7]),
        fee_close=_number(row[8]),
        fee_close_currency=None if row[9] is None else str(row[9]),
        profit=_number(row[10]),
        exit_reason=str(row[11] or ""),
        fee_open_rate=_number(row[12]) or 0.0,
        fee_close_rate=_number(row[13]) or 0.0,
        step=_step(row[14], row[15], 0.0) * Decimal(repr(contract)),
        tick=_step(row[16], row[17], open_rate),
        short=bool(row[18]),
        funding=_number(row[20]) or 0.0,
        dust=dust,
    )


def _number(value: object) -> float | None:
    """A number of the database; custom data store it as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        value = json.loads(value)
    return float(value) if isinstance(value, (int, float)) else None


def _step(precision: object, mode: object, value: float) -> Decimal:
    """Step of an amount or a price.

    Modes are ccxt's: 4 counts in steps, 2 in decimal places, 3 in significant digits of the value.
    """
    number = _number(precision)
    if not number and not (mode == _DECIMAL_PLACES and number == 0):
        return Decimal(0)
    if mode == _DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(number or 0))
    if mode == _SIGNIFICANT_DIGITS and value > 0:
        return Decimal(1).scaleb(Decimal(repr(value)).adjusted() - int(number or 0) + 1)
    return Decimal(repr(number)) if mode == _TICK_SIZE else Decimal(0)
