"""An order reaches a venue through the gate or not at all, and once."""

from __future__ import annotations

import pytest

from citadel_micro.core.approval import Approved, GateKey, open_gate
from citadel_micro.core.commands import AmendOrder, PlaceOrder
from citadel_proto.errors import InvariantError

KEY = open_gate("citadel_micro.core.risk")


def place() -> PlaceOrder:
    return PlaceOrder(
        venue="binance-spot",
        symbol="BTC/USDT",
        client_id="run1-7-1",
        parent_id="run1-7",
        side="buy",
        price_ticks=6_000_000,
        quantity_lots=100,
        post_only=True,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=10,
    )


def amend() -> AmendOrder:
    return AmendOrder(
        venue="binance-spot",
        symbol="BTC/USDT",
        client_id="run1-7-1",
        parent_id="run1-7",
        side="buy",
        price_ticks=6_000_001,
        quantity_lots=100,
        post_only=True,
        reduce_only=False,
        expires_ns=10,
    )


@pytest.mark.parametrize(
    "module", ["", "citadel_micro.core.engine", "citadel_micro.core.risk_", "__main__"]
)
def test_the_key_is_handed_to_the_gate_alone(module: str) -> None:
    with pytest.raises(InvariantError, match="key of the risk gate"):
        open_gate(module)


def test_a_self_made_key_opens_nothing() -> None:
    with pytest.raises(InvariantError, match="only the risk gate"):
        Approved(GateKey(), place(), book_seq=1, risk_epoch=1)


def test_an_amend_is_approved_like_a_place() -> None:
    order = amend()
    approved = Approved(KEY, order, book_seq=41, risk_epoch=3)
    assert approved.spend() is order
    with pytest.raises(InvariantError, match="spent before"):
        approved.spend()


def test_an_approval_is_spent_once() -> None:
    order = place()
    approved = Approved(KEY, order, book_seq=41, risk_epoch=3)
    assert (approved.book_seq, approved.risk_epoch) == (41, 3)
    assert approved.spend() is order
    with pytest.raises(InvariantError, match="run1-7-1 was spent before"):
        approved.spend()


def test_a_second_approval_of_an_equal_order_is_its_own() -> None:
    first = Approved(KEY, place(), book_seq=1, risk_epoch=1)
    second = Approved(KEY, place(), book_seq=1, risk_epoch=1)
    first.spend()
    assert second.spend() == place()


def test_it_says_what_it_approves() -> None:
    text = repr(Approved(KEY, place(), book_seq=41, risk_epoch=3))
    assert "run1-7-1" in text
    assert "book_seq=41" in text
    assert "risk_epoch=3" in text
