"""Connections to Hyperliquid: actions, queries and the account's events over one websocket, and HTTP.

Nothing logs on: actions are signed one by one, and events are subscribed to by the account's address.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.hyperliquid.codes import refusal
from citadel_micro.adapters.hyperliquid.messages import head
from citadel_micro.adapters.hyperliquid.requests import (
    TIME,
    UNKNOWN_ASSET,
    action_of,
    query,
)
from citadel_micro.shell.venue.http_client import JSON
from citadel_micro.shell.venue.outcomes import Answered, Fate, NotSent
from citadel_micro.shell.venue.wire import RestWire, WireSocket, ask
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.adapters.hyperliquid.signing import ActionSigner
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.http_client import HttpClient
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock
    from citadel_micro.shell.venue.wire import Call

CLOCK_SAMPLES: Final = 3
"""Samples of the venue's time at the start of a connection."""
CHECK_S: Final = 15.0
"""Between two later samples; the venue closes what has been silent for 60 s."""
KEY_CHECK_NS: Final = 60_000_000_000
"""After this the venue is asked again whether it knows the key: that costs 60 of 1,200."""
CHECK_COSTS: Final = {"weight": 62, "messages": 2}
SUBSCRIBED_WITHIN_S: Final = 10.0
_MS_NS: Final = 1_000_000
_PING: Final = b'{"method":"ping"}'
_ROLES: Final = frozenset({"agent", "user", "vault", "subAccount"})


class _Time(msgspec.Struct):
    time: int


class _RoleOf(msgspec.Struct):
    user: str = ""


class Role(msgspec.Struct):
    """The answer to ``userRole``: what an address is, and whose, where it is an agent's."""

    role: str
    data: _RoleOf | None = None

    @property
    def master(self) -> str:
        """The account that an agent acts for; empty for others."""
        return self.data.user.lower() if self.role == "agent" and self.data is not None else ""


class _Subscription(msgspec.Struct):
    type: str = ""
    user: str = ""
    coin: str = ""

    @property
    def name(self) -> str:
        return f"{self.type} {self.user.lower()}{self.coin}"


class _Confirmed(msgspec.Struct):
    subscription: _Subscription


class _Response(msgspec.Struct):
    type: str
    payload: msgspec.Raw


class _Info(msgspec.Struct):
    data: msgspec.Raw


class _Post(msgspec.Struct):
    id: int
    response: _Response


_confirmed: Final = msgspec.json.Decoder(_Confirmed).decode
_post: Final = msgspec.json.Decoder(_Post).decode
_info: Final = msgspec.json.Decoder(_Info).decode
_words: Final = msgspec.json.Decoder(str).decode


def payload_of(signer: ActionSigner, request: Request) -> bytes | NotSent:
    """A request's JSON, signed where it is an action; or why nothing may be sent."""
    if not request.signed:
        return json.dumps({"type": request.method, **request.params}).encode()
    if request.params.get("asset") == UNKNOWN_ASSET:
        return NotSent("the venue does not list this perpetual")
    return signer.body(action_of(request), request.expires_ns) or NotSent("it has expired")


def mine(role: Role, account: str, address: str) -> str:
    """Why a key does not act for an account; empty where it does."""
    if address == account:
        return ""
    if role.role not in _ROLES:
        return f"the venue does not know the API wallet {address}"
    if role.master != account:
        return f"the API wallet {address} is of {role.master or 'no account'}, not of {account}"
    return ""


class RejectedByVenue(PeerUnavailable):
    """It has answered, and does not do it; by its limits it was not."""


class KeyCheck:
    """Whether the venue knows the key, and for which account. One answer serves all connections.

    Args:
        signer: whose key it is.
        account: address of the account.
        now: engine time in ns.
    """

    def __init__(self, signer: ActionSigner, account: str, now: Callable[[], int]) -> None:
        self._signer = signer
        self._account = account
        self._now = now
        self._good_ns = 0
        self._asking = asyncio.Lock()

    async def why_not(self, session: HyperSession) -> str:
        """Why it does not act for the account; empty where it does. Raises as ``HyperSession.must``."""
        async with self._asking:  # both connections open at the same time
            return await self._why_not(session)

    async def _why_not(self, session: HyperSession) -> str:
        now_ns = self._now()
        if self._good_ns and 0 <= now_ns - self._good_ns < KEY_CHECK_NS:
            return ""
        address = self._signer.address
        body = await session.must(query("userRole", purpose="upkeep", user=address))
        try:
            role = msgspec.json.decode(body, type=Role)
        except msgspec.MsgspecError as error:
            raise PeerUnavailable(f"the key's role: {error}") from None
        why = mine(role, self._account, address)
        self._good_ns = 0 if why else now_ns
        return why


