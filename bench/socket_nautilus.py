"""nautilus_trader's end of ``bench_socket``: its websocket clients in Rust and its order books.

Runs under an interpreter that has nautilus_trader, which need not be ours, and needs nothing else.
What its data clients do is done here too: the client parses and normalises in Rust and hands over
deltas, which are applied to an ``OrderBook`` in the event loop's thread. Its data engine, message
bus and cache are left out, as our engine is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from importlib.metadata import version
from typing import Any

from nautilus_trader.core import nautilus_pyo3 as rust
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import OrderBookDeltas, capsule_to_data
from nautilus_trader.model.enums import BookType

try:
    from uvloop import run as run_loop
except ImportError:
    from asyncio import run as run_loop  # type: ignore[assignment] # it takes more

NAME = f"nautilus_trader {version('nautilus_trader')}"
OLDER = "trader 1.221." in NAME
"""The last version for Python 3.11, whose clients are told less."""
VENUES = {"okx": "OKX", "bybit-linear": "BYBIT"}


def _least(cls: Any, decimals: int) -> Any:  # noqa: ANN401 - Price or Quantity
    return cls.from_str(f"{10.0**-decimals:.{decimals}f}")


def _instrument(venue: str, native: str, price_decimals: int, size_decimals: int) -> Any:  # noqa: ANN401
    """What it has to know of an instrument: how many decimals its numbers have."""
    name = native if venue == "okx" else f"{native}-LINEAR"
    common = {
        "instrument_id": rust.InstrumentId.from_str(f"{name}.{VENUES[venue]}"),
        "raw_symbol": rust.Symbol(native),
        "base_currency": rust.Currency.from_str("BTC"),  # names only: no amounts are worked out
        "quote_currency": rust.Currency.from_str("USDT"),
        "price_precision": price_decimals,
        "size_precision": size_decimals,
        "price_increment": _least(rust.Price, price_decimals),
        "size_increment": _least(rust.Quantity, size_decimals),
        "ts_event": 0,
        "ts_init": 0,
    }
    if venue == "okx" and native.count("-") == 1:
        return rust.CurrencyPair(**common)
    settlement = rust.Currency.from_str("USDT")
    return rust.CryptoPerpetual(**common, settlement_currency=settlement, is_inverse=False)


async def _client(job: dict[str, Any], instruments: list[Any], callback: Any) -> Any:  # noqa: ANN401
    """Connected, and subscribed to the books."""
    loop = asyncio.get_running_loop()
    if job["venue"] == "okx":
        client = rust.OKXWebSocketClient(url=job["url"], heartbeat=20)
        given = {"instruments": instruments, "callback": callback}
        await client.connect(**given if OLDER else {**given, "loop_": loop})
    else:
        client = rust.BybitWebSocketClient.new_public(
            product_type=rust.BybitProductType.LINEAR,
            environment=rust.BybitEnvironment.MAINNET,
            url=job["url"],
        )
        for instrument in instruments:
            (client.add_instrument if OLDER else client.cache_instrument)(instrument)
        await client.connect(*(callback,) if OLDER else (loop, callback))
    await client.wait_until_active(timeout_secs=10.0)
    for instrument in instruments:
        if job["venue"] == "okx":
            await client.subscribe_book_with_depth(instrument.id, 400)
        else:
            await client.subscribe_orderbook(instrument.id, 50)
    return client


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Keep the books of all that comes; best bid and ask after each frame."""
    natives = {}
    instruments = []
    for native, decimals in job["natives"].items():
        instrument = _instrument(job["venue"], native, *decimals)
        instruments.append(instrument)
        natives[str(instrument.id)] = native
    books: dict[str, OrderBook] = {}
    expected: int = job["frames"]
    seen = 0
    best: object = None
    words = ""
    start_s = end_s = start_cpu_s = end_cpu_s = 0.0
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def callback(message: Any) -> None:  # noqa: ANN401
        nonlocal seen, best, words, start_s, end_s, start_cpu_s, end_cpu_s
        if not rust.is_pycapsule(message):
            words = words or repr(message)
            return
        data = capsule_to_data(message)
        if not isinstance(data, OrderBookDeltas):
            return
        book = books.get(data.instrument_id)
        if book is None:
            book = books[data.instrument_id] = OrderBook(data.instrument_id, BookType.L2_MBP)
        book.apply(data)
        best = (book.best_bid_price(), book.best_ask_price())
        seen += 1
        if seen == expected:
            end_s, end_cpu_s = time.monotonic(), time.process_time()
            loop.call_soon_threadsafe(done.set)  # 1.221 calls from a thread of its own
        elif seen == 1:
            start_s, start_cpu_s = time.monotonic(), time.process_time()

    client = None
    try:
        async with asyncio.timeout(job["limit_s"]):
            client = await _client(job, instruments, callback)
            await done.wait()
    except TimeoutError:
        return {"error": f"only {seen} of {expected} frames came; {words}"}
    finally:
        if client is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.close(), 5.0)
    return {
        "cpu_s": end_cpu_s - start_cpu_s,
        "seconds": end_s - start_s,
        "tops": {
            # By way of the text: their own float of 30236.1 is 30236.099999999995.
            natives[str(name)]: (
                float(str(book.best_bid_price())),
                float(str(book.best_ask_price())),
            )
            for name, book in books.items()
        },
        "version": f"{NAME}, Python {sys.version.split()[0]}",
    }


if __name__ == "__main__":
    print("\n" + json.dumps(run_loop(run(json.load(sys.stdin)))))
