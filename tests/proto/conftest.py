"""One full sample of every message, every field away from its default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from citadel_proto.feed_parts import VenueQuote
from citadel_proto.messages import (
    Answer,
    Balance,
    BookSnapshot,
    Cancel,
    ConsolidatedBook,
    ExecutionReport,
    FeedState,
    Fill,
    MacroHeartbeat,
    MarketChannel,
    MicroHeartbeat,
    Position,
    Query,
    RiskState,
    Signal,
    SignalChannel,
    Trade,
    Trades,
)
from citadel_proto.packed_levels import pack_levels

if TYPE_CHECKING:
    from collections.abc import Mapping

NS: Final = 1_700_000_000_123_456_789

REPORT: Final = ExecutionReport(
    signal_id="m1-1",
    revision=3,
    venue="binance-spot",
    symbol="BTC/USDT",
    side="buy",
    kind="stop",
    order_type="market",
    status="working",
    quantity="0.50000000",
    filled="0.1",
    average="43210.12345678",
    limit_price="43300",
    stop_price="43200",
    triggered=True,
    reason_code="MAX_POSITION",
    reason="reduced to what the limit allows",
    permitted="0.25",
    fills=(
        Fill(
            trade_id="t-9",
            child_id="m1-1-2",
            price="43210.1",
            quantity="0.1",
            fee="0.0001",
            fee_currency="BTC",
            liquidity="maker",
            ts_ns=NS,
        ),
    ),
    balances=(Balance(currency="BTC", free="0.0999", used="0", total="0.0999"),),
    position=Position(
        venue="binance-spot",
        symbol="BTC/USDT",
        quantity="0.0999",
        entry_price="43210.1",
        realised="-1.5",
        unrealised="0.25",
        leverage="3",
        liquidation_price="21000",
    ),
    strategy="Sample",
    tag="dip",
    algo="chase_limit",
    arrival_mid=43209.5,
    reprices=2,
    own=True,
    created_ns=NS,
    updated_ns=NS + 5,
    instance="micro-1",
    seq=7,
)

SAMPLES: Final[Mapping[str, SignalChannel | MarketChannel]] = {
    "Signal": Signal(
        signal_id="m1-1",
        strategy="Sample",
        venue="binance-spot",
        symbol="BTC/USDT",
        side="sell",
        quantity="0.5",
        kind="stop",
        order_type="market",
        limit_price="43300",
        stop_price="43200.5",
        time_in_force="IOC",
        reduce_only=True,
        leverage="2",
        algo="chase_limit",
        params={"improve": True, "interval_ms": 250, "urgency": 0.75, "mode": "passive"},
        confidence=0.625,
        model_id="lgbm-7",
        tag="dip",
        candle_ns=NS - 1,
        created_ns=NS,
        expires_ns=NS + 10**10,
        epoch=NS - 10**12,
        seq=3,
    ),
    "Cancel": Cancel(
        signal_id="m1-1",
        reason="unfilled timeout",
        created_ns=NS,
        epoch=NS - 10**12,
        seq=4,
        venue="binance-spot",
        symbol="BTC/USDT",
    ),
    "Query": Query(
        query_id="q-1",
        kind="orders",
        reply_to="macro-a",
        signal_id="m1-1",
        venue="binance-spot",
        symbol="BTC/USDT",
        since_ns=NS - 7,
        created_ns=NS,
        epoch=NS - 10**12,
        seq=5,
    ),
    "MacroHeartbeat": MacroHeartbeat(
        instance="macro-a",
        epoch=NS - 10**12,
        seq=6,
        state="running",
        wall_ns=NS,
        mono_ns=123,
        micro_instance_seen="micro-1",
        micro_seq_seen=9,
        schema=1,
        strategy="Sample",
    ),
    "BookSnapshot": BookSnapshot(
        venue="binance-spot",
        symbol="BTC/USDT",
        state="STALE",
        reason="no update for 3 s",
        exchange_ns=NS - 2,
        recv_ns=NS - 1,
        venue_seq=987654321,
        bids=pack_levels([(43210.1, 0.5), (43210.0, 1.25)]),
        asks=pack_levels([(43210.2, 2.0)]),
        microprice=43210.12,
        imbalance=-0.0667,
        spread=0.1,
        signed_flow=-3.5,
        flow_window_ms=1000,
        published_ns=NS,
        instance="micro-1",
        seq=8,
        features={"ofi": 0.25},
    ),
    "Trades": Trades(
        venue="binance-spot",
        symbol="BTC/USDT",
        trades=(
            Trade(price=43210.1, quantity=0.01, side="buy", exchange_ns=NS - 2, trade_id="11"),
            Trade(price=43210.0, quantity=0.02, side="sell", exchange_ns=NS - 1, trade_id="12"),
        ),
        recv_ns=NS,
        instance="micro-1",
        seq=9,
    ),
    "ExecutionReport": REPORT,
    "Answer": Answer(
        query_id="q-1",
        kind="orders",
        found=True,
        reports=(REPORT,),
        balances=(Balance(currency="USDT", free="10", used="2.5", total="12.5"),),
        positions=(
            Position(
                venue="binance-usdm",
                symbol="BTC/USDT:USDT",
                quantity="-1",
                entry_price="43000",
                realised="0",
                unrealised="-12",
            ),
        ),
        limits={"max_order_notional": "1000"},
        error="partly",
        instance="micro-1",
        seq=10,
        answered_ns=NS,
    ),
    "RiskState": RiskState(
        scope="symbol:binance-spot:BTC/USDT",
        state="HALTED",
        trip_id="trip-4",
        code="DAILY_LOSS",
        reason="lost 105 of 100",
        manual_reset=True,
        since_ns=NS,
        instance="micro-1",
        seq=11,
    ),
    "FeedState": FeedState(
        venue="binance-spot",
        symbol="BTC/USDT",
        state="SYNCING",
        reason="gap",
        last_seq=987654321,
        last_recv_ns=NS,
        gaps=2,
        resyncs=3,
        instance="micro-1",
        seq=12,
    ),
    "MicroHeartbeat": MicroHeartbeat(
        instance="micro-1",
        seq=13,
        state="reducing",
        started_ns=NS - 10**12,
        wall_ns=NS,
        mono_ns=456,
        macro_instance_seen="macro-a",
        macro_seq_seen=6,
        working=2,
        schema=1,
        mode="live",
        macros_seen=(("macro-a", 6), ("cli-b", 1)),
    ),
    "ConsolidatedBook": ConsolidatedBook(
        symbol="BTC/USDT",
        bids=pack_levels([(43210.1, 1.5), (43210.0, 2.25)]),
        asks=pack_levels([(43210.5, 0.75)]),
        venues=(
            VenueQuote(
                venue="binance-spot",
                bid=43210.1,
                bid_size=1.5,
                ask=43210.6,
                ask_size=0.5,
                age_ns=12_000_000,
                verified=True,
            ),
            VenueQuote(
                venue="ccxt-bitmart",
                bid=43210.0,
                bid_size=2.25,
                ask=43210.5,
                ask_size=0.75,
                age_ns=250_000_000,
                verified=False,
            ),
        ),
        left_out={"okx": "SYNCING: gap"},
        published_ns=NS,
        instance="micro-1",
        seq=14,
    ),
}

_POSITION: Final = Position(
    venue="binance-usdm",
    symbol="BTC/USDT:USDT",
    quantity="-0.25",
    entry_price="43210.1",
    realised="-1.5",
    unrealised="0",
    leverage="3",
    liquidation_price="61000",
)
_OWNER: Final = "k3j2n5m7p9q1r4s6t8v0w2x4"
_GROWN: Final[Mapping[str, Mapping[str, Any]]] = {
    "Signal+owner": {"owner": _OWNER},
    "Cancel+owner": {"owner": _OWNER},
    "Query+owner": {
        "owner": _OWNER,
        "mine": True,
        "working": True,
        "cursor": "1f-a",
        "limit": 200,
    },
    "MacroHeartbeat+owner": {"owner": _OWNER},
    "MacroHeartbeat+pairs": {"pairs": (("binance-spot", "BTC/USDT"), ("okx-spot", "ETH/USDT"))},
    "ExecutionReport+owner": {"owner": _OWNER},
    "ExecutionReport+valued": {"position": msgspec.structs.replace(_POSITION, valued=False)},
    "Answer+cursor": {"truncated": True, "cursor": "1f-b"},
    "MicroHeartbeat+refused": {"macros_refused": (("macro-c", "its owner is heard"),)},
    "MicroHeartbeat+clock": {"clock_drift_ns": -3_000_000_000},
    "MicroHeartbeat+reports": {"reports": 70_000},
}
"""Fields that were appended later, by message and what came with them."""
GROWN: Final[Mapping[str, SignalChannel | MarketChannel]] = {
    name: msgspec.structs.replace(SAMPLES[name.partition("+")[0]], **fields)
    for name, fields in _GROWN.items()
}


@pytest.fixture(scope="session")
def grown() -> Mapping[str, SignalChannel | MarketChannel]:
    """Messages with the fields that were appended later, by ``<message>+<what>``."""
    return GROWN


@pytest.fixture(scope="session")
def samples() -> Mapping[str, SignalChannel | MarketChannel]:
    """Every message by name."""
    return SAMPLES
