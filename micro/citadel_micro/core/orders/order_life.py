"""How long a parent order stays in force, the same for every algorithm.

``expires_ns`` of a signal is the time until which it may be accepted. From then on an order has a
working time of its own, its algorithm's ``time_limit_ms``, and ends by what the algorithm does at its
end. An order without one (``limit``, or what rests after its time) ends at ``expires_ns``: its sender
could have asked for a later one, and may not be there any more to cancel it.

A signal that arrives during recovery waits for its checks, but no longer than it may be accepted.
Stops stay in force until they are canceled or filled, and so do micro's own orders: nothing else
would protect the position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.model.time_units import FAR
from citadel_micro.core.orders.order_states import ParentEvent, ParentState
from citadel_proto.reason_codes import SIZED, RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.orders.orders import Parent


def life_ends_ns(parent: Parent, skew_ns: int) -> int:
    """When it ends, in ns on the engine's clock; FAR when it has no end of its own.

    ``skew_ns`` is the tolerance given to a signal's expiry for clock differences.
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


def whole_fill(parent: Parent) -> tuple[ParentEvent, str, str]:
    """How it ends once its target has filled, with code and reason.

    One that was given less than it asked for is no order filled in full: for its sender the rest is canceled.
    """
    if parent.sized:
        return ParentEvent.CANCEL, SIZED, parent.sized
    return ParentEvent.FILL, *parent.choice
