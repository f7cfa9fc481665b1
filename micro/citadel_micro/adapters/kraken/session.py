"""Connections to Kraken: the private websocket with its token, and REST one call after another."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec

from citadel_micro.adapters.kraken.codes import CALLS, KEY, NONCE, SESSION, error_of, refusal
from citadel_micro.adapters.kraken.requests import (
    AMEND,
    CANCEL,
    OVER_WEBSOCKET,
    PLACE,
    TIMER,
    query,
    trading,
)
from citadel_micro.adapters.kraken.sequence import Gaps, Numbers
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.marketdata.decode import iso_ns
from citadel_micro.shell.venue.outcomes import Answered, NotSent
from citadel_micro.shell.venue.wire import RestWire, WireSocket
from citadel_proto.errors import BadInput, PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.http_client import HttpClient
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock
    from citadel_micro.shell.venue.wire import Call

CLOCK_SAMPLES: Final = 3
CHECK_S: Final = 15.0
"""Between two later samples of the venue's time."""
KEY_CHECK: Final = 4
"""Every so many of them the key is checked: without, a revoked one would show with the next order."""
REST_TIMEOUT_S: Final = 5.0
"""Calls wait for one another: their nonces must arrive in order."""
NONCE_PAUSES_S: Final = (1.0, 2.0)
"""Before a call whose nonce was too low is made again: the venue tells its time in whole seconds, and
another process may have used the key within the same one."""
SHORTEST_NS: Final = 500 * MS
"""A ``deadline`` is at least that far ahead; the venue refuses others."""
TIERS: Final[Mapping[int, tuple[float, tuple[float, float]]]] = {
    60: (1.0, (15.0, 0.33)),
    125: (2.34, (20.0, 0.5)),
    180: (3.75, (20.0, 1.0)),
}
"""Most of the trading counter, which names the tier -> what a second gives back, and the
counter of REST calls (starter, intermediate, pro)."""
CHECK: Final = query("BalanceEx", purpose="upkeep")
_TOKEN: Final = query("GetWebSocketsToken", purpose="upkeep")
_NUMBERS: Final = ("limit_price", "order_qty")
_OVER_REST: Final = {CANCEL: "CancelOrder", TIMER: "CancelAllOrdersAfter"}
_NAMES: Final = {"order_id": "txid"}


class _Token(msgspec.Struct):
    token: str


class _TokenAnswer(msgspec.Struct):
    result: _Token


class _Time(msgspec.Struct):
    unixtime: int


class _TimeAnswer(msgspec.Struct):
    result: _Time


class _Answer(msgspec.Struct):
    req_id: int | None = None
    method: str = ""
    error: str = ""


class _Pong(msgspec.Struct):
    time_in: str = ""


class _Rates(msgspec.Struct, frozen=True):
    maxratecount: int = 0


class _Subscribed(msgspec.Struct):
    result: _Rates = _Rates()


class RestSigner:
    """Signs calls: HMAC-SHA512, in base 64, over the path and SHA256 of nonce and body.

    Raises:
        BadInput: the secret is no base 64, as those of the venue are.
    """

    def __init__(self, key: ApiKey) -> None:
        if key.kind != "hmac":
            raise BadInput(
                f"a key of kind {key.kind} signs nothing at Kraken",
                where=key.file,
                allowed="id and secret of an API key",
            )
        try:
            self._secret = base64.b64decode(key.secret.reveal(), validate=True)
        except (binascii.Error, ValueError):
            raise BadInput(
                "the secret is no base 64", where=key.file, mend="copy the whole private key"
            ) from None
        self._id = key.id.reveal()
        self._nonce = 0
        self._ahead_us: int | None = None
        """Microseconds of the venue's time less those of the monotonic clock; None before it is known."""

    @property
    def dated(self) -> bool:
        """Whether the venue's time is known."""
        return self._ahead_us is not None

    def date(self, venue_s: int, asked_ns: int) -> None:
        """The venue answered that time, in whole seconds, to what was asked at ``asked_ns`` (monotonic)."""
        self._ahead_us = venue_s * 1_000_000 - asked_ns // 1_000

    def undate(self) -> None:
        """Other processes that use the key are ahead: its time is to be asked for again."""
        self._ahead_us = None

    def signed(self, path: str, params: Mapping[str, str | int]) -> tuple[str, dict[str, str]]:
        """Body and headers of a call, which must be sent before the next one is signed.

        The nonces of a key must rise, from run to run and for every process that uses it. They are
        the venue's time: this machine's clock may be set back. Where that is not known, its own.
        """
        ahead_us = self._ahead_us
        at_us = time.time_ns() // 1_000
        if ahead_us is not None:
            at_us = time.monotonic_ns() // 1_000 + ahead_us
        self._nonce = max(self._nonce + 1, at_us)
        body = urlencode({"nonce": str(self._nonce), **params})
        digest = hashlib.sha256(f"{self._nonce}{body}".encode()).digest()
        sign = hmac.digest(self._secret, path.encode() + digest, "sha512")
        return body, {"API-Key": self._id, "API-Sign": base64.b64encode(sign).decode()}


