"""Timers of venues that cancel when we fall silent: when they count as armed, and when they are not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from spot_kit import SYMBOL, live_bench
from waiting import until

from citadel_micro.adapters.binance.spot_requests import TIME
from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.core.model.events import VenueStatus
from citadel_micro.shell.venue.cancel_timer import CancelTimer, VenueTimer, Watched, period_of
from citadel_micro.shell.venue.dialect import Request, Survey, Unclear
from citadel_micro.shell.venue.facts import OrderFact
from citadel_micro.shell.venue.order_ids import OrderIds
from citadel_micro.shell.venue.order_reducer import OrderReducer
from citadel_micro.shell.venue.outcomes import Answered, Fate, Refusal, Unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from citadel_micro.shell.venue.dialect import Ask
    from citadel_micro.shell.venue.outcomes import Outcome

S = 1_000_000_000
PERIOD_NS = 30 * S
MARK = "abc123"


class Venue:
    """A venue with a timer for each symbol or one for the account, on a clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * S
        self.fires_ns: dict[str, int] = {}
        """Scope -> when its timer cancels."""
        self.requests: list[tuple[str, int]] = []
        self.outcome: Callable[[], Outcome] = lambda: Answered(status=200, body=b"")
        self.takes_ns = 0
        """How long a request is under way to it."""
        self.reaches = True

    def now(self) -> int:
        return self.now_ns

    # as TimerRequests

    def arm(self, symbol: str, period_ms: int) -> Request:
        return Request(
            purpose="upkeep", method="timer", params={"symbol": symbol, "countdownTime": period_ms}
        )

    def confirmed(self, request: Request, answer: Answered) -> Refusal | None:
        del request
        return None if answer.status == 200 else Refusal(fate=Fate.REFUSED, text="no")

    # the venue

    async def ask(self, request: Request) -> Outcome:
        scope, period_ms = str(request.params["symbol"]), int(request.params["countdownTime"])
        self.requests.append((scope, period_ms))
        self.now_ns += self.takes_ns
        outcome = self.outcome()
        if self.reaches:
            if period_ms:
                self.fires_ns[scope] = self.now_ns + period_ms * 1_000_000
            else:
                self.fires_ns.pop(scope, None)
        return outcome

    def would_cancel(self, scopes: tuple[str, ...]) -> bool:
        return all(self.fires_ns.get(scope, 0) > self.now_ns for scope in scopes)


def order(client_id: str = f"sc{MARK}run-1-1") -> OrderFact:
    return OrderFact(
        symbol="A/B",
        client_id=client_id,
        venue_order_id="7",
        standing="open",
        price_ticks=1,
        quantity_lots=1,
        cumulative_lots=0,
        exchange_ns=1,
    )


def timer_of(
    venue: Venue,
    *,
    scope: Any = "symbol",  # noqa: ANN401 - one of two words
    beside_foreign: bool = False,
    ids: OrderIds | None = None,
) -> CancelTimer:
    return CancelTimer(
        "v",
        VenueTimer(scope=scope, period_ns=PERIOD_NS, requests=venue, beside_foreign=beside_foreign),
        ("A/B", "C/D"),
        ids=ids or OrderIds(lambda _changes: None, ClientIds("ours", MARK)),
        ask=venue.ask,
        on_refusal=lambda _refusal: None,
        now=venue.now,
    )


def armed(timer: CancelTimer) -> bool:
    return timer.armed


async def turn(timer: CancelTimer) -> None:
    timer.upkeep()
    for _ in range(5):
        await asyncio.sleep(0)


