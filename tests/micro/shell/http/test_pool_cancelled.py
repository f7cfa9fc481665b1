"""A connection whose opening is cancelled just as it succeeds is closed, by either loop, and once only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cancelled_late import BY_EITHER_LOOP, all_are_closed

from citadel_micro.shell.dial import dial
from citadel_micro.shell.http import pool as pool_module
from citadel_micro.shell.http.pool import HttpPool

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import pytest

    from citadel_micro.shell.http.link import HttpLink


@BY_EITHER_LOOP
def test_it_is_closed_in_whichever_wait_the_cancellation_comes(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialed: list[socket.socket] = []

    async def kept(host: str, port: int) -> socket.socket | None:
        found = await dial(host, port)
        assert found is not None, "a name"
        dialed.append(found)
        return found

    async def close(link: HttpLink) -> None:
        link.close()

    monkeypatch.setattr(pool_module, "dial", kept)

    async def scenario() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await all_are_closed(HttpPool(f"http://localhost:{port}", 99).connect, close, dialed)
        server.close()
        await server.wait_closed()

    run(scenario())
