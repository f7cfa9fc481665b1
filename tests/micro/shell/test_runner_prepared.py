"""Requests are signed while the disk is at work, and leave when it has the journal, or never."""

from __future__ import annotations

import asyncio

import pytest
from runner_kit import (
    CANCEL,
    EPOCH,
    FEED,
    NOTE,
    PERSIST,
    STATUS,
    Bench,
    FakeVenue,
    PreparingVenue,
    place,
    run,
)

from citadel_micro.core.model.events import OrderRejected, TimerFired, VenueStatus
from citadel_proto.errors import PeerUnavailable


def test_nothing_is_sent_before_the_journal_is_on_the_disk() -> None:
    def main() -> None:
        bench = Bench({VenueStatus: [PERSIST, place("a"), place("b"), CANCEL]}, PreparingVenue)
        bench.runner.post(STATUS)
        assert bench.log[1:] == [
            *("-> Persist", "-> Approved", "-> Approved", "-> CancelOrder"),
            *("prepared a", "prepared b", "prepared c"),
            "start sync",
            *("signed a", "signed b", "signed c"),
            "sync",
            *("sent a", "sent b", "sent c"),
        ]
        assert bench.runner.live_children == 2

    run(main)


def test_what_the_disk_does_not_take_is_never_sent() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [place("a")]}, PreparingVenue)
        bench.journal.broken = OSError(28, "No space left on device")
        bench.runner.post(STATUS)
        assert "prepared a" in bench.log
        assert not [each for each in bench.log if each.startswith(("sent", "venue"))]
        with pytest.raises(PeerUnavailable, match="No space left"):
            await bench.runner.stopped

    run(main)


def test_what_was_tripped_meanwhile_is_not_even_signed() -> None:
    def main() -> None:
        order = place("a")
        EPOCH[0] += 1
        bench = Bench({VenueStatus: [order]}, PreparingVenue)
        bench.runner.post(STATUS)
        assert not [each for each in bench.log if each.startswith(("prepared", "signed", "sent"))]
        told = [event for event, _ in bench.engine.seen if isinstance(event, OrderRejected)]
        assert [each.client_id for each in told] == ["a"]

    run(main)


def test_requests_leave_before_anything_is_published_about_them() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [FEED, place("a"), NOTE]}, PreparingVenue)
        bench.runner.post(STATUS)
        assert bench.log[-1] == "sent a"
        assert bench.notes == []
        await asyncio.sleep(0)  # the bytes leave at the end of the loop's turn
        assert bench.log[-1] == "publish PublishFeed"
        assert bench.notes == [NOTE]

    run(main)


def test_it_is_published_before_the_next_event_is_handled_and_once() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [place("a"), FEED], TimerFired: [FEED]}, PreparingVenue)
        bench.runner.post(STATUS)
        bench.runner.post(TimerFired())
        at = bench.log.index("sent a")
        assert bench.log[at + 1 :] == [
            "publish PublishFeed",
            "1002 TimerFired",
            "-> PublishFeed",
            "publish PublishFeed",
        ]
        count = len(bench.log)
        await asyncio.sleep(0)
        assert len(bench.log) == count

    run(main)


def test_what_cannot_be_published_ends_the_run_then_too() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [place("a"), FEED]}, PreparingVenue)

        def broken(*_what: object) -> None:
            raise ZeroDivisionError

        bench.publish = broken  # type: ignore[assignment,method-assign]
        failed = []
        bench.runner.post(STATUS)
        failed.append(bench.runner.failed)
        await asyncio.sleep(0)
        failed.append(bench.runner.failed)
        assert failed == [False, True]
        assert bench.log[-1] == "venue CancelOrder a"

    run(main)


def leaving(venue: type[FakeVenue], *others: type) -> Bench:
    """An order, a note, and a report that is still to be made; reports of other events too."""
    bench = Bench({VenueStatus: [PERSIST, place("a"), NOTE]}, venue)
    bench.engine.leaves = {kind: [FEED] for kind in (VenueStatus, *others)}
    return bench


def test_a_report_is_made_and_journaled_when_the_order_has_left() -> None:
    async def main() -> None:
        bench = leaving(PreparingVenue)
        bench.runner.post(STATUS)
        assert bench.log[-1] == "sent a"
        assert "-> PublishFeed" not in bench.log
        at = len(bench.log)
        await asyncio.sleep(0)
        # In the file when it is published, so that a process that dies has told nothing more.
        assert bench.log[at:] == ["-> PublishFeed", "flush", "publish PublishFeed"]
        assert bench.notes == [NOTE]

    run(main)


def test_a_report_is_made_before_the_next_event_is_handled() -> None:
    async def main() -> None:
        bench = leaving(PreparingVenue, TimerFired)
        bench.runner.post(STATUS)
        bench.runner.post(TimerFired())
        at = bench.log.index("sent a")
        assert bench.log[at + 1 :] == [
            *("-> PublishFeed", "flush", "publish PublishFeed"),
            *("1002 TimerFired", "-> PublishFeed", "publish PublishFeed"),
        ]
        assert not bench.engine.unreported

    run(main)


def test_only_the_last_of_several_events_leaves_its_report_for_later() -> None:
    async def main() -> None:
        bench = leaving(PreparingVenue, TimerFired)
        bench.runner.post_many([TimerFired(), STATUS])
        at = bench.log.index("sent a")
        assert bench.log.index("-> PublishFeed") < at
        assert bench.log[at + 1 :] == []
        await asyncio.sleep(0)
        assert bench.log[at + 1 :] == ["-> PublishFeed", "flush", *["publish PublishFeed"] * 2]

    run(main)


def test_where_nothing_leaves_over_a_network_a_report_is_made_at_once() -> None:
    def main() -> None:
        bench = leaving(FakeVenue)
        bench.runner.post(STATUS)
        assert bench.log.index("-> PublishFeed") < bench.log.index("sync")
        assert bench.log[-1] == "publish PublishFeed"

    run(main)


def test_a_part_of_the_journal_never_ends_before_a_report_that_belongs_to_it() -> None:
    async def main() -> None:
        bench = leaving(PreparingVenue)
        bench.runner.post(STATUS)
        bench.runner._flush_now()  # its timer may come first
        assert bench.log[-4:] == ["-> PublishFeed", "flush", "publish PublishFeed", "flush"]

    run(main)


def test_the_end_leaves_no_event_without_its_commands() -> None:
    async def main() -> None:
        bench = leaving(PreparingVenue)
        bench.runner.post(STATUS)
        bench.runner.close()
        assert bench.log[-2:] == ["-> PublishFeed", "sync"]
        await asyncio.sleep(0)
        assert "publish PublishFeed" not in bench.log

    run(main)


def test_after_a_fault_nothing_is_made_of_an_order_that_did_not_leave() -> None:
    async def main() -> None:
        bench = leaving(PreparingVenue)
        bench.journal.broken = OSError(28, "No space left on device")
        bench.runner.post(STATUS)
        bench.runner.post(TimerFired())
        await asyncio.sleep(0)
        assert "-> PublishFeed" not in bench.log
        with pytest.raises(PeerUnavailable):
            await bench.runner.stopped

    run(main)


def test_nothing_is_published_after_the_end() -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [place("a"), FEED]}, PreparingVenue)
        bench.runner.post(STATUS)
        bench.runner.close()
        await asyncio.sleep(0)
        assert "publish PublishFeed" not in bench.log

    run(main)
