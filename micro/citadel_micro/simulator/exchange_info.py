"""Trading rules as Binance spot lists them. Every filter that is listed is enforced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_symbols import e8_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.sim.exchange.model import SymbolStatus
    from citadel_micro.sim.exchange.rules import SymbolRules

Json = dict[str, Any]
ORDER_TYPES: Final = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)


PERMISSION: Final = "SPOT"


def symbol_info(rules: SymbolRules, status: SymbolStatus, *, permission_sets: bool) -> Json:
    """Return one symbol's entry in exchangeInfo."""
    spec = rules.spec
    return {
        "symbol": spec.venue_symbol,
        "status": status,
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(ORDER_TYPES),
        "icebergAllowed": True,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(rules),
        "permissions": [],
        "permissionSets": [[PERMISSION]] if permission_sets else [],
        "defaultSelfTradePreventionMode": rules.default_stp,
        "allowedSelfTradePreventionModes": list(rules.allowed_stp),
    }


def _filters(rules: SymbolRules) -> list[Json]:
    filters: list[Json] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": e8_text(rules.min_price_e8),
            "maxPrice": e8_text(rules.max_price_e8),
            "tickSize": e8_text(rules.tick_e8),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": e8_text(rules.min_quantity_e8),
            "maxQty": e8_text(rules.max_quantity_e8),
            "stepSize": e8_text(rules.lot_e8),
        },
        {"filterType": "ICEBERG_PARTS", "limit": rules.max_iceberg_parts},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": e8_text(0),
            "maxQty": e8_text(rules.max_market_quantity_e8),
            "stepSize": e8_text(0),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": _multiplier(rules.bid_up_e8),
            "bidMultiplierDown": _multiplier(rules.bid_down_e8),
            "askMultiplierUp": _multiplier(rules.ask_up_e8),
            "askMultiplierDown": _multiplier(rules.ask_down_e8),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": e8_text(rules.min_notional_e8),
            "applyMinToMarket": True,
            "maxNotional": e8_text(rules.max_notional_e8),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": rules.max_algo_orders},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": rules.max_amends},
    ]
    if rules.max_position_e8:
        position = e8_text(rules.max_position_e8)
        filters.append({"filterType": "MAX_POSITION", "maxPosition": position})
    return filters


def _multiplier(value_e8: int) -> str:
    """Write a factor without the zeros at its end, as Binance does: ``5``, ``0.2``."""
    return e8_text(value_e8).rstrip("0").rstrip(".")


def exchange_info(
    entries: Iterable[tuple[SymbolRules, SymbolStatus]],
    time_ms: int,
    limits: tuple[int, int, int],
    *,
    permission_sets: bool = True,
) -> Json:
    """Return the exchangeInfo answer; ``limits`` are weight a minute, orders in 10 s and a day."""
    weight, orders_10s, orders_day = limits
    return {
        "timezone": "UTC",
        "serverTime": time_ms,
        "rateLimits": [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, weight),
            _limit("ORDERS", "SECOND", 10, orders_10s),
            _limit("ORDERS", "DAY", 1, orders_day),
            _limit("RAW_REQUESTS", "MINUTE", 5, 300_000),
        ],
        "exchangeFilters": [],
        "symbols": [
            symbol_info(rules, status, permission_sets=permission_sets) for rules, status in entries
        ],
    }


def _limit(kind: str, interval: str, number: int, limit: int) -> Json:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
    }
