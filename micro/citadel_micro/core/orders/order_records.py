"""Parents and children as plain data and back, for the journal.

A parent is stored under ``parent/<signal id>``, each of its children under ``child/<client id>``,
and each of their fills under ``fill/<client id>/<number>``, so that a reprice writes one child and
not two hundred, and a fill itself and not all before it.
"""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.model.exact_fill import ExactFill
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
    "reported_fills",
    "arrival_mid2_ticks",
    "release_mid2_ticks",
    "final_mid2_ticks",
    "reducing",
)
_STORED_AS: Final = {
    "reported_fills": "told_fills",
    "arrival_mid2_ticks": "arrival_half_ticks",
    "release_mid2_ticks": "release_half_ticks",
    "final_mid2_ticks": "final_half_ticks",
}
"""Keys in journals of fields that have been renamed."""
_KEYS: Final = tuple((name, _STORED_AS.get(name, name)) for name in _PLAIN)
_LATER: Final = ("through_halt", "ending")
"""Fields that journals of earlier versions lack."""
_PARENT_KEYS: Final = (*(key for _, key in _KEYS), *_LATER)
# One call for all of them: they are written with every order that leaves.
_parent_values: Final = attrgetter(*_PLAIN, *_LATER)
_PASSING: Final = (
    "answer_due_ns",
    "query_due_ns",
    "queries",
    "absent_order",
    "absent_trades",
    "cancel_after_ns",
    "cancels_refused",
    "repriced",
    "number",
    "amends_until_ns",
    "amends_unreported",
    "amend_refused",
    "counted",
    "stored_fills",
    "seen_lots",
    "rest",
    "trade_ids",
    "fills",
    "views",
    "pending_changes",
    "state",
)
_SIGNAL: Final = tuple(f.name for f in fields(SignalReceived))
_EXACT: Final = ("exact", "rest")
"""Of fills that were no whole number of our ticks and lots; left out of all others, as in earlier journals."""
_FILL: Final = tuple(f.name for f in fields(ChildFill) if f.name not in _EXACT)
_CHILD_PLAIN: Final = tuple(f.name for f in fields(Child) if f.name not in _PASSING)
_child_values: Final = attrgetter(*_CHILD_PLAIN)
_fill_values: Final = attrgetter(*_FILL)
_signal_values: Final = attrgetter(*_SIGNAL)


def parent_state(parent: Parent) -> dict[str, object]:
    """The parent without its children."""
    signal = parent.signal_row
    if signal is None:
        signal = parent.signal_row = _signal_row(parent.signal)
    return {
        "signal": signal,
        "state": parent.state.value,
        "verdict": None if parent.verdict is None else parent.verdict.value,
        **dict(zip(_PARENT_KEYS, _parent_values(parent), strict=True)),
        # Left out where there is none, as in journals of earlier versions.
        **({"algo_state": parent.algo_state} if parent.algo_state else {}),
        **({"sized": parent.sized} if parent.sized else {}),
    }


def _signal_row(signal: SignalReceived) -> dict[str, object]:
    row: dict[str, object] = dict(zip(_SIGNAL, _signal_values(signal), strict=True))
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
        **dict(zip(_CHILD_PLAIN, _child_values(child), strict=True)),
    }


def fill_key(child: Child, number: int) -> str:
    """Key of the fill with that number (from 0)."""
    return f"{FILL_KEY}{child.client_id}/{number}"


def fill_state(fill: ChildFill) -> dict[str, object]:
    """One fill."""
    row = {**dict(zip(_FILL, _fill_values(fill), strict=True)), "fee": str(fill.fee)}
    if fill.exact is not None:
        row |= {"exact": fill.exact.row(), "rest": str(fill.rest)}
    return row


def load_fill(child: Child, row: dict[str, Any]) -> None:
    """Restore into a loaded child the fill that ``fill_state`` described."""
    exact = {"exact": ExactFill.of_row(row.get("exact")), "rest": Decimal(row.get("rest", 0))}
    fill = ChildFill(**{**row, **exact, "fee": Decimal(row["fee"])})
    child.rest = fill.rest if fill.exact is not None else child.rest
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
    """The parent that ``parent_state`` described; instrument, target, prices are still to be set."""
    verdict, state = row["verdict"], ParentState(row["state"])
    return Parent(
        signal=load_signal(row["signal"]),
        instrument=None,
        phase=phase_of(state),
        outcome=state if state in PARENT_TERMINAL else None,
        paused=state is ParentState.PAUSED,
        verdict=None if verdict is None else ParentEvent(verdict),
        **{name: row[key] for name, key in _KEYS},
        **{name: row[name] for name in (*_LATER, "algo_state", "sized") if name in row},
    )


def load_child(row: dict[str, Any]) -> Child:
    """The child that ``child_state`` described; its fills are still to be loaded."""
    return Child(
        state=ChildState(row["state"]),
        repriced=True,
        **{name: row[name] for name in _CHILD_PLAIN},
    )
