"""A connection that is about to end is followed by another, and no book is without trust meanwhile.

First the rule by which a symbol is handed over, on streams that are ahead of or behind one another;
then venues on loopback that cut, shut down, refuse the successor, or lose either connection.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hard_venue import QUICK, BinanceSpot, BybitLinear, HardVenue, Observer, run_hard, until
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.marketdata import connection as connection_module
from citadel_micro.shell.marketdata import session as life_module
from citadel_micro.shell.marketdata import websocket as link_module
from citadel_micro.shell.marketdata.handover import Handover

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.marketdata.context import SinkEvent
    from citadel_micro.shell.marketdata.spec import Limits
    from citadel_micro.shell.marketdata.websocket import Link

VENUE, SYMBOL = "somewhere", "BTC/USDT"
A = "C0/USDT"


# --- the rule --------------------------------------------------------------------------------------


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


# --- against venues --------------------------------------------------------------------------------

DIALECTS = pytest.mark.parametrize(
    "dialect", [BinanceSpot(), BybitLinear()], ids=["rest", "stream"]
)


class Witness(Observer):
    """Counts the time that each book was not LIVE since it first was, to this moment."""

    def seconds_not_live(self) -> float:
        now_s = time.monotonic()
        running = [now_s - since_s for since_s in self._left_live.values()]
        return max([*self.not_live_s.values(), *running])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real times are of a day's connection."""
    monkeypatch.setattr("hard_venue.Observer", Witness)
    monkeypatch.setattr(life_module, "RENEW_BEFORE", 0.5)
    monkeypatch.setattr(life_module, "WATCH_S", 0.02)
    monkeypatch.setattr(connection_module, "LINGER_S", 0.1)


def lasting(seconds: float) -> Limits:
    return replace(QUICK, lifetime_s=seconds)


async def cut_at_age(venue: HardVenue, seconds: float) -> None:
    """What the venue does to every connection of that age."""
    born: dict[Any, float] = {}
    while True:
        for socket in list(venue.sockets):
            if time.monotonic() - born.setdefault(socket, time.monotonic()) > seconds:
                await socket.close(code=1008, message=b"lifetime")
        await asyncio.sleep(0.01)


