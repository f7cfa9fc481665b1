"""Leverage and margin mode of an account's perpetuals: as configured, or as others have set them.

A person changes them by hand, with a position open, and some venues let nobody undo that: Binance reduces
no leverage of an isolated position. What the account has counts then, so that exits are still sent: without
a connection whose settings were verified there would be none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.model.events import MarginTerms

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from citadel_micro.core.model.account_events import MarginMode, MarginTier
    from citadel_proto.errors import Refused


_MOST_DIGITS: Final = 9
"""Of a leverage; nothing that a venue lends has more."""


class _Known(NamedTuple):
    """Of one symbol, as last verified."""

    leverage: int
    mode: MarginMode
    text: str = ""
    """Why it is not as configured; empty where it is."""
    until: tuple[str, ...] = ()
    """The symbols whose positions keep it so."""


class Stated(NamedTuple):
    """What a survey says of one symbol."""

    symbol: str
    """Unified."""
    quantity: Decimal
    """Of its position, signed; 0 for none."""
    leverage: Decimal | None = None
    """None where the survey does not say."""
    mode: str = ""
    """Empty where it does not."""


class MarginSettings:
    """Of one account.

    Args:
        venue: id.
        leverage: as configured, for every symbol.
        mode: likewise.
    """

    def __init__(self, venue: str, leverage: int, mode: MarginMode) -> None:
        self._venue = venue
        self.leverage = leverage
        self.mode: MarginMode = mode
        self._known: dict[str, _Known] = {}

    def confirm(self, symbol: str) -> None:
        """The venue has confirmed that it is as configured."""
        self._known[symbol] = _Known(self.leverage, self.mode)

    def adopt(
        self,
        symbol: str,
        leverage: Decimal,
        mode: MarginMode,
        error: Refused,
        until: Iterable[str] = (),
    ) -> None:
        """It has a position, is not as configured, and the venue refuses to change that.

        A fraction of leverage counts as a whole: liquidation is nearer then.

        Args:
            symbol: unified.
            leverage: of the account.
            mode: of the account.
            error: what is wrong, and how to mend it.
            until: the symbols of a setting of the whole account, which any position keeps.
        """
        text = (
            f"{error}. While there is a position it is counted with what the account has: "
            f"{mode} margin and leverage {leverage.normalize():f}"
        )
        self._known[symbol] = _Known(math.ceil(leverage), mode, text, tuple(until) or (symbol,))

    def terms(self, symbol: str, tiers: Iterable[MarginTier]) -> MarginTerms:
        """What was verified of a symbol, for the engine."""
        known = self._known[symbol]
        return MarginTerms(
            venue=self._venue,
            symbol=symbol,
            mode=known.mode,
            leverage=known.leverage,
            tiers=tuple(sorted(tiers, key=lambda tier: tier.max_notional)),
            text=known.text,
        )

    def changed(self, rows: Iterable[Stated]) -> str:
        """Why they have to be verified again; empty where nothing has changed."""
        stated = list(rows)
        held = {row.symbol for row in stated if row.quantity}
        for row in stated:
            known = self._known.get(row.symbol)
            if known is None:
                continue
            # Not rounded up first: a venue may say 1E+999999, which would be a million digits.
            if row.leverage is not None and not (
                known.leverage - 1 < row.leverage <= known.leverage
            ):
                was = f"leverage of {row.symbol} was changed by others"
                return f"{was}: {_shown(row.leverage)} instead of {known.leverage}"
            if row.mode not in {"", known.mode}:
                was = f"the margin mode of {row.symbol} was changed by others"
                return f"{was}: {row.mode} instead of {known.mode}"
            if known.text and held.isdisjoint(known.until):
                return f"the position of {row.symbol} is closed: its settings can be restored"
        return ""


def _shown(leverage: Decimal) -> str:
    usual = abs(leverage.adjusted()) < _MOST_DIGITS
    return f"{leverage.normalize():f}" if usual else f"{leverage:.3E}"
