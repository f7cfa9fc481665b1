"""The engine's events for unsuccessful requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from citadel_micro.core.model.approval import VOID
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.core.model.events import (
    AmendRejected,
    CancelRejected,
    OrderRejected,
    RequestTimedOut,
)
from citadel_micro.shell.venue.outcomes import Fate

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.venue.outcomes import NotSent, Refusal

    Sent = PlaceOrder | AmendOrder | CancelOrder

RATE_LIMIT: Final = "RATE_LIMIT"
_AMEND_CODES: Final = frozenset({"NOT_FOUND", "POST_ONLY", RATE_LIMIT})


class FailureReport(NamedTuple):
    """One report, and whether it ends an order that was to be placed."""

    report: Event
    final: bool


def not_sent(command: Sent, outcome: NotSent) -> tuple[Event, ...]:
    """Nothing was sent: an order is void, a cancel or an amend has not been done."""
    code = RATE_LIMIT if outcome.wait else "OTHER"
    text = f"not sent: {outcome.reason}"
    if isinstance(command, PlaceOrder):
        return (_rejected(command, RATE_LIMIT if outcome.wait else VOID, text),)
    return (_kept(command, code, text),)


def not_done(command: Sent) -> RequestTimedOut:
    """Its outcome is unknown."""
    request: Literal["place", "amend", "cancel"] = "cancel"
    if isinstance(command, PlaceOrder):
        request = "place"
    elif isinstance(command, AmendOrder):
        request = "amend"
    return RequestTimedOut(
        venue=command.venue, symbol=command.symbol, client_id=command.client_id, request=request
    )


def refused(command: Sent, refusal: Refusal) -> FailureReport:
    """The venue has rejected it, or does not know the order."""
    fate = refusal.fate
    if fate is Fate.UNKNOWN or (fate is Fate.NOT_FOUND and isinstance(command, PlaceOrder)):
        return FailureReport(not_done(command), final=False)
    if isinstance(command, PlaceOrder):
        code = RATE_LIMIT if fate is Fate.WAIT else refusal.code
        return FailureReport(_rejected(command, code, refusal.text), final=code != "DUPLICATE_ID")
    if fate is Fate.NOT_FOUND:
        code = "NOT_FOUND"
    elif fate is Fate.WAIT:
        code = RATE_LIMIT
    else:
        code = refusal.code
    return FailureReport(_kept(command, code, refusal.text), final=False)


def _rejected(command: PlaceOrder, code: str, text: str) -> OrderRejected:
    return OrderRejected(
        venue=command.venue,
        symbol=command.symbol,
        client_id=command.client_id,
        code=code,
        text=text,
    )


def _kept(
    command: AmendOrder | CancelOrder, code: str, text: str
) -> AmendRejected | CancelRejected:
    if isinstance(command, AmendOrder):
        return AmendRejected(
            venue=command.venue,
            symbol=command.symbol,
            client_id=command.client_id,
            code=cast(
                Literal["NOT_FOUND", "POST_ONLY", "RATE_LIMIT", "OTHER"],
                code if code in _AMEND_CODES else "OTHER",
            ),
            text=text,
        )
    return CancelRejected(
        venue=command.venue,
        symbol=command.symbol,
        client_id=command.client_id,
        code=cast(
            Literal["NOT_FOUND", "RATE_LIMIT", "OTHER"],
            code if code in {"NOT_FOUND", RATE_LIMIT} else "OTHER",
        ),
        text=text,
    )
