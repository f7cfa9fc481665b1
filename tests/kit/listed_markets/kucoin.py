"""Markets as they are listed by KuCoin: spot."""

from __future__ import annotations

from typing import Any

_KUCOIN = {
    "symbol": "BTC-USDT",
    "name": "BTC-USDT",
    "baseCurrency": "BTC",
    "quoteCurrency": "USDT",
    "feeCurrency": "USDT",
    "baseMinSize": "0.00001",
    "quoteMinSize": "0.1",
    "baseMaxSize": "10000000000",
    "quoteMaxSize": "99999999",
    "baseIncrement": "0.00000001",
    "quoteIncrement": "0.000001",
    "priceIncrement": "0.1",
    "minFunds": "0.5",
    "enableTrading": True,
    "isMarginEnabled": True,
}

ANSWERS: dict[str, Any] = {
    "/api/v2/symbols": {
        "code": "200000",
        "data": [
            _KUCOIN,
            {
                **_KUCOIN,
                "symbol": "KCS-USDT",
                "baseCurrency": "KCS",
                "priceIncrement": "0.0001",
                "baseIncrement": "0.0001",
                "baseMinSize": "0.1",
                "enableTrading": False,
            },
        ],
    },
    "/api/v1/market/allTickers": {
        "code": "200000",
        "data": {
            "time": 1602832092060,
            "ticker": [
                {
                    "symbol": "BTC-USDT",
                    "makerFeeRate": "0.001",
                    "takerFeeRate": "0.001",
                    "makerCoefficient": "1",
                    "takerCoefficient": "1",
                    "last": "65000.1",
                },
                {
                    "symbol": "KCS-USDT",
                    "makerFeeRate": "0.001",
                    "takerFeeRate": "0.001",
                    "makerCoefficient": "0.7",
                    "takerCoefficient": "0.8",
                    "last": "9.5",
                },
            ],
        },
    },
}
