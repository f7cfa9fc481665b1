"""Who sends a request: the headers of REST, the login of a websocket, and their times.

Source: "REST Authentication" and "WebSocket Login" of the venue's documentation: base64 of HMAC-SHA256
over timestamp, method, path and body; a timestamp is good for 30 seconds, either way.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.keys import Kind
from citadel_micro.simulator.okx.errors import OkxError, parameter
from citadel_micro.simulator.private.signed import Times
from citadel_micro.simulator.query import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.simulator.keys import ApiKey, KeyRing
    from citadel_micro.simulator.okx.names import Names

GOOD_FOR_US: Final = 30_000_000
VERIFY: Final = "GET/users/self/verify"


@dataclass(frozen=True, slots=True)
class OkxTimes(Times):
    """When a request was made, and after which ``expTime`` (µs, 0: none) it is not accepted."""

    expires_us: int = 0

    def check(self, now_ns: int) -> None:
        """Refuse a request that is too old, too far ahead or past its deadline.

        Raises:
            OkxError: 50102.
        """
        now_us = now_ns // 1000
        late = self.made_us and abs(now_us - self.made_us) > self.window_us
        if late or (self.expires_us and now_us > self.expires_us):
            raise OkxError(50102, "Timestamp request expired", status=401)


class OkxQuery(Query):
    """The parameters of one request, of which the instrument has a name or a number."""

    def __init__(self, values: Mapping[str, str], names: Names) -> None:
        """Wrap them."""
        super().__init__(values, {})
        self._names = names

    def symbol(self) -> str:
        """Return ``instId`` or ``instIdCode`` as a unified name.

        Raises:
            OkxError: 51000 without one, 51001 for one that is not traded.
        """
        name = self.values.get("instId") or self.values.get("instIdCode")
        if not name:
            raise parameter("instId")
        return self.of(name)

    def of(self, name: str) -> str:
        """Return an instrument's unified name.

        Raises:
            OkxError: 51001.
        """
        found = self._names.find(name)
        if found is None:
            raise OkxError(51001, "Instrument ID doesn't exist.", row=True)
        return found

    def get(self, name: str) -> str:
        """Return a parameter, empty where it was not sent."""
        return self.values.get(name, "")


def expiry(text: str) -> int:
    """Return ``expTime`` (ms) in µs; 0 for none.

    Raises:
        OkxError: 51000.
    """
    if not text:
        return 0
    if not text.isdecimal():
        raise parameter("expTime", row=False)
    return int(text) * 1000


def sign(key: ApiKey, payload: str) -> str:
    """Return the signature of a text."""
    digest = hmac.new(
        key.secret.encode(), payload.encode("utf-8", "surrogateescape"), hashlib.sha256
    )
    return base64.b64encode(digest.digest()).decode()


def rest_key(
    ring: KeyRing, headers: Mapping[str, str], payload: str, address: str
) -> tuple[ApiKey, OkxTimes]:
    """Return the key of a signed REST request, and its times, which are yet to be checked.

    ``payload`` is what is signed after the timestamp: method, path with its query, and body.

    Raises:
        OkxError: with HTTP 401.
    """
    given = {}
    for name, code in (
        ("OK-ACCESS-KEY", 50103),
        ("OK-ACCESS-PASSPHRASE", 50104),
        ("OK-ACCESS-SIGN", 50106),
        ("OK-ACCESS-TIMESTAMP", 50107),
    ):
        given[name] = headers.get(name, "")
        if not given[name]:
            raise OkxError(code, f'Request header "{name}" cannot be empty.', status=401)
    key = known(ring, given["OK-ACCESS-KEY"], address)
    time_text = given["OK-ACCESS-TIMESTAMP"]
    try:
        made = datetime.fromisoformat(time_text)
    except ValueError:
        raise OkxError(50112, "Invalid OK-ACCESS-TIMESTAMP", status=401) from None
    if made.tzinfo is None:
        raise OkxError(50112, "Invalid OK-ACCESS-TIMESTAMP", status=401)
    if not hmac.compare_digest(sign(key, time_text + payload), given["OK-ACCESS-SIGN"]):
        raise OkxError(50113, "Invalid Sign", status=401)
    if given["OK-ACCESS-PASSPHRASE"] != key.passphrase:
        text = 'Request header "OK-ACCESS-PASSPHRASE" incorrect.'
        raise OkxError(50105, text, status=401)
    made_us = round(made.timestamp() * 1000) * 1000
    return key, OkxTimes(made_us, GOOD_FOR_US, expiry(headers.get("expTime", "")))


def known(ring: KeyRing, key_id: str, address: str) -> ApiKey:
    """Return a key that may be used from this address.

    Raises:
        OkxError: 50111, or 50110 for an address that is not on its list.
    """
    key = ring.get(key_id)
    if key is None or key.kind is not Kind.HMAC:
        raise OkxError(50111, "Invalid OK-ACCESS-KEY", status=401)
    if key.ips and address not in key.ips:
        text = f"Your IP {address} is not included in your API key's IP whitelist."
        raise OkxError(50110, text, status=401)
    return key


def login_key(
    ring: KeyRing, arg: Mapping[str, object], address: str, now_ns: Callable[[ApiKey], int]
) -> ApiKey:
    """Return the key of a websocket's login; ``now_ns`` is the time that judges its timestamp.

    Raises:
        OkxError: in the codes of the websocket.
    """
    given = {name: str(arg.get(name, "")) for name in ("apiKey", "passphrase", "timestamp", "sign")}
    key = ring.get(given["apiKey"])
    if key is None or key.kind is not Kind.HMAC or (key.ips and address not in key.ips):
        raise OkxError(60005, "Invalid apiKey")
    if not given["timestamp"].isdecimal():
        raise OkxError(60004, "Invalid timestamp")
    if not hmac.compare_digest(sign(key, given["timestamp"] + VERIFY), given["sign"]):
        raise OkxError(60007, "Invalid sign")
    if given["passphrase"] != key.passphrase:
        raise OkxError(60024, "Wrong passphrase")
    late_us = abs(now_ns(key) // 1000 - int(given["timestamp"]) * 1_000_000)
    if late_us > GOOD_FOR_US:
        raise OkxError(60006, "Timestamp request expired")
    return key