class KrakenRest(RestWire):
    """The REST API.

    Args:
        client: of its host.
        signer: signs calls.
    """

    refusal = staticmethod(refusal)

    def __init__(self, client: HttpClient, signer: RestSigner) -> None:
        super().__init__(client)
        self._signer = signer
        self._turn = asyncio.Lock()

    def _call(self, request: Request) -> Callable[[], Call] | NotSent:
        if request.method in {PLACE, AMEND}:
            # A deadline over REST is at least 2 s ahead: too far to wait for a lost answer.
            return NotSent("orders go over the websocket only, and it is down")
        return partial(self._sent, request)

    async def _sent(self, request: Request) -> Outcome:
        """Sent after those before it."""
        name = _OVER_REST.get(request.method, request.method)
        if not request.signed:
            asked = urlencode(request.params)
            target = f"/0/public/{name}?{asked}" if asked else f"/0/public/{name}"
            return await self._client.send("GET", target)
        params = {_NAMES.get(each, each): value for each, value in request.params.items()}
        path = f"/0/private/{name}"
        async with self._turn:
            for pause_s in NONCE_PAUSES_S:
                outcome = await self._signed(path, params)
                if not isinstance(outcome, Answered) or error_of(outcome) != NONCE:
                    return outcome
                self._signer.undate()
                await asyncio.sleep(pause_s)
            return await self._signed(path, params)

    async def _signed(self, path: str, params: Mapping[str, str | int]) -> Outcome:
        """Sent once the venue's time is known, or was asked for in vain: a cancel must not hang on that."""
        if not self._signer.dated:
            asked_ns = time.monotonic_ns()
            told = await self._client.send("GET", "/0/public/Time")
            if isinstance(told, NotSent):
                return told
            with suppress(msgspec.MsgspecError):
                if isinstance(told, Answered):
                    venue_s = msgspec.json.decode(told.body, type=_TimeAnswer).result.unixtime
                    self._signer.date(venue_s, asked_ns)
        body, headers = self._signer.signed(path, params)
        return await self._client.send("POST", path, headers=headers, body=body)


