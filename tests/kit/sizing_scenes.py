"""Scenes before the sizing: entries, and what each method gives them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gate_kit import BTC, NOW, VENUE, calm, limits, margined, parent, with_pending

from citadel_micro.core.risk import sizing
from citadel_micro.core.risk.manager import RiskManager

if TYPE_CHECKING:
    from gate_kit import FakeView

    from citadel_micro.core.risk.sizing import Size
    from citadel_micro.core.risk.types import RiskRequest

CAPITAL = Decimal(1_000)
FIXED: dict[str, Any] = {"sizing": {"*": "fixed_fraction"}, "sizing_capital": CAPITAL}
TARGET: dict[str, Any] = {"sizing": {"*": "volatility_target"}, "sizing_capital": CAPITAL}
KELLY: dict[str, Any] = {"sizing": {"*": "kelly"}, "sizing_capital": CAPITAL}


def size(
    request: RiskRequest | None = None, view: FakeView | None = None, /, **bounds: object
) -> Size | None:
    risk = RiskManager(limits(**bounds))
    return sizing.Sizing(risk).size(request or parent(), view or calm(), NOW)


def lots(
    request: RiskRequest | None = None, view: FakeView | None = None, /, **bounds: object
) -> int:
    found = size(request, view, **bounds)
    assert found is not None
    return found.lots


def outcome(
    request: RiskRequest | None = None, view: FakeView | None = None, /, **bounds: object
) -> Found:
    found = size(request, view, **bounds)
    if found is None or not found.unknown:
        return None if found is None else found.lots
    assert found.lots == 0
    return "unknown"


def worth(usdt: str, btc: str, other: str = "ETH") -> FakeView:
    """An account of so much."""
    view = calm()
    rows = [("USDT", Decimal(usdt)), ("BTC", Decimal(btc)), ("ETH", Decimal(0))]
    if other != "ETH":
        rows.append((other, Decimal(1)))
    view.portfolio.set_balances(VENUE, [(name, much, Decimal(0)) for name, much in rows])
    return view


def paid() -> FakeView:
    """A venue that takes its fee from what is paid."""
    view = calm()
    view.instruments[(VENUE, BTC)] = replace(view.instruments[(VENUE, BTC)], fee_side="quote")
    return view


def foreign() -> FakeView:
    """A portfolio in a currency that nothing here is traded against."""
    view = calm()
    view.portfolio.rates.reporting = "EUR"
    return view


# A lot is 0.01 BTC, worth 1 USDT; 100 lots are asked for.
Found = int | str | None
SCENES: list[tuple[Found, RiskRequest, FakeView, dict[str, object]]] = [
    (50, parent(), calm(), {**FIXED, "sizing_fraction": Decimal("0.05")}),
    (100, parent(), calm(), {**FIXED, "sizing_fraction": Decimal("0.1")}),
    (100, parent(), calm(), {**FIXED, "sizing_fraction": Decimal(1)}),
    # the position that is held, and what is on its way to it, are part of it
    (40, parent(), calm("0.1"), {**FIXED, "sizing_fraction": Decimal("0.05")}),
    (30, parent(), with_pending(BTC, "buy", 20), {**FIXED, "sizing_fraction": Decimal("0.05")}),
    (0, parent(), calm("0.5"), {**FIXED, "sizing_fraction": Decimal("0.05")}),
    # a buy of a short position, and more: the part that reduces is not sized
    (60, parent(), calm("-0.5"), {**FIXED, "sizing_fraction": Decimal("0.01")}),
    (60, parent(), calm("-0.6"), {**FIXED, "sizing_fraction": Decimal(0)}),
    # 4 lots are worth less than the minimum of 5 USDT; of 6, less the fee, too little is left to sell lower
    (0, parent(), calm(), {**FIXED, "sizing_fraction": Decimal("0.004")}),
    (0, parent(), calm(), {**FIXED, "sizing_fraction": Decimal("0.006")}),
    (7, parent(), calm(), {**FIXED, "sizing_fraction": Decimal("0.007")}),
    (7, parent(price_ticks=None), calm(), {**FIXED, "sizing_fraction": Decimal("0.007")}),
    (6, parent(side="sell"), margined(), {**FIXED, "sizing_fraction": Decimal("0.006")}),
    (6, parent(), paid(), {**FIXED, "sizing_fraction": Decimal("0.006")}),
    (4, parent(quantity_lots=4), calm(), {**FIXED}),  # as asked: the gate says what it says
    (50, parent(daily_volatility=0.02), calm(), {**TARGET, "sizing_daily_volatility": Decimal("0.001")}),
    (25, parent(daily_volatility=0.04), calm(), {**TARGET, "sizing_daily_volatility": Decimal("0.001")}),
    (80, parent(confidence=0.66), calm(), {**KELLY}),  # 0.25 x 0.32
    (20, parent(confidence=0.54), calm(), {**KELLY}),
    (0, parent(confidence=0.5), calm(), {**KELLY}),
    (0, parent(confidence=0.3), calm(), {**KELLY}),
    (0, parent(confidence=0.0), calm(), {**KELLY}),
    (62, parent(confidence=0.5), calm(), {**KELLY, "kelly_payoff": Decimal(2)}),
    (40, parent(confidence=0.54), calm(), {**KELLY, "kelly_loss": Decimal("0.5")}),
    # no leverage, whatever the method says
    (100, parent(daily_volatility=1e-9), calm(), {**TARGET, "sizing_capital": Decimal(100)}),
    (99, parent(confidence=1.0), calm(), {**KELLY, "sizing_capital": Decimal(99), "kelly_fraction": Decimal(1), "kelly_loss": Decimal("0.01")}),
    # capped by checks 10 to 14
    (70, parent(), calm(), {**FIXED, "max_order_notional": Decimal(70)}),
    (70, parent(asked_quantity=Decimal(1)), calm(), {**FIXED, "max_order_notional": Decimal(70)}),
    (70, parent(), calm(), {**FIXED, "max_position_notional": Decimal(70)}),
    (70, parent(), calm(), {**FIXED, "max_gross_exposure": Decimal(70)}),
    # the capital is what the account is worth, where none is named
    (50, parent(), worth("300", "2"), {"sizing": {"trend": "fixed_fraction"}}),
    (50, parent(side="sell"), margined(), {**FIXED, "sizing_fraction": Decimal("0.05")}),
    # what cannot be calculated
    ("unknown", parent(), calm(), KELLY),
    ("unknown", parent(confidence=float("nan")), calm(), KELLY),
    ("unknown", parent(confidence=1.1), calm(), KELLY),
    ("unknown", parent(confidence=-0.1), calm(), {**KELLY, "kelly_payoff": Decimal(5)}),
    ("unknown", parent(), calm(), TARGET),
    ("unknown", parent(daily_volatility=0.0), calm(), TARGET),
    ("unknown", parent(daily_volatility=float("inf")), calm(), TARGET),
    ("unknown", parent(), worth("300", "2", "XYZ"), {"sizing": {"*": "fixed_fraction"}}),
    ("unknown", parent(), foreign(), FIXED),
    # what is no entry, or no order at all, and what has no method
    (None, parent(side="sell"), calm("1"), FIXED),
    (None, parent(side="sell"), calm(), FIXED),  # the account's, whoever bought it
    (None, parent(reduce_only=True), calm(), FIXED),
    (None, parent(quantity_lots=0), calm(), FIXED),
    (None, parent(symbol="XRP/USDT"), calm(), FIXED),
    (None, parent(), calm(), {}),
    (None, parent(), calm(), {"sizing": {"other": "kelly"}}),
    (100, parent(), calm(), {**FIXED, "sizing": {"other": "kelly", "*": "fixed_fraction"}}),
    # off the lot: the gate denies it, sized or not
    (100, parent(asked_quantity=Decimal("1.001")), calm(), {**FIXED, "max_order_notional": Decimal(70)}),
    # what the gate denies for another reason, or at any size
    (100, parent(signal_expires_ns=NOW), calm(), {**FIXED, "max_order_notional": Decimal(70)}),
    (100, parent(), calm(), {**FIXED, "max_position_quantity": {}}),
]  # fmt: skip


def told() -> bool:
    """Whether a scene ends otherwise than it must; a crash is one too."""
    try:
        nothing = [sizing.given_nothing(parent(sizing="x", asked_lots=n)) for n in (100, 200)]
        wrong = (outcome(req, view, **bounds) != much for much, req, view, bounds in SCENES)
        return nothing != [True, False] or any(wrong)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        return True
