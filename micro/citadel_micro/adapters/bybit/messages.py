"""Bybit's answers and events, from bytes to facts. No socket, no clock, no state.

Rows of orders and executions are the same over REST and on the private stream.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from citadel_micro.adapters.bybit.codes import NO_ERROR, WOULD_TAKE, reject_code
from citadel_micro.adapters.bybit.requests import SPOT
from citadel_micro.core.model.exact_fill import in_units, whole_lots
from citadel_micro.shell.venue.dialect import OwnedTrade
from citadel_micro.shell.venue.facts import (
    Anomaly,
    BalanceFact,
    OrderFact,
    RequestAccepted,
    StreamAlive,
    StreamEnds,
    TradeFact,
)
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.facts import Fact, OrderStanding

MS_NS: Final = 1_000_000
ZERO: Final = Decimal(0)
STANDINGS: Final[Mapping[str, OrderStanding]] = {
    "Created": "open",
    "New": "open",
    "PartiallyFilled": "open",
    "Untriggered": "open",
    "Triggered": "open",
    "Active": "open",
    "PendingCancel": "open",
    "Filled": "filled",
    "Cancelled": "canceled",
    "PartiallyFilledCanceled": "canceled",
    "Deactivated": "canceled",
    "Rejected": "rejected",
}
FORCED: Final[Mapping[str, str]] = {
    "BustTrade": "bybit-liquidation-",
    "AdlTrade": "bybit-adl-",
    "Settle": "bybit-settlement-",
    "Delivery": "bybit-settlement-",
}
"""``execType`` -> how we name the venue's own orders against a position, which have no name."""
_CREATED: Final[Mapping[str, str]] = {
    "CreateByLiq": FORCED["BustTrade"],
    "CreateByTakeOver_PassThrough": FORCED["BustTrade"],
    "CreateByAdl_PassThrough": FORCED["AdlTrade"],
    "CreateBySettle": FORCED["Settle"],
}
"""``createType`` -> the same."""
FUNDING: Final = "Funding"
_IMMEDIATE: Final = frozenset({"IOC", "FOK"})
TRADE: Final = "Trade"


class ExtraFee(msgspec.Struct, rename="camel"):
    """A tax or levy beside the fee, in some countries."""

    fee_coin: str = ""
    fee: str = "0"


class Order(msgspec.Struct, rename="camel"):
    """An order. Numbers are texts, and empty where they do not apply."""

    symbol: str
    order_id: str
    order_status: str
    side: str = ""
    order_link_id: str = ""
    price: str = ""
    qty: str = ""
    cum_exec_qty: str = ""
    time_in_force: str = ""
    cancel_type: str = ""
    reject_reason: str = NO_ERROR
    updated_time: str = "0"
    create_type: str = ""
    category: str = ""


class Execution(msgspec.Struct, rename="camel"):
    """A fill."""

    symbol: str
    order_id: str
    exec_id: str
    exec_price: str
    exec_qty: str
    exec_fee: str
    exec_time: str
    side: Literal["Buy", "Sell"]
    is_maker: bool
    exec_type: str = TRADE
    order_link_id: str = ""
    fee_coin: str = ""
    fee_currency: str = ""
    extra_fees: list[ExtraFee] | str = ""
    category: str = ""


class Coin(msgspec.Struct, rename="camel"):
    """One currency of a unified account."""

    coin: str
    wallet_balance: str
    locked: str = "0"
    total_order_im: str = msgspec.field(default="0", name="totalOrderIM")
    total_position_im: str = msgspec.field(default="0", name="totalPositionIM")


class Wallet(msgspec.Struct, rename="camel"):
    """An account."""

    account_type: str
    coin: list[Coin]


class Named(msgspec.Struct, rename="camel"):
    """What an order's request is answered with: only ids."""

    order_id: str
    order_link_id: str = ""


class _Frame(msgspec.Struct, rename="camel"):
    topic: str = ""
    op: str = ""
    creation_time: int = 0
    data: msgspec.Raw = msgspec.Raw(b"[]")


_frame: Final = msgspec.json.Decoder(_Frame).decode
_orders: Final = msgspec.json.Decoder(list[Order]).decode
_executions: Final = msgspec.json.Decoder(list[Execution]).decode
_wallets: Final = msgspec.json.Decoder(list[Wallet]).decode


def number(text: str) -> Decimal:
    """A number; 0 for an empty text. Raises VenueViolation for what is none."""
    try:
        value = Decimal(text) if text else ZERO
    except InvalidOperation:
        raise VenueViolation(f"{text!r} is no number") from None
    if not value.is_finite():
        raise VenueViolation(f"{text} is no number")
    return value


def balances(wallets: Iterable[Wallet]) -> tuple[tuple[str, Decimal, Decimal], ...]:
    """(currency, free, used) of every currency that is named."""
    rows = []
    for wallet in wallets:
        if wallet.account_type != "UNIFIED":
            raise VenueViolation(f"a wallet of kind {wallet.account_type}")
        for each in wallet.coin:
            margin = number(each.total_order_im) + number(each.total_position_im)
            used = number(each.locked) + margin
            rows.append((each.coin, number(each.wallet_balance) - used, used))
    return tuple(rows)


