"""Processes of the demo: real ones, small."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from journal_kit import lived

from citadel_bridge.parent_process import PARENT_PID
from citadel_micro.demo.processes import Child, ended_like_ctrl_c, free_port, wait_for_file
from citadel_micro.demo.run import DemoRun
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAITING = "import signal, time\nprint('up', flush=True)\ntime.sleep(60)"
LEFT_ALONE = """
import signal, sys, time
from citadel_bridge.parent_process import end_with_parent

def ended(*_):
    print("told to end", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, ended)
end_with_parent()
print("up", flush=True)
time.sleep(60)
"""
PARENT = """
import sys, time
from pathlib import Path
from citadel_bridge.parent_process import PARENT_PID
from citadel_micro.demo.processes import Child

child = Child("it", ["-c", sys.argv[1]], Path(sys.argv[2]))
child.start()
print(child.process.pid, flush=True)
time.sleep(60)
"""
COUNTING = "import time\nprint('up', flush=True)\nwhile True:\n    time.sleep(0.001)\n    print('.', flush=True)"
TABLES = """
    CREATE TABLE orders (id, order_id, ft_trade_id, ft_pair, ft_order_side, status, ft_is_open,
        filled, average, ft_fee_base);
    CREATE TABLE trades (id, pair, is_open, amount, open_rate, close_rate, fee_open_cost,
        fee_open_currency, fee_close_cost, fee_close_currency, close_profit_abs, exit_reason, fee_open,
        fee_close, amount_precision, precision_mode, price_precision, precision_mode_price, is_short,
        contract_size, funding_fees);
