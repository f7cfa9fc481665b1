from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from engine_kit import MS, START, rules, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.orders.children import Child, ChildFill
from citadel_micro.core.orders.order_states import ParentPhase, ParentState
from citadel_micro.core.orders.orders import Parent
from citadel_micro.core.orders.tca import shortfall

FILLS = st.lists(
    st.tuples(
        st.integers(590_000, 610_000),
        st.integers(1, 50),
        st.integers(1_180_000, 1_220_000),
        st.decimals(0, 5, places=4),
        st.sampled_from(["USDT", "BTC", "BNB"]),
    ),
    max_size=5,
)
MIDS = st.integers(1_180_000, 1_220_000)


def worked(
    fills: list[tuple[int, int, int, Decimal, str]],
    target: int,
    mids: tuple[int, int, int],
    side: str = "buy",
) -> Parent:
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
        mid_half_ticks=mids[1],
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
    parent.children.append(child)
    parent.arrival_mid2_ticks, parent.release_mid2_ticks, parent.final_mid2_ticks = mids
    parent.phase, parent.outcome = ParentPhase.TERMINAL, ParentState.CANCELED
    return parent


def test_a_buy_by_hand() -> None:
    # Mid 60,000 at arrival, 60,001 at release, 60,003 at the fill of half of it at 60,002.9,
    # 60,010 at the end. Fee 30.00145 USDT. Worth of the target at arrival: 6,000.
    fills = [(600_029, 50, 1_200_060, Decimal("30.00145"), "USDT")]
    cost = shortfall(worked(fills, 100, (1_200_000, 1_200_020, 1_200_200)))
    assert cost is not None
    assert cost.delay == Decimal("0.083333")
    assert cost.impact == Decimal("0.166667")
    assert cost.spread == Decimal("-0.008333")
    assert cost.opportunity == Decimal("0.833333")
    assert cost.fees == Decimal("50.002417")
    assert cost.total == Decimal("51.077417")
    assert cost.total_bps == 51.077417


@given(fills=FILLS, mids=st.tuples(MIDS, MIDS, MIDS), side=st.sampled_from(["buy", "sell"]))
def test_parts_add_up_and_equal_perolds_difference(
    fills: list[tuple[int, int, int, Decimal, str]], mids: tuple[int, int, int], side: str
) -> None:
    parent = worked(fills, 300, mids, side)
    cost = shortfall(parent)
    assert cost is not None
    sign = 1 if side == "buy" else -1
    paper = Fraction(0)
    for price, lots, _, fee, currency in fills:
        paper += sign * lots * (price - Fraction(mids[0], 2))
        if currency != "BNB":
            in_quote = Fraction(fee) * (1 if currency == "USDT" else Fraction(price, 10))
            paper += in_quote / (Fraction(1, 10) * Fraction(1, 1000))
    left = 300 - sum(lots for _, lots, *_ in fills)
    paper += sign * left * Fraction(mids[2] - mids[0], 2)
    exact = paper / (300 * Fraction(mids[0], 2)) * 10_000
    assert abs(Fraction(cost.total) - exact) <= Fraction(3, 1_000_000)
    # As text, as anybody reads them, the parts are the total.
    texts = [Decimal(repr(value)) for value in cost.parts_bps().values()]
    assert sum(texts) == Decimal(repr(cost.total_bps))
    bnb = sum((fee for *_, fee, currency in fills if currency == "BNB"), Decimal(0))
    assert sum((amount for _, amount in cost.unpriced_fees), Decimal(0)) == bnb


def test_without_an_arrival_price_there_is_no_cost() -> None:
    assert shortfall(worked([], 100, (0, 0, 0))) is None


def test_an_unfilled_parent_costs_what_it_missed() -> None:
    cost = shortfall(worked([], 100, (1_200_000, 0, 1_201_200)))
    assert cost is not None
    assert cost.opportunity == 10
    assert cost.total == 10