class HyperSession(WireSocket):
    """One websocket.

    Args:
        signer: signs actions.
        clock: the venue's time, which the session measures.
        budget: counts what the session itself asks.
        key: whether the venue knows it.
        on_event: receives frames of channels that are neither answers nor confirmations.
    """

    def __init__(
        self,
        signer: ActionSigner,
        clock: VenueClock,
        budget: RequestBudget,
        key: KeyCheck,
        on_event: Callable[[bytes], None],
    ) -> None:
        super().__init__(self._event)
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._key = key
        self._on_event = on_event
        self._wanted: dict[str, asyncio.Future[None]] = {}
        """Subscriptions that are not confirmed yet."""

    async def open(self, url: str, where: str, *, now: Callable[[], int]) -> None:
        """Connect, measure the venue's time, and see that the key acts for the account.

        Raises:
            PeerUnavailable: there is no connection.
            Refused: the venue does not know the key, or it is another account's.
        """
        await self._socket.open(url, where)
        with self._or_closed():
            for _ in range(CLOCK_SAMPLES):
                await self._measure(now)
            await self._check_key()
        self._begin_upkeep(self._keep_up(now))

    async def subscribe(self, subscriptions: Iterable[Mapping[str, str]]) -> None:
        """Receive events from now on.

        Raises:
            PeerUnavailable: the venue does not confirm it.
        """
        loop = asyncio.get_running_loop()
        for each in subscriptions:
            self._wanted[_Subscription(**each).name] = loop.create_future()
            text = json.dumps({"method": "subscribe", "subscription": each})
            # Its answer has no number.
            self._socket.send(self._socket.next_number(), text.encode(), lambda _outcome: None)
        with self._or_closed():
            try:
                async with asyncio.timeout(SUBSCRIBED_WITHIN_S):
                    await asyncio.gather(*self._wanted.values())
            except TimeoutError:
                missing = ", ".join(name for name, each in self._wanted.items() if not each.done())
                raise PeerUnavailable(f"not subscribed to {missing}") from None

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Sign and send a request."""
        payload = payload_of(self._signer, request)
        if isinstance(payload, NotSent):
            return partial(done, payload)
        number = self._socket.next_number()
        kind = b"action" if request.signed else b"info"
        text = b'{"method":"post","id":%d,"request":{"type":"%b","payload":%b}}'
        return partial(self._socket.send, number, text % (number, kind, payload), done)

    def afford(self, weight: int) -> None:
        """Raise PeerUnavailable where so much is not left of this minute's weight."""
        self._budget.check_connecting({"weight": weight}, self._clock.venue_ns())

    async def must(self, request: Request) -> bytes:
        """The body of a successful answer to a request of the connection's own.

        Raises:
            RejectedByVenue: the venue rejects the request.
            PeerUnavailable: there is none, or the venue's limits are reached.
            Refused: it rejects the key.
        """
        self._budget.spend(request.costs, self._clock.venue_ns())
        outcome = await ask(self, request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{request.method}: {outcome.reason}")
        refused = refusal(outcome)
        if refused is None:
            return outcome.body
        if refused.key:
            raise Refused(f"the venue refuses the key: {refused.text}")
        if refused.fate is Fate.WAIT and not refused.orders_only:
            now_ns = self._clock.venue_ns()
            self._budget.pause(refused.retry_after_s, now_ns, refused.text)
        kind = PeerUnavailable if refused.fate is Fate.WAIT else RejectedByVenue
        raise kind(f"{request.method}: {refused.text}")

    # inside

    async def _measure(self, now: Callable[[], int]) -> None:
        sent_ns = now()
        try:
            told = msgspec.json.decode(await self.must(TIME), type=_Time)
        except msgspec.MsgspecError as error:
            raise PeerUnavailable(f"the venue's time: {error}") from None
        self._clock.measured(sent_ns, told.time * _MS_NS)

    async def _check_key(self) -> None:
        why = await self._key.why_not(self)
        if why:
            raise Refused(why)

    async def _keep_up(self, now: Callable[[], int]) -> None:
        """Follow the venue's clock, and see that it still takes the key."""
        while True:
            await asyncio.sleep(CHECK_S)
            self._socket.send(self._socket.next_number(), _PING, lambda _outcome: None)
            if self._budget.wait_ns("query", CHECK_COSTS, self._clock.venue_ns()):
                continue
            try:
                await self._measure(now)
                why = await self._key.why_not(self)
            except (PeerUnavailable, Refused):
                continue  # the next one shows; a connection that has ended ends this task
            if why:
                self._end(why)
                return

    def _event(self, data: bytes) -> None:
        try:
            frame = head(data)
            confirmed = frame.channel == "subscriptionResponse"
            name = _confirmed(frame.data).subscription.name if confirmed else ""
        except msgspec.MsgspecError:
            self._on_event(data)
            return
        if confirmed:
            wanted = self._wanted.get(name)
            if wanted is not None and not wanted.done():
                wanted.set_result(None)
        elif frame.channel == "error":
            why = bytes(frame.data).decode("utf-8", "replace")
            for each in self._wanted.values():
                if not each.done():
                    each.set_exception(PeerUnavailable(f"the venue: {why}"))
        else:
            self._on_event(data)

    def _read(self, data: bytes) -> tuple[int, Answered] | None:
        try:
            frame = head(data)
            if frame.channel != "post":
                return None
            post = _post(frame.data)
            response = post.response
            if response.type == "error":
                text = _words(response.payload)
                return post.id, Answered(status=_status(text), body=text.encode())
            body = response.payload if response.type == "action" else _info(response.payload).data
        except msgspec.MsgspecError:
            return None
        return post.id, Answered(status=0, body=bytes(body))


def _status(text: str) -> int:
    """The number that an error begins with, as of HTTP; 500 where it has none."""
    first = text.partition(" ")[0]
    return int(first) if first.isdecimal() else 500


class HyperRest(RestWire):
    """The same requests over HTTP.

    Args:
        client: of its host.
        signer: signs actions.
    """

    refusal = staticmethod(refusal)

    def __init__(self, client: HttpClient, signer: ActionSigner) -> None:
        super().__init__(client)
        self._signer = signer

    def _call(self, request: Request) -> Callable[[], Call] | NotSent:
        payload = payload_of(self._signer, request)
        if isinstance(payload, NotSent):
            return payload
        target = "/exchange" if request.signed else "/info"
        return self._client.prepare("POST", target, body=payload.decode(), content_type=JSON)
