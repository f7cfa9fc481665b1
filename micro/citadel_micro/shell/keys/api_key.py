"""An API key of a venue, as read from its key file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from citadel_micro.shell.keys.secret import Secret

KeyKind = Literal["hmac", "rsa", "ed25519", "secp256k1"]
Network = Literal["mainnet", "testnet", "demo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Credentials for one account at one venue.

    Its ``repr`` shows no secret, nor the key's id, which is half of what a request needs.

    Args:
        venue: venue id that the key is for.
        account: id of the account there, as the venue names it.
        network: the network that the key was made on.
        kind: how it signs.
        id: what the venue calls the key ("API key"); empty for ``secp256k1``, which has none.
        secret: the secret text (``hmac``), the private key as PKCS#8 PEM (``rsa``, ``ed25519``), or
            64 hexadecimal digits (``secp256k1``).
        passphrase: required by some venues; empty elsewhere.
        file: where it was read from, for messages.
    """

    venue: str
    account: str
    network: Network
    kind: KeyKind
    id: Secret
    secret: Secret
    passphrase: Secret
    file: str
