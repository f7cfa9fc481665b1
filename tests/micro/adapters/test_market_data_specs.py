"""Every venue's symbols, times, snapshots and settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from market_data_samples import AT, COINBASE_BOOK, decode

from citadel_micro.core.marketdata.sequencing import make_integrity
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.decode import Control, FeedEvent, iso_ns, mentioned
from citadel_micro.shell.marketdata.spec import CHANNELS, known_spec, venue_ids, venue_spec
from citadel_proto.errors import BadInput, VenueViolation


def rest(venue: str, native: str, answer: dict[str, Any]) -> list[FeedEvent]:
    spec = venue_spec(venue)
    return list(spec.decoder(spec.symbols()).rest(native, json.dumps(answer).encode(), AT))


def test_a_lost_message_of_a_coinbase_connection_is_lost_to_all_of_it() -> None:
    def heartbeat(number: int) -> dict[str, Any]:
        return {"channel": "heartbeats", "sequence_num": number, "events": []}

    events = decode("coinbase-advanced", heartbeat(6), COINBASE_BOOK, COINBASE_BOOK, heartbeat(9))
    assert [type(event) for event in events] == [DepthUpdate, Control], "a repeat gives nothing"
    assert events[1] == Control("lost", "", "expected message 8 of the connection, got 9")


def test_snapshots_over_http() -> None:
    kucoin = {"code": "200000", "data": {"time": 5, "sequence": "3262786978",
              "bids": [["6500.12", "0.45"]], "asks": [["6500.16", "0.57"]]}}  # fmt: skip
    gate = {"id": 123456, "current": 1623898993123, "update": 1623898993121,
            "asks": [["1.52", "1.15"]], "bids": [["1.17", "201.8"]]}  # fmt: skip
    contract = {"id": 123456, "current": 1623898993.123, "update": 1623898993.121,
                "asks": [{"p": "1.52", "s": 100}], "bids": [{"p": "1.17", "s": 150}]}  # fmt: skip
    for venue, native, answer, seq, best in (
        ("kucoin-spot", "BTC-USDT", kucoin, 3262786978, (6500.12, 6500.16)),
        ("gate-spot", "BTC_USDT", gate, 123456, (1.17, 1.52)),
        ("gate-usdm", "BTC_USDT", contract, 123456, (1.17, 1.52)),
    ):
        (event,) = rest(venue, native, answer)
        assert isinstance(event, DepthUpdate)
        assert (event.snapshot, event.last_seq) == (True, seq)
        assert (event.bids[0][0], event.asks[0][0]) == best
        with pytest.raises(VenueViolation, match=venue):
            rest(venue, native, {"code": 5})


@pytest.mark.parametrize(
    ("venue", "native", "unified"),
    [
        ("okx", "BTC-USDT", "BTC/USDT"),
        ("okx", "BTC-USDT-SWAP", "BTC/USDT:USDT"),
        ("okx", "BTC-USD-SWAP", "BTC/USD:BTC"),
        ("okx", "BTC-USD-220527", "BTC/USD:BTC-220527"),
        ("bybit-spot", "BTCUSDC", "BTC/USDC"),
        ("bybit-linear", "BTCUSDT", "BTC/USDT:USDT"),
        ("bybit-linear", "BTCPERP", "BTC/USDC:USDC"),
        ("bybit-inverse", "BTCUSD", "BTC/USD:BTC"),
        ("kraken-spot", "BTC/USD", "BTC/USD"),
        ("kraken-v1", "XBT/USD", "BTC/USD"),
        ("kraken-futures", "PI_XBTUSD", "BTC/USD:BTC"),
        ("kraken-futures", "PF_ETHUSD", "ETH/USD:USD"),
        ("kraken-futures", "FI_BCHUSD_210730", "BCH/USD:BCH-210730"),
        ("coinbase-advanced", "BTC-USD", "BTC/USD"),
        ("coinbase-exchange", "BTC-USD", "BTC/USD"),
        ("kucoin-spot", "BTC-USDT", "BTC/USDT"),
        ("bitget-spot", "BTCUSDT", "BTC/USDT"),
        ("gate-spot", "BTC_USDT", "BTC/USDT"),
        ("gate-usdm", "BTC_USDT", "BTC/USDT:USDT"),
        ("deribit", "BTC-PERPETUAL", "BTC/USD:BTC"),
        ("deribit", "BTC_USDC-PERPETUAL", "BTC/USDC:USDC"),
        ("deribit", "ETH-3JAN27", "ETH/USD:ETH-270103"),
        ("deribit", "BTC_USDC", "BTC/USDC"),
        ("hyperliquid", "BTC", "BTC/USDC:USDC"),
    ],
)
def test_symbols_both_ways(venue: str, native: str, unified: str) -> None:
    spec = venue_spec(venue)
    assert spec.unify(native) == unified
    assert spec.native(unified) == native


@pytest.mark.parametrize("venue", venue_ids())
def test_every_spec_is_whole(venue: str) -> None:
    spec = venue_spec(venue)
    assert spec.venue == venue
    rules = make_integrity(spec.integrity)
    assert (spec.snapshot is not None) == rules.sequence.bridges
    assert spec.websocket_url.startswith("wss://")
    messages = spec.subscribe(["AAA", "BBB"], CHANNELS, 7)
    assert messages
    for message in messages:
        assert isinstance(json.loads(message), dict)
    assert any("AAA" in message.upper() for message in messages)
    if spec.unsubscribe is not None:
        assert spec.unsubscribe(["AAA"], CHANNELS, 8)
    if spec.snapshot is not None:
        assert spec.rest_url.startswith("https://")
        assert spec.snapshot_symbol(spec.rest_url + spec.snapshot("AAA")) == "AAA"
    else:
        with pytest.raises(VenueViolation, match="no HTTP snapshot"):
            rest(venue, "AAA", {})


def test_the_ticket_of_kucoin() -> None:
    spec = venue_spec("kucoin-spot")
    servers = [{"endpoint": "wss://ws-api-spot.kucoin.com/", "pingInterval": 18000}]
    answer = {"code": "200000", "data": {"token": "abc", "instanceServers": servers}}
    url = spec.ticket_url(json.dumps(answer).encode())
    assert url == "wss://ws-api-spot.kucoin.com/?token=abc"


@pytest.mark.parametrize("name", ["orders", "rules-spot", "fetch-rules", "specs"])
def test_a_module_beside_the_venues_is_none(name: str) -> None:
    assert known_spec(name) is None
    with pytest.raises(BadInput, match=f"no venue is called '{name}'"):
        venue_spec(name)


def test_unknown_venues_are_answered_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean kraken-spot"):
        venue_spec("kraken-spt")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02T00:00:01Z", 86_401 * 10**9),
        ("2021-04-17T16:43:37.085687Z", 1_618_677_817_085_687_000),
        ("2023-02-09T20:32:50.714964855Z", 1_675_974_770_714_964_855),
        ("2021-04-17T16:43:37+00:00", 1_618_677_817_000_000_000),
    ],
)
def test_times_are_exact(text: str, expected: int) -> None:
    assert iso_ns(text) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2021-04-17", "2021-04-17T16:43:37+02:00", "2021-13-01T00:00:00Z"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        iso_ns(text)


def test_a_damaged_frame_is_laid_to_the_symbols_that_it_names() -> None:
    natives = ["BTCUSDT", "ABTCUSDT", "ETHUSDT"]
    assert mentioned(b'{"stream":"btcusdt@depth","data":{"e":"dep', natives) == ["BTCUSDT"]
    assert mentioned(b'{"s":"ABTCUSDT","b":[["1', natives) == ["ABTCUSDT"]
    assert mentioned(b"\xff\x00", natives) == []


@pytest.mark.parametrize(
    ("frame", "natives", "named"),
    [
        ('{"instId":"BTC-USDT-SWAP","', ["BTC-USDT", "BTC-USDT-SWAP"], ["BTC-USDT-SWAP"]),
        ('{"s":"BTC_USDT_20261225","', ["BTC_USDT"], []),
        (
            '{"s":"\u5e01\u5b89\u4ebaUSDT","',
            ["\u4ebaUSDT", "\u5e01\u5b89\u4ebaUSDT"],
            ["\u5e01\u5b89\u4ebaUSDT"],
        ),
        (r'{"s":"\u5e01USDT","', ["\u5e01USDT"], ["\u5e01USDT"]),
        ('{"instId":"BTC-USDT', ["BTC-USDT"], []),  # what it was cut from may be the swap
        ('"orderbook.50.BTCUSDT"', ["BTCUSDT"], ["BTCUSDT"]),
        ('"/market/level2:BTC-USDT,', ["BTC-USDT"], ["BTC-USDT"]),
        ('"ob.BTC_USDT.400"', ["BTC_USDT"], ["BTC_USDT"]),
    ],
)
def test_a_damaged_frame_affects_no_book_of_a_longer_or_shorter_name(
    frame: str, natives: list[str], named: list[str]
) -> None:
    assert mentioned(frame.encode(), natives) == named
