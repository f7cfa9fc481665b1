"""Connections to Binance spot: the websocket API, logged on and subscribed, and REST as its fallback."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.error_codes import refusal
from citadel_micro.adapters.binance.spot_requests import ROUTES, TIME
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.outcomes import Answered, Fate, NotSent
from citadel_micro.shell.venue.wire import RestWire, WireSocket, ask
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.binance.spot_requests import SpotSigner
    from citadel_micro.shell.venue.http_client import HttpClient
    from citadel_micro.shell.venue.outcomes import Outcome, Refusal
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock
    from citadel_micro.shell.venue.wire import Call

CLOCK_SAMPLES: Final = 3
"""Samples of the venue's time at the start of a connection."""
CHECK_S: Final = 15.0
"""Between two later samples, and between two checks that the key is still accepted."""
_CHECK_COSTS: Final = {"weight": 7}
_INTERVALS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}
_KINDS: Final = {"REQUEST_WEIGHT": "weight", "ORDERS": "orders"}
_HEADERS: Final = {
    "x-mbx-used-weight-1m": ("weight", 60),
    "x-mbx-order-count-10s": ("orders", 10),
    "x-mbx-order-count-1m": ("orders", 60),
    "x-mbx-order-count-1d": ("orders", 86_400),
}
_LOGON: Final = Request(purpose="upkeep", method="session.logon", params={}, costs={"weight": 2})
_SUBSCRIBE: Final = Request(
    purpose="upkeep",
    method="userDataStream.subscribe",
    params={},
    costs={"weight": 2},
    signed=False,
)
_SUBSCRIBE_SIGNED: Final = Request(
    purpose="upkeep", method="userDataStream.subscribe.signature", params={}, costs={"weight": 2}
)


