"""From the wire's messages to the core's events; decimals stay exact.

A decoded message may still be invalid: NaN, a quantity of zero, a stop without its trigger.
Such a signal becomes a ``SignalRefused``, so that its sender gets a reject, and never a
``SignalReceived``. Only a message that cannot be answered (its id is not a valid id) raises
``DecodeError``, to be counted and dropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.algos import listed
from citadel_micro.core.model.events import (
    CancelReceived,
    MacroBeat,
    QueryReceived,
    SignalReceived,
    SignalRefused,
)
from citadel_proto.bounds import LATEST_NS, LONGEST_PRINTED, is_name, is_symbol
from citadel_proto.codec import parse_decimal
from citadel_proto.errors import DecodeError
from citadel_proto.messages import SCHEMA_VERSION, Cancel, MacroHeartbeat, Query, Signal
from citadel_proto.reason_codes import SCHEMA_MISMATCH, RiskCode
from citadel_proto.shadow import SHADOW_NEEDS_PAPER, is_shadow

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_proto.messages import SignalChannel

_EXPONENT: Final = 24
"""Numbers beyond 10**±24 are not prices or quantities of anything; they would only cost time."""
_ID: Final = re.compile(r"[!-~]{1,80}", re.ASCII)
_OWNER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LONGEST_NAME: Final = LONGEST_PRINTED
REASON_LENGTH: Final = 1_000
"""Characters of a reason, on the way in and out; one that lists a thousand symbols is cut."""
_PARAMS: Final = 64
_REAL_MONEY: Final = (
    "this repeats an order that Freqtrade has placed itself, and micro does not trade on paper: it would "
    'trade twice. Run the shadow beside a micro with mode = "paper"'
)

ReceivedEvent = SignalReceived | SignalRefused | CancelReceived | QueryReceived | MacroBeat


def event_of(
    message: SignalChannel,
    skew_ns: int = 0,
    missed: int = 0,
    offset_ns: int = 0,
    *,
    operator: bool = False,
    paper: bool = True,
    schema: int = SCHEMA_VERSION,
) -> ReceivedEvent:
    """Convert a message of the signals channel to its event.

    Args:
        message: as decoded.
        skew_ns: for a heartbeat, the sender's wall clock minus ours, as measured at its receipt.
        missed: for a signal, messages of the same publisher and topic lost right before it.
        operator: for a cancel, it came from the operator's own address.
        offset_ns: the sender's wall clock minus engine time; the event's times are engine time.
        paper: micro trades on paper, so that it may work shadow orders.
        schema: version of the messages that the sender speaks: a signal of another one is refused, since its
            fields may mean something else; a cancel is not.

    Raises:
        DecodeError: an id or name that is empty, too long or not printable; no answer could
            be addressed to such an id.
    """
    if isinstance(message, Signal):
        return _signal(message, missed, offset_ns, paper=paper, schema=schema)
    if isinstance(message, Cancel):
        return CancelReceived(
            signal_id=_id(message.signal_id, "signal_id"),
            reason=message.reason[:REASON_LENGTH],
            owner=_owner(message.owner),
            epoch=message.epoch,
            operator=operator,
        )
    if isinstance(message, Query):
        return _query(message, offset_ns)
    return _beat(message, skew_ns)


def _signal(
    message: Signal, missed: int, offset_ns: int, *, paper: bool, schema: int
) -> SignalReceived | SignalRefused:
    _id(message.signal_id, "signal_id")
    for what in ("venue", "algo"):
        _id(getattr(message, what), what)
    _symbol(message.symbol)
    for what in ("strategy", "model_id", "tag"):
        _name(getattr(message, what), what)
    _owner(message.owner)
    if schema != SCHEMA_VERSION:
        return _refused(message, SCHEMA_MISMATCH, other_schema(schema), offset_ns)
    if is_shadow(message.owner) and not paper:
        return _refused(message, SHADOW_NEEDS_PAPER, _REAL_MONEY, offset_ns)
    try:
        values: dict[str, Any] = {name: getattr(message, name) for name in _SAME}
        values |= {name: read(message, name) for name, read in _READ.items()}
        for name in ("created_ns", "expires_ns"):
            values[name] = _ours(values[name], offset_ns)
        return SignalReceived(**values, missed=missed, offset_ns=offset_ns)
    except _Nonsense as error:
        return _refused(message, RiskCode.BAD_NUMBER, str(error), offset_ns)


def other_schema(schema: int) -> str:
    """Why a macro of another version of the messages is refused."""
    return (
        f"this macro speaks version {schema} of the messages, micro {SCHEMA_VERSION}: upgrade the older "
        "of the two"
    )


def _refused(message: Signal, code: str, reason: str, offset_ns: int) -> SignalRefused:
    return SignalRefused(
        signal_id=message.signal_id,
        strategy=message.strategy,
        venue=message.venue,
        symbol=message.symbol,
        side=message.side,
        code=code,
        reason=reason,
        owner=message.owner,
        epoch=message.epoch,
        expires_ns=_ours(message.expires_ns, offset_ns),
    )


def _query(message: Query, offset_ns: int) -> QueryReceived:
    return QueryReceived(
        query_id=_id(message.query_id, "query_id"),
        kind=message.kind,
        reply_to=_id(message.reply_to, "reply_to"),
        signal_id=_name(message.signal_id, "signal_id"),
        venue=_name(message.venue, "venue"),
        symbol=_name(message.symbol, "symbol"),
        # It may be a time of either side: of a report, or of the sender's own clock.
        since_ns=_ours(message.since_ns, max(offset_ns, 0)),
        owner=_owner(message.owner),
        mine=message.mine,
        working=message.working,
        cursor=_name(message.cursor, "cursor"),
        limit=max(message.limit, 0),
        epoch=message.epoch,
    )


def _beat(message: MacroHeartbeat, skew_ns: int) -> MacroBeat:
    return MacroBeat(
        instance=_id(message.instance, "instance"),
        strategy=_name(message.strategy, "strategy"),
        epoch=message.epoch,
        seq=message.seq,
        skew_ns=skew_ns,
        owner=_owner(message.owner),
        state=message.state,
    )


class _Nonsense(Exception):  # noqa: N818 - never leaves this module
    """A field that decoded but is invalid."""


def _id(text: str, what: str) -> str:
    if _ID.fullmatch(text) is None:
        raise DecodeError(
            f"{what} must be 1 to {_LONGEST_NAME} printable ASCII characters without blanks"
        )
    return text


def _symbol(text: str) -> str:
    if not is_symbol(text):
        raise DecodeError(
            f"symbol must be 1 to {_LONGEST_NAME} bytes of printable text without blanks"
        )
    return text


def _name(text: str, what: str) -> str:
    if not is_name(text):
        raise DecodeError(f"{what} must be at most {_LONGEST_NAME} bytes of printable text")
    return text


def _owner(text: str) -> str:
    if text and _OWNER.fullmatch(text) is None:
        raise DecodeError("owner must be at most 64 letters, digits, - and _")
    return text


def _positive(message: Signal, name: str) -> Decimal:
    text: str = getattr(message, name)
    try:
        value = parse_decimal(text, name)
    except DecodeError as error:
        raise _Nonsense(str(error)) from error
    if value <= 0:
        raise _Nonsense(f"{name} is {text}; it must be greater than 0")
    if abs(value.adjusted()) > _EXPONENT:
        raise _Nonsense(f"{name} is {text}; nothing is traded in such numbers")
    return value


def _optional(message: Signal, name: str) -> Decimal | None:
    return None if getattr(message, name) is None else _positive(message, name)


def _stop_price(message: Signal, name: str) -> Decimal | None:
    if message.kind == "stop":
        if message.stop_price is None:
            raise _Nonsense("a stop needs a stop_price")
        return _positive(message, name)
    if message.stop_price is not None:
        raise _Nonsense("only a stop has a stop_price; this is an order")
    return None


def _params(message: Signal, _name: str) -> tuple[tuple[str, str | int | float | bool], ...]:
    if len(message.params) > _PARAMS:
        raise _Nonsense(f"{len(message.params)} params; at most {_PARAMS} are allowed")
    for name, value in message.params.items():
        if len(name) > _LONGEST_NAME or (isinstance(value, str) and len(value) > _LONGEST_NAME):
            raise _Nonsense(f"a parameter is longer than {_LONGEST_NAME} characters")
        if isinstance(value, float) and not math.isfinite(value):
            raise _Nonsense(f"parameter {name} is {value}; it must be a finite number")
        if isinstance(value, int) and abs(value) > LATEST_NS:
            raise _Nonsense(f"parameter {name} does not fit 64 bits")
    return tuple(sorted((name, listed(name, each)) for name, each in message.params.items()))


def _confidence(message: Signal, name: str) -> float | None:
    value = message.confidence
    if value is not None and not 0.0 <= value <= 1.0:
        raise _Nonsense(f"{name} is {value}; it must be a probability in [0, 1]")
    return value


def _time(message: Signal, name: str) -> int:
    value: int = getattr(message, name)
    if not 0 <= value <= LATEST_NS:
        raise _Nonsense(f"{name} is {value}; it must be in [0, 2**63)")
    return value


_Reader = Callable[[Signal, str], object]
_BY_TYPE: Final[Mapping[str, _Reader]] = {"Decimal": _positive, "Decimal | None": _optional}
_EXCEPTIONS: Final[Mapping[str, _Reader]] = {
    "stop_price": _stop_price,
    "params": _params,
    "confidence": _confidence,
    **dict.fromkeys(("candle_ns", "created_ns", "expires_ns", "epoch", "seq"), _time),
}


def readers(judged: type[SignalReceived]) -> dict[str, _Reader]:
    """Fields that are converted, in their order, and the reader of each."""
    found = {
        each.name: _EXCEPTIONS.get(each.name, _BY_TYPE.get(str(each.type)))
        for each in fields(judged)
    }
    return {name: reader for name, reader in found.items() if reader is not None}


_READ: Final = readers(SignalReceived)
"""The first invalid one is the reason of the reject."""


def taken_as_they_are(judged: type[SignalReceived], sent: type[Signal]) -> tuple[str, ...]:
    """Fields that both have under the same name and that need no conversion."""
    read = readers(judged)
    names = (each.name for each in fields(judged))
    return tuple(name for name in names if name in sent.__struct_fields__ and name not in read)


_SAME: Final = taken_as_they_are(SignalReceived, Signal)


def _ours(value: int, offset_ns: int) -> int:
    """A time of the sender's clock as engine time."""
    return min(max(value - offset_ns, 0), LATEST_NS)
