"""micro's side of the books, read from the journals of its runs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

import msgspec

from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.orders.order_records import CHILD_KEY
from citadel_micro.core.orders.order_states import CHILD_TERMINAL, ChildState
from citadel_micro.core.portfolio.portfolio import Portfolio
from citadel_micro.shell.journal.parts import runs_of
from citadel_micro.shell.journal.reader import JournalReader
from citadel_micro.shell.journal.run_folder import fold
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.tape import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

_report: Final = msgspec.msgpack.Decoder(tuple[str, PublishReport])
_REPORT: Final = msgspec.msgpack.encode(("PublishReport", None))[:-1]
"""First bytes of every record of a report, so that the others are skipped without decoding."""


def read_micro(folder: Path) -> dict[str, PublishReport]:
    """Last report of every parent order, by signal id, over all runs in a run folder.

    Raises:
        BadInput: there is no journal in the folder.
        DecodeError: a file in it is not a journal.
    """
    journals = runs_of(folder)
    if not journals:
        raise BadInput("no journal", where=str(folder), mend="name the run folder of micro")
    reports: dict[str, PublishReport] = {}
    for path in journals:
        reader = JournalReader(path)
        try:
            for record in reader.records(market=False):
                if record.direction != COMMAND or not record.frame.startswith(_REPORT):
                    continue
                report = _decode(path, record.frame)
                known = reports.get(report.signal_id)
                if known is None or report.revision >= known.revision:
                    reports[report.signal_id] = report
        finally:
            reader.close()
    return reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What micro's journal has of one position at the end."""

    quantity: Decimal
    funding: Decimal
    """Received less paid."""
    cash: Decimal
    """Of a flat one what its fills and funding have gained, without fees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroAccount:
    """What micro had on one venue at the end."""

    balances: dict[str, Decimal]
    """Free and locked together, by currency."""
    positions: dict[str, Held]
    """By unified symbol, of perpetuals; flat ones too."""


def read_account(folder: Path, venue: str) -> MicroAccount:
    """What micro had on a venue at the end.

    Raises:
        BadInput: there is no journal in the folder, or it is damaged.
    """
    journals = runs_of(folder)
    if not journals:
        raise BadInput("no journal", where=str(folder), mend="name the run folder of micro")
    found = fold(journals[-1])
    if found.damaged:
        raise BadInput(f"the journal is damaged: {found.damaged}", where=str(journals[-1]))
    portfolio = Portfolio()
    stored = found.state.get("portfolio")
    if stored is not None:
        portfolio.load(cast("dict[str, dict[str, object]]", stored)["holdings"])
    return MicroAccount(
        balances={currency: balance.total for currency, balance in portfolio.balances(venue)},
        positions={
            each.symbol: Held(quantity=each.quantity, funding=each.funding, cash=each.cash)
            for each in portfolio.positions()
            if each.venue == venue and each.kind != "spot"
        },
    )


def orders_at_work(folder: Path) -> int:
    """How many parent orders have an order that may be at the venue: what a restart takes up from here."""
    journals = runs_of(folder)
    if not journals:
        return 0
    rows = (
        cast("dict[str, str]", value)
        for key, value in fold(journals[-1]).state.items()
        if key.startswith(CHILD_KEY)
    )
    return len({row["parent"] for row in rows if ChildState(row["state"]) not in CHILD_TERMINAL})


def _decode(path: Path, frame: bytes) -> PublishReport:
    try:
        return _report.decode(frame)[1]
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(f"{path}: not a report: {error}") from error
