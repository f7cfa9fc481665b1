"""Rate limits of OKX: so many requests in so many seconds, by endpoint, per account or per address.

Source: the "Rate Limit" line of each endpoint of the venue's documentation. Orders are counted by
instrument too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.okx.errors import OkxError

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "order.place": (60, 2),
    "order.cancel": (60, 2),
    "order.modify": (60, 2),
    "order.status": (60, 2),
    "openOrders.status": (60, 2),
    "allOrders": (40, 2),
    "myTrades": (60, 2),
    "trades.history": (10, 2),
    "account.status": (10, 2),
    "account.config": (5, 2),
    "account.fees": (5, 2),
    "asset.currencies": (6, 1),
    "cancelAllAfter": (1, 1),
    "position.list": (10, 2),
    "leverage.info": (20, 2),
    "leverage": (20, 2),
    "positionMode": (5, 2),
    "income": (5, 1),
    "income.archive": (5, 2),
    "time": (10, 2),
    "instruments": (20, 2),
    "market": (20, 2),
}
"""Name -> (requests, seconds)."""
ACCOUNT_ORDERS: Final = (1_000, 2)
"""New orders and amends of an account, over all instruments."""
BY_INSTRUMENT: Final = ("order.place", "order.cancel", "order.modify")


class RateLimits:
    """The counts."""

    def __init__(self) -> None:
        """Start at 0."""
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def take(self, name: str, who: str, instrument: str, now_ms: int) -> None:
        """Count one request of an account or address.

        Raises:
            OkxError: 50011, or 50061 for one order of the account too many.
        """
        limit = LIMITS.get(name)
        if limit is None:
            return
        key = f"{name} {instrument}" if name in BY_INSTRUMENT else name
        if self._full(key, who, limit, now_ms):
            raise OkxError(50011, "Too Many Requests", status=429)
        new = name in {"order.place", "order.modify"}
        if new and self._full("orders", who, ACCOUNT_ORDERS, now_ms):
            text = "You've reached the maximum order rate limit for this account."
            raise OkxError(50061, text, status=429)

    def _full(self, name: str, who: str, limit: tuple[int, int], now_ms: int) -> bool:
        window = now_ms // (limit[1] * 1000)
        began, count = self._counts.get((name, who), (window, 0))
        count = count + 1 if began == window else 1
        self._counts[name, who] = (window, count)
        return count > limit[0]
