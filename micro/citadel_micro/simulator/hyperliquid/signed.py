"""Signed actions: who has signed, whether the nonce is new, and whether it is still time.

The signature is over the action as the venue reads it: fields in their order, numbers without zeros at the
end. A client that signs anything else is some other address, which nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.shell.venue.secp256k1 import keccak256, signer_address
from citadel_micro.simulator.hyperliquid.universe import canonical
from citadel_micro.simulator.keys import ApiKey
from citadel_micro.simulator.private.signed import Times
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.simulator.hyperliquid.wallets import Wallets

Json = dict[str, Any]
_MS_NS: Final = 1_000_000
_DAY_MS: Final = 86_400_000
_KEPT: Final = 100
_U64: Final = 1 << 64


class Rejected(ApiError):  # noqa: N818 - what happened, in one word
    """The whole action is rejected: ``{"status": "err", "response": text}``."""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        super().__init__(-1, text, status=200)


class Unreadable(ApiError):  # noqa: N818 - as above
    """The request is not of a form that the venue reads: 422."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(-1, "Failed to deserialize the JSON body into the target type", status=422)


def stranger(address: str) -> Rejected:
    """Return the answer to an action of an unknown user."""
    return Rejected(f"User or API Wallet {address} does not exist.")


@dataclass(frozen=True, slots=True)
class ActionTimes(Times):
    """Until when an action may be carried out, in ms; 0 for ever."""

    expires_ms: int = 0

    def check(self, now_ns: int) -> None:
        """Refuse an action that has expired.

        Raises:
            Rejected: it has.
        """
        if self.expires_ms and now_ns // _MS_NS > self.expires_ms:
            raise Rejected(f"Action expired at {self.expires_ms}.")


@dataclass(slots=True)
class Nonces:
    """The highest nonces of each key: 100 are kept, and only what is above the lowest is new."""

    _by_key: dict[str, list[int]] = field(default_factory=dict)

    def use(self, key_id: str, nonce: int, now_ms: int) -> None:
        """Use a nonce up.

        Raises:
            Rejected: it was used, is too low, or not within two days before and one after now.
        """
        if not now_ms - 2 * _DAY_MS < nonce < now_ms + _DAY_MS:
            raise Rejected(f"Invalid nonce: {nonce} is too far from {now_ms}.")
        kept = self._by_key.setdefault(key_id, [])
        if nonce in kept:
            raise Rejected(f"Invalid nonce: duplicate nonce {nonce}.")
        if len(kept) >= _KEPT and nonce < kept[0]:
            raise Rejected(f"Invalid nonce: {nonce} is below {kept[0]}.")
        kept.append(nonce)
        kept.sort()
        del kept[:-_KEPT]


@dataclass(frozen=True, slots=True)
class SignedAction:
    """An action with its signer."""

    action: Json
    key: ApiKey
    times: ActionTimes


def read_action(body: Any, wallets: Wallets, nonces: Nonces, now_ms: int) -> SignedAction:  # noqa: ANN401 - any JSON value
    """Read a signed action.

    Raises:
        Unreadable: it is not of its form.
        Rejected: nobody known has signed it, or its nonce is none.
    """
    if not isinstance(body, dict):
        raise Unreadable
    action, signature = body.get("action"), body.get("signature")
    if not isinstance(action, dict) or not isinstance(signature, dict):
        raise Unreadable
    nonce = _time(body.get("nonce"))
    expires = None if body.get("expiresAfter") is None else _time(body["expiresAfter"])
    if body.get("vaultAddress"):
        raise Rejected(f"Vault not registered: {body['vaultAddress']}")
    try:
        r, s = (int(str(signature[name]), 16) for name in ("r", "s"))
        v = int(signature["v"])
    except (KeyError, ValueError, TypeError):
        raise Unreadable from None
    seen = _as_read(action)
    packed = msgspec.msgpack.encode(seen) + nonce.to_bytes(8, "big") + b"\0"
    if expires is not None:
        packed += b"\0" + expires.to_bytes(8, "big")
    addresses = [
        signer_address(_digest(source, keccak256(packed)), r, s, v) for source in (b"b", b"a")
    ]
    key = next((k for each in addresses if each and (k := wallets.agent(each))), None)
    if key is None:
        raise stranger(addresses[0] or "0x0000000000000000000000000000000000000000")
    nonces.use(key.key_id, nonce, now_ms)
    return SignedAction(seen, key, ActionTimes(nonce * 1000, 0, expires or 0))


def _time(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _U64:
        raise Unreadable
    return value


def _as_read(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return an action with its prices and sizes as the venue writes them back."""
    if isinstance(value, list):
        return [_as_read(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: canonical(each) or each
        if name in {"p", "s", "triggerPx"} and isinstance(each, str)
        else _as_read(each)
        for name, each in value.items()
    }


_DOMAIN: Final = keccak256(
    b"".join(
        (
            keccak256(
                b"EIP712Domain(string name,string version,uint256 chainId,"
                b"address verifyingContract)"
            ),
            keccak256(b"Exchange"),
            keccak256(b"1"),
            (1337).to_bytes(32, "big"),
            bytes(32),
        )
    )
)
_AGENT: Final = keccak256(b"Agent(string source,bytes32 connectionId)")


def _digest(source: bytes, connection: bytes) -> bytes:
    """Return what is signed for an agent of one network."""
    return keccak256(b"\x19\x01" + _DOMAIN + keccak256(_AGENT + keccak256(source) + connection))
