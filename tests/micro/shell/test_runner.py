"""The one door: order of stamping, writing, deciding and acting, and what happens when it breaks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.approval import Approvals, Approved
from citadel_micro.core.model.commands import (
    CancelOrder,
    Note,
    Persist,
    PlaceOrder,
    PublishFeed,
    PublishReport,
    RequestSnapshot,
    Stopped,
)
from citadel_micro.core.model.events import (
    CancelReceived,
    DepthUpdate,
    FeedStatus,
    OrderDone,
    OrderRejected,
    OrderState,
    Started,
    TimerFired,
    VenueStatus,
)
from citadel_micro.shell.runner import Runner
from citadel_proto.errors import InvariantError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event
    from citadel_micro.shell.clock import Clock

STATUS = VenueStatus(venue="v", up=True, reason="")
PERSIST = Persist(key="k", value=1)
CANCEL = CancelOrder(venue="v", symbol="A/B", client_id="c")
FEED = PublishFeed(
    venue="v", symbol="A/B", state="LIVE", reason="", last_seq=1, last_recv_ns=1, gaps=0, resyncs=0
)
NOTE = Note(level="info", event="hello", fields=())
TICK = DepthUpdate("v", "A/B", False, 1, 1, -1, None, [], [], 0, 0)


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
        self.risk = SimpleNamespace(still_valid=GATE.valid)
        self.markets = {("v", "A/B"): MarketBook("v", "A/B", "range_bridge_spot")}

    def handle(self, event: Event, now_ns: int) -> list[Command]:
        self.seen.append((event, now_ns))
        answer = self.answers.get(type(event), [])
        if isinstance(answer, Exception):
            raise answer
        return answer

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


class Bench:
    """A runner among fakes, all writing to one log."""

    def __init__(self, answers: dict[type, list[Command] | Exception]) -> None:
        self.log: list[str] = []
        self.engine = FakeEngine(answers)
        self.journal = FakeJournal(self.log)
        self.venue = FakeVenue(self.log)
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


def test_written_before_handled_and_durable_before_acted_on() -> None:
    def main() -> None:
        bench = Bench({VenueStatus: [PERSIST, CANCEL, FEED, NOTE]})
        bench.runner.post(STATUS)
        assert bench.log == [
            "1001 VenueStatus",
            "-> Persist",
            "-> CancelOrder",
            "-> PublishFeed",
            "-> Note",
            "sync",
            "venue CancelOrder c",
            "publish PublishFeed",
        ]
        assert bench.notes == [NOTE]
        assert bench.engine.seen == [(STATUS, 1001)]

    run(main)


def test_publishing_alone_does_not_wait_for_the_disk() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [FEED]})
        bench.runner.post(STATUS)
        assert "sync" not in bench.log
        await asyncio.sleep(0.15)
        assert bench.log[-1] == "flush"

    run(main)


def test_the_first_event_is_durable_whatever_it_leads_to() -> None:
    def main() -> None:
        bench = Bench({})
        bench.runner.post(Started(state={}, damaged=""))
        assert bench.log[-1] == "sync"

    run(main)


def test_events_that_arrive_together_share_one_write() -> None:
    def main() -> None:
        bench = Bench({VenueStatus: [PERSIST, FEED]})
        bench.runner.post_many([STATUS, STATUS, STATUS])
        assert bench.log.count("sync") == 1
        assert bench.log[-3:] == ["publish PublishFeed"] * 3
        assert [now for _, now in bench.engine.seen] == [1001, 1002, 1003]

    run(main)


def test_an_event_that_arises_while_acting_waits_its_turn() -> None:
    def main() -> None:
        bench = Bench({VenueStatus: [CANCEL, FEED]})
        later = CancelReceived(signal_id="s", reason="")
        bench.venue.then = lambda: bench.runner.post(later)
        bench.runner.post(STATUS)
        assert bench.log[-2:] == ["publish PublishFeed", "1002 CancelReceived"]
        assert [event for event, _ in bench.engine.seen] == [STATUS, later]

    run(main)


def test_taps_see_a_market_event_after_the_engine() -> None:
    def main() -> None:
        bench = Bench({})
        seen: list[object] = []
        bench.runner.market_taps.append(
            lambda event, market, now: seen.append((event, market, now))
        )
        bench.runner.post(TICK)
        bench.runner.post(FeedStatus(venue="v", symbol="A/B", up=True, reason=""))
        unknown = TICK._replace(symbol="X/Y")
        bench.runner.post(unknown)
        assert seen == [(TICK, bench.engine.markets["v", "A/B"], 1001)]

    run(main)


def test_commands_find_their_way() -> None:
    def main() -> None:
        ask = RequestSnapshot(venue="v", symbol="A/B", reason="gap")
        bench = Bench({VenueStatus: [place("c-1"), ask, Stopped(clean=True)]})
        bench.runner.post(STATUS)
        assert "venue PlaceOrder c-1" in bench.log
        assert "resync A/B" in bench.log
        assert bench.runner.stopped.result() is True
        assert bench.runner.live_children == 1

    run(main)


def test_a_timer_fires_when_it_is_due_and_not_before() -> None:
    async def main() -> None:
        bench = Bench({})
        bench.engine.due_ns = bench.clock.ns + 20_000_000
        bench.runner.post(STATUS)
        await asyncio.sleep(0.03)
        # The fake clock has hardly moved: woken too early, it looks and goes back to sleep.
        assert [type(event) for event, _ in bench.engine.seen] == [VenueStatus]
        bench.clock.ns += 20_000_000
        bench.engine.answers[TimerFired] = []
        for _ in range(50):
            await asyncio.sleep(0.01)
            if len(bench.engine.seen) > 1:
                break
        assert type(bench.engine.seen[1][0]) is TimerFired
        bench.engine.due_ns = None
        bench.runner.close()

    run(main)


def test_children_are_counted_until_they_are_proven_ended() -> None:
    def main() -> None:
        bench = Bench({VenueStatus: [place("c-1"), place("c-2"), place("c-3")]})
        bench.runner.post(STATUS)
        done = OrderDone(
            venue="v",
            symbol="A/B",
            client_id="c-1",
            status="canceled",
            cumulative_lots=0,
            reason="",
            exchange_ns=0,
        )
        bench.runner.post(done)
        rejected = OrderRejected(
            venue="v", symbol="A/B", client_id="c-2", code="POST_ONLY", text=""
        )
        bench.runner.post(rejected)
        assert bench.runner.live_children == 1
        for status, left in (("not_found", 1), ("open", 1), ("canceled", 0)):
            state = OrderState(
                venue="v",
                symbol="A/B",
                client_id="c-3",
                status=status,  # type: ignore[arg-type]
                source="order",
                price_ticks=1,
                quantity_lots=1,
                cumulative_lots=0,
                exchange_ns=0,
            )
            bench.runner.post(state)
            assert bench.runner.live_children == left
        assert bench.runner.stats.venue_rejects == {"POST_ONLY": 1}

    run(main)


def test_rejected_parents_are_counted_by_code() -> None:
    def main() -> None:
        report = object.__new__(PublishReport)
        object.__setattr__(report, "status", "rejected")
        object.__setattr__(report, "reason_code", "MAX_POSITION")
        bench = Bench({VenueStatus: [report]})
        bench.runner.post(STATUS)
        assert bench.runner.stats.rejects == {"MAX_POSITION": 1}

    run(main)


# --- faults


@pytest.mark.parametrize(
    ("error", "text"),
    [(InvariantError("two children"), "two children"), (KeyError("x"), "KeyError: 'x'")],
)
def test_a_fault_of_ours_cancels_what_is_out_and_ends_the_run(error: Exception, text: str) -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [place("c-1")], CancelReceived: error})
        bench.runner.post(STATUS)
        bench.runner.post(CancelReceived(signal_id="s", reason=""))
        assert bench.log[-3].startswith("fault ")
        assert bench.log[-2:] == ["sync", "venue CancelOrder c-1"]
        assert bench.journal.in_engine is True
        assert bench.runner.failed
        assert not bench.runner.stopped.done()

        handled = len(bench.engine.seen)
        bench.runner.post(STATUS)  # nothing is decided any more
        done = OrderDone(
            venue="v",
            symbol="A/B",
            client_id="c-1",
            status="canceled",
            cumulative_lots=0,
            reason="",
            exchange_ns=0,
        )
        bench.runner.post(done)
        assert len(bench.engine.seen) == handled
        assert bench.log.count("venue PlaceOrder c-1") == 1
        with pytest.raises(InvariantError, match=text):
            await bench.runner.stopped

    run(main)


def test_a_fault_with_nothing_out_ends_at_once() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: InvariantError("x")})
        bench.runner.post(STATUS)
        with pytest.raises(InvariantError):
            await bench.runner.stopped

    run(main)


def test_a_venue_that_confirms_nothing_does_not_hold_a_fault_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("citadel_micro.shell.runner.LAST_CANCELS_S", 0.01)

    async def main() -> None:
        bench = Bench({VenueStatus: [place("c-1")], CancelReceived: InvariantError("x")})
        bench.runner.post(STATUS)
        bench.runner.post(CancelReceived(signal_id="s", reason=""))
        with pytest.raises(InvariantError):
            await asyncio.wait_for(bench.runner.stopped, 60)

    run(main)


def test_a_fault_outside_of_the_engine_says_so() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [CANCEL]})

        def breaks() -> None:
            raise ValueError("adapter")

        bench.venue.then = breaks
        bench.runner.post(STATUS)
        assert bench.journal.in_engine is False
        with pytest.raises(InvariantError, match="ValueError: adapter"):
            await bench.runner.stopped

    run(main)


def test_a_full_disk_stops_new_orders_and_is_not_called_our_bug() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [PERSIST, place("c-1")]})
        bench.journal.broken = OSError(28, "No space left on device")
        bench.runner.post(STATUS)
        assert not [line for line in bench.log if line.startswith("venue")]
        assert any(note.event == "the fault could not be journaled" for note in bench.notes)
        with pytest.raises(PeerUnavailable, match="No space left"):
            await bench.runner.stopped

    run(main)


def test_a_venue_without_an_adapter_is_our_bug() -> None:
    async def main() -> None:
        other = CancelOrder(venue="other", symbol="A/B", client_id="c")
        bench = Bench({VenueStatus: [other]})
        bench.runner.post(STATUS)
        with pytest.raises(InvariantError, match="other"):
            await bench.runner.stopped

    run(main)


def test_a_fault_met_elsewhere_halts_too() -> None:
    async def main() -> None:
        bench = Bench({})
        bench.runner.halt(RuntimeError("a feed"))
        bench.runner.halt(RuntimeError("again"))
        bench.runner.post(STATUS)
        assert bench.engine.seen == []
        with pytest.raises(InvariantError, match="a feed"):
            await bench.runner.stopped

    run(main)


def test_an_order_that_became_void_before_its_turn_is_not_sent_and_the_engine_is_told() -> None:
    """Both events came together: the second trips something after the first was approved."""

    def main() -> None:
        bench = Bench({VenueStatus: [place("void")]})
        handle = bench.engine.handle

        def tripping(event: Event, now_ns: int) -> list[Command]:
            EPOCH[0] += isinstance(event, CancelReceived)
            return handle(event, now_ns)

        bench.engine.handle = tripping  # type: ignore[method-assign]
        bench.runner.post_many([STATUS, CancelReceived(signal_id="s", reason="")])
        assert not [line for line in bench.log if line.startswith("venue")]
        told = bench.engine.seen[-1][0]
        assert isinstance(told, OrderRejected)
        assert (told.client_id, told.code) == ("void", "VOID")
        assert bench.runner.live_children == 0

    run(main)
