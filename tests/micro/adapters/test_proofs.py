"""What proves a venue's books, in the shapes that it sends today, and what is said where nothing does."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import until
from ws_kit import ScriptedVenue, follow

from citadel_micro.core.marketdata.market_book import UNVERIFIED, MarketBook
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.decode import Symbols
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from citadel_micro.shell.marketdata.aggregator import Aggregator

Rows = list[list[str]]


def keep(venue: str, messages: Sequence[dict[str, Any]]) -> MarketBook:
    """The book that these messages of one symbol come to."""
    spec = venue_spec(venue)
    decoder = spec.decoder(Symbols(spec.unify))
    book: MarketBook | None = None
    for number, message in enumerate(messages):
        for event in decoder.frame(json.dumps(message).encode(), 1_000 + number):
            assert isinstance(event, DepthUpdate)
            if book is None:
                book = MarketBook(venue, event.symbol, spec.integrity)
            book.on_depth(event)
    assert book is not None
    return book


# --- Bitget -------------------------------------------------------------------------------------


def bitget(number: int, *, chained: bool = True, checksum: int | None = None) -> dict[str, Any]:
    """Snapshot 0 or update ``number``, which sets the bid to ``number``."""
    book: dict[str, Any] = {
        "bids": [["100", str(number + 1)]],
        "asks": [["101", "1"]] if number == 0 else [],
        "ts": "1",
        "seq": number + 10,
    }
    if chained:
        book["pseq"] = number + 9 if number else 0
    if checksum is not None:
        book["checksum"] = checksum
    arg = {"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"}
    return {"action": "update" if number else "snapshot", "arg": arg, "data": [book], "ts": 1}


@given(st.integers(1, 30), st.data())
def test_bitget_loses_no_update_unnoticed(count: int, data: st.DataObject) -> None:
    messages = [bitget(number) for number in range(count + 1)]
    whole = keep("bitget-spot", messages)
    assert (whole.state, whole.reason, whole.verified) == ("LIVE", "", True)
    if count > 1:
        lost = data.draw(st.integers(1, count - 1))
        assert keep("bitget-spot", messages[:lost] + messages[lost + 1 :]).state != "LIVE"


@pytest.mark.parametrize("checksum", [None, 0])
def test_bitget_without_any_proof_says_so(checksum: int | None) -> None:
    book = keep("bitget-spot", [bitget(n, chained=False, checksum=checksum) for n in range(3)])
    assert (book.state, book.reason, book.verified) == ("LIVE", UNVERIFIED, False)


def test_bitget_with_a_checksum_is_proven_by_it() -> None:
    right = zlib.crc32(b"100:2:101:1")
    book = keep("bitget-spot", [bitget(0, chained=False), bitget(1, chained=False, checksum=right)])
    assert (book.state, book.reason, book.verified) == ("LIVE", "", True)
    assert book.checksums == (1, 0)
    wrong = keep("bitget-spot", [bitget(0), bitget(1, checksum=right + 1)])
    assert wrong.state == "SYNCING"


def test_changes_without_a_number_or_a_sum_are_not_called_proven() -> None:
    def said(kind: str, **fields: object) -> dict[str, Any]:
        time = "2026-09-01T00:00:00Z"
        return {"type": kind, "product_id": "BTC-USD", "time": time, **fields}

    snapshot = said("snapshot", bids=[["100", "1"]], asks=[["101", "1"]])
    assert keep("coinbase-exchange", [snapshot]).verified, "a whole book needs no proof"
    book = keep("coinbase-exchange", [snapshot, said("l2update", changes=[["buy", "100", "2"]])])
    assert (book.state, book.reason, book.verified) == ("LIVE", UNVERIFIED, False)


# --- Gate ---------------------------------------------------------------------------------------

WINDOW = 100


class Truth:
    """The bids of the venue, and a stream that tells of the best hundred only."""

    def __init__(self, prices: set[int]) -> None:
        self.bids = dict.fromkeys(prices, "1")
        self.told = self.window()
        self.seq = 10

    def window(self) -> dict[int, str]:
        return {price: self.bids[price] for price in sorted(self.bids)[-WINDOW:]}

    def rows(self) -> Rows:
        return [[str(price), size] for price, size in self.told.items()]

    def update(self, channel: str, name: str) -> dict[str, Any]:
        """What changed inside the window; what fell out of it is not told."""
        now = self.window()
        floor = min(now, default=0)
        rows = [[str(price), size] for price, size in now.items() if self.told.get(price) != size]
        rows += [[str(p), "0"] for p in self.told if p not in now and p >= floor]
        self.told = now
        self.seq += 1
        result = {"t": 1, "s": name, "U": self.seq, "u": self.seq, "b": rows, "a": []}
        return {"time": 1, "channel": channel, "event": "update", "result": result}


def gate_book(venue: str) -> MarketBook:
    spec = venue_spec(venue)
    return MarketBook(venue, "BTC/USDT", spec.integrity)


@given(
    st.sets(st.integers(500, 900), min_size=1, max_size=200),
    st.lists(st.tuples(st.integers(400, 1_000), st.booleans()), max_size=60),
)
def test_gate_has_no_ghosts(prices: set[int], steps: list[tuple[int, bool]]) -> None:
    """Whatever moves in and out of the window, the book is the window."""
    truth = Truth(prices)
    spec = venue_spec("gate-spot")
    decoder = spec.decoder(Symbols(spec.unify))
    book = gate_book("gate-spot")
    answer = {"id": 10, "bids": truth.rows(), "asks": [["2000", "1"]]}

    def take(events: Sequence[Any]) -> None:
        for event in events:
            book.on_depth(event)

    take(decoder.rest("BTC_USDT", json.dumps(answer).encode(), 1))
    for price, there in steps:
        if there:
            for each in range(price, price + 15):
                truth.bids[each] = "2"
        else:
            for each in [old for old in truth.bids if old > price]:
                del truth.bids[each]
        message = truth.update("spot.order_book_update", "BTC_USDT")
        take(decoder.frame(json.dumps(message).encode(), 2))
    assert book.state == "LIVE"
    assert {int(price) for price in book.book.sizes("buy")} == set(truth.told)


def obu(seq: int, bids: Rows, asks: Rows, *, full: bool = False) -> dict[str, Any]:
    result: dict[str, Any] = {"t": 1, "s": "ob.BTC_USDT.400", "u": seq, "b": bids, "a": asks}
    result |= {"full": True} if full else {"U": seq}
    return {"channel": "spot.obu", "time_ms": 1, "event": "update", "result": result}


def test_gate_spot_follows_the_stream_that_brings_its_own_snapshots() -> None:
    levels = 150
    bids = [[str(1_000 - n), "1"] for n in range(levels)]
    asks = [[str(1_001 + n), "1"] for n in range(levels)]
    at = [0]

    async def script(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said.get("channel") == "spot.obu":
            assert said["payload"] == ["ob.BTC_USDT.400"]
            if said["event"] == "subscribe":
                at.append(10 * len(at))
                await socket.send_str(json.dumps(obu(at[-1], bids, asks, full=True)))
                await socket.send_str(json.dumps(obu(at[-1] + 1, [["1000", "5"]], [])))

    book = gate_book("gate-spot")

    async def story(server: ScriptedVenue, events: list[Any], feeds: Aggregator) -> None:
        def updates() -> list[DepthUpdate]:
            return [event for event in events if isinstance(event, DepthUpdate)]

        await until(lambda: len(updates()) == 2)
        for update in updates():
            book.on_depth(update)
        assert (book.state, book.book.best()) == ("LIVE", (1_000.0, 5.0, 1_001.0, 1.0))
        assert (book.book.bid_count, book.book.ask_count) == (levels, levels)
        await server.say(obu(13, [["1000", "6"]], []))
        await until(lambda: len(updates()) == 3)
        book.on_depth(updates()[2])
        assert book.state != "LIVE", "12 is missing"
        feeds.request_snapshot("gate-spot", "BTC/USDT", "gap")
        await until(lambda: len(updates()) == 5)
        for update in updates()[3:]:
            book.on_depth(update)
        assert str(book.state) == "LIVE"

    follow("gate-spot", {"BTC/USDT": ""}, script, story, channels=["depth"])


def test_a_side_that_is_null_is_empty() -> None:
    spec = venue_spec("kucoin-spot")
    decoder = spec.decoder(Symbols(spec.unify))
    text = '{"code":"200000","data":{"time":1,"sequence":"10","bids":null,"asks":[["1.1","1"]]}}'
    (update,) = decoder.rest("KCS-ETH", text.encode(), 1)
    assert isinstance(update, DepthUpdate)
    assert (list(update.bids), list(update.asks)) == ([], [(1.1, 1.0)])
