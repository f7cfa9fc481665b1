"""The same random life of two books of thousands of levels, one of each twin, which must agree throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import random

Pairs = list[tuple[float, float]]
Side = Literal["buy", "sell"]
SIDES: tuple[Side, Side] = ("buy", "sell")
UNITS = (1, 10, 100, 2, 4, 400, 100_000_000)
"""Ticks in a unit of price: 1, 0.1, 0.01, 0.5, 0.25, 0.0025, 0.00000001."""


class Life:
    """A market whose price walks, leaps, leaves its grid, and comes back.

    Args:
        rng: what decides.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.unit = rng.choice(UNITS)
        self.stride = rng.choice([1, 1, 1, 5, 50])
        self.center = rng.choice([30_000, 600_000, 5_000_000])
        self.span = rng.choice([300, 3_000, 30_000])
        self.off_grid = rng.choice([0.0, 0.0, 0.0005, 0.02])

    def price(self, side: Side) -> float:
        """A price of this side, nearly always near the middle, sometimes anywhere."""
        rng = self.rng
        reach = self.span if rng.random() < 0.2 else max(20, self.span // 20)
        away = rng.randint(1, reach) * self.stride
        if rng.random() < 0.001:
            away = -rng.randint(1, 20_000)
        ticks = max(1, self.center - away if side == "buy" else self.center + away)
        whole = ticks / self.unit
        return whole + rng.random() / self.unit if rng.random() < self.off_grid else whole

    def levels(self, side: Side, count: int, *, deleting: float) -> Pairs:
        """Changes of a side."""
        return [
            (
                self.price(side),
                0.0 if self.rng.random() < deleting else self.rng.randint(1, 999) / 7,
            )
            for _ in range(count)
        ]

    def walk(self) -> None:
        """On to the next middle."""
        rng = self.rng
        step = self.span if rng.random() < 0.02 else max(2, self.span // 100)
        self.center = max(50, self.center + rng.randint(-step, step))


def compare(one: Any, other: Any, life: Life) -> None:  # noqa: ANN401 - either twin
    """Everything that a book can be asked."""
    assert (one.best(), one.best_bid(), one.best_ask()) == (
        other.best(),
        other.best_bid(),
        other.best_ask(),
    )
    assert one.crossed == other.crossed
    assert (one.bid_count, one.ask_count) == (other.bid_count, other.ask_count)
    assert one.top(9) == other.top(9)
    middle = life.center / life.unit
    for side in SIDES:
        price = life.price(side)
        assert one.size_at(side, price) == other.size_at(side, price)
        for asked in (price, middle, price * 2, 0.0):
            assert one.worse(side, asked) == other.worse(side, asked)
        reach, enough = abs(price - middle), life.rng.randint(1, 5_000)
        assert one.displayed(side, middle, reach, enough) == other.displayed(
            side, middle, reach, enough
        )


def deep_life(one: Any, other: Any, rng: random.Random, *, updates: int = 60) -> None:  # noqa: ANN401
    """Let both live, and compare."""
    life = Life(rng)
    depth = rng.choice([0, 0, 0, 200, 900])
    for _ in range(updates):
        whole = rng.random() < 0.03
        count = rng.choice([3, 60, 60, 400])
        if whole or not one.bid_count:
            bids, asks = (life.levels(side, 2_000, deleting=0.02) for side in SIDES)
            change = "replace"
        else:
            bids, asks = (
                life.levels(side, rng.randint(0, count), deleting=rng.choice([0.3, 0.5, 0.95]))
                for side in SIDES
            )
            change = "apply"
        if rng.random() < 0.02:  # all that is near goes at once
            side = rng.choice(SIDES)
            near = [(price, 0.0) for price, _ in other.top(900)[SIDES.index(side)]]
            bids, asks = (near, asks) if side == "buy" else (bids, near)
        for book in (one, other):
            getattr(book, change)(bids, asks)
            if depth:
                book.truncate(depth)
        compare(one, other, life)
        life.walk()
    for side in SIDES:
        assert one.sizes(side) == other.sizes(side)
    assert one.top(100_000) == other.top(100_000)
