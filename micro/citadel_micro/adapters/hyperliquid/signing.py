"""Signed actions of Hyperliquid.

An action is packed as MessagePack, hashed with its nonce, account and expiry, and the hash is signed as
typed data (EIP-712) of a made-up agent: "a" on the mainnet, "b" on the testnet.

Source: the page "Signing" of the venue's API documentation and its published client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.shell.venue.secp256k1 import Secp256k1Key, keccak256
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.venue_clock import VenueClock

MS_NS: Final = 1_000_000
CHAIN_ID: Final = 1337
"""The same on both networks: the agent's name distinguishes them."""
WINDOW_NS: Final = 10_000 * MS_NS
"""Expiry of actions that have none of their own."""

_DOMAIN: Final = keccak256(
    keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    + keccak256(b"Exchange")
    + keccak256(b"1")
    + CHAIN_ID.to_bytes(32, "big")
    + bytes(32)
)
_AGENT: Final = keccak256(b"Agent(string source,bytes32 connectionId)")

Action = dict[str, Any]
"""As JSON has it. The order of its fields is signed, too."""


def digest_of(action: Action, nonce: int, expires_ms: int, *, testnet: bool) -> bytes:
    """What is signed: 32 bytes.

    Args:
        action: the action.
        nonce: ms of the venue's time, different each time.
        expires_ms: of the venue's time; 0 for none.
        testnet: which network.
    """
    packed = msgspec.msgpack.encode(action) + nonce.to_bytes(8, "big") + b"\0"
    if expires_ms:
        packed += b"\0" + expires_ms.to_bytes(8, "big")
    source = keccak256(b"b" if testnet else b"a")
    agent = keccak256(_AGENT + source + keccak256(packed))
    return keccak256(b"\x19\x01" + _DOMAIN + agent)


def key_of(key: ApiKey) -> Secp256k1Key:
    """The private key in a key file. Raises BadInput for one of another kind, or none of the curve."""
    mend = "make an API wallet on the venue's page and put its private key into the file"
    if key.kind != "secp256k1":
        raise BadInput(
            f"a key of kind {key.kind} signs nothing at {key.venue}",
            where=key.file,
            allowed="private_key: 64 hexadecimal digits",
            mend=mend,
        )
    try:
        return Secp256k1Key(key.secret.reveal())
    except ValueError:
        # Without the cause, which may quote the key.
        raise BadInput("private_key is no key of secp256k1", where=key.file, mend=mend) from None


class ActionSigner:
    """Signs the actions of one key.

    Nonces are the venue's time, raised where two actions fall into one millisecond: the venue
    keeps the highest 100 of a key, and takes none that is below them or was used.

    Args:
        key: of an API wallet.
        clock: the venue's time.
    """

    def __init__(self, key: ApiKey, clock: VenueClock) -> None:
        self._key = key_of(key)
        self._testnet = key.network != "mainnet"
        self._clock = clock
        self._last = 0

    @property
    def address(self) -> str:
        """Of the API wallet."""
        return self._key.address

    def body(self, action: Action, expires_ns: int) -> bytes | None:
        """The request's JSON; None where it has expired and must not be sent.

        Args:
            action: the action.
            expires_ns: engine time after which the venue is to reject it; 0 for the usual window.
        """
        now_ns = self._clock.venue_ns()
        until_ns = now_ns + WINDOW_NS
        if expires_ns:
            # Earlier by what the clock may be wrong by, at most by half of what is left.
            left_ns = expires_ns + self._clock.offset_ns - now_ns
            if left_ns <= 0:
                return None
            until_ns = now_ns + left_ns - min(self._clock.error_ns, left_ns // 2)
        expires_ms = until_ns // MS_NS
        nonce = self._last = max(self._last + 1, now_ns // MS_NS)
        digest = digest_of(action, nonce, expires_ms, testnet=self._testnet)
        return msgspec.json.encode(
            {
                "action": action,
                "nonce": nonce,
                "signature": self._key.sign(digest),
                "vaultAddress": None,
                "expiresAfter": expires_ms,
            }
        )
