"""OKX's answers and events, from bytes to facts. No socket, no clock, no state."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from citadel_micro.adapters.okx.codes import key_refused
from citadel_micro.core.model.exact_fill import in_units, whole_lots
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.facts import (
    Anomaly,
    BalanceFact,
    OrderFact,
    StreamEnds,
    TradeFact,
)
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.facts import Fact, OrderStanding

ZERO: Final = Decimal(0)
STANDINGS: Final[Mapping[str, OrderStanding]] = {
    "live": "open",
    "partially_filled": "open",
    "filled": "filled",
    "canceled": "canceled",
    "mmp_canceled": "canceled",
}
POST_ONLY: Final = "31"
"""``cancelSource`` of a post-only order that would have taken liquidity."""
AMENDED: Final = frozenset({"0", "2"})
"""``amendResult`` of a change that was made, at our request or by the venue itself."""
_SOURCES: Final[Mapping[str, str]] = {
    "0": "canceled by the venue",
    "3": "canceled by risk control",
    "13": "it could not be filled as a whole",
    "14": "the rest of an immediate order",
    "15": "its price was beyond the limit",
    "20": "canceled by cancel-all-after",
    POST_ONLY: "post-only, and it would have taken",
    "32": "it met another order of the account",
}


LIQUIDATED: Final = "okx-liquidation-"
DELEVERAGED: Final = "okx-adl-"
"""How we name the venue's own orders against a position, which have no name."""
_CATEGORIES: Final[Mapping[str, str]] = {
    "full_liquidation": LIQUIDATED,
    "partial_liquidation": LIQUIDATED,
    "adl": DELEVERAGED,
}
_SUBTYPES: Final[Mapping[str, str]] = {
    **{str(number): LIQUIDATED for number in range(100, 108)},
    **{str(number): DELEVERAGED for number in range(125, 129)},
}
"""``subType`` of a fill -> the same."""


class OrderRow(msgspec.Struct, kw_only=True):
    """An order, of queries and of its channel; numbers are texts, empty for none."""

    instId: str  # noqa: N815 - the venue's names, here and below
    ordId: str  # noqa: N815
    clOrdId: str = ""  # noqa: N815
    state: str
    side: str = ""
    px: str = ""
    sz: str
    accFillSz: str  # noqa: N815
    tgtCcy: str = ""  # noqa: N815
    cancelSource: str = ""  # noqa: N815
    category: str = ""
    amendResult: str = ""  # noqa: N815
    uTime: str  # noqa: N815
    tradeId: str = ""  # noqa: N815
    fillPx: str = ""  # noqa: N815
    fillSz: str = ""  # noqa: N815
    fillFee: str = ""  # noqa: N815
    fillFeeCcy: str = ""  # noqa: N815
    fillTime: str = ""  # noqa: N815
    execType: str = ""  # noqa: N815


class FillRow(msgspec.Struct, kw_only=True):
    """One of ``trade/fills``, with the client id of its order."""

    instId: str  # noqa: N815
    ordId: str  # noqa: N815
    clOrdId: str = ""  # noqa: N815
    tradeId: str  # noqa: N815
    billId: str  # noqa: N815
    side: Literal["buy", "sell"]
    fillPx: str  # noqa: N815
    fillSz: str  # noqa: N815
    fee: str
    feeCcy: str  # noqa: N815
    execType: str  # noqa: N815
    subType: str = ""  # noqa: N815
    ts: str


class BalanceRow(msgspec.Struct, kw_only=True):
    """One currency of the trading account."""

    ccy: str
    cashBal: str  # noqa: N815
    availBal: str  # noqa: N815
    uTime: str = "0"  # noqa: N815

    def parts(self) -> tuple[str, Decimal, Decimal]:
        """Currency, free, and in orders."""
        free = amount(self.availBal)
        return self.ccy, free, amount(self.cashBal) - free


class AccountRow(msgspec.Struct, kw_only=True):
    """The trading account."""

    details: list[BalanceRow]
    uTime: str = "0"  # noqa: N815


class ConfigRow(msgspec.Struct, kw_only=True):
    """``account/config``: the account's modes, and what the key may do."""

    uid: str
    acctLv: str  # noqa: N815
    posMode: str  # noqa: N815
    perm: str = ""
    ip: str = ""
    autoLoan: bool = False  # noqa: N815
    enableSpotBorrow: bool = False  # noqa: N815


class Ack(msgspec.Struct):
    """One order's part of the answer to a place, a cancel or an amend."""

    ordId: str  # noqa: N815
    clOrdId: str = ""  # noqa: N815


class _Arg(msgspec.Struct):
    channel: str = ""


class _Frame(msgspec.Struct):
    arg: _Arg = msgspec.field(default_factory=_Arg)
    event: str = ""
    code: str = ""
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


_frame: Final = msgspec.json.Decoder(_Frame).decode
_orders: Final = msgspec.json.Decoder(list[OrderRow]).decode
_accounts: Final = msgspec.json.Decoder(list[AccountRow]).decode


