"""The commands as a person types them: what is printed, and what a run ends with."""

from __future__ import annotations

import json
import signal as signals
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from citadel_bridge.cli import main
from citadel_bridge.durations import seconds_of
from citadel_bridge.exit_codes import Exit
from citadel_bridge.order_printer import as_plain
from citadel_bridge.params import read_param
from citadel_proto import tape as tapes
from citadel_proto.errors import BadInput
from citadel_proto.messages import Fill, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bridge.conftest import FakeMicro

    Until = Callable[..., None]


class Desk:
    """A FakeMicro that does to every signal what ``outcome`` says, and its two addresses."""

    def __init__(self, micro: FakeMicro, port: int) -> None:
        self.micro = micro
        self.bind = f"tcp://127.0.0.1:{port}"
        self.outcome: dict[str, Any] = {"status": "filled", "filled": "0.5", "average": "100"}
        micro.follow(self.bind)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def run(self, *words: str) -> int:
        return main(["signal", *words, "--bind", self.bind, "--connect", self.micro.address])

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        done: set[str] = set()
        while not self._stop.wait(0.01):
            for message in self.micro.of(Signal):
                id_ = message.signal_id
                if id_ not in done and id_ in self.micro.journal.orders and self.outcome:
                    done.add(id_)
                    self.micro.publish_report(id_, **self.outcome)


