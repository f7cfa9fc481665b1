"""A process that holds keys leaves no core, lets nobody look in, and shows no secret at its end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from key_kit import KEY_SECRET

BEGIN = f"""
import resource, sys, threading
from citadel_micro.shell.keys.process_guard import guard_process
from citadel_micro.shell.keys.redaction import REDACTOR
from citadel_micro.shell.keys.secret import Secret
guard_process()
planted = {KEY_SECRET!r}[::-1][::-1]
REDACTOR.add(Secret(planted))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    # From standard input: a traceback then has no lines of source to show.
    return subprocess.run(
        [sys.executable, "-"], input=BEGIN + program, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "program",
    [
        "raise ValueError(f'failed with {planted}')",
        "t = threading.Thread(target=lambda: [][planted]); t.start(); t.join(); int(planted)",
        "from citadel_bridge.cli import guarded\nsys.exit(guarded(lambda: int(planted)))",
        """from citadel_bridge.cli import guarded
from citadel_proto.errors import Refused
def fail(): raise Refused(f'signature={"0f" * 32} of {planted}')
sys.exit(guarded(fail))""",
    ],
)
def test_an_exception_that_nobody_catches(program: str) -> None:
    done = run(program)
    assert done.returncode != 0
    assert "***" in done.stderr
    assert KEY_SECRET not in done.stderr + done.stdout
    assert "0f0f" not in done.stderr


def test_no_core_dumps() -> None:
    done = run("print(resource.getrlimit(resource.RLIMIT_CORE))")
    assert done.stdout == "(0, 0)\n"


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_no_other_process_looks_in() -> None:
    show = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    assert run(show).stdout == "0\n"
    # Its own files in /proc stay its own to use: the control socket goes through them.
    own = (
        "import os; os.listdir('/proc/self/fd'); os.stat(f'/proc/self/fd/{os.open(\"/\", 0)}/tmp')"
    )
    drop = "os.setuid(12345)\nguard_process()\n" if os.geteuid() == 0 else ""
    assert run(f"import os\n{drop}{own}\nprint('ok')").stdout == "ok\n"
