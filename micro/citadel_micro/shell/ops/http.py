"""``/healthz`` and ``/metrics``."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from citadel_micro.shell.ops.health import check
from citadel_micro.shell.ops.metrics import exposition
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
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

    It listens before there is a run to speak of, so that a taken port is noticed first and an
    orchestrator is answered while micro starts.

    Args:
        host: address to listen on; the configuration has checked that it may be used.
        port: 0 takes a free one, see ``port`` after ``start``.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.vitals: Vitals | None = None
        """The run, once there is one."""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            PeerUnavailable: the port is in use.
            BadInput: the address is none of this machine's.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_WITHIN_S
        )
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port)
        try:
            await site.start()
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
        self.port = int(runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening. Harmless when repeated."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def _healthz(self, _request: web.Request) -> web.Response:
        well, body = (False, _STARTING) if self.vitals is None else check(self.vitals)
        return web.Response(
            body=msgspec.json.encode(body),
            status=200 if well else 503,
            content_type="application/json",
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = b"" if self.vitals is None else exposition(self.vitals)
        return web.Response(body=text, headers={"Content-Type": _METRICS_TYPE})
