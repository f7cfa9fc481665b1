"""Processes of the demo: real ones, small."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from citadel_micro.demo.processes import Child, ended_like_ctrl_c, free_port, wait_for_file
from citadel_micro.demo.run import DemoRun
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAITING = "import signal, time\nprint('up', flush=True)\ntime.sleep(60)"
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
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
    deadline = time.monotonic() + 60
    while "up" not in child.log.read_text():
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
    assert code != 0, "Python ends with a KeyboardInterrupt"
    assert it.status == f"exited {code}"
    assert it.stop() == code


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_told_to_end_can_still_end_its_processes(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ended_like_ctrl_c():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


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


def test_ports_are_free_and_differ() -> None:
    ports = {free_port() for _ in range(5)}
    assert len(ports) > 1
    assert all(1024 <= port < 65536 for port in ports)
