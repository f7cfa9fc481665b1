"""The page's paths: its files, the live feed of a viewer, and the commands of a person.

===============  ==========================================================================
``/``            the page; ``/page/NAME`` its script and style
``/page/live``   a websocket: rows of the run, then only what changes (``view``)
``/page/act``    POST: pause, halt, kill, flatten, reset
===============  ==========================================================================

Reading needs the token unless it is done from this machine; acting always does (``access``). A slow
viewer is sent less, as its own connection has room; one that takes nothing for ``SEND_S`` is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from citadel_micro.shell.ops.control import Request
from citadel_micro.shell.page.access import TOKEN_FILE, Gate, bearer, is_loopback, token_of
from citadel_micro.shell.page.history import History
from citadel_micro.shell.page.kept_curve import CURVE_FILE, KeptCurve
from citadel_micro.shell.page.view import TICK_S, Live, Viewer
from citadel_proto.bounds import Name, Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from citadel_micro.shell.config.model import HttpSection
    from citadel_micro.shell.ops.health import Vitals

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log: Final = structlog.get_logger("page")

LIVE: Final = "/page/live"
ACT: Final = "/page/act"
KILL_WORD: Final = "KILL"
"""What a person types as the second step of a kill."""
MOST_VIEWERS: Final = 12
SEND_S: Final = 10.0
"""A viewer that takes nothing for this long is dropped."""
HELLO_S: Final = 5.0
"""A viewer says what it wants to see within this time."""
BODY_S: Final = 5.0
_LONGEST_ACT: Final = 4 * 1024
_LONGEST_WATCH: Final = 16 * 1024
_BUSY: Final = 20
"""Requests of one viewer in one tick; a browser sends one when something scrolls."""
_FILES: Final = {
    "page.css": "text/css",
    "charts.js": "text/javascript",
    "format.js": "text/javascript",
    "link.js": "text/javascript",
    "dialogs.js": "text/javascript",
    "panels.js": "text/javascript",
    "app.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

Keys = Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=500)]


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's command."""

    action: Literal["pause", "halt", "kill", "flatten", "reset"]
    scope: Scope = ""
    trip_id: Name = ""
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    through_halt: bool = False
    confirm: Annotated[str, msgspec.Meta(max_length=20)] = ""
    """``KILL_WORD`` for a kill."""


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a viewer has on its screen. What is left out stays as it was."""

    token: Annotated[str, msgspec.Meta(max_length=500)] = ""
    books: Keys | None = None
    orders: Keys | None = None
    whole: bool = False
    """Send everything again: something was missed."""


class Page:
    """Serves one run. ``mount`` it before the server starts, ``attach`` the run when there is one."""

    def __init__(self, gate: Gate, token_file: Path, curve_file: Path, *, loopback: bool) -> None:
        self._gate = gate
        self._curve_file = curve_file
        self._token_file = token_file
        self._loopback = loopback
        """Whether the server listens on this machine only: then every path asks for its Host."""
        self._command: Callable[[bytes], dict[str, Any]] | None = None
        self._history: History | None = None
        self._live: Live | None = None
        self._sockets: dict[web.WebSocketResponse, web.Request] = {}
        folder = files(__package__) / "static"
        self._index = (folder / "index.html").read_bytes()
        self._files = {name: (folder / name).read_bytes() for name in _FILES}

    def mount(self, app: web.Application) -> None:
        """Add the page's paths, and the checks of every request."""
        app.middlewares.append(self._checks)
        app.router.add_get("/", self._serve_index)
        app.router.add_get(LIVE, self._serve_live)
        app.router.add_post(ACT, self._serve_act)
        app.router.add_get("/page/{name}", self._serve_file)
        app.on_shutdown.append(self._hang_up)

    def attach(
        self, vitals: Vitals, command: Callable[[bytes], dict[str, Any]], url: str = ""
    ) -> None:
        """Show this run; ``command`` executes an operator's request and answers it."""
        vitals.page, vitals.page_token = url, str(self._token_file.resolve())
        loop = asyncio.get_running_loop()
        self._command = command
        kept = KeptCurve(self._curve_file, vitals)
        curve = kept.load(vitals.clock.now()) if vitals.resumed else None
        self._history = History(vitals, loop, curve=curve, keep=kept.keep)
        self._history.start()
        self._live = Live(vitals, self._history, loop.time)

    def close(self) -> None:
        """Stop sampling. Safe to repeat."""
        if self._history is not None:
            self._history.close()

    # checks

    @web.middleware
    async def _checks(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        own = request.path == "/" or request.path.startswith("/page/")
        host = request.headers.get("Host", "")
        if (own or self._loopback) and not self._gate.host_allowed(host):
            return _refusal(
                421,
                f"this server is not known as {host[:100]!r}: use its address, or add the name to "
                "http.hosts in the configuration",
            )
        if not own:
            return await handler(request)
        if not self._gate.origin_allowed(request.headers.get("Origin"), host):
            return _refusal(403, "another page may not use this one")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none") and (
            request.path != "/"
        ):
            return _refusal(403, "another page may not use this one")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _may_read(self, request: web.Request, token: str) -> bool:
        return self._gate.open_to(request.remote, request.headers) or self._gate.token_good(token)

    # files

    async def _serve_index(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._index, content_type="text/html", charset="utf-8")

    async def _serve_file(self, request: web.Request) -> web.Response:
        body = self._files.get(request.match_info["name"])
        if body is None:
            return _refusal(404, "there is no such file")
        kind = _FILES[request.match_info["name"]]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    # acting

    async def _serve_act(self, request: web.Request) -> web.Response:
        if not self._gate.token_good(bearer(request.headers)):
            return _refusal(
                401, "acting needs the token: open the address that `citadel page` prints"
            )
        if request.content_type != "application/json":
            return _refusal(415, "send application/json")
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.content.read(_LONGEST_ACT + 1)
                while not request.content.at_eof() and len(body) <= _LONGEST_ACT:
                    body += await request.content.read(_LONGEST_ACT + 1)
        except TimeoutError:
            return _refusal(408, "the request took too long")
        if len(body) > _LONGEST_ACT:
            return _refusal(413, f"longer than {_LONGEST_ACT} bytes")
        try:
            act = msgspec.json.decode(body, type=Act)
        except (msgspec.MsgspecError, ValueError) as error:
            return _refusal(400, f"not a command: {error}")
        return self._act(act)

    def _act(self, act: Act) -> web.Response:
        if self._command is None:
            return _refusal(503, "micro is starting")
        if act.action == "kill" and act.confirm != KILL_WORD:
            return _refusal(428, f"a kill needs a second step: type {KILL_WORD}")
        if act.action == "reset" and not act.reason.strip():
            return _refusal(400, "a reset needs a reason: why is it safe again?")
        reason = act.reason.strip() or "no reason given"
        request = Request(
            action=act.action,
            scope=act.scope,
            trip_id=act.trip_id,
            reason=f"{reason} (on the page)",
            through_halt=act.through_halt,
        )
        log.warning("command on the page", action=act.action, scope=act.scope, trip=act.trip_id)
        answer = self._command(msgspec.json.encode(request))
        if self._live is not None:
            self._live.hurry()
        told = {"ok": answer["ok"], "error": answer["error"], "risk": answer["risk"]}
        return web.Response(
            body=msgspec.json.encode(told),
            status=200 if answer["ok"] else 409,
            content_type="application/json",
        )

    # looking

    async def _serve_live(self, request: web.Request) -> web.StreamResponse:
        if len(self._sockets) >= MOST_VIEWERS:
            return _refusal(503, f"{MOST_VIEWERS} viewers are connected: close one")
        # Not compressed: on this machine that costs more than it saves.
        socket = web.WebSocketResponse(
            heartbeat=15.0, max_msg_size=_LONGEST_WATCH, compress=False, timeout=1.0
        )
        if not socket.can_prepare(request):
            return _refusal(426, "this is a websocket")
        self._sockets[socket] = request
        try:
            await socket.prepare(request)
            viewer = await self._welcome(request, socket)
            if viewer is not None:
                await self._show(request, socket, viewer)
        finally:
            del self._sockets[socket]
        return socket

    async def _welcome(self, request: web.Request, socket: web.WebSocketResponse) -> Viewer | None:
        """The viewer that the first message describes; None for one that may not read."""
        with contextlib.suppress(TimeoutError, TypeError):
            watch = await _watch(socket, HELLO_S)
            if watch is None:
                return None
            viewer = Viewer()
            if self._may_read(request, watch.token):
                may_act = self._gate.token_good(watch.token)
                await socket.send_str(msgspec.json.encode({"may_act": may_act}).decode())
                if self._live is not None:
                    self._live.watch(viewer, watch.books, watch.orders)
                return viewer
            await socket.send_str('{"refused":"token"}')
        await socket.close(code=WSCloseCode.POLICY_VIOLATION)
        return None

    async def _show(
        self, request: web.Request, socket: web.WebSocketResponse, viewer: Viewer
    ) -> None:
        sending = asyncio.ensure_future(self._send(socket, viewer))
        # Nothing more is said to one that takes nothing: that would wait as well.
        sending.add_done_callback(partial(_abort, request))
        try:
            told_s, many = 0.0, 0
            loop = asyncio.get_running_loop()
            while not sending.done():
                watch = await _watch(socket)
                if watch is None:
                    break
                if loop.time() - told_s > TICK_S:
                    told_s, many = loop.time(), 0
                many += 1
                if many > _BUSY:
                    break
                if self._live is not None:
                    self._live.watch(viewer, watch.books, watch.orders)
                    if watch.whole:
                        viewer.version = -1
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _send(self, socket: web.WebSocketResponse, viewer: Viewer) -> None:
        """Send frames until the viewer is gone, or takes none."""
        live: Live | None = None
        try:
            while not socket.closed:
                if live is None and self._live is not None:
                    live = self._live
                    live.viewers.append(viewer)
                if live is None:
                    frame: dict[str, Any] | None = {"starting": True}
                else:
                    live.refresh()
                    frame = live.frame(viewer)
                if frame is not None:
                    async with asyncio.timeout(SEND_S):
                        await socket.send_frame(msgspec.json.encode(frame), WSMsgType.TEXT)
                await asyncio.sleep(TICK_S)
        except (TimeoutError, ConnectionError):
            pass  # it is gone, or as good as gone
        finally:
            if live is not None:
                live.viewers.remove(viewer)

    async def _hang_up(self, _app: web.Application) -> None:
        for request in list(self._sockets.values()):
            _abort(request)


def page_of(config: HttpSection, run_dir: Path) -> Page | None:
    """The page as configured; None where it is not served.

    Raises:
        BadInput: the configured token cannot be used.
    """
    if not config.page:
        return None
    token = token_of(run_dir, config.token_file)
    return Page(
        Gate(token, tuple(config.hosts)),
        config.token_file or run_dir / TOKEN_FILE,
        run_dir / CURVE_FILE,
        loopback=is_loopback(config.host),
    )


def _abort(request: web.Request, _sent: object = None) -> None:
    """End its connection now, whatever it has not taken yet."""
    if request.transport is not None:
        request.transport.abort()


async def _watch(socket: web.WebSocketResponse, timeout_s: float | None = None) -> Watch | None:
    """The viewer's next message; None when it has hung up, or said something else."""
    message = await socket.receive(timeout_s)
    if message.type is not WSMsgType.TEXT:
        return None
    try:
        return msgspec.json.decode(message.data, type=Watch)
    except (msgspec.MsgspecError, ValueError):
        return None


def _refusal(status: int, why: str) -> web.Response:
    return web.Response(
        body=msgspec.json.encode({"ok": False, "error": why}),
        status=status,
        content_type="application/json",
        headers=HEADERS,
    )
