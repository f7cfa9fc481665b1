"""What goes wrong at the exchange in a live demo, one after another, and how micro came through.

Each fault is asked for at the operator's door of the exchange, which says when it has come true;
what became of it is read from micro's journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.account_events import AccountTrades
from citadel_micro.core.model.events import OrderState, RequestTimedOut, VenueStatus
from citadel_micro.demo.exchange_door import ExchangeDoor
from citadel_micro.demo.ledger import coins
from citadel_micro.demo.venue_events import PROOF, Row, Sent, venue_events
from citadel_proto.errors import BadInput, DecodeError

if TYPE_CHECKING:
    from decimal import Decimal

_CHECK_S: Final = 1.0
"""Between two looks at the exchange and into the journal."""
_MS: Final = 1_000_000
_EARLY_NS: Final = 50 * _MS
"""The exchange tells the time of a fault in whole ms, and two processes read the clock."""
_AT_ONCE_NS: Final = 20 * _MS
_FUNDING_RATE: Final = "0.0003"
"""Three times of what a perpetual usually pays in eight hours."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How micro came through; ``wrong`` where it did what it must not."""

    text: str
    wrong: bool = False


@dataclass(slots=True)
class VenueFault:
    """One fault, and how far it has come."""

    name: str
    """In words."""
    rules: tuple[str, ...]
    """For the exchange; the last one's hit is the fault. None: it happens at once."""
    says: str
    """When it is asked for."""
    outcome_of: Callable[[Sequence[Row], int], Outcome | None]
    """What became of it, from micro's rows and the time of the hit; None while nothing has."""
    act: Callable[[ExchangeDoor], None] = lambda door: door.cut()
    """What happens at once where there are no rules."""
    ready: Callable[[], bool] = lambda: True
    """Whether it may be asked for now."""
    asked: bool = False
    hit_ns: int = 0
    outcome: Outcome | None = None

    @property
    def hit_name(self) -> str:
        """As the exchange's log of faults has it; empty where it is not in there."""
        return self.rules[-1].partition("=")[0] if self.rules else ""


def answer_lost(rows: Sequence[Row], hit_ns: int) -> Outcome | None:
    """An order went out, the answer did not come back."""
    lost = next(
        (
            row
            for row in rows
            if row.ts_ns >= hit_ns - _EARLY_NS
            and isinstance(row.what, RequestTimedOut)
            and row.what.request == "place"
        ),
        None,
    )
    if lost is None or not isinstance(lost.what, RequestTimedOut):
        return None
    symbol, client_id = lost.what.symbol, lost.what.client_id
    told = [row for row in rows if isinstance(row.what, PROOF) and row.what.client_id == client_id]
    if not told:
        return None
    found = told[0]
    # What a query has found is reported in one go, and ends with what it says itself.
    at_once = [row for row in told if row.ts_ns < found.ts_ns + _AT_ONCE_NS]
    if any(isinstance(row.what, OrderState) for row in at_once):
        how = "asked for it by its id, and found it"
    else:
        how = "reported on the user stream"
    took_ms = max(0, found.ts_ns - lost.ts_ns) / _MS
    return Outcome(f"{symbol}: not sent again; {how} after {took_ms:.0f} ms")


def stream_mute(rows: Sequence[Row], hit_ns: int) -> Outcome | None:
    """The stream falls silent, and its connection stays up."""
    return _blind(rows, hit_ns, "mute")


def connections_cut(rows: Sequence[Row], hit_ns: int) -> Outcome | None:
    """Every private connection ends."""
    return _blind(rows, hit_ns, "")


class Funding:
    """The exchange settles funding while positions are open: longs pay it, shorts receive it.

    Args:
        pairs: whose positions are open, with no order at work on them, right now.
    """

    def __init__(self, pairs: Callable[[], Collection[str]]) -> None:
        self._pairs = pairs
        self._asked: tuple[str, ...] = ()

    def ready(self) -> bool:
        """Whether there is a position to fund; those of now are meant by ``settle``."""
        self._asked = tuple(self._pairs())
        return bool(self._asked)

    def settle(self, door: ExchangeDoor) -> None:
        """Let the exchange do it."""
        for pair in self._asked:
            door.fund("".join(coins(pair)), _FUNDING_RATE)

    def outcome(self, rows: Sequence[Row], hit_ns: int) -> Outcome | None:
        """Each payment that micro has booked since; None while one is missing."""
        found: dict[str, tuple[int, Decimal]] = {}
        for row in rows:
            what = row.what
            if isinstance(what, AccountTrades) and row.ts_ns >= hit_ns - _EARLY_NS:
                for each in what.funding:
                    if each.exchange_ns >= hit_ns - _EARLY_NS:
                        found.setdefault(what.symbol, (row.ts_ns, each.amount))
        if not all(pair in found for pair in self._asked):
            return None
        last_ns = max(ts_ns for ts_ns, _ in found.values())
        paid = ", ".join(f"{pair} {found[pair][1]:+f} USDT" for pair in self._asked)
        return Outcome(f"{paid}; booked after {max(0, last_ns - hit_ns) / _MS:.0f} ms")

    def fault(self) -> VenueFault:
        """It as a part of the story."""
        return VenueFault(
            "funding is settled",
            (),
            "the exchange settles funding",
            self.outcome,
            act=self.settle,
            ready=self.ready,
        )


