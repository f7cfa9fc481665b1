"""What the demo notices on micro's market channel."""

# ruff: noqa: ANN401 - builders take the fields of records by name

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from citadel_micro.demo.state import TOO_LARGE, DemoState
from citadel_micro.demo.view import picture
from citadel_proto.messages import (
    BookSnapshot,
    ExecutionReport,
    FeedState,
    Fill,
    MicroHeartbeat,
    RiskState,
)
from citadel_proto.packed_levels import pack_levels


def fill(number: int) -> Fill:
    return Fill(
        trade_id=f"t{number}",
        child_id="c",
        price="100",
        quantity="0.1",
        fee="0.01",
        fee_currency="USDT",
        liquidity="maker",
        ts_ns=number,
    )


def report(signal_id: str = "a", revision: int = 1, **changes: Any) -> ExecutionReport:
    values: dict[str, Any] = {
        "signal_id": signal_id,
        "revision": revision,
        "venue": "v",
        "symbol": "AAA/USDT",
        "side": "buy",
        "kind": "order",
        "order_type": "limit",
        "status": "working",
        "quantity": "1",
        "filled": "0",
        "average": None,
        "limit_price": None,
        "stop_price": None,
        "triggered": False,
        "reason_code": "",
        "reason": "",
        "permitted": None,
        "fills": (),
        "balances": (),
        "position": None,
        "strategy": "s",
        "tag": "",
        "algo": "chase_limit",
        "arrival_mid": 100.0,
        "reprices": 2,
        "own": False,
        "created_ns": 1,
        "updated_ns": 1,
        "instance": "m",
        "seq": 1,
    }
    return ExecutionReport(**values | changes)


def test_the_highest_revision_counts_and_a_fill_is_shown_once() -> None:
    state = DemoState()
    state.on_message(report(revision=2, fills=(fill(1),)))
    state.on_message(report(revision=1))
    state.on_message(report(revision=2, fills=(fill(1), fill(9))))
    state.on_message(report(revision=3, fills=(fill(1), fill(2))))
    assert state.reports["a"].revision == 3
    assert [each.trade_id for _, each in state.fills] == ["t1", "t2"]


@pytest.mark.parametrize("status", ["filled", "canceled", "expired", "rejected", "done_dust"])
def test_what_is_over_is_not_at_work(status: str) -> None:
    state = DemoState()
    state.on_message(report())
    state.on_message(report("held", kind="stop"))
    state.on_message(report("stop", kind="stop", triggered=True))
    assert [each.signal_id for each in state.working()] == ["a", "stop"]
    state.on_message(report(revision=2, status=status))
    assert [each.signal_id for each in state.working()] == ["stop"]


def beat(working: int) -> MicroHeartbeat:
    return MicroHeartbeat(
        instance="m",
        seq=1,
        state="active",
        started_ns=1,
        wall_ns=1,
        mono_ns=1,
        macro_instance_seen="",
        macros_seen=(),
        working=working,
    )


def test_a_lost_terminal_report_is_replaced_by_the_heartbeats_list() -> None:
    """Reports are repeated as micro comes up: a subscriber may be connected a moment later."""
    state = DemoState()
    state.on_message(report())
    state.on_message(beat(1))
    assert state.working()
    state.on_message(beat(0))
    assert state.working() == []


def test_only_the_wanted_incidents_count() -> None:
    state = DemoState()
    seen = state.incidents
    assert len(seen.missing()) == 3
    state.on_message(report("r1", status="rejected", reason_code="BOOK_STALE"))
    state.on_message(report("c1", status="canceled"))
    state.on_message(report("c2", kind="stop", status="canceled", fills=(fill(1),)))
    assert (seen.rejected, seen.partial_cancel) == ("", "")
    state.on_message(report("r2", status="rejected", reason_code=TOO_LARGE))
    state.on_message(report("c3", status="canceled", fills=(fill(1),)))
    assert (seen.rejected, seen.partial_cancel) == (TOO_LARGE, "c3")
    assert seen.missing() == ["a restart of micro after kill -9"]
    seen.restarted = True
    assert seen.missing() == []


def test_the_picture_shows_what_is_known_and_survives_knowing_nothing() -> None:
    console = Console(width=200)
    state = DemoState()
    with console.capture() as nothing:
        console.print(
            picture(
                state, title="t", processes=[("micro", "running")], round_trips=0, todo=["more"]
            )
        )
    assert "no heartbeat" in nothing.get()
    for message in messages():
        state.on_message(message)
    with console.capture() as shown:
        console.print(
            picture(state, title="t", processes=[("micro", "exited -9")], round_trips=7, todo=[])
        )
    text = shown.get()
    for words in (
        "AAA/USDT",
        "LIVE",
        "exited -9",
        "round trips 7",
        "chase_limit",
        "HALTED",
        "maker",
    ):
        assert words in text
    assert "BBB/USDT" in text, "a book with one side only is shown too"


