"""The runner when something breaks: orders are canceled, and the run ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from runner_kit import CANCEL, EPOCH, PERSIST, STATUS, Bench, place, run

from citadel_micro.core.model.commands import (
    CancelOrder,
    Note,
)
from citadel_micro.core.model.events import (
    CancelReceived,
    OrderDone,
    OrderRejected,
    VenueStatus,
)
from citadel_proto.errors import InvariantError, PeerUnavailable

if TYPE_CHECKING:
    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event


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


def test_what_is_out_is_canceled_also_when_alerts_cannot_be_sent() -> None:
    """The fault may be the log itself."""

    async def main() -> None:
        bench = Bench({VenueStatus: [place("c-1")], CancelReceived: InvariantError("x")})

        def broken(_note: Note) -> None:
            raise ValueError("I/O operation on closed file")

        bench.runner.post(STATUS)
        bench.runner._note = broken
        with pytest.raises(ValueError, match="closed file"):
            bench.runner.post(CancelReceived(signal_id="s", reason=""))
        assert bench.log[-1] == "venue CancelOrder c-1"
        assert bench.runner.failed

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


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OSError(5, "Input/output error")]
)
def test_a_full_or_failing_disk_stops_new_orders_and_is_not_called_our_bug(error: OSError) -> None:
    async def main() -> None:
        bench = Bench({VenueStatus: [PERSIST, place("c-1")]})
        bench.journal.broken = error
        bench.runner.post(STATUS)
        assert not [line for line in bench.log if line.startswith("venue")]
        assert any(note.event == "the fault could not be journaled" for note in bench.notes)
        with pytest.raises(PeerUnavailable, match=error.strerror):
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


def test_an_order_that_became_void_before_its_turn_is_not_sent_and_the_engine_is_informed() -> None:
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
