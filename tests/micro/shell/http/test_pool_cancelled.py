"""A connection whose opening is cancelled just as it succeeds is closed, by either loop, and once only.

Where uvloop closes a descriptor, the object that dialed it must not close that number again: it may be a
journal's by then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop
from cancelled_late import cancelled_at_each_wait
from waiting import until

from citadel_micro.shell.dial import dial
from citadel_micro.shell.http import pool as pool_module
from citadel_micro.shell.http.link import HttpLink
from citadel_micro.shell.http.pool import HttpPool

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_it_is_closed_in_whichever_wait_the_cancellation_comes(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialed: list[socket.socket] = []

    async def kept(host: str, port: int) -> socket.socket | None:
        found = await dial(host, port)
        assert found is not None, "a name"
        dialed.append(found)
        return found

    monkeypatch.setattr(pool_module, "dial", kept)

    async def scenario() -> None:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        links = await cancelled_at_each_wait(HttpPool(f"http://localhost:{port}", 99).connect)
        for link in links:
            assert isinstance(link, HttpLink)
            link.close()
        assert len(dialed) > len(links), "one was cancelled after it was dialed"
        await until(lambda: all(each.fileno() == -1 for each in dialed))
        server.close()
        await server.wait_closed()

    run(scenario())
