"""The generic connector: real ccxt.pro clients against servers that play captures, and misbehave."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from ccxt_kit import Player, frames_of, okx
from effort import chosen
from waiting import until

from citadel_micro.adapters.ccxt import generic_feed
from citadel_micro.adapters.ccxt.conversions import book_update, trade_ticks
from citadel_micro.adapters.ccxt.generic_feed import GenericFeed
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.streams import WHOLE_VENUE, Streams
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, StreamProof, TradeTick
from citadel_micro.shell.marketdata.aggregator import Aggregator, FeedConfig
from citadel_micro.shell.marketdata.generic import integrity_of
from citadel_proto.errors import BadInput, VenueViolation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SYMBOL = "BTC/USDT"


class Rig:
    """A generic feed, and the book that it feeds."""

    def __init__(self, player: Player, exchange: str, symbols: list[str], **changes: Any) -> None:  # noqa: ANN401
        self.player = player
        self.venue = f"ccxt-{exchange}"
        self.markets = {symbol: MarketBook(self.venue, symbol, "unverified") for symbol in symbols}
        self.streams = Streams()
        for market in self.markets.values():
            market.stream = self.streams.of(self.venue, WHOLE_VENUE)
        self.trades: list[TradeTick] = []
        self.reasons: list[str] = []
        self.feed = GenericFeed(
            self.venue,
            symbols,
            emit=self.emit,
            clock=time.time_ns,
            rng=random.Random(1),
            ws_url=f"ws://{player.url}",
            rest_url=f"http://{player.url}",
            **changes,
        )

    def emit(self, event: object, _recv_ns: int) -> None:
        if isinstance(event, DepthUpdate):
            self.markets[event.symbol].on_depth(event)
        elif isinstance(event, FeedStatus):
            self.markets[event.symbol].on_status(event)
            self.reasons.append(event.reason)
        elif isinstance(event, StreamProof):
            self.streams.on_proof(event, time.time_ns())
        elif isinstance(event, TradeTick):
            self.markets[event.symbol].on_trade(event)
            self.trades.append(event)

    def market(self, symbol: str = SYMBOL) -> MarketBook:
        return self.markets[symbol]


@asynccontextmanager
async def running(
    player: Player,
    exchange: str,
    symbols: list[str],
    **changes: Any,  # noqa: ANN401 - settings of the feed
) -> AsyncIterator[Rig]:
    """The feed while it runs; afterwards nothing may be left over."""
    await player.start()
    rig = Rig(player, exchange, symbols, **changes)
    task = asyncio.create_task(rig.feed.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await player.stop()
    await asyncio.sleep(0.05)
    left = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    assert not [each for each in left if each.get_name().startswith("feed ")], left


def change(bids: list[list[str]]) -> str:
    """A change of the book without a checksum."""
    arg = {"channel": "books", "instId": "BTC-USDT"}
    data = {"asks": [], "bids": bids, "ts": "1652459230000"}
    return json.dumps({"arg": arg, "action": "update", "data": [data]})


def golden(shared_dir: Path, capture: str, native: str) -> dict[str, list[tuple[float, float]]]:
    book = json.loads((shared_dir / "golden" / f"{capture}.json").read_text())["symbols"][native]
    return {
        side: [(float(price), float(size)) for price, size in book["top20"][side]]
        for side in ("bids", "asks")
    }


def agrees(market: MarketBook, expected: dict[str, list[tuple[float, float]]]) -> bool:
    bids, asks = market.book.top(20)
    return market.state == "LIVE" and (bids, asks) == (expected["bids"], expected["asks"])


def test_okx_through_ccxt_comes_to_the_reference(shared_dir: Path) -> None:
    async def main() -> None:
        expected = golden(shared_dir, "okx-2022", "BTC-USDT")
        async with running(okx(shared_dir), "okx", [SYMBOL]) as rig:
            await until(lambda: agrees(rig.market(), expected))
            market = rig.market()
            assert market.state == "LIVE"
            assert market.reason.startswith("unverified")
            assert not market.verified
            await until(lambda: len(rig.trades) > 20)
            assert {trade.side for trade in rig.trades} == {"buy", "sell"}
            assert len({trade.trade_id for trade in rig.trades}) == len(rig.trades)
            health = rig.feed.health()
            assert (health.up, health.connects, health.violations) == (True, 1, 0)
            assert health.frames > 100

    asyncio.run(main())


def test_kraken_through_ccxt_comes_to_the_reference(shared_dir: Path) -> None:
    def wanted(frame: dict[str, Any]) -> bool:
        return frame.get("channel") == "book" and frame["data"][0]["symbol"] == "ADA/BTC"

    frames = frames_of(shared_dir / "captures" / "kraken-v2.transcoded.jsonl.gz", wanted)
    pair = {
        "altname": "ADAXBT",
        "wsname": "ADA/XBT",
        "base": "ADA",
        "quote": "XXBT",
        "lot": "unit",
        "pair_decimals": 9,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.26]],
        "fees_maker": [[0, 0.16]],
        "ordermin": "4.4",
        "costmin": "0.00002",
        "tick_size": "0.000000001",
        "status": "online",
    }
    asset = {"aclass": "currency", "altname": "ADA", "decimals": 8, "display_decimals": 6}
    rest = {
        "AssetPairs": {"error": [], "result": {"ADAXBT": pair}},
        "Assets": {
            "error": [],
            "result": {"ADA": asset, "XXBT": {**asset, "altname": "XBT"}},
        },
    }

    async def main() -> None:
        expected = golden(shared_dir, "kraken-v2.transcoded", "ADA/BTC")
        async with running(Player(frames, rest), "kraken", ["ADA/BTC"], channels=("depth",)) as rig:
            market = rig.market("ADA/BTC")
            ten = expected["bids"][:10], expected["asks"][:10]
            await until(lambda: rig.feed.frames >= len(frames) and market.book.top(10) == ten)
            assert market.state == "LIVE"

    asyncio.run(main())


def test_an_exception_inside_ccxt_ends_the_life_and_not_the_feed(shared_dir: Path) -> None:
    async def main() -> None:
        expected = golden(shared_dir, "okx-2022", "BTC-USDT")
        async with running(okx(shared_dir), "okx", [SYMBOL]) as rig:
            await until(lambda: agrees(rig.market(), expected))
            # Far inside of ccxt: a price that is none ends in a TypeError.
            await rig.player.say(change([["x", "y", "0", "1"]]))
            await until(lambda: rig.feed.violations == 1 and rig.player.connects == 2)
            assert any("could not handle a message" in reason for reason in rig.reasons)
            await until(lambda: agrees(rig.market(), expected))
            # And before it: not even text that can be decoded.
            await rig.player.say('{"arg":')
            await rig.player.say('{"arg": {"channel": }}')
            await until(lambda: rig.player.connects == 3)
            await until(lambda: agrees(rig.market(), expected))
            assert rig.market().state == "LIVE"

    asyncio.run(main())


def test_nothing_of_the_old_book_survives_a_reconnect(shared_dir: Path) -> None:
    async def main() -> None:
        player = okx(shared_dir)
        expected = golden(shared_dir, "okx-2022", "BTC-USDT")
        async with running(player, "okx", [SYMBOL]) as rig:
            await until(lambda: agrees(rig.market(), expected))
            stray = rig.market().book.top(100)[0][-1][0] + 0.05
            await player.say(change([[str(stray), "9", "0", "1"]]))  # on the old connection only
            await until(lambda: rig.market().book.size_at("buy", stray) > 0)
            await player.sockets[-1].close()
            await until(lambda: rig.market().state == "SYNCING")
            await until(lambda: agrees(rig.market(), expected))
            assert rig.market().book.size_at("buy", stray) == 0
            assert player.connects == 2

    asyncio.run(main())


def test_a_silent_subscription_is_noticed_and_made_anew(shared_dir: Path) -> None:
    async def main() -> None:
        player = okx(shared_dir)
        player.stop_at = 30
        async with running(player, "okx", [SYMBOL], quiet_s=0.5) as rig:
            await until(lambda: rig.market().state == "LIVE")
            await until(lambda: rig.market().state == "SYNCING")
            assert "nothing for" in rig.market().reason
            player.stop_at = None
            await until(lambda: player.connects >= 2 and rig.market().state == "LIVE")
            assert rig.feed.resubscribed >= 1

    asyncio.run(main())


def test_a_quiet_market_is_live_by_the_pongs_of_its_connection(
    shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Often, so that they are young however seldom this machine lets us run.
    for name in ("SILENT_NS", "PING_NS", "PROOF_NS"):
        monkeypatch.setattr(generic_feed, name, 100_000_000)

    async def main() -> None:
        player = okx(shared_dir)
        player.stop_at = 30
        async with running(player, "okx", [SYMBOL], quiet_s=60.0) as rig:
            await until(lambda: rig.market().state == "LIVE")
            end = time.monotonic() + 4.0
            while time.monotonic() < end:
                await asyncio.sleep(0.1)
                rig.market().check_age(time.time_ns(), 3_000_000_000)
                assert rig.market().state == "LIVE", rig.market().reason
            assert time.time_ns() - rig.market().last_recv_ns > 3_500_000_000

    asyncio.run(main())


def test_an_unknown_symbol_is_broken_and_the_others_live(shared_dir: Path) -> None:
    async def main() -> None:
        symbols = [SYMBOL, "BTC/USDD"]
        async with running(okx(shared_dir), "okx", symbols) as rig:
            await until(lambda: rig.market().state == "LIVE")
            broken = rig.market("BTC/USDD")
            assert broken.state == "BROKEN"
            assert "BTC/USDT" in broken.reason, "the nearest name"

    asyncio.run(main())


def test_a_refused_subscription_is_broken_in_the_venues_words(shared_dir: Path) -> None:
    async def main() -> None:
        player = okx(shared_dir)
        player.answers["ETH-USDT"] = (
            '{"event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:ETH-USDT '
            'doesn\'t exist.","arg":{"channel":"books","instId":"ETH-USDT"}}'
        )
        symbols = [SYMBOL, "ETH/USDT"]
        async with running(player, "okx", symbols, channels=("depth",)) as rig:
            await until(lambda: rig.market("ETH/USDT").state == "BROKEN")
            assert "doesn't exist" in rig.market("ETH/USDT").reason

    asyncio.run(main())


def test_an_absent_venue_is_retried_at_a_bounded_rate(shared_dir: Path) -> None:
    async def main() -> None:
        player = okx(shared_dir)
        rest, player.rest = player.rest, {}
        async with running(player, "okx", [SYMBOL]) as rig:
            await until(lambda: rig.feed.failures >= 2)
            assert "no list of markets" in rig.market().reason
            player.rest = rest
            await until(lambda: rig.market().state == "LIVE")
            await player.sockets[-1].close()
            await until(lambda: player.connects == 2)
            await player.sockets[-1].close()
            await until(lambda: player.connects == 3)
            gaps = [
                b - a for a, b in zip(player.connected_at, player.connected_at[1:], strict=False)
            ]
            assert min(gaps) > 0.1

    asyncio.run(main())


@pytest.mark.parametrize("turns", chosen(range(4), suite=[0, 2]))
def test_one_that_is_cancelled_while_it_ends_leaves_no_session(
    shared_dir: Path, turns: int
) -> None:
    """An open one warns when it is collected, which fails the test."""

    async def main() -> None:
        async with running(okx(shared_dir), "okx", [SYMBOL]) as rig:
            await until(lambda: rig.market().state == "LIVE")
            rig.feed.resync(SYMBOL, "as the engine asks")
            for _ in range(turns):
                await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()


def test_the_aggregator_runs_it_as_it_runs_every_other_venue(shared_dir: Path) -> None:
    async def main() -> None:
        player = okx(shared_dir)
        await player.start()
        market = MarketBook("ccxt-okx", SYMBOL, integrity_of("ccxt-okx"))

        def sink(event: object, _recv_ns: int) -> None:
            if isinstance(event, DepthUpdate):
                market.on_depth(event)
            elif isinstance(event, FeedStatus):
                market.on_status(event)
                if event.up:
                    aggregator.request_snapshot("ccxt-okx", SYMBOL, "as the engine does")

        feed = FeedConfig(
            venue="ccxt-okx",
            symbols={SYMBOL: ""},
            websocket_url=f"ws://{player.url}",
            rest_url=f"http://{player.url}",
        )
        aggregator = Aggregator([feed], sink, time.time_ns)
        await aggregator.start()
        try:
            await until(lambda: market.state == "LIVE")
            assert player.connects == 1, "asking for what is on its way costs nothing"
            aggregator.request_snapshot("ccxt-okx", SYMBOL, "crossed")
            await until(lambda: player.connects == 2 and market.state == "LIVE")
            with pytest.raises(BadInput, match="no feed of"):
                aggregator.request_snapshot("ccxt-okx", "BTC/USD", "gap")
            assert aggregator.health()[0].venue == "ccxt-okx"
        finally:
            await aggregator.close()
            await player.stop()

    asyncio.run(main())


def test_unknown_exchanges_are_answered_with_the_nearest() -> None:
    assert integrity_of("ccxt-kraken") == "unverified"
    assert integrity_of("binance-spot") == "range_bridge_spot"
    with pytest.raises(BadInput, match="ccxt-kraken"):
        integrity_of("ccxt-krakken")
    with pytest.raises(BadInput, match="did you mean"):
        integrity_of("binance-sport")


@pytest.mark.parametrize(
    "book",
    [
        {},
        {"bids": None, "asks": []},
        {"bids": [[1.0]], "asks": []},
        {"bids": [[float("nan"), 1.0]], "asks": []},
        {"bids": [[1.0, float("inf")]], "asks": []},
        {"bids": [[-1.0, 1.0]], "asks": []},
        {"bids": [["x", 1.0]], "asks": []},
        {"bids": [[1.0, 0.0]], "asks": []},
        {"bids": [], "asks": [], "timestamp": "soon"},
    ],
)
def test_what_is_no_book_is_a_violation(book: dict[str, Any]) -> None:
    with pytest.raises(VenueViolation):
        book_update("ccxt-x", SYMBOL, book, 1)


def test_a_book_is_copied() -> None:
    source = {"bids": [[1.0, 2.0, 7]], "asks": [[3.0, 4.0]], "nonce": 5, "timestamp": 6}
    update = book_update("ccxt-x", SYMBOL, source, 1)
    source["bids"][0][1] = 99.0  # type: ignore[index]
    assert (update.bids, update.asks) == ([(1.0, 2.0)], [(3.0, 4.0)])
    assert (update.snapshot, update.last_seq, update.exchange_ns) == (True, 5, 6_000_000)


def test_trades_without_a_side_are_left_out_and_nonsense_is_a_violation() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "side": None, "price": 1.0, "amount": 1.0},
        {"id": "2", "side": "sell", "price": 1.0, "amount": 2.0, "timestamp": 3},
    ]
    assert trade_ticks("v", SYMBOL, rows, 9) == [
        TradeTick("v", SYMBOL, "2", 1.0, 2.0, "sell", 3_000_000, 9)
    ]
    with pytest.raises(VenueViolation):
        trade_ticks("v", SYMBOL, [{"id": "2", "side": "buy", "price": None, "amount": 2.0}], 9)