@pytest.fixture
def desk(make_micro: Callable[..., FakeMicro], free_port: Callable[[], int]) -> Iterator[Desk]:
    desk = Desk(make_micro(), free_port())
    yield desk
    desk.close()


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_buy_is_followed_until_it_is_filled(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    fill = Fill(
        trade_id="t1",
        child_id="c1",
        price="100",
        quantity="0.5",
        fee="0.05",
        fee_currency="USDT",
        liquidity="maker",
        ts_ns=1,
    )
    desk.outcome["fills"] = (fill,)
    code = desk.run(
        "buy", "BTC/USDT", "0.5", "--venue", "paper", "--param", "urgency=0.5", "--ttl", "10s"
    )
    out, err = said(capsys)
    assert code == Exit.OK
    copies = [msgspec.structs.replace(each, seq=0) for each in desk.micro.of(Signal)]
    sent = copies[0]
    assert copies == [sent] * len(copies), "one order, though it may be sent again"
    assert (sent.side, sent.quantity, sent.venue) == ("buy", "0.5", "paper")
    assert (sent.strategy, sent.params) == ("cli", {"urgency": 0.5})
    assert sent.expires_ns - sent.created_ns == 10 * 10**9
    assert "filled" in out
    assert "maker" in out
    assert sent.signal_id in err


def test_json_is_one_object_on_standard_output(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.run("sell", "BTC/USDT", "0.5", "--json") == Exit.OK
    out, err = said(capsys)
    report = json.loads(out)
    assert (report["status"], report["side"], report["filled"]) == ("filled", "sell", "0.5")
    assert out.count("\n") == 1
    assert err == ""


def test_a_rejection_shows_its_code_and_what_would_pass(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.outcome = {
        "status": "rejected",
        "reason_code": "UNKNOWN_SYMBOL",
        "reason": "no such instrument",
        "permitted": "0.1",
    }
    assert desk.run("buy", "NO/SUCH", "0.5") == Exit.REFUSED
    out, _ = said(capsys)
    assert "UNKNOWN_SYMBOL no such instrument" in out
    assert "0.1" in out


def test_an_order_that_ends_with_a_rest_differs(desk: Desk) -> None:
    desk.outcome = {"status": "expired", "filled": "0.2"}
    assert desk.run("buy", "BTC/USDT", "0.5") == Exit.DIFFERENCE


def test_without_waiting_the_acknowledgement_is_enough_and_a_cancel_follows(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.outcome = {}
    assert desk.run("buy", "BTC/USDT", "0.5", "--no-wait", "--json") == Exit.OK
    report = json.loads(said(capsys)[0])
    assert report["status"] == "working"
    assert desk.run("cancel", report["signal_id"], "--json") == Exit.OK
    assert json.loads(said(capsys)[0])["status"] == "canceled"


def test_a_cancel_of_an_unknown_order_is_bad_input(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.run("cancel", "nonsense") == Exit.BAD_INPUT
    assert "knows no order 'nonsense'" in said(capsys)[1]


def test_without_micro_it_says_where_it_looked(
    capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]
) -> None:
    connect, bind = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    code = main(
        [
            "signal",
            "buy",
            "BTC/USDT",
            "1",
            "--connect",
            connect,
            "--bind",
            bind,
            "--timeout",
            "300ms",
        ]
    )
    assert code == Exit.UNAVAILABLE
    assert f"no heartbeat of micro at {connect}" in said(capsys)[1]


def test_a_micro_that_does_not_listen_to_us_is_distinguished(
    desk: Desk, capsys: pytest.CaptureFixture[str], free_port: Callable[[], int]
) -> None:
    bind = f"tcp://127.0.0.1:{free_port()}"
    words = ["buy", "BTC/USDT", "1", "--bind", bind, "--connect", desk.micro.address]
    assert main(["signal", *words, "--timeout", "500ms"]) == Exit.UNAVAILABLE
    assert f"does not listen to {bind}" in said(capsys)[1]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["buy", "BTC/USDT", "nan"], "quantity is not a finite decimal"),
        (["buy", "BTC/USDT", "--", "-1"], "not greater than 0"),
        (["buy", "BTC/USDT", "0"], "not greater than 0"),
        (["buy", "BTC/USDT", "1", "--limit-price", "inf"], "limit_price"),
        (["buy", "BTC/USDT", "1", "--ttl", "soon"], "cannot read the duration 'soon'"),
        (["buy", "BTC/USDT", "1", "--ttl", "-5s"], "--ttl"),
        (["buy", "BTC/USDT", "1", "--ttl", "9" * 20], "10 years at most"),
        (["buy", "BTC/USDT", "1", "--timeout", "9" * 20], "10 years at most"),
        (["buy", "BTC/USDT", "1", "--param", "x"], "NAME=VALUE"),
        (["buy", "BTC/USDT", "1", "--param", "x=nan"], "finite"),
        (["buy", "BTC/USDT", "1", "--time-in-force", "DAY"], "GTC, IOC, FOK, PO"),
        (["buy", "BTC/USDT"], "Missing argument"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["signal", *words]) == Exit.BAD_INPUT
    assert text in said(capsys)[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=1.5", 1.5),
        ("a=true", True),
        ("a=false", False),
        ("a=x=y", "x=y"),
        ("a=", ""),
    ],
)
def test_parameters_have_the_type_they_look_like(text: str, value: object) -> None:
    name, got = read_param(text, "--param")
    assert (name, got, type(got)) == ("a", value, type(value))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("1.5s", 1.5), ("250ms", 0.25), ("2m", 120.0), ("1h", 3600.0), ("1d", 86400.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text, "--ttl") == seconds


@pytest.mark.parametrize("text", ["", "s", "1x", "0", "-1", "nan", "inf", "1 2"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadInput):
        seconds_of(text, "--ttl")


# --- keys ---------------------------------------------------------------------------------------


def test_keys_make_may_be_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "keys"
    assert main(["keys", "make", str(folder)]) == Exit.OK
    assert "macro: made" in said(capsys)[0]
    assert main(["keys", "make", str(folder)]) == Exit.OK
    assert "macro: kept" in said(capsys)[0]
    assert main(["keys", "make", str(folder), "--only", "king"]) == Exit.BAD_INPUT
    assert "king" in said(capsys)[1]
    assert main(["keys", "make", "/proc/no"]) == Exit.BAD_INPUT


# --- tapes --------------------------------------------------------------------------------------


@pytest.fixture
def tape_path(tmp_path: Path) -> Path:
    path = tmp_path / "a.tape"
    with tapes.TapeWriter.create(path, tapes.TapeHeader(created_ns=1)) as writer:
        for n in range(3):
            writer.append(tapes.MARKET, n, b"risk\0\x91\xa1x")
            writer.flush()
    return path


def test_info_dump_and_verify_of_a_whole_tape(
    tape_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tape", "info", str(tape_path)]) == Exit.OK
    assert "3 records in 3 blocks" in said(capsys)[0]
    assert main(["tape", "info", str(tape_path), "--json"]) == Exit.OK
    assert json.loads(said(capsys)[0])["counts"] == {"market risk": 3}
    assert main(["tape", "dump", str(tape_path), "--limit", "2"]) == Exit.OK
    rows = [json.loads(line) for line in said(capsys)[0].splitlines()]
    assert [row["recv_ns"] for row in rows] == [0, 1]
    assert rows[0]["message"] == ["x"]
    assert main(["tape", "verify", str(tape_path)]) == Exit.OK


def test_a_torn_tape_says_where_and_keeps_the_rest(
    tape_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tape_path.read_bytes()
    tape_path.write_bytes(data[:-5])
    assert main(["tape", "verify", str(tape_path)]) == Exit.DIFFERENCE
    out, err = said(capsys)
    assert "2 records in 2 blocks are intact" in out
    with tapes.TapeReader.open(tape_path) as reader:
        assert len(list(reader.records())) == 2
        assert f"offset {reader.offset}" in err


def test_what_is_no_tape_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x"
    path.write_text("no tape")
    for words in (["tape", "info"], ["tape", "dump"], ["tape", "verify"], ["replay", "--verify"]):
        assert main([*words, str(path)]) == Exit.BAD_INPUT
        assert "not a tape" in said(capsys)[1]


def test_replay_needs_somewhere_to_play_to(
    tape_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(tape_path)]) == Exit.BAD_INPUT
    assert "--market" in said(capsys)[1]
    journal = tmp_path / "j"
    tapes.TapeWriter.create(journal, tapes.TapeHeader(created_ns=1, kind="journal")).close()
    words = ["replay", str(journal), "--market", "tcp://127.0.0.1:0"]
    assert main(words) == Exit.BAD_INPUT
    assert "--verify" in said(capsys)[1]
    words = ["replay", str(tape_path), "--market", "tcp://127.0.0.1:0", "--wait", "0.05"]
    assert main(words) == Exit.UNAVAILABLE
    assert main([*words, "--speed", "0"]) == Exit.BAD_INPUT


def recorded(tape: Path) -> int:
    """Records of a tape that is being written: none while it has no header yet."""
    if not tape.exists() or not tape.stat().st_size:
        return 0
    with tapes.TapeReader.open(tape) as reader:
        return len(list(reader.records()))


def test_record_runs_until_it_is_interrupted(tmp_path: Path, desk: Desk, until: Until) -> None:
    out = tmp_path / "run.tape"
    market = desk.micro.address
    words = ["record", "--out", str(out), "--market", market, "--signals", desk.bind, "--compress"]
    with subprocess.Popen(
        [sys.executable, "-m", "citadel_bridge.cli", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            until(lambda: recorded(out) >= 3)
            process.send_signal(signals.SIGINT)
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()  # nothing, when it has ended
    assert process.returncode == Exit.OK
    assert "micro-1" in printed
    with tapes.TapeReader.open(out) as reader:
        assert len(list(reader.records())) >= 3
        assert reader.tail is None
    assert main(["record", "--out", str(out), "--duration", "1s"]) == Exit.BAD_INPUT


def test_a_report_as_json_has_no_nan(desk: Desk) -> None:
    desk.outcome = {"status": "filled", "arrival_mid": float("nan")}
    assert desk.run("buy", "BTC/USDT", "1", "--json") == Exit.OK
    report = next(iter(desk.micro.journal.orders.values()))
    assert as_plain(report)["arrival_mid"] is None
    assert as_plain(msgspec.structs.replace(report, arrival_mid=1.5))["arrival_mid"] == 1.5
