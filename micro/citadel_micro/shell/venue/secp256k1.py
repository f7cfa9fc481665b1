"""Signatures of chains like Ethereum: Keccak-256, secp256k1, and the address of a key."""

from __future__ import annotations

from typing import Final

import coincurve
from Crypto.Hash import keccak

_V: Final = 27
"""What the recovery id is counted from, as everywhere since Bitcoin's signed messages."""


def keccak256(data: bytes) -> bytes:
    """The digest, 32 bytes: SHA-3 with the padding of before the standard."""
    return keccak.new(data=data, digest_bits=256).digest()


def address_of(public_key: bytes) -> str:
    """The address, ``0x`` and 40 small hexadecimal digits, of an uncompressed public key (65 bytes)."""
    return f"0x{keccak256(public_key[1:])[-20:].hex()}"


class Secp256k1Key:
    """A private key.

    Args:
        digits: 64 hexadecimal digits.

    Raises:
        ValueError: they are none, or no key of the curve.
    """

    __slots__ = ("_key", "address")

    def __init__(self, digits: str) -> None:
        self._key = coincurve.PrivateKey(bytes.fromhex(digits))
        self.address = address_of(self._key.public_key.format(compressed=False))

    def sign(self, digest: bytes) -> dict[str, str | int]:
        """``r``, ``s`` and ``v`` of a digest of 32 bytes (RFC 6979: the same every time; low ``s``)."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return {"r": f"0x{raw[:32].hex()}", "s": f"0x{raw[32:64].hex()}", "v": _V + raw[64]}


def signer_address(digest: bytes, r: int, s: int, v: int) -> str | None:
    """The address whose key has signed a digest; None where no key can have."""
    try:
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v - _V])
        key = coincurve.PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except (ValueError, OverflowError):
        return None
    except Exception as error:
        # coincurve raises a plain Exception for what cannot be recovered.
        if type(error) is not Exception:
            raise
        return None
    return address_of(key.format(compressed=False))
