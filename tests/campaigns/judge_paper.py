"""Static orders at our paper venue, written down with their market for another backtester to judge.

``make judge`` runs this, and then ``judge_hftbacktest.py`` in an environment of its own::

    make judge ARGS="--starts 20"

The market is the capture's depth and trades without its best quotes, so that both see the same events.
Orders of every side, size and distance are placed without latency.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kit"))

from band_kit import MODELS, Static, place, wanted_orders  # noqa: E402

import citadel_micro.adapters  # noqa: E402, F401 - tells which venues there are
from citadel_micro.core.marketdata.market_book import MarketBook  # noqa: E402
from citadel_micro.core.model.events import DepthUpdate, TradeTick  # noqa: E402
from citadel_micro.shell.capture.offline import capture_events  # noqa: E402
from citadel_micro.shell.instruments.capture import instruments_for_capture  # noqa: E402
from citadel_micro.shell.marketdata.spec import venue_spec  # noqa: E402

CASES = (
    ("binance-usdm-btcusdt-20240808", "binance-usdm", "BTC/USDT:USDT"),
    ("binance-spot-btcusdt-20240808", "binance-spot", "BTC/USDT"),
    ("bybit-v5-linear.transcoded", "bybit-linear", "LTC/USDT:USDT"),
)


def main() -> None:
    """Write one file a capture into the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--starts", type=int, default=10, help="moments at which orders are placed")
    args = parser.parse_args()
    shared = Path(os.environ.get("CITADEL_SHARED") or ROOT.parent / "shared") / "captures"
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, venue, symbol in CASES:
        path = shared / f"{name}.jsonl.gz"
        if path.is_file():
            (args.folder / f"{name}.json").write_text(
                json.dumps(case(path, venue, symbol, args.starts))
            )


def case(path: Path, venue: str, symbol: str, starts: int) -> dict[str, object]:
    """Events, orders, and when each order was filled how far under each model."""
    instrument, _ = instruments_for_capture(path, venue, symbol, None)
    market = MarketBook(venue, symbol, venue_spec(venue).integrity)
    found = [
        (recv_ns, event)
        for recv_ns, events in capture_events(path, venue, symbol)
        for event in events
        if isinstance(event, DepthUpdate | TradeTick)
    ]
    every = max(1, len(found) // (starts + 1))
    wanted = wanted_orders()
    rows: list[tuple[object, ...]] = []
    orders: list[dict[str, object]] = []
    live: list[tuple[Static, list[list[int]]]] = []
    for number, (now_ns, event) in enumerate(found):
        if isinstance(event, DepthUpdate):
            if market.on_depth(event):
                kind = "snapshot" if event.snapshot else "depth"
                rows.append((kind, now_ns, [*event.bids], [*event.asks]))
        elif market.on_trade(event):
            rows.append(("trade", now_ns, event.side, event.price, event.size))
        for static, fills in live:
            for paper in static.venues:
                paper.on_market(event, market, now_ns)
            filled = static.filled()
            if not fills or fills[-1][1:] != list(filled):
                fills.append([now_ns, *filled])
        if (
            market.state == "LIVE"
            and number % every == every - 1
            and len(orders) < starts * len(wanted)
        ):
            for want in wanted:
                static = place(instrument, market, want, now_ns)
                for paper in static.venues:
                    paper.on_market(event, market, now_ns)
                if not all("o" in paper.orders for paper in static.venues):
                    continue
                begun = [[now_ns, *static.filled()]]
                orders.append(
                    {
                        "at": now_ns,
                        "side": static.side,
                        "price": instrument.price_float(static.price_ticks),
                        "lots": static.lots,
                        "fills": begun,
                        "offset": want[1],
                    }
                )
                live.append((static, begun))
    return {
        "tick": float(instrument.tick),
        "lot": instrument.lot_float,
        "models": MODELS,
        "events": rows,
        "orders": orders,
    }


if __name__ == "__main__":
    main()
