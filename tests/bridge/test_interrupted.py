"""Ctrl-C while sockets are opened: the program ends, whatever of it was open by then."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from citadel_bridge.channels import Inbox
from citadel_bridge.config import ConnectorConfig
from citadel_bridge.interrupts import interrupts_held, lost_interrupts_repeated
from citadel_bridge.macro_sockets import Channels
from citadel_proto.codec import decode_market

if TYPE_CHECKING:
    from types import FrameType

OPENING = ("macro_sockets.py", "sockets.py", "channels.py", "readers.py", "zmq/sugar/context.py")
CLOSING = (
    *("macro_sockets.py", "receiver.py", "turns.py", "readers.py"),
    *("channels.py", "upstream.py", "socket_files.py"),
)
"""Without ZeroMQ's own: its finalizers may run at any time."""


class InterruptAt:
    """Press Ctrl-C when the ``line``-th line of these files is about to run."""

    def __init__(self, line: int, files: tuple[str, ...] = OPENING) -> None:
        self.left = line
        self._files = files

    def __call__(self, frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - as of settrace
        if not frame.f_code.co_filename.endswith(self._files):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)
        return self


@pytest.mark.timeout(60)
def test_an_interrupt_while_sockets_are_opened_never_hangs() -> None:
    config = ConnectorConfig(signals="tcp://127.0.0.1:*", market=("tcp://127.0.0.1:1",))
    threads = threading.active_count()
    line, opened = 0, None
    while opened is None:
        line += 1
        before = sys.gettrace()
        at = InterruptAt(line)
        sys.settrace(at)
        try:
            opened = Channels(config, {}, b"answers", Inbox(decode_market, lambda *_: None))
        except KeyboardInterrupt:
            assert at.left <= 0
        finally:
            sys.settrace(before)
        if opened is None:
            assert threading.active_count() == threads
    assert at.left > 0  # it was opened because it was not interrupted
    opened.close()
    assert line > 50


@pytest.mark.timeout(60)
def test_an_interrupt_while_sockets_are_closed_never_hangs() -> None:
    """A second Ctrl-C, while the first is seen to."""
    config = ConnectorConfig(signals="tcp://127.0.0.1:*", market=("tcp://127.0.0.1:1",))
    threads = threading.active_count()
    line, left = 0, 0
    while left <= 0:
        line += 1
        opened = Channels(config, {}, b"answers", Inbox(decode_market, lambda *_: None))
        opened.reader.start()
        at, before = InterruptAt(line, CLOSING), sys.gettrace()
        sys.settrace(at)
        try:
            opened.close()
        except KeyboardInterrupt:
            assert at.left <= 0
        finally:
            sys.settrace(before)
        left = at.left
        opened.close()  # where it was pressed before anything was done
        assert threading.active_count() == threads
        assert opened.reader.failure is None
    assert line > 30


def interrupted(done: list[bool], error: Exception | None = None) -> None:
    with interrupts_held():
        signal.raise_signal(signal.SIGINT)
        if error is not None:
            raise error
        done.append(True)


def test_what_was_held_back_comes_after_the_block() -> None:
    done: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done)
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_not_lost_beside_an_error() -> None:
    with pytest.raises(KeyboardInterrupt) as raised:
        interrupted([], ValueError("of the block"))
    assert "of the block" in str(raised.value.__context__)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_at_any_step_of_a_hold_leaves_no_handler_behind() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    line, left = 0, 0
    while left <= 0:
        line += 1
        at = InterruptAt(line, ("interrupts.py",))
        traced = sys.gettrace()
        sys.settrace(at)
        try:
            with interrupts_held():
                pass
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(traced)
        left = at.left
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before, line
    assert line > 10


class Finalized:
    """Ctrl-C is pressed while it is finalized."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


class Broken:
    """Its finalizer raises."""

    def __del__(self) -> None:
        raise ZeroDivisionError


def test_an_interrupt_inside_a_finalizer_comes_again_and_another_error_is_told_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    before = sys.unraisablehook
    late: list[bool] = []
    nobody = threading.Event()

    def give_up() -> None:
        late.append(True)
        nobody.set()

    guard = threading.Timer(60, give_up)
    guard.start()
    try:
        with lost_interrupts_repeated():
            Broken()
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - where it comes is open
                Finalized()
                nobody.wait()
    finally:
        guard.cancel()
        guard.join()
    assert not late, "the wait was not interrupted"
    assert told == [ZeroDivisionError]
    assert sys.unraisablehook is before
