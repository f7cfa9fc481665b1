"""How long a parent order lives, whatever its algorithm would still do.

``expires_ns`` of a signal says until when it may be taken up. From then on an order has a working
time of its own, its algorithm's ``time_limit_ms``, and ends by what the algorithm does at its end.
An order without one (``limit``, or what rests after its time) ends at ``expires_ns``: who wanted it
longer would have said so, and whoever would have withdrawn it may be gone.

A signal that came while recovery goes on waits to be judged, and no longer than it may be taken up.
Stops live until they are withdrawn or done, and so does what micro itself has begun: nobody else
would protect the position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.order_states import ParentEvent, ParentState
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.orders.orders import Parent


def life_ends_ns(parent: Parent, skew_ns: int) -> int:
    """When it ends, in ns on the engine's clock; FAR when it has no end of its own.

    ``skew_ns`` is the grace that a signal's expiry is given for the difference of clocks.
    """
    algo, signal = parent.algo, parent.signal
    if parent.state is ParentState.GATING:
        return min(signal.expires_ns + skew_ns, FAR)
    if algo is None or parent.own or signal.kind == "stop":
        return FAR
    worked_ns = parent.accepted_ns + algo.working_ns
    if algo.working_ns and algo.grace_ns != FAR:
        return worked_ns + algo.grace_ns
    return min(max(signal.expires_ns + skew_ns, worked_ns), FAR)


def end_of_life(parent: Parent) -> tuple[ParentEvent, str, str]:
    """How it ends then, with code and reason."""
    algo = parent.algo
    if parent.state is ParentState.GATING:
        return (
            ParentEvent.DENY,
            RiskCode.INTENT_EXPIRED,
            "the signal expired while recovery went on",
        )
    if algo is not None and algo.working_ns and algo.grace_ns != FAR:
        return ParentEvent.EXPIRE, "TIME_LIMIT", f"not done within {algo.working_ns / 1e9:g} s"
    text = "the signal's expires_ns has come, and it names no longer working time"
    return ParentEvent.EXPIRE, "EXPIRED", text
