"""What a user, a peer or the network can get wrong, against the real programs.

Nothing is executed that should not be, everything is told in words that help, and micro lives on.
"""

from __future__ import annotations

import os
import socket
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from effort import campaign
from ports import free_port
from process_kit import SYMBOL, Bench, citadel, health, until
from stand_kit import Stand, order

from citadel_proto import topics
from citadel_proto.codec import MAX_FRAME, encode
from citadel_proto.messages import (
    TERMINAL_STATUSES,
    ExecutionReport,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZERO = Decimal(0)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    bench = Bench(tmp_path_factory.mktemp("stand"), (free_port(), free_port()))
    try:
        yield Stand(bench)
    finally:
        bench.close()


# --- the command line ---------------------------------------------------------------------------


NO_SENSE = "BAD_PARAMETER"
BELOW = ["--param", "take_profits=1000001", "--param", "entry=auto"]
AROUND = ["--param", "take_profits_bps=5"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([SYMBOL, "0.1", "--algo", "vwap"], NO_SENSE, "no volume to weigh by"),
        campaign(
            [SYMBOL, "0.1", "--algo", "vwap", "--param", "profile=0,0"],
            NO_SENSE,
            "no volume at all",
        ),
        campaign([SYMBOL, "0.1", "--algo", "pov", "--param", "rate_pct=80"], NO_SENSE, "0.1 to 50"),
        ([SYMBOL, "0.1", "--algo", "twap", "--param", "slices=0"], NO_SENSE, "1 to 1000"),
        (
            [SYMBOL, "0.1", "--algo", "bracket", "--param", "stop_price=1000000", *BELOW],
            NO_SENSE,
            "wrong side of a buy",
        ),
        campaign([SYMBOL, "0.1", "--algo", "bracket", *AROUND], NO_SENSE, "one stop"),
        campaign([SYMBOL, "0.1", "--algo", "scaled"], NO_SENSE, "limit_price"),
        ([SYMBOL, "0.1", "--algo", "stop"], NO_SENSE, "kind 'stop'"),
        (["ZZZ/USDT", "1"], "SYMBOL_DISALLOWED", SYMBOL),
        ([SYMBOL, "0.1", "--venue", "nowhere"], "VENUE_DISALLOWED", "binance-spot"),
        ([SYMBOL, "0.000001"], "BELOW_MIN", "minimum"),
        ([SYMBOL, "0.00001"], "BELOW_MIN", ""),
        ([SYMBOL, "1000000"], "MAX_ORDER_NOTIONAL", ""),
        ([SYMBOL, "0.1", "--param", "time_limit=5"], "BAD_PARAMETER", "time_limit_ms"),
        ([SYMBOL, "0.1", "--algo", "chase"], "BAD_PARAMETER", "chase_limit"),
        ([SYMBOL, "10", "--algo", "limit", "--limit-price", "1"], "PRICE_COLLAR", ""),
    ],
)
def test_micro_refuses_with_a_code_and_a_reason(
    stand: Stand, arguments: list[str], code: str, words: str
) -> None:
    before = stand.account()
    exit_code, report, _ = stand.signal("buy", *arguments)
    assert exit_code == 3
    assert (report["status"], report["reason_code"]) == ("rejected", code)
    assert words in report["reason"]
    assert report["fills"] == []
    assert stand.account() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([SYMBOL, "nan"], "nan"),
        ([SYMBOL, "-1"], ""),
        ([SYMBOL, "0"], "0"),
        ([SYMBOL, "1", "--limit-price", "inf"], "limit_price"),
        ([SYMBOL, "1", "--ttl", "soon"], "--ttl"),
        ([SYMBOL, "1", "--time-in-force", "GTX"], "GTC, IOC, FOK, PO"),
        ([SYMBOL, "1", "--param", "x"], "NAME=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(stand: Stand, arguments: list[str], words: str) -> None:
    before = stand.metric("citadel_events_total")
    exit_code, report, error = stand.signal("buy", *arguments)
    assert exit_code == 2
    assert report == {}
    assert words in error
    assert "Traceback" not in error
    assert before > 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["reset"], 2, "reset needs a reason"),
        campaign(["reset", "--trip", "t1", "--reason", "  "], 2, "reset needs a reason"),
        (["reset", "--trip", "t99", "--reason", "looked at it"], 3, "no trip"),
        campaign(["reset", "--reason", "looked at it"], 3, "no trip"),
        campaign(["halt"], 2, "halt needs a reason"),
        (["halt", "--scope", "planet:mars", "--reason", "odd"], 3, "planet:mars"),
        campaign(["resume", "--reason", "why not"], 2, "no action 'resume'"),
    ],
)
def test_an_operator_that_cannot_be_meant_changes_nothing(
    stand: Stand, arguments: list[str], code: int, words: str
) -> None:
    before = stand.account()
    ended = citadel("operator", *arguments, "--run-dir", str(stand.bench.run_dir))
    assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr
    assert stand.account() == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("max_order_notional = -1", ["max_order_notional is -1", "0 or more"]),
        ("max_order_notional = nan", ["max_order_notional is nan", "finite"]),
        campaign("max_drawdown = 1e30", ["max_drawdown", "10^18"]),
        campaign(
            "lease_hard_ms = 1\nlease_soft_ms = 9", ["lease_hard", "no shorter than the soft one"]
        ),
        ("warn_fraction = 80", ["warn_fraction is 80", "not in percent"]),
        campaign("sizing = {'*' = 'all in'}", ["all in", "kelly"]),
        campaign("max_open_orders = 'many'", ["max_open_orders", "many"]),
        ("max_order_notoinal = 5", ["max_order_notoinal", "did you mean"]),
    ],
)
def test_limits_that_are_impossible_start_nothing_and_change_nothing(
    stand: Stand, tmp_path: Path, line: str, words: list[str]
) -> None:
    path = tmp_path / "micro.toml"
    path.write_text(f"[risk]\n{line}\n")
    new = citadel("micro", "--config", str(path), "--run-dir", str(tmp_path / "run"))
    assert new.returncode == 2, new.stderr
    assert list(tmp_path.glob("run/journal-*")) == []
    before, running = stand.account(), stand.bench.folder / "unhurried.toml"
    was = running.read_text()
    running.write_text(path.read_text())
    try:
        old = citadel(
            *("operator", "limits", "--reason", "new ones"),
            *("--run-dir", str(stand.bench.run_dir)),
        )
    finally:
        running.write_text(was)
    assert old.returncode == 3, old.stderr
    assert stand.account() == before
    for said in (new.stderr, old.stderr):
        assert "Traceback" not in said
        for word in words:
            assert word in said


