"""What cancels our orders when we fall silent: a timer of the venue, or a watchdog in its place.

Armed means what the venue has confirmed: until one period after the *sending* of the last request that
it confirmed, since it cannot have begun to count before that. A request without an answer
prolongs nothing. A timer that has fired is off at every venue; the next request arms it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

import structlog

from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.dialect import Unclear
from citadel_micro.shell.venue.outcomes import Answered, Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from citadel_micro.shell.venue.dialect import Ask, Request, Survey
    from citadel_micro.shell.venue.facts import OrderFact
    from citadel_micro.shell.venue.order_ids import OrderIds

    Surveyor = Callable[[Ask], Awaitable[Survey | Unclear]]

log: Final = structlog.get_logger("venue")

RETRY_NS: Final = SECOND
"""After a request that was not confirmed."""
WHOLE_ACCOUNT: Final = ""
DISARM_WITHIN_S: Final = 3.0


class DeadMan(Protocol):
    """Of one venue, for its adapter."""

    @property
    def armed(self) -> bool:
        """Our orders would be canceled if we fell silent now."""

    @property
    def why_not(self) -> str:
        """Why it is not armed, for people; empty when it is."""

    def surveyed(self, open_orders: tuple[OrderFact, ...], asked_ns: int) -> None:
        """The venue has listed all open orders of the account, as of this engine time at the earliest."""

    def saw(self, fact: OrderFact) -> None:
        """The stream has reported an order."""

    def upkeep(self) -> None:
        """Send what is due. Called while requests can be sent, several times a second."""

    async def end(self, survey: Surveyor | None) -> None:
        """We end. ``survey`` asks for the open orders; None where nothing can be asked."""


class Watched:
    """As ``DeadMan``, where the venue has no timer.

    Args:
        watched: whether a watchdog stands by.
    """

    def __init__(self, watched: Callable[[], bool]) -> None:
        self._watched = watched

    @property
    def armed(self) -> bool:
        """A watchdog stands by."""
        return self._watched()

    @property
    def why_not(self) -> str:
        """No watchdog does."""
        return "" if self._watched() else "no watchdog stands by"

    def surveyed(self, open_orders: tuple[OrderFact, ...], asked_ns: int) -> None:
        """Its own affair."""

    def saw(self, fact: OrderFact) -> None:
        """Its own affair."""

    def upkeep(self) -> None:
        """Its own affair."""

    async def end(self, survey: Surveyor | None) -> None:
        """Its own affair."""


class TimerOrWatchdog:
    """As ``DeadMan``, where not every account may arm the venue's timer.

    Args:
        timer: of the venue.
        watched: whether a watchdog stands by.
    """

    def __init__(self, timer: DeadMan, watched: DeadMan) -> None:
        self._timer = timer
        self._watched = watched

    @property
    def armed(self) -> bool:
        """Either is."""
        return self._timer.armed or self._watched.armed

    @property
    def why_not(self) -> str:
        """Why neither is."""
        return "" if self.armed else f"{self._timer.why_not}, and {self._watched.why_not}"

    def surveyed(self, open_orders: tuple[OrderFact, ...], asked_ns: int) -> None:
        """For the timer."""
        self._timer.surveyed(open_orders, asked_ns)

    def saw(self, fact: OrderFact) -> None:
        """For the timer."""
        self._timer.saw(fact)

    def upkeep(self) -> None:
        """Of the timer."""
        self._timer.upkeep()

    async def end(self, survey: Surveyor | None) -> None:
        """Of the timer."""
        await self._timer.end(survey)


class TimerRequests(Protocol):
    """A venue's timer requests."""

    def arm(self, symbol: str, period_ms: int) -> Request:
        """Start the timer anew, of one symbol or, where it is empty, of the account; 0 ends it."""

    def confirmed(self, request: Request, answer: Answered) -> Refusal | None:
        """Whether the venue has done it: None, or why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTimer:
    """The timer of one venue.

    Args:
        scope: it cancels the orders of one symbol (Binance USD-M), or of the account (OKX, Kraken,
            Hyperliquid), those of others among them.
        period_ns: after which silence it cancels, within what the venue permits.
        requests: of the venue.
        beside_foreign: arm it although others have orders in its scope, which it would cancel as well,
            protective stops too.
        refused_ns: after a refusal to arm it, ask again then.
        or_watchdog: not every account may arm it: a watchdog that stands by is enough.
    """

    scope: Literal["symbol", "account"]
    period_ns: int
    requests: TimerRequests
    beside_foreign: bool = False
    refused_ns: int = RETRY_NS
    or_watchdog: bool = False


def period_of(symbols: int, cost: int, per_minute: int, shortest_ns: int) -> int:
    """A period whose renewals, at a third of it, take a tenth of a budget at most.

    Args:
        symbols: how many timers there are.
        cost: of one renewal.
        per_minute: the budget.
        shortest_ns: used where the budget permits it.
    """
    every_ns = symbols * cost * 60 * SECOND * 10 // per_minute
    return max(shortest_ns, 3 * every_ns)


class CancelTimer:
    """Keeps a venue's timer armed while we are there.

    Args:
        venue: id.
        timer: of the venue.
        symbols: unified, that are traded.
        ids: our orders.
        ask: sends a request.
        on_refusal: called with refusals that concern all requests.
        now: engine time in ns.
        on_armed: called when it has become armed.
    """

    def __init__(
        self,
        venue: str,
        timer: VenueTimer,
        symbols: Iterable[str],
        *,
        ids: OrderIds,
        ask: Ask,
        on_refusal: Callable[[Refusal], None],
        now: Callable[[], int],
        on_armed: Callable[[], None] = lambda: None,
    ) -> None:
        self._venue = venue
        self._on_armed = on_armed
        self._timer = timer
        self._ids = ids
        self._ask = ask
        self._on_refusal = on_refusal
        self._now = now
        scopes = tuple(symbols) if timer.scope == "symbol" else (WHOLE_ACCOUNT,)
        self._until_ns = dict.fromkeys(scopes, 0)
        """Armed until then, certainly."""
        self._runs_ns = dict.fromkeys(scopes, 0)
        """It may run until then: a request without an answer may have started it."""
        self._due_ns = dict.fromkeys(scopes, 0)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._foreign: dict[str, int | None] = dict.fromkeys(
            scopes, 0 if timer.beside_foreign else None
        )
        """Open orders of others, which it would cancel as well; None: the venue has not been asked yet."""
        self._saw_ns = dict.fromkeys(scopes, 0)
        """When the stream last reported one."""
        self._ending = False

    @property
    def armed(self) -> bool:
        """The venue has confirmed that it would cancel now."""
        now_ns = self._now()
        return not any(self._foreign.values()) and all(
            now_ns < until for until in self._until_ns.values()
        )

    @property
    def why_not(self) -> str:
        """Why it is not armed, for people; empty when it is."""
        foreign = sum(count or 0 for count in self._foreign.values())
        if foreign:
            return (
                f"its timer would also cancel {foreign} open orders of others"
                " (timer_beside_foreign permits that)"
            )
        return "" if self.armed else "its timer is not armed"

    def surveyed(self, open_orders: tuple[OrderFact, ...], asked_ns: int) -> None:
        """Count those of others."""
        if self._timer.beside_foreign:
            return
        counts = dict.fromkeys(self._foreign, 0)
        for fact in open_orders:
            scope = self._scope_of(fact)
            if scope in counts and not self._is_ours(fact):
                counts[scope] += 1
        for scope, count in counts.items():
            if not count and asked_ns < self._saw_ns[scope]:
                continue  # the stream has told of a newer one
            if bool(count) is not bool(self._foreign[scope]):
                self._due_ns[scope] = 0  # arm, or disarm, at once
            self._foreign[scope] = count

    def saw(self, fact: OrderFact) -> None:
        """One of others counts until a survey that is asked for later."""
        scope = self._scope_of(fact)
        if self._timer.beside_foreign or scope not in self._foreign or self._is_ours(fact):
            return
        if fact.standing == "open":
            if not self._foreign[scope]:
                self._due_ns[scope] = 0
            self._foreign[scope] = max(self._foreign[scope] or 0, 1)
            self._saw_ns[scope] = self._now()

    def upkeep(self) -> None:
        """Send what is due. Called while requests can be sent, several times a second."""
        if self._ending:
            return
        now_ns = self._now()
        for scope, due_ns in self._due_ns.items():
            foreign = self._foreign[scope]
            if scope in self._tasks or foreign is None:
                continue
            if foreign:
                # Off at the venue as well: only then would it not cancel what is not ours.
                if self._runs_ns[scope] > now_ns >= due_ns:
                    self._start(scope, 0)
            elif now_ns >= due_ns:
                self._start(scope, self._timer.period_ns)

    async def end(self, survey: Surveyor | None) -> None:
        """Disarm where the venue shows no order of ours; else the timer cancels what is there.

        For a limited time: without an answer it runs out, too.
        """
        self._ending = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        on = [scope for scope, until in self._runs_ns.items() if until > self._now()]
        if not on or survey is None:
            return
        try:
            async with asyncio.timeout(DISARM_WITHIN_S):
                found = await survey(self._ask)
                if isinstance(found, Unclear) or any(map(self._is_ours, found.open_orders)):
                    log.warning("its timer stays armed", venue=self._venue, scopes=len(on))
                    return
                await asyncio.gather(*(self._stop(scope) for scope in on))
        except TimeoutError:
            log.warning("its timer stays armed: no answer", venue=self._venue, scopes=len(on))

    # inside

    def _scope_of(self, fact: OrderFact) -> str:
        return fact.symbol if self._timer.scope == "symbol" else WHOLE_ACCOUNT

    def _is_ours(self, fact: OrderFact) -> bool:
        return self._ids.is_ours(fact.symbol, fact.client_id, fact.venue_order_id)

    def _start(self, scope: str, period_ns: int) -> None:
        self._tasks[scope] = asyncio.get_running_loop().create_task(
            self._renew(scope, period_ns), name=f"{self._venue} timer {scope}"
        )
        self._tasks[scope].add_done_callback(lambda _: self._tasks.pop(scope, None))

    async def _stop(self, scope: str) -> None:
        """Until the venue confirms it: its limits may hold back the first request."""
        while True:
            await self._renew(scope, 0)
            if self._runs_ns[scope] <= self._now():
                return
            await asyncio.sleep(RETRY_NS / SECOND)

    async def _renew(self, scope: str, period_ns: int) -> None:
        sent_ns = self._now()
        self._due_ns[scope] = sent_ns + RETRY_NS
        if period_ns:
            self._runs_ns[scope] = max(self._runs_ns[scope], sent_ns + period_ns)
        else:
            self._until_ns[scope] = 0  # it may be off from here on
        request = self._timer.requests.arm(scope, period_ns // 1_000_000)
        outcome = await self._ask(request)
        if period_ns:
            self._runs_ns[scope] = self._now() + period_ns
        if not isinstance(outcome, Answered):
            log.warning("timer not renewed", venue=self._venue, scope=scope, why=outcome.reason)
            return
        refused = self._timer.requests.confirmed(request, outcome)
        if refused is not None:
            log.warning("timer not renewed", venue=self._venue, scope=scope, why=refused.text)
            self._due_ns[scope] = sent_ns + self._timer.refused_ns
            self._on_refusal(refused)
            return
        if not period_ns:
            self._runs_ns[scope] = 0
            return
        before = self.armed
        self._until_ns[scope] = sent_ns + period_ns
        self._due_ns[scope] = sent_ns + period_ns // 3
        if self.armed and not before:
            self._on_armed()
