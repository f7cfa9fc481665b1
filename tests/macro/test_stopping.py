"""A stop that Freqtrade is asked for once stops it, wherever it is just then."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from freqtrade.worker import Worker

from citadel_macro import freqtrade_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator


class AskedWhileFreed:
    """Is asked to stop in its finalizer, which no exception leaves."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


@pytest.fixture(autouse=True)
def _as_freqtrade_begins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its handler is there, and its worker needs no configuration."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "_init", lambda *_: None)
    monkeypatch.setattr(Worker, "_notify", lambda *_: None)
    before = signal.signal(signal.SIGTERM, stop)
    yield
    assert signal.signal(signal.SIGTERM, before) is stop, "it is Freqtrade's again"


def lose(number: int, monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException] | None]:
    """Ask for a stop where the interpreter forgets it; what it said of that."""
    said: list[type[BaseException] | None] = []
    with monkeypatch.context() as here:
        here.setattr(sys, "unraisablehook", lambda lost: said.append(lost.exc_type))
        asked = AskedWhileFreed(number)
        del asked
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_gets_lost_is_heard_before_the_next_turn(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[Any] = []
    monkeypatch.setattr(Worker, "_worker", lambda _, old_state: turns.append(old_state))
    with freqtrade_hooks.installed(lambda: None):
        worker = Worker({})
        worker._worker(old_state=None)
        assert lose(number, monkeypatch) == [KeyboardInterrupt]
        with pytest.raises(KeyboardInterrupt):
            worker.run()
    assert len(turns) == 1


def test_one_that_comes_while_it_is_built_is_not_lost_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Worker, "_init", lambda *_: lose(signal.SIGTERM, monkeypatch))
    with freqtrade_hooks.installed(lambda: None), pytest.raises(KeyboardInterrupt):
        Worker({}).run()


def test_any_other_stops_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "_worker", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    with freqtrade_hooks.installed(lambda: None):
        worker = Worker({})
        with pytest.raises(KeyboardInterrupt):
            worker._worker(old_state=None)
