"""Connections to Binance USD-M: orders over the websocket API, and the account's stream with its marks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.spot_session import SpotSession
from citadel_micro.adapters.binance.usdm_codes import NO_LISTEN_KEY, code_of, refusal
from citadel_micro.adapters.binance.usdm_requests import OVER_WEBSOCKET, simple
from citadel_micro.shell.venue.marked_stream import MarkedStream
from citadel_micro.shell.venue.outcomes import Answered
from citadel_micro.shell.venue.request_socket import RequestSocket
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.adapters.binance.spot_requests import SpotSigner
    from citadel_micro.adapters.binance.spot_session import SpotRest
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

KEEP_ALIVE_S: Final = 30.0
"""A listen key lives for an hour; it is kept alive this often because another client of the account can
delete it, which the next of these shows."""
_START: Final = simple("listenKey.start", 1, purpose="upkeep", signed=False)
_PING: Final = simple("listenKey.ping", 1, purpose="upkeep", signed=False)


class _ListenKey(msgspec.Struct, rename="camel"):
    listen_key: str


class UsdmEntry(SpotSession):
    """One connection of the websocket API; what that does not have goes over REST.

    Args:
        signer: signs and writes requests.
        clock: the venue's time, which the session measures.
        budget: gets the venue's rate limit counts.
        rest: for the other requests.
    """

    def __init__(
        self, signer: SpotSigner, clock: VenueClock, budget: RequestBudget, rest: SpotRest
    ) -> None:
        super().__init__(signer, clock, budget, lambda _frame: None)
        self._rest = rest

    def keep_up(self, now: Callable[[], int], check: Request) -> None:
        """Follow the venue's clock, and see that it still takes the key."""
        self._begin_upkeep(self._keep_up(now, check))

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Sign a request; what is returned sends it."""
        if request.method in OVER_WEBSOCKET:
            return super().prepare(request, done)
        return self._rest.prepare(request, done)


class UsdmStream(MarkedStream):
    """The private stream of one listen key, and the mark prices beside it: both up, or none.

    Args:
        rest: for the listen key.
        on_frame: receives the frames of the private stream.
        on_mark: receives those of the mark prices.
        keep_alive_s: how often the listen key is kept alive.
    """

    def __init__(
        self,
        rest: SpotRest,
        on_frame: Callable[[bytes], None],
        on_mark: Callable[[bytes], None],
        *,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._rest = rest
        self._keep_alive_s = keep_alive_s
        self._key = ""
        """The listen key whose stream this is."""
        self._private = RequestSocket(lambda _frame: None, on_frame)
        super().__init__(self._private, rest, on_mark)

    async def open(self, root: str, where: str, streams: str) -> None:
        """Get a listen key and connect.

        Args:
            root: ``wss://HOST`` of the streams.
            where: the setting that named it.
            streams: of the mark prices, joined by slashes.

        Raises:
            PeerUnavailable: there is no connection.
            Refused: the venue rejects the key.
        """
        answer = await self._must(_START)
        try:
            self._key = key = msgspec.json.decode(answer.body, type=_ListenKey).listen_key
        except msgspec.MsgspecError as error:
            raise PeerUnavailable(f"the listen key: {error}") from None
        try:
            await self._private.open(f"{root}/private/ws/{key}", where)
        except PeerUnavailable as error:
            # A listen key opens the account's stream: it is not for logs.
            raise PeerUnavailable(str(error).replace(key, "***")) from None
        await self._open_marks(f"{root}/market/stream?streams={streams}", where)
        self._begin_upkeep(self._keep_alive())

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._keep_alive_s)
            outcome = await self._rest.ask(_PING)
            if not isinstance(outcome, Answered):
                continue  # without an answer nothing is known: the next one shows
            if self._is_ended(outcome):
                self._why = "another client of the account has ended the user stream"
                self._private.close()
                return

    def _is_ended(self, answer: Answered) -> bool:
        """Whether the account has no listen key any more, or another one: of ours nothing comes then."""
        if refusal(answer) is not None:
            return code_of(answer) == NO_LISTEN_KEY
        try:
            extended = msgspec.json.decode(answer.body, type=_ListenKey).listen_key
        except msgspec.MsgspecError:
            return False  # it says nothing: the next one shows
        return extended != self._key

    async def _must(self, request: Request) -> Answered:
        outcome = await self._rest.ask(request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{request.method}: {outcome.reason}")
        refused = refusal(outcome)
        if refused is None:
            return outcome
        if refused.key:
            raise Refused(f"the venue refuses the key: {refused.text}")
        raise PeerUnavailable(f"{request.method}: {refused.text}")
