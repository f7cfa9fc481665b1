"""The key guard: macro holds no exchange credentials and can reach no private endpoint.

Three layers, each sufficient by itself: a configuration with keys is refused, credentials are removed
from what ccxt is built with, and every ccxt object refuses to sign a private request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ccxt

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS: Final = (
    "key",
    "api_key",
    "apiKey",
    "secret",
    "password",
    "uid",
    "account_id",
    "accountId",
    "wallet_address",
    "walletAddress",
    "private_key",
    "privateKey",
    "token",
    "twofa",
    "login",
)
"""Every name under which Freqtrade or ccxt accepts a credential."""

_NESTED: Final = ("ccxt_config", "ccxt_sync_config", "ccxt_async_config")
_CCXT_FIELDS: Final = (
    "apiKey",
    "secret",
    "password",
    "uid",
    "accountId",
    "login",
    "twofa",
    "privateKey",
    "walletAddress",
    "token",
)
_PRIVATE_PREFIXES: Final = ("sapi", "papi")
"""Sections of Binance that are private although not named so."""
_PRIVATE_PATHS: Final = ("userdatastream", "listenkey", "userlistentoken")


def refuse_keys(exchange_config: Mapping[str, Any]) -> None:
    """Refuse to start when the ``exchange`` section carries a credential.

    Raises:
        BadInput: naming the settings, never their values.
    """
    found = credentials_in(exchange_config)
    if found:
        raise BadInput(
            f"macro's configuration holds exchange credentials: {', '.join(found)}",
            where="Freqtrade configuration (files and FREQTRADE__EXCHANGE__… variables)",
            mend="remove them here; only micro may hold keys. If they are live, replace them at "
            "the exchange",
        )


def credentials_in(exchange_config: Mapping[str, Any]) -> list[str]:
    """Names of the settings of an ``exchange`` section that hold a credential (``exchange.key``)."""
    found = [f"exchange.{name}" for name in CREDENTIALS if exchange_config.get(name)]
    for nested in _NESTED:
        inner = exchange_config.get(nested) or {}
        found += [f"exchange.{nested}.{name}" for name in CREDENTIALS if inner.get(name)]
    return found


def without_credentials(exchange_config: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of an ``exchange`` section (or of a ccxt configuration) without any credential."""
    return {name: value for name, value in exchange_config.items() if name not in CREDENTIALS}


def is_private(api: object, path: str = "") -> bool:
    """Whether a ccxt API section (``private``, ``["sapi", …]``) or path needs an account."""
    sections = [part.lower() for part in _flat(api)]
    if any("private" in part or part.startswith(_PRIVATE_PREFIXES) for part in sections):
        return True
    return any(mark in path.lower() for mark in _PRIVATE_PATHS)


def disarm(api: Any) -> None:  # noqa: ANN401 - ccxt objects carry no types
    """Empty a ccxt object of credentials and wrap its ``sign`` so that private requests raise.

    Every request of ccxt, sync, async and websocket log-on alike, passes through ``sign``.
    """
    for name in _CCXT_FIELDS:
        if getattr(api, name, None):
            setattr(api, name, "")
    original = api.sign

    def sign(path: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - ccxt's own signature
        section = args[0] if args else kwargs.get("api", "public")
        if is_private(section, path):
            raise ccxt.PermissionDenied(
                f"macro never calls private endpoints ({'/'.join(_flat(section))} {path}); "
                "orders go through micro"
            )
        return original(path, *args, **kwargs)

    api.sign = sign


def _flat(api: object) -> list[str]:
    if isinstance(api, str):
        return [api]
    if isinstance(api, (list, tuple)):
        return [part for item in api for part in _flat(item)]
    return [str(api)]
