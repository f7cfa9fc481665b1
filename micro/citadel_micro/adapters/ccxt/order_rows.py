"""ccxt's orders, trades and balances as exact text, and that text as facts.

A session writes rows, a dialect reads them: between the two is one kind of frame for answers and
stream alike. ccxt's own structures: its manual, "Order Structure" and "Trade Structure".
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from citadel_micro.adapters.ccxt.instruments import Unusable, exact
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
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.facts import Fact, OrderStanding

MS_NS: Final = 1_000_000
STANDINGS: Final[Mapping[str, OrderStanding]] = {
    "open": "open",
    "canceling": "open",
    "closed": "filled",
    "canceled": "canceled",
    "expired": "expired",
    "rejected": "rejected",
}
"""ccxt's unified status. Any other is one of the venue's own, and not known here."""


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One order. Numbers are decimal text, empty where ccxt has none."""

    id: str
    name: str = ""
    """Client order id, as the venue writes it."""
    symbol: str
    side: str = ""
    status: str = ""
    price: str = ""
    amount: str = ""
    filled: str = ""
    stamp_ms: int = 0


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One fill of the account."""

    id: str
    order: str
    symbol: str
    side: str
    price: str
    amount: str
    fee: str = ""
    fee_currency: str = ""
    maker: bool = False
    stamp_ms: int = 0


RowT = TypeVar("RowT", OrderRow, TradeRow)


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session passes on: an answer, or news of the account."""

    orders: tuple[OrderRow, ...] = ()
    trades: tuple[TradeRow, ...] = ()
    balances: tuple[tuple[str, str, str], ...] = ()
    """(currency, free, used)."""
    stamp_ms: int = 0
    error: str = ""
    """ccxt's name of the error, where a request has failed."""
    text: str = ""
    left: bool = False
    """Of an error: a request had been sent by then."""
    ends: str = ""
    """A message could not be read: the stream is blind from here on, and why."""


def text(value: object, what: str) -> str:
    """A number as the venue wrote it. Raises VenueViolation for what is no exact number."""
    try:
        number = exact(value, what)
    except Unusable as why:
        raise VenueViolation(str(why)) from None
    return "" if number is None else f"{number:f}"


def order_row(raw: Mapping[str, Any], symbol: str = "") -> OrderRow:
    """One of ccxt's orders. Raises VenueViolation where it has no id or no numbers."""
    order_id = raw.get("id")
    if order_id in (None, ""):
        raise VenueViolation("an order without an id")
    stamp = raw.get("lastUpdateTimestamp") or raw.get("timestamp") or 0
    return OrderRow(
        id=str(order_id),
        name=str(raw.get("clientOrderId") or ""),
        symbol=str(raw.get("symbol") or symbol),
        side=str(raw.get("side") or ""),
        status=str(raw.get("status") or ""),
        price=text(raw.get("price"), "price"),
        amount=text(raw.get("amount"), "amount"),
        filled=text(raw.get("filled"), "filled"),
        stamp_ms=int(stamp),
    )


def trade_row(raw: Mapping[str, Any], symbol: str = "") -> TradeRow:
    """One of ccxt's trades. Raises VenueViolation where anything but the fee is absent."""
    fee = raw.get("fee") or {}
    several = [each for each in raw.get("fees") or () if each and each.get("cost") is not None]
    if fee.get("cost") is None and len(several) == 1:
        fee = several[0]
    elif fee.get("cost") is None and several:
        raise VenueViolation(f"trade {raw.get('id')} has fees in {len(several)} currencies")
    for name in ("id", "order", "side", "price", "amount"):
        if raw.get(name) in (None, ""):
            raise VenueViolation(f"a trade without {name}")
    return TradeRow(
        id=str(raw["id"]),
        order=str(raw["order"]),
        symbol=str(raw.get("symbol") or symbol),
        side=str(raw["side"]),
        price=text(raw["price"], "price"),
        amount=text(raw["amount"], "amount"),
        fee=text(fee.get("cost"), "fee"),
        fee_currency=str(fee.get("currency") or ""),
        maker=raw.get("takerOrMaker") == "maker",
        stamp_ms=int(raw.get("timestamp") or 0),
    )


