"""A whole micro on paper, against the simulator, over real sockets: signals and reports."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from stack_kit import SECOND, SYMBOL, Stack, paper, run
from waiting import until

from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.shell.ops.health import check
from citadel_micro.shell.ops.metrics import exposition
from citadel_proto import topics
from citadel_proto.codec import encode
from citadel_proto.messages import (
    Answer,
    BookSnapshot,
    Cancel,
    ExecutionReport,
    FeedState,
    MicroHeartbeat,
    Query,
    Trades,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_signal_in_and_its_reports_out(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        s.peer.send(signal)
        report = await s.peer.ended(signal.signal_id)
        assert (report.status, report.filled) == ("filled", "0.01000")
        assert report.fills
        assert report.instance == f"micro-{micro.journal.path.stem.removeprefix('journal-')}"
        (balance,) = [b for b in report.balances if b.currency == "BTC"]
        fees = sum(float(fill.fee) for fill in report.fills if fill.fee_currency == "BTC")
        assert float(balance.free) == pytest.approx(0.01 - fees)
        revisions = [r.revision for r in s.peer.of(ExecutionReport)]
        assert revisions == sorted(set(revisions))
        assert micro.stats.signal_to_submit.histogram.total == 1

        await until(lambda: all(map(s.peer.of, (BookSnapshot, Trades, FeedState))))
        book = s.peer.of(BookSnapshot)[-1]
        assert (book.state, book.symbol) == ("LIVE", SYMBOL)
        assert len(book.bids) == 20 * 16
        await until(lambda: any(b.macro_instance_seen for b in s.peer.of(MicroHeartbeat)))
        assert s.peer.of(MicroHeartbeat)[-1].macros_seen[0][0] == "macro-1"
        assert check(micro.vitals)[0]

        assert await micro.stop("test") is True
        path = micro.journal.path
        await micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0
        assert said[-1].endswith("commands agreed")

    run(tmp_path, body)


def test_nothing_is_executed_twice(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        for _ in range(3):
            s.peer.send(signal)
        await s.peer.ended(signal.signal_id)
        for _ in range(3):
            s.peer.send(signal)
        events = micro.stats.events
        await until(lambda: events["SignalReceived"] == 6)
        venue = paper(micro)
        assert sum(order.filled_lots for order in venue.orders.values()) == 1000

        # Nor after a restart: what was acted on is remembered.
        await micro.close()
        again = await s.up()
        s.peer.heard.clear()
        s.peer.send(signal)
        report = await s.peer.ended(signal.signal_id)
        assert (report.status, report.filled) == ("filled", "0.01000")
        venue = paper(again)
        assert sum(order.filled_lots for order in venue.orders.values()) == 1000

    run(tmp_path, body)


def test_signals_that_cannot_be_are_answered_with_a_code(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        await s.up()
        now_ns = time.time_ns()
        cases = [
            (
                ("INTENT_EXPIRED", "expired"),
                s.peer.signal(created_ns=now_ns - SECOND, expires_ns=now_ns - 1),
            ),
            (("BAD_NUMBER", "quantity"), s.peer.signal(quantity="NaN")),
            (("BAD_NUMBER", "confidence is nan"), s.peer.signal(confidence=math.nan)),
            (("BAD_NUMBER", "parameter max_cross"), s.peer.signal(params={"max_cross": math.inf})),
            (("BELOW_MIN", "minimum of"), s.peer.signal(quantity="0.00002")),
            (("SYMBOL_DISALLOWED", "configured"), s.peer.signal(symbol="NOPE/USDT")),
            (("MAX_ORDER_NOTIONAL", "above 50000"), s.peer.signal(quantity="1000")),
        ]
        for _, signal in cases:
            s.peer.send(signal)
        for (code, words), signal in cases:
            report = await s.peer.ended(signal.signal_id)
            assert (report.status, report.reason_code) == ("rejected", code), report.reason
            assert words in report.reason

    run(tmp_path, body)


def test_noise_on_the_signals_channel_is_counted_and_dropped(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        noise = [
            b"",
            b"\0",
            b"garbage",
            b"signal/x/y\0\xff\xff",
            b"hb\0" + bytes(100),
            b"x" * 10**6,
        ]
        for frame in noise:
            s.peer.publisher.send_raw(frame)
        s.peer.send(s.peer.signal(signal_id="a b"))
        good = s.peer.signal()
        s.peer.send(good)
        assert (await s.peer.ended(good.signal_id)).status == "filled"
        counted = sum(micro.uplink.undecodable.values())
        assert counted == len(noise)
        assert micro.stats.undecodable == {"Signal": 1}

    run(tmp_path, body)


def test_what_was_lost_on_the_way_is_counted_and_no_new_risk_is_taken_behind_it(
    tmp_path: Path,
) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        first = s.peer.signal()
        s.peer.send(first)
        assert (await s.peer.ended(first.signal_id)).status == "filled"
        assert micro.stats.missing == {}
        topic = topics.signal(first.venue, first.symbol)
        # Two to four never come. Dated ahead: on a slow machine it would count as sent again.
        fifth = s.peer.signal(seq=5, created_ns=time.time_ns() + 2 * SECOND)
        s.peer.publisher.send_raw(topics.join(topic, encode(fifth)))
        refused = await s.peer.ended(fifth.signal_id)
        assert (refused.status, refused.reason_code) == ("rejected", "SEQ_GAP")
        # Behind a gap, but old enough to have been sent before: it may be what was lost.
        eighth = s.peer.signal(seq=8, created_ns=time.time_ns() - SECOND)
        s.peer.publisher.send_raw(topics.join(topic, encode(eighth)))
        assert (await s.peer.ended(eighth.signal_id)).status == "filled"
        # One that comes late is not lost a second time, nor is that of a publisher begun anew.
        for late in (s.peer.signal(seq=3), s.peer.signal(seq=1, epoch=2)):
            s.peer.publisher.send_raw(topics.join(topic, encode(late)))
            assert (await s.peer.ended(late.signal_id)).status == "filled"
        assert micro.stats.missing == {"Signal": 5}
        text = exposition(micro.vitals).decode()
        assert 'citadel_missing_messages_total{kind="Signal"} 5.0' in text

    run(tmp_path, body)


def test_cancels_and_questions(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        far = s.far(await s.up())
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        common: dict[str, Any] = {"created_ns": 1, "epoch": 1, "seq": 0}
        s.peer.send(
            Query(
                query_id="q1", kind="order", reply_to="macro-1", signal_id=far.signal_id, **common
            )
        )
        s.peer.send(Query(query_id="q2", kind="balances", reply_to="macro-1", **common))
        s.peer.send(
            Query(query_id="q3", kind="order", reply_to="macro-1", signal_id="unknown", **common)
        )
        await until(lambda: len(s.peer.of(Answer)) == 3)
        order, balances, unknown = s.peer.of(Answer)
        assert order.reports[0].signal_id == far.signal_id
        assert {b.currency for b in balances.balances} >= {"USDT"}
        assert (order.found, unknown.found) == (True, False)
        s.peer.send(
            Cancel(
                signal_id=far.signal_id,
                venue="binance-spot",
                symbol=SYMBOL,
                **common,
            )
        )
        report = await s.peer.ended(far.signal_id)
        assert (report.status, report.filled) == ("canceled", "0.00000")

    run(tmp_path, body)


def test_stopping_withdraws_what_works(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        assert await micro.stop("test") is True
        report = await s.peer.ended(far.signal_id)
        assert report.status == "canceled"
        orders = paper(micro).orders
        assert all(not order.open for order in orders.values())

    run(tmp_path, body)
