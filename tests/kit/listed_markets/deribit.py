"""Markets as they are listed by Deribit: perpetuals, futures, an option and spot."""

from __future__ import annotations

from typing import Any

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

ANSWERS: dict[str, Any] = {
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
}
