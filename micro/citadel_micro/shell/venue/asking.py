"""What dialects do alike when they ask: names in parts, an answer decoded or why there is nothing to decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from citadel_micro.shell.venue.dialect import Unclear
from citadel_micro.shell.venue.facts import Anomaly
from citadel_micro.shell.venue.outcomes import Answered
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from citadel_micro.shell.venue.dialect import Ask, Request
    from citadel_micro.shell.venue.facts import OrderFact
    from citadel_micro.shell.venue.outcomes import Refusal

T = TypeVar("T")
Row = TypeVar("Row")


def in_parts(names: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """Names for several queries, at most so many in each."""
    return (names[first : first + most] for first in range(0, len(names), most))


async def decoded_answer(
    ask: Ask,
    request: Request,
    *,
    refusal: Callable[[Answered], Refusal | None],
    decode: Callable[[bytes], T],
) -> T | Unclear:
    """The answer to a query, or why there is none.

    Args:
        ask: sends the request.
        request: the query.
        refusal: the venue's refusal in an answer, if it is one.
        decode: the answer's body; raises msgspec.MsgspecError where it is not as documented.
    """
    outcome = await ask(request)
    if not isinstance(outcome, Answered):
        return Unclear(f"{request.method}: {outcome.reason}")
    refused = refusal(outcome)
    if refused is not None:
        return Unclear(f"{request.method}: {refused.text}", refused)
    try:
        return decode(outcome.body)
    except msgspec.MsgspecError as error:
        return Unclear(f"{request.method}: {error}")


def orders_in(
    rows: Iterable[Row], read: Callable[[Row], OrderFact | Anomaly | None]
) -> list[OrderFact] | Unclear:
    """Our orders among these; a single one that cannot be read makes the whole answer unclear.

    Args:
        rows: of one answer.
        read: one row; None for an instrument that is not one of ours. Raises VenueViolation.
    """
    facts: list[OrderFact] = []
    for row in rows:
        try:
            fact = read(row)
        except VenueViolation as error:
            return Unclear(str(error), anomaly=True)
        if isinstance(fact, Anomaly):
            return Unclear(fact.text, anomaly=True)
        if fact is not None:
            facts.append(fact)
    return facts
