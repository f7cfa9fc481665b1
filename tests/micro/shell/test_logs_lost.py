"""A log line that cannot be written is lost, and nothing else is."""

from __future__ import annotations

import errno
import io
import logging
from typing import TYPE_CHECKING

import pytest

from citadel_micro.core.model.commands import Note
from citadel_micro.shell import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = Note(level="error", event="forced_close", fields=(("symbol", "BTC/USDT"),))


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        del text
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = before, level


def test_a_line_that_cannot_be_written_stops_nothing() -> None:
    for stream, closes in ((FullDisk(), False), (io.StringIO(), True)):
        logs.configure("info", "json", stream=stream)
        if closes:
            stream.close()
        logs.note(NOTE)
        logging.getLogger("citadel_micro").error("a library's line")


def test_what_is_lost_is_counted_and_the_rest_is_written() -> None:
    target = io.StringIO()
    stream = logs.Steadfast(target)
    stream.write("one\n")
    stream.flush()
    assert target.getvalue() == "one\n"
    before = logs.Steadfast.lost
    target.close()
    stream.write("two\n")
    assert logs.Steadfast.lost == before + 1