def run(body: Callable[[Venue], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(Venue())

    asyncio.run(main())


def surveyor(found: Survey | Unclear) -> Callable[[Ask], Awaitable[Survey | Unclear]]:
    async def survey(_ask: Ask) -> Survey | Unclear:
        return found

    return survey


def survey(*orders: OrderFact) -> Survey:
    return Survey(open_orders=orders, balances=())


def test_armed_by_symbol_once_every_one_is_confirmed_and_renewed_at_a_third() -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue)
        timer.surveyed((), venue.now_ns)
        assert not armed(timer)
        await turn(timer)
        assert armed(timer)
        assert venue.requests == [("A/B", 30_000), ("C/D", 30_000)]
        venue.now_ns += PERIOD_NS // 3 - 1
        await turn(timer)
        assert len(venue.requests) == 2
        venue.now_ns += 1
        await turn(timer)
        assert len(venue.requests) == 4

    run(body)


def test_it_is_never_called_armed_when_the_venue_would_not_cancel() -> None:
    """At every step of a bad hour: answers that are lost, refusals, requests that never arrive."""

    async def body(venue: Venue) -> None:
        timer = timer_of(venue)
        timer.surveyed((), venue.now_ns)
        venue.takes_ns = S // 5
        good = venue.outcome
        seen: set[bool] = set()
        for step in range(400):
            kind = step // 7 % 4
            venue.reaches = kind in {0, 1}
            venue.outcome = {
                0: good,
                1: lambda: Unknown("lost"),
                2: lambda: Unknown("lost"),
                3: lambda: Answered(status=400, body=b""),
            }[kind]
            await turn(timer)
            for _ in range(4):
                if timer.armed:
                    assert venue.would_cancel(("A/B", "C/D"))
                seen.add(timer.armed)
                venue.now_ns += 2 * S
        assert seen == {True, False}

    run(body)


def test_one_without_an_answer_is_asked_again_after_a_second_and_counts_for_nothing() -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue, scope="account", beside_foreign=True)
        venue.outcome = lambda: Unknown("lost")
        await turn(timer)
        await turn(timer)
        assert venue.requests == [("", 30_000)]
        assert not armed(timer)
        venue.now_ns += S
        await turn(timer)
        assert len(venue.requests) == 2

    run(body)


def test_one_of_the_account_is_not_armed_beside_orders_of_others() -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue, scope="account")
        await turn(timer)
        assert not venue.requests  # whether there are any is not known yet
        timer.surveyed((order(), order("by-hand")), venue.now_ns)
        await turn(timer)
        assert not venue.requests
        assert "1 open orders of others" in timer.why_not
        timer.surveyed((order(),), venue.now_ns)
        await turn(timer)
        assert armed(timer)
        # One that shows up later: off at the venue too, which would cancel it.
        timer.saw(order("by-hand"))
        assert not armed(timer)
        await turn(timer)
        assert venue.requests[-1] == ("", 0)
        assert not venue.fires_ns
        timer.surveyed((), venue.now_ns)
        await turn(timer)
        assert armed(timer)

    run(body)


def test_an_answer_from_before_the_stream_reported_an_order_does_not_take_it_back() -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue)
        timer.surveyed((), venue.now_ns)
        await turn(timer)
        asked_ns = venue.now_ns
        venue.now_ns += S
        timer.saw(order("by-hand"))
        timer.surveyed((), asked_ns)
        await turn(timer)
        assert not armed(timer)
        timer.surveyed((), venue.now_ns)
        await turn(timer)
        assert armed(timer)

    run(body)


def test_an_order_of_others_stays_one_when_the_venue_has_reported_it() -> None:
    """What the stream tells is kept by both its ids, as ours are."""

    async def body(venue: Venue) -> None:
        ids = OrderIds(lambda _changes: None, ClientIds("ours", MARK))
        timer = timer_of(venue, ids=ids)
        OrderReducer("v", ids).take((order("by-hand"),), venue.now_ns)
        for foreign in (order("by-hand"), replace(order("by-hand"), client_id="")):
            timer.surveyed((foreign,), venue.now_ns)
            await turn(timer)
            assert not armed(timer)
        await timer.end(surveyor(survey(order("by-hand"))))
        assert not venue.fires_ns
        # One of an earlier run, whose row was lost, is ours all the same.
        OrderReducer("v", ids).take((replace(order(), venue_order_id="8"),), venue.now_ns)
        assert ids.is_ours("A/B", "", "8")

    run(body)


def test_a_disarming_without_an_answer_arms_nothing_and_is_repeated() -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue, scope="account")
        timer.surveyed((), venue.now_ns)
        await turn(timer)
        timer.saw(order("by-hand"))
        good, venue.outcome = venue.outcome, lambda: Unknown("lost")
        await turn(timer)
        assert not venue.fires_ns  # it arrived, and nobody knows
        timer.surveyed((), venue.now_ns)
        assert not armed(timer)
        timer.saw(order("by-hand"))
        venue.outcome = good
        await turn(timer)
        assert venue.requests[-2:] == [("", 0), ("", 0)]
        venue.now_ns += S
        await turn(timer)
        assert len(venue.requests) == 3

    run(body)


def test_what_may_have_been_armed_is_disarmed_at_the_end() -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue)
        timer.surveyed((), venue.now_ns)
        venue.outcome = lambda: Unknown("lost")
        await turn(timer)
        assert venue.fires_ns
        venue.outcome = lambda: Answered(status=200, body=b"")
        await timer.end(surveyor(survey()))
        assert not venue.fires_ns

    run(body)


