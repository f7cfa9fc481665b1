"""Settings with which ccxt's ``bybit`` class connects to the simulator instead of the exchange."""

from __future__ import annotations

from typing import Any, Final

_REST: Final = ("spot", "futures", "v2", "public", "private")
_CATEGORIES: Final = ("spot", "linear", "inverse", "option")


def ccxt_overrides(rest_url: str, ws_url: str, *, swap: bool = False) -> dict[str, Any]:
    """Return the configuration to give to ``ccxt.bybit``, ``ccxt.async_support`` or ``ccxt.pro``.

    ``rest_url`` is ``http://host:port`` and ``ws_url`` is ``ws://host:port``, without a path; with
    ``swap`` they lead to ``bybit-linear``. Every address of ccxt's own configuration is replaced: what the simulator does not serve is refused by
    it, and nothing leaves the machine. Currencies are a private call at Bybit that the simulator has
    not: freqtrade and ``load_markets`` must be told not to ask (``has["fetchCurrencies"] = False``).
    """
    path = "/bybit-linear" if swap else ""
    rest, ws = rest_url.rstrip("/") + path, ws_url.rstrip("/") + path
    private = f"{ws}/v5/private"
    return {
        "urls": {
            "api": dict.fromkeys(_REST, rest)
            | {
                "ws": {
                    "public": {name: f"{ws}/v5/public/{name}" for name in _CATEGORIES},
                    "private": {
                        "spot": {"unified": private, "nonUnified": f"{ws}/spot/private/v3"},
                        "contract": private,
                        "usdc": f"{ws}/trade/option/usdc/private/v1",
                        "trade": f"{ws}/v5/trade",
                    },
                },
            },
        },
        "has": {"fetchCurrencies": False},
        "options": {
            "defaultType": "swap" if swap else "spot",
            "fetchMarkets": {"types": ["linear" if swap else "spot"]},
        },
    }
