"""The durable table of a shadow: one row an order, with what both sides said of it.

Rows hold facts only; what they amount to is computed when they are read (``compare``), so that a better
definition also counts for the orders of before. Quantities and prices are decimal text, times wall clock
nanoseconds, fees JSON of currency to amount.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Kind = Literal["order", "stop"]
_VERSION: Final = 1


@dataclass(slots=True, kw_only=True)
class ShadowOrder:
    """One order of Freqtrade, and micro's of the same moment. Empty text and 0: not known yet."""

    number: int
    placed_ns: int
    """When Freqtrade was about to place it."""
    pair: str
    side: str
    kind: Kind
    order_type: str
    quantity: str
    """In base units, on the exchange's grid."""
    rate: str
    """Freqtrade's own rate."""
    dry_run: int
    """1: Freqtrade's fills are its own simulation."""

    order_id: str = ""
    """At Freqtrade's exchange."""
    error: str = ""
    """Why Freqtrade's order was not placed."""
    status: str = ""
    filled: str = "0"
    average: str = ""
    fees: str = ""
    """Empty: not known (an order without any is ``{}``)."""
    filled_ns: int = 0
    """Last fill, by the exchange's clock where known, else when Freqtrade read it."""
    cancel_ns: int = 0
    """When Freqtrade asked to cancel it."""

    signal_id: str = ""
    unsent: str = ""
    """Why micro was not sent it."""
    micro_status: str = ""
    micro_code: str = ""
    micro_reason: str = ""
    micro_filled: str = "0"
    micro_average: str = ""
    micro_fees: str = ""
    micro_got_ns: int = 0
    """When micro received it."""
    micro_filled_ns: int = 0
    arrival_mid: str = ""
    """Of micro's book when it received the order: the one price that both sides are measured by."""
    maker_share: str = ""


NAMES: Final = tuple(each.name for each in dataclasses.fields(ShadowOrder))
_CREATE: Final = f"""
CREATE TABLE IF NOT EXISTS shadow_order (
    number INTEGER PRIMARY KEY,
    {", ".join(f"{name} NOT NULL" for name in NAMES[1:])}
);
"""
# Its parts are names of this module.
_PUT: Final = (
    f"INSERT OR REPLACE INTO shadow_order ({', '.join(NAMES)}) "  # noqa: S608
    f"VALUES ({', '.join('?' for _ in NAMES)})"
)
_ALL: Final = f"SELECT {', '.join(NAMES)} FROM shadow_order ORDER BY number"  # noqa: S608


class ShadowTable:
    """The table, written by the process that trades. Use from one thread.

    Raises:
        BadInput: the file is no such table, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # It is opened by the thread that starts Freqtrade, and used by the shadow's alone.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise BadInput(f"cannot open the shadow's table: {error}", where=str(path)) from error
        try:
            _check(self._db, path)
            # Readers, such as `citadel shadow report`, do not wait for a writer then.
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_CREATE)
            self._db.execute(f"PRAGMA user_version={_VERSION}")
        except BaseException:
            self._db.close()
            raise

    def put(self, row: ShadowOrder) -> None:
        """Store a row, over its earlier state."""
        self._db.execute(_PUT, dataclasses.astuple(row))

    def rows(self) -> list[ShadowOrder]:
        """Every row, oldest first."""
        return [_row(values) for values in self._db.execute(_ALL)]

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def read(path: Path) -> list[ShadowOrder]:
    """Every row of a table, also while its process runs; oldest first.

    Raises:
        BadInput: there is no such file, or it is something else.
    """
    if not path.is_file():
        raise BadInput(
            "there is no table of a shadow",
            where=str(path),
            mend="name it with --db; it is written by `citadel macro trade --shadow`",
        )
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise BadInput(f"cannot read the shadow's table: {error}", where=str(path)) from error
    try:
        _check(db, path)
        return [_row(values) for values in db.execute(_ALL)]
    except sqlite3.Error as error:
        raise BadInput(f"not the table of a shadow: {error}", where=str(path)) from error
    finally:
        db.close()


def fees_text(fees: Mapping[str, Decimal]) -> str:
    """Fees by currency as they are stored."""
    return json.dumps({name: str(fees[name]) for name in sorted(fees)})


def fees_of(text: str) -> dict[str, Decimal] | None:
    """The stored fees by currency; None when they are not known."""
    if not text:
        return None
    return {name: Decimal(amount) for name, amount in json.loads(text).items()}


def _row(values: tuple[Any, ...]) -> ShadowOrder:
    return ShadowOrder(**dict(zip(NAMES, values, strict=True)))


def _check(db: sqlite3.Connection, path: Path) -> None:
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise BadInput(
            f"not the table of a shadow: {error}", where=str(path), mend="name another file"
        ) from error
    if version != _VERSION and tables:
        raise BadInput(
            "not the table of a shadow"
            if not version
            else f"a shadow's table of version {version}",
            where=str(path),
            allowed=f"version {_VERSION}",
            mend="name another file",
        )