def balance_rows(
    raw: Mapping[str, Any], wanted: frozenset[str], *, whole: bool = True
) -> tuple[tuple[str, str, str], ...]:
    """Of ccxt's balances those in wanted currencies, and those that are not 0.

    Args:
        raw: ccxt's structure.
        wanted: told though they are 0.
        whole: it is of the whole account, so what is absent is 0.

    Raises:
        VenueViolation: a balance is told without what is free or used of it.
    """
    rows = []
    for currency in sorted({*wanted, *(raw.get("total") or {})}):
        each = raw.get(currency) or {}
        if not each and not whole:
            continue
        free, used, total = (text(each.get(name), name) for name in ("free", "used", "total"))
        if each and total and not used and free:
            used = f"{Decimal(total) - Decimal(free):f}"
        if each and (not free or not used):
            if not total or not Decimal(total):
                continue
            raise VenueViolation(f"{currency}: neither free nor used is told of {total}")
        if currency in wanted or any(number and Decimal(number) for number in (free, used)):
            rows.append((currency, free or "0", used or "0"))
    return tuple(rows)


def oldest_first(rows: Iterable[RowT]) -> tuple[RowT, ...]:
    """Rows by their time."""
    return tuple(sorted(rows, key=lambda each: (each.stamp_ms, each.id)))


class RowReader:
    """Rows to facts.

    Args:
        rules: by unified symbol; rows of other symbols are of no interest.
        ours: our name of a client order id in the venue's form.
    """

    def __init__(self, rules: Mapping[str, Instrument], ours: Callable[[str], str]) -> None:
        self._rules = rules
        self._ours = ours

    def facts(self, frame: Frame) -> list[Fact]:
        """Fills before states: an end with a total beyond them would be queried again."""
        if frame.ends:
            return [StreamEnds(reason=frame.ends, blind=True)]
        facts: list[Fact] = []
        try:
            for trade in frame.trades:
                filled = self.trade(trade)
                facts += [] if filled is None else [filled]
            for order in frame.orders:
                told = self.order(order)
                facts += [] if told is None else [told]
            if frame.balances:
                facts.append(
                    BalanceFact(
                        balances=tuple((c, Decimal(f), Decimal(u)) for c, f, u in frame.balances),
                        exchange_ns=frame.stamp_ms * MS_NS,
                    )
                )
        except VenueViolation as error:
            return [StreamEnds(reason=f"a statement is not understood: {error}", blind=True)]
        return facts or [StreamAlive(exchange_ns=frame.stamp_ms * MS_NS)]

    def order(self, row: OrderRow, *, standing: str = "") -> OrderFact | Anomaly | None:
        """The state of an order; None where it is of another symbol, or says nothing.

        Args:
            row: the order.
            standing: where the venue gives none.

        Raises:
            VenueViolation: a filled quantity is no whole number of lots.
        """
        rules = self._rules.get(row.symbol)
        status = row.status or standing
        if rules is None or not status:
            return None
        name = self._ours(row.name) if row.name else ""
        known = STANDINGS.get(status)
        if known is None:
            what = f"order {row.id} has the status {row.status!r}"
            return Anomaly(symbol=row.symbol, client_id=name, text=what)
        lots = rules.lots(Decimal(row.amount)) if row.amount else 0
        filled = whole_lots(rules, Decimal(row.filled)) if row.filled else -1
        if known == "filled" and filled < 0:
            filled = lots
        elif known in ("canceled", "expired") and filled < 0:
            return None  # an end without a total: the engine asks
        elif known == "filled" and filled < lots:
            known = "canceled"  # "closed" is what ccxt calls any end at some venues
        return OrderFact(
            symbol=row.symbol,
            client_id=name,
            venue_order_id=row.id,
            standing=known,
            price_ticks=rules.ticks(Decimal(row.price), "nearest") if row.price else 0,
            quantity_lots=lots,
            cumulative_lots=filled,
            exchange_ns=row.stamp_ms * MS_NS,
        )

    def trade(self, row: TradeRow) -> TradeFact | None:
        """A fill; None where it is of another symbol. Raises as ``order``."""
        rules = self._rules.get(row.symbol)
        if rules is None:
            return None
        return TradeFact(
            symbol=row.symbol,
            client_id="",
            venue_order_id=row.order,
            trade_id=row.id,
            **in_units(rules, Decimal(row.price), Decimal(row.amount)),
            cumulative_lots=-1,
            fee=Decimal(row.fee or 0),
            fee_currency=row.fee_currency or rules.quote,
            liquidity="maker" if row.maker else "taker",
            exchange_ns=row.stamp_ms * MS_NS,
        )
