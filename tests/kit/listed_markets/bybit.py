"""Markets as they are listed by Bybit: spot, linear and inverse perpetuals."""

from __future__ import annotations

from typing import Any

Json = Any


def _bybit(category: str, *rows: dict[str, Json]) -> Json:
    return {
        "retCode": 0,
        "retMsg": "OK",
        "result": {"category": category, "list": list(rows)},
        "time": 1672712468011,
    }


_BYBIT_SPOT = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "status": "Trading",
    "marginTrading": "utaOnly",
    "lotSizeFilter": {
        "basePrecision": "0.000001",
        "quotePrecision": "0.0000001",
        "minOrderQty": "0.000011",
        "maxOrderQty": "83",
        "minOrderAmt": "5",
        "maxOrderAmt": "8000000",
    },
    "priceFilter": {"tickSize": "0.1"},
}
_BYBIT_LINEAR = {
    "symbol": "BTCUSDT",
    "contractType": "LinearPerpetual",
    "status": "Trading",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "settleCoin": "USDT",
    "launchTime": "1584230400000",
    "deliveryTime": "0",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
    "lotSizeFilter": {
        "maxOrderQty": "1190.000",
        "minOrderQty": "0.001",
        "qtyStep": "0.001",
        "minNotionalValue": "5",
    },
}
_BYBIT_INVERSE = {
    **_BYBIT_LINEAR,
    "symbol": "BTCUSD",
    "contractType": "InversePerpetual",
    "quoteCoin": "USD",
    "settleCoin": "BTC",
    "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.50"},
    "lotSizeFilter": {"maxOrderQty": "25000000", "minOrderQty": "10", "qtyStep": "1"},
}

ANSWERS: dict[str, Json] = {
    "category=spot": _bybit("spot", _BYBIT_SPOT),
    "category=linear": _bybit(
        "linear",
        _BYBIT_LINEAR,
        {**_BYBIT_LINEAR, "symbol": "BTCPERP", "quoteCoin": "USDC", "settleCoin": "USDC"},
    ),
    "category=inverse": _bybit("inverse", _BYBIT_INVERSE),
    "status=PreLaunch": _bybit("linear"),
}
