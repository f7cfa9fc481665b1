"""The same order as Freqtrade alone would have worked it: at its pace, at its price side, until its timeout."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from citadel_bridge.cli import main
from citadel_micro.core.model.events import Side, TradeTick
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.offline.tca import tables
from citadel_micro.offline.tca.groups import grouped
from citadel_micro.offline.tca.market_past import MarketPast
from citadel_micro.offline.tca.order_costs import costs_of
from citadel_micro.offline.tca.orders import Fill, Order
from citadel_micro.offline.tca.other_ways import GAVE_UP, NOT_OVER, FreqtradeAlone, Pace
from citadel_micro.offline.tca.rows import group_row, order_row
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.commands import PublishReport

S = 1_000_000_000
RULES = Instrument(
    venue="v",
    symbol="A/USDT",
    venue_symbol="AUSDT",
    base="A",
    quote="USDT",
    settle="USDT",
    kind="spot",
    tick=Decimal(1),
    lot=Decimal(1),
    min_lots=1,
    min_notional=Decimal(0),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
    fee_side="quote",
)


class _Market:
    """A book with one level a side, and more asks one tick behind."""

    def __init__(self) -> None:
        self.state = "LIVE"
        self.bid, self.ask, self.size = 100.0, 102.0, 5.0
        self.book = self

    def best(self) -> tuple[float, float, float, float]:
        return self.bid, self.size, self.ask, self.size

    def size_at(self, side: Side, price: float) -> float:
        return self.size if price == (self.bid if side == "buy" else self.ask) else 0.0

    def top(self, _count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        bids, asks = [(self.bid, self.size)], [(self.ask, self.size), (self.ask + 1, 100.0)]
        return bids, asks


class _Report:
    symbol, venue, algo, strategy, signal_id = "A/USDT", "v", "a", "s", "id"
    tag, status, reason_code, reprices, arrival_mid = "", "filled", "", 3, 1.0

    def __init__(self, side: Side) -> None:
        self.side = side


class Play:
    """Freqtrade alone with an order for 10 in a market that the test moves."""

    def __init__(
        self,
        side: Side = "buy",
        *,
        price_side: Literal["same", "other"] = "same",
        exits: bool = False,
    ) -> None:
        self.market = _Market()
        self.past = MarketPast(cast("MarketBook", self.market), RULES)
        self.now = S
        self.past.note(self.now)
        report = cast("PublishReport", _Report(side))
        self.order = Order(
            run="r", instrument=RULES, report=report, target=10, arrived_ns=S, arrival=self.past.now
        )
        pace = Pace(throttle_s=5.0, timeout_s=12.0, price_side=price_side)
        self.alone = FreqtradeAlone(self.order, self.past, pace, exits=exits, now_ns=self.now)

    def moves(self, bid: float, *, state: str = "LIVE") -> None:
        self.market.bid, self.market.ask, self.market.state = bid, bid + 2, state
        self.past.note(self.now)
        self.alone.moved(self.now)

    def trades(self, price: float, size: float, side: Side = "sell") -> None:
        trade = TradeTick("v", "A/USDT", "t", price, size, side, self.now, self.now)
        self.alone.trade(trade, self.now)

    def passes(self, seconds: float) -> None:
        self.now += round(seconds * S)

    def over(self) -> bool:
        return self.alone.done

    @property
    def got(self) -> tuple[int, int, int]:
        alone = self.order.alone
        return alone.lots, alone.value, alone.taken


def test_it_waits_behind_what_was_there_and_is_filled_as_a_maker() -> None:
    play = Play()
    play.trades(100.0, 5.0)
    assert play.got == (0, 0, 0)
    play.trades(100.0, 4.0)
    assert play.got == (4, 400, 0)
    play.trades(100.0, 3.0, "buy")  # of the other side
    play.trades(99.0, 50.0)  # through it
    assert play.got == (10, 1_000, 0)
    assert play.over()
    assert play.order.alone.why_not == ""
    # Bought at 100 for the maker's fee, the mid being 101.
    assert costs_of(play.order).alone == -10 + 1_000 * Decimal("0.001")


def test_an_entry_is_given_up_when_the_loop_first_sees_that_its_time_is_over() -> None:
    play = Play()
    play.trades(100.0, 9.0)
    play.passes(14.9)  # the timeout is 12 s, the loop looks at 10 s and at 15 s
    play.moves(110.0)
    assert not play.over()
    assert play.order.alone.why_not == NOT_OVER
    play.passes(0.1)
    play.trades(99.0, 50.0)
    assert play.over()
    assert play.got == (4, 400, 0)
    assert play.order.alone.why_not == GAVE_UP
    assert costs_of(play.order).alone is None


def test_an_exit_is_placed_anew_at_the_touch_of_that_moment() -> None:
    play = Play("sell", exits=True)
    play.trades(102.0, 8.0, "buy")
    assert play.got == (3, 306, 0)
    play.passes(15)
    play.moves(90.0)
    play.trades(92.0, 5.0, "buy")
    play.trades(92.0, 7.0, "buy")
    assert play.got == (10, 306 + 7 * 92, 0)
    assert play.over()


def test_without_a_market_an_exit_is_placed_when_the_loop_runs_next() -> None:
    play = Play("sell", exits=True)
    play.passes(15)
    play.moves(90.0, state="STALE")
    play.trades(92.0, 50.0, "buy")
    assert play.got == (0, 0, 0)
    play.passes(4.9)
    play.moves(90.0)
    play.trades(93.0, 50.0, "buy")
    assert play.got == (0, 0, 0)
    play.passes(0.1)
    play.trades(93.0, 50.0, "buy")
    assert play.got == (10, 920, 0)


def test_at_the_other_side_it_takes_what_is_shown_at_that_price_and_no_more() -> None:
    play = Play(price_side="other")
    assert play.got == (5, 510, 5)
    assert not play.over()
    play.moves(102.0)
    play.trades(101.0, 5.0)
    assert play.got == (10, 1_020, 5)
    (one,) = [costs_of(play.order)]
    assert one.alone == 10 + 510 * Decimal("0.001") + 510 * Decimal("0.002")


def test_what_cannot_be_compared_is_counted_apart() -> None:
    orders = []
    for over, filled in ((True, 10), (True, 4), (False, 10)):
        play = Play()
        play.trades(99.0, 50.0 if over else 7.0)
        if not over:
            play.passes(15)
            play.moves(100.0)
        fill = Fill(
            child_id="c",
            trade_id="t",
            price_ticks=101,
            lots=filled,
            fee=Decimal(0),
            fee_currency="USDT",
            liquidity="maker",
            at_ns=S,
            before=play.past.now,
        )
        orders.append(replace(play.order, fills=[fill]))
    (group,) = grouped([costs_of(each) for each in orders], [])
    assert (group.alone_compared, group.alone_gave_up, group.orders) == (1, 1, 3)
    # Ours at the mid for nothing; alone it would have earned 10 on 1,010, less a fee of 1.
    assert group.against_alone == pytest.approx(-9 / 1_010 * 10_000)
    row = group_row(group, [])
    assert [cell(row) for _, cell in tables.ALONE] == ["-89.11", "1", "1", "1"]
    assert order_row(costs_of(orders[2]))["freqtrade_alone_why_not"] == GAVE_UP


@pytest.mark.parametrize(
    "wrong", [{"throttle_s": 0.0}, {"timeout_s": float("nan")}, {"timeout_s": 1e9}], ids=str
)
def test_a_pace_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Pace(**wrong)


def test_the_command_refuses_it_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tca", "--alone-throttle", "0"]) == 2
    assert "throttle" in capsys.readouterr().err
