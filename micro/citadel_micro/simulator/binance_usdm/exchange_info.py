"""Trading rules as Binance USD-M lists them. Every filter that is listed is enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.futures import BRACKETS
from citadel_micro.simulator.binance_usdm.texts import cut, decimals, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.exchange.model import SymbolStatus
    from citadel_micro.sim.exchange.rules import SymbolRules
    from citadel_micro.simulator.private.venue import OrderLimit

Json = dict[str, Any]
ONBOARD_MS: Final = 1_569_398_400_000
_DELIVERY_MS: Final = 4_133_404_800_000
"""The year 2100: a perpetual."""


def exchange_info(
    entries: Iterable[tuple[SymbolRules, SymbolStatus]],
    time_ms: int,
    weight: int,
    limits: tuple[OrderLimit, ...],
) -> Json:
    """Return the exchangeInfo answer; ``weight`` is the limit of a minute and address."""
    listed = list(entries)
    assets = dict.fromkeys([rules.spec.quote for rules, _ in listed] + ["BNB"])
    return {
        "timezone": "UTC",
        "serverTime": time_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, weight),
            *(_limit("ORDERS", each.interval, each.number, each.limit) for each in limits),
        ],
        "exchangeFilters": [],
        "assets": [
            {"asset": asset, "marginAvailable": True, "autoAssetExchange": "0"} for asset in assets
        ],
        "symbols": [symbol_info(rules, status) for rules, status in listed],
    }


def _limit(kind: str, interval: str, number: int, limit: int) -> Json:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
    }


def symbol_info(rules: SymbolRules, status: SymbolStatus) -> Json:
    """Return one perpetual's entry."""
    spec = rules.spec
    first = BRACKETS[0]
    return {
        "symbol": spec.venue_symbol,
        "pair": spec.venue_symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _DELIVERY_MS,
        "onboardDate": ONBOARD_MS,
        "status": status,
        "maintMarginPercent": plain(first.rate_e8 * 100),
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": spec.quote,
        "marginAsset": spec.quote,
        "pricePrecision": decimals(spec.tick_e8),
        "quantityPrecision": decimals(spec.lot_e8),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": rules.max_amends,
        "filters": _filters(rules),
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
    }  # fmt: skip


def _filters(rules: SymbolRules) -> list[Json]:
    spec = rules.spec
    price, size = decimals(spec.tick_e8), decimals(spec.lot_e8)
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": cut(rules.min_price_e8, price),
            "maxPrice": cut(rules.max_price_e8, price),
            "tickSize": cut(rules.tick_e8, price),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": cut(rules.min_quantity_e8, size),
            "maxQty": cut(rules.max_quantity_e8, size),
            "stepSize": cut(rules.lot_e8, size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": cut(rules.min_quantity_e8, size),
            "maxQty": cut(rules.max_market_quantity_e8, size),
            "stepSize": cut(rules.lot_e8, size),
        },
        {"filterType": "MAX_NUM_ORDERS", "limit": rules.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": rules.max_algo_orders},
        {"filterType": "MIN_NOTIONAL", "notional": plain(rules.min_notional_e8)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": plain(rules.bid_up_e8),
            "multiplierDown": plain(rules.bid_down_e8),
            "multiplierDecimal": "4",
        },
    ]
