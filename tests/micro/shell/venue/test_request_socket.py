"""Requests over a websocket: answered, not sent, or unknown; and never sent again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from scripted_venue import ScriptedVenue
from waiting import until

from citadel_micro.shell.marketdata.websocket import open_link
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_micro.shell.venue.request_socket import RequestSocket
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from aiohttp import web

    from citadel_micro.shell.venue.outcomes import Outcome


def read(data: bytes) -> tuple[int, Answered] | None:
    frame = json.loads(data)
    if "id" not in frame:
        return None
    return frame["id"], Answered(status=frame["status"], body=data)


def text(number: int) -> bytes:
    return json.dumps({"id": number}).encode()


async def opened(
    venue: ScriptedVenue, *, answer_timeout_s: float = 5.0
) -> tuple[RequestSocket, list[bytes]]:
    events: list[bytes] = []
    socket = RequestSocket(read, events.append, answer_timeout_s=answer_timeout_s)
    await socket.open(venue.ws_url, "a test")
    return socket, events


def test_answers_find_their_requests_in_any_order_and_events_go_their_way() -> None:
    async def on_text(socket: web.WebSocketResponse, said: str) -> None:
        number = json.loads(said)["id"]
        if number == 3:
            await socket.send_str('{"event": {}}')
            for each in (3, 1, 2, 1):
                await socket.send_str(json.dumps({"id": each, "status": each}))

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_text = on_text
            socket, events = await opened(venue)
            numbers = [socket.next_number() for _ in range(3)]
            outcomes = await asyncio.gather(*(socket.ask(each, text(each)) for each in numbers))
            assert [getattr(each, "status", None) for each in outcomes] == [1, 2, 3]
            assert events == [b'{"event": {}}']
            socket.close()
            assert "closed by us" in await socket.closed()

    asyncio.run(scenario())


def test_a_lost_connection_leaves_every_request_unknown_and_sends_none_again() -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            socket, _ = await opened(venue)
            outcomes: list[Outcome] = []
            for number in (1, 2):
                socket.send(number, text(number), outcomes.append)
            await until(lambda: len(venue.texts) == 2)
            await venue.cut()
            await socket.closed()
            assert [type(each) for each in outcomes] == [Unknown, Unknown]
            assert not socket.up
            # What is sent from now on certainly did not leave.
            socket.send(3, text(3), outcomes.append)
            assert isinstance(outcomes[-1], NotSent)
            assert len(venue.texts) == 2

    asyncio.run(scenario())


def test_no_answer_in_time_is_unknown_and_a_late_one_changes_nothing() -> None:
    async def on_text(socket: web.WebSocketResponse, said: str) -> None:
        await asyncio.sleep(0.6)
        await socket.send_str(json.dumps({"id": json.loads(said)["id"], "status": 200}))
        await socket.send_str('{"event": 1}')

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_text = on_text
            socket, events = await opened(venue, answer_timeout_s=0.2)
            outcomes: list[Outcome] = []
            socket.send(1, text(1), outcomes.append)
            await until(lambda: events)
            assert [type(each) for each in outcomes] == [Unknown]
            assert socket.up
            socket.close()

    asyncio.run(scenario())


def test_closing_leaves_what_is_pending_unknown() -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            socket, _ = await opened(venue)
            waiting = asyncio.ensure_future(socket.ask(1, text(1)))
            await asyncio.sleep(0.05)
            socket.close()
            assert isinstance(await waiting, Unknown)

    asyncio.run(scenario())


def test_no_connection_redirects_and_open_networks() -> None:
    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        from aiohttp import web as server  # noqa: PLC0415 - only here

        return server.Response(status=307, headers={"Location": "/ws"})

    async def scenario() -> None:
        async with ScriptedVenue() as venue:
            venue.on_request = elsewhere
            socket = RequestSocket(read, lambda _frame: None)
            with pytest.raises(PeerUnavailable):
                await socket.open(venue.ws_url + "/away", "a test")
            assert not venue.sockets  # a redirect is not followed
        with pytest.raises(PeerUnavailable):
            await socket.open(venue.ws_url, "a test")
        with pytest.raises(BadInput):
            await socket.open("ws://192.0.2.1/ws", "a test")
        outcomes: list[Outcome] = []
        socket.send(1, text(1), outcomes.append)
        assert isinstance(outcomes[0], NotSent)
        assert await socket.closed() == "never opened"

    asyncio.run(scenario())


@pytest.mark.parametrize("read_first", [0, 10])
def test_a_connection_that_is_closed_before_the_handshake_is_none(read_first: int) -> None:
    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(read_first)
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(drop, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        socket = RequestSocket(read, lambda _frame: None)
        with pytest.raises(PeerUnavailable):
            await socket.open(url, "a test")
        assert not socket.up
        with pytest.raises(PeerUnavailable):
            await open_link(url, lambda _frame: None)
        server.close()

    asyncio.run(scenario())
