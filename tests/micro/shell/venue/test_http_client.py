"""Signed HTTP requests: an outcome for each, no redirects, and nothing of the address in a message."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web
from http_host import OK, Host
from scripted_venue import ScriptedVenue

from citadel_micro.shell.http import pool
from citadel_micro.shell.http.link import HttpLink
from citadel_micro.shell.venue import http_client
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_proto.errors import BadInput

SIGNED = "/api/v3/order?symbol=A%2FB&signature=0123456789abcdef"


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def test_an_answer_is_an_answer_whatever_it_says() -> None:
    async def teapot(request: web.Request) -> web.StreamResponse:
        assert request.headers["X-MBX-APIKEY"] == "k"
        assert await request.text() == "a=1"
        return web.Response(status=418, text="{}", headers={"Retry-After": "7"})

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = teapot
            client = HttpClient(venue.url, "a test")
            answer = await client.send("POST", SIGNED, headers={"X-MBX-APIKEY": "k"}, body="a=1")
            assert isinstance(answer, Answered)
            assert (answer.status, answer.body) == (418, b"{}")
            assert answer.headers["retry-after"] == "7"
            # As it was signed, percent signs and all.
            assert venue.requests == [f"POST {SIGNED}"]
            await client.close()

    asyncio.run(scenario())


def test_a_redirect_is_not_followed() -> None:
    async def away(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = away
            client = HttpClient(venue.url, "a test")
            answer = await client.send("POST", SIGNED)
            assert isinstance(answer, Answered)
            assert answer.status == 307
            assert len(venue.requests) == 1
            await client.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_a_connection_that_breaks_leaves_it_unknown_and_nothing_is_sent_twice(method: str) -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            client = HttpClient(venue.url, "a test")
            # The connection is kept alive by an answer, then breaks under the order.
            assert isinstance(await client.send("GET", "/api/v3/time"), Answered)
            venue.on_request = cut
            outcome = await client.send(method, SIGNED)
            assert isinstance(outcome, Unknown)
            assert "signature" not in outcome.reason
            assert venue.requests == ["GET /api/v3/time", f"{method} {SIGNED}"]
            await client.close()

    asyncio.run(scenario())


def test_where_nobody_listens_nothing_was_sent() -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            url = venue.url
        client = HttpClient(url, "a test")
        outcome = await client.send("POST", SIGNED)
        assert isinstance(outcome, NotSent)
        assert "signature" not in outcome.reason
        await client.close()

    asyncio.run(scenario())


def test_silence_and_floods_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    async def much(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 4_000)

    monkeypatch.setattr(http_client, "MOST_BYTES", 1_000)

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            client = HttpClient(venue.url, "a test", timeout_s=0.2)
            venue.on_request = never
            assert isinstance(await client.send("POST", SIGNED), Unknown)
            venue.on_request = much
            assert isinstance(await client.send("GET", SIGNED), Unknown)
            await client.close()
            await client.close()

    asyncio.run(scenario())


def test_keys_do_not_travel_in_the_clear() -> None:
    with pytest.raises(BadInput, match=r"venues\.x\.private_rest_url"):
        HttpClient("http://192.0.2.1", "venues.x.private_rest_url")


def test_what_is_closed_stays_closed() -> None:
    """A task that has outlived its adapter would open a session that nobody closes."""

    async def teapot(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=418)

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = teapot
            client = HttpClient(venue.url, "a test")
            assert isinstance(await client.send("POST", SIGNED), Answered)
            await client.close()
            assert isinstance(await client.send("POST", SIGNED), NotSent)
            assert client._pool.links == []
            assert len(venue.requests) == 1
            await client.close()

    asyncio.run(scenario())


# --- connections --------------------------------------------------------------------------------


def test_one_after_another_have_one_connection_and_the_second_is_written_at_once() -> None:
    async def scenario() -> None:
        host = Host()
        async with host as client:
            assert isinstance(await client.send("GET", "/a"), Answered)
            (link,) = client._pool.links
            assert not link.waits
            sent = client.send("POST", "/b", headers={"K": "v"})
            assert client._pool.links[0].waits, "it is under way before anybody waits for it"
            assert isinstance(await sent, Answered)
            assert host.connections == 1
            assert host.requests[0].startswith(b"GET /base/a HTTP/1.1\r\nHost: 127.0.0.1:")
            assert b"\r\nK: v\r\nContent-Length: 0\r\n" in host.requests[1]
            both = await asyncio.gather(client.send("GET", "/c"), client.send("GET", "/d"))
            assert all(isinstance(each, Answered) for each in both)
            assert host.connections == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
    ],
)
def test_a_connection_that_says_more_than_it_is_asked_is_not_used_again(answer: bytes) -> None:
    async def scenario() -> None:
        host = Host(answer)
        async with host as client:
            for _ in range(2):
                told = await client.send("GET", "/a")
                assert isinstance(told, Answered)
                assert told.body == b"ok"
            assert host.connections == 2

    asyncio.run(scenario())


def test_an_answer_that_comes_too_late_is_not_the_next_ones() -> None:
    async def scenario() -> None:
        host = Host(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla")
        async with host as client:
            assert isinstance(await client.send("GET", "/"), Answered)
            client._timeout_s = 0.1
            assert isinstance(await client.send("POST", "/a"), Unknown)
            client._timeout_s = 5.0
            told = await client.send("GET", "/b")
            assert isinstance(told, Answered)
            assert (told.body, host.connections) == (b"ok", 2)

    asyncio.run(scenario())


def test_what_is_no_answer_leaves_the_order_unknown() -> None:
    async def scenario() -> None:
        async with Host(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n") as client:
            told = await client.send("POST", SIGNED)
            assert isinstance(told, Unknown)
            assert "length" in told.reason

    asyncio.run(scenario())


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        host = Host()
        async with host as client:
            await client.send("GET", "/a")
            monkeypatch.setattr(pool, "KEEP_ALIVE_S", -1.0)
            assert isinstance(await client.send("POST", "/b"), Answered)
            assert host.connections == 2

    asyncio.run(scenario())


def test_an_end_that_the_loop_has_not_come_to_is_seen() -> None:
    async def scenario() -> None:
        near, far = socket.socketpair()
        link = HttpLink(100)
        await asyncio.get_running_loop().create_connection(lambda: link, sock=near)
        seen = [link.ready]
        far.close()
        assert [*seen, link.ready] == [True, False], "nobody would read what is written now"
        link.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("target", "headers"),
    [("/a b", {}), ("/a\r\nHost: x", {}), ("/\u00e9", {}), ("/a", {"K": "v\r\nX: y"})],
)
def test_what_would_be_another_request_is_not_sent(target: str, headers: dict[str, str]) -> None:
    async def scenario() -> None:
        host = Host()
        async with host as client:
            assert isinstance(await client.send("GET", target, headers=headers), NotSent)
            assert host.connections == 0

    asyncio.run(scenario())
