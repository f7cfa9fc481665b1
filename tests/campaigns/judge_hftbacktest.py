"""The orders of ``judge_paper.py`` at hftbacktest's exchanges, and where it disagrees with ours.

Needs hftbacktest 2.4.4 and nothing of ours: ``make judge`` gives it an environment of its own. Each order
is compared by what it has filled at the end and when its first fill came.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    event_dtype,
)

BOTH = EXCH_EVENT | LOCAL_EVENT
QUEUES = {"pessimistic": "risk_adverse_queue_model", "expected": "power_prob_queue_model3"}
EXCHANGES = ("no_partial_fill_exchange", "partial_fill_exchange")
STEP_NS = 10_000_000


def events_of(case: dict[str, Any]) -> np.ndarray:
    """The market in hftbacktest's form. A snapshot clears the levels that it lacks."""
    rows: list[tuple[int, int, int, float, float, int, int, float]] = []

    def add(kind: int, now: int, price: float, size: float) -> None:
        rows.append((kind | BOTH, now, now, price, size, 0, 0, 0.0))

    known: dict[int, set[float]] = {BUY_EVENT: set(), SELL_EVENT: set()}
    for kind, now, *what in case["events"]:
        if kind == "trade":
            side, price, size = what
            add(TRADE_EVENT | (BUY_EVENT if side == "buy" else SELL_EVENT), now, price, size)
            continue
        for side, levels in ((BUY_EVENT, what[0]), (SELL_EVENT, what[1])):
            if kind == "snapshot":
                for gone in sorted(known[side] - {price for price, _ in levels}):
                    add(DEPTH_EVENT | side, now, gone, 0.0)
                known[side].clear()
            for price, size in levels:
                known[side].add(price)
                add(
                    (DEPTH_SNAPSHOT_EVENT if kind == "snapshot" else DEPTH_EVENT) | side,
                    now,
                    price,
                    size,
                )
    return np.array(rows, dtype=event_dtype)


def play(
    case: dict[str, Any], data: np.ndarray, queue: str, exchange: str
) -> list[tuple[int, int]]:
    """(time of the first fill or 0, lots filled) of each order."""
    asset = BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(0, 0)
    asset = getattr(asset, queue)(3.0) if "prob" in queue else getattr(asset, queue)()
    asset = getattr(asset, exchange)().trading_value_fee_model(0.0, 0.0)
    asset = asset.tick_size(case["tick"]).lot_size(case["lot"])
    market = HashMapMarketDepthBacktest([asset])
    orders = sorted(enumerate(case["orders"], 1), key=lambda each: each[1]["at"])
    waiting = list(orders)
    first: dict[int, int] = {}
    live: set[int] = set()
    filled = {number: 0 for number, _ in orders}
    while market.elapse(STEP_NS) == 0:
        now = market.current_timestamp
        while waiting and waiting[0][1]["at"] <= now:
            number, order = waiting.pop(0)
            submit = market.submit_buy_order if order["side"] == "buy" else market.submit_sell_order
            submit(0, number, order["price"], order["lots"] * case["lot"], GTC, LIMIT, False)
            live.add(number)
        known = market.orders(0)
        for number in list(live):
            order = known.get(number)
            if order is None:
                continue
            got = round((order.qty - order.leaves_qty) / case["lot"])
            if got and number not in first:
                first[number] = now
            filled[number] = got
            if order.status in {3, 4}:
                live.discard(number)
    market.close()
    return [(first.get(number, 0), filled[number]) for number, _ in enumerate(case["orders"], 1)]


def main() -> None:
    """Print one line a capture, exchange and queue model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", action="store_true", help="also print each order that differs")
    args = parser.parse_args()
    for path in sorted(args.folder.glob("*.json")):
        case = json.loads(path.read_text())
        data = events_of(case)
        for exchange in EXCHANGES:
            for model, queue in QUEUES.items():
                compare(
                    path.stem,
                    case,
                    play(case, data, queue, exchange),
                    (model, exchange),
                    each=args.each,
                )


def volume(case: dict[str, Any], order: dict[str, Any]) -> int:
    """Lots that takers of the other side traded at or through the order's price after it was placed."""
    sign = 1 if order["side"] == "buy" else -1
    taker = "sell" if sign > 0 else "buy"
    total = 0.0
    lot: float = case["lot"]
    for kind, now, *what in case["events"]:
        if kind != "trade" or now < order["at"] or what[0] != taker:
            continue
        if sign * (what[1] - order["price"]) <= case["tick"] / 100:
            total += what[2]
    return round(total / lot)


def compare(
    name: str,
    case: dict[str, Any],
    theirs: list[tuple[int, int]],
    what: tuple[str, str],
    *,
    each: bool,
) -> None:
    """One line: how often ours filled as much, more and less, and why theirs filled more."""
    column = 1 + case["models"].index(what[0])
    same = more = impossible = quoted = 0
    lags: list[float] = []
    shares = [0.0, 0.0]
    for number, (order, (first, lots)) in enumerate(zip(case["orders"], theirs, strict=True), 1):
        fills = order["fills"]
        ours, taken = fills[-1][column], fills[0][column]
        shares[0] += ours / order["lots"]
        shares[1] += lots / order["lots"]
        our_first = next((row[0] for row in fills if row[column]), 0)
        if our_first and first:
            lags.append((first - our_first) / 1e9)
        if ours == lots:
            same += 1
            continue
        traded = volume(case, order)
        if ours > lots:
            more += 1
            why = "ours filled more"
        elif lots > taken + traded:
            impossible += 1
            why = "theirs filled more than was there to take and was traded ever after"
        else:
            quoted += 1
            why = "theirs filled by a quote, or ahead of the queue"
        if each:
            print(
                f"  order {number} {order['side']} {order['lots']} at {order['price']} "
                f"({order['offset']:+d}): ours {ours}, theirs {lots}; taken {taken}, traded {traded}: {why}"
            )
    count = len(theirs)
    lag = f"{statistics.median(lags):+.2f} s, {sum(abs(one) > 1 for one in lags)} beyond 1 s"
    print(
        f"{name} {what[1]} {what[0]}: {count} orders, same {same}, ours more {more}, theirs more than "
        f"possible {impossible}, theirs more otherwise {quoted}; filled ours {shares[0] / count:.1%}, "
        f"theirs {shares[1] / count:.1%}; first fill theirs - ours {lag if lags else '-'}"
    )


if __name__ == "__main__":
    main()
