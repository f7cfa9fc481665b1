"""Nothing that only Linux has is needed to import any part: analysis and backtests run anywhere."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

HIDDEN: Final = (
    "fcntl",
    "termios",
    "resource",
    "uvloop",
    "pwd",
    "grp",
    "pty",
    "tty",
    "syslog",
    "readline",
)

# Everything is imported as usual first, so that other people's packages have what they want. Then our
# modules once more, on what looks like Windows to them: without these modules and attributes, and
# without our compiled ones.
PROGRAM: Final = """
import importlib, os, pkgutil, signal, socket, sys, warnings
warnings.simplefilter("ignore")
ours = ("citadel_proto", "citadel_bridge", "citadel_macro", "citadel_micro")
hidden = sys.argv[1].split(",")
compiled = {"_levels", "_book", "_forms", "_deltas"}

def every():
    for name in ours:
        package = importlib.import_module(name)
        for info in pkgutil.walk_packages(package.__path__, name + "."):
            leaf = info.name.rpartition(".")[2]
            if leaf != "__main__" and leaf not in compiled and "user_data" not in info.name:
                yield info.name

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in hidden or name.rpartition(".")[2] in compiled:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

names = sorted(every())
for name in names:
    importlib.import_module(name)
for name in list(sys.modules):
    if name.partition(".")[0] in (*ours, *hidden):
        del sys.modules[name]
sys.meta_path.insert(0, Hide())
sys.platform = "win32"
for module, attributes in (
    (os, ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "geteuid", "getuid", "fork", "fchmod",
          "sysconf", "pread", "pwrite", "sched_setaffinity", "sched_getaffinity", "statvfs")),
    (signal, ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGALRM", "SIGPIPE", "SIGCHLD")),
    (socket, ("AF_UNIX", "SOCK_CLOEXEC")),
):
    for attribute in attributes:
        if hasattr(module, attribute):
            delattr(module, attribute)
failed = []
for name in names:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed.append(f"{name}: {type(error).__name__}: {error}")
from citadel_micro.core.marketdata import kernel
print(len(names), kernel.COMPILED, *failed, sep="\\n")
"""


@pytest.mark.campaign
def test_every_module_can_be_imported_where_nothing_of_linux_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(HIDDEN)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    count, compiled, *failed = done.stdout.splitlines()
    assert failed == []
    assert int(count) > 300
    assert compiled == "False"
