"""Books of thousands of levels, whose near part the compiled twin keeps in a window of ticks."""

from __future__ import annotations

import random
from typing import Literal

import msgspec
import pytest
from book_lives import deep_life
from effort import examples

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.book import Book
from citadel_micro.shell.marketdata.levels import pairs

STYLES: tuple[Literal["kraken", "colon"], ...] = ("kraken", "colon")
pytestmark = pytest.mark.skipif(not kernel.COMPILED, reason="the compiled kernel is not in use")


@pytest.mark.long
def test_both_twins_agree_on_everything_throughout_a_life() -> None:
    for seed in range(examples(12, 400)):
        try:
            deep_life(kernel.Book(), Book(), random.Random(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def test_a_price_between_two_ticks_ends_the_window_and_loses_nothing() -> None:
    one, other = kernel.Book(), Book()
    bids = [(100.0 - at / 10, 1.0 + at) for at in range(1_000)]
    for book in (one, other):
        book.replace(bids, [])
        for price in (99.95, 99.9, 99.123456789, 50.0, 99.95000001):
            book.apply([(price, 7.0)], [])
        book.apply([(99.123456789, 0.0)], [])
    assert one.top(5_000) == other.top(5_000)


@pytest.mark.parametrize("far", [1e-7, 1.0, 1e6, 1e15, 1e18])
def test_one_price_far_from_all_others_changes_nothing_else(far: float) -> None:
    one, other = kernel.Book(), Book()
    bids = [(float(1_000_000 - at), 1.0) for at in range(1_000)]
    asks = [(float(1_000_001 + at), 1.0) for at in range(1_000)]
    for book in (one, other):
        book.replace(bids, asks)
        book.apply([(far, 3.0)], [(far, 4.0)])
    assert one.top(5_000) == other.top(5_000)
    for book in (one, other):
        book.apply([(far, 0.0), (999_999.0, 2.0)], [(far, 0.0)])
    assert one.top(5_000) == other.top(5_000)
    assert one.best() == other.best()


def test_digits_that_come_late_or_not_at_all_end_the_window() -> None:
    for seed in range(examples(40, 2_000)):
        rng = random.Random(seed)
        one, other = kernel.Book(keep_text=True), Book(keep_text=True)
        for _ in range(30):
            count = rng.choice([0, 3, 300])
            bids, asks = (
                [(rng.randint(1, 900) / 4, rng.choice([0.0, 1.0, 2.5])) for _ in range(count)]
                for _ in range(2)
            )
            texts = None
            if rng.random() < 0.3:
                texts = (
                    [(str(price), str(size)) for price, size in bids],
                    [(str(price), str(size)) for price, size in asks],
                )
            change = "replace" if rng.random() < 0.1 else "apply"
            for book in (one, other):
                getattr(book, change)(bids, asks, texts)
            assert one.top(9) == other.top(9), seed
            for style in STYLES:
                assert one.checksum(style, 10) == other.checksum(style, 10), seed


def _texts(side: list[tuple[float, float]]) -> list[tuple[str, str]]:
    return [(str(price), str(size)) for price, size in side]


def test_a_snapshot_is_the_same_however_far_it_comes_in_order() -> None:
    for seed in range(examples(60, 2_000)):
        rng = random.Random(seed)
        one, other = kernel.Book(), Book()
        for _ in range(3):
            sides = []
            for sign in (-1, 1):
                count = rng.choice([0, 8, 9, 70, 130, 500])
                # Exact in binary, so that both write it as one text.
                side = [
                    (1_000 + sign * at / 4, rng.choice([1.0, 2.5])) for at in range(1, count + 1)
                ]
                for _ in range(rng.choice([0, 0, 1, 3])):
                    # In no order, a second time, or a level that is none.
                    at = rng.randint(0, len(side))
                    side.insert(
                        at, (1_000 + sign * rng.randint(1, 600) / 8, rng.choice([0.0, 4.0]))
                    )
                sides.append(side)
            read = [pairs(msgspec.Raw(msgspec.json.encode(_texts(side)))) for side in sides]
            assert [list(levels) for levels in read] == sides
            assert all(type(levels) is not list for levels in read if levels)
            one.replace(read[0], read[1])
            other.replace(sides[0], sides[1])
            for change in range(4):
                assert one.top(9_999) == other.top(9_999), (seed, change)
                assert (one.bid_count, one.ask_count) == (other.bid_count, other.ask_count)
                changes = [
                    [
                        (1_000 + sign * rng.randint(1, 600) / 8, rng.choice([0.0, 7.0]))
                        for _ in range(9)
                    ]
                    for sign in (-1, 1)
                ]
                for book in (one, other):
                    book.apply(changes[0], changes[1])


@pytest.mark.parametrize("order", ["best first", "worst first", "from the middle", "any"])
@pytest.mark.parametrize("digits", [False, True])
def test_a_book_is_the_same_in_whatever_order_its_levels_came(order: str, *, digits: bool) -> None:
    rng = random.Random(order)
    for count in (1, 60, 130, 700, 3_000):
        bids = [(6_000.0 - at / 10, 1.0 + at) for at in range(count)]
        asks = [(6_000.1 + at / 10, 1.0 + at) for at in range(count)]
        for side in (bids, asks):
            if order == "worst first":
                side.reverse()
            elif order == "from the middle":
                side.sort(key=lambda level: abs(level[1] - count / 2))
            elif order == "any":
                rng.shuffle(side)
        one, other = kernel.Book(keep_text=digits), Book(keep_text=digits)
        texts: tuple[list[tuple[str, str]], list[tuple[str, str]]] | None = None
        if digits:
            texts = ([(f"{price:.1f}", f"{size:.2f}") for price, size in bids], [])
        for book in (one, other):
            book.replace(bids, asks if not digits else [], texts)
            # Up and down again at both ends.
            for step in range(count // 3):
                book.apply([(6_000.1 + step / 10, 2.0), (6_000.0 - (count + step) / 10, 3.0)], [])
                book.apply([(6_000.0 - step / 10, 0.0)], [])
        assert one.top(10_000) == other.top(10_000)
        for style in STYLES:
            assert one.checksum(style, 25) == other.checksum(style, 25)
            assert one.checksum(style, 1_000) == other.checksum(style, 1_000)