async def streaming(seen: Observer, until_true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Push changes of every book, as a venue does, until then."""

    async def step() -> bool:
        await seen.venue.push_all()
        await asyncio.sleep(0.005)
        return until_true()

    await until(step, seconds)


@DIALECTS
def test_books_stay_live_through_several_lifetimes_that_the_venue_cuts(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        await seen.agree()
        cutting = asyncio.ensure_future(cut_at_age(seen.venue, 1.6))
        asked = len(seen.venue.asked)
        try:
            await streaming(seen, lambda: len(seen.venue.connected_at) >= 4)
        finally:
            cutting.cancel()
        await seen.agree()
        assert seen.seconds_not_live() == 0.0
        assert seen.aggregator.health()[0].failures == 0
        assert all(market.gaps == market.resyncs == 0 for market in seen.markets.values())
        assert len(seen.venue.asked) == asked, "nothing had to be fetched"

    run_hard(monkeypatch, scenario, dialect=dialect, spec={"limits": lasting(1.6)})


def test_a_venue_that_says_it_goes_away_is_left_for_its_successor_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        await seen.agree()
        (first,) = seen.venue.sockets
        await seen.venue.raw('{"e":"serverShutdown","E":1770123456789}')
        await streaming(seen, lambda: first not in seen.venue.sockets)
        await seen.agree()
        assert seen.seconds_not_live() == 0.0
        assert seen.aggregator.health()[0].connects == 2

    run_hard(monkeypatch, scenario)


@DIALECTS
def test_a_shutdown_that_cuts_at_once_costs_a_resync_and_no_more(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    """The old connection dies while its successor is not yet subscribed."""

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        (first,) = seen.venue.sockets
        seen.venue.muted.update(seen.natives.values())
        await until(lambda: len(seen.venue.sockets) == 2)
        await first.close(code=1001)
        await until(lambda: all(market.state != "LIVE" for market in seen.markets.values()))
        seen.venue.muted.clear()
        await seen.agree()

    spec = {"limits": lasting(2.0)}
    run_hard(monkeypatch, scenario, dialect=dialect, spec=spec, quiet_s=1.0)


@DIALECTS
def test_a_successor_that_is_refused_is_tried_again_while_the_old_one_serves(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        await seen.agree()
        (first,) = seen.venue.sockets
        seen.venue.hang_up_on = "accept"
        await streaming(seen, lambda: len(seen.venue.connected_at) >= 4)
        assert first in seen.venue.sockets
        assert seen.seconds_not_live() == 0.0
        seen.venue.hang_up_on = ""
        await streaming(seen, lambda: first not in seen.venue.sockets)
        await seen.agree()
        assert seen.seconds_not_live() == 0.0

    run_hard(monkeypatch, scenario, dialect=dialect, spec={"limits": lasting(0.6)})


@DIALECTS
def test_a_successor_that_dies_half_way_gives_back_what_it_had(
    monkeypatch: pytest.MonkeyPatch, dialect: BinanceSpot | BybitLinear
) -> None:
    silent = "C1USDT"

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        (first,) = seen.venue.sockets
        seen.venue.muted.add(silent)  # so that this one is not handed over

        async def moved() -> bool:
            await seen.venue.push("C0USDT")
            await asyncio.sleep(0.005)
            return len(seen.venue.sockets) == 2 and all(seen.venue.sockets.values())

        await until(moved)
        for _ in range(20):
            await moved()
        (second,) = set(seen.venue.sockets) - {first}
        await second.close(code=1011)
        seen.venue.muted.clear()
        await seen.agree()

    run_hard(monkeypatch, scenario, dialect=dialect, spec={"limits": lasting(2.0)}, quiet_s=5.0)


def test_many_symbols_are_given_the_time_that_subscribing_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "HANDOVER_S", 0.2)
    slow = replace(lasting(4.0), messages_per_s=25.0, symbols_per_message=1)

    async def scenario(seen: Observer) -> None:
        assert isinstance(seen, Witness)
        await until(lambda: all(seen.venue.subscribed(n) for n in seen.natives.values()))
        await seen.agree()
        (first,) = seen.venue.sockets
        await streaming(seen, lambda: first not in seen.venue.sockets)
        assert seen.seconds_not_live() == 0.0
        assert all(market.gaps == 0 for market in seen.markets.values())

    run_hard(monkeypatch, scenario, symbols=20, spec={"limits": slow})


def test_the_end_of_the_old_one_is_told_while_its_successor_cannot_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that takes for ever to open must not keep dead books LIVE."""
    plain = link_module.open_link
    opened: list[str] = []

    async def hangs(url: str, *arguments: Any, **options: Any) -> Link:  # noqa: ANN401
        opened.append(url)
        if len(opened) == 2:
            await asyncio.Event().wait()
        return await plain(url, *arguments, **options)

    monkeypatch.setattr(life_module, "open_link", hangs)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        (first,) = seen.venue.sockets
        await until(lambda: len(opened) == 2)
        await first.close(code=1001)
        await until(lambda: all(market.state != "LIVE" for market in seen.markets.values()))
        await seen.agree()

    run_hard(monkeypatch, scenario, spec={"limits": lasting(0.6)})


def test_no_trade_is_lost_or_told_twice_from_one_connection_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []

    class Trader(Witness):
        def sink(self, event: object, recv_ns: int) -> None:
            if isinstance(event, TradeTick):
                taken.append(event.trade_id)
            else:
                super().sink(event, recv_ns)

    monkeypatch.setattr("hard_venue.Observer", Trader)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        sent = 0
        (first,) = seen.venue.sockets

        async def step() -> bool:
            nonlocal sent
            data = {"e": "trade", "E": sent, "s": "C0USDT", "t": sent, "p": "1.5", "q": "1"}
            data |= {"T": sent, "m": False}
            frame = {"stream": "c0usdt@trade", "data": data}
            await seen.venue.raw(json.dumps(frame, separators=(",", ":")), "C0USDT")
            sent += 1
            await seen.venue.push_all()
            await asyncio.sleep(0.004)
            return first not in seen.venue.sockets

        await until(step)
        for _ in range(20):
            await step()
        await until(lambda: len(taken) >= sent)
        assert taken == [str(number) for number in range(sent)]

    run_hard(
        monkeypatch,
        scenario,
        spec={"limits": lasting(1.0)},
        channels=("depth", "trade"),
    )


def test_a_capture_has_one_connection_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of two connections under one number would be a capture that nobody can read."""
    opened: list[tuple[str, int]] = []

    class Tapped(Witness):
        def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - as Observer
            super().__init__(*arguments)
            self.aggregator._tap = lambda _at, kind, conn, _url, _text: opened.append((kind, conn))

    monkeypatch.setattr("hard_venue.Observer", Tapped)

    async def scenario(seen: Observer) -> None:
        await seen.agree()
        (first,) = seen.venue.sockets
        await streaming(seen, lambda: first not in seen.venue.sockets)
        await seen.agree()
        assert opened.count(("open", 0)) == 2
        assert len(seen.venue.sockets) == 1

    run_hard(monkeypatch, scenario, spec={"limits": lasting(0.8)})
