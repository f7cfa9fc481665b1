"""The two ends of lanes: micro's, to which macros connect, and macro's, which connects to micros."""

from __future__ import annotations

import logging
import select
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_bridge import lane
from citadel_bridge.errors import PortTaken
from citadel_bridge.lane_merge import LEFT_OUT, Merge, Run
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from citadel_bridge.readers import Sink

log = logging.getLogger(__name__)

TURN: Final = 32
"""Messages of one lane before others have their turn, as those of one publisher."""
MOST_LANES: Final = 64
"""Macros that are connected at a time."""


@dataclass(slots=True, eq=False)
class _Lane:
    """One that is connected."""

    connection: lane.Connection
    run: Run
    path: Path


class _Ends:
    """What both ends have: connected lanes, and what was sent and received by them."""

    def __init__(self) -> None:
        self.merge = Merge()
        self._lanes: tuple[_Lane, ...] = ()
        self.refused = 0
        """Connections that were ended because no lane of ours does what they did."""
        self.ended = 0
        """Connections that have ended."""
        self._left_out = 0

    def send(self, frame: bytes) -> None:
        """Send a message to everybody who is connected; those who have no room for it go without.

        From any thread, one at a time.
        """
        if not frame.startswith(LEFT_OUT):
            for each in self._lanes:
                each.connection.send(frame)

    @property
    def connected(self) -> int:
        """Lanes that are connected."""
        return len(self._lanes)

    def status(self) -> dict[str, int]:
        """Connections, and counts since the start."""
        merge, lanes = self.merge, self._lanes
        return {
            "connected": len(lanes),
            "in_step": merge.in_step,
            "first": merge.first,
            "second_copies": merge.second,
            "left_to_zeromq": merge.left,
            "late": merge.late,
            "missed": merge.missed,
            "left_out": self._left_out + sum(each.connection.left_out for each in lanes),
            "ended": self.ended,
            "refused": self.refused,
        }

    def _add(self, connection: lane.Connection, path: Path) -> _Lane:
        new = _Lane(connection, self.merge.begin(), path)
        self._lanes = (*self._lanes, new)
        return new

    def _receive(self, each: _Lane, most: int) -> int:
        """Pass on up to ``most`` messages; fewer mean that there are no more."""
        try:
            for taken in range(most):
                packet = each.connection.receive()
                if packet is None:
                    return taken
                self.merge.by_lane(each.run, *packet)
        except lane.LaneEnded as ended:
            self._end(each, ended)
            return 0
        return most

    def _end(self, each: _Lane, ended: lane.LaneEnded) -> None:
        if each not in self._lanes:
            return
        self._drop(each)
        self.ended += 1
        if ended.refused:
            self._refuse(each.path, ended)
        else:
            log.info("the lane %s has ended (%s): everything goes by ZeroMQ", each.path, ended)

    def _refuse(self, path: Path, ended: lane.LaneEnded) -> None:
        self.refused += 1
        if self.refused == 1:
            log.warning("refused at the lane %s (counted from now on): %s", path, ended)

    def _drop(self, each: _Lane) -> None:
        self._lanes = tuple(other for other in self._lanes if other is not each)
        self._left_out += each.connection.left_out
        self.merge.end(each.run)
        each.connection.close()


class LaneServer(_Ends):
    """Micro's end, read by its event loop. Everything but ``send`` is called from the loop's thread.

    Args:
        loop: the loop.
        path: where to listen.

    Raises:
        PortTaken, BadInput: as ``lane.Listener``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path) -> None:
        super().__init__()
        self._loop = loop
        self._listener = lane.Listener(path)
        self._listening = -1
        self._rebind_failed = False

    def start(self) -> None:
        """Let macros connect."""
        self._listening = self._listener.socket.fileno()
        self._loop.add_reader(self._listening, self._on_connect)

    def check(self) -> None:
        """Make the file again, if it was removed; call this now and then."""
        if self._listening < 0 or not self._listener.gone():
            return
        self._loop.remove_reader(self._listening)
        try:
            self._listener.bind_again()
        except (PortTaken, BadInput) as error:
            if not self._rebind_failed:
                log.warning("the lane %s cannot be made again: %s", self._listener.path, error)
            self._rebind_failed = True
        else:
            self._rebind_failed = False
            log.warning("the lane %s was removed: made again", self._listener.path)
        self.start()

    def close(self) -> None:
        """Stop, and end every connection. Safe to repeat."""
        if self._listening >= 0:
            self._loop.remove_reader(self._listening)
            self._listening = -1
        self._listener.close()
        for each in self._lanes:
            self._drop(each)

    def _on_connect(self) -> None:
        own = self._listener.accept()
        if own is None:
            return
        path = self._listener.path
        if self.connected >= MOST_LANES:
            own.close()
            self._refuse(path, lane.LaneEnded(f"{MOST_LANES} are connected", refused=True))
            return
        try:
            connection = lane.Connection(own)
        except lane.LaneEnded as ended:
            self._refuse(path, ended)
            return
        new = self._add(connection, path)
        self._loop.add_reader(connection.fd, self._receive, new, TURN)
        log.info("a macro has connected to the lane %s", path)

    def _drop(self, each: _Lane) -> None:
        self._loop.remove_reader(each.connection.fd)
        super()._drop(each)


class LaneEnds(_Ends):
    """Macro's end, read by whoever has the turn to read; ``send`` by any thread.

    Args:
        paths: of the lanes of one or many micros; nobody need listen there yet.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        super().__init__()
        self._paths = tuple(paths)
        self._poll = select.epoll()
        self.fd = self._poll.fileno()
        """Readable when any of them is."""
        self.closed = False

    @property
    def missing(self) -> bool:
        """Whether one is not connected."""
        return len(self._lanes) < len(self._paths) and not self.closed

    def connect(self) -> None:
        """Connect to those that are not connected, if somebody listens there."""
        have = {each.path for each in self._lanes}
        for path in self._paths:
            if path in have or self.closed:
                continue
            try:
                connection = lane.connect(path)
            except lane.LaneEnded as ended:
                if ended.refused:
                    self._refuse(path, ended)
                continue
            self._add(connection, path)
            self._poll.register(connection.fd, select.EPOLLIN)
            log.info("connected to the lane %s", path)

    def take(self, _sink: Sink, most: int) -> int:
        """Pass on up to ``most`` messages of each; fewer mean that there are no more."""
        return max((self._receive(each, most) for each in self._lanes), default=0)

    def _drop(self, each: _Lane) -> None:
        self._poll.unregister(each.connection.fd)
        super()._drop(each)

    def close(self) -> None:
        """End every connection. Safe to repeat; not while somebody reads."""
        if self.closed:
            return
        self.closed = True
        for each in self._lanes:
            self._drop(each)
        self._poll.close()
