"""Binance USD-M's timer: it cancels all open orders of one symbol that is not started anew in time.

Source: "Auto-Cancel All Open Orders" of the USD-M documentation, ``POST /fapi/v1/countdownCancelAll``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.binance.usdm_codes import refusal
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.cancel_timer import VenueTimer, period_of
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.outcomes import Fate, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.outcomes import Answered

METHOD: Final = "countdownCancelAll"
COST: Final = 10
"""Weight of a request."""
WEIGHT_PER_MINUTE: Final = 2_400
SHORTEST_NS: Final = 15 * SECOND
"""As long as a macro may be silent before its entries are canceled; a reconnect takes less."""


class _Countdown(msgspec.Struct, rename="camel"):
    symbol: str
    countdown_time: int | str


class UsdmTimer:
    """As ``shell.venue.cancel_timer.TimerRequests``.

    Args:
        names: the venue's names of the symbols, by unified symbol.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def arm(self, symbol: str, period_ms: int) -> Request:
        """Start the timer of a symbol anew; 0 ends it."""
        return Request(
            purpose="upkeep",
            method=METHOD,
            params={"symbol": self._names[symbol], "countdownTime": period_ms},
            costs={"weight": COST},
        )

    def confirmed(self, request: Request, answer: Answered) -> Refusal | None:
        """Whether the answer repeats symbol and time."""
        refused = refusal(answer)
        if refused is not None:
            return refused
        try:
            told = msgspec.json.decode(answer.body, type=_Countdown)
        except msgspec.MsgspecError as error:
            return Refusal(fate=Fate.UNKNOWN, text=f"{METHOD}: not as documented: {error}")
        asked = (request.params["symbol"], str(request.params["countdownTime"]))
        if (told.symbol, str(told.countdown_time)) != asked:
            return Refusal(fate=Fate.UNKNOWN, text=f"{METHOD}: the answer is about another timer")
        return None


def timer_of(instruments: Mapping[str, Instrument], *, beside_foreign: bool) -> VenueTimer:
    """The timers of these symbols.

    Args:
        instruments: by unified symbol.
        beside_foreign: as ``VenueTimer``.
    """
    return VenueTimer(
        scope="symbol",
        period_ns=period_of(len(instruments), COST, WEIGHT_PER_MINUTE, SHORTEST_NS),
        requests=UsdmTimer({name: each.venue_symbol for name, each in instruments.items()}),
        beside_foreign=beside_foreign,
    )