# --- frames -------------------------------------------------------------------------------------


def test_noise_and_oversized_frames_are_counted_and_trading_goes_on(stand: Stand) -> None:
    whole = topics.join(b"signal/binance-spot/BTC/USDT", encode(order("cut")))
    frames = [
        b"",
        b"\0",
        b"no separator",
        b"signal/x\0",
        b"signal/x\0\xc1\xc1",
        whole[:-9],
        whole.replace(b"Signal", b"Sygnal"),
        whole + b"\xc0",
        b"hb\0" + os.urandom(1_000),
        b"query\0" + b"\xdd\xff\xff\xff\xff",
        b"signal/x\0" + b"\x91" * 100_000,
        b"x" * (MAX_FRAME + 1),
        topics.join(b"signal/x", encode(order("bad id with blanks"))),
    ]
    before = stand.metric("citadel_dropped_frames_total")
    with stand.macro() as macro:
        for frame in frames:
            macro.publisher.send(frame)
        # More than ZeroMQ itself lets through: it drops the connection, which is made anew.
        macro.publisher.send(b"x" * (64 * 1024 * 1024))
        until(lambda: stand.metric("citadel_dropped_frames_total") >= before + len(frames))
        # The order after all of it is executed. Sent again as a macro would, until it is heard.
        after = order("after-the-noise")

        def heard() -> bool:
            macro.send(after)
            return bool(macro.of(after.signal_id))

        until(heard)
        until(lambda: macro.of(after.signal_id)[-1].status == "filled")
    assert macro.of("cut") == []
    until(lambda: health(stand.ready)["status"] == "ok")


def test_a_signal_that_came_twice_is_executed_once(stand: Stand) -> None:
    with stand.macro() as macro:
        twice = order("twice")
        for _ in range(5):
            macro.send(twice)
        until(lambda: any(report.status == "filled" for report in macro.of("twice")))
        seen = len(macro.of("twice"))
        # Even when somebody else's order has the same id.
        macro.send(msgspec.structs.replace(twice, quantity="0.5", side="sell"))
        macro.send(twice)
        until(lambda: len(macro.of("twice")) > seen)
    last = max(macro.of("twice"), key=lambda report: report.revision)
    assert (last.side, last.quantity, last.filled) == ("buy", "0.01", "0.01000")
    assert len({fill.trade_id for report in macro.of("twice") for fill in report.fills}) == len(
        last.fills
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"created_ns": 1, "expires_ns": 2},
        {"expires_ns": 1},
        {"created_ns": 1},
    ],
    ids=["long ago", "over before it began", "too old whatever it says"],
)
def test_an_expired_signal_does_nothing(stand: Stand, changes: dict[str, int]) -> None:
    signal_id = f"late-{'-'.join(changes)}"
    with stand.macro() as macro:
        macro.send(order(signal_id, **changes))
        until(lambda: macro.of(signal_id))
    (report,) = macro.of(signal_id)
    assert (report.status, report.reason_code) == ("rejected", "INTENT_EXPIRED")


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "NaN"},
        {"quantity": "Infinity"},
        {"quantity": "0"},
        {"quantity": "-1"},
        {"quantity": "1e400"},
        {"quantity": "one"},
        {"limit_price": "nan"},
        {"leverage": "0"},
        {"kind": "stop"},
        {"confidence": 2.0},
    ],
)
def test_a_number_that_is_none_is_refused_by_micro_too(
    stand: Stand, changes: dict[str, Any]
) -> None:
    ((name, value),) = changes.items()
    signal_id = f"number-{name}-{value}"
    with stand.macro() as macro:
        macro.send(order(signal_id, **changes))
        until(lambda: macro.of(signal_id))
    (report,) = macro.of(signal_id)
    assert (report.status, report.reason_code) == ("rejected", "BAD_NUMBER")


