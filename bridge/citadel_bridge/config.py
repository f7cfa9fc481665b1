"""Settings of a connector: addresses, identity, timeouts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from citadel_bridge.addresses import DEFAULT_MARKET, DEFAULT_SIGNALS
from citadel_bridge.auth import KeyStore, require_keys
from citadel_bridge.lane import check_path
from citadel_bridge.sockets import Endpoint
from citadel_proto.bounds import LATEST_NS, cut_name, is_name, is_symbol
from citadel_proto.codec import parse_decimal
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.messages import (
    ExecutionReport,
    OrderType,
    Param,
    Side,
    Signal,
    SignalKind,
    TimeInForce,
)
from citadel_proto.reason_codes import OWN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_PLAIN: Final = re.compile(r"[!-~]{1,80}", re.ASCII)
"""micro drops signals whose venue or algorithm is named otherwise: it cannot report on them."""
_MAX_TTL_S: Final = 366 * 86400.0
MOST_PARAMS: Final = 64
"""Parameters of one order's algorithm; micro accepts no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorConfig:
    """Settings of a ``HybridConnector``; two that are equal mean the same connector.

    Times are seconds.
    """

    signals: str = DEFAULT_SIGNALS
    """Address to bind for signals; port 0 takes a free one."""
    market: tuple[str, ...] = (DEFAULT_MARKET,)
    """Addresses of one or many micros."""
    lanes: tuple[Path, ...] = ()
    """Lanes of micros on this machine (``citadel_bridge.lane``); their messages come by ZeroMQ as well."""
    state_path: Path | None = None
    """The intent log; None keeps it in memory."""
    owner: str = ""
    """Owner id for a new intent log, when the old log was lost; empty creates one."""
    strategy: str = ""
    """Name of the strategy, for heartbeats."""
    keys: Path | None = None
    """Key folder; None for plaintext, on this machine only."""
    role: str = "macro"
    """Which keys to use: ``macro`` or ``cli``."""
    ack_timeout: float = 0.25
    """How long ``submit`` waits for the first report."""
    ready_timeout: float = 3.0
    """How long the first calls wait, after start, until both sides receive each other."""
    heartbeat: float = 1.0
    dead_after: float = 3.0
    """Silence after which micro counts as disconnected."""
    resend_first: float = 0.05
    """First pause before an unacknowledged signal is published again; doubles up to ``resend_max``."""
    resend_max: float = 2.0
    audit: float = 2.0
    """An order without a report for this long is queried; doubles up to 15 times this."""
    skew_warn: float = 0.25
    skew_refuse: float = 1.0
    """Clock difference beyond which only reduce-only signals are sent."""
    sync_intents: Literal["overlapped", "before_publish"] = "before_publish"
    """When an intent is synced to disk: before it is published, or while micro processes it.
    Both survive a crash of the process. After a power failure ``overlapped`` can lack the last
    few ms of intents; micro, which syncs its journal before it acts, then still knows the order."""

    def differing(self, other: ConnectorConfig) -> list[str]:
        """Names of the settings that differ."""
        return [
            name
            for name in self.__dataclass_fields__
            if getattr(self, name) != getattr(other, name)
        ]

    def __post_init__(self) -> None:
        """Reject invalid settings.

        Raises:
            BadInput, Refused: says which setting and why.
        """
        if not self.market:
            raise BadInput("no address of micro", where="market", mend=f"use {DEFAULT_MARKET}")
        for name in ("ack_timeout", "heartbeat", "dead_after", "resend_first", "resend_max"):
            if not 0 < getattr(self, name) < 3600:  # noqa: PLR2004 - an hour
                raise BadInput(
                    f"{name} = {getattr(self, name)}", allowed="seconds, more than 0, below 3600"
                )
        if not is_name(self.strategy):
            raise BadInput(
                f"strategy {self.strategy[:80]!r}",
                where="ConnectorConfig",
                allowed="at most 80 bytes, printable: micro drops heartbeats with a longer one",
            )
        if self.dead_after <= self.heartbeat:
            raise BadInput("dead_after must be longer than heartbeat", where="ConnectorConfig")
        for path in self.lanes:
            check_path(path, "lanes")
        if self.keys is None:
            for address in (self.signals, *self.market):
                require_keys(address, None)

    def endpoints(self) -> list[Endpoint]:
        """Where to connect, with keys."""
        if self.keys is None:
            return [Endpoint(address) for address in self.market]
        keys = KeyStore(self.keys).client(self.role, "micro")
        return [Endpoint(address, keys) for address in self.market]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSignal:
    """A parent order to send; fields as in ``citadel_proto.messages.Signal``.

    ``ttl`` is in seconds from now: the signal is not accepted after that, and an order without a
    working time of its own ends then.
    """

    venue: str
    symbol: str
    side: Side
    quantity: str | Decimal
    ttl: float
    strategy: str = ""
    """Empty uses the connector's."""
    signal_id: str = ""
    """Empty lets the connector create one."""
    kind: SignalKind = "order"
    order_type: OrderType = "limit"
    limit_price: str | Decimal | None = None
    stop_price: str | Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    reduce_only: bool = False
    leverage: str | Decimal = "1"
    algo: str = "chase_limit"
    params: dict[str, Param] = field(default_factory=dict)
    confidence: float | None = None
    model_id: str = ""
    tag: str = ""
    """For people; cut to 80 bytes on the wire, like ``model_id``."""
    candle_ns: int = 0

    def __post_init__(self) -> None:
        """Reject what micro could only reject.

        Raises:
            BadInput: says which field and why.
        """
        for name in ("venue", "algo"):
            if _PLAIN.fullmatch(getattr(self, name)) is None:
                raise BadInput(
                    f"{name} {getattr(self, name)[:80]!r}",
                    allowed="1 to 80 printable ASCII characters without blanks",
                )
        if not is_name(self.strategy):
            raise BadInput(
                f"strategy {self.strategy[:80]!r}", allowed="at most 80 bytes, printable"
            )
        if not is_symbol(self.symbol):
            raise BadInput(
                f"symbol {self.symbol[:80]!r}", allowed="at most 80 bytes, printable, no blanks"
            )
        positive(self.quantity, "quantity")
        positive(self.leverage, "leverage")
        for name in ("limit_price", "stop_price"):
            value = getattr(self, name)
            if value is not None:
                positive(value, name)
        if self.kind == "stop" and self.stop_price is None:
            raise BadInput("a stop without stop_price", where=f"signal {self.symbol}")
        if not 0 < self.ttl <= _MAX_TTL_S:
            raise BadInput(f"ttl {self.ttl}", allowed="seconds, more than 0, at most a year")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadInput(f"{name} {getattr(self, name)!r}", allowed=", ".join(allowed))
        # A strategy may pass anything, numpy types included.
        confidence: object = self.confidence
        if confidence is not None and not (
            isinstance(confidence, Real) and 0 <= float(confidence) <= 1
        ):
            raise BadInput(f"confidence {confidence}", allowed="0 to 1, or none")
        candle_ns: object = self.candle_ns
        if not isinstance(candle_ns, Integral) or not 0 <= int(candle_ns) <= LATEST_NS:
            raise BadInput(f"candle_ns {candle_ns}", allowed="nanoseconds since the epoch")
        if self.signal_id and _ID.fullmatch(self.signal_id) is None:
            raise BadInput(
                f"signal_id {self.signal_id!r}", allowed="1 to 32 letters, digits, - and _"
            )
        if self.signal_id.startswith(OWN_ID):
            raise BadInput(
                f"signal_id {self.signal_id!r}",
                allowed=f"ids that do not begin with {OWN_ID}, as those of micro's own orders do",
            )
        plain_params(self.params)

    def signal(
        self, *, signal_id: str, strategy: str, now_ns: int, epoch: int, owner: str
    ) -> Signal:
        """The message for this order; its sequence is set when it is published."""
        values: dict[str, Any] = {name: _bare(getattr(self, name)) for name in _TOLD}
        values |= {name: str(values[name]) for name in _NUMBERS if values[name] is not None}
        values |= {
            "params": plain_params(self.params),
            "signal_id": signal_id,
            "strategy": strategy,
            "model_id": cut_name(self.model_id),
            "tag": cut_name(self.tag),
            "created_ns": now_ns,
            "expires_ns": now_ns + int(self.ttl * 1_000_000_000),
            "epoch": epoch,
            "seq": 0,
            "owner": owner,
        }
        return Signal(**values)


