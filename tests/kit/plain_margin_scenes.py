"""Scenes before ``PlainMargin``, and orders that reduce: what it must know, and what it must leave to the checks."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import plain_scenes
from gate_kit import (
    BTC,
    ETH,
    NOW,
    VENUE,
    FakeView,
    S,
    calm,
    child,
    hold,
    limits,
    losing,
    margined,
    rules,
)
from plain_scenes import Scene, elsewhere, plain_orders

from citadel_micro.core.model.account_events import MarginTier
from citadel_micro.core.model.events import MarginTerms, MarkPrice

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.model.account_events import MarginMode

BUYS, SELLS = child(), child(side="sell")


def holding(position: str, **changes: object) -> FakeView:
    """The calm day with a position, and what else is different."""
    view = calm(position)
    for name, value in changes.items():
        setattr(view, name, value)
    return view


def coins(position: str, free: str, view: FakeView | None = None) -> FakeView:
    """A position, and what the venue says of the balances."""
    made = calm() if view is None else view
    hold(made, BTC, position, 200)
    made.portfolio.set_balances(
        VENUE, [("USDT", Decimal(free), Decimal(0)), ("BTC", Decimal(free), Decimal(0))]
    )
    return made


def terms(
    view: FakeView,
    symbol: str,
    *,
    mark: float = 50.0,
    leverage: int = 5,
    mode: MarginMode = "cross",
    rate: str = "0.004",
    most: tuple[str, ...] = ("5000",),
) -> None:
    """How a derivative is margined, and its mark price; in the second bracket at most three times."""
    tiers = tuple(
        MarginTier(Decimal(each), 3 if number else 20, Decimal(rate), Decimal(0))
        for number, each in enumerate(most)
    )
    margin = view.portfolio.margin
    margin.terms[VENUE, symbol] = MarginTerms(
        venue=VENUE, symbol=symbol, mode=mode, leverage=leverage, tiers=tiers
    )
    margin.marks[VENUE, symbol] = MarkPrice(VENUE, symbol, mark, mark, 0.0001, 0, NOW, NOW)


def held(position: str = "1", *, wallet: str = "1000", leverage: int = 5) -> FakeView:
    """A position in the derivative itself, with a margin of its own."""
    view = margined(wallet, leverage=leverage)
    hold(view, BTC, position, 200)
    return view


def beside(
    position: str = "0",
    *,
    wallet: str = "1000",
    leverage: int = 5,
    pending: tuple[int, int] = (0, 0),
    mark: float = 50.0,
    mode: MarginMode = "cross",
    rate: str = "0.004",
    most: str = "5000",
) -> FakeView:
    """Two derivatives: the order's is cross margined, of the other there is a position or an order."""
    view = margined(wallet)
    terms(view, BTC, mark=100.0, leverage=leverage)
    view.instruments[VENUE, ETH] = rules(ETH, kind="linear")
    terms(view, ETH, mark=mark, leverage=leverage, mode=mode, rate=rate, most=(most,))
    hold(view, ETH, position, 100)
    buys, sells = pending
    view.pending[VENUE, ETH, "buy"], view.pending[VENUE, ETH, "sell"] = buys, sells
    return view


def unrelated(kind: str, *, position: bool) -> FakeView:
    """Of another venue, kind or settle currency, whose margin is not known, nor asked for."""
    view = margined()
    venue = "okx" if kind == "venue" else VENUE
    settle = "BUSD" if kind == "settle" else "USDT"
    symbol = f"SOL/{settle}"
    view.instruments[venue, symbol] = rules(
        symbol, venue=venue, kind="spot" if kind == "spot" else "linear", settle=settle
    )
    view.portfolio.mark(venue, symbol, 10.0)
    view.portfolio.mark(VENUE, "BUSD/USDT", 1.0)
    if position:
        hold(view, symbol, "1", 20, venue=venue)
    else:
        view.pending[venue, symbol, "buy"] = 100
    return view


def unstated(what: str, made: Callable[[], FakeView]) -> FakeView:
    """Without the terms or the mark price of one of the two."""
    view = made()
    part, symbol = what.split(" ", 1)
    del getattr(view.portfolio.margin, part)[VENUE, symbol]
    return view


def marked(age_ns: int) -> FakeView:
    view = margined()
    view.portfolio.margin.marks[VENUE, BTC] = MarkPrice(
        VENUE, BTC, 100.0, 100.0, 0.0001, 0, NOW, NOW - age_ns
    )
    return view


