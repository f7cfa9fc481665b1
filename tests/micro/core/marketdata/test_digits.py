"""Digits of levels, which the compiled book keeps short and writes again for a checksum."""

from __future__ import annotations

import copy
import random
import sys
from typing import TYPE_CHECKING

import pytest
from digit_lives import digit_life
from effort import examples

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.book import Book

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

pytestmark = pytest.mark.skipif(not kernel.COMPILED, reason="the compiled kernel is not in use")


def reader() -> Callable[[bytes], Any]:
    from citadel_micro.core.marketdata import _levels  # noqa: PLC0415 - there when compiled

    return _levels.text_pairs


def ladder(count: int, size: str) -> list[tuple[str, str]]:
    """Levels of a side as a venue writes them."""
    return [(f"{60_000 - at / 10:.1f}", size) for at in range(count)]


def fed(book: Any, bids: list[tuple[str, str]]) -> Any:  # noqa: ANN401 - either twin
    """A book with these bids alone."""
    book.replace([(float(price), float(size)) for price, size in bids], [], (bids, []))
    return book


@pytest.mark.parametrize("by", ["hand", "reader"])
def test_checksums_of_both_twins_agree_throughout_a_life(by: str) -> None:
    read = reader() if by == "reader" else None
    for seed in range(examples(25, 2_000)):
        try:
            digit_life(
                kernel.Book(keep_text=True), Book(keep_text=True), random.Random(seed), read=read
            )
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def test_a_book_of_2000_levels_with_digits_takes_60_kib_at_most() -> None:
    book = kernel.Book(keep_text=True)
    sides = [
        [(f"{60_000 + sign * (at + 1) / 10:.1f}", f"{at / 7:.8f}") for at in range(1, 1_001)]
        for sign in (-1, 1)
    ]
    bid_levels, ask_levels = (
        [(float(price), float(size)) for price, size in side] for side in sides
    )
    book.replace(bid_levels, ask_levels, (sides[0], sides[1]))
    assert book.checksum("colon", 25) is not None
    assert (book.bid_count, book.ask_count) == (1_000, 1_000)
    assert sys.getsizeof(book) <= 60 * 1024
    # A market that walks: better levels come, worse ones go.
    for at in range(3_000):
        bid, ask = f"{60_000 + at / 10:.1f}", f"{60_000.1 + at / 10:.1f}"
        gone = f"{60_000 - 100.1 + at / 10:.1f}"
        new = f"{60_000 + 100.2 + at / 10:.1f}"
        bids = [(float(bid), 1.0), (float(gone), 0.0)]
        asks = [(float(ask), 0.0), (float(new), 2.0)]
        book.apply(bids, asks, ([(bid, "1.00"), (gone, "0")], [(ask, "0"), (new, "2.00")]))
    assert 900 < book.bid_count <= 1_100
    assert sys.getsizeof(book) <= 66 * 1024


@pytest.mark.parametrize(
    "size",
    [
        *("1e-3", "1E3", "1234567890.12345678", "0.12345678901234567", "123456789012345"),
        *("1234567890123456", "0.1", "0.00000001", "99999999999999.9", "999999999999999.9"),
        *("00.5", ".5", "5.", "+5"),
    ],
)
def test_digits_far_from_the_best_price_are_known_when_they_come_near(size: str) -> None:
    for place in (0, 5, 31, 32, 33, 64, 150, 299):
        bids = ladder(300, "1.500")
        bids[place] = (bids[place][0], size)
        one, other = fed(kernel.Book(keep_text=True), bids), fed(Book(keep_text=True), bids)
        for book in (one, other):
            # All that is better goes, so that the level is the best.
            book.apply([(float(price), 0.0) for price, _ in bids[:place]], [])
        for count in (1, 10, 25, 300):
            assert one.checksum("colon", count) == other.checksum("colon", count)
            assert one.checksum("kraken", count) == other.checksum("kraken", count)
        assert one.checksum("colon", 1) is not None


def test_levels_whose_digits_were_left_out_are_known_as_such_wherever_they_are() -> None:
    bids = ladder(300, "1.500")
    levels = [(float(price), float(size)) for price, size in bids]
    for place in (0, 24, 25, 100, 299):
        for book in (kernel.Book(keep_text=True), Book(keep_text=True)):
            fed(book, bids)
            book.apply([(levels[place][0], 7.0)], [])
            assert (book.checksum("colon", 25) is None) == (place < 25)
            book.apply([(price, 0.0) for price, _ in levels[: max(0, place - 5)]], [])
            assert book.checksum("colon", 25) is None
            book.apply([(levels[place][0], 7.0)], [], ([(bids[place][0], "7.0")], []))
            assert book.checksum("colon", 25) is not None


def test_levels_of_other_digits_than_their_numbers_are_not_copied() -> None:
    levels, _ = reader()(b'[["1.50","2"]]')
    copied = copy.deepcopy(levels)
    assert copied == levels
    assert copied.digits == [("1.50", "2")]
    make, (pairs, texts) = levels.__reduce__()
    with pytest.raises(ValueError, match=r"is not 1\.5 x 2\.0"):
        make(pairs, [("1.60", texts[0][1])])
