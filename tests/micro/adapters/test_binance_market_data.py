from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.adapters.binance.market_data import BinanceDecoder
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import Control, FeedEvent
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import VenueViolation

AT = 17


def decode(data: str | bytes | dict[str, Any], venue: str = "binance-spot") -> list[FeedEvent]:
    if isinstance(data, dict):
        data = json.dumps(data, separators=(",", ":"))
    if isinstance(data, str):
        data = data.encode()
    spec = venue_spec(venue)
    return list(spec.decoder(spec.symbols()).frame(data, AT))


DEPTH: dict[str, Any] = {
    "e": "depthUpdate", "E": 5, "s": "BTCUSDT", "U": 7, "u": 9,
    "b": [["10.50", "1.0"], ["10.40", "0.0"]], "a": [["11.00", "2.5"]],
}  # fmt: skip
FUTURES = {**DEPTH, "T": 4, "pu": 6}
QUOTE: dict[str, Any] = {
    "u": 400, "s": "BTCUSDT", "b": "10.50", "B": "1.0", "a": "11.00", "A": "2.0",
}  # fmt: skip
TRADE: dict[str, Any] = {
    "e": "trade", "E": 5, "s": "BTCUSDT", "t": 12, "p": "10.50", "q": "2.0", "T": 4,
    "m": True, "M": True,
}  # fmt: skip


def wrapped(stream: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"stream": f"btcusdt@{stream}", "data": data}


def test_depth() -> None:
    expected = DepthUpdate(
        "binance-spot", "BTC/USDT", False, 7, 9, -1, None,
        [(10.5, 1.0), (10.4, 0.0)], [(11.0, 2.5)], 5_000_000, AT,
    )  # fmt: skip
    assert decode(wrapped("depth@100ms", DEPTH)) == [expected]
    assert decode(DEPTH) == [expected], "a stream of its own has no wrapping"


def test_depth_of_futures_takes_the_engines_time_and_the_previous_sequence() -> None:
    (event,) = decode(wrapped("depth@0ms", FUTURES), "binance-usdm")
    assert isinstance(event, DepthUpdate)
    assert (event.symbol, event.prev_seq, event.exchange_ns) == ("BTC/USDT:USDT", 6, 4_000_000)


def test_quotes() -> None:
    expected = QuoteTick("binance-spot", "BTC/USDT", 400, 10.5, 1.0, 11.0, 2.0, 0, AT)
    assert decode(wrapped("bookTicker", QUOTE)) == [expected]
    assert decode(QUOTE) == [expected], "spot's quotes do not even say what they are"
    (futures,) = decode(wrapped("bookTicker", {"e": "bookTicker", **QUOTE, "T": 3}), "binance-usdm")
    assert isinstance(futures, QuoteTick)
    assert futures.exchange_ns == 3_000_000


def test_a_quote_without_one_side_is_no_quote() -> None:
    assert decode(wrapped("bookTicker", {**QUOTE, "b": "0.00", "B": "0.00"})) == []


def test_trades_carry_the_takers_side() -> None:
    expected = TradeTick("binance-spot", "BTC/USDT", "12", 10.5, 2.0, "sell", 4_000_000, AT)
    assert decode(wrapped("trade", TRADE)) == [expected]
    assert decode(wrapped("trade", {**TRADE, "m": False})) == [expected._replace(side="buy")]
    aggregate = {**TRADE, "e": "aggTrade", "a": 12}
    del aggregate["t"]
    assert decode(wrapped("aggTrade", aggregate)) == [expected]


@pytest.mark.parametrize("changes", [{"X": "INSURANCE_FUND"}, {"X": "NA", "p": "0", "q": "0"}])
def test_what_is_not_a_market_trade_is_left_out(changes: dict[str, str]) -> None:
    assert decode(wrapped("trade", {**TRADE, **changes}), "binance-usdm") == []


def test_writing_it_differently_changes_nothing() -> None:
    """Spaces and another order of keys are the same JSON; the quick path must not depend on it."""
    for stream, data in (("depth@100ms", DEPTH), ("bookTicker", QUOTE), ("trade", TRADE)):
        plain = decode(wrapped(stream, data))
        turned = dict(reversed(data.items()))
        assert decode(json.dumps(wrapped(stream, turned), indent=1)) == plain
        assert decode(json.dumps({"data": turned, "stream": f"btcusdt@{stream}"})) == plain


def test_other_streams_are_passed_over() -> None:
    assert decode(wrapped("kline_1m", {"e": "kline", "s": "BTCUSDT", "k": {}})) == []
    assert decode({"e": "24hrTicker"}) == []


def test_what_the_venue_says_about_the_connection() -> None:
    assert decode({"result": None, "id": 3}) == [Control("ack", "", "", 3)]
    error = {"error": {"code": 2, "msg": "Invalid request"}, "id": 4}
    assert decode(error) == [Control("refused", "", "Invalid request (code 2)", 4)]
    shutdown = {"e": "serverShutdown", "E": 5}
    assert decode(shutdown) == [Control("shutdown", "", "serverShutdown")]
    assert decode(wrapped("x", shutdown)) == [Control("shutdown", "", "serverShutdown")]


