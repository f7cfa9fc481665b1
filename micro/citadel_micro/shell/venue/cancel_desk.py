"""What cancels open orders on an account, for a watchdog: no rules of instruments, no state of orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.keys.api_key import ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAccount:
    """The account, and how it is reached."""

    key: ApiKey
    section: VenueSection
    now: Callable[[], int]
    """This machine's clock, in ns of Unix time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """An open order of the account."""

    symbol: str
    """As the venue writes it."""
    venue_order_id: str
    client_id: str
    """In the venue's form; empty where it has none."""


class CancelDesk(Protocol):
    """At one venue."""

    async def open_orders(self) -> list[RestingOrder]:
        """Of every symbol of the account.

        Raises:
            PeerUnavailable: the venue does not answer, or asks to wait; ``retry_s`` says how long.
            BadInput: it rejects the key.
            VenueViolation: its answer is not as documented.
        """

    async def cancel(self, order: RestingOrder) -> str:
        """Cancel one; empty when it is gone, otherwise why that is not certain. Raises BadInput as above."""

    @property
    def retry_s(self) -> float:
        """How long the venue's limits hold back the next listing of open orders; 0: not at all."""

    async def close(self) -> None:
        """Close its connections."""
