"""One venue: checks that it could cancel, and cancels while micro is silent.

Each order is canceled by its own id, and only while micro does not answer: never by a request that
would hit an order placed meanwhile. So a micro that comes back, or another watchdog, loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.shell.venue.unreadable import UNREADABLE, cut
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.venue.cancel_desk import CancelDesk, RestingOrder
    from citadel_micro.watchdog.silence import Silence

log: Final = structlog.get_logger("watchdog")

AT_ONCE: Final = 8
"""Cancels under way at a time: a venue that answers none keeps the others waiting less."""
AGAIN_S: Final = 2.0
"""Between two listings while orders are open. 80 of 6,000 a minute each at Binance."""
SETTLE_S: Final = 30.0
"""After the first empty listing: a request that micro sent last may still arrive at the venue, which
may take 2 s, and 10 s more in its own back end (Binance)."""
SETTLING_EVERY_S: Final = 3.0
QUIET_EVERY_S: Final = 60.0
"""Later, while micro stays silent."""
CHECK_EVERY_S: Final = 30.0
"""Between two proofs that the venue takes the key, while micro is there."""
ABLE_S: Final = 75.0
"""So long such a proof holds: two may fail."""
FAILED_EVERY_S: Final = 2.0
_FAULTS: Final = (PeerUnavailable, *UNREADABLE)
"""BadInput among them: the venue does not take the key."""


class Guard:
    """Of one account at one venue.

    Args:
        venue: id.
        desk: cancels there.
        silence: of micro.
        is_ours: whether to cancel an order; None while it is not known which are micro's.
        time_s: monotonic, in seconds.
    """

    def __init__(
        self,
        venue: str,
        desk: CancelDesk,
        silence: Silence,
        is_ours: Callable[[], Callable[[RestingOrder], bool] | None],
        time_s: Callable[[], float],
    ) -> None:
        self.venue = venue
        self.silence = silence
        self._desk = desk
        self._is_ours = is_ours
        self._time_s = time_s
        self._proven_s: float | None = None
        self._empty_since_s: float | None = None
        self._wake = asyncio.Event()
        self.canceling = False
        """micro is silent for too long, and its orders are being canceled, or looked for."""
        self.permitted = False
        """The permissions of its key were checked."""
        self.canceled = 0
        """Orders canceled since the start."""
        self.trouble = ""
        """Why the venue could not be asked last time; empty when it could."""

    @property
    def able(self) -> bool:
        """The venue has taken the key a short while ago, and it may do what it has to and no more."""
        return (
            self.permitted
            and self._proven_s is not None
            and self._time_s() - self._proven_s < ABLE_S
        )

    @property
    def standing_by(self) -> bool:
        """It would cancel if micro fell silent now, and does not yet."""
        return self.able and not self.canceling

    def wake(self) -> None:
        """Something has changed: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Until canceled."""
        while True:
            if self.silence.expired:
                wait_s = await self._clear()
            else:
                if self.canceling:
                    log.info("micro is back: canceling nothing more", venue=self.venue)
                    self.canceling, self._empty_since_s = False, None
                wait_s = await self._prove()
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def close(self) -> None:
        """Close the connections."""
        await self._desk.close()

    # inside

    async def _list(self) -> list[RestingOrder] | None:
        try:
            found = await self._desk.open_orders()
        except _FAULTS as error:
            self._in_trouble(error)
            if isinstance(error, BadInput):
                self._proven_s = None
            return None
        if self.trouble:
            log.info("the venue answers again", venue=self.venue)
        self.trouble = ""
        self._proven_s = self._time_s()
        return found

    def _in_trouble(self, error: Exception) -> None:
        why = cut(error)
        if why != self.trouble:
            log.error("it could not cancel now", venue=self.venue, error=why)
        self.trouble = why

    async def _prove(self) -> float:
        found = await self._list()
        return CHECK_EVERY_S if found is not None else max(FAILED_EVERY_S, self._desk.retry_s)

    async def _clear(self) -> float:
        """Cancel what is open; returns how long to wait before the next look."""
        try:
            ours = self._is_ours()
        except BadInput as error:
            self._in_trouble(error)
            return FAILED_EVERY_S
        if ours is None:
            return AGAIN_S  # no micro has run there: there is nothing of it to cancel
        if not self.canceling:
            self.canceling, self._empty_since_s = True, None
            log.warning(
                "micro is silent: canceling its orders",
                venue=self.venue,
                silent_s=round(self.silence.lasted_s, 1),
            )
        every = await self._list()
        if every is None:
            return max(AGAIN_S, self._desk.retry_s)
        orders = [order for order in every if ours(order)]
        now_s = self._time_s()
        if orders:
            self._empty_since_s = None
            await self._cancel(orders)
            return max(AGAIN_S, self._desk.retry_s)
        if self._empty_since_s is None:
            self._empty_since_s = now_s
            log.warning(
                "the venue shows no open order of micro",
                venue=self.venue,
                of_others=len(every),
                canceled=self.canceled,
            )
        settled = now_s - self._empty_since_s >= SETTLE_S
        return max(QUIET_EVERY_S if settled else SETTLING_EVERY_S, self._desk.retry_s)

    async def _cancel(self, orders: list[RestingOrder]) -> None:
        for first in range(0, len(orders), AT_ONCE):
            if not self.silence.expired:
                return  # micro is back, and they are its own again
            some = orders[first : first + AT_ONCE]
            for order, outcome in zip(
                some,
                await asyncio.gather(*map(self._desk.cancel, some), return_exceptions=True),
                strict=True,
            ):
                if isinstance(outcome, BadInput):
                    self._proven_s, outcome = None, str(outcome)  # noqa: PLW2901 - its text
                elif isinstance(outcome, _FAULTS):
                    outcome = cut(outcome)  # noqa: PLW2901 - its text
                elif isinstance(outcome, BaseException):
                    raise outcome
                self.canceled += not outcome
                log.warning(
                    "not canceled yet" if outcome else "canceled",
                    venue=self.venue,
                    symbol=order.symbol,
                    order=order.client_id,
                    venue_order_id=order.venue_order_id,
                    why=outcome,
                )
