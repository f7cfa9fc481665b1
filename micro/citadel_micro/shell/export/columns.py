"""The tables of an export, and their columns."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["text", "number", "count", "exact", "time", "flag"]
"""``number`` is a binary float, ``exact`` a decimal with 18 places, ``time`` nanoseconds of UTC."""

TABLES: Final[dict[str, dict[str, Kind]]] = {
    "orders": {
        "signal_id": "text",
        "venue": "text",
        "symbol": "text",
        "side": "text",
        "kind": "text",
        "order_type": "text",
        "algo": "text",
        "strategy": "text",
        "tag": "text",
        "owner": "text",
        "own": "flag",
        "status": "text",
        "reason_code": "text",
        "reason": "text",
        "quantity": "exact",
        "filled": "exact",
        "average": "exact",
        "limit_price": "exact",
        "stop_price": "exact",
        "arrival_mid": "number",
        "shortfall_bps": "number",
        "fees_bps": "number",
        "maker_share": "number",
        "fills": "count",
        "reprices": "count",
        "created": "time",
        "first_fill": "time",
        "last_fill": "time",
        "updated": "time",
    },
    "fills": {
        "signal_id": "text",
        "child_id": "text",
        "trade_id": "text",
        "venue": "text",
        "symbol": "text",
        "side": "text",
        "price": "exact",
        "quantity": "exact",
        "fee": "exact",
        "fee_currency": "text",
        "liquidity": "text",
        "time": "time",
    },
    "quotes": {
        "venue": "text",
        "symbol": "text",
        "bid": "number",
        "bid_size": "number",
        "ask": "number",
        "ask_size": "number",
        "exchange": "time",
        "received": "time",
    },
    "trades": {
        "venue": "text",
        "symbol": "text",
        "trade_id": "text",
        "price": "number",
        "size": "number",
        "side": "text",
        "exchange": "time",
        "received": "time",
    },
    "profit": {
        "time": "time",
        "profit": "exact",
        "equity": "exact",
        "loss_today": "exact",
        "drawdown": "exact",
        "day_anchor": "exact",
        "peak": "exact",
    },
}
"""Table -> column -> its kind. Costs are in basis points of the filled part at arrival, positive is a cost:
``shortfall_bps`` without fees, ``fees_bps`` of fees in base and quote currency. ``profit`` has a row a minute and one
for each fill, of a journal only, in its reporting currency: profit since the first fill, what the account is worth,
and the falls below ``day_anchor`` (the profit at midnight UTC) and ``peak`` that the loss limits are compared with."""
