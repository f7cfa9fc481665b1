"""From the text of a request to a call: key, signature, clock. REST and the trade websocket alike.

Signed is, as on the page "Integration guidance": timestamp, key, receive window, and the query or
body as it came over the wire. A websocket signs once, ``GET/realtime`` and a time that must not have
come yet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from citadel_micro.simulator.bybit.envelope import (
    BAD_KEY,
    BAD_SIGN,
    NO_PERMISSION,
    BybitError,
    params_error,
)
from citadel_micro.simulator.bybit.methods import ONE_ORDER, REALTIME
from citadel_micro.simulator.keys import Kind, Permission
from citadel_micro.simulator.private.signed import Times
from citadel_micro.simulator.private.venue import Call
from citadel_micro.simulator.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.private.service import Service

WINDOW_MS: Final = 5_000
_STAMP: Final = re.compile(r"[0-9]{13}")
_WINDOW: Final = re.compile(r"[0-9]{1,6}")


class Intake:
    """Makes calls of requests, or says why not. ``symbols`` maps Bybit's names to unified ones."""

    def __init__(
        self, service: Service, symbols: Mapping[str, str], permission: Permission
    ) -> None:
        """Admit requests to ``service``; trading needs a key with ``permission``."""
        self._service = service
        self._permission = permission
        self.symbols = symbols

    def find_key(self, key_id: str, address: str) -> ApiKey:
        """Return the key of a request.

        Raises:
            BybitError: 10003 for one that is unknown or revoked, 10010 from another address.
        """
        key = self._service.venue.ring.get(key_id)
        if key is None:
            raise BybitError(BAD_KEY, "API key is invalid.")
        if key.ips and address not in key.ips:
            text = "Unmatched IP, please check your API key's bound IP addresses."
            raise BybitError(10010, text)
        return key

    def check_signature(self, key: ApiKey, payload: bytes, signature: str) -> None:
        """Raise BybitError: 10004."""
        ring = self._service.venue.ring
        if key.kind is Kind.ED25519 or not ring.signed(key, payload, signature):
            text = "Error sign, please check your signature generation algorithm."
            raise BybitError(BAD_SIGN, text)

    def rest(
        self, method: str, headers: Mapping[str, str], raw: bytes, values: dict[str, str], peer: str
    ) -> Call:
        """Read a signed REST request. ``raw`` is its query or body.

        Raises:
            BybitError: for whatever is wrong with it.
        """
        names = ("X-BAPI-API-KEY", "X-BAPI-TIMESTAMP", "X-BAPI-SIGN")
        key_id, stamp, signature = (headers.get(name, "") for name in names)
        if not (key_id and stamp and signature):
            text = f"empty value: apiTimestamp[{stamp}] apiKey[] apiSignature[]: openapi sign params error!"
            raise BybitError(10001, text)
        window = headers.get("X-BAPI-RECV-WINDOW", str(WINDOW_MS))
        key = self.find_key(key_id, peer)
        self.check_signature(key, f"{stamp}{key_id}{window}".encode() + raw, signature)
        return self.call(method, key, values, (stamp, window), peer)

    def call(
        self, method: str, key: ApiKey, values: dict[str, str], times: tuple[str, str], peer: str
    ) -> Call:
        """Make a call for a key that has signed.

        Raises:
            BybitError: 10001, 10002 or 10005.
        """
        if method == REALTIME and (values.get("orderId") or values.get("orderLinkId")):
            method = ONE_ORDER
        stamp, window = times
        if not _STAMP.fullmatch(stamp) or not _WINDOW.fullmatch(window):
            raise params_error("timestamp or recv_window invalid")
        service = self._service
        made = Times(int(stamp) * 1000, int(window) * 1000)
        made.check(service.server_time_ns((key.key_id, key.account), method))
        if service.methods[method].trades and not key.may(self._permission):
            text = "Permission denied, please check your API key permissions."
            raise BybitError(NO_PERMISSION, text)
        return Call(
            method=method,
            key=key,
            query=Query(values, self.symbols),
            address=peer,
            times=made,
            strict=False,
        )

    def log_on(self, args: object, address: str) -> ApiKey:
        """Return the key of an ``auth`` request: key, expiry in ms, signature.

        Raises:
            BybitError: 10001, 10003, 10004, 10010.
        """
        if not isinstance(args, list) or len(args) != 3:  # noqa: PLR2004 - as documented
            raise params_error("args invalid")
        key_id, expires, signature = (str(each) for each in args)
        key = self.find_key(key_id, address)
        self.check_signature(key, f"GET/realtime{expires}".encode(), signature)
        now_ms = self._service.server_time_ns((key.key_id, key.account), "auth") // 1_000_000
        if not _STAMP.fullmatch(expires) or int(expires) <= now_ms:
            raise BybitError(10004, "Params Error: expires is in the past")
        return key


def query_texts(raw: str) -> dict[str, str]:
    """Return the parameters of a query."""
    values: dict[str, str] = {}
    for pair in raw.split("&"):
        name, _, value = pair.partition("=")
        if name:
            values[unquote(name)] = unquote(value)
    return values
