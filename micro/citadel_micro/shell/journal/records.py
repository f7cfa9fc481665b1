"""Events and commands as bytes: what the journal holds.

msgpack, so that a journal can be read without this package. One record is ``[name, fields]`` for an
event or command (named tuples as arrays, dataclasses as maps by field name, decimals as text). The
same value always gives the same bytes: field order is the class's, and dictionaries keep theirs.
Decoding gives an equal event back.
"""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import msgspec

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model import events
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import (
    AmendOrder,
    Persist,
    PlaceOrder,
    PositionView,
    PublishAnswer,
    PublishBook,
    PublishReport,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable

_Tagged = tuple[str, msgspec.Raw]


def _terms_of(kind: type) -> tuple[tuple[str, ...], attrgetter[tuple[object, ...]]]:
    names = tuple(each.name for each in fields(kind))
    return names, attrgetter(*names)


_TERMS: Final = {kind: _terms_of(kind) for kind in (PlaceOrder, AmendOrder)}
"""Names of an order's fields, and what reads them."""


def _flatten(kinds: object) -> list[type]:
    inner = get_args(kinds)
    return [kinds] if isinstance(kinds, type) else [k for each in inner for k in _flatten(each)]


EVENTS: Final[dict[str, type]] = {kind.__name__: kind for kind in _flatten(events.Event)}
"""Every kind of event by its name."""


def _other(value: object) -> object:
    """Encode what msgspec does not know itself."""
    if isinstance(value, kernel.LEVELS):
        return value.tolist()
    if isinstance(value, Approved):
        order: PlaceOrder | AmendOrder = value.order
        names, values = _TERMS[type(order)]
        row = dict(zip(names, values(order), strict=True))
        if row.get("displayed_lots", 0) is None:
            del row["displayed_lots"]  # as in journals of earlier versions
        return {
            "kind": type(order).__name__,
            "order": row,
            "book_seq": value.book_seq,
            "risk_epoch": value.risk_epoch,
        }
    raise NotImplementedError(f"{type(value).__name__} has no place in a journal")


_GARBAGE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding bytes that are none of ours raises."""
_encode: Final = msgspec.msgpack.Encoder(enc_hook=_other, decimal_format="string").encode
_tagged: Final = msgspec.msgpack.Decoder(_Tagged)
_decoders: Final[dict[str, msgspec.msgpack.Decoder[object]]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in EVENTS.items()
}
_persist: Final = msgspec.msgpack.Decoder(Persist)
_report: Final = msgspec.msgpack.Decoder(PublishReport)
_plain: Final = msgspec.msgpack.Decoder()
_DECIMALS: Final = {field.name for field in fields(Instrument) if field.type == "Decimal"}
_PERSIST: Final = _encode(("Persist", None))[:-1]
"""First bytes of every Persist record, so that folding skips the rest without decoding it."""
_REPORT: Final = _encode(("PublishReport", None))[:-1]


def encode(value: object) -> bytes:
    """Bytes of one event or command."""
    return _encode((type(value).__name__, value))


def encode_earlier(command: object) -> bytes | None:
    """A command as versions before wrote it; None where its form has not changed.

    The books of their journals have no features, which were not the engine's then, and their positions
    neither funding nor a liquidation price.
    """
    if isinstance(command, PublishBook):
        return _encode(("PublishBook", {"venue": command.venue, "symbol": command.symbol}))
    if isinstance(command, PublishReport | PublishAnswer):
        return _encode((type(command).__name__, _earlier(command)))
    return None


def _earlier(value: object) -> object:
    """A report or an answer without the fields and limits that came later."""
    if isinstance(value, tuple):
        return [_earlier(each) for each in value]
    if not isinstance(value, PublishReport | PublishAnswer | PositionView):
        return value
    later = ("liquidation_price", "funding") if isinstance(value, PositionView) else ()
    return {
        each.name: (
            [row for row in value.limits if row[0] != "liquidation_buffer"]
            if isinstance(value, PublishAnswer) and each.name == "limits"
            else _earlier(getattr(value, each.name))
        )
        for each in fields(value)
        if each.name not in later
    }


def encode_plain(value: object) -> bytes:
    """Bytes of plain data: text, numbers, lists, dictionaries, and dataclasses of these."""
    return _encode(value)


def decode_event(data: bytes) -> events.Event:
    """The event that ``encode`` wrote. Raises DecodeError for anything else."""
    try:
        name, raw = _tagged.decode(data)
        decoder = _decoders[name]
        return decoder.decode(raw)  # type: ignore[return-value]  # one of EVENTS
    except KeyError as error:
        raise DecodeError(f"no event is called {error.args[0]!r}") from error
    except _GARBAGE as error:
        raise DecodeError(f"not an event: {error}") from error


def decode_persist(data: bytes) -> Persist | None:
    """The Persist command in a record of any command; None for the other kinds."""
    if not data.startswith(_PERSIST):
        return None
    try:
        return _persist.decode(_tagged.decode(data)[1])
    except _GARBAGE as error:
        raise DecodeError(f"not a Persist command: {error}") from error


def decode_report(data: bytes) -> PublishReport | None:
    """The report in a record of any command, of any version; None for the other kinds.

    Raises DecodeError for a report that cannot be read.
    """
    if not data.startswith(_REPORT):
        return None
    try:
        return _report.decode(_tagged.decode(data)[1])
    except _GARBAGE as error:
        raise DecodeError(f"not a report: {error}") from error


def begins(kind: type) -> bytes:
    """First bytes of every record of this kind, to recognize it without decoding."""
    return _encode((kind.__name__, None))[:-1]


def decode_plain(data: bytes) -> object:
    """Plain data, for printing and for headers. Raises DecodeError."""
    try:
        return _plain.decode(data)
    except _GARBAGE as error:
        raise DecodeError(f"not msgpack: {error}") from error


def instrument_rows(instruments: Iterable[Instrument]) -> list[dict[str, object]]:
    """Instruments as plain rows in their order, which the engine keeps; derived fields left out."""
    names = [field.name for field in fields(Instrument) if field.init]
    return [{name: _plain_of(getattr(each, name)) for name in names} for each in instruments]


def instruments_of(rows: object) -> dict[tuple[str, str], Instrument]:
    """The instruments that ``instrument_rows`` described, by (venue, symbol)."""
    try:
        found = [Instrument(**_exact(row)) for row in cast("list[dict[str, Any]]", rows)]
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DecodeError(f"not a list of instruments: {error}") from error
    return {(each.venue, each.symbol): each for each in found}


def _plain_of(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    return {name: Decimal(v) if name in _DECIMALS else v for name, v in row.items()}
