"""Loss, repetition, restarts and crashes: nothing is lost, nothing is executed twice."""

from __future__ import annotations

import signal as signals
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_bridge.intents import IntentLog
from citadel_bridge.retransmitter import NEVER_RECEIVED, WITHDRAWN
from citadel_bridge.sockets import MAX_MESSAGE
from citadel_proto import codec, topics
from citadel_proto.codec import MAX_FRAME, encode
from citadel_proto.messages import Answer, Cancel, ExecutionReport, RiskState, Signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bridge.conftest import FakeMicro, Pair

    from citadel_bridge.config import NewSignal

    Buy = Callable[..., NewSignal]
    MakePair = Callable[..., Pair]
    MakeMicro = Callable[..., FakeMicro]
    Until = Callable[..., None]


# --- signals ------------------------------------------------------------------------------------


def test_a_lost_signal_is_published_until_it_is_acknowledged(
    pair: Pair, buy: Buy, until: Until
) -> None:
    pair.micro.hears_signals = False
    sent = pair.connector.submit(buy())
    assert sent.report is None  # open, not failed
    assert [i.signal.signal_id for i in pair.connector.intents.pending()] == [sent.signal_id]
    pair.micro.hears_signals = True
    until(lambda: pair.connector.report(sent.signal_id))
    assert pair.micro.journal.executed == [sent.signal_id]
    until(lambda: not pair.connector.intents.pending())


