from __future__ import annotations

import zlib
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citadel_micro.core.marketdata import book as book_module
from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.book import Book

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(params=["compiled", "python, listed", "python, partly"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Book]]:
    """Each twin, Python's also with so few prices listed that most are not."""
    if request.param == "compiled":
        if not kernel.COMPILED:
            pytest.skip("the compiled kernel is not built, or not asked for")
        yield kernel.Book
        return
    if request.param == "python, partly":
        monkeypatch.setattr(book_module, "NEAR", 2)
        monkeypatch.setattr(book_module, "MOST", 8)
    yield Book


class Reference:
    """Two naive sides, and the digits of each level."""

    def __init__(self) -> None:
        self.bids = NaiveSide(best_is_high=True)
        self.asks = NaiveSide(best_is_high=False)
        self.digits: dict[tuple[str, Decimal], tuple[str, str]] = {}

    def apply(self, bids: Text, asks: Text) -> None:
        self.bids.apply(bids)
        self.asks.apply(asks)
        self.digits |= {("bid", Decimal(row[0])): row for row in bids}
        self.digits |= {("ask", Decimal(row[0])): row for row in asks}

    def rows(self, side: str, count: int) -> list[tuple[str, str]]:
        levels = (self.bids if side == "bid" else self.asks).levels
        prices = sorted(levels, reverse=side == "bid")[:count]
        return [self.digits[side, price] for price in prices]

    def kraken(self, count: int) -> int:
        rows = [*self.rows("ask", count), *self.rows("bid", count)]
        text = "".join(part.replace(".", "").lstrip("0") for row in rows for part in row)
        return zlib.crc32(text.encode())

    def colon(self, count: int) -> int:
        bids, asks = self.rows("bid", count), self.rows("ask", count)
        parts: list[str] = []
        for at in range(count):
            parts += [*(bids[at] if at < len(bids) else ()), *(asks[at] if at < len(asks) else ())]
        return zlib.crc32(":".join(parts).encode())


def test_a_checksum_of_more_levels_than_are_listed_has_them_all(make: type[Book]) -> None:
    book, truth = make(keep_text=True), Reference()
    whole = [(f"{Decimal(ticks) / 100:.4f}", "0.10") for ticks in range(1, 10)]
    for changes in (whole, [("0.0600", "0.00"), ("0.0700", "0.00")]):
        book.apply(floats(changes), floats(changes), (changes, changes))
        truth.apply(changes, changes)
        for count in (1, 3, 9):
            assert book.checksum("kraken", count) == truth.kraken(count)
            assert book.checksum("colon", count) == truth.colon(count)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.booleans(), levels, levels), max_size=20),
    depth=st.none() | st.integers(1, 70),
    price=prices,
    enough=st.floats(0, 3),
)
def test_a_book_agrees_with_a_naive_decimal_one(
    make: type[Book],
    steps: list[tuple[bool, Text, Text]],
    depth: int | None,
    price: str,
    enough: float,
) -> None:
    book = make(keep_text=True, depth=depth or 0)
    truth = Reference()
    bids, asks = truth.bids, truth.asks
    for whole, bid_changes, ask_changes in steps:
        texts = (bid_changes, ask_changes)
        if whole:
            bids.levels.clear()
            asks.levels.clear()
            book.replace(floats(bid_changes), floats(ask_changes), texts)
        else:
            book.apply(floats(bid_changes), floats(ask_changes), texts)
        truth.apply(bid_changes, ask_changes)
        if depth is not None:
            book.truncate(depth)
            for side in (bids, asks):
                kept = {Decimal(str(level)) for level, _ in side.top(depth)}
                side.levels = {at: size for at, size in side.levels.items() if at in kept}

        for count in (1, 2, 100):
            assert book.top(count) == (bids.top(count), asks.top(count))
        best_bid, best_ask = bids.top(1), asks.top(1)
        assert book.best_bid() == (best_bid[0] if best_bid else None)
        assert book.best_ask() == (best_ask[0] if best_ask else None)
        both = bool(best_bid and best_ask)
        assert book.best() == ((*best_bid[0], *best_ask[0]) if both else None)
        assert book.crossed == (both and best_bid[0][0] >= best_ask[0][0])
        assert (book.bid_count, book.ask_count) == (len(bids.levels), len(asks.levels))
        assert book.sizes("buy") == dict(bids.top(100))
        assert book.sizes("sell") == dict(asks.top(100))
        assert book.checksum("kraken", 3) == truth.kraken(3)
        assert book.checksum("colon", 3) == truth.colon(3)
        check_readings(book, bids.top(100), asks.top(100), float(price), enough)
    book.truncate(7)
    assert book.top(100) == (bids.top(7), asks.top(7))


