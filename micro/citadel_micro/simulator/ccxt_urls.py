"""What makes ccxt's ``binance`` class talk to the simulator instead of the exchange."""

from __future__ import annotations

from typing import Any


def ccxt_overrides(rest_url: str, ws_url: str) -> dict[str, Any]:
    """Return the configuration to give to ``ccxt.binance``, ``ccxt.async_support`` or ``ccxt.pro``.

    ``rest_url`` is ``http://host:port`` and ``ws_url`` is ``ws://host:port``, without a path.

    - ``urls.api.public`` and ``urls.api.ws.spot`` are the endpoints; ccxt merges them into its
      own, so ``private`` and ``v1`` are given too: nothing spot may leave the machine.
    - ``options.fetchMarkets.types`` keeps ccxt from asking the futures hosts for their markets.
    - ``fetchCurrencies`` is a private call at Binance; ccxt makes it only with keys, and freqtrade
      asks for it unless told not to.
    """
    rest = rest_url.rstrip("/")
    ws = ws_url.rstrip("/")
    return {
        "urls": {
            "api": {
                "public": f"{rest}/api/v3",
                "private": f"{rest}/api/v3",
                "v1": f"{rest}/api/v1",
                "sapi": f"{rest}/sapi/v1",
                "sapiV2": f"{rest}/sapi/v2",
                "sapiV3": f"{rest}/sapi/v3",
                "sapiV4": f"{rest}/sapi/v4",
                "ws": {"spot": f"{ws}/ws", "margin": f"{ws}/ws"},
            },
        },
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
        },
    }
