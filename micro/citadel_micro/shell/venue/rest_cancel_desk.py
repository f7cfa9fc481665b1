"""What the cancel desks of every venue share: requests within the venue's limits, over REST alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, Fate, NotSent
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import BadInput, InvariantError, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.shell.venue.cancel_desk import CancelAccount, RestingOrder
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.outcomes import Outcome, Refusal
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.wire import RestWire

_T = TypeVar("_T")
ANSWER_WITHIN_S: Final = 5.0
CLOCK_EVERY_NS: Final = 15_000_000_000


class RestCancelDesk(ABC):
    """As ``shell.venue.cancel_desk.CancelDesk``; a venue's own gives it ``_rest``.

    Args:
        account: and how it is reached.
        budget: what the venue allows.
        refusal: reads an answer; None for a success.
        listing: costs of one listing of open orders.
        timeout_s: how long to wait for an answer.
    """

    _rest: RestWire

    def __init__(
        self,
        account: CancelAccount,
        budget: RequestBudget,
        refusal: Callable[[Answered], Refusal | None],
        listing: Mapping[str, int],
        *,
        timeout_s: float = ANSWER_WITHIN_S,
    ) -> None:
        key, root = account.key, account.section.private_rest_url
        if root is None:
            raise InvariantError(f"{key.venue}: nobody has given the hosts of its network")
        self._key = key
        self._now = account.now
        self._clock = VenueClock(account.now)
        self._measured_ns = 0
        self._budget = budget
        self._refusal = refusal
        self._listing_costs = listing
        where = f"venues.{key.venue}.private_rest_url"
        self._client = HttpClient(root, where, timeout_s=timeout_s)

    @property
    def retry_s(self) -> float:
        """See the protocol."""
        return self._budget.wait_ns("cancel", self._listing_costs, self._clock.venue_ns()) / 1e9

    async def open_orders(self) -> list[RestingOrder]:
        """See the protocol."""
        # A clock of this machine that was set, either way, is measured again.
        if not 0 <= self._now() - self._measured_ns < CLOCK_EVERY_NS:
            await self._measure()
            self._measured_ns = self._now()
        return await self._listed()

    async def cancel(self, order: RestingOrder) -> str:
        """See the protocol. Where the answer is no proof, the next listing shows what came of it."""
        request = self._cancels(order)
        if isinstance(request, str):
            return request
        outcome = await self._ask(request)
        if not isinstance(outcome, Answered):
            return outcome.reason
        refused = self._refusal(outcome)
        if refused is None or refused.fate is Fate.NOT_FOUND:
            return ""  # gone before; the next listing shows whether that is so
        self._apply_refusal(refused)
        return refused.text

    async def close(self) -> None:
        """Close its connections."""
        await self._rest.close()

    # a venue's own

    @abstractmethod
    async def _measure(self) -> None:
        """Measure the venue's clock. Raises as ``open_orders``."""

    @abstractmethod
    async def _listed(self) -> list[RestingOrder]:
        """As ``open_orders``, the clock being measured."""

    @abstractmethod
    def _cancels(self, order: RestingOrder) -> Request | str:
        """What cancels an order by the venue's id, which a change does not alter; or why nothing can."""

    # for its kinds

    async def _get(self, request: Request, kind: type[_T]) -> _T:
        """Ask, and decode the answer. Raises as ``open_orders``."""
        outcome = await self._ask(request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{self._key.venue}: {outcome.reason}")
        refused = self._refusal(outcome)
        if refused is not None:
            self._apply_refusal(refused)
            raise PeerUnavailable(f"{self._key.venue}: {refused.text}")
        try:
            return msgspec.json.decode(outcome.body, type=kind)
        except msgspec.MsgspecError as error:
            raise VenueViolation(f"{request.method}: not as documented: {error}") from None

    async def _ask(self, request: Request) -> Outcome:
        now_ns = self._clock.venue_ns()
        wait_ns = self._budget.wait_ns(request.purpose, request.costs, now_ns)
        if wait_ns:
            why = self._budget.reason or "the venue's limits"
            return NotSent(f"held back for {wait_ns / 1e9:.1f} s: {why}", wait=True)
        self._budget.spend(request.costs, now_ns)
        return await self._rest.ask(request)

    def _apply_refusal(self, refused: Refusal) -> None:
        """Apply what concerns every request. Raises BadInput where the key is rejected."""
        if refused.counter:
            self._budget.full(refused.counter, self._clock.venue_ns())
        elif refused.retry_after_s or refused.banned or refused.fate is Fate.WAIT:
            self._budget.pause(
                refused.retry_after_s,
                self._clock.venue_ns(),
                refused.text,
                banned=refused.banned,
                orders_only=refused.orders_only,
            )
        if refused.clock:
            self._clock.forget()
            self._measured_ns = 0
        if refused.key:
            raise BadInput(
                f"the venue does not take the watchdog's key: {refused.text}",
                where=self._key.file,
                mend="see `citadel live check`; micro's orders are not guarded",
            )
