"""Markets as they are listed by Bitget: spot."""

from __future__ import annotations

from typing import Any

_BITGET = {
    "symbol": "BTCUSDT",
    "baseCoin": "BTC",
    "quoteCoin": "USDT",
    "minTradeAmount": "0",
    "maxTradeAmount": "900000000000000000000",
    "takerFeeRate": "0.002",
    "makerFeeRate": "0.002",
    "pricePrecision": "2",
    "quantityPrecision": "6",
    "quotePrecision": "8",
    "status": "online",
    "minTradeUSDT": "1",
}

ANSWERS: dict[str, Any] = {
    "/api/v2/spot/public/symbols": {
        "code": "00000",
        "msg": "success",
        "data": [
            _BITGET,
            {
                **_BITGET,
                "symbol": "SHIBUSDT",
                "baseCoin": "SHIB",
                "pricePrecision": "10",
                "quantityPrecision": "0",
                "minTradeAmount": "1",
            },
        ],
    },
    "/api/v2/margin/currencies": {"code": "00000", "msg": "success", "data": []},
}
