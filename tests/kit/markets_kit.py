"""A local server that lists markets as ten exchanges do, for real ccxt objects to read.

The answers are written after each venue's own documentation; fields that nobody reads are left out.
"""

from __future__ import annotations

import copy
import json
from typing import Any, Self

from aiohttp import web

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


def _okx(*rows: dict[str, Json]) -> Json:
    return {"code": "0", "msg": "", "data": list(rows)}


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


def _coinbase(product: str, **more: Json) -> dict[str, Json]:
    base, _, quote = product.partition("-")
    return {
        "product_id": product,
        "price": "67060",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "quote_min_size": "1",
        "quote_max_size": "150000000",
        "base_min_size": "0.00000001",
        "base_max_size": "3400",
        "is_disabled": False,
        "status": "online",
        "cancel_only": False,
        "trading_disabled": False,
        "view_only": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "alias": "",
        "alias_to": [],
        "price_increment": "0.01",
        **more,
    }


_COINBASE_EXCHANGE = {
    "id": "BTC-USD",
    "base_currency": "BTC",
    "quote_currency": "USD",
    "quote_increment": "0.01",
    "base_increment": "0.00000001",
    "base_min_size": "0.000016",
    "min_market_funds": "1",
    "margin_enabled": False,
    "cancel_only": False,
    "trading_disabled": False,
    "status": "online",
}
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
_GATE_SPOT = {
    "id": "BTC_USDT",
    "base": "BTC",
    "quote": "USDT",
    "fee": "0.2",
    "min_base_amount": "0.000001",
    "min_quote_amount": "3",
    "amount_precision": 6,
    "precision": 1,
    "trade_status": "tradable",
    "sell_start": 0,
    "buy_start": 0,
}
_GATE_CONTRACT = {
    "name": "BTC_USDT",
    "type": "direct",
    "quanto_multiplier": "0.0001",
    "order_price_round": "0.1",
    "order_price_deviate": "0.5",
    "mark_price": "65000.5",
    "order_size_min": 1,
    "order_size_max": 1000000,
    "enable_decimal": False,
    "leverage_min": "1",
    "leverage_max": "100",
    "maker_fee_rate": "-0.0001",
    "taker_fee_rate": "0.00075",
    "in_delisting": False,
    "status": "trading",
    "create_time": 1586000000,
}
_DERIBIT = {
    "instrument_name": "BTC-PERPETUAL",
    "kind": "future",
    "future_type": "reversed",
    "base_currency": "BTC",
    "counter_currency": "USD",
    "quote_currency": "USD",
    "settlement_currency": "BTC",
    "settlement_period": "perpetual",
    "tick_size": 0.5,
    "min_trade_amount": 10.0,
    "contract_size": 10.0,
    "maker_commission": 0.0,
    "taker_commission": 0.0005,
    "is_active": True,
    "expiration_timestamp": 32503708800000,
    "creation_timestamp": 1534167754000,
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
    "category=spot": _bybit("spot", _BYBIT_SPOT),
    "category=linear": _bybit(
        "linear",
        _BYBIT_LINEAR,
        {**_BYBIT_LINEAR, "symbol": "BTCPERP", "quoteCoin": "USDC", "settleCoin": "USDC"},
    ),
    "category=inverse": _bybit("inverse", _BYBIT_INVERSE),
    "status=PreLaunch": _bybit("linear"),
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
    "product_type=FUTURE": {"products": [], "num_products": 0},
    "/api/v3/brokerage/market/products": {
        "products": [
            _coinbase("BTC-USD"),
            _coinbase(
                "TONE-USD",
                base_increment="1",
                quote_increment="0.00001",
                price_increment="0.0001",
                base_min_size="26.7187147229469674",
            ),
            _coinbase("GONE-USD", view_only=True),
        ],
        "num_products": 3,
    },
    "/products": [
        _COINBASE_EXCHANGE,
        {**_COINBASE_EXCHANGE, "id": "OLD-USD", "trading_disabled": True},
    ],
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
    "/api/v4/spot/currency_pairs": [
        _GATE_SPOT,
        {**_GATE_SPOT, "id": "LEND_USDT", "base": "LEND", "trade_status": "untradable"},
    ],
    "/api/v4/margin/currency_pairs": [
        {"id": "LEND_USDT", "base": "LEND", "quote": "USDT", "leverage": 3, "status": 1}
    ],
    "/api/v4/futures/usdt/contracts": [
        _GATE_CONTRACT,
        {
            **_GATE_CONTRACT,
            "name": "ETH_USDT",
            "quanto_multiplier": "0.01",
            "mark_price": "3000",
            "order_price_round": "0.01",
            "enable_decimal": True,
            "order_size_min": "0.1",
        },
        {**_GATE_CONTRACT, "name": "OLD_USDT", "in_delisting": True},
    ],
    "/api/v4/futures/btc/contracts": [
        {**_GATE_CONTRACT, "name": "BTC_USD", "type": "inverse", "quanto_multiplier": "0"}
    ],
    "/api/v4/delivery/usdt/contracts": [],
    "/public/get_instruments": {
        "jsonrpc": "2.0",
        "result": [
            _DERIBIT,
            {
                **_DERIBIT,
                "instrument_name": "BTC_USDC-PERPETUAL",
                "future_type": "linear",
                "counter_currency": "USDC",
                "quote_currency": "USDC",
                "settlement_currency": "USDC",
                "tick_size": 0.1,
                "min_trade_amount": 0.0001,
                "contract_size": 0.0001,
                "maker_commission": -0.00001,
            },
            {
                **_DERIBIT,
                "instrument_name": "BTC-25DEC26",
                "settlement_period": "month",
                "tick_size": 2.5,
                "expiration_timestamp": 1798185600000,
            },
            {
                **_DERIBIT,
                "instrument_name": "BTC-25DEC26-100000-C",
                "kind": "option",
                "option_type": "call",
                "strike": 100000.0,
                "settlement_period": "month",
                "tick_size": 0.0001,
                "expiration_timestamp": 1798185600000,
            },
            {
                **_DERIBIT,
                "instrument_name": "ETH_BTC",
                "kind": "spot",
                "base_currency": "ETH",
                "counter_currency": "BTC",
                "quote_currency": "BTC",
                "settlement_currency": "BTC",
                "settlement_period": "",
                "tick_size": 0.0001,
                "min_trade_amount": 0.0001,
                "contract_size": 0.0001,
            },
        ],
    },
    '"type":"metaAndAssetCtxs"': [
        {
            "universe": [
                {"name": "BTC", "szDecimals": 5, "maxLeverage": 40},
                {"name": "kPEPE", "szDecimals": 0, "maxLeverage": 10},
                {"name": "MATIC", "szDecimals": 1, "maxLeverage": 20, "isDelisted": True},
            ]
        },
        [
            {"markPx": "65000.5", "midPx": "65000.5"},
            {"markPx": "0.0123456", "midPx": "0.0123456"},
            {"markPx": "0.5", "midPx": "0.5"},
        ],
    ],
    '"type":"spotMetaAndAssetCtxs"': [
        {
            "tokens": [
                {"name": "USDC", "szDecimals": 8, "index": 0},
                {"name": "PURR", "szDecimals": 0, "index": 1},
                {"name": "HYPE", "szDecimals": 2, "index": 150},
            ],
            "universe": [
                {"name": "PURR/USDC", "tokens": [1, 0], "index": 0, "isCanonical": True},
                {"name": "@107", "tokens": [2, 0], "index": 1, "isCanonical": False},
            ],
        },
        [
            {"markPx": "0.209265", "midPx": "0.209265"},
            {"markPx": "31.234", "midPx": "31.234"},
        ],
    ],
    "/api/v5/market/tickers": _okx(),
}


class Exchange:
    """Answers any exchange's questions about its markets; what it is asked otherwise is counted.

    ``answers`` may be changed while it runs. A key is part of a path with its query, or of a body;
    the longest that fits is the answer.
    """

    def __init__(self) -> None:
        self.answers = copy.deepcopy(ANSWERS)
        self.asked: list[str] = []
        self.unknown: list[str] = []
        self.status = 200
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        asked = f"{request.rel_url} {(await request.text()).replace(' ', '')}"
        self.asked.append(asked)
        if self.status != 200:
            return web.Response(status=self.status, text="down for maintenance")
        for part in sorted(self.answers, key=len, reverse=True):
            if part in asked:
                body = self.answers[part]
                text = body if isinstance(body, str) else json.dumps(body)
                return web.Response(text=text, content_type="application/json")
        self.unknown.append(asked)
        return web.Response(status=404, text="no such thing")