@pytest.mark.parametrize(
    "bad",
    [
        {"b": [["nan", "1"]]},
        {"b": [["1", "NaN"]]},
        {"b": [["inf", "1"]]},
        {"b": [["-1", "1"]]},
        {"b": [["1", "-0.1"]]},
        {"b": [["0", "1"]]},
        {"b": [["1e400", "1"]]},
        {"b": [["1"]]},
        {"b": None},
        {"U": "x"},
        {"s": None},
    ],
)
def test_bad_numbers_are_refused_with_the_frame(bad: dict[str, Any]) -> None:
    with pytest.raises(VenueViolation, match=r"binance-spot: .*frame: \{\"stream\""):
        decode(wrapped("depth@100ms", {**DEPTH, **bad}))


@pytest.mark.parametrize("bad", [{"b": "11.50"}, {"b": "nan"}, {"A": "-1"}, {"a": "10.50"}])
def test_a_crossed_or_broken_quote_is_refused(bad: dict[str, str]) -> None:
    with pytest.raises(VenueViolation, match="frame"):
        decode(wrapped("bookTicker", {**QUOTE, **bad}))


def test_a_snapshot() -> None:
    spec = venue_spec("binance-usdm")
    decoder = BinanceDecoder("binance-usdm", spec.symbols())
    body = b'{"lastUpdateId":9,"E":5,"T":4,"bids":[["1.0","2"]],"asks":[["1.5","3"]]}'
    (event,) = decoder.rest("BTCUSDT", body, AT)
    assert event == DepthUpdate(
        "binance-usdm", "BTC/USDT:USDT", True, 9, 9, -1, None, [(1.0, 2.0)], [(1.5, 3.0)],
        4_000_000, AT,
    )  # fmt: skip
    with pytest.raises(VenueViolation):
        decoder.rest("BTCUSDT", b'{"code":-1121,"msg":"Invalid symbol."}', AT)


@pytest.mark.parametrize(
    ("venue", "native", "unified"),
    [
        ("binance-spot", "BTCUSDT", "BTC/USDT"),
        ("binance-spot", "RUNEEUR", "RUNE/EUR"),
        ("binance-spot", "BLZETH", "BLZ/ETH"),
        ("binance-spot", "1000SATSFDUSD", "1000SATS/FDUSD"),
        ("binance-usdm", "BTCUSDT", "BTC/USDT:USDT"),
        ("binance-usdm", "BTCUSDC", "BTC/USDC:USDC"),
        ("binance-usdm", "BTCUSDT_261225", "BTC/USDT:USDT-261225"),
        ("binance-coinm", "BTCUSD_PERP", "BTC/USD:BTC"),
        ("binance-coinm", "ETHUSD_261225", "ETH/USD:ETH-261225"),
    ],
)
def test_symbols_both_ways(venue: str, native: str, unified: str) -> None:
    spec = venue_spec(venue)
    assert spec.unify(native) == unified
    assert spec.native(unified) == native


def test_subscriptions() -> None:
    spec = venue_spec("binance-spot")
    (message,) = spec.subscribe(["BTCUSDT", "ETHUSDT"], ["depth", "trade"], 4)
    assert json.loads(message) == {
        "method": "SUBSCRIBE",
        "params": [
            "btcusdt@depth@100ms", "btcusdt@trade", "ethusdt@depth@100ms", "ethusdt@trade",
        ],
        "id": 4,
    }  # fmt: skip
    assert spec.unsubscribe is not None
    assert '"UNSUBSCRIBE"' in spec.unsubscribe(["BTCUSDT"], ["depth"], 5)[0]
    assert spec.snapshot is not None
    assert spec.snapshot_symbol("https://x" + spec.snapshot("BTCUSDT")) == "BTCUSDT"


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_the_documented_error_only(data: bytes) -> None:
    with contextlib.suppress(VenueViolation):
        decode(data)


FRAMES = [
    json.dumps(frame, separators=(",", ":")).encode()
    for frame in (
        wrapped("depth@100ms", FUTURES), DEPTH, wrapped("bookTicker", QUOTE), QUOTE,
        wrapped("trade", TRADE), TRADE, {"result": None, "id": 3},
        {"error": {"code": 2, "msg": "Invalid request"}, "id": 4},
    )
]  # fmt: skip


@given(
    st.sampled_from(FRAMES),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255), st.integers(0, 3)), max_size=6),
)
def test_mutated_frames_raise_the_documented_error_only(
    frame: bytes, changes: list[tuple[int, int, int]]
) -> None:
    data = bytearray(frame)
    for where, value, how in changes:
        at = where % (len(data) + 1)
        if how == 0 and at < len(data):
            data[at] = value
        elif how == 1:
            data.insert(at, value)
        elif how == 2:
            del data[at : at + 1 + value % 8]
        else:
            data[at:at] = data[at : at + value]
    try:
        events = decode(bytes(data))
    except VenueViolation:
        return
    for event in events:
        if isinstance(event, DepthUpdate):
            levels = [*event.bids, *event.asks]
            assert all(0 < price <= 1e18 and 0 <= size <= 1e18 for price, size in levels)
        elif isinstance(event, QuoteTick):
            assert 0 < event.bid < event.ask
        elif isinstance(event, TradeTick):
            assert event.price > 0
            assert event.size > 0