def messages() -> list[Any]:
    common: dict[str, Any] = {"venue": "v", "instance": "m", "seq": 1}
    book: dict[str, Any] = {
        **common,
        "exchange_ns": 1,
        "recv_ns": 1,
        "venue_seq": 1,
        "microprice": 100.0,
        "imbalance": 0.5,
        "spread": 0.1,
        "signed_flow": 0.0,
        "flow_window_ms": 1000,
        "published_ns": 1,
    }
    bids, asks = pack_levels([(99.9, 1.0)]), pack_levels([(100.0, 1.0)])
    return [
        BookSnapshot(**book, symbol="AAA/USDT", state="LIVE", bids=bids, asks=asks),
        BookSnapshot(**book, symbol="BBB/USDT", state="SYNCING", bids=bids, asks=b""),
        report(fills=(fill(1),)),
        beat(1),
        RiskState(
            scope="global",
            state="HALTED",
            code="DAILY_LOSS",
            reason="lost",
            instance="m",
            seq=1,
        ),
        FeedState(
            **common,
            symbol="AAA/USDT",
            state="LIVE",
            reason="",
            last_seq=1,
            last_recv_ns=1,
            gaps=0,
            resyncs=0,
        ),
    ]


def test_a_ghost_is_dropped_when_micro_is_asked() -> None:
    """An order that ended as micro came up, before the view listened again, beside one that is open."""
    state = DemoState()
    state.on_message(report("ghost"))
    state.on_message(report("open"))
    state.on_message(beat(1))
    before = [each.signal_id for each in state.working()]
    state.on_message(report("later"))  # reported while micro was being asked
    state.only_open(before, ["open"])
    assert [each.signal_id for each in state.working()] == ["open", "later"]
    state.on_message(report("open", revision=2, status="filled"))
    assert [each.signal_id for each in state.working()] == ["later"]


def crowded() -> DemoState:
    """Everything there can be, with long names and numbers."""
    state = DemoState()
    bids, asks = pack_levels([(0.123456789, 1.0)]), pack_levels([(123_456.789, 1.0)])
    book: dict[str, Any] = {
        name: getattr(messages()[0], name) for name in BookSnapshot.__struct_fields__
    }
    for number in range(9):
        more: dict[str, Any] = {
            "symbol": f"LONG{number}/USDT",
            "state": "SYNCING",
            "bids": bids,
            "asks": asks,
        }
        state.on_message(BookSnapshot(**book | more))
    for number in range(30):
        more = {
            "signal_id": f"hokhxg4mtg-123456{number}",
            "symbol": "BTC/USDT",
            "algo": "marketable_limit",
            "quantity": "12345.67800000",
            "filled": "0.00100000",
            "reprices": 1_234,
            "fills": (fill(number),),
        }
        state.on_message(report(**more))
    state.on_message(beat(30))
    for scope in ("global", "venue:binance-spot"):
        reason = "realised and unrealised losses of today are beyond the limit of 2500 USDT"
        trip: dict[str, Any] = {
            "scope": scope,
            "state": "HALTED",
            "code": "DAILY_LOSS",
            "reason": reason,
        }
        state.on_message(RiskState(**trip, instance="m", seq=1))
    return state


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 24), (80, 40), (200, 60)])
def test_the_picture_fits_the_terminal(width: int, height: int, full: bool) -> None:
    console = Console(width=width, height=height)
    names = ("simulator", "micro", "freqtrade")
    with console.capture() as shown:
        console.print(
            picture(
                crowded() if full else DemoState(),
                title="Stoic Citadel, trading live on a synthetic market",
                processes=[(name, "running") for name in names],
                round_trips=12,
                todo=["an order rejected by the risk gate", "a restart of micro after kill -9"] * 3,
                height=height,
            )
        )
    lines = shown.get().splitlines()
    assert len(lines) < height  # one stays for the cursor
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "round trips 12" in text
    if full:
        assert "DAILY_LOSS" in text
        assert sum("marketable_limit" in line for line in lines) >= 3
        left = 30 - sum("marketable_limit" in line for line in lines)
        assert (f"{left}\N{NO-BREAK SPACE}more" in text) is (left > 0)
        assert sum(line.rstrip().endswith("maker") for line in lines) >= 4
        assert "0.001/12345.678" in text  # no number is cut