def shared_fields(asked: type[NewSignal], sent: type[Signal]) -> tuple[str, ...]:
    """Fields that both have under the same name: those are sent."""
    return tuple(each.name for each in fields(asked) if each.name in sent.__struct_fields__)


_TOLD: Final = shared_fields(NewSignal, Signal)
_NUMBERS: Final = tuple(each.name for each in fields(NewSignal) if "Decimal" in str(each.type))
"""Those sent as decimal text."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Result of a submission within ``ack_timeout``."""

    signal: Signal
    """As recorded; its sequence was set when it was published."""
    report: ExecutionReport | None
    """The newest report by then; None means sent, not yet acknowledged: the order is open."""

    @property
    def signal_id(self) -> str:
        """Id of the order."""
        return self.signal.signal_id


_CHOICES: Final = {
    "side": get_args(Side),
    "kind": get_args(SignalKind),
    "order_type": get_args(OrderType),
    "time_in_force": get_args(TimeInForce),
}


def plain_params(params: Mapping[str, object]) -> dict[str, Param]:
    """Parameters in a form that can be sent: numpy and pandas numbers become Python's.

    Raises:
        BadInput: a value that micro could only drop or reject.
    """
    if len(params) > MOST_PARAMS:
        raise BadInput(f"{len(params)} parameters", allowed=f"{MOST_PARAMS} at most")
    return {_param_name(name): _plain(name, value) for name, value in params.items()}


def _param_name(name: object) -> str:
    if not isinstance(name, str) or not is_name(name):
        raise BadInput(f"parameter {str(name)[:80]!r}", allowed="a name of at most 80 bytes")
    return name


def _bare(value: object) -> object:
    """Scalars of numpy and pandas as Python's."""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    return value


def _plain(name: str, value: object) -> Param:
    value = _bare(value)
    if isinstance(value, str):
        if is_name(value):
            return value
    elif isinstance(value, bool):
        return value
    elif isinstance(value, Integral):
        if abs(int(value)) <= LATEST_NS:
            return int(value)
    elif isinstance(value, Real) and math.isfinite(value):
        return float(value)
    raise BadInput(
        f"parameter {name} = {str(value)[:80]!r}",
        allowed="a finite number of at most 64 bits, true, false, or a text of at most 80 bytes",
    )


def positive(value: str | Decimal, name: str) -> Decimal:
    """Read a number greater than zero.

    Raises:
        BadInput: it is not one.
    """
    try:
        number = parse_decimal(str(value), name)
    except DecodeError as error:
        raise BadInput(str(error), allowed="a decimal number greater than 0") from error
    if number <= 0:
        raise BadInput(f"{name} {value} is not greater than 0")
    return number
