"""ccxt.pro as a client of ``bench_tick.py``: watch the book, create an order.

    tick_ccxt.py PORT spot|swap

Modes: ``rest`` sends with ``create_order``, ``ws`` with ``create_order_ws``.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import ccxt.pro
import uvloop
from tick_control import connect

from citadel_micro.simulator.accounts import named_keys
from citadel_micro.simulator.ccxt_urls import ccxt_overrides


async def main(port: int, kind: str) -> None:
    """Trade until this process is ended."""
    key = named_keys(f"ccxt-{kind}")[0]
    swap = kind == "swap"
    settings: dict[str, Any] = ccxt_overrides(
        f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", swap=swap
    )
    client = ccxt.pro.binance(
        settings | {"apiKey": key.key_id, "secret": key.secret, "enableRateLimit": False}
    )
    mode = ""

    def told(words: str) -> None:
        nonlocal mode
        mode = words
        control.ready()

    try:
        await client.load_markets()
        symbol = "BTC/USDT:USDT" if swap else "BTC/USDT"
        await client.watch_order_book(symbol)
        gc.collect()
        gc.freeze()
        control = await connect(port, told)
        count = 0
        while True:
            book = await client.watch_order_book(symbol)
            if not mode or not book["nonce"] % 2:
                continue
            count += 1
            buying = count % 2 == 1
            price = book["asks"][0][0] * 1.01 if buying else book["bids"][0][0] * 0.99
            create = client.create_order_ws if mode == "ws" else client.create_order
            await create(
                symbol,
                "limit",
                "buy" if buying else "sell",
                0.002,
                price,
                {"timeInForce": "IOC"},
            )
            control.ready()
    finally:
        await client.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
