"""Which rules a run may start with, when it resumes one that used others.

Orders, fills and paper orders are stored in ticks and lots. Read with another tick they would be
other prices. So while the run folder holds anything of a symbol, the symbol keeps the ticks, lots
and contract sizes of its stored state; minimums and fees may change at once. Its orders are sent in the
steps that the venue takes by then.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from citadel_micro.core.model.steps import Steps
from citadel_micro.core.orders.order_records import PARENT_KEY
from citadel_micro.shell.instruments.markets import differences, same_units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.instruments.rules import Instruments


def remembered(
    state: Mapping[str, object], saved: Mapping[str, Iterable[str]]
) -> set[tuple[str, str]]:
    """(venue, symbol) of everything that is stored in ticks and lots.

    Args:
        state: durable state of the engine.
        saved: symbols of which an order adapter has saved something, by venue.
    """
    found: set[tuple[str, str]] = set()
    for key, value in state.items():
        if key.startswith(PARENT_KEY):
            signal = cast("dict[str, Any]", value)["signal"]
            found.add((signal["venue"], signal["symbol"]))
    for venue, symbols in saved.items():
        found.update((venue, symbol) for symbol in symbols)
    return found


def held_rules(
    fresh: Mapping[tuple[str, str], Instrument],
    before: Mapping[tuple[str, str], Instrument],
    kept: set[tuple[str, str]],
) -> tuple[Instruments, dict[tuple[str, str], str]]:
    """The rules to run with, and the venue's changes that have to wait.

    Args:
        fresh: the venue's current rules.
        before: those of the run before.
        kept: what is stored in units of the run before.
    """
    rules: Instruments = dict(fresh)
    waiting: dict[tuple[str, str], str] = {}
    for key, new in fresh.items():
        old = before.get(key)
        if old is None or key not in kept or same_units(old, new):
            continue
        least = Fraction(_worth_of_lots(new, new.min_lots)) / Fraction(_worth_of_lots(old, 1))
        rules[key] = replace(
            old,
            min_lots=max(1, math.ceil(least)),
            min_notional=new.min_notional,
            reduce_only_exempt_min_notional=new.reduce_only_exempt_min_notional,
            maker_fee=new.maker_fee,
            taker_fee=new.taker_fee,
        )
        waiting[key] = "; ".join(differences(old, new))
    return rules, waiting


def steps_of(used: Instrument, listed: Instrument) -> Steps:
    """The steps in which the venue takes prices and quantities by its list, in the units of a run.

    What is a multiple of ours and of the venue's: of 0.01 and 0.025 that is 0.05, and of ours where the
    venue's are finer.
    """
    return Steps(
        (Fraction(listed.tick) / Fraction(used.tick)).numerator,
        (Fraction(_worth_of_lots(listed, 1)) / Fraction(_worth_of_lots(used, 1))).numerator,
    )


def _worth_of_lots(rules: Instrument, lots: int) -> Decimal:
    """In coins, or of inverse contracts in quote currency."""
    return rules.lot * lots * rules.contract_size
