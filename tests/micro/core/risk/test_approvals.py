"""Approvals: for one order, once, and void after a change of breakers or limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.risk.circuit_breakers import symbol_scope
from citadel_micro.core.risk.manager import RiskManager, Verdict
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder

from gate_kit import ETH, NOW, amend, calm, child, limits, parent, place


def test_an_approval_is_bound_to_order_book_and_epoch() -> None:
    manager = RiskManager(limits())
    order = place(child())
    approved = manager.approve_place(order, child(), calm(), NOW)
    assert isinstance(approved, Approved)
    assert approved.order is order
    assert (approved.book_seq, approved.risk_epoch) == (77, manager.risk_epoch)
    assert manager.still_valid(approved)
    assert approved.spend() is order


def test_a_denied_order_gives_the_verdict() -> None:
    manager = RiskManager(limits())
    request = child(quantity_lots=501)
    verdict = manager.approve_place(place(request), request, calm(), NOW)
    assert isinstance(verdict, Verdict)
    assert (verdict.code, verdict.permitted_lots) == ("MAX_ORDER_QTY", 500)
    assert isinstance(manager.approve_amend(amend(request), request, calm(), NOW), Verdict)


def test_an_amend_is_judged_by_what_of_it_is_not_filled() -> None:
    manager = RiskManager(limits())
    request = child(quantity_lots=600, filled_lots=100, exposure_lots=500)
    approved = manager.approve_amend(amend(request), request, calm(), NOW)
    assert isinstance(approved, Approved)
    assert manager.still_valid(approved)
    request = child(quantity_lots=601, filled_lots=100, exposure_lots=501)
    verdict = manager.approve_amend(amend(request), request, calm(), NOW)
    assert isinstance(verdict, Verdict)
    assert (verdict.code, verdict.permitted_lots) == ("MAX_ORDER_QTY", 500)


def test_an_order_past_its_own_expiry_is_not_sent() -> None:
    manager = RiskManager(limits())
    verdict = manager.approve_place(place(child(), expires_ns=NOW), child(), calm(), NOW)
    assert isinstance(verdict, Verdict)
    assert verdict.code == "INTENT_EXPIRED"


@pytest.mark.parametrize(
    "other",
    [
        {"side": "sell"},
        {"price_ticks": 201},
        {"quantity_lots": 101},
        {"post_only": True},
        {"reduce_only": True},
        {"symbol": ETH},
        {"venue": "okx"},
        {"parent_id": "run-2"},
    ],
)
def test_what_was_judged_is_what_is_sent(other: dict[str, Any]) -> None:
    manager = RiskManager(limits())
    with pytest.raises(InvariantError, match="does not describe"):
        manager.approve_place(place(child(), **other), child(), calm(), NOW)
    with pytest.raises(InvariantError, match="does not describe"):
        manager.approve_amend(amend(child(), **other), child(), calm(), NOW)


def test_a_parents_request_and_an_undeclared_ioc_describe_no_child() -> None:
    manager = RiskManager(limits())
    with pytest.raises(InvariantError, match="does not describe"):
        manager.approve_place(place(child()), parent(), calm(), NOW)
    with pytest.raises(InvariantError, match="IOC"):
        manager.approve_place(place(child(), time_in_force="IOC"), child(), calm(), NOW)
    request = child(ioc=True)
    assert isinstance(manager.approve_place(place(request), request, calm(), NOW), Approved)


def test_no_approval_outlives_a_change_of_breakers_or_limits() -> None:
    def fresh() -> Approved[PlaceOrder]:
        answer = manager.approve_place(place(child()), child(), calm(), NOW)
        assert isinstance(answer, Approved)
        return answer

    manager = RiskManager(limits())
    approved = fresh()
    manager.trip("OVERFILL", symbol_scope("okx", ETH), "elsewhere, even", NOW)
    assert not manager.still_valid(approved)
    approved = fresh()
    manager.replace_limits(limits(max_open_orders=3))
    assert not manager.still_valid(approved)
    approved = fresh()
    again = RiskManager(limits())
    again.restore(manager.to_state())
    assert not again.still_valid(approved)