def tiered(*most: str) -> FakeView:
    view = margined()
    terms(view, BTC, mark=100.0, mode="isolated", most=most)
    return view


def cross(wallet: str, *, leverage: int = 20) -> FakeView:
    view = margined(wallet)
    terms(view, BTC, mark=100.0, leverage=leverage)
    return view


_TINY = limits(
    max_gross_exposure=Decimal(1),
    max_position_notional=Decimal(1),
    max_net_exposure=Decimal(1),
    max_messages_per_second=0,
)

PLAIN: list[Scene] = [
    # Reductions: all that is held, or less of it; what they skip says nothing.
    Scene(SELLS, lambda: calm("1"), _TINY),
    Scene(BUYS, lambda: calm("-1"), _TINY),
    Scene(child(side="sell", reduce_only=True), lambda: calm("2")),
    Scene(SELLS, lambda: holding("1", lease=None)),
    Scene(SELLS, lambda: holding("1", skew_ns=9 * S)),
    Scene(SELLS, lambda: calm("1"), limits(dms_venues=(VENUE,))),
    Scene(SELLS, lambda: holding("1.5", reductions=50)),
    Scene(SELLS, lambda: holding("1", own={"buy": 199})),
    Scene(SELLS, lambda: coins("1", "1.01")),
    Scene(BUYS, lambda: coins("-1", "100.21")),
    Scene(child(side="sell", price_ticks=184), lambda: losing(92.1)),
    Scene(SELLS, lambda: coins("1", "2", elsewhere("base", "buy", 100, quote="FDUSD"))),
    Scene(SELLS, lambda: coins("1", "2", elsewhere("spot", "sell", 100))),
    Scene(SELLS, lambda: coins("1", "2", elsewhere("venue", "sell", 100))),
    Scene(SELLS, lambda: coins("1", "2", elsewhere("linear", "sell", 100))),
    Scene(BUYS, lambda: coins("-1", "200", elsewhere("quote", "buy", 10, quote="FDUSD"))),
    Scene(BUYS, lambda: coins("-1", "200", elsewhere("spot", "sell", 10))),
    *(
        Scene(child(side=side), partial(held, position, wallet="0"), _TINY)
        for side, position in (("sell", "1"), ("buy", "-1"))
    ),
    # A buy of 1 at 100, five times leveraged: 20 and 0.2 of the taker's fee, 0.1 of the maker's.
    Scene(view=margined),
    Scene(SELLS, margined),
    Scene(view=lambda: margined("20.21")),
    Scene(SELLS, lambda: margined("20.21")),
    Scene(child(post_only=True), lambda: margined("20.11")),
    Scene(child(price_ticks=201), lambda: margined("20.31")),
    Scene(child(leverage=Decimal(5)), margined),
    Scene(view=lambda: marked(10 * S)),
    # Isolated at 9, it is liquidated (1/9 - 0.004) / 0.996 below its entry: 10.75 %.
    Scene(view=lambda: margined(leverage=9)),
    Scene(SELLS, lambda: margined(leverage=9)),
    Scene(view=lambda: held(leverage=9)),
    Scene(SELLS, lambda: held("-1", leverage=9)),
    Scene(view=lambda: held(wallet="40.21")),
    Scene(view=lambda: cross("11")),
    Scene(SELLS, lambda: cross("11")),
    Scene(view=lambda: tiered("101", "5000")),
    Scene(child(quantity_lots=50, exposure_lots=50), lambda: tiered("99", "5000")),
    # Beside it 2 ETH at 50, which need 20, or an order for as many.
    Scene(view=lambda: beside("2", wallet="40.21")),
    Scene(view=lambda: beside("-2", wallet="40.21")),
    Scene(view=lambda: beside(pending=(200, 100), wallet="40.21")),
    Scene(view=lambda: beside(pending=(100, 200), wallet="40.21")),
    Scene(view=lambda: beside("2", pending=(0, 400), wallet="40.21")),
    Scene(view=lambda: beside("1", pending=(100, 0), wallet="40.21")),
    Scene(view=lambda: beside("2", mark=40.0, wallet="56.21")),
    Scene(view=lambda: beside("2", mark=60.0, wallet="44.21")),
    Scene(view=lambda: beside("2", leverage=20, rate="0.1", mode="isolated", wallet="12")),
    *(
        Scene(view=partial(unrelated, kind, position=position))
        for kind in ("venue", "spot", "settle")
        for position in (True, False)
    ),
]
"""Plain, each near one limit: within it by more than is doubted."""

