"""Frames that nobody looks at are passed over: never with another outcome than if each were handled."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from effort import examples
from market_twins import PythonBook, damaged, random_events, state_of
from paper_kit import spot
from work_kit import NAMES, first_touch, orders

from citadel_micro.core.engine.risk_watch import RiskWatch
from citadel_micro.core.engine.ticks import Ticks
from citadel_micro.core.marketdata import kernel, passing
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.passing import MOST_WATCHED, QuietTicks, Skipped, Watched
from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import (
    BookLook,
    DepthUpdate,
    QuoteTick,
    StreamProof,
    TradeTick,
)
from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.instrument_state import InstrumentState
from citadel_micro.offline import passing as offline
from citadel_micro.offline.driver import OfflineDriver
from citadel_micro.offline.work import work
from citadel_proto.errors import BadInput

from .conftest import MS, Market

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from citadel_micro.core.model.command_buffer import Command
    from citadel_micro.core.model.events import Event
    from citadel_micro.offline.work import WorkOrder
    from citadel_micro.sim.queue_model import QueueModel

VENUE, SYMBOL = "binance-spot", "AAA/USDT"
MODELS: Final[tuple[QueueModel, ...]] = ("expected", "optimistic", "pessimistic")
needs_compiled = pytest.mark.skipif(
    kernel.LIVE is None, reason="without the compiled kernel every frame is handled"
)


class Busy(Market):
    """Depth, best quotes and trades around a touch that moves now and then."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng
        self.low = 1_000  # best bid in ticks
        self.last = self.update  # of the book; quotes are numbered in between

    def quote(self) -> None:
        self.update += 1
        bid, ask = f"{self.low / 10:.1f}", f"{(self.low + 1) / 10:.1f}"
        sizes = [f"{self.rng.randint(1, 400) / 100:.2f}" for _ in range(2)]
        data: dict[str, Any] = {"u": self.update, "s": "AAAUSDT"}
        data |= {"b": bid, "B": sizes[0], "a": ask, "A": sizes[1]}
        self._frame({"stream": "aaausdt@bookTicker", "data": data})

    def depth(self, bids: Mapping[str, str], asks: Mapping[str, str]) -> None:
        self.wait(self.rng.choice((0, 20, 100)))
        self.update += 1
        data: dict[str, Any] = {"e": "depthUpdate", "E": self.now_ns // MS, "s": "AAAUSDT"}
        numbers = {"U": self.last + 1, "u": self.update}
        data |= numbers | {"b": list(bids.items()), "a": list(asks.items())}
        self._frame({"stream": "aaausdt@depth@100ms", "data": data})
        self.last = self.update

    def anew(self) -> None:
        below, above = range(self.low, self.low - 20, -1), range(self.low + 1, self.low + 21)
        bids, asks = ({f"{at / 10:.1f}": "2.01" for at in side} for side in (below, above))
        self.snapshot(bids, asks)
        self.last = self.update

    def play(self, steps: int) -> None:
        rng = self.rng
        text = [f"{price / 10:.1f}" for price in range(2_000)]
        self.anew()
        for _ in range(steps):
            what = rng.random()
            if what < 0.02:  # the touch moves
                up = rng.random() < 0.5
                at = text[self.low + up]
                self.low += 1 if up else -1
                self.depth({at: "1.01" if up else "0"}, {at: "0" if up else "1.01"})
            elif what < 0.3:
                size = f"{rng.choice((0, 1, 2, 2, 3)) + 0.01:.2f}"
                if rng.random() < 0.5:
                    self.depth({text[self.low - rng.randint(0, 12)]: size}, {})
                else:
                    self.depth({}, {text[self.low + 1 + rng.randint(0, 12)]: size})
            elif what < 0.305:  # something is lost
                self.update, self.last = self.update + 3, self.update + 3
                self.depth({}, {})
                self.anew()
            elif what < 0.7:
                self.wait(rng.choice((0, 1, 30)))
                self.quote()
            else:
                seller = rng.random() < 0.5
                price = self.low + (not seller) + rng.choice((0, 0, 0, 1, 2)) * (1 - 2 * seller)
                self.wait(rng.choice((0, 2)))
                self.trade(text[price], f"{rng.randint(1, 150) / 100:.2f}", buyer_is_maker=seller)


def outcome(order: WorkOrder) -> str:
    try:
        worked = work(order)
    except BadInput as error:
        return str(error)
    return json.dumps([worked.outcome, worked.frames, worked.doubt])


@needs_compiled
def test_every_order_ends_as_if_every_frame_were_handled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = dict.fromkeys(NAMES, 0)
    compiled = passing.pass_over
    now = [""]

    def counted(*given: Any) -> Any:  # noqa: ANN401 - as it is
        found = compiled(*given)
        passed[now[0]] += found[0]
        return found

    monkeypatch.setattr(offline, "pass_over", counted)
    monkeypatch.setattr(offline, "MOST_WAIT", 0)  # looks at every step
    for seed in range(examples(1, 60)):
        rng = random.Random(seed)
        market = Busy(rng)
        market.play(600)
        path = market.write(tmp_path / f"{seed}.jsonl.gz")
        touch = first_touch(path, VENUE, SYMBOL)
        assert touch is not None
        found = [*orders(path, VENUE, SYMBOL, touch)]
        for drawn in rng.sample(found, examples(25, len(found))):
            model = rng.choice(MODELS)
            order = replace(drawn, queue_model=model, start_after_s=rng.choice((0.0, 3.5)))
            now[0] = order.algo
            quick = outcome(order)
            with monkeypatch.context() as plain:
                plain.setattr(kernel, "LIVE", None)
                assert outcome(order) == quick, order
    assert min(passed[name] for name in ("chase_limit", "limit", "peg")) > 50, passed


KINDS: Final = (DepthUpdate, QuoteTick, TradeTick)
FRESH_NS: Final = 600 * MS
TICK, LOT = Decimal("0.125"), Decimal("0.25")


def state(book: type[MarketBook]) -> InstrumentState:
    """A market of ``random_events``."""
    rules = spot(venue="v", symbol="s", tick=TICK, lot=LOT)
    venue = VenueConfig(integrity="chain")
    return InstrumentState(rules, book("v", "s", "chain"), venue, stale_cancel_ns=1)


def apply(market: MarketBook, event: Event) -> bool:
    """Whether it is news."""
    if isinstance(event, DepthUpdate):
        return market.on_depth(event) == 1
    if isinstance(event, QuoteTick):
        return market.on_quote(event)
    return isinstance(event, TradeTick) and market.on_trade(event)


def matters(watched: Watched, market: MarketBook, event: Event) -> bool:
    """Whether somebody who looks at this must be told of an event that the market has."""
    if isinstance(event, TradeTick):
        sold = event.side == "sell"
        mine = [price for buy, price, _ in watched.orders if buy is sold]
        return any(price >= event.price if sold else price <= event.price for price in mine)
    best = market.best()
    if best is None:
        return True
    step = slice(None) if watched.sizes else slice(None, None, 2)
    if watched.best is not None and watched.best[step] != best[step]:
        return True
    for buy, price, shown in watched.orders:
        own, its = (best[0], best[1]) if buy else (best[2], best[3])
        if best[2] <= price if buy else best[0] >= price:
            return True
        if price > own if buy else price < own:
            its = 0.0
        elif price != own:
            if isinstance(event, QuoteTick):
                continue
            its = market.book.size_at("buy" if buy else "sell", price)
        if its / watched.lot != shown:
            return True
    for bid, price in watched.levels:
        own, its = (best[0], best[1]) if bid else (best[2], best[3])
        if price > own if bid else price < own:
            return True
        if (its if price == own else market.book.size_at("buy" if bid else "sell", price)) <= 0:
            return True
    return False


def drawn(rng: random.Random, market: MarketBook) -> Watched:
    """Something to look at, some of it as it is now."""
    now = market.best() or (99.0, 1.0, 101.0, 1.0)
    orders: list[tuple[bool, float, float]] = []
    for _ in range(rng.choice((0, 0, 1, 3))):
        buy = rng.random() < 0.5
        price = 100 + rng.randint(-20, 4) / 8 * (1 if buy else -1)
        shown = market.book.size_at("buy" if buy else "sell", price)
        orders.append((buy, price, rng.choice((shown, shown, 2.25)) / float(LOT)))
    levels = [(rng.random() < 0.5, 100 + rng.randint(-8, 8) / 8) for _ in range(rng.choice((0, 2)))]
    best = rng.choice((None, now, now))
    return Watched(best, rng.random() < 0.3, orders, levels, float(LOT), float(TICK))


def drawn_ticks(rng: random.Random, at_ns: int) -> QuietTicks:
    """Ticks from about now on."""
    step_ns = rng.choice((10**15, 100 * MS, 7 * MS))
    at_ns = min(max(at_ns, 0), FAR - step_ns)
    until_ns = rng.choice((FAR, at_ns + rng.randint(0, 10**9)))
    next_ns = at_ns + rng.randint(0, step_ns)
    beat_ns = rng.choice((0, FAR, at_ns + rng.randint(0, 10**9)))
    return QuietTicks(next_ns, step_ns, until_ns, FRESH_NS, beat_ns, rng.choice((1, 250 * MS)))


def skipped(
    market: MarketBook, ticks: QuietTicks, so_far: Skipped, recv_ns: int, next_ns: int
) -> Skipped:
    """After those up to an event, none of which had anything to do; ``next_ns`` is the first not skipped."""
    at_ns, beat_ns, mid = so_far
    while at_ns <= recv_ns and at_ns < next_ns:
        before = state_of(market)
        assert market.state == "LIVE"
        assert not market.check_age(at_ns, FRESH_NS)
        assert not market.crossed
        assert state_of(market) == before
        assert at_ns < ticks.until_ns
        if at_ns >= beat_ns:
            beat_ns, mid = at_ns + ticks.beat_step_ns, market.mid()
        at_ns += ticks.step_ns
    assert at_ns > recv_ns or at_ns == next_ns
    return Skipped(at_ns, beat_ns, mid)


@needs_compiled
def test_only_what_nobody_looks_at_is_passed_over() -> None:
    rng = random.Random(4)
    ended = {"passed": 0, "moved": 0, "left": 0, "skipped": 0, "beats": 0}
    for _ in range(examples(20, 2_000)):
        events = random_events(rng, 150, "chain")
        steps = [
            (each.recv_ns, (each,)) for each in damaged(events, rng) if isinstance(each, KINDS)
        ]
        quick, plain = state(MarketBook), state(PythonBook)
        at = 0
        while at < len(steps):
            watched = drawn(rng, plain.market)
            until_ns = 2**62 if rng.random() < 0.7 else steps[at][0] + rng.randint(0, 10**9)
            first = steps[at] if rng.random() < 0.5 else None
            given = iter(steps[at + (first is not None) :])
            ticks = drawn_ticks(rng, steps[at][0])
            count, now_ns, step, event, change, (next_ns, *rest) = passing.pass_over(
                given, quick, watched, ticks, min(steps[at][0], 2**62), until_ns, first
            )
            so_far = Skipped(ticks.next_ns, ticks.beat_ns, None)
            came = steps[at : at + count + (step is not None)]
            for recv_ns, (each,) in came[: count - (event is not None)]:
                so_far = skipped(plain.market, ticks, so_far, recv_ns, next_ns)
                news = apply(plain.market, each)
                assert not (news and matters(watched, plain.market, each)), (watched, each)
                ended["passed"] += 1
            at += count
            if step is not None or event is not None:  # it may be behind skipped ticks
                so_far = skipped(plain.market, ticks, so_far, came[-1][0], next_ns)
            assert [*so_far] == [next_ns, *rest]
            ended["beats"] += rest[1] is not None
            ended["skipped"] += (next_ns - ticks.next_ns) // ticks.step_ns
            assert now_ns < until_ns or not count
            if event is not None:
                apply(plain.market, steps[at - 1][1][0])
                assert event is steps[at - 1][1][0]
                assert (
                    change > 8 + 1
                    or matters(watched, plain.market, event)
                    # One that has a whole number for a size, as no decoder gives it, is handed out too.
                    or {type(each) for each in plain.market.best() or ()} != {float}
                ), (watched, event)
                ended["moved"] += 1
            elif step is not None:
                assert step is steps[at]
                assert apply(quick.market, step[1][0]) is apply(plain.market, step[1][0])
                ended["left"] += 1
                at += 1
            assert state_of(quick.market) == state_of(plain.market)
            assert next(given, None) is (steps[at] if at < len(steps) else None)
    assert ended.pop("beats") > 20 * examples(1, 20)
    assert min(ended.values()) > 100, ended


NOBODY: Final = Watched(None, sizes=False, orders=[], levels=[], lot=1.0, tick=1.0)
NEVER: Final = QuietTicks(FAR, 1, FAR, 1, FAR, 1)
NONE: Final = (FAR, FAR, None)


@needs_compiled
def test_what_is_no_single_plain_event_is_left_alone() -> None:
    inst = state(MarketBook)
    events: list[Any] = random_events(random.Random(1), 60, "chain")
    snapshot, first, second = events[:3]
    apply(inst.market, snapshot)
    proof = StreamProof(venue="v", stream=-1, recv_ns=5)
    other = first._replace(symbol="t")
    for odd in (
        *((1, (first, second)), (1, proof), (1, (proof,)), (1, (other,)), (1, (snapshot,))),
        *((2**70, (first,)), (1, None), (1, [first, second])),
    ):
        empty: list[Any] = [(0, ()), (0, []), odd, (3, ())]
        assert passing.pass_over(iter(empty), inst, NOBODY, NEVER, 0, 2**62, None) == (
            2, 0, odd, None, 0, NONE,
        )  # fmt: skip
    found = passing.pass_over(iter([(7, ())]), inst, NOBODY, NEVER, 9, 10, None)
    assert found == (1, 9, None, None, 0, NONE)
    found = passing.pass_over(iter([(7, ())]), inst, NOBODY, NEVER, 9, 9, None)
    assert found[:3] == (0, 9, (7, ()))


@needs_compiled
@pytest.mark.parametrize(
    "why", ["calm", "due", "old", "stale", "mute", "polled", "locked", "empty"]
)
def test_ticks_are_skipped_only_past_a_calm_book(why: str) -> None:
    inst = state(MarketBook)
    market = inst.market
    apply(market, random_events(random.Random(1), 1, "chain")[0])
    assert market.state == "LIVE"
    begun_ns = market.last_recv_ns
    ticks = QuietTicks(begun_ns + 10, 10, begun_ns + 60, 50, begun_ns + 15, 20)
    mid = market.mid()
    at_ns = begun_ns + 45
    if why == "due":
        ticks = ticks._replace(until_ns=begun_ns + 40)
    elif why == "old":
        at_ns = begun_ns + 50
    elif why == "stale":
        market.state = "STALE"
    elif why == "mute":
        market.mute = True
    elif why == "polled":
        market.on_poll(BookLook("v", "s", market.last_seq + 1, [], [], begun_ns))
    elif why == "empty":
        market.book.replace([], market.book.top(9)[1])
    elif why == "locked":
        bid, size, _, _ = market.best() or (1.0, 1.0, 2.0, 1.0)
        quote = QuoteTick("v", "s", market.last_seq + 1, bid, size, bid, size, 0, begun_ns)
        assert market.on_quote(quote)
    steps: list[Any] = [(at_ns, ())]
    found = passing.pass_over(iter(steps), inst, NOBODY, ticks, begun_ns, FAR, None)
    if why == "calm":
        assert found == (1, at_ns, None, None, 0, (begun_ns + 50, begun_ns + 60, mid))
    else:
        assert found == (0, begun_ns, steps[0], None, 0, (begun_ns + 10, begun_ns + 15, None))


@needs_compiled
def test_few_ticks_and_heartbeats_leave_the_marks_of_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Busy(random.Random(3))
    market.play(900)
    path = market.write(tmp_path / "ticks.jsonl.gz")
    touch = first_touch(path, VENUE, SYMBOL)
    assert touch is not None
    told: dict[str, list[Any]] = {"ticks": [], "beats": [], "sent": []}
    on_tick, on_beat, carry_out = Ticks.on_tick, RiskWatch.on_beat, OfflineDriver._carry_out

    def noted(self: Any, now_ns: int) -> None:  # noqa: ANN401 - one of two
        ticks = isinstance(self, Ticks)
        told["ticks" if ticks else "beats"].append(now_ns)
        (on_tick if ticks else on_beat)(self, now_ns)

    def sent(self: OfflineDriver, commands: list[Command], now_ns: int) -> None:
        if any(isinstance(each, PublishReport) for each in commands):
            told["sent"].append((now_ns, dict(self.engine.portfolio.rates.marks)))
        carry_out(self, commands, now_ns)

    monkeypatch.setattr(Ticks, "on_tick", noted)
    monkeypatch.setattr(RiskWatch, "on_beat", noted)
    monkeypatch.setattr(OfflineDriver, "_carry_out", sent)
    found = [each for each in orders(path, VENUE, SYMBOL, touch) if each.algo in {"limit", "peg"}]
    drawn = random.Random(5).sample(found, 4)
    for order in (
        *drawn,
        replace(found[0], limit_price=Decimal("98.0")),
    ):  # the last rests to the end
        told = {name: [] for name in told}
        outcome(order)
        quick, told = told, {name: [] for name in told}
        with monkeypatch.context() as plain:
            plain.setattr(kernel, "LIVE", None)
            outcome(order)
        assert quick["sent"] == told["sent"]
        assert set(quick["ticks"]) < set(told["ticks"])
        assert set(quick["beats"]) <= set(told["beats"])
        assert len(quick["ticks"]) < len(told["ticks"]) * 2 / 3
    assert len({str(marks) for _, marks in quick["sent"]}) > 1
    assert len(quick["beats"]) < len(told["beats"])


@needs_compiled
def test_what_cannot_be_watched_is_refused() -> None:
    inst = state(MarketBook)
    many = [(True, 1.0, 1.0)] * (MOST_WATCHED + 1)
    with pytest.raises(ValueError, match="too much"):
        passing.pass_over(iter(()), inst, NOBODY._replace(orders=many), NEVER, 0, 1, None)
    with pytest.raises(TypeError, match="InstrumentState"):
        passing.pass_over(iter(()), object(), NOBODY, NEVER, 0, 1, None)
    for change in ({"step_ns": 0}, {"next_ns": -1}, {"step_ns": FAR}, {"beat_step_ns": 0}):
        ticks = NEVER._replace(**change)
        with pytest.raises(ValueError, match="ticks"):
            passing.pass_over(iter(()), inst, NOBODY, ticks, 0, 1, None)

    def damaged_capture() -> Iterator[Any]:
        yield 0, ()
        raise BadInput("the capture ends here")

    with pytest.raises(BadInput, match="ends here"):
        passing.pass_over(damaged_capture(), inst, NOBODY, NEVER, 0, 1, None)


def test_without_the_compiled_kernel_every_step_is_handed_out() -> None:
    steps: list[Any] = [(1, ()), (2, ())]
    given = iter(steps)
    assert passing._python(given, state(MarketBook), NOBODY, NEVER, 0, 9, None) == (
        0, 0, steps[0], None, 0, NONE,
    )  # fmt: skip
    assert next(given) is steps[1]
