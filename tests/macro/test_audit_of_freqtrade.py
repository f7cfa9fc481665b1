"""The audit of books that real Freqtrade has kept: entries and exits in any order, dust, two bots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from freqtrade.exchange.exchange_utils import amount_to_contract_precision
from freqtrade.persistence import KeyValueStore, Trade, init_db
from freqtrade_books import (
    MARKETS,
    OURS,
    SHORT,
    SPOT,
    SPOT_IN_QUOTE,
    THEIRS,
    Books,
    Market,
    change,
    emptied,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citadel_macro import books
from citadel_micro.demo.audit import read_freqtrade, read_owners

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("books") / "trades.sqlite"
    init_db(f"sqlite:///{path}")
    yield path
    Trade.session.remove()


_prices = st.integers(1_000, 90_000).map(lambda number: Decimal(number) / 100)
_counts = st.integers(20, 3_000)
_rates = st.sampled_from(["0.001", "0.00075", "0.0002"])
_entry = st.tuples(
    st.just("enter"), st.lists(st.tuples(_prices, _counts), min_size=1, max_size=3), _rates
)
_exit = st.tuples(st.just("leave"), st.tuples(st.floats(0.05, 0.9), _prices, st.booleans()), _rates)


@dataclass(frozen=True)
class Story:
    """What happens to one trade, and which figure is made wrong in the end."""

    market: Market
    steps: list[tuple[str, Any, str]]
    end: str
    last: Decimal
    wrong: tuple[str, str]


_stories = st.builds(
    lambda market, first, steps, end, last, wrong: Story(market, [first, *steps], end, last, wrong),
    st.sampled_from(MARKETS),
    _entry,
    st.lists(st.one_of(_entry, _exit), max_size=7),
    st.sampled_from(["open", "closed", "dust", "nulled"]),
    _prices,
    st.sampled_from(
        [("trades", "open_rate"), ("trades", "amount"), ("orders", "filled"), ("orders", "average")]
    ),
)


@settings(
    deadline=None,
    max_examples=examples(15, 120),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=_stories)
def test_books_that_freqtrade_keeps_agree_and_wrong_ones_do_not(
    database: Path, story: Story
) -> None:
    market = story.market
    told = emptied(database, market)
    for kind, what, rate in story.steps:
        if kind == "enter":
            told.enter([(price, count * market.step) for price, count in what], rate)
        else:
            share, price, stop = what
            steps = int(Decimal(repr(told.trade.amount)) / market.step * Decimal(repr(share)))
            if steps:
                told.leave(steps * market.step, price, rate, stop=stop)
        assert told.audit().differences == ()
    if story.end == "dust":
        steps = int(Decimal(repr(told.trade.amount)) / market.step)
        if steps > 1:
            told.leave((steps - 1) * market.step, story.last, "0.001", stop=True)
        told.close_as_dust()
    elif story.end != "open":
        told.leave(Decimal(repr(told.trade.amount)), story.last, "0.001")
        assert not told.trade.is_open
        if story.end == "nulled":
            told.trade.close_rate = None
            Trade.commit()  # type: ignore[no-untyped-call]
    found = told.audit()
    assert found.differences == ()
    assert [row.owner for row in found.rows] == [OURS]
    if change(database, *story.wrong, by=1.001):
        assert told.audit().differences, story.wrong


def test_a_further_entry_after_a_part_was_sold_is_averaged_with_what_is_left(
    database: Path,
) -> None:
    told = emptied(database, SPOT_IN_QUOTE)
    told.enter([(Decimal(100), Decimal(10))])
    told.leave(Decimal(5), Decimal(110), "0.001")
    told.enter([(Decimal(50), Decimal(5))])
    assert told.trade.open_rate == 75.0, "83.33 on all that was ever bought"
    assert told.audit().differences == ()
    told.trade.open_rate = 83.33
    Trade.commit()  # type: ignore[no-untyped-call]
    (text,) = told.audit().differences
    assert text == "trade 1 (AAA/USDT): open rate 83.33 in Freqtrade, 75 in micro"


def test_the_rate_of_several_entries_is_that_of_one_or_their_mean(database: Path) -> None:
    told = emptied(database, SPOT_IN_QUOTE)
    told.enter([(Decimal(100), Decimal(30))], "0.001")
    told.enter([(Decimal(50), Decimal(20))], "0.0002")
    for rate, found in ((0.0002, 0), (0.001, 0), (0.0008, 0), (0.00075, 1), (0.0006, 1)):
        told.trade.fee_open = rate
        Trade.commit()  # type: ignore[no-untyped-call]
        assert len(told.audit().differences) == found, rate


def test_what_an_open_order_fills_counts_when_it_is_over(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    working = told.report("buy", [(Decimal(90), Decimal(1))], "0.001")
    told.row(working, "buy", over=False)
    Trade.commit()  # type: ignore[no-untyped-call]
    assert told.audit().differences == ()


def test_a_fee_paid_from_dust_is_no_difference(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))], eaten=True)
    assert told.trade.amount == 2.0
    assert told.audit().differences == ()
    told.leave(Decimal(2), Decimal(110), "0.001")
    assert told.audit().differences == ()


def test_a_closed_trade_that_did_not_sell_everything_differs(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    told.leave(Decimal("1.5"), Decimal(110), "0.001")
    told.trade.is_open = False
    told.trade.close_rate = 110.0
    Trade.commit()  # type: ignore[no-untyped-call]
    (text,) = told.audit().differences
    assert "closed in Freqtrade with 0.498 not sold" in text


def test_a_wrong_note_of_dust_differs(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal("0.03"))])
    told.close_as_dust()
    assert (told.trade.is_open, told.trade.close_rate) == (False, 100.0)
    assert told.audit().differences == ()
    told.trade.set_custom_data(f"{books.DATA_PREFIX}dust", 0.5)
    Trade.commit()  # type: ignore[no-untyped-call]
    assert any("noted rest 0.5" in text for text in told.audit().differences)


# --- owners ---------------------------------------------------------------------------------------


def name(owner: str) -> None:
    exchange: Any = SimpleNamespace(link=SimpleNamespace(connector=SimpleNamespace(owner=owner)))
    books.name_owner(exchange)


def test_orders_of_another_owner_in_these_books_differ(database: Path) -> None:
    told = emptied(database, SPOT, owner=THEIRS)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    (text,) = told.audit().differences
    assert text == f"order 0 (AAA/USDT buy): of owner {THEIRS}, these are the books of {OURS}"


def test_books_of_two_owners_differ_though_nobody_named_them(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    told.owner = THEIRS
    told.enter([(Decimal(101), Decimal(1))])
    (text,) = told.audit().differences
    assert text == (
        f"these books hold orders of several owners: {OURS} (1 orders), {THEIRS} (1 orders)"
    )


def test_orders_of_others_that_these_books_do_not_have_are_counted(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    other = Books(database, SPOT, owner=THEIRS, prefix="t")
    theirs = other.report("buy", [(Decimal(100), Decimal(9))], "0.001")
    found = told.audit(t0=theirs)
    assert (found.differences, found.others, found.owners) == ((), 1, (OURS,))
    ours = Books(database, SPOT, prefix="u").report("buy", [(Decimal(100), Decimal(9))], "0.001")
    assert told.audit(u0=ours).differences == (
        f"order u0: micro filled 9 AAA/USDT, Freqtrade has no row (owner {OURS})",
    )


def test_a_part_of_anothers_sale_closes_a_trade(database: Path) -> None:
    """It sold five; two were this trade's, and are in these books at its average and with its rate of fee."""
    told = emptied(database, SPOT_IN_QUOTE)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    other = Books(database, SPOT_IN_QUOTE, owner=THEIRS, prefix="t")
    theirs = other.report("sell", [(Decimal(110), Decimal(3)), (Decimal(109), Decimal(2))], "0.001")
    part = replace(
        theirs,
        filled=Decimal(2),
        quantity=Decimal(2),
        fills=tuple(
            replace(fill, quantity=fill.quantity * 2 / 5, fee=fill.fee * 2 / 5)
            for fill in theirs.fills
        ),
    )
    told.booked(part, "sell")
    assert not told.trade.is_open
    found = told.audit(t0=theirs)
    assert (found.differences, found.others) == ((), 0)
    # An entry of another owner is still not theirs to book.
    entry = other.report("buy", [(Decimal(100), Decimal(1))], "0.001")
    told.row(entry, "buy")
    Trade.commit()  # type: ignore[no-untyped-call]
    assert f"order t1 (AAA/USDT buy): of owner {THEIRS}" in " ".join(
        told.audit(t0=theirs, t1=entry).differences
    )


