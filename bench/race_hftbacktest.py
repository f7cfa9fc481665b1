"""One round of ``race_work.py`` at hftbacktest: its own loop, compiled, woken by every feed event."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    NEW,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
    event_dtype,
)
from numba import njit

BOTH = EXCH_EVENT | LOCAL_EVENT
FEED = 2
"""``wait_next_feed`` was woken by the feed."""


def events_of(frames: list[list[Any]]) -> np.ndarray:
    """The market in hftbacktest's form; a snapshot clears the book."""
    rows: list[tuple[int, int, int, float, float, int, int, float]] = []
    for now, what, *rest in frames:
        if isinstance(what, str):
            side = BUY_EVENT if what == "buy" else SELL_EVENT
            rows.append((TRADE_EVENT | side | BOTH, now, now, rest[0], rest[1], 0, 0, 0.0))
            continue
        kind = DEPTH_SNAPSHOT_EVENT if what else DEPTH_EVENT
        for side, levels in ((BUY_EVENT, rest[0]), (SELL_EVENT, rest[1])):
            if what and levels:
                end = levels[-1][0]
                rows.append((DEPTH_CLEAR_EVENT | side | BOTH, now, now, end, 0.0, 0, 0, 0.0))
            rows.extend(
                (kind | side | BOTH, now, now, price, size, 0, 0, 0.0) for price, size in levels
            )
    return np.array(rows, dtype=event_dtype)


@njit  # type: ignore[untyped-decorator] # it has no types
def play(market: Any, price: float, quantity: float) -> tuple[int, float, float]:  # noqa: ANN401 - compiled
    """(times woken, best bid, best ask) with one order that is looked at every time."""
    woken, placed = 0, False
    bid = ask = 0.0
    while True:
        found = market.wait_next_feed(False, 10**15)  # noqa: FBT003 - numba takes no names
        if found != FEED:
            break
        woken += 1
        depth = market.depth(0)
        bid, ask = depth.best_bid, depth.best_ask
        if not placed and bid > 0.0 and ask > bid:
            market.submit_buy_order(0, 1, price, quantity, GTC, LIMIT, False)  # noqa: FBT003
            placed = True
    return woken, bid, ask


def market_of(data: np.ndarray, tick: float, lot: float) -> Any:  # noqa: ANN401 - untyped package
    """A fresh backtest."""
    asset = (
        BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(10_000_000, 10_000_000)
    )
    asset = asset.power_prob_queue_model3(3.0).no_partial_fill_exchange()
    asset = asset.trading_value_fee_model(0.0002, 0.0005).tick_size(tick).lot_size(lot)
    asset = asset.roi_lb(0.0).roi_ub(200_000.0).last_trades_capacity(0)
    return ROIVectorMarketDepthBacktest([asset])


def main() -> None:
    """Print one line of JSON."""
    given = json.loads(Path(sys.argv[1]).read_text())
    tick, lot = float(given["tick"]), float(given["lot"])
    price, quantity = float(given["price"]), float(given["quantity"])
    began = time.process_time()
    data = events_of(given["frames"])
    made = time.process_time() - began
    few = market_of(data[:5_000], tick, lot)
    play(few, price, quantity)  # compiles
    few.close()
    market = market_of(data, tick, lot)
    began = time.process_time()
    _, bid, ask = play(market, price, quantity)
    seconds = time.process_time() - began
    order = market.orders(0).get(1)
    if order is None or order.status != NEW:
        raise SystemExit("the order does not rest")
    name = f"hftbacktest {version('hftbacktest')}"
    text = f"{order.qty - order.leaves_qty:g} filled"
    print(
        json.dumps(
            {"name": name, "seconds": seconds, "made": made, "order": text, "best": [bid, ask]}
        )
    )
    market.close()


if __name__ == "__main__":
    main()
