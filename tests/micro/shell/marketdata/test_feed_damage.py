"""The Aggregator and damaged frames, and snapshots that fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from hard_feeds import Observer, run_hard, until
from hardship_kit import A, B

from citadel_micro.shell.marketdata import websocket as link_module

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hard_venue import HardVenue


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe garbage that is not text",
        "[" * 100_000,
        '{"stream":"' + "x" * 200_000,
        '{"stream":"a@depth","data":{"e":"depthUpdate","s":"A","U":1,"u":1,"E":1,"b":[["1e999","1"]]}}',
    ],
    ids=["binary", "nested", "long", "infinite"],
)
def test_garbage_costs_a_reconnect(monkeypatch: pytest.MonkeyPatch, garbage: str | bytes) -> None:
    async def scenario(seen: Observer) -> None:
        await seen.agree()
        await seen.venue.raw(garbage)
        await until(lambda: seen.state(A) == seen.state(B) == "SYNCING")
        assert len(seen.markets[A].reason) < 1_000
        await seen.agree()
        assert seen.aggregator.health()[0].violations == 1
        assert seen.faults == []

    run_hard(monkeypatch, scenario)


@pytest.mark.parametrize("deflate", [False, True], ids=["picows", "aiohttp"])
def test_a_message_beyond_all_measure_costs_the_connection(
    monkeypatch: pytest.MonkeyPatch, *, deflate: bool
) -> None:
    monkeypatch.setattr(link_module, "MAX_MESSAGE", 1 << 16)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        await seen.venue.raw(" " * (1 << 20))
        await until(lambda: seen.state(A) == "SYNCING")
        await seen.agree()
        assert seen.aggregator.health()[0].connects == 2
        assert seen.faults == []

    run_hard(monkeypatch, scenario, spec={"deflate": deflate})


async def _unavailable(_venue: HardVenue, _native: str) -> web.Response:
    return web.Response(status=503, headers={"Retry-After": "1"})


async def _too_many(_venue: HardVenue, _native: str) -> web.Response:
    return web.Response(status=429, headers={"Retry-After": "1"})


async def _hangs_up(_venue: HardVenue, _native: str) -> web.Response:
    raise ConnectionResetError


async def _not_json(_venue: HardVenue, _native: str) -> web.Response:
    return web.Response(text="<html>maintenance</html>")


async def _crossed(venue: HardVenue, native: str) -> web.Response:
    answer = venue.snapshot(native)
    answer["bids"], answer["asks"] = answer["asks"], answer["bids"]
    return web.json_response(answer)


async def _late(venue: HardVenue, native: str) -> web.Response:
    """Taken now, given when the stream has long gone on."""
    answer = venue.snapshot(native)
    for _ in range(20):
        await venue.push(native)
        await asyncio.sleep(0.01)
    return web.json_response(answer)


async def _before_the_stream(venue: HardVenue, native: str) -> web.Response:
    answer = venue.snapshot(native)
    answer["lastUpdateId"] -= 50
    return web.json_response(answer)


@pytest.mark.parametrize(
    "answer",
    [_unavailable, _too_many, _hangs_up, _not_json, _crossed, _late, _before_the_stream],
)
def test_a_snapshot_that_fails_is_fetched_again(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[HardVenue, str], Awaitable[web.Response]]
) -> None:
    async def scenario(seen: Observer) -> None:
        await seen.agree()
        assert len(seen.venue.connected_at) == 1
        if answer is not _late:
            times = [at for at, native in seen.venue.asked if native == "C0USDT"]
            assert len(times) >= 2
            if answer in (_unavailable, _too_many):
                assert times[1] - times[0] >= 0.95, "the venue had said when"

    def prepare(venue: HardVenue) -> None:
        venue.answers.append(answer)

    run_hard(monkeypatch, scenario, symbols=1, prepare=prepare)


def test_a_snapshot_of_another_book_does_not_stay_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it says of which symbol it is; but its numbers never meet the stream's."""

    async def foreign(venue: HardVenue, native: str) -> web.Response:
        answer = venue.snapshot(native)
        answer["lastUpdateId"] += 1_000_000
        return web.json_response(answer)

    def prepare(venue: HardVenue) -> None:
        venue.answers.append(foreign)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        assert len(seen.venue.asked) == 2
        # It cannot be known at once: the venue may be ahead of its own stream for a moment.
        assert all(int(lie.rpartition(" ")[2]) > 1_000_000 for lie in seen.lies)
        seen.lies.clear()

    run_hard(monkeypatch, scenario, symbols=1, prepare=prepare)
