"""Binance USD-M's answers and events, from bytes to facts. No socket, no clock, no state."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.error_codes import reject_code
from citadel_micro.adapters.binance.spot_messages import (
    STANDINGS,
    ZERO,
    SpotReader,
    Trade,
)
from citadel_micro.core.model.account_events import FundingPayment
from citadel_micro.core.model.events import MarkPrice
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
    from citadel_micro.shell.venue.facts import Fact

MS_NS: Final = 1_000_000
FUNDING: Final = "FUNDING_FEE"
_FILLS: Final = frozenset({"TRADE", "CALCULATED"})
"""CALCULATED: by liquidation."""


class UsdmTrade(msgspec.Struct, rename="camel"):
    """One of ``userTrades``, which has no client order id."""

    id: int
    order_id: int
    symbol: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    maker: bool
    buyer: bool

    def as_spot(self) -> Trade:
        """In the form of spot."""
        return Trade(
            id=self.id,
            order_id=self.order_id,
            symbol=self.symbol,
            price=self.price,
            qty=self.qty,
            commission=self.commission,
            commission_asset=self.commission_asset,
            time=self.time,
            is_maker=self.maker,
            is_buyer=self.buyer,
        )


class Asset(msgspec.Struct, rename="camel"):
    """One currency of the account."""

    asset: str
    wallet_balance: Decimal
    available_balance: Decimal
    update_time: int = 0


class UsdmAccount(msgspec.Struct):
    """``/fapi/v3/account``."""

    assets: list[Asset]


class PositionRisk(msgspec.Struct, rename="camel"):
    """One of ``/fapi/v3/positionRisk``."""

    symbol: str
    position_amt: Decimal
    position_side: str = "BOTH"
    isolated_wallet: Decimal = ZERO
    """0 for a cross position."""
    update_time: int = 0


class Income(msgspec.Struct, rename="camel"):
    """One of ``/fapi/v1/income``."""

    symbol: str
    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int | str

    def payment(self) -> FundingPayment:
        """In the engine's form."""
        return FundingPayment(
            payment_id=str(self.tran_id),
            amount=self.income,
            currency=self.asset,
            exchange_ns=self.time * MS_NS,
        )


class _Report(msgspec.Struct):
    """``ORDER_TRADE_UPDATE.o``; the letters are the venue's, as in spot's ``executionReport``."""

    s: str
    c: str
    q: Decimal
    p: Decimal
    x: str
    X: str
    i: int
    l: Decimal  # noqa: E741 - the venue's letter
    z: Decimal
    L: Decimal
    T: int
    n: Decimal | None = None
    N: str | None = None
    t: int = 0
    m: bool = False
    r: str = "NONE"


class _BalanceOf(msgspec.Struct):
    a: str
    wb: Decimal
    cw: Decimal


class _Update(msgspec.Struct):
    m: str = ""
    B: list[_BalanceOf] = []


class _OrderEvent(msgspec.Struct):
    o: _Report


class _AccountEvent(msgspec.Struct):
    a: _Update
    E: int
    T: int = 0


class _Mark(msgspec.Struct):
    s: str
    p: Decimal
    E: int
    i: Decimal = ZERO
    r: str = ""
    T: int = 0


class _Kind(msgspec.Struct):
    e: str = ""
    E: int = 0
    data: msgspec.Raw = msgspec.Raw()


class UsdmReader(SpotReader):
    """Decodes the venue's messages about the orders of some contracts."""

    def event(self, data: bytes) -> list[Fact]:
        """A frame of the private stream."""
        try:
            about = _kind(data)
            if about.data:
                data = bytes(about.data)
                about = _kind(data)
            if about.e == "ORDER_TRADE_UPDATE":
                return self._change(_order(data).o)
            if about.e == "ACCOUNT_UPDATE":
                update = _account(data)
                rows = tuple((each.a, each.cw, each.wb - each.cw) for each in update.a.B)
                stamp = (update.T or update.E) * MS_NS
                return [BalanceFact(balances=rows, exchange_ns=stamp)]
        except (msgspec.MsgspecError, VenueViolation) as error:
            return [
                StreamEnds(reason=f"a frame of the stream is not understood: {error}", blind=True)
            ]
        if about.e == "listenKeyExpired":
            return [StreamEnds(reason="the venue has ended the user stream", blind=True)]
        if about.e == "ACCOUNT_CONFIG_UPDATE":
            why = "leverage or mode of the account was changed by others"
            return [StreamEnds(reason=why, blind=True)]
        # TRADE_LITE among them: early, and without fee and total.
        return [StreamAlive(exchange_ns=about.E * MS_NS)]

    @staticmethod
    def funds(data: bytes) -> int:
        """Venue's time in ns of the settlement of funding that a frame reports; 0 for any other."""
        if FUNDING.encode() not in data:
            return 0
        try:
            about = _kind(data)
            update = _account(bytes(about.data) or data)
        except msgspec.MsgspecError:
            return 0
        return (update.T or update.E) * MS_NS if update.a.m == FUNDING else 0

    def mark(self, data: bytes, venue: str, now_ns: int) -> MarkPrice | None:
        """A frame of a mark price stream."""
        try:
            about = _kind(data)
            told = _mark(bytes(about.data) or data)
        except msgspec.MsgspecError:
            return None
        rules = self._rules.get(told.s)
        if rules is None:
            return None
        return MarkPrice(
            venue,
            rules.symbol,
            float(told.p),
            float(told.i),
            float(told.r or 0),
            told.T * MS_NS,
            told.E * MS_NS,
            now_ns,
        )

    def _change(self, report: _Report) -> list[Fact]:
        rules = self._rules.get(report.s)
        stamp = report.T * MS_NS
        if rules is None:
            return [StreamAlive(exchange_ns=stamp)]
        standing = STANDINGS.get(report.X)
        if standing is None:
            text = f"order {report.i} has the status {report.X!r}"
            return [Anomaly(symbol=rules.symbol, client_id=report.c, text=text)]
        total = whole_lots(rules, report.z)
        facts: list[Fact] = []
        if report.x in _FILLS and report.l:
            facts.append(
                TradeFact(
                    symbol=rules.symbol,
                    client_id=report.c,
                    venue_order_id=str(report.i),
                    trade_id=str(report.t),
                    **in_units(rules, report.L, report.l),
                    cumulative_lots=total,
                    fee=ZERO if report.n is None else report.n,
                    fee_currency=report.N or rules.settle,
                    liquidity="maker" if report.m else "taker",
                    exchange_ns=stamp,
                )
            )
        facts.append(
            OrderFact(
                symbol=rules.symbol,
                client_id=report.c,
                venue_order_id=str(report.i),
                standing=standing,
                price_ticks=rules.ticks(report.p, "nearest"),
                quantity_lots=rules.lots(report.q),
                cumulative_lots=total,
                exchange_ns=stamp,
                reason="" if report.r == "NONE" else report.r,
                code=reject_code(report.r),
                amended=report.x == "AMENDMENT" and standing == "open",
            )
        )
        return facts


_kind: Final = msgspec.json.Decoder(_Kind).decode
_order: Final = msgspec.json.Decoder(_OrderEvent).decode
_account: Final = msgspec.json.Decoder(_AccountEvent).decode
_mark: Final = msgspec.json.Decoder(_Mark).decode
