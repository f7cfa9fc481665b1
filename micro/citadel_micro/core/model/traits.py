"""Traits of an execution algorithm: what others have to know of it, as data."""

from __future__ import annotations

from typing import NamedTuple


class Traits(NamedTuple):
    """What the rest of the engine has to know of an algorithm."""

    rests_at_limit: bool = False
    """Its order has the signal's limit price itself, so that is judged at admission."""
    immediate: bool = False
    """It takes what is there. Market and immediate-or-cancel signals that name an algorithm which does
    not are worked by ``FOR_MARKET``."""
    held: bool = False
    """It waits for a trigger before it works, and is asked for by kind ``stop`` only."""
    working_time: str = "time_limit_ms"
    """The parameter, if it has one, that says how long it works."""
