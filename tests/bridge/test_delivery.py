"""Loss and repetition: nothing is lost, nothing is executed twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import pytest
import zmq

from citadel_bridge.conclusions import NEVER_RECEIVED, WITHDRAWN
from citadel_bridge.retransmitter import Retransmitter
from citadel_bridge.sockets import MAX_MESSAGE
from citadel_proto import codec, topics
from citadel_proto.codec import MAX_FRAME, encode
from citadel_proto.messages import (
    Answer,
    Cancel,
    ExecutionReport,
    MacroHeartbeat,
    Query,
    RiskState,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bridge.conftest import FakeMicro, Pair

    from citadel_bridge.config import NewSignal
    from citadel_bridge.connector import HybridConnector
    from citadel_proto.messages import SignalChannel

    Buy = Callable[..., NewSignal]
    MakePair = Callable[..., Pair]
    MakeMicro = Callable[..., FakeMicro]
    Until = Callable[..., None]


# --- signals ------------------------------------------------------------------------------------


def test_a_lost_signal_is_published_until_it_is_acknowledged(
    make_pair: MakePair, buy: Buy, until: Until
) -> None:
    pair = make_pair(ack_timeout=0.1)
    pair.micro.hears_signals = False
    sent = pair.connector.submit(buy())
    assert sent.report is None  # open, not failed
    assert [i.signal.signal_id for i in pair.connector.intents.pending()] == [sent.signal_id]
    pair.micro.hears_signals = True
    until(lambda: pair.connector.report(sent.signal_id))
    assert pair.micro.journal.executed == [sent.signal_id]
    until(lambda: not pair.connector.intents.pending())


def test_a_heartbeat_goes_before_the_first_order_that_a_run_of_micro_hears(
    make_pair: MakePair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rejects an order of a macro that it has not heard, and the regular ones may have been lost."""
    monkeypatch.setattr(Retransmitter, "_beat_pause", lambda *_: 60 * 10**9)
    pair = make_pair(ack_timeout=0.1)
    for name in ("micro-1", "micro-2"):
        if name == "micro-2":
            pair.restart_micro(name)
        until(lambda name=name: pair.connector.mirror.receives_us(name))
        until(lambda name=name: name in pair.connector.mirror.peers)
        pair.micro.received.clear()
        pair.connector.submit(buy())
        until(lambda: pair.micro.of(Signal))
        assert orders_and_heartbeats(pair.micro)[:2] == [MacroHeartbeat, Signal]
        until(lambda: not pair.connector.intents.pending())
    pair.micro.received.clear()
    pair.connector.submit(buy())
    until(lambda: pair.micro.of(Signal))
    assert orders_and_heartbeats(pair.micro)[0] is Signal  # this run knows us
    until(lambda: not pair.connector.intents.pending())
    pair.micro.acknowledge = False
    pair.micro.received.clear()
    pair.connector.submit(
        buy()
    )  # and again and again, to a micro that may be another one meanwhile
    until(lambda: len(pair.micro.of(Signal)) >= 3)
    assert orders_and_heartbeats(pair.micro)[:5] == [Signal, *(MacroHeartbeat, Signal) * 2]


def orders_and_heartbeats(micro: FakeMicro) -> list[type]:
    return [type(each) for each in micro.received if isinstance(each, (MacroHeartbeat, Signal))]


