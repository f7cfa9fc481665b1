"""Connections to Bybit: orders over the trade websocket, the account's stream, and REST beside both."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.bybit.codes import RETRY_AFTER, refusal
from citadel_micro.adapters.bybit.requests import (
    KINDS,
    OVER_WEBSOCKET,
    ROUTES,
    TIME,
    simple,
)
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.http_client import JSON
from citadel_micro.shell.venue.outcomes import Answered, NotSent
from citadel_micro.shell.venue.wire import RestWire, WireSocket
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.bybit.requests import BybitSigner
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.http_client import HttpClient
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock
    from citadel_micro.shell.venue.wire import Call

TOPICS: Final = ("order", "execution", "wallet")
CLOCK_SAMPLES: Final = 3
"""Samples of the venue's time at the start of a connection."""
UPKEEP_S: Final = 15.0
"""Between two pings, which the venue wants every 20 s, two later samples of its time, and two looks
whether it still takes the key."""
_AUTH: Final = -1
_SUBSCRIBE: Final = -2
_OPS: Final = {"auth": _AUTH, "subscribe": _SUBSCRIBE}
PING: Final = b'{"op":"ping"}'
CHECK: Final = simple("account")
"""A signed query that any key may make."""
_CHECK_COSTS: Final = {"queries": 2, "requests": 2}


class Time(msgspec.Struct, rename="camel"):
    """The venue's time, in ns."""

    time_nano: str


class _TimeAnswer(msgspec.Struct):
    result: Time


class _Header(msgspec.Struct):
    limit: str = msgspec.field(default="", name="X-Bapi-Limit")
    left: str = msgspec.field(default="", name="X-Bapi-Limit-Status")
    reset: str = msgspec.field(default="", name="X-Bapi-Limit-Reset-Timestamp")


class _Frame(msgspec.Struct, rename="camel"):
    """What says whether a frame is an answer: of the trade websocket, or to auth and subscribe."""

    req_id: str = ""
    op: str = ""
    success: bool | None = None
    ret_code: int | None = None
    ret_msg: str = ""
    said: str = msgspec.field(default="", name="ret_msg")
    header: _Header | None = None


class BybitRest(RestWire):
    """The REST API: queries, and orders while there is no websocket for them.

    Args:
        client: of its host.
        signer: signs and writes requests.
        clock: the venue's time.
        budget: gets the venue's counts.
    """

    refusal = staticmethod(refusal)

    def __init__(
        self, client: HttpClient, signer: BybitSigner, clock: VenueClock, budget: RequestBudget
    ) -> None:
        super().__init__(client)
        self._signer = signer
        self._clock = clock
        self._budget = budget

    def _call(self, request: Request) -> Callable[[], Call] | NotSent:
        made = self._signer.http(request)
        if made is None:
            return NotSent("it has expired")
        target, body, headers = made
        method = ROUTES[request.method][0]
        send = self._client.prepare(method, target, headers=headers, body=body, content_type=JSON)
        return partial(self._counted, request, send)

    def _counted(self, request: Request, send: Callable[[], Call]) -> Call:
        return self._count(request, send())

    async def _count(self, request: Request, sent: Call) -> Outcome:
        outcome = await sent
        if isinstance(outcome, Answered):
            limits = _Header(
                limit=outcome.headers.get("x-bapi-limit", ""),
                left=outcome.headers.get("x-bapi-limit-status", ""),
                reset=outcome.headers.get("x-bapi-limit-reset-timestamp", ""),
            )
            more = counted(request.method, limits, self._budget, self._clock)
            outcome = Answered(
                status=outcome.status, body=outcome.body, headers={**outcome.headers, **more}
            )
        return outcome

    async def measure(self, now: Callable[[], int]) -> None:
        """Sample the venue's time. Raises PeerUnavailable where the venue has never sent it."""
        sent_ns = now()
        outcome = await self.ask(TIME)
        if isinstance(outcome, Answered) and refusal(outcome) is None:
            try:
                told = msgspec.json.decode(outcome.body, type=_TimeAnswer).result.time_nano
                self._clock.measured(sent_ns, int(told))
            except (msgspec.MsgspecError, ValueError) as error:
                raise PeerUnavailable(f"the venue's time: {error}") from None
        elif not self._clock.known:
            why = outcome.body.decode() if isinstance(outcome, Answered) else outcome.reason
            raise PeerUnavailable(f"the venue does not tell its time: {why}")


