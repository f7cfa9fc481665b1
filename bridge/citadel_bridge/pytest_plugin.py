"""Pytest fixtures that play a recorded tape to the code under test.

::

    def test_my_strategy_sees_the_book(tape):
        played = tape("recordings/monday.tape")
        mirror = played.mirror()                      # or played.feed(connector)
        assert mirror.books["binance-spot", "BTC/USDT"].state == "LIVE"
        played.signals(my_engine.on_signal)           # each Signal, Cancel, Query, heartbeat

The plugin is loaded by every pytest run where the package is installed, so it imports nothing until
the fixture is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_bridge.channels import Sink
    from citadel_bridge.connector import HybridConnector
    from citadel_bridge.micro_state import MicroStateCache
    from citadel_proto.messages import SignalChannel
    from citadel_proto.tape import Record, TapeHeader, TornTail


_NOBODY = "inproc://nobody"


class HasInbox(Protocol):
    """Anything that market frames can be fed to: a ``HybridConnector``, running or not."""

    @property
    def inbox(self) -> Sink:
        """Takes frames."""


class PlayedTape:
    """A tape read into memory.

    Args:
        path: the file.

    Raises:
        BadInput, DecodeError: as ``citadel_proto.tape.TapeReader.open``.
    """

    def __init__(self, path: Path) -> None:
        from citadel_proto.tape import TapeReader  # noqa: PLC0415 - see the module's text

        with TapeReader.open(path) as reader:
            self.header: TapeHeader = reader.header
            self.records: list[Record] = list(reader.records())
            self.tail: TornTail | None = reader.tail

    def feed(self, connector: HasInbox) -> int:
        """Feed the market channel to a connector as if it had been received; returns the count."""
        from citadel_proto.tape import MARKET  # noqa: PLC0415

        frames = [record.frame for record in self.records if record.direction == MARKET]
        for frame in frames:
            connector.inbox.feed(frame)
            connector.inbox.flush()
        return len(frames)

    def mirror(self) -> MicroStateCache:
        """The state of a macro after the whole market channel: reports, books and balances."""
        from citadel_bridge.channels import Inbox  # noqa: PLC0415
        from citadel_bridge.micro_state import MicroStateCache  # noqa: PLC0415
        from citadel_proto.codec import decode_market  # noqa: PLC0415
        from citadel_proto.tape import MARKET  # noqa: PLC0415

        mirror = MicroStateCache()
        inbox = Inbox(decode_market, mirror.apply)
        for record in self.records:
            if record.direction == MARKET:
                inbox.feed(record.frame)
                inbox.flush()
        return mirror

    def signals(self, callback: Callable[[SignalChannel], object]) -> int:
        """Pass every message of the signals channel to a callback; returns how many.

        Raises:
            DecodeError: the tape holds a frame that is no message.
        """
        from citadel_proto.codec import decode_signal  # noqa: PLC0415
        from citadel_proto.tape import SIGNALS  # noqa: PLC0415
        from citadel_proto.topics import split  # noqa: PLC0415

        frames = [record.frame for record in self.records if record.direction == SIGNALS]
        for frame in frames:
            callback(decode_signal(split(frame)[1]))
        return len(frames)


@pytest.fixture
def tape() -> Callable[[str | Path], PlayedTape]:
    """Open recorded tapes by path."""
    return lambda path: PlayedTape(Path(path))


@pytest.fixture
def connector() -> Iterator[Callable[..., HybridConnector]]:
    """Make connectors that run, that nobody answers, and that are closed when the test ends.

    Their settings are those of ``citadel_bridge.config.ConnectorConfig``. Feed one a tape, and it knows what
    a macro knew: ``tape(path).feed(connector())``.
    """
    made: list[HybridConnector] = []

    def make(**settings: object) -> HybridConnector:
        from citadel_bridge.config import ConnectorConfig  # noqa: PLC0415 - see the module's text
        from citadel_bridge.connector import HybridConnector  # noqa: PLC0415

        # Each connector has a context of its own, where nobody else can bind.
        given = {"signals": "tcp://127.0.0.1:0", "market": (_NOBODY,)} | settings
        made.append(HybridConnector(ConnectorConfig(**given)))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()
