"""Markets as they are listed by Coinbase: spot, by both of its interfaces."""

from __future__ import annotations

from typing import Any

Json = Any


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

ANSWERS: dict[str, Json] = {
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
}
