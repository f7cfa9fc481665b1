"""The runner: the order of stamping, writing, deciding and acting."""

from __future__ import annotations

import asyncio

from runner_kit import CANCEL, FEED, NOTE, PERSIST, STATUS, Bench, place, run

from citadel_micro.core.model.commands import (
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

TICK = DepthUpdate("v", "A/B", False, 1, 1, -1, None, [], [], 0, 0)


def test_an_order_leaves_after_its_journal_and_before_any_report() -> None:
    def main() -> None:
        bench = Bench({VenueStatus: [FEED, PERSIST, NOTE, place("a"), FEED, CANCEL]})
        bench.runner.post(STATUS)
        assert bench.log[1:7] == [  # written in the engine's order
            "-> PublishFeed",
            "-> Persist",
            "-> Note",
            "-> Approved",
            "-> PublishFeed",
            "-> CancelOrder",
        ]
        assert bench.log[7:] == [
            "start sync",
            "sync",
            "venue PlaceOrder a",
            "venue CancelOrder c",
            "publish PublishFeed",
            "publish PublishFeed",
        ]
        assert bench.notes == [NOTE]

    run(main)


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
            "start sync",
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
