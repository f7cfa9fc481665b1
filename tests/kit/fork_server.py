"""A process that has imported our programs, and forks one for each start that it is asked for.

It is run by path, with the number of a socket. Each packet on this is one start: a JSON object, and with it
a socket for the answers and the three files of the new process. The answers are the process's number, and
its exit code when it has ended. A process is killed when its socket for the answers is closed: nobody is left
who could end it. All are, and this ends, when the first socket is closed.
``quick_start`` is the other side.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

PACKET: Final = 1 << 18
"""Octets; an environment fits."""
_FILES: Final = 4
_LEFT_OUT: Final = ("__main__", "pytest_plugin", "view")
"""Modules that no program imports, or only one that asks for it."""
_SIGNALS: Final = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


def preload() -> None:
    """Import what programs import, but nothing that changes a process when it is imported.

    Our modules import ccxt, which sets the precision of decimals, only when they need it.
    """
    # Its threads would not be in what is forked, and who looks for them would find them gone.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in ("citadel_proto", "citadel_bridge", "citadel_micro"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if module.name.rpartition(".")[2] not in _LEFT_OUT:
                importlib.import_module(module.name)
    del os.environ["OPENBLAS_NUM_THREADS"]
    changing = {"ccxt", "freqtrade", "pandas", "pytest"} & sys.modules.keys()
    if changing:
        sys.exit(f"these must not be imported before a program is: {changing}")


class Server:
    """Starts and waits.

    Args:
        control: where starts are asked for.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._asked_by: dict[int, socket.socket] = {}
        self._wanted: dict[socket.socket, int] = {}
        """The processes whose asker is still there."""

    def serve(self) -> Callable[[], int]:
        """Start what is asked for; returns in each new process, with what it is to do."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        while True:
            control = self._control.fileno()
            watched: list[int | socket.socket] = [control, woken, *self._wanted]
            ready, _, _ = select.select(watched, [], [])
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            for asker in [each for each in self._wanted if each in ready]:
                os.kill(self._wanted.pop(asker), signal.SIGKILL)
            if control not in ready:
                continue
            text, files, _, _ = socket.recv_fds(self._control, PACKET, _FILES)
            if not text:
                self._end()
            # The asker may send it a signal before it has a handler of its own, and this process ignores
            # some: what is blocked waits instead.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                return _become(json.loads(text), files[1:])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            answers = socket.socket(fileno=files[0])
            for file in files[1:]:
                os.close(file)
            self._asked_by[pid] = answers
            self._wanted[answers] = pid
            _answer(answers, pid)

    def _reap(self) -> None:
        while self._asked_by:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            answers = self._asked_by.pop(pid)
            self._wanted.pop(answers, None)
            _answer(answers, os.waitstatus_to_exitcode(status))
            answers.close()

    def _end(self) -> NoReturn:
        for pid in self._asked_by:
            os.kill(pid, signal.SIGKILL)
        for pid in self._asked_by:
            os.waitpid(pid, 0)
        sys.exit()


def _answer(answers: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # who asked does not care any more
        answers.sendall(f"{number}\n".encode())


def _become(start: dict[str, Any], files: list[int]) -> Callable[[], int]:
    """Make this process what a start of the interpreter makes one."""
    for number in _SIGNALS:
        # The C library keeps two of the real-time signals for itself.
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    for standard, file in enumerate(files):
        os.dup2(file, standard)
    os.closerange(3, 1 << 16)
    os.chdir(start["folder"])
    os.environ.clear()
    os.environ.update(start["environment"])
    sys.path[0] = start["folder"]  # as of `python -m`
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8", closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _written(1, "strict", line_buffering=os.isatty(1))  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _written(2, "backslashreplace", line_buffering=True)  # type: ignore[misc]

    if os.environ.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()

    from citadel_bridge import cli  # noqa: PLC0415 - not before preload has set its environment

    sys.argv = [cli.__file__, *start["words"]]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return cli.main


def _written(file: int, errors: str, *, line_buffering: bool) -> io.TextIOWrapper:
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    raw = os.fdopen(file, "wb", 0 if unbuffered else -1, closefd=False)
    return io.TextIOWrapper(
        raw,
        encoding="utf-8",
        errors=errors,
        line_buffering=line_buffering,
        write_through=unbuffered,
    )


def _leave(code: int) -> NoReturn:
    """End as an interpreter does, but for the modules: to free what was imported copies all its pages.

    What the program itself has left is freed, and says so if it should have been closed.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # the interpreter knows what to say of it
    os._exit(code)


def main() -> NoReturn:
    """Serve; and in each new process run a program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: for the tests, which end us
    preload()
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=int(sys.argv[1]))
    run = Server(control).serve()
    _leave(run())


if __name__ == "__main__":
    main()
