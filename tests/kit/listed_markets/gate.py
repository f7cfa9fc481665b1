"""Markets as they are listed by Gate: spot and perpetuals."""

from __future__ import annotations

from typing import Any

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

ANSWERS: dict[str, Any] = {
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
}