@pytest.mark.parametrize("scope", ["account", "symbol"])
def test_unless_that_is_permitted(scope: str) -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue, scope=scope, beside_foreign=True)
        timer.surveyed((order("by-hand"),), venue.now_ns)
        timer.saw(order("by-hand"))
        await turn(timer)
        assert armed(timer)

    run(body)


def test_one_of_a_symbol_is_not_armed_beside_orders_of_others_in_that_symbol() -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue)
        timer.surveyed((order("by-hand"), order()), venue.now_ns)
        await turn(timer)
        assert venue.requests == [("C/D", 30_000)]
        assert not armed(timer)
        assert "1 open orders of others" in timer.why_not
        timer.surveyed((order(),), venue.now_ns)
        await turn(timer)
        assert armed(timer)
        timer.saw(order("by-hand"))
        await turn(timer)
        assert venue.requests[-1] == ("A/B", 0)
        assert list(venue.fires_ns) == ["C/D"]
        # Of a symbol that is not traded here, nothing is canceled.
        timer.surveyed((replace(order("by-hand"), symbol="E/F"),), venue.now_ns)
        await turn(timer)
        assert armed(timer)

    run(body)


@pytest.mark.parametrize(
    ("found", "off"),
    [
        (survey(), True),
        (survey(order("by-hand")), True),
        (survey(order()), False),
        (Unclear("no answer"), False),
        (None, False),
    ],
)
def test_the_end_disarms_only_where_no_order_of_ours_is_left(
    found: Survey | Unclear | None, *, off: bool
) -> None:
    async def body(venue: Venue) -> None:
        timer = timer_of(venue)
        timer.surveyed((), venue.now_ns)
        await turn(timer)
        await timer.end(None if found is None else surveyor(found))
        assert (venue.fires_ns == {}) is off
        requests = len(venue.requests)
        venue.now_ns += PERIOD_NS
        await turn(timer)
        assert len(venue.requests) == requests  # nothing is renewed after the end

    run(body)


def test_a_period_fits_its_budget() -> None:
    assert period_of(1, 10, 2_400, 30 * S) == 30 * S
    many = period_of(100, 10, 2_400, 30 * S)
    per_minute = 100 * 10 * 60 * S / (many / 3)
    assert per_minute <= 240


def test_without_a_timer_it_is_a_watchdogs_word() -> None:
    stands_by = True
    watched = Watched(lambda: stands_by)
    assert watched.armed
    assert not watched.why_not
    stands_by = False
    assert not Watched(lambda: stands_by).armed
    assert "watchdog" in watched.why_not


def test_a_live_adapter_tells_what_the_venue_has_confirmed() -> None:
    """Over real sockets: a request that is answered stands for the timer's own."""

    class Requests:
        takes = True

        def arm(self, symbol: str, period_ms: int) -> Request:
            del symbol, period_ms
            return TIME

        def confirmed(self, request: Request, answer: Answered) -> Refusal | None:
            del request
            taken = self.takes and answer.status == 200
            return None if taken else Refusal(fate=Fate.REFUSED, text="no")

    async def main() -> None:
        async with live_bench() as bench:
            await bench.begin()
            adapter, requests = bench.adapter, Requests()
            assert not bench.of(VenueStatus)[-1].dms_armed  # no timer, and no watchdog
            adapter.dead_man = CancelTimer(
                adapter.venue,
                VenueTimer(scope="symbol", period_ns=2 * S, requests=requests),
                (SYMBOL,),
                ids=adapter.ids,
                ask=adapter.ask,
                on_refusal=lambda _refusal: None,
                now=bench.clock.now,
            )
            adapter.dead_man.surveyed((), bench.clock.now())
            await until(lambda: bench.of(VenueStatus)[-1].dms_armed)
            # Renewed while the venue answers, for longer than the period.
            told = len(bench.of(VenueStatus))
            await asyncio.sleep(3.0)
            assert len(bench.of(VenueStatus)) == told
            requests.takes = False
            await until(lambda: not bench.of(VenueStatus)[-1].dms_armed)
            assert bench.of(VenueStatus)[-1].up

    asyncio.run(main())


def test_nothing_may_be_placed_while_a_watchdog_cancels() -> None:
    async def main() -> None:
        async with live_bench() as bench:
            await bench.begin()
            bench.adapter._yields = lambda: True
            await until(lambda: bench.of(VenueStatus)[-1].blind)
            assert bench.of(VenueStatus)[-1].up
            assert "watchdog" in bench.of(VenueStatus)[-1].reason
            bench.adapter._yields = bool
            await until(lambda: not bench.of(VenueStatus)[-1].blind)

    asyncio.run(main())
