"""How long the venues took to acknowledge our orders, from the journals of a run."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.core.model.events import OrderAccepted
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.parts import runs_of
from citadel_micro.shell.journal.reader import JournalReader
from citadel_proto.errors import BadInput
from citadel_proto.tape import COMMAND, EVENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PLACE: Final = records.encode_plain(["Approved", None])[:-1]
_ACCEPTED: Final = records.encode_plain([OrderAccepted.__name__, None])[:-1]


def round_trips(path: Path) -> dict[str, list[int]]:
    """Nanoseconds from the decision to the acknowledgement of each order, by venue, in order of time.

    Of a journal, or of all in a run folder. An order counts once, and only when it was accepted: a
    reject may come from a nearer machine of the venue. Raises BadInput where there is no journal.
    """
    paths = runs_of(path) if path.is_dir() else [path]
    if not paths or not paths[0].is_file():
        raise BadInput("there is no journal", where=str(path), allowed="a journal or a run folder")
    found: dict[str, list[int]] = defaultdict(list)
    for each in paths:
        _read(each, found)
    return dict(found)


def _read(path: Path, found: dict[str, list[int]]) -> None:
    sent: dict[tuple[str, str], int] = {}
    reader = JournalReader(path)
    try:
        for record in reader.records(market=False):
            frame = bytes(record.frame)
            if record.direction == COMMAND and frame.startswith(_PLACE):
                body = cast("list[dict[str, Any]]", records.decode_plain(frame))[1]
                if body["kind"] == "PlaceOrder":
                    order = body["order"]
                    sent[order["venue"], order["client_id"]] = record.recv_ns
            elif record.direction == EVENT and frame.startswith(_ACCEPTED):
                row = cast("list[dict[str, Any]]", records.decode_plain(frame))[1]
                begun_ns = sent.pop((row["venue"], row["client_id"]), None)
                if begun_ns is not None:
                    found[row["venue"]].append(record.recv_ns - begun_ns)
    finally:
        reader.close()


def quantiles_ms(times_ns: Sequence[int], points: int) -> list[float]:
    """The times at equally likely shares from the shortest to the longest, in ms to the microsecond."""
    ordered = sorted(times_ns)
    last = len(ordered) - 1
    shares = (number / (points - 1) for number in range(points))
    return [round(_at(ordered, share * last) / 1e6, 3) for share in shares]


def _at(ordered: Sequence[int], place: float) -> float:
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
