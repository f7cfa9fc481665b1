"""A runner with fakes of everything around it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.approval import Approvals, Approved
from citadel_micro.core.model.commands import (
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    PublishFeed,
)
from citadel_micro.core.model.events import (
    VenueStatus,
)
from citadel_micro.shell.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.order_adapter import Send, Sign


STATUS = VenueStatus(venue="v", up=True, reason="")


PERSIST = Persist(key="k", value=1)


CANCEL = CancelOrder(venue="v", symbol="A/B", client_id="c")


FEED = PublishFeed(
    venue="v", symbol="A/B", state="LIVE", reason="", last_seq=1, last_recv_ns=1, gaps=0, resyncs=0
)


NOTE = Note(level="info", event="hello", fields=())


EPOCH = [0]


GATE = Approvals(lambda: EPOCH[0])


def place(client_id: str) -> Approved[PlaceOrder]:
    """An approval as the gate makes them; the gate itself has its own tests."""
    order = PlaceOrder(
        venue="v",
        symbol="A/B",
        client_id=client_id,
        parent_id="p",
        side="buy",
        price_ticks=1,
        quantity_lots=1,
        post_only=True,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=9,
    )
    return GATE.issue(order, book_seq=0)


class FakeEngine:
    """Answers each kind of event with prepared commands."""

    def __init__(self, answers: dict[type, list[Command] | Exception]) -> None:
        self.answers = answers
        self.seen: list[tuple[Event, int]] = []
        self.due_ns: int | None = None
        self.leaves: dict[type, list[Command]] = {}
        """Reports that an event leaves to be made."""
        self.unreported: list[Command] = []
        self.reports_apart = False
        self.risk = SimpleNamespace(still_valid=GATE.valid)
        self.markets = {("v", "A/B"): MarketBook("v", "A/B", "range_bridge_spot")}

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        self.seen.append((event, now_ns))
        self.unreported += self.leaves.get(type(event), [])
        answer = self.answers.get(type(event), [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reports(self) -> list[Command]:
        made = list(self.unreported)
        self.unreported.clear()
        return made

    def next_timer(self) -> int | None:
        return self.due_ns


class FakeClock:
    def __init__(self) -> None:
        self.ns = 1_000

    def now(self) -> int:
        self.ns += 1
        return self.ns


class FakeJournal:
    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.broken: OSError | None = None
        self.in_engine: bool | None = None

    def event(self, now_ns: int, event: Event) -> None:
        self.log.append(f"{now_ns} {type(event).__name__}")

    def command(self, now_ns: int, command: Command) -> None:
        del now_ns
        self.log.append(f"-> {type(command).__name__}")

    def fault(self, now_ns: int, text: str, *, in_engine: bool) -> None:
        del now_ns
        self.in_engine = in_engine
        self.log.append(f"fault {text.strip().splitlines()[-1]}")

    def flush(self) -> None:
        self.log.append("flush")

    def start_sync(self) -> None:
        self.log.append("start sync")

    def sync(self) -> None:
        if self.broken:
            raise self.broken
        self.log.append("sync")


class FakeVenue:
    venue = "v"

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.then: Callable[[], None] = lambda: None

    def submit(self, command: Any, now_ns: int) -> None:  # noqa: ANN401 - any venue command
        del now_ns
        order = command.spend() if isinstance(command, Approved) else command
        self.log.append(f"venue {type(order).__name__} {order.client_id}")
        self.then()

    def restore(self, saved: object) -> None: ...

    def attach(self, host: object) -> None: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    async def released(self) -> None: ...


class PreparingVenue(FakeVenue):
    """One that signs before it sends."""

    def prepare(self, command: Any, now_ns: int) -> Sign:  # noqa: ANN401 - as ``submit``
        del now_ns
        order = command.spend() if isinstance(command, Approved) else command
        self.log.append(f"prepared {order.client_id}")

        def sign() -> Send:
            self.log.append(f"signed {order.client_id}")
            return lambda: self.log.append(f"sent {order.client_id}")

        return sign


class Bench:
    """A runner among fakes, all writing to one log."""

    def __init__(
        self, answers: dict[type, list[Command] | Exception], venue: type[FakeVenue] = FakeVenue
    ) -> None:
        self.log: list[str] = []
        self.engine = FakeEngine(answers)
        self.journal = FakeJournal(self.log)
        self.venue = venue(self.log)
        self.clock = FakeClock()
        self.notes: list[Note] = []
        self.runner = Runner(
            cast("Engine", self.engine),
            journal=self.journal,
            clock=cast("Clock", self.clock),
            venues={"v": self.venue},
            uplink=self,
            resync=lambda command: self.log.append(f"resync {command.symbol}"),
            note=self.notes.append,
        )

    def publish(self, command: object, now_ns: int) -> None:
        del now_ns
        self.log.append(f"publish {type(command).__name__}")


def run(main: Callable[[], Any]) -> None:
    async def body() -> None:
        result = main()
        if asyncio.iscoroutine(result):
            await result

    asyncio.run(body())
