"""Public data over HTTP: an answer of any status, or the reason why there is none; never a redirect."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import web
from http_host import OK, Host
from scripted_venue import ScriptedVenue

from citadel_micro.shell.http import public
from citadel_micro.shell.http.public import PublicHost, fetch
from citadel_proto.errors import PeerUnavailable

AWAY = b"HTTP/1.1 307 Elsewhere\r\nLocation: /b\r\nContent-Length: 4\r\n\r\naway"
PACKED = gzip.compress(b'{"lastUpdateId":1}' * 100, mtime=0)
CHUNKED = b"".join(
    [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        *(b"%x\r\n%b\r\n" % (len(part), part) for part in (PACKED[:20], PACKED[20:])),
        b"0\r\n\r\n",
    ]
)


def root_of(host: Host) -> str:
    """Where it listens."""
    return host.client.root


def test_answers_of_every_status_come_over_one_connection() -> None:
    async def scenario() -> None:
        host = Host(OK, AWAY, b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
        async with host, PublicHost(root_of(host), 30.0) as asked:
            told = [await asked.ask(f"/{letter}?limit=5&x=a%2Fb") for letter in "abc"]
            assert [each.status for each in told] == [200, 307, 429]
            assert told[2].headers["retry-after"] == "7"
            assert (host.connections, len(host.requests)) == (1, 3)
            assert host.requests[0].startswith(b"GET /base/a?limit=5&x=a%2Fb HTTP/1.1\r\n")
            assert b"Content-Length" not in host.requests[0]

    asyncio.run(scenario())


def test_what_is_packed_and_in_parts_is_put_together() -> None:
    async def scenario() -> None:
        host = Host(CHUNKED)
        async with host:
            body = await fetch(root_of(host) + "/a", timeout_s=30.0)
            assert body == b'{"lastUpdateId":1}' * 100

    asyncio.run(scenario())


def test_a_symbol_of_any_script_and_a_user_are_encoded() -> None:
    async def scenario() -> None:
        host = Host()
        async with host:
            url = root_of(host).replace("http://", "http://me:s%40t@")
            async with PublicHost(url, 30.0) as asked:
                await asked.ask("/depth?symbol=\u5e01USDT", method="POST")
            (request,) = host.requests
            assert request.startswith(b"POST /base/depth?symbol=%E5%B8%81USDT HTTP/1.1\r\n")
            assert b"\r\nHost: 127.0.0.1:" in request
            assert b"\r\nAuthorization: Basic bWU6c0B0\r\n" in request
            assert b"\r\nContent-Length: 0\r\n" in request

    asyncio.run(scenario())


def test_a_connection_that_ends_between_two_requests_is_replaced() -> None:
    async def cut_once(request: web.Request) -> web.StreamResponse:
        if len(venue.requests) == 2:
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    venue = ScriptedVenue()

    async def scenario() -> None:
        async with venue, PublicHost(venue.url, 30.0) as asked:
            await asked.ask("/a")
            venue.on_request = cut_once
            await asked.ask("/b")
            assert venue.requests == ["GET /a", "GET /b", "GET /b"]

    asyncio.run(scenario())


def test_a_new_connection_that_breaks_is_not_tried_again() -> None:
    async def scenario() -> None:
        host = Host(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", only=1)
        async with host, PublicHost(root_of(host), 30.0) as asked:
            with pytest.raises(PeerUnavailable, match="ConnectionError"):
                await asked.ask("/a")
            assert len(host.requests) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("answer", [AWAY, b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"])
def test_what_is_not_an_ok_is_no_body(answer: bytes) -> None:
    async def scenario() -> None:
        host = Host(answer)
        async with host:
            with pytest.raises(PeerUnavailable, match=r"/base/a answered (307: away|503: busy)"):
                await fetch(root_of(host) + "/a", timeout_s=30.0)
            assert len(host.requests) == 1

    asyncio.run(scenario())


def test_an_answer_without_bounds_silence_and_nobody_are_reasons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(public, "MOST_BYTES", 1_000)

    async def scenario() -> None:
        flood = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"
        silent = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla"
        host = Host(flood, silent)
        async with host:
            root = root_of(host)
            with pytest.raises(PeerUnavailable, match="more than 1000 bytes"):
                await fetch(root, timeout_s=30.0)
            with pytest.raises(PeerUnavailable, match=r"cannot fetch http://127.*TimeoutError"):
                await fetch(root, timeout_s=0.2)
        with pytest.raises(PeerUnavailable, match="cannot fetch"):
            await fetch(root, timeout_s=30.0)

    asyncio.run(scenario())


def test_a_password_in_an_address_is_in_no_message() -> None:
    async def scenario() -> None:
        host = Host(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        async with host:
            root = root_of(host).replace("//", "//me:hidden@")
            with pytest.raises(PeerUnavailable, match=r"^http://127\S+ answered 403") as refused:
                await fetch(root, timeout_s=30.0)
        with pytest.raises(PeerUnavailable, match="cannot fetch") as nobody:
            await fetch(root, timeout_s=30.0)
        assert "hidden" not in f"{refused.value} {nobody.value}"

    asyncio.run(scenario())


def test_what_is_closed_stays_closed() -> None:
    async def scenario() -> None:
        host = Host()
        async with host:
            asked = PublicHost(root_of(host), 30.0)
            await asked.ask("/a")
            await asked.close()
            with pytest.raises(PeerUnavailable, match="closed"):
                await asked.ask("/b")
            assert len(host.requests) == 1

    asyncio.run(scenario())
