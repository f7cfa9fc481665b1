"""Markets as they are listed by OKX: spot, perpetuals and futures."""

from __future__ import annotations

from typing import Any

Json = Any


def _okx(*rows: dict[str, Json]) -> Json:
    return {"code": "0", "msg": "", "data": list(rows)}


_OKX_SPOT = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "settleCcy": "",
    "uly": "",
    "ctVal": "",
    "ctMult": "",
    "ctType": "",
    "expTime": "",
    "tickSz": "0.1",
    "lotSz": "0.00000001",
    "minSz": "0.00001",
    "state": "live",
    "lever": "10",
}
_OKX_SWAP = {
    **_OKX_SPOT,
    "instType": "SWAP",
    "instId": "BTC-USDT-SWAP",
    "baseCcy": "",
    "quoteCcy": "",
    "settleCcy": "USDT",
    "uly": "BTC-USDT",
    "ctVal": "0.01",
    "ctMult": "1",
    "ctType": "linear",
    "lotSz": "0.01",
    "minSz": "0.01",
}

ANSWERS: dict[str, Json] = {
    "instType=SPOT": _okx(
        _OKX_SPOT,
        {
            **_OKX_SPOT,
            "instId": "SHIB-USDT",
            "baseCcy": "SHIB",
            "tickSz": "0.000000001",
            "lotSz": "1",
            "minSz": "100000",
        },
        {**_OKX_SPOT, "instId": "OLD-USDT", "baseCcy": "OLD", "state": "suspend"},
        {**_OKX_SPOT, "instId": "NEW-USDT", "baseCcy": "NEW", "tickSz": "", "state": "preopen"},
    ),
    "instType=SWAP": _okx(
        _OKX_SWAP,
        {
            **_OKX_SWAP,
            "instId": "BTC-USD-SWAP",
            "settleCcy": "BTC",
            "uly": "BTC-USD",
            "ctVal": "100",
            "ctType": "inverse",
            "lotSz": "1",
            "minSz": "1",
        },
        {
            **_OKX_SWAP,
            "instId": "PEPE-USDT-SWAP",
            "uly": "PEPE-USDT",
            "ctVal": "10000000",
            "ctMult": "1",
            "tickSz": "0.000000001",
            "lotSz": "0.1",
            "minSz": "0.1",
        },
    ),
    "instType=FUTURES": _okx(
        {
            **_OKX_SWAP,
            "instType": "FUTURES",
            "instId": "BTC-USDT-261225",
            "expTime": "1798185600000",
        }
    ),
    "/api/v5/market/tickers": _okx(),
}
