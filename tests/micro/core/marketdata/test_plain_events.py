"""What compiled code does of a market's plain events is what the methods in Python do."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from effort import examples
from market_twins import (
    PythonBook,
    PythonFeatures,
    Twins,
    damaged,
    random_events,
    state_of,
    twins,
)

from citadel_micro.core.engine import engine
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.marketdata import (
    kernel,
    order_flow,
    rolling_sums,
    snapshot_buffer,
    trade_news,
)
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import FlowFeatures
from citadel_micro.core.marketdata.plain_events import OTHER
from citadel_micro.core.marketdata.snapshot_buffer import crosses
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import DepthUpdate, FeedStatus
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.capture.frames import read_capture
from citadel_micro.shell.instruments.capture import infer_instruments
from citadel_micro.shell.marketdata.decode import Control
from citadel_micro.shell.marketdata.levels import pairs
from citadel_micro.shell.marketdata.spec import venue_spec

pytestmark = pytest.mark.skipif(not kernel.COMPILED, reason="the compiled kernel is not in use")

CAPTURES = {
    "binance-spot-btcusdt-20240808": "binance-spot",
    "binance-usdm-btcusdt-20240808": "binance-usdm",
    "bitget-spot-v1-2022": "bitget-v1",
    "bybit-v5-linear.transcoded": "bybit-linear",
    "coinbase-advanced.transcoded": "coinbase-advanced",
    "coinbase-exchange-2021": "coinbase-exchange",
    "kraken-futures-2021": "kraken-futures",
    "kraken-v2.transcoded": "kraken-spot",
    "okx-2026-checksum.transcoded": "okx",
    "okx-2026-checksum0.transcoded": "okx",
}


def events_of(shared: Path, capture: str, most: int) -> list[Any]:  # market events
    """The events of a recording's first frames, a snapshot by HTTP among them."""
    spec = venue_spec(CAPTURES[capture])
    symbols = spec.symbols()
    decoder = spec.decoder(symbols)
    events: list[Any] = []
    for _, record in read_capture(shared / "captures" / f"{capture}.jsonl.gz"):
        if record.kind != "frame":
            continue
        data = record.text.encode()
        if data.startswith(b'{"lastUpdateId"'):
            native = capture.split("-")[2].upper()
            found = decoder.rest(native, data, record.recv_ns)
        else:
            found = decoder.frame(data, record.recv_ns)
        events += [event for event in found if not isinstance(event, Control)]
        if len(events) >= most:
            break
    return events


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_recording_leaves_both_in_the_same_state(capture: str, shared_dir: Path) -> None:
    known: dict[str, Twins] = {}
    for number, event in enumerate(events_of(shared_dir, capture, examples(1_000, 10**9))):
        symbol = event.symbol
        both = known.setdefault(symbol, twins_of(capture, symbol))
        both.take(event)
        if number % 197 == 0:
            both.compare()
    assert {both.quick.state for both in known.values()} >= {"LIVE"}
    for both in known.values():
        both.compare()


@pytest.mark.parametrize("capture", CAPTURES)
def test_damaged_events_leave_both_in_the_same_state(capture: str, shared_dir: Path) -> None:
    events = events_of(shared_dir, capture, 3_000)
    begin = next(
        number for number, each in enumerate(events) if isinstance(each, DepthUpdate) and each.snapshot
    )  # fmt: skip
    rng = random.Random(11)
    for _ in range(examples(8, 600)):
        known: dict[str, Twins] = {}
        first = max(0, begin - rng.randint(0, 40))
        for number, event in enumerate(damaged(events[first : first + 400], rng)):
            symbol = event.symbol
            both = known.setdefault(symbol, twins_of(capture, symbol))
            both.take(event)
            if number % 41 == 0 or rng.random() < 0.02:
                both.compare()
                now_ns = getattr(event, "recv_ns", 0) + rng.choice((0, 10**9, 10**11))
                limits = (now_ns, 5 * 10**9)
                assert both.quick.check_age(*limits) is both.plain.check_age(*limits)
        for both in known.values():
            both.compare()


def twins_of(capture: str, symbol: str) -> Twins:
    venue = CAPTURES[capture]
    return twins(venue, symbol, venue_spec(venue).integrity)


