"""The Aggregator against the exchange simulator: real protocol on both ends, and faults between."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.instruments.load import load_instruments
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.simulator.config import Faults, SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable

VENUE = "binance-spot"
SYMBOLS = ("BTC/USDT", "ETH/USDT")


async def follow(config: SimulatorConfig, done: Callable[[dict[str, MarketBook]], bool]) -> None:
    """Keep books of the simulator's market until ``done``; they may never be crossed."""
    async with SimulatorServer(config) as server:
        instruments = await load_instruments(VENUE, SYMBOLS, rest_url=server.rest_url)
        natives = {symbol: each.venue_symbol for (_, symbol), each in instruments.items()}
        markets = {symbol: MarketBook(VENUE, symbol, "range_bridge_spot") for symbol in SYMBOLS}

        def sink(event: object, _at: int) -> None:
            if isinstance(event, DepthUpdate):
                market = markets[event.symbol]
                if market.on_depth(event) & Change.GAP:
                    aggregator.request_snapshot(VENUE, event.symbol, market.reason)
                assert market.state != "LIVE" or not market.crossed
            elif isinstance(event, QuoteTick):
                markets[event.symbol].on_quote(event)
            elif isinstance(event, TradeTick):
                markets[event.symbol].on_trade(event)
            elif isinstance(event, FeedStatus):
                markets[event.symbol].on_status(event)

        feed = FeedConfig(
            venue=VENUE, symbols=natives, websocket_url=server.ws_url, rest_url=server.rest_url
        )
        faults: list[Exception] = []
        aggregator = Aggregator([feed], sink, time.time_ns, on_fault=faults.append)
        await aggregator.start()
        try:
            async with asyncio.timeout(60):
                while not done(markets):  # noqa: ASYNC110 - the condition is about the books
                    await asyncio.sleep(0.02)
        finally:
            await aggregator.close()
        assert not faults


def config(**faults: float) -> SimulatorConfig:
    return SimulatorConfig(port=0, seed=3, symbols=SYMBOLS, history_days=1, faults=Faults(**faults))


def test_books_of_the_simulator_are_live() -> None:
    def done(markets: dict[str, MarketBook]) -> bool:
        return all(
            market.state == "LIVE" and market.deltas >= 10 and market.last_trade is not None
            for market in markets.values()
        )

    asyncio.run(follow(config(), done))


def test_dropped_updates_are_found_and_healed() -> None:
    def done(markets: dict[str, MarketBook]) -> bool:
        return all(market.gaps >= 2 and market.resyncs >= 2 for market in markets.values())

    asyncio.run(follow(config(drop_depth=0.15), done))


def test_disconnects_are_survived() -> None:
    def done(markets: dict[str, MarketBook]) -> bool:
        return all(market.state == "LIVE" and market.resyncs >= 1 for market in markets.values())

    asyncio.run(follow(config(disconnect_every_s=2.0), done))