"""
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(60)"
)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    made: list[Child] = []

    def make(program: str) -> Child:
        made.append(Child("it", ["-c", program], tmp_path / "it.log", {"CITADEL_TEST": "here"}))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def until_up(child: Child) -> None:
    until_logged(child.log, "up")


def until_logged(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not log.exists() or text not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_started_watched_and_stopped(child: Callable[[str], Child]) -> None:
    it = child(WAITING)
    assert it.status == "not started"
    assert it.stop() == 0
    it.start()
    until_up(it)
    assert (it.running, it.status) == (True, "running")
    it.require()
    code = it.stop()
    assert code == -signal.SIGTERM
    assert it.status == f"exited {code}"
    assert it.stop() == code


def test_it_does_nothing_while_it_is_held(child: Callable[[str], Child]) -> None:
    it = child(COUNTING)
    it.start()
    until_up(it)
    with it.held():
        before = it.log.read_text()
        time.sleep(0.05)
        assert it.log.read_text() == before
        assert it.running
    deadline = time.monotonic() + 60
    while it.log.read_text() == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with it.held():
        it.kill()
    assert it.status == "exited -9"
    with it.held():  # nothing to hold any more
        pass


def test_one_that_ends_before_it_is_held_has_its_own_code(child: Callable[[str], Child]) -> None:
    it = child("raise SystemExit(7)")
    it.start()
    assert it.process is not None
    os.waitid(os.P_PID, it.process.pid, os.WEXITED | os.WNOWAIT)
    with it.held():
        assert it.status == "exited 7"


def test_it_is_killed_and_started_again_on_the_same_log(child: Callable[[str], Child]) -> None:
    it = child(WAITING)
    it.start()
    until_up(it)
    first = it.process
    it.kill()
    assert it.status == "exited -9"
    with pytest.raises(PeerUnavailable, match=r"it exited -9; its log ends:\n    up"):
        it.require()
    it.start()
    assert it.process is not first
    deadline = time.monotonic() + 60
    while it.log.read_text().count("up") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_does_not_listen_is_killed(
    child: Callable[[str], Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citadel_micro.demo.processes._STOP_S", 0.2)
    it = child(STUBBORN)
    it.start()
    until_up(it)
    assert it.stop() == -9


def test_one_in_the_background_of_a_script_is_stopped_too(child: Callable[[str], Child]) -> None:
    """A shell without job control has SIGINT ignored by what it starts with ``&``."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        it = child(WAITING)
        it.start()
        until_up(it)
        assert it.stop() == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_asked_to_end_can_still_end_its_processes(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with pytest.raises(KeyboardInterrupt), ended_like_ctrl_c():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_like_ctrl_c():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_impatient_second_interrupt_leaves_no_process(
    child: Callable[[str], Child], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = DemoRun(tmp_path, seed=1, machine_learning=False)
    run.macro, run.micro, run.sim = run.children = [child(WAITING) for _ in range(3)]
    for each in run.children:
        each.start()
        until_up(each)

    def interrupted(_child: Child) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Child, "stop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.stop()
    assert [each.running for each in run.children] == [False] * 3
    assert set(run.stop().values()) == {-signal.SIGKILL}


def test_the_clock_runs_from_freqtrades_start_which_is_not_waited_for_forever(
    child: Callable[[str], Child], tmp_path: Path
) -> None:
    run = DemoRun(tmp_path, seed=1, machine_learning=False)
    run.macro, run.micro, run.sim = run.children = [child(WAITING) for _ in range(3)]
    for each in run.children:
        each.start()
        until_up(each)
    with pytest.raises(PeerUnavailable, match=r"Freqtrade was not up within 90 s.*\n    up"):
        run.step(lambda _text: None)
    assert not run.deciding
    run.macro_due = time.monotonic() + 60
    run.step(lambda _text: None)
    run.database.parent.mkdir()
    with closing(sqlite3.connect(run.database)) as link:
        link.executescript(TABLES)
    run.step(lambda _text: None)
    assert (run.deciding, run.round_trips) == (True, 0)


def test_the_end_of_the_log_is_quoted(child: Callable[[str], Child], tmp_path: Path) -> None:
    it = child("import os\nfor n in range(40): print('line', n, os.environ['CITADEL_TEST'])\n1/0")
    it.start()
    with pytest.raises(PeerUnavailable, match="ZeroDivisionError") as caught:
        wait_for_file(tmp_path / "never", it, 30)
    assert "line 39 here" in str(caught.value)
    assert "line 2 here" not in str(caught.value)


def test_a_ready_file_is_waited_for_but_not_forever(
    child: Callable[[str], Child], tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    it = child(f"open({str(ready)!r}, 'w').close()\nprint('up', flush=True)\n{WAITING}")
    it.start()
    wait_for_file(ready, it, 30)
    with pytest.raises(PeerUnavailable, match="not ready within 0 s"):
        wait_for_file(tmp_path / "never", it, 0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="a service of the Linux kernel")
def test_a_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, LEFT_ALONE, str(log)], stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            until_logged(log, "up")
            assert "told to end" not in log.read_text()
        finally:
            parent.kill()
    try:
        until_logged(log, "told to end")
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="a service of the Linux kernel")
def test_a_program_whose_demo_has_ended_before_it_is_up_ends_too() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "citadel_bridge.cli", "--version"],
        env=os.environ | {PARENT_PID: "0"},  # nobody's parent
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, b"")


def test_ports_are_free_and_differ() -> None:
    ports = {free_port() for _ in range(5)}
    assert len(ports) > 1
    assert all(1024 <= port < 65536 for port in ports)


def test_micro_is_killed_with_an_order_at_work_by_its_journal_only(
    child: Callable[[str], Child], tmp_path: Path
) -> None:
    run = DemoRun(tmp_path, seed=1, paper=True)
    run.micro = child(WAITING)
    run.micro.start()
    until_up(run.micro)
    said: list[str] = []
    assert not run._kill(said.append)  # it has no journal yet
    run.journal.mkdir()
    lived(run.journal / "journal-1.ctape")
    newest = run.journal / "journal-2.ctape"
    newest.touch()
    assert not run._kill(said.append)  # nothing was written in this run
    assert (run.micro.status, said, run._killed_at) == ("running", [], 0.0)
    newest.unlink()
    assert run._kill(said.append)
    assert said == ["kill -9 micro, with 1 working order(s)"]  # of two orders one has filled
    assert run.micro.status == "exited -9"
    assert run.state.incidents.worked_through == 1
