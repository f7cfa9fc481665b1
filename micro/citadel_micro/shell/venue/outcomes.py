"""Outcome of a request: answered, certainly not sent, or unknown.

The third is the one that matters. A request whose bytes may have reached the venue and whose answer
did not come is ``Unknown``: it is queried, and never sent a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from citadel_micro.shell.http.answers import Answered as Answered  # noqa: PLC0414 - offered from here


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing was sent: it certainly has no effect."""

    reason: str
    wait: bool = False
    """Held back by rate limits: it may be sent later."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have reached the venue: only a query can show."""

    reason: str


Outcome = Answered | NotSent | Unknown


class Fate(Enum):
    """Meaning of an unsuccessful answer for the request."""

    REFUSED = "refused"
    """Certainly rejected: it has and will have no effect."""
    NOT_FOUND = "not found"
    """The venue does not know the order *now*: filled, closed, or not yet arrived."""
    WAIT = "wait"
    """Not accepted because of rate limits: it may be sent later."""
    UNKNOWN = "unknown"
    """It may have been executed all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An unsuccessful answer."""

    fate: Fate
    text: str
    """The venue's own text, with its code."""
    code: str = "OTHER"
    """As in ``core.model.events.OrderRejected``."""
    key: bool = False
    """The key, its permissions or its signature are rejected: every other request will fail as well."""
    clock: bool = False
    """The request's time is rejected: measure the venue's clock again."""
    retry_after_s: float = 0.0
    """How long nothing may be sent; 0 where the venue does not say."""
    counter: str = ""
    """The counter that is full (``request_budget``): what costs nothing of it may continue."""
    orders_only: bool = False
    """The limit is on new orders: cancels and queries may continue."""
    banned: bool = False
    """The address is banned for that long."""
