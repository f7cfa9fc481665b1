"""Settings with which ccxt connects to the simulator instead of an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

REST_PATHS: Final = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3",
    "sapiV4": "/sapi/v4",
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
    "dapiPublic": "/dapi/v1",
    "dapiPrivate": "/dapi/v1",
    "dapiPrivateV2": "/dapi/v2",
    "dapiData": "/futures/data",
    "eapiPublic": "/eapi/v1",
    "eapiPrivate": "/eapi/v1",
    "papi": "/papi/v1",
    "papiV2": "/papi/v2",
}
WS_PATHS: Final = {
    "spot": "/ws",
    "margin": "/ws",
    "linear": "/fstream/ws",
    "inverse": "/dstream/ws",
    "stock": "/equity/ws",
    "option": "/fstream/public/ws",
    "optionMarket": "/fstream/market/ws",
    "optionPrivate": "/fstream/private/ws",
    "papi": "/fstream/pm/ws",
}
WS_API_PATHS: Final = {"spot": "/ws-api/v3", "linear": "/ws-fapi/v1", "inverse": "/ws-dapi/v1"}


def ccxt_overrides(rest_url: str, ws_url: str, *, swap: bool = False) -> dict[str, Any]:
    """Return the configuration to give to ``ccxt.binance``, ``ccxt.async_support`` or ``ccxt.pro``.

    ``rest_url`` is ``http://host:port`` and ``ws_url`` is ``ws://host:port``, without a path.

    - Every REST and websocket address of ccxt's own configuration is replaced, futures, options and
      margin too: what the simulator does not serve is refused by it, and nothing leaves the machine.
    - ``options.fetchMarkets.types`` keeps ccxt from asking for other markets than spot, or with
      ``swap`` than USD-M.
    - ``fetchCurrencies`` and ``fetchMargins`` are private calls at Binance; ccxt makes them only
      with keys, and freqtrade asks for currencies unless told not to.
    """
    rest = rest_url.rstrip("/")
    ws = ws_url.rstrip("/")
    return {
        "urls": {
            "api": {name: f"{rest}{path}" for name, path in REST_PATHS.items()}
            | {
                "ws": {name: f"{ws}{path}" for name, path in WS_PATHS.items()}
                | {"ws-api": {name: f"{ws}{path}" for name, path in WS_API_PATHS.items()}},
            },
        },
        "options": {
            "defaultType": "swap" if swap else "spot",
            "fetchMarkets": {"types": ["linear" if swap else "spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
        },
    }


def kraken_overrides(addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the same for ``ccxt.kraken``, from what the ready line says of ``kraken``.

    A token's requests go to one address, public channels to another. Without
    ``enableRateLimit`` ccxt may be faster than the venue's counters allow.
    """
    rest, public, private = addresses["rest"], addresses["ws"], addresses["ws_api"]
    sockets = {
        "public": public,
        "publicV2": public,
        "beta": public,
        "private": private,
        "privateV2": private,
        "beta-private": private,
    }
    return {"urls": {"api": {"public": rest, "private": rest, "ws": sockets}}}


def hyperliquid_overrides(addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the same for ``ccxt.hyperliquid``; ``walletAddress`` and ``privateKey`` are there, too."""
    rest, ws = addresses["rest_url"], addresses["ws_url"]
    return {
        "urls": {"api": {"public": rest, "private": rest, "ws": {"public": ws}}},
        "options": {"fetchMarkets": {"types": ["swap"]}},
    }