_LEFT: list[Scene] = [
    Scene(child(side="sell", reduce_only=True), lambda: calm("0.99")),
    Scene(child(side="sell", reduce_only=True), lambda: holding("1", reductions=1)),
    Scene(SELLS, lambda: calm("0.99"), _TINY),
    Scene(SELLS, lambda: coins("1", "0.99")),
    Scene(SELLS, lambda: coins("1.5", "1.4", elsewhere("base", "sell", 100, quote="FDUSD"))),
    Scene(BUYS, lambda: coins("-1", "110", elsewhere("spot", "buy", 100))),
    Scene(view=lambda: margined("20.19")),
    Scene(child(price_ticks=201), lambda: margined("20.29")),
    Scene(SELLS, lambda: margined("20.19")),
    Scene(child(leverage=Decimal(6)), margined),
    Scene(view=lambda: marked(10 * S + 1)),
    Scene(view=lambda: margined(leverage=10)),
    Scene(SELLS, lambda: margined(leverage=10)),
    Scene(view=lambda: margined(leverage=21)),
    Scene(view=lambda: held(wallet="40.19")),
    Scene(view=lambda: cross("10")),
    Scene(SELLS, lambda: cross("10")),
    Scene(view=lambda: tiered("99", "5000")),
    Scene(view=lambda: tiered("99")),
    Scene(view=lambda: beside("2", wallet="40.19")),
    Scene(view=lambda: beside("-2", wallet="40.19")),
    Scene(view=lambda: beside(pending=(200, 100), wallet="40.19")),
    Scene(view=lambda: beside(pending=(100, 200), wallet="40.19")),
    Scene(view=lambda: beside("1", pending=(100, 0), wallet="40.19")),
    Scene(view=lambda: beside("2", mark=40.0, wallet="56.19")),
    Scene(view=lambda: beside("2", mark=60.0, wallet="44.19")),
    Scene(view=lambda: beside("2", leverage=20, rate="0.1", wallet="12")),
    Scene(view=lambda: beside("2", most="99")),
    *(
        Scene(view=partial(unstated, what, view))
        for what, view in (
            (f"terms {BTC}", margined),
            (f"marks {BTC}", margined),
            (f"terms {ETH}", partial(beside, "2")),
            (f"marks {ETH}", partial(beside, "2")),
            (f"terms {ETH}", partial(beside, pending=(200, 0))),
            (f"marks {ETH}", partial(beside, pending=(200, 0))),
        )
    ),
]

DENIED: list[Scene] = [scene for scene in _LEFT if scene.denied()]
"""Those that the checks deny: all of them."""


def remembers_too_long() -> bool:
    """Whether margin that was computed for one order is used for another that it does not fit."""
    plain, view = plain_orders(), beside("2", wallet="40.21")

    def passes() -> bool:
        scene = Scene()
        return plain.passes(scene.request, view, scene.limits, **scene.facts()) is not None

    known = view.portfolio.margin
    found = [passes(), passes()]
    before, mark = known.terms[VENUE, ETH], known.marks[VENUE, ETH]
    known.marks[VENUE, ETH] = mark._replace(mark=51.0)
    found += [not passes()]
    known.marks[VENUE, ETH] = mark
    found += [passes()]
    known.terms[VENUE, ETH] = replace(before, leverage=4)
    found += [not passes()]
    known.terms[VENUE, ETH] = before
    found += [passes()]
    terms(view, BTC, mark=100.0, leverage=5, most=("99",))
    found += [not passes()]
    terms(view, BTC, mark=100.0)
    # A position that has changed, at the same marks.
    hold(view, ETH, "0.1", 100)
    found += [not passes()]
    return not all(found)


def told() -> bool:
    """Whether any scene, of these or of ``plain_scenes``, tells the gate from what it should be.

    Where the checks are asked as well (``plain_oracle``), that they deny an order is an assertion.
    """
    try:
        return (
            plain_scenes.told()
            or any(not scene.passes() for scene in PLAIN)
            or any(scene.passes() for scene in DENIED)
            or remembers_too_long()
        )
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        return True
