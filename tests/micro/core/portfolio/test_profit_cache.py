"""The profit that is kept between two changes is the one that would be calculated now."""

from __future__ import annotations

from decimal import Decimal

from engine_kit import SYMBOL, VENUE, rules
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.events import OrderFilled
from citadel_micro.core.portfolio.portfolio import Portfolio

RULES = rules()
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.integers(1, 50), st.sampled_from(["USDT", "BTC", "BNB"])),
        st.tuples(st.just("sell"), st.integers(1, 50), st.sampled_from(["USDT", "BTC", "BNB"])),
        st.tuples(st.just("mark"), st.sampled_from([0, 59_000, 60_000]), st.just(SYMBOL)),
        st.tuples(st.just("mark"), st.sampled_from([0, 600]), st.just("BNB/USDT")),
        st.tuples(st.just("fund"), st.integers(-5, 5), st.sampled_from(["USDT", "BNB"])),
        st.tuples(st.just("adopt"), st.integers(-5, 5), st.just("")),
        st.tuples(st.just("reload"), st.just(0), st.just("")),
    ),
    max_size=20,
)


def step(portfolio: Portfolio, what: str, number: int, name: str) -> None:
    if what == "mark":
        portfolio.mark(VENUE, name, float(number) or None)
    elif what == "fund":
        portfolio.apply_funding(RULES, Decimal(number), name, 1)
    elif what == "adopt":
        portfolio.adopt(RULES, Decimal(number), 1)
    elif what == "reload":
        portfolio.load(portfolio.to_state())
    else:
        fill = OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id="c",
            trade_id="t",
            price_ticks=600_000,
            quantity_lots=number,
            cumulative_lots=-1,
            fee=Decimal("0.001"),
            fee_currency=name,
            liquidity="maker",
            exchange_ns=1,
        )
        portfolio.apply_fill(RULES, "buy" if what == "buy" else "sell", fill, 1)


@given(STEPS)
def test_nothing_that_changes_it_is_missed(steps: list[tuple[str, int, str]]) -> None:
    portfolio = Portfolio()
    for what, number, name in steps:
        portfolio.profit()
        step(portfolio, what, number, name)
        assert portfolio.profit() == portfolio._profit()