class _RateLimit(msgspec.Struct, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int
    count: int = 0


class _Details(msgspec.Struct, rename="camel"):
    retry_after: int = 0
    """When, in ms of the venue's time."""


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""
    data: _Details | None = None


class _Answer(msgspec.Struct, rename="camel"):
    id: int | str | None = None
    status: int = 0
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw()
    rate_limits: list[_RateLimit] = []


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


class SpotSession(WireSocket):
    """One connection of the web socket API.

    Args:
        signer: signs and writes requests.
        clock: the venue's time, which the session measures.
        budget: gets the venue's rate limit counts.
        on_event: receives frames that are no answers.
    """

    def __init__(
        self,
        signer: SpotSigner,
        clock: VenueClock,
        budget: RequestBudget,
        on_event: Callable[[bytes], None],
    ) -> None:
        super().__init__(on_event)
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._logged_on = False
        self._answer = msgspec.json.Decoder(_Answer)

    async def open(self, url: str, where: str, *, now: Callable[[], int]) -> None:
        """Connect, measure the venue's time, and log on if the key permits it.

        Raises:
            PeerUnavailable: there is no connection.
            Refused: the venue rejects the key.
        """
        await self._socket.open(url, where)
        with self._or_closed():
            for _ in range(CLOCK_SAMPLES):
                await self._measure(now)
            if self._signer.logs_on:
                await self._must(_LOGON)
                self._logged_on = True

    async def subscribe(self, *, now: Callable[[], int], check: Request | None) -> None:
        """Receive orders and balances from now on. Raises as ``open``.

        Args:
            now: engine time in ns.
            check: a cheap signed query: without a log-on, a revoked key would be noticed with the
                next order only.
        """
        with self._or_closed():
            await self._must(_SUBSCRIBE if self._logged_on else _SUBSCRIBE_SIGNED)
        self._begin_upkeep(self._keep_up(now, None if self._logged_on else check))

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Sign a request; what is returned sends it."""
        number = self._socket.next_number()
        logged_on = self._logged_on and request is not _LOGON
        text = self._signer.frame(number, request, logged_on=logged_on)
        if not text:
            return partial(done, NotSent("it has expired"))
        return partial(self._socket.send, number, text, done)

    # inside

    async def _must(self, request: Request) -> None:
        outcome = await ask(self, request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{request.method}: {outcome.reason}")
        refused = refusal(outcome)
        if refused is None:
            return
        if refused.key:
            raise Refused(f"the venue refuses the key: {refused.text}")
        if refused.clock:
            self._clock.forget()
        self._apply_refusal(refused)
        raise PeerUnavailable(f"{request.method}: {refused.text}")

    def _apply_refusal(self, refused: Refusal) -> None:
        """Pause where the venue asks for it."""
        if refused.retry_after_s or refused.banned or refused.fate is Fate.WAIT:
            now_ns, why = self._clock.venue_ns(), refused.text
            self._budget.pause(refused.retry_after_s, now_ns, why, banned=refused.banned)

    async def _measure(self, now: Callable[[], int]) -> None:
        sent_ns = now()
        outcome = await ask(self, TIME)
        if isinstance(outcome, Answered) and refusal(outcome) is None:
            try:
                told = msgspec.json.decode(outcome.body, type=_Time)
            except msgspec.MsgspecError as error:
                raise PeerUnavailable(f"the venue's time: {error}") from None
            self._clock.measured(sent_ns, told.server_time * MS)
        elif not self._clock.known:
            why = outcome.body.decode() if isinstance(outcome, Answered) else outcome.reason
            raise PeerUnavailable(f"the venue does not tell its time: {why}")

    async def _keep_up(self, now: Callable[[], int], check: Request | None) -> None:
        """Follow the venue's clock, and see that it still takes the key."""
        while True:
            await asyncio.sleep(CHECK_S)
            if self._budget.wait_ns("query", _CHECK_COSTS, self._clock.venue_ns()):
                continue
            try:
                await self._measure(now)
            except PeerUnavailable:
                continue  # an answer that is not understood: the next one may be
            outcome = None if check is None else await ask(self, check)
            refused = refusal(outcome) if isinstance(outcome, Answered) else None
            if refused is not None and refused.key:
                self._end(f"the venue refuses the key: {refused.text}")
                return
            if refused is not None:
                self._apply_refusal(refused)

    def _read(self, data: bytes) -> tuple[int, Answered] | None:
        try:
            answer = self._answer.decode(data)
        except msgspec.MsgspecError:
            return None
        if not isinstance(answer.id, int):
            return None
        now_ns = self._clock.venue_ns()
        for each in answer.rate_limits:
            kind = _KINDS.get(each.rate_limit_type)
            length = _INTERVALS.get(each.interval, 0) * each.interval_num
            if kind is not None and length > 0:
                self._budget.told(kind, length, each.count, now_ns, each.limit)
        if not answer.error:
            return answer.id, Answered(status=answer.status, body=bytes(answer.result))
        return answer.id, Answered(
            status=answer.status,
            body=bytes(answer.error),
            headers=_retry_after(bytes(answer.error), now_ns),
        )


def _retry_after(error: bytes, now_ns: int) -> Mapping[str, str]:
    """The time of a pause, in HTTP's form."""
    try:
        details = msgspec.json.decode(error, type=_Error).data
    except msgspec.MsgspecError:
        return {}
    if details is None or not details.retry_after:
        return {}
    return {"retry-after": f"{max(details.retry_after * MS - now_ns, 0) / 1e9:.3f}"}


class SpotRest(RestWire):
    """The REST API.

    Args:
        client: of its host.
        signer: signs and writes requests.
        clock: the venue's time.
        budget: gets the venue's rate limit counts.
        routes: method of HTTP and path by the name of a request.
    """

    refusal = staticmethod(refusal)

    def __init__(
        self,
        client: HttpClient,
        signer: SpotSigner,
        clock: VenueClock,
        budget: RequestBudget,
        routes: Mapping[str, tuple[str, str]] = ROUTES,
    ) -> None:
        super().__init__(client)
        self._routes = routes
        self._signer = signer
        self._clock = clock
        self._budget = budget

    def _call(self, request: Request) -> Callable[[], Call] | NotSent:
        target = self._signer.target(request)
        if not target:
            return NotSent("it has expired")
        method = self._routes[request.method][0]
        send = self._client.prepare(method, target, headers=self._signer.headers)
        return partial(self._counted, send)

    def _counted(self, send: Callable[[], Call]) -> Call:
        return self._count(send())

    async def _count(self, sent: Call) -> Outcome:
        outcome = await sent
        if isinstance(outcome, Answered):
            now_ns = self._clock.venue_ns()
            for name, (kind, seconds) in _HEADERS.items():
                count = outcome.headers.get(name, "")
                if count.isdecimal():
                    self._budget.told(kind, seconds, int(count), now_ns)
        return outcome
