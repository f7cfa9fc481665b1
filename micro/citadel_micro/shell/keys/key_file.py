"""The key file of a venue: TOML, one key of one account.

::

    venue = "binance-spot"
    account = "354937868"        # the venue's id of the account
    network = "testnet"          # or "mainnet", "demo"
    id = "…"                     # the venue's "API key"
    secret = "…"                 # either the secret of an HMAC key,
    private_key = '''            # or a private key: Ed25519 or RSA as PKCS#8 PEM, Hyperliquid's as hex
    -----BEGIN PRIVATE KEY-----
    …
    -----END PRIVATE KEY-----
    '''
    passphrase = "…"             # where the venue asks for one
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args

from citadel_micro.shell.keys.api_key import ApiKey, KeyKind, Network
from citadel_micro.shell.keys.private_file import VAULTS, read_private
from citadel_micro.shell.keys.redaction import LEAST, REDACTOR
from citadel_micro.shell.keys.secret import Secret
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS: Final = ("venue", "account", "network", "id", "secret", "private_key", "passphrase")
_REQUIRED: Final = ("venue", "account", "network")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}", re.ASCII)
_PRINTABLE: Final = re.compile(r"[!-~]+", re.ASCII)
_HEX_KEY: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}", re.ASCII)
_LEAST_RSA_BITS: Final = 2048


def read_key_file(path: Path, *, vaults: tuple[Path, ...] = VAULTS) -> ApiKey:
    """The key in a file; the process's redactor knows its secrets from then on.

    No error message holds any of the file's content except the names of its settings.

    Args:
        path: the file.
        vaults: see ``read_private``.

    Raises:
        BadInput: the file is not private, as ``read_private`` says, or not a key file.
    """
    where = str(path)
    try:
        # The parser's error keeps the text that it parsed: it must not be chained.
        values = tomllib.loads(read_private(path, vaults=vaults))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at [a-z0-9, ]+\)", str(error))
        raise _malformed(where, f"is not TOML {place[0] if place else ''}".rstrip()) from None
    return _key_of(values, where)


def is_name(text: str) -> bool:
    """Whether this can be the id of a venue or of an account."""
    return _NAME.fullmatch(text) is not None


def _check_fields(values: dict[str, Any], where: str) -> None:
    account = values.get("account")
    if isinstance(account, int) and not isinstance(account, bool):
        values["account"] = str(account)  # ids of accounts are often numbers
    for name in values:
        if name not in _FIELDS:
            # A name that could be a misplaced secret is not repeated.
            close = get_close_matches(name, _FIELDS, n=1, cutoff=0.6)
            known = f"; did you mean {close[0]}?" if close else ""
            raise _malformed(where, f"has an unknown setting{known}")
    for name in _FIELDS:
        if name in values and (not isinstance(values[name], str) or not values[name].strip()):
            raise _malformed(where, f"{name} is empty or not a quoted text")
    for name in _REQUIRED:
        if name not in values:
            raise _malformed(where, f"{name} is missing")
    for name in ("venue", "account"):
        if not is_name(values[name]):
            raise _malformed(where, f"{name} is not a name of up to 64 letters, digits, . _ : @ -")


def _key_of(values: dict[str, Any], where: str) -> ApiKey:
    _check_fields(values, where)
    network = values["network"]
    if network not in get_args(Network):
        raise _malformed(where, f"network is none of {', '.join(get_args(Network))}")
    if ("secret" in values) == ("private_key" in values):
        both = "both secret and private_key" if "secret" in values else "no secret or private_key"
        raise _malformed(where, f"has {both}; one of the two signs")
    kind: KeyKind = "hmac"
    secret = values.get("secret", "")
    if "private_key" in values:
        secret = values["private_key"].strip()
        kind = "secp256k1" if _HEX_KEY.fullmatch(secret) else _kind_of_pem(secret, where)
    if "id" not in values and kind != "secp256k1":
        raise _malformed(where, "id is missing: the venue's name of the key, often called API key")
    for name in ("id", "secret", "passphrase"):
        text = values.get(name)
        if text is not None and not (len(text) >= LEAST and _PRINTABLE.fullmatch(text)):
            raise _malformed(
                where, f"{name} is not {LEAST} or more letters, digits and signs without spaces"
            )
    key = ApiKey(
        venue=values["venue"],
        account=values["account"],
        network=network,
        kind=kind,
        id=Secret(values.get("id", "")),
        secret=Secret(secret.removeprefix("0x") if kind == "secp256k1" else secret),
        passphrase=Secret(values.get("passphrase", "")),
        file=where,
    )
    REDACTOR.add(key.id, key.secret, key.passphrase)
    return key


def _kind_of_pem(text: str, where: str) -> KeyKind:
    # Seven megabytes, which a run without such a key does without.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - see above
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    if "ENCRYPTED" in text:
        raise _malformed(
            where,
            "private_key is encrypted; micro cannot ask for its password: "
            "openssl pkcs8 -topk8 -nocrypt writes it plainly",
        )
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        # Without the cause, which may quote from the key.
        raise _malformed(
            where, "private_key is neither PKCS#8 PEM nor 64 hexadecimal digits"
        ) from None
    if isinstance(key, Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, RSAPrivateKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise _malformed(
                where, f"private_key is RSA of {key.key_size} bits; at least {_LEAST_RSA_BITS}"
            )
        return "rsa"
    raise _malformed(where, "private_key is neither Ed25519 nor RSA")


def _malformed(where: str, what: str) -> BadInput:
    return BadInput(
        what,
        where=where,
        allowed=f"TOML with {', '.join(_FIELDS)}",
        mend="see docs/howto/go-live.md for an example of a key file",
    )