class OkxReader:
    """Decodes the venue's messages about the orders of some instruments.

    Args:
        instruments: by unified symbol.
        ours: our client id of the venue's form.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        ours: Callable[[str], str] = lambda client_id: client_id,
    ) -> None:
        self._rules = {each.venue_symbol: each for each in instruments.values()}
        self.ours = ours

    def order(self, row: OrderRow) -> OrderFact | Anomaly | None:
        """State of an order; None for an instrument that is not one of ours.

        Raises:
            VenueViolation: a number is none, or no whole number of lots is filled.
        """
        rules = self._rules.get(row.instId)
        if rules is None:
            return None
        client_id = self._name(row.clOrdId, _CATEGORIES.get(row.category), row.ordId)
        standing = STANDINGS.get(row.state)
        if standing is None:
            text = f"order {row.ordId} has the state {row.state!r}"
            return Anomaly(symbol=rules.symbol, client_id=client_id, text=text)
        # The size of others' market orders may be an amount of quote currency.
        size = ZERO if row.tgtCcy == "quote_ccy" else amount(row.sz)
        return OrderFact(
            symbol=rules.symbol,
            client_id=client_id,
            venue_order_id=row.ordId,
            standing=standing,
            price_ticks=rules.ticks(amount(row.px), "nearest"),
            quantity_lots=rules.lots(size),
            cumulative_lots=whole_lots(rules, amount(row.accFillSz)),
            exchange_ns=millis(row.uTime),
            reason=_SOURCES.get(row.cancelSource, ""),
        )

    def _name(self, told: str, forced: str | None, order_id: str) -> str:
        """Our id of an order, or the name that we give to one of the venue's own."""
        return f"{forced}{order_id}" if forced is not None and not told else self.ours(told)

    def fill(self, row: FillRow) -> TradeFact | None:
        """One of ``trade/fills``. Raises as ``order``."""
        rules = self._rules.get(row.instId)
        if rules is None:
            return None
        return TradeFact(
            symbol=rules.symbol,
            client_id=self._name(row.clOrdId, _SUBTYPES.get(row.subType), row.ordId),
            venue_order_id=row.ordId,
            trade_id=row.tradeId,
            **in_units(rules, amount(row.fillPx), amount(row.fillSz)),
            cumulative_lots=-1,
            fee=-amount(row.fee),
            fee_currency=row.feeCcy,
            liquidity="maker" if row.execType == "M" else "taker",
            exchange_ns=millis(row.ts),
        )

    # the stream

    def event(self, data: bytes) -> list[Fact]:
        """A frame that is not an answer."""
        try:
            frame = _frame(data)
            if frame.event:
                return _said(frame)
            if frame.arg.channel == "orders":
                return [fact for row in _orders(frame.data) for fact in self._pushed(row)]
            if frame.arg.channel == "account":
                return [_balances(row) for row in _accounts(frame.data)]
        except (msgspec.MsgspecError, VenueViolation) as error:
            # An unreadable event: from here on our state of the orders is uncertain.
            text = f"a frame of the stream is not understood: {error}"
            return [StreamEnds(reason=text, blind=True)]
        return []

    def _pushed(self, row: OrderRow) -> list[Fact]:
        """One push: the order's state, and the fill that it reports."""
        fact = self.order(row)
        if fact is None:
            return []
        if isinstance(fact, Anomaly):
            return [fact]
        facts: list[Fact] = []
        if row.tradeId and amount(row.fillSz):
            rules = self._rules[row.instId]
            facts.append(
                TradeFact(
                    symbol=fact.symbol,
                    client_id=fact.client_id,
                    venue_order_id=fact.venue_order_id,
                    trade_id=row.tradeId,
                    **in_units(rules, amount(row.fillPx), amount(row.fillSz)),
                    cumulative_lots=fact.cumulative_lots,
                    fee=-amount(row.fillFee),
                    fee_currency=row.fillFeeCcy or rules.quote,
                    liquidity="maker" if row.execType == "M" else "taker",
                    exchange_ns=millis(row.fillTime or row.uTime),
                )
            )
        refused = row.cancelSource == POST_ONLY and not fact.cumulative_lots
        if refused and fact.standing == "canceled":
            # It was acknowledged, and never rested: to the engine it was rejected.
            fact = replace(fact, standing="rejected", code="POST_ONLY")
        elif row.amendResult in AMENDED and fact.standing == "open":
            fact = replace(fact, amended=True)
        return [*facts, fact]


def _balances(row: AccountRow) -> BalanceFact:
    stamps = [row.uTime, *(each.uTime for each in row.details)]
    return BalanceFact(
        balances=tuple(each.parts() for each in row.details),
        exchange_ns=max(millis(stamp) for stamp in stamps),
    )


def _said(frame: _Frame) -> list[Fact]:
    text = f"{frame.code} {frame.msg}".strip()
    if frame.event == "notice":
        return [StreamEnds(reason=text, blind=False)]
    if frame.event == "error":
        return [StreamEnds(reason=text, blind=True, key=key_refused(frame.code))]
    return []


def amount(text: str) -> Decimal:
    """A number; 0 for an empty text. Raises VenueViolation for what is none."""
    if not text:
        return ZERO
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise VenueViolation(f"{text!r} is not a number") from None
    if not value.is_finite():
        raise VenueViolation(f"{text!r} is not a number")
    return value


def millis(text: str) -> int:
    """A time in ns. Raises VenueViolation for what is none."""
    if not text.isdecimal():
        raise VenueViolation(f"{text!r} is not a time in milliseconds")
    return int(text) * MS
