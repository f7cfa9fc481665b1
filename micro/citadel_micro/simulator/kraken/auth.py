"""Who a request is from: the signature of REST calls, their nonces, and tokens of the websocket."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from citadel_micro.simulator.keys import ApiKey, Kind
from citadel_micro.simulator.kraken.errors import INVALID_KEY, INVALID_SESSION, KrakenError

if TYPE_CHECKING:
    from citadel_micro.simulator.keys import KeyRing

TOKEN_S: Final = 900
"""A token must be used within so long; on the connection that has used it, it then stays good."""
_NONCE: Final = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Token:
    """What a token stands for."""

    key: ApiKey
    until_ns: int


@dataclass(frozen=True, slots=True)
class Signed:
    """The headers of a call, and where it came from."""

    key_id: str
    signature: str
    address: str


class Door:
    """Lets requests in."""

    def __init__(self, ring: KeyRing) -> None:
        """Know the keys of ``ring``."""
        self._ring = ring
        self._nonces: dict[str, int] = {}
        self._tokens: dict[str, Token] = {}

    def find(self, key_id: str, address: str) -> ApiKey:
        """Return a key.

        Raises:
            KrakenError: it is unknown, revoked, no HMAC key, or used from elsewhere.
        """
        key = self._ring.get(key_id)
        if key is None or key.kind is not Kind.HMAC or (key.ips and address not in key.ips):
            raise KrakenError(INVALID_KEY)
        return key

    def rest(self, path: str, nonce: str, body: bytes, by: Signed) -> ApiKey:
        """Return the key that signed a call: HMAC-SHA512 of path and SHA256(nonce + body).

        Raises:
            KrakenError: unknown key, wrong signature, or a nonce that is not above the last.
        """
        key_id = by.key_id
        key = self.find(key_id, by.address)
        try:
            secret = base64.b64decode(key.secret, validate=True)
        except (binascii.Error, ValueError):
            raise KrakenError(INVALID_KEY) from None
        digest = hashlib.sha256(nonce.encode() + body).digest()
        expected = base64.b64encode(hmac.digest(secret, path.encode() + digest, "sha512"))
        if not hmac.compare_digest(expected, by.signature.encode("utf-8", "replace")):
            raise KrakenError("EAPI:Invalid signature")
        if not _NONCE.fullmatch(nonce) or int(nonce) <= self._nonces.get(key_id, 0):
            raise KrakenError("EAPI:Invalid nonce")
        self._nonces[key_id] = int(nonce)
        return key

    def issue(self, key: ApiKey, now_ns: int) -> str:
        """Return a new token."""
        text = hashlib.sha256(f"{key.key_id} {now_ns} {len(self._tokens)}".encode()).digest()
        token = base64.b64encode(text).decode()
        self._tokens[token] = Token(key, now_ns + TOKEN_S * 1_000_000_000)
        return token

    def open(self, token: object, now_ns: int, used: set[str], address: str) -> ApiKey:
        """Return the key behind a token; ``used`` are those that the connection has used before.

        Raises:
            KrakenError: there is no such token, it is too old, or its key no longer holds.
        """
        found = self._tokens.get(token) if isinstance(token, str) else None
        if found is None or (token not in used and now_ns > found.until_ns):
            raise KrakenError(INVALID_SESSION)
        try:
            key = self.find(found.key.key_id, address)
        except KrakenError:
            raise KrakenError(INVALID_SESSION) from None
        used.add(str(token))
        return key
