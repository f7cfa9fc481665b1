"""Signed requests: is the key known and allowed, the signature right, the clock close enough.

Rules and texts as Binance documents them ("Request Security" and "Timing security" of its spot REST
API, and its error codes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.simulator.keys import ApiKey, KeyRing

DEFAULT_WINDOW: Final = Decimal(5000)
LARGEST_WINDOW: Final = Decimal(60_000)
_KEY_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WINDOW: Final = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
_LEAD_US: Final = 1_000_000  # a timestamp may lie this far ahead of the server
_MICROSECONDS_FROM: Final = 10**14  # a timestamp as large as this is in microseconds
_INTEGER: Final = re.compile(r"[0-9]{1,20}")


def rejected_key() -> ApiError:
    """Return the error for a key that is unknown, revoked, elsewhere or not allowed to do this."""
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


def malformed(name: str) -> ApiError:
    """Return the error for a mandatory parameter that is missing or not of its form."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return ApiError(-1102, text)


@dataclass(frozen=True, slots=True)
class Times:
    """When a request was made and for how long it is good, in microseconds."""

    made_us: int
    window_us: int

    def check(self, now_ns: int) -> None:
        """Refuse a request that is too old or too far ahead.

        Raises:
            ApiError: -1021, in either of its two texts.
        """
        now_us = now_ns // 1000
        if self.made_us >= now_us + _LEAD_US:
            text = "Timestamp for this request was 1000ms ahead of the server's time."
            raise ApiError(-1021, text)
        if now_us - self.made_us > self.window_us:
            raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


NO_TIMES: Final = Times(0, 1 << 62)
"""Of a request that is not signed: good for ever."""


def read_times(params: Mapping[str, str]) -> Times:
    """Read ``timestamp`` (ms or µs) and ``recvWindow`` (ms, up to three decimals).

    Raises:
        ApiError: -1102 for what is missing or malformed, -1131 for a window above 60,000.
    """
    stamp = params.get("timestamp", "")
    if not _INTEGER.fullmatch(stamp):
        raise malformed("timestamp")
    made = int(stamp)
    made_us = made if made >= _MICROSECONDS_FROM else made * 1000
    window = DEFAULT_WINDOW
    text = params.get("recvWindow")
    if text is not None:
        if not _WINDOW.fullmatch(text):
            if re.fullmatch(r"[0-9]{6,}(\.[0-9]+)?", text):
                raise ApiError(-1131, "recvWindow must be less than 60000.")
            legal = r"^[0-9]{1,5}(\.[0-9]{1,3})?$"
            what = "Illegal characters found in parameter 'recvWindow'; legal range is"
            raise ApiError(-1100, f"{what} '{legal}'.")
        window = Decimal(text)
        if window > LARGEST_WINDOW:
            raise ApiError(-1131, "recvWindow must be less than 60000.")
    return Times(made_us, int(window * 1000))


def find_key(ring: KeyRing, key_id: str | None, address: str) -> ApiKey:
    """Return the key of a request.

    Raises:
        ApiError: -2014 for what cannot be a key, -2015 for one that is unknown or used from an
            address that it is not for.
    """
    if key_id is None or not _KEY_FORM.fullmatch(key_id):
        raise ApiError(-2014, "API-key format invalid.", status=401)
    key = ring.get(key_id)
    if key is None or (key.ips and address not in key.ips):
        raise rejected_key()
    return key


def split_signature(text: str) -> tuple[str, str | None]:
    """Return an encoded query or form without its ``signature``, and the signature as it was sent."""
    kept, found = [], None
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if name == "signature":
            found = value
        elif pair:
            kept.append(pair)
    return "&".join(kept), found


def check_signature(ring: KeyRing, key: ApiKey, payload: str, signature: str | None) -> None:
    """Check a signature over the payload as it came over the wire.

    Raises:
        ApiError: -1102 without one, -1022 when it is not right.
    """
    if not signature:
        raise malformed("signature")
    if not ring.signed(key, payload.encode("utf-8", "surrogateescape"), signature):
        raise ApiError(-1022, "Signature for this request is not valid.")


def session_payload(params: Mapping[str, str]) -> str:
    """Return what a websocket request signs: its parameters by name, without the signature."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