@pytest.mark.parametrize(
    ("at_ns", "side", "missed"), [(0, "sell", 0), (5, "sell", 1), (20, "sell", 0), (5, "buy", 0)]
)
def test_a_flattening_while_a_trade_was_held_must_be_in_the_books(
    database: Path, at_ns: int, side: str, missed: int
) -> None:
    """One that buys back what others have sold too much of closes nothing of the trade."""
    told = emptied(database, SPOT_IN_QUOTE)
    told.enter([(Decimal(100), Decimal(2))])
    told.leave(Decimal(2), Decimal(110), "0.001")
    name(OURS)
    for number, (leg, ns) in enumerate(zip(("0", "1"), (1, 10), strict=True)):
        fills = tuple(replace(fill, ts_ns=ns) for fill in told.reports[leg].fills)
        told.reports[leg] = replace(told.reports[leg], fills=fills, revision=number)
    made = Books(database, SPOT_IN_QUOTE, owner="", prefix="own-").report(
        side, [(Decimal(110), Decimal(1))], "0.001"
    )
    fills = tuple(replace(fill, ts_ns=at_ns) for fill in made.fills)
    found = told.audit(own=replace(made, signal_id="own", own=True, fills=fills))
    assert (len(found.differences), found.others) == (missed, 1 - missed)


