"""One view of many books: only those that may be trusted, whatever their order; and what it is for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from engine_kit import SYMBOL, VENUE, Rig, config, signal
from hypothesis import assume, given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.consolidated import Source, consolidate
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import NAMES
from citadel_micro.core.model.commands import (
    PublishBook,
    PublishConsolidated,
    PublishFeed,
    RequestSnapshot,
)
from citadel_micro.core.model.config import ReferenceConfig
from citadel_micro.core.model.events import (
    DepthUpdate,
    FeedStatus,
    QuoteTick,
    TimerFired,
    TradeTick,
)
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.marketdata.consolidated import Consolidated
    from citadel_micro.core.model.command_buffer import Command

NOW = 1_700_000_000_000_000_000
MAX_AGE = 1_000_000_000
LEVELS = 5


def _quarter(number: int) -> float:
    return number / 4


prices = st.integers(1, 60).map(_quarter)
amounts = st.floats(0.001, 1e6)


def snapshot(
    venue: str,
    bids: Sequence[tuple[float, float]],
    asks: Sequence[tuple[float, float]],
    at_ns: int = NOW,
    symbol: str = SYMBOL,
) -> DepthUpdate:
    return DepthUpdate(venue, symbol, True, -1, -1, -1, None, list(bids), list(asks), 0, at_ns)


@st.composite
def markets(draw: st.DrawFn) -> list[MarketBook]:
    """Books in any state, of any age, some with a quote that is newer than their depth."""
    made = []
    for number in range(draw(st.integers(0, 5))):
        market = MarketBook(
            f"venue-{number}", SYMBOL, draw(st.sampled_from(["unnumbered", "unverified"]))
        )
        split = draw(st.integers(2, 59))
        below, above = st.integers(1, split - 1), st.integers(split, 60)
        bids = draw(st.dictionaries(below.map(_quarter), amounts, max_size=6))
        asks = draw(st.dictionaries(above.map(_quarter), amounts, max_size=6))
        age = draw(st.integers(0, 2 * MAX_AGE))
        market.on_depth(snapshot(market.venue, list(bids.items()), list(asks.items()), NOW - age))
        if draw(st.booleans()):
            bid = draw(prices)
            ask = bid + draw(st.integers(-1, 3)) / 4
            sizes = draw(amounts), draw(amounts)
            quote = QuoteTick(market.venue, SYMBOL, -1, bid, sizes[0], ask, sizes[1], 1, NOW - age)
            market.on_quote(quote)
        match draw(st.sampled_from(["live", "live", "live", "down", "refused", "stale"])):
            case "down":
                market.on_status(
                    FeedStatus(venue=market.venue, symbol=SYMBOL, up=False, reason="x")
                )
            case "refused":
                market.on_status(
                    FeedStatus(
                        venue=market.venue, symbol=SYMBOL, up=False, reason="x", refused=True
                    )
                )
            case "stale":
                market.check_age(NOW, age // 2)
        made.append(market)
    return made


def view_of(books: Sequence[MarketBook]) -> Consolidated:
    return consolidate(SYMBOL, [Source(book) for book in books], NOW, MAX_AGE, LEVELS)


@given(markets())
def test_only_books_that_may_be_trusted_count(books: list[MarketBook]) -> None:
    view = view_of(books)
    by_venue = {book.venue: book for book in books}
    for each in view.venues:
        book = by_venue[each.venue]
        assert book.state == "LIVE"
        assert NOW - book.last_recv_ns <= MAX_AGE
        assert each.age_ns == NOW - book.last_recv_ns
        assert book.best() == (each.bid, each.bid_size, each.ask, each.ask_size)
        assert each.bid < each.ask
        assert each.verified is book.verified
    for venue, reason in view.left_out:
        book = by_venue[venue]
        best = book.best()
        assert reason
        assert (
            book.state != "LIVE"
            or best is None
            or best[0] >= best[2]
            or NOW - book.last_recv_ns > MAX_AGE
        )
    names = sorted([each.venue for each in view.venues] + [venue for venue, _ in view.left_out])
    assert names == sorted(by_venue), "every venue is named once"


@given(markets())
def test_the_best_is_the_best_of_all(books: list[MarketBook]) -> None:
    view = view_of(books)
    if not view.venues:
        assert (view.bid, view.ask, view.mid, view.bids, view.asks) == (None, None, None, (), ())
        return
    assert view.bid == max(each.bid for each in view.venues)
    assert view.ask == min(each.ask for each in view.venues)
    assert view.mid == (view.bid + view.ask) / 2
    assert view.bids[0][0] == view.bid
    assert view.asks[0][0] == view.ask
    assert [price for price, _ in view.bids] == sorted({p for p, _ in view.bids}, reverse=True)
    assert [price for price, _ in view.asks] == sorted({p for p, _ in view.asks})
    assert max(len(view.bids), len(view.asks)) <= LEVELS


@given(markets())
def test_sizes_of_a_price_add_up(books: list[MarketBook]) -> None:
    view = view_of(books)
    counted = {each.venue: each for each in view.venues}
    for side, levels in ((0, view.bids), (1, view.asks)):
        for price, size in levels:
            parts = []
            for book in books:
                each = counted.get(book.venue)
                if each is None:
                    continue
                best, best_size = (
                    (each.bid, each.bid_size) if side == 0 else (each.ask, each.ask_size)
                )
                held = dict(book.book.top(LEVELS)[side])
                beyond = price < best if side == 0 else price > best
                if price == best:
                    parts.append(best_size)
                elif beyond and price in held:
                    parts.append(held[price])
            assert size == math.fsum(parts)


@given(markets(), st.randoms(use_true_random=False))
def test_the_order_of_venues_does_not_matter(books: list[MarketBook], random: object) -> None:
    shuffled = list(books)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    assert view_of(shuffled) == view_of(books)


@given(markets(), st.integers(0, 4))
def test_one_venue_more_never_worsens_the_best(books: list[MarketBook], at: int) -> None:
    assume(len(books) > at)
    fewer, all_of_them = view_of(books[:at] + books[at + 1 :]), view_of(books)
    if fewer.bid is not None and fewer.ask is not None:
        assert all_of_them.bid is not None
        assert all_of_them.ask is not None
        assert all_of_them.bid >= fewer.bid
        assert all_of_them.ask <= fewer.ask


def test_contracts_are_counted_in_base_units() -> None:
    linear, inverse = MarketBook("okx", SYMBOL, "unnumbered"), MarketBook("x", SYMBOL, "unnumbered")
    linear.on_depth(snapshot("okx", [(100.0, 50.0)], [(101.0, 20.0)]))
    inverse.on_depth(snapshot("x", [(100.0, 4.0)], [(102.0, 1.0)]))
    view = consolidate(
        SYMBOL, [Source(linear, 0.01), Source(inverse, 100.0, inverse=True)], NOW, MAX_AGE, 5
    )
    assert view.bids == ((100.0, 4.5),)
    assert view.asks == ((101.0, 0.2), (102.0, 100.0 / 102.0))


# --- in the engine ------------------------------------------------------------------------------


def limits(**changes: object) -> object:
    return paper_defaults(
        lease_required=False,
        max_open_orders=1_000,
        depth_participation_bps=10_000.0,
        reference_symbols=("*",),
        **changes,
    )


def rig(integrity: str = "unnumbered", **changes: object) -> Rig:
    references = {
        "okx": ReferenceConfig(integrity=integrity, symbols={SYMBOL: 1.0, "ETH/USDT": 1.0}),
        "kraken-spot": ReferenceConfig(integrity="unnumbered", symbols={SYMBOL: 1.0}),
    }
    made = Rig(config(limits=limits(), references=references, **changes))
    made.book(100.0, 100.2)
    return made


def lend(made: Rig, venue: str, bid: float, ask: float, symbol: str = SYMBOL) -> list[Command]:
    return made.send(snapshot(venue, [(bid, 5.0)], [(ask, 5.0)], made.now, symbol))


def denied(made: Rig) -> str:
    made.send(signal(created_ns=made.now, expires_ns=made.now + 10**10))
    return made.report().reason_code


def test_the_gate_wants_a_reference_where_one_is_configured() -> None:
    assert denied(rig()) == "REF_DIVERGENCE"


def test_the_gate_compares_with_the_other_venues() -> None:
    agreeing = rig()
    lend(agreeing, "okx", 100.1, 100.3)
    assert denied(agreeing) == ""
    apart = rig()
    lend(apart, "okx", 101.1, 101.3)
    assert denied(apart) == "REF_DIVERGENCE"


def test_a_reference_that_is_old_or_gone_is_none() -> None:
    old = rig()
    lend(old, "okx", 100.1, 100.3)
    old.now += 60 * 10**9
    old.book(100.0, 100.2)
    assert denied(old) == "REF_DIVERGENCE"
    gone = rig()
    lend(gone, "okx", 100.1, 100.3)
    gone.send(FeedStatus(venue="okx", symbol=SYMBOL, up=False, reason="connection lost"))
    assert denied(gone) == "REF_DIVERGENCE"


def test_a_limit_does_not_rest_on_a_book_that_nobody_can_verify() -> None:
    made = rig("unverified")
    lend(made, "okx", 100.1, 100.3)
    assert made.engine.markets["okx", SYMBOL].state == "LIVE"
    assert denied(made) == "REF_DIVERGENCE"


def test_no_order_goes_to_a_venue_that_only_lends_its_book() -> None:
    made = rig()
    lend(made, "okx", 100.1, 100.3)
    made.send(signal(venue="okx"))
    assert made.report().reason_code == "VENUE_DISALLOWED"
    assert not made.venue.placed


def test_what_is_lent_is_published_and_healed() -> None:
    made = rig("chain", book_publish_interval_ns=100_000_000)
    up = FeedStatus(venue="okx", symbol=SYMBOL, up=True, reason="connected")
    assert [type(c) for c in made.send(up)] == [RequestSnapshot, PublishFeed]
    first = snapshot("okx", [(100.1, 5.0)], [(100.3, 5.0)], made.now)._replace(
        last_seq=7, first_seq=7
    )
    (state,) = made.send(first)
    assert isinstance(state, PublishFeed)
    assert state.state == "LIVE"
    made.now += 200_000_000
    commands = made.send(TimerFired())
    books = [each for each in commands if isinstance(each, PublishBook)]
    (book,) = (each for each in books if each.venue == "okx")
    assert dict(zip(NAMES, book.features, strict=True))["spread_bps"] == pytest.approx(
        19.96, abs=0.01
    )
    assert PublishConsolidated(symbol=SYMBOL) in commands
    view = made.engine.references.consolidated(SYMBOL, made.now, 3)
    assert view is not None
    assert [each.venue for each in view.venues] == sorted([VENUE, "okx"])
    assert view.left_out == (("kraken-spot", "SYNCING: no snapshot yet"),)
    assert view.bid == 100.1
    made.now += 200_000_000
    assert PublishConsolidated(symbol=SYMBOL) not in made.send(TimerFired()), "nothing is new"
    lost = first._replace(snapshot=False, prev_seq=8, first_seq=9, last_seq=9)
    asked, state = made.send(lost)
    assert isinstance(asked, RequestSnapshot)
    assert isinstance(state, PublishFeed)
    assert (asked.venue, state.state, state.gaps) == ("okx", "SYNCING", 1)
    made.now += 200_000_000
    assert PublishConsolidated(symbol=SYMBOL) in made.send(TimerFired())
    trade = TradeTick("okx", SYMBOL, "1", 100.2, 2.0, "sell", 0, made.now)
    made.send(trade)
    assert made.engine.markets["okx", SYMBOL].signed_flow(made.now, 10**9) == -2.0


def test_one_venue_alone_is_nothing_to_consolidate() -> None:
    made = rig()
    assert made.engine.references.consolidated("ETH/USDT", made.now) is None
    assert made.engine.references.consolidated("XRP/USDT", made.now) is None


def test_a_venue_cannot_be_traded_and_lent() -> None:
    with pytest.raises(BadInput, match="traded on"):
        config(references={VENUE: ReferenceConfig(integrity="chain", symbols={SYMBOL: 1.0})})
