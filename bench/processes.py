"""The project's programs as processes that end with the benchmark that started them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

END_WITHIN_S = 20


def port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    return free


def start(stack: ExitStack, log: Path, *words: str) -> subprocess.Popen[bytes]:
    """One of our programs, ended by SIGINT when the stack unwinds, by force if it does not."""
    out = stack.enter_context(log.open("w"))
    process = subprocess.Popen([sys.executable, *words], stdout=out, stderr=out)

    def stop() -> None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)
    return process


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 40) -> dict[str, Any]:
    """Content of a ready file.

    Raises:
        SystemExit: the process ended, or was not ready in time.
    """
    deadline = time.monotonic() + seconds
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            logs = "".join(log.read_text()[-2000:] for log in sorted(path.parent.glob("*.log")))
            raise SystemExit(f"{logs}\n{process.args!r} is not ready")
        time.sleep(0.05)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def simulator(stack: ExitStack, folder: Path, symbols: str) -> dict[str, Any]:
    """Addresses of a simulator that serves these symbols."""
    ready = folder / "sim.json"
    words = ("sim", "--port", "0", "--symbols", symbols, "--ready-file", str(ready))
    process = start(stack, folder / "sim.log", "-m", "citadel_bridge.cli", *words)
    return wait_for(ready, process)
