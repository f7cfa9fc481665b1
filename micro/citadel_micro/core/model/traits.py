"""Traits of an execution algorithm: what other parts need to know about it, as data."""

from __future__ import annotations

from typing import NamedTuple


class Traits(NamedTuple):
    """What the rest of the engine needs to know about an algorithm."""

    rests_at_limit: bool = False
    """Its order has the signal's limit price itself, so that is checked at admission."""
    immediate: bool = False
    """It takes liquidity at once. Market and immediate-or-cancel signals that name another algorithm
    are worked by ``FOR_MARKET``."""
    held: bool = False
    """It waits for a trigger before it works, and is used for kind ``stop`` only."""
    works_held: bool = False
    """With ``held``: it has orders out before its trigger, and is worked from its admission on."""
    working_time: str = "time_limit_ms"
    """The parameter, if it has one, that says how long it works."""
    children: int = 1
    """Most orders that it has out at once."""
    sliced: bool = True
    """It may be worked in several orders, so it may be larger than the gate permits one to be against
    the displayed depth."""
    replaceable: bool = True
    """Another may work a fill-or-kill signal that names it."""
    all_or_nothing: bool = False
    """It needs a venue with fill-or-kill orders, and works every signal that asks for one."""