def test_what_was_refused_leaves_no_trace_in_the_account(stand: Stand) -> None:
    def done(signal_id: str) -> ExecutionReport | None:
        ended = [each for each in macro.of(signal_id) if each.status in TERMINAL_STATUSES]
        return ended[-1] if ended else None

    def buy(signal_id: str, **changes: Any) -> ExecutionReport:  # noqa: ANN401 - fields by name
        macro.send(order(signal_id, **changes))
        report: ExecutionReport = until(lambda: done(signal_id))
        return report

    def held(report: ExecutionReport) -> Decimal:
        return sum((Decimal(row.total) for row in report.balances if row.currency == "BTC"), ZERO)

    with stand.macro() as macro:
        before = buy("before")
        refused: list[dict[str, Any]] = [
            {"quantity": "NaN"},
            {"expires_ns": 1},
            {"symbol": "NIX/USDT"},
            {"quantity": "1e6"},
        ]
        for number, changes in enumerate(refused):
            assert buy(f"refused-{number}", **changes).status == "rejected"
        after = buy("after")
    bought = sum((Decimal(fill.quantity) - Decimal(fill.fee) for fill in after.fills), ZERO)
    assert bought > 0, after
    assert held(after) == held(before) + bought


# --- ports and folders --------------------------------------------------------------------------


@pytest.mark.parametrize("taken", ["--http", "--market"])
def test_a_port_that_is_taken_is_named(stand: Stand, tmp_path: Path, taken: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        addresses = {"--http": "off", "--market": "tcp://127.0.0.1:*"}
        addresses[taken] = f"tcp://127.0.0.1:{port}" if taken == "--market" else str(port)
        words = [word for option in addresses.items() for word in option]
        ended = citadel(
            *("micro", "--run-dir", str(tmp_path / "run"), "--symbols", SYMBOL, *words),
            *("--rest-url", stand.bench.exchange["rest"]),
            *("--ws-url", stand.bench.exchange["ws"]),
        )
    assert ended.returncode == 4, ended.stderr
    assert str(port) in ended.stderr
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "run").glob("journal-*")) == []


def test_the_simulators_port_is_taken(stand: Stand) -> None:
    port = stand.bench.exchange["rest"].rpartition(":")[2]
    ended = citadel("sim", "--port", port, "--symbols", SYMBOL, "--history-days", "1")
    assert ended.returncode == 4
    assert port in ended.stderr


def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    ended = citadel("demo", "--run-dir", str(tmp_path))
    assert ended.returncode == 2
    assert "the run folder is not empty" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


@pytest.mark.parametrize("other", ["--ml", "--paper"])
def test_a_demo_of_futures_is_live_and_of_the_sample_strategy(tmp_path: Path, other: str) -> None:
    ended = citadel("demo", "--futures", other, "--run-dir", str(tmp_path / "run"))
    assert ended.returncode == 2
    assert f"--futures and {other} exclude each other" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    for folder in (path, path / "within"):
        ended = citadel("demo", "--run-dir", str(folder))
        assert ended.returncode == 2, ended.stderr
        assert "--run-dir" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[risk\n", ["micro.toml"]),
        ("[paper]\nqueue_model = 'lucky'\n", ["queue_model", "pessimistic"]),
        ("[bridge]\nmarket = 'tcp://0.0.0.0:5556'\n", ["citadel keys make"]),
        ("mode = 'real'\n", ["mode", "paper", "live"]),
        ("mode = 'live'\n", ["live_account", "a second time"]),
        ("[venues.binance]\nsymbols = ['BTC/USDT']\n", ["binance", "binance-spot"]),
    ],
)
def test_a_broken_configuration_says_how_to_mend_it(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "micro.toml"
    path.write_text(text)
    ended = citadel("micro", "--config", str(path), "--run-dir", str(tmp_path / "run"))
    assert ended.returncode == 2, ended.stderr
    for word in words:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.glob("run/journal-*")) == []


def test_no_books_to_compare(tmp_path: Path) -> None:
    ended = citadel(
        "audit", "--database", str(tmp_path / "trades.sqlite"), "--journal", str(tmp_path)
    )
    assert ended.returncode == 2
    assert "no trade database" in ended.stderr
