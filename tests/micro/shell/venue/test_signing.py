"""Signatures against the standard library, RFC 4231, and the venue's documented example."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st
from key_kit import pem

from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.shell.venue.signing import HmacSigner, signer_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import KeyKind


def api_key(kind: KeyKind, secret: str) -> ApiKey:
    return ApiKey(
        venue="binance-spot",
        account="1",
        network="testnet",
        kind=kind,
        id=Secret("an-id-of-a-key"),
        secret=Secret(secret),
        passphrase=Secret(""),
        file="key.toml",
    )


@given(secret=st.binary(min_size=1, max_size=200), payload=st.binary(max_size=300))
def test_hmac_is_that_of_the_standard_library_each_time(secret: bytes, payload: bytes) -> None:
    signer = HmacSigner(secret)
    expected = hmac.new(secret, payload, hashlib.sha256).hexdigest()
    assert signer.sign(payload) == expected
    assert signer.sign(payload) == expected


def test_hmac_of_the_venues_own_example() -> None:
    # The signed order of the REST API's page on request security.
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
        "&timestamp=1499827319559"
    )
    assert (
        signer_of(api_key("hmac", secret)).sign(payload.encode())
        == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    )


def test_ed25519_and_rsa_are_verified_by_the_public_key() -> None:
    text = pem("ed25519")
    private = load_pem_private_key(text.encode(), None)
    assert isinstance(private, Ed25519PrivateKey)
    signature = base64.b64decode(signer_of(api_key("ed25519", text)).sign(b"what is signed"))
    private.public_key().verify(signature, b"what is signed")
    text = pem("rsa")
    key = load_pem_private_key(text.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    signature = base64.b64decode(signer_of(api_key("rsa", text)).sign(b"what is signed"))
    key.public_key().verify(signature, b"what is signed", PKCS1v15(), SHA256())


def test_a_key_of_a_chain_signs_no_requests() -> None:
    with pytest.raises(BadInput, match="secp256k1"):
        signer_of(api_key("secp256k1", "00" * 32))
