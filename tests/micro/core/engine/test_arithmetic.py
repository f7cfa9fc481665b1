"""Decisions do not depend on the decimal context that others in the process have left."""

from __future__ import annotations

import decimal
from decimal import Context, Decimal

from engine_kit import MS, Rig, config, signal

from citadel_micro.core.model.arithmetic import DECISIONS


def commands_of_a_position_at_three_prices() -> list[str]:
    rig = Rig(config())
    for number, lots in enumerate((7, 11, 13)):
        rig.book(60_000.0 + 7 * number, 60_000.1 + 7 * number)
        rig.send(signal(f"s{number}", quantity=Decimal(lots) / 1000, order_type="market"))
        rig.run(300 * MS)
    position = rig.engine.portfolio.position(rig.instrument.venue, rig.instrument.symbol)
    assert position is not None
    assert position.quantity > 0
    assert len(position.entry_value.as_tuple().digits) == DECISIONS.prec, "it divides nothing"
    return [repr(command) for _, command in rig.commands]


def test_the_context_of_others_changes_nothing_and_is_left_to_them() -> None:
    expected = commands_of_a_position_at_three_prices()
    with decimal.localcontext() as others:
        # What ccxt's decimal_to_precision sets, for good, in the context that it finds.
        others.rounding = decimal.ROUND_HALF_UP
        others.traps[decimal.Underflow] = True
        assert commands_of_a_position_at_three_prices() == expected
        assert decimal.getcontext() is others
    for rounding in (decimal.ROUND_UP, decimal.ROUND_DOWN):
        with decimal.localcontext(Context(prec=9, rounding=rounding)):
            assert commands_of_a_position_at_three_prices() == expected


def test_it_is_the_arithmetic_of_journals_of_before() -> None:
    """They were computed with Python's defaults."""
    ours, python = DECISIONS, Context()
    assert (ours.prec, ours.rounding, ours.Emin, ours.Emax, ours.traps) == (
        python.prec,
        python.rounding,
        python.Emin,
        python.Emax,
        python.traps,
    )
