"""Markets as they are listed by Hyperliquid: perpetuals and spot."""

from __future__ import annotations

from typing import Any

ANSWERS: dict[str, Any] = {
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
}
