"""Binance spot's answers and events, from bytes to facts. No socket, no clock, no state."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.error_codes import KEY, reject_code
from citadel_micro.core.model.exact_fill import in_units, whole_lots
from citadel_micro.shell.venue.facts import (
    Anomaly,
    BalanceFact,
    OrderFact,
    StreamAlive,
    StreamEnds,
    TradeFact,
)
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.facts import Fact, OrderStanding

MS_NS: Final = 1_000_000
ZERO: Final = Decimal(0)
STANDINGS: Final[Mapping[str, OrderStanding]] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PARTIALLY_FILLED": "open",
    "PENDING_CANCEL": "open",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
    "REJECTED": "rejected",
}
REPLACED: Final = "REPLACED"
TRADE: Final = "TRADE"


class Fill(msgspec.Struct, rename="camel"):
    """A fill in the answer to a new order. Always a taker fill."""

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: int


class Order(msgspec.Struct, rename="camel"):
    """An order in any answer; each kind of answer has some of these."""

    symbol: str
    order_id: int
    client_order_id: str = ""
    orig_client_order_id: str = ""
    """Of a canceled one: the id that it was placed with; ``client_order_id`` is then a new one."""
    price: Decimal = ZERO
    orig_qty: Decimal = ZERO
    qty: Decimal = ZERO
    """In the answer to an amend."""
    executed_qty: Decimal | None = None
    status: str = ""
    side: str = ""
    transact_time: int = 0
    time: int = 0
    update_time: int = 0
    fills: list[Fill] = []


class Amended(msgspec.Struct, rename="camel"):
    """The answer to an amend."""

    transact_time: int
    amended_order: Order


class Trade(msgspec.Struct, rename="camel"):
    """One of ``myTrades``, which has no client order id."""

    id: int
    order_id: int
    symbol: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_maker: bool
    is_buyer: bool = False


class Balance(msgspec.Struct):
    """One currency of the account."""

    asset: str
    free: Decimal
    locked: Decimal


class Account(msgspec.Struct, rename="camel"):
    """The account."""

    balances: list[Balance]
    update_time: int = 0


class ExecutionReport(msgspec.Struct):
    """``executionReport``; the letters are the venue's."""

    s: str
    """Symbol."""
    c: str
    """Client order id; of a cancel, the cancel's own."""
    S: str
    """Side."""
    q: Decimal
    p: Decimal
    x: str
    """Execution type."""
    X: str
    """Status."""
    i: int
    """Order id."""
    l: Decimal  # noqa: E741 - the venue's letter
    """Quantity of this fill."""
    z: Decimal
    """Total filled quantity."""
    L: Decimal
    """Price of this fill."""
    T: int
    """Time of it in ms."""
    C: str | None = ""
    """The id that a canceled order was placed with."""
    r: str = "NONE"
    """Reject reason."""
    n: Decimal | None = None
    """Fee."""
    N: str | None = None
    """Its currency."""
    t: int = -1
    """Trade id."""
    m: bool = False
    """It was the maker."""
    eR: int | str = ""  # noqa: N815 - the venue's letters
    """Why it expired, where a price-range rule caused it."""


class _BalanceOf(msgspec.Struct):
    a: str
    f: Decimal
    l: Decimal  # noqa: E741 - the venue's letter


class _Position(msgspec.Struct):
    E: int
    B: list[_BalanceOf]
    u: int = 0


class _Kind(msgspec.Struct):
    e: str = ""
    E: int = 0


