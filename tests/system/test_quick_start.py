"""A program that was forked is the one that an interpreter starts."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from effort import campaign
from leftovers import forget_failed
from process_kit import until
from quick_start import COMMAND, Started, run, start

from citadel_bridge.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = ("sim", "--symbols", "NOPE/USDT")
TWICE = ("micro", "--symbols", "A/B", "--print-config")


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[tuple[Started, Path]]:
    ready = tmp_path / "ready.json"
    words = ["sim", "--port", "0", "--symbols", "BTC/USDT", "--history-days", "1", "--no-futures"]
    with (tmp_path / "log").open("wb") as log:
        started = Started(
            [*words, "--ready-file", str(ready)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    until(ready.exists)
    yield started, ready
    started.kill()
    started.wait(60)


@pytest.mark.parametrize(
    "words", [campaign(REFUSED), TWICE, campaign(("sim", "--no-such")), campaign(("--version",))]
)
def test_it_says_and_answers_the_same(words: tuple[str, ...]) -> None:
    real = subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=120, check=False
    )
    forked = run(*words)
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        real.returncode,
        real.stdout,
        real.stderr,
    )


def test_it_ends_by_a_signal_as_any_other(sim: tuple[Started, Path]) -> None:
    started, ready = sim
    assert started.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        started.wait(0.01)
    started.terminate()
    assert started.wait(60) == Exit.OK
    assert not ready.exists()
    started.send_signal(signal.SIGKILL)  # to nobody
    assert (started.poll(), started.wait()) == (Exit.OK, Exit.OK)


def test_it_can_be_killed(sim: tuple[Started, Path]) -> None:
    started, _ = sim
    started.kill()
    assert started.wait(60) == -signal.SIGKILL


def test_a_signal_that_comes_before_it_has_begun_is_not_lost() -> None:
    """Whoever forks it ignores Ctrl-C; it must not for a moment."""
    for _ in range(5):
        started = Started(
            ("sim", "--port", "0"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        started.send_signal(signal.SIGINT)
        try:
            # As an interpreter's, which an interrupt finds in an import, or already in a command.
            assert started.wait(60) in {-signal.SIGINT, Exit.INTERRUPTED}
        finally:
            started.kill()
            started.wait(60)


def test_it_has_nothing_of_ours_but_what_it_was_given(sim: tuple[Started, Path]) -> None:
    process = Path(f"/proc/{sim[0].pid}")
    if not process.exists():
        pytest.skip("this system has no /proc")
    log = str(sim[1].with_name("log"))
    shown = {each.name: str(each.readlink()) for each in (process / "fd").iterdir()}
    assert (shown["0"], shown["1"], shown["2"]) == (os.devnull, log, log)
    ours = {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists()}
    assert not {path for path in shown.values() if path.startswith("socket")} & ours
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    ignored = int(status["SigIgn"], 16)
    pythons = sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ))
    own = int(Path("/proc/self/status").read_text().split("SigIgn:")[1].split()[0], 16)
    # A program that is started inherits what its parent ignores.
    assert ignored | own | pythons == own | pythons
    assert ignored & pythons == pythons
    assert int(status["SigBlk"], 16) == 0


def test_what_a_fork_cannot_be_is_started(tmp_path: Path) -> None:
    """Another program before it; a variable that the interpreter reads."""
    words = [*COMMAND, "--version"]
    plain = {k: v for k, v in os.environ.items() if not k.startswith("CITADEL_")}
    for arguments, more in (
        (words, {}),
        (["env", "A=1", *words], {}),
        (words, {"PYTHONHASHSEED": "1"}),
        (words, {"CITADEL_KERNEL": "python"}),
    ):
        with (tmp_path / "log").open("wb") as log:
            process = start(arguments, log=log, environment=plain | more)
        assert process.wait(60) == Exit.OK
        assert isinstance(process, Started) is (arguments is words and not more)


def test_one_that_nobody_can_end_any_more_is_killed() -> None:
    started = Started(("sim", "--port", "0"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watched = os.pidfd_open(started.pid)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del started
        assert select.select([watched], [], [], 60)[0]
    finally:
        os.close(watched)


def test_a_failed_test_leaves_nothing_for_the_next_one() -> None:
    end, far = os.pipe()
    os.close(far)
    held: list[object] = [os.fdopen(end)]
    held.append(held)  # as a traceback holds what its frames hold
    sys.last_value = ValueError(held)
    del held
    forget_failed()
    assert not hasattr(sys, "last_value")
    gc.collect()  # a warning would be an error here
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(end)
