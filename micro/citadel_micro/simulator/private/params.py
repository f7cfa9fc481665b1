"""Parameters that all private protocols have: decimals, ids, and what signs a request."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.query import ApiError, illegal

if TYPE_CHECKING:
    from citadel_micro.simulator.query import Query

_DECIMAL: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
SPOT_CLIENT_ID: Final = r"^[a-zA-Z0-9-_]{1,36}$"
USDM_CLIENT_ID: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"

SIGNED: Final = ("timestamp", "recvWindow", "signature", "apiKey", "returnRateLimits")
"""What every signed request may have beside its own."""


def decimal_e8(query: Query, name: str) -> int | None:
    """Return a decimal parameter in 1e-8, or None when it was not sent.

    Raises:
        ApiError: -1100 for what is no number, -1111 for more than eight decimals.
    """
    text = query.optional(name)
    if text is None:
        return None
    if not re.fullmatch(_DECIMAL, text):
        raise illegal(name, _DECIMAL)
    scaled = Decimal(text) * E8
    if scaled != int(scaled):
        raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
    return int(scaled)


def client_id(query: Query, name: str, pattern: str = SPOT_CLIENT_ID) -> str:
    """Return an id that a client gave, or nothing.

    Raises:
        ApiError: -1100 for characters and lengths that ids do not have.
    """
    text = query.optional(name)
    if text is None:
        return ""
    if not re.fullmatch(pattern, text):
        raise illegal(name, pattern)
    return text


def order_number(query: Query, name: str) -> int:
    """Return an order id, 0 when it was not sent.

    Raises:
        ApiError: -1100 when it is not a number.
    """
    return query.integer(name) or 0


def positive(query: Query, name: str, what: str) -> int:
    """Return a mandatory amount above 0 in 1e-8.

    Raises:
        ApiError: -1102 without one, -1013 for 0.
    """
    value = decimal_e8(query, name)
    if value is None:
        text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        raise ApiError(-1102, text)
    if value == 0:
        raise ApiError(-1013, f"Invalid {what}.")
    return value
