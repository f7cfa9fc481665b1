"""A connection that is about to end is followed by another, and no book is without trust meanwhile.

Venues on loopback cut, shut down, refuse the successor, or lose either connection.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hard_feeds import QUICK, Observer, run_hard, until
from hard_venue import BinanceSpot, BybitLinear, HardVenue

from citadel_micro.core.model.events import TradeTick
from citadel_micro.shell.marketdata import connection as connection_module
from citadel_micro.shell.marketdata import session as life_module
from citadel_micro.shell.marketdata import websocket as link_module

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from citadel_micro.shell.marketdata.spec import Limits
    from citadel_micro.shell.marketdata.websocket import WebSocket

A = "C0/USDT"
DIALECTS = pytest.mark.parametrize(
    "dialect", [BinanceSpot(), BybitLinear()], ids=["rest", "stream"]
)


class Witness(Observer):
    """Counts the time that each book was not LIVE since it first was, to this moment."""

    def seconds_not_live(self) -> float:
        now_s = time.monotonic()
        running = [now_s - since_s for since_s in self._left_live.values()]
        return max([*self.not_live_s.values(), *running])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real times are of a day's connection."""
    monkeypatch.setattr("hard_feeds.Observer", Witness)
    monkeypatch.setattr(life_module, "RENEW_BEFORE", 0.5)
    monkeypatch.setattr(life_module, "WATCH_S", 0.02)
    monkeypatch.setattr(connection_module, "LINGER_S", 0.1)


def lasting(seconds: float) -> Limits:
    return replace(QUICK, lifetime_s=seconds)


async def cut_at_age(venue: HardVenue, seconds: float) -> None:
    """What the venue does to every connection of that age."""
    born: dict[Any, float] = {}
    while True:
        for socket in list(venue.sockets):
            if time.monotonic() - born.setdefault(socket, time.monotonic()) > seconds:
                await socket.close(code=1008, message=b"lifetime")
        await asyncio.sleep(0.01)