class BybitReader:
    """Decodes the venue's messages about the orders of some instruments.

    Args:
        instruments: by unified symbol.
        category: of the market; rows without one, as REST has them, are of it.
    """

    def __init__(self, instruments: Mapping[str, Instrument], category: str = SPOT) -> None:
        self._category = category
        self._rules = {each.venue_symbol: each for each in instruments.values()}

    def order(self, order: Order) -> OrderFact | Anomaly | None:
        """State of an order; None for a symbol that is not one of ours. Raises VenueViolation."""
        rules = self._rules.get(order.symbol)
        if rules is None or order.category not in {"", self._category}:
            return None
        client_id = order.order_link_id
        if not client_id and order.create_type in _CREATED:
            client_id = _CREATED[order.create_type] + order.order_id
        standing = STANDINGS.get(order.order_status)
        if standing is None:
            text = f"order {order.order_id} has the status {order.order_status!r}"
            return Anomaly(symbol=rules.symbol, client_id=client_id, text=text)
        total = whole_lots(rules, number(order.cum_exec_qty))
        if standing == "rejected" and total:
            standing = "canceled"
        elif standing == "canceled" and not total and order.reject_reason == WOULD_TAKE:
            standing = "rejected"
        elif standing == "canceled" and order.time_in_force in _IMMEDIATE:
            standing = "expired"
        return OrderFact(
            symbol=rules.symbol,
            client_id=client_id,
            venue_order_id=order.order_id,
            standing=standing,
            price_ticks=rules.ticks(number(order.price), "nearest"),
            quantity_lots=rules.lots(number(order.qty)),
            cumulative_lots=total,
            exchange_ns=_ns(order.updated_time),
            reason=_reason(order),
            code=reject_code(order.reject_reason),
            shows_terms=standing != "rejected",
        )

    def trade(self, row: Execution) -> TradeFact | None:
        """A fill; None for a symbol that is not one of ours, and what is no trade.

        Raises VenueViolation: two fees in two currencies, a fraction of a lot.
        """
        rules = self._rules.get(row.symbol)
        if rules is None or row.category not in {"", self._category}:
            return None
        if row.exec_type != TRADE and row.exec_type not in FORCED:
            return None
        client_id = row.order_link_id
        if not client_id and row.exec_type in FORCED:
            client_id = FORCED[row.exec_type] + row.order_id
        fee = number(row.exec_fee)
        received = (row.side == "Buy") == (fee >= 0)  # a rebate is of the other currency
        usual = rules.base if received else rules.quote
        coin = row.fee_coin or row.fee_currency or (usual if rules.kind == "spot" else rules.settle)
        if isinstance(row.extra_fees, list):
            for extra in row.extra_fees:
                more = number(extra.fee)
                if more and extra.fee_coin != coin:
                    raise VenueViolation(
                        f"execution {row.exec_id} has fees in {coin} and {extra.fee_coin}"
                    )
                fee += more
        return TradeFact(
            symbol=rules.symbol,
            client_id=client_id,
            venue_order_id=row.order_id,
            trade_id=row.exec_id,
            **in_units(rules, number(row.exec_price), number(row.exec_qty)),
            cumulative_lots=-1,
            fee=fee,
            fee_currency=coin,
            liquidity="maker" if row.is_maker else "taker",
            exchange_ns=_ns(row.exec_time),
        )

    def owned(self, row: Execution) -> OwnedTrade | None:
        """A fill with its side, as ``trade``."""
        fact = self.trade(row)
        if fact is None:
            return None
        return OwnedTrade(fact=fact, side="buy" if row.side == "Buy" else "sell")

    # the stream

    def event(self, data: bytes) -> list[Fact]:
        """A frame of the private stream."""
        try:
            frame = _frame(data)
            topic = frame.topic.partition(".")[0]
            if topic == "order":
                return self._order_rows(_orders(frame.data), frame)
            if topic == "execution":
                trades = [self.trade(row) for row in _executions(frame.data)]
                known: list[Fact] = [each for each in trades if each is not None]
                return known or _heard(frame)
            if topic == "wallet":
                rows = balances(_wallets(frame.data))
                return [BalanceFact(balances=rows, exchange_ns=frame.creation_time * MS_NS)]
        except (msgspec.MsgspecError, VenueViolation) as error:
            # From here on our state of the orders is uncertain.
            return [
                StreamEnds(reason=f"a frame of the stream is not understood: {error}", blind=True)
            ]
        return _heard(frame) if topic else []

    def _order_rows(self, rows: Iterable[Order], frame: _Frame) -> list[Fact]:
        facts: list[Fact] = []
        for row in rows:
            fact = self.order(row)
            if fact is not None:
                facts.append(fact)
        return facts or _heard(frame)


def taken(order: Named, *, closed: bool) -> RequestAccepted:
    """What an answer without an error says: the outcome comes on the stream."""
    return RequestAccepted(venue_order_id=order.order_id, closed=closed)


def _reason(order: Order) -> str:
    if order.reject_reason != NO_ERROR:
        return order.reject_reason
    return "" if order.cancel_type in {"", "UNKNOWN", "CancelByUser"} else order.cancel_type


def _ns(text: str) -> int:
    if not text.isdecimal():
        raise VenueViolation(f"{text!r} is no time")
    return int(text) * MS_NS


def _heard(frame: _Frame) -> list[Fact]:
    return [StreamAlive(exchange_ns=frame.creation_time * MS_NS)]
