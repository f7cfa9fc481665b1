"""micro, macro and the audit say the same of one order's cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_kit import MS, START, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_macro import tca as macro_tca
from citadel_micro.core.orders import execution_reports, tca
from citadel_micro.core.orders.children import Child, ChildFill
from citadel_micro.core.orders.order_states import ParentPhase, ParentState
from citadel_micro.core.orders.orders import Parent
from citadel_micro.core.portfolio.portfolio import Portfolio
from citadel_micro.demo.audit import traded_shortfall
from citadel_micro.shell.bridge.wire import report_of

if TYPE_CHECKING:
    from decimal import Decimal

FILLS = st.lists(
    st.tuples(
        st.integers(590_000, 610_000),
        st.integers(1, 50),
        st.integers(1_180_000, 1_220_000),
        st.decimals(0, 5, places=4),
        st.sampled_from(["USDT", "BTC"]),
    ),
    min_size=1,
    max_size=5,
)


@given(FILLS, st.sampled_from(["buy", "sell"]), st.integers(1_180_000, 1_220_000))
def test_all_three_agree(
    fills: list[tuple[int, int, int, Decimal, str]], side: str, arrival: int
) -> None:
    target = sum(lots for _, lots, *_ in fills)
    parent = Parent(
        signal=signal(side=side),
        instrument=rules(),
        number=1,
        own=False,
        created_ns=START,
        target=target,
    )
    child = Child(
        client_id="c",
        price_ticks=600_000,
        quantity_lots=target,
        post_only=True,
        ioc=False,
        reduce_only=False,
        placed_ns=START,
        expires_ns=START + MS,
        book_seq=1,
        mid_half_ticks=arrival,
    )
    for number, (price, lots, mid, fee, currency) in enumerate(fills):
        child.fills.append(
            ChildFill(
                trade_id=str(number),
                price_ticks=price,
                quantity_lots=lots,
                fee=fee,
                fee_currency=currency,
                liquidity="maker",
                exchange_ns=START,
                recv_ns=START,
                mid_half_ticks=mid,
            )
        )
    child.seen_lots = target
    parent.children.append(child)
    parent.recount()
    parent.arrival_mid2_ticks = parent.release_mid2_ticks = parent.final_mid2_ticks = arrival
    parent.phase, parent.outcome = ParentPhase.TERMINAL, ParentState.CANCELED

    exact = tca.shortfall(parent)
    assert exact is not None
    report = execution_reports.report(parent, Portfolio("USDT"))
    # Each part is rounded once to a millionth of a basis point, and macro keeps four decimals.
    assert traded_shortfall([report]) == pytest.approx(exact.total_bps, abs=3e-6)
    kept = macro_tca.summary(report_of(report, "m", 1))
    assert kept["shortfall_bps"] == pytest.approx(float(exact.prices), abs=6e-5)
    assert kept["fees_bps"] == pytest.approx(float(exact.fees), abs=6e-5)
