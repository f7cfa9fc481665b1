"""Kraken's answers and private channels, from bytes to facts. No socket and no clock.

Reports of v2 tell only what has changed: an order's pair, name and price come with its first report
and in the snapshot, so they are remembered by its id.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.kraken.holdings import Holdings
from citadel_micro.core.model.exact_fill import in_units, whole_lots
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.marketdata.decode import iso_ns
from citadel_micro.shell.venue.facts import (
    Anomaly,
    OrderFact,
    StreamAlive,
    StreamEnds,
    TradeFact,
)
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.venue.facts import Fact, OrderStanding
    from citadel_micro.shell.venue.order_ids import OrderIds

ZERO: Final = Decimal(0)
NS: Final = 1_000_000_000
MOST_KNOWN: Final = 5_000
STANDINGS: Final[Mapping[str, OrderStanding]] = {
    "pending_new": "open",
    "pending": "open",
    "new": "open",
    "open": "open",
    "partially_filled": "open",
    "filled": "filled",
    "closed": "filled",
    "canceled": "canceled",
    "expired": "expired",
}
"""Of v2, and of REST."""
_QUIET: Final = frozenset({"pending_new", "iceberg_refill", "status"})
"""Reports that say nothing certain: the order may still be refused, or nothing of it has changed."""
_LEAVING: Final = frozenset({"maintenance"})


class _Fee(msgspec.Struct):
    asset: str
    qty: Decimal


class _Row(msgspec.Struct):
    order_id: str = ""
    exec_type: str = ""
    order_status: str = ""
    timestamp: str = ""
    symbol: str = ""
    side: str = ""
    cl_ord_id: str = ""
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    cum_qty: Decimal | None = None
    exec_id: str = ""
    last_qty: Decimal | None = None
    last_price: Decimal | None = None
    liquidity_ind: str = ""
    fees: list[_Fee] = []
    reason: str = ""


class _Entry(msgspec.Struct):
    asset: str
    balance: Decimal
    timestamp: str = ""


class _Status(msgspec.Struct):
    system: str = ""


class _Head(msgspec.Struct):
    channel: str = ""
    type: str = "update"
    data: msgspec.Raw = msgspec.Raw(b"[]")


class Description(msgspec.Struct):
    """``descr`` of an order in REST."""

    pair: str = ""
    type: str = ""
    price: str = ""
    """No number of a trailing stop, which is never ours."""


class OrderRow(msgspec.Struct):
    """An order of OpenOrders, ClosedOrders and QueryOrders."""

    status: str
    descr: Description
    vol: Decimal
    vol_exec: Decimal
    opentm: Decimal = ZERO
    closetm: Decimal = ZERO
    cl_ord_id: str | None = None
    reason: str | None = None
    trades: list[str] = []


class TradeRow(msgspec.Struct):
    """A trade of TradesHistory and QueryTrades."""

    ordertxid: str
    pair: str
    time: Decimal
    type: str
    price: Decimal
    vol: Decimal
    fee: Decimal
    maker: bool = False
    trade_id: int = 0
    """Of the market: rises."""


class Held(msgspec.Struct):
    """One asset of BalanceEx."""

    balance: Decimal
    hold_trade: Decimal = ZERO


@dataclass(slots=True)
class _Known:
    """What earlier reports have said of an order."""

    rules: Instrument
    side: str = ""
    client_id: str = ""
    price: Decimal = ZERO
    quantity: Decimal = ZERO
    filled: Decimal = ZERO


_head: Final = msgspec.json.Decoder(_Head).decode
_rows: Final = msgspec.json.Decoder(list[_Row]).decode
_entries: Final = msgspec.json.Decoder(list[_Entry]).decode
_statuses: Final = msgspec.json.Decoder(list[_Status]).decode


class KrakenReader:
    """Decodes the venue's messages about the orders of some instruments.

    Args:
        instruments: by unified symbol.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._rules = {each.venue_symbol: each for each in instruments.values()}
        self._pairs = {pair_name(each): each for each in instruments.values()}
        self._orders: OrderedDict[str, _Known] = OrderedDict()
        self.holdings = Holdings()
        self.ids: OrderIds | None = None
        """Which orders are ours."""

    # the private channels

    def event(self, data: bytes) -> list[Fact]:
        """A frame that answers nothing."""
        try:
            head = _head(data)
            if head.channel == "executions":
                return self._executions(_rows(head.data), snapshot=head.type == "snapshot")
            if head.channel == "balances":
                return self._balances(_entries(head.data), snapshot=head.type == "snapshot")
            if head.channel == "status":
                states = [each.system for each in _statuses(head.data)]
                if any(each in _LEAVING for each in states):
                    return [StreamEnds(reason="the venue goes into maintenance", blind=True)]
        except (msgspec.MsgspecError, VenueViolation, ValueError) as error:
            # An unreadable event: from here on our state of the orders is uncertain.
            return [
                StreamEnds(reason=f"a frame of the stream is not understood: {error}", blind=True)
            ]
        return []

    def _executions(self, rows: list[_Row], *, snapshot: bool) -> list[Fact]:
        facts: list[Fact] = []
        if snapshot:
            self.holdings.restart()
        for row in rows:
            known = self._known(row)
            if known is None:
                facts.append(StreamAlive(exchange_ns=_ns(row.timestamp)))
                continue
            told = [] if snapshot else self._report(row, known)
            standing = STANDINGS.get(row.order_status, "open")
            left = known.quantity - known.filled if standing == "open" else ZERO
            changed = self.holdings.order(row.order_id, known.rules, known.side, left, known.price)
            facts += told
            if changed:
                facts += self.holdings.fact(changed)
        return facts

    def _known(self, row: _Row) -> _Known | None:
        """What is known of a row's order, with what the row says; None where that is not ours to know."""
        known = self._orders.get(row.order_id)
        if known is None:
            rules = self._rules.get(row.symbol) if row.symbol else self._owned(row.order_id)
            if rules is None:
                return None
            known = self._orders[row.order_id] = _Known(rules)
            while len(self._orders) > MOST_KNOWN:
                self._orders.popitem(last=False)
        known.side = row.side or known.side
        known.client_id = row.cl_ord_id or known.client_id
        known.price = known.price if row.limit_price is None else row.limit_price
        known.quantity = known.quantity if row.order_qty is None else row.order_qty
        if row.cum_qty is not None:
            known.filled = max(known.filled, row.cum_qty)
        return known

    def _owned(self, order_id: str) -> Instrument | None:
        """The instrument of an order of ours whose first report this connection has not seen."""
        if self.ids is None:
            return None
        for rules in self._rules.values():
            if self.ids.owner(rules.symbol, order_id) is not None:
                return rules
        return None

    def rules_of(self, order_id: str, venue_symbol: str, client_id: str) -> Instrument | None:
        """The instrument of an order, by whatever is known of it."""
        if venue_symbol:
            return self._rules.get(venue_symbol)
        known = self._orders.get(order_id)
        if known is not None:
            return known.rules
        order = None if self.ids is None else self.ids.find(client_id)
        if order is not None:
            return next((r for r in self._rules.values() if r.symbol == order.symbol), None)
        return self._owned(order_id)

    def name(self, theirs: str) -> str:
        """Our client id of the venue's form of it."""
        return theirs if self.ids is None or not theirs else self.ids.ours(theirs)

    def _report(self, row: _Row, known: _Known) -> list[Fact]:
        rules, client_id = known.rules, self.name(known.client_id)
        stamp = _ns(row.timestamp)
        standing = STANDINGS.get(row.order_status)
        if standing is None:
            text = f"order {row.order_id} has the status {row.order_status!r}"
            return [Anomaly(symbol=rules.symbol, client_id=client_id, text=text)]
        if row.exec_type in _QUIET:
            return [StreamAlive(exchange_ns=stamp)]
        if row.exec_type == "trade":
            return [self._trade(row, known, client_id, stamp)]
        if not known.quantity and row.exec_type == "new":
            # Its first report was on an earlier connection: it is there, and no more is known.
            return [StreamAlive(exchange_ns=stamp)]
        total = row.cum_qty
        return [
            OrderFact(
                symbol=rules.symbol,
                client_id=client_id,
                venue_order_id=row.order_id,
                standing=standing,
                price_ticks=rules.ticks(known.price, "nearest"),
                quantity_lots=rules.lots(known.quantity),
                cumulative_lots=-1 if total is None else whole_lots(rules, total),
                exchange_ns=stamp,
                reason=row.reason,
                amended=row.exec_type == "amended",
            )
        ]

    @staticmethod
    def _trade(row: _Row, known: _Known, client_id: str, stamp: int) -> TradeFact:
        rules = known.rules
        if row.last_qty is None or row.last_price is None or not row.exec_id:
            raise VenueViolation(f"a trade of order {row.order_id} without price, size or id")
        fee, currency = ZERO, rules.quote
        for each in row.fees:
            fee, currency = fee + each.qty, each.asset
        total = row.cum_qty
        return TradeFact(
            symbol=rules.symbol,
            client_id=client_id,
            venue_order_id=row.order_id,
            trade_id=row.exec_id,
            **in_units(rules, row.last_price, row.last_qty),
            cumulative_lots=-1 if total is None else whole_lots(rules, total),
            fee=fee,
            fee_currency=currency,
            liquidity="maker" if row.liquidity_ind == "m" else "taker",
            exchange_ns=stamp,
        )

    def _balances(self, entries: list[_Entry], *, snapshot: bool) -> list[Fact]:
        """A snapshot has no time: totals as of one come with the account, which is asked for."""
        facts: list[Fact] = []
        for each in [] if snapshot else entries:
            stamp = _ns(each.timestamp)
            self.holdings.stated([(each.asset, each.balance)], stamp)
            facts += [StreamAlive(exchange_ns=stamp), *self.holdings.fact(each.asset)]
        return facts

    # answers of REST

    def symbol_of(self, pair: str) -> str:
        """The unified symbol of a pair of REST; empty for one that is not ours."""
        rules = self._pairs.get(pair)
        return "" if rules is None else rules.symbol

    def order(self, order_id: str, row: OrderRow) -> OrderFact | Anomaly | None:
        """State of an order; None for a pair that is not one of ours."""
        rules = self._pairs.get(row.descr.pair)
        if rules is None:
            return None
        client_id = self.name(row.cl_ord_id or "")
        standing = STANDINGS.get(row.status)
        if standing is None:
            text = f"order {order_id} has the status {row.status!r}"
            return Anomaly(symbol=rules.symbol, client_id=client_id, text=text)
        try:
            price = Decimal(row.descr.price or 0)
        except InvalidOperation:
            price = ZERO
        return OrderFact(
            symbol=rules.symbol,
            client_id=client_id,
            venue_order_id=order_id,
            standing=standing,
            price_ticks=rules.ticks(price, "nearest"),
            quantity_lots=rules.lots(row.vol),
            cumulative_lots=whole_lots(rules, row.vol_exec),
            exchange_ns=int((row.closetm or row.opentm) * NS),
            reason=row.reason or "",
        )

    def trade(self, trade_id: str, row: TradeRow) -> TradeFact | None:
        """One trade; the fee is in the quote currency, as every order of ours asks for."""
        rules = self._pairs.get(row.pair)
        if rules is None:
            return None
        return TradeFact(
            symbol=rules.symbol,
            client_id="",
            venue_order_id=row.ordertxid,
            trade_id=trade_id,
            **in_units(rules, row.price, row.vol),
            cumulative_lots=-1,
            fee=row.fee,
            fee_currency=rules.quote,
            liquidity="maker" if row.maker else "taker",
            exchange_ns=int(row.time * NS),
        )


_SHORT: Final = {"BTC": "XBT", "DOGE": "XDG"}
_COINS: Final = {"XBT": "BTC", "XDG": "DOGE"}
_CLASSED: Final = 4
"""Old assets have a letter of their class in front: XXBT, ZUSD."""


def pair_name(rules: Instrument) -> str:
    """The pair as REST writes it: ``XBTUSDT``."""
    return _SHORT.get(rules.base, rules.base) + _SHORT.get(rules.quote, rules.quote)


def coin_of(asset: str) -> str:
    """The currency of an asset of REST: BTC of ``XXBT``, USD of ``ZUSD``."""
    plain = asset
    if len(asset) == _CLASSED and asset[0] in "XZ" and "." not in asset:
        plain = asset[1:]
    return _COINS.get(plain, plain)


def _ns(text: str) -> int:
    return iso_ns(text) if text else 0
