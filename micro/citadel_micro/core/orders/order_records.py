"""Parents and children as plain data and back, for the journal.

A parent is stored under ``parent/<signal id>``, each of its children under ``child/<client id>``,
and each of their fills under ``fill/<client id>/<number>``, so that a reprice writes one child and
not two hundred, and a fill itself and not all before it.
"""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any, Final

from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.orders.children import Child, ChildFill
from citadel_micro.core.orders.order_states import (
    PARENT_TERMINAL,
    ChildState,
    ParentEvent,
    ParentState,
    phase_of,
)
from citadel_micro.core.orders.orders import Parent

PARENT_KEY: Final = "parent/"
CHILD_KEY: Final = "child/"
FILL_KEY: Final = "fill/"


def decimals_of(kind: type[SignalReceived]) -> tuple[str, ...]:
    """Fields of a signal that are stored as decimal text."""
    return tuple(each.name for each in fields(kind) if str(each.type).startswith("Decimal"))


_DECIMALS: Final = decimals_of(SignalReceived)
_PLAIN: Final = (
    "number",
    "own",
    "created_ns",
    "triggered",
    "reason_code",
    "reason",
    "permitted",
    "updated_ns",
    "accepted_ns",
    "done_ns",
    "revision",
    "reprices",
    "placed",
    "told_fills",
    "arrival_half_ticks",
    "release_half_ticks",
    "final_half_ticks",
    "reducing",
)
_LATER: Final = ("through_halt", "ending")
"""Fields that journals of earlier versions lack."""
_PASSING: Final = (
    "answer_due_ns",
    "query_due_ns",
    "queries",
    "absent_order",
    "absent_trades",
    "cancel_after_ns",
    "counted",
    "stored_fills",
    "seen_lots",
    "trade_ids",
    "fills",
    "views",
    "state",
)
_SIGNAL: Final = tuple(f.name for f in fields(SignalReceived))
_FILL: Final = tuple(f.name for f in fields(ChildFill))
_CHILD_PLAIN: Final = tuple(f.name for f in fields(Child) if f.name not in _PASSING)


def parent_state(parent: Parent) -> dict[str, object]:
    """The parent without its children."""
    signal = parent.signal_row
    if signal is None:
        signal = parent.signal_row = _signal_row(parent.signal)
    return {
        "signal": signal,
        "state": parent.state.value,
        "verdict": None if parent.verdict is None else parent.verdict.value,
        **{name: getattr(parent, name) for name in _PLAIN},
        **{name: getattr(parent, name) for name in _LATER},
        # Left out where there is none, as in journals of earlier versions.
        **({"algo_state": parent.algo_state} if parent.algo_state else {}),
    }


def _signal_row(signal: SignalReceived) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(signal, name) for name in _SIGNAL}
    for name in _DECIMALS:
        if row[name] is not None:
            row[name] = str(row[name])
    row["params"] = [[name, value] for name, value in signal.params]
    return row


def child_state(parent: Parent, child: Child) -> dict[str, object]:
    """One child without its fills, with the id of its parent."""
    return {
        "parent": parent.id,
        "state": child.state.value,
        **{name: getattr(child, name) for name in _CHILD_PLAIN},
    }


def fill_key(child: Child, number: int) -> str:
    """Where the fill of that number (from 0) is stored."""
    return f"{FILL_KEY}{child.client_id}/{number}"


def fill_state(fill: ChildFill) -> dict[str, object]:
    """One fill."""
    return {**{name: getattr(fill, name) for name in _FILL}, "fee": str(fill.fee)}


def load_fill(child: Child, row: dict[str, Any]) -> None:
    """Give a loaded child back the fill that ``fill_state`` described."""
    fill = ChildFill(**{**row, "fee": Decimal(row["fee"])})
    child.trade_ids[fill.trade_id] = None
    child.fills.append(fill)
    child.seen_lots += fill.quantity_lots
    child.stored_fills += 1


def load_signal(row: dict[str, Any]) -> SignalReceived:
    """The signal that ``parent_state`` described."""
    values = dict(row)
    for name in _DECIMALS:
        if values.get(name) is not None:
            values[name] = Decimal(values[name])
    values["params"] = tuple((name, value) for name, value in values["params"])
    return SignalReceived(**values)


def load_parent(row: dict[str, Any]) -> Parent:
    """The parent that ``parent_state`` described; instrument, target, prices are still to set."""
    verdict, state = row["verdict"], ParentState(row["state"])
    return Parent(
        signal=load_signal(row["signal"]),
        instrument=None,
        phase=phase_of(state),
        outcome=state if state in PARENT_TERMINAL else None,
        paused=state is ParentState.PAUSED,
        verdict=None if verdict is None else ParentEvent(verdict),
        **{name: row[name] for name in _PLAIN},
        **{name: row[name] for name in (*_LATER, "algo_state") if name in row},
    )


def load_child(row: dict[str, Any]) -> Child:
    """The child that ``child_state`` described; its fills are still to load."""
    return Child(
        state=ChildState(row["state"]),
        **{name: row[name] for name in _CHILD_PLAIN},
    )