def test_what_a_person_did_at_the_exchange_is_in_no_books_that_it_did_not_touch(
    database: Path,
) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    made = Books(database, SPOT, owner="", prefix="x").report(
        "buy", [(Decimal(100), Decimal(1))], "0.001"
    )
    found = told.audit(x0=replace(made, own=True, strategy="unknown"))
    assert (found.differences, found.others) == ((), 1)


def test_orders_of_a_deleted_trade_are_listed_apart(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    books.note_deleted(told.trade)
    told.trade.delete()
    found = told.audit()
    assert (found.differences, found.deleted) == ((), ("0",))


def test_an_orphan_that_was_sold_again_is_no_difference(database: Path) -> None:
    told = emptied(database, SPOT)
    told.enter([(Decimal(100), Decimal(2))])
    name(OURS)
    lone = Books(database, SPOT, prefix="x")
    bought = lone.report("buy", [(Decimal(100), Decimal(1))], "0.001")
    sold = lone.report("sell", [(Decimal(99), Decimal("0.999"))], "0.001")
    found = told.audit(**{"x0": bought, "x0-flat0": sold})
    assert (found.differences, found.flattened) == ((), ("x0",))
    part = lone.report("sell", [(Decimal(99), Decimal("0.5"))], "0.001")
    assert len(told.audit(**{"x0": bought, "x0-flat0": part}).differences) == 2


def test_a_new_intent_log_adds_its_owner(database: Path) -> None:
    emptied(database, SPOT)
    name(OURS)
    name(OURS)
    name(THEIRS)
    assert KeyValueStore.get_string_value("citadel_owner") == f"{OURS},{THEIRS}"  # type: ignore[arg-type]
    assert read_owners(database) == {OURS, THEIRS}


def test_steps_of_contracts_are_those_of_freqtrade(database: Path) -> None:
    told = emptied(database, SHORT)
    told.enter([(Decimal(100), Decimal("1.23"))])
    (trade,) = read_freqtrade(database)[1]
    assert trade.step == SHORT.step
    assert amount_to_contract_precision(1.239, 1.0, 4, 0.01) == 1.23
