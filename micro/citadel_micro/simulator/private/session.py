"""One connection of a websocket API: who logged on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from citadel_micro.simulator.keys import ApiKey, Kind
from citadel_micro.simulator.private.signed import find_key, malformed, rejected_key
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.private.intake import Intake
    from citadel_micro.simulator.private.service import Service

Json = dict[str, Any]


class SessionRevoked(ApiError):  # noqa: N818 - what happened, in one word
    """The session's key is no longer valid: an error with ``id: null``, and the session is logged out."""

    def __init__(self) -> None:
        """The answer to an unknown key."""
        super().__init__(-2015, rejected_key().text, status=401)


class Session:
    """A connection's state and the methods that are about it."""

    def __init__(
        self, service: Service, client: Client, *, address: str, rate_limits: bool
    ) -> None:
        """Start without a key."""
        self._service = service
        self.client = client
        self.address = address
        self.rate_limits = rate_limits
        self.key: ApiKey | None = None
        self._since: int | None = None
        self._connected = service.venue.now_ms
        self.methods: dict[str, Callable[[Intake, dict[str, str]], Any]] = {
            "session.logon": self._logon,
            "session.status": self._status,
            "session.logout": self._logout,
        }

    def end(self) -> None:
        """Forget what the connection held: it is gone."""

    def check_key(self) -> None:
        """Log out where the session's key no longer holds.

        Raises:
            SessionRevoked: it has been logged out.
        """
        key = self.key
        if key is None:
            return
        try:
            find_key(self._service.venue.ring, key.key_id, self.address)
        except ApiError as error:
            self.key = self._since = None
            self._drop_logon()
            raise SessionRevoked from error

    # ------------------------------------------------------------------ logon

    def _logon(self, intake: Intake, params: dict[str, str]) -> Json:
        if "apiKey" not in params:
            raise malformed("apiKey")
        call = intake.websocket("session.logon", params, None, self.address)
        if call.key.kind is not Kind.ED25519:
            raise rejected_key()
        self.key = call.key
        self._since = self._service.venue.now_ms
        return self._state()

    def _status(self, _intake: Intake, _params: dict[str, str]) -> Json:
        return self._state()

    def _logout(self, _intake: Intake, _params: dict[str, str]) -> Json:
        self.key = self._since = None
        self._drop_logon()
        return self._state()

    def _drop_logon(self) -> None:
        """End what the logon gave the connection."""

    @property
    def _listens(self) -> bool:
        """Whether the connection gets an account's events."""
        return False

    def _state(self) -> Json:
        return {
            "apiKey": None if self.key is None else self.key.key_id,
            "authorizedSince": self._since,
            "connectedSince": self._connected,
            "returnRateLimits": self.rate_limits,
            "serverTime": self._service.venue.now_ms,
            "userDataStream": self._listens,
        }
