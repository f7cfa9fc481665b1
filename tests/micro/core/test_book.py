from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.book import Book

# Prices and sizes as a venue writes them: decimal text with trailing zeros.
prices = st.integers(1, 60).map(lambda ticks: f"{Decimal(ticks) / 100:.4f}")
sizes = st.integers(0, 5).map(lambda lots: f"{Decimal(lots) / 10:.2f}")
levels = st.lists(st.tuples(prices, sizes), max_size=12)
Text = list[tuple[str, str]]


class NaiveSide:
    """The plainest reference: a dict of Decimals, sorted when asked."""

    def __init__(self, *, best_is_high: bool) -> None:
        self.levels: dict[Decimal, Decimal] = {}
        self.best_is_high = best_is_high

    def apply(self, changes: Text) -> None:
        for price, size in changes:
            self.levels[Decimal(price)] = Decimal(size)
        self.levels = {price: size for price, size in self.levels.items() if size}

    def top(self, count: int) -> list[tuple[float, float]]:
        best_first = sorted(self.levels.items(), reverse=self.best_is_high)
        return [(float(price), float(size)) for price, size in best_first[:count]]


def floats(changes: Text) -> list[tuple[float, float]]:
    return [(float(price), float(size)) for price, size in changes]


@pytest.mark.parametrize(("near", "most"), [(256, 2_048), (2, 8)], ids=["listed", "partly"])
@given(
    steps=st.lists(st.tuples(st.booleans(), levels, levels), max_size=20),
    depth=st.integers(1, 70),
    price=prices,
)
def test_a_book_agrees_with_a_naive_decimal_one(
    near: int, most: int, steps: list[tuple[bool, Text, Text]], depth: int, price: str
) -> None:
    book = Book(near, most)
    bids, asks = NaiveSide(best_is_high=True), NaiveSide(best_is_high=False)
    for whole, bid_changes, ask_changes in steps:
        if whole:
            bids.levels.clear()
            asks.levels.clear()
            book.replace(floats(bid_changes), floats(ask_changes))
        else:
            book.apply(floats(bid_changes), floats(ask_changes))
        bids.apply(bid_changes)
        asks.apply(ask_changes)

        for count in (1, near, 100):
            assert book.top(count) == (bids.top(count), asks.top(count))
        assert book.best_bid() == (bids.top(1)[0] if bids.levels else None)
        assert book.best_ask() == (asks.top(1)[0] if asks.levels else None)
        listed = len(book.bid_prices), len(book.ask_prices)
        assert book.bid_prices == sorted(book.bids)[-listed[0] :][: listed[0]]
        assert book.ask_prices == sorted(book.asks)[: listed[1]]
        for count, sizes in zip(listed, (book.bids, book.asks), strict=True):
            assert min(near, len(sizes)) <= count <= most
        limit = float(price)
        shown = [size for level, size in bids.top(100) if level >= limit]
        assert book.depth_within("buy", limit) == math.fsum(shown)
        shown = [size for level, size in asks.top(100) if level <= limit]
        assert book.depth_within("sell", limit) == math.fsum(shown)
    book.truncate(depth)
    assert book.top(100) == (bids.top(depth), asks.top(depth))
    assert (len(book.bids), len(book.asks)) == (len(bids.top(depth)), len(asks.top(depth)))


def test_depth_within_and_size_at() -> None:
    book = Book()
    book.replace([(10.0, 1.0), (9.5, 2.0), (9.0, 4.0)], [(10.5, 8.0), (11.0, 16.0)])

    assert book.depth_within("buy", 9.5) == 3.0
    assert book.depth_within("buy", 10.25) == 0.0
    assert book.depth_within("sell", 10.5) == 8.0
    assert book.depth_within("sell", 99.0) == 24.0
    assert book.size_at("buy", 9.0) == 4.0
    assert book.size_at("sell", 9.0) == 0.0


def test_clear_and_empty_tops() -> None:
    book = Book()
    book.replace([(10.0, 1.0)], [(11.0, 1.0)])
    assert book.top(0) == ([], [])
    book.clear()
    assert book.top(5) == ([], [])
    assert book.best_bid() is None
    assert book.best_ask() is None
