"""A host of several addresses is reached by the one that answers, however long another one stays silent."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from scripted_venue import ScriptedVenue

from citadel_micro.shell.dial import dial
from citadel_micro.shell.marketdata.websocket import open_link
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, NotSent
from citadel_micro.shell.venue.request_socket import RequestSocket
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "localhost"
"""Keys may travel to it without encryption."""


@contextmanager
def silent() -> Iterator[int]:
    """The port of a listener that takes no connection: its queue is full, and a knock is not answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            yield port
        finally:
            for each in waiting:
                each.close()


def resolves_to(patch: pytest.MonkeyPatch, *ports: int) -> None:
    """The name stands for these ports of this machine, in this order."""

    async def found(_host: str, _port: int, **_more: Any) -> list[Any]:  # noqa: ANN401 - as a loop's
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, ("127.0.0.1", port)) for port in ports]

    patch.setattr(asyncio.get_running_loop(), "getaddrinfo", found, raising=False)


def test_a_silent_address_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        with silent() as dead:
            async with ScriptedVenue() as venue:
                alive = int(venue.url.rpartition(":")[2])
                resolves_to(monkeypatch, dead, alive)
                client = HttpClient(f"http://{NAME}:{alive}", "a test")
                assert isinstance(await client.send("GET", "/time"), Answered)
                await client.close()
                request_socket = RequestSocket(lambda _frame: None, lambda _frame: None)
                await request_socket.open(f"ws://{NAME}:{alive}/ws", "a test")
                assert request_socket.up
                request_socket.close()
                await request_socket.closed()
                link = await open_link(f"ws://{NAME}:{alive}/ws", lambda _frame: None)
                link.close()
                await link.closed()

    asyncio.run(scenario())


def test_a_host_none_of_whose_addresses_answers_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        with socket.socket() as gone:
            gone.bind(("127.0.0.1", 0))  # and does not listen
            port = gone.getsockname()[1]
            resolves_to(monkeypatch, port, port)
            client = HttpClient(f"http://{NAME}:{port}", "a test")
            assert isinstance(await client.send("GET", "/time"), NotSent)
            await client.close()
            request_socket = RequestSocket(lambda _frame: None, lambda _frame: None)
            with pytest.raises(PeerUnavailable, match="cannot connect"):
                await request_socket.open(f"ws://{NAME}:{port}/ws", "a test")

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_in_numbers_is_connected_to_as_it_is(address: str) -> None:
    assert asyncio.run(dial(address, 1)) is None
