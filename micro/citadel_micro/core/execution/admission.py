"""From a signal to a parent: what it asks for in lots and ticks, and by which algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos import ALGORITHMS, DEFAULT, FOR_MARKET, FOR_STOPS, algorithm
from citadel_micro.core.algos.base import checked
from citadel_micro.core.risk.codes import NEEDS_PRICE, PASSING
from citadel_micro.core.risk.types import RiskRequest
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from citadel_micro.core.algos.base import Algorithm, Value
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.risk.types import Verdict

SENT_AGAIN_NS: Final = 50_000_000
"""No publisher sends a signal again sooner than this after the first time."""


def choose_algorithm(
    signal: SignalReceived, defaults: Mapping[str, Mapping[str, Value]]
) -> Algorithm:
    """The algorithm with its parameters.

    A stop is a stop whatever algorithm it names. A market order, and an immediate-or-cancel one,
    is a limit within a cap: it keeps those parameters of the named algorithm that it shares.
    Raises BadInput for an unknown algorithm, parameter or value.
    """
    asked = FOR_STOPS if signal.kind == "stop" else signal.algo or DEFAULT
    kind = algorithm(asked)
    if signal.time_in_force == "FOK":
        raise BadInput(
            "fill-or-kill is not supported",
            where="time_in_force",
            allowed="GTC, IOC, PO",
            mend="use IOC",
        )
    if signal.kind == "order" and kind.traits.held:
        raise BadInput("a stop is asked for by kind 'stop'", where="algo", mend="send kind 'stop'")
    given: dict[str, Value] = dict(defaults.get(asked, {}))
    given.update(signal.params if signal.kind == "order" or signal.algo == asked else ())
    immediate = signal.order_type == "market" or signal.time_in_force == "IOC"
    if signal.kind == "order" and immediate and not kind.traits.immediate:
        checked(asked, kind.params, given.items())
        kind = ALGORITHMS[FOR_MARKET]
        shared = {param.name for param in kind.params if param.name == "max_cross_bps"}
        named = dict(signal.params)
        given = dict(defaults.get(FOR_MARKET, {}))
        given.update((name, value) for name, value in named.items() if name in shared)
    made = kind.make(given.items())
    made.check(signal)
    return made


def set_terms(parent: Parent, rules: Instrument) -> None:
    """Fix target and prices in the instrument's units: quantity down, prices to the safe side.

    The gate refuses a plain limit order whose price had to be rounded, and any whose quantity had
    to be; the worst price of other algorithms only bounds theirs.
    Raises BadInput for a number that is not one, or not above zero.
    """
    signal = parent.signal
    parent.instrument = rules
    where = f"signal {parent.id}"
    if not signal.quantity.is_finite() or signal.quantity <= 0:
        raise BadInput(f"quantity is {signal.quantity}", where=where, allowed="above 0")
    parent.target = rules.lots(rules.units(signal.quantity), "floor")
    if signal.limit_price is not None:
        if not signal.limit_price.is_finite() or signal.limit_price <= 0:
            raise BadInput(f"limit price is {signal.limit_price}", where=where, allowed="above 0")
        rounding = "floor" if signal.side == "buy" else "ceil"
        parent.limit_ticks = rules.ticks(signal.limit_price, rounding)  # type: ignore[arg-type]
        _above_nothing(parent.limit_ticks, "limit price", signal.limit_price, rules, where)
    if signal.stop_price is not None:
        if not signal.stop_price.is_finite() or signal.stop_price <= 0:
            raise BadInput(f"stop price is {signal.stop_price}", where=where, allowed="above 0")
        # The last tick at which the market has reached it, seen from where the market is now.
        reached = "floor" if signal.side == "sell" else "ceil"
        parent.stop_ticks = rules.ticks(signal.stop_price, reached)  # type: ignore[arg-type]
        _above_nothing(parent.stop_ticks, "stop price", signal.stop_price, rules, where)
    parent.reduce_only = signal.reduce_only or signal.kind == "stop"


def _above_nothing(ticks: int, what: str, price: Decimal, rules: Instrument, where: str) -> None:
    """A price that rounds to nothing is one at which nothing ever trades."""
    if ticks <= 0:
        raise BadInput(
            f"{what} {price} is below one tick", where=where, allowed=f"at least {rules.tick}"
        )


def _missed(signal: SignalReceived, now_ns: int) -> int:
    """How many signals were lost before this one, as far as that is sure.

    One that may have been sent before tells nothing: what is missing may be itself.
    """
    return signal.missed if now_ns - signal.created_ns < SENT_AGAIN_NS else 0


def may_wait(verdict: Verdict) -> bool:
    """Whether a verified reduction is denied by nothing but what passes.

    Then it is taken up and waits, and says what for: its orders are judged one by one anyway.
    """
    failed = [code for _, code, ok, _, _, _ in verdict.rows if not ok]
    passing = PASSING | NEEDS_PRICE if RiskCode.BOOK_NOT_LIVE in failed else PASSING
    return verdict.reducing and all(code in passing for code in failed)


def admission_request(
    parent: Parent,
    *,
    post_only: bool,
    duplicate: bool,
    now_ns: int,
    reference_mid: float | None,
) -> RiskRequest:
    """What the gate is asked at admission.

    The price of a plain limit is judged, for it will rest there; the worst price of the other
    algorithms is a cap, and their orders are judged one by one. A stop is valued at its limit, or
    at its trigger.
    """
    signal = parent.signal
    plain = parent.algo is not None and parent.algo.traits.rests_at_limit
    stop = signal.kind == "stop"
    created_ns = now_ns if parent.own else signal.created_ns
    return RiskRequest(
        scope="parent",
        venue=signal.venue,
        symbol=signal.symbol,
        strategy=signal.strategy,
        side=signal.side,
        quantity_lots=parent.target,
        exposure_lots=parent.target,
        price_ticks=(parent.limit_ticks or parent.stop_ticks) if plain or stop else None,
        stop_ticks=parent.stop_ticks if stop else None,
        post_only=post_only,
        reduce_only=parent.reduce_only,
        ioc=False,
        parent_id=parent.id,
        signal_created_ns=created_ns,
        signal_expires_ns=signal.expires_ns,
        duplicate=duplicate,
        missed_signals=_missed(signal, now_ns),
        owner=signal.owner,
        epoch=signal.epoch,
        asked_price=signal.limit_price if plain else None,
        asked_quantity=parent.rules.units(signal.quantity),
        reference_mid=reference_mid,
    )
