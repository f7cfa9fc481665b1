"""The same random life of two books that keep digits, one of each twin, whose checksums must agree throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Texts = list[tuple[str, str]]
STYLES: Final[tuple[Literal["kraken", "colon"], ...]] = ("kraken", "colon")
COUNTS: Final = (1, 10, 25, 40, 100, 1_000)
ODD: Final = ("long", "exponent", "zero", "bare")


def number(rng: random.Random, form: str = "plain") -> str:
    """A number above 0 in one of the ways to write it; "zero" and "bare" are none of JSON's."""
    places = rng.choice((0, 1, 2, 5, 8))
    whole = rng.randint(1, 10 ** rng.randint(1, 9))
    match form:
        case "long":
            return f"{whole}.{rng.randint(0, 10**11):012d}"
        case "exponent":
            return f"{whole}{rng.choice('eE')}-{rng.randint(1, 5)}"
        case "zero":
            return f"0{whole}.50"
        case "bare":
            return f".{whole}"
    return f"{whole // 10**places}.{whole % 10**places:0{places}d}" if places else str(whole)


def digit_life(
    one: Any,  # noqa: ANN401 - either twin
    other: Any,  # noqa: ANN401
    rng: random.Random,
    *,
    read: Callable[[bytes], Any] | None = None,
    updates: int = 40,
) -> None:
    """Let both live, and compare.

    Args:
        one: a book of the compiled kind.
        other: one of Python's.
        rng: what decides.
        read: the compiled reader of pairs with their digits, which gives them to the first book.
        updates: how many.
    """
    odd = rng.choice((0.0, 0.0, 0.001, 0.05))
    forms = ODD[:2] if read is not None else ODD
    size = rng.choice((5, 30, 60, 200, 600))
    prices = sorted({number(rng) for _ in range(3 * size)} - {"0.00000"}, key=float)
    prices = [price for price in prices if float(price) > 0]

    def side(count: int, *, deleting: float) -> Texts:
        found = []
        for _ in range(count):
            away = rng.random() ** 3  # near one end, which is the best of one of both sides
            away = away if rng.random() < 0.5 else 1 - away
            price = prices[min(len(prices) - 1, int(away * len(prices)))]
            form = rng.choice(forms) if rng.random() < odd else "plain"
            found.append((price, "0" if rng.random() < deleting else number(rng, form)))
        return found

    for step in range(updates):
        whole = step == 0 or rng.random() < 0.03
        deleting = 0.0 if whole else 0.45
        counts = (size,) if whole else (0, 1, 3, 8, 40)
        sides = [side(rng.choice(counts), deleting=deleting) for _ in range(2)]
        levels = [[(float(price), float(of)) for price, of in each] for each in sides]
        texts: tuple[Any, ...] | None = None if rng.random() < 0.05 else tuple(sides)
        change = "replace" if whole else "apply"
        getattr(other, change)(*levels, texts)
        if read is not None:
            pairs = [read(_json(each)) for each in sides]
            levels = [each for each, _ in pairs]
            texts = texts and tuple(each for _, each in pairs)
        getattr(one, change)(*levels, texts)
        if rng.random() < 0.1:
            depth = rng.choice((1, 10, 50, 500))
            one.truncate(depth)
            other.truncate(depth)
        for style in STYLES:
            for count in rng.sample(COUNTS, 2):
                assert one.checksum(style, count) == other.checksum(style, count), (style, count)
    assert one.top(10_000) == other.top(10_000)


def _json(pairs: Texts) -> bytes:
    rows = (f'["{price}","{size}"]' for price, size in pairs)
    return f"[{','.join(rows)}]".encode()
