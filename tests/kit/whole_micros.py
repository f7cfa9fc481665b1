"""A whole micro in every Python: part of ``make pythons``.

The project is installed, with its compiled kernel, into an environment for each Python that its packages can be had for.
In each a simulated exchange and a micro on paper run as processes of their own; the command line of each of the others
sends that micro orders. What the micro has journaled is then recomputed by every Python: the same events, the same
commands, no difference. Prices are those of the moment, so two micros' journals are two stories.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from live_kit import UNHURRIED

ROOT: Final = Path(__file__).resolve().parents[2]
SYMBOL: Final = "BTC/USDT"
ORDERS: Final = (
    ("buy", SYMBOL, "0.05", "--algo", "marketable_limit"),
    ("sell", SYMBOL, "0.02", "--algo", "chase_limit"),
)
UP_WITHIN_S: Final = 120.0
COMMAND: Final = ("-m", "citadel_bridge.cli")


def installed(python: str, version: str, cache: Path) -> str:
    """The interpreter of an environment with the project in it; empty where that cannot be had."""
    folder = cache / f"whole-{version}"
    own = folder / "bin" / "python"
    pip = [str(own), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    ready = folder / ".ready"
    steps = [
        [python, "-m", "venv", "--clear", str(folder)],
        [*pip, "-c", str(ROOT / "constraints.txt"), f"{ROOT}[micro]"],
    ]
    if ready.exists():  # with the project as it was then
        steps = [[*pip, "--force-reinstall", "--no-deps", str(ROOT)]]
    for words in steps:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stdout.write(f"no micro in {version}: {done.stderr.strip()[-200:]}\n")
            return ""
    ready.touch()
    return str(own)


def clean() -> dict[str, str]:
    """An environment in which a program finds what is installed, and nothing else of ours."""
    ours = ("CITADEL_", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class Programs:
    """A simulator and a micro of one Python."""

    def __init__(self, python: str, folder: Path, stack: ExitStack) -> None:
        self._python = python
        self._folder = folder
        self._stack = stack
        self.run_dir = folder / "run"
        self._ports = [_free_port(), _free_port()]
        market = f"tcp://127.0.0.1:{self._ports[0]}"
        commands = f"tcp://127.0.0.1:{self._ports[1]}"
        self.bridge = ("--connect", market, "--bind", commands, "--timeout", "60s", "--json")
        _, sim = self._start("sim", "sim", "--port", "0", "--symbols", SYMBOL)
        config = folder / "micro.toml"
        config.write_text(f"[risk]{UNHURRIED}")
        self.micro, _ = self._start(
            "micro",
            *("micro", "--config", str(config), "--mode", "paper", "--symbols", SYMBOL),
            *("--run-dir", str(self.run_dir), "--http", "off"),
            *("--rest-url", sim["rest"], "--ws-url", sim["ws"]),
            *("--signals", "tcp://127.0.0.1:1", "--commands", commands, "--market", market),
        )

    def _start(self, name: str, *words: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        ready = self._folder / f"{name}.json"
        log = self._folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self._python, *COMMAND, *words, "--ready-file", str(ready)],
                stdout=out,
                stderr=out,
                env=clean(),
                cwd=self._folder,
            )
        self._stack.callback(_end, process)
        deadline = time.monotonic() + UP_WITHIN_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} of {self._python} is not up:\n{log.read_text()}")
            time.sleep(0.05)
        found: dict[str, Any] = json.loads(ready.read_text())
        return process, found

    def stop(self) -> int:
        """End micro in its own way; its exit code."""
        self.micro.send_signal(signal.SIGTERM)
        return self.micro.wait(UP_WITHIN_S)


def said(python: str, *words: str) -> dict[str, Any]:
    """What a command says as JSON; SystemExit where it fails."""
    done = subprocess.run(
        [python, *COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
        env=clean(),
        cwd=tempfile.gettempdir(),
    )
    if done.returncode:
        raise SystemExit(f"{python} {words!r} ended {done.returncode}\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def journal_of(python: str, senders: list[str], folder: Path) -> Path:
    """Run a whole micro, let every sender trade, and return what it has journaled."""
    with ExitStack() as stack:
        programs = Programs(python, folder, stack)
        for sender in senders:
            for order in ORDERS:
                report = said(sender, "signal", *order, *programs.bridge)
                if report["status"] != "filled":
                    raise SystemExit(f"an order of {sender} at {python}: {report}")
        if code := programs.stop():
            raise SystemExit(f"micro of {python} ended {code}")
    (journal,) = programs.run_dir.glob("journal-*")
    return journal


def whole(cache: Path, others: dict[str, str]) -> int:
    """Print what each Python makes of each one's journal; 1 when two differ.

    Args:
        cache: for the environments.
        others: interpreters by version.
    """
    cache = cache.resolve()  # programs run elsewhere
    usable = {sys.version.split()[0]: sys.executable}
    for version, python in others.items():
        if own := installed(python, version, cache):
            usable[version] = own
    different = 0
    for version, python in usable.items():
        with tempfile.TemporaryDirectory() as name:
            journal = journal_of(python, list(usable.values()), Path(name))
            rows = {
                by: said(each, "replay", str(journal), "--verify", "--json")
                for by, each in usable.items()
            }
        first = next(iter(rows.values()))
        for by, row in rows.items():
            same = row == first and row["difference"] is None
            different |= not same
            sys.stdout.write(
                f"{'same' if same else 'DIFFERS'}  {row['events']} events, {row['commands']} commands  "
                f"of micro in {version}, recomputed by {by}\n"
            )
            sys.stdout.flush()
    return int(different)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
