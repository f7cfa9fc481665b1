"""Our Binance spot adapter on a running simulator, over a relay that keeps what passes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from spot_kit import SYMBOL, VENUE, LiveBench, SpotBench

from citadel_micro.adapters.binance.instruments import binance_instruments, get
from citadel_micro.core.model.events import OrderAccepted, OrderAmended, OrderDone, VenueSnapshot
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from recording_relay import Relay
    from stock_exchange import Exchange

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import KeyKind


def our_key(exchange: Exchange, account: str, kind: KeyKind) -> ApiKey:
    key, secret = exchange.key(account, kind)
    return ApiKey(
        venue=VENUE,
        account=account,
        network="testnet",
        kind=kind,
        id=Secret(key),
        secret=Secret(secret),
        passphrase=Secret(""),
        file="key.toml",
    )


async def our_rules(exchange: Exchange) -> Instrument:
    body = await get(f"{exchange.ready['rest']}/api/v3/exchangeInfo")
    return next(each for each in binance_instruments(VENUE, body) if each.symbol == SYMBOL)


@asynccontextmanager
async def our_adapter(exchange: Exchange, relay: Relay, kind: KeyKind) -> AsyncIterator[LiveBench]:
    """The adapter itself, over the relay."""
    server: Any = SimpleNamespace(rest_url=relay.url, ws_url=relay.ws_url)
    bench = SpotBench(server, await our_rules(exchange))
    await bench.begin(kind, key=our_key(exchange, "ours", kind))
    try:
        yield bench
    finally:
        await bench.adapter.released()


async def our_walk(bench: LiveBench) -> None:
    """Everything that the adapter sends in the ordinary life of orders."""
    bid, ask = await bench.touch()
    resting = await bench.resting(300)
    await bench.told(OrderAccepted, resting)
    bench.amend(resting, resting.price_ticks, 200)
    await bench.told(OrderAmended, resting)
    await bench.answer(resting)
    bench.query_venue()
    await bench.told(VenueSnapshot)
    bench.cancel(resting)
    await bench.told(OrderDone, resting)
    plain = bench.place("buy", bid - 50_000, 150)
    await bench.told(OrderAccepted, plain)
    bench.cancel(plain)
    await bench.told(OrderDone, plain)
    taker = bench.place("buy", ask + 50_000, 120, ioc=True)
    await bench.told(OrderDone, taker)
    await bench.answer(taker)