def test_a_lost_acknowledgement_repeats_the_signal_and_not_its_effect(
    pair: Pair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = pair.micro.publisher.publish
    monkeypatch.setattr(pair.micro.publisher, "publish", lambda *_: 0)
    sent = pair.connector.submit(buy())
    until(lambda: len(pair.micro.of(Signal)) > 2)
    monkeypatch.setattr(pair.micro.publisher, "publish", publish)
    until(lambda: pair.connector.report(sent.signal_id))
    assert pair.micro.journal.executed == [sent.signal_id]
    # Every copy says the same but for its place in the sequence.
    copies = [msgspec.structs.replace(s, seq=0) for s in pair.micro.of(Signal)]
    assert copies == [copies[0]] * len(copies)


def test_publishing_ends_with_the_acknowledgement(pair: Pair, buy: Buy, until: Until) -> None:
    pair.connector.submit(buy())
    until(lambda: not len(pair.connector.outbox))
    time.sleep(0.2)
    assert len(pair.micro.of(Signal)) == 1


def test_the_pause_between_copies_grows(make_pair: MakePair, buy: Buy) -> None:
    pair = make_pair(resend_first=0.01, resend_max=0.16)
    pair.micro.acknowledge = False
    pair.connector.submit(buy())
    time.sleep(0.5)
    # 0, 10, 30, 70, 150, 310, 470 ms: a fixed pause of 10 ms would make fifty.
    assert 3 <= len(pair.micro.of(Signal)) <= 9


def test_a_signal_that_nobody_received_expires_by_both_sides_word(
    make_pair: MakePair, buy: Buy, until: Until
) -> None:
    pair = make_pair(skew_refuse=0.3, audit=0.1)
    pair.micro.hears_signals = False
    sent = pair.connector.submit(buy(ttl=0.3))
    until(lambda: pair.connector.report(sent.signal_id))
    report = pair.connector.report(sent.signal_id)
    assert report is not None
    assert (report.status, report.reason_code) == ("expired", NEVER_RECEIVED)
    assert report.filled == "0"
    until(lambda: not pair.connector.intents.unfinished())
    assert pair.micro.journal.executed == []


def test_a_signal_cancelled_before_it_arrived_never_acts(
    make_pair: MakePair, buy: Buy, until: Until
) -> None:
    pair = make_pair()
    pair.micro.hears_signals = False
    sent = pair.connector.submit(buy())
    report = pair.connector.cancel(sent.signal_id, wait=5)
    assert report is not None
    assert (report.status, report.reason_code) == ("canceled", WITHDRAWN)
    pair.micro.hears_signals = True
    time.sleep(0.3)
    assert pair.micro.journal.executed == []
    until(lambda: not pair.connector.intents.unfinished())


def test_a_cancel_of_a_signal_that_did_arrive_concludes_nothing_on_its_own(
    pair: Pair, buy: Buy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal arrived and its report was lost: only micro may say that it is cancelled."""
    publish = pair.micro.publisher.publish
    monkeypatch.setattr(pair.micro.publisher, "publish", lambda *_: 0)
    sent = pair.connector.submit(buy())
    assert sent.report is None
    monkeypatch.setattr(pair.micro.publisher, "publish", publish)
    report = pair.connector.cancel(sent.signal_id, wait=5)
    assert report is not None
    assert report.status == "canceled"
    assert report.reason_code != WITHDRAWN
    assert pair.micro.journal.executed == [sent.signal_id]


def test_a_lost_cancel_is_published_again(
    pair: Pair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = pair.connector.submit(buy())
    orders = dict(pair.micro.journal.orders)
    pair.micro.journal.orders.clear()  # a FakeMicro that does not know the order ignores cancels
    monkeypatch.setattr(pair.micro, "_on_query", lambda _query: None)
    unconfirmed = pair.connector.cancel(sent.signal_id, wait=0.05)
    assert unconfirmed is not None
    assert unconfirmed.status == "working"
    pair.micro.journal.orders.update(orders)
    until(lambda: pair.connector.report(sent.signal_id).status == "canceled")  # type: ignore[union-attr]
    assert len(pair.micro.of(Cancel)) > 1


# --- reports ------------------------------------------------------------------------------------


def test_reports_out_of_order_and_repeated_are_harmless(pair: Pair, buy: Buy, until: Until) -> None:
    sent = pair.connector.submit(buy())
    reports = [pair.micro.report(sent.signal_id, filled=f"0.{n}") for n in range(1, 5)]
    for index in (2, 0, 3, 3, 1, 2):
        pair.micro.publisher.publish(reports[index])
    until(lambda: pair.connector.mirror.stale_reports >= 3)
    report = pair.connector.report(sent.signal_id)
    assert report is not None
    assert (report.revision, report.filled) == (5, "0.4")


def test_a_gap_in_the_reports_asks_for_all_orders(pair: Pair, buy: Buy, until: Until) -> None:
    first, second = pair.connector.submit(buy()), pair.connector.submit(buy())
    before = pair.connector._keeper.resyncs
    lost = pair.micro.report(first.signal_id, filled="0.2")
    pair.micro.publisher._seq[topics.topic_of(lost)] += 1  # published, and lost on the way
    pair.micro.publish_report(second.signal_id, filled="0.1")
    until(lambda: pair.connector.report(first.signal_id).filled == "0.2")  # type: ignore[union-attr]
    assert pair.connector.mirror.sequences.gaps == 1
    assert pair.connector._keeper.resyncs > before


def test_the_last_report_lost_is_found_by_asking(pair: Pair, buy: Buy, until: Until) -> None:
    """No later message shows the gap: the order is asked about because it went quiet."""
    sent = pair.connector.submit(buy())
    pair.micro.report(sent.signal_id, status="filled", filled="0.5")  # never published
    until(lambda: pair.connector.report(sent.signal_id).status == "filled")  # type: ignore[union-attr]
    until(lambda: not pair.connector.intents.unfinished())


# --- restarts -----------------------------------------------------------------------------------


def test_a_restart_of_micro_is_taken_up(pair: Pair, buy: Buy, until: Until) -> None:
    connector = pair.connector
    before = connector.submit(buy())
    pair.micro.report(before.signal_id, filled="0.3")  # happens while nobody listens
    pair.restart_micro("micro-2")
    until(lambda: connector.report(before.signal_id).filled == "0.3")  # type: ignore[union-attr]
    after = connector.submit(buy())
    until(lambda: connector.report(after.signal_id))
    assert pair.micro.journal.executed == [before.signal_id, after.signal_id]


def test_a_signal_sent_into_a_restart_arrives_once(pair: Pair, buy: Buy, until: Until) -> None:
    connector = pair.connector
    pair.micro.close()  # killed; its last heartbeat is still fresh
    sent = connector.submit(buy())
    assert sent.report is None
    pair.restart_micro("micro-2")
    until(lambda: connector.report(sent.signal_id))
    assert pair.micro.journal.executed == [sent.signal_id]


def test_a_restart_of_macro_publishes_what_was_not_acknowledged(
    make_micro: MakeMicro, tmp_path: Path, buy: Buy, until: Until
) -> None:
    micro = make_micro(acknowledge=False)
    config = ConnectorConfig(
        signals="tcp://127.0.0.1:0", market=(micro.address,), state_path=tmp_path / "i.sqlite"
    )
    first = HybridConnector(config)
    first.start()
    address = first.address
    micro.follow(address)
    assert first.wait_ready(10)
    kept, short = first.submit(buy()), first.submit(buy(ttl=0.4))
    first.close()
    time.sleep(0.3)
    micro.received.clear()
    micro.acknowledge = True
    second = HybridConnector(_at(config, address))
    assert second.epoch > first.epoch
    second.start()
    try:
        until(lambda: second.report(kept.signal_id))
        assert micro.journal.executed == [kept.signal_id]
        assert all(s.signal_id != short.signal_id for s in micro.of(Signal))
        orphans = second.intents.orphans(known=[])
        assert [o.signal.signal_id for o in orphans] == [kept.signal_id, short.signal_id]
    finally:
        second.close()


def _at(config: ConnectorConfig, address: str) -> ConnectorConfig:
    return ConnectorConfig(signals=address, market=config.market, state_path=config.state_path)


def test_a_slow_joiner_gets_the_first_signal(
    make_micro: MakeMicro, tmp_path: Path, buy: Buy
) -> None:
    """Micro connects after the first submit was called: it waits, bounded, for both directions."""
    micro = make_micro()
    connector = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0", market=(micro.address,), state_path=tmp_path / "i.sqlite"
        )
    )
    connector.start()
    try:
        micro.follow(connector.address)
        sent = connector.submit(buy())
        assert sent.report is not None
        assert len(micro.of(Signal)) == 1
    finally:
        connector.close()


CHILD = """
    import os, sys, signal
    from pathlib import Path
    from citadel_bridge.config import ConnectorConfig, NewSignal
    from citadel_bridge.connector import HybridConnector
    from citadel_proto.messages import Signal

    market, signals, state, where = sys.argv[1:]
    connector = HybridConnector(
        ConnectorConfig(signals=signals, market=(market,), state_path=Path(state))
    )
    connector.start()
    assert connector.wait_ready(20)

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    publish = connector.publisher.publish

    def dying(message):
        die() if type(message) is Signal else publish(message)

    if where == "before publish":
        connector.publisher.publish = dying
    sent = connector.submit(
        NewSignal(venue="paper", symbol="BTC/USDT", side="buy", quantity="1", ttl=60, signal_id="x")
    )
    assert sent.report is not None
    die()  # published and acknowledged; the caller's database never heard of it
"""


@pytest.mark.parametrize("where", ["before publish", "before commit"])
def test_killed_at_the_worst_moment_nothing_is_lost_and_nothing_is_done_twice(
    where: str,
    make_micro: MakeMicro,
    tmp_path: Path,
    until: Until,
    free_port: Callable[[], int],
) -> None:
    signals_at = f"tcp://127.0.0.1:{free_port()}"
    state = tmp_path / "i.sqlite"
    micro = make_micro().follow(signals_at)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), micro.address, signals_at, state, where],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signals.SIGKILL, ended.stderr
    assert micro.journal.executed == ([] if where == "before publish" else ["x"])
    connector = HybridConnector(
        ConnectorConfig(signals=signals_at, market=(micro.address,), state_path=state)
    )
    connector.start()
    try:
        # The caller's database is empty, so this is how it learns of the order.
        assert [o.signal.signal_id for o in connector.intents.orphans(known=[])] == ["x"]
        until(lambda: connector.report("x"))
        assert micro.journal.executed == ["x"]
        assert connector.report("x").quantity == "1"  # type: ignore[union-attr]
    finally:
        connector.close()


def test_an_intent_is_on_record_before_it_is_on_the_wire(
    pair: Pair, buy: Buy, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_record: list[bool] = []
    publish = pair.connector.publisher.publish

    def checking(message: object) -> int:
        if isinstance(message, Signal):
            on_record.append(pair.connector.intents.get(message.signal_id) is not None)
        return publish(message)  # type: ignore[arg-type]

    monkeypatch.setattr(pair.connector.publisher, "publish", checking)
    pair.connector.submit(buy())
    assert on_record
    assert all(on_record)


@pytest.mark.parametrize("mode", ["overlapped", "before_publish"])
def test_an_intent_reaches_the_disk_itself(
    mode: str, make_pair: MakePair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    pair = make_pair(sync_intents=mode)
    publish, sync = pair.connector.publisher.publish, IntentLog.sync

    def noting_sync(log: IntentLog) -> None:
        events.append("sync")
        sync(log)

    def noting_publish(message: object) -> int:
        if isinstance(message, Signal):
            events.append("publish")
        return publish(message)  # type: ignore[arg-type]

    monkeypatch.setattr(IntentLog, "sync", noting_sync)
    monkeypatch.setattr(pair.connector.publisher, "publish", noting_publish)
    pair.connector.submit(buy())
    until(lambda: "sync" in events and "publish" in events)
    if mode == "before_publish":
        assert events[:2] == ["sync", "publish"]


# --- what else arrives --------------------------------------------------------------------------


def test_rubbish_on_the_wire_is_counted_and_dropped(
    pair: Pair, buy: Buy, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    send = pair.micro.publisher.send_raw
    for _ in range(3):
        send(b"report/x/y\0\xc1\xc1")
        send(b"book/x/y\0" + encode(Cancel(signal_id="x", created_ns=1, epoch=1, seq=1)))
        send(b"risk")  # no separator: not even a frame
    send(topics.exactly(topics.RISK) + b"\x91" * 50_000)
    until(lambda: pair.connector.inbox.undecodable.get("risk") == 1)
    counted = pair.connector.inbox.undecodable
    assert counted["report"] == 3
    assert counted["other"] == 3
    assert counted["book"] >= 1  # conflated within a batch
    assert pair.connector.submit(buy()).report is not None
    said = [record.getMessage() for record in caplog.records if "decode" in record.getMessage()]
    assert len(said) == 4  # once per kind
    assert any("c1c1" in text for text in said)


def test_a_frame_that_is_too_large_is_counted_and_dropped(
    pair: Pair, buy: Buy, until: Until
) -> None:
    pair.micro.publisher.send_raw(b"risk\0" + b"x" * MAX_FRAME)
    until(lambda: pair.connector.inbox.undecodable.get("other") == 1)
    assert pair.connector.submit(buy()).report is not None


def test_a_message_that_breaks_the_connection_is_survived(
    pair: Pair, buy: Buy, until: Until
) -> None:
    """ZeroMQ drops the connection without a word; silence makes the connector connect anew."""
    pair.micro.publisher.send_raw(b"risk\0" + b"x" * MAX_MESSAGE)
    until(lambda: not pair.connector.micro_alive())
    until(pair.connector.micro_alive)
    assert pair.connector.submit(buy()).report is not None


def test_a_publisher_sends_nothing_that_a_reader_would_drop(pair: Pair) -> None:
    huge = RiskState(scope="x" * MAX_FRAME, state="HALTED", instance="", seq=0)
    assert pair.micro.publisher.publish(huge) == 0
    assert pair.micro.publisher.oversize == 1


def test_an_answer_to_somebody_else_is_not_ours(pair: Pair) -> None:
    foreign = Answer(query_id="q", kind="order", found=False, instance="micro-1", seq=1)
    ours = topics.answer(pair.connector.instance)
    taken: list[str] = []
    pair.connector.mirror.on_answer = lambda answer: taken.append(answer.query_id)
    pair.connector.mirror.apply(topics.answer("another"), foreign)
    assert "q" not in taken
    pair.connector.mirror.apply(ours, foreign)
    assert "q" in taken


def test_a_flood_of_books_does_not_hold_up_a_report(pair: Pair, buy: Buy, until: Until) -> None:
    sent = pair.connector.submit(buy())
    for n in range(20_000):
        pair.micro.publisher.publish(pair.micro.book(price=100.0 + n))
    pair.micro.publish_report(sent.signal_id, filled="0.5", status="filled")
    until(lambda: pair.connector.report(sent.signal_id).status == "filled", timeout=60)  # type: ignore[union-attr]
    assert pair.connector.check() is None  # type: ignore[func-returns-value]
    until(lambda: pair.connector.book("paper", "BTC/USDT"))


def test_a_bug_in_the_receive_thread_stops_trading(
    pair: Pair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    from citadel_proto.errors import InvariantError  # noqa: PLC0415

    def broken(_topic: bytes, _message: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("threading.excepthook", lambda _args: None)
    pair.connector.inbox._deliver = broken
    until(lambda: pair.connector._reader.failure)
    with pytest.raises(InvariantError, match="thread of the bridge"):
        pair.connector.submit(buy())


def test_reports_survive_the_codec_with_every_fill(pair: Pair, buy: Buy) -> None:
    sent = pair.connector.submit(buy())
    assert sent.report is not None
    again = codec.decode_market(encode(sent.report))
    assert isinstance(again, ExecutionReport)
    assert again == sent.report
