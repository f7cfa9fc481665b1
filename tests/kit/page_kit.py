"""The page of an engine with a scripted market, served on loopback."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from engine_kit import Rig

from citadel_micro.core.model.commands import Note
from citadel_micro.shell.config.model import HttpSection
from citadel_micro.shell.ops.control import ControlServer
from citadel_micro.shell.ops.health import Vitals
from citadel_micro.shell.ops.http import HttpServer
from citadel_micro.shell.page.page import Page, page_of
from citadel_micro.shell.stats import Stats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.shell.bridge.uplink import Uplink
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.ops.connections import BoundedServer
    from citadel_micro.shell.runner import Runner


class PageRun(Rig):
    """A run to look at. Time stands still until ``run`` is called."""

    def __init__(self, run_id: str = "run1") -> None:
        self.control: ControlServer | None = None
        super().__init__()
        self.vitals = Vitals(
            run_id=run_id,
            instance="micro",
            mode="paper",
            macro_required=False,
            engine=self.engine,
            runner=cast("Runner", SimpleNamespace(post=self.send, failed=False, live_children=0)),
            uplink=cast("Uplink", self),
            clock=cast("Clock", SimpleNamespace(now=lambda: self.now, drift_ns=lambda: 0, steps=0)),
            stats=Stats(),
            state="running",
        )
        self.vitals.clock.last_step_ns = 0
        self.peers = SimpleNamespace(alive=lambda _now_ns: [])

    def _carry_out(self, command: Command) -> None:
        super()._carry_out(command)
        if isinstance(command, Note) and self.control is not None:
            self.control.note(command)

    # what health asks of the uplink

    @property
    def last_beat_ns(self) -> int:
        return self.now

    def macro_age_ns(self, _now_ns: int) -> int | None:
        return None

    def skews(self, _now_ns: int) -> dict[str, int]:
        return {}

    def received_by(self, _now_ns: int) -> list[str]:
        return []

    def lane(self) -> None:
        return None

    def listening(self) -> list[dict[str, object]]:
        return []

    def refused(self) -> dict[str, object]:
        return {}


class Served:
    """A page on loopback, and what a browser or a program sends to it."""

    def __init__(self, server: HttpServer, page: Page, folder: Path) -> None:
        self.server = server
        self.page = page
        self.folder = folder

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def token(self) -> str:
        return (self.folder / "page.token").read_text().strip()

    @property
    def url_to_act(self) -> str:
        """As ``citadel page`` prints it."""
        return f"{self.url}/#token={self.token}"

    def show(self, run: PageRun) -> None:
        """This run is up."""
        run.control = ControlServer(self.folder, run.vitals)
        self.server.vitals = run.vitals
        self.page.attach(run.vitals, run.control.answer, self.url)

    async def act(
        self, body: object, *, token: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Post a command as the page does; ``headers`` are added, or replace those."""
        sent = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token if token is None else token}",
            "Origin": self.url,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/page/act", data=data, headers=sent) as response,
        ):
            return response.status, await response.json()

    @asynccontextmanager
    async def looking(
        self, first: dict[str, Any] | None = None, **headers: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A viewer that has said what it wants to see."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"{self.url}/page/live",
                max_msg_size=0,
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            ) as socket,
        ):
            await socket.send_json(first or {})
            yield socket


@asynccontextmanager
async def served(
    folder: Path,
    run: PageRun | None = None,
    *,
    port: int = 0,
    bounds: BoundedServer | None = None,
    host: str = "127.0.0.1",
    **http: Any,  # noqa: ANN401 - keys of the configuration
) -> AsyncIterator[Served]:
    """Serve the page of a run; without one, of a micro that is starting."""
    folder.mkdir(exist_ok=True, mode=0o700)  # noqa: ASYNC240 - nobody waits
    page = page_of(HttpSection(host=host, **http), folder)
    assert page is not None
    server = HttpServer("127.0.0.1", port, mount=page.mount, bounds=bounds)
    await server.start()
    made = Served(server, page, folder)
    try:
        if run is not None:
            made.show(run)
        yield made
    finally:
        page.close()
        await server.close()
