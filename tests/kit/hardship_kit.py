"""Limits of a venue that fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hard_feeds import QUICK, pairs

if TYPE_CHECKING:
    from citadel_micro.shell.marketdata.spec import Limits


A, B = pairs(2)


A_LINEAR, B_LINEAR = pairs(2, ":USDT")


def limits(**changes: Any) -> Limits:  # noqa: ANN401 - fields of Limits
    return replace(QUICK, **changes)
