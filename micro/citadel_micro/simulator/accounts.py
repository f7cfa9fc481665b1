"""Accounts of a simulator: balances, commission and keys, from a file, the command line, or the default.

The default is one account ``demo`` with a fixed key of each kind, so that a client's configuration
can be written before the simulator runs. Keys of accounts without keys of their own are derived from
the name. They are worth nothing, and the ready line shows them.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.keys import ApiKey, Kind, Permission, public_pem, seeded_ed25519
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_BALANCES: Final[dict[str, int]] = {
    asset: amount * E8
    for asset, amount in {
        "USDT": 1_000_000,
        "BTC": 10,
        "ETH": 100,
        "SOL": 1_000,
        "XRP": 100_000,
        "DOGE": 1_000_000,
        "ADA": 100_000,
        "BNB": 100,
    }.items()
}
FUTURES_FEES: Final = FeePlan(
    maker_e8=20_000, taker_e8=50_000, asset="quote", discount_e8=10_000_000
)
"""Binance USD-M's of an ordinary account."""
_BOTH: Final = frozenset({Permission.TRADE, Permission.FUTURES})
_FEES: Final = ("received", "quote", "bnb")
_FIELDS: Final = {
    "name", "balances", "maker", "taker", "fee_asset", "bnb_discount", "futures_maker",
    "futures_taker", "keys",
}  # fmt: skip
_IN_FILES: Final = (Kind.HMAC, Kind.RSA, Kind.ED25519)
_KEY_FIELDS: Final = {"id", "kind", "secret", "public", "permissions", "ips", "passphrase"}


def named_keys(name: str) -> tuple[ApiKey, ...]:
    """Return an HMAC and an Ed25519 key derived from the account's name; both may trade."""

    def digest(what: str) -> str:
        return hashlib.sha256(f"citadel sim {name} {what}".encode()).hexdigest()

    private, public = seeded_ed25519(digest("ed25519 secret"))
    return (
        ApiKey(
            key_id=digest("hmac key"),
            account=name,
            secret=digest("hmac secret"),
            permissions=_BOTH,
            passphrase=digest("passphrase")[:16],
        ),
        ApiKey(
            key_id=digest("ed25519 key"),
            account=name,
            kind=Kind.ED25519,
            secret=private,
            public=public,
            permissions=_BOTH,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """An account to open. ``balances`` in 1e-8 per asset; without ``keys`` it gets named ones.

    Its futures wallet holds as much USDT and BNB as ``balances``, and pays ``futures_fees``.
    """

    name: str
    balances: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_BALANCES))
    fees: FeePlan = field(default_factory=FeePlan)
    futures_fees: FeePlan = FUTURES_FEES
    keys: tuple[ApiKey, ...] = ()

    @property
    def all_keys(self) -> tuple[ApiKey, ...]:
        """Return the account's keys, made of its name where none were given."""
        return self.keys or named_keys(self.name)


DEFAULT_ACCOUNTS: Final = (AccountConfig(name="demo"),)


def amount_e8(text: object, what: str, where: str) -> int:
    """Read an amount in 1e-8.

    Raises:
        BadInput: for what is no number, negative, or finer than 1e-8.
    """
    try:
        scaled = Decimal(str(text)) * E8
    except InvalidOperation as error:
        raise BadInput(f"{what} is {text!r}", where=where, allowed="a decimal number") from error
    if not scaled.is_finite() or scaled < 0 or scaled != int(scaled):
        raise BadInput(f"{what} is {text}", where=where, allowed="0 or more, 8 decimals at most")
    return int(scaled)


def parse_account(text: str) -> AccountConfig:
    """Read ``NAME`` or ``NAME=ASSET:AMOUNT,ASSET:AMOUNT`` from the command line.

    Raises:
        BadInput: for an empty name and for balances that cannot be read.
    """
    where = "--account"
    name, sign, rest = text.partition("=")
    name = name.strip()
    if not name:
        raise BadInput(f"no name in {text!r}", where=where, allowed="NAME[=ASSET:AMOUNT,…]")
    if not sign:
        return AccountConfig(name=name)
    balances: dict[str, int] = {}
    for part in rest.split(","):
        asset, colon, amount = part.partition(":")
        if not colon or not asset.strip():
            raise BadInput(
                f"cannot read {part!r} in {text!r}", where=where, allowed="NAME[=ASSET:AMOUNT,…]"
            )
        balances[asset.strip().upper()] = amount_e8(amount, f"balance of {asset}", where)
    return AccountConfig(name=name, balances=balances)