def test_a_lost_acknowledgement_repeats_the_signal_and_not_its_effect(
    make_pair: MakePair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_pair(ack_timeout=0.1)
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


def test_publishing_ends_with_the_acknowledgement(
    pair: Pair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[object] = []
    publish = pair.connector.publisher.publish

    def noted(message: SignalChannel, *to: str) -> int:
        if isinstance(message, Signal):
            published.append(message)
        return publish(message, *to)

    monkeypatch.setattr(pair.connector.publisher, "publish", noted)
    pair.connector.submit(buy())
    until(lambda: not len(pair.connector.outbox))
    until(lambda: len(pair.micro.of(Signal)) == len(published))
    before = len(published)
    time.sleep(0.2)
    assert len(published) == len(pair.micro.of(Signal)) == before


def test_the_pause_between_copies_grows(make_pair: MakePair, buy: Buy, until: Until) -> None:
    pair = make_pair(resend_first=0.01, resend_max=0.16, ack_timeout=0.1)
    pair.micro.acknowledge = False
    begun = time.monotonic()
    pair.connector.submit(buy())
    time.sleep(0.5)
    until(lambda: len(pair.micro.of(Signal)) >= 3)
    # 0, 10, 30, 70, 150, 310, 470 ms: a fixed pause of 10 ms would make fifty.
    assert len(pair.micro.of(Signal)) <= 6 + (time.monotonic() - begun) / 0.16


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
    pair = make_pair(ack_timeout=0.1)
    pair.micro.hears_signals = False
    sent = pair.connector.submit(buy())
    report = pair.connector.cancel(sent.signal_id, wait=60)
    assert report is not None
    assert (report.status, report.reason_code) == ("canceled", WITHDRAWN)
    pair.micro.hears_signals = True
    time.sleep(0.3)
    assert pair.micro.journal.executed == []
    until(lambda: not pair.connector.intents.unfinished())


def test_a_cancel_of_a_signal_that_did_arrive_concludes_nothing_on_its_own(
    make_pair: MakePair, buy: Buy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal arrived and its report was lost: only micro may say that it is cancelled."""
    pair = make_pair(ack_timeout=0.1)
    publish = pair.micro.publisher.publish
    monkeypatch.setattr(pair.micro.publisher, "publish", lambda *_: 0)
    sent = pair.connector.submit(buy())
    assert sent.report is None
    monkeypatch.setattr(pair.micro.publisher, "publish", publish)
    report = pair.connector.cancel(sent.signal_id, wait=60)
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


def all_is_answered(connector: HybridConnector) -> bool:
    """What it asks at its start, and because micro has appeared: that waits until a pause has passed."""
    keeper = connector._keeper
    with keeper._work:
        return not keeper._resync_reason and not connector.outbox


def test_a_gap_in_the_reports_asks_for_all_orders(pair: Pair, buy: Buy, until: Until) -> None:
    first, second = pair.connector.submit(buy()), pair.connector.submit(buy())
    until(lambda: all_is_answered(pair.connector))
    before = pair.connector._keeper.resyncs
    lost = pair.micro.report(first.signal_id, filled="0.2")
    pair.micro.publisher._seq[topics.topic_of(lost)] += 1  # published, and lost on the way
    pair.micro.publish_report(second.signal_id, filled="0.1")
    until(lambda: pair.connector.report(first.signal_id).filled == "0.2")  # type: ignore[union-attr]
    assert pair.connector.mirror.sequences.gaps == 1
    # The audit of a single order may have found it first.
    until(lambda: pair.connector._keeper.resyncs > before)


def test_the_last_report_lost_is_found_by_asking(pair: Pair, buy: Buy, until: Until) -> None:
    """No later message shows the gap: the order is asked about because it went quiet."""
    sent = pair.connector.submit(buy())
    pair.micro.report(sent.signal_id, status="filled", filled="0.5")  # never published
    until(lambda: pair.connector.report(sent.signal_id).status == "filled")  # type: ignore[union-attr]
    until(lambda: not pair.connector.intents.unfinished())


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
    counted = pair.connector.inbox.undecodable
    until(lambda: counted.get("risk") and counted.get("book"))  # books at the end of their batch
    assert counted["risk"] == 1
    assert counted["report"] == 3
    assert counted["other"] == 3
    assert counted["book"] >= 1  # conflated within a batch
    assert pair.connector.submit(buy()).report is not None
    said = [
        record.getMessage() for record in caplog.records if "undecodable" in record.getMessage()
    ]
    assert len(said) == 4  # once per kind
    assert any("c1c1" in text for text in said)


def test_a_frame_that_is_too_large_is_counted_and_dropped(
    pair: Pair, buy: Buy, until: Until
) -> None:
    pair.micro.publisher.send_raw(b"risk\0" + b"x" * MAX_FRAME)
    until(lambda: pair.connector.inbox.undecodable.get("other") == 1)
    assert pair.connector.submit(buy()).report is not None


def test_a_message_that_breaks_the_connection_is_survived(
    make_pair: MakePair, buy: Buy, until: Until
) -> None:
    """ZeroMQ drops the connection without a word; silence makes the connector connect anew."""
    pair = make_pair(dead_after=1.0)
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


@pytest.mark.parametrize("counts", [True, False], ids=["counted", "of-an-older-micro"])
def test_the_last_report_before_a_silence_is_missed_at_the_next_heartbeat(
    make_pair: MakePair, buy: Buy, until: Until, monkeypatch: pytest.MonkeyPatch, *, counts: bool
) -> None:
    pair = make_pair(audit=3600.0, dead_after=3500.0)
    connector, micro = pair.connector, pair.micro
    sent = connector.submit(buy())
    micro.beat_by_hand()
    micro.counts_reports = counts
    until(lambda: all_is_answered(connector))

    def heard() -> None:
        """Send a heartbeat, and wait until it has come."""
        before = connector.peers()[0].beat_seq
        micro.send_beat()
        until(lambda: connector.peers()[0].beat_seq > before)

    heard()
    asked = len(micro.of(Query))
    with monkeypatch.context() as lost:
        lost.setattr(micro.publisher, "_socket", Full())
        micro.publish_report(sent.signal_id, filled="0.5", status="filled")
    heard()
    if counts:
        until(lambda: connector.report(sent.signal_id).status == "filled")  # type: ignore[union-attr]
        assert len(micro.of(Query)) > asked
        until(lambda: all_is_answered(connector))
        asked = len(micro.of(Query))
    heard()  # it is told once
    connector.query_limits(timeout=60.0)  # sent again while the machine is busy
    assert {query.kind for query in micro.of(Query)[asked:]} == {"limits"}


class Full:
    """A socket that takes nothing."""

    closed = False

    def send(self, _frame: bytes, _flags: int) -> None:
        raise zmq.Again


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
