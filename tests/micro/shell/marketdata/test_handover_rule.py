"""The rule by which a symbol is handed over, on streams that are ahead of or behind one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.handover import Handover

if TYPE_CHECKING:
    from citadel_micro.shell.marketdata.context import SinkEvent


VENUE, SYMBOL = "somewhere", "BTC/USDT"


def change(seq: int, *, snapshot: bool = False) -> DepthUpdate:
    return DepthUpdate(
        venue=VENUE,
        symbol=SYMBOL,
        snapshot=snapshot,
        first_seq=seq,
        last_seq=seq,
        prev_seq=-1 if snapshot else seq - 1,
        checksum=None,
        bids=[(float(seq % 7 + 1), float(seq % 3))],
        asks=[],
        exchange_ns=seq,
        recv_ns=seq,
    )


def trade(number: int) -> TradeTick:
    return TradeTick(VENUE, SYMBOL, str(number), 1.0, 1.0, "buy", number, number)


def quote(number: int) -> QuoteTick:
    return QuoteTick(VENUE, SYMBOL, number, 1.0, 1.0, 2.0, 1.0, number, number)


def handover(strategy: str, taken: list[SinkEvent], *, bridges: bool) -> Handover:
    return Handover(
        VENUE, [SYMBOL], strategy, lambda event, _at: taken.append(event), bridges=bridges
    )


@given(
    strategy=st.sampled_from(["range_bridge_spot", "range_bridge_futures"]),
    joins_at=st.integers(11, 30),
    turns=st.lists(st.booleans(), min_size=80, max_size=80),
)
def test_numbered_streams_are_joined_without_a_gap_whichever_is_ahead(
    strategy: str, joins_at: int, turns: list[bool]
) -> None:
    """The book is given every update in order, and is LIVE after each of them."""
    book = MarketBook(VENUE, SYMBOL, strategy)
    book.on_depth(change(10, snapshot=True))
    states: list[str] = []
    gaps = 0

    def emit(event: SinkEvent, _at: int) -> None:
        nonlocal gaps
        assert isinstance(event, DepthUpdate)
        gaps += bool(book.on_depth(event) & Change.GAP)
        states.append(book.state)

    passing = Handover(VENUE, [SYMBOL], strategy, emit, bridges=True)
    old, new = 11, joins_at
    for is_new in turns:
        if is_new and new <= 40:
            passing.new(change(new), 0)
            new += 1
        elif old <= 40:
            passing.old(change(old), 0)
            old += 1
    while old <= 40:
        passing.old(change(old), 0)
        old += 1
    while new <= 40:
        passing.new(change(new), 0)
        new += 1
    passing.finish("the end", lost=False)
    assert passing.done
    assert gaps == 0
    assert book.last_seq == 40
    assert set(states) == {"LIVE"}
    assert book.deltas == 30, "each once"


def test_a_snapshot_in_the_stream_takes_over_at_once() -> None:
    taken: list[SinkEvent] = []
    passing = handover("chain", taken, bridges=False)
    passing.old(change(1), 0)
    passing.new(change(2), 0)  # before its snapshot it is worth nothing
    assert not passing.moved(SYMBOL)
    passing.new(change(5, snapshot=True), 0)
    assert passing.done
    passing.old(change(2), 0)
    passing.new(change(6), 0)
    assert [event.last_seq for event in taken if isinstance(event, DepthUpdate)] == [1, 5, 6]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_every_trade_passes_once(heard: list[tuple[bool, int]]) -> None:
    taken: list[SinkEvent] = []
    passing = handover("chain", taken, bridges=False)
    for is_new, number in heard:
        (passing.new if is_new else passing.old)(trade(number), 0)
    ids = [event.trade_id for event in taken if isinstance(event, TradeTick)]
    assert ids == list(dict.fromkeys(str(number) for _, number in heard))


def test_quotes_are_of_whom_the_book_is_of_and_states_of_the_new_one_wait() -> None:
    taken: list[SinkEvent] = []
    passing = handover("chain", taken, bridges=False)
    waiting = FeedStatus(venue=VENUE, symbol=SYMBOL, up=True, reason="connected", refused=False)
    passing.new(waiting, 0)
    passing.new(quote(1), 0)
    passing.old(quote(2), 0)
    passing.new(change(3, snapshot=True), 0)
    passing.old(quote(4), 0)
    passing.new(quote(5), 0)
    assert [type(event).__name__ for event in taken] == ["QuoteTick", "DepthUpdate", "QuoteTick"]


def test_the_end_of_the_old_one_voids_what_nothing_proves() -> None:
    for bridges, held, void in ((True, True, False), (True, False, True), (False, False, True)):
        taken: list[SinkEvent] = []
        passing = handover("range_bridge_spot" if bridges else "chain", taken, bridges=bridges)
        passing.old(change(1), 0)
        if held:
            passing.new(change(9), 0)
        assert passing.finish("it was cut", lost=True) == ([SYMBOL] if void else [])
        assert passing.done
        last = taken[-1]
        if void:
            assert isinstance(last, FeedStatus)
            assert (last.up, last.reason) == (False, "it was cut")
        else:
            assert last == change(9), "which shows the gap by itself"


def test_a_quiet_symbol_is_handed_over_in_the_end_as_it_is() -> None:
    taken: list[SinkEvent] = []
    passing = handover("range_bridge_spot", taken, bridges=True)
    assert passing.finish("long enough", lost=False) == []
    assert taken == []
    passing.new(change(4), 0)
    assert taken == [change(4)]


def test_a_symbol_that_the_new_one_is_refused_is_broken_in_the_venues_words() -> None:
    taken: list[SinkEvent] = []
    passing = handover("chain", taken, bridges=False)
    refused = FeedStatus(venue=VENUE, symbol=SYMBOL, up=False, reason="delisted", refused=True)
    passing.new(refused, 0)
    passing.old(change(1), 0)
    assert passing.finish("long enough", lost=False) == []
    assert taken == [change(1), refused]
