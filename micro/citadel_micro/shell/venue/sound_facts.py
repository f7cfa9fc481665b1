"""What a venue says, checked before it is believed: every number, time and name within its bounds.

A decoder checks the form of a message. That a price is a number, a time fits a clock and a name can be
journaled is checked here, once for every venue. What is not so is not understood: the stream counts
as blind, an answer leaves its order unknown, a query is not answered.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from citadel_micro.core.model.account_events import MarkPrice
from citadel_micro.shell.venue.dialect import Unclear
from citadel_micro.shell.venue.facts import (
    Anomaly,
    OrderFact,
    RequestAccepted,
    StreamEnds,
    TradeFact,
)
from citadel_micro.shell.venue.outcomes import Fate, Refusal
from citadel_micro.shell.venue.unreadable import UNREADABLE, cut
from citadel_proto.bounds import LATEST_NS, LONGEST_NAME
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.outcomes import Answered
    from citadel_micro.shell.venue.venue_clock import VenueClock

T = TypeVar("T")
MOST_DIGITS: Final = 60
LARGEST_EXPONENT: Final = 40
"""Of a number in money or coins, either way: eighteen decimals are the most that a coin has."""
AHEAD_NS: Final = 60_000_000_000
"""No statement is of a time that is further ahead of the venue's clock."""
_TIMELESS: Final = (Anomaly, RequestAccepted, StreamEnds)
_NAMES: Final = frozenset(
    {"client_id", "venue_order_id", "trade_id", "payment_id", "currency", "fee_currency", "symbol"}
)


def sound(stated: T) -> T:
    """A statement, and whatever it is made of. Raises VenueViolation for what is out of bounds."""
    if not _is_plain(stated):
        _check(stated, type(stated).__name__)
    return stated


def is_sound(stated: object) -> bool:
    """Whether a statement about no order is one: of a mark price, also that it is a price."""
    try:
        sound(stated)
    except VenueViolation:
        return False
    return not isinstance(stated, MarkPrice) or (stated.mark > 0 and stated.index_price >= 0)


def of_frame(read: Callable[[bytes], list[Fact]], frame: bytes) -> list[Fact]:
    """What a frame of the stream says; that the stream is blind from here on where it is not understood."""
    try:
        return [sound(each) for each in read(frame)]
    except UNREADABLE as error:
        text = f"a frame of the stream is not understood: {cut(error)}"
        return [StreamEnds(reason=text, blind=True)]


def of_answer(
    read: Callable[[Request, Answered], list[Fact] | Refusal], request: Request, answer: Answered
) -> list[Fact] | Refusal:
    """What an answer says; an unknown fate where it is not understood."""
    try:
        said = read(request, answer)
        return said if isinstance(said, Refusal) else [sound(each) for each in said]
    except UNREADABLE as error:
        return Refusal(fate=Fate.UNKNOWN, text=f"an answer that is not understood: {cut(error)}")


def not_after(facts: Iterable[Fact], clock: VenueClock) -> tuple[Fact, ...]:
    """Statements of no later time than soon: one of the far future would outlive all that come after it."""
    if not clock.known:
        return tuple(facts)
    latest_ns = clock.venue_ns() + AHEAD_NS
    return tuple(
        replace(each, exchange_ns=latest_ns)
        if not isinstance(each, _TIMELESS) and each.exchange_ns > latest_ns
        else each
        for each in facts
    )


def no_later(stated_ns: int, clock: VenueClock) -> int:
    """As ``not_after``, of a time alone."""
    return min(stated_ns, clock.venue_ns() + AHEAD_NS) if clock.known else stated_ns


async def of_query(answer: Awaitable[T]) -> T | Unclear:
    """What a query found; that it is not clear where an answer is not understood."""
    try:
        found = await answer
        if isinstance(found, list):
            for each in found:
                sound(each)
            return found
        return sound(found)
    except UNREADABLE as error:
        return Unclear(f"an answer that is not understood: {cut(error)}", anomaly=True)


def _is_plain(stated: object) -> bool:
    """Whether it is a usual statement about an order or a fill: told twenty times as fast as by ``_check``."""
    if isinstance(stated, OrderFact):
        return (
            0 <= stated.exchange_ns <= LATEST_NS
            and -1 <= stated.cumulative_lots <= LATEST_NS
            and 0 <= stated.quantity_lots <= LATEST_NS
            and 0 <= stated.price_ticks <= LATEST_NS
            and _is_name(stated.client_id)
            and _is_name(stated.venue_order_id)
        )
    if isinstance(stated, TradeFact):
        return (
            0 <= stated.exchange_ns <= LATEST_NS
            and -1 <= stated.cumulative_lots <= LATEST_NS
            and stated.exact is None
            and 0 < stated.quantity_lots <= LATEST_NS
            and 0 < stated.price_ticks <= LATEST_NS
            and _is_small(stated.fee)
            and _is_name(stated.client_id)
            and _is_name(stated.venue_order_id)
            and bool(stated.trade_id)
            and _is_name(stated.trade_id)
            and _is_name(stated.fee_currency)
        )
    return False


def _is_fill(stated: TradeFact) -> bool:
    """Whether something was filled, if only a part of one of our lots."""
    parts = stated.exact is not None and stated.exact.quantity > 0 and stated.quantity_lots >= 0
    return stated.price_ticks > 0 and (stated.quantity_lots > 0 or parts)


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and text.isprintable()


def _is_small(value: Decimal) -> bool:
    """Of a size that money and coins have."""
    _, digits, exponent = value.as_tuple()
    small = isinstance(exponent, int) and abs(exponent) <= LARGEST_EXPONENT
    return small and len(digits) <= MOST_DIGITS


def _check(value: object, what: str) -> None:
    if isinstance(value, int | Decimal | float):
        if not isinstance(value, bool):
            _check_number(value, what)
    elif isinstance(value, str):
        if what in _NAMES and not _is_name(value):
            raise VenueViolation(f"{what} is {value[:40]!r}, which is no name")
    elif is_dataclass(value):
        for field in fields(value):
            _check(getattr(value, field.name), field.name)
        if isinstance(value, TradeFact) and not _is_fill(value):
            text = f"{value.quantity_lots} lots at {value.price_ticks} ticks"
            raise VenueViolation(f"{value.symbol}: a fill of {text}")
        if isinstance(value, TradeFact) and not value.trade_id:
            raise VenueViolation(
                f"{value.symbol}: a fill without an id, which cannot be told from another"
            )
        if isinstance(value, OrderFact) and value.cumulative_lots < -1:
            raise VenueViolation(f"{value.symbol}: {value.cumulative_lots} lots filled")
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", (what,) * len(value))
        for name, each in zip(names, value, strict=True):
            _check(each, name)


def _check_number(value: Decimal | float, what: str) -> None:
    if isinstance(value, int):
        least = 0 if what.endswith("_ns") else -LATEST_NS
        if not least <= value <= LATEST_NS:  # Python writes no int of thousands of digits
            raise VenueViolation(f"{what} is a number of {value.bit_length()} bits, out of bounds")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise VenueViolation(f"{what} is {value}")
    elif not _is_small(value):
        raise VenueViolation(f"{what} is {value!s:.40}, out of bounds")
