"""What micro's journals say of the connection to the exchange, and of answers that did not come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.core.model.account_events import AccountTrades
from citadel_micro.core.model.events import (
    Event,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderState,
    RequestTimedOut,
    VenueStatus,
)
from citadel_micro.shell.journal.parts import runs_of
from citadel_micro.shell.journal.reader import JournalReader
from citadel_micro.shell.journal.records import decode_event
from citadel_proto.tape import COMMAND, EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROOF: Final = (OrderAccepted, OrderDone, OrderFilled, OrderState)
"""What tells that the exchange has an order, or that it has not."""
_KINDS: Final = (*PROOF, AccountTrades, RequestTimedOut, VenueStatus)
_NAMES: Final = tuple(msgspec.msgpack.encode((kind.__name__, None))[:-1] for kind in _KINDS)
_APPROVED: Final = msgspec.msgpack.encode(("Approved", None))[:-1]
_place: Final = msgspec.msgpack.Decoder(tuple[str, dict[str, object]])


class Sent:
    """An order went out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record, at micro's time."""

    ts_ns: int
    what: Event | Sent


def venue_events(folder: Path) -> list[Row]:
    """Everything of these kinds in the journals of a run folder, in order.

    A journal that is still being written is read as far as it goes.
    """
    return [row for path in runs_of(folder) for row in _rows(path)]


def _rows(path: Path) -> Iterator[Row]:
    reader = JournalReader(path)
    try:
        for record in reader.records(market=False):
            if record.direction == EVENT and record.frame.startswith(_NAMES):
                yield Row(record.recv_ns, decode_event(record.frame))
            elif (
                record.direction == COMMAND
                and record.frame.startswith(_APPROVED)
                and _place.decode(record.frame)[1]["kind"] == "PlaceOrder"
            ):
                yield Row(record.recv_ns, Sent())
    finally:
        reader.close()
