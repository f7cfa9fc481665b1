"""``/healthz`` and ``/metrics``, and the server that others add their paths to."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from citadel_micro.shell.ops.connections import KEEP_ALIVE_S, BoundedServer
from citadel_micro.shell.ops.health import check
from citadel_micro.shell.ops.metrics import exposition
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.ops.health import Vitals

CLOSE_WITHIN_S: Final = 1.0
_STARTING: Final[dict[str, Any]] = {
    "status": "unhealthy",
    "reasons": ["micro is starting"],
    "state": "starting",
}
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class HttpServer:
    """Serves one run's health and metrics.

    It listens before the run exists, so that a port in use is reported first and an
    orchestrator gets an answer while micro starts.

    Args:
        host: address to listen on; the configuration has checked that it may be used.
        port: 0 takes a free one, see ``port`` after ``start``.
        health: of another program than micro: whether it is well, and the body of ``/healthz``.
        mount: adds further paths.
        bounds: of its connections.
    """

    def __init__(
        self,
        host: str,
        port: int,
        health: Callable[[], tuple[bool, dict[str, Any]]] | None = None,
        *,
        mount: Callable[[web.Application], None] | None = None,
        bounds: BoundedServer | None = None,
    ) -> None:
        self._health = health
        self._mount = mount
        self._bounds = bounds or BoundedServer()
        self.host = host
        self.port = port
        self.vitals: Vitals | None = None
        """The run, once there is one."""
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            PeerUnavailable: the port is in use.
            BadInput: the address is not one of this machine's.
        """
        app = web.Application(middlewares=[self._bounds.note_request])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._metrics)
        if self._mount is not None:
            self._mount(app)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=CLOSE_WITHIN_S,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=CLOSE_WITHIN_S,
        )
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - made by ``setup``
        self._bounds.serve(runner.server)
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                self._bounds, self.host, self.port, backlog=128, reuse_address=True
            )
        except OSError as error:
            await runner.cleanup()
            place = f"http://{self.host}:{self.port}"
            if error.errno == errno.EADDRINUSE:
                raise PeerUnavailable(
                    f"{place} is in use: another process listens there; stop it, or choose another "
                    "http.port (--http HOST:PORT)"
                ) from error
            raise BadInput(f"cannot listen on {place}: {error.strerror}", where="http") from error
        self._runner = runner
        self.port = int(self._listener.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening. Safe to repeat."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def _healthz(self, _request: web.Request) -> web.Response:
        if self._health is not None:
            well, body = self._health()
        else:
            well, body = (False, _STARTING) if self.vitals is None else check(self.vitals)
        return web.Response(
            body=msgspec.json.encode(body),
            status=200 if well else 503,
            content_type="application/json",
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = b"" if self.vitals is None else exposition(self.vitals)
        return web.Response(body=text, headers={"Content-Type": _METRICS_TYPE})
