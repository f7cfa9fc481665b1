"""Rows of a shadow's table."""

from __future__ import annotations

from typing import Any

from citadel_macro.shadow.table import ShadowOrder

SECOND = 1_000_000_000
AT = 1_800_000_000 * SECOND


def order(**over: Any) -> ShadowOrder:  # noqa: ANN401 - fields by name
    """A buy of 2 at 100: Freqtrade paid 100.10 as taker, micro 99.95 as maker, both 0.1 % in quote."""
    values: dict[str, Any] = {
        "number": 1,
        "placed_ns": AT,
        "pair": "BTC/USDT",
        "side": "buy",
        "kind": "order",
        "order_type": "limit",
        "quantity": "2",
        "rate": "100.1",
        "dry_run": 0,
        "order_id": "7",
        "status": "closed",
        "filled": "2",
        "average": "100.10",
        "fees": '{"USDT": "0.2002"}',
        "filled_ns": AT + SECOND,
        "signal_id": "s-1",
        "micro_status": "filled",
        "micro_filled": "2",
        "micro_average": "99.95",
        "micro_fees": '{"USDT": "0.1999"}',
        "micro_got_ns": AT + 1_000_000,
        "micro_filled_ns": AT + 3 * SECOND,
        "arrival_mid": "100.0",
        "maker_share": "1",
    }
    return ShadowOrder(**values | over)