def _blind(rows: Sequence[Row], hit_ns: int, word: str) -> Outcome | None:
    """Until it was noticed, and until the stream was up again."""
    began = ended = 0
    sent = 0
    for row in rows:
        if row.ts_ns < hit_ns - _EARLY_NS:
            continue
        what = row.what
        if isinstance(what, VenueStatus):
            up = what.up and not what.blind
            if not began and not up and word in what.reason:
                began = row.ts_ns
            elif began and up:
                ended = row.ts_ns
                break
        elif began and isinstance(what, Sent):
            sent += 1
    if not ended:
        return None
    after, back = max(0, began - hit_ns) / 1e9, (ended - began) / 1e9
    return Outcome(
        f"noticed after {after:.1f} s, up again {back:.1f} s later; "
        f"{sent or 'no'} orders sent meanwhile",
        wrong=sent > 0,
    )


def story() -> list[VenueFault]:
    """The faults of a run, in their order."""
    return [
        VenueFault(
            "the answer to an order is lost",
            # Its event too: else the user stream tells of the order at once.
            ("event-lost=once,on=NEW", "answer-lost=once,on=order.place"),
            "the exchange will lose its answer to the next order",
            answer_lost,
        ),
        VenueFault(
            "the user stream goes mute",
            ("mute=once",),
            "the exchange's user stream will go mute, with its connection up",
            stream_mute,
        ),
        VenueFault(
            "all private connections are cut",
            (),
            "the exchange cuts every private connection",
            connections_cut,
        ),
    ]


@dataclass(slots=True)
class VenueStory:
    """Takes the faults one by one: the next when the one before has been overcome.

    Args:
        folder: run folder of micro.
    """

    folder: Path
    faults: list[VenueFault] = field(default_factory=story)
    door: ExchangeDoor | None = None
    """None until the exchange is up."""
    _check_at: float = 0.0

    @property
    def current(self) -> VenueFault | None:
        """The one that is asked for and not overcome yet."""
        return next((fault for fault in self.faults if fault.asked and fault.outcome is None), None)

    @property
    def done(self) -> int:
        """How many are overcome."""
        return sum(1 for fault in self.faults if fault.outcome is not None)

    def missing(self) -> list[str]:
        """What has not happened yet, or is not overcome yet, in words."""
        return [fault.name for fault in self.faults if fault.outcome is None]

    def wrong(self) -> list[str]:
        """What micro did that it must not, in words."""
        return [
            f"{fault.name}: {fault.outcome.text}"
            for fault in self.faults
            if fault.outcome is not None and fault.outcome.wrong
        ]

    def ask_next(self, say: Callable[[str], None]) -> None:
        """Ask the exchange for the next fault, where there is one and none is under way.

        Raises PeerUnavailable when the exchange does not answer.
        """
        fault = next((each for each in self.faults if each.outcome is None), None)
        if fault is None or fault.asked or self.door is None or not fault.ready():
            return
        say(fault.says)
        for rule in fault.rules:
            self.door.add_fault(rule)
        if not fault.rules:
            fault.hit_ns = time.time_ns()
            fault.act(self.door)
        fault.asked = True

    def check(self, say: Callable[[str], None]) -> None:
        """See how far the current fault has come. Raises as ``ask_next``."""
        fault = self.current
        if fault is None or self.door is None or time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + _CHECK_S
        if not fault.hit_ns:
            hits = [hit for hit in self.door.hits() if hit["name"] == fault.hit_name]
            if not hits:
                return
            fault.hit_ns = hits[0]["time"] * _MS
        try:
            rows = venue_events(self.folder)
        except (BadInput, DecodeError):
            return  # a journal that is just being begun
        fault.outcome = fault.outcome_of(rows, fault.hit_ns)
        if fault.outcome is not None:
            say(f"{fault.name}: {fault.outcome.text}")
