"""Markets as they are listed by Binance: spot, USD-M and coin-M futures."""

from __future__ import annotations

from typing import Any

Json = Any


def _binance(symbol: str, base: str, quote: str, **more: Json) -> dict[str, Json]:
    filters = {
        "PRICE_FILTER": {"minPrice": "0.01000000", "maxPrice": "1000000", "tickSize": "0.01000000"},
        "LOT_SIZE": {"minQty": "0.00001000", "maxQty": "9000.0", "stepSize": "0.00001000"},
        "NOTIONAL": {"minNotional": "5.00000000", "maxNotional": "9000000.0"},
    }
    filters |= more.pop("filters", {})
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "permissions": [],
        "filters": [{"filterType": name, **rows} for name, rows in filters.items() if rows],
        **more,
    }


_USDM_FILTERS = {
    "PRICE_FILTER": {"minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
    "LOT_SIZE": {"minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
    "NOTIONAL": {},
    "MIN_NOTIONAL": {"notional": "100"},
}

ANSWERS: dict[str, Json] = {
    "/api/v3/exchangeInfo": {
        "timezone": "UTC",
        "serverTime": 1700000000000,
        "symbols": [
            _binance("BTCUSDT", "BTC", "USDT"),
            _binance(
                "ETHBTC",
                "ETH",
                "BTC",
                filters={
                    "PRICE_FILTER": {"minPrice": "0.00001", "maxPrice": "9", "tickSize": "0.00001"},
                    "LOT_SIZE": {"minQty": "0.0001", "maxQty": "9", "stepSize": "0.0001"},
                    "NOTIONAL": {"minNotional": "0.0001"},
                },
            ),
            _binance("LUNAUSDT", "LUNA", "USDT", status="BREAK"),
        ],
    },
    "/fapi/v1/exchangeInfo": {
        "symbols": [
            _binance(
                "BTCUSDT",
                "BTC",
                "USDT",
                marginAsset="USDT",
                contractType="PERPETUAL",
                deliveryDate=4133404800000,
                filters=_USDM_FILTERS,
            ),
            _binance(
                "BTCUSDT_261225",
                "BTC",
                "USDT",
                marginAsset="USDT",
                contractType="CURRENT_QUARTER",
                deliveryDate=1798185600000,
                filters=_USDM_FILTERS,
            ),
        ]
    },
    "/dapi/v1/exchangeInfo": {
        "symbols": [
            _binance(
                "BTCUSD_PERP",
                "BTC",
                "USD",
                marginAsset="BTC",
                contractType="PERPETUAL",
                deliveryDate=4133404800000,
                contractSize=100,
                contractStatus="TRADING",
                filters={
                    "PRICE_FILTER": {"minPrice": "1000", "maxPrice": "4520958", "tickSize": "0.1"},
                    "LOT_SIZE": {"minQty": "1", "maxQty": "1000000", "stepSize": "1"},
                    "NOTIONAL": {},
                },
            )
        ]
    },
}
