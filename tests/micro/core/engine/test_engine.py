from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, config, rules, signal

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.commands import (
    Persist,
    PublishAnswer,
    PublishBeat,
    PublishBook,
    PublishFeed,
    RequestSnapshot,
    Stopped,
)
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import (
    BalancesUpdated,
    DepthUpdate,
    FeedStatus,
    QueryReceived,
    QuoteTick,
    TimerFired,
    TradeTick,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.engine.engine import Command


def of(rig: Rig, kind: type) -> list[Any]:
    return [command for _, command in rig.commands if isinstance(command, kind)]


def query(kind: str, **changes: object) -> QueryReceived:
    values: dict[str, Any] = {
        "query_id": "q1",
        "kind": kind,
        "reply_to": "macro-1",
        "signal_id": "",
        "venue": "",
        "symbol": "",
        "since_ns": 0,
    }
    return QueryReceived(**{**values, **changes})


def asked(rig: Rig, kind: str, **changes: object) -> PublishAnswer:
    answers = [c for c in rig.send(query(kind, **changes)) if isinstance(c, PublishAnswer)]
    assert len(answers) == 1
    assert (answers[0].query_id, answers[0].reply_to, answers[0].kind) == ("q1", "macro-1", kind)
    return answers[0]


def depth(rig: Rig, first: int, last: int, *, snapshot: bool = False) -> list[Command]:
    levels = ([(60_000.0, 1.0)], [(60_000.1, 1.0)])
    return rig.send(
        DepthUpdate(VENUE, SYMBOL, snapshot, first, last, -1, None, *levels, rig.now, rig.now)
    )


# --- the door -----------------------------------------------------------------------------------


def test_a_quiet_market_event_costs_no_command() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    assert depth(rig, rig.seq + 1, rig.seq + 1) == []
    quote = QuoteTick(VENUE, SYMBOL, -1, 60_000.0, 3.0, 60_000.1, 2.0, rig.now, rig.now)
    assert rig.send(quote) == []
    trade = TradeTick(VENUE, SYMBOL, "1", 60_000.0, 1.0, "buy", rig.now, rig.now)
    assert rig.send(trade) == []


def test_what_is_no_event_is_refused() -> None:
    rig = Rig()
    with pytest.raises(BadInput, match="str is not an event"):
        rig.engine.handle("hello", rig.now)  # type: ignore[arg-type]


def test_events_of_instruments_that_are_not_there_are_ignored() -> None:
    rig = Rig()
    update = DepthUpdate("x", "Y/Z", True, 1, 1, -1, None, [], [], START, START)
    assert rig.engine.handle(update, rig.now) == []
    assert rig.engine.handle(QuoteTick("x", "Y/Z", 1, 1, 1, 2, 1, START, START), rig.now) == []
    assert rig.engine.handle(TradeTick("x", "Y", "1", 1, 1, "buy", START, START), rig.now) == []
    status = FeedStatus(venue="x", symbol="Y/Z", up=True, reason="")
    assert rig.engine.handle(status, rig.now) == []


def test_time_never_goes_back() -> None:
    rig = Rig()
    rig.run(1 * SECOND)
    latest = rig.now
    rig.send(TimerFired())
    rig.now -= 500 * MS
    rig.send(signal())
    assert rig.report().created_ns == latest


def test_early_and_repeated_timers_are_harmless_and_time_always_goes_on() -> None:
    rig = Rig()
    rig.send(signal())
    for _ in range(50):
        rig.send(TimerFired())
        due = rig.engine.next_timer()
        assert due is not None
        assert due > rig.now
    assert len(rig.venue.placed) == 1


def test_an_engine_that_was_not_started_asks_for_no_timer_and_sends_nothing() -> None:
    engine = Engine(config(), {KEY: rules()})
    assert engine.next_timer() is None
    assert engine.reconciling
    assert engine.open_parents(None) == 0


@pytest.mark.parametrize(
    "values",
    [
        {"run_id": "much-too-long-for-an-id"},
        {"run_id": "a b"},
        {"run_id": ""},
        {"tick_ns": 0},
        {"heartbeat_ns": 0},
    ],
)
def test_a_configuration_that_cannot_be_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        config(**values)


@pytest.mark.parametrize(
    "values",
    [{"messages_per_second": 0}, {"message_burst": 1}, {"cancel_reserve": 1.0}],
)
def test_a_bucket_that_could_not_send_an_order_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="cannot send an order"):
        VenueConfig(**values)


def test_an_instrument_of_an_unknown_venue_is_refused() -> None:
    settings = EngineConfig(
        run_id="r", instance="i", venues={}, limits=paper_defaults(lease_required=False)
    )
    with pytest.raises(BadInput, match="not configured"):
        Engine(settings, {KEY: rules()})


# --- markets ------------------------------------------------------------------------------------


def test_a_gap_asks_for_a_snapshot_and_says_so() -> None:
    rig = Rig()
    depth(rig, rig.seq + 1, rig.seq + 1)
    commands = depth(rig, rig.seq + 50, rig.seq + 51)
    names = [type(command).__name__ for command in commands]
    assert "RequestSnapshot" in names
    feed = next(c for c in commands if isinstance(c, PublishFeed))
    assert (feed.state, feed.gaps) == ("SYNCING", 1)
    rig.run(11 * SECOND, refresh_ns=0)
    assert len(of(rig, RequestSnapshot)) == 2  # asked again when none came


def test_connecting_asks_for_a_snapshot() -> None:
    rig = Rig(start=False)
    rig.send(FeedStatus(venue=VENUE, symbol=SYMBOL, up=True, reason="connected"))
    assert len(of(rig, RequestSnapshot)) == 1


