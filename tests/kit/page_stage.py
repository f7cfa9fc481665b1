"""The page in a tab of a real Chromium, and a run with something in every panel."""

from __future__ import annotations

import socket
from random import sample
from typing import TYPE_CHECKING, Any, Final

import pytest
from chromium import Chromium, Tab, running
from engine_kit import MS, SECOND, SYMBOL, signal
from page_kit import PageRun, Served, served

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from pathlib import Path


UP: Final = "document.documentElement.dataset.link === 'up' && document.querySelector('.tile')"
IMPATIENT: Final = "WebSocket is closed before the connection is established"
"""Said where a machine is so slow that the page begins anew."""


class Stage:
    """A loop and a browser that the tests of this file share."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self._runner = runner
        self._folder = folder
        self._running = running(folder)
        self.browser: Chromium = runner.run(self._running.__aenter__())

    def close(self) -> None:
        self._runner.run(self._running.__aexit__(None, None, None))

    def show(
        self,
        folder: Path,
        body: Callable[[Served, PageRun, Tab], Awaitable[None]],
        *,
        allowed: tuple[str, ...] = (),
        port: int = 0,
        **tab: Any,  # noqa: ANN401 - of ``Chromium.tab``
    ) -> None:
        """Run a test with a page, its run and a tab; the console may say what is allowed, no more."""

        async def main() -> None:
            run = PageRun()
            async with (
                served(folder / "run", run, port=port) as page,
                self.browser.tab(**tab) as opened,
            ):
                await body(page, run, opened)
                problems = [
                    each
                    for each in opened.problems
                    if not any(word in each for word in (*allowed, IMPATIENT))
                ]
                assert problems == []
                # Nothing is fetched from anywhere else.
                assert [url for url in opened.requests if not url.startswith(page.url)] == []

        self._runner.run(main())


def lasting_port() -> int:
    """A free port that no other program is given by chance while nobody listens there."""
    for port in sample(range(20_000, 32_000), 100):  # below those of Linux for any
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    pytest.fail("no free port")


def busy(run: PageRun) -> None:
    """A run with something in every panel: orders that work and ended, a position, a trip."""
    for number, side in enumerate(("buy", "buy", "sell")):
        name = f"done{number}"
        run.send(signal(name, side=side, created_ns=run.now, expires_ns=run.now + 10 * SECOND))
        run.run(20 * MS)
        (child,) = run.engine.order_store.known[name].live
        run.venue.fill(child.client_id, 200)
        run.run(300 * MS)
        run.venue.fill(child.client_id, 300)
        run.run(700 * MS)
    run.send(signal("open1", created_ns=run.now, expires_ns=run.now + 10 * SECOND))
    run.run(20 * MS)
    run.operate("pause", scope=f"symbol:fake:{SYMBOL}", reason="news at three")
    run.send(
        signal(
            "open2",
            side="sell",
            created_ns=run.now,
            expires_ns=run.now + 10 * SECOND,
            quantity=run.engine.portfolio.quantity("fake", SYMBOL),
        )
    )
    run.run(20 * MS)
