"""Markets as they are listed by Kraken: spot and futures."""

from __future__ import annotations

from typing import Any

Json = Any


def _kraken_pair(altname: str, wsname: str, base: str, quote: str, **more: Json) -> dict[str, Json]:
    return {
        "altname": altname,
        "wsname": wsname,
        "aclass_base": "currency",
        "base": base,
        "aclass_quote": "currency",
        "quote": quote,
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "leverage_sell": [2, 3],
        "fees": [[0, 0.4], [10000, 0.35]],
        "fees_maker": [[0, 0.25], [10000, 0.2]],
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
        **more,
    }


def _kraken_asset(altname: str, decimals: int) -> dict[str, Json]:
    return {
        "aclass": "currency",
        "altname": altname,
        "decimals": decimals,
        "display_decimals": 5,
        "status": "enabled",
    }


_KRAKEN_FUTURES = {
    "symbol": "PF_XBTUSD",
    "type": "flexible_futures",
    "underlying": "rr_xbtusd",
    "tickSize": 1,
    "contractSize": 1,
    "contractValueTradePrecision": 4,
    "tradeable": True,
}

ANSWERS: dict[str, Json] = {
    "/0/public/AssetPairs": {
        "error": [],
        "result": {
            "XXBTZUSD": _kraken_pair("XBTUSD", "XBT/USD", "XXBT", "ZUSD"),
            "XXBTZEUR": _kraken_pair("XBTEUR", "XBT/EUR", "XXBT", "ZEUR", tick_size="0.5"),
            "XDGUSD": _kraken_pair(
                "XDGUSD",
                "XDG/USD",
                "XXDG",
                "ZUSD",
                pair_decimals=7,
                tick_size="0.0000001",
                ordermin="13",
            ),
            "RAREUSD": _kraken_pair("RAREUSD", "RARE/USD", "RARE", "ZUSD", status="cancel_only"),
        },
    },
    "/0/public/Assets": {
        "error": [],
        "result": {
            "XXBT": _kraken_asset("XBT", 10),
            "ZUSD": _kraken_asset("USD", 4),
            "ZEUR": _kraken_asset("EUR", 4),
            "XXDG": _kraken_asset("XDG", 6),
            "RARE": _kraken_asset("RARE", 5),
        },
    },
    "/derivatives/api/v3/instruments": {
        "result": "success",
        "instruments": [
            _KRAKEN_FUTURES,
            {
                **_KRAKEN_FUTURES,
                "symbol": "PI_XBTUSD",
                "type": "futures_inverse",
                "tickSize": 0.5,
                "contractValueTradePrecision": 0,
            },
            {
                **_KRAKEN_FUTURES,
                "symbol": "PF_PEPEUSD",
                "tickSize": 1e-08,
                "contractValueTradePrecision": -3,
            },
            {"symbol": "in_xbtusd", "type": "spot index", "tradeable": False},
        ],
        "serverTime": "2026-11-22T11:32:39.433Z",
    },
}
