"""From a signal to a parent: its lots and ticks, and its algorithm."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos import (
    ALGORITHMS,
    DEFAULT,
    FOR_ALL_OR_NOTHING,
    FOR_MARKET,
    FOR_STOPS,
    algorithm,
    overridden,
)
from citadel_micro.core.algos.base import checked
from citadel_micro.core.risk.codes import NEEDS_PRICE, PASSING
from citadel_micro.core.risk.types import RiskRequest
from citadel_proto.errors import BadInput
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.algos.base import Algorithm, Value
    from citadel_micro.core.model.events import SignalReceived
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.risk.sizing import Size
    from citadel_micro.core.risk.types import Verdict

MOST_KEPT: Final = 1_000
"""Sets of parameters that are kept as valid: a publisher may invent any number of them."""
SENT_AGAIN_NS: Final = 50_000_000
"""No publisher sends a signal again sooner than this after the first time."""


class Algorithms:
    """Algorithms for signals, with their parameters.

    A strategy sends the same ones again and again, so those that were found valid are kept.

    Args:
        defaults: configured parameters by algorithm.
    """

    def __init__(self, defaults: Mapping[str, Mapping[str, Value]]) -> None:
        self._defaults = defaults
        self._valid: dict[tuple[object, ...], Algorithm] = {}
        """One of each kind and parameters, which is never used: those of orders are made of it."""

    def choose(self, signal: SignalReceived, *, fill_or_kill: bool) -> Algorithm:
        """A new one.

        A stop is held, by ``FOR_STOPS`` where it names none that is. A market order, and an immediate-or-cancel
        one, is a limit within a cap: it keeps those parameters of the named algorithm that it shares.
        ``fill_or_kill``: the venue has such orders.
        Raises BadInput for an unknown algorithm, parameter or value.
        """
        params = signal.params
        key = (
            signal.kind,
            signal.algo,
            signal.order_type,
            signal.time_in_force,
            fill_or_kill,
            params,
            # Equal and still not the same: 1 is no 1.0, and neither is True.
            *[type(value) for _, value in params],
        )
        found = self._valid.get(key)
        if found is None:
            kind, values = _valid(signal, self._defaults, fill_or_kill=fill_or_kill)
            found = kind(values)
            if len(self._valid) >= MOST_KEPT:
                self._valid.clear()
            self._valid[key] = found
        made = found.again()
        made.check(signal)
        return made


def _valid(
    signal: SignalReceived, defaults: Mapping[str, Mapping[str, Value]], *, fill_or_kill: bool
) -> tuple[type[Algorithm], Mapping[str, Value]]:
    """Kind and checked parameters; depends on nothing of the signal but what ``Algorithms`` keeps them by."""
    its = ALGORITHMS.get(signal.algo)
    held = its is not None and its.traits.held
    asked = FOR_STOPS if signal.kind == "stop" and not held else signal.algo or DEFAULT
    kind = algorithm(asked)
    kills = fill_or_kill and signal.kind == "order"
    if (signal.time_in_force == "FOK" or kind.traits.all_or_nothing) and not kills:
        raise BadInput(
            "fill-or-kill is not supported",
            where="time_in_force",
            allowed="GTC, IOC, PO",
            mend="use IOC",
        )
    if signal.kind == "order" and kind.traits.held:
        raise BadInput("a stop is asked for by kind 'stop'", where="algo", mend="send kind 'stop'")
    own = dict(signal.params) if signal.kind == "order" or signal.algo == asked else {}
    given = overridden(kind, defaults.get(asked, {}), own)
    immediate = signal.order_type == "market" or signal.time_in_force == "IOC"
    whole = signal.time_in_force == "FOK"
    fits = kind.traits.all_or_nothing if whole else kind.traits.immediate
    if signal.kind == "order" and (immediate or whole) and not fits:
        checked(asked, kind.params, given.items())
        if not kind.traits.replaceable:
            raise BadInput(
                f"{asked} is not for such orders", where="time_in_force", allowed="GTC, IOC, PO"
            )
        replacement = FOR_ALL_OR_NOTHING if whole else FOR_MARKET
        kind = ALGORITHMS[replacement]
        shared = {param.name for param in kind.params if param.name == "max_cross_bps"}
        named = dict(signal.params)
        given = dict(defaults.get(replacement, {}))
        given.update((name, value) for name, value in named.items() if name in shared)
    made = kind.make(given.items())
    return type(made), made.values


def set_terms(parent: Parent, rules: Instrument) -> None:
    """Set target and prices in the instrument's units: quantity down, prices to the safe side.

    The gate rejects a plain limit order whose price had to be rounded, and any whose quantity had
    to be, but for exits: a venue's units may have become finer than ours, and with them what is held. The
    worst price of other algorithms only bounds theirs.
    Raises BadInput for a number that is not one, or not above zero.
    """
    signal = parent.signal
    parent.instrument = rules
    where = f"signal {parent.id}"
    if not signal.quantity.is_finite() or signal.quantity <= 0:
        raise BadInput(f"quantity is {signal.quantity}", where=where, allowed="above 0")
    lots = rules.lots(rules.units(signal.quantity), "floor")
    if parent.sized and parent.permitted is not None:
        lots = min(lots, parent.permitted)  # it was given less before a restart
    parent.retarget(lots)
    if signal.limit_price is not None:
        if not signal.limit_price.is_finite() or signal.limit_price <= 0:
            raise BadInput(f"limit price is {signal.limit_price}", where=where, allowed="above 0")
        rounding = "floor" if signal.side == "buy" else "ceil"
        parent.limit_ticks = rules.ticks(signal.limit_price, rounding)  # type: ignore[arg-type]
        _above_nothing(parent.limit_ticks, "limit price", signal.limit_price, rules, where)
    if signal.stop_price is not None:
        if not signal.stop_price.is_finite() or signal.stop_price <= 0:
            raise BadInput(f"stop price is {signal.stop_price}", where=where, allowed="above 0")
        # The last tick at which the market has reached it, coming from the current price.
        reached = "floor" if signal.side == "sell" else "ceil"
        parent.stop_ticks = rules.ticks(signal.stop_price, reached)  # type: ignore[arg-type]
        _above_nothing(parent.stop_ticks, "stop price", signal.stop_price, rules, where)
    parent.reduce_only = signal.reduce_only or signal.kind == "stop"


def set_reach(parent: Parent) -> None:
    """Move the worst price beyond the signal's limit, as far as its algorithm was permitted.

    The signal's limit is then where its sender priced the order, and ``limit_ticks``, which nothing
    may exceed, the price that it may follow the market to. After ``set_terms``.
    """
    limit, algo = parent.signal.limit_price, parent.algo
    if limit is None or algo is None or not algo.beyond_bps:
        return
    reach = limit * Decimal(repr(algo.beyond_bps)) / 10_000
    worst = limit + parent.sign * reach
    rounding = "floor" if parent.sign > 0 else "ceil"
    parent.limit_ticks = max(1, parent.rules.ticks(worst, rounding))  # type: ignore[arg-type]


def _above_nothing(ticks: int, what: str, price: Decimal, rules: Instrument, where: str) -> None:
    """A price that rounds to nothing is one at which nothing ever trades."""
    if ticks <= 0:
        raise BadInput(
            f"{what} {price} is below one tick", where=where, allowed=f"at least {rules.tick}"
        )


def _missed(signal: SignalReceived, now_ns: int) -> int:
    """How many signals were lost before this one, as far as that is certain.

    One that may be a retransmission says nothing: the missing message may be its own first copy.
    """
    return signal.missed if now_ns - signal.created_ns < SENT_AGAIN_NS else 0


def may_wait(verdict: Verdict) -> bool:
    """Whether a verified reduction is denied only for temporary reasons.

    Then it is accepted and waits, and reports what for: its orders are checked one by one anyway.
    """
    failed = [code for _, code, ok, _, _, _ in verdict.rows if not ok]
    passing = PASSING | NEEDS_PRICE if RiskCode.BOOK_NOT_LIVE in failed else PASSING
    return verdict.reducing and all(code in passing for code in failed)


def give(parent: Parent, request: RiskRequest, size: Size) -> RiskRequest:
    """Set a parent's target to what it is given, less than it asked for; returns the gate request of that.

    Of one that is given nothing the request remains what it asked for, to be explained.
    """
    asked = parent.target
    amount, base = parent.rules.amount, parent.rules.base
    parent.permitted = size.lots
    parent.retarget(size.lots)
    parent.sized = f"{size.why}; given {amount(size.lots)} of the {amount(asked)} {base} asked for"
    judged = size.lots or asked
    return replace(
        request,
        quantity_lots=judged,
        exposure_lots=judged,
        asked_lots=asked,
        sizing=parent.sized,
    )


def admission_request(
    parent: Parent,
    *,
    post_only: bool,
    duplicate: bool,
    now_ns: int,
    reference_mid: float | None,
    sliced: bool = False,
    round_exits: bool = False,
    replaced_lots: int = 0,
    daily_volatility: float | None = None,
) -> RiskRequest:
    """The gate request of an admission.

    The price of a plain limit is checked, because it will rest there; the worst price of the other
    algorithms is a cap, and their orders are checked one by one. A stop is valued at its limit, or
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
        leverage=signal.leverage,
        owner=signal.owner,
        epoch=signal.epoch,
        asked_price=signal.limit_price if plain else None,
        asked_quantity=parent.rules.units(signal.quantity),
        round_exits=round_exits,
        reference_mid=reference_mid,
        replaced_lots=replaced_lots,
        sliced=sliced and parent.algo is not None and parent.algo.traits.sliced,
        confidence=signal.confidence,
        daily_volatility=daily_volatility,
    )
