"""The connector and a FakeMicro on real loopback sockets: the ordinary days."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_bridge.errors import ClockSkew, MicroUnavailable, PortTaken
from citadel_proto import topics
from citadel_proto.codec import encode
from citadel_proto.errors import BadInput, Refused
from citadel_proto.messages import (
    Balance,
    Cancel,
    FeedState,
    MacroHeartbeat,
    MicroHeartbeat,
    RiskState,
    Signal,
    Trade,
    Trades,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bridge.conftest import FakeMicro, Pair

    from citadel_bridge.config import NewSignal

    Buy = Callable[..., NewSignal]
    MakePair = Callable[..., Pair]
    MakeMicro = Callable[..., FakeMicro]
    Until = Callable[..., None]


def test_a_signal_is_acknowledged_within_the_wait(pair: Pair, buy: Buy) -> None:
    sent = pair.connector.submit(buy(limit_price="101.5", tag="dip", params={"x": 1}))
    assert sent.report is not None
    assert sent.report.status == "working"
    (signal,) = pair.micro.of(Signal)
    assert signal.signal_id == sent.signal_id
    assert (signal.limit_price, signal.tag, signal.params) == ("101.5", "dip", {"x": 1})
    assert signal.strategy == "Sample"
    assert signal.epoch == pair.connector.epoch


def test_ids_differ_and_fit_the_child_ids_made_of_them(pair: Pair, buy: Buy) -> None:
    ids = {pair.connector.submit(buy()).signal_id for _ in range(5)}
    assert len(ids) == 5
    assert all(len(id_) <= 20 and id_.replace("-", "").isalnum() for id_ in ids)


def test_many_threads_submit_at_once(pair: Pair, buy: Buy, until: Until) -> None:
    sent: list[str] = []

    def work() -> None:
        sent.extend(pair.connector.submit(buy()).signal_id for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(pair.micro.journal.executed) == 80)
    assert sorted(pair.micro.journal.executed) == sorted(sent)
    until(lambda: all(pair.connector.report(id_) for id_ in sent))


def test_wake_is_set_by_every_new_report(pair: Pair, buy: Buy) -> None:
    sent = pair.connector.submit(buy())
    pair.connector.wake.clear()
    pair.micro.publish_report(sent.signal_id, filled="0.1")
    assert pair.connector.wake.wait(60)
    report = pair.connector.report(sent.signal_id)
    assert report is not None
    assert report.filled == "0.1"


def test_a_cancel_comes_back_terminal(pair: Pair, buy: Buy) -> None:
    sent = pair.connector.submit(buy())
    report = pair.connector.cancel(sent.signal_id, "timeout", 60)
    assert report is not None
    assert report.status == "canceled"
    (cancel,) = pair.micro.of(Cancel)
    assert (cancel.reason, cancel.venue, cancel.symbol) == ("timeout", "paper", "BTC/USDT")
    assert pair.connector.cancel(sent.signal_id) == report  # done already: nothing is sent
    assert len(pair.micro.of(Cancel)) == 1


def test_questions_are_answered(pair: Pair, buy: Buy) -> None:
    connector = pair.connector
    sent = connector.submit(buy())
    assert connector.query_order(sent.signal_id) == connector.report(sent.signal_id)
    assert connector.query_order("never-sent") is None
    assert [r.signal_id for r in connector.query_orders()] == [sent.signal_id]
    assert connector.query_limits() == {"max_order": "1"}
    assert connector.query_positions() == ()
    pair.micro.balances = (Balance(currency="USDT", free="9", used="1", total="10"),)
    assert connector.query_balances("paper")["USDT"].total == "10"
    assert connector.balances("paper")["USDT"].total == "10"


def test_a_question_that_nobody_answers_says_so(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair.micro, "_on_query", lambda _query: None)
    with pytest.raises(MicroUnavailable, match=r"did not answer \(limits query\)"):
        pair.connector.query_limits(timeout=0.2)
    assert not pair.connector.questions._waiting


def test_balances_are_never_older_than_the_fills_reported(
    pair: Pair, buy: Buy, until: Until
) -> None:
    connector, micro = pair.connector, pair.micro
    first, second = connector.submit(buy()), connector.submit(buy())

    def usdt(total: str) -> tuple[Balance, ...]:
        return (Balance(currency="USDT", free=total, used="0", total=total),)

    old = micro.report(first.signal_id, balances=usdt("90"))
    micro.publish_report(second.signal_id, balances=usdt("80"), filled="0.5")
    until(lambda: "USDT" in connector.balances("paper"))
    micro.publisher.publish(old)  # an older fact of another order, late
    until(lambda: connector.report(first.signal_id) == msgspec.structs.replace(old, seq=4))
    assert connector.balances("paper")["USDT"].total == "80"


def test_books_trades_risk_and_feeds_are_there_to_read(pair: Pair, until: Until) -> None:
    connector, publish = pair.connector, pair.micro.publisher.publish
    assert connector.book("paper", "BTC/USDT") is None
    publish(pair.micro.book(price=100.0))
    publish(pair.micro.book("ETH/USDT", price=10.0))
    trade = Trade(price=1.0, quantity=2.0, side="buy", exchange_ns=1, trade_id="1")
    publish(
        Trades(venue="paper", symbol="BTC/USDT", trades=(trade,), recv_ns=1, instance="", seq=0)
    )
    publish(RiskState(scope="global", state="HALTED", instance="", seq=0))
    publish(
        FeedState(
            venue="paper",
            symbol="BTC/USDT",
            state="LIVE",
            reason="",
            last_seq=1,
            last_recv_ns=1,
            gaps=0,
            resyncs=0,
            instance="",
            seq=0,
        )
    )
    until(connector.feeds)
    until(lambda: connector.book("paper", "ETH/USDT"))
    book = connector.book("paper", "BTC/USDT")
    assert book is not None
    assert book.fresh(10**10)
    np.testing.assert_array_equal(book.bids, [[99.0, 1.0], [98.0, 2.0]])
    assert connector.trades("paper", "BTC/USDT") == (trade,)
    assert connector.risk()["global"].state == "HALTED"
    assert connector.feeds()["paper", "BTC/USDT"].state == "LIVE"


def test_heartbeats_cross(pair: Pair, until: Until) -> None:
    until(lambda: any(b.micro_instance_seen == "micro-1" for b in pair.micro.of(MacroHeartbeat)))
    beat = pair.micro.of(MacroHeartbeat)[-1]
    assert beat.instance == pair.connector.instance
    assert (beat.state, beat.strategy) == ("running", "Sample")
    assert beat.micro_seq_seen > 0
    assert pair.connector.micro_alive()
    assert pair.connector.micro_state() == "active"
    assert abs(pair.connector.skew_ns) < 100_000_000


def test_closing_says_goodbye_and_frees_the_address(pair: Pair, until: Until) -> None:
    connector = pair.connector
    address = connector.address
    until(
        lambda: pair.micro.of(MacroHeartbeat)
    )  # who does not hear it yet will miss its goodbye too
    connector.close()
    connector.close()
    until(lambda: pair.micro.of(MacroHeartbeat)[-1].state == "stopping")
    with pytest.raises(MicroUnavailable, match="closed"):
        connector.query_limits()
    again = HybridConnector(
        ConnectorConfig(signals=address, market=(pair.micro.address,), state_path=None)
    )
    again.close()


def test_one_micros_wrong_clock_stops_no_orders_to_another(
    pair: Pair, buy: Buy, until: Until
) -> None:
    """Each micro judges the clock of who sends to it; a second one may be on a machine that is off."""
    now = time.monotonic_ns()
    beat = MicroHeartbeat(
        instance="other", seq=1, state="active", started_ns=1, wall_ns=1, mono_ns=now
    )
    pair.micro.publisher.send_raw(topics.join(topics.HEARTBEAT, encode(beat)))
    connector = pair.connector
    until(lambda: len(connector.peers()) == 2)
    assert abs(connector.skew_of("other")) > 10**18
    assert abs(connector.skew_of("micro-1")) < 100_000_000
    assert connector.skew_of("nobody") == 0
    assert connector.submit(buy()).report is not None


# --- micro is not there -------------------------------------------------------------------------


def test_without_micro_nothing_is_sent(
    tmp_path: Path, buy: Buy, free_port: Callable[[], int]
) -> None:
    config = ConnectorConfig(
        signals="tcp://127.0.0.1:0",
        market=(f"tcp://127.0.0.1:{free_port()}",),
        state_path=tmp_path / "i.sqlite",
        ready_timeout=0.2,
    )
    connector = HybridConnector(config)
    connector.start()
    try:
        with pytest.raises(MicroUnavailable, match="no heartbeat"):
            connector.submit(buy())
        with pytest.raises(MicroUnavailable):
            connector.query_order("x")
        assert connector.intents.pending() == []
        assert connector.micro_state() == "absent"
        assert connector.micro() is None
    finally:
        connector.close()


def test_a_micro_that_has_died_is_noticed_before_sending(
    make_pair: MakePair, buy: Buy, until: Until
) -> None:
    pair = make_pair(dead_after=0.3)
    pair.micro.close()
    until(lambda: not pair.connector.micro_alive())
    with pytest.raises(MicroUnavailable):
        pair.connector.submit(buy())
    assert pair.connector.intents.unfinished() == []


def test_macro_may_start_long_before_micro(
    tmp_path: Path, make_micro: MakeMicro, buy: Buy, free_port: Callable[[], int]
) -> None:
    market = f"tcp://127.0.0.1:{free_port()}"
    connector = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0",
            market=(market,),
            state_path=tmp_path / "i.sqlite",
            ready_timeout=0.1,
            ack_timeout=20.0,
        )
    )
    connector.start()
    try:
        assert not connector.wait_ready(0.3)
        micro = make_micro(market).follow(connector.address)
        assert connector.wait_ready(60)
        assert connector.submit(buy()).signal_id in micro.journal.executed
    finally:
        connector.close()


def test_another_schema_is_refused_by_number(make_pair: MakePair, buy: Buy) -> None:
    pair = make_pair(micro={"schema": 2}, ready=False)
    assert pair.connector.wait_ready(60)
    with pytest.raises(MicroUnavailable, match="schema 2"):
        pair.connector.submit(buy())
    assert not pair.connector.micro_alive()


@pytest.mark.parametrize("offset_s", [1.5, -1.5])
def test_clocks_far_apart_refuse_new_risk_only(
    make_pair: MakePair, buy: Buy, offset_s: float
) -> None:
    pair = make_pair(micro={"wall_offset_ns": int(offset_s * 1e9)})
    with pytest.raises(ClockSkew, match="clock"):
        pair.connector.submit(buy())
    assert pair.connector.submit(buy(reduce_only=True)).report is not None


def test_clocks_somewhat_apart_warn(
    make_pair: MakePair, buy: Buy, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    pair = make_pair(micro={"wall_offset_ns": 500_000_000})
    assert pair.connector.submit(buy()).report is not None
    until(lambda: any("clock" in record.message for record in caplog.records))


# --- one per process ----------------------------------------------------------------------------


def test_a_reload_gets_the_running_connector(make_micro: MakeMicro, buy: Buy) -> None:
    micro = make_micro()

    def config(**changes: object) -> ConnectorConfig:
        values = {
            "signals": "tcp://127.0.0.1:0",
            "market": (micro.address,),
            "ack_timeout": 20.0,
        } | changes
        return ConnectorConfig(**values)  # type: ignore[arg-type]

    first = HybridConnector.get(config())
    try:
        micro.follow(first.address)
        assert HybridConnector.get(config()) is first
        with pytest.raises(BadInput, match=r"other settings \(ack_timeout\)"):
            HybridConnector.get(config(ack_timeout=0.5))
        assert first.submit(buy()).report is not None
    finally:
        first.close()
    second = HybridConnector.get(config())
    try:
        assert second is not first
    finally:
        second.close()


def test_a_taken_port_says_so_and_leaves_nothing_open(pair: Pair, tmp_path: Path) -> None:
    config = ConnectorConfig(
        signals=pair.connector.address,
        market=(pair.micro.address,),
        state_path=tmp_path / "other.sqlite",
    )
    for _ in range(2):  # a second time: the intent log was released by the first
        with pytest.raises(PortTaken, match="in use"):
            HybridConnector(config)


def test_plaintext_beyond_this_machine_is_refused_with_the_command() -> None:
    with pytest.raises(Refused, match="citadel keys make"):
        ConnectorConfig(signals="tcp://0.0.0.0:5555")
    with pytest.raises(Refused, match="citadel keys make"):
        ConnectorConfig(market=("tcp://micro:5556",))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "nan"},
        {"quantity": "0"},
        {"quantity": "-1"},
        {"quantity": "1e-5x"},
        {"limit_price": "inf"},
        {"stop_price": "0"},
        {"kind": "stop"},
        {"leverage": ""},
        {"ttl": 0},
        {"ttl": float("nan")},
        {"confidence": float("nan")},
        {"confidence": 1.1},
        {"params": {"urgency": float("inf")}},
        {"signal_id": "has blanks"},
        {"signal_id": "x" * 33},
        {"side": "hold"},
    ],
)
def test_what_micro_could_only_reject_is_bad_input(buy: Buy, changes: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        buy(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"market": ()},
        {"ack_timeout": 0},
        {"heartbeat": float("nan")},
        {"dead_after": 0.5},
        {"signals": "tcp://127.0.0.1"},
        {"signals": "nonsense"},
        {"market": ("tcp://127.0.0.1:notaport",)},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, object]) -> None:
    values = {"signals": "tcp://127.0.0.1:0", "market": ("tcp://127.0.0.1:1",)} | changes
    with pytest.raises((BadInput, Refused)):
        HybridConnector(ConnectorConfig(**values))  # type: ignore[arg-type]


def test_an_order_of_micros_own_is_seen(pair: Pair, buy: Buy, until: Until) -> None:
    sent = pair.connector.submit(buy())
    own = msgspec.structs.replace(
        pair.micro.journal.orders[sent.signal_id], signal_id="flatten-1", own=True, strategy="risk"
    )
    pair.micro.publisher.publish(own)
    until(lambda: pair.connector.report("flatten-1"))
    assert {r.signal_id for r in pair.connector.reports()} == {sent.signal_id, "flatten-1"}


def test_two_micros_under_one_macro(
    make_micro: MakeMicro, buy: Buy, until: Until, tmp_path: Path
) -> None:
    first, second = make_micro(instance="micro-a"), make_micro(instance="micro-b")
    second.hears_signals = False
    connector = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0",
            market=(first.address, second.address),
            state_path=tmp_path / "i.sqlite",
            ack_timeout=20.0,
            dead_after=20.0,
            audit=0.05,
        )
    )
    connector.start()
    try:
        first.follow(connector.address)
        second.follow(connector.address)
        until(lambda: len(connector.peers()) == 2)
        sent = connector.submit(buy())
        assert sent.report is not None
        # One of them denies the order again and again; that concludes nothing.
        time.sleep(0.3)
        report = connector.report(sent.signal_id)
        assert report is not None
        assert report.status == "working"
    finally:
        connector.close()
