"""Scenes before ``PlainOrders``: plain orders that it must know, and orders that it must leave to the checks."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

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
    hollow,
    limits,
    losing,
    poor,
    rules,
    with_market,
    with_pending,
    with_view,
)
from gate_scenes import DENIALS, KEPT
from plain_oracle import judged

from citadel_micro.core.model.risk_limits import UNUSED, RiskLimits
from citadel_micro.core.risk.circuit_breakers import Breakers, symbol_scope
from citadel_micro.core.risk.conduct import Conduct
from citadel_micro.core.risk.types import RiskRequest

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side


@dataclass(frozen=True)
class Scene:
    """One order, and the state that it is judged in."""

    request: RiskRequest = field(default_factory=child)
    view: Callable[[], FakeView] = calm
    limits: RiskLimits = field(default_factory=limits)
    armed: bool = False
    tripped: tuple[str, str] | None = None
    """Code and scope of a trip."""
    sent: int = 0
    """Orders of its strategy in this second."""
    rejected: int = 0
    admitted: int = 0
    """Parents like it."""
    expires_ns: int = NOW + S

    def facts(self) -> dict[str, Any]:
        breakers, conduct = Breakers(healthy_ns=S, cooldown_ns=S, probation_parents=1), Conduct()
        if self.tripped is not None:
            breakers.trip(*self.tripped, "t", NOW)
        for _ in range(self.sent):
            conduct.sent(self.request, self.limits, NOW)
        for _ in range(self.admitted):
            conduct.admitted(self.request, self.limits, NOW)
        for _ in range(self.rejected):
            conduct.rejected(VENUE, self.limits, NOW)
        return {
            "breakers": breakers,
            "armed": self.armed,
            "conduct": conduct,
            "now_ns": NOW,
            "expires_ns": self.expires_ns,
        }

    def passes(self) -> bool:
        """Whether it is plain, to a new object of the class as it is now."""
        plain, facts = plain_orders(), self.facts()
        if self.request.scope == "child":
            return plain.passes(self.request, self.view(), self.limits, **facts) is not None
        del facts["expires_ns"]
        return plain.admits(self.request, self.view(), self.limits, **facts) is not None

    def denied(self) -> bool:
        """What the checks themselves say."""
        return judged(self.request, self.view(), self.limits, **self.facts()).denied


def elsewhere(kind: str, side: Side, lots: int, *, quote: str = "USDT") -> FakeView:
    """The calm day, and an order working in another instrument: of another venue, kind or quote currency."""
    venue = "okx" if kind == "venue" else VENUE
    view = poor("100.25")
    view.portfolio.set_balances(VENUE, [("BTC", Decimal("1.5"), Decimal(0))])
    symbol = f"BTC/{quote}" if kind == "base" else f"SOL/{quote}"
    made = rules(symbol, venue=venue, kind="linear" if kind == "linear" else "spot")
    view.instruments[venue, symbol] = made
    view.portfolio.mark(venue, symbol, 10.0)
    view.portfolio.mark(VENUE, f"{quote}/USDT", 2.0)
    view.pending[venue, symbol, side] = lots
    return view


def unmarked() -> FakeView:
    view = with_pending(ETH, "buy", 5)
    view.portfolio.mark(VENUE, ETH, None)
    return view


def held_unmarked() -> FakeView:
    view = calm("0", "1")
    view.portfolio.mark(VENUE, ETH, None)
    return view


def in_coins(quote_mark: float | None) -> FakeView:
    """BTC/USDT, reported in a currency of which a USDT is worth something else than one."""
    view = calm("2")
    portfolio = view.portfolio
    portfolio.rates.reporting = "EUR"
    portfolio.mark(VENUE, "USDT/EUR", quote_mark)
    return view


def linear() -> FakeView:
    view = calm("2")
    view.instruments[VENUE, BTC] = rules(kind="linear")
    return view


def inverse() -> FakeView:
    view = calm()
    view.instruments[VENUE, BTC] = rules(kind="inverse", settle="BTC")
    return view


def _gross(most: str) -> RiskLimits:
    return limits(max_gross_exposure=Decimal(most))


def _net(most: str) -> RiskLimits:
    return limits(max_net_exposure=Decimal(most))


# One lot is 1 at 100.0, of ETH 0.5; the order is 100 lots: worth 100, at the mid and half a tick 100.25.
PLAIN: list[Scene] = [
    Scene(),
    Scene(child(side="sell")),
    Scene(child(post_only=True, price_ticks=199)),
    Scene(child(side="sell", post_only=True, price_ticks=201)),
    Scene(child(price_ticks=201)),
    Scene(child(side="sell", price_ticks=199)),
    Scene(child(quantity_lots=5)),
    Scene(child(quantity_lots=150, filled_lots=50, exposure_lots=100)),
    Scene(child(quantity_lots=500)),
    Scene(child(price_ticks=181)),
    Scene(child(price_ticks=219, side="sell")),
    Scene(child(owner="o"), lambda: with_view(lease=15 * S)),
    Scene(view=lambda: with_view(lease=None), limits=limits(lease_required=False)),
    Scene(view=lambda: with_view(skew_ns=S // 2)),
    Scene(view=lambda: with_view(skew_ns=-S // 2)),
    Scene(view=lambda: with_market(proof_ns=NOW - 1_500_000_000)),
    Scene(view=lambda: with_market(proof_ns=NOW)),
    Scene(limits=limits(dms_venues=(VENUE,)), armed=True),
    Scene(limits=limits(dms_venues=("okx",))),
    Scene(tripped=("OPERATOR_KILL", symbol_scope(VENUE, ETH))),
    Scene(view=lambda: with_view(parents=4, parents_here=4)),
    Scene(view=lambda: with_view(own={"sell": 201})),
    Scene(child(side="sell"), lambda: with_view(own={"buy": 199})),
    Scene(limits=limits(depth_participation_bps=101.0)),
    Scene(limits=limits(max_spread_bps=20.1)),
    Scene(limits=limits(max_order_notional=Decimal("100.01"))),
    Scene(view=lambda: calm("18.9")),
    Scene(child(side="sell"), lambda: calm("-18.9")),
    Scene(limits=limits(max_position_notional=Decimal("100.3"))),
    Scene(view=lambda: calm("2", "20"), limits=_gross("1301")),
    Scene(view=lambda: calm("2", "-20"), limits=_gross("1301")),
    Scene(child(side="sell"), lambda: calm("-2", "20"), _gross("1301")),
    Scene(view=lambda: calm("2", "-20"), limits=_net("1")),
    Scene(child(side="sell"), lambda: calm("-2", "20"), _net("1")),
    Scene(view=lambda: calm("2", "20"), limits=_net("1301")),
    Scene(view=lambda: with_pending(BTC, "sell", 400), limits=_gross("402")),
    Scene(view=lambda: with_pending(ETH, "sell", 400), limits=_gross("301")),
    Scene(view=lambda: with_pending(ETH, "sell", 400), limits=_net("101")),
    Scene(view=lambda: with_pending(ETH, "buy", 400), limits=_net("301")),
    Scene(child(side="sell"), lambda: with_pending(ETH, "buy", 400), _net("101")),
    Scene(child(side="sell"), lambda: with_pending(ETH, "sell", 400), _net("301")),
    Scene(limits=limits(max_venue_exposure={VENUE: Decimal(101)})),
    Scene(view=lambda: poor("100.21")),
    Scene(child(post_only=True), lambda: poor("100.11")),
    Scene(child(side="sell"), lambda: poor("1.01", currency="BTC")),
    Scene(view=lambda: poor("60", "41")),
    Scene(child(beside_lots=50, beside_cost=10_000), lambda: poor("150.31")),
    Scene(child(side="sell", beside_lots=50), lambda: poor("1.51", currency="BTC")),
    # What works at another venue, in a derivative, or for other money is promised none of this.
    *(Scene(view=partial(elsewhere, kind, "buy", 10)) for kind in ("venue", "linear")),
    Scene(view=lambda: elsewhere("quote", "buy", 10, quote="FDUSD")),
    Scene(view=lambda: elsewhere("spot", "sell", 10)),
    Scene(child(side="sell"), lambda: elsewhere("base", "buy", 100, quote="FDUSD")),
    Scene(child(side="sell"), lambda: elsewhere("spot", "sell", 100)),
    Scene(
        view=lambda: elsewhere("venue", "buy", 1_000),
        limits=limits(max_venue_exposure={"*": Decimal(101)}),
    ),
    # A derivative is worth what its settle currency is, not what its quote currency is.
    Scene(
        view=lambda: elsewhere("linear", "buy", 1_000, quote="FDUSD"),
        limits=limits(max_gross_exposure=Decimal(201)),
    ),
    Scene(view=lambda: in_coins(0.5), limits=limits(max_order_notional=Decimal(51))),
    # A resting order joins its own side, one that takes meets the other.
    Scene(child(side="sell", price_ticks=200), lambda: with_market(book=hollow("bids"))),
    Scene(child(price_ticks=200), lambda: with_market(book=hollow("asks"))),
    Scene(view=linear),
    Scene(child(price_ticks=184), lambda: losing(92.1)),
    Scene(limits=limits(max_messages_per_second=3), sent=2),
    Scene(limits=limits(max_unfilled_messages=3), sent=2),
    Scene(limits=limits(max_venue_rejects=3), rejected=2),
    Scene(limits=limits(max_messages_per_second=UNUSED), sent=2),
]
"""Plain, each near one limit: within it by more than is doubted."""

_LEFT: list[Scene] = [
    Scene(expires_ns=NOW),
    Scene(tripped=("OPERATOR_HALT", "global")),
    Scene(child(post_only=True, reduce_only=True)),
    Scene(view=unmarked),
    Scene(view=held_unmarked),
    Scene(view=lambda: in_coins(None)),
    Scene(view=inverse),
    Scene(child(side="sell"), lambda: with_view(own={"buy": 201})),
    Scene(view=lambda: with_view(own={"sell": 199})),
    Scene(limits=limits(max_messages_per_second=2), sent=2),
    Scene(limits=limits(max_unfilled_messages=2), sent=2),
    Scene(limits=limits(max_venue_rejects=2), rejected=2),
    Scene(view=lambda: with_pending(BTC, "sell", 400), limits=_gross("399")),
    Scene(view=lambda: with_pending(ETH, "sell", 400), limits=_gross("299")),
    Scene(view=lambda: with_pending(ETH, "buy", 400), limits=_gross("299")),
    Scene(view=lambda: with_pending(ETH, "buy", 400), limits=_net("299")),
    Scene(child(side="sell"), lambda: with_pending(ETH, "sell", 400), _net("299")),
    Scene(child(side="sell"), lambda: calm("-2", "-20"), _net("1299")),
    Scene(child(side="sell"), lambda: calm("0", "-20"), _gross("1099")),
    Scene(view=lambda: calm("0", "20"), limits=limits(max_venue_exposure={"*": Decimal(1099)})),
    Scene(
        view=lambda: with_pending(ETH, "sell", 400),
        limits=limits(max_venue_exposure={"*": Decimal(299)}),
    ),
    Scene(child(side="sell"), lambda: calm("-19.5")),
    Scene(child(price_ticks=181), limits=limits(max_position_notional=Decimal(95))),
    Scene(child(side="sell", price_ticks=199), lambda: with_market(book=hollow("bids"))),
    Scene(child(price_ticks=201), lambda: with_market(book=hollow("asks"))),
    *(
        Scene(
            child(side=side, price_ticks=ticks),
            partial(with_market, quote=(99.5, 9.0, 100.0, 9.0), book=hollow(far)),
            limits(max_spread_bps=60.0),
        )
        for side, ticks, far in (("buy", 200, "asks"), ("sell", 199, "bids"))
    ),
    Scene(child(beside_lots=50, beside_cost=10_000), lambda: poor("150.29")),
    Scene(child(side="sell", beside_lots=50), lambda: poor("1.49", currency="BTC")),
    Scene(view=lambda: elsewhere("spot", "buy", 10)),
    Scene(child(side="sell"), lambda: elsewhere("base", "sell", 100, quote="FDUSD")),
    Scene(view=lambda: in_coins(0.5), limits=limits(max_order_notional=Decimal(49))),
    *(
        Scene(child(price_ticks=ticks), partial(losing, mark), bounds)
        for mark, ticks, bounds in (
            (90.0, 180, limits(max_rolling_loss=Decimal(999))),
            (92.0, 184, limits()),
            (85.0, 170, limits(max_rolling_loss=Decimal(999), max_daily_loss=Decimal(999))),
        )
    ),
]

SCOPES: Final[tuple[Literal["child", "parent"], ...]] = ("child", "parent")
SCENES: list[Scene] = [
    *PLAIN,
    *_LEFT,
    *(
        Scene(replace(request, scope=scope), view, bounds)
        for _, request, view, bounds, _ in DENIALS
        for scope in SCOPES
    ),
    *(
        Scene(replace(request, scope=scope), view, bounds)
        for request, view, bounds in KEPT
        for scope in SCOPES
    ),
]


def plain_orders() -> Any:  # noqa: ANN401 - of the module as it is now, whichever its classes
    """A new object."""
    return importlib.import_module("citadel_micro.core.risk.plain_orders").PlainOrders()


def remembers_too_long() -> bool:
    """Whether what was computed for one order is used for another that it does not fit."""
    plain, scene, view = plain_orders(), Scene(), calm("0", "20")

    def passes(bounds: RiskLimits, seen: FakeView) -> bool:
        return plain.passes(scene.request, seen, bounds, **scene.facts()) is not None

    wide, narrow = limits(), limits(max_gross_exposure=Decimal(1_101))
    found = [passes(wide, view), passes(narrow, view), not passes(_gross("1099"), view)]
    view.portfolio.mark(VENUE, ETH, 51.0)
    found += [not passes(narrow, view)]
    view.portfolio.mark(VENUE, ETH, 50.0)
    found += [passes(narrow, view)]
    hold(view, ETH, "1", 100)
    found += [not passes(narrow, view), passes(narrow, calm("0", "20"))]
    found += [not passes(narrow, calm("0", "22"))]
    view = calm()
    found += [passes(wide, view)]
    view.instruments[VENUE, BTC] = replace(rules(), min_lots=101)
    found += [not passes(wide, view)]
    view = calm("0", "20")
    found += [passes(narrow, view)]
    view.pending[VENUE, ETH, "buy"] = 400
    found += [not passes(narrow, view)]
    view.pending.clear()
    view.instruments[VENUE, ETH] = replace(rules(ETH), contract_size=Decimal(2))
    for mark in (50.5, 50.0):
        view.portfolio.mark(VENUE, ETH, mark)
    found += [not passes(narrow, view)]
    return not all(found)


def told() -> bool:
    """Whether a plain order is not known as one, or one that the checks deny is; a crash is one too."""
    try:
        return (
            any(not scene.passes() for scene in PLAIN)
            or any(scene.passes() for scene in DENIED)
            or remembers_too_long()
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return True


DENIED: list[Scene] = [scene for scene in SCENES if scene.denied()]
"""Those that the checks deny."""
