"""micro's side of the books, read from the journals that its runs left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.core.model.commands import PublishReport
from citadel_micro.shell.journal.journal import SUFFIX, JournalReader
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
                if record.direction != COMMAND or not record.frame.startswith(_REPORT):
                    continue
                report = _decode(path, record.frame)
                known = reports.get(report.signal_id)
                if known is None or report.revision >= known.revision:
                    reports[report.signal_id] = report
        finally:
            reader.close()
    return reports


def _decode(path: Path, frame: bytes) -> PublishReport:
    try:
        return _report.decode(frame)[1]
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(f"{path}: not a report: {error}") from error