class KrakenSession(WireSocket):
    """One private connection of v2; what that does not have goes over REST.

    Args:
        rest: for the token, and for queries.
        clock: the venue's time, which the session measures.
        budget: of this account.
        symbols: unified, that are traded.
        on_event: receives frames that are no answers.
        gaps: of this account's connections.
    """

    def __init__(
        self,
        rest: KrakenRest,
        clock: VenueClock,
        budget: RequestBudget,
        symbols: Iterable[str],
        on_event: Callable[[bytes], None],
        *,
        gaps: Gaps,
    ) -> None:
        super().__init__(self._event)
        self._on_event = on_event
        self._gaps = gaps
        self._numbers = Numbers()
        self._rest = rest
        self._clock = clock
        self._budget = budget
        self._symbols = tuple(symbols)
        self._token = ""
        self._encoder = msgspec.json.Encoder()
        self._head = msgspec.json.Decoder(_Answer)

    async def open(self, url: str, where: str, *, now: Callable[[], int]) -> None:
        """Get a token, connect, and measure the venue's time.

        Raises:
            PeerUnavailable: there is no connection.
            Refused: the venue rejects the key.
        """
        outcome = await self._spend(_TOKEN)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{_TOKEN.method}: {outcome.reason}")
        self._accept(_TOKEN.method, outcome)
        try:
            answer = msgspec.json.decode(outcome.body, type=_TokenAnswer)
        except msgspec.MsgspecError as error:
            raise PeerUnavailable(f"the token: {error}") from None
        self._token = answer.result.token
        await self._socket.open(url, where)
        with self._or_closed():
            for _ in range(CLOCK_SAMPLES):
                await self._measure(now)

    async def subscribe(self) -> None:
        """Receive orders and balances from now on. Raises as ``open``."""
        with self._or_closed():
            answer = await self._must(
                "subscribe", channel="executions", snap_orders=True, snap_trades=False
            )
            self._tier(answer)
            await self._must("subscribe", channel="balances", snapshot=True)

    def keep_up(self, now: Callable[[], int], *, check: bool) -> None:
        """Follow the venue's clock, and with ``check`` see that it still takes the key."""
        self._begin_upkeep(self._keep_up(now, check=check))

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Send a request, over REST where the websocket has none of its kind."""
        if request.method not in OVER_WEBSOCKET:
            return self._rest.prepare(request, done)
        number = self._socket.next_number()
        deadline = ""
        if request.expires_ns:
            deadline = deadline_of(request.expires_ns, self._clock)
            if not deadline:
                return partial(done, NotSent("it has expired"))
        text = frame_of(number, request, self._token, deadline)
        return partial(self._socket.send, number, text, done)

    # inside

    async def _spend(self, request: Request) -> Outcome:
        """A call of the connection itself, within the venue's limits."""
        late = self._budget.take(request.purpose, request.costs, self._clock.venue_ns())
        return late or await self._rest.ask(request)

    async def _ask(self, method: str, **params: object) -> Outcome:
        number = self._socket.next_number()
        fields = {**params, "token": self._token} if params else {}
        frame = {"method": method, "params": fields, "req_id": number}
        return await self._socket.ask(number, self._encoder.encode(frame))

    async def _must(self, method: str, **params: object) -> Answered:
        outcome = await self._ask(method, **params)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{method}: {outcome.reason}")
        self._accept(method, outcome)
        return outcome

    def _accept(self, method: str, answer: Answered) -> None:
        refused = refusal(answer)
        if refused is None:
            return
        if refused.key:
            raise Refused(f"the venue refuses the key: {refused.text}")
        if refused.counter:
            self._budget.full(refused.counter, self._clock.venue_ns())
        elif refused.fate.value == "wait":
            now_ns = self._clock.venue_ns()
            self._budget.pause(refused.retry_after_s, now_ns, refused.text)
        raise PeerUnavailable(f"{method}: {refused.text}")

    def _tier(self, answer: Answered) -> None:
        """The account's limits, where the venue gives them."""
        try:
            most = msgspec.json.decode(answer.body, type=_Subscribed).result.maxratecount
        except msgspec.MsgspecError:
            return
        if most in TIERS:
            decay, (calls, calls_decay) = TIERS[most]
            self._budget.widen(CALLS, calls, calls_decay)
            for symbol in self._symbols:
                self._budget.widen(trading(symbol), float(most), decay)

    async def _measure(self, now: Callable[[], int]) -> None:
        sent_ns = now()
        outcome = await self._ask("ping")
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"the venue does not tell its time: {outcome.reason}")
        try:
            told = msgspec.json.decode(outcome.body, type=_Pong)
            self._clock.measured(sent_ns, iso_ns(told.time_in))
        except (msgspec.MsgspecError, ValueError) as error:
            raise PeerUnavailable(f"the venue's time: {error}") from None

    async def _keep_up(self, now: Callable[[], int], *, check: bool) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(CHECK_S)
            rounds += 1
            try:
                await self._measure(now)
            except PeerUnavailable:
                return  # the connection has ended
            if not check or rounds % KEY_CHECK:
                continue
            outcome = await self._spend(CHECK)
            text = error_of(outcome) if isinstance(outcome, Answered) else None
            if text in KEY:
                self._end(f"the venue refuses the key: {text}")
                return

    def _event(self, data: bytes) -> None:
        """Pass it on; where others before it are missing, the next connection's account shows of what."""
        missed = self._numbers.missed(data)
        self._on_event(data)
        if missed and not self._why and self._gaps.believed():
            self._why = missed
            asyncio.get_running_loop().call_soon(self._socket.close)

    def _read(self, data: bytes) -> tuple[int, Answered] | None:
        try:
            answer = self._head.decode(data)
        except msgspec.MsgspecError:
            return None
        if answer.req_id is None or not answer.method:
            return None
        if answer.error == SESSION and not self._why:
            # Every other request would fail as well; another connection shows whether the key holds.
            self._why = f"the token no longer holds: {SESSION}"
            asyncio.get_running_loop().call_soon(self._socket.close)
        return answer.req_id, Answered(status=200, body=data)


def frame_of(number: int, request: Request, token: str, deadline: str) -> bytes:
    """A request of the websocket."""
    params: dict[str, object] = {**request.params, "token": token}
    for name in _NUMBERS:
        if name in params:
            # As a number, with the digits that were written.
            params[name] = msgspec.Raw(str(params[name]).encode())
    if request.method == CANCEL:
        for name in ("order_id", "cl_ord_id"):
            if name in params:
                params[name] = [params[name]]
    if deadline:
        params["deadline"] = deadline
    return msgspec.json.encode({"method": request.method, "params": params, "req_id": number})


def deadline_of(expires_ns: int, clock: VenueClock) -> str:
    """An expiry in the venue's time, moved forward by the clock's error; empty for one too near."""
    now_ns = clock.venue_ns()
    left_ns = expires_ns + clock.offset_ns - now_ns
    left_ns -= min(clock.error_ns, max(left_ns, 0) // 2)
    return rfc3339(now_ns + left_ns) if left_ns > SHORTEST_NS else ""


def rfc3339(time_ns: int) -> str:
    """A time with milliseconds, which ``deadline`` takes; cut, never later."""
    at = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ns % 1_000_000_000 // MS:03d}Z"