@pytest.mark.parametrize(
    "integrity",
    [
        "range_bridge_spot",
        "range_bridge_futures",
        "chain",
        "contiguous",
        "conn_seq",
        "snapshot_only",
        "unnumbered",
        "unnumbered+crc:kraken:10+depth:10,25",
        "chain+crc:colon:25",
    ],
)
def test_random_events_leave_both_in_the_same_state(integrity: str) -> None:
    rng = random.Random(5)
    for _ in range(examples(10, 1_000)):
        both = twins("v", "s", integrity)
        for number, event in enumerate(damaged(random_events(rng, 200, integrity), rng)):
            both.take(event)
            if number % 23 == 0:
                both.compare()
        both.compare()


def test_the_compiled_kernel_is_asked_first() -> None:
    assert kernel.LIVE is not None
    assert MarketBook.on_depth is kernel.LIVE.on_depth
    assert FlowFeatures.on_book is kernel.LIVE.on_book


def in_other_texts(event: Any) -> Any:  # noqa: ANN401 - any event
    """The same market, in texts that may lie where those of an event before have lain."""
    if isinstance(event, FeedStatus):
        return event
    return event._replace(venue="".join(event.venue), symbol="".join(event.symbol))


@pytest.mark.parametrize(
    "capture",
    [
        "binance-usdm-btcusdt-20240808",
        "coinbase-advanced.transcoded",
        "okx-2026-checksum.transcoded",
    ],
)
def test_an_engine_gives_the_same_commands(
    capture: str, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = CAPTURES[capture]
    events = events_of(shared_dir, capture, examples(1_200, 10**9))
    rules = infer_instruments(
        shared_dir / "captures" / f"{capture}.jsonl.gz", venue, {event.symbol for event in events}
    )  # fmt: skip
    config = EngineConfig(
        run_id="twins",
        instance="twins",
        venues={venue: VenueConfig(integrity=venue_spec(venue).integrity)},
        limits=paper_defaults(),
    )
    quick = Engine(config, rules)
    monkeypatch.setattr(engine, "MarketBook", PythonBook)
    monkeypatch.setattr(engine, "FlowFeatures", PythonFeatures)
    monkeypatch.setattr(engine, "market_events", lambda _states: lambda _event: OTHER)
    plain = Engine(config, rules)
    rng = random.Random(3)
    commands = 0
    for each in damaged(events, rng):
        event = each if rng.random() < 0.9 else in_other_texts(each)
        now_ns = event.recv_ns if not isinstance(event, FeedStatus) else 0
        found = quick.handle(event, now_ns)
        assert repr(plain.handle(event, now_ns)) == repr(found), event
        commands += len(found)
    assert commands
    for key, inst in quick.inst_states.items():
        other = plain.inst_states[key]
        assert state_of(inst.market) == state_of(other.market)
        assert state_of(inst.features) == state_of(other.features)
        assert inst.dirty is other.dirty


def test_compiled_code_has_the_limits_of_python() -> None:
    source = Path(kernel.__file__).with_name("_live.pxi").read_text("utf-8")
    limits = re.findall(r"^cdef (?:int64_t|Py_ssize_t) ([A-Z_]+) = ([0-9]+)$", source, re.MULTILINE)
    assert {name: int(value) for name, value in limits} == {
        "QUOTE_NS": snapshot_buffer.QUOTE_NS,
        "LATE_NS": trade_news.LATE_NS,
        "STAMP_NS": snapshot_buffer.STAMP_NS,
        "CELL_NS": rolling_sums.CELL_NS,
        "GRID_NS": order_flow.GRID_NS,
        "MOST_TRADES": trade_news.REMEMBERED,
    }


def test_a_crossed_snapshot_is_seen_in_either_form() -> None:
    rng = random.Random(2)
    for _ in range(300):
        bids, asks = (
            [(rng.randint(1, 12) / 4, rng.choice((0.0, 1.0))) for _ in range(rng.randint(0, 3))]
            for _ in range(2)
        )
        crossed = bool(bids and asks) and max(bids)[0] >= min(asks)[0]
        read = [pairs(msgspec.Raw(msgspec.json.encode(side))) for side in (bids, asks)]
        assert crosses(bids, asks) is crossed
        assert crosses(*read) is crossed
        assert crosses(bids, read[1]) is crossed
