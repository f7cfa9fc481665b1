"""Connections to OKX: private websockets, logged in, and REST for everything that they do not have."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.okx.codes import refusal
from citadel_micro.adapters.okx.requests import CONFIG, OPERATIONS, TIME
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.venue.http_client import JSON
from citadel_micro.shell.venue.outcomes import Answered, NotSent
from citadel_micro.shell.venue.wire import RestWire, WireSocket
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.okx.requests import OkxSigner
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.http_client import HttpClient
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock
    from citadel_micro.shell.venue.wire import Call

CLOCK_SAMPLES: Final = 2
"""Samples of the venue's time at the start of a connection: an address may ask 10 times in 2 s."""
CHECK_S: Final = 15.0
"""Between two later samples, and between two checks that the key is still accepted."""
PING: Final = (b"ping", b"pong")
"""It answers no pings of the protocol, and closes a connection that is idle for 30 s."""
_BUSY: Final = frozenset({"login", "error", "subscribe"})


class _Head(msgspec.Struct):
    id: str = ""
    op: str = ""
    event: str = ""


class _Time(msgspec.Struct):
    ts: str


class _Times(msgspec.Struct):
    data: list[_Time]


_head: Final = msgspec.json.Decoder(_Head).decode
_times: Final = msgspec.json.Decoder(_Times).decode


class OkxRest(RestWire):
    """The REST API.

    Args:
        client: of its host.
        signer: signs and writes requests.
    """

    refusal = staticmethod(refusal)

    def __init__(self, client: HttpClient, signer: OkxSigner) -> None:
        super().__init__(client)
        self._signer = signer

    def _call(self, request: Request) -> Callable[[], Call] | NotSent:
        parts = self._signer.http(request)
        if parts is None:
            return NotSent("it has expired")
        return self._client.prepare(
            parts.method,
            parts.target,
            headers=parts.headers,
            body=parts.body,
            content_type=JSON,
        )


class OkxSession(WireSocket):
    """One private websocket; what it does not have goes over REST.

    Args:
        signer: signs and writes requests.
        clock: the venue's time, which the session measures.
        budget: of this account and address.
        rest: for the other requests.
        codes: number of each instrument, by the venue's name.
        on_event: receives frames that are no answers.
    """

    def __init__(
        self,
        signer: OkxSigner,
        clock: VenueClock,
        budget: RequestBudget,
        rest: OkxRest,
        *,
        codes: Mapping[str, int],
        on_event: Callable[[bytes], None],
    ) -> None:
        super().__init__(on_event, ping=PING)
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._rest = rest
        self._codes = codes
        self._waiting = 0
        """Number of the request without one in its text: a login, a subscription."""

    async def open(self, url: str, where: str, *, now: Callable[[], int]) -> None:
        """Measure the venue's time, connect, and log in.

        Raises:
            PeerUnavailable: there is no connection.
            Refused: the venue rejects the key.
        """
        for _ in range(CLOCK_SAMPLES):
            await self._measure(now)
        await self._socket.open(url, where)
        with self._or_closed():
            await self._say(self._signer.login(self._clock.venue_ns()), "login")
        self._begin_upkeep(self._keep_up(now))

    async def subscribe(self, *args: Mapping[str, str]) -> None:
        """Receive these channels from now on. Raises as ``open``."""
        with self._or_closed():
            for arg in args:
                text = msgspec.json.encode({"op": "subscribe", "args": [arg]})
                await self._say(text, f"subscribe {arg['channel']}")

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Send a request by the way that it has."""
        if request.method not in OPERATIONS:
            return self._rest.prepare(request, done)
        number = self._socket.next_number()
        text = self._signer.frame(number, request, self._codes[str(request.params["instId"])])
        if not text:
            return partial(done, NotSent("it has expired"))
        return partial(self._socket.send, number, text, done)

    # inside

    async def _say(self, text: bytes, what: str) -> None:
        """Send a frame whose answer has no number, and wait for it."""
        self._waiting = self._socket.next_number()
        outcome = await self._socket.ask(self._waiting, text)
        self._waiting = 0
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{what}: {outcome.reason}")
        if b'"error"' not in outcome.body:
            return
        refused = refusal(outcome)
        if refused is None:
            return
        if refused.key:
            raise Refused(f"the venue refuses the key: {refused.text}")
        if refused.clock:
            self._clock.forget()
        raise PeerUnavailable(f"{what}: {refused.text}")

    async def _measure(self, now: Callable[[], int]) -> None:
        sent_ns = now()
        outcome = await self._rest.ask(TIME)
        why = "" if isinstance(outcome, Answered) else outcome.reason
        if isinstance(outcome, Answered):
            refused = refusal(outcome)
            if refused is None:
                try:
                    told = _times(outcome.body)
                    self._clock.measured(sent_ns, int(told.data[0].ts) * MS)
                except (msgspec.MsgspecError, ValueError, IndexError) as error:
                    raise PeerUnavailable(f"the venue's time: {error}") from None
                return
            why = refused.text
        if not self._clock.known:
            raise PeerUnavailable(f"the venue does not tell its time: {why}")

    async def _keep_up(self, now: Callable[[], int]) -> None:
        """Follow the venue's clock, and see that it still takes the key."""
        while True:
            await asyncio.sleep(CHECK_S)
            venue_ns = self._clock.venue_ns()
            if self._budget.wait_ns("query", {"time": 1, "config": 1}, venue_ns):
                continue
            self._budget.spend({"time": 1, "config": 1}, venue_ns)
            try:
                await self._measure(now)
            except PeerUnavailable:
                continue  # of REST alone: the websocket has pings of its own
            outcome = await self._rest.ask(CONFIG)
            refused = refusal(outcome) if isinstance(outcome, Answered) else None
            if refused is not None and refused.key:
                self._end(f"the venue refuses the key: {refused.text}")
                return

    def _read(self, data: bytes) -> tuple[int, Answered] | None:
        try:
            head = _head(data)
        except msgspec.MsgspecError:
            return None
        if head.id and head.op and head.id.isdecimal():
            return int(head.id), Answered(status=0, body=data)
        if self._waiting and head.event in _BUSY:
            return self._waiting, Answered(status=0, body=data)
        return None
