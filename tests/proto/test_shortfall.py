"""The arithmetic of a cost, by itself; its users' tests hold it to their own numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from citadel_proto.shortfall import Traded, costs, fee_in_quote

MIDS = st.integers(900, 1_100)
FILLS = st.lists(
    st.builds(
        Traded, st.integers(900, 1_100), st.integers(1, 9), st.none() | MIDS, st.integers(0, 50)
    ),
    max_size=6,
)


@given(FILLS, st.sampled_from([1, -1]), st.integers(54, 99), st.tuples(MIDS, MIDS, MIDS))
def test_parts_add_up_to_the_difference_from_paper(
    fills: list[Traded], sign: int, target: int, mids: tuple[int, int, int]
) -> None:
    arrival, release, final = mids
    cost = costs(fills, sign=sign, arrival=arrival, target=target, release=release, final=final)
    filled = sum(fill.quantity for fill in fills)
    paid = sum(fill.quantity * (fill.price - arrival) for fill in fills)
    missed = (target - filled) * (final - arrival)
    parts = cost.delay + cost.impact + cost.spread
    assert parts == sign * paid
    assert cost.opportunity == sign * missed
    assert cost.fees == sum(fill.fee for fill in fills)
    assert cost.worth == target * arrival


@given(FILLS.filter(bool), st.sampled_from([1, -1]), MIDS, MIDS)
def test_later_mids_move_costs_between_parts_only(
    fills: list[Traded], sign: int, arrival: int, release: int
) -> None:
    known = costs(fills, sign=sign, arrival=arrival, release=release)
    bare = [Traded(fill.price, fill.quantity, fee=fill.fee) for fill in fills]
    unknown = costs(bare, sign=sign, arrival=arrival)
    assert unknown.delay == unknown.impact == unknown.opportunity == known.opportunity == 0
    assert unknown.spread == known.delay + known.impact + known.spread
    assert (known + unknown).worth == 2 * known.worth


def test_fees_are_priced_in_base_and_quote_only() -> None:
    def priced(currency: str) -> object:
        return fee_in_quote(Decimal("0.5"), currency, base="BTC", quote="USDT", price=Decimal(100))

    assert [priced(each) for each in ("BTC", "USDT", "BNB")] == [50, Fraction(1, 2), None]