def test_a_refused_subscription_is_broken() -> None:
    rig = Rig()
    rig.send(FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="no such", refused=True))
    assert of(rig, PublishFeed)[-1].state == "BROKEN"


def test_a_book_that_falls_silent_is_published_as_stale() -> None:
    rig = Rig()
    rig.run(3 * SECOND, refresh_ns=0)
    states = [feed.state for feed in of(rig, PublishFeed)]
    assert states[-1] == "STALE"
    rig.book(60_000.0, 60_000.1)
    assert of(rig, PublishFeed)[-1].state == "LIVE"


def test_books_are_published_at_their_interval_and_only_when_changed() -> None:
    rig = Rig(config(book_publish_interval_ns=100 * MS))
    rig.run(1 * SECOND, refresh_ns=10 * MS)
    assert 9 <= len(of(rig, PublishBook)) <= 12
    rig.run(50 * MS, refresh_ns=0)
    count = len(of(rig, PublishBook))
    rig.run(1 * SECOND, refresh_ns=0)
    assert len(of(rig, PublishBook)) <= count + 1


def test_feeds_are_repeated_every_few_seconds_and_beats_every_second() -> None:
    rig = Rig()
    rig.commands.clear()
    rig.beat()
    rig.run(20 * SECOND)
    assert len(of(rig, PublishFeed)) == 4
    beats = of(rig, PublishBeat)
    assert 19 <= len(beats) <= 21
    assert (beats[-1].state, beats[-1].macro_instance_seen, beats[-1].macro_seq_seen) == (
        "active",
        "m",
        1,
    )


def test_beats_say_what_micro_is() -> None:
    rig = Rig(start=False)
    rig.venue.mute = True
    from citadel_micro.core.model.events import Started  # noqa: PLC0415

    rig.send(Started(state={}, damaged=""))
    assert of(rig, PublishBeat)[-1].state == "recovering"
    rig.venue.mute = False
    rig.run(4 * SECOND)
    rig.operate("pause")
    rig.run(1 * SECOND)
    assert of(rig, PublishBeat)[-1].state == "reducing"
    rig.operate("kill")
    rig.run(1 * SECOND)
    assert of(rig, PublishBeat)[-1].state == "killed"


# --- questions ----------------------------------------------------------------------------------


def test_questions_about_orders() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(1 * SECOND)
    rig.send(signal("s2", quantity=Decimal("0.1")))
    found = asked(rig, "order", signal_id="s1")
    assert found.found
    assert found.reports == (rig.report("s1"),)
    missing = asked(rig, "order", signal_id="nobody")
    assert not missing.found
    assert missing.reports == ()
    assert missing.error == ""
    assert [r.signal_id for r in asked(rig, "orders").reports] == ["s1", "s2"]
    since = rig.report("s2").updated_ns
    assert [r.signal_id for r in asked(rig, "orders", since_ns=since).reports] == ["s2"]
    assert asked(rig, "orders", symbol="ETH/USDT").reports == ()


def test_questions_about_money_and_limits() -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    rig.send(signal(order_type="market"))
    rig.run(100 * MS)
    balances = {row.currency: row for row in asked(rig, "balances").balances}
    assert balances["BTC"].free == Decimal("1000.5")
    assert asked(rig, "balances", venue="elsewhere").balances == ()
    positions = asked(rig, "positions").positions
    assert [(p.symbol, p.quantity) for p in positions] == [(SYMBOL, Decimal("0.5"))]
    limits = dict(asked(rig, "limits").limits)
    assert limits["max_order_notional"] == "50000"


def test_balances_in_reports_are_never_older_than_their_fills() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill("sctest-1-1", 100)
    rig.run(10 * MS)
    balances = {row.currency: row.free for row in rig.report().balances}
    assert balances["BTC"] == Decimal("1000.1")
    assert balances["USDT"] == 1_000_000 - 6_000 - 6
    stale = (("BTC", Decimal(1_000), Decimal(0)),)
    rig.send(BalancesUpdated(venue=VENUE, balances=stale, exchange_ns=START))
    held = rig.engine.portfolio.balance(VENUE, "BTC")
    assert held is not None
    assert held.free == Decimal("1000.1")


# --- the end ------------------------------------------------------------------------------------


def test_shutdown_withdraws_everything_then_says_that_it_may_end() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.operate("shutdown")
    assert of(rig, Stopped) == []
    rig.send(signal("late", quantity=Decimal("0.1")))
    assert rig.report("late").reason_code == "SHUTTING_DOWN"
    rig.run(50 * MS)
    assert of(rig, Stopped) == [Stopped(clean=True)]
    assert (rig.report().status, rig.report().reason_code) == ("canceled", "SHUTDOWN")
    assert rig.venue.open_orders() == []


def test_shutdown_with_nothing_out_is_immediate_and_said_once() -> None:
    rig = Rig()
    rig.operate("shutdown")
    rig.operate("shutdown")
    rig.run(1 * SECOND)
    assert of(rig, Stopped) == [Stopped(clean=True)]


def test_shutdown_does_not_wait_for_ever() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.mute = True
    rig.operate("shutdown")
    rig.run(11 * SECOND)
    assert of(rig, Stopped) == [Stopped(clean=False)]


def test_everything_stored_is_plain() -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(10 * MS)
    rig.venue.fill("sctest-1-1", 500)
    rig.run(10 * MS)
    rig.cancel("unknown")
    rig.operate("pause")

    def check(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                assert isinstance(key, str)
                check(inner)
        elif isinstance(value, list):
            for inner in value:
                check(inner)
        else:
            assert value is None or isinstance(value, str | int | bool)

    for command in of(rig, Persist):
        check(command.value)