def load_accounts(path: Path) -> tuple[AccountConfig, ...]:
    """Read accounts from a TOML file: ``[[account]]`` with its ``[[account.keys]]``.

    Raises:
        BadInput: when it cannot be read, or a field is unknown, missing or impossible.
    """
    where = str(path)
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=where) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"is not TOML: {error}", where=where) from error
    entries = content.pop("account", [])
    if content or not isinstance(entries, list) or not entries:
        raise BadInput("has no accounts", where=where, allowed="[[account]] tables")
    return tuple(_account(entry, where) for entry in entries)


def _only(entry: Any, allowed: set[str], where: str) -> dict[str, Any]:  # noqa: ANN401 - from TOML
    if not isinstance(entry, dict) or (unknown := set(entry) - allowed):
        named = ", ".join(sorted(unknown)) if isinstance(entry, dict) else repr(entry)
        raise BadInput(f"does not know {named}", where=where, allowed=", ".join(sorted(allowed)))
    return entry


def _account(raw: Any, where: str) -> AccountConfig:  # noqa: ANN401 - from TOML
    entry = _only(raw, _FIELDS, where)
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise BadInput("an account has no name", where=where, mend='add name = "…"')
    where = f"{where}, account {name!r}"
    balances = entry.get("balances")
    if balances is not None and not isinstance(balances, dict):
        raise BadInput("balances are no table", where=where, allowed='balances = {USDT = "1000"}')
    asset = entry.get("fee_asset", "received")
    if asset not in _FEES:
        raise BadInput(f"fee_asset is {asset!r}", where=where, allowed=", ".join(_FEES))
    fees = FeePlan(
        maker_e8=amount_e8(entry.get("maker", "0.001"), "maker", where),
        taker_e8=amount_e8(entry.get("taker", "0.001"), "taker", where),
        asset=asset,
        discount_e8=amount_e8(entry.get("bnb_discount", "0.25"), "bnb_discount", where),
    )
    futures = FeePlan(
        maker_e8=amount_e8(entry.get("futures_maker", "0.0002"), "futures_maker", where),
        taker_e8=amount_e8(entry.get("futures_taker", "0.0005"), "futures_taker", where),
        asset="bnb" if asset == "bnb" else "quote",
        discount_e8=FUTURES_FEES.discount_e8,
    )
    keys = tuple(_key(key, name, where) for key in entry.get("keys", []))
    if balances is None:
        return AccountConfig(name=name, fees=fees, futures_fees=futures, keys=keys)
    amounts = {
        str(coin).upper(): amount_e8(amount, f"balance of {coin}", where)
        for coin, amount in balances.items()
    }
    return AccountConfig(name=name, balances=amounts, fees=fees, futures_fees=futures, keys=keys)


def _key(raw: Any, account: str, where: str) -> ApiKey:  # noqa: ANN401 - from TOML
    entry = _only(raw, _KEY_FIELDS, where)
    key_id, secret = entry.get("id"), entry.get("secret", "")
    if not isinstance(key_id, str) or not key_id or not isinstance(secret, str):
        raise BadInput("a key has no id", where=where, mend='add id = "…" and secret = "…"')
    where = f"{where}, key {key_id!r}"
    try:
        # Those of secp256k1 are made of the account's name.
        kind = next(kind for kind in _IN_FILES if kind.value == entry.get("kind", "hmac"))
    except StopIteration as error:
        allowed = ", ".join(kind.value for kind in _IN_FILES)
        raise BadInput(f"kind is {entry['kind']!r}", where=where, allowed=allowed) from error
    names = entry.get("permissions", ["trade"])
    try:
        permissions = frozenset(Permission(item) for item in names)
    except (ValueError, TypeError) as error:
        allowed = ", ".join(item.value for item in Permission)
        raise BadInput(f"permissions are {names!r}", where=where, allowed=allowed) from error
    public = entry.get("public", "")
    if kind is Kind.HMAC:
        if not secret:
            raise BadInput("an HMAC key has no secret", where=where, mend='add secret = "…"')
    elif not public:
        if not secret:
            raise BadInput("has neither public nor secret", where=where, mend="give one, in PEM")
        public = public_pem(secret)
    passphrase = entry.get("passphrase", "")
    if not isinstance(passphrase, str):
        raise BadInput(f"passphrase is {passphrase!r}", where=where, allowed="a text")
    ips = entry.get("ips", [])
    if not isinstance(ips, list) or not all(isinstance(item, str) for item in ips):
        raise BadInput(f"ips are {ips!r}", where=where, allowed='["127.0.0.1"]')
    return ApiKey(
        key_id=key_id,
        account=account,
        kind=kind,
        secret=secret,
        public=public,
        permissions=permissions,
        ips=tuple(ips),
        passphrase=passphrase,
    )
