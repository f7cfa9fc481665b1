"""Levels as messages carry them: what ``top`` gives, packed, of both twins and behind any quote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citadel_micro.core.marketdata import book as book_module
from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.book import Book
from citadel_proto.packed_levels import pack_levels

if TYPE_CHECKING:
    from collections.abc import Iterator

prices = st.integers(1, 40).map(lambda ticks: ticks / 8)
sizes = st.floats(0.0001, 1_000.0)
sides = st.dictionaries(prices, sizes, max_size=20)
quotes = st.none() | st.tuples(prices, sizes, prices, sizes)


@pytest.fixture(params=["compiled", "python", "python, partly listed"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Book]]:
    if request.param == "compiled":
        if not kernel.COMPILED:
            pytest.skip("the compiled kernel is not built, or not asked for")
        yield kernel.Book
        return
    if request.param.endswith("partly listed"):
        monkeypatch.setattr(book_module, "NEAR", 2)
        monkeypatch.setattr(book_module, "MOST", 8)
    yield Book


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sides, sides, quotes, st.integers(-1, 25))
def test_a_packed_side_is_the_quote_and_the_levels_behind_it(
    make: type[Book],
    bids: dict[float, float],
    asks: dict[float, float],
    quote: tuple[float, float, float, float] | None,
    count: int,
) -> None:
    book = make()
    book.replace(list(bids.items()), list(asks.items()))
    bid_rows = sorted(bids.items(), reverse=True)
    ask_rows = sorted(asks.items())
    if quote is not None:
        bid, bid_size, ask, ask_size = quote
        bid_rows = [(bid, bid_size), *((at, size) for at, size in bid_rows if at < bid)]
        ask_rows = [(ask, ask_size), *((at, size) for at, size in ask_rows if at > ask)]
    del bid_rows[max(count, 0) :], ask_rows[max(count, 0) :]
    sums = [0.0, 0.0]
    for number, rows in enumerate((bid_rows, ask_rows)):
        for _, size in rows:
            sums[number] += size  # from left to right, as a journal is recomputed on any Python
    expected = (pack_levels(bid_rows), pack_levels(ask_rows), *sums)
    assert book.packed(count, quote) == expected
    assert book_module.top_behind(quote, book, count) == (bid_rows, ask_rows)


def test_a_far_deeper_request_than_the_book_takes_what_is_there(make: type[Book]) -> None:
    book = make()
    assert book.packed(10**12) == (b"", b"", 0.0, 0.0)
    book.replace([(1.0, 2.0)], [(3.0, 4.0)])
    assert book.packed(10**12) == (pack_levels([(1.0, 2.0)]), pack_levels([(3.0, 4.0)]), 2.0, 4.0)
