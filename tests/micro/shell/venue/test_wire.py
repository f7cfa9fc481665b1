"""The core of every venue's connections: upkeep ends with them, and what was closed stays closed."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from scripted_venue import ScriptedVenue
from waiting import until

from citadel_micro.adapters.binance import error_codes
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.wire import RestWire, WireSocket
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.venue.outcomes import Outcome
    from citadel_micro.shell.venue.wire import Call

REQUEST = Request(purpose="query", method="time", params={})


class Kept(WireSocket):
    """A connection whose upkeep never ends by itself."""

    ended = False

    async def open(self, url: str, *, fails: bool = False) -> None:
        await self._socket.open(url, "a test")
        with self._or_closed():
            self._begin_upkeep(self._keep_up())
            await asyncio.sleep(0)
            if fails:
                raise PeerUnavailable("the venue says no")

    def prepare(self, request: Request, done: Callable[[Outcome], None]) -> Callable[[], None]:
        raise NotImplementedError(request, done)

    async def _keep_up(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    def _read(self, data: bytes) -> tuple[int, Answered] | None:
        raise NotImplementedError(data)


class Baffled(Kept):
    """One whose upkeep meets what nobody has foreseen."""

    async def _keep_up(self) -> None:
        raise ValueError("invalid literal")


class Plain(RestWire):
    refusal = staticmethod(error_codes.refusal)

    def _call(self, request: Request) -> Callable[[], Call] | NotSent:
        if not request.signed:
            return NotSent("unsigned")
        return self._client.prepare("GET", f"/{request.method}")


@pytest.mark.parametrize("lost", [True, False])
def test_the_upkeep_ends_with_its_connection(lost: bool) -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            socket = Kept(lambda _frame: None)
            await socket.open(venue.ws_url)
            assert socket.up
            if lost:
                await venue.cut()
            else:
                socket.close()
            assert await socket.closed()
            await until(lambda: socket.ended)
            assert not socket.up

    asyncio.run(scenario())


def test_a_connection_that_fails_at_its_start_is_closed_with_its_upkeep() -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            socket = Kept(lambda _frame: None)
            with pytest.raises(PeerUnavailable, match="says no"):
                await socket.open(venue.ws_url, fails=True)
            assert "closed by us" in await socket.closed()
            await until(lambda: socket.ended)

    asyncio.run(scenario())


def test_an_upkeep_that_understands_nothing_ends_its_connection() -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            socket = Baffled(lambda _frame: None)
            await socket.open(venue.ws_url)
            assert "not understood: invalid literal" in await socket.closed()
            assert not socket.up

    asyncio.run(scenario())


def test_rest_that_was_closed_sends_nothing_more() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="{}")

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = answer
            rest = Plain(HttpClient(venue.url, "a test"))
            up = [rest.up]
            assert isinstance(await rest.ask(REQUEST), Answered)
            up.append(rest.up)
            unsigned = Request(purpose="query", method="time", params={}, signed=False)
            assert await rest.ask(unsigned) == NotSent("unsigned")
            up.append(rest.up)  # nothing was learnt of the venue
            await rest.close()
            assert await rest.ask(REQUEST) == NotSent("the connections are closed")
            assert [*up, rest.up] == [False, True, True, False]
            assert venue.requests == ["GET /time"]

    asyncio.run(scenario())


@pytest.mark.parametrize("kept_alive", [True, False])
def test_rest_that_is_closed_as_it_sends_leaves_nothing_behind(kept_alive: bool) -> None:
    """A coroutine that nobody awaits is a warning, which fails this."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="{}")

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = answer
            rest = Plain(HttpClient(venue.url, "a test"))
            if kept_alive:
                assert isinstance(await rest.ask(REQUEST), Answered)
            rest.send(REQUEST, lambda _outcome: None)
            await rest.close()
            gc.collect()

    asyncio.run(scenario())


def test_what_is_under_way_when_rest_is_closed_ends_as_unknown() -> None:
    """Whoever waits for an answer would else wait for ever."""
    arrived = asyncio.Event()

    async def never(_request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = never
            rest = Plain(HttpClient(venue.url, "a test"))
            outcomes: list[Outcome] = []
            rest.send(REQUEST, outcomes.append)
            asks = asyncio.ensure_future(rest.ask(REQUEST))
            await arrived.wait()
            await rest.close()
            closed = Unknown("the connections were closed before its answer came")
            assert await asyncio.wait_for(asks, 60) == closed
            assert outcomes == [closed]
            assert not rest.up

    asyncio.run(scenario())


def test_what_a_connection_asks_by_itself_keeps_to_a_pause() -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=418, headers={"Retry-After": "7"}, text='{"code":-1003}')

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = refuse
            rest = Plain(HttpClient(venue.url, "a test"))
            budget = RequestBudget({})
            rest.obey(
                lambda: budget.pause_ns(1),
                lambda told: budget.pause(told.retry_after_s, 1, told.text, banned=told.banned),
            )
            assert isinstance(await rest.ask(REQUEST), Answered)
            held = await rest.ask(REQUEST)
            assert held == NotSent("held back for 7.0 s by the venue", wait=True)
            assert venue.requests == ["GET /time"]
            await rest.close()

    asyncio.run(scenario())


def test_a_budget_counts_what_it_lets_go_and_says_what_it_holds_back() -> None:
    start = 1_800_000_000_000_000_000
    budget = RequestBudget({("weight", 60): 10})
    assert budget.take("cancel", {"weight": 6}, start) is None
    assert budget.take("cancel", {"weight": 4}, start) is None
    late = budget.take("cancel", {"weight": 1}, start)
    assert late == NotSent("held back for 60.0 s: the venue's limits", wait=True)
    with pytest.raises(PeerUnavailable, match=r"held back for 60\.0 s: the venue's limits"):
        budget.check_connecting({"weight": 1}, start)
    budget.check_connecting({"weight": 1}, start + 60_000_000_000)
    assert budget.used()["weight/60s"] == (0, 10)
