"""One sequence of what comes by two ways: ZeroMQ, and a lane on the same machine (``lane``).

A publisher sends the same bytes on both. Whichever copy comes first is passed on, the second is counted
and dropped; no two messages are equal, since each names its sender and its number in its topic.

ZeroMQ decides what there is and in which order. A lane is *in step* from the first message on that has come
by both ways: what ZeroMQ brought before it is known, and what follows it comes by the lane without a gap,
since a lane's packets are numbered. Only then is a message taken from the lane before ZeroMQ has brought it.
When a number is missing, because the lane was full or the message too large for it, it is out of step until
the next message has come by both. So the messages that are passed on are those that ZeroMQ alone would have
brought, in the same order, and those besides that it has lost and the lane brought in time.

Which publisher a lane belongs to shows in the same way: nothing is taken from a lane whose messages
ZeroMQ does not bring, whatever it says of itself.

Nothing here is locked or waits: one thread calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_proto import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST: Final = 1_024
"""Messages that one way may be ahead of the other; a lane that is further ahead is out of step."""
LEFT_OUT: Final = (topics.BOOKS, topics.TRADES, topics.CONSOLIDATED)
"""What goes by ZeroMQ only: much, of which the latest is enough."""


class Run:
    """One connection of a lane, from its first packet to its last."""

    def __init__(self) -> None:
        self.next = 1
        """Number of the packet that follows the last."""
        self.way: Way | None = None
        """Whose messages they are, while it is in step."""
        self.waiting: dict[bytes, None] = {}
        """Out of step: came without a gap up to the last, and ZeroMQ has not brought them since."""


class Way:
    """What one publisher sends: its messages by ZeroMQ, and those by its lane.

    Args:
        deliver: receives every message once, in order.
    """

    def __init__(self, merge: Merge, deliver: Callable[[bytes], None]) -> None:
        self._merge = merge
        self.deliver = deliver
        self.run: Run | None = None
        """Its lane, while that is in step."""
        self.ahead: dict[bytes, None] = {}
        """Came by the lane, and not by ZeroMQ yet."""
        self.behind: dict[bytes, None] = {}
        """Came by ZeroMQ, and not by the lane yet."""
        self.cut = False
        """Nothing is taken from its lane: the key by which it is connected is revoked."""

    def by_zmq(self, frame: bytes) -> None:
        """Take a message that ZeroMQ has brought."""
        merge = self._merge
        if frame.startswith(LEFT_OUT):
            self.deliver(frame)
        elif frame in self.ahead:
            _drop_through(self.ahead, frame)
            merge.second += 1
        elif merge.runs:
            self._first_by_zmq(frame)
        else:
            self.deliver(frame)

    def _first_by_zmq(self, frame: bytes) -> None:
        run = self._merge.waiting_for(frame)
        if run is None:
            self.behind[frame] = None
            if len(self.behind) > MOST:
                del self.behind[next(iter(self.behind))]
            self.deliver(frame)
            return
        # All before it has come by ZeroMQ, or is lost; all after it is what the lane has brought since.
        _drop_through(run.waiting, frame)
        early, run.waiting = run.waiting, {}
        self.behind.clear()
        self.step(run)
        self._merge.second += 1
        self.deliver(frame)
        for each in early:
            self.first_by_lane(each)

    def step(self, run: Run) -> None:
        """Take messages from this lane from now on."""
        if self.run is not None:
            self.run.way = None
        self.run, run.way = run, self
        self.ahead.clear()  # of before: ZeroMQ has brought later ones

    def first_by_lane(self, frame: bytes) -> None:
        """Pass on a message that the lane has brought first, in step."""
        self.ahead[frame] = None
        self._merge.first += 1
        self.deliver(frame)


class Merge:
    """Joins the lanes with the connections of ZeroMQ that bring the same messages."""

    def __init__(self) -> None:
        self._ways: list[Way] = []
        self.runs: dict[Run, None] = {}
        """Lanes that are connected."""
        self.first = 0
        """Messages that a lane has brought first."""
        self.second = 0
        """Second copies, of either way."""
        self.left = 0
        """Messages of a lane that were left to ZeroMQ, because it was out of step."""
        self.late = 0
        """Messages that ZeroMQ has lost, and that came by a lane only after later ones."""
        self.missed = 0
        """Packets of lanes that were not sent: the lane was full, or they are too large for it."""
        self._wanted: tuple[bytes, ...] = (topics.ALL,)

    def way(self, deliver: Callable[[bytes], None]) -> Way:
        """One more publisher that is listened to."""
        way = Way(self, deliver)
        self._ways.append(way)
        return way

    def want(self, prefixes: Iterable[bytes]) -> None:
        """What ZeroMQ is subscribed to: a lane brings everything."""
        self._wanted = tuple(prefixes)

    def begin(self) -> Run:
        """A lane is connected."""
        run = Run()
        self.runs[run] = None
        return run

    def end(self, run: Run) -> None:
        """It has ended; what only it has brought will come by ZeroMQ as well."""
        self.runs.pop(run, None)
        _out_of_step(run)
        if not self.runs:
            for way in self._ways:
                way.behind.clear()

    @property
    def in_step(self) -> int:
        """Lanes whose messages are taken."""
        return sum(run.way is not None for run in self.runs)

    def by_lane(self, run: Run, number: int, frame: bytes) -> None:
        """Take a lane's next packet."""
        if number != run.next:
            self.missed += max(number - run.next, 0)
            _out_of_step(run)
        run.next = number + 1
        if frame.startswith(LEFT_OUT) or not frame.startswith(self._wanted):
            return
        way = run.way
        if way is None:
            self._out_of_step(run, frame)
        elif frame in way.behind:
            _drop_through(way.behind, frame)
            self.second += 1
        elif way.behind:
            self.late += 1
        elif way.cut or len(way.ahead) >= MOST:
            _out_of_step(run)
            self._out_of_step(run, frame)
        else:
            way.first_by_lane(frame)

    def _out_of_step(self, run: Run, frame: bytes) -> None:
        for way in self._ways:
            if frame in way.behind:
                _drop_through(way.behind, frame)
                run.waiting.clear()
                way.step(run)
                self.second += 1
                return
        self.left += 1
        run.waiting[frame] = None
        if len(run.waiting) > MOST:
            del run.waiting[next(iter(run.waiting))]

    def waiting_for(self, frame: bytes) -> Run | None:
        """The lane out of step that has brought this message."""
        for run in self.runs:
            if frame in run.waiting:
                return run
        return None


def _out_of_step(run: Run) -> None:
    run.waiting.clear()
    if run.way is not None:
        run.way.run = None
        run.way = None


def _drop_through(frames: dict[bytes, None], last: bytes) -> None:
    """Drop a message, and those that came before it by the same way."""
    while True:
        first = next(iter(frames))
        del frames[first]
        if first == last:
            return