def counted(
    method: str, limits: _Header, budget: RequestBudget, clock: VenueClock
) -> Mapping[str, str]:
    """Give the venue's count of a limit to the budget; when it ends, in HTTP's form."""
    now_ns = clock.venue_ns()
    if limits.limit.isdecimal() and limits.left.isdecimal():
        limit, left = int(limits.limit), int(limits.left)
        if method in KINDS:
            budget.told(KINDS[method], 1, max(limit - left, 0), now_ns, limit)
    if limits.left == "0" and limits.reset.isdecimal():
        return {RETRY_AFTER: f"{max(int(limits.reset) * MS - now_ns, MS) / 1e9:.3f}"}
    return {}


class BybitSocket(WireSocket):
    """A websocket that is logged on: with ``topics`` the account's stream, without the one for orders.

    Args:
        rest: for what goes over no websocket.
        signer: signs and writes requests.
        clock: the venue's time.
        budget: gets the venue's counts.
        on_event: receives the frames that answer nothing.
        topics: to subscribe to.
    """

    def __init__(
        self,
        rest: BybitRest,
        signer: BybitSigner,
        clock: VenueClock,
        budget: RequestBudget,
        on_event: Callable[[bytes], None],
        *,
        topics: tuple[str, ...] = (),
    ) -> None:
        super().__init__(on_event)
        self._rest = rest
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._topics = topics
        self._frame = msgspec.json.Decoder(_Frame)

    async def open(self, url: str, where: str, now: Callable[[], int]) -> None:
        """Measure the venue's time, connect, log on, subscribe.

        Raises:
            PeerUnavailable: there is no connection.
            Refused: the venue rejects the key.
        """
        for _ in range(CLOCK_SAMPLES):
            await self._rest.measure(now)
        await self._socket.open(url, where)
        with self._or_closed():
            await self._must(_AUTH, self._signer.log_on())
            if self._topics:
                asked = {"op": "subscribe", "args": self._topics}
                await self._must(_SUBSCRIBE, msgspec.json.encode(asked))
        self._begin_upkeep(self._keep_up(now))

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Orders over the websocket for them, all else over REST."""
        if self._topics or request.method not in OVER_WEBSOCKET:
            return self._rest.prepare(request, done)
        number = self._socket.next_number()
        text = self._signer.frame(number, request)
        if not text:
            return partial(done, NotSent("it has expired"))
        return partial(self._socket.send, number, text, done)

    # inside

    def _read(self, data: bytes) -> tuple[int, Answered] | None:
        try:
            frame = self._frame.decode(data)
        except msgspec.MsgspecError:
            return None
        if frame.op in _OPS:
            return _OPS[frame.op], Answered(status=0, body=data)
        if frame.ret_code is None or not frame.req_id.isdecimal():
            return None
        more: Mapping[str, str] = {}
        if frame.header is not None:
            more = counted(frame.op, frame.header, self._budget, self._clock)
        return int(frame.req_id), Answered(status=0, body=data, headers=more)

    async def _must(self, number: int, text: bytes) -> None:
        outcome = await self._socket.ask(number, text)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(outcome.reason)
        frame = self._frame.decode(outcome.body)
        if frame.success or frame.ret_code == 0:
            return
        refused = refusal(outcome) if frame.ret_code is not None else None
        words = frame.said or frame.ret_msg or "no reason given"
        if number == _AUTH and (refused is None or refused.key):
            await self._blame(words)
        raise PeerUnavailable(f"{frame.op}: {words}")

    async def _blame(self, words: str) -> None:
        """Whether it is the key that a log-on was refused for, or the clock: REST says it by code.

        Raises Refused where the venue rejects the key.
        """
        outcome = await self._rest.ask(CHECK)
        refused = refusal(outcome) if isinstance(outcome, Answered) else None
        if refused is not None and refused.key:
            raise Refused(f"the venue refuses the key: {refused.text}")
        raise PeerUnavailable(f"auth: {words}")

    async def _keep_up(self, now: Callable[[], int]) -> None:
        """Ping, follow the venue's clock, and see that it still takes the key."""
        while True:
            await asyncio.sleep(UPKEEP_S)
            self._socket.send(0, PING, lambda _outcome: None)
            if self._budget.wait_ns("query", _CHECK_COSTS, self._clock.venue_ns()):
                continue
            with suppress(PeerUnavailable):
                await self._rest.measure(now)
            outcome = await self._rest.ask(CHECK)
            refused = refusal(outcome) if isinstance(outcome, Answered) else None
            if refused is not None and refused.key:
                self._end(f"the venue refuses the key: {refused.text}")
                return
