"""Verifying compares what books were published with, as far as the journal's version wrote it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest
from engine_kit import KEY, MS, START, SYMBOL, VENUE, config, rules

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model import commands
from citadel_micro.core.model.events import DepthUpdate, Started, TimerFired
from citadel_micro.shell.journal.run_folder import RunFolder
from citadel_micro.shell.journal.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishBook:
    """The command as versions without features in it wrote it."""

    venue: str
    symbol: str


def earlier(book: commands.PublishBook) -> Command:
    return cast("Command", PublishBook(venue=book.venue, symbol=book.symbol))


def journal(path: Path, written: Callable[[commands.PublishBook], Command]) -> Path:
    """Two seconds of a book that grows, with its published books written like this."""
    settings = config(book_publish_interval_ns=100 * MS)
    engine = Engine(settings, {KEY: rules()})
    folder = RunFolder(path, instance="micro")
    made = folder.create(settings, {KEY: rules()}, START)
    now_ns = START
    events: list[Event] = [Started(state={}, damaged="")]
    for number in range(40):
        at_ns = START + number * 50 * MS
        sides = ([(60_000.0, 1.0 + number)], [(60_000.1, 2.0)])
        events.append(
            DepthUpdate(VENUE, SYMBOL, True, number + 1, number + 1, -1, None, *sides, at_ns, at_ns)
        )
        events.append(TimerFired())
    for number, event in enumerate(events):
        now_ns = START + max(number - 1, 0) // 2 * 50 * MS
        made.event(now_ns, event)
        for command in engine.handle(event, now_ns):
            if isinstance(command, commands.PublishBook):
                made.command(now_ns, written(command))
            else:
                made.command(now_ns, command)
    made.sync()
    made.close()
    folder.close()
    return made.path


def test_published_features_are_recomputed(tmp_path: Path) -> None:
    found = verify(journal(tmp_path, lambda book: book))
    assert found.difference is None
    assert found.notes == ()


def test_a_feature_that_differs_is_found(tmp_path: Path) -> None:
    def changed(book: commands.PublishBook) -> Command:
        return replace(book, features=(*book.features[:-1], 0.25))

    found = verify(journal(tmp_path, changed))
    assert found.difference is not None
    assert "PublishBook" in found.difference.expected


def test_a_journal_of_before_verifies_without_them(tmp_path: Path) -> None:
    found = verify(journal(tmp_path, earlier))
    assert found.difference is None
    (note,) = found.notes
    assert "form of an earlier version" in note


def test_a_book_of_before_is_still_compared_by_its_market(tmp_path: Path) -> None:
    def other(book: commands.PublishBook) -> Command:
        return cast("Command", PublishBook(venue=book.venue, symbol="X/Y"))

    assert verify(journal(tmp_path, other)).difference is not None


@pytest.mark.parametrize("written", [earlier, lambda book: book])
def test_the_number_of_commands_is_the_same(
    tmp_path: Path, written: Callable[[commands.PublishBook], Command]
) -> None:
    found = verify(journal(tmp_path, written))
    assert found.commands > 10
    assert found.events == 81
