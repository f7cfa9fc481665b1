"""API keys: their owner, their permissions, and the verification of signatures.

HMAC-SHA-256, RSA (PKCS#1 v1.5 over SHA-256) and Ed25519, as Binance takes them. HMAC signatures
are hexadecimal in either case, the others base64. A secp256k1 key has no public half here: its
signature tells its address, which is its id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

Public = ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class Kind(Enum):
    """How a key signs."""

    HMAC = "hmac"
    RSA = "rsa"
    ED25519 = "ed25519"
    SECP256K1 = "secp256k1"


class Permission(Enum):
    """What a key may do. Reading needs none."""

    TRADE = "trade"
    FUTURES = "futures"
    WITHDRAW = "withdraw"
    TRANSFER = "transfer"
    INTERNAL_TRANSFER = "internal-transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key of an account.

    ``secret`` is the HMAC secret, else the private key (PEM) where the simulator made it or was
    given it, so that clients can be told; ``public`` (PEM) verifies RSA and Ed25519. ``ips``
    empty: from anywhere. ``passphrase`` is what some venues (OKX) ask for beside an HMAC secret.
    """

    key_id: str
    account: str
    kind: Kind = Kind.HMAC
    secret: str = field(default="", repr=False)
    public: str = ""
    permissions: frozenset[Permission] = frozenset({Permission.TRADE})
    ips: tuple[str, ...] = ()
    created_ms: int = 0
    passphrase: str = field(default="", repr=False)

    def may(self, permission: Permission) -> bool:
        """Return whether the key has this permission."""
        return permission in self.permissions


def load_public(pem: str, where: str) -> Public:
    """Read an RSA or Ed25519 public key.

    Raises:
        BadInput: when it is neither.
    """
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput("the public key cannot be read", where=where, allowed="PEM") from error
    if not isinstance(key, ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise BadInput("the public key is of another kind", where=where, allowed="RSA, Ed25519")
    return key


def seeded_ed25519(seed: str) -> tuple[str, str]:
    """Return (private, public) PEM of an Ed25519 key that ``seed`` alone decides.

    For simulated accounts only: whoever knows the seed has the key.
    """
    private = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret.decode(), public_pem(secret.decode())


def public_pem(private: str) -> str:
    """Return the public half of a private key in PEM.

    Raises:
        BadInput: when it cannot be read.
    """
    try:
        key = serialization.load_pem_private_key(private.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        what = "the private key cannot be read"
        raise BadInput(what, where="account", allowed="PEM, PKCS#8, not encrypted") from error
    return (
        key.public_key()
        .public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
        .decode()
    )


class KeyRing:
    """All keys of a simulator. A revoked key counts as none."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        """Hold ``keys``."""
        self._keys: dict[str, ApiKey] = {}
        self._public: dict[str, Public] = {}
        for key in keys:
            self.add(key)

    def add(self, key: ApiKey) -> None:
        """Add a key.

        Raises:
            BadInput: when its id is taken or its public key unreadable.
        """
        where = f"key {key.key_id!r}"
        if key.key_id in self._keys:
            raise BadInput("two keys have this id", where=where, mend="give each its own")
        if key.kind in {Kind.RSA, Kind.ED25519}:
            public = load_public(key.public, where)
            is_rsa = isinstance(public, rsa.RSAPublicKey)
            if is_rsa is not (key.kind is Kind.RSA):
                raise BadInput(f"the public key is not {key.kind.value}", where=where)
            self._public[key.key_id] = public
        self._keys[key.key_id] = key

    def get(self, key_id: str) -> ApiKey | None:
        """Return a key that is there and not revoked."""
        return self._keys.get(key_id)

    def revoke(self, key_id: str) -> bool:
        """Revoke a key; whether there was one."""
        self._public.pop(key_id, None)
        return self._keys.pop(key_id, None) is not None

    def signed(self, key: ApiKey, payload: bytes, signature: str) -> bool:
        """Return whether ``signature`` is this key's over ``payload``."""
        if key.kind is Kind.SECP256K1:
            return False  # it signs actions of its own venue alone
        if key.kind is Kind.HMAC:
            expected = hmac.new(key.secret.encode(), payload, hashlib.sha256).hexdigest()
            return hmac.compare_digest(
                expected.encode(), signature.lower().encode("utf-8", "replace")
            )
        try:
            raw = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        public = self._public.get(key.key_id)
        try:
            if key.kind is Kind.ED25519:
                cast("ed25519.Ed25519PublicKey", public).verify(raw, payload)
            else:
                cast("rsa.RSAPublicKey", public).verify(
                    raw, payload, padding.PKCS1v15(), hashes.SHA256()
                )
        except InvalidSignature:
            return False
        return True