async def streaming(seen: Observer, until_true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Push changes of every book, as a venue does, until then."""

    async def step() -> bool:
        await seen.venue.push_all()
        await asyncio.sleep(0.005)
        return until_true()

    await until(step, seconds)


async def only_socket(seen: Observer) -> web.WebSocketResponse:
    """Its connection, when none is being handed over: on a slow machine one may be already."""
    await until(lambda: len(seen.venue.sockets) == 1)
    (socket,) = seen.venue.sockets
    return socket


@DIALECTS
def test_books_stay_live_through_several_lifetimes_that_the_venue_cuts(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        await seen.agree()
        cutting = asyncio.ensure_future(cut_at_age(seen.venue, 2.4))  # for a machine that is slow
        asked = len(seen.venue.asked)
        try:
            await streaming(seen, lambda: len(seen.venue.connected_at) >= 4)
        finally:
            cutting.cancel()
        await seen.agree()
        assert seen.seconds_not_live() == 0.0
        assert seen.aggregator.health()[0].failures == 0
        assert all(market.gaps == market.resyncs == 0 for market in seen.markets.values())
        assert len(seen.venue.asked) == asked, "nothing had to be fetched"

    run_hard(monkeypatch, scenario, dialect=dialect, spec={"limits": lasting(1.6)})


def test_a_venue_that_says_it_goes_away_is_left_for_its_successor_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        await seen.agree()
        first = await only_socket(seen)
        await seen.venue.raw('{"e":"serverShutdown","E":1770123456789}')
        await streaming(seen, lambda: first not in seen.venue.sockets)
        await seen.agree()
        assert seen.seconds_not_live() == 0.0
        assert seen.aggregator.health()[0].connects == 2

    run_hard(monkeypatch, scenario)


@DIALECTS
def test_a_shutdown_that_cuts_at_once_costs_a_resync_and_no_more(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    """The old connection dies while its successor is not yet subscribed."""

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        first = await only_socket(seen)
        seen.venue.muted.update(seen.natives.values())
        await until(lambda: len(seen.venue.sockets) == 2)
        await first.close(code=1001)
        await until(lambda: all(market.state != "LIVE" for market in seen.markets.values()))
        seen.venue.muted.clear()
        await seen.agree()

    spec = {"limits": lasting(2.0)}
    run_hard(monkeypatch, scenario, dialect=dialect, spec=spec, quiet_s=1.0)


@DIALECTS
def test_a_successor_that_is_refused_is_tried_again_while_the_old_one_serves(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        first = await only_socket(seen)
        seen.venue.hang_up_on = "accept"
        await seen.agree()
        await streaming(seen, lambda: len(seen.venue.connected_at) >= 4)
        assert first in seen.venue.sockets
        assert seen.seconds_not_live() == 0.0
        seen.venue.hang_up_on = ""
        await streaming(seen, lambda: first not in seen.venue.sockets)
        await seen.agree()
        assert seen.seconds_not_live() == 0.0

    run_hard(monkeypatch, scenario, dialect=dialect, spec={"limits": lasting(0.6)})


@DIALECTS
def test_a_successor_that_dies_half_way_gives_back_what_it_had(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    silent = "C1USDT"

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        first = await only_socket(seen)
        seen.venue.muted.add(silent)  # so that this one is not handed over

        async def moved() -> bool:
            await seen.venue.push("C0USDT")
            await asyncio.sleep(0.005)
            return len(seen.venue.sockets) == 2 and all(seen.venue.sockets.values())

        await until(moved)
        for _ in range(20):
            await moved()
        (second,) = set(seen.venue.sockets) - {first}
        await second.close(code=1011)
        seen.venue.muted.clear()
        await seen.agree()

    run_hard(monkeypatch, scenario, dialect=dialect, spec={"limits": lasting(2.0)}, quiet_s=5.0)


def test_many_symbols_are_given_the_time_that_subscribing_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "HANDOVER_S", 0.2)
    slow = replace(lasting(4.0), messages_per_s=25.0, symbols_per_message=1)

    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        await until(lambda: all(seen.venue.subscribed(n) for n in seen.natives.values()))
        await seen.agree()
        first = await only_socket(seen)
        await streaming(seen, lambda: first not in seen.venue.sockets)
        assert seen.seconds_not_live() == 0.0
        assert all(market.gaps == 0 for market in seen.markets.values())

    run_hard(monkeypatch, scenario, symbols=20, spec={"limits": slow})


def test_the_end_of_the_old_one_is_reported_while_its_successor_cannot_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that takes for ever to open must not keep dead books LIVE."""
    plain = link_module.open_link
    opened: list[str] = []

    async def hangs(url: str, *arguments: Any, **options: Any) -> WebSocket:  # noqa: ANN401
        opened.append(url)
        if len(opened) == 2:
            await asyncio.Event().wait()
        return await plain(url, *arguments, **options)

    monkeypatch.setattr(life_module, "open_link", hangs)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        first = await only_socket(seen)
        await until(lambda: len(opened) == 2)
        await first.close(code=1001)
        await until(lambda: all(market.state != "LIVE" for market in seen.markets.values()))
        await seen.agree()

    run_hard(monkeypatch, scenario, spec={"limits": lasting(0.6)})


def test_no_trade_is_lost_or_reported_twice_from_one_connection_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []

    class Trader(Witness):
        def sink(self, event: object, recv_ns: int) -> None:
            if isinstance(event, TradeTick):
                taken.append(event.trade_id)
            else:
                super().sink(event, recv_ns)

    monkeypatch.setattr("hard_feeds.Observer", Trader)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        sent = 0
        first = next(iter(seen.venue.sockets))

        async def step() -> bool:
            nonlocal sent
            data = {"e": "trade", "E": sent, "s": "C0USDT", "t": sent, "p": "1.5", "q": "1"}
            data |= {"T": sent, "m": False}
            frame = {"stream": "c0usdt@trade", "data": data}
            await seen.venue.raw(json.dumps(frame, separators=(",", ":")), "C0USDT")
            sent += 1
            await seen.venue.push_all()
            await asyncio.sleep(0.004)
            return first not in seen.venue.sockets

        await until(step)
        for _ in range(20):
            await step()
        await until(lambda: len(taken) >= sent)
        assert taken == [str(number) for number in range(sent)]

    run_hard(
        monkeypatch,
        scenario,
        spec={"limits": lasting(1.0)},
        channels=("depth", "trade"),
    )


def test_a_capture_has_one_connection_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of two connections under one number would be a capture that nobody can read."""
    opened: list[tuple[str, int]] = []

    class Tapped(Witness):
        def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as Observer
            super().__init__(*arguments)
            self.aggregator._tap = lambda _at, kind, conn, _url, _text: opened.append((kind, conn))

    monkeypatch.setattr("hard_feeds.Observer", Tapped)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        first = await only_socket(seen)
        await streaming(seen, lambda: first not in seen.venue.sockets)
        await seen.agree()
        assert {conn for kind, conn in opened if kind == "open"} == {0}
        assert opened.count(("open", 0)) >= 2
        await until(lambda: len(seen.venue.sockets) == 1)

    run_hard(monkeypatch, scenario, spec={"limits": lasting(2.0)})
