"""The HTTP session that is lent to ccxt: no redirects, no repeats, no other host, nothing after its time.

ccxt builds and signs requests, and its throttler may hold one back for long. Only here is it known
whether a request has left, which decides between "not sent" and "unknown".
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from citadel_micro.shell.venue.addresses import private_url

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_TIMEOUT_S: Final = 5.0
_NEVER_LEFT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class TooLateError(Exception):
    """The request was held back until after its expiry, so it was not sent."""


@dataclass(slots=True)
class Attempt:
    """One request of ours, of which ccxt may make several."""

    expires_ns: int = 0
    """Engine time; 0 for never."""
    left: bool = False
    """Something may have reached the venue."""
    unreachable: bool = False
    """The last connection failed before anything was sent."""


ATTEMPT: Final[ContextVar[Attempt | None]] = ContextVar("attempt", default=None)


class Transport:
    """As much of ``aiohttp.ClientSession`` as ccxt uses.

    Args:
        where: the setting that named the addresses, for messages.
        now: engine time in ns.
    """

    def __init__(self, where: str, now: Callable[[], int]) -> None:
        self._where = where
        self._now = now
        self._session = aiohttp.ClientSession(
            trust_env=False, connector=aiohttp.TCPConnector(keepalive_timeout=60.0)
        )
        # It would repeat a DELETE or a PUT whose connection broke, and has no other switch.
        self._session._retry_connection = False  # noqa: SLF001

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - get, post, put, delete, patch
        if name not in ("get", "post", "put", "delete", "patch"):
            return getattr(self._session, name)

        def request(url: object, **more: Any) -> _Sending:  # noqa: ANN401 - ccxt's own
            return self._request(name.upper(), url, more)

        return request

    def ws_connect(self, url: str, **more: Any) -> Any:  # noqa: ANN401 - a context manager
        """A websocket, to an address that keys may travel to."""
        private_url(str(url), self._where)
        return self._session.ws_connect(url, **more)

    async def close(self) -> None:
        """Close every connection; requests in flight fail."""
        await self._session.close()

    def _request(self, method: str, url: object, more: dict[str, Any]) -> _Sending:
        private_url(str(url), self._where)
        attempt = ATTEMPT.get() or Attempt()
        if attempt.expires_ns and self._now() >= attempt.expires_ns:
            raise TooLateError("it has expired")
        more["allow_redirects"] = False
        return _Sending(self._session.request(method, url, **more), attempt)  # type: ignore[arg-type]


class _Sending:
    """One request under way."""

    def __init__(self, inner: Any, attempt: Attempt) -> None:  # noqa: ANN401 - aiohttp's own
        self._inner = inner
        self._attempt = attempt

    async def __aenter__(self) -> Any:  # noqa: ANN401 - aiohttp's response
        before, self._attempt.left = self._attempt.left, True
        try:
            return await self._inner.__aenter__()
        except _NEVER_LEFT:
            self._attempt.left, self._attempt.unreachable = before, True
            raise

    async def __aexit__(self, *error: object) -> Any:  # noqa: ANN401 - as aiohttp
        return await self._inner.__aexit__(*error)
