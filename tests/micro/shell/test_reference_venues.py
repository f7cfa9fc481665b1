"""A whole micro that trades on one venue and compares with another, and what `citadel feeds` says."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
import quick_start
import zmq
from ccxt_kit import okx
from waiting import until

from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.sockets import Endpoint
from citadel_micro.core.marketdata.order_flow import NAMES
from citadel_micro.daemon import Micro
from citadel_micro.shell.commands.feeds import table_of
from citadel_micro.shell.config.config import MicroConfig, load
from citadel_micro.shell.journal.verify import verify
from citadel_micro.shell.marketdata.feed_observer import FeedObserver, Latencies, read_updates
from citadel_micro.shell.ops.health import check
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput
from citadel_proto.messages import (
    BookSnapshot,
    ConsolidatedBook,
    ExecutionReport,
    FeedState,
    MicroHeartbeat,
    Signal,
    Trade,
    Trades,
)
from citadel_proto.packed_levels import pack_levels, unpack_levels

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from citadel_proto.messages import MarketChannel

SECOND = 1_000_000_000
SYMBOL = "BTC/USDT"
LENT = "ccxt-okx"
LOOK = ("--duration", "6s")


class Listener:
    """Hears everything, and sends signals."""

    def __init__(self) -> None:
        self.context = zmq.Context[Any]()
        self.publisher = Publisher(self.context, "tcp://127.0.0.1:0", stamp={"epoch": 1})
        self.heard: list[MarketChannel] = []
        self.reader: SubscriberFD | None = None

    def follow(self, address: str) -> None:
        inbox = Inbox(decode_market, lambda _topic, message: self.heard.append(message))
        self.reader = SubscriberFD(
            asyncio.get_running_loop(), self.context, [Endpoint(address)], [topics.ALL], inbox
        )

    def books(self, venue: str) -> list[BookSnapshot]:
        found = [m for m in self.heard if isinstance(m, BookSnapshot) and m.venue == venue]
        return [book for book in found if book.state == "LIVE"]

    def consolidated(self) -> list[ConsolidatedBook]:
        return [m for m in self.heard if isinstance(m, ConsolidatedBook)]

    def report(self, signal_id: str) -> ExecutionReport | None:
        found = [
            m for m in self.heard if isinstance(m, ExecutionReport) and m.signal_id == signal_id
        ]
        return found[-1] if found else None

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.publisher.close()
        self.context.destroy(linger=0)


def signal(signal_id: str, **changes: Any) -> Signal:  # noqa: ANN401 - fields by name
    now_ns = time.time_ns()
    values: dict[str, Any] = {
        "signal_id": signal_id,
        "strategy": "Test",
        "venue": "binance-spot",
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": "0.01",
        "algo": "marketable_limit",
        "created_ns": now_ns,
        "expires_ns": now_ns + 30 * SECOND,
        "epoch": 1,
        "seq": 0,
    }
    return Signal(**{**values, **changes})


def test_a_micro_with_a_venue_that_only_lends_its_books(shared_dir: Path, tmp_path: Path) -> None:
    async def main() -> None:
        lender = okx(shared_dir)
        lender.pause_s, lender.again = 0.002, True
        await lender.start()
        listener = Listener()
        settings = SimulatorConfig(symbols=(SYMBOL,), history_days=1, warm_minutes=1)
        async with SimulatorServer(settings) as simulator:
            config = MicroConfig(
                run_dir=tmp_path / "run",
                bridge={
                    "macros": [listener.publisher.address],
                    "command_lines": [],
                    "market": "tcp://127.0.0.1:0",
                },
                http={"port": 0},
                venues={
                    "binance-spot": {
                        "symbols": [SYMBOL],
                        "rest_url": simulator.rest_url,
                        "ws_url": simulator.ws_url,
                    }
                },
                reference={
                    LENT: {
                        "symbols": [SYMBOL],
                        "rest_url": f"http://{lender.url}",
                        "ws_url": f"ws://{lender.url}",
                    }
                },
                risk={"reference_symbols": [SYMBOL]},
                journal={"fsync": False},
            )
            micro = Micro(config)
            try:
                await micro.start()
                listener.follow(micro.market_address)
                await until(lambda: any(len(m.venues) == 2 for m in listener.consolidated()))
                both = next(m for m in listener.consolidated() if len(m.venues) == 2)
                assert [each.venue for each in both.venues] == ["binance-spot", LENT]
                assert [each.verified for each in both.venues] == [True, False]
                assert unpack_levels(both.bids)[0][0] == max(each.bid for each in both.venues)
                assert unpack_levels(both.asks)[0][0] == min(each.ask for each in both.venues)
                await until(lambda: listener.books(LENT))
                assert listener.books(LENT)[-1].reason.startswith("unverified")

                # No limit rests on a book that nobody can verify, and there is no other.
                listener.publisher.publish(signal("compared"))
                listener.publisher.publish(signal("elsewhere", venue=LENT))
                await until(lambda: listener.report("compared") and listener.report("elsewhere"))
                compared, elsewhere = listener.report("compared"), listener.report("elsewhere")
                assert compared is not None
                assert elsewhere is not None
                assert compared.reason_code == "REF_DIVERGENCE"
                assert elsewhere.reason_code == "VENUE_DISALLOWED"

                # The lender's end is no illness of ours.
                await lender.stop()
                await until(lambda: listener.consolidated()[-1].left_out)
                assert LENT in listener.consolidated()[-1].left_out
                well, body = check(micro.vitals)
                assert well, body
                assert body["feeds"][f"{LENT}:{SYMBOL}"]["state"] != "LIVE"

                # Features are published, the quick windows with numbers.
                await until(
                    lambda: (
                        not math.isnan(
                            listener.books("binance-spot")[-1].features.get("ofi_1s", math.nan)
                        )
                    )
                )
                features = listener.books("binance-spot")[-1].features
                assert tuple(features) == NAMES
                assert features["spread_bps"] > 0
                assert -1 <= features["imbalance_5"] <= 1

                said = await asyncio.to_thread(
                    feeds, micro.market_address, "--metrics", micro.http_url, "--duration", "6s"
                )
                _check_feeds(json.loads(said.stdout))
                await micro.stop("done")
                journal = micro.journal.path
            finally:
                await micro.close()
                listener.close()
        verified = verify(journal)
        assert verified.difference is None, verified

    asyncio.run(main())


def feeds(address: str, *options: str) -> subprocess.CompletedProcess[str]:
    return quick_start.run("feeds", "--market", address, "--json", *options)


def _check_feeds(summary: dict[str, Any]) -> None:
    assert summary["micro"]["state"] == "active"
    rows = {(row["venue"], row["symbol"]): row for row in summary["feeds"]}
    row = rows["binance-spot", SYMBOL]
    assert (row["state"], row["gaps"]) == ("LIVE", 0)
    assert row["books_per_s"] > 1
    assert row["updates_per_s"] > 1
    assert row["age_ms"] < 5_000
    for name in ("venue", "micro", "wire"):
        latency = row["latency_ms"][name]
        assert latency["p50"] <= latency["p90"] <= latency["p99"]
    load = row["load"]
    assert load["behind_ms"] >= 0
    assert load["handled_ms"]["p50"] <= load["handled_ms"]["p99"]
    assert row["clock"]["rtt_ms"] > 0
    assert abs(row["clock"]["offset_ms"]) < 10_000, "the simulator's clock is ours"
    together = summary["consolidated"][0]
    # One of them is over; the other is left out too while its book is older than it may be.
    assert {*together["venues"], *together["left_out"]} == {"binance-spot", LENT}
    assert LENT in together["left_out"]


def test_nobody_there_is_said() -> None:
    ended = feeds("tcp://127.0.0.1:1", "--duration", "0.5s")
    assert ended.returncode != 0
    assert "nothing received from a micro at tcp://127.0.0.1:1" in ended.stderr


# --- what is summed up --------------------------------------------------------------------------


def book(seq: int, at_ns: int, *, exchange_ns: int = 0) -> BookSnapshot:
    return BookSnapshot(
        venue="okx",
        symbol=SYMBOL,
        state="LIVE",
        exchange_ns=exchange_ns,
        recv_ns=at_ns,
        venue_seq=seq,
        bids=pack_levels([(1.0, 2.0)]),
        asks=pack_levels([(3.0, 4.0)]),
        microprice=2.0,
        imbalance=0.0,
        spread=2.0,
        signed_flow=0.0,
        flow_window_ms=1,
        published_ns=at_ns + 1_000_000,
        instance="m",
        seq=seq,
    )


def test_rates_come_from_sequences_and_latencies_from_stamps() -> None:
    observer = FeedObserver(0)
    for number in range(1, 101):
        at_ns = number * 10_000_000
        message = book(number * 3, at_ns, exchange_ns=at_ns - number * 1_000_000)
        observer.take(message, at_ns + 1_500_000)
    row = observer.summary(SECOND + 1_000_000)["feeds"][0]
    assert row["books_per_s"] == pytest.approx(297, rel=0.01)
    assert row["latency_ms"]["venue"] == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
    assert row["latency_ms"]["micro"] == {"p50": 1.0, "p90": 1.0, "p99": 1.0}
    assert row["latency_ms"]["wire"]["p99"] == 0.5
    assert (row["best"], row["age_ms"], row["trades_per_s"]) == ((1.0, 3.0), 1.0, 0.0)
    trade = Trade(price=1.0, quantity=1.0, side="buy", exchange_ns=0, trade_id="1")
    trades = Trades(venue="okx", symbol=SYMBOL, trades=(trade,) * 5, recv_ns=0, instance="m", seq=1)
    observer.take(trades, SECOND)
    assert observer.summary(SECOND)["feeds"][0]["trades_per_s"] == 5.0


def test_states_counters_and_runs() -> None:
    observer = FeedObserver(0)
    state = FeedState(
        venue="okx",
        symbol=SYMBOL,
        state="BROKEN",
        reason="no [such] symbol",
        last_seq=7,
        last_recv_ns=0,
        gaps=2,
        resyncs=1,
        instance="m",
        seq=1,
    )
    beat = MicroHeartbeat(
        instance="m", seq=1, state="active", started_ns=0, wall_ns=0, mono_ns=0, working=0
    )
    observer.take(beat, 0)
    observer.take(state, 0)
    text = (
        "# TYPE citadel_feed_updates_total counter\n"
        'citadel_feed_updates_total{{symbol="BTC/USDT",venue="okx"}} {}\n'
    )
    observer.take_counters(read_updates(text.format(10)), 0)
    observer.take_counters(read_updates(text.format(30)), 2 * SECOND)
    summary = observer.summary(2 * SECOND)
    (row,) = summary["feeds"]
    assert (row["state"], row["reason"], row["gaps"]) == ("BROKEN", "no [such] symbol", 2)
    assert (row["updates_per_s"], row["age_ms"], row["latency_ms"]["venue"]) == (10.0, None, None)
    assert table_of(summary).row_count == 1
    another = MicroHeartbeat(
        instance="n", seq=1, state="active", started_ns=0, wall_ns=0, mono_ns=0, working=0
    )
    observer.take(another, 3 * SECOND)
    assert observer.summary(3 * SECOND)["feeds"] == [], "another run of micro begins anew"
    assert Latencies().summary() is None


# --- configuration ------------------------------------------------------------------------------


def test_reference_venues_are_configured_by_table(tmp_path: Path) -> None:
    file = tmp_path / "micro.toml"
    file.write_text(
        "[reference.okx]\n"
        'symbols = ["BTC/USDT", "BTC/USDT:USDT"]\n'
        "[reference.okx.contract_sizes]\n"
        '"BTC/USDT:USDT" = 0.01\n'
    )
    okx_section = load(file).reference["okx"]
    assert okx_section.symbols == ["BTC/USDT", "BTC/USDT:USDT"]
    assert okx_section.contract_sizes == {"BTC/USDT:USDT": 0.01}
    environment = {"CITADEL_REFERENCE__KRAKEN_SPOT__SYMBOLS": "BTC/USDT"}
    assert load(environment=environment).reference["kraken-spot"].symbols == ["BTC/USDT"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[reference.binance-spot]\nsymbols = ["BTC/USDT"]\n', "both under venues and"),
        ("[reference.okx]\nsymbols = []\n", "reference.okx.symbols"),
        ("[reference.okx]\n", "reference.okx.symbols"),
        ('[reference.okx]\nsymbols = ["X/Y"]\ncontract_sizes = {"X/Y" = 0}\n', "greater than 0"),
    ],
)
def test_references_that_cannot_be_are_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "micro.toml"
    file.write_text(text)
    with pytest.raises(BadInput) as raised:
        load(file)
    assert said in str(raised.value)