def check_readings(
    book: Book,
    bids: list[tuple[float, float]],
    asks: list[tuple[float, float]],
    price: float,
    enough: float,
) -> None:
    assert book.size_at("buy", price) == dict(bids).get(price, 0.0)
    assert book.size_at("sell", price) == dict(asks).get(price, 0.0)
    assert book.worse("buy", price) == next((row for row in bids if row[0] < price), None)
    assert book.worse("sell", price) == next((row for row in asks if row[0] > price), None)
    for side, rows in (("buy", bids), ("sell", asks)):
        shown = 0.0
        for level, size in rows:
            if abs(level - 0.3) > 0.2:
                break
            shown += size
            if shown >= enough:
                break
        assert book.displayed(side, 0.3, 0.2, enough) == shown  # type: ignore[arg-type]


def test_sizes_at_a_price(make: type[Book]) -> None:
    book = make()
    book.replace([(10.0, 1.0), (9.5, 2.0), (9.0, 4.0)], [(10.5, 8.0), (11.0, 16.0)])

    assert book.size_at("buy", 9.0) == 4.0
    assert book.size_at("sell", 9.0) == 0.0


def test_clear_and_empty_tops(make: type[Book]) -> None:
    book = make()
    book.replace([(10.0, 1.0)], [(11.0, 1.0)])
    assert book.top(0) == ([], [])
    book.clear()
    assert book.top(5) == ([], [])
    assert book.best_bid() is None
    assert book.best_ask() is None


def test_without_digits_there_is_no_checksum(make: type[Book]) -> None:
    plain = make()
    plain.replace([(10.0, 1.0)], [(11.0, 1.0)], ([("10", "1")], [("11", "1")]))
    assert plain.checksum("kraken", 10) is None  # it keeps none

    book = make(keep_text=True)
    digits = ([("10.0", "1.0")], [("11.0", "1.00")])
    book.replace([(10.0, 1.0)], [(11.0, 1.0)], digits)
    assert book.checksum("colon", 10) == zlib.crc32(b"10.0:1.0:11.0:1.00")
    assert book.checksum("kraken", 10) == zlib.crc32(b"11010010010")
    book.apply([(10.0, 2.0)], [])
    assert book.checksum("colon", 10) is None, "the size changed, its digits were not told"
    book.apply([(10.0, 2.0)], [], ([("10.0", "2.0")], []))
    assert book.checksum("colon", 10) == zlib.crc32(b"10.0:2.0:11.0:1.00")


def test_a_deep_book_stays_sorted_through_inserts_and_deletes(make: type[Book]) -> None:
    book = make()
    prices = [float(1 + (at * 7_919) % 5_003) for at in range(5_003)]
    book.replace([(price, price) for price in prices], [])
    assert book.top(10_000)[0] == [(price, price) for price in sorted(prices, reverse=True)]
    for price in prices[::2]:
        book.apply([(price, 0.0), (price + 0.5, 1.0)], [])
    left = {price: price for price in prices[1::2]} | {price + 0.5: 1.0 for price in prices[::2]}
    assert book.top(10_000)[0] == sorted(left.items(), reverse=True)


def test_what_is_worse_is_found_beyond_the_listed_levels(make: type[Book]) -> None:
    book = make()
    bids = [(float(price), 1.0) for price in range(1, 21)]
    asks = [(float(price), 1.0) for price in range(21, 41)]
    book.replace(bids, asks)
    for away in range(8):  # the last that Python's twin lists goes, and leaves those behind it
        book.apply([(20.0 - away, 0.0)], [(21.0 + away, 0.0)])
        book.apply([(20.0 - away, 1.0)], [(21.0 + away, 1.0)])
        book.apply([(17.0 - away, 0.0)], [(24.0 + away, 0.0)])
        for price in range(42):
            lower = [level for level in book.sizes("buy").items() if level[0] < price]
            higher = [level for level in book.sizes("sell").items() if level[0] > price]
            assert book.worse("buy", float(price)) == max(lower, default=None)
            assert book.worse("sell", float(price)) == min(higher, default=None)
