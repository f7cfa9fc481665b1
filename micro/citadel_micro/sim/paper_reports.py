"""Reports of the paper venue, one function per kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

from citadel_micro.core.model.account_events import AccountTrades, FundingPayment
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelRejected,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderRejected,
    OrderState,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder, QueryOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.sim.paper_order import PaperOrder

SOURCES: Final[tuple[Literal["order", "trades"], ...]] = ("order", "trades")
"""The two endpoints that answer queries about an order."""


def accepted(venue: str, order: PaperOrder, now_ns: int) -> OrderAccepted:
    """The order is in the book, or about to match."""
    return OrderAccepted(
        venue=venue,
        symbol=order.symbol,
        client_id=order.client_id,
        venue_order_id=order.venue_order_id,
        exchange_ns=now_ns,
    )


def rejected(command: PlaceOrder, code: str, text: str) -> OrderRejected:
    """The order was rejected."""
    return OrderRejected(
        venue=command.venue,
        symbol=command.symbol,
        client_id=command.client_id,
        code=code,
        text=text,
    )


def amended(venue: str, order: PaperOrder, now_ns: int) -> OrderAmended:
    """The order is at its new price and quantity."""
    return OrderAmended(
        venue=venue,
        symbol=order.symbol,
        client_id=order.client_id,
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        exchange_ns=now_ns,
    )


def amend_refused(command: AmendOrder, code: str, text: str) -> AmendRejected:
    """The order is unchanged, or not known."""
    return AmendRejected(
        venue=command.venue,
        symbol=command.symbol,
        client_id=command.client_id,
        code=cast("Literal['NOT_FOUND', 'POST_ONLY', 'RATE_LIMIT', 'OTHER']", code),
        text=text,
    )


def cancel_refused(command: CancelOrder) -> CancelRejected:
    """No open order has this id."""
    return CancelRejected(
        venue=command.venue,
        symbol=command.symbol,
        client_id=command.client_id,
        code="NOT_FOUND",
        text="Unknown order sent.",
    )


def done(venue: str, order: PaperOrder, reason: str, now_ns: int) -> OrderDone:
    """The order is no longer open, with its final quantity."""
    return OrderDone(
        venue=venue,
        symbol=order.symbol,
        client_id=order.client_id,
        status=cast("Literal['filled', 'canceled', 'expired']", order.status),
        cumulative_lots=order.filled_lots,
        reason=reason,
        exchange_ns=now_ns,
    )


def funded(
    venue: str, instrument: Instrument, payments: list[tuple[int, Decimal]], now_ns: int
) -> AccountTrades:
    """Payments of funding, as the history of the account has them."""
    rows = [
        FundingPayment(
            payment_id=f"F{at_ns}",
            amount=amount,
            currency=instrument.settle,
            exchange_ns=now_ns,
        )
        for at_ns, amount in payments
    ]
    return AccountTrades(
        venue=venue,
        symbol=instrument.symbol,
        since_ns=0,
        trades=(),
        exchange_ns=now_ns,
        funding=tuple(rows),
    )


def state_of(
    command: QueryOrder,
    order: PaperOrder | None,
    source: Literal["order", "trades"],
    now_ns: int,
) -> OrderState:
    """State of an order at one endpoint, which may not know it."""
    return OrderState(
        venue=command.venue,
        symbol=command.symbol,
        client_id=command.client_id,
        status="not_found" if order is None else order.status,
        source=source,
        price_ticks=0 if order is None else order.price_ticks,
        quantity_lots=0 if order is None else order.quantity_lots,
        cumulative_lots=0 if order is None else order.filled_lots,
        exchange_ns=now_ns,
    )