class _ErrorOf(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Frame(msgspec.Struct):
    event: msgspec.Raw = msgspec.Raw()
    e: str = ""
    status: int = 0
    error: _ErrorOf | None = None


class SpotReader:
    """Decodes the venue's messages about the orders of some instruments.

    Args:
        instruments: by unified symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._rules = {each.venue_symbol: each for each in instruments.values()}
        self._frame = msgspec.json.Decoder(_Frame)
        self._kind = msgspec.json.Decoder(_Kind)
        self._report = msgspec.json.Decoder(ExecutionReport)
        self._position = msgspec.json.Decoder(_Position)

    def rules(self, venue_symbol: str) -> Instrument | None:
        """The instrument of this name; None where it is not one of ours."""
        return self._rules.get(venue_symbol)

    # answers

    def order(self, order: Order) -> OrderFact | Anomaly | None:
        """State of an order; None for a symbol that is not one of ours."""
        rules = self._rules.get(order.symbol)
        if rules is None:
            return None
        client_id = order.orig_client_order_id or order.client_order_id
        # An acknowledgement without a status only says that the order was accepted.
        standing = STANDINGS.get(order.status) if order.status else "open"
        if standing is None:
            return Anomaly(
                symbol=rules.symbol,
                client_id=client_id,
                text=f"order {order.order_id} has the status {order.status!r}",
            )
        done = order.executed_qty
        stamp = order.transact_time or order.update_time or order.time
        return OrderFact(
            symbol=rules.symbol,
            client_id=client_id,
            venue_order_id=str(order.order_id),
            standing=standing,
            price_ticks=rules.ticks(order.price, "nearest"),
            quantity_lots=rules.lots(order.orig_qty or order.qty),
            cumulative_lots=-1 if done is None else whole_lots(rules, done),
            exchange_ns=stamp * MS_NS,
        )

    def placed(self, order: Order) -> list[Fact]:
        """The answer to a new order: its state, and its immediate fills."""
        fact = self.order(order)
        if fact is None:
            raise VenueViolation(f"an answer about {order.symbol}")
        if isinstance(fact, Anomaly):
            return [fact]
        rules = self._rules[order.symbol]
        facts: list[Fact] = [
            TradeFact(
                symbol=rules.symbol,
                client_id=fact.client_id,
                venue_order_id=fact.venue_order_id,
                trade_id=str(fill.trade_id),
                **in_units(rules, fill.price, fill.qty),
                cumulative_lots=-1,
                fee=fill.commission,
                fee_currency=fill.commission_asset,
                liquidity="taker",
                exchange_ns=fact.exchange_ns,
            )
            for fill in order.fills
        ]
        return [*facts, fact]

    def trade(self, trade: Trade) -> TradeFact | None:
        """One of ``myTrades``."""
        rules = self._rules.get(trade.symbol)
        if rules is None:
            return None
        return TradeFact(
            symbol=rules.symbol,
            client_id="",
            venue_order_id=str(trade.order_id),
            trade_id=str(trade.id),
            **in_units(rules, trade.price, trade.qty),
            cumulative_lots=-1,
            fee=trade.commission,
            fee_currency=trade.commission_asset,
            liquidity="maker" if trade.is_maker else "taker",
            exchange_ns=trade.time * MS_NS,
        )

    # the stream

    def event(self, data: bytes) -> list[Fact]:
        """A frame that is not an answer."""
        try:
            frame = self._frame.decode(data)
            if not frame.event:
                return _without_event(frame)
            about = self._kind.decode(frame.event)
            kind = about.e
            if kind == "executionReport":
                return self._execution(self._report.decode(frame.event))
            if kind == "outboundAccountPosition":
                position = self._position.decode(frame.event)
                balances = tuple((each.a, each.f, each.l) for each in position.B)
                stamp = position.u or position.E
                return [BalanceFact(balances=balances, exchange_ns=stamp * MS_NS)]
        except (msgspec.MsgspecError, VenueViolation) as error:
            # An unreadable event: from here on our state of the orders is uncertain.
            return [
                StreamEnds(reason=f"a frame of the stream is not understood: {error}", blind=True)
            ]
        return _ending(kind) or [StreamAlive(exchange_ns=about.E * MS_NS)]

    def _execution(self, report: ExecutionReport) -> list[Fact]:
        rules = self._rules.get(report.s)
        if rules is None:
            return [StreamAlive(exchange_ns=report.T * MS_NS)]
        client_id = report.C or report.c
        standing = STANDINGS.get(report.X)
        if standing is None:
            text = f"order {report.i} has the status {report.X!r}"
            return [Anomaly(symbol=rules.symbol, client_id=client_id, text=text)]
        total = whole_lots(rules, report.z)
        stamp = report.T * MS_NS
        facts: list[Fact] = []
        if report.x == TRADE:
            facts.append(
                TradeFact(
                    symbol=rules.symbol,
                    client_id=client_id,
                    venue_order_id=str(report.i),
                    trade_id=str(report.t),
                    **in_units(rules, report.L, report.l),
                    cumulative_lots=total,
                    fee=ZERO if report.n is None else report.n,
                    fee_currency=report.N or rules.quote,
                    liquidity="maker" if report.m else "taker",
                    exchange_ns=stamp,
                )
            )
        facts.append(
            OrderFact(
                symbol=rules.symbol,
                client_id=client_id,
                venue_order_id=str(report.i),
                standing=standing,
                price_ticks=rules.ticks(report.p, "nearest"),
                quantity_lots=rules.lots(report.q),
                cumulative_lots=total,
                exchange_ns=stamp,
                reason=_reason(report),
                code=reject_code(report.r),
                amended=report.x == REPLACED,
            )
        )
        return facts


def _reason(report: ExecutionReport) -> str:
    if report.X == "EXPIRED_IN_MATCH":
        return "it met another order of the account"
    if report.eR not in ("", 0, "0"):
        return f"expired by rule {report.eR}"
    return "" if report.r == "NONE" else report.r


def _without_event(frame: _Frame) -> list[Fact]:
    error = frame.error
    if error is not None and error.code in KEY:
        return [StreamEnds(reason=f"{error.code} {error.msg}", blind=True, key=True)]
    return _ending(frame.e)


def _ending(kind: str) -> list[Fact]:
    if kind == "eventStreamTerminated":
        return [StreamEnds(reason="the venue has ended the user stream", blind=True)]
    if kind == "serverShutdown":
        return [StreamEnds(reason="the venue's server is about to stop", blind=False)]
    return []
