"""Journals to read, and files to write."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.offline.tca.page import page
from citadel_micro.offline.tca.rows import fill_rows, order_row
from citadel_micro.offline.tca.walk import Walk
from citadel_micro.shell.journal.journal import SUFFIX
from citadel_micro.shell.journal.parts import is_earlier
from citadel_proto.disk import writing
from citadel_proto.errors import BadInput, DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.offline.tca.order_costs import OrderCosts
    from citadel_micro.offline.tca.orders import Order
    from citadel_micro.offline.tca.other_ways import Pace

FORMS: Final = (".json", ".csv", ".parquet", ".html")


def journals(places: Sequence[Path]) -> list[list[Path]]:
    """Journals of files and folders: those of one run folder together, oldest first.

    Raises:
        BadInput: there is no such place, or no journal in it.
    """
    folders: dict[Path, set[Path]] = {}
    for place in places:
        if place.is_dir():
            found = [
                each
                for each in place.rglob(f"journal-*{SUFFIX}")
                if each.is_file() and not is_earlier(each)
            ]
            if not found:
                raise BadInput(
                    "no run has left a journal here",
                    where=str(place),
                    mend="name a run folder of micro, or a journal",
                )
        elif place.is_file():
            found = [place]
        else:
            raise BadInput(
                "there is no such journal or run folder",
                where=str(place),
                mend="`citadel status` says where the runs are; the default is runs/",
            )
        for each in found:
            folders.setdefault(each.parent, set()).add(each)
    return [sorted(each) for _, each in sorted(folders.items())]


def orders_in(
    runs: Sequence[Sequence[Path]], pace: Pace | None = None
) -> tuple[list[Order], list[str]]:
    """Orders of all journals, and what is to be said about these. ``pace``: Freqtrade's own.

    Raises:
        BadInput: a journal cannot be read, or is none.
    """
    orders: dict[int, Order] = {}
    notes = []
    for run in runs:
        before: Walk | None = None
        for path in run:
            try:
                walk = Walk(path, before, pace)
                if walk.lacks:
                    notes.append(f"{path}: left out, since {walk.lacks} of its journal is missing")
                    before = None
                    continue
                for order in walk.walk():
                    orders[id(order)] = order
            except DecodeError as error:
                raise BadInput(str(error), where=str(path)) from error
            notes += [f"{path}: {note}" for note in walk.notes]
            before = walk
    return list(orders.values()), notes


def check_form(path: Path) -> None:
    """Raises BadInput for a file of a kind that is not written."""
    if path.suffix not in FORMS:
        raise BadInput(
            f"{path.suffix or 'a name without an ending'}",
            where=f"--out {path}",
            allowed=", ".join(FORMS),
        )


def write(
    path: Path, rows: Sequence[dict[str, Any]], by: Sequence[str], costs: Sequence[OrderCosts]
) -> None:
    """Write everything: groups, orders and fills as JSON, orders as a table, or the page.

    Raises:
        BadInput: it cannot be written.
    """
    with writing(f"--out {path}"):
        if path.suffix == ".json":
            everything = {
                "groups": rows,
                "orders": [order_row(one) for one in costs],
                "fills": [row for one in costs for row in fill_rows(one)],
            }
            path.write_text(json.dumps(everything, indent=1, allow_nan=False) + "\n")
        elif path.suffix == ".csv":
            _csv(path, [order_row(one) for one in costs])
        elif path.suffix == ".parquet":
            _parquet(path, [order_row(one) for one in costs])
        else:
            path.write_text(page(rows, by, costs), encoding="utf-8")


def _csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise BadInput(
            "Parquet needs pyarrow, which is not installed",
            where=f"--out {path}",
            mend="pip install pyarrow, or write .csv or .json",
        ) from error
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
