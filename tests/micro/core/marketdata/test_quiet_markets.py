"""A quiet market is not a stale one: what proves a book is its stream, not its last change."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from effort import examples
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, config, signal
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.streams import Streams
from citadel_micro.core.model.commands import PublishBook, PublishFeed
from citadel_micro.core.model.events import FeedStatus, StreamProof
from citadel_micro.shell.bridge.wire import book_of
from citadel_micro.shell.journal.records import decode_event, encode

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM = 3


def status(*, up: bool = True, reason: str = "connected", stream: int = STREAM) -> FeedStatus:
    return FeedStatus(venue=VENUE, symbol=SYMBOL, up=up, reason=reason, stream=stream)


def proof(now_ns: int, stream: int = STREAM) -> StreamProof:
    return StreamProof(venue=VENUE, stream=stream, recv_ns=now_ns)


def rig(book_publish_interval_ns: int = 0) -> Rig:
    """A LIVE book on stream 3."""
    made = Rig(config(book_publish_interval_ns=book_publish_interval_ns))
    made.send(status())
    made.book(60_000.0, 60_000.1)
    return made


def quiet(made: Rig, duration_ns: int, every_ns: int = SECOND, stream: int = STREAM) -> None:
    """Nothing comes of the book; its stream shows now and then that it is alive."""
    end = made.now + duration_ns
    while made.now < end:
        made.run(min(every_ns, end - made.now), refresh_ns=0)
        made.send(proof(made.now, stream))


def test_a_book_that_is_quiet_for_an_hour_is_live_and_traded_on() -> None:
    made = rig()
    quiet(made, 3_600 * SECOND)
    market = made.engine.markets[KEY]
    assert (market.state, market.reason) == ("LIVE", "")
    assert made.now - market.last_recv_ns >= 3_600 * SECOND
    assert made.now - market.proof_ns <= SECOND
    assert made.engine.risk.breakers.trips == ()
    made.send(signal(created_ns=made.now, expires_ns=made.now + 10 * SECOND))
    made.run(100 * MS, refresh_ns=0)
    assert made.report().reason_code == ""
    assert len(made.venue.open_orders()) == 1


def test_a_resting_order_survives_the_quiet() -> None:
    made = rig()
    made.send(signal(params=(("time_limit_ms", 600_000),)))
    made.run(100 * MS, refresh_ns=0)
    order = made.live()
    quiet(made, 60 * SECOND)
    assert made.live() is order


@pytest.mark.parametrize(
    "silence",
    [
        lambda made: made.run(20 * SECOND, refresh_ns=0),
        lambda made: quiet(made, 20 * SECOND, stream=STREAM + 1),
        lambda made: quiet(made, 20 * SECOND, stream=-1),
    ],
    ids=["no proof", "another stream's", "nobody's"],
)
def test_a_stream_that_nobody_hears_makes_the_book_stale_and_trips(
    silence: Callable[[Rig], None],
) -> None:
    made = rig()
    silence(made)
    market = made.engine.markets[KEY]
    assert market.state == "STALE"
    assert market.reason.startswith("nothing heard of its stream for 1.")
    assert [trip.code for trip in made.engine.risk.breakers.trips] == ["STALE_FEED"]
    made.send(signal(created_ns=made.now, expires_ns=made.now + 10 * SECOND))
    assert made.report().reason_code in {"REDUCE_ONLY", "BOOK_STALE"}


def test_a_stream_that_is_up_again_revives_its_book() -> None:
    made = rig()
    made.run(2 * SECOND, refresh_ns=0)
    made.send(proof(made.now))
    made.run(200 * MS, refresh_ns=0)
    states = [c.state for _, c in made.commands if isinstance(c, PublishFeed)]
    assert states[-2:] == ["STALE", "LIVE"]


def test_a_proof_revives_no_book_that_was_lost_or_is_crossed() -> None:
    made = rig()
    made.send(status(up=False, reason="connection lost"))
    quiet(made, 2 * SECOND)
    assert made.engine.markets[KEY].state == "SYNCING"
    crossed = rig()
    market = crossed.engine.markets[KEY]
    update = replace_best_bid_above_ask(crossed)
    quiet(crossed, 400 * MS, every_ns=100 * MS)
    assert market.state != "LIVE", update


def replace_best_bid_above_ask(made: Rig) -> str:
    """A change, in the sequence, that crosses the book."""
    from citadel_micro.core.model.events import DepthUpdate  # noqa: PLC0415 - of this helper only

    market = made.engine.markets[KEY]
    seq = market.last_seq + 1
    made.send(
        DepthUpdate(
            VENUE, SYMBOL, False, seq, seq, -1, None, [(60_001.0, 1.0)], [], made.now, made.now
        )
    )
    return market.reason


def test_a_proof_from_the_future_counts_as_of_now() -> None:
    made = rig()
    made.send(proof(made.now + 3_600 * SECOND))
    made.run(2 * SECOND, refresh_ns=0)
    assert made.engine.markets[KEY].state == "STALE"


def test_one_proof_serves_a_thousand_books() -> None:
    streams = Streams()
    books = [MarketBook("v", f"S{n}/USDT", "chain") for n in range(1_000)]
    for book in books:
        book.stream = streams.of("v", 0)
    streams.on_proof(StreamProof(venue="v", stream=0, recv_ns=START), START)
    assert {book.proof_ns for book in books} == {START}


def test_a_quiet_book_is_published_with_its_proof_and_its_last_change() -> None:
    made = rig(book_publish_interval_ns=100 * MS)
    made.run(SECOND, refresh_ns=0)
    made.commands.clear()
    quiet(made, 10 * SECOND)
    shown = [at for at, command in made.commands if isinstance(command, PublishBook)]
    assert 9 <= len(shown) <= 12
    market = made.engine.markets[KEY]
    message = book_of(market, 5, "i", 1, made.now)
    assert message.recv_ns == market.last_recv_ns < message.proof_ns == market.proof_ns


def test_a_proof_is_journaled_as_any_event() -> None:
    event = proof(START)
    assert decode_event(encode(event)) == event
    old = encode(replace(status(), stream=-1))
    assert decode_event(old) == status(stream=-1)


@settings(deadline=None, max_examples=examples(15, 120))
@given(
    st.lists(
        st.tuples(st.integers(1, 3_000), st.sampled_from(["change", "proof", "other"])),
        max_size=30,
    )
)
def test_a_book_is_live_if_and_only_if_it_was_proven_within_the_limit(
    story: list[tuple[int, str]],
) -> None:
    made = rig()
    limit_ns = made.settings.limits.stale_ns
    proven_ns = made.now
    for wait_ms, what in story:
        made.run(wait_ms * MS, refresh_ns=0)
        age_ns = made.now - proven_ns
        state = made.engine.markets[KEY].state
        if age_ns <= limit_ns:
            assert state == "LIVE"
        elif age_ns > limit_ns + made.settings.tick_ns:
            assert state == "STALE"
        if what == "change":
            made.book(60_000.0, 60_000.1)
        else:
            made.send(proof(made.now, STREAM if what == "proof" else STREAM + 1))
        if what != "other":
            proven_ns = made.now
            made.run(made.settings.tick_ns, refresh_ns=0)


def test_quantity_is_what_it_was() -> None:
    """The proof changes what is trusted, nothing that is sent."""
    made = rig()
    quiet(made, 30 * SECOND)
    made.send(signal(created_ns=made.now, expires_ns=made.now + 10 * SECOND))
    made.run(100 * MS, refresh_ns=0)
    assert made.instrument.quantity(made.live().quantity_lots) == Decimal("0.5")
