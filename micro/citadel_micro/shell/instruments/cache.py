"""Lists of markets on disk: one JSON file per venue, written atomically, checked when read.

The file is ``{"format": 1, "venue", "source", "reader", "fetched_ns", "fetched", "sha256",
"markets": {...}}``. ``sha256`` is over the bytes of ``markets``: one changed digit of a tick would
otherwise pass as a valid rule. An unusable file is reported, and treated as missing.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import msgspec

from citadel_bridge.file_locks import lock
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.instruments.markets import Market, MarketList
from citadel_micro.shell.instruments.rules import exempts
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT: Final = 1
_NS: Final = 1_000_000_000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One market; decimals are text."""

    symbol: str
    venue_symbol: str
    base: str
    quote: str
    settle: str
    kind: Literal["spot", "linear", "inverse"]
    tick: Decimal
    lot: Decimal
    min_lots: int
    min_notional: Decimal
    contract_size: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    fee_side: Literal["received", "quote"]
    active: bool
    reduce_only_exempt_min_notional: bool | None = None
    """None in lists of earlier releases."""


class _Body(msgspec.Struct, frozen=True):
    rows: list[Row]
    left_out: dict[str, str]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    venue: str
    source: str
    reader: str
    fetched_ns: int
    fetched: str
    sha256: str
    markets: msgspec.Raw


class _Head(msgspec.Struct, frozen=True):
    """What every format has."""

    format: int = 0


_file: Final = msgspec.json.Decoder(_File)
_head: Final = msgspec.json.Decoder(_Head)
_body: Final = msgspec.json.Decoder(_Body)
_GARBAGE: Final = (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError, BadInput)


def row_of(market: Market) -> Row:
    """A market as it is stored."""
    names = (name for name in Row.__struct_fields__ if name != "active")
    return Row(**{name: getattr(market.rules, name) for name in names}, active=market.active)


def market_of_row(venue: str, row: Row) -> Market:
    """The market that ``row_of`` described. Raises BadInput for invalid numbers."""
    names = (name for name in Row.__struct_fields__ if name != "active")
    values = {name: getattr(row, name) for name in names}
    if row.reduce_only_exempt_min_notional is None:
        values["reduce_only_exempt_min_notional"] = exempts(venue, row.kind)
    return Market(rules=Instrument(venue=venue, **values), active=row.active)


def dumps(markets: MarketList) -> bytes:
    """The bytes of a cache file."""
    rows = [row_of(market) for market in markets.markets.values()]
    body = msgspec.json.encode(_Body(rows, dict(markets.left_out)))
    return msgspec.json.encode(
        _File(
            format=FORMAT,
            venue=markets.venue,
            source=markets.source,
            reader=markets.reader,
            fetched_ns=markets.fetched_ns,
            fetched=datetime.fromtimestamp(markets.fetched_ns // _NS, UTC).isoformat(),
            sha256=hashlib.sha256(body).hexdigest(),
            markets=msgspec.Raw(body),
        )
    )


def loads(data: bytes) -> MarketList:
    """The list that ``dumps`` wrote. Raises ValueError with what is wrong."""
    try:
        found = _head.decode(data).format
        if found != FORMAT:
            raise ValueError(f"it has format {found}; this release reads {FORMAT}")
        file = _file.decode(data)
        if hashlib.sha256(file.markets).hexdigest() != file.sha256:
            raise ValueError("its checksum does not match")
        body = _body.decode(file.markets)
        markets = {row.symbol: market_of_row(file.venue, row) for row in body.rows}
    except _GARBAGE as error:
        raise ValueError(f"it is damaged or of another release: {error}") from None
    return MarketList(
        venue=file.venue,
        source=file.source,
        reader=file.reader,
        fetched_ns=file.fetched_ns,
        markets=markets,
        left_out=body.left_out,
    )


class Cache:
    """The folder of lists. Several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, venue: str, source: str) -> Path:
        """File of a venue's list, or of that from an address given instead of the venue's own."""
        at = ""
        if source:
            parts = urlsplit(source)
            at = "@" + re.sub(r"[^A-Za-z0-9.-]+", "_", f"{parts.netloc}{parts.path}").strip("_")
        return self.folder / f"{venue}{at}.json"

    def read(self, venue: str, source: str) -> tuple[MarketList | None, str]:
        """The stored list or None, and why an existing one cannot be used."""
        path = self.path(venue, source)
        try:
            found = loads(path.read_bytes())
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"{path}: {error.strerror}"
        except ValueError as error:
            return None, f"{path}: {error}"
        if (found.venue, found.source) != (venue, source):
            return None, f"{path}: it is the list of {found.venue} {found.source}".rstrip()
        return found, ""

    def write(self, markets: MarketList) -> bool:
        """Store a list atomically; False when a newer one is stored already.

        Raises OSError when it cannot be written.
        """
        path = self.path(markets.venue, markets.source)
        data = dumps(markets)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if _fetched_ns(path) > markets.fetched_ns:
                return False
            descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    os.fchmod(descriptor, 0o644)
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, path)  # noqa: PTH105 - a name, not a Path
            except BaseException:
                os.unlink(name)  # noqa: PTH108 - as above
                raise
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, so that the newest list stays."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.folder / ".lock", flags, 0o644)
        try:
            lock(descriptor, wait=True)
            yield
        finally:
            os.close(descriptor)


def _fetched_ns(path: Path) -> int:
    """When the list there was fetched; 0 for none, and for an unreadable one."""
    try:
        return loads(path.read_bytes()).fetched_ns
    except (OSError, ValueError):
        return 0
