"""micro's side of the books, read from the journals that its runs left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.shell import records
from citadel_micro.shell.journal import SUFFIX, JournalReader
from citadel_proto.errors import BadInput
from citadel_proto.tape import COMMAND

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.commands import PublishReport


def read_micro(folder: Path) -> dict[str, PublishReport]:
    """Last report of every parent order, by signal id, over all runs in a run folder.

    Raises:
        BadInput: there is no journal in the folder.
        DecodeError: a file in it is no journal.
    """
    journals = sorted(folder.glob(f"*{SUFFIX}"))
    if not journals:
        raise BadInput("no journal", where=str(folder), mend="name the run folder of micro")
    reports: dict[str, PublishReport] = {}
    for path in journals:
        reader = JournalReader(path)
        try:
            for record in reader.records():
                if record.direction != COMMAND:
                    continue
                report = records.decode_report(record.frame)
                known = None if report is None else reports.get(report.signal_id)
                if report is not None and (known is None or report.revision >= known.revision):
                    reports[report.signal_id] = report
        finally:
            reader.close()
    return reports
