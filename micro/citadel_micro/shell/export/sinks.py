"""Where rows go: a folder of files that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

import msgspec

from citadel_micro.shell.export.columns import TABLES
from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from types import TracebackType

    from citadel_micro.shell.export.columns import Kind

Format = Literal["parquet", "jsonl"]
ROWS_AT_ONCE: Final = 50_000
"""Rows of a table held in memory: some 10 MB."""
PLACES: Final = 18
"""Of an exact number in Parquet: more than any venue's grid; an average may have 28 digits."""
_DIGITS: Final = 38
_UNIT: Final = Decimal(1).scaleb(-PLACES)
_EXACT: Final = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN)


class Sink(Protocol):
    """One table's file."""

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Complete the file."""


class Folder:
    """A folder of tables, written beside its place and put there when it is complete.

    Args:
        path: the folder; it must not exist.
        form: of the files.

    Raises:
        Refused: there is something already.
        BadInput: its place cannot be written.
    """

    def __init__(self, path: Path, form: Format) -> None:
        if path.exists():
            raise Refused(f"{path} exists: name another folder with --out, or move it away")
        self.counts = dict.fromkeys(TABLES, 0)
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        except OSError as error:
            raise BadInput(
                f"cannot be written: {error.strerror}",
                where=str(path),
                mend="name a folder in a writable place with --out",
            ) from error
        self._held: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        try:
            self._sinks = {name: _sink(self._partial, name, form) for name in TABLES}
        except BaseException:
            shutil.rmtree(self._partial)
            raise

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Take one row."""
        held = self._held[table]
        held.append(row)
        if len(held) >= ROWS_AT_ONCE:
            self._flush(table)

    def _flush(self, table: str) -> None:
        held = self._held[table]
        if held:
            self._sinks[table].write(held)
            self.counts[table] += len(held)
            self._held[table] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                for table in TABLES:
                    self._flush(table)
            for sink in self._sinks.values():
                sink.close()
            if kind is None:
                self._partial.chmod(0o755)
                self._partial.rename(self._path)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)  # gone where all went well


class _JsonLines:
    """Exact numbers as text, times as integer nanoseconds, columns in their order."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: list[dict[str, Any]]) -> None:
        self._file.write(self._encoder.encode_lines(rows))

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Exact numbers as decimals of 18 places, times as timestamps of UTC; a row group a chunk."""

    def __init__(self, path: Path, columns: dict[str, Kind]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second
        import pyarrow.parquet as pq  # noqa: PLC0415

        types = {
            "text": pa.string(),
            "number": pa.float64(),
            "count": pa.int64(),
            "exact": pa.decimal128(_DIGITS, PLACES),
            "time": pa.timestamp("ns", tz="UTC"),
            "flag": pa.bool_(),
        }
        self._exact = [name for name, kind in columns.items() if kind == "exact"]
        self._schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        self._batch = pa.RecordBatch
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            for name in self._exact:
                row[name] = _exact(row[name], name)
        self._writer.write_batch(self._batch.from_pylist(rows, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _sink(folder: Path, table: str, form: Format) -> Sink:
    if form == "jsonl":
        return _JsonLines(folder / f"{table}.jsonl")
    return _Parquet(folder / f"{table}.parquet", TABLES[table])


def _exact(text: str | None, name: str) -> Decimal | None:
    if text is None:
        return None
    value = Decimal(text)
    if value.adjusted() >= _DIGITS - PLACES:
        raise BadInput(
            f"{name} is {text}, which no column of Parquet holds exactly",
            allowed=f"numbers below 10^{_DIGITS - PLACES}",
            mend="use --format jsonl, which keeps numbers as text",
        )
    return value.quantize(_UNIT, context=_EXACT)
